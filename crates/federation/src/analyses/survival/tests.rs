use super::super::Cell;
use super::*;

fn cells(complete: bool, counts: &[(&str, f64)]) -> Cells {
    let cells = counts.iter().map(|(key, count)| Cell {
        keys: vec![Some((*key).to_owned())],
        numbers: vec![Number::known(*count)],
    });
    Cells {
        cells: cells.collect(),
        complete,
        withholding: Vec::new(),
    }
}

#[test]
fn people_who_are_in_no_cell_are_unseen_and_not_gone() {
    let (all, totals) = (cells(false, &[("a", 12.0)]), cells(false, &[("a", 15.0)]));
    assert_eq!(unseen(&all, Some(&totals), Some("a")), Ok(3.0));
    assert_eq!(unseen(&all, None, Some("a")), Ok(0.0));
}

#[test]
fn without_a_number_of_all_people_there_is_no_curve() {
    let all = cells(false, &[("a", 12.0)]);
    let nobody = cells(false, &[]);
    assert_eq!(
        unseen(&all, Some(&nobody), Some("a")).unwrap_err().problem,
        Problem::Withheld
    );
    let fewer = cells(false, &[("a", 11.0)]);
    assert_eq!(
        unseen(&all, Some(&fewer), Some("a")).unwrap_err().problem,
        Problem::Withheld
    );
}

fn cell(numbers: [Number; 4]) -> Cells {
    let mut cells = cells(false, &[]);
    cells.cells.push(Cell {
        keys: vec![Some("[0, 90)".to_owned())],
        numbers: numbers.to_vec(),
    });
    cells
}

fn open(value: f64) -> Number {
    Number {
        value: Some(value),
        open: Some((Some(value), None)),
        bin: None,
    }
}

#[test]
fn of_whom_only_the_time_is_told_they_are_at_risk_and_unclear() {
    let exact = Number::known;
    let told = counted(&cell([exact(50.0), exact(50.0), open(30.0), open(12.0)]), &["[0, 90)"]).unwrap();
    assert_eq!(
        (told.span.events, told.span.censored, told.span.unclear),
        (30.0, 12.0, 8.0)
    );
    assert_eq!((told.without_event, told.unseen), (0.0, 0.0));
    let dropped = counted(
        &cell([exact(50.0), exact(48.0), exact(30.0), exact(18.0)]),
        &["[0, 90)"],
    )
    .unwrap();
    assert_eq!(
        (dropped.without_event, dropped.span.unclear, dropped.unseen),
        (2.0, 0.0, 0.0)
    );
    let untold = counted(&cell([exact(50.0), open(40.0), open(30.0), open(10.0)]), &["[0, 90)"]).unwrap();
    assert_eq!((untold.without_event, untold.unseen), (0.0, 10.0));
    let odd = counted(
        &cell([exact(50.0), exact(50.0), exact(40.0), exact(12.0)]),
        &["[0, 90)"],
    );
    assert_eq!(odd.unwrap_err().problem, Problem::Withheld);
}
