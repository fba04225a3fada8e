//! Canaries: values that no answer may hold lie everywhere in a node's data, several hundred questions are asked, and every byte that
//! comes back is searched for them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array, LargeStringArray, StringArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use arrow::record_batch::RecordBatch;
use futures::{StreamExt, stream};
use parquet::arrow::ArrowWriter;
use prost::Message;

use super::raw::{Person, Seen};
use super::{Sandbox, datenraum};

/// The name of the file that a node reads says something too.
const VISITS: &str = "visits-Qx7hJw2Tz9.parquet";
const WARDS: &str = "wards-Lm4kVb8Rc1.parquet";

/// In texts of columns that no permission lists.
const FORBIDDEN: &str = "Kd82mXq0";
/// In shown columns of rows that the policy's filter takes out.
const FILTERED: &str = "Wz63tPf5";
/// In shown columns of people who opted out.
const OPTED_OUT: &str = "Ny47cGh1";
/// In every row of a column that a permission masks.
const MASKED: &str = "Bv95rLs8";
/// In the rest of texts of which a permission shows the beginning.
const CUT: &str = "Jp38wDe6";
/// In identifiers, of which a permission shows a pseudonym.
const IDENTIFIER: &str = "Tg71yFn4";
/// In metadata of schema and columns.
const METADATA: &str = "Ru26kZa9";
const FORBIDDEN_NUMBER: i64 = 7_305_771_942_633;
const FILTERED_NUMBER: f64 = 48_213_977.640_625;
const OPTED_OUT_NUMBER: f64 = 61_906_443.328_125;

const SPEC: &str = r#"
space       = "clinic"
board       = { members = 3, threshold = 2 }
collections = ["collections/visits.toml", "collections/wards.toml"]
policies    = ["policies/visits.toml", "policies/wards.toml"]
permits     = ["permits/study.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "visits", path = "VISITS" }, { collection = "wards", path = "WARDS" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

/// Whoever is refused too often is locked out, so each of them is refused a few times.
const REFUSED_EACH: usize = 20;

const VISITS_COLLECTION: &str = r#"
id           = "visits"
title        = "Visits"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine", "children"]

[columns.sex]
type   = "text"
role   = ["group", "filter"]
values = ["female", "male"]

[columns.age]
type = "integer"
role = ["group", "filter", "measure"]
bins = [0, 40, 60, 130]

[columns.admitted_on]
type = "date"
role = ["group", "filter"]
bins = "month"

[columns.cost]
type   = "number"
role   = "measure"
bins   = [0, 500, 1000, 100000000]
bounds = [0, 99999999]

[columns.days]
type   = "integer"
role   = ["filter", "measure"]
bins   = [0, 3, 8, 400]
bounds = [0, 365]

[columns.label]
type = "text"

[columns.code]
type = "text"

[columns.note]
type = "text"

[columns.secret]
type = "text"

[columns.secret_number]
type = "integer"

[filters.consent_research]
sql = "consent"
"#;

const WARDS_COLLECTION: &str = r#"
id       = "wards"
title    = "Wards"
personal = false

[columns.name]
type = "text"
role = ["group", "filter"]

[columns.remark]
type = "text"
role = "filter"

[columns.secret]
type = "text"
role = "filter"

[columns.beds]
type = "integer"
role = ["filter", "measure"]

[columns.rate]
type = "number"
role = "measure"

[filters.public]
sql = "is_public"
"#;

const VISITS_POLICY: &str = r#"
id          = "visits"
version     = 1
title       = "Visits"
collection  = "visits"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "statistics"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["node", "ward", "sex", "age", "admitted_on", "cost", "days"]
rows       = "consent_research"
disclosure = { tier = "statistical", min_people = 5 }

[[permission]]
id       = "rows"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit   = "required"
release  = "rows"
columns  = ["patient_id", "ward", "sex", "age", "admitted_on", "cost", "days", "label", "code", "note"]
rows     = "consent_research"

[permission.transforms]
patient_id = "pseudonym"
age        = "bins"
code       = { prefix = 3 }
note       = "mask"

[permission.disclosure]
tier       = "statistical"
min_people = 5
"#;

const WARDS_POLICY: &str = r#"
id          = "wards"
version     = 1
title       = "Wards"
collection  = "wards"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "open"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "rows"
columns    = ["node", "name", "remark", "beds", "rate"]
rows       = "public"
disclosure = { tier = "open" }
"#;

const PERMIT: &str = r#"
id          = "study"
space       = "clinic"
title       = "A study"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-01-02
holder      = "university"
persons     = ["university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-01-02
valid_until = 2099-01-01
opt_out     = "at-query"

[[dataset]]
collection = "visits"
columns    = ["patient_id", "ward", "sex", "age", "admitted_on", "cost", "days", "label", "code", "note"]
"#;

const PEOPLE: usize = 240;

/// Every twelfth refused, and every twelfth after that opts out.
fn consents(person: usize) -> bool {
    !person.is_multiple_of(12)
}

fn opts_out(person: usize) -> bool {
    person % 12 == 1
}

fn patient(person: usize) -> String {
    format!("{IDENTIFIER}-{person:04}")
}

fn one_of<'a>(values: &[&'a str], at: usize) -> &'a str {
    values[at % values.len()]
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let said = || HashMap::from([("origin".to_owned(), format!("metadata {METADATA}"))]);
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true).with_metadata(said()))
        .collect();
    let schema = Arc::new(Schema::new(fields).with_metadata(said()));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The shown value of a text column, with a canary where the row must not be seen.
fn text(person: usize, shown: &str) -> String {
    if !consents(person) {
        return format!("{FILTERED}-{person}");
    }
    if opts_out(person) {
        return format!("{OPTED_OUT}-{person}");
    }
    format!("{shown}-{person}")
}

fn write_visits(path: &Path) {
    let people = || 0..PEOPLE;
    let texts = |of: &dyn Fn(usize) -> String| people().map(of).collect::<Vec<String>>();
    let large = |of: &dyn Fn(usize) -> String| Arc::new(LargeStringArray::from_iter_values(texts(of))) as ArrayRef;
    let dictionary = |of: &dyn Fn(usize) -> String| {
        let texts = texts(of);
        let made: DictionaryArray<Int32Type> = texts.iter().map(|text| Some(text.as_str())).collect();
        Arc::new(made) as ArrayRef
    };
    let cost = |person: usize| match (consents(person), opts_out(person)) {
        (false, _) => FILTERED_NUMBER,
        (true, true) => OPTED_OUT_NUMBER,
        (true, false) => 100.0 + (person * 37 % 1_900) as f64 / 2.0,
    };
    write(
        path,
        vec![
            ("patient_id", large(&patient)),
            (
                "ward",
                dictionary(&|n| one_of(&["surgery", "medicine", "children"], n / 2).to_owned()),
            ),
            ("sex", dictionary(&|n| one_of(&["female", "male"], n).to_owned())),
            (
                "age",
                Arc::new(people().map(|n| (n * 7 % 90) as i64).collect::<Int64Array>()),
            ),
            (
                "admitted_on",
                Arc::new(Date32Array::from_iter_values(
                    people().map(|n| 20_454 + (n * 11 % 300) as i32),
                )),
            ),
            ("cost", Arc::new(people().map(cost).collect::<Float64Array>())),
            (
                "days",
                Arc::new(people().map(|n| (n * 5 % 20) as i64).collect::<Int64Array>()),
            ),
            ("label", dictionary(&|n| text(n, "shown"))),
            ("code", large(&|n| format!("C50{CUT}-{}", text(n, "rest")))),
            ("note", large(&|n| format!("{MASKED}-{n}"))),
            ("secret", dictionary(&|n| format!("{FORBIDDEN}-{n}"))),
            (
                "secret_number",
                Arc::new(people().map(|n| FORBIDDEN_NUMBER + n as i64).collect::<Int64Array>()),
            ),
            (
                "consent",
                Arc::new(people().map(|n| Some(consents(n))).collect::<BooleanArray>()),
            ),
        ],
    );
}

fn write_wards(path: &Path) {
    let is_public = |n: usize| !n.is_multiple_of(3);
    let shown = |n: usize, what: &str| match is_public(n) {
        true => format!("{what}-{}", n % 7),
        false => format!("{FILTERED}-{what}-{n}"),
    };
    let names: Vec<String> = (0..90).map(|n| shown(n, "ward")).collect();
    let name: DictionaryArray<Int32Type> = names.iter().map(|name| Some(name.as_str())).collect();
    let rate = |n: usize| if is_public(n) { n as f64 / 8.0 } else { FILTERED_NUMBER };
    write(
        path,
        vec![
            ("name", Arc::new(name)),
            (
                "remark",
                Arc::new(LargeStringArray::from_iter_values((0..90).map(|n| shown(n, "remark")))),
            ),
            (
                "secret",
                Arc::new(StringArray::from_iter_values(
                    (0..90).map(|n| format!("{FORBIDDEN}-{n}")),
                )),
            ),
            ("beds", Arc::new((0..90).map(|n| n as i64).collect::<Int64Array>())),
            ("rate", Arc::new((0..90).map(rate).collect::<Float64Array>())),
            (
                "is_public",
                Arc::new((0..90).map(|n| Some(is_public(n))).collect::<BooleanArray>()),
            ),
        ],
    );
}

/// The data space, with enough people to be refused.
fn clinic(refused: usize) -> Sandbox {
    let mut spec = SPEC.replace("VISITS", VISITS).replace("WARDS", WARDS);
    for number in 0..refused {
        let person =
            format!("\n[[person]]\nid = \"ben-{number}\"\nmember = \"university\"\nroles = [\"university\"]\n");
        spec.push_str(&person);
    }
    let sandbox = Sandbox::laid_out(&[
        ("spec.toml", &spec),
        ("collections/visits.toml", VISITS_COLLECTION),
        ("collections/wards.toml", WARDS_COLLECTION),
        ("policies/visits.toml", VISITS_POLICY),
        ("policies/wards.toml", WARDS_POLICY),
        ("permits/study.toml", PERMIT),
    ]);
    write_visits(&sandbox.place().join(VISITS));
    write_wards(&sandbox.place().join(WARDS));
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    let objecting = (0..PEOPLE).filter(|person| opts_out(*person)).map(patient);
    let list = sandbox.place().join("objecting.txt");
    std::fs::write(&list, objecting.collect::<Vec<_>>().join("\n")).unwrap();
    let config = sandbox.dir().join("nodes/clinic-a/node.toml");
    let words = [
        "node",
        "opt-out",
        "add",
        "--file",
        list.to_str().unwrap(),
        "--collection",
        "visits",
        "--config",
    ];
    datenraum(words.iter().copied().chain([config.to_str().unwrap()])).returns(0);
    sandbox
}

/// What is permitted, and under which permit: every aggregate by every key under every condition; every row of what is open; rows under
/// the permit.
fn permitted() -> Vec<(String, Option<&'static str>)> {
    let aggregates = [
        "count(*)",
        "count(DISTINCT patient_id)",
        "count(days)",
        "sum(cost)",
        "avg(cost)",
        "var_samp(cost)",
        "stddev_pop(days)",
        "corr(cost, days)",
        "median(cost)",
        "approx_percentile_cont(cost, 0.25)",
        "sum(days) FILTER (WHERE sex = 'male')",
    ];
    let keys = [
        "",
        "ward",
        "sex",
        "bin(age)",
        "date_trunc('quarter', admitted_on)",
        "CASE WHEN ward = 'surgery' THEN 'a' ELSE 'b' END",
    ];
    let conditions = [
        "",
        "sex = 'female'",
        "ward IN ('surgery', 'medicine')",
        "age < 60 AND days >= 3",
        "node = 'clinic-a'",
    ];
    let mut all = Vec::new();
    for key in keys {
        for condition in conditions {
            for pair in aggregates.windows(2) {
                let list = pair
                    .iter()
                    .enumerate()
                    .map(|(at, aggregate)| format!("{aggregate} AS a{at}"));
                let list = list.collect::<Vec<_>>().join(", ");
                let (shown, by) = match key {
                    "" => (String::new(), ""),
                    key => (format!("{key} AS k, "), " GROUP BY 1"),
                };
                let filter = match condition {
                    "" => String::new(),
                    condition => format!(" WHERE {condition}"),
                };
                all.push((format!("SELECT {shown}{list} FROM visits{filter}{by}"), None));
            }
        }
    }
    for columns in [
        "name",
        "remark",
        "name, remark",
        "beds, rate",
        "node, name, remark, beds, rate",
    ] {
        for condition in [
            "",
            " WHERE beds > 40",
            " WHERE name = 'ward-3'",
            " WHERE remark <> 'remark-1'",
        ] {
            all.push((format!("SELECT {columns} FROM wards{condition}"), None));
        }
    }
    for aggregate in ["count(*)", "sum(beds)", "avg(rate)", "sum(rate)", "count(remark)"] {
        all.push((format!("SELECT name, {aggregate} AS a FROM wards GROUP BY name"), None));
        all.push((format!("SELECT {aggregate} AS a FROM wards"), None));
    }
    for columns in [
        "patient_id",
        "label",
        "code",
        "note",
        "cost",
        "patient_id, ward, sex, age, admitted_on, cost, days, label, code, note",
    ] {
        for condition in ["", " WHERE sex = 'male'", " WHERE ward = 'surgery' AND days >= 3"] {
            all.push((format!("SELECT {columns} FROM visits{condition}"), Some("study")));
        }
    }
    all
}

/// What is refused, or fails: also while it reads hidden rows, if somebody forgot a barrier.
fn not_permitted() -> Vec<String> {
    let columns = [
        "secret",
        "secret_number",
        "note",
        "label",
        "code",
        "patient_id",
        "consent",
    ];
    let shapes = [
        "SELECT {} FROM visits",
        "SELECT max({}) FROM visits",
        "SELECT {}, count(*) FROM visits GROUP BY {}",
        "SELECT count(*) FROM visits WHERE CAST({} AS bigint) > 0",
        "SELECT string_agg({}, ',') FROM visits",
        "EXPLAIN ANALYZE SELECT {} FROM visits",
        "SELECT count(*) FROM visits WHERE 1 / length({}) > 0",
    ];
    let visits = shapes
        .iter()
        .flat_map(|shape| columns.map(|column| shape.replace("{}", column)));
    let wards = [
        "SELECT secret FROM wards",
        "SELECT * FROM wards",
        "SELECT name FROM wards WHERE secret LIKE '%1'",
        "SELECT is_public FROM wards",
        "SELECT CAST(name AS bigint) FROM wards",
        "SELECT arrow_cast(name, 'Dictionary(Int32, Utf8)') FROM wards",
        "SELECT arrow_metadata(name) FROM wards",
        "SELECT nullif(remark, 'x') FROM wards",
        "SELECT substr(remark, 1, 2) FROM wards",
        "SELECT array_agg(remark) FROM wards",
        "SHOW ALL",
        "DESCRIBE wards",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM 'visits.parquet'",
        "COPY wards TO '/tmp/x'",
        "SELECT sum(beds) FROM wards HAVING max(secret) > 'a'",
    ];
    visits.chain(wards.map(str::to_owned)).collect()
}

/// Every form in which a canary could travel.
fn canaries() -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let file = |name: &str| name.split(['-', '.']).nth(1).unwrap().to_owned();
    let texts = [FORBIDDEN, FILTERED, OPTED_OUT, MASKED, CUT, IDENTIFIER, METADATA].map(str::to_owned);
    let numbers = [
        FORBIDDEN_NUMBER.to_string(),
        FILTERED_NUMBER.to_string(),
        OPTED_OUT_NUMBER.to_string(),
    ];
    for text in texts.into_iter().chain(numbers).chain([file(VISITS), file(WARDS)]) {
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        all.insert(format!("{text} in UTF-16LE"), wide(u16::to_le_bytes));
        all.insert(format!("{text} in UTF-16BE"), wide(u16::to_be_bytes));
        all.insert(text.clone(), text.into_bytes());
    }
    for number in [FORBIDDEN_NUMBER as f64, FILTERED_NUMBER, OPTED_OUT_NUMBER] {
        all.insert(format!("{number} as a float"), number.to_le_bytes().to_vec());
        all.insert(
            format!("{number} as a narrow float"),
            (number as f32).to_le_bytes().to_vec(),
        );
    }
    // Each row has a number of its own after it, so the upper bytes are what they have in common.
    all.insert(
        "the upper bytes of an integer".to_owned(),
        FORBIDDEN_NUMBER.to_le_bytes()[2..].to_vec(),
    );
    all
}

fn found(bytes: &[u8], canaries: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let is_in = |canary: &&[u8]| bytes.windows(canary.len()).any(|window| window == *canary);
    let found = canaries.iter().filter(|(_, canary)| is_in(&canary.as_slice()));
    found.map(|(name, _)| name.clone()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Of all files in a folder, only the snapshots of the data and the register of those who object hold a canary: no log, no ledger with
/// its kept values, and nothing that was put aside while a question ran.
fn is_nowhere_else(folder: &Path, canaries: &BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "datasets" || name.starts_with("registers.sqlite") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            is_nowhere_else(&path, canaries);
        } else if entry.file_type().unwrap().is_file() {
            let found = found(&std::fs::read(&path).unwrap(), canaries);
            assert_eq!(found, Vec::<String>::new(), "in {}", path.display());
        }
    }
}

/// The search finds what it looks for, where it is.
#[test]
fn canaries_are_found_in_the_files_that_hold_them() {
    let place = tempfile::tempdir().unwrap();
    let (visits, wards) = (place.path().join("visits"), place.path().join("wards"));
    write_visits(&visits);
    write_wards(&wards);
    let bytes = [std::fs::read(visits).unwrap(), std::fs::read(wards).unwrap()].concat();
    for canary in [FORBIDDEN, FILTERED, OPTED_OUT, MASKED, CUT, IDENTIFIER] {
        assert!(has(&bytes, canary), "{canary}");
    }
    let found = found(&bytes, &canaries());
    for number in [FILTERED_NUMBER, OPTED_OUT_NUMBER] {
        assert!(found.contains(&format!("{number} as a float")), "{found:?}");
    }
    assert!(found.contains(&"the upper bytes of an integer".to_owned()), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_26_no_canary_is_in_any_byte_that_a_node_sends_nor_in_what_it_writes_about_answers() {
    const AT_ONCE: usize = 4;
    let begun = Instant::now();
    let (permitted, not_permitted) = (permitted(), not_permitted());
    let sandbox = clinic(not_permitted.len().div_ceil(REFUSED_EACH));
    let ada = Person::of(&sandbox, "ada", "clinic-a").await;
    let canaries = canaries();

    let asked = stream::iter(&permitted).map(|(sql, permit)| {
        let ada = &ada;
        async move { (sql, ada.ask(sql, *permit).await) }
    });
    let answers: Vec<(&String, Seen)> = asked.buffer_unordered(AT_ONCE).collect().await;
    let mut all = Vec::new();
    for (sql, seen) in answers {
        assert!(seen.refused.is_none(), "{sql}: {:?}", seen.refused);
        assert_eq!(found(&seen.bytes, &canaries), Vec::<String>::new(), "{sql}");
        all.extend(seen.bytes);
    }
    for shown in ["shown-2", "C50", "ward-3", "remark-5", "surgery"] {
        assert!(has(&all, shown), "{shown} is permitted and did not come");
    }

    for (number, questions) in not_permitted.chunks(REFUSED_EACH).enumerate() {
        let ben = Person::of(&sandbox, &format!("ben-{number}"), "clinic-a").await;
        for sql in questions {
            let seen = ben.ask(sql, None).await;
            let status = seen.refused.as_ref().unwrap_or_else(|| panic!("answered: {sql}"));
            assert_ne!(status.code(), tonic::Code::Unknown, "{sql}: {status}");
            assert_eq!(found(&seen.bytes, &canaries), Vec::<String>::new(), "{sql}");
        }
    }

    // Whoever only asks whether is told nothing of the data, as often as they like.
    for sql in &not_permitted {
        let seen = ada.ask_whether(sql, None).await;
        assert!(seen.refused.is_some(), "allowed: {sql}");
        assert_eq!(found(&seen.bytes, &canaries), Vec::<String>::new(), "{sql}");
    }
    for (sql, permit) in permitted.iter().step_by(7) {
        let seen = ada.ask_whether(sql, *permit).await;
        assert!(seen.refused.is_none(), "{sql}: {:?}", seen.refused);
        assert_eq!(found(&seen.bytes, &canaries), Vec::<String>::new(), "{sql}");
    }

    for (sql, permit) in permitted.iter().step_by(7) {
        let info = ada.info(sql, *permit).await.unwrap();
        assert_eq!((info.total_records, info.total_bytes), (-1, -1), "{sql}");
        assert!(info.app_metadata.is_empty() && info.endpoint.len() == 1, "{sql}");
        assert_eq!(found(&info.encode_to_vec(), &canaries), Vec::<String>::new(), "{sql}");
        let schema = info.try_decode_schema().unwrap();
        let fields = || schema.fields().iter();
        assert!(
            schema.metadata().is_empty() && fields().all(|field| field.metadata().is_empty()),
            "{sql}"
        );
    }

    sandbox.down().returns(0);
    is_nowhere_else(&sandbox.dir(), &canaries);
    eprintln!(
        "{} answered, {} refused, {:?}",
        permitted.len(),
        not_permitted.len(),
        begun.elapsed()
    );
}
