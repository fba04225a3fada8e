//! Which nodes may be asked after which.

use super::*;

fn people(person: i64) -> KeptValue {
    let mut sketch = Sketch::new(64);
    sketch.add(PersonHash::from_order(person), Contribution::default().with_rows(1));
    KeptValue::of_fit("hearts model of age".to_owned(), 10, 1, 1, sketch)
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
