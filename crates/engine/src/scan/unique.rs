//! The second look at a key that others refer to. When a dataset is added each key is there once, and a query believes that of what it
//! reads only if it is so: with two rows of a key one row of a person would count twice.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_err};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

/// What a set holds for each key beside its bytes: pointer, length and room to grow.
const ENTRY_BYTES: usize = 64;

/// The same rows, or an error as soon as a key comes again, or is not there.
pub(super) fn guarded(
    rows: SendableRecordBatchStream,
    key: usize,
    context: &TaskContext,
) -> Result<SendableRecordBatchStream> {
    let schema = rows.schema();
    let mut seen = Seen {
        converter: RowConverter::new(vec![SortField::new(schema.field(key).data_type().clone())])?,
        keys: HashSet::new(),
        memory: MemoryConsumer::new("keys").register(context.memory_pool()),
    };
    let guarded = rows.map(move |batch: Result<RecordBatch>| {
        let batch = batch?;
        seen.add(batch.column(key))?;
        Ok(batch)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), guarded)))
}

struct Seen {
    converter: RowConverter,
    keys: HashSet<Box<[u8]>>,
    memory: MemoryReservation,
}

impl Seen {
    fn add(&mut self, keys: &ArrayRef) -> Result<()> {
        if keys.null_count() > 0 {
            return exec_err!("a row without a key");
        }
        let rows = self.converter.convert_columns(std::slice::from_ref(keys))?;
        for row in &rows {
            let key: Box<[u8]> = row.as_ref().into();
            self.memory.try_grow(key.len() + ENTRY_BYTES)?;
            if !self.keys.insert(key) {
                return exec_err!("a key is there twice");
            }
        }
        Ok(())
    }
}
