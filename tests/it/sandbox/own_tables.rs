//! Tables of the asker's own: joined with what nodes released, and seen by no node.

use super::{Sandbox, project};

const PURPOSE: [&str; 2] = ["--purpose", "ehds-53-1-e"];

const PER_100_000: &str = "SELECT c.district, h.name, c.cases, c.cases * 100000.0 / h.people AS per_100k FROM \
     (SELECT district, sum(cases) AS cases FROM measles_weekly GROUP BY district) c \
     JOIN inhabitants h ON c.district = h.district ORDER BY c.district";

fn with(sandbox: &Sandbox, name: &str, file: &str, content: &str) -> String {
    let path = sandbox.place().join(file);
    std::fs::write(&path, content).unwrap();
    format!("{name}={}", path.display())
}

#[test]
fn what_is_no_table_of_ones_own_is_refused_before_anybody_is_asked() {
    let sandbox = Sandbox::up(&project().join("examples/open/measles.toml"));
    let query = |with: &str| {
        sandbox
            .query(PER_100_000, &[&PURPOSE[..], &["--with", with]].concat())
            .returns(2)
    };
    let good = "district,name,people\n03401,Delmenhorst,75986\n";
    query("inhabitants").fails_with("E_USAGE", "--with NAME=FILE");
    query("inhabitants=/nowhere/districts.csv").fails_with("E_FILE_MISSING", "/nowhere/districts.csv");
    query(&with(&sandbox, "In habitants", "a.csv", good)).fails_with("E_USAGE", "begin with a letter");
    query(&with(&sandbox, "measles_weekly", "b.csv", good))
        .fails_with("E_USAGE", "there is a collection measles_weekly");
    query(&with(&sandbox, "inhabitants", "c.csv", "district,people\n03401\n")).fails_with("E_OWN_FILE", "c.csv");
    query(&with(&sandbox, "inhabitants", "d.txt", good)).fails_with("E_OWN_FILE", ".csv or .parquet");
    let other = with(&sandbox, "others", "e.csv", good);
    query(&other).fails_with("E_SQL_COLLECTION", "inhabitants");
}

#[test]
fn released_results_are_joined_with_a_table_that_no_node_sees() {
    let sandbox = Sandbox::up(&project().join("examples/open/measles.toml"));
    let own = with(
        &sandbox,
        "inhabitants",
        "districts.csv",
        "district;name;people\n03402;Emden-Stadt;51445\n03401;Delmenhorst;75986\n99999;nowhere;1\n",
    );
    let more = [&PURPOSE[..], &["--with", &own, "--format", "json"]].concat();
    let answer = sandbox.query(PER_100_000, &more).returns(0).json();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(
        (&rows[1][0], &rows[1][1], &rows[1][2]),
        (&"03402".into(), &"Emden-Stadt".into(), &292.into())
    );
    assert!((rows[1][3].as_f64().unwrap() - 292.0 * 100_000.0 / 51_445.0).abs() < 1e-9);
    let asked = sandbox
        .query(PER_100_000, &[&PURPOSE[..], &["--with", &own, "--dry-run"]].concat())
        .returns(0)
        .out();
    assert!(asked.contains("FROM measles_weekly"), "{asked}");
    for node in ["weser-ems-cities", "weser-ems-counties"] {
        let audit = super::datenraum([
            std::path::PathBuf::from("audit"),
            "show".into(),
            sandbox.dir().join("nodes").join(node),
        ])
        .returns(0)
        .out();
        assert!(audit.contains("FROM measles_weekly"), "{audit}");
        let seen = [&asked, &audit]
            .into_iter()
            .any(|text| text.contains("people") || text.contains("Emden-Stadt"));
        assert!(!seen, "{asked}{audit}");
    }
}
