//! One file of a data space on its way to a checked type, and the one shape of "this file says something wrong".
//!
//! It must never quote more of a file than a name that the file's author chose. Used by every file that parses.

use std::ops::Range;

use serde::de::DeserializeOwned;
use terms::limit::DOCUMENT_BYTES_MAX;
use terms::{Problem, Report};
use toml::Spanned;

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
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(_) => Err(Problem::FileSyntax.report(format!("{path}: is not UTF-8 text"))),
        }
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

    /// The file is signed, or about to be, but what it says at `span` cannot be worked under.
    pub(crate) fn invalid(&self, span: Range<usize>, message: impl std::fmt::Display) -> Report {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::PolicyInvalid.report(format!("{}, line {line}: {message}", self.path))
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
        let long = text.chars().count() > LINE_CHARS_MAX;
        if !text.trim().is_empty() && !long && !text.chars().any(char::is_control) {
            return Ok(());
        }
        Err(self.invalid(
            span,
            format!("{key} must be 1 to {LINE_CHARS_MAX} characters on one line"),
        ))
    }
}
