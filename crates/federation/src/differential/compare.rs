//! What counts as the same answer: integers, texts and times exactly, sums and means to 1e-12 of the value, variances to
//! 1e-10, covariances and correlations to 1e-10 of the product of both deviations.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use terms::Report;

use super::queries::{Question, Sameness};
use crate::finish::Finished;

enum Value {
    Null,
    Exact(String),
    Number(f64),
}

pub(super) fn same(
    question: &Question,
    given: Result<Finished, Report>,
    expected: Result<Vec<RecordBatch>, DataFusionError>,
) -> Result<(), String> {
    let (given, expected) = match (given, expected) {
        (Ok(given), Ok(expected)) => (given, expected),
        (Err(report), Err(error)) if error.to_string().contains("does not fit 64 bits") => {
            let says_so = report.message.contains("does not fit 64 bits");
            return if says_so {
                Ok(())
            } else {
                Err(format!("{report}; expected: {error}"))
            };
        }
        (Err(report), expected) => {
            let expected = expected.map(|rows| show(&rows));
            return Err(format!("refused: {report}; {}; expected {expected:?}", report.remedy));
        }
        (Ok(given), Err(error)) => return Err(format!("answered {}, expected {error}", show(&given.batches))),
    };
    // Of a quantile it is told in which bin it is.
    if given.intervals.iter().any(|open| !open.nodes.is_empty()) || given.rows_open {
        return Err("something is open, and nothing was withheld".to_owned());
    }
    let (mine, theirs) = (rows(&given.batches, question), rows(&expected, question));
    if mine.len() != theirs.len() || !mine.iter().zip(&theirs).all(|(a, b)| same_row(a, b, question)) {
        return Err(format!(
            "expected\n{}\n  got\n{}",
            show(&expected),
            show(&given.batches)
        ));
    }
    Ok(())
}

fn show(batches: &[RecordBatch]) -> String {
    arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string()
}

/// In the order of the answer if the question asks for one, else in the order of what is exact.
fn rows(batches: &[RecordBatch], question: &Question) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().zip(&question.columns);
        let columns: Vec<Vec<Value>> = columns.map(|(column, sameness)| values(column, *sameness)).collect();
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for _ in 0..batch.num_rows() {
            rows.push(
                columns
                    .iter_mut()
                    .map(|column| column.next().unwrap())
                    .collect::<Vec<_>>(),
            );
        }
    }
    if !question.ordered {
        let exact = |row: &Vec<Value>| -> Vec<String> { row.iter().map(Value::in_order).collect() };
        let numbers = |row: &Vec<Value>| -> Vec<f64> { row.iter().map(Value::number).collect() };
        rows.sort_by(|a, b| {
            let among = || numbers(a).partial_cmp(&numbers(b)).unwrap_or(std::cmp::Ordering::Equal);
            exact(a).cmp(&exact(b)).then_with(among)
        });
    }
    rows
}

fn values(column: &arrow::array::ArrayRef, sameness: Sameness) -> Vec<Value> {
    if let Sameness::Exact = sameness {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default()).unwrap();
        let value = |row| match column.is_null(row) {
            true => Value::Null,
            false => Value::Exact(formatter.value(row).to_string()),
        };
        return (0..column.len()).map(value).collect();
    }
    let numbers = cast(column, &DataType::Float64).unwrap();
    let numbers = numbers.as_primitive::<Float64Type>().iter();
    numbers
        .map(|number| number.map_or(Value::Null, Value::Number))
        .collect()
}

impl Value {
    fn in_order(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Exact(text) => format!("is {text}"),
            Value::Number(_) => "number".to_owned(),
        }
    }

    fn number(&self) -> f64 {
        match self {
            Value::Number(number) => *number,
            Value::Null | Value::Exact(_) => 0.0,
        }
    }
}

fn same_row(a: &[Value], b: &[Value], question: &Question) -> bool {
    let mut columns = a.iter().zip(b).zip(&question.columns);
    a.len() == b.len() && columns.all(|((a, b), sameness)| same_value(a, b, *sameness))
}

fn same_value(a: &Value, b: &Value, sameness: Sameness) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Exact(a), Value::Exact(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => {
            let largest = a.abs().max(b.abs());
            let most = match sameness {
                Sameness::Exact => 0.0,
                Sameness::Mean => 1e-12 * largest,
                Sameness::Spread => 1e-10 * largest,
                Sameness::Pair(size) => 1e-10 * largest.max(size),
            };
            a == b || (a - b).abs() <= most
        }
        _ => false,
    }
}
