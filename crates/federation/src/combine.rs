//! Pooling: the answers of nodes become one table, as if all rows had been in one place.
//!
//! Counts and sums add up exactly; a mean is the pooled sum over the pooled count. Integers are added in 128 bits.
//! What a node withheld is not guessed: it is noted, and `interval.rs` says what it leaves open.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, ScalarValue};
use engine::Query;
use engine::query::{Aggregate, GroupKey, NODE_COLUMN, ReleaseQuery};
use terms::{MemberId, Problem, Report};

use crate::interval::{self, Missing};
use crate::node::NodeAnswer;
use crate::split::{Leaf, Pooled, unfinished};

/// A leaf's table, and which of its values suppression leaves open.
#[derive(Debug)]
pub(crate) struct PooledTable {
    pub(crate) batch: RecordBatch,
    pub(crate) open: Vec<OpenValue>,
    /// By node, how many cells of the table it did not release, and values in those that it did. Nobody can tell
    /// whether they were too small or empty.
    pub(crate) suppressed: BTreeMap<MemberId, u64>,
}

/// A value of a pooled table that suppression leaves open.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenValue {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) nodes: Vec<MemberId>,
}

/// Pools the answers of all nodes to one leaf.
pub(crate) fn pool(leaf: &Leaf, answers: &[(MemberId, &NodeAnswer)]) -> Result<PooledTable, Report> {
    match (&leaf.pooled, &leaf.asked) {
        (Pooled::Rows { asked }, _) => pool_rows(leaf, asked, answers).map_err(|error| unfinished(&error)),
        (Pooled::Cells { groups, aggregates }, Query::Release(query)) => {
            pool_cells(leaf, query, *groups, aggregates, answers)
        }
        (Pooled::Cells { .. }, Query::Rows(_)) => Err(Problem::Internal.report("cells were pooled from rows")),
    }
}

fn pool_rows(leaf: &Leaf, asked: &[bool], answers: &[(MemberId, &NodeAnswer)]) -> Result<PooledTable, DataFusionError> {
    let mut batches = Vec::new();
    for (node, answer) in answers {
        for batch in &answer.batches {
            let mut given = batch.columns().iter();
            let columns = leaf.schema.fields().iter().zip(asked).map(|(field, asked)| {
                match given.as_slice() {
                    [_, ..] if *asked => cast(given.next().ok_or_else(missing_column)?, field.data_type()),
                    // Nothing in the query reads the column.
                    _ if field.name() == NODE_COLUMN => {
                        Ok(Arc::new(StringArray::from(vec![node.as_str(); batch.num_rows()])) as ArrayRef)
                    }
                    _ => Ok(new_null_array(field.data_type(), batch.num_rows())),
                }
            });
            let columns = columns.collect::<Result<Vec<_>, DataFusionError>>()?;
            batches.push(new_batch(&leaf.schema, columns, batch.num_rows())?);
        }
    }
    let batch = concat_batches(&leaf.schema, &batches)?;
    Ok(PooledTable {
        batch,
        open: Vec::new(),
        suppressed: BTreeMap::new(),
    })
}

/// One cell: what was released for it, and by whom.
struct Cell {
    /// By node, whether it released the cell at all.
    present: Vec<bool>,
    states: Vec<State>,
}

/// One aggregate of a cell, summed over nodes.
#[derive(Clone, Default)]
struct State {
    integer: i128,
    float: f64,
    /// Whether any node released a value.
    known: bool,
    /// Nodes that released the cell but withheld this value.
    masked: Vec<usize>,
}

impl State {
    fn add(&mut self, value: &ScalarValue, node: usize) {
        match value {
            ScalarValue::Int64(Some(number)) => {
                self.integer += i128::from(*number);
                self.known = true;
            }
            ScalarValue::Float64(Some(number)) => {
                self.float += number;
                self.known = true;
            }
            _ => self.masked.push(node),
        }
    }
}

fn pool_cells(
    leaf: &Leaf,
    query: &ReleaseQuery,
    groups: usize,
    aggregates: &[Aggregate],
    answers: &[(MemberId, &NodeAnswer)],
) -> Result<PooledTable, Report> {
    let empty = || Cell {
        present: vec![false; answers.len()],
        states: vec![State::default(); query.aggregates.len()],
    };
    let mut cells: HashMap<Vec<ScalarValue>, Cell> = HashMap::new();
    if groups == 0 {
        // Without GROUP BY there is exactly one cell, even if nobody released it.
        cells.insert(Vec::new(), empty());
    }
    for (at, (_, answer)) in answers.iter().enumerate() {
        for batch in &answer.batches {
            for row in 0..batch.num_rows() {
                let values = batch
                    .columns()
                    .iter()
                    .map(|column| ScalarValue::try_from_array(column, row));
                let mut values = values
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| unfinished(&error))?;
                let states = values.split_off(groups);
                let cell = cells.entry(values).or_insert_with(empty);
                cell.present[at] = true;
                cell.states
                    .iter_mut()
                    .zip(&states)
                    .for_each(|(state, value)| state.add(value, at));
            }
        }
    }
    let mut cells: Vec<(Vec<ScalarValue>, Cell)> = cells.into_iter().collect();
    cells.sort_by(|a, b| by_key(&a.0, &b.0));

    let node_group = query
        .groups
        .iter()
        .position(|group| *group == GroupKey::Column(NODE_COLUMN.to_owned()));
    let mut open = Vec::new();
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(cells.len()); groups + aggregates.len()];
    for (row, (key, cell)) in cells.iter().enumerate() {
        for (column, value) in key.iter().enumerate() {
            columns[column].push(value.clone());
        }
        for (at, aggregate) in aggregates.iter().enumerate() {
            let pooled = Value::of(aggregate, query, cell)?;
            let missing = missing(&pooled, cell, answers, node_group.map(|at| &key[at]));
            if let Some((low, high)) = interval::bounds(aggregate, pooled.count, pooled.sum, &missing, &leaf.collection)
            {
                let nodes = missing.iter().map(|missing| missing.node.clone()).collect();
                open.push(OpenValue {
                    row,
                    column: groups + at,
                    low,
                    high,
                    nodes,
                });
            }
            columns[groups + at].push(pooled.scalar);
        }
    }
    let suppressed = suppressed(&cells, answers, query, node_group);
    let batch = table(&leaf.schema, columns, cells.len()).map_err(|error| unfinished(&error))?;
    Ok(PooledTable {
        batch,
        open,
        suppressed,
    })
}

/// The pooled value of one aggregate in one cell.
struct Value<'a> {
    scalar: ScalarValue,
    /// Rows that went in.
    count: i64,
    /// Their sum, for sums and means.
    sum: f64,
    /// The nodes that withheld their part although they released the cell.
    masked: &'a [usize],
}

impl<'a> Value<'a> {
    fn of(aggregate: &Aggregate, query: &ReleaseQuery, cell: &'a Cell) -> Result<Self, Report> {
        let state = |wanted: &Aggregate| {
            let at = query.aggregates.iter().position(|asked| asked == wanted);
            at.map(|at| &cell.states[at])
                .ok_or_else(|| Problem::Internal.report("an aggregate was not asked for"))
        };
        let count_of = |wanted: &Aggregate| {
            let count = state(wanted)?.integer;
            i64::try_from(count).map_err(|_| too_large())
        };
        match aggregate {
            Aggregate::CountRows | Aggregate::Count(_) => {
                let count = count_of(aggregate)?;
                let masked = &state(aggregate)?.masked;
                Ok(Self {
                    scalar: ScalarValue::Int64(Some(count)),
                    count,
                    sum: 0.0,
                    masked,
                })
            }
            Aggregate::Sum(column) | Aggregate::Mean(column) => {
                let total = state(&Aggregate::Sum(column.clone()))?;
                let count = count_of(&Aggregate::Count(column.clone()))?;
                let sum = total.integer as f64 + total.float;
                let scalar = match aggregate {
                    _ if !total.known => ScalarValue::Float64(None),
                    Aggregate::Mean(_) => ScalarValue::Float64((count > 0).then(|| sum / count as f64)),
                    _ if total.integer != 0 || total.float == 0.0 => {
                        ScalarValue::Int64(Some(i64::try_from(total.integer).map_err(|_| too_large())?))
                    }
                    _ => ScalarValue::Float64(Some(total.float)),
                };
                Ok(Self {
                    scalar,
                    count,
                    sum,
                    masked: &total.masked,
                })
            }
        }
    }
}

/// What each node under a threshold did not release of the cells and values that others did. A cell that a node left
/// out may be empty there: if the node said which, it would say of groups below the threshold whether they exist.
fn suppressed(
    cells: &[(Vec<ScalarValue>, Cell)],
    answers: &[(MemberId, &NodeAnswer)],
    query: &ReleaseQuery,
    node_group: Option<usize>,
) -> BTreeMap<MemberId, u64> {
    let without_node = |key: &[ScalarValue]| -> Vec<ScalarValue> {
        let kept = key.iter().enumerate().filter(|(at, _)| Some(*at) != node_group);
        kept.map(|(_, value)| value.clone()).collect()
    };
    let known: HashSet<Vec<ScalarValue>> = cells.iter().map(|(key, _)| without_node(key)).collect();
    let counts: Vec<usize> = (0..query.aggregates.len())
        .filter(|at| matches!(query.aggregates[*at], Aggregate::Count(_)))
        .collect();
    let thresholded = answers
        .iter()
        .enumerate()
        .filter(|(_, (_, answer))| answer.receipt.min_people.is_some());
    thresholded
        .map(|(at, (node, _))| {
            let released = cells.iter().filter(|(_, cell)| cell.present[at]).count();
            let blanked = |cell: &Cell| {
                counts
                    .iter()
                    .filter(|count| cell.states[**count].masked.contains(&at))
                    .count()
            };
            let blanked: usize = cells.iter().map(|(_, cell)| blanked(cell)).sum();
            (node.clone(), (known.len().max(1) - released + blanked) as u64)
        })
        .collect()
}

/// Which nodes may have had more people in this cell than they released, and how many at most.
fn missing(
    value: &Value<'_>,
    cell: &Cell,
    answers: &[(MemberId, &NodeAnswer)],
    only_node: Option<&ScalarValue>,
) -> Vec<Missing> {
    let nodes = answers.iter().enumerate().filter(|(at, (node, _))| {
        let of_this_node = only_node.is_none_or(|name| name.try_as_str().flatten() == Some(node.as_str()));
        of_this_node && (!cell.present[*at] || value.masked.contains(at))
    });
    nodes
        .filter_map(|(_, (node, answer))| {
            let people_max = answer.receipt.min_people?.saturating_sub(1);
            Some(Missing {
                node: node.clone(),
                people_max,
            })
        })
        .collect()
}

fn too_large() -> Report {
    Problem::Unfinished.report("a pooled sum does not fit 64 bits")
}

fn by_key(a: &[ScalarValue], b: &[ScalarValue]) -> Ordering {
    let nulls_last = |a: &ScalarValue, b: &ScalarValue| match (a.is_null(), b.is_null()) {
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    };
    let different = a
        .iter()
        .zip(b)
        .map(|(a, b)| nulls_last(a, b))
        .find(|order| *order != Ordering::Equal);
    different.unwrap_or(Ordering::Equal)
}

fn table(schema: &SchemaRef, columns: Vec<Vec<ScalarValue>>, rows: usize) -> Result<RecordBatch, DataFusionError> {
    let columns = columns.into_iter().zip(schema.fields()).map(|(values, field)| {
        let of_type = values.iter().map(|value| value.cast_to(field.data_type()));
        let values = of_type.collect::<Result<Vec<_>, _>>()?;
        if values.is_empty() {
            return Ok(new_null_array(field.data_type(), 0));
        }
        ScalarValue::iter_to_array(values)
    });
    Ok(new_batch(
        schema,
        columns.collect::<Result<_, DataFusionError>>()?,
        rows,
    )?)
}

fn new_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, arrow::error::ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, DataFusionError> {
    Ok(cast_with_options(
        array,
        to,
        &CastOptions {
            safe: false,
            ..CastOptions::default()
        },
    )?)
}

fn missing_column() -> DataFusionError {
    DataFusionError::Plan("an answer has too few columns".to_owned())
}
