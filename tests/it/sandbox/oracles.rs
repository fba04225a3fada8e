//! Descriptions and survival over real institutions as nodes, against what R, pandas and lifelines compute from the pooled rows.
//!
//! One data space holds all data sets: the first institution of each is at the first node, and so on. The data are not part of the project:
//! without them the tests say so and pass.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::clinical::{self, Nodes, shared};
use super::{Sandbox, datenraum};

/// What independent tools computed.
pub(super) fn oracle(name: &str) -> Value {
    let text = fs::read_to_string(shared(&format!("oracles/{name}.json")).unwrap()).unwrap();
    // Python writes what is no number as NaN, which is no JSON.
    serde_json::from_str(&text.replace(": NaN", ": null").replace("NaN,", "null,")).unwrap()
}

/// The same number, but for so much of it; or both are none.
#[track_caller]
pub(super) fn near(found: &Value, known: &Value, tolerance: f64) {
    match (found.as_f64(), known.as_f64()) {
        (Some(number), Some(expected)) => {
            let off = (number - expected).abs();
            assert!(off <= tolerance * expected.abs().max(1e-300), "{found} is not {known}");
        }
        _ => assert!(found.is_null() && known.is_null(), "{found} is not {known}"),
    }
}

/// A table of text fields, by column; what is empty is not known.
pub(super) struct Table {
    columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// One of the files beside the project, or nothing and a line that says so.
    pub(super) fn shared(path: &str) -> Option<Self> {
        let file = shared(path)?;
        if path.ends_with(".parquet") {
            return Some(Self::of_parquet(File::open(file).unwrap()));
        }
        let mut lines = csv::Reader::from_path(file).unwrap();
        Some(Self {
            columns: lines.headers().unwrap().iter().map(str::to_owned).collect(),
            rows: lines.deserialize().collect::<Result<_, _>>().unwrap(),
        })
    }

    fn of_parquet(file: File) -> Self {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let columns = reader.schema().fields().iter().map(|field| field.name().clone());
        let columns = columns.collect();
        let mut rows = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let options = FormatOptions::default();
            let cells = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap());
            let cells: Vec<ArrayFormatter<'_>> = cells.collect();
            rows.extend(
                (0..batch.num_rows()).map(|row| cells.iter().map(|cell| cell.value(row).to_string()).collect()),
            );
        }
        Self { columns, rows }
    }

    pub(super) fn of<'t>(&self, row: &'t [String], column: &str) -> &'t str {
        &row[self.columns.iter().position(|known| known == column).unwrap()]
    }
}

/// A data set as a collection, and at which node each of its rows is.
struct Cohort {
    id: String,
    /// The name, and what is declared of it.
    columns: Vec<(String, String)>,
    rows: Vec<Vec<String>>,
    at: Vec<usize>,
}

/// What a column may be used for.
const ROLE: &str = "role = [\"group\", \"filter\"]\n";
const MEASURED: &str = "role = [\"group\", \"filter\", \"measure\"]\n";

impl Cohort {
    /// Data about nobody, of these columns of a table: a name in SQL, what is declared of it, and what a row has there.
    fn new(id: &str, rows: &[Vec<String>], at: Vec<usize>, columns: &[(&str, String, Cell<'_>)]) -> Self {
        let names = columns
            .iter()
            .map(|(name, declared, _)| ((*name).to_owned(), declared.clone()));
        let cells = |row: &Vec<String>| columns.iter().map(|(_, _, cell)| cell(row)).collect();
        Self {
            id: id.to_owned(),
            columns: names.collect(),
            rows: rows.iter().map(cells).collect(),
            at,
        }
    }

    fn collection(&self) -> String {
        let mut text = format!("id = \"{0}\"\ntitle = \"{0}\"\npersonal = false\n", self.id);
        for (name, declared) in &self.columns {
            let _ = write!(text, "[columns.{name}]\n{declared}");
        }
        text
    }

    fn policy(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        clinical::policy(&self.id, &names, "tier = \"open\"")
    }

    /// The rows of one node as a file; none if it has none.
    fn at_node(&self, node: usize) -> Option<String> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let rows = self.rows.iter().zip(&self.at).filter(|(_, at)| **at == node);
        let lines: String = rows.map(|(row, _)| row.join(",") + "\n").collect();
        (!lines.is_empty()).then(|| format!("{}\n{lines}", names.join(",")))
    }
}

/// What a row has in a column.
type Cell<'a> = &'a dyn Fn(&[String]) -> String;

/// One data space of them all.
fn space_of(cohorts: &[&Cohort]) -> Sandbox {
    let texts: Vec<(&str, String, String)> = cohorts
        .iter()
        .map(|cohort| (cohort.id.as_str(), cohort.collection(), cohort.policy()))
        .collect();
    let collections: Vec<(&str, &str, &str)> = texts
        .iter()
        .map(|(id, collection, policy)| (*id, collection.as_str(), policy.as_str()))
        .collect();
    let last = cohorts.iter().flat_map(|cohort| &cohort.at).max().unwrap();
    let nodes = Nodes {
        collections: &collections,
        nodes: last + 1,
    };
    nodes.with_data(|place, node| {
        let held = cohorts.iter().filter_map(|cohort| {
            let file = format!("{}-{node}.csv", cohort.id);
            fs::write(place.join(&file), cohort.at_node(node)?).unwrap();
            Some(format!("{{ collection = \"{}\", path = \"{file}\" }}", cohort.id))
        });
        held.collect()
    })
}

/// The institutions that a column names, in their order, and at which of them each row is.
fn institutions(table: &Table, column: &str) -> (Vec<String>, Vec<usize>) {
    let of = |row: &Vec<String>| table.of(row, column).to_owned();
    let names: BTreeSet<String> = table.rows.iter().map(of).collect();
    let names: Vec<String> = names.into_iter().collect();
    let at = table.rows.iter().map(|row| names.binary_search(&of(row)).unwrap());
    let at = at.collect();
    (names, at)
}

/// So many tables are asked about at the same time.
const TOGETHER: usize = 4;

/// Runs a command that works over all nodes that have the collection, and reads its JSON.
fn found(sandbox: &Sandbox, command: &str, collection: &str, nodes: usize, words: &[&str]) -> Value {
    let dir = sandbox.dir();
    let about = ["--sandbox", dir.to_str().unwrap(), "--collection", collection];
    let rest = ["--purpose", "ehds-53-1-e", "--format", "json"];
    let run = datenraum([command].iter().chain(&about).chain(&rest).chain(words)).returns(0);
    let json = run.json();
    let answered = json["coverage"].as_array().unwrap().iter();
    assert_eq!(
        answered.filter(|node| node["status"] == "answered").count(),
        nodes,
        "{json}"
    );
    json
}

/// Curves and test of exact times, number for number; a group of R's is called so here.
pub(super) fn require_curves(found: &Value, r: &Value, group: impl Fn(usize, &str) -> String) {
    let mut rows = found["rows"].as_array().unwrap().iter();
    for (at, known) in r["curves"].as_array().unwrap().iter().enumerate() {
        let group = group(at, known["group"].as_str().unwrap());
        let mut left: Vec<(f64, f64)> = Vec::new();
        for step in 0..known["time"].as_array().unwrap().len() {
            let row = rows.next().unwrap();
            assert_eq!(row["group"], group, "{row}");
            for count in ["time", "n_risk", "n_event"] {
                assert_eq!(row[count], known[count][step], "{count} of {row}");
            }
            near(&row["survival"], &known["survival"][step], 1e-12);
            near(&row["std_error"], &known["std_err_greenwood"][step], 1e-10);
            near(&row["ci_low"], &known["lower_log"][step], 1e-10);
            near(&row["ci_high"], &known["upper_log"][step], 1e-10);
            left.push((row["time"].as_f64().unwrap(), row["survival"].as_f64().unwrap()));
        }
        let told = r["survival_at"].as_array().unwrap().iter();
        for told in told.filter(|told| told["group"] == known["group"]) {
            let before = left.iter().rfind(|(time, _)| *time <= told["time"].as_f64().unwrap());
            near(&before.map_or(1.0, |(_, left)| *left).into(), &told["survival"], 1e-12);
        }
        let median = &found["medians"][at];
        assert_eq!(
            (&median["n"], &median["events"]),
            (&known["n"], &known["events"]),
            "{median}"
        );
        for (of, of_r) in [
            ("median", "median"),
            ("ci_low", "median_lcl"),
            ("ci_high", "median_ucl"),
        ] {
            near(&median[of], &known[of_r], 0.0);
        }
        let test = &found["log_rank"][at];
        near(&test["observed"], &r["logrank"]["observed"][at], 0.0);
        near(&test["expected"], &r["logrank"]["expected"][at], 1e-10);
    }
    assert_eq!(rows.next(), None);
    near(&found["chi_squared"], &r["logrank"]["chisq"], 1e-10);
    assert_eq!(found["df"], r["logrank"]["df"]);
    near(&found["p"], &r["logrank"]["p"], 1e-9);
}

#[test]
fn institutions_have_the_survival_curves_of_r() {
    let Some(breast) = Table::shared("clinical/breast_2institutions.csv") else {
        return;
    };
    let tcga = Table::shared("clinical/tcga_brca_6regions.csv").unwrap();
    let aids = Table::shared("clinical/aids2_4states.csv").unwrap();
    let colon = Table::shared("clinical/colon.csv").unwrap();
    let lung = Table::shared("clinical/lung.csv").unwrap();
    let (integer, text) = (
        format!("type = \"integer\"\n{MEASURED}"),
        format!("type = \"text\"\n{ROLE}"),
    );
    let whole = |text: &str| text.strip_suffix(".0").unwrap_or(text).to_owned();
    let day = |text: &str| text.parse::<i64>().unwrap();
    // Times at which R tells how many are left are bins of their own.
    let times: BTreeSet<i64> = lung.rows.iter().map(|row| day(lung.of(row, "time"))).collect();
    let mut times: Vec<i64> = times.into_iter().collect();
    times.push(times[times.len() - 1] + 1);
    let edges = [0, 365, 366, 1095, 1096, 1825, 1826, 3650, 3651, 10_000];
    let cohorts = [
        Cohort::new(
            "breast",
            &breast.rows,
            institutions(&breast, "institution").1,
            &[
                ("days", integer.clone(), &|row| breast.of(row, "rfs_days").to_owned()),
                ("relapsed", integer.clone(), &|row| {
                    breast.of(row, "rfs_event").to_owned()
                }),
                ("hormon", integer.clone(), &|row| breast.of(row, "hormon").to_owned()),
            ],
        ),
        Cohort::new(
            "breast-in-bins",
            &breast.rows,
            institutions(&breast, "institution").1,
            &[
                ("days", format!("{integer}bins = {edges:?}\n"), &|row| {
                    breast.of(row, "rfs_days").to_owned()
                }),
                ("relapsed", integer.clone(), &|row| {
                    breast.of(row, "rfs_event").to_owned()
                }),
                ("hormon", integer.clone(), &|row| breast.of(row, "hormon").to_owned()),
            ],
        ),
        Cohort::new(
            "tcga",
            &tcga.rows,
            institutions(&tcga, "region").1,
            &[
                ("days", integer.clone(), &|row| whole(tcga.of(row, "time_days"))),
                ("died", integer.clone(), &|row| whole(tcga.of(row, "event"))),
                ("region", text.clone(), &|row| tcga.of(row, "region").to_owned()),
            ],
        ),
        Cohort::new(
            "aids",
            &aids.rows,
            institutions(&aids, "state").1,
            &[
                ("days", integer.clone(), &|row| {
                    (day(aids.of(row, "death")) - day(aids.of(row, "diag"))).to_string()
                }),
                ("status", text.clone(), &|row| aids.of(row, "status").to_owned()),
            ],
        ),
        // No institutions: the rest of the patient's number divided by five.
        Cohort::new(
            "colon",
            &colon.rows,
            colon
                .rows
                .iter()
                .map(|row| day(colon.of(row, "id")) as usize % 5)
                .collect(),
            &[
                ("days", integer.clone(), &|row| colon.of(row, "time").to_owned()),
                ("status", integer.clone(), &|row| colon.of(row, "status").to_owned()),
                ("rx", text.clone(), &|row| colon.of(row, "rx").to_owned()),
                ("etype", integer.clone(), &|row| colon.of(row, "etype").to_owned()),
            ],
        ),
        // Each time is a bin.
        Cohort::new(
            "lung-in-bins",
            &lung.rows,
            (0..lung.rows.len()).map(|row| row % 5).collect(),
            &[
                ("days", format!("{integer}bins = {times:?}\n"), &|row| {
                    lung.of(row, "time").to_owned()
                }),
                ("status", integer.clone(), &|row| lung.of(row, "status").to_owned()),
                ("sex", integer.clone(), &|row| lung.of(row, "sex").to_owned()),
            ],
        ),
    ];
    let sandbox = space_of(&cohorts.iter().collect::<Vec<_>>());
    let r = &oracle("kaplan_meier")["curves"];
    let survival = |collection: &str, nodes: usize, words: &[&str]| {
        let words = [&["--time", "days"], words].concat();
        found(&sandbox, "survival", collection, nodes, &words)
    };
    let node = |at: usize, _: &str| format!("node-{at}");
    let same = |_: usize, group: &str| group.to_owned();

    let by_node = survival("breast", 2, &["--event", "relapsed", "--by", "node"]);
    require_curves(&by_node, &r["breast_by_institution"], node);
    let by_hormon = ["--event", "relapsed", "--by", "hormon"];
    require_curves(&survival("breast", 2, &by_hormon), &r["breast_by_hormon"], same);
    // The institutions stand in the order of their names, so the rest of the world is between the Northeast and the South.
    let regions = ["--event", "died", "--by", "region", "--where", "region <> 'Other'"];
    require_curves(&survival("tcga", 7, &regions), &r["tcga_by_region"], same);
    let states = ["--event", "status", "--event-value", "D", "--by", "node"];
    require_curves(&survival("aids", 4, &states), &r["aids_by_state"], node);
    let deaths = ["--event", "status", "--by", "rx", "--where", "etype = 2"];
    require_curves(&survival("colon", 5, &deaths), &r["colon_by_rx"], same);

    // Of bins the exact estimate is not known, but within which bounds it lies.
    let binned = survival("breast-in-bins", 2, &by_hormon);
    let rows = binned["rows"].as_array().unwrap();
    for told in r["breast_by_hormon"]["survival_at"].as_array().unwrap() {
        let mut of_group = rows.iter().filter(|row| row["group"] == told["group"]);
        let after = told["time"].as_i64().unwrap() + 1;
        let row = of_group.find(|row| row["time"] == after).unwrap();
        assert_eq!(row["n_risk"], told["n_risk"], "{row}");
        let of = |row: &Value, name: &str| row[name].as_f64().unwrap();
        let exact = of(told, "survival");
        assert!(
            of(row, "bound_low") <= exact && exact <= of(row, "bound_high"),
            "{row} for {told}"
        );
        assert!(of(row, "bound_low") < of(row, "bound_high"), "{row}");
    }
    let chi_squared = binned["chi_squared"].as_f64().unwrap();
    let of_r = r["breast_by_hormon"]["logrank"]["chisq"].as_f64().unwrap();
    assert!((chi_squared / of_r - 1.0).abs() > 1e-3, "{chi_squared} is not of bins");

    // Unless each time is one: then it is known, and so is the test.
    let words = [
        "--event",
        "status",
        "--event-value",
        "2",
        "--by",
        "sex",
        "--method",
        "product-limit",
    ];
    let binned = survival("lung-in-bins", 5, &words);
    let r = &r["lung_by_sex"];
    let rows = binned["rows"].as_array().unwrap();
    for known in r["curves"].as_array().unwrap() {
        let of_group = rows
            .iter()
            .filter(|row| row["group"] == known["group"] && row["n_event"] != 0);
        let of_group: Vec<&Value> = of_group.collect();
        assert_eq!(of_group.len(), known["time"].as_array().unwrap().len());
        for (at, row) in of_group.into_iter().enumerate() {
            assert_eq!(row["n_risk"], known["n_risk"][at], "{row}");
            near(&row["survival"], &known["survival"][at], 1e-12);
            near(&row["bound_high"], &known["survival"][at], 1e-12);
            near(&row["std_error"], &known["std_err_greenwood"][at], 1e-10);
        }
    }
    near(&binned["chi_squared"], &r["logrank"]["chisq"], 1e-10);
    near(&binned["p"], &r["logrank"]["p"], 1e-9);
}

/// A table of the oracle as a data set, its numbers in eight bins.
struct Described {
    known: Value,
    table: Table,
    cohort: Cohort,
    /// The columns of numbers with the edges of their bins, and those of texts: as the oracle has them, and in SQL.
    numbers: Vec<(String, String, [f64; 9])>,
    texts: Vec<(String, String)>,
    institutions: Vec<String>,
}

impl Described {
    fn new(known: &Value) -> Self {
        let dataset = known["dataset"].as_str().unwrap();
        let table = Table::shared(dataset).unwrap();
        let id = dataset.split(['/', '.']).nth(1).unwrap().replace('_', "-");
        let sql = |name: &String| name.to_lowercase().replace('.', "_");
        let numbers = known["numeric"].as_object().unwrap().iter().map(|(name, known)| {
            let [low, high] = ["min", "max"].map(|end| known["pooled"][end].as_f64().unwrap());
            let (low, high) = (low.floor(), high.floor() + 1.0);
            let edge = |at: u8| low + (high - low) * f64::from(at) / 8.0;
            (name.clone(), sql(name), [0, 1, 2, 3, 4, 5, 6, 7, 8].map(edge))
        });
        let numbers: Vec<_> = numbers.collect();
        let texts = known["categorical"].as_object().unwrap().keys();
        let texts: Vec<_> = texts.map(|name| (name.clone(), sql(name))).collect();
        let (institutions, at) = match known["site_column"].as_str() {
            Some(column) => institutions(&table, column),
            // Which row goes where has no meaning: every fifth.
            None => (Vec::new(), (0..table.rows.len()).map(|row| row % 5).collect()),
        };
        let cell = |name: &String| {
            let at = table.columns.iter().position(|known| known == name).unwrap();
            move |row: &[String]| row[at].clone()
        };
        let cells: Vec<_> = numbers.iter().map(|(name, ..)| cell(name)).collect();
        let words: Vec<_> = texts.iter().map(|(name, _)| cell(name)).collect();
        let mut columns: Vec<(&str, String, Cell<'_>)> = Vec::new();
        for ((_, sql, edges), cell) in numbers.iter().zip(&cells) {
            columns.push((sql, format!("type = \"number\"\n{MEASURED}bins = {edges:?}\n"), cell));
        }
        for ((_, sql), cell) in texts.iter().zip(&words) {
            columns.push((sql, format!("type = \"text\"\n{ROLE}"), cell));
        }
        let cohort = Cohort::new(&id, &table.rows, at, &columns);
        Self {
            known: known.clone(),
            table,
            cohort,
            numbers,
            texts,
            institutions,
        }
    }

    fn nodes(&self) -> usize {
        self.cohort.at.iter().collect::<BTreeSet<_>>().len()
    }

    /// The known numbers of a column at a node, or at all of them, ascending.
    fn values(&self, name: &str, node: Option<usize>) -> Vec<f64> {
        let rows = self.table.rows.iter().zip(&self.cohort.at);
        let rows = rows.filter(|(_, at)| node.is_none_or(|node| **at == node));
        let mut values: Vec<f64> = rows
            .filter_map(|(row, _)| self.table.of(row, name).parse().ok())
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn require_all(&self, sandbox: &Sandbox) {
        let id = &self.cohort.id;
        let numbers = self.numbers.iter().map(|(_, sql, _)| sql.as_str());
        let names: Vec<&str> = numbers.chain(self.texts.iter().map(|(_, sql)| sql.as_str())).collect();
        let words = ["--columns", &names.join(",")];
        self.require(&found(sandbox, "describe", id, self.nodes(), &words), None);
        if !self.institutions.is_empty() {
            let words = [&words[..], &["--by", "node"]].concat();
            let by_node = found(sandbox, "describe", id, self.nodes(), &words);
            (0..self.nodes()).for_each(|node| self.require(&by_node, Some(node)));
        }
        let sums = self
            .numbers
            .iter()
            .map(|(_, sql, _)| format!("sum({sql}), var_samp({sql})"));
        let sums = sums.collect::<Vec<_>>().join(", ");
        let told = sandbox.ask(&format!("SELECT {sums} FROM {}", id.replace('-', "_")));
        for (at, (name, ..)) in self.numbers.iter().enumerate() {
            let known = &self.known["numeric"][name]["pooled"];
            near(&told["rows"][0][2 * at], &known["sum"], 1e-12);
            near(&told["rows"][0][2 * at + 1], &known["var"], 1e-10);
        }
    }

    fn require(&self, found: &Value, node: Option<usize>) {
        // Institutions without a name are in none of the oracle's groups.
        let site = node.map(|node| self.institutions[node].as_str());
        if site == Some("") {
            return;
        }
        let of = |known: &Value| match site {
            None => known["pooled"].clone(),
            Some(site) => match &known["by_site"][site] {
                Value::Null => known["by_site"][format!("{site}.0")].clone(),
                known => known.clone(),
            },
        };
        let group = node.map_or(Value::Null, |node| format!("node-{node}").into());
        for (name, sql, edges) in &self.numbers {
            let known = of(&self.known["numeric"][name]);
            let mut rows = found["rows"].as_array().unwrap().iter();
            let row = rows
                .find(|row| row["column"] == **sql && row["group"] == group)
                .unwrap();
            assert_eq!(
                (&row["n"], &row["missing"]),
                (&known["count"], &known["nulls"]),
                "{row}"
            );
            near(&row["mean"], &known["mean"], 1e-12);
            near(&row["sd"], &known["sd"], 1e-10);
            let values = self.values(name, node);
            for (share, of) in [(0.25, "q25"), (0.5, "median"), (0.75, "q75")] {
                let type7 = &known["quantiles_type7"][share.to_string()];
                require_quartile(row, of, share, type7, &values, edges);
            }
        }
        for (name, sql) in &self.texts {
            let known = of(&self.known["categorical"][name]);
            let known = known.as_object().unwrap().iter();
            let known: Vec<(String, u64)> = known.map(|(word, n)| (as_written(word), n.as_u64().unwrap())).collect();
            let rows = found["frequencies"].as_array().unwrap().iter();
            let rows = rows.filter(|row| row["column"] == **sql && row["group"] == group && row["n"] != 0);
            let rows = rows.map(|row| {
                (
                    as_written(row["value"].as_str().unwrap_or("nan")),
                    row["n"].as_u64().unwrap(),
                )
            });
            let (known, told): (BTreeSet<_>, BTreeSet<_>) = (known.into_iter().collect(), rows.collect());
            assert_eq!(told, known, "{name} at {site:?}");
        }
    }
}

/// Python writes whole numbers of a column in which some are not known with a point and a nought.
fn as_written(word: &str) -> String {
    word.parse::<f64>()
        .map_or_else(|_| word.to_owned(), |number| number.to_string())
}

/// A quartile is interpolated in the bin that has it, and that of type 7 lies in this bin, or between a value in it and the next outside.
fn require_quartile(row: &Value, name: &str, share: f64, type7: &Value, values: &[f64], edges: &[f64]) {
    if values.is_empty() {
        assert!(row[name].is_null() && type7.is_null(), "{name} of {row}");
        return;
    }
    let place = share * values.len() as f64;
    let below = |edge: f64| values.partition_point(|value| *value < edge) as f64;
    let mut bins = edges.windows(2);
    let bin = bins
        .find(|bin| below(bin[1]) >= place && below(bin[1]) > below(bin[0]))
        .unwrap();
    let inside = (place - below(bin[0])) / (below(bin[1]) - below(bin[0]));
    near(&row[name], &(bin[0] + (bin[1] - bin[0]) * inside).into(), 1e-12);
    assert_eq!(row["bins"][name], serde_json::json!(bin), "{row}");
    let before = (below(bin[0]) as usize).checked_sub(1).map_or(bin[0], |at| values[at]);
    let next = values.get(below(bin[1]) as usize).unwrap_or(&bin[1]);
    let type7 = type7.as_f64().unwrap();
    assert!(before <= type7 && type7 <= *next, "{type7} for {name} of {row}");
}

#[test]
fn institutions_are_described_as_pandas_describes_them() {
    if shared("oracles/descriptive.json").is_none() {
        return;
    }
    let tables = oracle("descriptive");
    let all: Vec<Described> = tables["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(Described::new)
        .collect();
    let sandbox = space_of(&all.iter().map(|of| &of.cohort).collect::<Vec<_>>());
    // Most of the time of a command is waiting: for documents, for nodes, for records on disk.
    for some in all.chunks(TOGETHER) {
        std::thread::scope(|scope| {
            for of in some {
                scope.spawn(|| of.require_all(&sandbox));
            }
        });
    }
}
