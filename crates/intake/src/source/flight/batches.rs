//! Messages of a server as batches.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::{FlightError, Result as FlightResult};
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Streaming;

/// What a server sends of one part.
pub(super) struct Batches(FlightRecordBatchStream);

impl Batches {
    pub(super) fn new(messages: Streaming<FlightData>) -> Self {
        let messages = messages.map(|message| uncompressed(message?));
        Self(FlightRecordBatchStream::new_from_flight_data(messages))
    }

    pub(super) async fn next(&mut self) -> FlightResult<Option<RecordBatch>> {
        self.0.try_next().await
    }

    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }
}

/// A compressed batch says how long it becomes, and is taken at its word by whoever decompresses it.
fn uncompressed(message: FlightData) -> FlightResult<FlightData> {
    let header = arrow::ipc::root_as_message(&message.data_header);
    let header = header.map_err(|_| FlightError::protocol("a message that is none"))?;
    let dictionary = header
        .header_as_dictionary_batch()
        .and_then(|dictionary| dictionary.data());
    match header.header_as_record_batch().or(dictionary) {
        Some(batch) if batch.compression().is_some() => {
            Err(FlightError::NotYetImplemented("compressed batches".to_owned()))
        }
        _ => Ok(message),
    }
}
