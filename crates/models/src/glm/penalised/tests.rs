use super::*;
use crate::design::Variable;
use crate::example::{fit, shared, table};
use crate::formula::Formula;

const LOGIT: &str = "disease ~ age + sex + thalach + exang + oldpeak";

fn penalised(
    formula: &str,
    family: Family,
    mixing: f64,
    lambdas: &[f64],
    variables: &[Variable],
) -> Result<Penalised, Report> {
    let design = Design::new(&Formula::parse(formula)?, None, &[], variables)?;
    Penalised::new(family, design, mixing, lambdas.to_vec())
}

fn variable(name: &str) -> Variable {
    Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some((0.0, 4.0)),
        levels: Vec::new(),
        edges: Vec::new(),
    }
}

#[test]
fn what_has_no_path_is_refused() {
    let variables = ["y", "x"].map(variable);
    for (formula, family, mixing, lambdas, message) in [
        ("y ~ x - 1", Family::Gaussian, 0.0, [1.0], "needs its constant"),
        ("y ~ x", Family::Gamma, 0.0, [1.0], "only"),
        ("y ~ x", Family::Gaussian, 1.5, [1.0], "from 0 (ridge) to 1 (lasso)"),
        ("y ~ x", Family::Gaussian, 0.5, [0.0], "above 0"),
        ("y ~ x", Family::Gaussian, 0.5, [f64::NAN], "above 0"),
    ] {
        let error = penalised(formula, family, mixing, &lambdas, &variables)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{formula}: {error}");
    }
    let frame = |x: &[f64], y: &[f64]| Frame {
        columns: vec![
            crate::frame::Column::Numbers(y.to_vec()),
            crate::frame::Column::Numbers(x.to_vec()),
        ],
        people: Vec::new(),
        rows: x.len(),
    };
    let model = penalised("y ~ x", Family::Binomial, 0.5, &[1.0], &variables).unwrap();
    for (frame, message) in [
        (frame(&[2.0; 4], &[0.0, 1.0, 1.0, 0.0]), "x is the same in every row"),
        (frame(&[1.0, 2.0], &[1.0, 1.0]), "the response is 1 in every row"),
        (frame(&[1.0], &[1.0]), "only 1 rows"),
        (frame(&[], &[]), "only 0 rows"),
    ] {
        let error = fit(&model, &[frame]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// By scikit-learn 1.9.1 on the rows of all hospitals, columns standardised with n: `LogisticRegression(C = 1 / (n λ))` with
/// `newton-cholesky` for ridge and `saga` for the others (tol 1e-14), `ElasticNet(alpha = λ)`; the constant, then the columns.
#[test]
fn paths_over_four_hospitals_are_those_of_all_rows() {
    let Some(file) = shared("clinical/uci_heart_4hospitals.csv") else {
        return;
    };
    let table = table(&file);
    let thalach = "thalach ~ age + sex + oldpeak";
    let logit = |mixing, lambda, expected: [f64; 6]| (LOGIT, Family::Binomial, mixing, lambda, expected.to_vec());
    let gaussian = |mixing, lambda, expected: [f64; 4]| (thalach, Family::Gaussian, mixing, lambda, expected.to_vec());
    for (formula, family, mixing, lambda, expected) in [
        logit(
            0.0,
            0.1,
            [
                -0.4137587235694032,
                0.024326651368976396,
                0.8780699469626613,
                -0.014690577116579567,
                0.96924192990272,
                0.383420919099662,
            ],
        ),
        logit(
            0.0,
            0.01,
            [
                -0.5042271679351706,
                0.029446936320757816,
                1.3190433631460858,
                -0.020244674180666833,
                1.3175938237659204,
                0.5717566060722339,
            ],
        ),
        logit(
            0.5,
            0.05,
            [
                -0.06438242895957513,
                0.01862030553345592,
                0.8916030875727573,
                -0.015484753790389886,
                1.0631669844649665,
                0.4130175775587637,
            ],
        ),
        logit(
            1.0,
            0.1,
            [
                0.7243750783555282,
                0.0,
                0.23852684840641936,
                -0.00852598923224623,
                0.7764646486937644,
                0.1959620205109719,
            ],
        ),
        gaussian(
            0.5,
            1.0,
            [
                175.90282736906588,
                -0.6153016463093501,
                -6.033101788294456,
                -0.9996267261765686,
            ],
        ),
        gaussian(1.0, 5.0, [163.35089210872704, -0.4836883092250057, 0.0, 0.0]),
    ] {
        // Other penalties before it do not change where the path is.
        let lambdas = [lambda, lambda * 3.0, lambda * 1.5];
        let model = penalised(formula, family, mixing, &lambdas, &table.variables(&[])).unwrap();
        let frames = table.frames_by("hospital", &model.design().needs);
        let fitted = fit(&model, &frames).unwrap();
        assert_eq!((fitted.n, fitted.path.len()), (857, 3));
        let point = fitted.path.last().unwrap();
        assert_eq!(point.lambda, lambda);
        assert_eq!(point.nonzero, expected[1..].iter().filter(|b| **b != 0.0).count());
        for (term, expected) in point.terms.iter().zip(&expected) {
            let off = (term.estimate - expected).abs() / (1.0 + expected.abs());
            assert!(
                off < 1e-9,
                "{mixing} {lambda} {}: {} for {expected}",
                term.term,
                term.estimate
            );
        }
    }
}

#[test]
fn nearly_without_a_penalty_it_is_the_model_itself() {
    let Some(file) = shared("clinical/rwm5yr_german_panel.csv") else {
        return;
    };
    let table = table(&file);
    let formula = "docvis ~ age + female + outwork + hhninc + educ";
    let model = penalised(
        formula,
        Family::Poisson,
        0.5,
        &[0.1, 1e-3, 1e-12],
        &table.variables(&[]),
    )
    .unwrap();
    let frames = table.frames_by("year", &model.design().needs);
    let fitted = fit(&model, &frames).unwrap();
    let of_glm = fit(&model.glm, &frames).unwrap();
    for (term, of_glm) in fitted.path[2].terms.iter().zip(&of_glm.terms) {
        assert!((term.estimate - of_glm.estimate).abs() < 1e-8, "{}", term.term);
    }
    assert!(fitted.path[0].deviance > fitted.path[2].deviance);
}
