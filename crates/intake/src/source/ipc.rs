//! Arrow IPC files. What a file says of itself (where its batches are, how many rows they have, how long their compressed buffers become) is
//! held to what the file is before anything is made of it: readers take it at its word, and take the memory.

use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, CompressionType, MessageHeader, root_as_footer, root_as_message};
use terms::{Problem, Report};

use super::reading::Reading;
use super::{ROWS_FREE, broken, malformed};

/// What the compressed buffers of one batch may become together, in bytes: a batch is in memory as a whole.
const BATCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The end of a file: the length of its footer, and a mark.
const TRAILER_BYTES: usize = 10;

/// The batches of a file, one after the other.
pub(super) struct Records {
    file: Reading,
    length: u64,
    schema: SchemaRef,
    decoder: FileDecoder,
    blocks: std::vec::IntoIter<Block>,
}

impl Records {
    /// Reads what the file says of itself, and its dictionaries.
    pub(super) fn open(mut file: Reading, wanted: Option<Vec<usize>>) -> Result<Self, Report> {
        let (footer, length) = footer(&mut file).map_err(|_| no_ipc())?;
        let footer = root_as_footer(&footer).map_err(|_| no_ipc())?;
        let schema = footer.schema().filter(|schema| schema.fields().is_some());
        let schema = schema.filter(|schema| schema.endianness().equals_to_target_endianness());
        let schema = Arc::new(arrow::ipc::convert::fb_to_schema(schema.ok_or_else(no_ipc)?));
        let mut decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        if let Some(wanted) = wanted {
            decoder = decoder.with_projection(wanted);
        }
        let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
        let mut records = Self {
            file,
            length,
            schema,
            decoder,
            blocks: blocks.into_iter(),
        };
        for block in footer.dictionaries().iter().flatten() {
            let message = records.message(block)?;
            let read = records.decoder.read_dictionary(block, &message);
            read.map_err(|error| malformed(&error))?;
        }
        Ok(records)
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// A message with its body, both as they say they are.
    fn message(&mut self, block: &Block) -> Result<Buffer, Report> {
        let number = |number: i64| u64::try_from(number).map_err(|_| broken_batch());
        let (start, body) = (number(block.offset())?, number(block.bodyLength())?);
        let metadata = number(block.metaDataLength().into())?;
        let end = start.checked_add(metadata).and_then(|end| end.checked_add(body));
        let fits = end.is_some_and(|end| end <= self.length) && metadata >= 8;
        let length = usize::try_from(metadata + body).ok().filter(|_| fits);
        let mut bytes = MutableBuffer::from_len_zeroed(length.ok_or_else(broken_batch)?);
        let read = self.file.seek(SeekFrom::Start(start));
        let read = read.and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|_| broken("ends in the middle of a batch"))?;
        let (metadata, body) = bytes.split_at(metadata.try_into().map_err(|_| broken_batch())?);
        require_bounded(metadata, body)?;
        Ok(bytes.into())
    }

    fn batch(&mut self, block: Block) -> Result<Option<RecordBatch>, Report> {
        let message = self.message(&block)?;
        let batch = self.decoder.read_record_batch(&block, &message);
        batch.map_err(|error| malformed(&error))
    }
}

impl Iterator for Records {
    type Item = Result<RecordBatch, Report>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let block = self.blocks.next()?;
            if let Some(batch) = self.batch(block).transpose() {
                return Some(batch);
            }
        }
    }
}

/// Parts of a batch that are as small as those of a file of texts.
pub(super) fn cut(batch: Result<RecordBatch, Report>) -> Vec<Result<RecordBatch, Report>> {
    let too_long = || broken("has a value that is longer than one may be");
    let pieces = batch.and_then(|batch| Ok(super::cut::cut(&batch).ok_or_else(too_long)?.map(Ok).collect()));
    pieces.unwrap_or_else(|report| vec![Err(report)])
}

/// The footer, and how long the file is.
fn footer(file: &mut Reading) -> io::Result<(Vec<u8>, u64)> {
    let length = file.length()?;
    let mut trailer = [0; TRAILER_BYTES];
    let begin = length
        .checked_sub(TRAILER_BYTES as u64)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    file.seek(SeekFrom::Start(begin))?;
    file.read_exact(&mut trailer)?;
    let bytes = read_footer_length(trailer).map_err(|_| io::ErrorKind::InvalidData)?;
    let begin = begin.checked_sub(bytes as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut footer = vec![0; bytes];
    file.read_exact(&mut footer)?;
    Ok((footer, length))
}

/// Refuses a message that says of itself what its body is not.
fn require_bounded(metadata: &[u8], body: &[u8]) -> Result<(), Report> {
    let begin = if metadata.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let message = root_as_message(&metadata[begin..]).map_err(|_| broken_batch())?;
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|batch| batch.data()),
        MessageHeader::NONE => return Ok(()),
        _ => None,
    };
    let batch = batch.ok_or_else(broken_batch)?;
    let codec = batch.compression().map(|compression| compression.codec());
    let mut bytes = 0_u64;
    for buffer in batch.buffers().iter().flatten() {
        let start = usize::try_from(buffer.offset()).map_err(|_| broken_batch())?;
        let length = usize::try_from(buffer.length()).map_err(|_| broken_batch())?;
        let end = start.checked_add(length).ok_or_else(broken_batch)?;
        let buffer = body.get(start..end).ok_or_else(broken_batch)?;
        bytes = bytes.saturating_add(match codec {
            Some(codec) if !buffer.is_empty() => decompressed(codec, buffer)?,
            _ => length as u64,
        });
        if codec.is_some() && bytes > BATCH_BYTES_MAX {
            return Err(too_long());
        }
    }
    // A row takes a bit at least, unless it has nothing.
    let rows_max = bytes.saturating_mul(8).max(ROWS_FREE as u64);
    let fits = |rows: i64| u64::try_from(rows).is_ok_and(|rows| rows <= rows_max);
    let mut nodes = batch.nodes().into_iter().flatten();
    match fits(batch.length()) && nodes.all(|node| fits(node.length()) && fits(node.null_count())) {
        true => Ok(()),
        false => Err(broken_batch()),
    }
}

/// What a compressed buffer becomes, as it says. LZ4 is decompressed to its end whatever that is, so it is counted first.
fn decompressed(codec: CompressionType, buffer: &[u8]) -> Result<u64, Report> {
    let (announced, packed) = buffer.split_first_chunk().ok_or_else(broken_batch)?;
    let announced = match i64::from_le_bytes(*announced) {
        -1 => return Ok(packed.len() as u64),
        announced => u64::try_from(announced).map_err(|_| broken_batch())?,
    };
    if announced > BATCH_BYTES_MAX {
        return Err(too_long());
    }
    if codec == CompressionType::LZ4_FRAME {
        let mut unpacked = lz4_flex::frame::FrameDecoder::new(packed).take(announced + 1);
        let becomes = io::copy(&mut unpacked, &mut io::sink());
        if becomes.map_err(|_| broken_batch())? != announced {
            return Err(broken_batch());
        }
    }
    Ok(announced)
}

fn no_ipc() -> Report {
    broken("is not an Arrow IPC file that can be read")
}

fn broken_batch() -> Report {
    broken("has a batch that is not what it says")
}

fn too_long() -> Report {
    let message = "the file has a batch that becomes more than 1 GiB when it is decompressed";
    let remedy = "write it in batches of fewer rows, or uncompressed";
    Problem::DataSchema.report(message).remedy(remedy)
}

#[cfg(test)]
mod tests;
