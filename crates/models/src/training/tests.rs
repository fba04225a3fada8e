use super::*;
use crate::example::{Table, added, fit, shared, table};
use crate::family::Family;
use crate::formula::Formula;
use crate::glm::Glm;
use crate::network::Activation;
use crate::rounds::to_the_end;

const HEART: &str = "disease ~ age + sex + C(cp) + thalach + exang + oldpeak";

fn heart() -> Option<Table> {
    Some(table(&shared("clinical/uci_heart_4hospitals.csv")?))
}

fn training(table: &Table, hidden: &[usize], method: Method, rounds: u32) -> Training {
    let design = Design::new(&Formula::parse(HEART).unwrap(), None, &[], &table.variables(&["cp"])).unwrap();
    let network = Network::new(hidden.to_vec(), Activation::Tanh, Loss::Logistic).unwrap();
    Training::new(design, network, method, rounds, 1).unwrap()
}

/// Rounds as nodes make them; there may be more of them than steps of other analyses.
fn trained(training: &Training, frames: &[Frame]) -> Result<Trained, Report> {
    to_the_end(training.start(), u32::MAX, |state| {
        training.next(state, &added(training, state, frames))
    })
}

/// How often a row with the response 1 has more than one with 0; half for as much.
fn auc(scores: &[f64], responses: &[f64]) -> f64 {
    let of = |response: f64| {
        let both = scores.iter().zip(responses);
        both.filter(move |(_, y)| **y == response).map(|(score, _)| *score)
    };
    let pairs = of(1.0).flat_map(|one| of(0.0).map(move |zero| (one, zero)));
    let (mut sum, mut count) = (0.0, 0.0);
    for (one, zero) in pairs {
        sum += if one > zero {
            1.0
        } else if one < zero {
            0.0
        } else {
            0.5
        };
        count += 1.0;
    }
    sum / count
}

/// The columns of the design by rows, in their units, and the responses.
fn rows_of(design: &Design, frame: &Frame) -> (Vec<Vec<f64>>, Vec<f64>) {
    let columns = design.columns.iter().map(|column| {
        let (mut values, mut room) = (vec![0.0; frame.rows], vec![0.0; frame.rows]);
        column.fill(frame, 0, &mut values, &mut room);
        values.iter().map(|x| x * column.scale).collect::<Vec<f64>>()
    });
    let columns: Vec<Vec<f64>> = columns.collect();
    let rows = (0..frame.rows).map(|row| columns.iter().map(|column| column[row]).collect());
    let mut responses = vec![0.0; frame.rows];
    design.response.fill(frame, 0, &mut responses);
    (rows.collect(), responses)
}

fn auc_of(trained: &Trained, design: &Design, frame: &Frame) -> f64 {
    let (rows, responses) = rows_of(design, frame);
    let scores: Vec<f64> = rows.iter().map(|x| trained.predict(x).unwrap()).collect();
    auc(&scores, &responses)
}

#[test]
fn trainings_that_make_no_sense_are_refused() {
    let variable = |name: &str| crate::design::Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some((0.0, 4.0)),
        levels: Vec::new(),
        edges: Vec::new(),
    };
    let variables = ["y", "x"].map(variable);
    let new = |formula: &str, method, rounds| {
        let design = Design::new(&Formula::parse(formula).unwrap(), None, &[], &variables).unwrap();
        let network = Network::new(vec![2], Activation::Tanh, Loss::Squared).unwrap();
        Training::new(design, network, method, rounds, 1)
    };
    let gradient = |rate| Method::Gradient { rate, momentum: 0.0 };
    let averaging = |local_steps| Method::Averaging { rate: 0.1, local_steps };
    assert!(new("y ~ 1", gradient(0.1), 1).is_err());
    assert!(new("y ~ x + offset(x)", gradient(0.1), 1).is_err());
    assert!(new("y ~ x", gradient(0.0), 1).is_err());
    assert!(new("y ~ x", gradient(f64::INFINITY), 1).is_err());
    assert!(new("y ~ x", averaging(0), 1).is_err());
    assert!(new("y ~ x", averaging(1), 0).is_err());
    let frame = |x: [f64; 3], y: [f64; 3]| Frame {
        columns: vec![
            crate::frame::Column::Numbers(y.to_vec()),
            crate::frame::Column::Numbers(x.to_vec()),
        ],
        people: Vec::new(),
        rows: 3,
    };
    let model = new("y ~ x", averaging(1), 3).unwrap();
    for (frame, message) in [
        (frame([2.0; 3], [1.0, 2.0, 3.0]), "x is the same in every row"),
        (
            frame([1.0, 2.0, 4.0], [2.0; 3]),
            "the response is the same in every row",
        ),
        (
            Frame {
                columns: vec![
                    crate::frame::Column::Numbers(Vec::new()),
                    crate::frame::Column::Numbers(Vec::new()),
                ],
                ..Frame::default()
            },
            "only 0 rows",
        ),
    ] {
        let error = fit(&model, &[frame]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    for far_too_large in [
        gradient(1e6),
        Method::Averaging {
            rate: 1e6,
            local_steps: 3,
        },
    ] {
        let model = new("y ~ x", far_too_large, 50).unwrap();
        let error = fit(&model, &[frame([1.0, 2.0, 4.0], [3.0, 1.0, 2.0])])
            .unwrap_err()
            .to_string();
        assert!(error.contains("beyond all bounds"), "{error}");
    }
}

#[test]
fn without_a_hidden_layer_the_gradient_comes_to_logistic_regression() {
    let Some(table) = heart() else { return };
    let method = Method::Gradient {
        rate: 1.0,
        momentum: 0.9,
    };
    let training = training(&table, &[], method, 400);
    let frames = table.frames_by("hospital", &training.design.needs);
    let trained = trained(&training, &frames).unwrap();
    let design = Design::new(&Formula::parse(HEART).unwrap(), None, &[], &table.variables(&["cp"])).unwrap();
    let of_glm = fit(&Glm::new(Family::Binomial, None, design).unwrap(), &frames).unwrap();
    for ((input, parameter), term) in trained.inputs.iter().zip(&trained.parameters).zip(&of_glm.terms[1..]) {
        assert_eq!(input.name, term.term);
        let estimate = parameter / input.deviation;
        assert!(
            (estimate / term.estimate - 1.0).abs() < 1e-6,
            "{}: {estimate} for {}",
            term.term,
            term.estimate
        );
    }
    let loss = trained.losses.last().unwrap();
    assert!((loss * 2.0 * 857.0 / of_glm.deviance - 1.0).abs() < 1e-9);
}

/// Logistic regression has an AUC of 0.886 on these rows.
#[test]
fn a_network_by_averaging_tells_the_ill_about_as_well_as_pooled_logistic_regression() {
    let Some(table) = heart() else { return };
    let whole = |training: &Training| table.frame(&training.design.needs, |_, _| true);
    let logistic = training(
        &table,
        &[],
        Method::Gradient {
            rate: 1.0,
            momentum: 0.9,
        },
        200,
    );
    let pooled = auc_of(
        &trained(&logistic, &[whole(&logistic)]).unwrap(),
        &logistic.design,
        &whole(&logistic),
    );
    for (method, rounds) in [
        (
            Method::Averaging {
                rate: 0.5,
                local_steps: 5,
            },
            40,
        ),
        (
            Method::Gradient {
                rate: 0.5,
                momentum: 0.9,
            },
            100,
        ),
    ] {
        let network = training(&table, &[6], method, rounds);
        let frames = table.frames_by("hospital", &network.design.needs);
        let trained = trained(&network, &frames).unwrap();
        let found = auc_of(&trained, &network.design, &whole(&network));
        assert!((pooled - 0.886).abs() < 0.001, "{pooled}");
        assert!(found > pooled - 0.01, "{method:?}: {found} for {pooled}");
        assert!(trained.losses.last() < trained.losses.first());
    }
}
