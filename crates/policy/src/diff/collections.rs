//! Harmonised schemas: what a question may do with a column, how finely, and which rows a row filter leaves.
//!
//! A column or filter that no permission names changes nothing, and a column of a permission is compared with the
//! permission.

use std::collections::BTreeSet;

use terms::CollectionId;

use super::Changes;
use super::eased::keeps_filter;
use super::permission::unlike;
use crate::collection::{Collection, Column, ColumnRoles, Domain, RowFilter, list};
use crate::lang::Lang;
use crate::rules::Rules;

pub(super) fn compare(before: &Rules, after: &Rules, changes: &mut Changes) {
    for (id, collection) in &after.collections {
        match before.collections.get(id) {
            Some(then) => Compared::new(then, collection, after).report(changes),
            None => changes.weigh(false, false, place(id), |lang| {
                lang.pick(
                    format!(
                        "Die Sammlung {} ist neu; was man sie fragen darf, sagen Richtlinien.",
                        collection.title
                    ),
                    format!(
                        "Collection {} is new; policies say what may be asked of it.",
                        collection.title
                    ),
                )
            }),
        }
    }
    for (id, collection) in before
        .collections
        .iter()
        .filter(|(id, _)| !after.collections.contains_key(*id))
    {
        changes.weigh(false, false, place(id), |lang| {
            lang.pick(
                format!("Die Sammlung {} gibt es nicht mehr.", collection.title),
                format!("Collection {} is gone.", collection.title),
            )
        });
    }
}

fn place(id: &CollectionId) -> String {
    format!("collections/{id}.toml")
}

/// One collection before and after.
struct Compared<'a> {
    before: &'a Collection,
    after: &'a Collection,
    /// Columns and filters that permissions name after the change.
    columns: BTreeSet<&'a str>,
    filters: BTreeSet<&'a str>,
}

impl<'a> Compared<'a> {
    fn new(before: &'a Collection, after: &'a Collection, rules: &'a Rules) -> Self {
        let permissions = || {
            rules
                .of_collection(&after.id)
                .iter()
                .flat_map(|policy| &policy.permissions)
        };
        Self {
            before,
            after,
            columns: permissions()
                .flat_map(|rule| &rule.columns)
                .map(String::as_str)
                .collect(),
            filters: permissions()
                .filter_map(|rule| Some(rule.rows.as_ref()?.name.as_str()))
                .collect(),
        }
    }

    fn report(&self, changes: &mut Changes) {
        let place = place(&self.after.id);
        self.people(&place, changes);
        if self.before.title != self.after.title {
            changes.weigh(false, false, &place, |lang| {
                lang.pick(
                    format!("Heißt nun {}.", self.after.title),
                    format!("Is now called {}.", self.after.title),
                )
            });
        }
        if self.before.key != self.after.key {
            // What refers to the collection says itself that it does; another key finds other rows.
            let other = self.before.key.is_some() && self.after.key.is_some();
            changes.weigh(other, other, &place, |lang| {
                let words = |key: &Option<String>| match key {
                    Some(key) => key.clone(),
                    None => lang.pick("keine Spalte", "no column").to_owned(),
                };
                let (old, new) = (words(&self.before.key), words(&self.after.key));
                lang.pick(
                    format!("Der Schlüssel, über den andere Sammlungen ihre Zeilen hiermit verbinden, ist nun {new}, vorher {old}."),
                    format!("The key by which other collections join their rows to these is now {new}, before {old}."),
                )
            });
        }
        for column in &self.after.columns {
            let place = format!("{place}, column {}", column.name);
            match self.before.column(&column.name) {
                Some(then) => self.column(then, column, &place, changes),
                None => changes.weigh(false, false, &place, |lang| {
                    lang.pick(
                        "Die Spalte ist neu; Erlaubnisse sagen, wer sie nutzen darf.",
                        "The column is new; permissions say who may use it.",
                    )
                    .to_owned()
                }),
            }
        }
        for column in self
            .before
            .columns
            .iter()
            .filter(|column| self.after.column(&column.name).is_none())
        {
            changes.weigh(false, false, format!("{place}, column {}", column.name), |lang| {
                lang.pick("Die Spalte gibt es nicht mehr.", "The column is gone.")
                    .to_owned()
            });
        }
        self.row_filters(&place, changes);
    }

    /// Who is protected, and how.
    fn people(&self, place: &str, changes: &mut Changes) {
        let (b, a) = (self.before, self.after);
        if b.personal != a.personal {
            changes.weigh(b.personal, a.personal, place, |lang| match a.personal {
                false => lang.pick(
                    "Die Daten gelten nicht mehr als Daten über Menschen: der Schutz von Personen entfällt.",
                    "The data no longer count as data about people: the protection of persons does not apply any more.",
                )
                .to_owned(),
                true => lang.pick("Die Daten gelten nun als Daten über Menschen.", "The data now count as data about people.").to_owned(),
            });
        } else if b.privacy_unit != a.privacy_unit {
            changes.weigh(true, false, place, |lang| {
                let name = |unit: &Option<String>| unit.clone().unwrap_or_default();
                let (old, new) = (name(&b.privacy_unit), name(&a.privacy_unit));
                lang.pick(
                    format!(
                        "Menschen werden nun nach {new} gezählt, vorher nach {old}: das lässt sich nicht vergleichen."
                    ),
                    format!("People are now counted by {new}, before by {old}: this cannot be compared."),
                )
            });
        }
        if b.rows_per_person_max != a.rows_per_person_max {
            let within = |inner: Option<u32>, outer: Option<u32>| {
                outer.is_none_or(|outer| inner.is_some_and(|inner| inner <= outer))
            };
            let (old, new) = (b.rows_per_person_max, a.rows_per_person_max);
            changes.weigh(!within(new, old), !within(old, new), place, |lang| {
                let words = |rows: Option<u32>| {
                    rows.map_or_else(
                        || lang.pick("beliebig viele", "any number of").to_owned(),
                        |rows| rows.to_string(),
                    )
                };
                let (old, new) = (words(old), words(new));
                lang.pick(
                    format!("Ein Mensch darf nun {new} Zeilen haben, vorher {old}."),
                    format!("One person may now have {new} rows, before {old}."),
                )
            });
        }
    }

    fn column(&self, before: &Column, after: &Column, place: &str, changes: &mut Changes) {
        let used = self.columns.contains(after.name.as_str());
        if before.kind != after.kind {
            changes.weigh(used, false, place, |lang| {
                lang.pick(
                    format!(
                        "Die Art der Spalte ist nun {}, vorher {}: das lässt sich nicht vergleichen.",
                        after.kind, before.kind
                    ),
                    format!(
                        "The column's type is now {}, before {}: this cannot be compared.",
                        after.kind, before.kind
                    ),
                ) + idle(used, lang)
            });
        }
        roles(before.roles, after.roles, used, place, changes);
        if before.domain != after.domain {
            domain(before, after, used, place, changes);
        }
        if before.bounds != after.bounds {
            let within = |inner: Option<[f64; 2]>, outer: Option<[f64; 2]>| {
                outer.is_none_or(|[low, high]| inner.is_some_and(|inner| low <= inner[0] && inner[1] <= high))
            };
            let gains = used && !within(after.bounds, before.bounds);
            let loses = used && !within(before.bounds, after.bounds);
            changes.weigh(gains, loses, place, |lang| {
                let words = |bounds: Option<[f64; 2]>| match bounds {
                    Some([low, high]) => lang.pick(format!("von {low} bis {high}"), format!("from {low} to {high}")),
                    None => lang.pick("ohne Grenzen", "without bounds").to_owned(),
                };
                let (old, new) = (words(before.bounds), words(after.bounds));
                lang.pick(
                    format!("Werte gehen nun {new} ein, vorher {old}."),
                    format!("Values now count {new}, before {old}."),
                ) + idle(used, lang)
            });
        }
        if before.references != after.references {
            // Whatever permissions name: along a person's column queries join without naming it.
            changes.weigh(after.references.is_some(), before.references.is_some(), place, |lang| {
                let words = |to: &Option<CollectionId>| match to {
                    Some(to) => lang.pick(format!("mit {to}"), format!("to {to}")),
                    None => lang.pick("mit keiner Sammlung", "to no collection").to_owned(),
                };
                let (old, new) = (words(&before.references), words(&after.references));
                lang.pick(
                    format!("Fragen dürfen die Zeilen über diese Spalte nun {new} verbinden, vorher {old}."),
                    format!("Questions may now join the rows along this column {new}, before {old}."),
                )
            });
        }
        if (&before.unit, &before.code) != (&after.unit, &after.code) {
            changes.weigh(false, false, place, |lang| {
                lang.pick(
                    "Einheit oder Kodierung ist anders beschrieben.",
                    "Unit or code is described differently.",
                )
                .to_owned()
            });
        }
    }

    fn row_filters(&self, place: &str, changes: &mut Changes) {
        let names: BTreeSet<&String> = self.before.filters.keys().chain(self.after.filters.keys()).collect();
        for name in names {
            let (old, new) = (self.before.filters.get(name), self.after.filters.get(name));
            if old == new {
                continue;
            }
            let used = self.filters.contains(name.as_str());
            // Whoever named a filter that is new named no other by that name before: that is compared with permissions.
            let both = used && old.is_some() && new.is_some();
            let (gains, loses) = (both && !keeps_filter(old, new), both && !keeps_filter(new, old));
            changes.weigh(gains, loses, format!("{place}, filter {name}"), |lang| {
                let words = |filter: Option<&RowFilter>| match filter {
                    Some(filter) => lang.row_filter(filter),
                    None => lang.pick("kein solcher Filter", "no such filter").to_owned(),
                };
                let (old, new, unlike) = (words(old), words(new), unlike(gains && loses, lang));
                lang.pick(
                    format!("Der Filter {name} ist nun: {new}. Vorher: {old}.{unlike}"),
                    format!("Filter {name} is now: {new}. Before: {old}.{unlike}"),
                )
            });
        }
    }
}

/// What is added where no permission names a column.
fn idle(used: bool, lang: Lang) -> &'static str {
    match used {
        true => "",
        false => lang.pick(" Keine Erlaubnis nennt die Spalte.", " No permission names the column."),
    }
}

fn roles(before: ColumnRoles, after: ColumnRoles, used: bool, place: &str, changes: &mut Changes) {
    let names = [
        ("Gruppieren", "grouping"),
        ("Filtern", "filtering"),
        ("Summieren und Mitteln", "sums and means"),
    ];
    let each = |roles: ColumnRoles| [roles.group, roles.filter, roles.measure];
    for ((was, is), (de, en)) in each(before).into_iter().zip(each(after)).zip(names) {
        if was == is {
            continue;
        }
        changes.weigh(used && is, used && was, place, |lang| {
            let text = match is {
                true => lang.pick(
                    format!("Die Spalte darf nun auch zum {de} genutzt werden."),
                    format!("The column may now also be used for {en}."),
                ),
                false => lang.pick(
                    format!("Die Spalte darf nicht mehr zum {de} genutzt werden."),
                    format!("The column may no longer be used for {en}."),
                ),
            };
            text + idle(used, lang)
        });
    }
    if before.identifier != after.identifier {
        changes.weigh(used && before.identifier, after.identifier, place, |lang| {
            match after.identifier {
                true => lang
                    .pick(
                        "Die Spalte ist nun Kennung: keine Frage kann sie nutzen, und Zeilen zeigen sie nur als Pseudonym.",
                        "The column is now an identifier: no question can use it, and rows show it as a pseudonym only.",
                    )
                    .to_owned(),
                false => {
                    lang.pick(
                        "Die Spalte ist keine Kennung mehr.",
                        "The column is no longer an identifier.",
                    )
                    .to_owned()
                        + idle(used, lang)
                }
            }
        });
    }
}

/// How finely a question may ask.
fn domain(before: &Column, after: &Column, used: bool, place: &str, changes: &mut Changes) {
    let (old, new) = (before.domain.as_ref(), after.domain.as_ref());
    let (gains, loses) = (!is_within(new, old), !is_within(old, new));
    if !gains && !loses {
        // The same values in another order.
        return;
    }
    changes.weigh(used && gains, used && loses, place, |lang| {
        let (came, went) = (
            list(parts(new).difference(&parts(old))),
            list(parts(old).difference(&parts(new))),
        );
        let (described_old, described_new) = (before.describe_domain(), after.describe_domain());
        let text = match (came.is_empty(), went.is_empty()) {
            (false, true) if old.is_some() => lang.pick(
                format!("Fragen dürfen nun feiner oder weiter unterscheiden: {came}."),
                format!("Questions may now tell more apart: {came}."),
            ),
            (true, false) if new.is_some() => lang.pick(
                format!("Fragen dürfen nicht mehr unterscheiden: {went}."),
                format!("Questions may no longer tell apart: {went}."),
            ),
            _ => lang.pick(
                format!("Unterschieden wird nun: {described_new}; vorher: {described_old}."),
                format!("What is told apart is now: {described_new}; before: {described_old}."),
            ),
        };
        text + idle(used, lang)
    });
}

/// What a domain tells apart, each in words.
fn parts(domain: Option<&Domain>) -> BTreeSet<String> {
    match domain {
        None => BTreeSet::new(),
        Some(Domain::Texts(texts)) => texts.iter().map(|text| format!("{text:?}")).collect(),
        Some(Domain::Integers(numbers)) => numbers.iter().map(ToString::to_string).collect(),
        Some(Domain::Bins(edges)) => edges.iter().map(ToString::to_string).collect(),
        Some(Domain::Calendar(unit)) => [unit.to_string()].into(),
    }
}

/// Whether `inner` tells nothing apart that `outer` does not. No domain tells everything apart.
fn is_within(inner: Option<&Domain>, outer: Option<&Domain>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(Domain::Calendar(inner)), Some(Domain::Calendar(outer))) => inner.is_union_of(*outer),
        (Some(Domain::Texts(inner)), Some(Domain::Texts(outer))) => inner.iter().all(|text| outer.contains(text)),
        (Some(Domain::Integers(inner)), Some(Domain::Integers(outer))) => {
            inner.iter().all(|number| outer.contains(number))
        }
        (Some(Domain::Bins(inner)), Some(Domain::Bins(outer))) => inner.iter().all(|edge| outer.contains(edge)),
        (Some(_), Some(_)) => false,
    }
}
