//! An answer by columns, each as texts and as numbers.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, ArrayRef, AsArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use federation::{Answer, Expected, Interval};
use terms::{Problem, Report};

use super::super::figure::{Mark, Open};
use super::label;
use crate::render;

/// What a column can be in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Word,
    Moment,
    Whole,
    Measure,
    Other,
}

impl Nature {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Nature::Whole | Nature::Measure)
    }

    /// Whether its values lie on a scale.
    pub(super) fn is_scale(self) -> bool {
        self.is_number() || self == Nature::Moment
    }
}

pub(super) fn nature(data_type: &DataType) -> Nature {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => Nature::Word,
        DataType::Dictionary(_, values) => nature(values),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Nature::Moment,
        // Sums of integers are decimals where 64 bits could be too few.
        DataType::Decimal128(_, 0) | DataType::Decimal256(_, 0) => Nature::Whole,
        whole if whole.is_integer() => Nature::Whole,
        number if number.is_numeric() => Nature::Measure,
        _ => Nature::Other,
    }
}

/// One column.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    /// Its name and unit.
    pub(super) title: String,
    pub(super) unit: Option<String>,
    pub(super) nature: Nature,
    pub(super) is_group: bool,
    /// Whether some value of it is open.
    pub(super) is_open: bool,
    /// Its values as texts; NULL is none.
    pub(super) texts: Vec<Option<String>>,
    /// Its values as numbers; of dates, days since 1970; not a number where there is none.
    pub(super) numbers: Vec<f64>,
}

impl Column<'_> {
    pub(super) fn has_no_null(&self) -> bool {
        self.texts.iter().all(Option::is_some)
    }

    /// Its different values, in the order in which they come.
    pub(super) fn distinct(&self) -> Vec<Option<String>> {
        let mut seen = BTreeSet::new();
        self.texts.iter().filter(|text| seen.insert(*text)).cloned().collect()
    }
}

/// The values of a key as series: in their own order, NULL last, and numbers with what they are of.
pub(super) fn series_of(by: &Column<'_>) -> Vec<(Option<String>, String)> {
    let number = |key: &Option<String>| key.as_ref().and_then(|text| text.parse::<f64>().ok());
    let mut keys = by.distinct();
    keys.sort_by(|a, b| {
        let by_number = number(a)
            .zip(number(b))
            .map_or(Ordering::Equal, |(a, b)| a.total_cmp(&b));
        a.is_none().cmp(&b.is_none()).then(by_number).then_with(|| a.cmp(b))
    });
    let says_nothing = |key: &Option<String>| number(key).is_some() || matches!(key.as_deref(), Some("true" | "false"));
    let named = keys.into_iter().map(|key| {
        let name = match says_nothing(&key) {
            true => format!("{} {}", by.name, label(&key)),
            false => label(&key),
        };
        (key, name)
    });
    named.collect()
}

/// The answer.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) columns: Vec<Column<'a>>,
    pub(super) rows: usize,
    open: BTreeMap<(&'a str, usize), &'a Interval>,
}

impl<'a> Table<'a> {
    pub(super) fn of(answer: &'a Answer, expected: &'a [Expected]) -> Result<Self, Report> {
        let whole = concat_batches(&answer.schema, &answer.batches).map_err(|error| unread(&error))?;
        let open: BTreeMap<_, _> = answer
            .intervals
            .iter()
            .map(|open| ((open.column.as_str(), open.row), open))
            .collect();
        let fields = answer.schema.fields().iter().zip(whole.columns()).enumerate();
        let columns = fields.map(|(at, (field, values))| {
            let known = expected.get(at).filter(|known| known.name == *field.name());
            let unit = known.and_then(|known| known.unit.clone());
            let says_it =
                |words: &String| [words.as_str(), words.trim_end_matches('s')].contains(&field.name().as_str());
            let title = match unit.as_deref().map(unit_words).filter(|words| !says_it(words)) {
                Some(words) => format!("{} ({words})", field.name()),
                None => field.name().clone(),
            };
            let nature = nature(field.data_type());
            Ok(Column {
                name: field.name(),
                title,
                unit,
                nature,
                is_group: known.is_some_and(|known| known.is_group),
                is_open: open.keys().any(|(column, _)| column == field.name()),
                texts: texts(values, nature)?,
                numbers: numbers(values, nature)?,
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_, Report>>()?,
            rows: whole.num_rows(),
            open,
        })
    }

    /// Whether no two rows have the same in all `keys`.
    pub(super) fn tells_apart(&self, keys: &[&Column<'_>]) -> bool {
        let mut seen = BTreeSet::new();
        (0..self.rows).all(|row| {
            let key: Vec<&Option<String>> = keys.iter().map(|key| &key.texts[row]).collect();
            seen.insert(key)
        })
    }

    /// What is known of a value. What is not finite was computed here from what was released, and has no place on a scale.
    pub(super) fn mark(&self, column: &Column<'_>, row: usize) -> Mark {
        let finite = |bound: f64| Some(bound).filter(|bound| bound.is_finite());
        let open = self.open.get(&(column.name, row)).map(|open| Open {
            low: open.low.and_then(finite),
            high: open.high.and_then(finite),
        });
        Mark {
            value: finite(column.numbers[row]),
            open,
        }
    }
}

/// A unit in words, where it is one of those that data about people often have; otherwise as UCUM writes it.
pub(crate) fn unit_words(unit: &str) -> String {
    let words = match unit {
        "a" => "years",
        "mo" => "months",
        "wk" => "weeks",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "[lb_av]" => "pounds",
        "1" => "ratio",
        // What is in braces is said for people.
        other => other
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(other),
    };
    words.to_owned()
}

fn texts(values: &ArrayRef, nature: Nature) -> Result<Vec<Option<String>>, Report> {
    let text = |row: usize| {
        if values.is_null(row) {
            return Ok(None);
        }
        let text = render::cell_text(values, row)?;
        Ok(Some(text))
    };
    let mut texts: Vec<Option<String>> = (0..values.len()).map(text).collect::<Result<_, Report>>()?;
    // Days, where every moment is the beginning of one.
    let day = |text: &str| {
        text.split_once("T00:00:00")
            .filter(|(_, rest)| ["", "Z"].contains(rest))
            .map(|(day, _)| day.to_owned())
    };
    if nature == Nature::Moment && texts.iter().flatten().all(|text| day(text).is_some()) {
        texts = texts.into_iter().map(|text| text.and_then(|text| day(&text))).collect();
    }
    Ok(texts)
}

fn numbers(values: &ArrayRef, nature: Nature) -> Result<Vec<f64>, Report> {
    let per_day = match values.data_type() {
        DataType::Timestamp(unit, _) => {
            use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
            86_400.0
                * match unit {
                    Second => 1.0,
                    Millisecond => 1e3,
                    Microsecond => 1e6,
                    Nanosecond => 1e9,
                }
        }
        DataType::Date64 => 86_400.0 * 1e3,
        _ => 1.0,
    };
    let values = match (nature, values.data_type()) {
        (Nature::Word | Nature::Other, _) => return Ok(vec![f64::NAN; values.len()]),
        (Nature::Moment, DataType::Date32) => cast(values, &DataType::Int32),
        (Nature::Moment, _) => cast(values, &DataType::Int64),
        (Nature::Whole | Nature::Measure, _) => Ok(values.clone()),
    };
    let values = values
        .and_then(|values| cast(&values, &DataType::Float64))
        .map_err(|error| unread(&error))?;
    let values = values.as_primitive::<Float64Type>().iter();
    Ok(values
        .map(|value| value.map_or(f64::NAN, |value| value / per_day))
        .collect())
}

fn unread(error: &dyn std::fmt::Display) -> Report {
    Problem::Internal.report(format!("the answer cannot be drawn: {error}"))
}
