use super::*;

fn of(people: impl IntoIterator<Item = (u32, i64)>, slots: usize) -> Sketch {
    let key = SketchKey::from([7; 16]);
    let mut sketch = Sketch::new(slots);
    for (person, rows) in people {
        sketch.add(
            key.person(&person.to_le_bytes()),
            Contribution::default().with_rows(rows),
        );
    }
    sketch
}

#[test]
fn sets_that_differ_by_fewer_people_never_seem_to_differ_by_more() {
    for extra in 0..40_u32 {
        let (a, b) = (
            of((0..500).map(|p| (p, 1)), 64),
            of((extra..500 + extra).map(|p| (p, 1)), 64),
        );
        assert!(a.distance(&b) <= u64::from(2 * extra), "{extra}");
        for slots in 0..70 {
            assert_eq!(a.is_nearer(&b, slots), a.distance(&b) < slots, "{extra} {slots}");
        }
    }
}

#[test]
fn one_person_with_another_contribution_is_one_person() {
    let before = of((0..300).map(|p| (p, 1)), 64);
    let after = of((0..300).map(|p| (p, if p == 17 { 2 } else { 1 })), 64);
    assert_eq!(before.distance(&after), 1);
}

#[test]
fn other_people_are_told_apart() {
    for (people, k) in [(5, 5), (10, 10), (16, 16), (64, 64)] {
        let slots = slots(k);
        let (a, b) = (
            of((0..people).map(|p| (p, 1)), slots),
            of((1000..1000 + people).map(|p| (p, 1)), slots),
        );
        assert!(a.distance(&b) >= k, "{people} people under {k}: {}", a.distance(&b));
    }
}

#[test]
fn the_order_of_people_and_the_number_of_slots_do_not_matter() {
    let (a, b) = (of((0..90).map(|p| (p, 3)), 64), of((0..90).rev().map(|p| (p, 3)), 256));
    assert_eq!(a.distance(&b), 0);
}
