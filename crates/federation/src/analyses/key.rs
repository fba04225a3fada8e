//! What rows are grouped by, as the collection declares it, and in which order its values stand.

use std::cmp::Ordering;

use policy::{Column, ColumnKind, Domain, NODE_COLUMN};

/// What rows are grouped by.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The column.
    pub name: String,
    /// The group in SQL.
    pub sql: String,
    /// Its declared values, in their order; none if any value can occur.
    pub levels: Vec<String>,
    /// The edges, where it is grouped by bins.
    pub edges: Vec<f64>,
    /// Whether its values are numbers.
    pub is_number: bool,
    /// Its unit, in UCUM.
    pub unit: Option<String>,
}

impl Key {
    /// The institution that answered.
    pub(super) fn node() -> Self {
        Self {
            name: NODE_COLUMN.to_owned(),
            sql: NODE_COLUMN.to_owned(),
            levels: Vec::new(),
            edges: Vec::new(),
            is_number: false,
            unit: None,
        }
    }

    pub(super) fn of(column: &Column) -> Self {
        let name = &column.name;
        let (mut sql, mut levels, mut edges) = (name.clone(), Vec::new(), Vec::new());
        match &column.domain {
            Some(Domain::Texts(texts)) => levels.clone_from(texts),
            Some(Domain::Integers(numbers)) => levels = numbers.iter().map(ToString::to_string).collect(),
            Some(Domain::Bins(bins)) => {
                sql = format!("bin({name})");
                levels = engine::bin_labels(bins);
                edges.clone_from(bins);
            }
            Some(Domain::Calendar(unit)) => sql = format!("date_trunc('{unit}', {name})"),
            None if column.kind == ColumnKind::Boolean => levels = vec!["false".to_owned(), "true".to_owned()],
            None => {}
        }
        let is_number = matches!(column.kind, ColumnKind::Integer | ColumnKind::Number);
        Self {
            name: name.clone(),
            sql,
            levels,
            edges,
            is_number,
            unit: column.unit.clone(),
        }
    }

    /// How two values stand: declared ones in their order, then numbers by size, then texts; what is not known is last.
    pub fn order(&self, one: Option<&str>, other: Option<&str>) -> Ordering {
        let (Some(one), Some(other)) = (one, other) else {
            return one.is_none().cmp(&other.is_none());
        };
        let declared = |level: &str| {
            self.levels
                .iter()
                .position(|known| known == level)
                .unwrap_or(usize::MAX)
        };
        let number = |level: &str| level.parse().ok().filter(|_| self.is_number).unwrap_or(f64::INFINITY);
        let declared = declared(one).cmp(&declared(other));
        declared.then_with(|| number(one).total_cmp(&number(other)).then_with(|| one.cmp(other)))
    }

    /// The number that a value is, or the edges of the bin that it names.
    pub fn range(&self, level: &str) -> Option<[f64; 2]> {
        if self.edges.is_empty() {
            let number = level.parse().ok().filter(|_| self.is_number)?;
            return Some([number, number]);
        }
        let at = self.levels.iter().position(|known| known == level)?;
        Some([self.edges[at], self.edges[at + 1]])
    }
}
