//! The digest that a receipt names: over columns, their types and every value, so that whoever holds an answer can compute
//! it again, however it was cut into batches.
//!
//! SHA-256 over the number of rows (64 bits), and for each column over its name, a zero byte, its type, a zero byte and three
//! digests: of the numbers of the rows in which it has no value, from 0 (64 bits each); of its values; and of the lengths of its
//! texts (32 bits each; nothing for other types). Values follow each other as numbers of their width, booleans as a byte, texts
//! as UTF-8; where there is no value, a zero, or nothing of a text. All numbers are little-endian. So whole buffers are hashed,
//! and nothing has to be kept of rows that have gone.

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    ToByteSlice,
};
use datafusion::arrow::record_batch::RecordBatch;
use trust::{Digest, Hasher};

/// Which description of the digest this is. What was kept under another is not told again.
pub const FORM: u32 = 2;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "buffers are hashed as they lie in memory"
);

/// The digest of an answer in the making.
#[derive(Clone, Debug)]
pub(crate) struct ResultDigest {
    columns: Vec<Column>,
    rows: u64,
}

#[derive(Clone, Debug, Default)]
struct Column {
    heading: Vec<u8>,
    missing: Hasher,
    values: Hasher,
    lengths: Hasher,
}

/// The digest of batches that arrived.
pub fn digest_of(schema: &Schema, batches: &[RecordBatch]) -> Digest {
    let mut digest = ResultDigest::new(schema);
    batches.iter().for_each(|batch| digest.add(batch));
    digest.finish()
}

impl ResultDigest {
    /// Of no rows.
    pub(crate) fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| Column {
            heading: format!("{}\0{}\0", field.name(), field.data_type()).into_bytes(),
            ..Column::default()
        });
        Self {
            columns: columns.collect(),
            rows: 0,
        }
    }

    /// Adds the next rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.add(array, self.rows);
        }
        self.rows += batch.num_rows() as u64;
    }

    /// The digest of all rows that were added.
    pub(crate) fn finish(self) -> Digest {
        let mut all = Digest::hasher();
        all.update(&self.rows.to_le_bytes());
        for column in self.columns {
            all.update(&column.heading);
            for part in [column.missing, column.values, column.lengths] {
                all.update(part.finish().bytes());
            }
        }
        all.finish()
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef, first_row: u64) {
        if let Some(nulls) = array.nulls() {
            self.add_missing(nulls, first_row);
        }
        match array.data_type() {
            DataType::Utf8 => self.add_texts(array),
            DataType::Boolean => {
                let truths = array.as_boolean().iter().map(|truth| u8::from(truth == Some(true)));
                self.values.update(&truths.collect::<Vec<u8>>());
            }
            DataType::Int64 => self.add_numbers::<Int64Type>(array),
            DataType::Float64 => self.add_numbers::<Float64Type>(array),
            DataType::Decimal128(_, 0) => self.add_numbers::<Decimal128Type>(array),
            DataType::Date32 => self.add_numbers::<Date32Type>(array),
            DataType::Timestamp(TimeUnit::Microsecond, None) => self.add_numbers::<TimestampMicrosecondType>(array),
            // A node releases no other type; what arrives with one does not match any receipt.
            other => self.values.update(other.to_string().as_bytes()),
        }
    }

    fn add_missing(&mut self, nulls: &NullBuffer, first_row: u64) {
        let rows = (first_row..).zip(nulls.iter()).filter(|(_, is_there)| !is_there);
        let rows: Vec<u64> = rows.map(|(row, _)| row).collect();
        self.missing.update(rows.to_byte_slice());
    }

    fn add_numbers<T: ArrowPrimitiveType>(&mut self, array: &ArrayRef) {
        let array = array.as_primitive::<T>();
        if array.null_count() == 0 {
            return self.values.update(array.values().to_byte_slice());
        }
        // What lies behind a null is no part of an answer.
        let values: Vec<T::Native> = array.iter().map(Option::unwrap_or_default).collect();
        self.values.update(values.to_byte_slice());
    }

    fn add_texts(&mut self, array: &ArrayRef) {
        let texts = array.as_string::<i32>();
        let offsets = texts.offsets();
        if texts.null_count() == 0 {
            let lengths: Vec<i32> = offsets.windows(2).map(|ends| ends[1] - ends[0]).collect();
            self.lengths.update(lengths.to_byte_slice());
            let (first, last) = (offsets[0] as usize, offsets[texts.len()] as usize);
            return self.values.update(&texts.value_data()[first..last]);
        }
        let mut lengths: Vec<u32> = Vec::with_capacity(texts.len());
        for text in texts {
            let text = text.unwrap_or_default();
            // Offsets have 32 bits.
            lengths.push(text.len() as u32);
            self.values.update(text.as_bytes());
        }
        self.lengths.update(lengths.to_byte_slice());
    }
}

#[cfg(test)]
mod tests;
