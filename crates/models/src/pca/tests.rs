use serde_json::Value as Json;

use super::*;
use crate::example::{Table, fit, shared, table};

fn small(of: impl Fn(u32) -> [f64; 2]) -> Table {
    Table {
        names: ["x", "y"].map(str::to_owned).to_vec(),
        rows: (0..10).map(|at| of(at).map(|x| x.to_string()).to_vec()).collect(),
    }
}

fn pca_of(table: &Table, text: &str, of: Of) -> Result<Fitted, Report> {
    let points = Points::new(text, &[], &table.variables(&[]))?;
    let frame = table.frame(&points.needs, |_, _| true);
    fit(&Pca { points, of }, &[frame])
}

#[test]
fn what_has_no_components_is_refused() {
    let table = small(|at| [2000.1, f64::from(at * at)]);
    for (text, message) in [
        ("x + y", "x is the same in every row"),
        ("y + x:y", "here a `+`, a `,`"),
        ("y + y", "each variable once"),
        ("y + C(x)", "C(x) is a factor"),
        ("y + nox", "there is no column nox"),
    ] {
        let error = pca_of(&table, text, Of::Correlations).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    let points = Points::new("x + y", &[], &table.variables(&[])).unwrap();
    let two = table.frame(&points.needs, |at, _| at < 2);
    let error = fit(
        &Pca {
            points,
            of: Of::Correlations,
        },
        &[two],
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("2 variables and only 2 rows"), "{error}");
}

#[test]
fn points_on_a_line_have_one_component_in_units_of_the_variables() {
    let table = small(|at| [f64::from(at), 1000.0 - 2.0 * f64::from(at)]);
    let fitted = pca_of(&table, "x + y", Of::Covariances).unwrap();
    // The variance of 0..10 is 55/6; along the line of slope −2 it is 5 times as much.
    let [first, second] = &fitted.components[..] else {
        panic!("{fitted:?}");
    };
    assert!((first.eigenvalue - 5.0 * 55.0 / 6.0).abs() < 1e-9);
    assert!(second.eigenvalue < 1e-9 && (first.explained - 1.0).abs() < 1e-12);
    let root = 5.0_f64.sqrt();
    assert!((first.loadings[0] + 1.0 / root).abs() < 1e-12 && (first.loadings[1] - 2.0 / root).abs() < 1e-12);
}

#[test]
fn components_of_four_hospitals_are_those_of_all_rows() {
    let Some(oracle) = shared("oracles/tests_meta.json") else {
        return;
    };
    let oracle: Json = serde_json::from_str(&std::fs::read_to_string(oracle).unwrap()).unwrap();
    let expected = &oracle["results"]["heart_pca_of_correlation"]["eigenvalues_descending"];
    let table = table(&shared("clinical/uci_heart_4hospitals.csv").unwrap());
    let points = Points::new("age + trestbps + thalach + oldpeak", &[], &table.variables(&[])).unwrap();
    let frames = table.frames_by("hospital", &points.needs);
    let fitted = fit(
        &Pca {
            points,
            of: Of::Correlations,
        },
        &frames,
    )
    .unwrap();
    assert_eq!((fitted.n, fitted.components.len()), (854, 4));
    for (at, component) in fitted.components.iter().enumerate() {
        let expected = expected[at].as_f64().unwrap();
        assert!(
            (component.eigenvalue - expected).abs() < 1e-12,
            "{at}: {}",
            component.eigenvalue
        );
        assert!((component.explained - expected / 4.0).abs() < 1e-12);
        let length: f64 = component.loadings.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-12);
        assert!(component.loadings.iter().any(|x| *x > 0.0));
    }
}
