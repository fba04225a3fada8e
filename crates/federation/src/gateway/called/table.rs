//! The one table that a call answers: its columns, which are known before anybody is asked, its rows, and what is open in them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::record_batch::RecordBatch;
use terms::{MemberId, Problem, Report};

use crate::analyses::{Evidence, Number, Results, Row, Value};
use crate::answer::Interval;
use crate::gateway::told;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A whole number.
    Count,
    Number,
}

use Kind::{Count, Number as Real, Text};

/// A table that is there for every analysis of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Names as in the JSON of the command, in parts that tables share. A row can lack some of them: then there is nothing.
    columns: &'static [&'static [Column]],
    /// The sheets of the results that it holds; where there are several, each with the word that stands in the column `kind`.
    pub(super) sheets: &'static [(&'static str, Option<&'static str>)],
}

type Column = (&'static str, Kind);

/// The ends of an interval.
const ENDS: &[Column] = &[("ci_low", Real), ("ci_high", Real)];

/// What is known of a coefficient but its name.
const ESTIMATE: &[Column] = &[
    ("estimate", Real),
    ("std_error", Real),
    ("statistic", Real),
    ("p", Real),
];

const TERM: &[Column] = &[("term", Text)];

/// The only sheet of most.
const ROWS: &[(&str, Option<&str>)] = &[("rows", None)];

pub(super) const DESCRIBE: Table = Table {
    columns: &[&[
        ("column", Text),
        ("kind", Text),
        ("group", Text),
        ("value", Text),
        ("n", Count),
        ("missing", Count),
        ("mean", Real),
        ("sd", Real),
        ("q25", Real),
        ("median", Real),
        ("q75", Real),
    ]],
    sheets: &[("rows", Some("summary")), ("frequencies", Some("count"))],
};

pub(super) const SURVIVAL: Table = Table {
    columns: &[
        &[
            ("group", Text),
            ("time", Real),
            ("n_risk", Count),
            ("n_event", Count),
            ("n_censor", Count),
            ("n_unclear", Count),
            ("survival", Real),
            ("std_error", Real),
        ],
        ENDS,
        &[("bound_low", Real), ("bound_high", Real)],
    ],
    sheets: ROWS,
};

pub(super) const CROSSTAB: Table = Table {
    columns: &[&[("row", Text), ("column", Text), ("n", Count), ("expected", Real)]],
    sheets: ROWS,
};

pub(super) const COMPARE: Table = Table {
    columns: &[&[("group", Text), ("n", Count), ("mean", Real), ("sd", Real)]],
    sheets: ROWS,
};

pub(super) const CORRELATE: Table = Table {
    columns: &[
        &[
            ("one", Text),
            ("other", Text),
            ("r", Real),
            ("n", Count),
            ("t", Real),
            ("p", Real),
        ],
        ENDS,
    ],
    sheets: ROWS,
};

pub(super) const RATES: Table = Table {
    columns: &[
        &[
            ("place", Text),
            ("cases", Real),
            ("people", Real),
            ("crude", Real),
            ("crude_ci_low", Real),
            ("crude_ci_high", Real),
            ("standardised", Real),
        ],
        ENDS,
    ],
    sheets: ROWS,
};

pub(super) const META: Table = Table {
    columns: &[
        &[("kind", Text), ("site", Text)],
        TERM,
        &[("n", Count)],
        ESTIMATE,
        ENDS,
        &[("weight_fixed", Real), ("weight_reml", Real)],
    ],
    sheets: &[("rows", Some("site")), ("terms", Some("pooled"))],
};

pub(super) const GLM: Table = Table {
    columns: &[TERM, ESTIMATE, ENDS],
    sheets: ROWS,
};

pub(super) const COX: Table = Table {
    columns: &[
        TERM,
        ESTIMATE,
        ENDS,
        &[
            ("hazard_ratio", Real),
            ("hazard_ratio_low", Real),
            ("hazard_ratio_high", Real),
        ],
    ],
    sheets: ROWS,
};

pub(super) const PENALISED: Table = Table {
    columns: &[
        &[("lambda", Real), ("nonzero", Count), ("deviance", Real)],
        TERM,
        &[("estimate", Real)],
    ],
    sheets: ROWS,
};

pub(super) const PCA: Table = Table {
    columns: &[&[
        ("component", Text),
        ("eigenvalue", Real),
        ("explained", Real),
        ("variable", Text),
        ("mean", Real),
        ("std_dev", Real),
        ("loading", Real),
    ]],
    sheets: ROWS,
};

pub(super) const KMEANS: Table = Table {
    columns: &[&[
        ("cluster", Count),
        ("size", Count),
        ("within", Real),
        ("variable", Text),
        ("centre", Real),
    ]],
    sheets: ROWS,
};

pub(super) const TRAIN: Table = Table {
    columns: &[&[("parameter", Count), ("value", Real)]],
    sheets: ROWS,
};

impl Table {
    /// The rows of its sheets, one sheet after the other. What is left of the results is no part of the table.
    pub(super) fn rows(&self, results: &mut Results) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, kind) in self.sheets {
            for sheet in results.sheets.extract_if(.., |sheet| sheet.name == *name) {
                rows.extend(sheet.rows.into_iter().map(|row| match kind {
                    Some(kind) => row.with("kind", *kind),
                    None => row,
                }));
            }
        }
        rows
    }

    /// Rows as they are sent.
    ///
    /// # Errors
    /// `Internal` if a row says something that no column has: it would be left out without a word.
    pub(super) fn batch(&self, rows: &[Row]) -> Result<RecordBatch, Report> {
        let columns = || self.columns.iter().copied().flatten();
        let is_known = |name: &str| columns().any(|(known, _)| *known == name);
        let mut names = rows.iter().flat_map(|row| &row.0).map(|(name, _)| name);
        if let Some(unknown) = names.find(|name| !is_known(name)) {
            return Err(Problem::Internal.report(format!("the table has no column {unknown}")));
        }
        let column = |(name, kind): &Column| {
            let values = rows.iter().map(|row| row.value(name));
            let column: ArrayRef = match kind {
                Text => told::texts(values.map(|value| match value {
                    Some(Value::Text(text)) => Some(text.as_str()),
                    _ => None,
                })),
                // Far fewer than fit.
                Count => Arc::new(
                    values
                        .map(|value| number(value).map(|count| count as i64))
                        .collect::<Int64Array>(),
                ),
                Real => Arc::new(values.map(number).collect::<Float64Array>()),
            };
            (*name, column)
        };
        told::table(columns().map(column))
    }
}

/// A number that is one.
fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Pooled(number) => number.value,
        Value::Number(number) | Value::P(number) => Some(*number),
        Value::Text(_) | Value::Nothing => None,
    };
    number.filter(|number| !number.is_nan())
}

/// What numbers can be where nodes withheld some of what they are made of, and the bins of quantiles.
pub(super) fn intervals(rows: &[Row], evidence: &Evidence) -> Vec<Interval> {
    let withheld = evidence.coverage.iter();
    let withheld = withheld.filter(|node| node.suppressed_cells > 0 || !node.withheld.is_empty());
    let withheld: Vec<MemberId> = withheld.map(|node| node.node.clone()).collect();
    let mut intervals = Vec::new();
    for (row, Row(values)) in rows.iter().enumerate() {
        for (name, value) in values {
            let Value::Pooled(Number { open, bin, .. }) = value else {
                continue;
            };
            let (low, high, nodes) = match (open, bin) {
                (Some((low, high)), _) => (*low, *high, withheld.clone()),
                (None, Some([low, high])) => (Some(*low), Some(*high), Vec::new()),
                (None, None) => continue,
            };
            intervals.push(Interval {
                row,
                column: name.to_string(),
                low,
                high,
                nodes,
            });
        }
    }
    intervals
}
