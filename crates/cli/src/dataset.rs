//! `node dataset add` and `list`: offline, over a node's folder and the documents that it verified last.
//!
//! Nothing is offered that does not conform to a collection that the board signed.

use terms::{Clock as _, CollectionId, ExitCode, Problem, Report, SystemClock};
use trust::SpaceStore;

use crate::args::{DatasetAddArgs, DatasetListArgs};
use crate::show;

/// Checks a file and adds it.
///
/// # Errors
/// `PolicyNone` if the node never verified documents; `SqlCollection` for an unknown collection; a `Data` problem that
/// names row and column.
pub(crate) async fn add(args: DatasetAddArgs) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let now = SystemClock.now();
    let store = SpaceStore::open(&config.governance_folder()).map_err(|report| {
        report.remedy("start the node once, so that it fetches and verifies the board's documents")
    })?;
    let documents = trust::last_good(&store, now).await?;
    let rules = policy::Rules::compile(&documents)?;
    let wanted: Option<CollectionId> = args.collection.parse().ok();
    let Some(collection) = wanted.and_then(|id| rules.collections.get(&id)) else {
        return Err(unknown(&args.collection, &rules));
    };
    let datasets = engine::Datasets::open(&config.datasets_folder())?;
    let dataset = datasets.add(&args.file, collection, now).map_err(|report| {
        let message = format!("{}: {}", args.file.display(), report.message);
        report.problem.report(message).remedy(report.remedy)
    })?;
    show::text(format!(
        "{} rows of {} conform to {}",
        dataset.rows(),
        args.file.display(),
        collection.id
    ))?;
    show::text(format!("{} offers them when its node is started again", config.member))?;
    Ok(ExitCode::Ok)
}

/// Lists what a node offers.
///
/// # Errors
/// If the folder or a dataset in it cannot be read.
pub(crate) fn list(args: DatasetListArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let datasets = engine::Datasets::open(&config.datasets_folder())?.all();
    if json {
        let row = |d: &std::sync::Arc<engine::Dataset>| serde_json::json!({ "collection": d.collection(), "rows": d.rows(), "updated": d.updated() });
        show::json(&datasets.iter().map(row).collect::<Vec<_>>())?;
        return Ok(ExitCode::Ok);
    }
    let mut table = show::table(["collection", "rows", "updated"]);
    for dataset in datasets {
        let updated = format!("{:.0}", dataset.updated());
        table.add_row([dataset.collection().to_string(), dataset.rows().to_string(), updated]);
    }
    show::text(table)?;
    Ok(ExitCode::Ok)
}

fn unknown(asked: &str, rules: &policy::Rules) -> Report {
    let known = || rules.collections.keys().map(CollectionId::as_str);
    let message = format!(
        "{} has no collection {:?}",
        rules.space.id,
        asked.chars().take(64).collect::<String>()
    );
    let report = Problem::SqlCollection.report(message);
    match terms::text::nearest(asked, known()) {
        Some(near) => report.remedy(format!("did you mean {near}?")),
        None => report.remedy(format!("use one of: {}", known().collect::<Vec<_>>().join(", "))),
    }
}
