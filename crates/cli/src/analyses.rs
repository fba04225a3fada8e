//! Statistics as commands: what they have in common. What a result looks like as a table and as JSON is said here once.
//!
//! A command makes a [`Findings`] of the results of `federation::analyses` or a fit, and [`end`] writes it with who took part. Where
//! `--format json` is chosen the object has the facts, one array for each sheet, and `notes`, `questions`, `query_ids`, `coverage`,
//! `receipts`; docs/statistics.md says so to users.

mod compare;
mod correlate;
mod crosstab;
mod describe;
pub(crate) mod fit;
mod learn;
mod meta;
mod rates;
mod sheet;
mod survival;

use std::sync::Arc;

pub(crate) use federation::analyses::results::{Readers, Row, Sheet, Value, figures, terms};
use federation::analyses::{About, Evidence, Results};
use federation::{Asker, Profile};
use serde_json::{Value as Json, json};
use terms::{ExitCode, Report, SystemClock};

use crate::args::AskerArgs;
use crate::args::analyses::{AboutArgs, AnalysisFormat, WrittenArgs};
use crate::plot::Picture;
use crate::{query, render, show};

pub(crate) use compare::run as compare;
pub(crate) use correlate::run as correlate;
pub(crate) use crosstab::run as crosstab;
pub(crate) use describe::run as describe;
pub(crate) use fit::{cox, glm};
pub(crate) use learn::{kmeans, pca, train};
pub(crate) use meta::run as meta;
pub(crate) use rates::run as rates;
pub(crate) use survival::run as survival;

/// What an analysis found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Single numbers, in the order in which they are told.
    pub(crate) facts: Row,
    /// Tables.
    pub(crate) sheets: Vec<Sheet>,
    /// What must be known to read them: approximations, what was left out.
    pub(crate) notes: Vec<String>,
    /// A drawing and its file, if one is asked for.
    pub(crate) picture: Option<Picture>,
}

impl From<Results> for Findings {
    fn from(results: Results) -> Self {
        Self {
            facts: results.facts,
            sheets: results.sheets,
            notes: results.notes,
            picture: None,
        }
    }
}

/// Who asks.
///
/// # Errors
/// As [`Asker::open`].
pub(crate) async fn asker(args: &AskerArgs) -> Result<Asker, Report> {
    let profile = query::profile(args)?;
    Asker::open(Profile::load(&profile)?, Arc::new(SystemClock)).await
}

/// What is asked about.
///
/// # Errors
/// `Usage` if purpose or permit is not one.
pub(crate) fn about(args: &AboutArgs) -> Result<About, Report> {
    Ok(About {
        collection: args.collection.clone(),
        condition: args.condition.clone(),
        purpose: query::purpose(args.purpose.as_deref())?,
        permit: query::permit(args.permit.as_deref())?,
        timeout: args.timeout,
    })
}

/// Writes what was found and who took part; if nothing was, who took part and why.
///
/// # Errors
/// Why nothing was found; if the result cannot be written.
pub(crate) fn end(
    found: Result<Findings, Report>,
    evidence: &Evidence,
    written: &WrittenArgs,
    json: bool,
) -> Result<ExitCode, Report> {
    let is_json = json || written.format == AnalysisFormat::Json;
    let mut findings = match found {
        Ok(findings) => findings,
        Err(report) => {
            if !evidence.coverage.is_empty() {
                render::note(&render::took_part(evidence.took_part(), &[]));
            }
            return Err(report);
        }
    };
    let picture = findings.picture.take();
    if is_json {
        show::json(&as_json(&findings, evidence))?;
    } else {
        as_text(&findings, evidence, written.show_sql)?;
    }
    if let Some(picture) = picture {
        if !is_json {
            render::note(&format!("the drawing is in {}", picture.file().display()));
        }
        picture.write(evidence.took_part())?;
    }
    Ok(evidence.exit_code())
}

fn as_text(findings: &Findings, evidence: &Evidence, show_sql: bool) -> Result<(), Report> {
    if show_sql {
        for question in &evidence.questions {
            show::text(format!("-- {question}"))?;
        }
    }
    for sheet in findings
        .sheets
        .iter()
        .filter(|sheet| sheet.readers != Readers::Programs)
    {
        if !sheet.rows.is_empty() {
            show::text(sheet::table(sheet))?;
        }
    }
    if let Some(facts) = sheet::line(&findings.facts) {
        show::text(facts)?;
    }
    let has_open = findings.facts.has_open() || findings.sheets.iter().flat_map(|sheet| &sheet.rows).any(Row::has_open);
    let open = has_open.then_some(render::OPEN_VALUES);
    let notes: Vec<&str> = findings.notes.iter().map(String::as_str).chain(open).collect();
    if !evidence.coverage.is_empty() {
        return show::text(render::took_part(evidence.took_part(), &notes));
    }
    notes.iter().try_for_each(show::text)
}

fn as_json(findings: &Findings, evidence: &Evidence) -> Json {
    let mut whole = findings.facts.as_json();
    for sheet in findings.sheets.iter().filter(|sheet| sheet.readers != Readers::People) {
        whole.insert(sheet.name.to_owned(), sheet.as_json());
    }
    let folders: Vec<_> = evidence.receipts.iter().map(|receipts| &receipts.folder).collect();
    let rest = json!({
        "notes": findings.notes,
        "questions": evidence.questions,
        "query_ids": evidence.query_ids,
        "coverage": evidence.coverage,
        "receipts": folders,
    });
    if let Json::Object(rest) = rest {
        whole.extend(rest);
    }
    Json::Object(whole)
}

#[cfg(test)]
mod tests;
