//! What an analysis found as the one table that a statement answers, and what is open in it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::record_batch::RecordBatch;
use models::Term;
use models::cox::HazardTerm;
use terms::{MemberId, Report};

use crate::analyses::describe::Description;
use crate::analyses::{Evidence, Number};
use crate::answer::Interval;
use crate::gateway::told::{table, texts};

type Columns = Vec<(&'static str, ArrayRef)>;

/// One row a term.
pub(super) fn coefficients(terms: &[Term]) -> Result<RecordBatch, Report> {
    table(of_terms(terms.iter().collect()))
}

/// One row a term, with its hazard ratio.
pub(super) fn hazards(terms: &[HazardTerm]) -> Result<RecordBatch, Report> {
    let mut columns = of_terms(terms.iter().map(|hazard| &hazard.term).collect());
    columns.extend([
        ("hazard_ratio", numbers(terms, |hazard| Some(hazard.hazard_ratio))),
        (
            "hazard_ratio_low",
            numbers(terms, |hazard| Some(hazard.hazard_ratio_low)),
        ),
        (
            "hazard_ratio_high",
            numbers(terms, |hazard| Some(hazard.hazard_ratio_high)),
        ),
    ]);
    table(columns)
}

fn of_terms(terms: Vec<&Term>) -> Columns {
    let terms = terms.as_slice();
    vec![
        ("term", texts(terms.iter().map(|term| Some(term.term.as_str())))),
        ("estimate", numbers(terms, |term| Some(term.estimate))),
        ("std_error", numbers(terms, |term| Some(term.std_error))),
        ("statistic", numbers(terms, |term| Some(term.statistic))),
        ("p", numbers(terms, |term| Some(term.p))),
        ("ci_low", numbers(terms, |term| Some(term.ci_low))),
        ("ci_high", numbers(terms, |term| Some(term.ci_high))),
    ]
}

/// A row of a description: a column of numbers in a group, or one value of a column in a group.
#[derive(Default)]
struct Row<'d> {
    column: &'d str,
    group: Option<&'d str>,
    /// The value that is counted; none where numbers are summed up, or if it is not known.
    value: Option<&'d str>,
    is_count: bool,
    /// As [`NUMBERS`].
    numbers: [Number; NUMBERS.len()],
}

/// The numbers of a row; of a value only the first is known.
const NUMBERS: [&str; 7] = ["n", "missing", "mean", "sd", "q25", "median", "q75"];

/// So many of them are counts of rows.
const COUNTS: usize = 2;

fn rows(found: &Description) -> Vec<Row<'_>> {
    let summaries = found.summaries.iter().map(|summary| {
        let [q25, median, q75] = summary.quartiles.unwrap_or_default();
        Row {
            column: &summary.column,
            group: summary.group.as_deref(),
            numbers: [summary.n, summary.missing, summary.mean, summary.sd, q25, median, q75],
            ..Row::default()
        }
    });
    let frequencies = found.frequencies.iter().flat_map(|of| {
        of.rows.iter().map(|(group, value, n)| {
            let mut numbers = [Number::default(); NUMBERS.len()];
            numbers[0] = *n;
            Row {
                column: &of.key.name,
                group: group.as_deref(),
                value: value.as_deref(),
                is_count: true,
                numbers,
            }
        })
    });
    summaries.chain(frequencies).collect()
}

/// Columns of numbers first, one row for each group; then one row for each value or bin of the others.
pub(super) fn description(found: &Description) -> Result<RecordBatch, Report> {
    let rows = rows(found);
    let kind = |row: &Row<'_>| Some(if row.is_count { "count" } else { "summary" });
    let mut columns: Columns = vec![
        ("column", texts(rows.iter().map(|row| Some(row.column)))),
        ("kind", texts(rows.iter().map(kind))),
        ("group", texts(rows.iter().map(|row| row.group))),
        ("value", texts(rows.iter().map(|row| row.value))),
    ];
    for (at, name) in NUMBERS.into_iter().enumerate() {
        let measured = |row: &Row<'_>| row.numbers[at].value;
        let column = if at < COUNTS {
            counts(&rows, measured)
        } else {
            numbers(&rows, measured)
        };
        columns.push((name, column));
    }
    table(columns)
}

/// What the numbers of a description can be where nodes withheld some of what they are made of, and the bins of quartiles.
pub(super) fn intervals(found: &Description, evidence: &Evidence) -> Vec<Interval> {
    let withheld = evidence.coverage.iter();
    let withheld = withheld.filter(|node| node.suppressed_cells > 0 || !node.withheld.is_empty());
    let withheld: Vec<MemberId> = withheld.map(|node| node.node.clone()).collect();
    let mut intervals = Vec::new();
    for (row, of) in rows(found).iter().enumerate() {
        for (name, number) in NUMBERS.into_iter().zip(of.numbers) {
            let (low, high, nodes) = match (number.open, number.bin) {
                (Some((low, high)), _) => (low, high, withheld.clone()),
                (None, Some([low, high])) => (Some(low), Some(high), Vec::new()),
                (None, None) => continue,
            };
            let column = name.to_owned();
            intervals.push(Interval {
                row,
                column,
                low,
                high,
                nodes,
            });
        }
    }
    intervals
}

fn numbers<T>(of: &[T], number: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(of.iter().map(number).collect::<Float64Array>())
}

/// Counts are whole numbers, and far fewer than fit.
fn counts<T>(of: &[T], count: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(
        of.iter()
            .map(|one| count(one).map(|count| count as i64))
            .collect::<Int64Array>(),
    )
}
