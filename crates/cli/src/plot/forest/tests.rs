use super::*;

fn forest(kind: Kind, lines: &[(f64, [f64; 2])]) -> Forest {
    let line = |(estimate, ci): &(f64, [f64; 2])| Line {
        label: "age".to_owned(),
        estimate: *estimate,
        ci: *ci,
        shape: Shape::Alone,
    };
    Forest {
        title: String::new(),
        axis: String::new(),
        kind,
        lines: lines.iter().map(line).collect(),
        notes: Vec::new(),
        sources: Vec::new(),
    }
}

fn drawn(forest: &Forest) -> String {
    crate::plot::text_of(forest.size(), |canvas| forest.draw(canvas)).unwrap()
}

fn ticks(forest: &Forest) -> Vec<String> {
    forest.scale().ticks.into_iter().map(|(_, words)| words).collect()
}

#[test]
fn what_has_no_place_on_the_axis_is_at_its_edge() {
    for (kind, ends) in [
        (Kind::Ratios, [0.0, f64::INFINITY]),
        (Kind::Differences, [f64::NEG_INFINITY, f64::NAN]),
        (Kind::Sites, [f64::NAN; 2]),
    ] {
        let svg = drawn(&forest(kind, &[(2.0, ends), (1.5, [1.2, 1.9])]));
        assert!(svg.contains("circle"), "{svg}");
        for number in ["NaN", "inf", "-2147483648", "2147483647"] {
            let is_place = |attribute: &str| svg.contains(&format!("{attribute}=\"{number}"));
            assert!(
                !["x", "x1", "x2", "cx"].iter().any(|attribute| is_place(attribute)),
                "{svg}"
            );
        }
    }
    // A model that has no term but the constant, which is not drawn.
    drawn(&forest(Kind::Differences, &[]));
}

#[test]
fn ratios_lie_by_their_logarithms_around_one() {
    let ratios = forest(Kind::Ratios, &[(2.0, [1.0, 4.0]), (0.5, [0.25, 1.0])]);
    let scale = ratios.scale();
    let half_and_double = [0.5, 1.0, 2.0].map(|ratio| scale.share(ratio));
    assert!((half_and_double[1] - 0.5).abs() < 1e-12, "{half_and_double:?}");
    assert!((half_and_double[2] - half_and_double[1] - (half_and_double[1] - half_and_double[0])).abs() < 1e-12);
    assert_eq!(ticks(&ratios), ["0.5", "1", "2"]);
    assert_eq!(ratios.middle(), Some(1.0));
    // What means no difference is on the axis, also if no interval holds it.
    let above = forest(Kind::Ratios, &[(30.0, [20.0, 50.0])]).scale();
    assert!((0.0..=1.0).contains(&above.share(1.0)));
    let differences = forest(Kind::Differences, &[(-3.0, [-4.0, -2.0])]);
    assert!((0.0..=1.0).contains(&differences.scale().share(0.0)));
}

#[test]
fn round_numbers_of_ratios_fit_their_range() {
    let of = |low: f64, high: f64| ticks(&forest(Kind::Ratios, &[(1.0, [low, high])]));
    assert_eq!(of(0.9, 1.2), ["0.90", "0.95", "1.00", "1.05", "1.10", "1.15", "1.20"]);
    assert_eq!(of(0.1, 10.0), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
    assert_eq!(of(1e-3, 1e3), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]);
    let wide = of(1e-9, 1e12);
    assert!((3..=9).contains(&wide.len()), "{wide:?}");
}

#[test]
fn sites_have_a_line_through_what_they_make_together() {
    let mut sites = forest(Kind::Sites, &[(2.0, [1.0, 3.0]), (4.0, [3.0, 5.0]), (3.5, [3.0, 4.0])]);
    assert_eq!(sites.middle(), None);
    sites.lines[1].shape = Shape::Together;
    sites.lines[2].shape = Shape::Together;
    assert_eq!(sites.middle(), Some(3.5));
}
