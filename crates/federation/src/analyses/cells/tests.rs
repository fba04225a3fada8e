use super::*;

fn open(value: f64) -> Number {
    Number {
        value: Some(value),
        open: Some((Some(value), None)),
        bin: None,
    }
}

fn cells(complete: bool, numbers: &[(&str, Number)]) -> Cells {
    let cells = numbers.iter().map(|(key, number)| Cell {
        keys: vec![Some((*key).to_owned()).filter(|key| !key.is_empty())],
        numbers: vec![*number],
    });
    Cells {
        cells: cells.collect(),
        complete,
        withholding: vec!["clinic-b".parse().unwrap()],
    }
}

#[test]
fn a_cell_that_was_withheld_is_never_taken_as_empty() {
    let some = cells(false, &[("a", Number::known(5.0)), ("b", open(7.0))]);
    assert_eq!(some.count(&["a"], 0), Ok(5.0));
    for key in ["b", "c"] {
        let report = some.count(&[key], 0).unwrap_err();
        assert_eq!(report.problem, Problem::Withheld);
        assert!(report.remedy.contains("node NOT IN ('clinic-b')"), "{}", report.remedy);
    }
    assert_eq!(some.number(&["c"], 0).exact(), None);
    let all = cells(true, &[("a", Number::known(5.0))]);
    assert_eq!(all.count(&["c"], 0), Ok(0.0));
}

#[test]
fn what_is_added_to_something_open_is_open() {
    let both = Number::known(5.0).plus(open(7.0));
    assert_eq!((both.value, both.open), (Some(12.0), Some((Some(12.0), None))));
    assert_eq!(Number::known(5.0).plus(Number::known(7.0)), Number::known(12.0));
    assert_eq!(Number::known(5.0).minus(open(3.0)).exact(), None);
}

#[test]
fn rows_that_are_not_known_are_dropped_and_counted() {
    let (known, dropped) = cells(true, &[("a", Number::known(5.0)), ("", Number::known(2.0))]).without_unknown(0);
    assert_eq!((known.cells.len(), dropped), (1, Number::known(2.0)));
    let (_, dropped) = cells(false, &[("a", Number::known(5.0))]).without_unknown(0);
    assert_eq!((dropped.value, dropped.exact()), (Some(0.0), None));
}
