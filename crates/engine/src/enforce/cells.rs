//! The plan behind a release query: of each row its keys, its person, and what conditions and inputs say of it. `fold.rs` takes it
//! from there.
//!
//! Conditions on a column are one *condition group*. Rows that fail just one group matter too: the people in them are the
//! complement of a cell against the cell without that condition (`docs/disclosure.md`, section 1).

use std::collections::BTreeMap;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit};
use policy::{Collection, ColumnKind};

use super::expr::{all_of, bin_expr, edges, key_expr};
use super::{BuildError, join};
use crate::dataset::ORDER;
use crate::query::{Aggregate, Condition, Function, GroupKey, JoinKind, NODE_COLUMN, ReleaseQuery};

/// Beyond this magnitude sums of 64-bit integers are told in 128 bits: a thousand million rows of less do not overflow.
const NARROW_SUM_MAX: f64 = 2_147_483_648.0;

/// Whether sums of the column fit 64 bits.
pub(super) fn is_narrow(name: &str, collection: &Collection) -> bool {
    let bounds = collection.column(name).and_then(|column| column.bounds);
    bounds.is_some_and(|bounds| bounds.iter().all(|bound| bound.abs() <= NARROW_SUM_MAX))
}

/// Which column of the plan is what. Positions are those in the plan's schema.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The keys of the query but `node`, in its order: they come first.
    pub(crate) keys: usize,
    /// The person, as snapshots know them; none for data without people.
    pub(crate) person: Option<usize>,
    /// Whether a row passes each condition group.
    pub(crate) groups: Vec<usize>,
    /// The condition groups that are about all cells which agree but for some keys, with these keys: of joins.
    pub(crate) spread: Vec<(usize, Vec<usize>)>,
    /// Whether each distinct FILTER of the query is true, in its order.
    pub(crate) filters: Vec<usize>,
    pub(crate) inputs: Vec<InputLayout>,
}

/// Which columns of the plan are about one input.
#[derive(Clone, Debug)]
pub(crate) struct InputLayout {
    /// The columns that must be known.
    pub(crate) columns: Vec<usize>,
    /// Whether they are added up.
    sums: bool,
    /// The number of its FILTER.
    pub(crate) filter: Option<usize>,
    pub(crate) bins: Option<BinsLayout>,
    /// Whether it is a yes or no about each person that the column is known.
    pub(crate) guards_unknown: bool,
}

impl InputLayout {
    /// Of columns that are added up, and nothing else.
    #[cfg(test)]
    pub(crate) fn of_sums(columns: Vec<usize>) -> Self {
        Self {
            columns,
            sums: true,
            filter: None,
            bins: None,
            guards_unknown: false,
        }
    }

    /// The columns that are added up.
    pub(crate) fn summed(&self) -> &[usize] {
        if self.sums { &self.columns } else { &[] }
    }
}

/// The column with the index of a declared bin, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BinsLayout {
    pub(crate) column: usize,
    pub(crate) count: usize,
}

/// The rows of a cell over which an aggregate is computed, and what has to be known of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) columns: Vec<String>,
    pub(crate) filter: Vec<Condition>,
    sums: bool,
    bins: bool,
    /// Whether it is a yes or no about each person that the column is known.
    guards_unknown: bool,
}

impl Input {
    fn of(aggregate: &Aggregate, query: &ReleaseQuery, collection: &Collection) -> Self {
        let function = &aggregate.function;
        let can_find_nothing = |name: &&str| query.join_of(name).is_some_and(|join| join.kind == JoinKind::Left);
        let is_measure = |name: &str| collection.column(name).is_some_and(|column| column.roles.measure);
        let is_number = |name: &str| {
            let kind = collection.column(name).map(|column| column.kind);
            is_measure(name) && matches!(kind, Some(ColumnKind::Integer | ColumnKind::Number))
        };
        // What is counted is kept together with its sum, so that neither is newer than the other.
        let is_counted_number = matches!(function, Function::Count(name) if collection.personal && is_number(name));
        let named = |name: &&str| *name != NODE_COLUMN;
        Self {
            columns: function
                .columns()
                .into_iter()
                .filter(named)
                .map(str::to_owned)
                .collect(),
            filter: aggregate.filter.clone(),
            sums: is_counted_number
                || matches!(
                    function,
                    Function::Sum(_)
                        | Function::Mean(_)
                        | Function::Spread(..)
                        | Function::Pair(..)
                        | Function::PairPart(..)
                ),
            bins: matches!(function, Function::Quantile(..)),
            guards_unknown: matches!(function, Function::Count(name) if name != NODE_COLUMN && !is_measure(name))
                || function.columns().iter().any(can_find_nothing),
        }
    }

    /// Adds what it needs to the columns of the plan.
    fn layout(&self, all: &[Input], columns: &mut Columns, collection: &Collection) -> Result<InputLayout, BuildError> {
        let bins = match self.columns.as_slice() {
            [name] if self.bins => {
                let edges = edges(name, collection)?;
                Some(BinsLayout {
                    column: columns.position(bin_expr(&ident(name), edges)?),
                    count: edges.len().saturating_sub(1),
                })
            }
            _ => None,
        };
        Ok(InputLayout {
            columns: self.columns.iter().map(|name| columns.position(ident(name))).collect(),
            sums: self.sums,
            filter: filters(all).iter().position(|filter| *filter == self.filter.as_slice()),
            bins,
            guards_unknown: self.guards_unknown,
        })
    }

    /// The columns that its values are of; none where rows are counted in which a column that is no measure is known: these are rows as any.
    pub(super) fn valued(&self) -> &[String] {
        match self.guards_unknown && !self.sums && !self.bins {
            true => &[],
            false => &self.columns,
        }
    }

    fn is_same_rows(&self, other: &Input) -> bool {
        self.columns == other.columns && self.filter == other.filter
    }

    fn needs_also(&mut self, other: &Input) {
        self.sums |= other.sums;
        self.bins |= other.bins;
        self.guards_unknown |= other.guards_unknown;
    }
}

/// The distinct inputs of a query, and which of them each aggregate has.
pub(super) fn inputs(query: &ReleaseQuery, collection: &Collection) -> (Vec<Input>, Vec<usize>) {
    let mut inputs: Vec<Input> = Vec::new();
    let of_aggregate = query.aggregates.iter().map(|aggregate| {
        let input = Input::of(aggregate, query, collection);
        match inputs.iter().position(|known| known.is_same_rows(&input)) {
            Some(at) => {
                inputs[at].needs_also(&input);
                at
            }
            None => {
                inputs.push(input);
                inputs.len() - 1
            }
        }
    });
    let of_aggregate = of_aggregate.collect();
    (inputs, of_aggregate)
}

/// The distinct FILTERs of a query, in its order.
pub(super) fn filters(inputs: &[Input]) -> Vec<&[Condition]> {
    let mut filters: Vec<&[Condition]> = Vec::new();
    for input in inputs {
        let filter = input.filter.as_slice();
        if !filter.is_empty() && !filters.contains(&filter) {
            filters.push(filter);
        }
    }
    filters
}

/// The conditions of a query by the column that they are about; those on `node` apart, because they are the same for all rows.
pub(crate) fn condition_groups(conditions: &[Condition]) -> (Vec<&Condition>, BTreeMap<String, Vec<&Condition>>) {
    let (mut on_node, mut groups): (Vec<&Condition>, BTreeMap<String, Vec<&Condition>>) = Default::default();
    for condition in conditions {
        match condition.columns().first() {
            Some(column) if *column != NODE_COLUMN => groups.entry((*column).to_owned()).or_default().push(condition),
            _ => on_node.push(condition),
        }
    }
    (on_node, groups)
}

/// What a collection's rows are about.
#[derive(Clone, Copy)]
pub(crate) enum About {
    People,
    /// Nobody: all conditions just hold or not.
    Things,
}

/// Builds the plan over the rows that exist: of each row what the fold needs to know of it, and no more.
pub(super) fn plan(
    scan: LogicalPlanBuilder,
    query: &ReleaseQuery,
    inputs: &[Input],
    collection: &Collection,
    about: About,
    node: &str,
) -> Result<(LogicalPlan, Layout), BuildError> {
    let (everywhere, groups) = match about {
        About::People => condition_groups(&query.conditions),
        About::Things => (query.conditions.iter().collect(), BTreeMap::new()),
    };
    let scan = match all_of(everywhere, node) {
        Some(condition) => scan.filter(condition)?,
        None => scan,
    };
    // `node` is the same for all rows, and no key of the plan.
    let keys = query.groups.iter().filter(|key| key.column() != NODE_COLUMN);
    let keys = keys.map(|key| key_expr(key, collection, node));
    let mut columns = Columns(keys.collect::<Result<_, _>>()?);
    let condition = |columns: &mut Columns, all: &[&Condition]| {
        columns.position(all_of(all.iter().copied(), node).unwrap_or_else(|| lit(true)))
    };
    let passes: Vec<Expr> = groups
        .iter()
        .map(|(column, group)| {
            let conditions = all_of(group.iter().copied(), node);
            join::passes(query, column, conditions).unwrap_or_else(|| lit(true))
        })
        .collect();
    let layout = Layout {
        keys: columns.0.len(),
        person: matches!(about, About::People).then(|| columns.position(ident(ORDER))),
        groups: passes.into_iter().map(|passes| columns.position(passes)).collect(),
        spread: spread(query, &groups),
        filters: filters(inputs)
            .into_iter()
            .map(|filter| condition(&mut columns, &filter.iter().collect::<Vec<_>>()))
            .collect(),
        inputs: inputs
            .iter()
            .map(|input| input.layout(inputs, &mut columns, collection))
            .collect::<Result<_, _>>()?,
    };
    Ok((scan.project(columns.named())?.build()?, layout))
}

/// The condition groups that say that a row has a match.
fn spread(query: &ReleaseQuery, groups: &BTreeMap<String, Vec<&Condition>>) -> Vec<(usize, Vec<usize>)> {
    let keys = query.groups.iter().map(GroupKey::column);
    let keys: Vec<&str> = keys.filter(|column| *column != NODE_COLUMN).collect();
    let of_group = groups.keys().map(|column| join::keys_of_match(query, column, &keys));
    of_group.enumerate().filter(|(_, keys)| !keys.is_empty()).collect()
}

/// The columns of the plan, each once.
struct Columns(Vec<Expr>);

impl Columns {
    fn position(&mut self, column: Expr) -> usize {
        let known = self.0.iter().position(|known| *known == column);
        known.unwrap_or_else(|| {
            self.0.push(column);
            self.0.len() - 1
        })
    }

    /// Rows are counted also if nothing else is known of them.
    fn named(mut self) -> impl Iterator<Item = Expr> {
        if self.0.is_empty() {
            self.position(lit(true));
        }
        let columns = self.0.into_iter().enumerate();
        columns.map(|(at, column)| column.alias(format!("__{at}")))
    }
}

/// The columns of a query that are keys of the plan, each with how often a key is about it.
pub(super) fn key_columns(query: &ReleaseQuery) -> BTreeMap<&str, usize> {
    let mut columns = BTreeMap::new();
    for key in &query.groups {
        *columns.entry(key.column()).or_insert(0) += 1;
    }
    columns
}
