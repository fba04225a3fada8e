//! Joins: a collection beside the one asked, along a column that the board declared to refer to it.
//!
//! Nothing else is joined. A join on any other columns could give one row many partners (then one person counts many times) or
//! bring a list of the asker's own (then it is a test of who is on it). Next: `query/join.rs`.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::logical_expr::{BinaryExpr, Expr, Join as JoinPlan, Operator};
use policy::Collection;
use terms::{Problem, Report};

use super::condition::split;
use super::{Joining, Source, refuse, unknown_column};
use crate::query::{Join, JoinAlong, JoinKind, NODE_COLUMN, name_beside, seen};
use crate::session::Collections;

/// Most collections that one query joins. Each is held in memory while the query runs.
pub(super) const JOINS_MAX: usize = 4;

/// The rows of one side with those that they find on the other.
pub(super) fn source(plan: &JoinPlan, collections: &Collections) -> Result<Source, Report> {
    let kind = kind(plan.join_type)?;
    let (left, right) = (
        super::source(&plan.left, collections)?,
        super::source(&plan.right, collections)?,
    );
    let (left_column, right_column) = columns(plan, &left, &right)?;
    let onto_left = Sides {
        asked: &left,
        column: &left_column,
        joined: &right,
        key: &right_column,
    };
    let onto_right = Sides {
        asked: &right,
        column: &right_column,
        joined: &left,
        key: &left_column,
    };
    if onto_left.are_declared(collections) {
        return onto_left.join(kind, Order::AskedFirst, collections);
    }
    match (onto_right.are_declared(collections), kind) {
        (true, JoinKind::Inner) => onto_right.join(kind, Order::JoinedFirst, collections),
        (true, JoinKind::Left) => Err(refuse("a LEFT JOIN that keeps the rows that are referred to")
            .remedy("write the collection with the column that refers to the other before LEFT JOIN")),
        (false, _) => Err(undeclared(&left, &right, collections)),
    }
}

fn kind(join_type: JoinType) -> Result<JoinKind, Report> {
    match join_type {
        JoinType::Inner => Ok(JoinKind::Inner),
        JoinType::Left => Ok(JoinKind::Left),
        JoinType::Right => Err(refuse("RIGHT JOIN").remedy("exchange the sides and write LEFT JOIN")),
        JoinType::Full => Err(refuse("FULL JOIN").remedy("use JOIN or LEFT JOIN")),
        JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti => {
            Err(refuse("SEMI JOIN or ANTI JOIN").remedy("use JOIN or LEFT JOIN"))
        }
        JoinType::LeftMark | JoinType::RightMark => Err(refuse("subqueries")),
    }
}

/// The column of each side that must be equal, by its name there.
fn columns(plan: &JoinPlan, left: &Source, right: &Source) -> Result<(String, String), Report> {
    let other = || {
        refuse("a join on anything but one column = one column")
            .remedy("put other conditions into WHERE, or for a LEFT JOIN leave them out")
    };
    let mut pairs: Vec<(&Expr, &Expr)> = plan.on.iter().map(|(left, right)| (left, right)).collect();
    for part in plan.filter.iter().flat_map(|filter| split(filter, Operator::And)) {
        match part {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Eq,
                right,
            }) => pairs.push((left, right)),
            _ => return Err(other()),
        }
    }
    let [(Expr::Column(one), Expr::Column(another))] = pairs.as_slice() else {
        return Err(other());
    };
    if plan.null_equality != NullEquality::NullEqualsNothing {
        return Err(other());
    }
    let (in_left, in_right) = (
        |column: &Column| name_in(&plan.left, left, column),
        |column: &Column| name_in(&plan.right, right, column),
    );
    let either = in_left(one)
        .zip(in_right(another))
        .or_else(|| in_left(another).zip(in_right(one)));
    either.ok_or_else(|| unknown_column(&one.name, std::iter::empty(), &Collections::new()))
}

fn name_in(plan: &datafusion::logical_expr::LogicalPlan, source: &Source, column: &Column) -> Option<String> {
    let at = plan.schema().maybe_index_of_column(column)?;
    source.names.get(at).cloned()
}

/// Whether an expression says no more than that two columns are equal; never where nobody may be joined.
pub(super) fn is_equality(expr: &Expr, joining: Joining) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(_));
    joining == Joining::People
        && match expr {
            // Each of the two columns of USING comes alone.
            Expr::Column(_) => true,
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                *op == Operator::Eq && is_column(left) && is_column(right)
            }
            _ => false,
        }
}

/// Which side stands first in the plan.
#[derive(Clone, Copy)]
enum Order {
    AskedFirst,
    JoinedFirst,
}

struct Sides<'a> {
    asked: &'a Source,
    column: &'a str,
    joined: &'a Source,
    key: &'a str,
}

impl Sides<'_> {
    /// Whether the column is declared to refer to the other collection, whose key this is.
    fn are_declared(&self, collections: &Collections) -> bool {
        let joined = &self.joined.collection;
        // The columns of what is joined already refer to nothing here: joins are all onto the collection asked.
        let refers = self
            .asked
            .collection
            .column(self.column)
            .and_then(|column| column.references.as_ref());
        let key = collections.get(&joined.id).and_then(|joined| joined.join_key());
        refers == Some(&joined.id) && key.is_some_and(|key| key.name == self.key)
    }

    fn join(&self, kind: JoinKind, order: Order, collections: &Collections) -> Result<Source, Report> {
        let (asked, joined) = (self.asked, self.joined);
        if !joined.joins.is_empty() || !joined.conditions.is_empty() {
            return Err(refuse("a join with more than a collection")
                .remedy("join each collection to the one that refers to it, and put conditions into WHERE"));
        }
        if asked.joins.iter().any(|join| join.collection == joined.collection.id) {
            return Err(refuse("a join with the same collection twice").remedy("ask two questions"));
        }
        if asked.joins.len() == JOINS_MAX {
            return Err(Problem::SqlLimit.report(format!("the query joins more than {JOINS_MAX} collections")));
        }
        let join = Join {
            collection: joined.collection.id.clone(),
            kind,
            column: self.column.to_owned(),
            key: self.key.to_owned(),
            along: match joined.collection.personal {
                true => JoinAlong::Person,
                false => JoinAlong::Value,
            },
        };
        let beside = joined.names.iter().map(|name| name_beside(&join, name)).collect();
        let names = match order {
            Order::AskedFirst => [asked.names.clone(), beside].concat(),
            Order::JoinedFirst => [beside, asked.names.clone()].concat(),
        };
        let find = |id: &terms::CollectionId| collections.get(id).cloned();
        let collection = seen(&asked.collection, std::slice::from_ref(&join), find);
        Ok(Source {
            collection: collection.ok_or_else(|| Problem::Internal.report("a collection that was found is gone"))?,
            joins: [asked.joins.clone(), vec![join]].concat(),
            conditions: asked.conditions.clone(),
            names,
        })
    }
}

/// What is wrong with a join that no column allows, and which there are.
fn undeclared(left: &Source, right: &Source, collections: &Collections) -> Report {
    let (left, right) = (&left.collection, &right.collection);
    if left.id == right.id {
        return refuse("a join of a collection with itself").remedy("group by the column, or use FILTER");
    }
    let declared: Vec<String> = [left, right]
        .into_iter()
        .flat_map(|one| references(one, collections))
        .collect();
    let report = refuse("a join along columns that are not declared for it");
    match declared.is_empty() {
        true => report.remedy(format!(
            "no column of {} or {} is; ask the board",
            left.sql_name(),
            right.sql_name()
        )),
        false => report.remedy(format!("declared are: {}", declared.join(", "))),
    }
}

fn references(from: &Arc<Collection>, collections: &Collections) -> Vec<String> {
    let columns = from.columns.iter().filter(|column| column.name != NODE_COLUMN);
    let written = columns.filter_map(|column| {
        let to = collections.get(column.references.as_ref()?)?;
        let (from, key) = (from.sql_name(), &to.join_key()?.name);
        Some(format!(
            "{from} JOIN {to} ON {from}.{} = {to}.{key}",
            column.name,
            to = to.sql_name()
        ))
    });
    written.collect()
}
