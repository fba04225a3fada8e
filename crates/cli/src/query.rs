//! `datenraum query`: one question to all nodes, the answer, and who took part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use federation::{Asker, Parameters, Profile, Question, Step, Tables};
use terms::{ExitCode, MemberId, PermitId, Problem, Purpose, Report, SystemClock};

use crate::args::{AskerArgs, Format, QueryArgs};
use crate::plot::Plot;
use crate::waiting::Waiting;
use crate::{dry_run, render};

/// Asks, prints, and says what the command returns to the shell.
pub(crate) async fn run(args: QueryArgs, json: bool) -> Result<ExitCode, Report> {
    let of_file = args.output.as_deref().and_then(Format::of_file);
    let said = if json { Some(Format::Json) } else { args.format };
    let format = said.or(of_file).unwrap_or(Format::Table);
    if args.output.is_none() && matches!(format, Format::Parquet | Format::Arrow) {
        let report = Problem::Usage.report("Parquet and Arrow are not written to a terminal");
        return Err(report.remedy("name a file with --output FILE"));
    }
    if args.dry_run && (args.output.is_some() || !matches!(format, Format::Table | Format::Json)) {
        let report = Problem::Usage.report("what nodes would do is no table of values to write to a file");
        return Err(report.remedy("leave --output out, and choose --format table or json"));
    }
    let question = question(&args)?;
    let profile = profile(&args.asker)?;
    let asker = Asker::open(Profile::load(&profile)?, Arc::new(SystemClock)).await?;
    let plot = plot(&args, &asker, &question).await?;
    if args.dry_run {
        let run = asker.dry_run(&question).await?;
        dry_run::show(&run, format)?;
        return Ok(run.exit_code());
    }
    let waiting = Waiting::on_terminal(json);
    let watch = |node: &MemberId, step: Step<'_>| waiting.note(node, step);
    let answer = asker.ask_watched(&question, &Parameters::default(), &watch).await;
    drop(waiting);
    let answer = answer?;
    if let Some(failure) = answer.took_part().nobody_answered() {
        if format == Format::Json {
            render::write(&answer, format, args.output.as_deref())?;
        } else {
            render::coverage(&answer)?;
        }
        return Err(failure);
    }
    render::write(&answer, format, args.output.as_deref())?;
    let is_told = format == Format::Json && answer.receipts.iter().all(|receipts| receipts.problem.is_none());
    if !is_told {
        render::receipts(&answer);
    }
    if let Some(plot) = plot {
        plot.write(&answer)?;
        if format != Format::Json {
            render::note(&format!("the chart is in {}", plot.file().display()));
        }
    }
    Ok(answer.took_part().exit_code())
}

/// The chart that is asked for, if its file and the question's columns allow one.
async fn plot(args: &QueryArgs, asker: &Asker, question: &Question) -> Result<Option<Plot>, Report> {
    let Some(file) = &args.plot else { return Ok(None) };
    Plot::new(file, args.plot_kind, asker.expected(question).await?).map(Some)
}

fn question(args: &QueryArgs) -> Result<Question, Report> {
    Ok(Question {
        sql: args.sql.clone(),
        purpose: purpose(args.purpose.as_deref())?,
        permit: permit(args.permit.as_deref())?,
        tables: own_tables(&args.with)?,
        timeout: args.timeout,
    })
}

/// A purpose by its code.
pub(crate) fn purpose(code: Option<&str>) -> Result<Option<Purpose>, Report> {
    code.map(str::parse::<Purpose>).transpose().map_err(|error| {
        let known = Purpose::all().filter(|purpose| !purpose.is_prohibited_use());
        let known: Vec<String> = known
            .map(|purpose| format!("{purpose} ({})", purpose.words()))
            .collect();
        Problem::Usage
            .report(error.to_string())
            .remedy(format!("use one of: {}", known.join(", ")))
    })
}

/// A permit by its id.
pub(crate) fn permit(id: Option<&str>) -> Result<Option<PermitId>, Report> {
    let permit = id.map(str::parse).transpose();
    permit.map_err(|error: terms::IdError| Problem::Usage.report(error.to_string()))
}

/// The files that `--with NAME=FILE` names.
fn own_tables(named: &[String]) -> Result<Tables, Report> {
    let mut tables = Tables::default();
    for with in named {
        let Some((name, file)) = with.split_once('=') else {
            let report = Problem::Usage.report(format!("--with {with} names no file"));
            return Err(report.remedy("write --with NAME=FILE, for instance --with districts=districts.csv"));
        };
        tables.add(name, Path::new(file))?;
    }
    Ok(tables)
}

/// The file that says who asks: that of a person of a sandbox, or one that is named.
pub(crate) fn profile(args: &AskerArgs) -> Result<PathBuf, Report> {
    match (&args.profile, &args.sandbox) {
        (Some(profile), _) => Ok(profile.clone()),
        (None, Some(sandbox)) => person_of(sandbox, args.as_person.as_deref()),
        (None, None) => Err(Problem::Usage
            .report("nobody is named who asks the question")
            .remedy("name a sandbox with --sandbox DIR, or yourself with --profile person.toml")),
    }
}

/// The profile of a person of a sandbox; of the only one, if none is named.
pub(crate) fn person_of(sandbox: &Path, named: Option<&str>) -> Result<PathBuf, Report> {
    let people = std::fs::read_dir(sandbox.join("people"));
    let people = people.map_err(|_| {
        let report = Problem::SandboxDown.report(format!("there is no sandbox in {}", sandbox.display()));
        report.remedy("put one up: datenraum sandbox up SPEC.toml --dir DIR")
    })?;
    let mut names: Vec<String> = people
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let listed = names.join(", ");
    let name = match (named, names.as_slice()) {
        (Some(name), _) if names.iter().any(|known| known == name) => name.to_owned(),
        (Some(name), _) => {
            let report = Problem::Usage.report(format!("the sandbox has no person {name}"));
            return Err(report.remedy(format!("say who asks with --as, one of: {listed}")));
        }
        (None, [only]) => only.clone(),
        (None, _) => {
            let report = Problem::Usage.report("the sandbox has several people");
            return Err(report.remedy(format!("say who asks with --as, one of: {listed}")));
        }
    };
    Ok(sandbox.join("people").join(name).join("person.toml"))
}
