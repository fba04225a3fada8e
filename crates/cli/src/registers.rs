//! `node opt-out` and `node consent`: the registers of a node, whether it is running or not.

use node::registers::{OptOutEntry, file, resources};
use terms::{Clock as _, ExitCode, Report, SystemClock, UtcTime};

use crate::args::registers::{ConsentImportArgs, OptOutChangeArgs, RegisterArgs};
use crate::show;

/// Which of the two changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    OptOut,
    Withdraw,
}

/// Records opt-outs or their withdrawal.
///
/// # Errors
/// A `File` problem if a key, the file or the time is not right: then nothing is changed.
pub(crate) fn change(args: &OptOutChangeArgs, change: Change, json: bool) -> Result<ExitCode, Report> {
    let now = SystemClock.now();
    let at = args.at.as_deref().map_or(Ok(now), file::parse_instant)?;
    let keys = match &args.file {
        Some(path) => file::keys(path)?,
        None => args.keys.clone(),
    };
    let (registers, keys) = (open(&args.register)?, keys.iter().map(String::as_str));
    let collection = &args.register.collection;
    let done = match change {
        Change::OptOut => registers.opt_out(collection, keys, at, now)?,
        Change::Withdraw => registers.withdraw(collection, keys, at, now)?,
    };
    if json {
        show::json(&serde_json::json!({ "changed": done.changed, "unchanged": done.unchanged }))?;
        return Ok(ExitCode::Ok);
    }
    let (what, already) = match change {
        Change::OptOut => ("opted out", "had opted out before"),
        Change::Withdraw => ("withdrew the opt-out", "had no opt-out before that time"),
    };
    show::text(format!(
        "{} people {what} of {collection}, {} {already}",
        done.changed, done.unchanged
    ))?;
    Ok(ExitCode::Ok)
}

/// Lists the opt-outs of a collection.
///
/// # Errors
/// If the register cannot be read.
pub(crate) fn list(args: &RegisterArgs, json: bool) -> Result<ExitCode, Report> {
    let entries = open(args)?.opt_outs(&args.collection)?;
    let day = |time: Option<UtcTime>| time.map_or_else(String::new, |time| format!("{time:.0}"));
    if json {
        let row = |entry: &OptOutEntry| serde_json::json!({ "person": entry.person, "made": entry.made, "withdrawn": entry.withdrawn });
        show::json(&entries.iter().map(row).collect::<Vec<_>>())?;
        return Ok(ExitCode::Ok);
    }
    let mut table = show::table(["person", "opted out", "withdrawn"]);
    for entry in entries {
        table.add_row([entry.person, day(Some(entry.made)), day(entry.withdrawn)]);
    }
    show::text(table)?;
    Ok(ExitCode::Ok)
}

/// Replaces the consents of a collection.
///
/// # Errors
/// A `File` problem with the line that is not right: then nothing is changed.
pub(crate) fn import(args: &ConsentImportArgs, json: bool) -> Result<ExitCode, Report> {
    let (provisions, read) = match &args.days_of {
        Some(zone) => resources::provisions(&args.file, zone).map(|(kept, read)| (kept, Some(read)))?,
        None => (file::provisions(&args.file)?, None),
    };
    let kept = open(&args.register)?.replace_consents(&args.register.collection, &provisions)?;
    let (consents, withheld) = read
        .as_ref()
        .map_or((None, None), |read| (Some(read.consents), Some(read.withheld)));
    if json {
        show::json(
            &serde_json::json!({ "provisions": kept, "consents": consents, "people_without_permission": withheld }),
        )?;
        return Ok(ExitCode::Ok);
    }
    show::text(format!("{kept} provisions are kept for {}", args.register.collection))?;
    let Some(read) = read else { return Ok(ExitCode::Ok) };
    show::text(format!(
        "of {} active consents; {} that are not active say nothing, and of {} people no permission is kept",
        read.consents, read.inactive, read.withheld
    ))?;
    for not_kept in &read.not_kept {
        show::text(format!("  not kept: {not_kept}"))?;
    }
    Ok(ExitCode::Ok)
}

/// Counts the consents of a collection by provision.
///
/// # Errors
/// If the register cannot be read.
pub(crate) fn consents(args: &RegisterArgs, json: bool) -> Result<ExitCode, Report> {
    let counts = open(args)?.consents(&args.collection)?;
    if json {
        let row = |(code, permits, people): &(String, bool, u64)| serde_json::json!({ "code": code, "permits": permits, "people": people });
        show::json(&counts.iter().map(row).collect::<Vec<_>>())?;
        return Ok(ExitCode::Ok);
    }
    let mut table = show::table(["provision", "decision", "people"]);
    for (code, permits, people) in counts {
        let decision = if permits { "permit" } else { "deny" };
        table.add_row([code, decision.to_owned(), people.to_string()]);
    }
    show::text(table)?;
    Ok(ExitCode::Ok)
}

fn open(args: &RegisterArgs) -> Result<node::Registers, Report> {
    node::Registers::open(&node::Config::load(&args.config)?.registers_file())
}
