//! `catalog export`: the catalogue in the words of DCAT-AP and HealthDCAT-AP, for catalogues of others.
//!
//! It tells what the signed documents and the nodes' descriptions say, and what a file of statements adds. Nothing is asked of a node, and
//! nothing is read of the data.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use dcat::{Entry, Export, Origin, Statements};
use policy::{Queryable, Rules};
use terms::{Clock as _, CollectionId, ExitCode, Problem, Report, SystemClock};
use trust::SpaceStore;

use crate::args::export::{ExportArgs, RdfFormat};
use crate::show;

/// Writes the entries to the standard output; what nobody said, to the other.
///
/// # Errors
/// If the statements cannot be read, or leave out what has to be said; if there is nothing to export.
pub(crate) async fn run(args: ExportArgs) -> Result<ExitCode, Report> {
    let file = args.describe.display().to_string();
    let text = fs::read_to_string(&args.describe).map_err(|error| {
        let report = Problem::FileMissing.report(format!("{file}: {}", error.kind()));
        report.remedy("write down what only you can say of the data; demo/catalog.toml is an example")
    })?;
    let statements = Statements::parse(&text).map_err(|report| {
        let message = format!("{file}: {}", report.message);
        report.problem.report(message).remedy(report.remedy)
    })?;
    let mut entries = match &args.config {
        Some(config) => of_node(config).await?,
        None => of_person(&args).await?,
    };
    entries.retain(|entry| {
        args.collection
            .as_ref()
            .is_none_or(|id| *id == entry.open.collection.id)
    });
    if entries.is_empty() {
        let report = Problem::SqlCollection.report("there is no data set to export");
        return Err(report.remedy("see what is offered, and open to you, with datenraum catalog datasets"));
    }
    let export = dcat::describe(&entries, &statements, &file)?;
    let format = match args.format {
        RdfFormat::Turtle => dcat::Format::Turtle,
        RdfFormat::Jsonld => dcat::Format::JsonLd,
    };
    show::text(dcat::write(&export.triples, format)?.trim_end())?;
    tell_unstated(&export);
    Ok(ExitCode::Ok)
}

/// The data sets that the person may ask, of all nodes.
async fn of_person(args: &ExportArgs) -> Result<Vec<Entry>, Report> {
    let asker = super::asker(&args.asker).await?;
    let open = by_collection(asker.queryable());
    let listings = asker.listings();
    let datasets = listings
        .iter()
        .flat_map(|listing| listing.datasets.iter().map(|dataset| (&listing.collection, dataset)));
    let entry = |(collection, dataset): (&CollectionId, &federation::DatasetListing)| {
        Entry::new(
            asker.rules(),
            SystemClock.now(),
            &dataset.node,
            open.get(collection)?,
            dataset.updated,
            origin(dataset.synthetic),
        )
    };
    Ok(datasets.filter_map(entry).collect())
}

/// The data sets of a node, with what is open to any member.
async fn of_node(config: &std::path::Path) -> Result<Vec<Entry>, Report> {
    let config = node::Config::load(config)?;
    let now = SystemClock.now();
    let store = SpaceStore::open(&config.governance_folder()).map_err(|report| {
        report.remedy("start the node once, so that it fetches and verifies the board's documents")
    })?;
    let rules = Rules::compile(&trust::last_good(&store, now).await?)?;
    let open = by_collection(policy::open_to_members(&rules, now));
    let datasets = engine::Datasets::open(&config.datasets_folder())?.all();
    let entry = |dataset: &Arc<engine::Dataset>| {
        let open = open.get(dataset.collection())?;
        Entry::new(
            &rules,
            now,
            &config.member,
            open,
            dataset.updated(),
            origin(dataset.is_synthetic()),
        )
    };
    Ok(datasets.iter().filter_map(entry).collect())
}

fn origin(is_synthetic: bool) -> Origin {
    match is_synthetic {
        true => Origin::Synthetic,
        false => Origin::Real,
    }
}

fn by_collection(open: Vec<Queryable>) -> BTreeMap<CollectionId, Arc<Queryable>> {
    let named = |open: Queryable| (open.collection.id.clone(), Arc::new(open));
    open.into_iter().map(named).collect()
}

#[expect(
    clippy::print_stderr,
    reason = "the standard output is the export, which must stay readable by machines"
)]
fn tell_unstated(export: &Export) {
    let mut by_collection: BTreeMap<&CollectionId, Vec<&str>> = BTreeMap::new();
    for (collection, dimension) in &export.unstated {
        by_collection.entry(collection).or_default().push(dimension.key());
    }
    for (collection, keys) in by_collection {
        let keys = keys.join(", ");
        eprintln!(
            "not said, and asked for by Art. 78 EHDS: {keys}; write them under [collection.{collection}.quality]"
        );
    }
}
