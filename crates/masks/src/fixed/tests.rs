use proptest::prelude::*;

use super::*;

#[test]
fn numbers_that_are_none_or_outside_their_bound_are_refused_without_being_repeated() {
    let scale = Scale::for_bound(10.0, 3).unwrap();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(scale.encode(value, 4), Err(SumError::NotFinite { index: 4 }));
    }
    for value in [10.000_000_000_000_002, -11.0, f64::MAX] {
        let error = scale.encode(value, 4).unwrap_err();
        assert_eq!(error, SumError::Bound { index: 4 });
        assert_eq!(
            error.to_string(),
            "entry 4 lies outside the bound for which the sum was planned"
        );
    }
    let nothing = Scale::for_bound(0.0, 3).unwrap();
    assert_eq!(nothing.encode(f64::MIN_POSITIVE, 0), Err(SumError::Bound { index: 0 }));
    assert_eq!(nothing.encode(0.0, 0), Ok(0));
}

#[test]
fn bounds_that_are_none_have_no_scale() {
    for bound in [-1.0, f64::NAN, f64::INFINITY, 1e281] {
        assert_eq!(Scale::for_bound(bound, 3), None, "{bound}");
    }
}

#[test]
fn a_sum_beyond_what_the_bounds_allow_is_refused() {
    let scale = Scale::for_bound(10.0, 3).unwrap();
    let ten = scale.encode(10.0, 0).unwrap();
    assert_eq!(scale.decode(3 * ten, 3, 0), Ok(30.0));
    assert_eq!(scale.decode(3 * ten + 1, 3, 0), Err(SumError::Nonsense { index: 0 }));
    assert_eq!(scale.decode((3 * ten).wrapping_neg(), 3, 0), Ok(-30.0));
    assert_eq!(
        scale.decode((3 * ten).wrapping_neg() - 1, 3, 0),
        Err(SumError::Nonsense { index: 0 })
    );
    // Fewer nodes, less of a sum.
    assert_eq!(scale.decode(3 * ten, 2, 0), Err(SumError::Nonsense { index: 0 }));
}

#[test]
fn scales_keep_as_many_digits_as_the_bound_leaves_room_for() {
    for (bound, nodes, digits) in [
        (1.0, 4, 127 - 32 - 2),
        (1.0, 5, 127 - 32 - 3),
        (1.000_1, 4, 127 - 32 - 1 - 2),
        (2_f64.powi(30), 100, 127 - 32 - 30 - 7),
        (BOUND_MAX, 3, 127 - 32 - 931 - 2),
        (f64::from_bits(1), 3, 1_000),
        (0.0, 3, 1_000),
    ] {
        assert_eq!(
            Scale::for_bound(bound, nodes).unwrap().fraction_bits(),
            digits,
            "{bound}"
        );
    }
}

#[test]
fn integers_and_halves_between_digits_are_rounded_to_even() {
    let scale = Scale {
        fraction_bits: 1,
        bound: 10.0,
    };
    for (value, integer) in [(0.25, 0), (0.75, 2), (-0.25, 0), (1.0, 2), (-1.5, -3)] {
        assert_eq!(scale.encode(value, 0).unwrap().cast_signed(), integer, "{value}");
    }
}

proptest! {
    /// Whatever the bound, the sum of the largest numbers of all nodes has its room, and a number comes back to 53 digits.
    #[test]
    fn sums_never_wrap_and_numbers_come_back(bound in 1e-300..1e280_f64, nodes in 3..=100_usize, part in -1.0..=1.0_f64) {
        let scale = Scale::for_bound(bound, nodes).unwrap();
        let most = scale.encode(bound, 0).unwrap();
        prop_assert!(most.checked_mul(nodes as u128).unwrap() <= 1 << (127 - ROOM_BITS));
        let value = part * bound;
        let back = scale.decode(scale.encode(value, 0).unwrap(), 1, 0).unwrap();
        prop_assert!((back - value).abs() <= bound * 2_f64.powi(-85));
    }
}
