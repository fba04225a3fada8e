use super::*;
use crate::example::{Table, fit, shared, table};
use crate::formula::Formula;

fn groups(at: impl Fn(u32) -> [f64; 2]) -> Table {
    Table {
        names: ["x", "y"].map(str::to_owned).to_vec(),
        rows: (0..60).map(|row| at(row).map(|x| x.to_string()).to_vec()).collect(),
    }
}

fn kmeans(table: &Table, clusters: usize, size_min: u64) -> Result<Fitted, Report> {
    let points = Points::new("x + y", &[], &table.variables(&[]))?;
    let frame = table.frame(&points.needs, |_, _| true);
    fit(&KMeans::new(points, clusters, size_min)?, &[frame])
}

/// Three groups of 30, 20 and 10 rows, far from each other.
fn three() -> Table {
    groups(|row| {
        let (x, y) = match row {
            0..30 => (0.0, 0.0),
            30..50 => (100.0, 40.0),
            _ => (200.0, 90.0),
        };
        [x + f64::from(row % 5), y + f64::from(row % 3)]
    })
}

#[test]
fn clusters_that_are_too_small_or_empty_are_refused() {
    let error = kmeans(&three(), 3, 11).unwrap_err().to_string();
    assert!(error.contains("fewer than 11 rows"), "{error}");
    // Two places only.
    let two = groups(|row| [f64::from(row % 2), f64::from(row % 2)]);
    let error = kmeans(&two, 5, 1).unwrap_err().to_string();
    assert!(error.contains("has no rows left"), "{error}");
    assert!(kmeans(&three(), 1, 1).is_err());
    assert!(Formula::parse_variables("x +").is_err());
}

#[test]
fn groups_far_from_each_other_are_found() {
    let fitted = kmeans(&three(), 3, 10).unwrap();
    let mut sizes: Vec<u64> = fitted.clusters.iter().map(|cluster| cluster.size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [10, 20, 30]);
    let of_thirty = fitted.clusters.iter().find(|cluster| cluster.size == 30).unwrap();
    assert!((of_thirty.centre[0] - 2.0).abs() < 1e-12 && (of_thirty.centre[1] - 1.0).abs() < 1e-12);
    assert!(fitted.within < 0.01 * fitted.total);
}

#[test]
fn whoever_ends_early_is_told_of_the_means_of_the_clusters() {
    let table = three();
    let points = Points::new("x + y", &[], &table.variables(&[])).unwrap();
    let frame = table.frame(&points.needs, |_, _| true);
    let early = KMeans::new(points, 3, 10).unwrap().with_tolerance(1.0).unwrap();
    let (early, last) = (fit(&early, &[frame]).unwrap(), kmeans(&table, 3, 10).unwrap());
    assert!(early.steps < last.steps);
    let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{one} is not {other}");
    for (one, other) in early.clusters.iter().zip(&last.clusters) {
        assert_eq!(one.size, other.size);
        near(one.within, other.within);
        one.centre
            .iter()
            .zip(&other.centre)
            .for_each(|(one, other)| near(*one, *other));
    }
    near(early.within, last.within);
}

/// By scikit-learn 1.9.1 (`KMeans`, Lloyd, tol 0) on the rows of all hospitals, from the same centres, which numpy made of the
/// correlations.
#[test]
fn clusters_of_four_hospitals_are_those_of_all_rows() {
    let Some(file) = shared("clinical/uci_heart_4hospitals.csv") else {
        return;
    };
    let expected: [(u64, [f64; 4]); 4] = [
        (280, [44.47857142857143, 123.95, 159.85714285714286, 0.2864285714285718]),
        (
            170,
            [
                58.599999999999994,
                154.68823529411765,
                136.74705882352941,
                0.5347058823529411,
            ],
        ),
        (
            218,
            [
                56.11009174311927,
                120.68348623853211,
                116.23853211009174,
                0.5298165137614679,
            ],
        ),
        (
            186,
            [
                57.564516129032256,
                137.24193548387098,
                130.56451612903226,
                2.4672043010752693,
            ],
        ),
    ];
    let table = table(&file);
    let points = Points::new("age + trestbps + thalach + oldpeak", &[], &table.variables(&[])).unwrap();
    let frames = table.frames_by("hospital", &points.needs);
    let fitted = fit(&KMeans::new(points, 4, 100).unwrap(), &frames).unwrap();
    assert!((fitted.within - 1_779.690_693_036).abs() < 1e-7, "{}", fitted.within);
    assert!((fitted.total - 853.0 * 4.0).abs() < 1e-9);
    for (cluster, (size, centre)) in fitted.clusters.iter().zip(&expected) {
        assert_eq!(cluster.size, *size);
        for (found, expected) in cluster.centre.iter().zip(centre) {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }
    }
}
