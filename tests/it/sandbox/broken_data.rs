//! Data files that are broken: the operator is told which, what was there before stays, and everything else is answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::{Run, Sandbox, datenraum};

const SPEC: &str = include_str!("../../../examples/own/spec.toml");
const COLLECTION: &str = include_str!("../../../examples/own/collections/stays.toml");
const POLICY: &str = include_str!("../../../examples/own/policies/stays-statistics.toml");

/// Something that must not come back out of a broken file.
const CANARY: &str = "Hs59vQw3";

fn days(wards: &[&str], rows: usize) -> RecordBatch {
    let person = StringArray::from_iter_values((0..rows).map(|n| format!("{CANARY}-{n}")));
    let ward = StringArray::from_iter_values((0..rows).map(|n| wards[n % wards.len()]));
    let days = (0..rows).map(|n| (n % 30) as i64).collect::<Int64Array>();
    let columns: [(&str, ArrayRef); 3] = [
        ("patient_id", Arc::new(person)),
        ("ward", Arc::new(ward)),
        ("days", Arc::new(days)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A Parquet file of that many row groups.
fn parquet(batch: &RecordBatch, groups: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    for _ in 0..groups {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn clinic() -> Sandbox {
    let rows = (1..=20).map(|person| format!("p{person},{},{person}\n", ["surgery", "medicine"][person % 2]));
    let data = format!("patient_id,ward,days\n{}", rows.collect::<String>());
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/stays.toml", COLLECTION),
        ("policies/stays-statistics.toml", POLICY),
        ("stays.csv", &data),
    ]);
    run.returns(0);
    sandbox
}

fn add(sandbox: &Sandbox, file: &Path) -> Run {
    let config = sandbox.dir().join("nodes/clinic-a/node.toml");
    let words = [
        "node",
        "dataset",
        "add",
        file.to_str().unwrap(),
        "--collection",
        "stays",
        "--config",
    ];
    datenraum(words.iter().copied().chain([config.to_str().unwrap()]))
}

fn ask(sandbox: &Sandbox) -> Value {
    sandbox.ask("SELECT ward, count(*) AS n, sum(days) AS days FROM stays GROUP BY ward ORDER BY ward")["rows"].clone()
}

/// Broken files by name.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let good = parquet(&days(&["surgery", "medicine"], 500), 1);
    let cut = |from: usize, to: usize| good[from..to].to_vec();
    let changed = |at: std::ops::Range<usize>, to: u8| {
        let mut bytes = good.clone();
        bytes[at].fill(to);
        bytes
    };
    let length = good.len();
    let strange =
        RecordBatch::try_from_iter([("something", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    vec![
        ("empty.parquet", Vec::new()),
        ("no-footer.parquet", cut(0, length - 200)),
        ("no-end.parquet", cut(0, length - 1)),
        ("no-beginning.parquet", cut(64, length)),
        ("only-magic.parquet", b"PAR1PAR1".to_vec()),
        ("footer-lies.parquet", changed(length - 8..length - 4, 0xff)),
        ("footer-garbage.parquet", changed(length - 300..length - 8, 0xa5)),
        ("pages-garbage.parquet", changed(4..200, 0xff)),
        ("garbage.parquet", CANARY.repeat(4_000).into_bytes()),
        ("csv-by-name.parquet", b"patient_id,ward,days\np1,surgery,3\n".to_vec()),
        ("wrong-schema.parquet", parquet(&strange, 1)),
        ("wrong-values.parquet", parquet(&days(&[CANARY], 500), 1)),
        ("empty.csv", Vec::new()),
        (
            "not-text.csv",
            [b"patient_id,ward,days\n".to_vec(), vec![0xff; 300]].concat(),
        ),
        ("parquet-by-name.csv", good.clone()),
        ("zeros.csv", vec![0; 5_000]),
        ("wrong-schema.csv", format!("a,b\n{CANARY},1\n").into_bytes()),
        (
            "cut.csv",
            format!("patient_id,ward,days\np1,surgery,3\n\"{CANARY}").into_bytes(),
        ),
        ("table.txt", b"patient_id,ward,days\np1,surgery,3\n".to_vec()),
    ]
}

#[test]
fn a_39_a_broken_file_is_named_and_what_was_there_before_stays() {
    let sandbox = clinic();
    let before = ask(&sandbox);
    assert_eq!(before, json!([["medicine", 10, 100], ["surgery", 10, 110]]));
    let place = |name: &str| -> PathBuf { sandbox.place().join(name) };
    for (name, bytes) in broken() {
        std::fs::write(place(name), bytes).unwrap();
        let begun = Instant::now();
        let run = add(&sandbox, &place(name));
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{name} takes {:?}",
            begun.elapsed()
        );
        let said = format!("{}{}", run.out(), run.err());
        assert!(!said.contains(CANARY), "{name} is quoted: {said}");
        assert_ne!(run.code(), 0, "{name} is taken: {said}");
        run.fails_with("E_", name);
    }
    std::fs::create_dir(place("folder.parquet")).unwrap();
    add(&sandbox, &place("folder.parquet")).fails_with("E_", "folder.parquet");
    add(&sandbox, &place("missing.parquet")).fails_with("E_FILE_MISSING", "missing.parquet");
    assert_eq!(ask(&sandbox), before, "while the node runs");
    sandbox.down().returns(0);
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    assert_eq!(ask(&sandbox), before, "after it was started again");
}

/// The client refuses it a second time, from a node that lies: `hostile.rs`.
#[test]
fn a_column_of_another_type_is_named_where_it_would_be_published() {
    let sandbox = clinic();
    let before = ask(&sandbox);
    let good = days(&["surgery", "medicine"], 20);
    let with = |name: &str, column: ArrayRef| {
        let schema = good.schema();
        let columns = schema.fields().iter().zip(good.columns());
        let columns = columns.map(|(field, own)| {
            let is_other = field.name() == name;
            (field.name().clone(), Arc::clone(if is_other { &column } else { own }))
        });
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let halves: ArrayRef = Arc::new(Float64Array::from(vec![0.5; 20]));
    let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true; 20]));
    let words: ArrayRef = Arc::new(StringArray::from(vec![CANARY; 20]));
    for (column, values, problem) in [
        ("days", &halves, "E_DATA_SCHEMA"),
        ("days", &truths, "E_DATA_SCHEMA"),
        ("days", &words, "E_DATA_FORMAT"),
        ("ward", &halves, "E_DATA_SCHEMA"),
        ("patient_id", &truths, "E_DATA_SCHEMA"),
    ] {
        let path = sandbox.place().join("other.parquet");
        std::fs::write(&path, parquet(&with(column, Arc::clone(values)), 1)).unwrap();
        let run = add(&sandbox, &path);
        assert!(!run.err().contains(CANARY), "{}", run.err());
        run.fails_with(problem, column);
    }
    assert_eq!(ask(&sandbox), before);
}

/// Small row groups are slow to read, and no more.
#[test]
fn a_39_ten_thousand_row_groups_are_read() {
    let sandbox = clinic();
    let file = sandbox.place().join("groups.parquet");
    std::fs::write(&file, parquet(&days(&["surgery", "medicine"], 2), 10_000)).unwrap();
    let begun = Instant::now();
    add(&sandbox, &file).returns(0);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
