//! `node dataset add` and `list`: offline, over a node's folder and the documents that it verified last.
//!
//! Nothing is offered that does not conform to a collection that the board signed. Next: `dataset/refresh.rs`.

pub(crate) mod refresh;

mod pending;
mod view;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use engine::{Pending, Publication};
use intake::conform::Misfit;
use intake::profile::{ColumnProfile, Counting, Profile};
use intake::{Conforming, Mapping, Misfits, Opened};
use policy::{Collection, MinPeople, Rules};
use serde::Serialize;
use terms::{Clock as _, CollectionId, ExitCode, Problem, Report, SystemClock};
use trust::SpaceStore;

use crate::args::{DatasetAddArgs, DatasetListArgs};
use crate::sandbox::progress::Progress;
use crate::show;

/// Groups that are small where no permission says how many people a number must be about.
const MIN_PEOPLE: u32 = 2;

/// Checks a file and adds it, or shows what would be added, or guesses how it could be read.
///
/// # Errors
/// `PolicyNone` if the node never verified documents; `SqlCollection` for an unknown collection; a `Data` problem that
/// names row and column.
pub(crate) async fn add(args: DatasetAddArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let now = SystemClock.now();
    let rules = rules(&config).await?;
    let collection = collection(&args.collection, &rules)?;
    if let Some(target) = &args.guess {
        return guess(&args, target, collection);
    }
    let mut mapping = match &args.mapping {
        Some(file) => Mapping::load(file, collection)?,
        None => Mapping::plain(collection.id.clone()),
    };
    mapping.source.view = view::of(&args, mapping.source.view)?;
    let datasets = engine::Datasets::open(&config.datasets_folder())?;
    let least = rules.min_people_max(&collection.id);
    if args.dry_run {
        let waits = || datasets.foresee(&mapping, &args.file, collection, now, least);
        return dry_run(&args, &mapping, collection, least, waits, json);
    }
    if args.other_shifts {
        datasets.allow_other_shifts(&collection.id)?;
    }
    let published = datasets.publish(&mapping, &args.file, collection, now, least);
    let (publication, misfits) = published.map_err(|report| of_file(report, &args))?;
    let dataset = match publication {
        Publication::InForce(dataset) => dataset,
        Publication::Pending(pending) => return pending::tell(&pending, &collection.id, json),
    };
    if json {
        let counted = misfits
            .by_column()
            .iter()
            .map(|(column, classes)| (column, counted(classes.values())));
        let counted: std::collections::BTreeMap<_, _> = counted.collect();
        show::json(
            &serde_json::json!({ "collection": collection.id, "rows": dataset.rows(), "data": dataset.version(), "counted_as_missing": counted, "resources": misfits.resources(), "days_moved": mapping.shift_days.is_some() }),
        )?;
        return Ok(ExitCode::Ok);
    }
    view::tell(misfits.resources())?;
    show::text(format!(
        "{} rows of {} conform to {}",
        dataset.rows(),
        args.file.display(),
        collection.id
    ))?;
    for (column, classes) in misfits.by_column() {
        show::text(format!(
            "{} values of {column} do not fit and count as missing",
            counted(classes.values())
        ))?;
    }
    if mapping.shift_days.is_some() {
        show::text("days are moved, each person's by a number of their own")?;
    }
    let synthetic = if dataset.is_synthetic() { ", made-up people" } else { "" };
    show::text(format!("this is version {}{synthetic}", dataset.version().version))?;
    show::text(format!(
        "{} offers them at its next look, or when its node is started",
        config.member
    ))?;
    Ok(ExitCode::Ok)
}

fn counted<'a>(misfits: impl Iterator<Item = &'a Misfit>) -> u64 {
    misfits.map(|misfit| misfit.count).sum()
}

/// Writes a first mapping for the operator to read.
fn guess(args: &DatasetAddArgs, target: &Path, collection: &Collection) -> Result<ExitCode, Report> {
    let view = view::of(args, None)?;
    let guess =
        intake::guess::guess(&args.file, view.as_deref(), collection).map_err(|report| of_file(report, args))?;
    write_new(target, &guess.mapping.to_toml())?;
    show::text(guess.mapping.to_toml())?;
    for absent in &guess.absent {
        show::text(format!(
            "not found: {absent}; say from which column it is, or give it a value"
        ))?;
    }
    for note in &guess.notes {
        show::text(format!("look at {note}"))?;
    }
    show::text(format!(
        "written to {}: read and change it, then show what it makes of the file:\n  datenraum node dataset add {} --collection {} \
         --mapping {} --dry-run",
        target.display(),
        args.file.display(),
        collection.id,
        target.display()
    ))?;
    Ok(ExitCode::Ok)
}

/// Reads the whole file, and shows what would be added, and whether it would wait.
fn dry_run(
    args: &DatasetAddArgs,
    mapping: &Mapping,
    collection: &Collection,
    least: Option<MinPeople>,
    waits: impl FnOnce() -> Result<Option<Pending>, Report>,
    json: bool,
) -> Result<ExitCode, Report> {
    let min_people = least.map_or(MIN_PEOPLE, MinPeople::get);
    let (profile, refused) = profile(args, mapping, collection, min_people).map_err(|report| of_file(report, args))?;
    if let Some(target) = &args.report {
        write_new(target, &profile.to_html())?;
    }
    let (pending, refused) = match refused.map_or_else(waits, Err) {
        Ok(pending) => (pending, None),
        Err(report) => (None, Some(report)),
    };
    if json {
        let pending = pending.as_ref().map(pending::as_json);
        show::json(&Foreseen { profile, pending })?;
    } else {
        tell(&profile)?;
        match (&refused, pending) {
            (Some(_), _) => {}
            (None, None) => show::text("nothing was added; without --dry-run it would be")?,
            (None, Some(pending)) => show::text(format!(
                "nothing was added; without --dry-run it would be, and wait: {}",
                pending::why(&pending)
            ))?,
        }
    }
    refused.map_or(Ok(ExitCode::Ok), |report| Err(of_file(report, args)))
}

/// What would be added, for programs.
#[derive(Serialize)]
struct Foreseen {
    #[serde(flatten)]
    profile: Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<serde_json::Value>,
}

/// The profile, and why the file would be refused, if it would.
fn profile(
    args: &DatasetAddArgs,
    mapping: &Mapping,
    collection: &Collection,
    min_people: u32,
) -> Result<(Profile, Option<Report>), Report> {
    let opened = Opened::open(&args.file, &mapping.source)?;
    let conforming = Conforming::new(&opened, mapping, collection)?;
    let (mut misfits, mut counting) = (Misfits::default(), Counting::new(collection, min_people));
    let step = Progress::to_stderr(false).begin(format!("reading {}", args.file.display()));
    for piece in opened.batches(conforming.wanted())? {
        counting.count(&conforming.conform(&piece?, &mut misfits)?);
        let far = opened.bytes_read().map_or_else(String::new, how_far);
        step.now(format!("{} rows of {}{far}", counting.rows(), args.file.display()));
    }
    let profile = counting.finish(&misfits, &conforming);
    step.done(format!("{} rows read", profile.rows));
    let too_many = (profile.rows_too_many > 0).then(|| {
        let message = format!("{} rows more than one person or key may have", profile.rows_too_many);
        Problem::DataFormat
            .report(message)
            .remedy("leave them out, or ask the board to change rows_per_person_max")
    });
    let refused = misfits.require_allowed(&conforming).err().or(too_many);
    Ok((profile, refused.or(misfits.require_few_left_out(&mapping.source).err())))
}

/// In MiB, rounded up: a file of some bytes is not nothing.
fn how_far((read, all): (u64, u64)) -> String {
    let [read, all] = [read, all].map(|bytes| bytes.div_ceil(1 << 20));
    format!(", {read} of {all} MiB")
}

fn tell(profile: &Profile) -> Result<(), Report> {
    let units = profile
        .units
        .map_or_else(String::new, |units| format!(" of {units} people or keys"));
    show::text(format!("{} rows{units} for {}", profile.rows, profile.collection))?;
    profile.resources.as_ref().map_or(Ok(()), view::tell)?;
    if let Some(shifted) = profile.shifted_in_words() {
        show::text(shifted)?;
    }
    let mut table = show::table([
        "column",
        "expected",
        "missing",
        "distinct",
        "between",
        "does not fit",
        "too few people",
    ]);
    for column in &profile.columns {
        table.add_row(row(column));
    }
    show::text(table)?;
    show::text(format!(
        "groups of fewer than {} people are withheld in answers; \"too few people\" says how many of the declared groups are so",
        profile.min_people
    ))
}

fn row(column: &ColumnProfile) -> [String; 7] {
    let misfits = column
        .misfits
        .iter()
        .map(|(class, misfit)| format!("{} × {class}, first in {}", misfit.count, misfit.first));
    let small = column.groups.iter().filter(|group| group.is_small).count();
    [
        column.name.clone(),
        column.expected.clone(),
        column.missing.to_string(),
        column
            .distinct
            .map_or_else(|| "many".to_owned(), |distinct| distinct.to_string()),
        column
            .range
            .map_or_else(String::new, |[low, high]| format!("{low} and {high}")),
        misfits.collect::<Vec<_>>().join("; "),
        match column.groups.len() {
            0 => String::new(),
            groups => format!("{small} of {groups}"),
        },
    ]
}

fn write_new(path: &Path, text: &str) -> Result<(), Report> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            let report = Problem::FileMissing.report(format!("{} is not written: {}", path.display(), error.kind()));
            report.remedy("name a file that is not there yet, in a folder that is")
        })
}

/// The file, too; and how to go on where columns are named or written in another way.
fn of_file(report: Report, args: &DatasetAddArgs) -> Report {
    let message = format!("{}: {}", args.file.display(), report.message);
    let is_of_data = matches!(report.problem, Problem::DataFormat | Problem::DataSchema);
    let guess = match args.mapping {
        None if is_of_data && args.guess.is_none() => {
            "; if the file is written in another way than the collection has it, begin with --guess mapping.toml"
        }
        _ => "",
    };
    report
        .problem
        .report(message)
        .remedy(format!("{}{guess}", report.remedy))
}

/// Lists what a node offers.
///
/// # Errors
/// If the folder or a dataset in it cannot be read.
pub(crate) fn list(args: DatasetListArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let opened = engine::Datasets::open(&config.datasets_folder())?;
    let datasets = opened.all();
    if json {
        let row = |d: &std::sync::Arc<engine::Dataset>| {
            let pending = opened.pending(d.collection())?;
            Ok(
                serde_json::json!({ "collection": d.collection(), "rows": d.rows(), "updated": d.updated(), "data": d.version(),
                "pending": pending.as_ref().map(pending::as_json) }),
            )
        };
        show::json(&datasets.iter().map(row).collect::<Result<Vec<_>, Report>>()?)?;
        return Ok(ExitCode::Ok);
    }
    let mut table = show::table(["collection", "version", "rows", "updated", "people"]);
    let mut waiting = Vec::new();
    for dataset in datasets {
        let updated = format!("{:.0}", dataset.updated());
        let people = if dataset.is_synthetic() { "made up" } else { "" };
        let version = dataset.version().version.to_string();
        table.add_row([
            dataset.collection().to_string(),
            version,
            dataset.rows().to_string(),
            updated,
            people.to_owned(),
        ]);
        if let Some(pending) = opened.pending(dataset.collection())? {
            waiting.push(format!(
                "a newer version of {} waits: {}",
                dataset.collection(),
                pending::why(&pending)
            ));
        }
    }
    show::text(table)?;
    waiting.iter().try_for_each(show::text)?;
    for unhealthy in opened.unhealthy() {
        show::text(unhealthy.to_string())?;
    }
    Ok(ExitCode::Ok)
}

/// The documents that the node verified last.
async fn rules(config: &node::Config) -> Result<Rules, Report> {
    let store = SpaceStore::open(&config.governance_folder()).map_err(|report| {
        report.remedy("start the node once, so that it fetches and verifies the board's documents")
    })?;
    let documents = trust::last_good(&store, SystemClock.now()).await?;
    Rules::compile(&documents)
}

fn collection<'a>(asked: &str, rules: &'a Rules) -> Result<&'a Collection, Report> {
    let wanted: Option<CollectionId> = asked.parse().ok();
    let found = wanted.and_then(|id| rules.collections.get(&id));
    found.map(AsRef::as_ref).ok_or_else(|| unknown(asked, rules))
}

pub(crate) fn unknown(asked: &str, rules: &policy::Rules) -> Report {
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
