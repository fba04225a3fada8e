//! Findings about the columns of collections: ranges that nobody can fill, or that are finer than people are protected.

use super::{Found, Severity};
use crate::collection::{Calendar, Collection, Column, ColumnKind, Domain};
use crate::grant::Tier;
use crate::rule::Permission;

/// From so many people on, single years, days or numbers are finer than a group can be filled.
const PEOPLE_CAREFUL: u32 = 10;

/// More parts of one column than this are hardly filled anywhere: a year of weeks, and as much again.
const PARTS_SENSIBLE: usize = 100;

/// So many single numbers in a row are a measurement and not a scale such as a score or a stage.
const SINGLES_SENSIBLE: usize = 12;

impl Found<'_> {
    pub(super) fn collections(&mut self) {
        let rules = self.rules;
        for collection in rules.collections.values().filter(|collection| collection.personal) {
            for column in collection
                .columns
                .iter()
                .filter(|column| column.roles.group || column.roles.filter)
            {
                let policies = rules.of_collection(&collection.id).iter();
                let permissions = policies.flat_map(|policy| &policy.permissions);
                let listed = permissions.filter(|permission| permission.columns.contains(&column.name));
                let Some(people) = listed.filter_map(|permission| min_people(permission)).max() else {
                    continue;
                };
                self.parts(collection, column, people);
                self.empty_bins(collection, column);
            }
        }
    }

    fn parts(&mut self, collection: &Collection, column: &Column, people: u32) {
        let place = format!("collections/{}.toml, column {}", collection.id, column.name);
        let name = &column.name;
        let parts = match &column.domain {
            Some(Domain::Texts(texts)) => texts.len(),
            Some(Domain::Integers(numbers)) => numbers.len(),
            Some(Domain::Bins(edges)) => edges.len().saturating_sub(1),
            Some(Domain::Calendar(_)) | None => 0,
        };
        if parts > PARTS_SENSIBLE {
            let least = parts * people as usize;
            self.add(
                Severity::Warning,
                place.clone(),
                format!("{name} zerfällt in {parts} Teile; damit keiner unterdrückt wird, braucht eine Einrichtung {least} Menschen oder mehr"),
                format!("{name} falls into {parts} parts; an institution needs {least} people or more for none to be suppressed"),
            );
        }
        if people >= PEOPLE_CAREFUL && is_single(column) {
            self.add(
                Severity::Warning,
                place,
                format!("{name} ist so fein wie die Messung selbst, und eine Gruppe braucht {people} Menschen: gröbere Bereiche antworten öfter und schützen mehr"),
                format!("{name} is as fine as the measurement itself, and a group needs {people} people: coarser ranges answer more often and protect more"),
            );
        }
    }

    /// Ranges of whole numbers in which there is none, and ranges outside the limits of the column.
    fn empty_bins(&mut self, collection: &Collection, column: &Column) {
        let Some(Domain::Bins(edges)) = &column.domain else {
            return;
        };
        for pair in edges.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let no_number = column.kind == ColumnKind::Integer && low.ceil() >= high;
            let outside = column.bounds.is_some_and(|[least, most]| most < low || high <= least);
            if no_number || outside {
                let name = &column.name;
                self.add(
                    Severity::Warning,
                    format!("collections/{}.toml, column {name}", collection.id),
                    format!("in den Bereich von {low} bis unter {high} kann kein Wert von {name} fallen"),
                    format!("no value of {name} can fall into the range from {low} to under {high}"),
                );
            }
        }
    }
}

fn min_people(permission: &Permission) -> Option<u32> {
    match permission.disclosure.tier {
        Tier::Open => None,
        Tier::Statistical { min_people } => Some(min_people.get()),
    }
}

/// Whether each part is one whole number, one after the other, or one day.
fn is_single(column: &Column) -> bool {
    match &column.domain {
        Some(Domain::Calendar(unit)) => *unit == Calendar::Day,
        Some(Domain::Bins(edges)) => {
            let single = edges.windows(2).filter(|pair| pair[1] - pair[0] <= 1.0).count();
            column.kind == ColumnKind::Integer && single > SINGLES_SENSIBLE
        }
        Some(Domain::Integers(numbers)) => {
            let single = numbers
                .windows(2)
                .filter(|pair| pair[1].checked_sub(pair[0]) == Some(1))
                .count();
            single >= SINGLES_SENSIBLE
        }
        Some(Domain::Texts(_)) | None => false,
    }
}
