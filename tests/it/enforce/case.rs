//! The case files, read strictly, and the answers that `tests/enforce/patients.py` computed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::bench::tests_folder;

/// Differences of sums and means beyond this share of the value are wrong, not rounding.
const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

/// One question with what must come of it: an answer that has an oracle, or a refusal.
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
    /// SQL for SQLite; see `patients.py`.
    oracle: Option<String>,
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
            assert!(
                case.oracle.is_some() != case.refused.is_some(),
                "{}: an oracle or a refusal",
                case.name
            );
            if let Some(Repeat { text, times }) = case.repeat.take() {
                case.sql.push_str(&text.repeat(times));
            }
            cases.push(case);
        }
    }
    cases
}

/// Rows and how much was left out.
#[derive(Deserialize)]
pub(crate) struct Answer {
    rows: Vec<Vec<Value>>,
    suppressed_cells: u64,
}

pub(crate) type Expected = BTreeMap<String, Answer>;

pub(crate) fn expected() -> Expected {
    let text = fs::read_to_string(tests_folder().join("enforce/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Answer {
    pub(crate) fn compare(&self, rows: &[Vec<Value>], suppressed_cells: u64) -> Result<(), String> {
        let same_rows = self.rows.len() == rows.len() && self.rows.iter().zip(rows).all(|(a, b)| same_row(a, b));
        if same_rows && self.suppressed_cells == suppressed_cells {
            return Ok(());
        }
        let show = |rows: &[Vec<Value>]| {
            rows.iter()
                .map(|row| Value::from(row.clone()).to_string())
                .collect::<Vec<_>>()
        };
        Err(format!(
            "expected {} left out and\n    {}\n  got {suppressed_cells} left out and\n    {}",
            self.suppressed_cells,
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

/// Name, SQL and how it may be refused.
pub(crate) fn long_statements() -> Vec<(String, String, &'static [&'static str])> {
    const LIMIT: &[&str] = &["E_SQL_LIMIT"];
    const LIMIT_OR_SHAPE: &[&str] = &["E_SQL_LIMIT", "E_SQL_NOT_ALLOWED"];
    const FROM: &str = "SELECT count(*) FROM patients";
    let chain = |word: &str, term: &str, times: usize| format!("{FROM} WHERE {}", vec![term; times].join(word));
    let mut made = Vec::new();
    for (word, term) in [
        (" OR ", "sex = 'male'"),
        (" AND ", "sex = 'male'"),
        (" OR ", "emergency"),
        (" AND ", "emergency"),
    ] {
        for times in [990, 1_990, 2_000, 100_000] {
            made.push((format!("{times} terms of{word}{term}"), chain(word, term, times), LIMIT));
        }
    }
    for times in [1_900, 2_000, 100_000] {
        let plus = vec!["1"; times].join("+");
        made.push((
            format!("{times} terms of + in WHERE"),
            format!("{FROM} WHERE age < {plus}"),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} terms of + selected"),
            format!("SELECT {plus} FROM patients"),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} terms of + summed"),
            format!("SELECT sum({plus}) FROM patients"),
            LIMIT_OR_SHAPE,
        ));
        let items = vec!["'male'"; times].join(", ");
        let long: &[&str] = if times < 2_000 { &["an answer"] } else { LIMIT };
        made.push((
            format!("{times} items of IN"),
            format!("{FROM} WHERE sex IN ({items})"),
            long,
        ));
    }
    made.push((
        "50000 items of IN".to_owned(),
        format!("{FROM} WHERE age IN ({})", vec!["1"; 50_000].join(", ")),
        LIMIT,
    ));
    for times in [60, 1_000, 1_900, 10_000] {
        let (open, close) = ("(".repeat(times), ")".repeat(times));
        made.push((
            format!("{times} parentheses"),
            format!("{FROM} WHERE {open}sex = 'male'{close}"),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} NOTs"),
            format!("{FROM} WHERE {}emergency", "NOT ".repeat(times)),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} minuses"),
            format!("{FROM} WHERE age < {}40", "- ".repeat(times)),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} IS NULL"),
            format!("{FROM} WHERE emergency{}", " IS NULL".repeat(times)),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} subqueries"),
            format!("{}patients{}", "SELECT * FROM (".repeat(times), ")".repeat(times)),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} CASEs"),
            format!(
                "SELECT {}1{} FROM patients",
                "CASE WHEN true THEN ".repeat(times),
                " END".repeat(times)
            ),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} casts"),
            format!("{FROM} WHERE age < 40{}", "::bigint".repeat(times)),
            LIMIT_OR_SHAPE,
        ));
    }
    for times in [100, 600, 5_000] {
        made.push((
            format!("{times} arms of UNION"),
            vec![FROM; times].join(" UNION ALL "),
            LIMIT_OR_SHAPE,
        ));
        let tables: Vec<String> = (0..times).map(|n| format!("patients p{n}")).collect();
        made.push((
            format!("{times} tables"),
            format!("SELECT count(*) FROM {}", tables.join(", ")),
            LIMIT_OR_SHAPE,
        ));
        made.push((
            format!("{times} joins"),
            format!("SELECT count(*) FROM {}", tables.join(" NATURAL JOIN ")),
            LIMIT_OR_SHAPE,
        ));
        let with: Vec<String> = (1..times)
            .map(|n| format!("c{n} AS (SELECT * FROM c{})", n - 1))
            .collect();
        made.push((
            format!("{times} CTEs"),
            format!(
                "WITH c0 AS (SELECT * FROM patients), {} SELECT count(*) FROM c{}",
                with.join(", "),
                times - 1
            ),
            LIMIT_OR_SHAPE,
        ));
    }
    for times in [20, 600] {
        let twice: Vec<String> = (1..times)
            .map(|n| format!("c{n} AS (SELECT a.* FROM c{0} a, c{0} b)", n - 1))
            .collect();
        made.push((
            format!("{times} CTEs, each twice the last"),
            format!(
                "WITH c0 AS (SELECT age FROM patients), {} SELECT count(*) FROM c{}",
                twice.join(", "),
                times - 1
            ),
            LIMIT_OR_SHAPE,
        ));
        let sets = vec!["sex, district"; times].join("), CUBE (");
        made.push((
            format!("{times} CUBEs"),
            format!("{FROM} GROUP BY CUBE ({sets})"),
            LIMIT_OR_SHAPE,
        ));
    }
    let columns: Vec<String> = (0..30).map(|n| format!("age+{n}")).collect();
    made.push((
        "a CUBE of 30".to_owned(),
        format!("{FROM} GROUP BY CUBE ({})", columns.join(", ")),
        LIMIT_OR_SHAPE,
    ));
    made.push((
        "five megabytes".to_owned(),
        format!("{FROM} -- {}", "x".repeat(5_000_000)),
        LIMIT,
    ));
    made.push((
        "a long name".to_owned(),
        format!("SELECT count(*) AS \"{}\" FROM patients", "x".repeat(70_000)),
        LIMIT,
    ));
    made
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
