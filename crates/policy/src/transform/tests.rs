use super::{PREFIX_CHARS_MAX, Transform};
use crate::Calendar;

fn all() -> Vec<Transform> {
    let others = [Transform::Bins, Transform::Mask, Transform::Pseudonym];
    let prefixes = (1..=PREFIX_CHARS_MAX).map(Transform::Prefix);
    Calendar::ALL
        .map(Transform::Truncate)
        .into_iter()
        .chain(others)
        .chain(prefixes)
        .collect()
}

#[test]
fn what_cannot_be_compared_is_within_neither() {
    for (one, other) in [
        (
            Transform::Truncate(Calendar::Week),
            Transform::Truncate(Calendar::Month),
        ),
        (Transform::Bins, Transform::Pseudonym),
        (Transform::Prefix(3), Transform::Pseudonym),
    ] {
        assert!(!one.is_within(other) && !other.is_within(one), "{one:?} {other:?}");
    }
    assert!(!Transform::Bins.is_within(Transform::Mask));
    assert!(!Transform::Prefix(4).is_within(Transform::Prefix(3)));
    assert!(!Transform::Truncate(Calendar::Day).is_within(Transform::Truncate(Calendar::Year)));
}

#[test]
fn whatever_is_within_another_is_as_strict_or_stricter() {
    for one in all() {
        assert!(one.is_within(one) && Transform::Mask.is_within(one));
        for other in all().into_iter().filter(|other| *other != one && one.is_within(*other)) {
            assert!(one.strictness() > other.strictness(), "{one:?} {other:?}");
            assert!(!other.is_within(one), "{one:?} {other:?}");
        }
    }
}
