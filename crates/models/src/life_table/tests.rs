use proptest::prelude::*;

use super::*;

fn span(events: f64, censored: f64) -> Span {
    Span {
        events,
        censored,
        unclear: 0.0,
    }
}

/// Every event and every censoring as a bin of its own.
fn exactly(times: &[(u32, bool)]) -> Vec<Span> {
    let mut times = times.to_vec();
    times.sort_by_key(|(time, event)| (*time, !event));
    let mut moments: Vec<u32> = times.iter().map(|(time, _)| *time).collect();
    moments.dedup();
    let count = |moment: u32, event: bool| times.iter().filter(|one| **one == (moment, event)).count() as f64;
    moments
        .into_iter()
        .map(|moment| span(count(moment, true), count(moment, false)))
        .collect()
}

fn binned(times: &[(u32, bool)], edges: &[u32]) -> Vec<Span> {
    let count = |edge: &[u32], event: bool| {
        let inside = times
            .iter()
            .filter(|one| (edge[0]..edge[1]).contains(&one.0) && one.1 == event);
        inside.count() as f64
    };
    edges
        .windows(2)
        .map(|edge| span(count(edge, true), count(edge, false)))
        .collect()
}

/// Freireich's trial (1963): 6-MP, with the estimates and errors that textbooks give.
#[test]
fn leukaemia_has_the_curve_of_the_textbooks() {
    let mercaptopurine = [
        (6, true),
        (6, true),
        (6, true),
        (6, false),
        (7, true),
        (9, false),
        (10, true),
        (10, false),
        (11, false),
        (13, true),
        (16, true),
        (17, false),
        (19, false),
        (20, false),
        (22, true),
        (23, true),
        (25, false),
        (32, false),
        (32, false),
        (34, false),
        (35, false),
    ];
    let placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23].map(|time| (time, true));
    let points = curve(&exactly(&mercaptopurine), 0.0, Method::ProductLimit, Scale::Log, 0.95);
    let last = points.last().unwrap();
    assert!((last.survival.unwrap() - 0.448_179_271_7).abs() < 1e-9, "{last:?}");
    assert!((last.std_err.unwrap() - 0.134_6).abs() < 1e-4, "{last:?}");
    let moments = |times: &[(u32, bool)]| {
        let edges: Vec<u32> = (0..40).collect();
        binned(times, &edges)
    };
    let test = log_rank(&[moments(&mercaptopurine), moments(&placebo)], Method::ProductLimit).unwrap();
    assert!((test.chi_squared - 16.793).abs() < 1e-3, "{test:?}");
    assert!((test.expected[0] - 19.25).abs() < 0.01, "{test:?}");
}

#[test]
fn one_group_or_no_event_makes_no_test() {
    let alive = vec![span(0.0, 5.0)];
    assert_eq!(log_rank(&[vec![span(3.0, 1.0)]], Method::ProductLimit), None);
    assert_eq!(log_rank(&[alive.clone(), alive], Method::ProductLimit), None);
    assert_eq!(log_rank(&[], Method::ProductLimit), None);
}

#[test]
fn nobody_left_has_no_interval_and_nobody_gone_has_one_without_width() {
    let points = curve(
        &[span(0.0, 1.0), span(2.0, 0.0)],
        0.0,
        Method::ProductLimit,
        Scale::LogLog,
        0.95,
    );
    assert_eq!(points[0].ci, Some([1.0, 1.0]));
    assert_eq!(
        (points[1].survival, points[1].std_err, points[1].ci),
        (Some(0.0), None, None)
    );
    let unseen = curve(&[span(1.0, 1.0)], 1.0, Method::ProductLimit, Scale::Log, 0.95);
    assert_eq!(
        (unseen[0].survival, unseen[0].std_err, unseen[0].ci),
        (None, None, None)
    );
    let unclear = Span {
        unclear: 1.0,
        ..span(1.0, 1.0)
    };
    let points = curve(&[span(1.0, 0.0), unclear], 0.0, Method::ProductLimit, Scale::Log, 0.95);
    assert_eq!((points[0].survival, points[1].survival), (Some(0.75), None));
    assert_eq!(
        log_rank(&[vec![unclear], vec![span(2.0, 1.0)]], Method::ProductLimit),
        None
    );
}

fn people() -> impl Strategy<Value = Vec<(u32, bool)>> {
    prop::collection::vec((0..40_u32, any::<bool>()), 1..60)
}

proptest! {
    /// Whatever the order within bins, and whatever became of some of whom nobody told of, or nobody told how it ended, the exact estimate
    /// lies within the bounds.
    #[test]
    fn the_exact_curve_lies_within_the_bounds(people in people(), untold in 0..6_usize, half_told in 0..8_usize) {
        let edges = [0, 5, 12, 20, 40];
        let told = &people[untold.min(people.len() - 1)..];
        let unseen = (people.len() - told.len()) as f64;
        let (unclear, clear) = told.split_at(half_told.min(told.len()));
        let mut spans = binned(clear, &edges);
        for (span, edge) in spans.iter_mut().zip(edges.windows(2)) {
            span.unclear = unclear.iter().filter(|one| (edge[0]..edge[1]).contains(&one.0)).count() as f64;
        }
        let points = curve(&spans, unseen, Method::Actuarial, Scale::Log, 0.95);
        for (point, edge) in points.iter().zip(&edges[1..]) {
            let exact = exact(&people, *edge);
            prop_assert!(point.bounds[0] <= exact + 1e-12 && exact <= point.bounds[1] + 1e-12, "{point:?} {exact} before {edge}");
        }
    }

    #[test]
    fn with_one_bin_for_each_moment_the_bounds_hold_what_is_estimated(people in people()) {
        for point in curve(&exactly(&people), 0.0, Method::ProductLimit, Scale::Log, 0.95) {
            prop_assert!((point.bounds[1] - point.survival.unwrap()).abs() < 1e-12);
        }
    }
}

/// Kaplan and Meier's estimate from the definition.
fn exact(people: &[(u32, bool)], before: u32) -> f64 {
    let mut moments: Vec<u32> = people
        .iter()
        .filter(|(time, event)| *event && *time < before)
        .map(|(time, _)| *time)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments.iter().fold(1.0, |left, moment| {
        let at_risk = people.iter().filter(|(time, _)| time >= moment).count() as f64;
        let events = people.iter().filter(|one| **one == (*moment, true)).count() as f64;
        left * (1.0 - events / at_risk)
    })
}
