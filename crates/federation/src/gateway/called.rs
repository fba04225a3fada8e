//! Analyses that are called like tables: `SELECT * FROM glm(collection => 'heart', formula => 'disease ~ age', family => 'binomial')`.
//!
//! Each is the command of its name, with its options, and its table has the columns of the command's JSON; what is no table is in the
//! facts. Purpose, permit and time come from the connection. Nothing is asked before the answer is fetched: the columns are known from the
//! call alone.
//!
//! Reading order: `said` (what a call says), `study` (analyses that are made of questions), `fit` (models), `table` (what is answered).

mod fit;
mod said;
mod study;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arrow::datatypes::Schema;
use engine::read;
use models::Call;
use serde_json::{Map, Value, json};
use terms::{Problem, Report, limit};

use self::said::Said;
use super::connection::Session;
use super::options::Options;
use super::told::ResultSet;
use crate::analyses::Evidence;
use crate::ask::Asker;
use crate::fan_out::Timeout;
use crate::split::Description;

/// Where the facts of an analysis are in the schema of its table.
const FACTS: &str = "datenraum.facts";

/// An analysis that is called, as far as its text says. What it is asked for, the connection says.
#[derive(Clone, Debug)]
pub(super) enum Called {
    /// A model.
    Fit(fit::Called),
    /// What is made of a question or two.
    Study(study::Called),
}

/// Reads `sql`, if it is such a call.
///
/// # Errors
/// `SqlSyntax` if it is one and cannot be read; `Usage` if something that must be said is not, or what is said cannot be.
pub(super) fn parse(sql: &str) -> Result<Option<Called>, Report> {
    let Some(text) = call_of(sql) else { return Ok(None) };
    read::check_size(sql)?;
    let remedy = "write SELECT * FROM glm(collection => '…', formula => '…'), each value in single quotes";
    let Call { analysis, said, rest } = Call::parse(text).map_err(|report| report.remedy(remedy))?;
    if !rest.trim_end_matches([';', ' ', '\n', '\r', '\t']).is_empty() {
        let report = Problem::SqlNotAllowed.report(format!("nothing can follow the call of {analysis}"));
        return Err(report.remedy("take the whole table; choose rows and columns of it in your program"));
    }
    let (analysis, said) = (analysis.to_ascii_lowercase(), Said::new(said));
    match fit::NAMES.contains(&analysis.as_str()) {
        true => Ok(fit::Called::read(&analysis, said)?.map(Called::Fit)),
        false => Ok(study::Called::read(&analysis, said)?.map(Called::Study)),
    }
}

/// What follows `SELECT * FROM`, if that is the name of an analysis and a parenthesis.
fn call_of(sql: &str) -> Option<&str> {
    let rest = after(after(after(sql, "SELECT")?, "*")?, "FROM")?;
    let call = rest.trim_start();
    let (name, _) = call.split_once('(')?;
    let is_one = call.len() < rest.len() && names().any(|known| name.trim_end().eq_ignore_ascii_case(known));
    is_one.then_some(call)
}

/// The analyses, by name.
fn names() -> impl Iterator<Item = &'static str> {
    study::OPTIONS.iter().map(|(name, _)| *name).chain(fit::NAMES)
}

fn after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (start, rest) = text.trim_start().split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

impl Called {
    /// The columns of its answer. Nobody is asked.
    pub(super) fn described(&self) -> Result<Description, Report> {
        let table = match self {
            Self::Fit(called) => called.table,
            Self::Study(called) => called.table(),
        };
        Ok(Description {
            schema: table.batch(&[])?.schema(),
            parameters: Schema::empty().into(),
        })
    }

    /// Asks, and tells the connection who took part whatever comes of it.
    pub(super) async fn ask(self, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
        let answered = match self {
            Self::Fit(called) => Box::pin(called.ask(asker, session, options)).await,
            Self::Study(called) => Box::pin(called.ask(asker, session, options)).await,
        };
        answered.map_err(said::report_as_called)
    }
}

/// What comes within the time of the connection, if it gives one.
async fn within<T>(time: Option<Timeout>, coming: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let seconds = Timeout::seconds_of(time, limit::TIMEOUT_SECONDS_MAX);
    match tokio::time::timeout(Duration::from_secs(seconds), coming).await {
        Ok(come) => come,
        Err(_) => Err(Problem::Late.report(format!("the fit has not come to its end within {seconds} s"))),
    }
}

/// What nodes were asked.
fn evidence_of(evidence: &Evidence) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("questions".to_owned(), json!(evidence.questions));
    facts.insert("query_ids".to_owned(), json!(evidence.query_ids));
    facts
}

/// The facts as text that every client takes: without the covariances where these are too many.
fn short_enough(mut facts: Map<String, Value>) -> String {
    let whole = json!(facts).to_string();
    if whole.len() <= limit::GATEWAY_METADATA_BYTES_MAX {
        return whole;
    }
    for long in ["covariance", "questions"] {
        facts.remove(long);
    }
    json!(facts).to_string()
}
