//! Which nodes may be asked after which, and which people.

use super::*;
use crate::cells::{Input, Moments, Shares, Sketches};
use crate::fit::judge::tests::made;
use crate::kept::Older;

fn people(person: i64) -> KeptValue {
    let mut sketch = Sketch::new(64);
    sketch.add(PersonHash::from_order(person), Contribution::default().with_rows(1));
    let state = State {
        rows: 1,
        people: 1,
        ..State::default()
    };
    KeptValue::new("hearts age".to_owned(), 10, state, sketch)
}

fn over(nodes: &[&str], person: i64) -> KeptValue {
    let roster = Roster {
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        nodes_min: 3,
    };
    roster.kept(&people(person))
}

fn shelf(values: &[KeptValue]) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.add(values).unwrap();
    shelf
}

#[test]
fn nearly_the_same_nodes_are_told_from_the_same_and_from_others() {
    let shelf = shelf(&[over(&["a", "b", "c", "d"], 1)]);
    for near in [
        &["a", "b", "c"][..],
        &["a", "b", "c", "d", "e"],
        &["a", "b", "c", "e"],
        &["a", "b", "c", "d", "e", "f"],
    ] {
        assert!(shelf.is_near_another(&over(near, 1)), "{near:?}");
        assert!(!shelf.holds(&over(near, 1)));
    }
    assert!(shelf.holds(&over(&["d", "c", "b", "a"], 1)));
    for far in [&["a", "b", "c", "d"][..], &["a", "b", "e"], &["a", "e", "f", "g", "h"]] {
        assert!(!shelf.is_near_another(&over(far, 1)), "{far:?}");
    }
    // Of other people there is nothing yet.
    assert!(!shelf.is_near_another(&over(&["a", "b", "c"], 2)));
}

#[test]
fn whoever_is_left_out_it_is_noticed() {
    let names: Vec<String> = (0..600).map(|at| format!("hospital-{at}")).collect();
    for left_out in &names {
        let others = ["a", "b", "c", left_out];
        let shelf = shelf(&[over(&others, 1)]);
        assert!(shelf.is_near_another(&over(&others[..3], 1)), "{left_out}");
        assert!(shelf.is_near_another(&over(&["a", "b", "c", "other"], 1)), "{left_out}");
    }
}

#[test]
fn what_is_kept_of_nodes_is_read_back_as_it_was() {
    let kept = over(&["a", "b", "c"], 1);
    let (sketch, numbers) = kept.parts();
    let again = KeptValue::from_parts(kept.statistic.clone(), kept.people_min, sketch, &numbers);
    assert_eq!(again, Some(kept));
}

#[test]
fn too_few_nodes_that_are_left_of_a_roster_are_refused() {
    let roster = Roster {
        nodes: ["a", "b", "c", "d"].map(str::to_owned).into(),
        nodes_min: 3,
    };
    let refused = roster.left(["a", "b"].into_iter()).unwrap_err();
    assert_eq!(refused.problem, Problem::ModelDisclosure);
    assert_eq!(refused.message, "a fit here is over 3 nodes at least, and 2 are left");
    // A node that is named twice is one.
    assert!(roster.left(["a", "b", "b"].into_iter()).is_err());
    let left = roster.left(["c", "a", "b"].into_iter()).unwrap();
    assert_eq!(left.kept(&people(1)), over(&["a", "b", "c"], 1));
    assert_ne!(left.kept(&people(1)), roster.kept(&people(1)));
}

/// The people of these columns that an answer was about.
fn answered(columns: &[&str], people: impl Iterator<Item = usize>) -> KeptValue {
    let named = [columns, &["days", "smokes"]].concat();
    let call = format!("pca(columns => '{}'", named.join(", "));
    let (_, read, model) = made(&call, &[], 0..400);
    let mut sketch = Sketch::new(64);
    let mut state = State::default();
    for person in people {
        let one = Contribution::default().with_rows(1);
        let value = |column: &&str| {
            let at = model.needs.iter().position(|need| need.column() == *column).unwrap();
            match &read.frames[0].columns[at] {
                Column::Numbers(numbers) => numbers[person],
                Column::Codes(_) => unreachable!(),
            }
        };
        let contribution = columns.iter().map(value).fold(one, Contribution::with_number);
        sketch.add(PersonHash::from_order(person as i64), contribution);
        state.rows += 1;
        state.people += 1;
    }
    state.columns = columns.iter().map(|_| (Total::Integer(0), 0.0, 0.0)).collect();
    KeptValue::new(format!("stays {}", columns.join(" and ")), 10, state, sketch)
}

/// What becomes of a fit over so many people after an answer.
fn after(answer: KeptValue, call: &str, people: usize) -> Result<(), String> {
    after_leaving_out(&[], answer, call, people)
}

/// The same of a fit whose conditions leave out so many.
fn after_leaving_out(failing: &[u64], answer: KeptValue, call: &str, people: usize) -> Result<(), String> {
    let (judge, mut read, model) = made(call, &[], 0..people);
    read.failing = failing.to_vec();
    let kept = KeptValues::recall([answer]);
    judge
        .admit(&read, &model, &kept)
        .map(drop)
        .map_err(|report| report.to_string())
}

#[test]
fn a_fit_differs_from_an_answer_by_nobody_or_by_enough() {
    let few = "with age was about nearly the same people";
    let refused = |ended: Result<(), String>| assert!(ended.unwrap_err().contains(few));
    let of_all = || answered(&["age"], 0..400);
    for call in [
        "glm(formula => 'cost ~ age'",
        "glm(formula => 'cost ~ log(age)'",
        "pca(columns => 'age, cost'",
    ] {
        assert_eq!(after(of_all(), call, 400), Ok(()), "{call}");
        refused(after(of_all(), call, 398));
        assert_eq!(after(of_all(), call, 380), Ok(()), "{call}");
    }
    // All of them differ by enough people, those in ward d by one only.
    let in_d = || answered(&["age"], (0..396).filter(|person| person % 4 == 3));
    assert_eq!(after(in_d(), "glm(formula => 'cost ~ age'", 400), Ok(()));
    refused(after(in_d(), "glm(formula => 'cost ~ age + ward'", 400));
    refused(after(in_d(), "glm(formula => 'age ~ ward'", 400));
    let of_both = || answered(&["age", "cost"], 0..398);
    let ended = after(of_both(), "glm(formula => 'cost ~ age'", 400).unwrap_err();
    assert!(ended.contains("with age and cost"), "{ended}");
    assert_eq!(after(of_both(), "glm(formula => 'cost ~ visits'", 400), Ok(()));
}

#[test]
fn a_number_of_few_values_is_held_against_its_sums_too() {
    let call = "glm(family => 'binomial', formula => 'died ~ age + sex'";
    for column in ["sex", "died"] {
        assert_eq!(after(answered(&[column], 0..400), call, 400), Ok(()));
        let ended = after(answered(&[column], 0..395), call, 400).unwrap_err();
        assert!(ended.contains(column), "{ended}");
    }
    // Those who died, by sex.
    let of_women = answered(&["died"], (0..395).filter(|person| person / 4 % 2 == 1));
    assert!(after(of_women, call, 400).is_err());
}

/// What a query of the sum, the mean and the spread of a column finds, over as many people as `value`.
fn asked(value: &KeptValue) -> Input {
    Input {
        rows: value.people().cast_signed(),
        people: value.people(),
        rest: 0,
        between: Vec::new(),
        unknown: 0,
        counts: Shares::default(),
        columns: vec![Moments::default()],
        product: 0.0,
        bins: Vec::new(),
        sketches: Sketches {
            sums: Sketch::new(64),
            bins: None,
        },
    }
}

/// What leaves in the place of a value.
fn said(kept: &KeptValues, value: &KeptValue) -> Option<Input> {
    match kept.shelf().older(value, &asked(value)) {
        Older::Kept(older) => Some(*older),
        Older::Nothing | Older::Unsaid => None,
    }
}

/// What a node keeps after a fit over so many people.
fn entered(call: &str, people: usize, kept: &KeptValues) {
    let (judge, mut read, model) = made(call, &[], 0..people);
    read.failing = vec![50];
    let about = judge
        .admit(&read, &model, kept)
        .unwrap_or_else(|report| panic!("{call}: {report}"));
    judge.enter(&about, std::iter::empty(), kept).unwrap();
}

#[test]
fn what_a_fit_said_takes_the_place_of_an_answer_about_nearly_the_same_people() {
    let (judge, read, model) = made("glm(formula => 'cost ~ age + ward'", &[], 0..400);
    let kept = KeptValues::default();
    let about = judge.admit(&read, &model, &kept).unwrap();
    let new = judge.enter(&about, std::iter::empty(), &kept).unwrap();
    assert!(!new.is_empty());
    assert!(judge.enter(&about, std::iter::empty(), &kept).unwrap().is_empty());
    let nearly = answered(&["age"], 0..397);
    let older = said(&kept, &nearly).unwrap();
    let ages: Vec<f64> = (0..400).map(|person| 20.0 + f64::from(person * 7 % 60)).collect();
    let sum: f64 = ages.iter().sum();
    assert_eq!((older.rows, older.people), (400, 400));
    assert_eq!(older.columns[0].total, Total::Integer(sum as i128));
    let mean = sum / 400.0;
    let squares: f64 = ages.iter().map(|age| (age - mean) * (age - mean)).sum();
    assert!((older.columns[0].mean - mean).abs() < 1e-12 * mean);
    assert!((older.columns[0].squares - squares).abs() < 1e-12 * squares);
    // Also in a ward, and after the node was stopped and begun again.
    let kept = KeptValues::recall(new.iter().map(|value| {
        let (sketch, numbers) = value.parts();
        KeptValue::from_parts(value.statistic.clone(), value.people_min, sketch, &numbers).unwrap()
    }));
    let in_d = answered(&["age"], (0..390).filter(|person| person % 4 == 3));
    assert_eq!(said(&kept, &in_d).unwrap().people, 100);
    let far = answered(&["age"], 0..300);
    assert!(matches!(kept.shelf().older(&far, &asked(&far)), Older::Nothing));
}

#[test]
fn of_what_was_not_said_as_it_is_nothing_leaves_of_nearly_the_same_people() {
    for call in [
        "glm(formula => 'cost ~ log(age)'",
        "glm(formula => 'cost ~ sqrt(age)'",
        "glm(formula => 'cost ~ I(age^2)'",
        "glm(formula => 'cost ~ bin(age)'",
        "glm(formula => 'age >= 40 ~ cost'",
    ] {
        let kept = KeptValues::default();
        entered(call, 400, &kept);
        let nearly = answered(&["age"], 0..397);
        assert!(
            matches!(kept.shelf().older(&nearly, &asked(&nearly)), Older::Unsaid),
            "{call}"
        );
        // Another fit over these few less would say more than either, and over the same people more is said of nobody else.
        let (judge, read, model) = made("glm(formula => 'visits ~ age'", &[], 0..397);
        assert!(judge.admit(&read, &model, &kept).is_err(), "{call}");
        entered("glm(formula => 'visits ~ age'", 400, &kept);
        assert_eq!(said(&kept, &nearly).unwrap().people, 400, "{call}");
    }
}

#[test]
fn a_fit_that_says_nothing_of_a_number_opens_no_way_for_one_that_does() {
    let kept = KeptValues::default();
    entered("glm(formula => 'cost ~ log(age)'", 397, &kept);
    // As if the board had let an answer about three people more leave.
    kept.shelf().add(&[answered(&["age"], 0..400)]).unwrap();
    let (judge, read, model) = made("glm(formula => 'cost ~ age'", &[], 0..397);
    assert!(judge.admit(&read, &model, &kept).is_err());
}

/// What an answer counted.
fn counted(people: impl Iterator<Item = usize>) -> KeptValue {
    answered(&[], people)
}

#[test]
fn rows_of_a_fit_are_held_against_counts_in_each_group() {
    let by_ward = "glm(formula => 'cost ~ ward'";
    let after = |answer, call, people| after_leaving_out(&[50], answer, call, people);
    assert_eq!(after(counted(0..400), by_ward, 400), Ok(()));
    let in_d = || counted((0..396).filter(|person| person % 4 == 3));
    assert!(after(in_d(), by_ward, 400).is_err());
    assert_eq!(after(in_d(), "glm(formula => 'cost ~ age'", 400), Ok(()));
    // That the value of a measure is missing is told.
    assert_eq!(after(counted(0..400), by_ward, 397), Ok(()));
    assert_eq!(after_leaving_out(&[], in_d(), by_ward, 400), Ok(()));
    // Those who died in ward d, as a FILTER counts them.
    let died = counted((0..392).filter(|person| person % 4 == 3 && person / 8 % 2 == 1));
    let died_by_ward = "glm(family => 'binomial', formula => 'died == 1 ~ ward'";
    assert!(after(died, died_by_ward, 400).is_err());
    let sum = answered(&["died"], 0..395);
    assert!(after(sum, died_by_ward, 400).is_err());
    // A fit first.
    let kept = KeptValues::default();
    entered(by_ward, 400, &kept);
    let nearly = counted((0..390).filter(|person| person % 4 == 3));
    let asked = Input {
        columns: Vec::new(),
        ..asked(&nearly)
    };
    match kept.shelf().older(&nearly, &asked) {
        Older::Kept(older) => assert_eq!((older.rows, older.people), (100, 100)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_older_value_of_fewer_people_than_are_needed_takes_no_place() {
    let six = answered(&["age"], 0..6);
    let (sketch, numbers) = six.parts();
    let six = KeptValue::from_parts(six.statistic.clone(), 5, sketch, &numbers).unwrap();
    let kept = KeptValues::recall([six]);
    let nearly = answered(&["age"], 0..12);
    assert!(matches!(kept.shelf().older(&nearly, &asked(&nearly)), Older::Unsaid));
}

#[test]
fn whether_a_column_that_is_no_measure_is_known_is_told_of_enough_people() {
    let (judge, mut read, model) = made("glm(formula => 'cost ~ ward'", &[], 0..400);
    for (unknown, is_refused) in [(0, false), (3, true), (10, false)] {
        read.unknown = vec![0, unknown];
        let ended = judge.admit(&read, &model, &KeptValues::default());
        assert_eq!(ended.is_err(), is_refused, "{unknown}");
    }
}
