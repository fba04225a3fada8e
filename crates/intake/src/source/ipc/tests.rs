use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int8Type;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};

use super::*;
use crate::example::Files;
use crate::mapping::SourceForm;
use crate::source::Opened;

/// As many rows as no other number in the file.
const ROWS: i64 = 70_001;

fn rows() -> RecordBatch {
    let texts = StringArray::from_iter_values((0..ROWS).map(|row| format!("value {}", row % 7)));
    let numbers = Int64Array::from_iter_values((0..ROWS).map(|row| row % 5));
    RecordBatch::try_from_iter([("a", Arc::new(numbers) as ArrayRef), ("b", Arc::new(texts))]).unwrap()
}

fn file(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<RecordBatch>, Report> {
    let files = Files::of(&[("a.arrow", bytes)]);
    let opened = Opened::open(&files.path("a.arrow"), &SourceForm::default())?;
    let pieces = opened.batches(&(0..opened.schema().fields().len()).collect::<Vec<_>>())?;
    pieces.map(|piece| Ok(piece?.batch)).collect()
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let report = read(bytes).unwrap_err();
    assert_eq!(report.problem, Problem::DataSchema);
    assert!(report.message.contains(says), "{report}");
}

/// Replaces what must be there.
fn with(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!at.is_empty());
    let mut changed = bytes.to_vec();
    at.iter()
        .for_each(|at| changed[*at..*at + to.len()].copy_from_slice(to));
    changed
}

/// A buffer of the column `a`: how long it becomes, and the mark of the codec.
fn announced(length: i64, codec: CompressionType) -> Vec<u8> {
    let mark: [u8; 4] = match codec {
        CompressionType::ZSTD => [0x28, 0xB5, 0x2F, 0xFD],
        _ => [0x04, 0x22, 0x4D, 0x18],
    };
    [&length.to_le_bytes()[..], &mark].concat()
}

const CODECS: [CompressionType; 2] = [CompressionType::ZSTD, CompressionType::LZ4_FRAME];

#[test]
fn a_buffer_that_says_it_becomes_too_long_is_refused_before_there_is_room_for_it() {
    for codec in CODECS {
        let whole = file(&rows(), Some(codec));
        let says = |length: i64| with(&whole, &announced(8 * ROWS, codec), &announced(length, codec));
        for length in [1 << 60, i64::MAX, (1 << 30) + 1] {
            refused(&says(length), "more than 1 GiB");
        }
        refused(&says(-2), "not what it says");
        // Each for itself would pass.
        let texts = announced(7 * ROWS, codec);
        refused(
            &with(&says(1 << 30), &texts, &announced(1 << 30, codec)),
            if codec == CompressionType::ZSTD {
                "more than 1 GiB"
            } else {
                "not what it says"
            },
        );
    }
    // What LZ4 becomes ends where the bytes end, and not where they say.
    let whole = file(&rows(), Some(CompressionType::LZ4_FRAME));
    for length in [8, 8 * ROWS - 1, 8 * ROWS + 1] {
        let lies = with(
            &whole,
            &announced(8 * ROWS, CompressionType::LZ4_FRAME),
            &announced(length, CompressionType::LZ4_FRAME),
        );
        refused(&lies, "not what it says");
    }
}

#[test]
fn rows_places_and_lengths_that_are_not_there_are_refused() {
    let whole = file(&rows(), None);
    for count in [1_i64 << 60, -1, 1 << 40] {
        refused(
            &with(&whole, &ROWS.to_le_bytes(), &count.to_le_bytes()),
            "not what it says",
        );
    }
    let length = whole.len();
    let footer = i32::from_le_bytes(whole[length - 10..length - 6].try_into().unwrap());
    let footer = root_as_footer(&whole[length - 10 - usize::try_from(footer).unwrap()..length - 10]).unwrap();
    let block = *footer.recordBatches().unwrap().get(0);
    for body in [1_i64 << 60, -8, length as i64] {
        let lies = with(&whole, &block.bodyLength().to_le_bytes(), &body.to_le_bytes());
        refused(&lies, "not what it says");
    }
    let begin = [&block.offset().to_le_bytes()[..], &block.metaDataLength().to_le_bytes()].concat();
    for (offset, metadata) in [
        (i64::MAX, 8),
        (-8, 8),
        (length as i64, 8),
        (block.offset(), -8),
        (block.offset(), 0),
    ] {
        let lies = [&offset.to_le_bytes()[..], &i32::to_le_bytes(metadata)].concat();
        refused(&with(&whole, &begin, &lies), "not what it says");
    }
    refused(&whole[..length / 2], "is not an Arrow IPC file");
    refused(b"ARROW1\0\0", "is not an Arrow IPC file");
    let mut long = whole.clone();
    long[length - 10..length - 6].copy_from_slice(&i32::MAX.to_le_bytes());
    refused(&long, "is not an Arrow IPC file");
}

#[test]
fn whole_files_are_read_compressed_or_not_in_parts_that_are_small() {
    for compression in [None, Some(CODECS[0]), Some(CODECS[1])] {
        let batches = read(&file(&rows(), compression)).unwrap();
        assert!(
            batches
                .iter()
                .all(|batch| batch.num_rows() <= crate::source::BATCH_ROWS)
        );
        assert_eq!(
            arrow::compute::concat_batches(&rows().schema(), &batches).unwrap(),
            rows()
        );
    }
    // One long text, named by every row.
    let long = |bytes: usize| {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes)]));
        let column = DictionaryArray::<Int8Type>::try_new(vec![0_i8; 2_000].into(), values).unwrap();
        file(
            &RecordBatch::try_from_iter([("a", Arc::new(column) as ArrayRef)]).unwrap(),
            None,
        )
    };
    let batches = read(&long(4 << 20)).unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 4));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_000);
    refused(&long((4 << 20) + 1), "a value that is longer than one may be");
}

/// What of a file can be changed without our seeing it, arrow-ipc reads, refuses or panics at; nothing takes memory or aborts.
#[test]
fn a_file_with_a_changed_byte_is_read_refused_or_panics_in_the_library() {
    let whole = file(&rows().slice(0, 9), Some(CompressionType::ZSTD));
    let files = Files::of(&[]);
    let path = files.path("a.arrow");
    for at in 0..whole.len() {
        for bits in [0x01, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bits;
            std::fs::write(&path, &changed).unwrap();
            let reading = || {
                Records::open(
                    Reading::of_file(std::fs::File::open(&path).unwrap(), &Default::default()),
                    None,
                )
            };
            let read = catch_unwind(AssertUnwindSafe(|| {
                reading().map(|records| records.filter_map(Result::ok).count())
            }));
            assert!(!matches!(read, Ok(Ok(2..))), "{at}");
        }
    }
}
