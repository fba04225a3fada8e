//! `datenraum catalog`: what there is to ask, of whom, and what for. Nothing is asked of a node.

mod export;

use std::sync::Arc;

use federation::{Asker, ColumnListing, DatasetListing, Listing, Profile};
use terms::{ExitCode, Problem, Purpose, Report, SystemClock};

use crate::args::board::lang;
use crate::args::{AskerArgs, CatalogCommand};
use crate::sandbox::found::counted;
use crate::{query, show};

/// Shows what was asked for.
///
/// # Errors
/// If the person's profile does not serve, or there is no such collection.
pub(crate) async fn run(command: CatalogCommand, json: bool) -> Result<ExitCode, Report> {
    match command {
        CatalogCommand::Spaces(args) => spaces(&asker(&args.asker).await?, json)?,
        CatalogCommand::Datasets(args) => datasets(&asker(&args.asker).await?, args.word.as_deref(), json)?,
        CatalogCommand::Show(args) => collection(&asker(&args.asker).await?.listing(&args.collection)?, json)?,
        CatalogCommand::Who(args) => {
            let tables = asker(&args.asker)
                .await?
                .who_may_query(&args.collection, lang(args.lang))?;
            who(&args.collection, &tables, json)?;
        }
        CatalogCommand::Export(args) => return export::run(args).await,
    }
    Ok(ExitCode::Ok)
}

async fn asker(args: &AskerArgs) -> Result<Asker, Report> {
    let profile = query::profile(args)?;
    Asker::open(Profile::load(&profile)?, Arc::new(SystemClock)).await
}

fn spaces(asker: &Asker, json: bool) -> Result<(), Report> {
    let space = asker.space();
    if json {
        return show::json(&[space]);
    }
    let mut table = show::table([
        "data space",
        "title",
        "version",
        "members",
        "nodes",
        "collections",
        "open to you",
    ]);
    table.add_row([
        space.space.to_string(),
        space.title,
        space.version.to_string(),
        space.members.to_string(),
        space.nodes.to_string(),
        space.collections.to_string(),
        space.open_to_you.to_string(),
    ]);
    show::text(table)
}

fn datasets(asker: &Asker, word: Option<&str>, json: bool) -> Result<(), Report> {
    let mut listings = asker.listings();
    listings.retain(|listing| word.is_none_or(|word| listing.speaks_of(word)));
    if json {
        return show::json(&listings);
    }
    if listings.is_empty() {
        return show::text(match word {
            Some(word) => format!("no collection speaks of {word:?}; datenraum catalog datasets lists them all"),
            None => "the data space defines no collection".to_owned(),
        });
    }
    let mut table = show::table(["collection", "title", "nodes", "last renewed", "open to you for"]);
    for listing in &listings {
        let nodes: Vec<String> = listing.datasets.iter().map(named).collect();
        let renewed = listing.datasets.iter().map(|dataset| dataset.updated).max();
        table.add_row([
            listing.sql_name.clone(),
            listing.title.clone(),
            nodes.join(", "),
            renewed.map_or_else(String::new, day),
            purposes(listing, "\n"),
        ]);
    }
    show::text(table)
}

fn collection(listing: &Listing, json: bool) -> Result<(), Report> {
    if json {
        return show::json(listing);
    }
    let about = match listing.personal {
        true => "data about people",
        false => "no data about people",
    };
    show::text(format!("{}\n{} in SQL, {about}", listing.title, listing.sql_name))?;
    let offered = counted(listing.datasets.len(), "node offers", "nodes offer");
    show::text(format!("\n{offered} it:"))?;
    for dataset in &listing.datasets {
        show::text(format!("  {}, renewed {}", named(dataset), day(dataset.updated)))?;
    }
    show::text(match listing.purposes.is_empty() {
        true => format!(
            "\nnot open to you; who may query it says datenraum catalog who {}",
            listing.collection
        ),
        false => format!(
            "\nopen to you, {}, for:\n  {}",
            and_list(&listing.releases),
            purposes(listing, "\n  ")
        ),
    })?;
    let mut table = show::table(["column", "type", "unit", "use", "values", "meaning", "open to you"]);
    for column in &listing.columns {
        table.add_row(column_row(column));
    }
    show::text(format!("\n{table}"))?;
    match example(listing) {
        Some(sql) => show::text(format!("\ndatenraum query --purpose {} {sql:?}", listing.purposes[0])),
        None => Ok(()),
    }
}

/// `a, b and c`.
fn and_list(words: &[String]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        few => few.concat(),
    }
}

/// Whose data are made up, or have their days moved, says so wherever it is named.
fn named(dataset: &DatasetListing) -> String {
    let marks = [(dataset.synthetic, "synthetic"), (dataset.days_moved, "days moved")];
    let marks: Vec<&str> = marks
        .iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, mark)| *mark)
        .collect();
    match marks.as_slice() {
        [] => dataset.node.to_string(),
        marks => format!("{} ({})", dataset.node, marks.join(", ")),
    }
}

fn column_row(column: &ColumnListing) -> [String; 7] {
    [
        column.name.clone(),
        column.kind.clone(),
        column.unit.clone().unwrap_or_default(),
        column.roles.join(", "),
        column.domain.clone(),
        column.code.clone().unwrap_or_default(),
        if column.open_to_you { "yes" } else { "no" }.to_owned(),
    ]
}

/// A question that the asker may put, if a column to group by and a purpose without a permit are open to them.
fn example(listing: &Listing) -> Option<String> {
    let is_free = |purpose: &Purpose| !listing.permit_needed_for.contains(purpose);
    let group = |column: &&ColumnListing| {
        column.open_to_you && column.roles.contains(&"group") && column.domain.starts_with("values")
    };
    let group = &listing.columns.iter().find(group)?.name;
    let sql_name = &listing.sql_name;
    let sql = || format!("SELECT {group}, count(*) FROM {sql_name} GROUP BY {group}");
    listing
        .purposes
        .first()
        .filter(|purpose| is_free(purpose))
        .map(|_| sql())
}

fn who(collection: &str, tables: &[String], json: bool) -> Result<(), Report> {
    if json {
        return show::json(&tables);
    }
    if tables.is_empty() {
        let report = Problem::NoPermission.report(format!("no policy opens {collection} to anybody"));
        return Err(report.remedy("ask the board of the data space"));
    }
    show::text(tables.join("\n\n"))
}

/// The purposes, and which of them need a data permit.
fn purposes(listing: &Listing, between: &str) -> String {
    let named = listing.purposes.iter().map(|purpose| {
        let permit = match listing.permit_needed_for.contains(purpose) {
            true => ", with a data permit",
            false => "",
        };
        format!("{purpose} ({}){permit}", purpose.words())
    });
    named.collect::<Vec<_>>().join(between)
}

fn day(at: terms::UtcTime) -> String {
    at.to_string().chars().take(10).collect()
}
