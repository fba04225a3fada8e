//! `datenraum rates`: cases for so many people, as a table and as a map.

mod places;

use std::path::Path;

use federation::analyses::Study;
use federation::analyses::rates::{Asked, Keys, Population, Rates, rates};
use models::rates::{RateInterval, Standard};
use terms::{ExitCode, Problem, Report};

use super::{Findings, about, asker, end};
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
    let mut findings = Findings::from(found.results(asked));
    if let Some(places) = places {
        let missing = places.unmatched(&found.places);
        if !missing.is_empty() {
            findings.notes.push(format!("not on the map: {}", missing.join(", ")));
        }
        if let Some(file) = &args.geojson_out {
            places.write(file, &found.places)?;
        }
        let title = format!("{} for {} people", args.cases.as_deref().unwrap_or("cases"), args.per);
        findings.picture = args
            .plot
            .as_ref()
            .map(|file| Picture::map(file, places.map(&found.places, title)));
    }
    Ok(findings)
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
    let csv = std::fs::File::open(file);
    let csv = csv.map_err(|error| Problem::OwnFile.report(format!("{}: {error}", file.display())))?;
    let keys = Keys {
        by: args.by.as_deref(),
        age: args.age.as_deref(),
    };
    Population::own(csv, &file.display().to_string(), &keys)
}
