//! `datenraum pca`, `datenraum kmeans`, `datenraum train` and penalties of `datenraum glm`.

use models::glm::penalised;
use models::{kmeans, pca, training};
use terms::{ExitCode, Report};

use super::fit::{count, fit, left_out, named};
use super::{Findings, Row, Sheet, Value};
use crate::args::fits::GlmArgs;
use crate::args::learn::{KmeansArgs, PcaArgs, TrainArgs};

/// `datenraum pca`.
pub(crate) async fn pca(args: PcaArgs, json: bool) -> Result<ExitCode, Report> {
    let said = [("columns", Some(args.columns)), ("of", named(args.of))];
    fit("pca", said, args.fit, None, json).await
}

/// `datenraum kmeans`.
pub(crate) async fn kmeans(args: KmeansArgs, json: bool) -> Result<ExitCode, Report> {
    let said = [
        ("columns", Some(args.columns)),
        ("clusters", Some(args.clusters.to_string())),
        ("tolerance", args.tolerance.map(|tolerance| tolerance.to_string())),
    ];
    fit("kmeans", said, args.fit, None, json).await
}

/// `datenraum glm --penalty`.
pub(super) async fn penalised(args: GlmArgs, json: bool) -> Result<ExitCode, Report> {
    let said = [
        ("formula", Some(args.formula)),
        ("family", named(args.family)),
        ("weights", args.weights),
        ("penalty", args.penalty.and_then(named)),
        ("lambdas", args.lambdas),
        ("mixing", args.mixing.map(|mixing| mixing.to_string())),
    ];
    fit("penalised", said, args.fit, None, json).await
}

/// `datenraum train`.
pub(crate) async fn train(args: TrainArgs, json: bool) -> Result<ExitCode, Report> {
    let said = [
        ("formula", Some(args.formula)),
        ("loss", named(args.loss)),
        ("hidden", args.hidden),
        ("activation", named(args.activation)),
        ("method", named(args.method)),
        ("rate", args.rate.map(|rate| rate.to_string())),
        ("momentum", args.momentum.map(|momentum| momentum.to_string())),
        ("local_steps", args.local_steps.map(|steps| steps.to_string())),
        ("rounds", Some(args.rounds.to_string())),
        ("seed", args.seed.map(|seed| seed.to_string())),
    ];
    fit("train", said, args.fit, None, json).await
}

pub(super) fn of_pca(fitted: &pca::Fitted) -> Findings {
    let components = fitted.components.iter().enumerate().map(|(at, component)| {
        Row::default()
            .with("component", format!("PC{}", at + 1))
            .with("eigenvalue", Value::Number(component.eigenvalue))
            .with("explained", Value::Number(component.explained))
    });
    let variables = fitted.variables.iter().enumerate().map(|(variable, name)| {
        let row = Row::default()
            .with("variable", name.clone())
            .with("mean", Value::Number(fitted.means[variable]))
            .with("std_dev", Value::Number(fitted.deviations[variable]));
        let loadings = fitted.components.iter().enumerate();
        loadings.fold(row, |row, (at, component)| {
            row.with(format!("PC{}", at + 1), Value::Number(component.loadings[variable]))
        })
    });
    Findings {
        facts: Row::default().with("n", count(fitted.n)),
        sheets: vec![
            Sheet::new("components", components),
            titled("Loadings:", Sheet::new("variables", variables)),
        ],
        notes: Vec::new(),
        picture: None,
    }
}

pub(super) fn of_kmeans(fitted: &kmeans::Fitted) -> Findings {
    let facts = Row::default()
        .with("n", count(fitted.n))
        .with("within", Value::Number(fitted.within))
        .with("total", Value::Number(fitted.total))
        .with("steps", count(fitted.steps.into()));
    let clusters = fitted.clusters.iter().enumerate().map(|(at, cluster)| {
        let row = Row::default()
            .with("cluster", count(at as u64 + 1))
            .with("size", count(cluster.size))
            .with("within", Value::Number(cluster.within));
        let centre = fitted.variables.iter().zip(&cluster.centre);
        centre.fold(row, |row, (name, x)| {
            row.with(format!("centre {name}"), Value::Number(*x))
        })
    });
    Findings {
        facts,
        sheets: vec![Sheet::new("clusters", clusters)],
        notes: vec!["distances are in standard deviations; within and total are sums of their squares".to_owned()],
        picture: None,
    }
}

pub(super) fn of_penalised(fitted: &penalised::Fitted) -> Findings {
    let facts = Row::default()
        .with("n", count(fitted.n))
        .with("mixing", Value::Number(fitted.mixing))
        .with("steps", count(fitted.steps.into()));
    let path = fitted.path.iter().map(|point| {
        Row::default()
            .with("lambda", Value::Number(point.lambda))
            .with("nonzero", count(point.nonzero as u64))
            .with("deviance", Value::Number(point.deviance))
    });
    let terms = fitted.path.iter().flat_map(|point| {
        point.terms.iter().map(|term| {
            Row::default()
                .with("lambda", Value::Number(point.lambda))
                .with("term", term.term.clone())
                .with("estimate", Value::Number(term.estimate))
        })
    });
    Findings {
        facts,
        sheets: vec![
            Sheet::new("path", path),
            titled("Coefficients:", Sheet::new("terms", terms)),
        ],
        notes: left_out(&fitted.empty_levels).into_iter().collect(),
        picture: None,
    }
}

pub(super) fn of_trained(fitted: &training::Trained) -> Findings {
    let (mean, deviation) = fitted.response;
    let facts = Row::default()
        .with("n", count(fitted.n))
        .with("loss", fitted.losses.last().copied())
        .with("response_mean", Value::Number(mean))
        .with("response_std_dev", Value::Number(deviation));
    let inputs = fitted.inputs.iter().map(|input| {
        Row::default()
            .with("input", input.name.clone())
            .with("mean", Value::Number(input.mean))
            .with("std_dev", Value::Number(input.deviation))
    });
    let losses = fitted.losses.iter().enumerate().map(|(round, loss)| {
        Row::default()
            .with("round", count(round as u64 + 1))
            .with("loss", Value::Number(*loss))
    });
    let parameters = fitted.parameters.iter().enumerate().map(|(at, parameter)| {
        Row::default()
            .with("parameter", count(at as u64 + 1))
            .with("value", Value::Number(*parameter))
    });
    Findings {
        facts,
        sheets: vec![
            titled("Inputs:", Sheet::new("inputs", inputs)),
            titled("Loss at the beginning of each round:", Sheet::new("losses", losses)),
            titled(
                "Parameters, layer by layer and unit by unit: a weight for each input, and what is added:",
                Sheet::new("parameters", parameters),
            ),
        ],
        notes: left_out(&fitted.empty_levels).into_iter().collect(),
        picture: None,
    }
}

fn titled(title: &str, sheet: Sheet) -> Sheet {
    Sheet {
        title: Some(title.to_owned()),
        ..sheet
    }
}
