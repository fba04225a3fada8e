//! Models as commands: what all of them have in common, and `datenraum glm`.

use std::collections::BTreeMap;

use clap::ValueEnum;
use federation::{FitAnswer, FitQuestion};
use models::{Fitted, glm};
use terms::{ExitCode, MemberId, Report};

use super::{Findings, Row, Sheet, Value, about, asker, end, sheet};
use crate::args::fits::{FitArgs, GlmArgs};

/// `datenraum glm`.
pub(crate) async fn glm(args: GlmArgs, json: bool) -> Result<ExitCode, Report> {
    let family = args.family.to_possible_value();
    let family = family.map_or_else(String::new, |value| value.get_name().to_owned());
    let theta = args.theta.map(|theta| theta.to_string());
    let said = [
        ("formula", Some(args.formula)),
        ("family", Some(family)),
        ("link", args.link),
        ("theta", theta),
        ("weights", args.weights),
    ];
    fit("glm", said, args.fit, json).await
}

/// Fits, and prints.
async fn fit<const N: usize>(
    analysis: &str,
    said: [(&str, Option<String>); N],
    args: FitArgs,
    json: bool,
) -> Result<ExitCode, Report> {
    let asker = asker(&args.about).await?;
    let about = about(&args.about)?;
    let complete = ("complete", args.complete_cases);
    let options = said
        .into_iter()
        .chain([complete])
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let question = FitQuestion {
        collection: about.collection,
        analysis: analysis.to_owned(),
        options: options.collect(),
        condition: about.condition,
        nodes: args.nodes,
        without_missing: args.without_missing,
        steps: args.steps,
        purpose: about.purpose,
        permit: about.permit,
    };
    let FitAnswer {
        fitted,
        dropped,
        evidence,
    } = asker.fit(&question).await?;
    let found = fitted.map(|fitted| findings(&fitted, &dropped));
    end(found, &evidence, &args.about.written, json)
}

fn findings(fitted: &Fitted, dropped: &BTreeMap<MemberId, Option<u64>>) -> Findings {
    let mut findings = match fitted {
        Fitted::Glm(fitted) => of_glm(fitted),
    };
    let all: Option<u64> = dropped.values().copied().sum();
    findings
        .facts
        .0
        .insert(1, ("dropped", all.map_or(Value::Nothing, Value::Count)));
    let rows = dropped
        .iter()
        .filter(|(_, dropped)| **dropped != Some(0))
        .map(|(node, dropped)| {
            let dropped = dropped.map_or(Value::Nothing, Value::Count);
            Row::default().with("node", node.to_string()).with("dropped", dropped)
        });
    let nodes = Sheet {
        name: "dropped_by_node",
        title: Some("Rows left out because a column is not known:".to_owned()),
        rows: rows.collect(),
    };
    if dropped.values().any(Option::is_none) {
        let note = "where too few people are concerned, a node does not say how many rows it left out";
        findings.notes.push(note.to_owned());
    }
    findings.sheets.push(nodes);
    findings
}

fn of_glm(fitted: &glm::Fitted) -> Findings {
    let facts = Row::default()
        .with("n", Value::Count(fitted.n))
        .with("df_residual", Value::Count(fitted.df_residual))
        .with("deviance", Value::Number(fitted.deviance))
        .with("dispersion", Value::Number(fitted.dispersion))
        .with("log_likelihood", fitted.log_likelihood)
        .with("aic", fitted.aic)
        .with("steps", Value::Count(fitted.steps.into()));
    let mut notes = vec!["intervals are Wald's, of 95 %".to_owned()];
    if !fitted.empty_levels.is_empty() {
        let levels = fitted.empty_levels.join(", ");
        notes.push(format!("no row of any node has {levels}: left out of the model"));
    }
    Findings {
        facts,
        sheets: vec![sheet::terms(None, &fitted.terms)],
        notes,
        picture: None,
    }
}
