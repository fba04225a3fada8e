//! The rows of a query with what each finds in the collections that are joined: every row once, in its order.
//!
//! Each collection is read through a policy barrier of its own, under a grant of its own. What is joined is held in memory, and
//! the rows stream past it: so they keep the order of people that everything behind this relies on. A row finds at most one
//! row, because the barrier ends the query if a key is there twice.

#[cfg(test)]
mod tests;

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ident};
use policy::Grant;

use super::{BuildError, Holding, Part};
use crate::query::{Condition, JoinAlong, JoinKind, ReleaseQuery};

/// The same query in which the joins leave nothing out: that a row finds something is one more condition.
pub(super) fn with_matches(query: &ReleaseQuery) -> ReleaseQuery {
    let mut query = query.clone();
    let inner = query.joins.iter().filter(|join| join.kind == JoinKind::Inner);
    let found = inner.map(|join| Condition::IsNull {
        column: join.match_name(),
        negated: true,
    });
    query.conditions.extend(found.collect::<Vec<_>>());
    query
}

/// The rows that exist, with what they find.
pub(super) fn scan(
    query: &ReleaseQuery,
    grant: &Grant,
    holding: Holding<'_>,
    part: Part,
) -> Result<LogicalPlanBuilder, BuildError> {
    let mut rows = super::scan(grant, holding, part, None)?;
    for ((join, grant), held) in query.joins.iter().zip(grant.joined()).zip(holding.joined) {
        let part = match join.along {
            // All rows of a person are in one part of each collection: the order is that of the same hashes.
            JoinAlong::Person => part,
            JoinAlong::Value => Part::WHOLE,
        };
        let joined = super::scan(grant, *held, part, Some(&join.key))?;
        let columns = grant.collection().columns.iter();
        let shown = columns.filter(|column| crate::transform::is_shown(column, grant.collection()));
        let renamed = shown.map(|column| ident(&column.name).alias(join.name_of(&column.name)));
        let joined = joined.project(renamed.collect::<Vec<Expr>>())?;
        let key = Column::new_unqualified(join.match_name());
        let column = Column::new_unqualified(&join.column);
        rows = joined.join(rows.build()?, JoinType::Right, (vec![key], vec![column]), None)?;
    }
    Ok(rows)
}

/// When a row passes the conditions on a column. Those on a column of what is joined by INNER are about rows that find
/// something: of one that finds nothing, that alone is what it fails.
pub(super) fn passes(query: &ReleaseQuery, column: &str, conditions: Option<Expr>) -> Option<Expr> {
    let join = query
        .join_of(column)
        .filter(|join| join.kind == JoinKind::Inner && join.match_name() != column);
    match join {
        Some(join) => conditions.map(|conditions| conditions.or(ident(join.match_name()).is_null())),
        None => conditions,
    }
}

/// The keys of the plan that say of a row without a match only that it has none: those about the collection whose match this
/// column tells.
pub(super) fn keys_of_match(query: &ReleaseQuery, column: &str, keys: &[&str]) -> Vec<usize> {
    let join = query.join_of(column).filter(|join| join.match_name() == column);
    let of_join = |name: &str| join.is_some_and(|join| join.column_of(name).is_some());
    keys.iter()
        .enumerate()
        .filter(|(_, name)| of_join(name))
        .map(|(at, _)| at)
        .collect()
}
