//! Which parts of a query go to nodes: the largest subplans that are queries a node runs.
//!
//! Each such part becomes a leaf; in its place stands a scan of a table that does not exist yet. What is left of
//! the plan runs on released results, at the asker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::prelude::{SessionConfig, SessionContext};
use engine::query::{
    self, Aggregate, Condition, Function, NODE_COLUMN, Output, OutputSource, Pair, PairPart, Query, ReleaseQuery,
    RowQuery, Spread,
};
use engine::read::{self, Collections, Joining};
use policy::Collection;
use terms::{CollectionId, Problem, Report};

use crate::local::Tables;
use crate::parameters::{self, Parameters};
use crate::quantile::{self, Bins};

/// As whose tables programs that write whole names can name collections: `datenraum.collections.breast_cancer`.
pub(crate) const CATALOG: &str = "datenraum";
/// See [`CATALOG`].
pub(crate) const SCHEMA: &str = "collections";

/// Name of the table that stands in for a leaf.
const LEAF_PREFIX: &str = "__leaf_";

/// A query cut into what nodes are asked and what is done with their answers.
#[derive(Clone, Debug)]
pub(crate) struct Split {
    /// The asker's plan over leaves.
    pub(crate) rest: LogicalPlan,
    pub(crate) leaves: Vec<Leaf>,
}

/// One part that nodes are asked.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// What a node is asked.
    pub(crate) asked: Query,
    /// What it is asked besides, for quantiles.
    pub(crate) bins: Vec<Bins>,
    /// The collection asked, as the query sees it: with what is joined.
    pub(crate) collection: Arc<Collection>,
    /// How the answers are pooled.
    pub(crate) pooled: Pooled,
    /// What the rest of the plan expects: the schema of the part that was cut out.
    pub(crate) schema: SchemaRef,
}

impl Leaf {
    /// All that a node is asked: the cells or rows, then the rows in bins.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &Query> {
        std::iter::once(&self.asked).chain(self.bins.iter().map(|bins| &bins.asked))
    }
}

/// How the answers of nodes become the leaf's table.
#[derive(Clone, Debug)]
pub(crate) enum Pooled {
    /// Cells, merged by group. The aggregates that the asker wrote, after the groups.
    Cells { groups: usize, aggregates: Vec<Aggregate> },
    /// Rows, one node after the other. For each column of the leaf, whether nodes were asked for it.
    Rows { asked: Vec<bool> },
}

/// What can be said of a question before it is asked.
#[derive(Clone, Debug)]
pub struct Description {
    /// The columns of its answer.
    pub schema: SchemaRef,
    /// Its parameters, `$1` first, with the types that the question gives them; text where it gives none.
    pub parameters: SchemaRef,
}

/// Plans `sql` and says what its answer and its parameters are.
pub(crate) async fn describe(
    sql: &str,
    collections: &Collections,
    visible: &Collections,
) -> Result<Description, Report> {
    read::check_size(sql)?;
    let (sql, collections, visible) = (sql.to_owned(), collections.clone(), visible.clone());
    read::on_deep_stack(move || {
        let plan = planned(&sql, &collections, &visible, &Tables::default())?;
        read::refuse_identifiers(&plan, &collections, Joining::People)?;
        Ok(Description {
            schema: Arc::clone(plan.schema().inner()),
            parameters: parameters::of(&plan)?,
        })
    })
    .await
}

fn planned(
    sql: &str,
    collections: &Collections,
    visible: &Collections,
    tables: &Tables,
) -> Result<LogicalPlan, Report> {
    let mut parsed = read::parse(sql, collections)?;
    parameters::number(&mut parsed)?;
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config.with_default_catalog_and_schema(CATALOG, SCHEMA));
    context.register_udf(read::bin_function().as_ref().clone());
    context.register_udaf(read::people_function().as_ref().clone());
    let registered = read::register(&context, collections).and_then(|()| register_own(&context, tables));
    registered.map_err(|error| Problem::Internal.report(error.to_string()))?;
    let state = context.state();
    let plan = futures::executor::block_on(state.statement_to_plan(parsed));
    let plan = plan.map_err(|error| read::planning_report(&error, visible))?;
    only_queries(&plan)?;
    Ok(plan)
}

/// Most questions that are remembered.
const KNOWN_MAX: usize = 256;

/// Longest question that is remembered, in bytes.
const KNOWN_BYTES_MAX: usize = 4 * 1024;

/// Questions that were split over one and the same set of collections, by their texts.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeMap<String, Arc<Split>>>);

impl Known {
    /// As [`split`], once for each text. Questions with values or tables of the asker's own are split each time.
    pub(crate) async fn split(
        &self,
        sql: &str,
        parameters: &Parameters,
        collections: &Collections,
        visible: &Collections,
        tables: &Tables,
    ) -> Result<Split, Report> {
        let is_plain = parameters.is_empty() && tables.is_empty() && sql.len() <= KNOWN_BYTES_MAX;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(known) = known.filter(|_| is_plain) {
            return Ok(Split::clone(&known));
        }
        let split = split(sql, parameters, collections, visible, tables).await?;
        if is_plain {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= KNOWN_MAX {
                all.clear();
            }
            all.insert(sql.to_owned(), Arc::new(split.clone()));
        }
        Ok(split)
    }
}

/// Plans and splits `sql`. `visible` is what the person may query, for messages; `tables` are her own.
pub(crate) async fn split(
    sql: &str,
    parameters: &Parameters,
    collections: &Collections,
    visible: &Collections,
    tables: &Tables,
) -> Result<Split, Report> {
    read::check_size(sql)?;
    tables.require_apart(collections)?;
    let (sql, parameters) = (sql.to_owned(), parameters.clone());
    let (collections, visible, tables) = (collections.clone(), visible.clone(), tables.clone());
    read::on_deep_stack(move || {
        let plan = parameters.bind(planned(&sql, &collections, &visible, &tables)?)?;
        read::refuse_identifiers(&plan, &collections, Joining::People)?;
        Splitter {
            collections,
            columns: columns_named(&plan),
            leaves: Vec::new(),
        }
        .run(plan)
    })
    .await
}

/// Own tables are scanned like those that stand in for leaves: where the rest of the plan runs.
fn register_own(context: &SessionContext, tables: &Tables) -> Result<(), DataFusionError> {
    for (name, rows) in tables.iter() {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
        context.register_table(name, Arc::new(table))?;
    }
    Ok(())
}

/// The asker's own engine runs the rest; it reads and writes nothing else.
pub(crate) fn only_queries(plan: &LogicalPlan) -> Result<(), Report> {
    let refused = match plan {
        LogicalPlan::Statement(_) => "SET, PREPARE or transaction statements",
        LogicalPlan::Dml(_) => "INSERT, UPDATE or DELETE",
        LogicalPlan::Ddl(_) => "CREATE or DROP",
        LogicalPlan::Copy(_) => "COPY",
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => "EXPLAIN",
        LogicalPlan::DescribeTable(_) => "DESCRIBE",
        _ => return Ok(()),
    };
    Err(Problem::SqlNotAllowed
        .report(format!("a question cannot be {refused}"))
        .remedy("ask with SELECT"))
}

/// Every column name that the plan mentions outside of scans. A subquery that refers to a column of the query around
/// it is often the only place that does.
fn columns_named(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut note = |expr: &Expr| {
        expr.apply(|part| {
            if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part {
                names.insert(column.name.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    };
    // The walk fails only if `note` does.
    let _ = plan.apply_with_subqueries(|node| node.apply_expressions(&mut note));
    names
}

struct Splitter {
    collections: Collections,
    columns: BTreeSet<String>,
    leaves: Vec<Leaf>,
}

impl Splitter {
    fn run(mut self, plan: LogicalPlan) -> Result<Split, Report> {
        let mut refused = None;
        let rest = plan.transform_down_with_subqueries(|node| match self.cut(&node) {
            Ok(Some(stand_in)) => Ok(Transformed::new(stand_in, true, TreeNodeRecursion::Jump)),
            Ok(None) => Ok(Transformed::no(node)),
            Err(report) => {
                refused.get_or_insert(report);
                Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
            }
        });
        if let Some(report) = refused {
            return Err(report);
        }
        let rest = rest.map_err(|error| unfinished(&error))?.data;
        // What is joined here was released: in it there are pseudonyms, which are others in each collection.
        read::refuse_identifiers(&rest, &self.collections, Joining::Nobody)?;
        if self.leaves.is_empty() {
            let remedy = format!("name one of: {}", names(&self.collections));
            return Err(Problem::SqlCollection
                .report("the query asks no collection")
                .remedy(remedy));
        }
        Ok(Split {
            rest,
            leaves: self.leaves,
        })
    }

    /// Cuts a leaf out if the largest part that a node can run starts here.
    fn cut(&mut self, node: &LogicalPlan) -> Result<Option<LogicalPlan>, Report> {
        if let LogicalPlan::Aggregate(aggregate) = node
            && let Some(collection) = self.scanned(&aggregate.input).or_else(|| self.joined(&aggregate.input))
        {
            match read::aggregate_query(aggregate, &self.collections) {
                Ok(query) => {
                    let leaf = release_leaf(query, &self.collections, node)?;
                    return self.stand_in(leaf, node).map(Some);
                }
                // Rows of open collections can be aggregated here in any way.
                Err(report) if collection.personal => return Err(report),
                Err(_) => return Ok(None),
            }
        }
        let is_source = matches!(node, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_));
        let Some(collection) = is_source.then(|| self.scanned(node)).flatten() else {
            return Ok(None);
        };
        let query = match read::row_query(node, &self.collections) {
            Ok(query) => query,
            Err(report) if collection.personal || matches!(node, LogicalPlan::TableScan(_)) => return Err(report),
            // A condition that nodes do not run: it is applied here, to all rows.
            Err(_) => return Ok(None),
        };
        let leaf = self.row_leaf(query, &collection, node);
        self.stand_in(leaf, node).map(Some)
    }

    /// The collection at the bottom, if nothing but a straight line of simple nodes lies above it.
    fn scanned(&self, plan: &LogicalPlan) -> Option<Arc<Collection>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table();
                self.collections
                    .values()
                    .find(|collection| collection.sql_name() == name)
                    .cloned()
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Window(_) => plan.inputs().first().and_then(|input| self.scanned(input)),
            _ => None,
        }
    }

    /// A collection about people among those that are joined at the bottom, if nothing but simple nodes lies above them. Rows of
    /// people are joined where they are; those of open collections are joined here, with those of all nodes.
    fn joined(&self, plan: &LogicalPlan) -> Option<Arc<Collection>> {
        let mut scanned = Vec::new();
        let mut waiting = vec![plan];
        while let Some(plan) = waiting.pop() {
            match plan {
                LogicalPlan::Join(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_) => waiting.extend(plan.inputs()),
                other => scanned.push(self.scanned(other)?),
            }
        }
        scanned.into_iter().find(|collection| collection.personal)
    }

    fn row_leaf(&self, query: RowQuery, collection: &Arc<Collection>, node: &LogicalPlan) -> Leaf {
        let asked: Vec<bool> = query
            .columns
            .iter()
            .map(|column| self.columns.contains(&column.0))
            .collect();
        let wanted = query
            .columns
            .iter()
            .zip(&asked)
            .filter(|(_, asked)| **asked)
            .map(|(column, _)| column.clone());
        let mut columns: Vec<_> = wanted.collect();
        let mut asked = asked;
        if columns.is_empty() {
            // `SELECT count(*)` over rows needs some column to count: any will do.
            asked[0] = true;
            columns.push(query.columns[0].clone());
        }
        let schema = Arc::clone(node.schema().inner());
        let asked_query = Query::Rows(RowQuery { columns, ..query });
        Leaf {
            asked: asked_query,
            bins: Vec::new(),
            collection: Arc::clone(collection),
            pooled: Pooled::Rows { asked },
            schema,
        }
    }

    fn stand_in(&mut self, leaf: Leaf, node: &LogicalPlan) -> Result<LogicalPlan, Report> {
        let at = self.leaves.len();
        let built = stand_in(at, &leaf, node).map_err(|error| unfinished(&error))?;
        self.leaves.push(leaf);
        Ok(built)
    }
}

/// A scan of the table that `leaf` will be, with the fields of the part that it stands in for.
fn stand_in(at: usize, leaf: &Leaf, node: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let table = MemTable::try_new(Arc::clone(&leaf.schema), vec![vec![]])?;
    let scan = LogicalPlanBuilder::scan(leaf_table(at), provider_as_source(Arc::new(table)), None)?;
    // The rest of the plan refers to the fields by the names and qualifiers that they had.
    let fields = node.schema().iter().zip(scan.schema().columns());
    let list = fields.map(|((qualifier, field), column)| {
        Expr::Column(column).alias_qualified(qualifier.cloned(), field.name().as_str())
    });
    let list: Vec<Expr> = list.collect();
    scan.project(list)?.build()
}

/// Puts the tables of answers where the leaves stood.
pub(crate) fn fill(
    rest: LogicalPlan,
    tables: &BTreeMap<String, Arc<MemTable>>,
) -> Result<LogicalPlan, DataFusionError> {
    let filled = rest.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => match tables.get(scan.table_name.table()) {
            Some(table) => {
                let source = provider_as_source(Arc::clone(table) as _);
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(filled.data)
}

/// Name of the table of leaf number `at`.
pub(crate) fn leaf_table(at: usize) -> String {
    format!("{LEAF_PREFIX}{at}")
}

/// The number of the leaf that a scan stands in for.
pub(crate) fn leaf_of(scan: &TableScan) -> Option<usize> {
    scan.table_name.table().strip_prefix(LEAF_PREFIX)?.parse().ok()
}

/// A name of the cell column's field, which no plan of an asker can refer to.
pub(crate) fn unqualified(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// Nodes are asked for what can be pooled: counts, sums and variances, never averages.
fn release_leaf(query: ReleaseQuery, collections: &Collections, node: &LogicalPlan) -> Result<Leaf, Report> {
    let find = |id: &CollectionId| collections.get(id).cloned();
    let asked = find(&query.collection);
    let collection = asked.and_then(|asked| query::seen(&asked, &query.joins, find));
    let collection = collection.ok_or_else(|| Problem::Internal.report("a collection that was read is gone"))?;
    let groups = query.groups.len();
    let aggregates = query.aggregates.clone();
    let mut poolable: Vec<Aggregate> = Vec::new();
    for aggregate in &aggregates {
        for part in parts(aggregate, &query, &collection)? {
            if !poolable.contains(&part) {
                poolable.push(part);
            }
        }
    }
    if poolable.is_empty() {
        // GROUP BY without an aggregate: a cell is there if somebody may know that it is.
        poolable.push(Function::CountRows.into());
    }
    let groups_out = (0..groups).map(|at| Output {
        source: OutputSource::Group(at),
        name: format!("g{at}"),
    });
    let states_out = (0..poolable.len()).map(|at| Output {
        source: OutputSource::Aggregate(at),
        name: format!("a{at}"),
    });
    let outputs = groups_out.chain(states_out).collect();
    let bins = quantile::bins(&query, &collection)?;
    let asked = Query::Release(ReleaseQuery {
        aggregates: poolable,
        outputs,
        ..query
    });
    let schema = Arc::clone(node.schema().inner());
    Ok(Leaf {
        asked,
        bins,
        collection,
        pooled: Pooled::Cells { groups, aggregates },
        schema,
    })
}

/// Whether every cell is of one node: then its answer is the pooled one, whatever is computed.
pub(crate) fn is_by_node(query: &ReleaseQuery) -> bool {
    query.groups.iter().any(|group| group.column() == NODE_COLUMN)
}

/// What nodes are asked for so that an aggregate of `query` can be pooled.
pub(crate) fn parts(
    aggregate: &Aggregate,
    query: &ReleaseQuery,
    collection: &Collection,
) -> Result<Vec<Aggregate>, Report> {
    let part = |function| Aggregate {
        function,
        filter: aggregate.filter.clone(),
    };
    let count_and_sum = |column: &String| {
        vec![
            part(Function::Count(column.clone())),
            part(Function::Sum(column.clone())),
        ]
    };
    match &aggregate.function {
        // Of people no node says them alone.
        Function::PairPart(_, x, y) if collection.personal => of_people(aggregate, x, y, collection),
        function if is_by_node(query) && !is_total(function) => Ok(vec![aggregate.clone()]),
        Function::CountRows | Function::Count(_) => Ok(vec![aggregate.clone()]),
        Function::Sum(_) => Ok(vec![aggregate.clone()]),
        Function::Mean(column) => Ok(count_and_sum(column)),
        Function::Spread(_, column) => {
            let mut parts = count_and_sum(column);
            parts.push(part(Function::Spread(Spread::VarPop, column.clone())));
            Ok(parts)
        }
        Function::Pair(_, x, y) if collection.personal => of_people(aggregate, x, y, collection),
        Function::Pair(_, x, y) | Function::PairPart(_, x, y) => {
            let each = PairPart::ALL.into_iter();
            Ok(each
                .map(|each| part(Function::PairPart(each, x.clone(), y.clone())))
                .collect())
        }
        // Where it lies is read from the rows in each bin; how many there must be in all of them tells whether any are missing.
        Function::Quantile(_, column) => Ok(vec![part(Function::Count(column.clone()))]),
        Function::CountPeople(_) => {
            let message = format!(
                "{} is not pooled over nodes: nobody knows who is at several nodes",
                aggregate.function
            );
            Err(Problem::SqlNotAllowed.report(message).remedy(BY_NODE))
        }
    }
}

/// What to ask of what is not pooled.
pub(crate) const BY_NODE: &str = "add node to SELECT and GROUP BY: then each node answers for itself";

/// A statistic of two columns about people is pooled from what is released of each column over the rows in which the other is known too,
/// each held against those few of whom only one is known. In the order of `moments::TwoColumns::of_people`.
fn of_people(aggregate: &Aggregate, x: &str, y: &str, collection: &Collection) -> Result<Vec<Aggregate>, Report> {
    let filters = |name: &str| collection.column(name).is_some_and(|column| column.roles.filter);
    if let Some(column) = [x, y].into_iter().find(|column| !filters(column)) {
        let message = format!(
            "{} is not pooled over nodes: of people that takes the sums of each column FILTER (WHERE the other IS NOT NULL), and {column} \
             cannot be filtered by",
            aggregate.function
        );
        let by_node = match aggregate.function {
            Function::PairPart(..) => "ask the board to give the column the role filter",
            _ => BY_NODE,
        };
        return Err(Problem::SqlRole.report(message).remedy(by_node));
    }
    let known = |function: Function, other: &str| {
        let mut filter = aggregate.filter.clone();
        filter.push(Condition::IsNull {
            column: other.to_owned(),
            negated: true,
        });
        Aggregate { function, filter }
    };
    let of = |column: &str, other: &str| {
        let column = column.to_owned();
        [
            known(Function::Sum(column.clone()), other),
            known(Function::Spread(Spread::VarPop, column), other),
        ]
    };
    // In one order: either way it is the same number.
    let (first, second) = if x <= y { (x, y) } else { (y, x) };
    let together = Aggregate {
        function: Function::Pair(Pair::CovarPop, first.to_owned(), second.to_owned()),
        filter: aggregate.filter.clone(),
    };
    let parts = [known(Function::Count(x.to_owned()), y)].into_iter();
    Ok(parts.chain(of(x, y)).chain(of(y, x)).chain([together]).collect())
}

/// What is pooled the same way whether one node has the cell or many.
fn is_total(function: &Function) -> bool {
    matches!(
        function,
        Function::CountRows | Function::Count(_) | Function::Sum(_) | Function::Mean(_) | Function::Spread(..)
    )
}

fn names(collections: &Collections) -> String {
    collections
        .values()
        .map(|collection| collection.sql_name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the asker's own engine could not do. It saw released values only.
pub(crate) fn unfinished(error: &DataFusionError) -> Report {
    let text = error.strip_backtrace();
    Problem::Unfinished.report(format!("the released results cannot be combined like that: {text}"))
}

/// Whether a condition at the top of the leaf rules a node out by its name.
pub(crate) fn concerns(leaf: &Leaf, node: &str) -> bool {
    use engine::query::{Comparison, Value};
    let conditions = match &leaf.asked {
        Query::Release(query) => &query.conditions,
        Query::Rows(query) => &query.conditions,
    };
    let is_node = |value: &Value| *value == Value::Text(node.to_owned());
    conditions.iter().all(|condition| match condition {
        Condition::Compare(column, Comparison::Equal, value) if column == NODE_COLUMN => is_node(value),
        Condition::Compare(column, Comparison::NotEqual, value) if column == NODE_COLUMN => !is_node(value),
        Condition::OneOf {
            column,
            values,
            negated,
        } if column == NODE_COLUMN => values.iter().any(is_node) != *negated,
        _ => true,
    })
}

#[cfg(test)]
mod tests;
