//! Analyses that are called like tables: `SELECT * FROM glm(collection => 'heart', formula => 'disease ~ age', family => 'binomial')`.
//!
//! What can be said of `glm` and `cox` is what a FIT statement says of them (`models::statement`); beside that `collection`, `where`,
//! `nodes`, `without_missing` and `steps`. `describe` takes `collection`, `columns`, `by`, `where` and `histogram`. Purpose, permit and
//! time come from the connection. Nothing is asked before the answer is fetched: the columns are known from the name alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use arrow::datatypes::Schema;
use engine::read;
use models::{Call, Fitted};
use serde_json::{Value, json};
use terms::{Problem, Report, limit};

use super::connection::Session;
use super::options::Options;
use super::told::{self, ResultSet, Told};
use crate::analyses::describe::{Description, describe};
use crate::analyses::{About, Evidence, Study};
use crate::ask::Asker;
use crate::fan_out::Timeout;
use crate::fit::{FitAnswer, FitQuestion};
use crate::split;

mod sheets;
#[cfg(test)]
mod tests;

/// The analyses, by name.
const NAMES: [&str; 3] = ["glm", "cox", "describe"];

/// Where the facts of an analysis are in the schema of its table.
const FACTS: &str = "datenraum.facts";

/// An analysis that is called, as far as its text says. What it is asked for, the connection says.
#[derive(Clone, Debug)]
pub(super) enum Called {
    /// A model.
    Fit(FitQuestion),
    /// What the rows of some columns look like.
    Describe(Describe),
}

/// What is to be described.
#[derive(Clone, Debug)]
pub(super) struct Describe {
    about: About,
    columns: Vec<String>,
    by: Option<String>,
    histogram: bool,
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
    let mut said = Said(said);
    let called = match analysis.to_ascii_lowercase() {
        analysis if analysis == "describe" => Called::Describe(said.describe()?),
        analysis => Called::Fit(said.fit(analysis)?),
    };
    Ok(Some(called))
}

/// What follows `SELECT * FROM`, if that is the name of an analysis and a parenthesis.
fn call_of(sql: &str) -> Option<&str> {
    let rest = after(after(after(sql, "SELECT")?, "*")?, "FROM")?;
    let call = rest.trim_start();
    let (name, _) = call.split_once('(')?;
    let is_one = call.len() < rest.len() && NAMES.iter().any(|known| name.trim_end().eq_ignore_ascii_case(known));
    is_one.then_some(call)
}

fn after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (start, rest) = text.trim_start().split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

/// What a call says, by name, as long as nobody has taken it.
struct Said(BTreeMap<String, String>);

impl Said {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.trim().is_empty())
    }

    fn required(&mut self, name: &str) -> Result<String, Report> {
        self.take(name).ok_or_else(|| unsaid(name))
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Report> {
        self.take(name).map(|value| parsed(name, &value)).transpose()
    }

    fn list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<Vec<T>>, Report> {
        let all = self.take(name);
        all.map(|all| all.split(',').map(|one| parsed(name, one)).collect())
            .transpose()
    }

    fn about(&mut self) -> Result<About, Report> {
        Ok(About {
            collection: self.required("collection")?,
            condition: self.take("where"),
            purpose: None,
            permit: None,
            timeout: None,
        })
    }

    fn fit(mut self, analysis: String) -> Result<FitQuestion, Report> {
        let About {
            collection, condition, ..
        } = self.about()?;
        Ok(FitQuestion {
            collection,
            analysis,
            condition,
            nodes: self.list("nodes")?,
            without_missing: self.parsed("without_missing")?.unwrap_or(false),
            steps: self.parsed("steps")?,
            purpose: None,
            permit: None,
            // The model itself refuses what it does not know.
            options: self.0,
        })
    }

    fn describe(&mut self) -> Result<Describe, Report> {
        let described = Describe {
            about: self.about()?,
            columns: self.list("columns")?.ok_or_else(|| unsaid("columns"))?,
            by: self.take("by"),
            histogram: self.parsed("histogram")?.unwrap_or(false),
        };
        match self.0.keys().next() {
            None => Ok(described),
            Some(unknown) => {
                let report = Problem::Usage.report(format!("describe has no option {unknown}"));
                Err(report.remedy("its options are collection, columns, by, where and histogram"))
            }
        }
    }
}

fn unsaid(name: &str) -> Report {
    let report = Problem::Usage.report(format!("the call does not say {name}"));
    report.remedy(format!("add {name} => '…'"))
}

fn parsed<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, Report> {
    value.trim().parse().map_err(|error: T::Err| {
        let report = Problem::Usage.report(format!("{name} cannot be {:?}: {error}", value.trim()));
        report.remedy("docs/python.md says what can be called")
    })
}

impl Called {
    /// The columns of its answer. Nobody is asked.
    pub(super) fn described(&self) -> Result<split::Description, Report> {
        let table = match self {
            Self::Fit(question) if question.analysis == "cox" => sheets::hazards(&[]),
            Self::Fit(_) => sheets::coefficients(&[]),
            Self::Describe(_) => sheets::description(&Description::default()),
        };
        Ok(split::Description {
            schema: table?.schema(),
            parameters: Schema::empty().into(),
        })
    }

    /// Asks, and tells the connection who took part whatever comes of it.
    pub(super) async fn ask(self, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
        match self {
            Self::Fit(question) => Box::pin(fit(question, asker, session, options)).await,
            Self::Describe(described) => Box::pin(described.ask(asker, session, options)).await,
        }
    }
}

/// Fits without nodes that do not take part only if the statement says so and the connection says how many are enough.
async fn fit(question: FitQuestion, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
    if question.without_missing && options.minimum_nodes.is_none() {
        let message = "the fit may go on without some nodes, and the connection does not say how many are enough";
        return Err(Problem::Partial
            .report(message)
            .remedy("set the option minimum_nodes, or leave out without_missing"));
    }
    let question = FitQuestion {
        purpose: options.purpose,
        permit: options.permit.clone(),
        ..question
    };
    let FitAnswer {
        fitted,
        dropped,
        evidence,
    } = within(options.timeout, asker.fit(&question)).await?;
    let told = session.tell(Told::of_analysis(&evidence, Vec::new(), false));
    let fitted = fitted.map_err(|report| told::no_fit(evidence.took_part(), report))?;
    told::enough(evidence.took_part(), options)?;
    let table = match &fitted {
        Fitted::Glm(fitted) => sheets::coefficients(&fitted.terms),
        Fitted::Cox(fitted) => sheets::hazards(&fitted.terms),
        // `call_of` takes no call of these.
        Fitted::Pca(_) | Fitted::KMeans(_) | Fitted::Penalised(_) | Fitted::Trained(_) => {
            Err(Problem::SqlNotAllowed.report("the gateway has no table of this analysis"))
        }
    }?;
    let all: Option<u64> = dropped.values().copied().sum();
    let mut facts = facts(&evidence);
    facts["dropped"] = json!(all);
    facts["dropped_by_node"] = json!(dropped);
    if let (Value::Object(facts), Value::Object(fitted)) = (&mut facts, json!(fitted)) {
        facts.extend(fitted.into_iter().filter(|(name, _)| name != "terms"));
    }
    let mut metadata = told.metadata();
    metadata.insert(FACTS.to_owned(), short_enough(facts));
    ResultSet::new(&table.schema(), vec![table], metadata)
}

impl Describe {
    async fn ask(self, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
        let about = About {
            purpose: options.purpose,
            permit: options.permit.clone(),
            timeout: options.timeout,
            ..self.about
        };
        let mut study = Study::new(asker, about)?;
        let found = describe(&mut study, &self.columns, self.by.as_deref(), self.histogram).await;
        let evidence = study.evidence();
        let intervals = found.as_ref().map(|found| sheets::intervals(found, evidence));
        let lacks_groups = found.as_ref().is_ok_and(|found| found.can_lack_groups);
        let told = session.tell(Told::of_analysis(evidence, intervals.unwrap_or_default(), lacks_groups));
        let table = sheets::description(&found?)?;
        told::enough(evidence.took_part(), options)?;
        let mut metadata = told.metadata();
        metadata.insert(FACTS.to_owned(), short_enough(facts(evidence)));
        ResultSet::new(&table.schema(), vec![table], metadata)
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
fn facts(evidence: &Evidence) -> Value {
    json!({ "questions": evidence.questions, "query_ids": evidence.query_ids })
}

/// The facts as text that every client takes: without the covariances where these are too many.
fn short_enough(mut facts: Value) -> String {
    let whole = facts.to_string();
    if whole.len() <= limit::GATEWAY_METADATA_BYTES_MAX {
        return whole;
    }
    for long in ["covariance", "questions"] {
        facts.as_object_mut().map(|facts| facts.remove(long));
    }
    facts.to_string()
}
