//! `node dataset synthesize`: made-up people for a collection, from its public definition and answers that were released, and a description of
//! how they were made beside them.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use intake::twin::Origin;
use intake::{Margins, Twin};
use policy::Rules;
use terms::{Clock as _, CollectionId, ExitCode, Problem, Report, SystemClock};
use trust::SpaceStore;

use crate::args::twin::SynthesizeArgs;
use crate::show;

/// How a table comes about, in words that stand in its description.
const HOW: &str = "Made up: there is nobody whom a row is about. A column that no margin is about is drawn for itself, evenly over what the \
collection declares. A column of a margin is drawn by the counts that were released, added up over nodes, and for itself unless the margin is \
about two. Values without a released count do not come, unless the number of all rows was released too: then what is left of it is spread \
evenly over them, the missing value being one. So a share that was withheld is not the real one.";

/// Writes the table and its description.
///
/// # Errors
/// `Margins` if an answer is none that columns can be distributed by; `SqlCollection` for an unknown collection; `FileMissing` if it cannot be written.
pub(crate) async fn run(args: SynthesizeArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let store = SpaceStore::open(&config.governance_folder()).map_err(|report| {
        report.remedy("start the node once, so that it fetches and verifies the board's documents")
    })?;
    let rules = Rules::compile(&trust::last_good(&store, SystemClock.now()).await?)?;
    let wanted: Option<CollectionId> = args.collection.parse().ok();
    let Some(collection) = wanted.and_then(|id| rules.collections.get(&id)) else {
        return Err(crate::dataset::unknown(&args.collection, &rules));
    };
    let twin = Twin {
        people: args.people,
        seed: args.seed,
        also: args.also.into_iter().collect(),
    };
    let margins = Margins::read(&args.margins, collection)?;
    let mut about = args.out.clone().into_os_string();
    about.push(".about.json");
    let about = PathBuf::from(about);
    let (file, description) = (new(&args.out)?, new(&about)?);
    let rows = twin.write(collection, &margins, &mut BufWriter::new(file))?;
    let described = serde_json::json!({
        "collection": collection.id, "rows": rows, "people": twin.people, "seed": twin.seed, "synthetic": true, "how": HOW,
        "margins": margins.origins(), "file": args.out,
    });
    serde_json::to_writer_pretty(description, &described)
        .map_err(|error| Problem::FileMissing.report(format!("{} is not written: {error}", about.display())))?;
    if json {
        show::json(&described)?;
        return Ok(ExitCode::Ok);
    }
    show::text(format!(
        "{rows} rows of made-up people for {} are in {}; each says so in the column {}",
        collection.id,
        args.out.display(),
        intake::twin::MARK
    ))?;
    margins
        .origins()
        .iter()
        .try_for_each(|origin| show::text(words(origin)))?;
    show::text(format!("how they were made is in {}", about.display()))?;
    Ok(ExitCode::Ok)
}

fn new(path: &Path) -> Result<File, Report> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.map_err(|error| {
        let report = Problem::FileMissing.report(format!("{} is not written: {}", path.display(), error.kind()));
        report.remedy("name a file that is not there yet, in a folder that is")
    })
}

/// What a margin says, and what is not in it.
fn words(origin: &Origin) -> String {
    let Origin { file, released, .. } = origin;
    if origin.columns.is_empty() {
        return format!("{released} rows in all, as {file} says");
    }
    let about = format!("{} as in {file}, {released} rows", origin.columns.join(" and "));
    let incomplete = match origin.incomplete {
        0 => String::new(),
        counts => format!("; {counts} counts lack what some nodes withheld"),
    };
    let unlisted = match (origin.unlisted_values, origin.spread) {
        (0, _) => String::new(),
        (_, Some(rows)) => format!(
            "; {rows} rows are spread evenly over what is not listed: {}",
            origin.unlisted.join(", ")
        ),
        (_, None) => format!("; what is not listed does not come: {}", origin.unlisted.join(", ")),
    };
    format!("{about}{incomplete}{unlisted}")
}
