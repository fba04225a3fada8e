//! A collection: the harmonised schema that datasets of many nodes conform to and that federated SQL names.
//!
//! The types hold what `collection/parse.rs` has checked; nothing else makes them from text. They must never know
//! where a node keeps its data. Next: `rule.rs`, which names columns and filters of a collection.

mod parse;
mod references;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use terms::CollectionId;

pub(crate) use parse::parse;
pub(crate) use references::require_keys;

/// The virtual column of every collection: the institution that answered. No collection may declare it; a permission
/// may list it, and then queries may group by it.
pub const NODE_COLUMN: &str = "node";

/// A harmonised schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// Its identifier; the file's name.
    pub id: CollectionId,
    /// What people call it.
    pub title: String,
    /// Whether its rows are about people. Only when they are not is the open tier possible.
    pub personal: bool,
    /// The identifier column that tells one person from another; always there when `personal`.
    pub privacy_unit: Option<String>,
    /// The most rows that one person may have at one node.
    pub rows_per_person_max: Option<u32>,
    /// Of data without people: the column of which no two rows have the same value, so that others can refer to it.
    pub key: Option<String>,
    /// Its columns in the order of the file.
    pub columns: Vec<Column>,
    /// The row filters that policies may name.
    pub filters: BTreeMap<String, RowFilter>,
}

impl Collection {
    /// The column of this name. The virtual column [`NODE_COLUMN`] is not one of them.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column by which a row of another collection finds at most one of this: the declared key, or the person where
    /// nobody has a second row.
    pub fn join_key(&self) -> Option<&Column> {
        let name = match self.personal {
            true => self
                .privacy_unit
                .as_ref()
                .filter(|_| self.rows_per_person_max == Some(1)),
            false => self.key.as_ref(),
        };
        self.column(name?)
    }

    /// Whether queries join along the column: then they use it, also if it has no other role.
    pub fn is_joined_along(&self, column: &Column) -> bool {
        column.references.is_some() || self.key.as_ref() == Some(&column.name)
    }

    /// Its name in SQL.
    pub fn sql_name(&self) -> String {
        self.id.sql_name()
    }
}

/// Which rows exist for a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFilter {
    /// Those for which this SQL condition over the node's columns is true. This crate does not read it.
    Sql(String),
    /// Those of people who, at the time of the query, consent to all of these provisions, by code, in the consents that
    /// the node keeps for the collection. For the broad consent of the German Medical Informatics Initiative these are
    /// OIDs such as `2.16.840.1.113883.3.1937.777.24.5.3.8` (scientific use of medical data).
    Consent(BTreeSet<String>),
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// Its type.
    pub kind: ColumnKind,
    /// What a query may do with it.
    pub roles: ColumnRoles,
    /// What its values may be, or how they are binned. Always there for group and filter columns of personal data,
    /// except for booleans, which need none.
    pub domain: Option<Domain>,
    /// Lowest and highest value of a measure.
    pub bounds: Option<[f64; 2]>,
    /// Its unit, in UCUM.
    pub unit: Option<String>,
    /// What it means, as a code of a terminology.
    pub code: Option<String>,
    /// The collection whose key its values are: along it, and only along it, queries may join the two.
    pub references: Option<CollectionId>,
}

impl Column {
    /// Its domain in words, for messages: `bin edges 18, 40, 50`, `values "1", "2"`.
    pub fn describe_domain(&self) -> String {
        match (&self.domain, self.kind) {
            (Some(Domain::Texts(texts)), _) => format!("values {}", list(texts.iter().map(|text| format!("{text:?}")))),
            (Some(Domain::Integers(numbers)), _) => format!("values {}", list(numbers)),
            (Some(Domain::Bins(edges)), _) => format!("bin edges {}", list(edges)),
            (Some(Domain::Calendar(unit)), _) => format!("whole {unit}s: date_trunc('{unit}', {})", self.name),
            (None, ColumnKind::Boolean) => "values true, false".to_owned(),
            (None, kind) => format!("any {kind}"),
        }
    }
}

/// Joins with commas.
pub(crate) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Unicode text.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Number,
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A point in time, UTC.
    Timestamp,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnKind::Text => "text",
            ColumnKind::Integer => "integer",
            ColumnKind::Number => "number",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Date => "date",
            ColumnKind::Timestamp => "timestamp",
        })
    }
}

/// What a query may do with a column. An identifier has no other role and can be used nowhere in a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnRoles {
    /// Tells people, cases or places apart; for the node's own use.
    pub identifier: bool,
    /// GROUP BY.
    pub group: bool,
    /// WHERE.
    pub filter: bool,
    /// Inside sum, avg and the like.
    pub measure: bool,
}

impl ColumnRoles {
    /// Whether a query may use the column for anything.
    pub fn any_query(self) -> bool {
        self.group || self.filter || self.measure
    }
}

/// The finite domain of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// These texts, in the order of the file.
    Texts(Vec<String>),
    /// These integers, in the order of the file.
    Integers(Vec<i64>),
    /// Half-open bins between ascending, finite edges; at least two.
    Bins(Vec<f64>),
    /// Calendar units, UTC.
    Calendar(Calendar),
}

/// A calendar unit, as `date_trunc` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calendar {
    /// A day.
    Day,
    /// A week from Monday.
    Week,
    /// A month.
    Month,
    /// Three months from January.
    Quarter,
    /// A year.
    Year,
}

impl Calendar {
    /// Every unit, finest first.
    pub(crate) const ALL: [Calendar; 5] = [
        Calendar::Day,
        Calendar::Week,
        Calendar::Month,
        Calendar::Quarter,
        Calendar::Year,
    ];

    /// Whether every period of this unit is made of whole periods of `fine`. Weeks cut through months and years.
    pub fn is_union_of(self, fine: Calendar) -> bool {
        self == fine || self > fine && fine != Calendar::Week
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Calendar::Day => "day",
            Calendar::Week => "week",
            Calendar::Month => "month",
            Calendar::Quarter => "quarter",
            Calendar::Year => "year",
        })
    }
}
