//! Data permits: a request that names one must be covered by it, so whatever a permit covers more is a gain.

use std::collections::BTreeSet;

use terms::{CollectionId, UtcTime};

use super::permission::{quota_within, quota_words};
use super::{Changes, moved};
use crate::collection::list;
use crate::lang::Lang;
use crate::permit::{OptOut, Permit, PermitKind};
use crate::rules::Rules;

pub(super) fn compare(before: &Rules, after: &Rules, at: UtcTime, changes: &mut Changes) {
    for (id, permit) in &after.permits {
        match before.permits.get(id) {
            Some(then) => Compared {
                before: then,
                after: permit,
                at,
            }
            .report(changes),
            None => changes.weigh(span(permit, at).is_some(), false, place(permit), |lang| {
                came(permit, lang)
            }),
        }
    }
    for permit in before
        .permits
        .values()
        .filter(|permit| !after.permits.contains_key(&permit.id))
    {
        changes.weigh(false, span(permit, at).is_some(), place(permit), |lang| {
            lang.pick(
                format!("Die Genehmigung für „{}“ gibt es nicht mehr.", permit.title),
                format!("The permit for \"{}\" is gone.", permit.title),
            )
        });
    }
}

fn place(permit: &Permit) -> String {
    format!("permits/{}.toml", permit.id)
}

/// From `at` on, the time in which a permit holds.
fn span(permit: &Permit, at: UtcTime) -> Option<(UtcTime, UtcTime)> {
    let from = permit.valid_from.max(at);
    let until = permit
        .withdrawn
        .map_or(permit.valid_until, |withdrawn| withdrawn.min(permit.valid_until));
    (from < until).then_some((from, until))
}

fn came(permit: &Permit, lang: Lang) -> String {
    let persons = list(
        permit
            .persons
            .iter()
            .map(|(member, person)| format!("{member}/{person}")),
    );
    let purposes = list(permit.purposes.iter().map(|purpose| lang.purpose_with_code(*purpose)));
    let columns: Vec<String> = permit
        .columns
        .iter()
        .map(|(id, columns)| format!("{id}: {}", list(columns)))
        .collect();
    let (title, columns) = (&permit.title, columns.join("; "));
    lang.pick(
        format!("Neue Genehmigung für „{title}“: {persons} zum Zweck {purposes} über {columns}."),
        format!("New permit for \"{title}\": {persons} for {purposes} about {columns}."),
    )
}

/// One permit before and after.
struct Compared<'a> {
    before: &'a Permit,
    after: &'a Permit,
    at: UtcTime,
}

impl Compared<'_> {
    fn report(&self, changes: &mut Changes) {
        let (b, a) = (self.before, self.after);
        let person = |(member, person): &&(terms::MemberId, terms::PersonId)| format!("{member}/{person}");
        let (came, went) = moved(&b.persons, &a.persons);
        self.list(
            changes,
            list(came.iter().map(person)),
            true,
            (
                "Unter der Genehmigung dürfen nun auch fragen",
                "Under the permit may now also ask",
            ),
        );
        self.list(
            changes,
            list(went.iter().map(person)),
            false,
            (
                "Unter der Genehmigung dürfen nicht mehr fragen",
                "Under the permit may no longer ask",
            ),
        );
        let (came, went) = moved(&b.purposes, &a.purposes);
        for (purposes, gains) in [(came, true), (went, false)] {
            for purpose in purposes {
                self.say(changes, gains, !gains, |lang| {
                    let purpose = lang.purpose_with_code(*purpose);
                    match gains {
                        true => lang.pick(
                            format!("Gilt nun auch zum Zweck {purpose}."),
                            format!("Is now also for {purpose}."),
                        ),
                        false => lang.pick(
                            format!("Gilt nicht mehr zum Zweck {purpose}."),
                            format!("Is no longer for {purpose}."),
                        ),
                    }
                });
            }
        }
        let (b_columns, a_columns) = (columns(b), columns(a));
        let (came, went) = moved(&b_columns, &a_columns);
        let column = |(collection, column): &&(&CollectionId, Option<&String>)| match column {
            Some(column) => format!("{collection}.{column}"),
            None => collection.to_string(),
        };
        self.list(
            changes,
            list(came.iter().map(column)),
            true,
            ("Fragen dürfen nun auch nutzen", "Questions may now also use"),
        );
        self.list(
            changes,
            list(went.iter().map(column)),
            false,
            ("Fragen dürfen nicht mehr nutzen", "Questions may no longer use"),
        );
        self.validity(changes);
        self.rest(changes);
    }

    /// Under a permit that holds neither before nor after, nothing is gained or lost.
    fn say(&self, changes: &mut Changes, gains: bool, loses: bool, say: impl Fn(Lang) -> String) {
        let gains = gains && span(self.after, self.at).is_some();
        let loses = loses && span(self.before, self.at).is_some();
        changes.weigh(gains, loses, place(self.after), say);
    }

    fn list(&self, changes: &mut Changes, items: String, gains: bool, (de, en): (&str, &str)) {
        if !items.is_empty() {
            self.say(changes, gains, !gains, |lang| {
                format!("{}: {items}.", lang.pick(de, en))
            });
        }
    }

    fn validity(&self, changes: &mut Changes) {
        let times = |permit: &Permit| (permit.valid_from, permit.valid_until, permit.withdrawn);
        if times(self.before) == times(self.after) {
            return;
        }
        let within = |inner: Option<(UtcTime, UtcTime)>, outer: Option<(UtcTime, UtcTime)>| {
            inner.is_none_or(|inner| outer.is_some_and(|outer| outer.0 <= inner.0 && inner.1 <= outer.1))
        };
        let (old, new) = (span(self.before, self.at), span(self.after, self.at));
        self.say(changes, !within(new, old), !within(old, new), |lang| {
            let words = |permit: &Permit| {
                let (from, until) = (permit.valid_from, permit.valid_until);
                let withdrawn = permit
                    .withdrawn
                    .map(|at| lang.pick(format!(", widerrufen zum {at}"), format!(", withdrawn from {at}")));
                lang.pick(format!("von {from} bis {until}"), format!("from {from} until {until}"))
                    + &withdrawn.unwrap_or_default()
            };
            let (old, new) = (words(self.before), words(self.after));
            lang.pick(
                format!("Gilt nun {new}, vorher {old}."),
                format!("Holds now {new}, before {old}."),
            )
        });
    }

    fn rest(&self, changes: &mut Changes) {
        let (b, a) = (self.before, self.after);
        if b.kind != a.kind {
            let gains = a.kind == PermitKind::DataPermit;
            self.say(changes, gains, !gains, |lang| match gains {
                true => lang
                    .pick(
                        "Ist nun eine Datengenehmigung: auch Zeilen sind möglich.",
                        "Is now a data permit: rows are possible too.",
                    )
                    .to_owned(),
                false => lang
                    .pick(
                        "Ist nun eine Datenanfrage: nur Statistik ist möglich.",
                        "Is now a data request: only statistics are possible.",
                    )
                    .to_owned(),
            });
        }
        if b.queries != a.queries {
            self.say(
                changes,
                !quota_within(a.queries, b.queries),
                !quota_within(b.queries, a.queries),
                |lang| {
                    let (old, new) = (quota_words(b.queries, lang), quota_words(a.queries, lang));
                    lang.pick(
                        format!("Alle ihre Personen zusammen dürfen nun {new} fragen, vorher {old}."),
                        format!("All its persons together may now ask {new}, before {old}."),
                    )
                },
            );
        }
        if b.linkage != a.linkage {
            self.say(changes, a.linkage, b.linkage, |lang| match a.linkage {
                true => lang
                    .pick(
                        "Menschen dürfen nun über Datensätze hinweg verknüpft werden.",
                        "People may now be linked across datasets.",
                    )
                    .to_owned(),
                false => lang
                    .pick(
                        "Menschen dürfen nicht mehr verknüpft werden.",
                        "People may no longer be linked.",
                    )
                    .to_owned(),
            });
        }
        if b.holder != a.holder {
            // Whether the holder still belongs decides whether the permit holds at all.
            self.say(changes, true, false, |lang| {
                lang.pick(
                    format!("Inhaberin ist nun {}, vorher {}.", a.holder, b.holder),
                    format!("Its holder is now {}, before {}.", a.holder, b.holder),
                )
            });
        }
        if b.acts_for != a.acts_for {
            let (was, is) = (b.acts_for.is_some(), a.acts_for.is_some());
            self.say(changes, is && !was, was && !is, |lang| {
                let none = lang.pick("niemanden", "nobody");
                let (old, new) = (b.acts_for.as_deref().unwrap_or(none), a.acts_for.as_deref().unwrap_or(none));
                lang.pick(
                    format!("Die Inhaberin handelt nun für {new}, vorher für {old}; davon hängen die öffentlichen Stellen vorbehaltenen Zwecke ab."),
                    format!("The holder now acts for {new}, before for {old}; purposes reserved to public bodies depend on it."),
                )
            });
        }
        if b.opt_out != a.opt_out {
            self.say(
                changes,
                !heeds(&a.opt_out, &b.opt_out),
                !heeds(&b.opt_out, &a.opt_out),
                |lang| {
                    let (old, new) = (opt_out(&b.opt_out, lang), opt_out(&a.opt_out, lang));
                    lang.pick(
                        format!("Widersprüche: {new}; vorher: {old}."),
                        format!("Opt-outs: {new}; before: {old}."),
                    )
                },
            );
        }
        if (&b.title, &b.issuer, b.issued) != (&a.title, &a.issuer, a.issued) {
            self.say(changes, false, false, |lang| {
                lang.pick(
                    "Titel, Aussteller oder Tag der Ausstellung ist anders.",
                    "Title, issuer or day of issue is different.",
                )
                .to_owned()
            });
        }
    }
}

/// Every column by collection, and each collection by itself: without a column one can still count.
fn columns(permit: &Permit) -> BTreeSet<(&CollectionId, Option<&String>)> {
    let mut all = BTreeSet::new();
    for (id, columns) in &permit.columns {
        all.insert((id, None));
        all.extend(columns.iter().map(|column| (id, Some(column))));
    }
    all
}

/// Whether everybody whom `before` leaves out is left out under `after` too. Between two times people opt out and take it
/// back, so no other rule is sure to.
fn heeds(after: &OptOut, before: &OptOut) -> bool {
    matches!(before, OptOut::Exempt { .. }) || after == before
}

fn opt_out(rule: &OptOut, lang: Lang) -> String {
    match rule {
        OptOut::AtQuery => lang
            .pick(
                "es gelten die zur Zeit der Frage",
                "those at the time of the question hold",
            )
            .to_owned(),
        OptOut::AsOf(at) => lang.pick(format!("es gelten die vom {at}"), format!("those of {at} hold")),
        OptOut::Exempt { reason } => lang.pick(
            format!("keine gelten, weil: {reason}"),
            format!("none hold, because: {reason}"),
        ),
    }
}
