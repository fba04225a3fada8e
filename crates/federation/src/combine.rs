//! Pooling: the answers of nodes become one table, as if all rows had been in one place.
//!
//! Counts and sums add up exactly; a mean is the pooled sum over the pooled count. Integers are added in 128 bits. How variances and
//! correlations are put together is in `moments.rs`.
//! What a node withheld is not guessed: it is noted, and `interval.rs` says what it leaves open.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, ScalarValue};
use engine::query::{Aggregate, Function, GroupKey, NODE_COLUMN, PairPart, ReleaseQuery};
use engine::{Query, Reason};
use policy::Collection;
use terms::{MemberId, Problem, Report};

use crate::interval::{self, Unknown};
use crate::moments::{self, OneColumn, Total, TwoColumns};
use crate::node::Told;
use crate::quantile::{self, AtNode, BinRows, Quantile};
use crate::split::{Leaf, Pooled, parts, unfinished};

/// A leaf's table, and which of its values suppression leaves open.
#[derive(Debug)]
pub(crate) struct PooledTable {
    pub(crate) batch: RecordBatch,
    pub(crate) open: Vec<OpenValue>,
    /// By node under a threshold, what it did not release.
    pub(crate) withheld: BTreeMap<MemberId, Withheld>,
}

/// What a node did not release of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// Cells. Nobody can tell whether few people are in them, or nobody, or whether they protect another.
    pub(crate) cells: u64,
    /// Values in cells that it released, by the reason that it gives.
    pub(crate) values: BTreeMap<Reason, u64>,
}

/// A value of a pooled table that suppression leaves open, or a quantile, of which a bin is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenValue {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) nodes: Vec<MemberId>,
}

impl OpenValue {
    /// Whether something was not released. Else it is what one node with all rows would say.
    pub(crate) fn lacks(&self) -> bool {
        !self.nodes.is_empty()
    }
}

/// Pools the answers of all nodes to one leaf. `bins` are those to [`Leaf::bins`], each by the same nodes in the same order.
pub(crate) fn pool(leaf: &Leaf, answers: &[(MemberId, &Told)], bins: &[Vec<&Told>]) -> Result<PooledTable, Report> {
    match (&leaf.pooled, &leaf.asked) {
        (Pooled::Rows { asked }, _) => pool_rows(leaf, asked, answers).map_err(|error| unfinished(&error)),
        (Pooled::Cells { groups, aggregates }, Query::Release(query)) => {
            let bins = leaf
                .bins
                .iter()
                .zip(bins)
                .map(|(bins, answers)| BinRows::of(bins, answers));
            let bins = bins.collect::<Result<Vec<_>, Report>>()?;
            pool_cells(leaf, query, *groups, aggregates, answers, &bins)
        }
        (Pooled::Cells { .. }, Query::Rows(_)) => Err(Problem::Internal.report("cells were pooled from rows")),
    }
}

fn pool_rows(leaf: &Leaf, asked: &[bool], answers: &[(MemberId, &Told)]) -> Result<PooledTable, DataFusionError> {
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
        withheld: BTreeMap::new(),
    })
}

/// One cell: what was released for it, and by whom.
struct Cell {
    /// By node, whether it released the cell at all.
    present: Vec<bool>,
    states: Vec<State>,
}

/// One aggregate of a cell, over nodes.
#[derive(Clone, Default)]
struct State {
    /// What each node released, in the order of nodes.
    values: Vec<(usize, ScalarValue)>,
    /// Nodes that released the cell but not this value, and why.
    masked: Vec<(usize, Option<Reason>)>,
}

impl State {
    fn add(&mut self, value: &ScalarValue, node: usize, reason: Option<Reason>) {
        if value.is_null() {
            self.masked.push((node, reason));
        } else {
            self.values.push((node, value.clone()));
        }
    }

    /// The sum over nodes: exact of integers.
    fn total(&self) -> Total {
        let mut total = Total::default();
        self.values.iter().for_each(|(_, value)| total.add(&as_total(value)));
        total
    }

    /// What one node released.
    fn of(&self, node: usize) -> Option<Total> {
        let at = self.values.binary_search_by_key(&node, |(at, _)| *at).ok()?;
        Some(as_total(&self.values[at].1))
    }
}

fn as_total(value: &ScalarValue) -> Total {
    let mut total = Total::default();
    match value {
        ScalarValue::Int64(Some(number)) => total.integer = i128::from(*number),
        ScalarValue::Decimal128(Some(number), ..) => total.integer = *number,
        ScalarValue::Float64(Some(number)) => {
            total.float = *number;
            total.is_float = true;
        }
        _ => {}
    }
    total
}

fn pool_cells(
    leaf: &Leaf,
    query: &ReleaseQuery,
    groups: usize,
    aggregates: &[Aggregate],
    answers: &[(MemberId, &Told)],
    bins: &[BinRows<'_>],
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
        let mut reasons = answer.withheld.iter();
        for batch in &answer.batches {
            for row in 0..batch.num_rows() {
                let reasons = reasons
                    .next()
                    .ok_or_else(|| Problem::Internal.report("a row without reasons"))?;
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
                for (aggregate, (state, value)) in cell.states.iter_mut().zip(&states).enumerate() {
                    state.add(value, at, reasons.get(&aggregate).copied());
                }
            }
        }
    }
    let mut cells: Vec<(Vec<ScalarValue>, Cell)> = cells.into_iter().collect();
    cells.sort_by(|a, b| by_key(&a.0, &b.0));

    let node_group = query
        .groups
        .iter()
        .position(|group| *group == GroupKey::Column(NODE_COLUMN.to_owned()));
    let (mut open, mut values) = (Vec::new(), vec![BTreeMap::new(); answers.len()]);
    let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(cells.len()); groups + aggregates.len()];
    for (row, (key, cell)) in cells.iter().enumerate() {
        for (column, value) in key.iter().enumerate() {
            columns[column].push(value.clone());
        }
        for (at, aggregate) in aggregates.iter().enumerate() {
            let pooled = match bins.iter().find(|bins| bins.are_for(aggregate)) {
                Some(bins) => {
                    let nodes = at_nodes(aggregate, query, cell, answers);
                    Value::quantile(bins.quantile(aggregate, key, &nodes)?, cell)
                }
                None => Value::of(aggregate, query, &leaf.collection, cell)?,
            };
            for (node, reason) in &pooled.masked {
                if let Some(reason) = reason {
                    *values[*node].entry(*reason).or_default() += 1;
                }
            }
            let mut unknown = rounding(cell, answers);
            unknown.missing = missing(&pooled, cell, answers, node_group.map(|at| &key[at]));
            let of_one_node = || quantile::bin_of(aggregate, &pooled.scalar, &leaf.collection);
            let bin = pooled.range.or_else(|| unknown.rounding.is_empty().then(of_one_node)?);
            let bounds = interval::bounds(aggregate, pooled.released, &unknown, &leaf.collection);
            if let Some((low, high)) = bin.map(|[low, high]| (Some(low), Some(high))).or(bounds) {
                open.push(OpenValue {
                    row,
                    column: groups + at,
                    low,
                    high,
                    nodes: unknown.nodes(),
                });
            }
            columns[groups + at].push(pooled.scalar);
        }
    }
    let withheld = withheld(&cells, answers, values, node_group);
    let batch = table(&leaf.schema, columns, cells.len()).map_err(|error| unfinished(&error))?;
    Ok(PooledTable { batch, open, withheld })
}

/// The pooled value of one aggregate in one cell.
struct Value {
    scalar: ScalarValue,
    /// The count or sum that was released, for intervals.
    released: f64,
    /// The nodes that released the cell but not all parts of it, and why not the first of those.
    masked: BTreeMap<usize, Option<Reason>>,
    /// Where a quantile over nodes is.
    range: Option<[f64; 2]>,
}

impl Value {
    fn of(aggregate: &Aggregate, query: &ReleaseQuery, collection: &Collection, cell: &Cell) -> Result<Self, Report> {
        let parts = parts(aggregate, query, collection)?;
        let states = parts.iter().map(|part| {
            let at = query.aggregates.iter().position(|asked| asked == part);
            at.map(|at| &cell.states[at])
                .ok_or_else(|| Problem::Internal.report("an aggregate was not asked for"))
        });
        let states = states.collect::<Result<Vec<&State>, Report>>()?;
        let (scalar, released) = match (&aggregate.function, states.as_slice()) {
            (Function::Sum(_), [total]) => sum(total)?,
            (Function::Mean(_), [count, total]) => mean(count, total),
            (Function::Spread(spread, _), [count, total, variance]) => {
                let value = moments::spread(*spread, &one_column(count, total, variance));
                (ScalarValue::Float64(value), 0.0)
            }
            (Function::Pair(pair, ..), states @ [_, _, _, _, _, _]) => (
                ScalarValue::Float64(two_columns(states, collection).statistic(*pair)),
                0.0,
            ),
            (Function::PairPart(part, ..), states @ [_, _, _, _, _, _]) => {
                let all = two_columns(states, collection);
                let value = (all.rows > 0.0 || *part == PairPart::Rows).then(|| all.part(*part));
                (ScalarValue::Float64(value), 0.0)
            }
            (Function::CountRows | Function::Count(_), [count]) => sum_of_counts(count)?,
            // Of one node.
            (_, [only]) => match only.values.as_slice() {
                [(_, value)] => (value.clone(), 0.0),
                _ => (ScalarValue::Null, 0.0),
            },
            _ => return Err(Problem::Internal.report("an aggregate has other parts than were asked for")),
        };
        // The first part's reason goes in last.
        let masked = states.iter().rev().flat_map(|state| state.masked.iter().copied());
        let masked = masked.collect();
        Ok(Self {
            scalar,
            released,
            masked,
            range: None,
        })
    }

    fn quantile(quantile: Quantile, cell: &Cell) -> Self {
        // Of those that did not release the cell it is told that they did not.
        let withholding = quantile.withholding.into_iter().filter(|node| cell.present[*node]);
        Self {
            scalar: ScalarValue::Float64(quantile.value),
            released: 0.0,
            masked: withholding.map(|node| (node, Some(Reason::Bins))).collect(),
            range: quantile.range,
        }
    }
}

/// What each node released of a quantile's rows, all bins together.
fn at_nodes(quantile: &Aggregate, query: &ReleaseQuery, cell: &Cell, answers: &[(MemberId, &Told)]) -> Vec<AtNode> {
    let is_count = |asked: &&Aggregate| {
        asked.filter == quantile.filter
            && matches!(&asked.function, Function::Count(column) if quantile.function.columns() == [column])
    };
    let at = query.aggregates.iter().position(|asked| is_count(&asked));
    let rows = |node| i64::try_from(cell.states[at?].of(node)?.integer).ok();
    let of_node = |(node, (_, answer)): (usize, &(MemberId, &Told))| AtNode {
        rows: rows(node),
        withholds: answer.min_people.is_some(),
        slack: answer.round_to.map_or(0.0, |step| f64::from(step) / 2.0),
    };
    answers.iter().enumerate().map(of_node).collect()
}

fn integer(number: i128) -> Result<ScalarValue, Report> {
    i64::try_from(number)
        .map(|number| ScalarValue::Int64(Some(number)))
        .map_err(|_| too_large())
}

fn sum_of_counts(counts: &State) -> Result<(ScalarValue, f64), Report> {
    let total = counts.total();
    Ok((integer(total.integer)?, total.as_f64()))
}

fn sum(sums: &State) -> Result<(ScalarValue, f64), Report> {
    let total = sums.total();
    let scalar = match total.is_float {
        _ if sums.values.is_empty() => ScalarValue::Float64(None),
        true => ScalarValue::Float64(Some(total.as_f64())),
        false => integer(total.integer)?,
    };
    Ok((scalar, total.as_f64()))
}

fn mean(counts: &State, sums: &State) -> (ScalarValue, f64) {
    // Of the nodes that released both.
    let both = sums
        .values
        .iter()
        .filter_map(|(node, sum)| Some((counts.of(*node)?, as_total(sum))));
    let (mut count, mut sum) = (Total::default(), Total::default());
    both.for_each(|(of_node, sum_of_node)| {
        count.add(&of_node);
        sum.add(&sum_of_node);
    });
    let mean = sum.as_f64() / count.as_f64();
    (ScalarValue::Float64(mean.is_finite().then_some(mean)), 0.0)
}

/// Of the nodes that released all three.
fn one_column(counts: &State, sums: &State, variances: &State) -> Vec<OneColumn> {
    let of_node = |(node, variance): &(usize, ScalarValue)| {
        Some(OneColumn {
            rows: i64::try_from(counts.of(*node)?.integer).ok().filter(|rows| *rows > 0)?,
            sum: sums.of(*node)?,
            variance: as_total(variance).as_f64(),
        })
    };
    variances.values.iter().filter_map(of_node).collect()
}

/// Of the nodes that released all parts.
fn two_columns(states: &[&State], collection: &Collection) -> TwoColumns {
    let of = match collection.personal {
        true => TwoColumns::of_people,
        false => TwoColumns::of,
    };
    let of_node = |(node, _): &(usize, ScalarValue)| {
        let parts = states.iter().map(|state| Some(state.of(*node)?.as_f64()));
        let parts: Vec<f64> = parts.collect::<Option<_>>()?;
        let node = of(parts.try_into().ok()?);
        (node.rows > 0.0).then_some(node)
    };
    let nodes = states.first().map_or(&[] as &[_], |rows| rows.values.as_slice());
    let nodes: Vec<TwoColumns> = nodes.iter().filter_map(of_node).collect();
    TwoColumns::all(&nodes)
}

/// What each node under a threshold did not release of the cells and values that others did. A cell that a node left
/// out may be empty there: if the node said which, it would say of groups below the threshold whether they exist.
fn withheld(
    cells: &[(Vec<ScalarValue>, Cell)],
    answers: &[(MemberId, &Told)],
    values: Vec<BTreeMap<Reason, u64>>,
    node_group: Option<usize>,
) -> BTreeMap<MemberId, Withheld> {
    let without_node = |key: &[ScalarValue]| -> Vec<ScalarValue> {
        let kept = key.iter().enumerate().filter(|(at, _)| Some(*at) != node_group);
        kept.map(|(_, value)| value.clone()).collect()
    };
    let known: HashSet<Vec<ScalarValue>> = cells.iter().map(|(key, _)| without_node(key)).collect();
    let of_node = |(at, ((node, answer), values)): (usize, (&(MemberId, &Told), _))| {
        answer.min_people?;
        let released = cells.iter().filter(|(_, cell)| cell.present[at]).count();
        let cells = (known.len().max(1).saturating_sub(released)) as u64;
        Some((node.clone(), Withheld { cells, values }))
    };
    answers.iter().zip(values).enumerate().filter_map(of_node).collect()
}

/// What rounding leaves open: each node that rounds has moved its count by half a step at most.
fn rounding(cell: &Cell, answers: &[(MemberId, &Told)]) -> Unknown {
    let mut unknown = Unknown::default();
    for (at, (node, answer)) in answers.iter().enumerate() {
        if let Some(step) = answer.round_to.filter(|_| cell.present[at]) {
            unknown.rounding.push(node.clone());
            unknown.count_slack += f64::from(step) / 2.0;
        }
    }
    unknown
}

/// Which nodes may have had more people in this cell than they released.
fn missing(
    value: &Value,
    cell: &Cell,
    answers: &[(MemberId, &Told)],
    only_node: Option<&ScalarValue>,
) -> Vec<MemberId> {
    let nodes = answers.iter().enumerate().filter(|(at, (node, answer))| {
        let of_this_node = only_node.is_none_or(|name| name.try_as_str().flatten() == Some(node.as_str()));
        let withholds = answer.min_people.is_some();
        of_this_node && withholds && (!cell.present[*at] || value.masked.contains_key(at))
    });
    nodes.map(|(_, (node, _))| node.clone()).collect()
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
