//! What needs more than one module: the test files of the specification, and real resources.

mod conformance;
mod kds;

use std::io::Write as _;
use std::path::PathBuf;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use serde_json::{Value, json};

use crate::{Counts, Skipped, View};

/// A folder of `../shared/data`, or of what `DATENRAUM_SHARED_DATA` names, which are not part of the project. Without it a test says so.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("DATENRAUM_SHARED_DATA").map(PathBuf::from);
    let data = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let folder = data.join(folder);
    if folder.exists() {
        return Some(folder);
    }
    let skipped = format!("\nSKIPPED: {} is not there (DATENRAUM_SHARED_DATA)\n", folder.display());
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    None
}

/// What a view makes of a file: rows as JSON, counts, and what was left out.
pub(crate) fn read(view: &View, file: &[u8]) -> (Vec<Value>, Counts, Vec<Skipped>) {
    let mut skipped = Vec::new();
    let mut batches = view.read(file, |one| skipped.push(one.clone()));
    let rows = batches.by_ref().flat_map(|batch| rows_of(&batch.unwrap())).collect();
    let counts = batches.counts();
    (rows, counts, skipped)
}

fn rows_of(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let row = |at: usize| {
        let cells = schema.fields().iter().zip(batch.columns());
        Value::Object(
            cells
                .map(|(field, column)| (field.name().clone(), cell(column, at)))
                .collect(),
        )
    };
    (0..batch.num_rows()).map(row).collect()
}

fn cell(column: &ArrayRef, at: usize) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    let any = column.as_any();
    match column.data_type() {
        DataType::Utf8 => json!(any.downcast_ref::<StringArray>().unwrap().value(at)),
        DataType::Boolean => json!(any.downcast_ref::<BooleanArray>().unwrap().value(at)),
        DataType::Int64 => json!(any.downcast_ref::<Int64Array>().unwrap().value(at)),
        DataType::Float64 => json!(any.downcast_ref::<Float64Array>().unwrap().value(at)),
        DataType::Date32 => json!(
            any.downcast_ref::<Date32Array>()
                .unwrap()
                .value_as_date(at)
                .unwrap()
                .to_string()
        ),
        DataType::Timestamp(..) => {
            let microseconds = any.downcast_ref::<TimestampMicrosecondArray>().unwrap().value(at);
            json!(jiff::Timestamp::from_microsecond(microseconds).unwrap().to_string())
        }
        DataType::List(_) => {
            let values = column.as_list::<i32>().value(at);
            (0..values.len()).map(|at| cell(&values, at)).collect()
        }
        other => panic!("{other}"),
    }
}
