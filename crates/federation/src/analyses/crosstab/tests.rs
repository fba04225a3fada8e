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
    assert!(lacks_levels(&cells(false), &[(&three, &found)]));
    assert!(!lacks_levels(&cells(false), &[(&two, &found)]));
    assert!(!lacks_levels(&cells(true), &[(&three, &found)]));

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
