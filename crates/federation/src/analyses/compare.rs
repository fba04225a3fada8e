//! Whether a number differs between groups: averages and spreads of each, t tests or analysis of variance, and tests of ranks.

use models::compare::{self, Anova, KruskalWallis, MannWhitney, Moments, TTest};
use terms::{Problem, Report};

use super::study::{require_each_once, rounded};
use super::{CONFIDENCE, Cells, Key, Number, Study};

/// What was found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The groups in their order.
    pub groups: Vec<Group>,
    /// Rows in which the group or the number is not known.
    pub dropped: Number,
    /// The tests of averages, or why there are none.
    pub tests: Result<Tests, Report>,
    /// Those of ranks, if they are asked for.
    pub ranks: Option<Result<Ranks, Report>>,
    /// Whether groups can be missing of which nobody released anything.
    pub can_lack_groups: bool,
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its value.
    pub level: String,
    /// Rows in which the number is known.
    pub n: Number,
    /// Its average.
    pub mean: Number,
    /// Its standard deviation.
    pub sd: Number,
}

/// Tests of averages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tests {
    /// Of two groups.
    Two {
        /// For groups of different variance.
        welch: TTest,
        /// For groups of the same variance.
        student: TTest,
    },
    /// Of more.
    Several(Anova),
}

/// Tests of ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranks {
    /// What is said of them.
    pub test: RankTest,
    /// Whether rows in one bin are taken as equal although they need not be.
    pub binned: bool,
}

/// A test of ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RankTest {
    /// Of two groups.
    Two(MannWhitney),
    /// Of more.
    Several(KruskalWallis),
}

/// Compares a number between the values of a column; with `ranks` also by the order of its bins or values.
///
/// # Errors
/// As [`Study::ask`]; an unknown column, or one without numbers.
pub async fn compare(study: &mut Study<'_>, outcome: &str, by: &str, ranks: bool) -> Result<Comparison, Report> {
    require_each_once([outcome, by])?;
    study.numbers(outcome)?;
    let by = study.key(by)?;
    let values = [
        "count(*)",
        &format!("count({outcome})"),
        &format!("avg({outcome})"),
        &format!("var_samp({outcome})"),
    ];
    let values = values.map(str::to_owned);
    if ranks {
        study.require_exact(&[&by], &values, Some("--ranks")).await?;
    }
    let cells = study.ask(&[&by], &values, &[]).await?;
    let (cells, without_group) = cells.without_unknown(0);
    let levels = cells.levels(0, &by);
    let group = |level: &String| {
        let number = |at: usize| cells.number(&[level], at);
        let variance = number(3);
        Group {
            level: level.clone(),
            n: number(1),
            mean: number(2),
            sd: variance.map(f64::sqrt),
        }
    };
    let groups: Vec<Group> = levels.iter().map(group).collect();
    let without_number = levels
        .iter()
        .map(|level| cells.number(&[level], 0).minus(cells.number(&[level], 1)));
    let dropped = without_number.fold(without_group, Number::plus);
    let tests = moments(&cells, &levels, outcome, &by).and_then(|moments| tests(&moments));
    let ranks = match (ranks, cells.rounded_to) {
        (true, None) => Some(rank_test(study, outcome, &by, &groups).await?),
        // Its own documents said otherwise.
        (true, Some(step)) => Some(Err(rounded(step))),
        (false, _) => None,
    };
    Ok(Comparison {
        groups,
        dropped,
        tests,
        ranks,
        can_lack_groups: cells.can_lack(&by, &levels),
    })
}

impl Group {
    /// Whether it is known that nobody in it has a known number: then it is in no test, as in R, which leaves out each row without one.
    pub(super) fn has_no_numbers(&self) -> bool {
        self.n.exact() == Some(0.0)
    }
}

/// Of the groups in which somebody has a known number.
fn moments(cells: &Cells, levels: &[String], outcome: &str, by: &Key) -> Result<Vec<Moments>, Report> {
    let of = |level: &String| {
        let n = cells.count(&[level], 1);
        let n = n.map_err(|_| perhaps_none(cells, outcome, by, level, levels.len()))?;
        if n == 0.0 {
            return Ok(None);
        }
        let mean = cells.exact(&[level], 2)?;
        // One number has no variance, and that is known.
        let variance = if n > 1.0 { cells.exact(&[level], 3)? } else { 0.0 };
        Ok(Some(Moments { n, mean, variance }))
    };
    levels.iter().map(of).filter_map(Result::transpose).collect()
}

/// That a group's numbers were not told. Where groups have a threshold, one without any number looks the same, so both are said.
fn perhaps_none(cells: &Cells, outcome: &str, by: &Key, level: &str, groups: usize) -> Report {
    let report = match cells.number(&[level], 1).value {
        Some(told) if told > 0.0 => cells.withheld(&format!("how often {outcome} is known in the group {level}")),
        _ => cells.withheld(&format!(
            "of the group {level}, in which perhaps nobody has a known {outcome}, what is needed"
        )),
    };
    if groups < 3 || by.sql != by.name || cells.rounded_to.is_some() {
        return report;
    }
    let level = if by.is_number {
        level.to_owned()
    } else {
        format!("'{}'", level.replace('\'', "''"))
    };
    let remedy = format!(
        "{}; or compare the other groups: --where \"{} <> {level}\"",
        report.remedy, by.name
    );
    report.remedy(remedy)
}

fn tests(groups: &[Moments]) -> Result<Tests, Report> {
    let tests = match groups {
        [a, b] => compare::welch(a, b, CONFIDENCE)
            .zip(compare::student(a, b, CONFIDENCE))
            .map(|(welch, student)| Tests::Two { welch, student }),
        several => compare::anova(several).map(Tests::Several),
    };
    tests.ok_or_else(|| {
        let message = match groups.len() {
            0 | 1 => "there are fewer than two groups with known numbers to compare",
            _ => "the groups do not vary, or are of one number",
        };
        Problem::Statistic
            .report(message)
            .remedy("choose a column with at least two values, and numbers that vary")
    })
}

/// The rows of each group in each bin: all of them, or none. A bin of which nobody released anything is not among those that came back.
fn in_bins(cells: &Cells, groups: &[&Group], ordered: &Key) -> Result<Vec<Vec<f64>>, Report> {
    let bins = cells.levels(1, ordered);
    let counts = bins.iter().map(|bin| {
        let counts = groups.iter().map(|group| cells.count(&[&group.level, bin], 0));
        counts.collect::<Result<Vec<f64>, Report>>()
    });
    let counts: Vec<Vec<f64>> = counts.collect::<Result<_, _>>()?;
    for (at, group) in groups.iter().enumerate() {
        let counted: f64 = counts.iter().map(|bin| bin[at]).sum();
        if group.n.exact() != Some(counted) {
            return Err(cells.withheld(&format!("in which bins the rows of {} are", group.level)));
        }
    }
    Ok(counts)
}

async fn rank_test(
    study: &mut Study<'_>,
    outcome: &str,
    by: &Key,
    groups: &[Group],
) -> Result<Result<Ranks, Report>, Report> {
    let ordered = study.key(outcome)?;
    let cells = study.ask(&[by, &ordered], &["count(*)".to_owned()], &[]).await?;
    let (cells, _) = cells.without_unknown(0);
    let groups: Vec<&Group> = groups.iter().filter(|group| !group.has_no_numbers()).collect();
    Ok(in_bins(&cells, &groups, &ordered).and_then(|counts| {
        let test = match groups.len() {
            2 => {
                let two: Vec<[f64; 2]> = counts.iter().map(|bin| [bin[0], bin[1]]).collect();
                compare::mann_whitney(&two).map(RankTest::Two)
            }
            _ => compare::kruskal_wallis(&counts).map(RankTest::Several),
        };
        let binned = !ordered.edges.is_empty();
        test.map(|test| Ranks { test, binned }).ok_or_else(|| {
            let report = Problem::Statistic.report("ranks need two groups and two different numbers");
            report.remedy("choose a column with at least two values, and numbers that vary")
        })
    }))
}

#[cfg(test)]
mod tests;
