//! Columns that are worked out from others of the source, row by row, in a small closed part of SQL.
//!
//! What is not listed in `derived/parse.rs` is refused when the mapping is read, and what has the wrong type before the first row
//! (`derived/kinds.rs`). A row that cannot be worked out (`derived/evaluate.rs`) does not fit, as a value that cannot be read does not, and
//! no value is repeated.

mod evaluate;
mod kinds;
mod parse;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use policy::ColumnKind;
use terms::{Problem, Report};

use self::evaluate::{Cells, Row, Value};
use self::parse::Parsed;
use crate::cell::Written;
use crate::conform::{arrow_type, cast};
use crate::source::PLAIN;

/// What an expression may use, for whoever wrote another.
const ALLOWED: &str = "a derived column can use columns, numbers, 'texts', true, false, null and DATE '2024-12-31'; + - * /; = <> < <= > >=; AND, OR, NOT, \
                       BETWEEN, IN (list), IS NULL; CASE, IF, COALESCE; CAST(x AS integer, number, date, timestamp, boolean or text); YEAR, \
                       YEARS_BETWEEN(earlier, later), ROUND, FLOOR, CONCAT, LOWER, UPPER, TRIM";

/// An expression, with its columns by their place among those that it names.
#[derive(Debug)]
enum Expression {
    Column(usize),
    Constant(Value<'static>),
    Call(Operation, Vec<Expression>),
    /// Conditions with their results, and what is taken if none holds.
    Case(Vec<(Expression, Expression)>, Box<Expression>),
}

/// What is made of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
    Compare(Comparison),
    And,
    Or,
    Not,
    IsMissing,
    /// Whether the first is one of the others.
    IsOneOf,
    Coalesce,
    Year,
    YearsBetween,
    Round,
    Floor,
    Concat,
    Lower,
    Upper,
    Trim,
    To(ColumnKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expression {
    /// Whether a column is in it.
    fn names_a_column(&self) -> bool {
        match self {
            Self::Column(_) | Self::Case(..) => true,
            Self::Constant(_) => false,
            Self::Call(_, of) => of.iter().any(Self::names_a_column),
        }
    }

    /// The columns that are read as days, or those that are read otherwise. Whether one is missing says nothing of its day.
    fn columns(&self, as_days: bool, found: &mut BTreeSet<usize>) {
        match self {
            Self::Column(at) if !as_days => drop(found.insert(*at)),
            Self::Column(_) | Self::Constant(_) | Self::Call(Operation::IsMissing, _) => {}
            Self::Call(Operation::To(ColumnKind::Date | ColumnKind::Timestamp), _) if !as_days => {}
            Self::Call(Operation::To(ColumnKind::Date | ColumnKind::Timestamp), of) => {
                of.iter().for_each(|part| part.columns(false, found));
            }
            Self::Call(_, of) => of.iter().for_each(|part| part.columns(as_days, found)),
            Self::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    condition.columns(as_days, found);
                    result.columns(as_days, found);
                }
                otherwise.columns(as_days, found);
            }
        }
    }

    /// Whether its value is made of a column's in every row: none of its parts can be taken in place of another.
    fn is_of_a_row(&self) -> bool {
        match self {
            Self::Column(_) => true,
            Self::Constant(_) | Self::Case(..) | Self::Call(Operation::Coalesce, _) => false,
            Self::Call(_, of) => of.iter().any(Self::is_of_a_row),
        }
    }
}

/// Checks an expression as far as that can be done without a source.
pub(crate) fn require_valid(text: &str) -> Result<(), String> {
    parse::parse(text).map(drop)
}

/// The columns that an expression names, in the order in which [`Derived::bind`] expects them.
pub(crate) fn columns(text: &str) -> Result<Vec<String>, String> {
    Ok(parse::parse(text)?.columns)
}

/// The columns that are read as days, wherever else they stand.
pub(crate) fn columns_of_days(text: &str) -> Result<Vec<String>, String> {
    let Parsed { expression, columns } = parse::parse(text)?;
    let mut days = BTreeSet::new();
    expression.columns(true, &mut days);
    Ok(days.into_iter().map(|at| columns[at].clone()).collect())
}

/// An expression over the columns of one source, which makes values of one type.
#[derive(Debug)]
pub(crate) struct Derived {
    expression: Expression,
    columns: Vec<Source>,
    kind: ColumnKind,
    written: Written,
    missing: BTreeSet<String>,
}

/// A column that is read.
#[derive(Debug)]
struct Source {
    /// Among the wanted columns.
    at: usize,
    kind: ColumnKind,
    /// Its type in the batch is a text, written as programs write numbers.
    is_written_number: bool,
    name: String,
}

impl Derived {
    /// `found` are the fields of [`columns`], each with its place among those that are read.
    pub(crate) fn bind(
        text: &str,
        found: &[(usize, &Field)],
        kind: ColumnKind,
        written: &Written,
        missing: &BTreeSet<String>,
    ) -> Result<Self, String> {
        let Parsed { expression, .. } = parse::parse(text)?;
        let columns = found.iter().map(|(at, field)| Source::of(*at, field));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let kinds: Vec<ColumnKind> = columns.iter().map(|column| column.kind).collect();
        let made = kinds::kind(&expression, &kinds)?;
        if !kinds::becomes(made, kind) {
            let made = made.map_or_else(|| "nothing".to_owned(), |made| made.to_string());
            return Err(format!("derived makes {made}, and the collection expects {kind}"));
        }
        Ok(Self {
            expression,
            columns,
            kind,
            written: written.clone(),
            missing: missing.clone(),
        })
    }

    /// Whether days are among what it is made of.
    pub(crate) fn reads_days(&self) -> bool {
        let is_day = |column: &Source| matches!(column.kind, ColumnKind::Date | ColumnKind::Timestamp);
        let mut read = BTreeSet::new();
        self.expression.columns(true, &mut read);
        !read.is_empty() || self.columns.iter().any(is_day)
    }

    /// The source's columns of texts that are not read as days.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let mut found = BTreeSet::new();
        self.expression.columns(false, &mut found);
        let columns = found.into_iter().map(|at| &self.columns[at]);
        let texts = columns.filter(|column| column.kind == ColumnKind::Text);
        texts.map(|column| column.name.as_str())
    }

    /// The column of a batch. `shifts` are by how many days what is known of a person's days is shown later; `misfit` is told each row that cannot
    /// be worked out, and why.
    pub(crate) fn column(
        &self,
        batch: &RecordBatch,
        shifts: Option<&[Option<i32>]>,
        mut misfit: impl FnMut(usize, &'static str),
    ) -> Result<ArrayRef, Report> {
        let columns = self.columns.iter().map(|column| column.cells(batch));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let rows = (0..batch.num_rows()).map(|index| {
            let shift = match shifts {
                None => Some(0),
                Some(shifts) => shifts[index],
            };
            let row = Row {
                derived: self,
                columns: &columns,
                index,
                // Whose days they are is not known: such a row is refused.
                shift: shift.unwrap_or_default(),
            };
            let value = self.expression.value(&row);
            let value = value.unwrap_or_else(|why| {
                misfit(index, why);
                Value::Missing
            });
            value.shown(row.shift).unwrap_or_else(|why| {
                misfit(index, why);
                Value::Missing
            })
        });
        Ok(collected(self.kind, rows))
    }
}

/// Of what was checked to be of this type.
fn collected<'a>(kind: ColumnKind, rows: impl Iterator<Item = Value<'a>>) -> ArrayRef {
    match kind {
        ColumnKind::Text => Arc::new(rows.map(Value::text).collect::<StringArray>()),
        ColumnKind::Integer => Arc::new(rows.map(|value| value.integer()).collect::<Int64Array>()),
        ColumnKind::Number => Arc::new(rows.map(|value| value.number()).collect::<Float64Array>()),
        ColumnKind::Boolean => Arc::new(rows.map(|value| value.truth()).collect::<BooleanArray>()),
        ColumnKind::Date => Arc::new(rows.map(|value| value.day()).collect::<Date32Array>()),
        ColumnKind::Timestamp => Arc::new(rows.map(|value| value.instant()).collect::<TimestampMicrosecondArray>()),
    }
}

impl Source {
    fn of(at: usize, field: &Field) -> Result<Self, String> {
        let inner = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let is_written_number = inner.is_string() && field.metadata().get(PLAIN).is_some_and(String::is_empty);
        let kind = match inner {
            _ if is_written_number => ColumnKind::Number,
            text if text.is_string() => ColumnKind::Text,
            DataType::Null => ColumnKind::Text,
            integer if integer.is_integer() => ColumnKind::Integer,
            number if number.is_numeric() => ColumnKind::Number,
            DataType::Boolean => ColumnKind::Boolean,
            DataType::Date32 => ColumnKind::Date,
            DataType::Timestamp(..) => ColumnKind::Timestamp,
            other => return Err(format!("its column {} is of the type {other}", field.name())),
        };
        Ok(Self {
            at,
            kind,
            is_written_number,
            name: field.name().clone(),
        })
    }

    fn cells(&self, batch: &RecordBatch) -> Result<Cells, Report> {
        let raw = batch.column(self.at);
        let as_type = |to: &DataType| {
            let misfit =
                || Problem::DataFormat.report(format!("column {} has a value that does not fit {to}", self.name));
            cast(raw, to).map_err(|_| misfit())
        };
        if self.is_written_number {
            return Ok(Cells::Written(as_type(&DataType::Utf8)?.as_string::<i32>().clone()));
        }
        let has_zone = matches!(raw.data_type(), DataType::Timestamp(_, Some(_)));
        let typed = as_type(&arrow_type(self.kind))?;
        Ok(match self.kind {
            ColumnKind::Text => Cells::Text(typed.as_string::<i32>().clone()),
            ColumnKind::Integer => Cells::Integer(typed.as_primitive().clone()),
            ColumnKind::Number => Cells::Number(typed.as_primitive().clone()),
            ColumnKind::Boolean => Cells::Truth(typed.as_boolean().clone()),
            ColumnKind::Date => Cells::Day(typed.as_primitive().clone()),
            ColumnKind::Timestamp => Cells::Instant(typed.as_primitive().clone(), has_zone),
        })
    }
}

#[cfg(test)]
mod tests;
