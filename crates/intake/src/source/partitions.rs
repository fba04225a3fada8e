//! Values that stand in the names of folders and in no file, as many programs write them: `year=2024/region=north/part-0.parquet`.
//!
//! They are columns of text beside those of the file, written as programs write. What has the same column in both is refused: nobody says
//! which is right.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use percent_encoding::percent_decode_str;
use terms::{Problem, Report};

use super::{PLAIN, malformed};

/// What is written in place of a value that is missing.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// What the folders of one file say.
#[derive(Clone, Debug, Default)]
pub(super) struct Partitions(Arc<[(String, Option<String>)]>);

impl Partitions {
    /// By where a file lies below what was named. A folder whose name is no `column=value` says nothing.
    pub(super) fn of(name: &str) -> Result<Self, Report> {
        let (folders, _) = name.rsplit_once('/').unwrap_or_default();
        let mut said: Vec<(String, Option<String>)> = Vec::new();
        for (column, value) in folders.split('/').filter_map(|folder| folder.split_once('=')) {
            let column = decoded(column)?;
            if column.is_empty() || said.iter().any(|(other, _)| other.eq_ignore_ascii_case(&column)) {
                let message = format!("folders name the column {column:?} twice, or none");
                return Err(Problem::DataSchema
                    .report(message)
                    .remedy("name folders as in year=2024/region=north"));
            }
            let value = Some(decoded(value)?).filter(|value| !value.is_empty() && value != MISSING);
            said.push((column, value));
        }
        Ok(Self(said.into()))
    }

    /// The columns of a file with those of its folders after them.
    pub(super) fn beside(&self, file: &SchemaRef) -> Result<SchemaRef, Report> {
        if self.0.is_empty() {
            return Ok(Arc::clone(file));
        }
        let is_in_file = |(column, _): &&(String, Option<String>)| {
            file.fields()
                .iter()
                .any(|field| field.name().eq_ignore_ascii_case(column))
        };
        if let Some((column, _)) = self.0.iter().find(is_in_file) {
            let message = format!("{column} is named by a folder, and is a column of the files in it, too");
            return Err(Problem::DataSchema
                .report(message)
                .remedy("rename the folders, so that only the files say it"));
        }
        let field = |(column, _): &(String, Option<String>)| {
            let plain = [(PLAIN.to_owned(), "text".to_owned())].into();
            Arc::new(Field::new(column, DataType::Utf8, true).with_metadata(plain))
        };
        let fields = file.fields().iter().cloned().chain(self.0.iter().map(field));
        Ok(Arc::new(Schema::new_with_metadata(
            fields.collect::<Vec<_>>(),
            file.metadata().clone(),
        )))
    }

    /// Which of the wanted columns are to be read of the file, of which `all` are those of [`Partitions::beside`]. One at least: it says how many
    /// rows there are.
    pub(super) fn of_file(&self, wanted: &[usize], all: usize) -> Vec<usize> {
        let own = all - self.0.len();
        let mut of_file: Vec<usize> = wanted.iter().copied().filter(|column| *column < own).collect();
        if of_file.is_empty() && !self.0.is_empty() && own > 0 {
            of_file.push(0);
        }
        of_file
    }

    /// The wanted columns, of a batch of [`Partitions::of_file`].
    pub(super) fn insert(&self, batch: RecordBatch, wanted: &[usize], all: usize) -> Result<RecordBatch, Report> {
        if self.0.is_empty() {
            return Ok(batch);
        }
        let (own, rows) = (all - self.0.len(), batch.num_rows());
        let schema = batch.schema();
        let mut read = schema.fields().iter().zip(batch.columns());
        let mut columns: Vec<(Arc<Field>, ArrayRef)> = Vec::new();
        for column in wanted {
            let said = column.checked_sub(own).and_then(|at| self.0.get(at));
            columns.push(match said {
                Some((name, value)) => (
                    Arc::new(Field::new(name, DataType::Utf8, true)),
                    repeated(value.as_deref(), rows),
                ),
                None => {
                    let (field, column) = read
                        .next()
                        .ok_or_else(|| Problem::Internal.report("a column was not read"))?;
                    (Arc::clone(field), Arc::clone(column))
                }
            });
        }
        let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(|error| malformed(&error))
    }
}

fn repeated(value: Option<&str>, rows: usize) -> ArrayRef {
    match value {
        Some(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))),
        None => new_null_array(&DataType::Utf8, rows),
    }
}

/// Characters that a path cannot hold are written as `%3A`.
fn decoded(text: &str) -> Result<String, Report> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Problem::DataSchema.report("the name of a folder is not UTF-8 text"))
}

#[cfg(test)]
mod tests;
