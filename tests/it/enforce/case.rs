//! The case files, read strictly, and the answers that `tests/enforce/patients.py` computed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::bench::tests_folder;
use super::sequence::Sequence;

/// Differences of sums and means beyond this share of the value are wrong, not rounding.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

/// One question with what must come of it: a refusal, or the answer that `patients.py` computed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The role in which it is asked.
    #[serde(rename = "as", default = "university")]
    pub(crate) asker: String,
    pub(crate) sql: String,
    /// Text that is appended to the SQL again and again.
    repeat: Option<Repeat>,
    /// The code of the refusal.
    pub(crate) refused: Option<String>,
    /// What the refusal must say to help.
    pub(crate) says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    text: String,
    times: usize,
}

fn university() -> String {
    "university".to_owned()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in toml_files("enforce") {
        let file: CaseFile = read(&path);
        for mut case in file.case {
            if let Some(Repeat { text, times }) = case.repeat.take() {
                case.sql.push_str(&text.repeat(times));
            }
            cases.push(case);
        }
    }
    cases
}

/// The columns of an answer and its rows.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

pub(crate) type Expected = BTreeMap<String, Answer>;

pub(crate) fn expected() -> Expected {
    let text = fs::read_to_string(tests_folder().join("enforce/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Answer {
    pub(crate) fn compare(&self, columns: &[String], rows: &[Vec<Value>]) -> Result<(), String> {
        let is_named = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let same_name = |(a, b): (&String, &String)| a == b || !is_named(a);
        let same_columns = self.columns.len() == columns.len() && self.columns.iter().zip(columns).all(same_name);
        let same_rows = self.rows.len() == rows.len() && self.rows.iter().zip(rows).all(|(a, b)| same_row(a, b));
        if same_columns && same_rows {
            return Ok(());
        }
        let show = |rows: &[Vec<Value>]| {
            rows.iter()
                .map(|row| Value::from(row.clone()).to_string())
                .collect::<Vec<_>>()
        };
        Err(format!(
            "expected {:?}\n    {}\n  got {columns:?}\n    {}",
            self.columns,
            show(&self.rows).join("\n    "),
            show(rows).join("\n    ")
        ))
    }
}

fn same_row(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_i64(), b.as_i64(), a.as_f64(), b.as_f64()) {
        (Some(a), Some(b), ..) => a == b,
        (_, _, Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        _ => a == b,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttackFile {
    #[serde(default)]
    attack: Vec<WrittenAttack>,
    #[serde(default)]
    product: Vec<Product>,
    #[serde(default)]
    long: Vec<Long>,
    #[serde(default)]
    sequence: Vec<Sequence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAttack {
    name: String,
    #[serde(rename = "as", default = "university")]
    asker: String,
    sql: OneOrMore,
    refused: OneOrMore,
    says: Option<String>,
}

/// Every shape with every part in the place of `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    shapes: Vec<String>,
    parts: Vec<String>,
    refused: OneOrMore,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

/// One statement that must be refused.
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) asker: String,
    pub(crate) sql: String,
    pub(crate) refused: Vec<String>,
    pub(crate) says: Option<String>,
}

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for path in toml_files("attacks") {
        let file: AttackFile = read(&path);
        for WrittenAttack {
            name,
            asker,
            sql,
            refused,
            says,
        } in file.attack
        {
            let one = |sql| Attack {
                name: name.clone(),
                asker: asker.clone(),
                sql,
                refused: refused.clone().all(),
                says: says.clone(),
            };
            attacks.extend(sql.all().into_iter().map(one));
        }
        for Product {
            name,
            shapes,
            parts,
            refused,
        } in file.product
        {
            let refused = refused.all();
            let both = shapes
                .iter()
                .flat_map(|shape| parts.iter().map(move |part| shape.replace("{}", part)));
            let one = |sql| Attack {
                name: name.clone(),
                asker: university(),
                sql,
                refused: refused.clone(),
                says: None,
            };
            attacks.extend(both.map(one));
        }
    }
    attacks
}

/// A statement that is built by repeating parts; `long.toml` says how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    name: String,
    #[serde(default)]
    before: String,
    part: String,
    #[serde(default)]
    between: String,
    #[serde(default)]
    middle: String,
    #[serde(default)]
    closing: String,
    #[serde(default)]
    after: String,
    times: Vec<usize>,
    refused: OneOrMore,
}

impl Long {
    fn sql(&self, times: usize) -> String {
        let numbered = |text: &str, n: usize| text.replace("{n}", &n.to_string()).replace("{m}", &(n - 1).to_string());
        let parts: Vec<String> = (1..=times).map(|n| numbered(&self.part, n)).collect();
        let parts = parts.join(&self.between);
        let (closing, after) = (self.closing.repeat(times), numbered(&self.after, times));
        format!("{}{parts}{}{closing}{after}", self.before, self.middle)
    }
}

/// Name, SQL and how it may end: with a code, or with `an answer`.
pub(crate) fn long_statements() -> Vec<(String, String, Vec<String>)> {
    let files = toml_files("attacks");
    let long = files.iter().flat_map(|path| read::<AttackFile>(path).long);
    let each = |long: Long| {
        let ends = long.refused.clone().all();
        let made = long
            .times
            .iter()
            .map(|times| (format!("{times} times {}", long.name), long.sql(*times), ends.clone()));
        made.collect::<Vec<_>>()
    };
    long.flat_map(each).collect()
}

/// The sequences of questions, with the name of their file.
pub(crate) fn sequences() -> Vec<(String, Sequence)> {
    let named = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let sequences = read::<AttackFile>(&path).sequence.into_iter();
        sequences.map(move |sequence| (name.clone(), sequence))
    };
    toml_files("attacks").into_iter().flat_map(named).collect()
}

/// The names of all entries, each with the name of its file.
pub(crate) fn attack_names() -> Vec<(String, String)> {
    let of_file = |path: PathBuf| {
        let file: AttackFile = read(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let attacks = file.attack.into_iter().map(|attack| attack.name);
        let products = file.product.into_iter().map(|product| product.name);
        let sequences = file.sequence.into_iter().map(|sequence| sequence.name);
        let names: Vec<String> = attacks.chain(products).chain(sequences).collect();
        names.into_iter().map(move |entry| (name.clone(), entry))
    };
    toml_files("attacks").into_iter().flat_map(of_file).collect()
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(tests_folder().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

fn read<T: for<'a> Deserialize<'a>>(path: &std::path::Path) -> T {
    let text = fs::read_to_string(path).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
