//! SQL text to a [`Query`], or a refusal that names what is not run.
//!
//! The *unoptimised* logical plan is read, because optimised shapes hide what was asked. Plans and expressions
//! are matched without wildcard arms: what a new version of DataFusion can say is refused until somebody has
//! thought about it. Nodes and data users share this reading.

mod condition;
mod join;
mod syntax;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, SchemaError, TableReference};
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, Case as CaseExpr, ScalarFunction, Sort,
};
use datafusion::logical_expr::{Aggregate as AggregatePlan, Expr, LogicalPlan, Operator};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use policy::{Calendar, Collection, ColumnKind};
use terms::{Problem, Report, limit};
use tokio::sync::oneshot;

use crate::query::{
    Aggregate, Case, Condition, Function, GroupKey, Join, NODE_COLUMN, Output, OutputSource, Pair, PairPart, Query,
    ReleaseQuery, RowQuery, Spread, Value,
};
use crate::session;

use self::condition::{compare, condition, literal, split};
pub use self::syntax::parse;
pub use crate::session::{Collections, bin_function, people_function, query_schema, register};

/// Stack for reading one query, in bytes. A parsed query is a tree that is walked by recursion.
const READING_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Reads one statement of SQL over `collections`.
///
/// # Errors
/// `SqlSyntax`, `SqlLimit`, `SqlCollection`, `SqlColumn`, `SqlRole` (an identifier is named) or `SqlNotAllowed`,
/// each naming what it is about.
pub async fn read(sql: &str, collections: &Collections) -> Result<Query, Report> {
    check_size(sql)?;
    let (sql, collections) = (sql.to_owned(), collections.clone());
    on_deep_stack(move || {
        let parsed = parse(&sql, &collections)?;
        syntax::check_one_source(&parsed)?;
        let context = session::for_reading(&collections).map_err(|e| Problem::Internal.report(e.to_string()))?;
        let planning = context.state();
        let plan = futures::executor::block_on(planning.statement_to_plan(parsed));
        let plan = plan.map_err(|error| planning_report(&error, &collections))?;
        refuse_identifiers(&plan, &collections, Joining::People)?;
        statement(&plan, &collections)
    })
    .await
}

/// Refuses text that is too long or has too many tokens, before it is parsed.
///
/// # Errors
/// `SqlLimit`, or `SqlSyntax` if the text is not even tokens.
pub fn check_size(sql: &str) -> Result<(), Report> {
    if sql.len() > limit::SQL_BYTES_MAX {
        return Err(Problem::SqlLimit.report(format!("the SQL text is longer than {} bytes", limit::SQL_BYTES_MAX)));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| Problem::SqlSyntax.report(error.to_string()))?;
    if tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .count()
        > limit::SQL_TOKENS_MAX
    {
        return Err(Problem::SqlLimit.report(format!("the SQL text has more than {} words", limit::SQL_TOKENS_MAX)));
    }
    Ok(())
}

/// Runs `work` on a thread with a stack that holds the largest query we accept.
///
/// # Errors
/// What `work` returns, or `Internal` if the thread could not run.
pub async fn on_deep_stack<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Report> + Send + 'static,
) -> Result<T, Report> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("read-sql".to_owned())
        .stack_size(READING_STACK_BYTES);
    let started = thread.spawn(move || {
        // Nobody listens any more only if the caller gave up.
        let _ = sender.send(work());
    });
    started.map_err(|_| Problem::Resources.report("no thread could be started to read the query"))?;
    receiver
        .await
        .unwrap_or_else(|_| Err(Problem::SqlNotAllowed.report("the query could not be read")))
}

/// What went wrong while planning, in our words. Planning sees schemas only, never rows.
pub fn planning_report(error: &DataFusionError, collections: &Collections) -> Report {
    let error = error.find_root();
    if let DataFusionError::SchemaError(schema, _) = error
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        return unknown_column(&field.name, valid_fields.iter().map(|f| f.name.as_str()), collections);
    }
    if let DataFusionError::SchemaError(schema, _) = error
        && let SchemaError::AmbiguousReference { field } = schema.as_ref()
    {
        let name = &field.name;
        let report = Problem::SqlColumn.report(format!("there are several columns {name} here"));
        return report.remedy(format!("say which one: give the tables names and write a.{name}"));
    }
    if let DataFusionError::SQL(parser, _) = error {
        if matches!(parser.as_ref(), ParserError::RecursionLimitExceeded) {
            return Problem::SqlLimit.report("the query is nested too deeply");
        }
        return Problem::SqlSyntax.report(format!("the SQL cannot be parsed: {parser}"));
    }
    let text = error.strip_backtrace();
    let text = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("Error during planning: ")
        .to_owned();
    if let Some(name) = text.strip_prefix("table '").and_then(|rest| rest.split('\'').next()) {
        // The engine qualifies plain names by a catalogue and a schema: those of a node, or those of an asker.
        let plain = ["datafusion.public.", "datenraum.collections."];
        let plain = plain.iter().find_map(|own| name.strip_prefix(own));
        return unknown_collection(plain.unwrap_or(name), collections);
    }
    if text.contains("coerce arguments") || text.contains("failed to match any signature") {
        let numbers = |column: &&policy::Column| column.roles.measure;
        let columns = collections
            .values()
            .flat_map(|collection| collection.columns.iter().filter(numbers));
        let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let report = Problem::SqlRole.report("a function is used on a column of another kind than it takes");
        return report.remedy(format!("columns that can be summed or averaged: {}", names.join(", ")));
    }
    Problem::SqlNotAllowed.report(format!("the query cannot be planned: {text}"))
}

fn unknown_collection(name: &str, collections: &Collections) -> Report {
    let known: Vec<String> = collections.keys().map(terms::CollectionId::sql_name).collect();
    let report = Problem::SqlCollection.report(format!("there is no collection {name} that you may query"));
    if known.is_empty() {
        return report.remedy("there is no collection that you may query; ask the board of the data space");
    }
    let plain = name.rsplit('.').next().unwrap_or(name);
    let near = terms::text::nearest(plain, known.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    report.remedy(format!("{near}you may query: {}", known.join(", ")))
}

fn unknown_column<'a>(name: &str, known: impl Iterator<Item = &'a str>, collections: &Collections) -> Report {
    let is_identifier = |c: &&Arc<Collection>| c.column(name).is_some_and(|column| column.roles.identifier);
    if let Some(collection) = collections.values().find(is_identifier) {
        return identifies(name, collection);
    }
    let known: Vec<&str> = known.collect();
    let near = terms::text::nearest(name, known.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    let report = Problem::SqlColumn.report(format!("there is no column {name} here"));
    report.remedy(format!("{near}columns: {}", known.join(", ")))
}

fn refuse(what: &str) -> Report {
    Problem::SqlNotAllowed.report(format!("a node does not run {what}"))
}

/// Whether a join may be along the people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// At a node, which then decides whether there is such a join.
    People,
    /// Of what nodes released, in which there are none.
    Nobody,
}

/// Whoever names a person anywhere but in a list of columns or a join is told that, and not what else is wrong with the query.
///
/// # Errors
/// `SqlRole`.
pub fn refuse_identifiers(plan: &LogicalPlan, collections: &Collections, joining: Joining) -> Result<(), Report> {
    let person = |name: &str| collections.values().find(|c| c.privacy_unit.as_deref() == Some(name));
    let is_other = |name: &str| {
        let mut known = collections.values().filter_map(|collection| collection.column(name));
        known.any(|column| !column.roles.identifier)
    };
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        let lists = matches!(node, LogicalPlan::Projection(_));
        let joins = matches!(node, LogicalPlan::Join(_));
        node.apply_expressions(|expr| {
            if lists && matches!(unaliased(expr), Expr::Column(_)) || joins && join::is_equality(expr, joining) {
                return Ok(TreeNodeRecursion::Continue);
            }
            expr.apply(|part| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part
                    && let Some(collection) = person(&column.name)
                    && !is_other(&column.name)
                {
                    refused.get_or_insert_with(|| identifies(&column.name, collection));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| planning_report(&error, collections))?;
    refused.map_or(Ok(()), Err)
}

fn identifies(name: &str, collection: &Collection) -> Report {
    let message = format!(
        "{name} identifies people in {}; no query may use it",
        collection.sql_name()
    );
    Problem::SqlRole.report(message).remedy(format!(
        "leave it out; people are counted by count(DISTINCT {name}), without naming them"
    ))
}

/// Reads a whole statement as it arrives at a node.
fn statement(plan: &LogicalPlan, collections: &Collections) -> Result<Query, Report> {
    let (list, below) = match plan {
        LogicalPlan::Projection(projection) => (Some(projection.expr.as_slice()), projection.input.as_ref()),
        other => (None, other),
    };
    if let LogicalPlan::Aggregate(aggregate) = below {
        let mut query = aggregate_query(aggregate, collections)?;
        if let Some(list) = list {
            query.outputs = outputs(list, aggregate, &query.outputs)?;
        }
        return Ok(Query::Release(query));
    }
    let source = source(below, collections)?;
    if !source.joins.is_empty() {
        return Err(refuse("a list of rows of a join")
            .remedy("ask for counts, sums and the like; rows are listed of one collection"));
    }
    let columns = match list {
        Some(list) => {
            let scope = source.scope(below);
            list.iter()
                .map(|expr| named_column(expr, &scope))
                .collect::<Result<_, _>>()?
        }
        None => {
            let names = below.schema().fields().iter().map(|field| field.name().clone());
            source.names.iter().cloned().zip(names).collect()
        }
    };
    Ok(Query::Rows(RowQuery {
        collection: source.collection.id.clone(),
        conditions: source.conditions,
        columns,
    }))
}

/// Reads one aggregate with everything below it. Outputs are its groups and aggregates in the plan's order.
///
/// # Errors
/// As [`read`].
pub fn aggregate_query(plan: &AggregatePlan, collections: &Collections) -> Result<ReleaseQuery, Report> {
    let source = source(&plan.input, collections)?;
    let scope = source.scope(&plan.input);
    // The plan's schema has the same key once, however often it is written.
    let mut keys: Vec<&Expr> = Vec::new();
    plan.group_expr.iter().for_each(|key| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    });
    let groups: Vec<GroupKey> = keys
        .into_iter()
        .map(|key| group_key(key, &scope))
        .collect::<Result<_, _>>()?;
    let aggregates: Vec<Aggregate> = plan
        .aggr_expr
        .iter()
        .map(|expr| aggregate(expr, &scope))
        .collect::<Result<_, _>>()?;
    let sources = (0..groups.len())
        .map(OutputSource::Group)
        .chain((0..aggregates.len()).map(OutputSource::Aggregate));
    if plan.schema.fields().len() != groups.len() + aggregates.len() {
        return Err(refuse("the same key or aggregate twice"));
    }
    let outputs = sources.zip(plan.schema.fields());
    let outputs = outputs
        .map(|(source, field)| Output {
            source,
            name: field.name().clone(),
        })
        .collect();
    Ok(ReleaseQuery {
        collection: source.collection.id.clone(),
        joins: source.joins,
        conditions: source.conditions,
        groups,
        aggregates,
        outputs,
    })
}

/// Reads `Projection? ∘ Filter* ∘ Scan` without an aggregate.
///
/// # Errors
/// As [`read`].
pub fn row_query(plan: &LogicalPlan, collections: &Collections) -> Result<RowQuery, Report> {
    match statement(plan, collections)? {
        Query::Rows(query) => Ok(query),
        Query::Release(_) => Err(refuse("an aggregate here")),
    }
}

/// What lies below an aggregate or a list of columns: rows of one collection, with what is joined to them.
struct Source {
    /// With the columns of what is joined.
    collection: Arc<Collection>,
    joins: Vec<Join>,
    conditions: Vec<Condition>,
    /// For each field of the plan, the column of the collection that it is.
    names: Vec<String>,
}

impl Source {
    fn scope<'s>(&'s self, plan: &'s LogicalPlan) -> Scope<'s> {
        Scope {
            collection: &self.collection,
            schema: plan.schema(),
            names: &self.names,
        }
    }

    fn add(&mut self, conditions: Vec<Condition>) {
        self.conditions.extend(conditions);
    }
}

/// What names mean at one place of a plan.
struct Scope<'a> {
    collection: &'a Collection,
    schema: &'a DFSchema,
    names: &'a [String],
}

impl Scope<'_> {
    /// The column of the collection that an expression is, and nothing else.
    fn column(&self, expr: &Expr, otherwise: &str) -> Result<String, Report> {
        match expr {
            Expr::Column(column) => self.resolve(column),
            _ => Err(refuse(otherwise)),
        }
    }

    /// A column that a query uses: none that tells people apart.
    fn resolve(&self, column: &Column) -> Result<String, Report> {
        let name = self.any(column)?;
        let is_identifier = self
            .collection
            .column(&name)
            .is_some_and(|column| column.roles.identifier);
        if is_identifier {
            return Err(identifies(&name, self.collection));
        }
        if name != NODE_COLUMN && self.collection.column(&name).is_none() {
            // The key of a LEFT JOIN.
            return Err(refuse(&format!("{name}, along which is joined")).remedy("use the column that it is joined to"));
        }
        Ok(name)
    }

    /// A column that a query lists or hands on.
    fn listed(&self, expr: &Expr, otherwise: &str) -> Result<String, Report> {
        match expr {
            Expr::Column(column) => self.any(column),
            _ => Err(refuse(otherwise)),
        }
    }

    fn any(&self, column: &Column) -> Result<String, Report> {
        let at = self.schema.maybe_index_of_column(column);
        let name = at.and_then(|at| self.names.get(at)).cloned();
        name.ok_or_else(|| unknown_column(&column.name, self.names.iter().map(String::as_str), &Collections::new()))
    }

    fn kind(&self, column: &str) -> Result<ColumnKind, Report> {
        if column == NODE_COLUMN {
            return Ok(ColumnKind::Text);
        }
        let known = self.collection.columns.iter().map(|c| c.name.as_str());
        let found = self.collection.column(column).map(|c| c.kind);
        found.ok_or_else(|| unknown_column(column, known, &Collections::new()))
    }

    /// The parts of a chain of AND. BETWEEN is two.
    fn all_of(&self, predicate: &Expr) -> Result<Vec<Condition>, Report> {
        let mut conditions = Vec::new();
        for part in split(predicate, Operator::And) {
            match condition(part, self)? {
                Condition::And(parts) => conditions.extend(parts),
                one => conditions.push(one),
            }
        }
        Ok(conditions)
    }
}

/// `(Filter | SubqueryAlias | Projection that only chooses and renames | Join with a TableScan)* ∘ TableScan`
fn source(plan: &LogicalPlan, collections: &Collections) -> Result<Source, Report> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let mut source = source(&filter.input, collections)?;
            let conditions = source.scope(&filter.input).all_of(&filter.predicate)?;
            source.add(conditions);
            Ok(source)
        }
        LogicalPlan::SubqueryAlias(alias) => source(&alias.input, collections),
        LogicalPlan::Projection(projection) => {
            let source = source(&projection.input, collections)?;
            let scope = source.scope(&projection.input);
            let only_columns = "expressions below an aggregate; a query below it may choose, rename and filter";
            let names = projection
                .expr
                .iter()
                .map(|expr| scope.listed(unaliased(expr), only_columns))
                .collect::<Result<_, _>>()?;
            Ok(Source { names, ..source })
        }
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let collection = collections.values().find(|collection| collection.sql_name() == name);
            let collection = collection.ok_or_else(|| unknown_collection(name, collections))?;
            let names = scan.projected_schema.fields().iter().map(|field| field.name().clone());
            Ok(Source {
                collection: Arc::clone(collection),
                joins: Vec::new(),
                conditions: Vec::new(),
                names: names.collect(),
            })
        }
        LogicalPlan::Aggregate(_) => Err(refuse("HAVING, or an aggregate of an aggregate")
            .remedy("these act on released results; ask through datenraum query, which does them afterwards")),
        LogicalPlan::Window(_) => Err(refuse("window functions")),
        LogicalPlan::Sort(_) => Err(refuse("ORDER BY").remedy("ask through datenraum query, which sorts afterwards")),
        LogicalPlan::Limit(_) => Err(refuse("LIMIT").remedy("ask through datenraum query, which limits afterwards")),
        LogicalPlan::Join(plan) => join::source(plan, collections),
        LogicalPlan::Repartition(_) => Err(refuse("repartitioning")),
        LogicalPlan::Union(_) => Err(refuse("UNION")),
        LogicalPlan::EmptyRelation(_) => Err(refuse("a query without a collection")),
        LogicalPlan::Subquery(_) => Err(refuse("subqueries")),
        LogicalPlan::Statement(_) => Err(refuse("SET, PREPARE or transaction statements")),
        LogicalPlan::Values(_) => Err(refuse("VALUES")),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Err(refuse("EXPLAIN")),
        LogicalPlan::Extension(_) => Err(refuse("an extension")),
        LogicalPlan::Distinct(_) => Err(refuse("DISTINCT").remedy("use GROUP BY with count(*)")),
        LogicalPlan::Dml(_) => Err(refuse("INSERT, UPDATE or DELETE")),
        LogicalPlan::Ddl(_) => Err(refuse("CREATE or DROP")),
        LogicalPlan::Copy(_) => Err(refuse("COPY")),
        LogicalPlan::DescribeTable(_) => Err(refuse("DESCRIBE")),
        LogicalPlan::Unnest(_) => Err(refuse("UNNEST")),
        LogicalPlan::RecursiveQuery(_) => Err(refuse("recursive queries")),
    }
}

/// A select list over an aggregate may choose, order and rename its columns.
fn outputs(list: &[Expr], aggregate: &AggregatePlan, given: &[Output]) -> Result<Vec<Output>, Report> {
    let read = |expr: &Expr| {
        let name = match expr {
            Expr::Alias(alias) => alias.name.clone(),
            Expr::Column(column) => column.name.clone(),
            other => other.schema_name().to_string(),
        };
        let Expr::Column(column) = unaliased(expr) else {
            return Err(refuse("arithmetic on released values")
                .remedy("ask through datenraum query, which computes it afterwards"));
        };
        let at = aggregate.schema.maybe_index_of_column(column);
        let at = at.ok_or_else(|| refuse("a column that is neither a group nor an aggregate"))?;
        Ok(Output {
            source: given[at].source,
            name,
        })
    };
    list.iter().map(read).collect()
}

fn named_column(expr: &Expr, scope: &Scope<'_>) -> Result<(String, String), Report> {
    match expr {
        Expr::Column(column) => Ok((scope.any(column)?, column.name.clone())),
        Expr::Alias(alias) => Ok((
            scope.listed(&alias.expr, "an expression in a select list")?,
            alias.name.clone(),
        )),
        _ => Err(refuse("an expression in a select list of rows")
            .remedy("ask for the columns; datenraum query computes expressions afterwards")),
    }
}

fn group_key(expr: &Expr, scope: &Scope<'_>) -> Result<GroupKey, Report> {
    match expr {
        Expr::Column(column) => Ok(GroupKey::Column(scope.resolve(column)?)),
        Expr::Alias(alias) => group_key(&alias.expr, scope),
        Expr::ScalarFunction(ScalarFunction { func, args }) => match (func.name(), args.as_slice()) {
            ("bin", [column]) => Ok(GroupKey::Bin(scope.column(column, "bin() of an expression")?)),
            ("date_trunc", [unit, column]) => {
                let unit = text_literal(unit).and_then(calendar);
                let unit = unit.ok_or_else(|| {
                    refuse("date_trunc to that unit").remedy("use 'day', 'week', 'month', 'quarter' or 'year'")
                })?;
                Ok(GroupKey::Calendar(
                    unit,
                    scope.column(column, "date_trunc() of an expression")?,
                ))
            }
            (name, _) => Err(refuse(&format!("GROUP BY {name}()"))),
        },
        Expr::Case(case) => Ok(GroupKey::Case(case_key(case, scope)?)),
        Expr::GroupingSet(_) => Err(refuse("ROLLUP, CUBE or GROUPING SETS")),
        _ => Err(refuse("GROUP BY an expression").remedy(
            "group by a column, bin(column), date_trunc(unit, column), or CASE over the declared values of one column",
        )),
    }
}

/// `CASE WHEN condition THEN name … END` or `CASE column WHEN value THEN name … END`, over one column.
fn case_key(case: &CaseExpr, scope: &Scope<'_>) -> Result<Case, Report> {
    let one_column = || {
        refuse("CASE over several columns, or none")
            .remedy("let all its conditions be about one column with declared values")
    };
    let mut arms = Vec::with_capacity(case.when_then_expr.len());
    for (when, then) in &case.when_then_expr {
        let condition = match &case.expr {
            Some(of) => compare(Operator::Eq, of, when, scope)?,
            None => condition(when, scope)?,
        };
        arms.push((condition, group_name(then)?));
    }
    let otherwise = match case.else_expr.as_deref() {
        None => None,
        Some(Expr::Literal(value, _)) if value.is_null() => None,
        Some(name) => Some(group_name(name)?),
    };
    let names = arms.iter().map(|(_, name)| name).chain(&otherwise);
    let mut kinds: Vec<_> = names.map(std::mem::discriminant).collect();
    kinds.dedup();
    if kinds.len() != 1 {
        return Err(refuse("CASE with texts and numbers as names of groups"));
    }
    let columns: BTreeSet<&str> = arms.iter().flat_map(|(condition, _)| condition.columns()).collect();
    let column = match Vec::from_iter(columns).as_slice() {
        [column] if *column != NODE_COLUMN => (*column).to_owned(),
        _ => return Err(one_column()),
    };
    Ok(Case {
        column,
        arms,
        otherwise,
    })
}

fn group_name(expr: &Expr) -> Result<Value, Report> {
    let kind = match expr {
        Expr::Literal(value, _) if value.data_type().is_string() => ColumnKind::Text,
        _ => ColumnKind::Integer,
    };
    match literal(expr, kind) {
        Ok(name @ (Value::Text(_) | Value::Integer(_))) => Ok(name),
        _ => Err(refuse(
            "CASE with anything but texts or whole numbers as names of groups",
        )),
    }
}

fn aggregate(expr: &Expr, scope: &Scope<'_>) -> Result<Aggregate, Report> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(expr) else {
        return Err(refuse("an expression in place of an aggregate"));
    };
    let AggregateFunctionParams {
        args,
        distinct,
        filter,
        order_by,
        null_treatment,
    } = params;
    let name = func.name();
    if *distinct {
        let remedy = match &scope.collection.privacy_unit {
            Some(person) => format!("people are counted by count(DISTINCT {person}), values by GROUP BY"),
            None => "count values by GROUP BY".to_owned(),
        };
        return Err(refuse(&format!("{name}(DISTINCT …)")).remedy(remedy));
    }
    if null_treatment.is_some() {
        return Err(refuse(&format!("{name}() with a treatment of nulls")));
    }
    let filter = match filter {
        Some(filter) => scope.all_of(filter)?,
        None => Vec::new(),
    };
    let is_quantile = matches!(name, "approx_percentile_cont" | "approx_median" | "median");
    if !(order_by.is_empty() || is_quantile && orders_by_argument(order_by, args)) {
        return Err(refuse(&format!("{name}() with ORDER BY")));
    }
    let function = function(name, args, scope)?;
    Ok(Aggregate { function, filter })
}

/// `WITHIN GROUP (ORDER BY x)` says what the argument is, and nothing more.
fn orders_by_argument(order_by: &[Sort], args: &[Expr]) -> bool {
    matches!((order_by, args), ([sort], [first, ..]) if sort.asc && sort.expr == *first)
}

fn function(name: &str, args: &[Expr], scope: &Scope<'_>) -> Result<Function, Report> {
    let column = |expr: &Expr| scope.column(expr, "an aggregate of an expression; its argument must be a column");
    let one = |made: fn(String) -> Function, expr| Ok(made(column(expr)?));
    let spread = |spread, expr| Ok(Function::Spread(spread, column(expr)?));
    // In one order: either way it is the same number.
    let pair = |pair, x, y| {
        let (x, y) = (column(x)?, column(y)?);
        let (x, y) = if x <= y { (x, y) } else { (y, x) };
        Ok(Function::Pair(pair, x, y))
    };
    if let (Some(part), [x, y]) = (pair_part(name), args) {
        return Ok(Function::PairPart(part, column(x)?, column(y)?));
    }
    match (name, args) {
        ("count", [Expr::Literal(value, _)]) if !value.is_null() => Ok(Function::CountRows),
        ("count", [x]) => one(Function::Count, x),
        (session::COUNT_PEOPLE, [person]) => people(person, scope),
        ("sum", [x]) => one(Function::Sum, x),
        ("avg", [x]) => one(Function::Mean, x),
        ("var_pop", [x]) => spread(Spread::VarPop, x),
        ("var", [x]) => spread(Spread::VarSamp, x),
        ("stddev_pop", [x]) => spread(Spread::StddevPop, x),
        ("stddev", [x]) => spread(Spread::StddevSamp, x),
        ("covar_pop", [x, y]) => pair(Pair::CovarPop, x, y),
        ("covar_samp", [x, y]) => pair(Pair::CovarSamp, x, y),
        ("corr", [x, y]) => pair(Pair::Corr, x, y),
        ("median" | "approx_median", [x]) => Ok(Function::Quantile(0.5, column(x)?)),
        ("approx_percentile_cont", [x, share]) => Ok(Function::Quantile(quantile(share)?, column(x)?)),
        _ => Err(refuse(&format!("the aggregate {name}()"))
            .remedy("use count, sum, avg, var_pop, var_samp, stddev_pop, stddev_samp, covar_pop, covar_samp, corr, median or approx_percentile_cont")),
    }
}

fn pair_part(name: &str) -> Option<PairPart> {
    PairPart::ALL.into_iter().find(|part| part.to_string() == name)
}

/// `count(DISTINCT person)`, as it is planned.
fn people(person: &Expr, scope: &Scope<'_>) -> Result<Function, Report> {
    let unit = scope.collection.privacy_unit.as_deref();
    let name = text_literal(person).map(|name| match name.rsplit_once('.') {
        // In a join it matters whose person is counted.
        Some((of, name)) => scope.any(&Column::new(Some(TableReference::bare(of)), name)),
        None => Ok(name.to_owned()),
    });
    match name.transpose()? {
        Some(name) if Some(name.as_str()) == unit => Ok(Function::CountPeople(name)),
        _ => Err(refuse("count(DISTINCT …) of anything but the person")),
    }
}

/// The share of rows below a quantile.
fn quantile(share: &Expr) -> Result<f64, Report> {
    match literal(share, ColumnKind::Number) {
        Ok(Value::Number(share)) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(refuse("quantiles of anything but a share between 0 and 1")
            .remedy("for instance approx_percentile_cont(age, 0.25)")),
    }
}

fn calendar(unit: &str) -> Option<Calendar> {
    let units = [
        Calendar::Day,
        Calendar::Week,
        Calendar::Month,
        Calendar::Quarter,
        Calendar::Year,
    ];
    units
        .into_iter()
        .find(|known| known.to_string() == unit.to_ascii_lowercase())
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn text_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}
