//! `audit verify`, `show` and `export`: a node's ledger, read from outside.
//!
//! The key and the log's name come from the node's folder, which its operator trusts, or from the command line, where
//! a stranger puts what the signed roster says. Nothing here writes to a ledger but `audit/hand_over.rs`.

pub(crate) mod hand_over;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read as _};
use std::path::{Path, PathBuf};

use node::audit::{AuditSummary, Compared};
use node::ledger::{AuditEntry, Outcome};
use serde::Serialize;
use terms::{ExitCode, Problem, QueryId, Report, UtcTime};
use trust::{Cosigned, Envelope, PublicKey, Receipt, SigningKey, Verified, WITNESS_NAME};

use crate::args::{AuditExportArgs, AuditShowArgs, AuditVerifyArgs};
use crate::show;

/// How much of a query a table shows, in characters.
const SQL_CHARS_SHOWN: usize = 400;

/// How a ledger's file begins; an export begins otherwise.
const SQLITE_HEADER: &[u8] = b"SQLite format 3\0";

/// Largest checkpoint that is read, in bytes: a note and some hundred cosignatures.
const NOTE_BYTES_MAX: u64 = 32 * 1024;

/// Largest file of receipts that is read, in bytes: those of some thousand nodes.
const RECEIPTS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Recomputes an audit.
///
/// # Errors
/// `AuditBroken` with the first thing that is wrong; `Usage` if key or name of an exported file are not given.
pub(crate) fn verify(args: AuditVerifyArgs, json: bool) -> Result<ExitCode, Report> {
    let log = Log::find(&args)?;
    let against = args.against.as_deref().map(read_note).transpose()?;
    let cosigned = log.cosigned(against.as_deref(), args.witness.as_ref())?;
    let compared = Compared {
        checkpoints: log.anchor.iter().chain(&log.cosigned).cloned().chain(against).collect(),
        receipts: log.receipts(&args.receipt)?,
    };
    let summary = log.verify(&compared)?;
    if let Some(path) = &args.keep {
        std::fs::write(path, &summary.checkpoint).map_err(|error| unwritable(path, &error))?;
    }
    if json {
        show::json(&Shown {
            summary: &summary,
            cosigned: cosigned.as_ref(),
        })?;
    } else {
        let witnessed = cosigned.map_or_else(String::new, |cosigned| cosigned.sentence());
        show::text(sentence(&summary, &log.origin, &compared) + &witnessed)?;
    }
    Ok(ExitCode::Ok)
}

/// Everything that `--json` shows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: &'a AuditSummary,
    cosigned: Option<&'a Witnessed>,
}

/// How far a broker cosigned the log.
#[derive(Serialize)]
struct Witnessed {
    witness: PublicKey,
    entries: u64,
    at: UtcTime,
}

impl Witnessed {
    fn sentence(&self) -> String {
        match self.entries {
            0 => "\nthe broker has not cosigned an entry yet".to_owned(),
            entries => format!(
                "\nthe broker {} cosigned its first {entries} entries at {:.0}",
                self.witness, self.at
            ),
        }
    }
}

/// Lists the entries of a node's ledger.
///
/// # Errors
/// If the folder is not a node's, or its ledger cannot be read.
pub(crate) fn show(args: AuditShowArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node_config(&args.folder)?;
    let entries = node::audit::entries(&config.ledger_file())?;
    if json {
        for entry in &entries {
            show::json_line(entry)?;
        }
        return Ok(ExitCode::Ok);
    }
    let ends = ends(&entries);
    for entry in &entries {
        show::text(told(entry, &ends))?;
    }
    Ok(ExitCode::Ok)
}

/// Writes the log to a new file.
///
/// # Errors
/// If the file exists or cannot be written.
pub(crate) fn export(args: AuditExportArgs) -> Result<ExitCode, Report> {
    let config = node_config(&args.folder)?;
    let file = OpenOptions::new().write(true).create_new(true).open(&args.output);
    let file = file.map_err(|error| unwritable(&args.output, &error))?;
    node::audit::export(&config.ledger_file(), &mut BufWriter::new(file))?;
    let key = SigningKey::load(&config.key)?.public();
    let (file, origin) = (args.output.display(), config.audit_origin());
    show::text(format!(
        "written; anybody can check it:\n  datenraum audit verify {file} --key {key} --origin {origin}"
    ))?;
    Ok(ExitCode::Ok)
}

/// A log, what it must be called and who must have signed it.
struct Log {
    place: PathBuf,
    origin: String,
    key: PublicKey,
    /// What the node's own anchor says.
    anchor: Option<String>,
    /// The note in the node's folder that its broker cosigned.
    cosigned: Option<String>,
    /// The key of the node's broker.
    broker: Option<PublicKey>,
}

impl Log {
    fn find(args: &AuditVerifyArgs) -> Result<Self, Report> {
        if args.place.is_dir() {
            let config = node_config(&args.place)?;
            let key = match args.key {
                Some(key) => key,
                None => SigningKey::load(&config.key)?.public(),
            };
            let origin = args.origin.clone().unwrap_or_else(|| config.audit_origin());
            return Ok(Self {
                place: config.ledger_file(),
                origin,
                key,
                // Before the ledger: a node that runs goes on writing.
                anchor: node::audit::anchor(&config.anchor_file())?,
                cosigned: node::audit::anchor(&config.cosigned_file())?,
                broker: Some(config.broker.key),
            });
        }
        let (Some(key), Some(origin)) = (args.key, args.origin.clone()) else {
            let message = "a file does not say who must have signed it";
            let remedy = "give --key from the signed roster (members.toml) and --origin datenraum/SPACE/MEMBER";
            return Err(Problem::Usage.report(message).remedy(remedy));
        };
        Ok(Self {
            place: args.place.clone(),
            origin,
            key,
            anchor: None,
            cosigned: None,
            broker: None,
        })
    }

    /// How far the log is cosigned: by `demanded`, or else by the folder's broker if it is. That the note is a beginning of the log,
    /// [`Log::verify`] says.
    fn cosigned(&self, against: Option<&str>, demanded: Option<&PublicKey>) -> Result<Option<Witnessed>, Report> {
        let Some(witness) = demanded.copied().or(self.broker) else {
            return Ok(None);
        };
        let notes = against.into_iter().chain(self.cosigned.as_deref());
        let cosigned = notes.filter_map(|note| Cosigned::verify(note, WITNESS_NAME, &witness).ok());
        let longest = cosigned.max_by_key(|cosigned| cosigned.checkpoint.size);
        if longest.is_none() && demanded.is_some() {
            return Err(Problem::AuditBroken
                .report(format!("there is no checkpoint of the log that {witness} cosigned"))
                .remedy("name the broker's key as its operator told it, and a note that it cosigned with --against"));
        }
        Ok(longest.map(|cosigned| Witnessed {
            witness,
            entries: cosigned.checkpoint.size,
            at: cosigned.at,
        }))
    }

    /// Receipts in files, once this log's key is found to have signed them. Those of other nodes, in the file of the same answer, are
    /// not for this log.
    fn receipts(&self, files: &[PathBuf]) -> Result<Vec<Verified<Receipt>>, Report> {
        let mut receipts = Vec::new();
        for path in files {
            let broken = |why: String| Problem::AuditBroken.report(format!("{}: {why}", path.display()));
            let text = read(path, RECEIPTS_BYTES_MAX)?;
            let envelopes = text.lines().map(|line| Envelope::parse(line.as_bytes()));
            let envelopes: Result<Vec<Envelope>, _> = envelopes.collect();
            let mut envelopes = envelopes.map_err(|error| broken(error.to_string()))?;
            if envelopes.len() != 1 {
                envelopes.retain(|envelope| envelope.names_signer(&self.key));
            }
            if envelopes.is_empty() {
                return Err(broken(format!("none of its receipts is of {}", self.key)));
            }
            for envelope in envelopes {
                receipts.push(Receipt::open(&envelope, &self.key).map_err(|report| broken(report.message))?);
            }
        }
        Ok(receipts)
    }

    fn verify(&self, compared: &Compared) -> Result<AuditSummary, Report> {
        let mut file = File::open(&self.place).map_err(|error| unreadable(&self.place, &error))?;
        let mut head = Vec::new();
        let begun = (&mut file).take(SQLITE_HEADER.len() as u64).read_to_end(&mut head);
        begun.map_err(|error| unreadable(&self.place, &error))?;
        if head == SQLITE_HEADER {
            return node::audit::verify(&self.place, &self.origin, &self.key, compared);
        }
        let whole = std::io::Cursor::new(head).chain(file);
        node::audit::verify_export(BufReader::new(whole), &self.origin, &self.key, compared)
    }
}

fn node_config(folder: &Path) -> Result<node::Config, Report> {
    let file = folder.join("node.toml");
    if !file.is_file() {
        let message = format!("{} has no node.toml", folder.display());
        return Err(Problem::FileMissing
            .report(message)
            .remedy("name a node's folder, such as DIR/nodes/ID of a sandbox"));
    }
    node::Config::load(&file)
}

fn read_note(path: &Path) -> Result<String, Report> {
    read(path, NOTE_BYTES_MAX)
}

fn read(path: &Path, bytes_max: u64) -> Result<String, Report> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    file.take(bytes_max)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

fn sentence(summary: &AuditSummary, origin: &str, compared: &Compared) -> String {
    let when = match (summary.first_at, summary.last_at) {
        (Some(first), Some(last)) => format!(" from {first:.0} to {last:.0}"),
        _ => String::new(),
    };
    let mut kept = String::new();
    match compared.checkpoints.len() {
        0 => {}
        1 => kept.push_str("; the checkpoint that was kept is a beginning of it"),
        _ => kept.push_str("; the checkpoints that were kept are beginnings of it"),
    }
    for receipt in &compared.receipts {
        kept.push_str(&format!(
            "\nthe receipt of query {} is that of entry {}",
            receipt.query_id, receipt.audit_index
        ));
    }
    for index in &summary.unended {
        kept.push_str(&format!(
            "\nentry {index} says that rows or sums begin to leave, and none says how that ended (they still leave, or the node stopped \
             meanwhile): as many as there were may have left"
        ));
    }
    let entries = crate::sandbox::found::counted(
        usize::try_from(summary.entries).unwrap_or(usize::MAX),
        "entry",
        "entries",
    );
    format!(
        "the audit of {origin} is whole: {entries}{when}{kept}\nroot {}",
        summary.root
    )
}

/// Which entry says how an answer ended that an earlier one says to have begun.
type Ends<'a> = BTreeMap<&'a QueryId, u64>;

fn ends(entries: &[AuditEntry]) -> Ends<'_> {
    let ends = entries.iter().filter(|entry| entry.ends_begun);
    ends.map(|entry| (&entry.query_id, entry.index)).collect()
}

/// One entry in three lines: when and how it ended, who asked under what, and the question as it came.
fn told(entry: &AuditEntry, ends: &Ends<'_>) -> String {
    let who = entry.caller.as_ref();
    let who = who.map_or_else(
        || "nobody known".to_owned(),
        |caller| format!("{}@{}", caller.person, caller.member),
    );
    let outcome = match (entry.outcome, entry.problem) {
        (Outcome::Released, _) => released(entry),
        (Outcome::Begun, _) => begun(entry, ends.get(&entry.query_id)),
        (Outcome::Failed, problem) if entry.ends_begun => {
            format!("failed after {} had gone{}", gone(entry), code(problem))
        }
        (Outcome::Abandoned, _) if entry.ends_begun => {
            format!("abandoned by who asked after {} had gone", gone(entry))
        }
        (Outcome::Refused, problem) => format!("refused{}", code(problem)),
        (Outcome::Failed, problem) => format!("failed{}", code(problem)),
        (Outcome::Revoked, problem) => format!("revoked after {} had gone{}", gone(entry), code(problem)),
        (Outcome::Abandoned, problem) => format!("abandoned by who asked{}", code(problem)),
        (Outcome::Foreseen, None) => "asked whether it would be allowed: yes; nothing was read".to_owned(),
        (Outcome::Foreseen, problem) => format!("asked whether it would be allowed: no{}", code(problem)),
    };
    let purpose = entry
        .purpose
        .map_or_else(|| "no purpose".to_owned(), |p| format!("{p} ({})", p.words()));
    let policy = entry.policy.as_ref().map_or_else(String::new, |policy| {
        let rule = policy
            .rule
            .as_ref()
            .map(|rule| format!(", rule {rule}"))
            .unwrap_or_default();
        format!(", under {} version {}{rule}", policy.id, policy.version)
    });
    let joined = entry.joined.iter().map(|joined| format!(", joined to {joined}"));
    let policy = policy + &joined.collect::<String>();
    let permit = entry.permit.as_ref();
    let permit = permit.map_or_else(String::new, |permit| format!(", with permit {permit}"));
    let (index, at, sql) = (entry.index, entry.at, shortened(&entry.sql));
    format!("#{index}  {at:.0}  {outcome}\n    {who}, for {purpose}{permit}{policy}\n    {sql}")
}

fn begun(entry: &AuditEntry, end: Option<&u64>) -> String {
    let what = if is_fit(entry) { "sums" } else { "rows" };
    match end {
        Some(end) => format!("{what} begin to leave; #{end} says how many did"),
        None => format!("{what} begin to leave, and no entry says how that ended: as many as there were may have left"),
    }
}

/// What left: rows, or the sums of so many steps.
fn gone(entry: &AuditEntry) -> String {
    match (is_fit(entry), entry.rows) {
        (true, 1) => "the sums of 1 step".to_owned(),
        (true, steps) => format!("the sums of {steps} steps"),
        (false, rows) => format!("{rows} rows"),
    }
}

fn is_fit(entry: &AuditEntry) -> bool {
    models::Statement::is_one(&entry.sql)
}

/// What left; older entries do not say how many bytes it had.
fn released(entry: &AuditEntry) -> String {
    let bytes = match entry.bytes {
        0 => String::new(),
        bytes => format!(" of {bytes} bytes"),
    };
    match is_fit(entry) {
        true => format!("released {}{bytes}", gone(entry)),
        false => format!(
            "released {}{bytes}, {} values in them blanked",
            gone(entry),
            entry.blanked_values
        ),
    }
}

fn code(problem: Option<Problem>) -> String {
    problem.map_or_else(String::new, |problem| format!(" [{problem}]"))
}

/// One line that does nothing to a terminal but be shown.
fn shortened(sql: &str) -> String {
    let line = sql
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SQL_CHARS_SHOWN {
        return line;
    }
    line.chars().take(SQL_CHARS_SHOWN - 1).chain(['…']).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Report {
    Problem::FileMissing.report(format!("{}: {error}", path.display()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Report {
    unreadable(path, error).remedy("name a new file in a folder that you can write to")
}

#[cfg(test)]
mod tests {
    use trust::Digest;

    use super::*;

    #[test]
    fn a_file_without_key_and_origin_is_not_verified_by_anybodys_key() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let args = AuditVerifyArgs {
            place: place.path().to_owned(),
            key: None,
            origin: None,
            against: None,
            witness: None,
            receipt: Vec::new(),
            keep: None,
        };
        assert_eq!(verify(args, false).unwrap_err().problem, Problem::Usage);
    }

    #[test]
    fn a_folder_that_is_not_a_nodes_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let report = show(
            AuditShowArgs {
                folder: place.path().to_owned(),
            },
            false,
        )
        .unwrap_err();
        assert_eq!(report.problem, Problem::FileMissing);
    }

    fn entry(outcome: &str, ends_begun: bool, rows: u64) -> AuditEntry {
        let entry = serde_json::json!({
            "index": 7, "at": "2026-11-21T12:00:00Z", "query_id": "q-1", "caller": null, "purpose": null, "permit": null,
            "sql": "SELECT 1", "query": Digest::of(b"SELECT 1"), "outcome": outcome, "ends_begun": ends_begun, "policy": null,
            "problem": null, "message": null, "rows": rows, "blanked_values": 0, "result": null, "took_ms": 0,
        });
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_beginning_without_an_end_says_that_everything_may_have_left() {
        let (begun, abandoned) = (entry("begun", false, 0), entry("abandoned", true, 9));
        let said = told(&begun, &ends(std::slice::from_ref(&begun)));
        assert!(said.contains("as many as there were may have left"), "{said}");
        let both = [begun, abandoned];
        let said: Vec<String> = both.iter().map(|entry| told(entry, &ends(&both))).collect();
        assert!(
            said[0].contains("rows begin to leave; #7 says how many did"),
            "{}",
            said[0]
        );
        assert!(said[1].contains("after 9 rows had gone"), "{}", said[1]);
        let fit = both.map(|entry| AuditEntry {
            sql: "FIT glm(formula => 'relapsed ~ age') OF SELECT age, relapsed FROM people".to_owned(),
            ..entry
        });
        let said: Vec<String> = fit.iter().map(|entry| told(entry, &ends(&fit))).collect();
        assert!(said[0].contains("sums begin to leave; #7"), "{}", said[0]);
        assert!(said[1].contains("after the sums of 9 steps had gone"), "{}", said[1]);
        let summary = AuditSummary {
            entries: 8,
            root: Digest::of(b"root"),
            first_at: None,
            last_at: None,
            unended: vec![7],
            checkpoint: String::new(),
        };
        let said = sentence(&summary, "datenraum/oncology/gbsg", &Compared::default());
        assert!(said.contains("entry 7 says that rows or sums begin to leave"), "{said}");
        assert!(said.contains("as many as there were may have left"), "{said}");
    }

    #[test]
    fn a_query_cannot_play_with_the_terminal() {
        let sql = format!("SELECT\n\t1 \u{1b}[2J{}", "x".repeat(2 * SQL_CHARS_SHOWN));
        let line = shortened(&sql);
        assert!(!line.contains('\u{1b}') && !line.contains('\n'), "{line:?}");
        assert_eq!(line.chars().count(), SQL_CHARS_SHOWN);
    }
}
