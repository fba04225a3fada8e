//! Statistics over nodes against those of the pooled rows, computed by R, scipy and statsmodels; and what becomes of them where cells are
//! withheld.
//!
//! Each institution of the data is a node. What is not part of the project is read from beside it; without it a test says so and passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::called::asked;
use super::models::{STATISTICAL, made_up, space};
use super::oracles::{Table, near, oracle, require_curves};
use super::{Run, Sandbox, datenraum, project};

const PURPOSE: [&str; 2] = ["--purpose", "ehds-53-1-e"];

/// A data space of open data with a node for each site. A column is `name type`, and can be grouped, filtered and measured.
fn open_space(columns: &[&str], sites: &BTreeMap<String, Vec<Vec<String>>>) -> Sandbox {
    let named: Vec<(&str, &str)> = columns.iter().map(|column| column.split_once(' ').unwrap()).collect();
    let mut collection = "id = \"study\"\ntitle = \"A study\"\npersonal = false\n".to_owned();
    for (name, kind) in &named {
        let roles = match *kind {
            "integer" | "number" => "[\"group\", \"filter\", \"measure\"]",
            _ => "[\"group\", \"filter\"]",
        };
        collection.push_str(&format!("\n[columns.{name}]\ntype = \"{kind}\"\nrole = {roles}\n"));
    }
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let policy = format!(
        "id = \"open\"\nversion = 1\ntitle = \"Open\"\ncollection = \"study\"\nvalid_from = 2020-01-01\nvalid_until = 2099-12-31\n\
         [[permission]]\nid = \"all\"\nassignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\n\
         release = \"aggregates\"\ncolumns = [\"node\", {}]\n[permission.disclosure]\ntier = \"open\"\n",
        names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut spec =
        "space = \"study\"\nboard = { members = 1, threshold = 1 }\ncollections = [\"collections/study.toml\"]\n\
                    policies = [\"policies/open.toml\"]\n"
            .to_owned();
    let mut files = vec![
        ("collections/study.toml".to_owned(), collection),
        ("policies/open.toml".to_owned(), policy),
    ];
    for (site, rows) in sites {
        let id: String = site
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        spec.push_str(&format!(
            "\n[[node]]\nid = \"site-{id}\"\nroles = [\"hospital\"]\ndatasets = [{{ collection = \"study\", path = \"{id}.csv\" }}]\n"
        ));
        let lines = rows.iter().map(|row| row.join(",") + "\n");
        files.push((
            format!("{id}.csv"),
            format!("{}\n{}", names.join(","), lines.collect::<String>()),
        ));
    }
    spec.push_str("\n[[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n");
    files.push(("spec.toml".to_owned(), spec));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    sandbox
}

/// Splits rows by a column; of each, the fields of others.
fn by_site(table: &Table, site: &str, row: impl Fn(&[String]) -> Vec<String>) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut sites: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for fields in &table.rows {
        sites
            .entry(table.of(fields, site).to_owned())
            .or_default()
            .push(row(fields));
    }
    sites
}

fn run(sandbox: &Sandbox, command: &str, words: &[&str]) -> Run {
    let dir = sandbox.dir();
    let first = [command, "--sandbox", dir.to_str().unwrap()];
    datenraum(first.iter().chain(&PURPOSE).chain(words))
}

/// Runs a command that works, and reads its JSON.
fn found(sandbox: &Sandbox, command: &str, words: &[&str]) -> Value {
    let words = [&["--collection", "study", "--format", "json"], words].concat();
    let json = run(sandbox, command, &words).returns(0).json();
    assert!(!json["questions"].as_array().unwrap().is_empty(), "{json}");
    assert!(!json["coverage"].as_array().unwrap().is_empty(), "{json}");
    json
}

/// The same counts in the same order.
fn require_table(found: &Value, scipy: &Value) {
    let counts: Vec<&Value> = scipy["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .collect();
    let told: Vec<&Value> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| &cell["n"])
        .collect();
    assert_eq!(told, counts);
}

#[test]
fn four_hospitals_have_the_statistics_that_scipy_and_statsmodels_compute() {
    let Some(heart) = Table::shared("clinical/uci_heart_4hospitals.csv") else {
        return;
    };
    let columns = ["age", "trestbps", "thalach", "oldpeak", "disease"];
    let sites = by_site(&heart, "hospital", |row| {
        columns.map(|column| heart.of(row, column).to_owned()).to_vec()
    });
    let sandbox = open_space(
        &[
            "age number",
            "trestbps number",
            "thalach number",
            "oldpeak number",
            "disease integer",
        ],
        &sites,
    );
    let known = &oracle("tests_meta")["results"];

    let tests = found(&sandbox, "compare", &["--outcome", "thalach", "--by", "disease"]);
    let scipy = &known["heart_thalach_by_disease"];
    for (at, name, sign) in [(0, "welch", -1.0), (1, "student", -1.0)] {
        let t = tests["tests"][at]["t"].as_f64().unwrap() * sign;
        near(&t.into(), &scipy[name]["t"], 1e-10);
        near(&tests["tests"][at]["df"], &scipy[name]["df"], 1e-10);
        near(&tests["tests"][at]["p"], &scipy[name]["p"], 1e-8);
    }

    let anova = found(&sandbox, "compare", &["--outcome", "age", "--by", "node"]);
    near(
        &anova["anova"][0]["f"],
        &known["heart_age_anova_by_hospital"]["F"],
        1e-10,
    );
    near(
        &anova["anova"][0]["p"],
        &known["heart_age_anova_by_hospital"]["p"],
        1e-8,
    );
    let df = |at: usize| anova["anova"][at]["df"].clone();
    assert_eq!(
        known["heart_age_anova_by_hospital"]["df"],
        serde_json::json!([df(0), df(1)])
    );

    let table = found(&sandbox, "crosstab", &["--rows", "node", "--columns", "disease"]);
    let scipy = &known["heart_hospital_x_disease_chi2"];
    near(&table["tests"][0]["statistic"], &scipy["chi2"], 1e-10);
    near(&table["tests"][0]["p"], &scipy["p"], 1e-8);
    assert_eq!(table["tests"][0]["df"], scipy["df"]);
    require_table(&table, &scipy["table"]);

    let words = ["--columns", "age,trestbps,thalach,oldpeak", "--complete"];
    let pairs = found(&sandbox, "correlate", &words);
    let numpy = &known["heart_correlation_complete_cases"];
    let complete = "WHERE trestbps IS NOT NULL AND thalach IS NOT NULL AND oldpeak IS NOT NULL";
    let mut at = 0;
    for one in 0..4 {
        for other in one..4 {
            let [x, y] = [one, other].map(|at| columns[at]);
            let told = sandbox.ask(&format!("SELECT covar_samp({x}, {y}) AS c FROM study {complete}"));
            near(&told["rows"][0][0], &numpy["covariance_n_minus_1"][one][other], 1e-10);
            if one < other {
                near(&pairs["rows"][at]["r"], &numpy["pearson"][one][other], 1e-10);
                assert_eq!(pairs["rows"][at]["n"], numpy["n"]);
                at += 1;
            }
        }
    }

    let meta = found(&sandbox, "meta", &["--outcome", "age"]);
    let statsmodels = &known["heart_meta_mean_age"];
    near(&meta["terms"][0]["estimate"], &statsmodels["fixed"]["estimate"], 1e-10);
    near(&meta["terms"][0]["std_error"], &statsmodels["fixed"]["se"], 1e-10);
    near(
        &meta["terms"][1]["estimate"],
        &statsmodels["dersimonian_laird"]["estimate"],
        1e-10,
    );
    near(
        &meta["terms"][1]["std_error"],
        &statsmodels["dersimonian_laird"]["se"],
        1e-10,
    );
    for (of, of_statsmodels) in [("q", "cochran_q"), ("df", "df"), ("i_squared", "i2")] {
        near(&meta[of], &statsmodels[of_statsmodels], 1e-10);
    }
    near(&meta["p_q"], &statsmodels["p_q"], 1e-8);
    near(
        &meta["tau_squared_dl"],
        &statsmodels["dersimonian_laird"]["tau2"],
        1e-10,
    );
    for (at, site) in meta["rows"].as_array().unwrap().iter().enumerate() {
        near(&site["estimate"], &statsmodels["estimate"][at], 1e-12);
        near(&site["std_error"], &statsmodels["se"][at], 1e-10);
    }

    let described = found(&sandbox, "describe", &["--columns", "trestbps", "--histogram"]);
    let counted = described["frequencies"].as_array().unwrap().iter();
    assert_eq!(counted.map(|row| row["n"].as_u64().unwrap()).sum::<u64>(), 920);
}

#[test]
fn eighteen_hospitals_have_the_survival_curves_of_r() {
    let Some(lung) = Table::shared("clinical/lung.csv") else {
        return;
    };
    let mut sites = by_site(&lung, "inst", |row| {
        let died = if lung.of(row, "status") == "2" { "true" } else { "false" };
        [lung.of(row, "time"), died, lung.of(row, "sex"), lung.of(row, "wt.loss")]
            .map(str::to_owned)
            .to_vec()
    });
    // One patient has no institution, and belongs to the pooled result.
    let lost: Vec<_> = ["", "NA"]
        .iter()
        .filter_map(|name| sites.remove(*name))
        .flatten()
        .collect();
    assert_eq!((lost.len(), sites.len()), (1, 18));
    sites.get_mut("1").unwrap().extend(lost);
    let sandbox = open_space(
        &["time integer", "died boolean", "sex integer", "wt_loss integer"],
        &sites,
    );
    let words = ["--time", "time", "--event", "died", "--by", "sex"];
    let curves = found(&sandbox, "survival", &words);
    let r = &oracle("kaplan_meier")["curves"]["lung_by_sex"];
    require_curves(&curves, r, |_, group| group.to_owned());

    let ranks = found(&sandbox, "compare", &["--outcome", "wt_loss", "--by", "sex", "--ranks"]);
    let scipy = &oracle("tests_meta")["results"]["lung_wtloss_mannwhitney_by_sex"];
    near(&ranks["rank_tests"][0]["u"], &scipy["U_sex1"], 1e-12);
    near(
        &ranks["rank_tests"][0]["p"],
        &scipy["p_asymptotic_tie_corrected_continuity"],
        1e-9,
    );
    assert_eq!(ranks["dropped"], 14);
}

#[test]
fn a_trial_at_four_sites_has_its_exact_test_and_common_odds_ratio() {
    let Some(trial) = Table::shared("clinical/indo_rct_4sites.csv") else {
        return;
    };
    let sites = by_site(&trial, "site", |row| {
        ["rx", "outcome"]
            .map(|column| trial.of(row, column).to_owned())
            .to_vec()
    });
    let sandbox = open_space(&["rx text", "outcome text"], &sites);
    let table = found(
        &sandbox,
        "crosstab",
        &["--rows", "rx", "--columns", "outcome", "--strata", "node"],
    );
    let scipy = &oracle("tests_meta")["results"]["indo_outcome_by_rx"];
    require_table(&table, &scipy["table"]);
    near(&table["tests"][2]["p"], &scipy["fisher_p"], 1e-10);
    near(&table["odds_ratios"][0]["estimate"], &scipy["odds_ratio_sample"], 1e-12);
    near(
        &table["common_odds_ratio"][0]["estimate"],
        &scipy["mantel_haenszel_or_by_site"],
        1e-10,
    );
}

/// R leaves rows without a known number out, and so a group that has no others; scipy does so too if the empty group is not given to it.
#[test]
fn a_group_without_a_known_number_is_in_no_test_and_the_others_are_those_of_scipy() {
    let row = |at: usize| {
        let half = (at * 37 % 50) as f64 / 2.0 + if at % 3 == 1 { 2.5 } else { 0.0 };
        vec![["a", "b", "d"][at % 3].to_owned(), half.to_string()]
    };
    let unknown = std::iter::repeat_n(vec!["c".to_owned(), String::new()], 5);
    let rows: Vec<Vec<String>> = (0..42).map(row).chain(unknown).collect();
    let (north, south) = rows.split_at(20);
    let sites = [("north", north), ("south", south)].map(|(site, rows)| (site.to_owned(), rows.to_vec()));
    let sandbox = open_space(&["ward text", "days number"], &BTreeMap::from(sites));
    let words = ["--outcome", "days", "--by", "ward", "--ranks"];
    let several = found(&sandbox, "compare", &words);
    near(&several["anova"][0]["f"], &0.9777048911483748.into(), 1e-10);
    near(&several["anova"][0]["p"], &0.38520326693004975.into(), 1e-10);
    near(&several["rank_tests"][0]["h"], &2.0193115904275882.into(), 1e-10);
    near(&several["rank_tests"][0]["p"], &0.3643443670657688.into(), 1e-10);
    let without = &several["rows"][2];
    assert_eq!((&without["group"], &without["n"]), (&"c".into(), &0.into()));
    assert!(without["mean"].is_null() && several["dropped"] == 5, "{several}");
    let notes = several["notes"].to_string();
    assert!(notes.contains("nobody in the group c has a known number"), "{notes}");
    let two = found(&sandbox, "compare", &[&words[..], &["--where", "ward <> 'd'"]].concat());
    near(&two["tests"][0]["t"], &(-1.1028536140374245).into(), 1e-10);
    near(&two["tests"][0]["df"], &25.939419295207866.into(), 1e-10);
    near(&two["tests"][0]["p"], &0.28021796844362207.into(), 1e-10);
    near(&two["rank_tests"][0]["u"], &76.0.into(), 1e-12);
    near(&two["rank_tests"][0]["p"], &0.3232138110799865.into(), 1e-10);
    let one = found(
        &sandbox,
        "compare",
        &[&words[..], &["--where", "ward IN ('a', 'c')"]].concat(),
    );
    let notes = one["notes"].to_string();
    assert!(notes.contains("fewer than two groups with known numbers"), "{notes}");
}

#[test]
fn what_needs_exact_counts_is_refused_where_a_policy_rounds_before_anybody_is_asked() {
    let rounding = STATISTICAL.replace("min_people = 10", "min_people = 10\nround_to = 5");
    let nodes = [("a", 0..200), ("b", 200..400), ("c", 400..600)];
    let sandbox = space(
        &rounding,
        &nodes.map(|(node, people)| (node, made_up(people, |_, _| {}))),
    );
    let ask = |command: &str, words: &[&str]| run(&sandbox, command, &[&["--collection", "heart"], words].concat());
    let ranks = ["--outcome", "age", "--by", "sex", "--ranks"];
    let table = ["--rows", "sex", "--columns", "disease", "--format", "json"];
    ask("compare", &ranks)
        .returns(4)
        .fails_with("E_WITHHELD", "multiples of 5");
    let strata = ask("crosstab", &[&table[..], &["--strata", "node"]].concat());
    strata.returns(4).fails_with("E_WITHHELD", "leave --strata out");
    ask("meta", &ranks[..2])
        .returns(4)
        .fails_with("E_WITHHELD", "multiples of 5");
    let curve = ["--time", "age", "--event", "disease"];
    ask("survival", &curve)
        .returns(4)
        .fails_with("E_WITHHELD", "multiples of 5");
    assert_eq!(asked(&sandbox), 0);
    // The table is shown, without what would be asked for its tests alone.
    for (command, words) in [
        ("compare", &[&ranks[..4], &table[4..]].concat()[..]),
        ("crosstab", &table),
    ] {
        let found = ask(command, words).returns(0).json();
        assert_eq!(found["questions"].as_array().unwrap().len(), 1, "{found}");
        let notes = found["notes"].to_string();
        assert!(
            notes.contains("multiples of 5") && notes.contains("fit a model"),
            "{notes}"
        );
        assert!(found["rows"][0]["open"]["n"]["low"].is_number(), "{found}");
    }
}

#[test]
fn what_is_withheld_is_never_taken_as_nothing() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    let ask = |command: &str, words: &[&str]| run(&sandbox, command, words);
    let lung = ["--collection", "lung-cancer", "--format", "json"];
    let breast = ["--collection", "breast-cancer", "--format", "json"];

    // Unknown names, before anything is asked.
    ask("describe", &["--collection", "lung-cancer", "--columns", "agee"]).fails_with("E_SQL_COLUMN", "no column agee");
    ask("describe", &["--collection", "lung", "--columns", "age"]).fails_with("E_SQL_COLLECTION", "no collection lung");
    ask(
        "compare",
        &["--collection", "lung-cancer", "--outcome", "sex", "--by", "ecog"],
    )
    .fails_with("E_SQL_ROLE", "numbers are needed");
    let plot = [
        "--collection",
        "lung-cancer",
        "--outcome",
        "age",
        "--plot",
        "forest.pdf",
    ];
    ask("meta", &plot).fails_with("E_CHART", "neither an SVG nor a PNG");
    // What the policy says, as it says it.
    let run = datenraum(
        [
            "describe",
            "--sandbox",
            sandbox.dir().to_str().unwrap(),
            "--purpose",
            "ehds-54-b",
        ]
        .iter()
        .chain(&["--collection", "lung-cancer", "--columns", "age"]),
    );
    assert!(run.err().contains("0 of 18 nodes answered"), "{}", run.err());
    run.returns(4).fails_with("E_PROHIBITED", "Art. 54 EHDS");

    // Small hospitals withhold; no test is made of what is left, and every count says what it can be.
    let table = ask(
        "crosstab",
        &[&breast, ["--rows", "grade", "--columns", "hormone"].as_slice()].concat(),
    )
    .returns(0)
    .json();
    assert_eq!(table.get("tests"), None, "{table}");
    assert!(table["notes"].to_string().contains("no test: the cell (1, "), "{table}");
    let cells = table["rows"].as_array().unwrap();
    assert!(
        cells
            .iter()
            .any(|cell| cell["open"]["n"]["high"].is_null() && cell["n"].is_u64()),
        "{table}"
    );
    assert!(cells.iter().all(|cell| cell["expected"].is_null()), "{table}");
    let means = ask(
        "compare",
        &[&lung, ["--outcome", "age", "--by", "sex"].as_slice()].concat(),
    )
    .returns(0)
    .json();
    assert!(means["notes"].to_string().contains("no test of averages"), "{means}");
    let curves = ["--time", "survival_days", "--event", "died", "--by", "sex"];
    ask("survival", &[&lung, curves.as_slice()].concat())
        .returns(4)
        .fails_with("E_WITHHELD", "was not all released");

    // Two large cohorts release enough: the curve is exact but for the ranges of days, and says by how much.
    let curves = ["--time", "relapse_free_days", "--event", "relapsed", "--by", "hormone"];
    let found = ask("survival", &[&breast, curves.as_slice()].concat())
        .returns(0)
        .json();
    let rows = found["rows"].as_array().unwrap();
    for row in rows {
        let number = |name: &str| row[name].as_f64();
        assert!(number("bound_low") <= number("bound_high"), "{row}");
        match number("survival") {
            Some(survival) => assert!(
                (number("bound_low")..=number("bound_high")).contains(&Some(survival)),
                "{row}"
            ),
            None => assert!(
                row["ci_low"].is_null() && row["open"]["survival"]["high"] == row["bound_high"],
                "{row}"
            ),
        }
    }
    assert!(
        rows.iter()
            .any(|row| row["survival"].is_null() && row["n_unclear"].as_f64() > Some(0.0)),
        "{found}"
    );
    assert!(
        found["notes"].to_string().contains("lies from bound_low to bound_high"),
        "{found}"
    );
    let people: f64 = found["medians"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["n"].as_f64().unwrap() + group["unseen"].as_f64().unwrap())
        .sum();
    assert_eq!(people, 3668.0);
}

#[test]
fn rates_are_joined_to_own_numbers_of_people_and_to_a_map() {
    let sandbox = Sandbox::up(&project().join("examples/open/measles.toml"));
    let file = |name: &str| sandbox.place().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
    write("people.csv", "district,population\n03457,75986\n03402,51445\n");
    let square = |key: &str, west: f64| {
        format!(
            "{{\"type\":\"Feature\",\"properties\":{{\"ags\":\"{key}\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":\
             [[[{west},53],[{0},53],[{0},54],[{west},54],[{west},53]]]}}}}",
            west + 1.0
        )
    };
    let map = format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{},{}]}}",
        square("03457", 8.0),
        square("99999", 9.0)
    );
    write("map.geojson", &map);
    let people = file("people.csv");
    let first = [
        "--collection",
        "measles-weekly",
        "--cases",
        "cases",
        "--by",
        "district",
        "--format",
        "json",
    ];
    let ask = |words: &[&str]| run(&sandbox, "rates", &[&first, words].concat());
    ask(&["--population", &file("map.csv")]).fails_with("E_OWN_FILE", "map.csv");
    ask(&["--population", "persons"]).fails_with("E_SQL_COLUMN", "no column persons");
    let (map, out, plot) = (file("map.geojson"), file("out.geojson"), file("map.svg"));
    let words = [
        "--population",
        &people,
        "--geojson",
        &map,
        "--geojson-out",
        &out,
        "--plot",
        &plot,
    ];
    let found = ask(&words).returns(0).json();
    let cases = sandbox.ask("SELECT sum(cases) FROM measles_weekly WHERE district = '03457'");
    let cases = cases["rows"][0][0].as_f64().unwrap();
    let rows = found["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["place"] == "03457").unwrap();
    near(&row["crude"], &(cases / 75_986.0 * 1e5).into(), 1e-12);
    assert!(row["crude_ci_low"].as_f64() < row["crude"].as_f64(), "{row}");
    // A district of whose people nothing is known has no rate, and one that nobody told of is not pale on the map.
    assert!(
        rows.iter().any(|row| row["people"] == 0 && row["crude"].is_null()),
        "{found}"
    );
    let joined: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    near(&joined["features"][0]["properties"]["crude"], &row["crude"], 1e-12);
    assert!(joined["features"][1]["properties"]["crude"].is_null(), "{joined}");
    let drawn = std::fs::read_to_string(&plot).unwrap();
    assert!(
        drawn.contains("not released, or not asked") && drawn.contains("2 of 2 nodes answered"),
        "{drawn}"
    );
}

#[test]
fn rates_are_standardised_over_nodes() {
    let rows = |people: &[(u32, u32, u32)]| {
        let row = |(age, cases, people): &(u32, u32, u32)| {
            vec![format!("{age}-{}", age + 19), cases.to_string(), people.to_string()]
        };
        people.iter().map(row).collect::<Vec<_>>()
    };
    let sites = BTreeMap::from([
        (
            "north".to_owned(),
            rows(&[(0, 4, 2000), (20, 10, 3000), (40, 30, 2500)]),
        ),
        ("south".to_owned(), rows(&[(0, 1, 500), (20, 5, 900), (40, 22, 1500)])),
    ]);
    let sandbox = open_space(&["age text", "cases integer", "people integer"], &sites);
    let words = [
        "--cases",
        "cases",
        "--population",
        "people",
        "--age",
        "age",
        "--standard",
        "european-2013",
    ];
    let found = found(&sandbox, "rates", &words);
    let row = &found["rows"][0];
    assert_eq!((&row["cases"], &row["people"]), (&72.into(), &10_400.into()));
    // The standard has 21500, 25500 and 27500 people of these ages.
    let expected = (21_500.0 * 5.0 / 2500.0 + 25_500.0 * 15.0 / 3900.0 + 27_500.0 * 52.0 / 4000.0) / 74_500.0 * 1e5;
    near(&row["standardised"], &expected.into(), 1e-12);
    assert!(
        found["notes"].to_string().contains("European Standard Population 2013"),
        "{found}"
    );
    let words = [
        "--cases",
        "cases",
        "--population",
        "people",
        "--by",
        "node",
        "--age",
        "cases",
        "--standard",
        "european-2013",
    ];
    run(
        &sandbox,
        "rates",
        &[&["--collection", "study"], words.as_slice()].concat(),
    )
    .fails_with("E_STATISTIC", "is no age group");
}

#[test]
fn estimates_of_files_are_put_together_without_anybody_being_asked() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file: PathBuf = Path::new(place.path()).join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let model =
        |estimate: f64| format!("{{\"terms\":[{{\"term\":\"age\",\"estimate\":{estimate},\"std_error\":0.1}}]}}");
    let (north, south) = (file("north.json", &model(0.2)), file("south.json", &model(0.4)));
    let plot = place.path().join("forest.svg");
    let both = ["meta", "--estimates", &north, "--estimates", &south];
    datenraum(both.iter().chain(&["--term", "sex"])).fails_with("E_FILE_VALUE", "no term sex");
    datenraum(both).fails_with("E_FILE_VALUE", "several terms");
    datenraum(["meta", "--estimates", &north, "--term", "age"]).fails_with("E_STATISTIC", "fewer than two estimates");
    let words = ["--term", "age", "--format", "json", "--plot", plot.to_str().unwrap()];
    let found = datenraum(both.iter().chain(&words)).returns(0).json();
    near(&found["terms"][0]["estimate"], &0.3.into(), 1e-12);
    near(&found["q"], &2.0.into(), 1e-9);
    assert!(std::fs::read_to_string(plot).unwrap().contains("random effects (REML)"));
}

/// Runs the guide's commands one after the other in new sandboxes. With UPDATE_DOCS set, what they say is written into it.
#[test]
fn the_guide_says_what_the_commands_say() {
    let (oncology, measles) = (
        Sandbox::up(&project().join("demo/oncology.toml")),
        Sandbox::up(&project().join("examples/open/measles.toml")),
    );
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(measles.dir(), place.path().join("measles")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_datenraum")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let file = project().join("docs/statistics.md");
    let guide = std::fs::read_to_string(&file).unwrap();
    let mut told = String::new();
    let mut parts = guide.split("```sh\n");
    told.push_str(parts.next().unwrap());
    for part in parts {
        let (commands, rest) = part.split_once("```\n\n```text\n").expect("commands and what they say");
        let (_, rest) = rest.split_once("```\n").unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", commands]).current_dir(place.path());
        shell.env("PATH", &path).env("DATENRAUM_SANDBOX", oncology.dir());
        let run = Run(shell.output().unwrap()).returns(0);
        told.push_str(&format!("```sh\n{commands}```\n\n```text\n{}```\n{rest}", run.out()));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, told).unwrap();
        return;
    }
    assert!(
        guide == told,
        "docs/statistics.md says something else than the commands; UPDATE_DOCS=1 writes it anew"
    );
}
