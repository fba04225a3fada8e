//! Random tables: all kinds of columns, with what is easily got wrong in each, split over 1 to 12 nodes.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;

use super::random::Random;

/// Rows of one node at most.
const ROWS_MAX: usize = 60;

/// The edges of the declared bins.
pub(super) const AGE_EDGES: [f64; 5] = [0.0, 18.0, 40.0, 65.0, 120.0];
pub(super) const SCORE_EDGES: [f64; 4] = [-1.5, 0.0, 0.25, 10.0];

/// Texts that are different, although some look alike, are empty, or mean something in SQL, CSV or JSON.
pub(super) const WARDS: [&str; 10] = [
    "surgery",
    "Surgery",
    "Chirurgie für Kinder",
    "e\u{301}tage",
    "\u{e9}tage",
    "",
    " ",
    "it's; \"x\", \\",
    "内科 🏥",
    "NULL",
];

const VISITS: &str = r#"
id       = "visits"
title    = "Visits"
personal = false
[columns]
ward  = { type = "text", role = ["group", "filter"] }
grade = { type = "text", role = ["group", "filter"], values = ["1", "2", "3"] }
level = { type = "integer", role = ["group", "filter", "measure"] }
age   = { type = "integer", role = ["group", "filter", "measure"], bins = [0, 18, 40, 65, 120] }
score = { type = "number", role = ["group", "filter", "measure"], bins = [-1.5, 0, 0.25, 10] }
flag  = { type = "boolean", role = ["group", "filter"] }
day   = { type = "date", role = ["group", "filter"] }
seen  = { type = "timestamp", role = ["group", "filter"] }
dose  = { type = "number", role = ["group", "filter"] }
cost  = { type = "number", role = ["filter", "measure"] }
far   = { type = "number", role = "measure" }
huge  = { type = "integer", role = "measure" }
code  = { type = "integer", role = "measure" }
small = { type = "integer", role = ["filter", "measure"], bounds = [0, 1000] }
empty = { type = "number", role = "measure", bins = [-10, 0, 20] }
"#;

const BEDS: &str = r#"
id       = "beds"
title    = "Beds"
personal = false
[columns]
ward  = { type = "text", role = ["group", "filter"] }
grade = { type = "text", role = ["group", "filter"], values = ["1", "2", "3"] }
beds  = { type = "integer", role = ["filter", "measure"] }
rate  = { type = "number", role = ["filter", "measure"] }
"#;

pub(super) const OPEN: &str = "{ tier = \"open\" }";

/// Everything of a collection for whoever asks, in these ways.
pub(super) fn policy(name: &str, schema: &SchemaRef, disclosure: &str, releases: &[&str]) -> String {
    let columns = schema.fields().iter().map(|field| format!("{:?}, ", field.name()));
    let columns: String = columns.filter(|column| !column.contains(PERSON)).collect();
    let head = format!(
        "id = {name:?}\nversion = 1\ntitle = {name:?}\ncollection = {name:?}\nvalid_from = 2020-01-01\nvalid_until = 2099-12-31\n"
    );
    let permission = |release: &&str| {
        format!(
            "[[permission]]\nid = {release:?}\nassignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\n\
             permit = \"none\"\nrelease = {release:?}\ncolumns = [{columns}\"node\"]\ndisclosure = {disclosure}\n"
        )
    };
    head + &releases.iter().map(permission).collect::<String>()
}

/// The column of the person, in tables about people.
pub(super) const PERSON: &str = "the_person";

/// A collection and its rows, by node.
pub(super) struct Table {
    pub(super) name: String,
    /// The collection and the policy that opens it, as files.
    pub(super) collection: String,
    pub(super) policy: String,
    pub(super) schema: SchemaRef,
    pub(super) by_node: Vec<RecordBatch>,
}

/// The same nodes hold all tables.
pub(super) struct Tables {
    pub(super) nodes: Vec<String>,
    pub(super) all: Vec<Table>,
}

impl Table {
    /// From the values of each row, column by column.
    pub(super) fn of(name: &'static str, columns: &[&str], rows: Vec<Vec<Vec<ScalarValue>>>) -> Self {
        let collection = if name == "visits" { VISITS } else { BEDS };
        let empty = if name == "visits" {
            visit(&mut Random::of(0), &Mood::plain())
        } else {
            bed(&mut Random::of(0), &Mood::plain())
        };
        let fields = columns
            .iter()
            .zip(&empty)
            .map(|(name, value)| Field::new(*name, value.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = |rows: Vec<Vec<ScalarValue>>| {
            if rows.is_empty() {
                return RecordBatch::new_empty(Arc::clone(&schema));
            }
            let column = |at: usize| ScalarValue::iter_to_array(rows.iter().map(|row| row[at].clone())).unwrap();
            let columns: Vec<ArrayRef> = (0..schema.fields().len()).map(column).collect();
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        };
        let by_node = rows.into_iter().map(batch).collect();
        Self {
            name: name.to_owned(),
            collection: collection.to_owned(),
            policy: policy(name, &schema, OPEN, &["aggregates", "rows"]),
            schema,
            by_node,
        }
    }
}

const VISIT_COLUMNS: [&str; 15] = [
    "ward", "grade", "level", "age", "score", "flag", "day", "seen", "dose", "cost", "far", "huge", "code", "small",
    "empty",
];
const BED_COLUMNS: [&str; 4] = ["ward", "grade", "beds", "rate"];

impl Tables {
    /// Visits in which only what is named is known; no beds.
    pub(super) fn of_visits(by_node: Vec<Vec<Vec<(&'static str, ScalarValue)>>>) -> Self {
        let kinds = visit(&mut Random::of(0), &Mood::plain());
        let row = |known: Vec<(&'static str, ScalarValue)>| {
            let value = |(column, kind): (&&str, &ScalarValue)| {
                let known = known.iter().find(|(name, _)| name == column);
                known.map_or_else(
                    || ScalarValue::try_from(kind.data_type()).unwrap(),
                    |(_, value)| value.clone(),
                )
            };
            VISIT_COLUMNS.iter().zip(&kinds).map(value).collect()
        };
        let nodes = (1..=by_node.len()).map(|n| format!("node-{n:02}")).collect();
        let beds = vec![Vec::new(); by_node.len()];
        let of_node = |rows: Vec<Vec<(&'static str, ScalarValue)>>| rows.into_iter().map(row).collect();
        let visits = by_node.into_iter().map(of_node).collect();
        Self {
            nodes,
            all: vec![
                Table::of("visits", &VISIT_COLUMNS, visits),
                Table::of("beds", &BED_COLUMNS, beds),
            ],
        }
    }

    pub(super) fn random(random: &mut Random) -> Self {
        let nodes: Vec<String> = (1..=random.between(1, 12)).map(|n| format!("node-{n:02}")).collect();
        let mut visits = Vec::new();
        let mut beds = Vec::new();
        for _ in &nodes {
            let mood = Mood::random(random);
            let rows = |random: &mut Random, most: usize| match random.below(6) {
                0 => 0,
                1 => 1,
                _ => random.below(most),
            };
            visits.push((0..rows(random, ROWS_MAX)).map(|_| visit(random, &mood)).collect());
            beds.push((0..rows(random, ROWS_MAX / 3)).map(|_| bed(random, &mood)).collect());
        }
        let all = vec![
            Table::of("visits", &VISIT_COLUMNS, visits),
            Table::of("beds", &BED_COLUMNS, beds),
        ];
        Self { nodes, all }
    }
}

/// What the rows of one node have in common.
struct Mood {
    wards: Vec<&'static str>,
    nulls_percent: u64,
    mean: f64,
    has_empty: bool,
    sign: i64,
}

impl Mood {
    fn plain() -> Self {
        Self {
            wards: vec!["surgery"],
            nulls_percent: 0,
            mean: 0.0,
            has_empty: true,
            sign: 1,
        }
    }

    fn random(random: &mut Random) -> Self {
        let wards = (0..=random.below(5)).map(|_| *random.pick(&WARDS)).collect();
        Self {
            wards,
            nulls_percent: *random.pick(&[0, 10, 10, 60, 100]),
            mean: random.share() * 5.0,
            has_empty: random.chance(30),
            sign: *random.pick(&[1, 1, -1]),
        }
    }
}

fn visit(random: &mut Random, mood: &Mood) -> Vec<ScalarValue> {
    let few = random.chance(50);
    let day = if few {
        random.between(18_300, 18_420)
    } else {
        random.between(-40_000, 80_000)
    };
    let x = random.share() * 4.0 - 1.0 + mood.mean;
    let values = vec![
        ScalarValue::from(*random.pick(&mood.wards)),
        ScalarValue::from(*random.pick(&["1", "2", "3"])),
        ScalarValue::from(random.between(-3, 4)),
        ScalarValue::from(random.between(0, 119)),
        ScalarValue::from((x - mood.mean).clamp(-1.5, 9.0)),
        ScalarValue::from(random.chance(40)),
        ScalarValue::Date32(Some(day as i32)),
        ScalarValue::TimestampMicrosecond(Some(day * 86_400_000_000 + random.between(0, 86_399_999_999)), None),
        ScalarValue::from(*random.pick(&[0.0, 0.1, 2.5, -7.0, 1e300, 5e-324])),
        ScalarValue::from((x + random.share() * 2.0).exp()),
        ScalarValue::from(1e5 + x),
        ScalarValue::from(mood.sign * (i64::MAX - random.between(0, 1 << 60))),
        ScalarValue::from(4_000_000_000_000_000 + random.between(0, 9)),
        ScalarValue::from(random.between(0, 1000)),
        ScalarValue::Float64(mood.has_empty.then_some(x)),
    ];
    with_nulls(values, random, mood)
}

fn bed(random: &mut Random, mood: &Mood) -> Vec<ScalarValue> {
    let values = vec![
        ScalarValue::from(*random.pick(&mood.wards)),
        ScalarValue::from(*random.pick(&["1", "2", "3"])),
        ScalarValue::from(random.between(0, 40)),
        ScalarValue::from(random.share() + mood.mean),
    ];
    with_nulls(values, random, mood)
}

fn with_nulls(mut values: Vec<ScalarValue>, random: &mut Random, mood: &Mood) -> Vec<ScalarValue> {
    for value in &mut values {
        if random.chance(mood.nulls_percent) && random.chance(50) {
            *value = ScalarValue::try_from(value.data_type()).unwrap();
        }
    }
    values
}
