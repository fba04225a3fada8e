//! Lists of people from files: one key a line for opt-outs, CSV for consents.
//!
//! An error names the line and what it lacks, never what stands in it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use terms::{Problem, Report, UtcTime};

use super::Provision;

/// Most lines that one file may have: more than a node has people.
const LINES_MAX: usize = 50_000_000;

/// The columns of a file of consents, in this order.
const HEADER: [&str; 5] = ["person", "code", "decision", "valid_from", "valid_until"];

/// Keys of people, one a line. Empty lines and lines that begin with `#` are passed over.
///
/// # Errors
/// `FileMissing`; `FileValue` if the file is not UTF-8 text.
pub fn keys(path: &Path) -> Result<Vec<String>, Report> {
    let file = BufReader::new(open(path)?);
    let mut keys = Vec::new();
    for (at, line) in file.lines().take(LINES_MAX).enumerate() {
        let line = line.map_err(|_| wrong(path, at + 1, "is not UTF-8 text"))?;
        let key = line.trim();
        if !key.is_empty() && !key.starts_with('#') {
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

/// Provisions of consents: CSV with the header `person,code,decision,valid_from,valid_until`. Times are days (the
/// first instant, UTC) or times with an offset; a decision is `permit` or `deny`.
///
/// # Errors
/// `FileMissing`; `FileValue` with the line of the first thing that is not right.
pub fn provisions(path: &Path) -> Result<Vec<Provision>, Report> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(BufReader::new(open(path)?));
    let header = reader.headers().map_err(|_| wrong(path, 1, "is not CSV"))?;
    if header.iter().ne(HEADER) {
        return Err(wrong(path, 1, &format!("must be the header {}", HEADER.join(","))));
    }
    let mut provisions = Vec::new();
    for (at, record) in reader.records().take(LINES_MAX).enumerate() {
        let line = at + 2;
        let record = record.map_err(|_| wrong(path, line, "does not have five fields"))?;
        let field = |at: usize| record.get(at).unwrap_or_default();
        let permits = match field(2) {
            "permit" => true,
            "deny" => false,
            _ => return Err(wrong(path, line, "has a decision that is neither permit nor deny")),
        };
        let time = |at: usize| instant(field(at)).ok_or_else(|| wrong(path, line, "has a time that is none"));
        if field(0).is_empty() || field(1).is_empty() {
            return Err(wrong(path, line, "lacks the person or the code"));
        }
        provisions.push(Provision {
            person: field(0).to_owned(),
            code: field(1).to_owned(),
            permits,
            valid_from: time(3)?,
            valid_until: time(4)?,
        });
    }
    Ok(provisions)
}

/// A day or a time with an offset.
///
/// # Errors
/// `FileValue` if it is neither.
pub fn parse_instant(text: &str) -> Result<UtcTime, Report> {
    instant(text).ok_or_else(|| {
        Problem::FileValue.report("a time is a day, or has an offset, such as 2026-11-01 or 2026-11-01T09:00:00Z")
    })
}

fn instant(text: &str) -> Option<UtcTime> {
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

fn open(path: &Path) -> Result<File, Report> {
    File::open(path).map_err(|error| Problem::FileMissing.report(format!("{}: {}", path.display(), error.kind())))
}

fn wrong(path: &Path, line: usize, what: &str) -> Report {
    Problem::FileValue
        .report(format!("{}, line {line} {what}", path.display()))
        .remedy("mend the line; nothing was changed")
}
