//! `datenraum rates`: cases for so many people, as a table and as a map.

mod places;

use std::collections::BTreeMap;
use std::path::Path;

use federation::analyses::rates::{Asked, Place, Population, Rates, rates};
use federation::analyses::{Number, Study};
use models::rates::{Rate, RateInterval, Standard};
use terms::{ExitCode, Problem, Report};

use super::{Findings, Row, Sheet, Value, about, asker, end};
use crate::args::analyses::{IntervalArg, RatesArgs, StandardArg};
use crate::plot::{self, Picture};
use places::Places;

/// Asks, and prints.
pub(crate) async fn run(args: RatesArgs, json: bool) -> Result<ExitCode, Report> {
    args.plot.as_deref().map_or(Ok(()), plot::check_svg)?;
    let places = args
        .geojson
        .as_deref()
        .map(|file| Places::read(file, &args.geojson_key))
        .transpose()?;
    let asked = Asked {
        cases: args.cases.as_deref(),
        population: population(&args)?,
        by: args.by.as_deref(),
        standard: args.age.as_deref().zip(args.standard.map(|standard| match standard {
            StandardArg::European2013 => Standard::European2013,
            StandardArg::World2000 => Standard::World2000,
        })),
        interval: match args.interval {
            IntervalArg::Gamma => RateInterval::FayFeuer,
            IntervalArg::Dobson => RateInterval::Dobson,
        },
        per: f64::from(args.per),
    };
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let found = rates(&mut study, &asked).await;
    let found = found.and_then(|found| findings(&found, &asked, places.as_ref(), &args));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(found: &Rates, asked: &Asked<'_>, places: Option<&Places>, args: &RatesArgs) -> Result<Findings, Report> {
    let rows = found.places.iter().map(|place| row(place, asked));
    let mut notes = vec![format!("rates are for {} people", args.per)];
    if let Some((_, standard)) = asked.standard {
        notes.push(format!(
            "standardised to the {}, over {}; interval: {}",
            standard.name(),
            found.ages.join(", "),
            match asked.interval {
                RateInterval::FayFeuer => "Fay and Feuer (gamma)",
                RateInterval::Dobson => "Dobson",
            }
        ));
    }
    notes.push("intervals of crude rates are exact of a Poisson number of cases".to_owned());
    if found.has_places {
        notes.push("a place of which no node has or released anything is not listed".to_owned());
    }
    let mut picture = None;
    if let Some(places) = places {
        let missing = places.unmatched(&found.places);
        if !missing.is_empty() {
            notes.push(format!("not on the map: {}", missing.join(", ")));
        }
        if let Some(file) = &args.geojson_out {
            places.write(file, &found.places)?;
        }
        let title = format!("{} for {} people", args.cases.as_deref().unwrap_or("cases"), args.per);
        picture = args
            .plot
            .as_ref()
            .map(|file| Picture::map(file, places.map(&found.places, title)));
    }
    Ok(Findings {
        facts: Row::default().with("dropped", Value::Pooled(found.dropped)),
        sheets: vec![Sheet::new("rows", rows)],
        notes,
        picture,
    })
}

fn row(place: &Place, asked: &Asked<'_>) -> Row {
    let mut row = Row::default();
    if let Some(level) = &place.level {
        row = row.with("place", level.clone());
    }
    let end = |rate: Option<Rate>, at: usize| rate.map(|rate| rate.ci[at]);
    row = row
        .with("cases", Value::Pooled(place.cases))
        .with("people", Value::Pooled(place.people))
        .with("crude", crude(place, asked.per))
        .with("crude_ci_low", end(place.crude, 0))
        .with("crude_ci_high", end(place.crude, 1));
    if asked.standard.is_some() {
        row = row
            .with("standardised", place.standardised.map(|rate| rate.rate))
            .with("ci_low", end(place.standardised, 0))
            .with("ci_high", end(place.standardised, 1));
    }
    row
}

/// The rate; of cases that are open, at least that of those that were released.
fn crude(place: &Place, per: f64) -> Value {
    match (place.crude, place.cases.value, place.people.exact()) {
        (Some(rate), ..) => Value::Number(rate.rate),
        (None, Some(cases), Some(people)) if people > 0.0 => Value::Pooled(Number {
            value: Some(cases / people * per),
            open: place.cases.open.map(|(low, high)| {
                (
                    low.map(|cases| cases / people * per),
                    high.map(|cases| cases / people * per),
                )
            }),
            bin: None,
        }),
        _ => Value::Nothing,
    }
}

/// A file if the name is of one, otherwise a column.
fn population(args: &RatesArgs) -> Result<Population, Report> {
    let file = Path::new(&args.population);
    if file
        .extension()
        .is_none_or(|ending| !ending.eq_ignore_ascii_case("csv"))
    {
        return Ok(Population::Column(args.population.clone()));
    }
    let keys: Vec<&str> = args.by.iter().chain(&args.age).map(String::as_str).collect();
    read_population(file, &keys).map(Population::Own)
}

/// People by the values of the key columns; lines of the same values are added up.
fn read_population(file: &Path, keys: &[&str]) -> Result<BTreeMap<Vec<String>, f64>, Report> {
    let unread = |error: csv::Error| Problem::OwnFile.report(format!("{}: {error}", file.display()));
    let mut reader = csv::Reader::from_path(file).map_err(unread)?;
    let header = reader.headers().map_err(unread)?.clone();
    let column = |name: &str| {
        let at = header.iter().position(|known| known == name);
        at.ok_or_else(|| {
            let report = Problem::OwnFile.report(format!("{} has no column {name}", file.display()));
            report.remedy(format!(
                "give it one; it has: {}",
                header.iter().collect::<Vec<_>>().join(", ")
            ))
        })
    };
    let places = keys.iter().map(|key| column(key)).collect::<Result<Vec<_>, _>>()?;
    let people_at = column("population")?;
    let mut people = BTreeMap::new();
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(unread)?;
        let number = record[people_at]
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0);
        let number = number.ok_or_else(|| {
            let report =
                Problem::OwnFile.report(format!("{} line {}: population is no number", file.display(), line + 2));
            report.remedy("write a number of people in each line")
        })?;
        let key: Vec<String> = places.iter().map(|at| record[*at].to_owned()).collect();
        *people.entry(key).or_default() += number;
    }
    Ok(people)
}
