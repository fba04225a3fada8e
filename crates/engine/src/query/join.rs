//! Joins, as a query says them and as everything behind it sees them: one collection more, of which each row of the collection
//! asked finds at most one row, along a column that `references` it.
//!
//! Its columns are called `collection.column`, which no column of a collection can be. Next: `read/join.rs`, which reads them,
//! and `enforce/join.rs`, which makes the rows.

use std::fmt;
use std::sync::Arc;

use policy::{Collection, Column, NODE_COLUMN};
use terms::CollectionId;

use super::{Aggregate, Case, Condition, Function, GroupKey, Quoted, ReleaseQuery};

/// A collection whose rows are put beside those of the collection asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The collection that is joined.
    pub collection: CollectionId,
    /// What becomes of rows that find nothing in it.
    pub kind: JoinKind,
    /// The column of the collection asked that refers to it.
    pub column: String,
    /// The key that it refers to.
    pub key: String,
    /// What the two have in common.
    pub along: JoinAlong,
}

/// What becomes of rows that find nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// They are left out.
    Inner,
    /// What they did not find is NULL.
    Left,
}

/// What a row and the row that it finds have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinAlong {
    /// The person. No query names people, so it is none of the columns that a query uses.
    Person,
    /// A value, which the query uses in both collections.
    Value,
}

impl Join {
    /// The name of one of its columns beside those of the collection asked.
    pub fn name_of(&self, column: &str) -> String {
        format!("{}.{column}", self.collection.sql_name())
    }

    /// The column of the joined collection that a name means; none if it means another's.
    pub fn column_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.collection.sql_name())?.strip_prefix('.')
    }

    /// The name of the column that is known in exactly the rows that found something.
    pub(crate) fn match_name(&self) -> String {
        self.name_of(&self.key)
    }

    /// The two columns that the query uses by joining.
    pub(super) fn along(&self) -> Option<(&str, &str)> {
        match self.along {
            JoinAlong::Person => None,
            JoinAlong::Value => Some((&self.column, &self.key)),
        }
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, asked: &CollectionId) -> fmt::Result {
        let words = match self.kind {
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
        };
        let (joined, asked) = (self.collection.sql_name(), asked.sql_name());
        let (joined, asked) = (Quoted(&joined), Quoted(&asked));
        let (column, key) = (Quoted(&self.column), Quoted(&self.key));
        write!(f, " {words} {joined} ON {asked}.{column} = {joined}.{key}")
    }
}

/// The collection asked as a query with these joins sees it: with the columns of what is joined. The key is not among them: it
/// is the column that refers to it.
///
/// None if `find` does not know what is joined.
pub fn seen(
    asked: &Arc<Collection>,
    joins: &[Join],
    find: impl Fn(&CollectionId) -> Option<Arc<Collection>>,
) -> Option<Arc<Collection>> {
    if joins.is_empty() {
        return Some(Arc::clone(asked));
    }
    let mut seen = Collection::clone(asked);
    for join in joins {
        let joined = find(&join.collection)?;
        let columns = joined.columns.iter();
        let shown = columns.filter(|column| !column.roles.identifier && column.name != join.key);
        seen.columns.extend(shown.map(|column| Column {
            name: join.name_of(&column.name),
            references: None,
            ..column.clone()
        }));
    }
    Some(Arc::new(seen))
}

impl ReleaseQuery {
    /// The same with the collection before each column.
    pub(super) fn qualified(&self) -> ReleaseQuery {
        let asked = self.collection.sql_name();
        let mut query = self.clone();
        let mut qualify = |name: &mut String| {
            if !name.contains('.') {
                *name = format!("{asked}.{name}");
            }
        };
        query.conditions.iter_mut().for_each(|one| one.rename(&mut qualify));
        for group in &mut query.groups {
            match group {
                GroupKey::Column(column) | GroupKey::Bin(column) | GroupKey::Calendar(_, column) => qualify(column),
                GroupKey::Case(Case { column, arms, .. }) => {
                    qualify(column);
                    arms.iter_mut()
                        .for_each(|(condition, _)| condition.rename(&mut qualify));
                }
            }
        }
        for Aggregate { function, filter } in &mut query.aggregates {
            filter.iter_mut().for_each(|one| one.rename(&mut qualify));
            match function {
                // People are counted without being named.
                Function::CountRows | Function::CountPeople(_) => {}
                Function::Count(column)
                | Function::Sum(column)
                | Function::Mean(column)
                | Function::Spread(_, column)
                | Function::Quantile(_, column) => qualify(column),
                Function::Pair(_, x, y) | Function::PairPart(_, x, y) => {
                    qualify(x);
                    qualify(y);
                }
            }
        }
        query
    }

    /// The join that a column comes from.
    pub(crate) fn join_of(&self, column: &str) -> Option<&Join> {
        self.joins.iter().find(|join| join.column_of(column).is_some())
    }
}

impl Condition {
    fn rename(&mut self, rename: &mut impl FnMut(&mut String)) {
        match self {
            Condition::Compare(column, ..) | Condition::OneOf { column, .. } | Condition::IsNull { column, .. } => {
                rename(column);
            }
            Condition::Not(inner) => inner.rename(rename),
            Condition::And(parts) | Condition::Or(parts) => parts.iter_mut().for_each(|part| part.rename(rename)),
        }
    }
}

/// The column of the collection asked, or of what is joined by INNER, that a column of it means: of those that find something
/// the key is the column that refers to it, and the institution is one.
pub(crate) fn name_beside(join: &Join, column: &str) -> String {
    match join.kind {
        JoinKind::Inner if column == join.key => join.column.clone(),
        JoinKind::Inner if column == NODE_COLUMN => NODE_COLUMN.to_owned(),
        JoinKind::Inner | JoinKind::Left => join.name_of(column),
    }
}
