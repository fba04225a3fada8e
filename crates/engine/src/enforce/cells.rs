//! The plan behind a release query: rows become one line for each person in each cell. `cells.rs` takes it from there.
//!
//! Conditions on a column are one *condition group*. Rows that fail just one group are read too: the people in them are the
//! complement of a cell against the cell without that condition (`docs/disclosure.md`, section 1).

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, lit, when};
use policy::{Collection, ColumnKind};

use super::expr::{all_of, bin_expr, column_expr, edges, key_expr};
use super::{BuildError, column_kind};
use crate::comoment::comoment;
use crate::dataset::ORDER;
use crate::query::{Aggregate, Condition, Function, NODE_COLUMN, ReleaseQuery};

/// Beyond this magnitude sums of 64-bit integers are made in 128 bits: a thousand million rows of less do not overflow.
const NARROW_SUM_MAX: f64 = 2_147_483_648.0;

const PASS: &str = "__pass";

/// Which column of the plan is what. Positions are those in the plan's schema.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The keys of the query but `node`, in its order: they come first.
    pub(crate) keys: usize,
    /// The person, as snapshots know them; none for data without people, where each line is a whole cell.
    pub(crate) person: Option<usize>,
    /// Rows that pass all condition groups.
    pub(crate) rows: usize,
    /// For each condition group, rows that fail it alone.
    pub(crate) failing: Vec<usize>,
    pub(crate) inputs: Vec<InputLayout>,
}

/// Which columns of the plan are about one input.
#[derive(Debug, Default)]
pub(crate) struct InputLayout {
    /// Rows of the input.
    pub(crate) rows: usize,
    /// Rows in which the columns are known and the FILTER is not true.
    pub(crate) rest: Option<usize>,
    /// For each FILTER that stands before its own, rows for which exactly one of the two is true.
    pub(crate) between: Vec<usize>,
    /// Rows in which the column is not known, where that is protected.
    pub(crate) unknown: Option<usize>,
    /// Of each column: sum, and sum of squared deviations where it is needed.
    pub(crate) columns: Vec<(usize, Option<usize>)>,
    /// Sum of products of the two columns' deviations.
    pub(crate) product: Option<usize>,
    /// Rows in each declared bin.
    pub(crate) bins: Vec<usize>,
}

/// The rows of a cell over which an aggregate is computed, and what has to be known of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) columns: Vec<String>,
    pub(crate) filter: Vec<Condition>,
    sums: bool,
    variances: bool,
    product: bool,
    bins: bool,
    /// Whether it is a yes or no about each person that the column is known.
    guards_unknown: bool,
}

impl Input {
    fn of(aggregate: &Aggregate, collection: &Collection) -> Self {
        let function = &aggregate.function;
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
            // Of people it matters for every sum whether all have the same value.
            variances: is_counted_number
                || collection.personal && matches!(function, Function::Sum(_) | Function::Mean(_))
                || matches!(
                    function,
                    Function::Spread(..) | Function::Pair(..) | Function::PairPart(..)
                ),
            product: matches!(function, Function::Pair(..) | Function::PairPart(..)),
            bins: matches!(function, Function::Quantile(..)),
            guards_unknown: matches!(function, Function::Count(name) if name != NODE_COLUMN && !is_measure(name)),
        }
    }

    fn is_same_rows(&self, other: &Input) -> bool {
        self.columns == other.columns && self.filter == other.filter
    }

    fn needs_also(&mut self, other: &Input) {
        self.sums |= other.sums;
        self.variances |= other.variances;
        self.product |= other.product;
        self.bins |= other.bins;
        self.guards_unknown |= other.guards_unknown;
    }
}

/// The distinct inputs of a query, and which of them each aggregate has.
pub(super) fn inputs(query: &ReleaseQuery, collection: &Collection) -> (Vec<Input>, Vec<usize>) {
    let mut inputs: Vec<Input> = Vec::new();
    let of_aggregate = query.aggregates.iter().map(|aggregate| {
        let input = Input::of(aggregate, collection);
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
pub(super) fn condition_groups(conditions: &[Condition]) -> (Vec<&Condition>, BTreeMap<String, Vec<&Condition>>) {
    let (mut on_node, mut groups): (Vec<&Condition>, BTreeMap<String, Vec<&Condition>>) = Default::default();
    for condition in conditions {
        match condition.columns().first() {
            Some(column) if *column != NODE_COLUMN => groups.entry((*column).to_owned()).or_default().push(condition),
            _ => on_node.push(condition),
        }
    }
    (on_node, groups)
}

/// Whose lines a plan makes.
#[derive(Clone, Copy)]
pub(super) enum Lines {
    /// One for each person in each cell.
    People,
    /// One for each cell.
    Cells,
}

/// Builds the plan over the rows that exist.
pub(super) fn plan(
    scan: LogicalPlanBuilder,
    query: &ReleaseQuery,
    inputs: &[Input],
    collection: &Collection,
    lines: Lines,
    node: &str,
) -> Result<(LogicalPlan, Layout), BuildError> {
    let planning = Planning {
        collection,
        node,
        lines,
    };
    let (masked, failing) = planning.masked(scan, query, inputs)?;
    planning.aggregated(masked, query, inputs, failing)
}

struct Planning<'a> {
    collection: &'a Collection,
    node: &'a str,
    lines: Lines,
}

fn key_name(at: usize) -> String {
    format!("__k{at}")
}

fn filter_name(at: usize) -> String {
    format!("__filter{at}")
}

fn value_name(input: usize, column: usize) -> String {
    format!("__v{input}_{column}")
}

/// True, or false where the condition is false or unknown. `IS TRUE` would say the same, and the engine takes its result for
/// one that can be NULL in one of its plans and not in the other.
fn truth(condition: Expr) -> Result<Expr, BuildError> {
    Ok(when(condition, lit(true)).otherwise(lit(false))?)
}

fn all_true(conditions: impl IntoIterator<Item = Option<Expr>>) -> Result<Expr, BuildError> {
    match conjunction(conditions.into_iter().flatten()) {
        Some(condition) => truth(condition),
        None => Ok(lit(true)),
    }
}

/// How many rows fulfil it.
fn count_if(condition: Expr) -> Result<Expr, BuildError> {
    Ok(count(when(condition, lit(1_i64)).end()?))
}

/// The value where the condition holds, else NULL.
fn only_if(condition: &Option<Expr>, value: Expr) -> Result<Expr, BuildError> {
    Ok(match condition {
        Some(condition) => when(condition.clone(), value).end()?,
        None => value,
    })
}

/// Whether sums of the column fit 64 bits.
pub(super) fn is_narrow(name: &str, collection: &Collection) -> bool {
    let bounds = collection.column(name).and_then(|column| column.bounds);
    bounds.is_some_and(|bounds| bounds.iter().all(|bound| bound.abs() <= NARROW_SUM_MAX))
}

/// Sum of squared deviations.
fn squares(value: Expr) -> Expr {
    let value = cast(value, DataType::Float64);
    comoment(value.clone(), value)
}

impl Planning<'_> {
    /// Keys, person, which groups a row passes, and for each input what it says of the row.
    fn masked(
        &self,
        scan: LogicalPlanBuilder,
        query: &ReleaseQuery,
        inputs: &[Input],
    ) -> Result<(LogicalPlanBuilder, usize), BuildError> {
        let (mut everywhere, mut groups) = condition_groups(&query.conditions);
        if matches!(self.lines, Lines::Cells) {
            everywhere = query.conditions.iter().collect();
            groups.clear();
        }
        let mut scan = match all_of(everywhere, self.node) {
            Some(condition) => scan.filter(condition)?,
            None => scan,
        };
        let group_names: Vec<String> = (0..groups.len()).map(|at| format!("__group{at}")).collect();
        if !groups.is_empty() {
            let passes = groups.values().zip(&group_names);
            let passes = passes.map(|(conditions, name)| {
                let passes = all_true([all_of(conditions.iter().copied(), self.node)])?;
                Ok(passes.alias(name))
            });
            let passes = passes.collect::<Result<Vec<Expr>, BuildError>>()?;
            let all: Vec<Expr> = scan.schema().columns().into_iter().map(Expr::Column).collect();
            scan = scan.project(all.into_iter().chain(passes))?;
            scan = scan.filter(fails_one_at_most(&group_names)?)?;
        }
        let mut list = Vec::new();
        for (at, key) in self.keys(query) {
            list.push(key_expr(key, self.collection, self.node)?.alias(key_name(at)));
        }
        if matches!(self.lines, Lines::People) {
            list.push(ident(ORDER));
        }
        let pass = conjunction(group_names.iter().map(ident));
        if let Some(pass) = &pass {
            list.push(pass.clone().alias(PASS));
            for (at, name) in group_names.iter().enumerate() {
                // Whoever fails it fails nothing else: that is what the filter lets through.
                list.push(Expr::Not(Box::new(ident(name))).alias(format!("__fails{at}")));
            }
        }
        for (at, filter) in filters(inputs).into_iter().enumerate() {
            list.push(all_true([pass.clone(), all_of(filter, self.node)])?.alias(filter_name(at)));
        }
        for (at, input) in inputs.iter().enumerate() {
            list.extend(self.input_columns(at, input, &pass)?);
        }
        if list.is_empty() {
            list.push(lit(true).alias("__row"));
        }
        Ok((scan.project(list)?, group_names.len()))
    }

    /// `node` is the same for all rows, and no key of the plan.
    fn keys<'q>(&self, query: &'q ReleaseQuery) -> impl Iterator<Item = (usize, &'q crate::query::GroupKey)> {
        let keys = query.groups.iter().filter(|key| key.column() != NODE_COLUMN);
        keys.enumerate()
    }

    /// Whether a row is in the input, in its rest, or unknown; and the values of its columns where it is in.
    fn input_columns(&self, at: usize, input: &Input, pass: &Option<Expr>) -> Result<Vec<Expr>, BuildError> {
        let known = conjunction(input.columns.iter().map(|name| ident(name).is_not_null()));
        let filter = all_of(&input.filter, self.node).map(truth).transpose()?;
        let within = conjunction([pass.clone(), filter.clone(), known.clone()].into_iter().flatten());
        let mut list = vec![all_true([within.clone()])?.alias(format!("__in{at}"))];
        if let Some(filter) = filter.clone() {
            let outside = [pass.clone(), known.clone(), Some(Expr::Not(Box::new(filter)))];
            list.push(all_true(outside)?.alias(format!("__rest{at}")));
        }
        if let (true, Some(known)) = (input.guards_unknown, known) {
            let unknown = [pass.clone(), filter, Some(Expr::Not(Box::new(known)))];
            list.push(all_true(unknown)?.alias(format!("__unknown{at}")));
        }
        if input.sums || input.bins {
            for (column, name) in input.columns.iter().enumerate() {
                let value = only_if(&within, column_expr(name, self.node))?;
                list.push(value.alias(value_name(at, column)));
            }
        }
        if let (true, [name]) = (input.bins, input.columns.as_slice()) {
            let bin = bin_expr(&ident(name), edges(name, self.collection)?)?;
            list.push(only_if(&within, bin)?.alias(format!("__bin{at}")));
        }
        Ok(list)
    }

    fn aggregated(
        &self,
        masked: LogicalPlanBuilder,
        query: &ReleaseQuery,
        inputs: &[Input],
        groups: usize,
    ) -> Result<(LogicalPlan, Layout), BuildError> {
        let keys = self.keys(query).count();
        let mut by: Vec<Expr> = (0..keys).map(|at| ident(key_name(at))).collect();
        let person = matches!(self.lines, Lines::People).then_some(keys);
        by.extend(person.map(|_| ident(ORDER)));
        let mut made = Made {
            first: by.len(),
            list: Vec::new(),
        };
        let rows = made.add(if groups == 0 {
            count(lit(1_i64))
        } else {
            count_if(ident(PASS))?
        });
        let failing = (0..groups)
            .map(|at| Ok(made.add(count_if(ident(format!("__fails{at}")))?)))
            .collect::<Result<_, BuildError>>()?;
        let between = between(&filters(inputs), &mut made)?;
        let inputs = inputs
            .iter()
            .enumerate()
            .map(|(at, input)| self.input_aggregates(at, input, &between, &mut made))
            .collect::<Result<_, BuildError>>()?;
        let plan = masked.aggregate(by, made.list)?.build()?;
        let layout = Layout {
            keys,
            person,
            rows,
            failing,
            inputs,
        };
        Ok((plan, layout))
    }

    fn input_aggregates(
        &self,
        at: usize,
        input: &Input,
        between: &[Between<'_>],
        made: &mut Made,
    ) -> Result<InputLayout, BuildError> {
        let earlier = between.iter().filter(|pair| pair.later == input.filter);
        let mut layout = InputLayout {
            rows: made.add(count_if(ident(format!("__in{at}")))?),
            between: earlier.map(|pair| pair.column).collect(),
            ..InputLayout::default()
        };
        if !input.filter.is_empty() {
            layout.rest = Some(made.add(count_if(ident(format!("__rest{at}")))?));
        }
        if input.guards_unknown {
            layout.unknown = Some(made.add(count_if(ident(format!("__unknown{at}")))?));
        }
        if input.sums {
            for (column, name) in input.columns.iter().enumerate() {
                let value = ident(value_name(at, column));
                let total = made.add(sum(self.summed(name, value.clone())?));
                let squares = input.variances.then(|| made.add(squares(value)));
                layout.columns.push((total, squares));
            }
        }
        if let (true, [_, _]) = (input.product, input.columns.as_slice()) {
            let value = |column: usize| cast(ident(value_name(at, column)), DataType::Float64);
            layout.product = Some(made.add(comoment(value(0), value(1))));
        }
        if let (true, [name]) = (input.bins, input.columns.as_slice()) {
            for (bin, _) in (0_i64..).zip(edges(name, self.collection)?.iter().skip(1)) {
                layout
                    .bins
                    .push(made.add(count_if(ident(format!("__bin{at}")).eq(lit(bin)))?));
            }
        }
        Ok(layout)
    }

    /// Sums of 64-bit integers wrap around silently; decimals of 38 digits hold any of them.
    fn summed(&self, name: &str, value: Expr) -> Result<Expr, BuildError> {
        Ok(match column_kind(name, self.collection)? {
            ColumnKind::Integer if !is_narrow(name, self.collection) => cast(value, DataType::Decimal128(19, 0)),
            _ => value,
        })
    }
}

/// Aggregates of the plan, each with its position in the plan's schema.
struct Made {
    first: usize,
    list: Vec<Expr>,
}

impl Made {
    fn add(&mut self, aggregate: Expr) -> usize {
        let at = self.first + self.list.len();
        self.list.push(aggregate.alias(format!("__a{at}")));
        at
    }
}

/// Rows for which exactly one of two FILTERs is true.
struct Between<'a> {
    later: &'a [Condition],
    column: usize,
}

fn between<'a>(filters: &[&'a [Condition]], made: &mut Made) -> Result<Vec<Between<'a>>, BuildError> {
    let mut pairs = Vec::new();
    for (at, later) in filters.iter().enumerate() {
        for earlier in 0..at {
            let differs = ident(filter_name(earlier)).not_eq(ident(filter_name(at)));
            let column = made.add(count_if(differs)?);
            pairs.push(Between { later, column });
        }
    }
    Ok(pairs)
}

fn fails_one_at_most(groups: &[String]) -> Result<Expr, BuildError> {
    if let [_] = groups {
        return Ok(lit(true));
    }
    let mut failed = lit(0_i64);
    for name in groups {
        failed = failed + when(ident(name), lit(0_i64)).otherwise(lit(1_i64))?;
    }
    Ok(failed.lt_eq(lit(1_i64)))
}

/// The columns of a query that are keys of the plan, each with how often a key is about it.
pub(super) fn key_columns(query: &ReleaseQuery) -> BTreeMap<&str, usize> {
    let mut columns = BTreeMap::new();
    for key in &query.groups {
        *columns.entry(key.column()).or_insert(0) += 1;
    }
    columns
}
