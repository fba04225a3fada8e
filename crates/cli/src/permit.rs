//! `permit new` and `permit show`: a data permit as a file that a board or its access committee signs, and in words.
//!
//! Whether a permit holds is not decided here: `show` asks the decision itself, for each person, dataset and purpose.

use std::fmt::Write as _;

use policy::{
    AccessRequest, Asked, Caller, Column, Explanation, Lang, OptOut, Permit, PermitKind, Release, Rules, explain,
};
use terms::{
    Clock as _, CollectionId, ExitCode, MemberId, PermitId, PersonId, Problem, Purpose, Report, SystemClock, UtcTime,
};

use crate::args::board::{PermitNewArgs, PermitShowArgs, WrittenKind, WrittenOptOut};
use crate::board::{Desk, time, write};
use crate::show;

/// Characters of a day, such as 2026-11-24, at the beginning of a time.
const DAY_CHARS: usize = 10;

/// What stands at the top of the file.
const HEAD: &str = "# A permit never gives more than a policy does; it says who may use which permission for what.\n\n";

/// Writes a permit's file.
///
/// # Errors
/// `FolderNotEmpty` if there is one of that id; what is wrong with it, before it is written.
pub(crate) fn new(args: PermitNewArgs, json: bool) -> Result<ExitCode, Report> {
    let (mut desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    let name = format!("permits/{}.toml", args.id);
    if desk.files.contains_key(&name) {
        return Err(Problem::FolderNotEmpty
            .report(format!("{name} is there already"))
            .remedy("edit the file, or give the permit another id"));
    }
    let space = desk.rules()?.space.id;
    let text = written(&args, space.as_str(), &today());
    desk.files.insert(name.clone(), text.clone().into_bytes());
    // What nodes would refuse is never written.
    let rules = desk.rules()?;
    require_usable(&rules, &args.datasets)?;
    let path = desk.folder.file(&name);
    write(&path, text.as_bytes())?;
    if json {
        show::json(&serde_json::json!({ "permit": args.id, "file": path }))?;
        return Ok(ExitCode::Ok);
    }
    let path = path.display();
    show::text(lang.pick(
        format!("{path} ist geschrieben; gilt, sobald unterschrieben und veröffentlicht: datenraum board sign"),
        format!("{path} is written; holds when signed and published: datenraum board sign"),
    ))?;
    Ok(ExitCode::Ok)
}

/// Nodes take a permit over columns that they do not know, or over identifiers of which no permission shows a pseudonym, and
/// it opens nothing: a mistake here.
fn require_usable(rules: &Rules, datasets: &[(CollectionId, Vec<String>)]) -> Result<(), Report> {
    for (collection, columns) in datasets {
        let known = rules.collections.get(collection);
        let unusable = |name: &&String| {
            let column = known.and_then(|collection| collection.column(name));
            let hidden = |column: &Column| column.roles.identifier && !rules.lists_column(collection, name);
            name.as_str() != policy::NODE_COLUMN && column.is_none_or(hidden)
        };
        if let Some(name) = columns.iter().find(unusable) {
            let message = format!("collection {collection} has no column {name} that a query may use");
            return Err(Problem::FileValue
                .report(message)
                .remedy("name columns that a policy permits; see the collection's file"));
        }
    }
    Ok(())
}

fn today() -> String {
    SystemClock.now().to_string().chars().take(DAY_CHARS).collect()
}

/// The file, each line with what it means.
fn written(args: &PermitNewArgs, space: &str, today: &str) -> String {
    let issued = args.issued.as_deref().unwrap_or(today);
    let kind = match args.kind {
        WrittenKind::DataPermit => "data-permit",
        WrittenKind::DataRequest => "data-request",
    };
    let opt_out = match args.opt_out {
        WrittenOptOut::AtQuery => "at-query",
        WrittenOptOut::AtIssue => "at-issue",
        WrittenOptOut::Exempt => "exempt",
    };
    let persons = args.persons.iter().map(|(member, person)| format!("{member}/{person}"));
    let purposes = args.purposes.iter().map(|purpose| purpose.code().to_owned());
    let mut text = HEAD.to_owned();
    let mut line = |key: &str, value: String, why: &str| {
        let pair = format!("{key:11} = {value}");
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{pair:60} # {why}");
    };
    line("id", quoted(args.id.as_str()), "the name of this file");
    line("space", quoted(space), "the data space in which it holds");
    line("title", quoted(&args.title), "the project");
    line(
        "kind",
        quoted(kind),
        "data-permit: rows, EHDS Art. 68; data-request: statistics only, Art. 69",
    );
    line("issuer", quoted(&args.issuer), "who decided");
    line("issued", issued.to_owned(), "when");
    line(
        "holder",
        quoted(args.holder.as_str()),
        "the institution that it was issued to",
    );
    line("persons", list(persons), "who may use it, and nobody else");
    if let Some(body) = &args.acts_for {
        line(
            "acts_for",
            quoted(body),
            "the public body for which the holder acts, Art. 53(2)",
        );
    }
    line("purposes", list(purposes), "for these purposes only, Art. 53(1)");
    line(
        "valid_from",
        args.from.as_deref().unwrap_or(issued).to_owned(),
        "the first day, UTC",
    );
    line("valid_until", args.until.clone(), "the last day, UTC");
    if let Some(quota) = quota(args) {
        line(
            "queries",
            quota,
            "how often all its persons together may ask, at each node",
        );
    }
    line(
        "linkage",
        args.linkage.to_string(),
        "whether people may be linked across datasets",
    );
    line(
        "opt_out",
        quoted(opt_out),
        "which opt-outs count, Art. 71: at-query, at-issue or exempt",
    );
    if let Some(reason) = &args.opt_out_reason {
        line("opt_out_reason", quoted(reason), "the national law, Art. 71(4)");
    }
    for (collection, columns) in &args.datasets {
        let columns = list(columns.iter().cloned());
        let _ = write!(
            text,
            "\n[[dataset]]\ncollection = {}\ncolumns    = {columns}\n",
            quoted(collection.as_str())
        );
    }
    text
}

fn quota(args: &PermitNewArgs) -> Option<String> {
    let part = |name: &str, most: Option<u32>| most.map(|most| format!("{name} = {most}"));
    let parts: Vec<String> = [part("per_minute", args.per_minute), part("per_week", args.per_week)]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Says what a permit allows, and what it opens now.
///
/// # Errors
/// `Usage` if there is no such permit.
pub(crate) fn show(args: &PermitShowArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang, at) = (Desk::open(&args.place)?, args.place.lang(), time(args.at.as_deref())?);
    let rules = desk.rules_with_stops()?;
    let permit = rules.permits.get(&args.id).ok_or_else(|| unknown(&rules, &args.id))?;
    let opened = uses(&rules, permit, at, &|request| {
        explain(&rules, &desk.files, request, lang)
    });
    if json {
        show::json(&serde_json::json!({
            "permit": permit.id, "title": permit.title, "kind": permit.kind.as_str(), "issuer": permit.issuer,
            "issued": permit.issued, "holder": permit.holder, "valid_from": permit.valid_from,
            "valid_until": permit.valid_until, "withdrawn": permit.withdrawn,
            "persons": permit.persons.iter().map(|(member, person)| format!("{member}/{person}")).collect::<Vec<_>>(),
            "uses": opened.iter().map(Use::json).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Ok);
    }
    show::text(in_words(permit, lang))?;
    show::text(lang.pick(
        format!("was sie am {at:.0} öffnet:"),
        format!("what it opens at {at:.0}:"),
    ))?;
    let mut table = show::table(lang.pick(
        ["Person", "Datenbestand", "Zweck", "was", "Antwort"],
        ["person", "collection", "purpose", "what", "answer"],
    ));
    for one in &opened {
        let what = match one.release {
            Release::Aggregates => lang.pick("Statistik", "statistics"),
            Release::Models => lang.pick("Modelle", "models"),
            Release::Rows => lang.pick("Zeilen", "rows"),
        };
        table.add_row([
            &one.person,
            one.collection.as_str(),
            one.purpose.code(),
            what,
            &one.explanation.sentence,
        ]);
    }
    show::text(table)?;
    Ok(ExitCode::Ok)
}

fn unknown(rules: &Rules, id: &PermitId) -> Report {
    let near = terms::text::nearest(id.as_str(), rules.permits.keys().map(PermitId::as_str));
    let remedy = near.map_or_else(|| "see permits/".to_owned(), |near| format!("did you mean {near}?"));
    Problem::Usage
        .report(format!("the data space has no permit {id}"))
        .remedy(remedy)
}

/// One use of a permit, and what is decided about it.
struct Use {
    person: String,
    collection: CollectionId,
    purpose: Purpose,
    release: Release,
    explanation: Explanation,
}

impl Use {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "person": self.person, "collection": self.collection, "purpose": self.purpose,
            "release": self.release.to_string(), "explanation": self.explanation,
        })
    }
}

/// Everything that the permit names, as requests that a node would get.
fn uses(rules: &Rules, permit: &Permit, at: UtcTime, explain: &dyn Fn(&AccessRequest) -> Explanation) -> Vec<Use> {
    let mut uses = Vec::new();
    for (member, person) in &permit.persons {
        for (collection, columns) in &permit.columns {
            for purpose in &permit.purposes {
                let mut request = AccessRequest {
                    caller: caller(rules, member, person),
                    purpose: Some(*purpose),
                    permit: Some(permit.id.clone()),
                    collection: collection.clone(),
                    release: Release::Aggregates,
                    columns: columns.clone(),
                    asked: Asked::default(),
                    at,
                };
                for release in Release::ALL {
                    if release > Release::Aggregates && permit.kind == PermitKind::DataRequest {
                        continue;
                    }
                    request.release = release;
                    uses.push(Use {
                        person: format!("{member}/{person}"),
                        collection: collection.clone(),
                        purpose: *purpose,
                        release,
                        explanation: explain(&request),
                    });
                }
            }
        }
    }
    uses
}

fn caller(rules: &Rules, member: &MemberId, person: &PersonId) -> Caller {
    let roles = rules.members.get(member).map(|member| member.roles.clone());
    Caller {
        member: member.clone(),
        person: person.clone(),
        roles: roles.unwrap_or_default(),
    }
}

fn in_words(permit: &Permit, lang: Lang) -> String {
    let kind = match permit.kind {
        PermitKind::DataPermit => lang.pick("Datengenehmigung (EHDS Art. 68)", "data permit (EHDS Art. 68)"),
        PermitKind::DataRequest => lang.pick(
            "Datenanfrage, nur Statistik (EHDS Art. 69)",
            "data request, statistics only (EHDS Art. 69)",
        ),
    };
    let mut text = format!("{} ({}): {kind}\n", permit.title, permit.id);
    let mut line = |de: &str, en: &str, value: String| {
        let _ = writeln!(text, "  {:14} {value}", lang.pick(de, en));
    };
    line("erteilt", "issued", format!("{}, {:.0}", permit.issuer, permit.issued));
    line("Inhaber", "holder", permit.holder.to_string());
    let persons: Vec<String> = permit
        .persons
        .iter()
        .map(|(member, person)| format!("{member}/{person}"))
        .collect();
    line("Personen", "persons", persons.join(", "));
    if let Some(body) = &permit.acts_for {
        line("tätig für", "acts for", body.clone());
    }
    let purposes: Vec<String> = permit
        .purposes
        .iter()
        .map(|purpose| format!("{purpose} ({})", lang.purpose(*purpose)))
        .collect();
    line("Zwecke", "purposes", purposes.join(", "));
    for (collection, columns) in &permit.columns {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        line("Daten", "data", format!("{collection}: {}", columns.join(", ")));
    }
    line(
        "gilt",
        "holds",
        format!("{:.0} – {:.0}", permit.valid_from, permit.valid_until),
    );
    if let Some(withdrawn) = permit.withdrawn {
        line("zurückgezogen", "withdrawn", format!("{withdrawn:.0}"));
    }
    for (de, en, most) in [
        ("pro Minute", "per minute", permit.queries.per_minute),
        ("pro Woche", "per week", permit.queries.per_week),
    ] {
        if let Some(most) = most {
            line(de, en, most.to_string());
        }
    }
    let yes_or_no = if permit.linkage {
        lang.pick("ja", "yes")
    } else {
        lang.pick("nein", "no")
    };
    line("Verknüpfung", "linkage", yes_or_no.to_owned());
    line(
        "Widersprüche",
        "opt-outs",
        match &permit.opt_out {
            OptOut::AtQuery => lang
                .pick("die bei der Abfrage gelten", "those that hold at the query")
                .to_owned(),
            OptOut::AsOf(time) => lang.pick(
                format!("die am {time:.0} galten"),
                format!("those that held at {time:.0}"),
            ),
            OptOut::Exempt { reason } => lang.pick(format!("keine: {reason}"), format!("none: {reason}")),
        },
    );
    text
}
