//! What the gate costs: a release query under a policy against bare DataFusion on the same snapshot.
//!
//!     cargo bench --workspace -p engine --bench gate -- [ROWS …]       default: 1,000,000 and 10,000,000 rows
//!
//! Baselines of the same run, asked in turn: the same SQL, and the same SQL with `count(DISTINCT person)`, which is what a
//! minimum number of people needs at the least. Prints medians and ratios as a Markdown table. Data are generated and
//! removed at the end.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for developers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use engine::{Datasets, Holding, KeptValues, Leaving, People};
use parquet::arrow::ArrowWriter;
use policy::{AccessRequest, Asked, Caller, Rules};
use terms::UtcTime;
use trust::Digest;

const NODE: &str = "clinic";
const RUNS: usize = 7;
/// Runs of the query over nothing.
const SMALL_RUNS: usize = 300;
const BATCH_ROWS: usize = 65_536;
/// Stays of one person on average.
const STAYS: u64 = 3;

const SPACE: &str = "id = \"bench\"\ntitle = \"bench\"\n";
const MEMBERS: &str = "[[member]]\nid = \"clinic\"\ntitle = \"Clinic\"\nroles = [\"university\"]\nkey = \"KEY\"\n";
const COLLECTION: &str = r#"
id = "admissions"
title = "Admissions"
personal = true
privacy_unit = "patient_id"
[columns.patient_id]
type = "text"
role = "identifier"
[columns.sex]
type = "text"
role = ["group", "filter"]
values = ["female", "male"]
[columns.district]
type = "integer"
role = ["group", "filter"]
values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 99]
[columns.age]
type = "integer"
role = ["group", "filter", "measure"]
bins = [0, 20, 40, 60, 80, 120]
bounds = [0, 119]
[columns.admitted_on]
type = "date"
role = ["group", "filter"]
bins = "month"
[columns.days]
type = "integer"
role = ["measure"]
bounds = [0, 60]
[columns.cost]
type = "number"
role = ["measure"]
bounds = [0, 100000]
"#;
const POLICY: &str = r#"
id = "research"
version = 1
title = "Research"
collection = "admissions"
valid_from = 2026-01-01
valid_until = 2027-12-31
[[permission]]
id = "statistics"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["sex", "district", "age", "admitted_on", "days", "cost"]
[permission.disclosure]
tier = "statistical"
min_people = 10
dominance = { top = 2, share = 0.85 }
p_percent = 10
"#;

/// Question and the same with a count of people.
const QUESTIONS: [(&str, &str, &str); 3] = [
    (
        "by sex and district, count, avg, sum",
        "SELECT sex, district, count(*), avg(cost), sum(days) FROM admissions GROUP BY sex, district",
        "SELECT sex, district, count(*), avg(cost), sum(days), count(DISTINCT patient_id) FROM admissions GROUP BY sex, district",
    ),
    (
        "one condition, by sex, count, avg",
        "SELECT sex, count(*), avg(cost) FROM admissions WHERE district = 7 GROUP BY sex",
        "SELECT sex, count(*), avg(cost), count(DISTINCT patient_id) FROM admissions WHERE district = 7 GROUP BY sex",
    ),
    (
        "everybody, count and stddev",
        "SELECT count(*), avg(cost), stddev(cost) FROM admissions",
        "SELECT count(*), avg(cost), stddev(cost), count(DISTINCT patient_id) FROM admissions",
    ),
];

fn main() {
    let rows: Vec<u64> = std::env::args()
        .filter_map(|word| word.replace('_', "").parse().ok())
        .collect();
    let rows = if rows.is_empty() {
        vec![1_000_000, 10_000_000]
    } else {
        rows
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("| rows | question | gate | bare | ratio | bare with count(DISTINCT person) | ratio |");
        println!("|---|---|---|---|---|---|---|");
        for rows in rows {
            let place = tempfile::tempdir().unwrap();
            let clinic = Clinic::new(place.path(), rows);
            let bare = bare(&clinic.snapshot()).await;
            for (name, sql, with_people) in QUESTIONS {
                compare(rows, name, &clinic, &bare, sql, with_people).await;
            }
            println!("\npeak resident memory so far: {} MB", peak_megabytes());
        }
        overhead().await;
    });
}

async fn compare(rows: u64, name: &str, clinic: &Clinic, bare: &SessionContext, sql: &str, with_people: &str) {
    let (mut gate, mut plain, mut counted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        gate.push(timed(clinic.ask(sql)).await);
        plain.push(timed(collect(bare, sql)).await);
        counted.push(timed(collect(bare, with_people)).await);
    }
    let (gate, plain, counted) = (median(gate), median(plain), median(counted));
    let ratio = |to: Duration| gate.as_secs_f64() / to.as_secs_f64();
    println!(
        "| {rows} | {name} | {gate:.1?} | {plain:.1?} | {:.2} | {counted:.1?} | {:.2} |",
        ratio(plain),
        ratio(counted)
    );
}

/// A query over no rows: what is left is the gate itself.
async fn overhead() {
    let place = tempfile::tempdir().unwrap();
    let clinic = Clinic::new(place.path(), 1_000);
    let bare = bare(&clinic.snapshot()).await;
    let sql = "SELECT sex, count(*), avg(cost) FROM admissions WHERE district = 99 GROUP BY sex";
    let (mut gate, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..SMALL_RUNS {
        gate.push(timed(clinic.ask(sql)).await);
        plain.push(timed(collect(&bare, sql)).await);
    }
    let (gate, plain) = (median(gate), median(plain));
    println!(
        "\nempty result, p50: gate {gate:.1?}, bare {plain:.1?}, overhead {:.1?}",
        gate.saturating_sub(plain)
    );
    let stages = STAGES.lock().unwrap();
    let of = |at: usize| median(stages.iter().rev().take(SMALL_RUNS).map(|stages| stages[at]).collect());
    println!(
        "of it: read {:.1?}, decide and enforce {:.1?}, execute {:.1?}, release {:.1?}",
        of(0),
        of(1),
        of(2),
        of(3)
    );
}

/// How long each stage of a question took.
static STAGES: std::sync::Mutex<Vec<[Duration; 4]>> = std::sync::Mutex::new(Vec::new());

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn bare(snapshot: &Path) -> SessionContext {
    let context = SessionContext::new();
    let path = snapshot.to_str().unwrap();
    context
        .register_parquet("admissions", path, ParquetReadOptions::default())
        .await
        .unwrap();
    context
}

async fn collect(context: &SessionContext, sql: &str) {
    let answer = context.sql(sql).await.unwrap().collect().await.unwrap();
    assert!(answer.len() < usize::MAX);
}

/// One node's engine with generated admissions.
struct Clinic {
    rules: Rules,
    datasets: Datasets,
    folder: PathBuf,
}

impl Clinic {
    fn new(place: &Path, rows: u64) -> Self {
        let key = trust::SigningKey::generate().unwrap().public().to_string();
        let files = BTreeMap::from([
            ("space.toml".to_owned(), SPACE.as_bytes().to_vec()),
            ("members.toml".to_owned(), MEMBERS.replace("KEY", &key).into_bytes()),
            ("collections/admissions.toml".to_owned(), COLLECTION.as_bytes().to_vec()),
            ("policies/research.toml".to_owned(), POLICY.as_bytes().to_vec()),
        ]);
        let rules = Rules::compile_files(1, Digest::of(b"bench"), &files).unwrap();
        let source = place.join("source.parquet");
        generate(&source, rows);
        let folder = place.join("datasets");
        let datasets = Datasets::open(&folder).unwrap();
        let collection = rules.collections.values().next().unwrap();
        let now = "2026-11-21T11:00:00Z".parse::<UtcTime>().unwrap();
        let began = Instant::now();
        datasets.add(&source, collection, now).unwrap();
        println!("\n{rows} rows checked and stored in {:.1?}", began.elapsed());
        std::fs::remove_file(source).unwrap();
        Self {
            rules,
            datasets,
            folder,
        }
    }

    fn snapshot(&self) -> PathBuf {
        let files = std::fs::read_dir(self.folder.join("admissions")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().is_some_and(|ending| ending == "parquet"))
            .unwrap()
    }

    /// Everything that a node does between the text and what leaves, but for the ledger.
    async fn ask(&self, sql: &str) -> u64 {
        let began = Instant::now();
        let query = engine::read::read(sql, &self.rules.collections).await.unwrap();
        let read = began.elapsed();
        let request = AccessRequest {
            caller: Caller {
                member: NODE.parse().unwrap(),
                person: "ada".parse().unwrap(),
                roles: BTreeSet::from(["university".parse().unwrap()]),
            },
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: None,
            collection: query.collection().clone(),
            release: query.release(),
            columns: query.columns(),
            asked: Asked::default(),
            at: "2026-11-21T12:00:00Z".parse().unwrap(),
        };
        let grant = policy::decide(&self.rules, &request).into_grant().unwrap();
        let dataset = self.datasets.find(query.collection()).unwrap();
        let people = People::everybody();
        let holding = Holding {
            dataset: &dataset,
            people: &people,
            node: NODE,
            secret: self.datasets.secret(),
            joined: &[],
        };
        let plan = engine::enforce(&query, grant, holding).unwrap();
        let enforced = began.elapsed();
        let executed = engine::execute(plan).await.unwrap();
        let executed_at = began.elapsed();
        let rows = match engine::release(executed, NODE, &KeptValues::default()).await.unwrap() {
            Leaving::Whole(released) => released.rows(),
            Leaving::Rows(_) => unreachable!("the questions are about cells"),
        };
        let stages = [
            read,
            enforced - read,
            executed_at - enforced,
            began.elapsed() - executed_at,
        ];
        STAGES.lock().unwrap().push(stages);
        rows
    }
}

/// A generator of numbers that repeats (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % most
    }
}

/// Admissions in no order, of people who come again.
fn generate(path: &Path, rows: u64) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("sex", DataType::Utf8, false),
        Field::new("district", DataType::Int64, false),
        Field::new("age", DataType::Int64, false),
        Field::new("admitted_on", DataType::Date32, false),
        Field::new("days", DataType::Int64, false),
        Field::new("cost", DataType::Float64, false),
    ]));
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), Arc::clone(&schema), None).unwrap();
    let (mut chance, people, mut left) = (Chance(1), (rows / STAYS).max(1), rows);
    while left > 0 {
        let batch = usize::try_from(left).unwrap_or(BATCH_ROWS).min(BATCH_ROWS);
        let people: Vec<u64> = (0..batch).map(|_| chance.below(people)).collect();
        let of = |chance: &mut Chance, most: u64| -> Vec<i64> {
            (0..batch).map(|_| chance.below(most).cast_signed()).collect()
        };
        let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> = vec![
            Arc::new(StringArray::from_iter_values(
                people.iter().map(|person| format!("P{person:09}")),
            )),
            Arc::new(StringArray::from_iter_values(
                people.iter().map(|p| if p % 2 == 0 { "female" } else { "male" }),
            )),
            Arc::new(Int64Array::from(
                people.iter().map(|p| (p % 20).cast_signed()).collect::<Vec<_>>(),
            )),
            Arc::new(Int64Array::from(of(&mut chance, 100))),
            Arc::new(Date32Array::from_iter_values(
                of(&mut chance, 700).into_iter().map(|day| 20_000 + day as i32),
            )),
            Arc::new(Int64Array::from(of(&mut chance, 30))),
            Arc::new(Float64Array::from_iter_values(
                of(&mut chance, 400_000).into_iter().map(|cost| cost as f64 / 4.0),
            )),
        ];
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
        left -= batch as u64;
    }
    writer.close().unwrap();
}

/// Of this process, from the kernel.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
