//! Models: what is said of one goes into a FIT statement as it stands (`models::model` refuses what it does not know).

use models::{Fitted, cox, glm, kmeans, pca};
use serde_json::{Map, Value as Json, json};
use terms::{Problem, Report};

use super::said::Said;
use super::table::{self, Table};
use super::{FACTS, evidence_of, short_enough, within};
use crate::analyses::results::term;
use crate::analyses::{About, Row, Value};
use crate::ask::Asker;
use crate::fit::{FitAnswer, FitQuestion};
use crate::gateway::connection::Session;
use crate::gateway::options::Options;
use crate::gateway::told::{self, ResultSet, Told};

/// The models, by the names of their commands.
pub(super) const NAMES: [&str; 5] = ["glm", "cox", "pca", "kmeans", "train"];

/// A model that is called. For what it is asked, the connection says.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Called {
    pub(super) question: FitQuestion,
    pub(super) table: Table,
}

impl Called {
    /// What a call says of a model, if it is one of these. A glm with a penalty is a path of them, as that of the command.
    pub(super) fn read(analysis: &str, mut said: Said) -> Result<Option<Self>, Report> {
        let (analysis, table) = match analysis {
            "glm" if said.has("penalty") => ("penalised", table::PENALISED),
            "glm" => ("glm", table::GLM),
            "cox" => ("cox", table::COX),
            "pca" => ("pca", table::PCA),
            "kmeans" => ("kmeans", table::KMEANS),
            "train" => ("train", table::TRAIN),
            _ => return Ok(None),
        };
        let About {
            collection, condition, ..
        } = said.about()?;
        let question = FitQuestion {
            collection,
            analysis: analysis.to_owned(),
            condition,
            nodes: said.list("nodes")?,
            without_missing: said.flag("without_missing")?,
            steps: said.parsed("steps")?,
            purpose: None,
            permit: None,
            options: said.rest(),
        };
        Ok(Some(Self { question, table }))
    }

    /// Asks, and tells the connection who took part whatever comes of it.
    pub(super) async fn ask(self, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
        let question = FitQuestion {
            purpose: options.purpose,
            permit: options.permit.clone(),
            ..self.question
        };
        enough_to_ask(asker.nodes_of(&question)?, question.without_missing, options)?;
        let FitAnswer {
            fitted,
            dropped,
            evidence,
        } = within(options.timeout, asker.fit(&question)).await?;
        let told = session.tell(Told::of_analysis(&evidence, Vec::new(), false));
        let fitted = fitted.map_err(|report| told::no_fit(evidence.took_part(), report))?;
        told::enough(evidence.took_part(), options)?;
        let Tabled { rows, parts } = tabled(&fitted);
        let all: Option<u64> = dropped.values().copied().sum();
        let mut facts = evidence_of(&evidence);
        facts.insert("dropped".to_owned(), json!(all));
        facts.insert("dropped_by_node".to_owned(), json!(dropped));
        facts.extend(without(json!(fitted), parts));
        let mut metadata = told.metadata();
        metadata.insert(FACTS.to_owned(), short_enough(facts));
        let batch = self.table.batch(&rows)?;
        ResultSet::new(&batch.schema(), vec![batch], metadata)
    }
}

/// Whether a fit over so many nodes can be one that the connection takes: nobody is asked in vain.
pub(super) fn enough_to_ask(nodes: usize, without_missing: bool, options: &Options) -> Result<(), Report> {
    match options.minimum_nodes {
        None if without_missing => {
            let message = "the fit may go on without some nodes, and the connection does not say how many are enough";
            let report = Problem::Partial.report(message);
            Err(report.remedy("set the option minimum_nodes, or leave out without_missing"))
        }
        Some(least) if nodes < least.get() => {
            let message =
                format!("the fit would be over {nodes} nodes, and the connection takes none over fewer than {least}");
            let report = Problem::Partial.report(message);
            Err(report.remedy("name more nodes, or all by leaving out nodes; or set the option minimum_nodes lower"))
        }
        _ => Ok(()),
    }
}

/// A model as a table.
pub(super) struct Tabled {
    pub(super) rows: Vec<Row>,
    /// What is in them, as the parts of a [`Fitted`] are called.
    parts: &'static [&'static str],
}

/// One row a coefficient, a loading, a coordinate, a parameter: with what it belongs to.
pub(super) fn tabled(fitted: &Fitted) -> Tabled {
    let (rows, parts): (Vec<Row>, &[&str]) = match fitted {
        Fitted::Glm(glm::Fitted { terms, .. }) => (terms.iter().map(term).collect(), &["terms"]),
        Fitted::Cox(cox::Fitted { terms, .. }) => (terms.iter().map(hazard).collect(), &["terms"]),
        Fitted::Penalised(path) => (path.path.iter().flat_map(coefficients).collect(), &["path"]),
        Fitted::Pca(found) => (loadings(found), &["components", "variables", "means", "deviations"]),
        Fitted::KMeans(found) => (centres(found), &["clusters", "variables"]),
        Fitted::Trained(network) => {
            let parameters = network.parameters.iter().enumerate().map(|(at, value)| {
                let row = Row::default().with("parameter", count(at + 1));
                row.with("value", Value::Number(*value))
            });
            (parameters.collect(), &["parameters"])
        }
    };
    Tabled { rows, parts }
}

fn hazard(of: &cox::HazardTerm) -> Row {
    term(&of.term)
        .with("hazard_ratio", Value::Number(of.hazard_ratio))
        .with("hazard_ratio_low", Value::Number(of.hazard_ratio_low))
        .with("hazard_ratio_high", Value::Number(of.hazard_ratio_high))
}

fn coefficients(of: &glm::penalised::Point) -> impl Iterator<Item = Row> {
    let point = Row::default()
        .with("lambda", Value::Number(of.lambda))
        .with("nonzero", count(of.nonzero))
        .with("deviance", Value::Number(of.deviance));
    of.terms.iter().map(move |coefficient| {
        let row = point.clone().with("term", coefficient.term.clone());
        row.with("estimate", Value::Number(coefficient.estimate))
    })
}

fn loadings(of: &pca::Fitted) -> Vec<Row> {
    let variables = || of.variables.iter().zip(&of.means).zip(&of.deviations);
    let components = of.components.iter().enumerate().flat_map(|(at, component)| {
        variables()
            .zip(&component.loadings)
            .map(move |(((name, mean), deviation), loading)| {
                Row::default()
                    .with("component", format!("PC{}", at + 1))
                    .with("eigenvalue", Value::Number(component.eigenvalue))
                    .with("explained", Value::Number(component.explained))
                    .with("variable", name.clone())
                    .with("mean", Value::Number(*mean))
                    .with("std_dev", Value::Number(*deviation))
                    .with("loading", Value::Number(*loading))
            })
    });
    components.collect()
}

fn centres(of: &kmeans::Fitted) -> Vec<Row> {
    let clusters = of.clusters.iter().enumerate().flat_map(|(at, cluster)| {
        of.variables.iter().zip(&cluster.centre).map(move |(name, centre)| {
            Row::default()
                .with("cluster", count(at + 1))
                .with("size", Value::Number(cluster.size as f64))
                .with("within", Value::Number(cluster.within))
                .with("variable", name.clone())
                .with("centre", Value::Number(*centre))
        })
    });
    clusters.collect()
}

/// Doubles hold every count that there can be.
fn count(count: usize) -> Value {
    Value::Number(count as f64)
}

/// What a model has beside some of its parts.
fn without(fitted: Json, parts: &[&str]) -> Map<String, Json> {
    match fitted {
        Json::Object(all) => all
            .into_iter()
            .filter(|(name, _)| !parts.contains(&name.as_str()))
            .collect(),
        _ => Map::new(),
    }
}
