//! What a client is told of an answer: who took part, what is open, and whether it is enough to be shown.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};
use terms::{Problem, QueryId, Report, limit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::options::Options;
use crate::analyses::Evidence;
use crate::answer::{Answer, AppliedPolicy, Coverage, Interval, Receipts, Status, TookPart};

/// Longest list of nodes that did not answer in an error, in characters: clients bound what comes with one.
const ABSENT_CHARS_MAX: usize = 1_200;

/// What is told of an answer besides its rows. Empty before the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    question: Option<QueryId>,
    coverage: Vec<Coverage>,
    intervals: Vec<Interval>,
    rows_open: bool,
    receipts: Option<Receipts>,
}

impl Told {
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            question: Some(answer.query_id.clone()),
            coverage: answer.coverage.clone(),
            intervals: answer.intervals.clone(),
            rows_open: answer.rows_open,
            receipts: answer.receipts.clone(),
        }
    }

    /// What is told of an analysis: by its last question.
    pub(super) fn of_analysis(evidence: &Evidence, intervals: Vec<Interval>, rows_open: bool) -> Self {
        Self {
            question: evidence.query_ids.last().cloned(),
            coverage: evidence.coverage.clone(),
            intervals,
            rows_open,
            receipts: evidence.receipts.last().cloned(),
        }
    }

    /// The same as texts in a schema. Coverage is there without the receipts, which are files.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let coverage = self.coverage.iter().map(|node| {
            let mut node = json!(node);
            node.as_object_mut().map(|node| node.remove("receipts"));
            node
        });
        let coverage = Value::Array(coverage.collect()).to_string();
        let intervals = json!(self.intervals).to_string();
        let folder = self
            .receipts
            .as_ref()
            .map(|receipts| receipts.folder.display().to_string());
        let texts = [
            ("query_id", self.question.as_ref().map(QueryId::to_string)),
            ("coverage", Some(coverage)),
            ("intervals", Some(intervals)),
            ("rows_open", Some(self.rows_open.to_string())),
            ("receipts", folder),
        ];
        let said = texts.into_iter().filter_map(|(name, text)| {
            let text = text?;
            Some(match text.len() <= limit::GATEWAY_METADATA_BYTES_MAX {
                true => (format!("datenraum.{name}"), text),
                false => (
                    format!("datenraum.{name}.table"),
                    format!("SELECT * FROM datenraum.{name}"),
                ),
            })
        });
        said.collect()
    }

    /// Who took part, as a table: one row for each node that was asked.
    pub(super) fn coverage(&self) -> Result<RecordBatch, Report> {
        let of = &self.coverage;
        let question = self.question.as_ref().map(QueryId::as_str);
        let policy = |part: fn(&AppliedPolicy) -> Option<String>| {
            texts(of.iter().map(move |node| node.policy.as_ref().and_then(part)))
        };
        let count = |part: fn(&AppliedPolicy) -> Option<u64>| {
            numbers(of.iter().map(move |node| node.policy.as_ref().and_then(part)))
        };
        table([
            ("question", texts(of.iter().map(|_| question))),
            ("node", texts(of.iter().map(|node| Some(node.node.as_str())))),
            ("status", texts(of.iter().map(|node| Some(node.status.word())))),
            (
                "suppressed_cells",
                numbers(of.iter().map(|node| Some(node.suppressed_cells))),
            ),
            (
                "withheld_values",
                numbers(of.iter().map(|node| Some(node.withheld.values().sum()))),
            ),
            (
                "withheld",
                texts(of.iter().map(|node| Some(json!(node.withheld).to_string()))),
            ),
            ("policy", policy(|policy| Some(policy.id.to_string()))),
            ("policy_version", count(|policy| Some(policy.version))),
            ("rule", policy(|policy| Some(policy.rule.to_string()))),
            ("min_people", count(|policy| policy.min_people.map(u64::from))),
            ("round_to", count(|policy| policy.round_to.map(u64::from))),
            ("kept_values", count(|policy| Some(policy.kept_values))),
            (
                "permit",
                texts(of.iter().map(|node| node.permit.as_ref().map(ToString::to_string))),
            ),
            ("duties", texts(of.iter().map(|node| Some(node.duties.join("; "))))),
            ("problem", texts(of.iter().map(|node| node.problem.map(Problem::code)))),
            ("message", texts(of.iter().map(|node| node.message.as_deref()))),
            ("remedy", texts(of.iter().map(|node| node.remedy.as_deref()))),
            (
                "query_id",
                texts(of.iter().map(|node| node.query_id.as_ref().map(ToString::to_string))),
            ),
            (
                "data",
                texts(of.iter().map(|node| {
                    let data = node.data.iter().map(ToString::to_string);
                    Some(data.collect::<Vec<_>>().join("; "))
                })),
            ),
        ])
    }

    /// What values can be into which suppressed cells would have gone, as a table.
    pub(super) fn intervals(&self) -> Result<RecordBatch, Report> {
        let of = &self.intervals;
        let nodes = |open: &Interval| {
            open.nodes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        table([
            ("row", numbers(of.iter().map(|open| Some(open.row as u64)))),
            ("column", texts(of.iter().map(|open| Some(open.column.as_str())))),
            (
                "low",
                Arc::new(of.iter().map(|open| open.low).collect::<Float64Array>()),
            ),
            (
                "high",
                Arc::new(of.iter().map(|open| open.high).collect::<Float64Array>()),
            ),
            ("nodes", texts(of.iter().map(|open| Some(nodes(open))))),
        ])
    }
}

pub(super) fn texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    // No count that is told comes near the largest integer.
    let signed = values.map(|value| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)));
    Arc::new(signed.collect::<Int64Array>())
}

pub(super) fn table<'n>(columns: impl IntoIterator<Item = (&'n str, ArrayRef)>) -> Result<RecordBatch, Report> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns);
    batch.map_err(|error| unencoded(&error))
}

pub(super) fn unencoded(error: &dyn std::fmt::Display) -> Report {
    Problem::Internal.report(format!("the answer cannot be encoded: {error}"))
}

/// Whether an answer may be shown: that of all nodes, or of as many as the connection says are enough.
pub(super) fn enough(took_part: TookPart<'_>, options: &Options) -> Result<(), Report> {
    let (answered, asked) = (took_part.answered(), took_part.0.len());
    let allows = |least: std::num::NonZeroUsize| answered >= least.get();
    if answered == asked && asked > 0 || options.minimum_nodes.is_some_and(allows) {
        return Ok(());
    }
    let of = |status: Status| took_part.0.iter().find(|node| node.status == status);
    let first = of(Status::Refused)
        .or_else(|| of(Status::Failed))
        .or_else(|| of(Status::Unreachable))
        .or_else(|| of(Status::Late));
    let absent = absent(took_part);
    match first {
        Some(node) if answered == 0 => {
            let problem = node.problem.unwrap_or(Problem::Unreachable);
            let report = problem.report(format!("none of {asked} nodes answered: {absent}"));
            Err(report.remedy("what each node said: SELECT * FROM datenraum.coverage"))
        }
        _ => {
            let least = options
                .minimum_nodes
                .map_or_else(String::new, |least| format!(", at least {least} must"));
            Err(Problem::Partial.report(format!("{answered} of {asked} nodes answered{least}: {absent}")))
        }
    }
}

/// Why there is no fit: with the nodes that take no part in it, if there are such.
pub(super) fn no_fit(took_part: TookPart<'_>, report: Report) -> Report {
    let is_reason =
        |node: &Coverage| node.problem == Some(report.problem) && node.message.as_ref() == Some(&report.message);
    if !took_part.0.iter().any(is_reason) {
        return report;
    }
    let message = format!(
        "the model was not fitted, because nodes take no part: {}",
        absent(took_part)
    );
    let remedy = format!(
        "{}; what each node said: SELECT * FROM datenraum.coverage",
        report.remedy
    );
    report.problem.report(message).remedy(remedy)
}

/// Each reason once, with its nodes; cut where clients would cut it.
fn absent(took_part: TookPart<'_>) -> String {
    let reasons = took_part.absent();
    let listed = reasons.iter().map(|(why, nodes)| format!("{} {why}", nodes.join(", ")));
    let listed = listed.collect::<Vec<_>>().join(" | ");
    match listed.char_indices().nth(ABSENT_CHARS_MAX) {
        None => listed,
        Some((end, _)) => format!("{} [...] all of it: SELECT * FROM datenraum.coverage", &listed[..end]),
    }
}

/// Columns and rows as they go to a client, with the memory that they take.
#[derive(Debug)]
pub(super) struct ResultSet {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl ResultSet {
    /// An answer of nodes, with what is told of it in its schema.
    pub(super) fn of(answer: Answer, told: &Told) -> Result<Self, Report> {
        Self::new(&answer.schema, answer.batches, told.metadata())
    }

    pub(super) fn new(
        schema: &Schema,
        batches: Vec<RecordBatch>,
        metadata: HashMap<String, String>,
    ) -> Result<Self, Report> {
        let schema = Arc::new(portable(schema).with_metadata(metadata));
        let batches: Result<_, _> = batches.iter().map(|batch| shaped(batch, &schema)).collect();
        Ok(Self {
            batches: batches?,
            schema,
            room: None,
        })
    }

    /// Takes its memory from what the gateway has, until it is delivered or given up.
    pub(super) fn within(mut self, room: &Arc<Semaphore>) -> Result<Self, Report> {
        let bytes = self.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let wanted = u32::try_from(kibibytes(bytes)).unwrap_or(u32::MAX);
        let taken = Arc::clone(room).try_acquire_many_owned(wanted);
        self.room = Some(taken.map_err(|_| {
            let report = Problem::Resources.report("the answers that are on their way take all memory of the gateway");
            report.remedy("read or close them, or ask for fewer rows")
        })?);
        Ok(self)
    }
}

fn shaped(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Report> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<ArrayRef>, _> = columns.map(|(column, field)| cast(column, field.data_type())).collect();
    let shaped = columns.and_then(|columns| RecordBatch::try_new(Arc::clone(schema), columns));
    shaped.map_err(|error| unencoded(&error))
}

/// What a client sent, with types that we plan with.
pub(super) fn plain_batch(batch: &RecordBatch) -> Result<RecordBatch, Report> {
    shaped(batch, &Arc::new(portable(&batch.schema())))
}

/// The same number of bytes, rounded up.
pub(super) fn kibibytes(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// The schema with types that every client knows. Planned and answered columns are the same: all may lack values.
pub(super) fn portable(schema: &Schema) -> Schema {
    let field = |field: &Arc<Field>| Field::new(field.name(), plain(field.data_type()), true);
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}
