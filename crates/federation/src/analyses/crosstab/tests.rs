use super::*;
use crate::analyses::cells::Cell;

fn key(levels: &[&str]) -> Key {
    Key {
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        ..Key::node()
    }
}

fn cells(complete: bool) -> Cells {
    let cell = |row: &str, column: &str, n: f64| Cell {
        keys: vec![Some(row.to_owned()), Some(column.to_owned())],
        numbers: vec![Number::known(n)],
    };
    let all = vec![
        cell("a", "x", 20.0),
        cell("a", "y", 30.0),
        cell("b", "x", 40.0),
        cell("b", "y", 50.0),
    ];
    Cells::new(all, complete, vec!["clinic-b".parse().unwrap()])
}

#[test]
fn a_table_that_lacks_a_value_is_tested_only_if_nobody_has_it() {
    let found = ["a", "b"].map(str::to_owned).to_vec();
    let (two, three) = (key(&["a", "b"]), key(&["a", "b", "c"]));
    assert!(cells(false).can_lack(&three, &found));
    assert!(!cells(false).can_lack(&two, &found));
    assert!(!cells(true).can_lack(&three, &found));
    assert!(cells(false).can_lack(&key(&[]), &found));

    let counts = || vec![vec![20.0, 30.0], vec![40.0, 50.0]];
    let is_whole = |all: Number, dropped: f64| whole(counts(), all, Number::known(dropped), &cells(false));
    assert!(is_whole(Number::known(140.0), 0.0).is_ok());
    assert!(is_whole(Number::known(145.0), 5.0).is_ok());
    let open = Number {
        open: Some((Some(140.0), None)),
        ..Number::known(140.0)
    };
    for all in [Number::known(144.0), open] {
        let report = is_whole(all, 0.0).unwrap_err();
        assert_eq!(report.problem, Problem::Withheld);
        assert!(report.message.contains("not in the table"), "{}", report.message);
    }
}

#[test]
fn strata_that_are_not_all_told_have_no_common_odds_ratio() {
    let (found, two) = (["a", "b"].map(str::to_owned), ["x", "y"].map(str::to_owned));
    let cell = |stratum: Option<&str>, row: &str, column: &str| Cell {
        keys: vec![
            stratum.map(str::to_owned),
            Some(row.to_owned()),
            Some(column.to_owned()),
        ],
        numbers: vec![Number::known(20.0)],
    };
    let told = |strata: &[Option<&str>], complete: bool| {
        let cells = strata.iter().flat_map(|stratum| {
            [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")].map(|(row, column)| cell(*stratum, row, column))
        });
        Cells::new(cells.collect(), complete, Vec::new())
    };
    let of = |cells: &Cells, all: f64| over_strata(cells, all, &key(&[]), &found, &two);
    let both = told(&[Some("north"), Some("south")], false);
    assert!(of(&both, 160.0).is_ok());
    let report = of(&both, 170.0).unwrap_err();
    assert!(
        report.problem == Problem::Withheld && report.message.contains("a stratum"),
        "{report:?}"
    );
    // Who has no known stratum is left out, where all of them are told.
    assert!(of(&told(&[Some("north"), None], false), 160.0).is_ok());
    assert!(of(&told(&[Some("north"), Some("south")], true), 170.0).is_ok());
}
