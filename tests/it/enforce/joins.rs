//! What a dataset must be so that others can refer to it.

use std::fs;

use engine::Datasets;
use policy::Rules;
use terms::{Problem, Report};

use super::bench::Bench;

/// Adds districts with these lines.
fn add(rules: &Rules, lines: &str) -> Result<u64, Report> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("districts.csv");
    fs::write(&file, format!("district,region,rural,beds,mayor\n{lines}")).unwrap();
    let datasets = Datasets::open(&place.path().join("datasets")).unwrap();
    let collection = &rules.collections[&"districts".parse().unwrap()];
    let added = datasets.add(&file, collection, "2026-11-21T11:00:00Z".parse().unwrap());
    added.map(|dataset| dataset.rows())
}

#[test]
fn a_key_that_is_there_twice_is_refused_when_the_data_are_added() {
    let rules = &Bench::shared().rules;
    let twice = add(
        rules,
        "North,coast,true,10,M\nSouth,hills,true,10,M\nNorth,plain,true,10,M\n",
    )
    .unwrap_err();
    assert_eq!(twice.problem, Problem::DataFormat);
    assert_eq!(
        twice.message,
        "row 4, column district: the same key as in a row before, and district is the key of the collection"
    );
    let missing = add(rules, "North,coast,true,10,M\n,hills,true,10,M\n").unwrap_err();
    assert_eq!(
        missing.message,
        "row 3, column district: nothing where the collection expects text"
    );
    assert_eq!(add(rules, "North,coast,true,10,M\nSouth,hills,true,10,M\n").unwrap(), 2);
}
