//! Consents from FHIR Consent resources, as the provisions that the register keeps.
//!
//! What a consent leaves open permits less and denies more; the rules are those of `fhir::consent`. What is told names files, lines and
//! types, never a key.

use std::path::Path;

use fhir::Skipped;
use intake::ResourceFile;
use jiff::tz::TimeZone;
use terms::{Problem, Report};

use super::Provision;

/// How many of the things that were not kept are named.
const NAMED_MAX: usize = 100;

/// What was read beside the provisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Active consents.
    pub consents: u64,
    /// Consents that are not active: they say nothing.
    pub inactive: u64,
    /// People of whom no permission is kept, because a consent of theirs cannot be understood.
    pub withheld: usize,
    /// The first things that were not kept: where they are, and why.
    pub not_kept: Vec<String>,
}

/// The provisions of all Consent resources at `path`, a file or a folder. A day is one of the calendar of `zone`, as the IANA names it.
///
/// # Errors
/// `FileValue` for a zone that is none; `FileMissing`, `DataSchema` or `FhirFile` if a file cannot be read, was changed meanwhile, or has
/// something that could be the withdrawal of somebody who is not named.
pub fn provisions(path: &Path, zone: &str) -> Result<(Vec<Provision>, Read), Report> {
    let zone = TimeZone::get(zone).map_err(|_| {
        Problem::FileValue
            .report("the days of the consents have no calendar")
            .remedy("name a time zone such as Europe/Berlin")
    })?;
    let files = ResourceFile::all(path)?;
    let mut not_kept = Vec::new();
    let opened = files.iter().map(ResourceFile::open);
    let consents = fhir::consent::consents(opened, &zone, |file, skipped| {
        if not_kept.len() < NAMED_MAX {
            not_kept.push(named(&files, file, skipped));
        }
    });
    let consents = consents.map_err(|report| match not_kept.first() {
        Some(first) => report
            .problem
            .report(format!("{first}: {}", report.message))
            .remedy(report.remedy),
        None => report,
    })?;
    files.iter().try_for_each(ResourceFile::require_unchanged)?;
    let read = Read {
        consents: consents.counts.read,
        inactive: consents.counts.unmet,
        withheld: consents.withheld,
        not_kept,
    };
    let provisions = consents.provisions.into_iter().map(|kept| Provision {
        person: kept.person,
        code: kept.code,
        permits: kept.permits,
        valid_from: kept.valid_from,
        valid_until: kept.valid_until,
    });
    Ok((provisions.collect(), read))
}

/// Where something is and why it was not kept; not whose it is.
fn named(files: &[ResourceFile], file: usize, skipped: &Skipped) -> String {
    let name = files.get(file).map(ResourceFile::name).unwrap_or_default();
    let entry = skipped
        .entry
        .map_or_else(String::new, |entry| format!(", entry {entry}"));
    format!("line {} of {name}{entry}: {}", skipped.line, skipped.reason)
}

#[cfg(test)]
mod tests;
