//! Models as commands: what all of them have in common, `datenraum glm` and `datenraum cox`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use federation::{FitAnswer, FitQuestion};
use models::{Fitted, cox, design, glm};
use terms::{ExitCode, MemberId, Report};

use super::{Findings, Row, Sheet, Value, about, as_text, asker, end, learn, terms};
use crate::args::fits::{CoxArgs, FitArgs, GlmArgs};
use crate::plot::figure::Note;
use crate::plot::forest::{Forest, Kind, Line, Shape};
use crate::plot::{self, Picture};

/// `datenraum glm`.
pub(crate) async fn glm(args: GlmArgs, json: bool) -> Result<ExitCode, Report> {
    if args.penalty.is_some() {
        return learn::penalised(args, json).await;
    }
    let theta = args.theta.map(|theta| theta.to_string());
    let said = [
        ("formula", Some(args.formula)),
        ("family", named(args.family)),
        ("link", args.link),
        ("theta", theta),
        ("weights", args.weights),
    ];
    fit("glm", said, args.fit, args.plot, json).await
}

/// `datenraum cox`.
pub(crate) async fn cox(args: CoxArgs, json: bool) -> Result<ExitCode, Report> {
    let said = [
        ("formula", Some(args.formula)),
        ("ties", named(args.ties)),
        ("baseline", named(args.baseline)),
        ("check", args.check.and_then(named)),
    ];
    fit("cox", said, args.fit, args.plot, json).await
}

/// A choice as it is written.
pub(super) fn named(choice: impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}

/// Fits, prints, and draws into the file if one is named.
pub(super) async fn fit<const N: usize>(
    analysis: &str,
    said: [(&str, Option<String>); N],
    args: FitArgs,
    plot: Option<PathBuf>,
    json: bool,
) -> Result<ExitCode, Report> {
    plot.as_deref().map_or(Ok(()), plot::check_svg)?;
    let asker = asker(&args.about.asker).await?;
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
    let found = fitted.map(|fitted| Findings {
        picture: plot.and_then(|file| Some(Picture::forest(&file, forest(&fitted, &question)?))),
        ..findings(&fitted, &dropped)
    });
    end(found, &evidence, &args.about.written, json)
}

/// Prints a model and who took part.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn print(fitted: &Fitted, answer: &FitAnswer) -> Result<(), Report> {
    as_text(&findings(fitted, &answer.dropped), &answer.evidence, false)
}

fn findings(fitted: &Fitted, dropped: &BTreeMap<MemberId, Option<u64>>) -> Findings {
    let mut findings = match fitted {
        Fitted::Glm(fitted) => of_glm(fitted),
        Fitted::Cox(fitted) => of_cox(fitted),
        Fitted::Pca(fitted) => learn::of_pca(fitted),
        Fitted::KMeans(fitted) => learn::of_kmeans(fitted),
        Fitted::Penalised(fitted) => learn::of_penalised(fitted),
        Fitted::Trained(fitted) => learn::of_trained(fitted),
    };
    let all: Option<u64> = dropped.values().copied().sum();
    findings
        .facts
        .0
        .insert(1, ("dropped".into(), all.map_or(Value::Nothing, count)));
    let rows = dropped
        .iter()
        .filter(|(_, dropped)| **dropped != Some(0))
        .map(|(node, dropped)| {
            let dropped = dropped.map_or(Value::Nothing, count);
            Row::default().with("node", node.to_string()).with("dropped", dropped)
        });
    let nodes = Sheet {
        title: Some("Rows left out because a column is not known:".to_owned()),
        ..Sheet::new("dropped_by_node", rows)
    };
    if dropped.values().any(Option::is_none) {
        let note =
            "where too few people are concerned, or sums are masked, a node does not say how many rows it left out";
        findings.notes.push(note.to_owned());
    }
    findings.sheets.push(nodes);
    findings
}

fn of_glm(fitted: &glm::Fitted) -> Findings {
    let facts = Row::default()
        .with("n", count(fitted.n))
        .with("df_residual", count(fitted.df_residual))
        .with("deviance", Value::Number(fitted.deviance))
        .with("dispersion", Value::Number(fitted.dispersion))
        .with("log_likelihood", fitted.log_likelihood)
        .with("aic", fitted.aic)
        .with("steps", count(fitted.steps.into()));
    Findings {
        facts,
        sheets: vec![terms(None, &fitted.terms)],
        notes: notes(&fitted.empty_levels),
        picture: None,
    }
}

fn of_cox(fitted: &cox::Fitted) -> Findings {
    let facts = Row::default()
        .with("n", count(fitted.n))
        .with("events", count(fitted.events))
        .with("log_likelihood", Value::Number(fitted.log_likelihood))
        .with("log_likelihood_null", Value::Number(fitted.log_likelihood_null))
        .with("steps", count(fitted.steps.into()));
    let estimates: Vec<_> = fitted.terms.iter().map(|term| term.term.clone()).collect();
    let mut coefficients = terms(None, &estimates);
    for (row, term) in coefficients.rows.iter_mut().zip(&fitted.terms) {
        row.0.push(("hazard_ratio".into(), Value::Number(term.hazard_ratio)));
        row.0
            .push(("hazard_ratio_low".into(), Value::Number(term.hazard_ratio_low)));
        row.0
            .push(("hazard_ratio_high".into(), Value::Number(term.hazard_ratio_high)));
    }
    let test = |name: &str, test: &cox::Test| {
        Row::default()
            .with("test", name)
            .with("chi2", Value::Number(test.chi2))
            .with("df", count(test.df.into()))
            .with("p", Value::P(test.p))
    };
    let tests = Sheet {
        title: Some("All terms together:".to_owned()),
        ..Sheet::new(
            "tests",
            [
                test("likelihood ratio", &fitted.likelihood_ratio),
                test("Wald", &fitted.wald),
                test("score", &fitted.score),
            ],
        )
    };
    let checks = fitted.proportional.iter().flatten().map(|check| match &check.test {
        Some(found) => test(&check.term, found),
        None => Row::default()
            .with("test", check.term.clone())
            .with("chi2", Value::Nothing)
            .with("df", Value::Nothing)
            .with("p", Value::Nothing),
    });
    let checks = Sheet {
        title: Some("Whether hazards are in proportion (small p: they are not):".to_owned()),
        ..Sheet::new("proportional_hazards", checks)
    };
    Findings {
        facts,
        sheets: vec![coefficients, tests, checks],
        notes: notes(&fitted.empty_levels),
        picture: None,
    }
}

/// Coefficients, or hazard ratios; none of a model that has no intervals.
fn forest(fitted: &Fitted, question: &FitQuestion) -> Option<Forest> {
    let line = |label: &str, estimate: f64, ci: [f64; 2]| Line {
        label: label.to_owned(),
        estimate,
        ci,
        shape: Shape::Alone,
    };
    let (axis, kind, lines, empty_levels): (_, _, Vec<Line>, _) = match fitted {
        Fitted::Glm(fitted) => {
            // The constant is no difference between rows, and often far from all others.
            let is_alone = fitted.terms.len() == 1;
            let terms = fitted
                .terms
                .iter()
                .filter(|term| is_alone || term.term != design::INTERCEPT);
            let lines = terms.map(|term| line(&term.term, term.estimate, [term.ci_low, term.ci_high]));
            ("coefficient", Kind::Differences, lines.collect(), &fitted.empty_levels)
        }
        Fitted::Cox(fitted) => {
            let ratio = |term: &cox::HazardTerm| {
                let ci = [term.hazard_ratio_low, term.hazard_ratio_high];
                line(&term.term.term, term.hazard_ratio, ci)
            };
            let lines = fitted.terms.iter().map(ratio).collect();
            ("hazard ratio", Kind::Ratios, lines, &fitted.empty_levels)
        }
        _ => return None,
    };
    let formula = question.options.get("formula").map_or("", String::as_str);
    Some(Forest {
        title: format!("{}: {formula}", question.collection),
        axis: axis.to_owned(),
        kind,
        lines,
        notes: left_out(empty_levels).into_iter().map(Note::Plain).collect(),
        sources: Vec::new(),
    })
}

/// Doubles hold every count that there can be.
pub(super) fn count(count: u64) -> Value {
    Value::Number(count as f64)
}

/// What is to be known of every model.
fn notes(empty_levels: &[String]) -> Vec<String> {
    let wald = "intervals are Wald's, of 95 %".to_owned();
    [wald].into_iter().chain(left_out(empty_levels)).collect()
}

/// That levels are not in the model.
pub(super) fn left_out(empty_levels: &[String]) -> Option<String> {
    let levels = empty_levels.join(", ");
    (!empty_levels.is_empty()).then(|| format!("no row of any node has {levels}: left out of the model"))
}
