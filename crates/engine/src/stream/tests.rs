use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::Int64Array;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::*;
use crate::digest::digest_of;

const BATCH_ROWS: usize = 1_000;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("beds", DataType::Int64, true)]))
}

fn batch() -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(vec![7; BATCH_ROWS]))]).unwrap()
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, DataFusionError>> + Send>;

/// What the engine would read.
fn unread(batches: Batches) -> Unread {
    let batches = futures::stream::iter(batches);
    Unread(vec![Box::pin(RecordBatchStreamAdapter::new(schema(), batches))])
}

fn many(batches: usize) -> Batches {
    Box::new((0..batches).map(|_| Ok(batch())))
}

/// Nothing is read ahead, so that every answer is a stream.
const NOTHING_AHEAD: Limits = Limits { ahead: 0, ..LIMITS };

async fn stream(batches: Batches, limits: Limits) -> RowStream {
    match unread(batches).begin_within(schema(), limits).await.unwrap() {
        Leaving::Rows(stream) => stream,
        Leaving::Whole(_) => panic!("was read to its end"),
    }
}

/// How many batches came, and how it ended.
async fn drained(mut stream: RowStream) -> (usize, Result<Digest, ExecuteError>) {
    let mut batches = 0;
    loop {
        match stream.next().await {
            Ok(Next::Batch(_)) => batches += 1,
            Ok(Next::End(digest)) => return (batches, Ok(digest)),
            Err(error) => return (batches, Err(error)),
        }
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_no_end() {
    let failure = || Err(DataFusionError::Execution("cannot cast 'PID-7'".to_owned()));
    let failing = (0..10).map(move |at| if at < 7 { Ok(batch()) } else { failure() });
    let (batches, ended) = drained(stream(Box::new(failing), NOTHING_AHEAD).await).await;
    assert_eq!(batches, 7);
    let report = ended.unwrap_err().report();
    assert_eq!(report.message, "the node could not finish the query");
    // Before the first row leaves, nothing does.
    let failing = (0..3).map(move |at| if at < 2 { Ok(batch()) } else { failure() });
    assert!(unread(Box::new(failing)).begin(schema()).await.is_err());
}

#[tokio::test]
async fn a_panic_in_the_middle_is_no_end() {
    let panicking = (0..10).map(|at| match at {
        7 => panic!("on purpose"),
        _ => Ok(batch()),
    });
    let (batches, ended) = drained(stream(Box::new(panicking), NOTHING_AHEAD).await).await;
    assert_eq!(batches, 7);
    assert!(matches!(ended, Err(ExecuteError::Stopped)));
}

#[tokio::test]
async fn more_rows_than_an_answer_may_have_are_not_handed_out_and_the_limit_is_named() {
    let limits = Limits {
        rows: 3 * BATCH_ROWS,
        ..NOTHING_AHEAD
    };
    let (batches, ended) = drained(stream(many(4), limits).await).await;
    assert_eq!(batches, 3);
    let report = ended.unwrap_err().report();
    assert_eq!(report.problem, terms::Problem::Resources);
    assert!(report.message.contains("more than 3000 rows"), "{report}");
    assert!(drained(stream(many(3), limits).await).await.1.is_ok());
}

#[tokio::test]
async fn work_has_a_limit_and_a_slow_reader_none() {
    let limits = Limits {
        work: Duration::from_millis(200),
        ..NOTHING_AHEAD
    };
    let slow = (0..20).map(|_| {
        std::thread::sleep(Duration::from_millis(40));
        Ok(batch())
    });
    let (batches, ended) = drained(stream(Box::new(slow), limits).await).await;
    assert!(
        batches < 10 && matches!(ended, Err(ExecuteError::Limit { .. })),
        "{batches}"
    );
    let mut stream = stream(many(8), limits).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(matches!(stream.next().await, Ok(Next::Batch(_))));
    }
    assert!(matches!(stream.next().await, Ok(Next::End(_))));
}

/// A hundred megabytes, of which never more than some batches are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_is_never_further_ahead_than_a_few_batches() {
    const BATCHES: usize = 12_500;
    let (read, most) = (Arc::new(AtomicUsize::new(0)), BATCHES_READY_MAX + 2);
    let counted = Arc::clone(&read);
    let batches = many(BATCHES).inspect(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let mut stream = stream(Box::new(batches), NOTHING_AHEAD).await;
    let mut taken = 0;
    while let Next::Batch(_) = stream.next().await.unwrap() {
        taken += 1;
        if taken % 1_000 == 0 {
            // A reader who rests.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ahead = read.load(Ordering::SeqCst) - taken;
        assert!(ahead <= most, "{ahead} batches ahead after {taken}");
    }
    assert_eq!(taken, BATCHES);
}

#[tokio::test]
async fn to_drop_a_stream_ends_its_work() {
    let held = Arc::new(());
    let there = Arc::clone(&held);
    let batches = many(100).inspect(move |_| assert_eq!(*there, ()));
    let mut stream = stream(Box::new(batches), NOTHING_AHEAD).await;
    assert!(matches!(stream.next().await, Ok(Next::Batch(_))));
    assert_eq!(Arc::strong_count(&held), 2);
    drop(stream);
    while Arc::strong_count(&held) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_not_long_is_read_to_its_end_and_has_the_same_digest() {
    let Leaving::Whole(released) = unread(many(3)).begin(schema()).await.unwrap() else {
        panic!("three batches are a stream")
    };
    assert_eq!(released.rows(), 3 * BATCH_ROWS as u64);
    let (batches, digest) = drained(stream(many(3), NOTHING_AHEAD).await).await;
    assert_eq!(batches, 3);
    assert_eq!(digest.unwrap(), released.digest());
    assert_eq!(released.digest(), digest_of(&schema(), &[batch(), batch(), batch()]));
    let long = limit::WHOLE_ROWS_BYTES_MAX as usize / (8 * BATCH_ROWS) + 1;
    assert!(matches!(
        unread(many(long)).begin(schema()).await.unwrap(),
        Leaving::Rows(_)
    ));
}
