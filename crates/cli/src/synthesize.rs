//! `node dataset synthesize`: made-up people for a collection, from its public definition alone.

use std::fs::OpenOptions;
use std::io::BufWriter;

use intake::Twin;
use policy::Rules;
use terms::{Clock as _, CollectionId, ExitCode, Problem, Report, SystemClock};
use trust::SpaceStore;

use crate::args::twin::SynthesizeArgs;
use crate::show;

/// Writes the table.
///
/// # Errors
/// `NoPermission` if it shall be like real data; `SqlCollection` for an unknown collection; `FileMissing` if it cannot be written.
pub(crate) async fn run(args: SynthesizeArgs, json: bool) -> Result<ExitCode, Report> {
    if args.margins {
        let message = "margins of real data go into no made-up table: a policy has no permission for it yet";
        let remedy = "leave out --margins; the columns are then drawn evenly over their declared domains";
        return Err(Problem::NoPermission.report(message).remedy(remedy));
    }
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
    let file = OpenOptions::new().write(true).create_new(true).open(&args.out);
    let file = file.map_err(|error| {
        let report = Problem::FileMissing.report(format!("{} is not written: {}", args.out.display(), error.kind()));
        report.remedy("name a file that is not there yet, in a folder that is")
    })?;
    let rows = twin.write(collection, &mut BufWriter::new(file))?;
    if json {
        show::json(
            &serde_json::json!({ "collection": collection.id, "rows": rows, "synthetic": true, "file": args.out }),
        )?;
    } else {
        show::text(format!(
            "{rows} rows of made-up people for {} are in {}; each says so in the column {}",
            collection.id,
            args.out.display(),
            intake::twin::MARK
        ))?;
    }
    Ok(ExitCode::Ok)
}
