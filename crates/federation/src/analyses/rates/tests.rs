use super::*;
use crate::analyses::cells::Cell;

fn two_of_three(complete: bool) -> Cells {
    let cell = |age: &str| Cell {
        keys: vec![Some(age.to_owned())],
        numbers: vec![Number::known(20.0), Number::known(1_000.0)],
    };
    Cells::new(vec![cell("0-39"), cell("40-79")], complete, Vec::new())
}

#[test]
fn an_age_that_can_have_been_withheld_leaves_no_rate() {
    let age = Key {
        levels: ["0-39", "40-79", "80+"].map(str::to_owned).into(),
        name: "age".to_owned(),
        ..Key::node()
    };
    let asked = Asked {
        cases: None,
        population: Population::Column("people".to_owned()),
        by: None,
        standard: Some(("age", Standard::European2013)),
        interval: RateInterval::FayFeuer,
        per: 100_000.0,
    };
    let found = |complete: bool| {
        let cells = two_of_three(complete);
        let ages = ages(&cells, 0, &age, &asked.population);
        let weights = weights(&ages, &age, Standard::European2013).unwrap();
        let strata: Vec<_> = ages.iter().map(|age| stratum(&cells, &asked, &[age])).collect();
        (ages.len(), place(None, &strata, &weights, &asked))
    };
    let (ages, known) = found(true);
    assert_eq!((ages, known.people.exact()), (2, Some(2_000.0)));
    assert!(known.crude.is_some() && known.standardised.is_some());
    let (ages, open) = found(false);
    assert_eq!(ages, 3);
    assert_eq!((open.cases.exact(), open.people.exact()), (None, None));
    assert_eq!((open.crude, open.standardised), (None, None));
}
