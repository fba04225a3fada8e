//! What the bytes of an answer or of a refusal may hold: what was released and nothing else.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::Released;
use serde_json::Value;

use super::bench::Outcome;

/// What no answer and no refusal may hold: parts of identifiers, a column without a role, and the notes and the cost of
/// people who refused.
const TEXTS: [&str; 4] = ["PID-", "CANARY", "free text about", "66613"];
const COST: f64 = 66_613.75;

pub(crate) fn without_canaries(outcome: &Outcome) -> Result<(), String> {
    let bytes = match outcome {
        Outcome::Refused(report) => format!("{} {}", report.message, report.remedy).into_bytes(),
        Outcome::Answered(released) => as_stream(released),
    };
    let texts = TEXTS.iter().map(|text| text.as_bytes().to_vec());
    for canary in texts.chain([COST.to_le_bytes().to_vec()]) {
        if bytes.windows(canary.len()).any(|window| window == canary) {
            return Err(format!("LEAKS {}", String::from_utf8_lossy(&canary)));
        }
    }
    Ok(())
}

fn as_stream(released: &Released) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), released.schema()).unwrap();
    released.batches().iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// The names of the columns.
pub(crate) fn columns(released: &Released) -> Vec<String> {
    let fields = released.schema().fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// Rows as JSON; truths, dates and timestamps as text.
pub(crate) fn rows(released: &Released) -> Vec<Vec<Value>> {
    let batches = released.batches().iter();
    let cell = |column: &ArrayRef, row| {
        if column.is_null(row) {
            return Value::Null;
        }
        match column.data_type() {
            DataType::Int64 => column.as_primitive::<arrow::datatypes::Int64Type>().value(row).into(),
            DataType::Float64 => column.as_primitive::<arrow::datatypes::Float64Type>().value(row).into(),
            DataType::Decimal128(_, 0) => {
                let wide = column.as_primitive::<arrow::datatypes::Decimal128Type>().value(row);
                i64::try_from(wide).map_or_else(|_| u64::try_from(wide).unwrap().into(), Value::from)
            }
            _ => ArrayFormatter::try_new(column, &FormatOptions::default())
                .unwrap()
                .value(row)
                .to_string()
                .into(),
        }
    };
    batches
        .flat_map(|batch| (0..batch.num_rows()).map(move |row| batch.columns().iter().map(|c| cell(c, row)).collect()))
        .collect()
}

pub(crate) fn as_json(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(report) => report.to_string(),
        Outcome::Answered(released) => {
            Value::from(rows(released).into_iter().map(Value::from).collect::<Vec<_>>()).to_string()
        }
    }
}

/// Plain types, no metadata, zeros behind nulls, and no bytes that belong to no value.
pub(crate) fn is_clean(released: &Released) -> Result<(), String> {
    for batch in released.batches() {
        let schema = batch.schema();
        if !schema.metadata().is_empty() {
            return Err("the schema has metadata".to_owned());
        }
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if !field.metadata().is_empty() || !is_clean_array(column) {
                return Err(format!("the buffers of {} hold more than its values", field.name()));
            }
        }
    }
    Ok(())
}

fn is_clean_array(array: &ArrayRef) -> bool {
    let data = array.to_data();
    if data.offset() != 0 || !data.child_data().is_empty() {
        return false;
    }
    let nulls = || (0..array.len()).filter(|row| array.is_null(*row));
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            let shown: usize = texts.iter().flatten().map(str::len).sum();
            texts.values().len() == shown && texts.offsets().first() == Some(&0)
        }
        DataType::Boolean => nulls().all(|row| !array.as_boolean().values().value(row)),
        DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) | DataType::Date32 | DataType::Timestamp(..) => {
            let width = array.data_type().primitive_width().unwrap();
            let bytes = data.buffers()[0].as_slice();
            bytes.len() == width * array.len()
                && nulls().all(|row| bytes[row * width..][..width].iter().all(|b| *b == 0))
        }
        _ => false,
    }
}
