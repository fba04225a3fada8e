//! Attacks of several questions (`[[sequence]]` in `tests/attacks`): asked one after the other of one node that remembers what it
//! released, with other data between them if the file says so.
//!
//! `open.toml` holds what such questions do find out. It is asserted like everything else: if it stops being so, that is good
//! news, and the entry moves to another file with what protects now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use engine::People;
use serde::Deserialize;
use serde_json::Value;
use terms::UtcTime;

use super::bench::{Bench, Memory, Outcome, tests_folder};
use super::bytes;
use super::case;

/// Differences below this are none.
const SAME: f64 = 1e-9;

/// Of a person with more rows than this, only the sum of all is looked for.
const ROWS_COMBINED_MAX: usize = 8;

/// Several questions and what must come of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sequence {
    pub(crate) name: String,
    step: Vec<Step>,
    expect: Option<Expectation>,
    protects: Option<Secret>,
    reveals: Option<Reveals>,
    /// What would have to change; of what is revealed.
    pub(crate) remedy: Option<String>,
}

/// A question, after the data was changed. Changes add up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(rename = "as", default = "university")]
    asker: String,
    sql: String,
    /// People of whom nothing is in the data any more.
    #[serde(default)]
    remove: Vec<String>,
    /// People who object.
    #[serde(default)]
    opt_out: Vec<String>,
    #[serde(default)]
    set: Vec<Set>,
}

/// Another value in every row of a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    person: Vec<String>,
    column: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expectation {
    /// Every answer has the values of the first.
    Same,
    /// The last answer has other values than the first.
    New,
    /// The last question is refused, or no number comes of it.
    RefusedOrWithheld,
}

/// What one person contributes to a column: no difference of two values of it may be that, and no two counts of the same
/// cell (columns `n` and `people`) may differ by fewer people than a cell must have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    person: String,
    column: String,
}

/// What can be computed from the answers, although it is about fewer people than a cell must have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reveals {
    /// `1.total - 2.mean * 2.known`: by number of the question and column; `1.n.male` is the row with that text.
    value: String,
    /// The people whom it is about, in the data of the first question.
    of: Vec<String>,
    /// The column of which it is the sum; or `people`.
    column: String,
}

fn university() -> String {
    "university".to_owned()
}

/// `patients.csv` as it is at some step.
struct Patients {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Patients {
    fn stored() -> Self {
        let text = fs::read_to_string(tests_folder().join("enforce/patients.csv")).unwrap();
        // Quoted fields have no comma in this file, so they stay as they are.
        let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect());
        let header = rows.next().unwrap();
        Self {
            header,
            rows: rows.collect(),
        }
    }

    fn at(&self, column: &str) -> usize {
        let found = self.header.iter().position(|name| name == column);
        found.unwrap_or_else(|| panic!("patients.csv has no column {column}"))
    }

    fn of<'a>(&'a self, person: &'a str) -> impl Iterator<Item = &'a Vec<String>> {
        self.rows.iter().filter(move |row| row[0] == person)
    }

    fn require(&self, person: &str) {
        assert!(self.of(person).next().is_some(), "there is no {person}");
    }

    fn change(&mut self, step: &Step) {
        for person in &step.remove {
            self.require(person);
            self.rows.retain(|row| row[0] != *person);
        }
        for Set { person, column, value } in &step.set {
            let at = self.at(column);
            for person in person {
                self.require(person);
                let theirs = self.rows.iter_mut().filter(|row| row[0] == *person);
                theirs.for_each(|row| value.clone_into(&mut row[at]));
            }
        }
    }

    fn text(&self) -> String {
        let lines = std::iter::once(&self.header).chain(&self.rows);
        lines.map(|line| line.join(",") + "\n").collect()
    }

    /// Known values of a person.
    fn values(&self, person: &str, column: &str) -> Vec<f64> {
        self.require(person);
        let at = self.at(column);
        self.of(person).filter_map(|row| row[at].parse().ok()).collect()
    }

    /// Whatever sums of a person's rows a condition could pick.
    fn contributions(&self, person: &str, column: &str) -> Vec<f64> {
        let values = self.values(person, column);
        if values.len() > ROWS_COMBINED_MAX {
            return vec![values.iter().sum()];
        }
        let picked = |set: usize| {
            let values = values.iter().enumerate();
            values.filter(move |(at, _)| set >> at & 1 == 1).map(|(_, value)| value)
        };
        let sums = (1..1 << values.len()).map(|set: usize| picked(set).sum::<f64>());
        sums.filter(|sum| *sum != 0.0).collect()
    }
}

/// One answer, as far as a person can compute with it.
struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    people_min: u64,
}

impl Answer {
    fn of(outcome: &Outcome) -> Result<Option<Self>, String> {
        bytes::without_canaries(outcome)?;
        let Outcome::Answered(released) = outcome else {
            return Ok(None);
        };
        bytes::is_clean(released)?;
        Ok(Some(Self {
            columns: bytes::columns(released),
            rows: bytes::rows(released),
            people_min: released.min_people().map_or(0, |people| people.get().into()),
        }))
    }

    fn has_numbers(&self) -> bool {
        self.rows.iter().flatten().any(Value::is_number)
    }

    /// A row's cell that are no numbers: what it is about.
    fn key(row: &[Value]) -> Vec<&str> {
        row.iter().filter_map(Value::as_str).collect()
    }

    fn value(&self, column: &str, key: Option<&str>) -> Result<f64, String> {
        let at = self.columns.iter().position(|name| name == column);
        let at = at.ok_or_else(|| format!("there is no column {column}"))?;
        let about = |row: &&Vec<Value>| key.is_none_or(|key| Self::key(row).contains(&key));
        let row = self.rows.iter().find(about).ok_or("there is no such row")?;
        row[at].as_f64().ok_or_else(|| format!("{column} is withheld"))
    }

    fn numbers<'a>(&'a self, column: &'a str) -> impl Iterator<Item = (Vec<&'a str>, f64)> + 'a {
        let at = self.columns.iter().position(|name| name == column);
        let rows = self.rows.iter();
        rows.filter_map(move |row| Some((Self::key(row), row[at?].as_f64()?)))
    }
}

/// What all steps gave, and the data of the first.
struct Course {
    answers: Vec<Option<Answer>>,
    first: Patients,
}

async fn walk(sequence: &Sequence) -> Result<Course, String> {
    let (bench, place) = (Bench::new(), tempfile::tempdir().unwrap());
    let mut memory = Memory::default();
    let mut patients = Patients::stored();
    let (mut objecting, mut first, mut answers) = (BTreeSet::new(), None, Vec::new());
    for (number, step) in sequence.step.iter().enumerate() {
        patients.change(step);
        let file = place.path().join("patients.csv");
        fs::write(&file, patients.text()).unwrap();
        let at = UtcTime::from_second(1_795_262_400 + number as i64).unwrap();
        bench.exchange("patients", &file, at);
        first.get_or_insert_with(|| Patients {
            header: patients.header.clone(),
            rows: patients.rows.clone(),
        });
        for person in &step.opt_out {
            patients.require(person);
            objecting.insert(person.clone());
        }
        memory.people = People::without(Arc::new(objecting.iter().cloned().collect()), None);
        let outcome = bench.ask_with(&memory, &step.asker, None, &step.sql).await;
        let answer = Answer::of(&outcome).map_err(|error| format!("question {}: {error}", number + 1))?;
        if answer.is_none() && number + 1 < sequence.step.len() {
            return Err(format!("question {}: {}", number + 1, bytes::as_json(&outcome)));
        }
        answers.push(answer);
    }
    let first = first.ok_or("there is no question")?;
    Ok(Course { answers, first })
}

impl Course {
    fn holds(&self, sequence: &Sequence) -> Result<(), String> {
        match &sequence.expect {
            Some(Expectation::Same) => self.same()?,
            Some(Expectation::New) => self.newer()?,
            Some(Expectation::RefusedOrWithheld) => self.refused_or_withheld()?,
            None => {}
        }
        if let Some(secret) = &sequence.protects {
            self.protects(secret)?;
        }
        match &sequence.reveals {
            Some(reveals) => self.reveals(reveals),
            None => Ok(()),
        }
    }

    fn ends(&self) -> Result<(&Answer, &Answer), String> {
        let answered = |answer: &&Answer| answer.has_numbers();
        let first = self.answers.first().and_then(Option::as_ref).filter(answered);
        let last = self.answers.last().and_then(Option::as_ref).filter(answered);
        first
            .zip(last)
            .ok_or_else(|| "the first or the last question has no answer".to_owned())
    }

    fn same(&self) -> Result<(), String> {
        let (first, _) = self.ends()?;
        for (number, answer) in self.answers.iter().enumerate() {
            let rows = answer.as_ref().map(|answer| &answer.rows);
            if rows != Some(&first.rows) {
                return Err(format!(
                    "{:?}\n  became {rows:?} in question {}",
                    first.rows,
                    number + 1
                ));
            }
        }
        Ok(())
    }

    fn newer(&self) -> Result<(), String> {
        let (first, last) = self.ends()?;
        match first.rows == last.rows {
            true => Err(format!("still {:?}", last.rows)),
            false => Ok(()),
        }
    }

    fn refused_or_withheld(&self) -> Result<(), String> {
        match self.answers.last() {
            Some(Some(answer)) if answer.has_numbers() => Err(format!("answered: {:?}", answer.rows)),
            _ => Ok(()),
        }
    }

    /// Every two answers to different questions.
    fn pairs(&self) -> Vec<(&Answer, &Answer)> {
        let answers: Vec<&Answer> = self.answers.iter().flatten().collect();
        let after = |at: usize| answers[at + 1..].iter().copied();
        let pairs = answers.iter().enumerate();
        pairs
            .flat_map(|(at, one)| after(at).map(|other| (*one, other)))
            .collect()
    }

    fn protects(&self, secret: &Secret) -> Result<(), String> {
        let contributions = self.first.contributions(&secret.person, &secret.column);
        assert!(!contributions.is_empty(), "{} contributes nothing", secret.person);
        for (one, other) in self.pairs() {
            for column in &one.columns {
                let is_count = matches!(column.as_str(), "n" | "people");
                for (key, a) in one.numbers(column) {
                    for (other_key, b) in other.numbers(column) {
                        let difference = (a - b).abs();
                        let people_min = one.people_min.max(other.people_min) as f64;
                        if is_count && key == other_key && difference > 0.0 && difference < people_min {
                            return Err(format!("{column} is {a} and {b}"));
                        }
                        let is_theirs = |sum: &f64| (difference - sum.abs()).abs() <= SAME;
                        if !is_count && contributions.iter().any(is_theirs) {
                            return Err(format!("{column} is {a} and {b}: what {} contributes", secret.person));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn reveals(&self, reveals: &Reveals) -> Result<(), String> {
        let found = self.compute(&reveals.value)?;
        let truth = match reveals.column.as_str() {
            "people" => reveals.of.len() as f64,
            column => {
                let of = reveals.of.iter();
                of.flat_map(|person| self.first.values(person, column)).sum()
            }
        };
        let people_min = self.answers.iter().flatten().map(|answer| answer.people_min).max();
        if people_min.is_none_or(|people| reveals.of.len() as u64 >= people) {
            return Err("it is about enough people".to_owned());
        }
        // Means are divided and multiplied again.
        if (found - truth).abs() > SAME * self.largest() {
            return Err(format!("{} is {found}, and the truth is {truth}", reveals.value));
        }
        Ok(())
    }

    fn largest(&self) -> f64 {
        let answers = self.answers.iter().flatten();
        let numbers = answers.flat_map(|answer| answer.rows.iter().flatten().filter_map(Value::as_f64));
        numbers.fold(1.0, |largest, number| number.abs().max(largest))
    }

    /// Products, added and subtracted, from left to right.
    fn compute(&self, formula: &str) -> Result<f64, String> {
        let (mut sum, mut sign, mut product) = (0.0, 1.0, None);
        for word in formula.split_whitespace() {
            match word {
                "*" => {}
                "+" | "-" => {
                    sum += sign * product.take().unwrap_or(0.0);
                    sign = if word == "+" { 1.0 } else { -1.0 };
                }
                _ => product = Some(product.unwrap_or(1.0) * self.operand(word)?),
            }
        }
        Ok(sum + sign * product.unwrap_or(0.0))
    }

    fn operand(&self, word: &str) -> Result<f64, String> {
        let mut parts = word.splitn(3, '.');
        let number: usize = parts
            .next()
            .unwrap_or_default()
            .parse()
            .map_err(|_| format!("{word}?"))?;
        let Some(column) = parts.next() else {
            return Ok(number as f64);
        };
        let answer = self.answers.get(number.wrapping_sub(1)).and_then(Option::as_ref);
        let answer = answer.ok_or_else(|| format!("{word}: no answer"))?;
        answer
            .value(column, parts.next())
            .map_err(|error| format!("{word}: {error}"))
    }
}

async fn wrong(is_walked: impl Fn(&str, &Sequence) -> bool) -> String {
    let mut wrong = String::new();
    for (file, sequence) in case::sequences() {
        if !is_walked(&file, &sequence) {
            continue;
        }
        let walked = walk(&sequence).await.and_then(|course| course.holds(&sequence));
        if let Err(difference) = walked {
            let _ = writeln!(wrong, "\n{file}: {}\n  {difference}", sequence.name);
        }
    }
    wrong
}

#[tokio::test]
async fn several_questions_isolate_nobody() {
    let wrong = wrong(|file, _| file != "open").await;
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is not prevented is written down, so that nobody takes it for prevented.
#[tokio::test]
async fn what_several_questions_find_out_is_as_open_toml_says() {
    let wrong = wrong(|file, _| file == "open").await;
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_sequence_expects_something_and_only_open_ones_reveal() {
    for (file, sequence) in case::sequences() {
        let is_open = file == "open";
        let expects = sequence.expect.is_some() || sequence.protects.is_some();
        assert!(is_open || sequence.reveals.is_none(), "{}", sequence.name);
        assert_eq!(sequence.remedy.is_some(), is_open, "{}", sequence.name);
        assert!(expects || sequence.reveals.is_some(), "{}", sequence.name);
        assert!(
            sequence.name.starts_with(|first: char| first.is_ascii_digit()),
            "{}",
            sequence.name
        );
    }
}
