use super::*;

/// A value of somebody that nothing was kept of before.
fn value(person: u64) -> KeptValue {
    let mut sketch = Sketch::new(64);
    sketch.add(
        crate::sketch::PersonHash::from_order(person.cast_signed()),
        crate::sketch::Contribution::default(),
    );
    KeptValue::from_parts("patients".to_owned(), 10, sketch.as_bytes(), "1 1 f0000000000000000 0").unwrap()
}

#[test]
fn a_full_store_takes_nothing_of_an_answer_and_keeps_what_it_has() {
    let mut shelf = Shelf {
        count: limit::KEPT_VALUES_MAX - 1,
        ..Shelf::default()
    };
    let (first, second) = (value(1), value(2));
    assert_eq!(shelf.add(&[first.clone(), second.clone()]), Err(Full));
    assert!(!shelf.holds(&first));
    shelf.add(std::slice::from_ref(&first)).unwrap();
    assert_eq!(shelf.add(&[second]), Err(Full));
    assert!(shelf.holds(&first));
}

/// A value of so many people, whose sketch is the same whatever it is of.
fn of_people(people: u64) -> KeptValue {
    let state = State {
        rows: people.cast_signed(),
        people,
        ..State::default()
    };
    KeptValue::new("patients model of age".to_owned(), 10, state, Sketch::new(64))
}

#[test]
fn people_whom_a_sketch_does_not_see_are_counted() {
    let mut shelf = Shelf::default();
    shelf.add(&[of_people(100)]).unwrap();
    assert!(shelf.holds(&of_people(100)) && !shelf.differs_by_few(&of_people(100)));
    assert!(!shelf.holds(&of_people(101)) && shelf.differs_by_few(&of_people(101)));
    assert!(!shelf.differs_by_few(&of_people(110)));
}
