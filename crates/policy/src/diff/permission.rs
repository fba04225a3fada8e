//! How one permission differs from what it was, in sentences. Whether anybody gains or loses by it is not for this
//! file to say: `diff/policies.rs` asks `diff/cells.rs`.

use std::collections::BTreeSet;

use super::eased::{Obligation, Permitting, is_kept, keeps_dominance, keeps_filter, keeps_rounding, keeps_transform};
use super::{moved, times};
use crate::collection::{RowFilter, list};
use crate::disclosure::{Dominance, Quota, Zeros};
use crate::grant::Release;
use crate::lang::Lang;
use crate::matrix::conditions;
use crate::rule::{Assignee, Permission, RowScope};
use crate::window::Window;

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Which requests are answered.
    Access,
    /// What binds an answer.
    Obligation(Obligation),
}

/// One difference of a permission.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) part: Part,
    /// Taken alone, it lets more through.
    pub(super) gains: bool,
    /// Taken alone, it lets less through.
    pub(super) loses: bool,
    /// Otherwise it is said of the policy, or of the collection.
    pub(super) said_here: bool,
    de: String,
    en: String,
}

impl Difference {
    fn new(part: Part, gains: bool, loses: bool, say: impl Fn(Lang) -> String) -> Self {
        Self {
            part,
            gains,
            loses,
            said_here: true,
            de: say(Lang::De),
            en: say(Lang::En),
        }
    }

    fn access(gains: bool, loses: bool, say: impl Fn(Lang) -> String) -> Self {
        Self::new(Part::Access, gains, loses, say)
    }

    fn elsewhere(self) -> Self {
        Self {
            said_here: false,
            ..self
        }
    }

    /// The sentence; `idle` if nobody gains or loses by it.
    pub(super) fn say(&self, idle: bool, lang: Lang) -> String {
        let text = lang.pick(&self.de, &self.en);
        match idle {
            true => format!(
                "{text} {}",
                lang.pick(
                    "Ohne Wirkung neben den anderen Regeln.",
                    "Without effect beside the other rules."
                )
            ),
            false => text.clone(),
        }
    }
}

/// Where a permission stands.
pub(super) fn place(rule: Permitting<'_>) -> String {
    format!("{}, permission {}", rule.policy.path, rule.permission.id)
}

/// Every difference between a permission and what it was.
pub(super) fn differences(before: Permitting<'_>, after: Permitting<'_>) -> Vec<Difference> {
    let (b, a) = (before.permission, after.permission);
    let whom = |lang| conditions::assignee(&a.assignee, lang);
    let mut all = Vec::new();
    all.extend(assignee(&b.assignee, &a.assignee));
    all.extend(purposes(b, a, &whom));
    all.extend(columns(b, a, &whom));
    all.extend(release(b, a, &whom));
    all.extend(permit(b, a, &whom));
    all.extend(windows(&b.windows, &a.windows, &whom));
    all.extend(quota(b.disclosure.queries, a.disclosure.queries));
    all.extend(tier(b, a));
    all.extend(rows(b.rows.as_ref(), a.rows.as_ref()));
    all.extend(transforms(b, a));
    all.extend(models(b, a));
    all.extend(dominance(b.disclosure.dominance, a.disclosure.dominance));
    all.extend(p_percent(b.disclosure.p_percent, a.disclosure.p_percent));
    all.extend(rounding(b.disclosure.round_to, a.disclosure.round_to));
    all.extend(zeros(b.disclosure.zeros, a.disclosure.zeros));
    all.extend(duties(before, after));
    all
}

/// Says a thing in a language.
type Say<'a> = &'a dyn Fn(Lang) -> String;

fn assignee(before: &Assignee, after: &Assignee) -> Option<Difference> {
    let (gains, loses) = (!means_at_most(after, before), !means_at_most(before, after));
    (gains || loses).then(|| {
        Difference::access(gains, loses, |lang| {
            let (old, new) = (conditions::assignee(before, lang), conditions::assignee(after, lang));
            lang.pick(
                format!("Gilt nun für {new}, vorher für {old}."),
                format!("Is now for {new}, before for {old}."),
            )
        })
    })
}

/// Whether everybody whom `inner` means is meant by `outer`, as far as their names say.
fn means_at_most(inner: &Assignee, outer: &Assignee) -> bool {
    fn within<T: Ord>(inner: Option<&BTreeSet<T>>, outer: Option<&BTreeSet<T>>) -> bool {
        outer.is_none_or(|outer| inner.is_some_and(|inner| inner.is_subset(outer)))
    }
    within(inner.roles.as_ref(), outer.roles.as_ref())
        && within(inner.members.as_ref(), outer.members.as_ref())
        && within(inner.persons.as_ref(), outer.persons.as_ref())
}

fn purposes(before: &Permission, after: &Permission, whom: Say<'_>) -> Vec<Difference> {
    let (came, went) = moved(&before.purposes, &after.purposes);
    let names = |lang: Lang, purposes: &[&terms::Purpose]| {
        list(purposes.iter().map(|purpose| lang.purpose_with_code(**purpose)))
    };
    let mut all = Vec::new();
    if !came.is_empty() {
        all.push(Difference::access(true, false, |lang| {
            let (whom, names) = (whom(lang), names(lang, &came));
            lang.pick(
                format!("Für {whom}: Fragen sind nun auch erlaubt zum Zweck {names}."),
                format!("For {whom}: questions are now also permitted for {names}."),
            )
        }));
    }
    if !went.is_empty() {
        all.push(Difference::access(false, true, |lang| {
            let (whom, names) = (whom(lang), names(lang, &went));
            lang.pick(
                format!("Für {whom}: Fragen sind nicht mehr erlaubt zum Zweck {names}."),
                format!("For {whom}: questions are no longer permitted for {names}."),
            )
        }));
    }
    all
}

fn columns(before: &Permission, after: &Permission, whom: Say<'_>) -> Vec<Difference> {
    let (came, went) = moved(&before.columns, &after.columns);
    let mut all = Vec::new();
    if !came.is_empty() {
        all.push(Difference::access(true, false, |lang| {
            let shown = came.iter().map(|name| conditions::column_shown(after, name, lang));
            let (whom, names) = (whom(lang), list(shown));
            lang.pick(
                format!("Für {whom}: Fragen dürfen nun auch {names} nutzen."),
                format!("For {whom}: questions may now also ask about {names}."),
            )
        }));
    }
    if !went.is_empty() {
        all.push(Difference::access(false, true, |lang| {
            let (whom, names) = (whom(lang), list(&went));
            lang.pick(
                format!("Für {whom}: Fragen dürfen {names} nicht mehr nutzen."),
                format!("For {whom}: questions may no longer ask about {names}."),
            )
        }));
    }
    all
}

fn release(before: &Permission, after: &Permission, whom: Say<'_>) -> Option<Difference> {
    let gains = before.release < after.release;
    (before.release != after.release).then(|| {
        Difference::access(gains, !gains, |lang| {
            let whom = whom(lang);
            let (more, less) = match gains {
                true => (after.release, before.release),
                false => (before.release, after.release),
            };
            let (more, less) = (one_kind(more, lang), up_to(less, lang));
            match gains {
                true => {
                    let rules = match before.models {
                        None => conditions::models(after, lang).map_or_else(String::new, |rules| format!(" ({rules})")),
                        Some(_) => String::new(),
                    };
                    lang.pick(
                        format!("Für {whom}: auch {more} dürfen nun hinaus, nicht nur {less}{rules}."),
                        format!("For {whom}: {more} may now leave too, not only {less}{rules}."),
                    )
                }
                false => lang.pick(
                    format!("Für {whom}: {more} dürfen nicht mehr hinaus, nur {less}."),
                    format!("For {whom}: {more} may no longer leave, only {less}."),
                ),
            }
        })
    })
}

fn one_kind(release: Release, lang: Lang) -> &'static str {
    match release {
        Release::Rows => lang.pick("einzelne Zeilen", "single rows"),
        Release::Models | Release::Aggregates => lang.release(release),
    }
}

fn up_to(release: Release, lang: Lang) -> &'static str {
    match release {
        Release::Models => lang.pick("Modelle und Statistik", "models and statistics"),
        Release::Rows | Release::Aggregates => one_kind(release, lang),
    }
}

fn permit(before: &Permission, after: &Permission, whom: Say<'_>) -> Option<Difference> {
    (before.permit_required != after.permit_required).then(|| {
        Difference::access(before.permit_required, after.permit_required, |lang| {
            let whom = whom(lang);
            match after.permit_required {
                false => lang.pick(
                    format!("Für {whom}: dafür ist keine Datengenehmigung mehr nötig."),
                    format!("For {whom}: this no longer needs a data permit."),
                ),
                true => lang.pick(
                    format!("Für {whom}: dafür ist nun eine Datengenehmigung nötig."),
                    format!("For {whom}: this now needs a data permit."),
                ),
            }
        })
    })
}

fn windows(before: &[Window], after: &[Window], whom: Say<'_>) -> Option<Difference> {
    let (gains, loses) = (!times::within(after, before), !times::within(before, after));
    let zones: BTreeSet<&str> = before.iter().chain(after).map(Window::zone).collect();
    (gains || loses).then(|| {
        Difference::access(gains, loses, |lang| {
            let any = lang.pick("jederzeit", "at any time").to_owned();
            let words = |windows: &[Window]| match windows.is_empty() {
                true => any.clone(),
                false => windows
                    .iter()
                    .map(|window| lang.window(window))
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            let (whom, old, new) = (whom(lang), words(before), words(after));
            let zones = match zones.len() > 1 {
                true => lang.pick(
                    " Uhren verschiedener Zeitzonen lassen sich nicht vergleichen.",
                    " Clocks of different time zones cannot be compared.",
                ),
                false => "",
            };
            lang.pick(
                format!("Für {whom}: Fragen werden nun {new} beantwortet, vorher {old}.{zones}"),
                format!("For {whom}: questions are now answered {new}, before {old}.{zones}"),
            )
        })
    })
}

/// Whether `inner` lets nothing through that `outer` does not. No number is no limit.
pub(super) fn quota_within(inner: Quota, outer: Quota) -> bool {
    let within =
        |inner: Option<u32>, outer: Option<u32>| outer.is_none_or(|outer| inner.is_some_and(|inner| inner <= outer));
    within(inner.per_minute, outer.per_minute) && within(inner.per_week, outer.per_week)
}

pub(super) fn quota_words(quota: Quota, lang: Lang) -> String {
    let any = || lang.pick("beliebig oft", "as often as they like").to_owned();
    lang.quota(quota).unwrap_or_else(any)
}

fn quota(before: Quota, after: Quota) -> Option<Difference> {
    (before != after).then(|| {
        Difference::access(!quota_within(after, before), !quota_within(before, after), |lang| {
            let (old, new) = (quota_words(before, lang), quota_words(after, lang));
            lang.pick(
                format!("Eine Person darf nun {new} fragen, vorher {old}."),
                format!("One person may now ask {new}, before {old}."),
            )
        })
    })
}

fn tier(before: &Permission, after: &Permission) -> Option<Difference> {
    let (old, new) = (before.disclosure.tier, after.disclosure.tier);
    (old != new).then(|| {
        Difference::new(Part::Obligation(Obligation::Tier), new < old, old < new, |lang| {
            let (old, new) = (
                conditions::protection(before, lang),
                conditions::protection(after, lang),
            );
            lang.pick(
                format!("Schutz ist nun: {new}. Vorher: {old}."),
                format!("Protection is now: {new}. Before: {old}."),
            )
        })
    })
}

fn rows(before: Option<&RowScope>, after: Option<&RowScope>) -> Option<Difference> {
    let (old, new) = (before.map(|rows| &rows.filter), after.map(|rows| &rows.filter));
    if old == new {
        return None;
    }
    let (gains, loses) = (!keeps_filter(old, new), !keeps_filter(new, old));
    let said = Difference::new(Part::Obligation(Obligation::Rows), gains, loses, |lang| {
        let words = |filter: Option<&RowFilter>| match filter {
            Some(filter) => lang.row_filter(filter),
            None => lang.pick("alle Zeilen", "all rows").to_owned(),
        };
        let (old, new) = (words(old), words(new));
        let unlike = unlike(gains && loses, lang);
        lang.pick(
            format!("Zugrunde liegen nun {new}; vorher {old}.{unlike}"),
            format!("Answers now come from {new}; before from {old}.{unlike}"),
        )
    });
    // The same name for something else: the collection has changed, and says so.
    let of_collection = before.map(|rows| &rows.name) == after.map(|rows| &rows.name);
    Some(if of_collection { said.elsewhere() } else { said })
}

/// What is added where two conditions cannot be held against each other.
pub(super) fn unlike(unlike: bool, lang: Lang) -> &'static str {
    match unlike {
        true => lang.pick(
            " Beides lässt sich nicht vergleichen: es können andere Zeilen sein.",
            " The two cannot be compared: it may be other rows.",
        ),
        false => "",
    }
}

/// Of columns that are permitted before and after; the others come or go as they are shown.
fn transforms(before: &Permission, after: &Permission) -> Vec<Difference> {
    let both = before.columns.intersection(&after.columns);
    both.filter_map(|name| {
        let (old, new) = (
            before.transforms.get(name).copied(),
            after.transforms.get(name).copied(),
        );
        let (gains, loses) = (!keeps_transform(old, new), !keeps_transform(new, old));
        (old != new).then(|| {
            Difference::new(Part::Obligation(Obligation::Transforms), gains, loses, |lang| {
                let words = |shown| conditions::shown_as(shown, lang);
                let (old, new) = (words(old), words(new));
                let unlike = match gains && loses {
                    true => lang.pick(" Beides lässt sich nicht vergleichen.", " The two cannot be compared."),
                    false => "",
                };
                lang.pick(
                    format!("Von {name} ist nun zu sehen: {new}; vorher: {old}.{unlike}"),
                    format!("Of {name} is now shown: {new}; before: {old}.{unlike}"),
                )
            })
        })
    })
    .collect()
}

/// Of models that are permitted before and after: the rules that differ.
fn models(before: &Permission, after: &Permission) -> Option<Difference> {
    let (old, new) = (before.models.as_ref()?, after.models.as_ref()?);
    (old != new).then(|| {
        let (gains, loses) = (!new.is_within(old), !old.is_within(new));
        Difference::new(Part::Obligation(Obligation::Models), gains, loses, |lang| {
            let rules = |of| conditions::model_rules(of, lang).unwrap_or_default();
            let (old, new) = (rules(before), rules(after));
            let differ: Vec<(String, String)> = old.into_iter().zip(new).filter(|(old, new)| old != new).collect();
            let (old, new): (Vec<String>, Vec<String>) = differ.into_iter().unzip();
            let (old, new) = (old.join("; "), new.join("; "));
            lang.pick(
                format!("Für Modelle gilt nun: {new}. Vorher: {old}."),
                format!("Of models now holds: {new}. Before: {old}."),
            )
        })
    })
}

fn dominance(before: Option<Dominance>, after: Option<Dominance>) -> Option<Difference> {
    let words = |rule: Option<Dominance>, lang: Lang| match rule {
        None => lang.pick("keine", "none").to_owned(),
        Some(Dominance { top, share }) => {
            let percent = share * 100.0;
            lang.pick(
                format!("die {top} größten Beiträge höchstens {percent} %"),
                format!("the {top} largest contributors at most {percent} %"),
            )
        }
    };
    (before != after).then(|| {
        let (gains, loses) = (!keeps_dominance(before, after), !keeps_dominance(after, before));
        Difference::new(Part::Obligation(Obligation::Dominance), gains, loses, |lang| {
            let (old, new) = (words(before, lang), words(after, lang));
            lang.pick(
                format!("Dominanzregel ist nun: {new}. Vorher: {old}."),
                format!("The dominance rule is now: {new}. Before: {old}."),
            )
        })
    })
}

fn p_percent(before: Option<u32>, after: Option<u32>) -> Option<Difference> {
    (before != after).then(|| {
        Difference::new(
            Part::Obligation(Obligation::PPercent),
            after < before,
            before < after,
            |lang| {
                let none = lang.pick("gar nicht", "not at all");
                let words =
                    |percent: Option<u32>| percent.map_or_else(|| none.to_owned(), |percent| format!("{percent} %"));
                let (old, new) = (words(before), words(after));
                lang.pick(
                    format!("Gegen das Schätzen einzelner Werte wird nun geschützt: {new}, vorher: {old}."),
                    format!("Single values are now protected against estimates to within {new}, before {old}."),
                )
            },
        )
    })
}

fn rounding(before: Option<u32>, after: Option<u32>) -> Option<Difference> {
    (before != after).then(|| {
        let (gains, loses) = (!keeps_rounding(before, after), !keeps_rounding(after, before));
        Difference::new(Part::Obligation(Obligation::RoundTo), gains, loses, |lang| {
            let words = |to: Option<u32>| match to {
                Some(to) => lang.pick(
                    format!("auf Vielfache von {to} gerundet"),
                    format!("rounded to multiples of {to}"),
                ),
                None => lang.pick("genau", "exact").to_owned(),
            };
            let (old, new) = (words(before), words(after));
            lang.pick(
                format!("Zahlen sind nun {new}, vorher {old}."),
                format!("Numbers are now {new}, before {old}."),
            )
        })
    })
}

fn zeros(before: Zeros, after: Zeros) -> Option<Difference> {
    (before != after).then(|| {
        let part = Part::Obligation(Obligation::Zeros);
        Difference::new(part, after < before, before < after, |lang| {
            match after {
                Zeros::Open => lang.pick(
                    "Dass niemand in einer Zelle ist, darf nun zu erkennen sein.",
                    "That nobody is in a cell may now be inferred.",
                ),
                Zeros::Protected => lang.pick(
                    "Dass niemand in einer Zelle ist, wird nun auch zurückgehalten.",
                    "That nobody is in a cell is now withheld too.",
                ),
            }
            .to_owned()
        })
    })
}

fn duties(before: Permitting<'_>, after: Permitting<'_>) -> Vec<Difference> {
    let part = Part::Obligation(Obligation::Duties);
    let dropped = before
        .duties()
        .filter(|duty| !is_kept(duty, after.duties()))
        .map(|duty| {
            let said = Difference::new(part, true, false, |lang| {
                let duty = lang.duty(duty);
                lang.pick(
                    format!("Wer eine Antwort erhält, muss nicht mehr: {duty}."),
                    format!("Whoever receives an answer no longer has to: {duty}."),
                )
            });
            let of_policy =
                before.policy.duties.contains(duty) && before.policy.collection.id == after.policy.collection.id;
            if of_policy && !after.policy.duties.contains(duty) && before.policy.id == after.policy.id {
                said.elsewhere()
            } else {
                said
            }
        });
    let added = after
        .duties()
        .filter(|duty| !is_kept(duty, before.duties()))
        .map(|duty| {
            let said = Difference::new(part, false, true, |lang| {
                let duty = lang.duty(duty);
                lang.pick(
                    format!("Wer eine Antwort erhält, muss nun: {duty}."),
                    format!("Whoever receives an answer now has to: {duty}."),
                )
            });
            if after.policy.duties.contains(duty) && before.policy.id == after.policy.id {
                said.elsewhere()
            } else {
                said
            }
        });
    dropped.chain(added).collect()
}
