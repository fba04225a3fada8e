//! From statements to what is made without a formula of coefficients: principal components, k-means, paths of penalties, networks.

use std::fmt::Display;
use std::str::FromStr;

use terms::{Problem, Report};

use super::{Exposure, Fitted, Model, Tells, chosen, formula, start};
use crate::design::{Design, Variable};
use crate::family::Family;
use crate::formula::{Formula, Response};
use crate::glm::penalised::Penalised;
use crate::kmeans::KMeans;
use crate::network::{Activation, Loss, Network};
use crate::pca::{Of, Pca};
use crate::points::Points;
use crate::statement::Statement;
use crate::training::{Method, Training};

/// The start of a network, if nothing is said.
const SEED: u64 = 1;

pub(super) fn pca(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    statement.require_known(&["columns", "of", "complete"])?;
    let points = points(statement, variables)?;
    let of = chosen(
        statement,
        "of",
        &[("correlation", Of::Correlations), ("covariance", Of::Covariances)],
    )?;
    let exposure = of_points(&points);
    Ok(Model {
        needs: points.needs.clone(),
        exposure,
        start: start(
            Pca {
                points,
                of: of.unwrap_or_default(),
            },
            Fitted::Pca,
        ),
    })
}

pub(super) fn kmeans(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    statement.require_known(&["columns", "clusters", "tolerance", "complete"])?;
    let points = points(statement, variables)?;
    let clusters: usize = number(statement, "clusters")?.ok_or_else(|| {
        let report = Problem::ModelFormula.report("kmeans needs a number of clusters");
        report.remedy("for instance clusters => '3'")
    })?;
    let needs = points.needs.clone();
    let of_points = of_points(&points);
    let exposure = Exposure {
        parameters: of_points
            .parameters
            .saturating_add(clusters.saturating_mul(points.columns.len())),
        tells: Tells::Groups,
        ..of_points
    };
    // Each node looks at its own clusters: here nothing is left to be small.
    let mut analysis = KMeans::new(points, clusters, 1)?;
    if let Some(tolerance) = number(statement, "tolerance")? {
        analysis = analysis.with_tolerance(tolerance)?;
    }
    Ok(Model {
        needs,
        exposure,
        start: start(analysis, Fitted::KMeans),
    })
}

/// Means, and products of each two columns.
fn of_points(points: &Points) -> Exposure {
    let size = points.columns.len();
    Exposure {
        parameters: size * (size + 3) / 2,
        summed: points.summed,
        columns: points.columns.clone(),
        ..Exposure::default()
    }
}

fn points(statement: &Statement, variables: &[Variable]) -> Result<Points, Report> {
    let text = statement.option("columns").ok_or_else(|| {
        let report = Problem::ModelFormula.report(format!("{} needs columns", statement.analysis));
        report.remedy("for instance columns => 'age, bmi'")
    })?;
    Points::new(text, &statement.complete(), variables)
}

pub(super) fn penalised(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    statement.require_known(&[
        "formula", "family", "weights", "complete", "penalty", "mixing", "lambdas",
    ])?;
    let family = Family::named(statement.option("family").unwrap_or("gaussian"), None)?;
    let penalties = [("ridge", Some(0.0)), ("lasso", Some(1.0)), ("elastic-net", None)];
    let said = chosen(statement, "penalty", &penalties)?.flatten();
    let mixing: Option<f64> = number(statement, "mixing")?;
    if said.is_some() && mixing.is_some() {
        let report = Problem::ModelFormula.report("ridge and lasso mix nothing");
        return Err(report.remedy("mixing is for the penalty elastic-net"));
    }
    let lambdas = numbers(statement, "lambdas")?;
    let design = design(statement, variables)?;
    require_response(family, &design, statement, variables)?;
    let exposure = Exposure::of_glm(&design, family);
    Ok(Model {
        needs: design.needs.clone(),
        exposure,
        start: start(
            Penalised::new(family, design, said.or(mixing).unwrap_or(0.5), lambdas)?,
            Fitted::Penalised,
        ),
    })
}

pub(super) fn train(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    let mut known = vec![
        "formula",
        "loss",
        "hidden",
        "activation",
        "method",
        "rate",
        "rounds",
        "seed",
        "complete",
    ];
    let is_averaging = chosen(statement, "method", &[("gradient", false), ("averaging", true)])?.unwrap_or(false);
    known.push(if is_averaging { "local_steps" } else { "momentum" });
    statement.require_known(&known)?;
    let activations = [("tanh", Activation::Tanh), ("relu", Activation::Relu)];
    let activation = chosen(statement, "activation", &activations)?.unwrap_or(Activation::Tanh);
    let losses = [("squared", Loss::Squared), ("logistic", Loss::Logistic)];
    let loss = chosen(statement, "loss", &losses)?.unwrap_or(Loss::Squared);
    let hidden = numbers(statement, "hidden")?;
    let is_seen_through = !is_averaging && (activation == Activation::Tanh || hidden.is_empty());
    let network = Network::new(hidden, activation, loss)?;
    let rounds: u32 = number(statement, "rounds")?.unwrap_or(20);
    if rounds >= statement.steps {
        let report = Problem::ModelFormula.report(format!(
            "{rounds} rounds take {} steps, and there are {}",
            u64::from(rounds) + 1,
            statement.steps
        ));
        return Err(report.remedy("take fewer rounds, or more steps"));
    }
    let rate = number(statement, "rate")?.unwrap_or(0.1);
    let method = match is_averaging {
        false => Method::Gradient {
            rate,
            momentum: number(statement, "momentum")?.unwrap_or(0.9),
        },
        true => Method::Averaging {
            rate,
            local_steps: number(statement, "local_steps")?.unwrap_or(5),
        },
    };
    let design = design(statement, variables)?;
    if loss == Loss::Logistic {
        require_response(Family::Binomial, &design, statement, variables)?;
    }
    let seed = number(statement, "seed")?.unwrap_or(SEED);
    let training = Training::new(design, network, method, rounds, seed)?;
    let design = training.design();
    let exposure = Exposure {
        parameters: training.parameters(),
        tells: if is_seen_through {
            Tells::Products
        } else {
            Tells::Opaque
        },
        ..Exposure::of_design(design, loss == Loss::Logistic)
    };
    Ok(Model {
        needs: design.needs.clone(),
        exposure,
        start: start(training, Fitted::Trained),
    })
}

/// The formula's, for a model without strata.
fn design(statement: &Statement, variables: &[Variable]) -> Result<Design, Report> {
    let formula = without_strata(statement)?;
    Design::new(&formula, statement.option("weights"), &statement.complete(), variables)
}

fn without_strata(statement: &Statement) -> Result<Formula, Report> {
    let formula = formula(statement)?;
    if !formula.strata.is_empty() {
        return Err(Problem::ModelFormula.report("this model has no strata: use the column as a factor"));
    }
    Ok(formula)
}

fn require_response(
    family: Family,
    design: &Design,
    statement: &Statement,
    variables: &[Variable],
) -> Result<(), Report> {
    let Response::One(response) = &formula(statement)?.response else {
        return Ok(());
    };
    match variables.iter().find(|variable| variable.name == response.column) {
        Some(variable) => family.require_response(variable, design.response.is_indicator()),
        None => Ok(()),
    }
}

/// The number that an option says.
fn number<T: FromStr>(statement: &Statement, name: &str) -> Result<Option<T>, Report> {
    statement.option(name).map(|text| parsed(text, name)).transpose()
}

/// The numbers that an option says, between commas.
fn numbers<T: FromStr>(statement: &Statement, name: &str) -> Result<Vec<T>, Report> {
    let said = statement.option(name).unwrap_or_default().split(',');
    let said = said.map(str::trim).filter(|text| !text.is_empty());
    said.map(|text| parsed(text, name)).collect()
}

fn parsed<T: FromStr>(text: &str, name: impl Display) -> Result<T, Report> {
    let wrong = |_| Problem::ModelFormula.report(format!("{name} cannot be {text}"));
    text.trim().parse().map_err(wrong)
}
