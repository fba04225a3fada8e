//! Analyses that are made of questions in SQL: what can be said of each, its table, and who makes it (`analyses`).

use std::num::NonZeroU32;

use models::life_table::{Method, Scale};
use models::rates::{RateInterval, Standard};
use serde_json::{Map, Value as Json, json};
use terms::{Problem, Report};

use super::said::{self, Said};
use super::table::{self, Table};
use super::{FACTS, evidence_of, short_enough};
use crate::analyses::compare::compare;
use crate::analyses::correlate::{Rows, correlate};
use crate::analyses::crosstab::crosstab;
use crate::analyses::describe::describe;
use crate::analyses::meta::meta;
use crate::analyses::rates::{Keys, Population, rates};
use crate::analyses::sites::{ESTIMATES, Sites, averages, site_of_each};
use crate::analyses::survival::survival;
use crate::analyses::{About, Evidence, Results, Study, rates as cases, survival as time};
use crate::ask::Asker;
use crate::gateway::connection::Session;
use crate::gateway::options::Options;
use crate::gateway::told::{self, ResultSet, Told};

/// Each analysis with what can be said of it beside `collection` and `where`: as the options of the command.
pub(super) const OPTIONS: [(&str, &[&str]); 7] = [
    ("describe", &["columns", "by", "histogram"]),
    (
        "survival",
        &["time", "event", "event_value", "by", "method", "interval"],
    ),
    ("crosstab", &["rows", "columns", "strata"]),
    ("compare", &["outcome", "by", "ranks"]),
    ("correlate", &["columns", "complete"]),
    (
        "rates",
        &["cases", "population", "by", "age", "standard", "interval", "per"],
    ),
    ("meta", &["outcome", "estimates"]),
];

/// How people count who were last seen within a bin.
const METHODS: [(&str, Method); 2] = [
    ("product-limit", Method::ProductLimit),
    ("actuarial", Method::Actuarial),
];

/// On which scale intervals of survival are symmetric.
const SCALES: [(&str, Scale); 2] = [("log", Scale::Log), ("log-log", Scale::LogLog)];

/// Standard populations.
const STANDARDS: [(&str, Standard); 2] = [
    ("european-2013", Standard::European2013),
    ("who-2000-2025", Standard::World2000),
];

/// How intervals of standardised rates are made.
const INTERVALS: [(&str, RateInterval); 2] = [("gamma", RateInterval::FayFeuer), ("dobson", RateInterval::Dobson)];

/// For how many people a rate is, if nothing is said.
const PER: f64 = 100_000.0;

/// An analysis that is called.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Called {
    /// None for what nobody is asked.
    about: Option<About>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Describe {
        columns: Vec<String>,
        by: Option<String>,
        histogram: bool,
    },
    Survival {
        time: String,
        event: String,
        event_value: Option<String>,
        by: Option<String>,
        method: Option<Method>,
        scale: Scale,
    },
    Crosstab {
        rows: String,
        columns: String,
        strata: Option<String>,
    },
    Compare {
        outcome: String,
        by: String,
        ranks: bool,
    },
    Correlate {
        columns: Vec<String>,
        rows: Rows,
    },
    Rates {
        cases: Option<String>,
        population: Population,
        by: Option<String>,
        standard: Option<(String, Standard)>,
        interval: RateInterval,
        per: f64,
    },
    Meta {
        outcome: String,
    },
    /// Of estimates that the asker has.
    Estimates(Sites),
}

impl Called {
    /// What a call says of an analysis, if it is one of these.
    pub(super) fn read(analysis: &str, mut said: Said) -> Result<Option<Self>, Report> {
        let Some((_, options)) = OPTIONS.iter().find(|(name, _)| *name == analysis) else {
            return Ok(None);
        };
        said.require_known(analysis, &[&["collection", "where"], *options].concat())?;
        let about = match said.has("estimates") {
            true => said.require_known("meta of estimates", &["estimates"]).map(|()| None)?,
            false => Some(said.about()?),
        };
        let what = What::read(analysis, &mut said)?;
        said.require_read()?;
        Ok(what.map(|what| Self { about, what }))
    }

    pub(super) fn table(&self) -> Table {
        match self.what {
            What::Describe { .. } => table::DESCRIBE,
            What::Survival { .. } => table::SURVIVAL,
            What::Crosstab { .. } => table::CROSSTAB,
            What::Compare { .. } => table::COMPARE,
            What::Correlate { .. } => table::CORRELATE,
            What::Rates { .. } => table::RATES,
            What::Meta { .. } | What::Estimates(_) => table::META,
        }
    }

    /// Asks, and tells the connection who took part whatever comes of it.
    pub(super) async fn ask(self, asker: &Asker, session: &Session, options: &Options) -> Result<ResultSet, Report> {
        let table = self.table();
        let is_asked = self.about.is_some();
        let (mut found, evidence) = match self.about {
            None => (self.what.of_nobody(), Evidence::default()),
            Some(about) => {
                let about = About {
                    purpose: options.purpose,
                    permit: options.permit.clone(),
                    timeout: options.timeout,
                    ..about
                };
                let mut study = Study::new(asker, about)?;
                let found = Box::pin(self.what.find(&mut study)).await;
                (found, study.into_evidence())
            }
        };
        let rows = found.as_mut().map_or_else(|_| Vec::new(), |found| table.rows(found));
        let rows_open = found.as_ref().is_ok_and(|found| found.rows_open);
        let told = Told::of_analysis(&evidence, table::intervals(&rows, &evidence), rows_open);
        let told = session.tell(told);
        let found = found?;
        if is_asked {
            told::enough(evidence.took_part(), options)?;
        }
        let mut facts = evidence_of(&evidence);
        facts.extend(of(&found));
        let mut metadata = told.metadata();
        metadata.insert(FACTS.to_owned(), short_enough(facts));
        let batch = table.batch(&rows)?;
        ResultSet::new(&batch.schema(), vec![batch], metadata)
    }
}

/// What is found beside the table, as in the JSON of the command.
fn of(found: &Results) -> Map<String, Json> {
    let mut facts = found.facts.as_json();
    let sheets = found.sheets.iter();
    facts.extend(sheets.map(|sheet| (sheet.name.to_owned(), sheet.as_json())));
    let notes: Vec<String> = found.notes.iter().map(|note| said::as_called(note)).collect();
    facts.insert("notes".to_owned(), json!(notes));
    facts
}

impl What {
    fn read(analysis: &str, said: &mut Said) -> Result<Option<Self>, Report> {
        Ok(Some(match analysis {
            "describe" => Self::Describe {
                columns: said.required_list("columns")?,
                by: said.take("by"),
                histogram: said.flag("histogram")?,
            },
            "survival" => Self::Survival {
                time: said.required("time")?,
                event: said.required("event")?,
                event_value: said.take("event_value"),
                by: said.take("by"),
                method: said.chosen("method", &METHODS)?,
                scale: said.chosen("interval", &SCALES)?.unwrap_or_default(),
            },
            "crosstab" => Self::Crosstab {
                rows: said.required("rows")?,
                columns: said.required("columns")?,
                strata: said.take("strata"),
            },
            "compare" => Self::Compare {
                outcome: said.required("outcome")?,
                by: said.required("by")?,
                ranks: said.flag("ranks")?,
            },
            "correlate" => Self::Correlate {
                columns: said.required_list("columns")?,
                rows: match said.flag("complete")? {
                    true => Rows::Complete,
                    false => Rows::Pairwise,
                },
            },
            "rates" => Self::rates(said)?,
            "meta" => match said.take("estimates") {
                Some(estimates) => Self::Estimates(own_estimates(&estimates)?),
                None => Self::Meta {
                    outcome: said.required("outcome")?,
                },
            },
            _ => return Ok(None),
        }))
    }

    fn rates(said: &mut Said) -> Result<Self, Report> {
        let (by, age) = (said.take("by"), said.take("age"));
        let keys = Keys {
            by: by.as_deref(),
            age: age.as_deref(),
        };
        let population = population(&said.required("population")?, &keys)?;
        let standard = match (age, said.chosen("standard", &STANDARDS)?) {
            (Some(age), Some(standard)) => Some((age, standard)),
            (None, None) => None,
            _ => {
                let report =
                    Problem::Usage.report("rates are standardised by age and standard, and one of both is missing");
                return Err(report.remedy("say both, or none for crude rates"));
            }
        };
        let per: Option<NonZeroU32> = said.parsed("per")?;
        Ok(Self::Rates {
            cases: said.take("cases"),
            population,
            by,
            standard,
            interval: said.chosen("interval", &INTERVALS)?.unwrap_or(RateInterval::FayFeuer),
            per: per.map_or(PER, |per| f64::from(per.get())),
        })
    }

    async fn find(&self, study: &mut Study<'_>) -> Result<Results, Report> {
        Ok(match self {
            Self::Describe { columns, by, histogram } => {
                let found = describe(study, columns, by.as_deref(), *histogram).await?;
                found.results(by.as_deref())
            }
            Self::Survival {
                time,
                event,
                event_value,
                by,
                method,
                scale,
            } => {
                let asked = time::Asked {
                    time,
                    event,
                    seen: event_value.as_deref(),
                    by: by.as_deref(),
                    method: *method,
                    scale: *scale,
                };
                survival(study, &asked).await?.results()
            }
            Self::Crosstab { rows, columns, strata } => {
                let found = crosstab(study, rows, columns, strata.as_deref()).await?;
                found.results(strata.as_deref())
            }
            Self::Compare { outcome, by, ranks } => compare(study, outcome, by, *ranks).await?.results(),
            Self::Correlate { columns, rows } => rows.results(&correlate(study, columns, *rows).await?),
            Self::Rates {
                cases,
                population,
                by,
                standard,
                interval,
                per,
            } => {
                let asked = cases::Asked {
                    cases: cases.as_deref(),
                    population: population.clone(),
                    by: by.as_deref(),
                    standard: standard.as_ref().map(|(age, standard)| (age.as_str(), *standard)),
                    interval: *interval,
                    per: *per,
                };
                rates(study, &asked).await?.results(&asked)
            }
            Self::Meta { outcome } => meta(averages(study, outcome).await?)?.results(),
            Self::Estimates(_) => self.of_nobody()?,
        })
    }

    /// What is found without a question.
    fn of_nobody(&self) -> Result<Results, Report> {
        match self {
            Self::Estimates(sites) => meta(sites.clone()).map(|found| found.results()),
            _ => Err(Problem::Internal.report("an analysis that needs nodes is about no collection")),
        }
    }
}

/// Estimates as JSON, which the asker has from elsewhere, such as of one model at each node.
fn own_estimates(said: &str) -> Result<Sites, Report> {
    let read = serde_json::from_str::<Vec<Json>>(said).map_err(|error| format!("it is no array in JSON: {error}"));
    let sites = read.and_then(|estimates| site_of_each(&estimates, "estimate"));
    let sites = sites.map_err(|why| {
        let report = Problem::Usage.report(format!("estimates cannot be read: {why}"));
        report.remedy(format!("write {ESTIMATES}"))
    })?;
    Ok(Sites {
        sites,
        left_out: Vec::new(),
    })
}

/// A column, or the lines of a CSV: a program that asks has files of its own, and the gateway reads none.
fn population(said: &str, keys: &Keys<'_>) -> Result<Population, Report> {
    if said.contains('\n') {
        return Population::own(said.as_bytes(), "the table in population", keys);
    }
    if said.trim_end().to_ascii_lowercase().ends_with(".csv") {
        let report = Problem::Usage.report("population names a file, and the gateway reads no files");
        return Err(report.remedy("give the lines of the CSV as its value, or name a column"));
    }
    Ok(Population::Column(said.trim().to_owned()))
}
