//! Of a number between groups.

use models::compare::TTest;

use crate::analyses::compare::{Comparison, Group, RankTest, Ranks, Tests};

use super::{Results, Row, Sheet, Value, figures, refused};

impl Comparison {
    /// Its tables.
    pub fn results(&self) -> Results {
        let mut sheets = vec![Sheet::new("rows", self.groups.iter().map(group_row))];
        let mut notes = Vec::new();
        match &self.tests {
            Ok(Tests::Two { welch, student }) => {
                let rows = [t_row("Welch t", welch), t_row("Student t", student)];
                sheets.push(Sheet::new("tests", rows));
            }
            Ok(Tests::Several(anova)) => {
                let between = Row::default()
                    .with("source", "between groups")
                    .with("df", Value::Number(anova.df_between))
                    .with("sum_sq", Value::Number(anova.ss_between))
                    .with("f", Value::Number(anova.f))
                    .with("p", Value::P(anova.p));
                let within = Row::default()
                    .with("source", "within groups")
                    .with("df", Value::Number(anova.df_within))
                    .with("sum_sq", Value::Number(anova.ss_within))
                    .with("f", Value::Nothing)
                    .with("p", Value::Nothing);
                sheets.push(Sheet::new("anova", [between, within]));
            }
            Err(report) => notes.push(refused("no test of averages", report)),
        }
        match &self.ranks {
            Some(Ok(ranks)) => {
                sheets.push(Sheet::new("rank_tests", [rank_row(ranks)]));
                notes.extend(rank_note(ranks));
            }
            Some(Err(report)) => notes.push(refused("no test of ranks", report)),
            None => {}
        }
        for Group { level, .. } in self.groups.iter().filter(|group| group.has_no_numbers()) {
            notes.push(format!(
                "nobody in the group {level} has a known number: it is in no test"
            ));
        }
        if self.can_lack_groups {
            notes.push("a group of which no node released anything is not listed, nor in the tests".to_owned());
        }
        Results {
            facts: Row::default().with("dropped", Value::Pooled(self.dropped)),
            sheets,
            notes,
            rows_open: self.can_lack_groups,
        }
    }
}

fn group_row(group: &Group) -> Row {
    Row::default()
        .with("group", group.level.clone())
        .with("n", Value::Pooled(group.n))
        .with("mean", Value::Pooled(group.mean))
        .with("sd", Value::Pooled(group.sd))
}

fn t_row(name: &str, test: &TTest) -> Row {
    Row::default()
        .with("test", name)
        .with("difference", Value::Number(test.difference))
        .with("std_error", Value::Number(test.std_error))
        .with("t", Value::Number(test.t))
        .with("df", Value::Number(test.df))
        .with("p", Value::P(test.p))
        .with("ci_low", Value::Number(test.ci[0]))
        .with("ci_high", Value::Number(test.ci[1]))
}

fn rank_row(ranks: &Ranks) -> Row {
    match ranks.test {
        RankTest::Two(test) => Row::default()
            .with("test", "Mann-Whitney")
            .with("u", Value::Number(test.u))
            .with("u_error", Value::Number(test.u_error))
            .with("superiority", Value::Number(test.superiority))
            .with("z", Value::Number(test.z))
            .with("p", Value::P(test.p)),
        RankTest::Several(test) => Row::default()
            .with("test", "Kruskal-Wallis")
            .with("h", Value::Number(test.h))
            .with("df", Value::Number(test.df))
            .with("p", Value::P(test.p)),
    }
}

fn rank_note(ranks: &Ranks) -> Option<String> {
    let how = match ranks.test {
        RankTest::Two(test) if ranks.binned => format!(
            "ranks are those of the declared bins: rows of one bin count as equal, so U can be off by at most {}",
            figures(test.u_error)
        ),
        RankTest::Several(_) if ranks.binned => {
            "ranks are those of the declared bins: rows of one bin count as equal, and H is that of such ties"
                .to_owned()
        }
        RankTest::Two(_) => "Mann-Whitney: normal approximation with correction for ties and continuity".to_owned(),
        RankTest::Several(_) => return None,
    };
    Some(how)
}
