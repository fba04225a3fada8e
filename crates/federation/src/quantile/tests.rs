use super::*;

const EDGES: [f64; 4] = [0.0, 10.0, 20.0, 30.0];

/// Where the quantile can be, of nodes under a threshold: what each released by bin, and in all.
fn at(share: f64, nodes: &[([Option<i64>; 3], Option<i64>)], slack: f64) -> Option<[f64; 2]> {
    let bins: Vec<InBins> = nodes.iter().map(|(bins, _)| bins.to_vec()).collect();
    let around = bins.iter().zip(nodes).map(|(bins, (_, rows))| {
        let node = AtNode {
            rows: *rows,
            withholds: true,
            slack,
        };
        Around::of(bins, node)
    });
    range(share, &around.collect::<Vec<_>>(), &EDGES)
}

#[test]
fn what_is_not_known_at_all_can_be_anywhere_and_nobody_is_nowhere() {
    assert_eq!(at(0.5, &[([None; 3], None)], 0.0), Some([0.0, 30.0]));
    assert_eq!(at(0.5, &[([None; 3], Some(7))], 0.0), Some([0.0, 30.0]));
    assert_eq!(at(0.5, &[([None; 3], Some(0))], 0.0), None);
    assert_eq!(at(0.5, &[], 0.0), None);
    // How many are not known below: no number of them above.
    assert_eq!(at(0.5, &[([None, Some(9), Some(9)], None)], 0.0), Some([0.0, 20.0]));
}

#[test]
fn bins_that_are_not_released_and_hide_nobody_leave_one_bin() {
    assert_eq!(at(0.5, &[([None, Some(9), None], Some(9))], 0.0), Some([10.0, 20.0]));
    let two = [([Some(6), None, None], Some(6)), ([None, Some(9), None], Some(9))];
    assert_eq!(at(0.5, &two, 0.0), Some([10.0, 20.0]));
}

#[test]
fn a_few_that_are_hidden_leave_a_bin_in_which_most_are() {
    assert_eq!(at(0.5, &[([None, Some(20), None], Some(24))], 0.0), Some([10.0, 20.0]));
    assert_eq!(
        at(0.5, &[([None, Some(9), Some(20)], Some(33))], 0.0),
        Some([20.0, 30.0])
    );
    assert_eq!(
        at(0.5, &[([None, Some(9), Some(10)], Some(23))], 0.0),
        Some([10.0, 20.0])
    );
}

#[test]
fn rounding_moves_a_quantile_near_an_edge() {
    let bins = [Some(20), Some(10), Some(10)];
    assert_eq!(at(0.5, &[(bins, Some(40))], 0.0), Some([0.0, 10.0]));
    assert_eq!(at(0.5, &[(bins, Some(40))], 2.5), Some([0.0, 20.0]));
    assert_eq!(at(0.1, &[(bins, Some(40))], 2.5), Some([0.0, 10.0]));
}

/// All ways in which so many rows can be in the bins that were not released.
fn ways(bins: [Option<i64>; 3], hidden: i64) -> Vec<[i64; 3]> {
    let mut ways = vec![(bins.map(|rows| rows.unwrap_or(0)), hidden)];
    for (at, _) in bins.iter().enumerate().filter(|(_, rows)| rows.is_none()) {
        let put = |(rows, left): ([i64; 3], i64)| {
            (0..=left).map(move |here| {
                let mut rows = rows;
                rows[at] += here;
                (rows, left - here)
            })
        };
        ways = ways.into_iter().flat_map(put).collect();
    }
    ways.into_iter()
        .filter(|(_, left)| *left == 0)
        .map(|(rows, _)| rows)
        .collect()
}

#[test]
fn the_range_is_from_the_least_to_the_most_of_all_that_can_be() {
    let counts = [None, Some(0), Some(1), Some(4)];
    let pick = |of: usize| [counts[of % 4], counts[of / 4 % 4], counts[of / 16 % 4]];
    let mut asked = 0;
    for of in 0..64 * 64 {
        let (a, b) = (pick(of % 64), pick(of / 64));
        let told = |bins: [Option<i64>; 3]| bins.iter().flatten().sum::<i64>();
        let hides = |bins: [Option<i64>; 3], rows: i64| if bins.contains(&None) { rows } else { 0 };
        let (in_a, in_b) = (hides(a, 3), hides(b, i64::try_from(of % 3).unwrap()));
        for share in [0.2, 0.5, 0.75] {
            let bins = ways(a, in_a).into_iter().flat_map(|a| {
                let both = ways(b, in_b)
                    .into_iter()
                    .map(move |b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
                both.collect::<Vec<_>>()
            });
            let found: Vec<[f64; 2]> = bins
                .filter_map(|rows| Some(engine::interpolated(share, &rows, &EDGES)?.1))
                .collect();
            let low = found.iter().map(|bin| bin[0]).reduce(f64::min);
            let high = found.iter().map(|bin| bin[1]).reduce(f64::max);
            let given = at(share, &[(a, Some(told(a) + in_a)), (b, Some(told(b) + in_b))], 0.0);
            assert_eq!(
                given,
                low.zip(high).map(|(low, high)| [low, high]),
                "{a:?} {in_a} {b:?} {in_b} {share}"
            );
            asked += 1;
        }
    }
    assert_eq!(asked, 3 * 64 * 64);
}
