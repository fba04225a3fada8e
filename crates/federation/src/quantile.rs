//! Quantiles of all nodes, interpolated from the rows that they have together in each declared bin.
//!
//! Nodes are asked for the rows by bin as for any other group ([`bins`]), so that what they may release is decided as for any other. What
//! they withheld widens the range in which the quantile is, and it is never said to be narrower than a bin.

use std::collections::HashMap;

use datafusion::common::ScalarValue;
use engine::Query;
use engine::query::{Aggregate, Function, GroupKey, Output, OutputSource, ReleaseQuery};
use policy::Collection;
use terms::{Problem, Report};

use crate::node::Told;
use crate::split;

/// The rows in each declared bin of a column, in each cell of a query and for each FILTER of a quantile.
#[derive(Clone, Debug)]
pub(crate) struct Bins {
    /// What a node is asked: the groups of the query, then the bin unless it is one of them; then the rows.
    pub(crate) asked: Query,
    column: String,
    edges: Vec<f64>,
    groups: usize,
    /// Which group is the bin.
    at: usize,
    /// Whether it is a group of the query too.
    is_group: bool,
    /// What is counted, in the order of the FILTERs.
    counts: Vec<Aggregate>,
}

/// What is asked besides `query` for the quantiles in it: one part for each column.
pub(crate) fn bins(query: &ReleaseQuery, collection: &Collection) -> Result<Vec<Bins>, Report> {
    let mut all: Vec<(&String, Vec<Aggregate>)> = Vec::new();
    // Where each cell is of one node, it interpolates itself.
    let aggregates = query.aggregates.iter().filter(|_| !split::is_by_node(query));
    for aggregate in aggregates {
        let Function::Quantile(_, column) = &aggregate.function else {
            continue;
        };
        let count = rows(aggregate);
        match all.iter_mut().find(|(of, _)| *of == column) {
            Some((_, counts)) if counts.contains(&count) => {}
            Some((_, counts)) => counts.push(count),
            None => all.push((column, vec![count])),
        }
    }
    let all = all.into_iter();
    all.map(|(column, counts)| Bins::of(column, counts, query, collection))
        .collect()
}

/// What is counted in each bin: there the column is known.
fn rows(quantile: &Aggregate) -> Aggregate {
    Aggregate {
        function: Function::CountRows,
        filter: quantile.filter.clone(),
    }
}

impl Bins {
    fn of(column: &str, counts: Vec<Aggregate>, query: &ReleaseQuery, collection: &Collection) -> Result<Self, Report> {
        let edges = engine::quantile_edges(column, collection)?.to_vec();
        if collection.column(column).is_none_or(|column| !column.roles.group) {
            let message = format!(
                "quantiles of {column} are not pooled over nodes: they are made of the rows in each bin, and {column} cannot be grouped by"
            );
            return Err(Problem::SqlRole.report(message).remedy(split::BY_NODE));
        }
        let bin = GroupKey::Bin(column.to_owned());
        let mut groups = query.groups.clone();
        let at = groups.iter().position(|group| *group == bin);
        if at.is_none() {
            groups.push(bin);
        }
        let groups_out = (0..groups.len()).map(|at| Output {
            source: OutputSource::Group(at),
            name: format!("g{at}"),
        });
        let counts_out = (0..counts.len()).map(|at| Output {
            source: OutputSource::Aggregate(at),
            name: format!("a{at}"),
        });
        Ok(Self {
            column: column.to_owned(),
            edges,
            groups: groups.len(),
            at: at.unwrap_or(query.groups.len()),
            is_group: at.is_some(),
            asked: Query::Release(ReleaseQuery {
                collection: query.collection.clone(),
                joins: query.joins.clone(),
                conditions: query.conditions.clone(),
                outputs: groups_out.chain(counts_out).collect(),
                groups,
                aggregates: counts.clone(),
            }),
            counts,
        })
    }
}

/// The bin in which a quantile is that a node interpolated.
pub(crate) fn bin_of(aggregate: &Aggregate, value: &ScalarValue, collection: &Collection) -> Option<[f64; 2]> {
    let (Function::Quantile(_, column), ScalarValue::Float64(Some(value))) = (&aggregate.function, value) else {
        return None;
    };
    let edges = engine::quantile_edges(column, collection).ok()?;
    // It is the upper edge where the row at that share is the last of the bin.
    let bin = edges.windows(2).find(|bin| *value <= bin[1])?;
    Some([bin[0], bin[1]])
}

/// The rows in each bin that nodes released of one part.
#[derive(Debug)]
pub(crate) struct BinRows<'a> {
    bins: &'a Bins,
    /// By cell, then by count and node.
    cells: HashMap<Vec<ScalarValue>, Vec<Vec<InBins>>>,
}

/// Rows of one node in each bin. None where it released none: nobody is there, or that may not be known.
type InBins = Vec<Option<i64>>;

/// What else is known of one node in a cell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AtNode {
    /// The rows in all bins together, if it released that.
    pub(crate) rows: Option<i64>,
    /// Whether it may have more than it released.
    pub(crate) withholds: bool,
    /// By how much rounding can have moved a count.
    pub(crate) slack: f64,
}

/// A quantile of all nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quantile {
    /// Interpolated from what was released; none if nothing was.
    pub(crate) value: Option<f64>,
    /// Where the quantile of all rows is; none if there are no rows.
    pub(crate) range: Option<[f64; 2]>,
    /// The nodes that did not release all of their rows.
    pub(crate) withholding: Vec<usize>,
}

impl<'a> BinRows<'a> {
    /// From the answers of nodes, in the order in which they are spoken of later.
    pub(crate) fn of(bins: &'a Bins, answers: &[&Told]) -> Result<Self, Report> {
        let labels = engine::bin_labels(&bins.edges);
        let empty = || vec![vec![vec![None; labels.len()]; answers.len()]; bins.counts.len()];
        let mut cells: HashMap<Vec<ScalarValue>, Vec<Vec<InBins>>> = HashMap::new();
        let batches = answers.iter().enumerate();
        let batches = batches.flat_map(|(node, answer)| answer.batches.iter().map(move |batch| (node, batch)));
        for (node, batch) in batches {
            for row in 0..batch.num_rows() {
                let values = batch.columns().iter();
                let values = values.map(|column| ScalarValue::try_from_array(column, row));
                let values: Result<Vec<_>, _> = values.collect();
                let mut key = values.map_err(|error| split::unfinished(&error))?;
                let counts = key.split_off(bins.groups);
                let label = key[bins.at].try_as_str().flatten();
                // Where the column is not known there is no bin.
                let Some(bin) = labels.iter().position(|known| label == Some(known)) else {
                    continue;
                };
                if !bins.is_group {
                    key.truncate(bins.at);
                }
                let cell = cells.entry(key).or_insert_with(empty);
                for (of, count) in cell.iter_mut().zip(&counts) {
                    if let ScalarValue::Int64(Some(rows)) = count {
                        of[node][bin] = Some(*rows);
                    }
                }
            }
        }
        Ok(Self { bins, cells })
    }

    /// Whether an aggregate is a quantile that is made of these.
    pub(crate) fn are_for(&self, aggregate: &Aggregate) -> bool {
        matches!(&aggregate.function, Function::Quantile(_, column) if *column == self.bins.column)
    }

    /// A quantile of the rows of a cell.
    pub(crate) fn quantile(
        &self,
        quantile: &Aggregate,
        cell: &[ScalarValue],
        nodes: &[AtNode],
    ) -> Result<Quantile, Report> {
        let edges = self.bins.edges.as_slice();
        let count = rows(quantile);
        let at = self.bins.counts.iter().position(|asked| *asked == count);
        let (Function::Quantile(share, _), Some(at)) = (&quantile.function, at) else {
            return Err(Problem::Internal.report("the rows of a quantile were not asked for"));
        };
        let nothing = vec![vec![None; edges.len() - 1]; nodes.len()];
        let of_nodes = self.cells.get(cell).map_or(&nothing, |counts| &counts[at]);
        let all = of_nodes
            .iter()
            .flatten()
            .flatten()
            .copied()
            .map(i128::from)
            .sum::<i128>();
        i64::try_from(all).map_err(|_| Problem::Unfinished.report("a pooled count does not fit 64 bits"))?;
        let in_bin = |bin: usize| of_nodes.iter().filter_map(|bins| bins[bin]).sum();
        let pooled: Vec<i64> = (0..edges.len() - 1).map(in_bin).collect();
        let around: Vec<Around> = of_nodes
            .iter()
            .zip(nodes)
            .map(|(bins, node)| Around::of(bins, *node))
            .collect();
        let interpolated = engine::interpolated(*share, &pooled, edges);
        let range = match around.iter().all(Around::is_exact) {
            true => interpolated.map(|(_, bin)| bin),
            false => range(*share, &around, edges),
        };
        let withholding = around.iter().enumerate().filter(|(_, node)| node.hidden[1] > 0.0);
        Ok(Quantile {
            // What is missing can lie in another bin: the value is one that the quantile can have.
            value: interpolated.map(|(value, _)| range.map_or(value, |[low, high]| value.clamp(low, high))),
            range,
            withholding: withholding.map(|(at, _)| at).collect(),
        })
    }
}

/// The rows of one node, as far as they are known.
struct Around<'a> {
    bins: &'a InBins,
    slack: f64,
    /// Least and most rows in bins that were not released.
    hidden: [f64; 2],
}

impl<'a> Around<'a> {
    fn of(bins: &'a InBins, node: AtNode) -> Self {
        let released: Vec<i64> = bins.iter().flatten().copied().collect();
        let told: f64 = released.iter().map(|rows| *rows as f64).sum();
        let off = node.slack * (released.len() + 1) as f64;
        let hidden = match node.rows {
            _ if !node.withholds || released.len() == bins.len() => [0.0, 0.0],
            Some(rows) => [rows as f64 - told - off, rows as f64 - told + off].map(|rows| rows.max(0.0)),
            None => [0.0, f64::INFINITY],
        };
        Self {
            bins,
            slack: node.slack,
            hidden,
        }
    }

    fn is_exact(&self) -> bool {
        self.slack == 0.0 && self.hidden[1] == 0.0
    }
}

/// Least and most rows up to and with a bin, and above it.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    below: [f64; 2],
    above: [f64; 2],
}

/// From the lower edge of the first bin in which the quantile can be to the upper edge of the last.
fn range(share: f64, nodes: &[Around<'_>], edges: &[f64]) -> Option<[f64; 2]> {
    let mut sides = vec![Sides::default(); edges.len() - 1];
    nodes.iter().for_each(|node| node.add_to(&mut sides));
    // As it is interpolated: the first bin, from below, up to and with which there are enough rows.
    let is_enough = |below: f64, above: f64| below > 0.0 && below >= share * (below + above);
    let first = sides.iter().position(|side| is_enough(side.below[1], side.above[0]))?;
    let last = sides.iter().position(|side| is_enough(side.below[0], side.above[1]));
    // Where it is not sure that anybody is there, it ends with the last bin in which somebody can be.
    let last = last.unwrap_or_else(|| {
        let before = sides.iter().rposition(|side| side.above[1] > 0.0);
        before.map_or(0, |bin| bin + 1)
    });
    Some([edges[first], edges[last.max(first) + 1]])
}

impl Around<'_> {
    fn add_to(&self, sides: &mut [Sides]) {
        let known = |rows: i64| [(rows as f64 - self.slack).max(0.0), rows as f64 + self.slack];
        let add = |to: &mut [f64; 2], rows: [f64; 2]| (0..2).for_each(|side| to[side] += rows[side]);
        let mut all = [0.0; 2];
        self.bins.iter().flatten().for_each(|rows| add(&mut all, known(*rows)));
        let first_hidden = self.bins.iter().position(Option::is_none);
        let last_hidden = self.bins.iter().rposition(Option::is_none);
        let [least, most] = self.hidden;
        let if_so = |so: bool, rows: f64| if so { rows } else { 0.0 };
        let mut below = [0.0; 2];
        for (bin, (rows, side)) in self.bins.iter().zip(sides).enumerate() {
            rows.iter().for_each(|rows| add(&mut below, known(*rows)));
            // What is hidden is in bins that were not released, wherever among them.
            let can_be_below = first_hidden.is_some_and(|first| first <= bin);
            let can_be_above = last_hidden.is_some_and(|last| last > bin);
            let hidden_below = [if_so(!can_be_above, least), if_so(can_be_below, most)];
            let hidden_above = [if_so(!can_be_below, least), if_so(can_be_above, most)];
            add(&mut side.below, below);
            add(&mut side.below, hidden_below);
            add(&mut side.above, [all[0] - below[0], all[1] - below[1]]);
            add(&mut side.above, hidden_above);
        }
    }
}

#[cfg(test)]
mod tests;
