//! `node dataset refresh`: each source is read again; one that fails holds up no other.

use engine::Publication;
use policy::Collection;
use terms::{Clock as _, ExitCode, Report, SystemClock};

use super::{collection, pending, rules};
use crate::args::dataset::DatasetRefreshArgs;
use crate::show;

/// Renews datasets, and says of each how it went.
///
/// # Errors
/// The first problem of a source, after all were read.
pub(crate) async fn refresh(args: DatasetRefreshArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let rules = rules(&config).await?;
    let datasets = engine::Datasets::open(&config.datasets_folder())?;
    let wanted = match args.collections.is_empty() {
        true => datasets.renewable()?.iter().map(ToString::to_string).collect(),
        false => args.collections,
    };
    let wanted: Vec<_> = wanted.iter().map(|name| (name, collection(name, &rules))).collect();
    let (mut told, mut failed) = (Vec::new(), None);
    for (name, collection) in wanted {
        let renew = |collection: &Collection| {
            let least = rules.min_people_max(&collection.id);
            datasets.renew(collection, SystemClock.now(), least)
        };
        match collection.and_then(renew) {
            Ok((Publication::InForce(dataset), _)) => {
                told.push(serde_json::json!({ "collection": name, "rows": dataset.rows(), "data": dataset.version() }));
                say(json, format!("{name}: {} rows", dataset.rows()))?;
            }
            Ok((Publication::Pending(pending), _)) => {
                told.push(serde_json::json!({ "collection": name, "pending": pending::as_json(&pending) }));
                say(json, format!("{name} waits: {}", pending::why(&pending)))?;
            }
            Err(report) => {
                told.push(serde_json::json!({ "collection": name, "problem": report }));
                say(json, format!("{name} is not renewed: {report}"))?;
                failed.get_or_insert(report);
            }
        }
    }
    if json {
        show::json(&told)?;
    } else if told.is_empty() {
        show::text("there is no dataset whose source is known: add one with datenraum node dataset add")?;
    }
    failed.map_or(Ok(ExitCode::Ok), Err)
}

fn say(json: bool, line: String) -> Result<(), Report> {
    match json {
        true => Ok(()),
        false => show::text(line),
    }
}
