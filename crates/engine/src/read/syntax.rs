//! What may be planned at all, decided on the parsed text before anything is planned.
//!
//! Planning can cost far more than reading: twenty WITH queries that each name the last one twice make a plan of a million
//! nodes. And what DataFusion's planner does not know it drops without a word (TABLESAMPLE, PREWHERE, WITH ROLLUP), so that
//! the answer would be to another question. The parts of a statement are therefore taken apart here without `..`: what a
//! new version of the parser can say does not compile until somebody has thought about it. Next: `read.rs`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement as ParsedStatement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query,
    Select, SetExpr, SetOperator, Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use terms::{Problem, Report, limit};

use super::join::JOINS_MAX;
use super::{planning_report, refuse};
use crate::session::{self, Collections};

/// Parses one statement and refuses what is not a query, what is too large, and clauses that planning would drop. Where the
/// statement counts the people of a collection, it then calls [`crate::session::people_function`].
///
/// The parsed tree is deep: call it on [`super::on_deep_stack`].
///
/// # Errors
/// `SqlSyntax`, `SqlLimit` or `SqlNotAllowed`.
pub fn parse(sql: &str, collections: &Collections) -> Result<ParsedStatement, Report> {
    let mut statement = one_statement(sql)?;
    let query = query_mut(&mut statement).ok_or_else(|| refuse(&first_word(sql)))?;
    match Visit::visit(query, &mut Checks::default()) {
        ControlFlow::Continue(()) => {}
        ControlFlow::Break(report) => return Err(report),
    }
    let joins = Visit::visit(query, &mut HasJoins).is_break();
    let ControlFlow::Continue(()) = VisitMut::visit(query, &mut CountsPeople { collections, joins });
    Ok(statement)
}

fn one_statement(sql: &str) -> Result<ParsedStatement, Report> {
    let parser = DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).build();
    let parsed = parser.and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| planning_report(&error, &Collections::new()))?;
    let statement = statements
        .pop_front()
        .ok_or_else(|| Problem::SqlSyntax.report("there is no SQL"))?;
    if !statements.is_empty() {
        return Err(refuse("more than one statement"));
    }
    Ok(statement)
}

struct HasJoins;

impl Visitor for HasJoins {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        match select.from.iter().any(|from| !from.joins.is_empty()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Writes `count(DISTINCT person)` as `count_people('person')`: the column of the person is none that a query can name. Where
/// there are joins it says whose: `count_people('p.person')`.
struct CountsPeople<'a> {
    collections: &'a Collections,
    joins: bool,
}

impl VisitorMut for CountsPeople<'_> {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expr
            && let Some((of, person)) = counted_distinct(function)
            && self
                .collections
                .values()
                .any(|c| c.privacy_unit.as_deref() == Some(person.as_str()))
            && let FunctionArguments::List(list) = &mut function.args
        {
            let person = match of.filter(|_| self.joins) {
                Some(of) => format!("{of}.{person}"),
                None => person,
            };
            function.name = ObjectName::from(vec![Ident::new(session::COUNT_PEOPLE)]);
            list.duplicate_treatment = None;
            let person = Value::SingleQuotedString(person).into();
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(person)))];
        }
        ControlFlow::Continue(())
    }
}

/// The column of `count(DISTINCT column)`, after what it is said to be of, as the planner reads names.
fn counted_distinct(function: &Function) -> Option<(Option<String>, String)> {
    let FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: Some(DuplicateTreatment::Distinct),
        args,
        clauses,
    }) = &function.args
    else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] = args.as_slice() else {
        return None;
    };
    let (of, column) = match arg {
        Expr::Identifier(name) => (None, name),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., of, name] => (Some(of), name),
            _ => return None,
        },
        _ => return None,
    };
    let is_count = function.name.to_string().eq_ignore_ascii_case("count");
    let plain = clauses.is_empty() && function.over.is_none();
    (is_count && plain).then(|| (of.map(planned), planned(column)))
}

/// A name as the planner reads it.
fn planned(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

/// Most queries within one: each WITH and each subquery in FROM is one. They make a chain, because each reads from one place,
/// and beside it from collections by their names.
const QUERIES_MAX: usize = 16;

/// Refuses what does not read from one collection, through any chain of WITH and FROM (SELECT …), with collections joined to it.
///
/// # Errors
/// `SqlNotAllowed` or `SqlLimit`.
pub(super) fn check_one_source(statement: &ParsedStatement) -> Result<(), Report> {
    let query = query(statement).ok_or_else(|| refuse("that"))?;
    match query.visit(&mut OneSource::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(report) => Err(report),
    }
}

#[derive(Default)]
struct OneSource {
    queries: usize,
    joins: usize,
    /// What WITH has named so far. Whatever is joined is none of these: one could be read any number of times.
    named: BTreeSet<String>,
}

impl Visitor for OneSource {
    type Break = Report;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Report> {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            let message = format!("there are more than {QUERIES_MAX} queries within the query");
            return ControlFlow::Break(Problem::SqlLimit.report(message));
        }
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(with.map(|table| planned(&table.alias.name)));
        or_break(reads_one_source(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Report> {
        let joins = || select.from.iter().flat_map(|from| &from.joins);
        self.joins += joins().count();
        if self.joins > JOINS_MAX {
            let message = format!("the query joins more than {JOINS_MAX} collections");
            return ControlFlow::Break(Problem::SqlLimit.report(message));
        }
        or_break(joins().try_for_each(|join| check_join(join, &self.named)))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Report> {
        match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                ControlFlow::Break(refuse("subqueries outside of FROM"))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn reads_one_source(query: &Query) -> Result<(), Report> {
    if query.with.as_ref().is_some_and(|with| with.recursive) {
        return Err(refuse("recursive queries"));
    }
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { op, .. } => {
            return Err(refuse(match op {
                SetOperator::Union => "UNION",
                SetOperator::Except | SetOperator::Minus => "EXCEPT",
                SetOperator::Intersect => "INTERSECT",
            }));
        }
        SetExpr::Query(_) => return Err(refuse("a query in brackets")),
        SetExpr::Values(_) => return Err(refuse("VALUES")),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            return Err(refuse("INSERT, UPDATE, DELETE or MERGE"));
        }
        SetExpr::Table(_) => return Err(refuse("TABLE").remedy("use SELECT")),
    };
    let [from] = select.from.as_slice() else {
        return Err(match select.from.is_empty() {
            true => refuse("a query without a collection"),
            false => refuse("a join without a condition").remedy(JOIN_REMEDY),
        });
    };
    match from.relation {
        TableFactor::Table { .. } | TableFactor::Derived { .. } => Ok(()),
        TableFactor::NestedJoin { .. } => Err(refuse("a join in brackets").remedy(JOIN_REMEDY)),
        _ => Err(refuse("functions in FROM")),
    }
}

/// The nearest form that is joined.
const JOIN_REMEDY: &str =
    "use JOIN or LEFT JOIN with a collection by its name, ON the column that is declared to refer to its key";

/// Only equality is joined on, with a collection by its name. Along which columns, `read/join.rs` says.
fn check_join(join: &Join, named: &BTreeSet<String>) -> Result<(), Report> {
    let Join {
        relation,
        global,
        join_operator,
    } = join;
    let refused = |what: &str| Err(refuse(what).remedy(JOIN_REMEDY));
    let constraint = match join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => on,
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => return refused("RIGHT JOIN"),
        JoinOperator::FullOuter(_) => return refused("FULL JOIN"),
        JoinOperator::CrossJoin(_) | JoinOperator::CrossApply | JoinOperator::OuterApply => {
            return refused("a join without a condition");
        }
        JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::RightSemi(_) => return refused("SEMI JOIN"),
        JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) | JoinOperator::RightAnti(_) => return refused("ANTI JOIN"),
        JoinOperator::AsOf { .. } => return refused("ASOF JOIN"),
        JoinOperator::StraightJoin(_) => return refused("STRAIGHT_JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            return refused("ARRAY JOIN");
        }
    };
    match constraint {
        JoinConstraint::On(_) | JoinConstraint::Using(_) if !*global => {}
        JoinConstraint::On(_) | JoinConstraint::Using(_) => return refused("GLOBAL JOIN"),
        JoinConstraint::Natural => return refused("NATURAL JOIN"),
        JoinConstraint::None => return refused("a join without a condition"),
    }
    let TableFactor::Table { name, .. } = relation else {
        return refused("a join with a query or a list");
    };
    let last = name.0.last().and_then(ObjectNamePart::as_ident).map(planned);
    match last {
        Some(name) if !named.contains(&name) => Ok(()),
        _ => refused("a join with a query or a list"),
    }
}

fn query_mut(statement: &mut ParsedStatement) -> Option<&mut Query> {
    match statement {
        ParsedStatement::Statement(statement) => match statement.as_mut() {
            Statement::Query(query) => Some(query),
            _ => None,
        },
        _ => None,
    }
}

fn query(statement: &ParsedStatement) -> Option<&Query> {
    match statement {
        ParsedStatement::Statement(statement) => match statement.as_ref() {
            Statement::Query(query) => Some(query),
            _ => None,
        },
        ParsedStatement::CreateExternalTable(_)
        | ParsedStatement::CopyTo(_)
        | ParsedStatement::Explain(_)
        | ParsedStatement::Reset(_) => None,
    }
}

/// The word that says what a statement is, as `EXPLAIN`.
fn first_word(sql: &str) -> String {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    let word = tokens.into_iter().find_map(|token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    });
    word.unwrap_or_else(|| "such a statement".to_owned())
}

/// Sizes, and clauses that planning would drop, at every level of a query.
#[derive(Default)]
struct Checks {
    expressions: usize,
    depth: usize,
}

impl Checks {
    fn enter(&mut self) -> ControlFlow<Report> {
        self.depth += 1;
        if self.depth > limit::SQL_DEPTH_MAX {
            return ControlFlow::Break(Problem::SqlLimit.report("the query is nested too deeply"));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Checks {
    type Break = Report;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Report> {
        self.enter()?;
        or_break(check_query(query))
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Report> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Report> {
        or_break(check_select(select))
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Report> {
        or_break(check_table(table))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Report> {
        self.expressions += 1;
        if self.expressions > limit::SQL_EXPRESSIONS_MAX {
            let message = format!("the query has more than {} expressions", limit::SQL_EXPRESSIONS_MAX);
            return ControlFlow::Break(Problem::SqlLimit.report(message));
        }
        if !is_chain(expr) {
            self.enter()?;
        }
        or_break(check_expr(expr))
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Report> {
        if !is_chain(expr) {
            self.depth -= 1;
        }
        ControlFlow::Continue(())
    }
}

/// `a AND b AND c` is a deep tree and no deep thought.
fn is_chain(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryOp {
            op: BinaryOperator::And | BinaryOperator::Or,
            ..
        }
    )
}

fn or_break(checked: Result<(), Report>) -> ControlFlow<Report> {
    checked.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// Refuses the first that is there.
fn none_of(clauses: &[(bool, &str)]) -> Result<(), Report> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, name)) => Err(refuse(name)),
        None => Ok(()),
    }
}

fn check_query(query: &Query) -> Result<(), Report> {
    let Query {
        with: _,
        body: _,
        order_by: _,
        limit_clause: _,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    none_of(&[
        (fetch.is_some(), "FETCH"),
        (!locks.is_empty(), "FOR UPDATE or FOR SHARE"),
        (for_clause.is_some(), "FOR XML, JSON or BROWSE"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
        (!pipe_operators.is_empty(), "the operator |>"),
    ])
}

fn check_select(select: &Select) -> Result<(), Report> {
    let Select {
        select_token: _,
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
    none_of(&[
        (select_modifiers.is_some(), "modifiers of SELECT"),
        (top.is_some(), "TOP"),
        (exclude.is_some(), "EXCLUDE"),
        (into.is_some(), "SELECT INTO"),
        (!lateral_views.is_empty(), "LATERAL VIEW"),
        (prewhere.is_some(), "PREWHERE"),
        (!connect_by.is_empty(), "CONNECT BY"),
        (!modifiers.is_empty(), "WITH ROLLUP, WITH CUBE or WITH TOTALS"),
        (
            !cluster_by.is_empty() || !distribute_by.is_empty() || !sort_by.is_empty(),
            "CLUSTER, DISTRIBUTE or SORT BY",
        ),
        (value_table_mode.is_some(), "AS STRUCT or AS VALUE"),
    ])
}

fn check_table(table: &TableFactor) -> Result<(), Report> {
    match table {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => none_of(&[
            (args.is_some(), "functions in FROM"),
            (
                !with_hints.is_empty() || !index_hints.is_empty(),
                "hints for a collection",
            ),
            (version.is_some(), "AS OF a version"),
            (*with_ordinality, "WITH ORDINALITY"),
            (!partitions.is_empty(), "PARTITION"),
            (json_path.is_some(), "a path into a collection"),
            (sample.is_some(), "TABLESAMPLE"),
        ]),
        TableFactor::Derived {
            lateral,
            subquery: _,
            alias: _,
            sample,
        } => none_of(&[(*lateral, "LATERAL"), (sample.is_some(), "TABLESAMPLE")]),
        TableFactor::NestedJoin {
            table_with_joins: _,
            alias: _,
        } => Ok(()),
        TableFactor::TableFunction { .. }
        | TableFactor::Function { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::Pivot { .. }
        | TableFactor::Unpivot { .. }
        | TableFactor::MatchRecognize { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => Err(refuse("functions in FROM")),
    }
}

fn check_expr(expr: &Expr) -> Result<(), Report> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let Function {
        name: _,
        uses_odbc_syntax,
        parameters,
        args,
        filter: _,
        null_treatment: _,
        over: _,
        within_group: _,
    } = function;
    none_of(&[
        (*uses_odbc_syntax, "{fn …}"),
        (
            !matches!(parameters, FunctionArguments::None),
            "a function with parameters",
        ),
        (
            matches!(args, FunctionArguments::Subquery(_)),
            "a function of a subquery",
        ),
    ])
}
