//! FHIR resources as rows of a view: Bulk Data NDJSON and JSON documents such as bundles. The reading itself is the crate `fhir`.
//!
//! A resource that goes wrong is left out, counted and named by its place, type and what is wrong, never by its key or a value. A document of
//! many resources that cannot be read refuses the source: nobody knows how many there are in it.

use std::cell::RefCell;
use std::io::BufRead;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::RecordBatch;
use fhir::{Batches, Counts, Skipped, View, kds};
use serde::Serialize;
use terms::{Problem, Report};

use super::stream::Text;
use super::{OneFile, Piece, ending, malformed, unreadable};
use crate::mapping::SourceForm;

/// How many of the things that were left out are named.
const NAMED_MAX: usize = 100;

/// What became of the resources of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Resources that became rows, or none because they have none of what the view goes over.
    pub read: u64,
    /// Resources that do not meet the view's conditions.
    pub unmet: u64,
    /// Resources of other types.
    pub other: u64,
    /// Resources and lines that were left out because something is wrong with them.
    pub left_out: u64,
    /// The first of them: where it is, what it is, and what is wrong.
    pub named: Vec<String>,
}

impl Resources {
    /// Adds what became of later ones.
    pub(crate) fn add(&mut self, later: &Self) {
        self.read += later.read;
        self.unmet += later.unmet;
        self.other += later.other;
        self.left_out += later.left_out;
        let room = NAMED_MAX.saturating_sub(self.named.len());
        self.named.extend(later.named.iter().take(room).cloned());
    }

    /// The share of those that could have become rows that was left out.
    pub fn share_left_out(&self) -> f64 {
        let all = self.read + self.unmet + self.left_out;
        if all == 0 {
            0.0
        } else {
            self.left_out as f64 / all as f64
        }
    }

    /// How many, in words.
    pub fn summary(&self) -> String {
        format!(
            "{} resources read, {} left out because something is wrong with them, {} that the view does not want, {} of other types",
            self.read, self.left_out, self.unmet, self.other
        )
    }
}

/// The view that is meant: a ready-made one by its name, or the file of a ViewDefinition.
pub(crate) fn view(named: &str) -> Result<View, Report> {
    if let Some(view) = kds::view(named) {
        return view;
    }
    let path = Path::new(named);
    if !is_file_name(named) {
        let known = || kds::VIEWS.iter().map(|(name, _)| *name);
        let report = Problem::FhirView.report(format!("there is no ready-made view {named:?}"));
        return Err(match terms::text::nearest(named, known()) {
            Some(near) => report.remedy(format!("did you mean {near}?")),
            None => {
                let known = known().collect::<Vec<_>>().join(", ");
                report.remedy(format!("use one of {known}, or the file of a ViewDefinition (.json)"))
            }
        });
    }
    let definition = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    View::compile(&definition).map_err(|report| {
        report
            .problem
            .report(format!("{named}: {}", report.message))
            .remedy(report.remedy)
    })
}

/// Whether a view is named by its file, which is beside who names it.
pub(crate) fn is_file_name(named: &str) -> bool {
    ending(Path::new(named)).is_some_and(|ending| ending == "json")
}

/// A file of FHIR resources that is read without a view.
#[derive(Debug)]
pub struct ResourceFile(OneFile);

impl ResourceFile {
    /// All files of resources at a path: one, or those below a folder.
    ///
    /// # Errors
    /// `FileMissing` or `DataSchema` if there is none.
    pub fn all(path: &Path) -> Result<Vec<Self>, Report> {
        let files = super::files(path, Some(&view("consent")?))?;
        Ok(files.into_iter().map(Self).collect())
    }

    /// Its text, decompressed.
    ///
    /// # Errors
    /// `FileMissing` or `DataSchema` if it cannot be read.
    pub fn open(&self) -> Result<impl BufRead + use<>, Report> {
        self.0.text(&SourceForm::default())
    }

    /// What it is called beside others.
    pub fn name(&self) -> String {
        self.0.shown()
    }

    /// Refuses it if it was changed since.
    ///
    /// # Errors
    /// `DataSchema` if it was.
    pub fn require_unchanged(&self) -> Result<(), Report> {
        self.0.require_unchanged()
    }
}

/// Whether this is the ending of a file of resources.
pub(super) fn ends_so(ending: &str) -> bool {
    matches!(ending, "json" | "ndjson" | "jsonl")
}

/// The pieces of one file: the wanted columns of the view's rows, and what was left out on the way.
pub(super) fn pieces(
    name: Option<Arc<str>>,
    text: Text,
    view: &View,
    is_document: bool,
    wanted: &[usize],
) -> impl Iterator<Item = Result<Piece, Report>> + use<> {
    let told = Rc::new(RefCell::new(Told::default()));
    let tell = Rc::clone(&told);
    let on_skipped: OnSkipped = Box::new(move |one: &Skipped| tell.borrow_mut().add(one, is_document));
    Reading {
        batches: view.read(text, on_skipped),
        told,
        before: Counts::default(),
        name,
        nothing: RecordBatch::new_empty(Arc::clone(view.schema())),
        wanted: wanted.to_vec(),
        rows: 1,
        is_over: false,
    }
}

/// What was left out, in memory that does not grow with it.
#[derive(Default)]
struct Told {
    first: Vec<Skipped>,
    /// Something that is more than one resource.
    many: Option<Skipped>,
}

impl Told {
    fn add(&mut self, skipped: &Skipped, is_document: bool) {
        let kind = skipped.kind();
        if skipped.entry.is_none() && (kind == Some("Bundle") || is_document && kind.is_none()) {
            self.many = Some(skipped.clone());
        }
        if self.first.len() < NAMED_MAX {
            self.first.push(skipped.clone());
        }
    }
}

type OnSkipped = Box<dyn FnMut(&Skipped)>;

struct Reading {
    batches: Batches<Text, OnSkipped>,
    /// What was left out since the last piece.
    told: Rc<RefCell<Told>>,
    /// What became of resources up to the last piece.
    before: Counts,
    name: Option<Arc<str>>,
    nothing: RecordBatch,
    wanted: Vec<usize>,
    rows: u64,
    is_over: bool,
}

impl Iterator for Reading {
    type Item = Result<Piece, Report>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.batches.next();
        // The last piece has no rows, and tells what was left out after the others.
        self.is_over = !matches!(batch, Some(Ok(_)));
        let batch = batch.unwrap_or_else(|| Ok(self.nothing.clone()));
        let piece = batch.and_then(|batch| self.piece(&batch));
        self.is_over |= piece.is_err();
        Some(piece)
    }
}

impl Reading {
    fn piece(&mut self, batch: &RecordBatch) -> Result<Piece, Report> {
        let resources = self.resources()?;
        let piece = Piece {
            batch: batch.project(&self.wanted).map_err(|error| malformed(&error))?,
            first_row: self.rows,
            file: self.name.clone(),
            resources,
        };
        self.rows += piece.batch.num_rows() as u64;
        Ok(piece)
    }

    /// What became of resources since the last piece.
    fn resources(&mut self) -> Result<Resources, Report> {
        let Told { first, many } = std::mem::take(&mut *self.told.borrow_mut());
        if let Some(many) = many {
            let message = format!("{}, which can hold many resources", self.place(&many));
            let remedy = "export it once more, or take it out of the folder";
            return Err(Problem::FhirFile.report(message).remedy(remedy));
        }
        let (now, before) = (self.batches.counts(), self.before);
        self.before = now;
        Ok(Resources {
            read: now.read - before.read,
            unmet: now.unmet - before.unmet,
            other: now.other - before.other,
            left_out: now.skipped - before.skipped,
            named: first.iter().map(|one| self.place(one)).collect(),
        })
    }

    /// By place, type and what is wrong.
    fn place(&self, skipped: &Skipped) -> String {
        let file = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" of {name}"));
        let entry = skipped
            .entry
            .map_or_else(String::new, |entry| format!(", entry {entry}"));
        let kind = skipped.kind().map_or_else(String::new, |kind| format!(", {kind}"));
        format!("line {}{file}{entry}{kind}: {}", skipped.line, skipped.reason)
    }
}

#[cfg(test)]
mod tests;
