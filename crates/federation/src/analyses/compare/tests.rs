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
    let groups = groups.each_ref();
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
    assert!(in_bins(&released(&["[30, 40)", "[50, 60)"]), &groups.each_ref(), &of_bins()).is_err());
}

/// Groups a, b and c: twenty rows in each, and of c how many numbers are known.
fn three(of_c: Number, rounded_to: Option<u32>) -> Cells {
    let nothing = Number { value: None, ..of_c };
    let cell = |level: &str, numbers: [Number; 3]| Cell {
        keys: vec![Some(level.to_owned())],
        numbers: [&[Number::known(20.0)], numbers.as_slice()].concat(),
    };
    let known = |mean: f64| [20.0, mean, 9.0].map(Number::known);
    let cells = vec![
        cell("a", known(40.0)),
        cell("b", known(45.0)),
        cell("c", [of_c, nothing, nothing]),
    ];
    Cells {
        rounded_to,
        ..Cells::new(cells, false, Vec::new())
    }
}

fn moments_of_three(cells: &Cells) -> Result<Vec<Moments>, Report> {
    let by = Key {
        name: "ward".to_owned(),
        ..Key::node()
    };
    let by = Key {
        sql: "ward".to_owned(),
        ..by
    };
    moments(cells, &["a", "b", "c"].map(str::to_owned), "age", &by)
}

#[test]
fn a_group_whose_numbers_are_not_told_is_named_and_never_passed_over() {
    let withheld = Number {
        open: Some((Some(0.0), None)),
        ..Number::default()
    };
    let report = moments_of_three(&three(withheld, None)).unwrap_err();
    assert_eq!(report.problem, Problem::Withheld);
    assert!(
        report.message.contains("group c") && report.message.contains("perhaps nobody has a known age"),
        "{report:?}"
    );
    assert!(report.remedy.contains("--where \"ward <> 'c'\""), "{report:?}");
    let report = moments_of_three(&three(withheld, Some(5))).unwrap_err();
    assert!(
        report.message.contains("multiples of 5") && report.remedy.contains("glm"),
        "{report:?}"
    );
}

#[test]
fn a_group_without_a_known_number_is_in_no_test() {
    let known = moments_of_three(&three(Number::known(0.0), None)).unwrap();
    assert_eq!(known.iter().map(|group| group.mean).collect::<Vec<_>>(), [40.0, 45.0]);
    assert!(matches!(tests(&known), Ok(Tests::Two { .. })));
    let report = tests(&known[..1]).unwrap_err();
    assert!(report.message.contains("fewer than two groups"), "{report:?}");
}
