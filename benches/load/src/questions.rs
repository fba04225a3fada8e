//! What is asked, and what is right: computed from the generated rows by other means than the program's, and in one way only for each
//! value, so that an answer is right or wrong.
//!
//! Groups are so large that nothing is withheld, and no number depends on the order of rows beyond rounding.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use federation::{Answer, Question, Status, Tables};
use terms::Problem;

use crate::space::{AGES, Chance, Data, HOSPITALS, PERMIT_ID, SEXES, Stay, WARDS};

/// Floating-point sums may be taken in any order.
const RELATIVE_ERROR_MAX: f64 = 1e-9;

const RESEARCH: &str = "ehds-53-1-e";
const INSURANCE: &str = "ehds-54-b";

/// A question and what comes back if all is well.
pub(crate) struct Asked {
    /// Of which kind it is, in the table at the end.
    pub(crate) kind: &'static str,
    pub(crate) question: Question,
    right: Right,
    /// How often it is asked among all.
    weight: usize,
}

enum Right {
    /// These rows, in this order, from all nodes.
    Rows(Vec<Vec<Value>>),
    /// So many of each of these rows, in any order, from all nodes.
    Counted(BTreeMap<Vec<String>, u64>),
    /// Every node refuses with one of these.
    Refused(&'static [Problem]),
    /// Nobody is asked: it cannot be said in this data space.
    NotAsked(Problem),
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(f64),
}

/// All questions.
pub(crate) struct Questions {
    asked: Vec<Asked>,
    intruder: Vec<Asked>,
    nodes: usize,
}

/// A question that says whether all nodes are there.
pub(crate) fn reachable() -> Question {
    question("SELECT count(*) AS n FROM stays", RESEARCH, None)
}

fn question(sql: &str, purpose: &str, permit: Option<&str>) -> Question {
    Question {
        sql: sql.to_owned(),
        purpose: Some(purpose.parse().unwrap()),
        permit: permit.map(|permit| permit.parse().unwrap()),
        tables: Tables::default(),
        timeout: Some("120".parse().unwrap()),
    }
}

impl Questions {
    pub(crate) fn about(data: &Data) -> Self {
        let mut asked = vec![
            by_ward(data),
            by_node(data),
            by_region(data),
            by_region_and_node(data),
            quantiles(data),
            all_rows(data),
        ];
        asked.extend((0..WARDS.len()).map(|ward| of_ward(data, ward)));
        asked.extend((0..WARDS.len()).map(|ward| quantile_of_ward(data, ward)));
        asked.push(rows_of(data, 0));
        asked.push(unknown_function());
        Self {
            asked,
            intruder: vec![prohibited(), secret_column(), rows_without_a_permit()],
            nodes: data.nodes.len(),
        }
    }

    /// A question of somebody who may ask.
    pub(crate) fn any(&self, chance: &mut Chance) -> &Asked {
        let mut at = chance.below(self.asked.iter().map(|asked| asked.weight).sum());
        for asked in &self.asked {
            if at < asked.weight {
                return asked;
            }
            at -= asked.weight;
        }
        &self.asked[0]
    }

    /// A question of somebody who tries out what nodes let through.
    pub(crate) fn forbidden(&self, chance: &mut Chance) -> &Asked {
        &self.intruder[chance.below(self.intruder.len())]
    }

    /// What is wrong with what came back: a code, and a sentence.
    pub(crate) fn judge(&self, asked: &Asked, answer: &Result<Answer, terms::Report>) -> Result<(), Wrong> {
        match (&asked.right, answer) {
            (Right::NotAsked(problem), Err(report)) if report.problem == *problem => Ok(()),
            (Right::NotAsked(_), Ok(_)) => Err(Wrong::answer("was answered")),
            (_, Err(report)) => Err(Wrong::failed(report.problem, &report.message)),
            (Right::Refused(problems), Ok(answer)) => self.refused(problems, answer),
            (Right::Rows(rows), Ok(answer)) => self.complete(answer).and_then(|()| same(rows, &texts(answer))),
            (Right::Counted(rows), Ok(answer)) => self.complete(answer).and_then(|()| counted(rows, &texts(answer))),
        }
    }

    fn refused(&self, problems: &[Problem], answer: &Answer) -> Result<(), Wrong> {
        let all = answer.coverage.len() == self.nodes;
        for node in &answer.coverage {
            match (node.status, node.problem) {
                (Status::Refused, Some(problem)) if all && problems.contains(&problem) => {}
                (Status::Answered, _) => return Err(Wrong::answer("a node answered what is forbidden")),
                (_, Some(problem)) => return Err(Wrong::failed(problem, node.message.as_deref().unwrap_or_default())),
                (_, None) => return Err(Wrong::answer("a node says nothing")),
            }
        }
        if answer.batches.iter().any(|batch| batch.num_rows() > 0) {
            return Err(Wrong::answer("rows came with a refusal"));
        }
        Ok(())
    }

    fn complete(&self, answer: &Answer) -> Result<(), Wrong> {
        let absent = answer.coverage.iter().find(|node| node.status != Status::Answered);
        if let Some(node) = absent {
            let problem = node.problem.unwrap_or(Problem::Internal);
            return Err(Wrong::failed(problem, node.message.as_deref().unwrap_or_default()));
        }
        if answer.coverage.len() != self.nodes || answer.took_part().suppressed_cells() > 0 {
            return Err(Wrong::answer("a node or a cell is missing"));
        }
        Ok(())
    }
}

/// What was not as it should be.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// A problem's code, or `wrong`.
    pub(crate) code: &'static str,
    pub(crate) why: String,
}

impl Wrong {
    fn answer(why: impl Into<String>) -> Self {
        let why = why.into();
        Self { code: "wrong", why }
    }

    fn failed(problem: Problem, why: &str) -> Self {
        let (code, why) = (problem.code(), why.to_owned());
        Self { code, why }
    }
}

fn texts(answer: &Answer) -> Vec<Vec<String>> {
    answer.batches.iter().flat_map(texts_of).collect()
}

fn texts_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default();
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let rows = 0..batch.num_rows();
    rows.map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect()
}

fn same(right: &[Vec<Value>], said: &[Vec<String>]) -> Result<(), Wrong> {
    let is = |right: &Value, said: &String| match right {
        Value::Text(text) => text == said,
        Value::Number(number) => said
            .parse::<f64>()
            .is_ok_and(|said| (said - number).abs() <= RELATIVE_ERROR_MAX * number.abs().max(1.0)),
    };
    let row_is = |(right, said): (&Vec<Value>, &Vec<String>)| {
        right.len() == said.len() && right.iter().zip(said).all(|(right, said)| is(right, said))
    };
    match right.len() == said.len() && right.iter().zip(said).all(row_is) {
        true => Ok(()),
        false => Err(Wrong::answer(format!("{said:?} instead of {right:?}"))),
    }
}

fn counted(right: &BTreeMap<Vec<String>, u64>, said: &[Vec<String>]) -> Result<(), Wrong> {
    let mut counts: BTreeMap<&Vec<String>, u64> = BTreeMap::new();
    for row in said {
        *counts.entry(row).or_default() += 1;
    }
    let same = counts.len() == right.len()
        && counts
            .into_iter()
            .zip(right)
            .all(|((said, n), (right, m))| said == right && n == *m);
    same.then_some(())
        .ok_or_else(|| Wrong::answer(format!("{} rows are not those that there are", said.len())))
}

// The questions.

fn by_ward(data: &Data) -> Asked {
    let rows = (0..WARDS.len()).map(|ward| {
        let days = days(data.stays.iter().filter(|stay| stay.ward == ward));
        vec![
            text(WARDS[ward]),
            number(days.len() as f64),
            number(days.iter().sum()),
            number(mean(&days)),
        ]
    });
    Asked {
        kind: "sums by ward",
        question: question(
            "SELECT ward, count(*) AS n, sum(days) AS total, avg(days) AS mean FROM stays GROUP BY ward ORDER BY ward",
            RESEARCH,
            None,
        ),
        right: Right::Rows(rows.collect()),
        weight: 12,
    }
}

fn of_ward(data: &Data, ward: usize) -> Asked {
    let rows = (0..SEXES.len()).map(|sex| {
        let days = days(data.stays.iter().filter(|stay| stay.ward == ward && stay.sex == sex));
        vec![
            text(SEXES[sex]),
            number(days.len() as f64),
            number(mean(&days)),
            number(deviation(&days)),
        ]
    });
    let ward = WARDS[ward];
    let sql = format!(
        "SELECT sex, count(*) AS n, avg(days) AS mean, stddev(days) AS deviation FROM stays WHERE ward = '{ward}' GROUP BY sex ORDER BY sex"
    );
    Asked {
        kind: "deviation in a ward",
        question: question(&sql, RESEARCH, None),
        right: Right::Rows(rows.collect()),
        weight: 4,
    }
}

fn by_node(data: &Data) -> Asked {
    let rows = data.nodes.iter().enumerate().map(|(node, id)| {
        let of_node = || data.stays.iter().filter(move |stay| stay.node == node);
        let people: std::collections::BTreeSet<u32> = of_node().map(|stay| stay.person).collect();
        let days = days(of_node());
        vec![
            text(id),
            number(days.len() as f64),
            number(people.len() as f64),
            number(mean(&days)),
        ]
    });
    Asked {
        kind: "people by node",
        question: question(
            "SELECT node, count(*) AS n, count(DISTINCT patient_id) AS people, avg(days) AS mean FROM stays GROUP BY node ORDER BY node",
            RESEARCH,
            None,
        ),
        right: Right::Rows(rows.collect()),
        weight: 8,
    }
}

fn by_region(data: &Data) -> Asked {
    let rows = ["coast", "hills", "plain"].map(|region| {
        let days = days(data.stays.iter().filter(|stay| HOSPITALS[stay.hospital].1 == region));
        vec![text(region), number(days.len() as f64), number(mean(&days))]
    });
    Asked {
        kind: "join",
        question: question(
            "SELECT h.region, count(*) AS n, avg(s.days) AS mean FROM stays s JOIN hospitals h ON s.hospital_id = h.hospital_id \
             GROUP BY h.region ORDER BY h.region",
            RESEARCH,
            None,
        ),
        right: Right::Rows(rows.to_vec()),
        weight: 12,
    }
}

fn by_region_and_node(data: &Data) -> Asked {
    let rows = data.nodes.iter().enumerate().flat_map(|(node, id)| {
        ["coast", "hills", "plain"].map(|region| {
            let days = days(
                data.stays
                    .iter()
                    .filter(|stay| stay.node == node && HOSPITALS[stay.hospital].1 == region),
            );
            vec![text(id), text(region), number(days.iter().sum())]
        })
    });
    Asked {
        kind: "join by node",
        question: question(
            "SELECT s.node, h.region, sum(s.days) AS total FROM stays s JOIN hospitals h ON s.hospital_id = h.hospital_id \
             GROUP BY s.node, h.region ORDER BY s.node, h.region",
            RESEARCH,
            None,
        ),
        right: Right::Rows(rows.collect()),
        weight: 6,
    }
}

fn quantiles(data: &Data) -> Asked {
    let rows = (0..SEXES.len()).map(|sex| {
        let ages: Vec<i64> = data
            .stays
            .iter()
            .filter(|stay| stay.sex == sex)
            .map(|stay| stay.age)
            .collect();
        vec![
            text(SEXES[sex]),
            number(quantile(&ages, 0.5)),
            number(quantile(&ages, 0.9)),
        ]
    });
    Asked {
        kind: "quantiles",
        question: question(
            "SELECT sex, median(age) AS middle, approx_percentile_cont(age, 0.9) AS old FROM stays GROUP BY sex ORDER BY sex",
            RESEARCH,
            None,
        ),
        right: Right::Rows(rows.collect()),
        weight: 10,
    }
}

fn quantile_of_ward(data: &Data, ward: usize) -> Asked {
    let ages: Vec<i64> = data
        .stays
        .iter()
        .filter(|stay| stay.ward == ward)
        .map(|stay| stay.age)
        .collect();
    let sql = format!(
        "SELECT count(*) AS n, median(age) AS middle FROM stays WHERE ward = '{}'",
        WARDS[ward]
    );
    Asked {
        kind: "quantiles",
        question: question(&sql, RESEARCH, None),
        right: Right::Rows(vec![vec![number(ages.len() as f64), number(quantile(&ages, 0.5))]]),
        weight: 2,
    }
}

fn rows_of(data: &Data, ward: usize) -> Asked {
    let of_ward = data.stays.iter().filter(|stay| stay.ward == ward);
    let sql = format!("SELECT ward, sex, days FROM stays WHERE ward = '{}'", WARDS[ward]);
    Asked {
        kind: "rows of a ward",
        question: question(&sql, RESEARCH, Some(PERMIT_ID)),
        right: Right::Counted(count(of_ward)),
        weight: 3,
    }
}

/// More than a node reads to the end before the first row leaves: a stream.
fn all_rows(data: &Data) -> Asked {
    Asked {
        kind: "all rows, a stream",
        question: question("SELECT ward, sex, days FROM stays", RESEARCH, Some(PERMIT_ID)),
        right: Right::Counted(count(data.stays.iter())),
        weight: 1,
    }
}

fn unknown_function() -> Asked {
    Asked {
        kind: "cannot be asked",
        question: question("SELECT array_agg(days) AS all_of_them FROM stays", RESEARCH, None),
        right: Right::NotAsked(Problem::SqlNotAllowed),
        weight: 2,
    }
}

fn prohibited() -> Asked {
    Asked {
        kind: "for a prohibited purpose",
        question: question("SELECT ward, count(*) AS n FROM stays GROUP BY ward", INSURANCE, None),
        right: Right::Refused(&[Problem::Prohibited, Problem::LockedOut]),
        weight: 1,
    }
}

fn secret_column() -> Asked {
    Asked {
        kind: "a column nobody may use",
        question: question(
            "SELECT ward, avg(secret) AS mean FROM stays GROUP BY ward",
            RESEARCH,
            None,
        ),
        right: Right::Refused(&[Problem::NoPermission, Problem::LockedOut]),
        weight: 1,
    }
}

fn rows_without_a_permit() -> Asked {
    Asked {
        kind: "rows without a permit",
        question: question("SELECT ward, sex, days FROM stays", RESEARCH, None),
        right: Right::Refused(&[Problem::PermitRequired, Problem::LockedOut]),
        weight: 1,
    }
}

// What is right.

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: f64) -> Value {
    Value::Number(number)
}

fn days<'a>(stays: impl Iterator<Item = &'a Stay>) -> Vec<f64> {
    stays.map(|stay| stay.days as f64).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// As docs/disclosure.md defines it: interpolated in the bin up to and with which there are enough rows.
fn quantile(ages: &[i64], share: f64) -> f64 {
    let wanted = share * ages.len() as f64;
    let mut below = 0.0;
    for edges in AGES.windows(2) {
        let inside = ages.iter().filter(|age| (edges[0]..edges[1]).contains(age)).count() as f64;
        if inside > 0.0 && below + inside >= wanted {
            let (low, high) = (edges[0] as f64, edges[1] as f64);
            return low + (high - low) * (wanted - below) / inside;
        }
        below += inside;
    }
    f64::NAN
}

fn count<'a>(stays: impl Iterator<Item = &'a Stay>) -> BTreeMap<Vec<String>, u64> {
    let mut counts = BTreeMap::new();
    for stay in stays {
        let row = vec![
            WARDS[stay.ward].to_owned(),
            SEXES[stay.sex].to_owned(),
            stay.days.to_string(),
        ];
        *counts.entry(row).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
            .collect()
    }

    #[test]
    fn another_number_a_missing_row_and_another_order_are_wrong() {
        let right = [vec![text("eye"), number(3.0)], vec![text("lung"), number(4.5)]];
        assert!(same(&right, &said(&[&["eye", "3"], &["lung", "4.5"]])).is_ok());
        for wrong in [
            said(&[&["eye", "3"], &["lung", "4.500001"]]),
            said(&[&["eye", "3"]]),
            said(&[&["lung", "4.5"], &["eye", "3"]]),
            said(&[&["eye", "3"], &["lung", ""]]),
            said(&[&["eye", "3", ""], &["lung", "4.5", ""]]),
        ] {
            assert_eq!(same(&right, &wrong).unwrap_err().code, "wrong", "{wrong:?}");
        }
    }

    #[test]
    fn rows_that_come_twice_or_not_at_all_are_wrong() {
        let right = BTreeMap::from([(vec!["eye".to_owned()], 2), (vec!["lung".to_owned()], 1)]);
        assert!(counted(&right, &said(&[&["lung"], &["eye"], &["eye"]])).is_ok());
        assert!(counted(&right, &said(&[&["lung"], &["eye"]])).is_err());
        assert!(counted(&right, &said(&[&["lung"], &["eye"], &["eye"], &["heart"]])).is_err());
    }

    #[test]
    fn a_quantile_is_interpolated_in_its_bin() {
        // Three of four below 18, one in [40, 50): the median is two thirds into the first bin.
        assert!((quantile(&[1, 2, 3, 44], 0.5) - 12.0).abs() < 1e-12);
        assert!((quantile(&[1, 2, 3, 44], 1.0) - 50.0).abs() < 1e-12);
    }
}
