//! A table of results, once: as text it is what R and statsmodels print, as JSON an array of objects with full precision.

use std::borrow::Cow;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use federation::analyses::Number;
use models::Term;
use serde_json::{Value as Json, json};

use super::Object;

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
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
    fn as_text(&self) -> String {
        match self {
            // A terminal must not obey what is written in a value.
            Value::Text(text) => text.replace(char::is_control, " "),
            Value::Pooled(number) => pooled(*number),
            Value::Number(number) => figures(*number),
            Value::P(p) => p_value(*p),
            Value::Nothing => "–".to_owned(),
        }
    }

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
pub(crate) struct Row(pub(crate) Vec<(Cow<'static, str>, Value)>);

impl Row {
    /// The same with one more value.
    pub(crate) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The names that the row has, as `n = 3, dropped = 0`.
    pub(super) fn as_line(&self) -> Option<String> {
        let facts = self
            .0
            .iter()
            .map(|(name, value)| format!("{name} = {}", value.as_text()));
        let facts: Vec<String> = facts.collect();
        (!facts.is_empty()).then(|| facts.join(", "))
    }

    pub(super) fn has_open(&self) -> bool {
        self.0
            .iter()
            .any(|(_, value)| matches!(value, Value::Pooled(Number { open: Some(_), .. })))
    }

    /// Its values by name; of those that are open, what they can be in `open`, and of quantiles the bin in `bins`.
    pub(super) fn as_json(&self) -> Object {
        let mut object = Object::new();
        let (mut open, mut bins) = (Object::new(), Object::new());
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
pub(crate) struct Sheet {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// What stands above it.
    pub(crate) title: Option<String>,
    /// Each with the same names.
    pub(crate) rows: Vec<Row>,
    /// Who is shown it.
    pub(crate) readers: Readers,
}

/// Who is shown a sheet: a table that people read at a glance is not always the one that a program wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Readers {
    #[default]
    All,
    People,
    Programs,
}

impl Sheet {
    /// Rows for all readers.
    pub(crate) fn new(name: &'static str, rows: impl IntoIterator<Item = Row>) -> Self {
        Self {
            name,
            title: None,
            rows: rows.into_iter().collect(),
            readers: Readers::All,
        }
    }

    /// The same for some readers only.
    pub(crate) fn read_by(self, readers: Readers) -> Self {
        Self { readers, ..self }
    }

    pub(super) fn as_text(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled);
        let names = self.rows.first().map_or(&[][..], |row| &row.0);
        table.set_header(names.iter().map(|(name, _)| name.replace(char::is_control, " ")));
        for Row(values) in &self.rows {
            table.add_row(values.iter().map(|(_, value)| {
                let side = match value {
                    Value::Text(_) => CellAlignment::Left,
                    _ => CellAlignment::Right,
                };
                Cell::new(value.as_text()).set_alignment(side)
            }));
        }
        match &self.title {
            Some(title) => format!("{title}\n{table}"),
            None => table.to_string(),
        }
    }
}

/// Estimates, as all models have them.
pub(crate) fn terms(title: Option<String>, terms: &[Term]) -> Sheet {
    let row = |term: &Term| {
        Row::default()
            .with("term", term.term.clone())
            .with("estimate", Value::Number(term.estimate))
            .with("std_error", Value::Number(term.std_error))
            .with("statistic", Value::Number(term.statistic))
            .with("p", Value::P(term.p))
            .with("ci_low", Value::Number(term.ci_low))
            .with("ci_high", Value::Number(term.ci_high))
    };
    Sheet {
        title,
        ..Sheet::new("terms", terms.iter().map(row))
    }
}

/// A number that JSON can hold, whole where it is; what is not finite is nothing.
fn whole(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return json!(number as i64);
    }
    json!(number)
}

fn pooled(number: Number) -> String {
    let value = number.value.map_or_else(|| "–".to_owned(), figures);
    let side = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), figures);
    match (number.open, number.bin) {
        (Some((low, high)), _) => format!("{value} [{} … {}]", side(low), side(high)),
        (None, Some([low, high])) => format!("{value} in [{}, {})", figures(low), figures(high)),
        (None, None) => value,
    }
}

/// Six significant digits, as R prints them, and all digits of what is before the point.
pub(crate) fn figures(number: f64) -> String {
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

/// A p-value as R prints it: three digits, and nothing below what doubles tell from 0.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p.is_nan() => "–".to_owned(),
        p if p < 2.2e-16 => "<2e-16".to_owned(),
        p if p < 1e-4 => format!("{p:.2e}"),
        p => format!("{p:.4}"),
    }
}
