//! A file of resources becomes record batches. One story: the next text, its resources, their rows, a batch when there are enough.
//!
//! Memory is that of one text and one batch, whatever the file's length. A resource that goes wrong is told and passed over; only a file that
//! cannot be read on ends the reading.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, BufRead};

use arrow::array::RecordBatch;
use terms::{Problem, Report};

use crate::columns::Columns;
use crate::json::{Tape, Value};
use crate::reference::Bundled;
use crate::rows::rows;
use crate::skipped::{Counts, Skipped, Wrong};
use crate::source::{Source, Text};
use crate::view::View;

impl View {
    /// Reads resources from NDJSON, a bundle or a single resource, and yields the view's batches. `on_skipped` is told of each resource that is
    /// left out, as it is met. Compressed files go through [`crate::unpacked`] first.
    pub fn read<R: BufRead, F: FnMut(&Skipped)>(&self, reader: R, on_skipped: F) -> Batches<R, F> {
        Batches {
            source: Source::of(reader),
            tape: Tape::default(),
            sink: Sink {
                columns: Columns::of(&self.compiled, self.schema()),
                full: VecDeque::new(),
                counts: Counts::default(),
                view: self.clone(),
                on_skipped,
            },
            is_over: false,
        }
    }
}

/// The batches of a view, as its file is read.
#[derive(Debug)]
pub struct Batches<R, F> {
    source: Source<R>,
    tape: Tape,
    sink: Sink<F>,
    is_over: bool,
}

#[derive(Debug)]
struct Sink<F> {
    view: View,
    columns: Columns,
    full: VecDeque<RecordBatch>,
    counts: Counts,
    on_skipped: F,
}

impl<R, F> Batches<R, F> {
    /// What became of the resources so far; of all of them, when there is no batch any more.
    pub fn counts(&self) -> Counts {
        self.sink.counts
    }
}

impl<R: BufRead, F: FnMut(&Skipped)> Batches<R, F> {
    fn advance(&mut self) -> Result<Option<RecordBatch>, Report> {
        while self.sink.full.is_empty() && !self.is_over {
            match self.source.next().map_err(|error| unreadable(&error))? {
                Some(text) => self.sink.text(&mut self.tape, &text)?,
                None => {
                    self.is_over = true;
                    if !self.sink.columns.is_empty() {
                        self.sink.finish()?;
                    }
                }
            }
        }
        Ok(self.sink.full.pop_front())
    }
}

impl<R: BufRead, F: FnMut(&Skipped)> Iterator for Batches<R, F> {
    type Item = Result<RecordBatch, Report>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        self.is_over |= next.is_err();
        next.transpose()
    }
}

impl<F: FnMut(&Skipped)> Sink<F> {
    fn text(&mut self, tape: &mut Tape, text: &Text<'_>) -> Result<(), Report> {
        for_each_resource(tape, text, &mut |found| match found {
            Ok(found) => self.resource(&found),
            Err(skipped) => {
                self.skip(&skipped);
                Ok(())
            }
        })
    }

    fn resource(&mut self, found: &Found<'_>) -> Result<(), Report> {
        if found.kind != self.view.resource() {
            self.counts.other += 1;
            return Ok(());
        }
        let compiled = std::sync::Arc::clone(&self.view.compiled);
        match rows(&compiled, found.resource, found.bundled) {
            Ok(Some(rows)) => {
                self.counts.read += 1;
                for row in rows.chunks_exact(compiled.columns.len()) {
                    self.counts.rows += 1;
                    self.columns.push(row);
                    if self.columns.is_full() {
                        self.finish()?;
                    }
                }
            }
            Ok(None) => self.counts.unmet += 1,
            Err(reason) => self.skip(&found.skipped(reason)),
        }
        Ok(())
    }

    fn skip(&mut self, skipped: &Skipped) {
        self.counts.skipped += 1;
        (self.on_skipped)(skipped);
    }

    fn finish(&mut self) -> Result<(), Report> {
        // Arrow's messages can quote values.
        let batch = self.columns.finish();
        let batch = batch.map_err(|_| Problem::FhirFile.report("the rows of the file do not fit into a batch"))?;
        self.full.push_back(batch);
        Ok(())
    }
}

/// A resource of a file.
pub(crate) struct Found<'d> {
    pub(crate) line: u64,
    pub(crate) entry: Option<usize>,
    pub(crate) kind: &'d str,
    pub(crate) resource: Value<'d>,
    pub(crate) bundled: Option<&'d Bundled<'d>>,
}

impl Found<'_> {
    pub(crate) fn skipped(&self, reason: Wrong) -> Skipped {
        let id = self.resource.field("id").and_then(Value::as_text);
        Skipped {
            line: self.line,
            entry: self.entry,
            resource: Skipped::name(self.kind, id),
            reason,
        }
    }
}

/// Whoever takes resources, and what is none.
pub(crate) type Take<'t, E> = dyn FnMut(Result<Found<'_>, Skipped>) -> Result<(), E> + 't;

/// Calls `take` with each resource of a text, those of a bundle one by one, and with each thing that is none.
///
/// # Errors
/// Those of `take`.
pub(crate) fn for_each_resource<E>(tape: &mut Tape, text: &Text<'_>, take: &mut Take<'_, E>) -> Result<(), E> {
    let line = text.line;
    let read = match &text.text {
        Ok(text) => tape.read(text).map_err(Wrong::from),
        Err(reason) => Err(reason.clone()),
    };
    let wrong = |entry, resource, reason| Skipped {
        line,
        entry,
        resource,
        reason,
    };
    let document = match read {
        Ok(document) => document,
        Err(reason) => return take(Err(wrong(None, None, reason))),
    };
    let Some(kind) = document.field("resourceType").and_then(Value::as_text) else {
        return take(Err(wrong(None, None, Wrong::NotAResource)));
    };
    if kind != "Bundle" {
        return take(Ok(Found {
            line,
            entry: None,
            kind,
            resource: document,
            bundled: None,
        }));
    }
    if let Err(what) = current_resources(document) {
        return take(Err(wrong(None, Some("Bundle".to_owned()), Wrong::Bundle { what })));
    }
    let bundled = Bundled::of(document);
    for (entry, found) in document
        .field("entry")
        .into_iter()
        .flat_map(Value::elements)
        .enumerate()
    {
        let Some(resource) = found.field("resource") else {
            continue;
        };
        let kind = resource.field("resourceType").and_then(Value::as_text);
        take(match kind {
            Some(kind) => Ok(Found {
                line,
                entry: Some(entry),
                kind,
                resource,
                bundled: Some(&bundled),
            }),
            None => Err(wrong(Some(entry), None, Wrong::NotAResource)),
        })?;
    }
    Ok(())
}

/// Whether a bundle's entries are resources as they are now, and all of them.
fn current_resources(bundle: Value<'_>) -> Result<(), &'static str> {
    match bundle.field("type").and_then(Value::as_text) {
        Some("collection" | "searchset" | "transaction" | "batch" | "document") => Ok(()),
        Some("history") => Err("is a history: it has earlier versions of resources beside the present ones"),
        Some(_) => Err("is of a type other than collection, searchset, transaction, batch and document"),
        None => Err("lacks its type"),
    }
}

pub(crate) fn unreadable(error: &io::Error) -> Report {
    Problem::FhirFile.report(format!("the file cannot be read on: {}", error.kind()))
}
