//! One file of a data space on its way to a checked type, and the one shape of "this file says something wrong".
//!
//! It must never quote more of a file than a name that the file's author chose. Used by every file that parses.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use terms::limit::DOCUMENT_BYTES_MAX;
use terms::{MemberId, PersonId, Problem, Purpose, Report, UtcTime};
use toml::Spanned;
use toml::value::{Datetime, Offset};

use crate::disclosure::Quota;
use crate::document::WrittenQuota;

/// Longest title, unit, code or declared value, in characters: one line on a page or a terminal.
const LINE_CHARS_MAX: usize = 200;

/// A file: where it lies in the data space, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    /// Reads bytes as text, after their size was checked.
    pub(crate) fn read(path: &'a str, bytes: &'a [u8]) -> Result<Self, Report> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let message = format!(
                "{path}: has {} bytes; a document may have {DOCUMENT_BYTES_MAX}",
                bytes.len()
            );
            return Err(Problem::PolicyInvalid.report(message));
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Problem::FileSyntax.report(format!("{path}: is not UTF-8 text")));
        };
        let source = Self { path, text };
        // In a comment or an SQL condition too: what a board reads must be what is there.
        let hides = |(_, c): &(usize, char)| is_invisible(*c) && !matches!(c, '\n' | '\r' | '\t');
        if let Some((start, c)) = text.char_indices().find(hides) {
            let message = format!("has the character U+{:04X}, which hides or reorders text", u32::from(c));
            return Err(source.invalid(start..start, message).remedy("take it out"));
        }
        Ok(source)
    }

    /// The text as a checked type.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Report> {
        terms::text::parse_toml(self.path, self.text)
    }

    /// The file's name without folder and ending: `policies/a.toml` is `a`.
    pub(crate) fn stem(&self) -> &'a str {
        let name = self.path.rsplit('/').next().unwrap_or(self.path);
        name.strip_suffix(".toml").unwrap_or(name)
    }

    /// Where the file lies in the data space.
    pub(crate) fn path(&self) -> &'a str {
        self.path
    }

    /// The line, from 1, in which `span` begins.
    pub(crate) fn line(&self, span: Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The file is signed, or about to be, but what it says at `span` cannot be worked under.
    pub(crate) fn invalid(&self, span: Range<usize>, message: impl std::fmt::Display) -> Report {
        Problem::PolicyInvalid.report(format!("{}, line {}: {message}", self.path, self.line(span)))
    }

    /// The file belongs to another data space.
    pub(crate) fn out_of_scope(&self, span: Range<usize>, message: impl std::fmt::Display) -> Report {
        Problem::PolicyScope.report(format!("{}, line {}: {message}", self.path, self.line(span)))
    }

    /// The file asks for something that is known and that this version does not do.
    pub(crate) fn unenforced(&self, span: Range<usize>, key: &str) -> Report {
        let message = format!("this version does not enforce `{key}` and would therefore not run the policy");
        self.invalid(span, message)
            .remedy("remove it, or wait for a version that enforces it")
    }

    /// Refuses a file whose id is not its name: otherwise two files could carry one id.
    pub(crate) fn require_named<T: std::fmt::Display>(&self, id: &Spanned<T>) -> Result<(), Report> {
        if id.get_ref().to_string() == self.stem() {
            return Ok(());
        }
        let message = format!("id \"{}\" does not match the file name", id.get_ref());
        Err(self
            .invalid(id.span(), message)
            .remedy(format!("name the file {}.toml, or change the id", id.get_ref())))
    }

    /// Refuses text that is empty, long, or would do more to a terminal than be shown.
    pub(crate) fn require_line(&self, span: Range<usize>, key: &str, text: &str) -> Result<(), Report> {
        self.require_text(span, key, text, LINE_CHARS_MAX)
    }

    /// The same for text of at most so many characters.
    pub(crate) fn require_text(&self, span: Range<usize>, key: &str, text: &str, most: usize) -> Result<(), Report> {
        let long = text.chars().count() > most;
        if !text.trim().is_empty() && !long && !text.chars().any(is_invisible) {
            return Ok(());
        }
        Err(self.invalid(span, format!("{key} must be 1 to {most} characters on one line")))
    }

    /// A person of an institution: `member/person`.
    pub(crate) fn person(&self, whose: &str, written: &Spanned<String>) -> Result<(MemberId, PersonId), Report> {
        let parts = written.get_ref().split_once('/');
        let parsed = parts.and_then(|(member, person)| Some((member.parse().ok()?, person.parse().ok()?)));
        parsed.ok_or_else(|| {
            let message =
                format!("{whose}: a person is written \"member/person\", such as \"saarland-university/ada\"");
            self.invalid(written.span(), message)
        })
    }

    /// Purposes that may be permitted; at least one.
    pub(crate) fn purposes(
        &self,
        whose: &str,
        written: &Spanned<Vec<Spanned<Purpose>>>,
    ) -> Result<BTreeSet<Purpose>, Report> {
        let purposes = written.get_ref();
        if purposes.is_empty() {
            return Err(self.invalid(written.span(), format!("{whose}: purposes is empty")));
        }
        if let Some(purpose) = purposes.iter().find(|purpose| purpose.get_ref().is_prohibited_use()) {
            let what = format!("{} ({})", purpose.get_ref(), purpose.get_ref().words());
            let message = format!("{whose}: Art. 54 EHDS prohibits {what}, and no policy can permit it");
            return Err(self.invalid(purpose.span(), message));
        }
        Ok(purposes.iter().map(|purpose| *purpose.get_ref()).collect())
    }

    /// How often one may ask; a quota that is there says something, and lets at least one query through.
    pub(crate) fn quota(&self, whose: &str, written: Option<&Spanned<WrittenQuota>>) -> Result<Quota, Report> {
        let Some(written) = written else {
            return Ok(Quota::default());
        };
        let WrittenQuota { per_minute, per_week } = *written.get_ref();
        if per_minute.is_none() && per_week.is_none() || per_minute == Some(0) || per_week == Some(0) {
            let message = format!("{whose}: queries needs per_minute or per_week, 1 or more");
            return Err(self.invalid(written.span(), message));
        }
        Ok(Quota { per_minute, per_week })
    }

    /// The point in time at which something ends: the end of a day, UTC, as in policies, or a date and time with an
    /// offset.
    pub(crate) fn end(&self, key: &str, written: &Spanned<Datetime>) -> Result<UtcTime, Report> {
        let last = self.instant(key, written)?;
        if written.get_ref().time.is_some() {
            return Ok(last);
        }
        last.checked_add(SignedDuration::from_hours(24))
            .map_err(|_| self.invalid(written.span(), format!("{key} is too late")))
    }

    /// A point in time: a day (its first instant, UTC) or a date and time with an offset.
    pub(crate) fn instant(&self, key: &str, written: &Spanned<Datetime>) -> Result<UtcTime, Report> {
        let invalid = || {
            let message = format!("{key} must be a day, or a time with an offset such as 2026-11-01T09:00:00Z");
            self.invalid(written.span(), message)
        };
        match written.get_ref() {
            Datetime {
                date: Some(_),
                time: Some(_),
                offset: Some(Offset::Z | Offset::Custom { .. }),
            } => written.get_ref().to_string().parse().map_err(|_| invalid()),
            Datetime {
                date: Some(date),
                time: None,
                offset: None,
            } => {
                let day: jiff::civil::Date = date.to_string().parse().map_err(|_| invalid())?;
                let start = day.to_zoned(TimeZone::UTC).map_err(|_| invalid())?;
                Ok(start.timestamp())
            }
            Datetime { .. } => Err(invalid()),
        }
    }
}

/// Whether a character does more than show itself: controls, what turns text around (Unicode TR 36), and what has no
/// shape of its own (the property Default_Ignorable_Code_Point, with the blank of Braille).
pub(crate) fn is_invisible(c: char) -> bool {
    let ignorable = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || ignorable
}
