//! A sandbox file as a place: where in it something is wrong, and what lies beside it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use terms::{Problem, Report, limit};
use toml::Spanned;

/// A collection or a policy as it lies on this machine.
pub(super) struct Document<T> {
    /// The id that the file is called by.
    pub(super) id: T,
    /// Its name in the data space.
    pub(super) name: String,
    /// Where it lies.
    pub(super) origin: PathBuf,
    /// What it says.
    pub(super) bytes: Vec<u8>,
}

/// The file, for messages and for paths that are relative to it.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
}

impl Place<'_> {
    pub(super) fn wrong(&self, span: Range<usize>, message: impl std::fmt::Display) -> Report {
        Problem::FileValue.report(format!("{}, line {}: {message}", self.name, self.line(span)))
    }

    pub(super) fn missing(&self, span: Range<usize>, file: &Path) -> Report {
        let message = format!(
            "{}, line {}: there is no file {}",
            self.name,
            self.line(span),
            file.display()
        );
        Problem::FileMissing
            .report(message)
            .remedy("paths are relative to the file that names them")
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The documents at `paths`, each called like the id in it.
    pub(super) fn read_all<T: std::str::FromStr>(
        &self,
        paths: &[Spanned<PathBuf>],
        folder: &str,
    ) -> Result<Vec<Document<T>>, Report> {
        let mut documents: Vec<Document<T>> = Vec::new();
        for path in paths {
            let file = self.folder.join(path.get_ref());
            let stem = file
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_suffix(".toml"));
            let id = stem.and_then(|stem| Some((stem, stem.parse().ok()?)));
            let Some((stem, id)) = id else {
                let message = format!("{} is not called like an id with .toml behind it", file.display());
                return Err(self
                    .wrong(path.span(), message)
                    .remedy("name the file like the `id` in it"));
            };
            let too_large = std::fs::metadata(&file).is_ok_and(|about| about.len() > limit::DOCUMENT_BYTES_MAX as u64);
            if too_large {
                let message = format!("{} has more than {} bytes", file.display(), limit::DOCUMENT_BYTES_MAX);
                return Err(self.wrong(path.span(), message));
            }
            let bytes = std::fs::read(&file).map_err(|_| self.missing(path.span(), &file))?;
            let name = format!("{folder}/{stem}.toml");
            if documents.iter().any(|other| other.name == name) {
                return Err(self.wrong(path.span(), format!("{folder} names two files {stem}.toml")));
            }
            documents.push(Document {
                id,
                name,
                origin: file,
                bytes,
            });
        }
        Ok(documents)
    }
}
