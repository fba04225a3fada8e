use super::*;
use crate::analyses::Cell;

fn of_bins() -> Key {
    Key {
        name: "age".to_owned(),
        sql: "bin(age)".to_owned(),
        levels: ["[30, 40)", "[40, 50)", "[50, 60)"].map(str::to_owned).to_vec(),
        edges: vec![30.0, 40.0, 50.0, 60.0],
        is_number: true,
        unit: None,
    }
}

fn group(level: &str, n: Number) -> Group {
    Group {
        level: level.to_owned(),
        n,
        mean: Number::known(45.0),
        sd: Number::known(8.0),
    }
}

/// Twenty rows of each group in each of these bins; that another one is not there does not say that nobody is in it.
fn released(bins: &[&str]) -> Cells {
    let cells = bins.iter().flat_map(|bin| {
        ["0", "1"].map(|level| Cell {
            keys: vec![Some(level.to_owned()), Some((*bin).to_owned())],
            numbers: vec![Number::known(20.0)],
        })
    });
    Cells::new(cells.collect(), false, Vec::new())
}

#[test]
fn ranks_are_not_compared_over_some_of_the_bins() {
    let groups = [group("0", Number::known(60.0)), group("1", Number::known(60.0))];
    let whole = in_bins(&released(&["[30, 40)", "[40, 50)", "[50, 60)"]), &groups, &of_bins()).unwrap();
    assert_eq!(whole, vec![vec![20.0, 20.0]; 3]);
    let report = in_bins(&released(&["[30, 40)", "[50, 60)"]), &groups, &of_bins()).unwrap_err();
    assert_eq!(report.problem, Problem::Withheld);
    assert!(report.message.contains("the rows of 0"), "{report:?}");
    // Where it is not known how many there are, it is not known whether these are all.
    let open = Number {
        value: Some(40.0),
        open: Some((Some(40.0), None)),
        bin: None,
    };
    let groups = [group("0", open), group("1", Number::known(40.0))];
    assert!(in_bins(&released(&["[30, 40)", "[50, 60)"]), &groups, &of_bins()).is_err());
}
