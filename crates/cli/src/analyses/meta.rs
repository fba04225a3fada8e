//! `datenraum meta`: one estimate of those of several nodes or studies.

use std::path::Path;

use federation::analyses::meta::{Meta, meta};
use federation::analyses::sites::{ESTIMATES, Site, Sites, averages, site_of_each};
use federation::analyses::{About, CONFIDENCE, Evidence, Study};
use serde_json::Value as Json;
use terms::{ExitCode, Problem, Report};

use super::{Findings, asker, end};
use crate::args::analyses::MetaArgs;
use crate::plot::forest::{Forest, Kind, Line, Shape};
use crate::plot::{self, Picture};
use crate::query;

/// Reads or asks, and prints.
pub(crate) async fn run(args: MetaArgs, json: bool) -> Result<ExitCode, Report> {
    args.plot.as_deref().map_or(Ok(()), plot::check_svg)?;
    let (Some(collection), Some(outcome)) = (&args.collection, &args.outcome) else {
        let sites = from_files(&args)?;
        let title = args.term.clone().unwrap_or_else(|| "estimates".to_owned());
        return end(
            findings(sites, &title, &args),
            &Evidence::default(),
            &args.written,
            json,
        );
    };
    let asker = asker(&args.asker).await?;
    let about = About {
        collection: collection.clone(),
        condition: args.condition.clone(),
        purpose: query::purpose(args.purpose.as_deref())?,
        permit: query::permit(args.permit.as_deref())?,
        timeout: args.timeout,
    };
    let mut study = Study::new(&asker, about)?;
    let sites = averages(&mut study, outcome).await;
    let found = sites.and_then(|sites| findings(sites, &format!("average of {outcome}"), &args));
    end(found, study.evidence(), &args.written, json)
}

fn findings(sites: Sites, title: &str, args: &MetaArgs) -> Result<Findings, Report> {
    let found = meta(sites)?;
    let picture = args.plot.as_ref();
    Ok(Findings {
        picture: picture.map(|file| Picture::forest(file, forest(&found, title))),
        ..found.results().into()
    })
}

fn forest(found: &Meta, title: &str) -> Forest {
    let z = models::distribution::normal_quantile(0.5 + CONFIDENCE / 2.0);
    let [.., (_, reml)] = &found.models;
    let sites = found.sites.sites.iter().zip(&reml.weights).map(|(site, weight)| Line {
        label: site.name.clone(),
        estimate: site.estimate.value,
        ci: [-z, z].map(|z| site.estimate.value + z * site.estimate.std_error),
        shape: Shape::Share(*weight),
    });
    let pooled = found.models.iter().map(|(name, pooled)| Line {
        label: (*name).to_owned(),
        estimate: pooled.estimate,
        ci: pooled.ci,
        shape: Shape::Together,
    });
    Forest {
        title: format!("Meta-analysis: {title}"),
        axis: title.to_owned(),
        kind: Kind::Sites,
        lines: sites.chain(pooled).collect(),
        notes: Vec::new(),
        sources: Vec::new(),
    }
}

/// Estimates from files: of each model the line of `--term`, or arrays of estimates.
fn from_files(args: &MetaArgs) -> Result<Sites, Report> {
    let mut sites = Vec::new();
    for file in &args.estimates {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", file.display())))?;
        let json: Json = serde_json::from_str(&text)
            .map_err(|error| Problem::FileSyntax.report(format!("{} is not JSON: {error}", file.display())))?;
        sites.extend(from_json(file, &json, args.term.as_deref())?);
    }
    Ok(Sites {
        sites,
        left_out: Vec::new(),
    })
}

fn from_json(file: &Path, json: &Json, term: Option<&str>) -> Result<Vec<Site>, Report> {
    let stem = file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let unfit = |what: String, remedy: String| {
        Problem::FileValue
            .report(format!("{}: {what}", file.display()))
            .remedy(remedy)
    };
    match (json, json["terms"].as_array(), term) {
        (Json::Array(estimates), ..) => {
            site_of_each(estimates, &stem).map_err(|why| unfit(why, format!("write {ESTIMATES}")))
        }
        (_, Some(terms), Some(term)) => {
            let named = |one: &Json| one["term"].as_str().map(str::to_owned);
            let known: Vec<String> = terms.iter().filter_map(named).collect();
            let line = terms
                .iter()
                .find(|one| one["term"] == term)
                .and_then(|one| Site::of_json(stem.clone(), one));
            line.map(|site| vec![site]).ok_or_else(|| {
                let near = terms::text::nearest(term, known.iter().map(String::as_str));
                let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
                unfit(
                    format!("there is no term {term}"),
                    format!("{near}terms: {}", known.join(", ")),
                )
            })
        }
        (_, Some(_), None) => Err(unfit(
            "it has several terms".to_owned(),
            "name one with --term".to_owned(),
        )),
        (_, None, _) => Err(unfit(
            "it has neither terms nor an array of estimates".to_owned(),
            format!("give the JSON of a model, or {ESTIMATES}"),
        )),
    }
}
