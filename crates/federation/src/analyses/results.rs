//! What an analysis found, as tables and single numbers with their names: said here once, for the command line, its JSON and the gateway.
//!
//! A number that is open stays so: whoever shows one shows what it can be. How tables look is not said here. One file for each analysis.

mod compare;
mod correlate;
mod crosstab;
mod describe;
mod meta;
mod rates;
mod survival;

use std::borrow::Cow;

use models::Term;
use serde_json::{Map, Value as Json, json};
use terms::Report;

use super::Number;

/// What an analysis found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Single numbers, in the order in which they are told.
    pub facts: Row,
    /// Tables.
    pub sheets: Vec<Sheet>,
    /// What must be known to read them: approximations, what was left out.
    pub notes: Vec<String>,
    /// Whether rows can be missing of which nobody released anything.
    pub rows_open: bool,
}

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A name, a group.
    Text(String),
    /// A pooled number, which can be open.
    Pooled(Number),
    /// A number that was computed.
    Number(f64),
    /// A p-value.
    P(f64),
    /// There is none.
    Nothing,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Value::Nothing, Value::Text)
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Value::Nothing, Value::Number)
    }
}

impl Value {
    fn as_json(&self) -> Json {
        match self {
            Value::Text(text) => json!(text),
            Value::Pooled(number) => number.value.map_or(Json::Null, whole),
            Value::Number(number) | Value::P(number) => whole(*number),
            Value::Nothing => Json::Null,
        }
    }
}

/// Named values: one row of a table, or single facts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(pub Vec<(Cow<'static, str>, Value)>);

impl Row {
    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let named = self.0.iter().find(|(known, _)| known == name);
        named.map(|(_, value)| value)
    }

    /// Whether one of its numbers is open.
    pub fn has_open(&self) -> bool {
        let is_open = |value: &Value| matches!(value, Value::Pooled(Number { open: Some(_), .. }));
        self.0.iter().any(|(_, value)| is_open(value))
    }

    /// Its values by name; of those that are open, what they can be in `open`, and of quantiles the bin in `bins`.
    pub fn as_json(&self) -> Map<String, Json> {
        let mut object = Map::new();
        let (mut open, mut bins) = (Map::new(), Map::new());
        for (name, value) in &self.0 {
            object.insert(name.to_string(), value.as_json());
            if let Value::Pooled(number) = value {
                if let Some((low, high)) = number.open {
                    open.insert(name.to_string(), json!({ "low": low, "high": high }));
                }
                if let Some(bin) = number.bin {
                    bins.insert(name.to_string(), json!(bin));
                }
            }
        }
        for (name, more) in [("open", open), ("bins", bins)] {
            if !more.is_empty() {
                object.insert(name.to_owned(), Json::Object(more));
            }
        }
        object
    }
}

/// Rows of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Its name in JSON.
    pub name: &'static str,
    /// What stands above it.
    pub title: Option<String>,
    /// Each with the same names.
    pub rows: Vec<Row>,
    /// Who is shown it.
    pub readers: Readers,
}

/// Who is shown a sheet: a table that people read at a glance is not always the one that a program wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// Everybody.
    #[default]
    All,
    /// People only.
    People,
    /// Programs only.
    Programs,
}

impl Sheet {
    /// Rows for all readers.
    pub fn new(name: &'static str, rows: impl IntoIterator<Item = Row>) -> Self {
        Self {
            name,
            title: None,
            rows: rows.into_iter().collect(),
            readers: Readers::All,
        }
    }

    /// The same for some readers only.
    #[must_use]
    pub fn read_by(self, readers: Readers) -> Self {
        Self { readers, ..self }
    }

    /// Its rows as objects.
    pub fn as_json(&self) -> Json {
        self.rows.iter().map(|row| Json::Object(row.as_json())).collect()
    }
}

/// Estimates, as all models have them.
pub fn terms(title: Option<String>, terms: &[Term]) -> Sheet {
    Sheet {
        title,
        ..Sheet::new("terms", terms.iter().map(term))
    }
}

/// One estimate.
pub(crate) fn term(term: &Term) -> Row {
    Row::default()
        .with("term", term.term.clone())
        .with("estimate", Value::Number(term.estimate))
        .with("std_error", Value::Number(term.std_error))
        .with("statistic", Value::Number(term.statistic))
        .with("p", Value::P(term.p))
        .with("ci_low", Value::Number(term.ci_low))
        .with("ci_high", Value::Number(term.ci_high))
}

/// Why a part of the result is not there, as a note.
fn refused(what: &str, report: &Report) -> String {
    format!("{what}: {report}; {}", report.remedy)
}

/// A number that JSON can hold, whole where it is; what is not finite is nothing.
fn whole(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return json!(number as i64);
    }
    json!(number)
}

/// Six significant digits, as R prints them, and all digits of what is before the point.
pub fn figures(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "–".to_owned()
        } else {
            number.to_string().replace("inf", "∞")
        };
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let before = number.abs().log10().floor() as i32 + 1;
    if !(-4..=15).contains(&before) {
        return format!("{number:.5e}");
    }
    let decimals = usize::try_from(6 - before).unwrap_or(0).min(10);
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
