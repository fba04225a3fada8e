//! What changed policies mean: what `diff/cells.rs` finds, said of the rule that brought it.
//!
//! Each thing that is gained is said at least once. A rule that is written differently and gains and loses nothing is
//! neutral: others gave the same, or prevent it. How one permission differs is in `diff/permission.rs`.

mod matched;

use std::collections::BTreeSet;

use jiff::civil::Date;
use terms::{CollectionId, UtcTime};

use self::matched::Matched;
use super::Changes;
use super::cells::{Gains, Name, Side, callers};
use super::eased::{Permitting, is_kept};
use super::permission::{self, Difference, Part};
use crate::collection::list;
use crate::lang::Lang;
use crate::matrix::conditions;
use crate::rule::{Policy, Prohibition, utc_day};
use crate::rules::Rules;

pub(super) fn compare(before: &Rules, after: &Rules, at: UtcTime, changes: &mut Changes) {
    let collections: BTreeSet<&CollectionId> = before.collections.keys().chain(after.collections.keys()).collect();
    for collection in collections.into_iter().filter(|id| !is_unchanged(before, after, id)) {
        Compared::new(before, after, collection, utc_day(at)).report(changes);
    }
}

/// Whether the same files say what may be asked of a collection, and mean the same by it.
fn is_unchanged(before: &Rules, after: &Rules, collection: &CollectionId) -> bool {
    let files = |rules: &Rules| -> Vec<_> {
        let policies = rules.of_collection(collection).iter();
        policies
            .map(|policy| (policy.digest, rules.stops.policies.contains(&policy.id)))
            .collect()
    };
    let filters = |rules: &Rules| {
        rules
            .collections
            .get(collection)
            .map(|collection| collection.filters.clone())
    };
    files(before) == files(after) && filters(before) == filters(after)
}

/// The policies of a collection. Whatever is stopped on the other side too counts as stopped; that a stop is lifted is said
/// elsewhere.
pub(super) fn side<'a>(rules: &'a Rules, other: &Rules, collection: &CollectionId) -> Side<'a> {
    Side {
        policies: rules.of_collection(collection).iter().map(AsRef::as_ref).collect(),
        stopped: &rules.stops.policies & &other.stops.policies,
    }
}

/// The policies of one collection before and after.
struct Compared<'a> {
    collection: &'a CollectionId,
    policies: Matched<&'a Policy>,
    permissions: Matched<Permitting<'a>>,
    prohibitions: Matched<Banning<'a>>,
    /// The first day that matters.
    from: Date,
    gained: Gains,
    lost: Gains,
}

/// A prohibition with the policy that it stands in.
#[derive(Clone, Copy)]
struct Banning<'a> {
    policy: &'a Policy,
    rule: &'a Prohibition,
}

impl Banning<'_> {
    fn name(&self) -> Name {
        (self.policy.id.clone(), self.rule.id.clone())
    }

    fn place(&self) -> String {
        format!("{}, prohibition {}", self.policy.path, self.rule.id)
    }
}

impl<'a> Compared<'a> {
    fn new(before: &'a Rules, after: &'a Rules, collection: &'a CollectionId, from: Date) -> Self {
        let (b, a) = (side(before, before, collection), side(after, after, collection));
        let everybody = callers(&b, &a);
        let gained = Gains::of(&side(before, after, collection), &a, &everybody, from);
        let lost = Gains::of(&side(after, before, collection), &b, &everybody, from);
        let policies = matched::policies(&b.policies, &a.policies);
        Self {
            collection,
            permissions: matched::permissions(&policies, &b.policies, &a.policies),
            prohibitions: matched::prohibitions(&policies, &b.policies, &a.policies),
            policies,
            from,
            gained,
            lost,
        }
    }

    fn report(&self, changes: &mut Changes) {
        if self.gained.unproven || self.lost.unproven {
            changes.weigh(self.gained.unproven, self.lost.unproven, format!("collections/{}.toml", self.collection), |lang| {
                lang.pick(
                    "Die Regeln dieser Sammlung unterscheiden zu viele Fälle, um sie zu vergleichen: alles kann möglich werden.",
                    "The rules of this collection tell too many cases apart to be compared: anything may become possible.",
                )
                .to_owned()
            });
        }
        for policy in &self.policies.new {
            changes.weigh(false, false, &policy.path, |lang| {
                lang.pick("Die Richtlinie ist neu.", "The policy is new.").to_owned()
            });
        }
        for policy in &self.policies.gone {
            changes.weigh(false, false, &policy.path, |lang| {
                lang.pick("Die Richtlinie gibt es nicht mehr.", "The policy is gone.")
                    .to_owned()
            });
        }
        for (before, after) in &self.policies.both {
            self.policy(before, after, changes);
        }
        for rule in &self.permissions.new {
            let gains = self.gained.permitted.contains(&rule.name()) || self.gained.eased.contains_key(&rule.name());
            changes.weigh(gains, false, permission::place(*rule), |lang| new(*rule, gains, lang));
        }
        for rule in &self.permissions.gone {
            let loses = self.lost.permitted.contains(&rule.name()) || self.lost.eased.contains_key(&rule.name());
            changes.weigh(false, loses, permission::place(*rule), |lang| gone(*rule, loses, lang));
        }
        for (before, after) in &self.permissions.both {
            self.permission(*before, *after, changes);
        }
        self.report_prohibitions(changes);
    }

    /// What is said of a policy as a whole.
    fn policy(&self, before: &Policy, after: &Policy, changes: &mut Changes) {
        let (gains, loses) = self.validity(before, after);
        if (before.valid_from, before.valid_until) != (after.valid_from, after.valid_until) {
            // A prohibition ends with its policy, and a longer one prevents longer.
            let gains = gains && self.gained.names_permission_of(after) || self.gained.lifts_of(before) && loses;
            let loses = loses && self.lost.names_permission_of(before) || self.lost.lifts_of(after);
            changes.weigh(gains, loses, format!("{}, valid_until", after.path), |lang| {
                days(before, after, lang)
            });
        }
        for duty in after.duties.iter().filter(|duty| !before.duties.contains(duty)) {
            let loses = !is_kept(duty, before.duties.iter());
            changes.weigh(false, loses, &after.path, |lang| {
                let duty = lang.duty(duty);
                lang.pick(
                    format!("Wer irgendeine Antwort nach dieser Richtlinie erhält, muss nun: {duty}."),
                    format!("Whoever receives any answer under this policy must now: {duty}."),
                )
            });
        }
        for duty in before.duties.iter().filter(|duty| !after.duties.contains(duty)) {
            let everywhere = |rule: &&(Permitting<'_>, Permitting<'_>)| {
                rule.1.policy.id == after.id && !is_kept(duty, rule.1.duties())
            };
            let gains = self.permissions.both.iter().any(|rule| everywhere(&rule));
            changes.weigh(gains, false, &after.path, |lang| {
                let duty = lang.duty(duty);
                lang.pick(
                    format!("Wer eine Antwort nach dieser Richtlinie erhält, muss nicht mehr: {duty}."),
                    format!("Whoever receives an answer under this policy no longer has to: {duty}."),
                )
            });
        }
        if before.id != after.id {
            changes.weigh(false, false, &after.path, |lang| {
                lang.pick(
                    format!("Die Richtlinie {} heißt nun {}.", before.id, after.id),
                    format!("Policy {} is now called {}.", before.id, after.id),
                )
            });
        }
        if (&before.title, before.version) != (&after.title, after.version) {
            changes.weigh(false, false, &after.path, |lang| {
                lang.pick("Titel oder Version ist anders.", "Title or version is different.")
                    .to_owned()
            });
        }
    }

    /// Whether a policy is in force on days on which it was not, and the other way round, from the first day on.
    fn validity(&self, before: &Policy, after: &Policy) -> (bool, bool) {
        let days = |policy: &Policy| (policy.valid_from.max(self.from), policy.valid_until);
        let within =
            |inner: (Date, Date), outer: (Date, Date)| inner.1 < inner.0 || outer.0 <= inner.0 && inner.1 <= outer.1;
        let (before, after) = (days(before), days(after));
        (!within(after, before), !within(before, after))
    }

    /// As [`Compared::validity`], as far as it is said of a policy: not for rules that went from one to another.
    fn said_validity(&self, before: &Policy, after: &Policy) -> (bool, bool) {
        match matched::is_one(&self.policies, before, after) {
            true => self.validity(before, after),
            false => (false, false),
        }
    }

    /// What is said of a permission that is there before and after.
    fn permission(&self, before: Permitting<'_>, after: Permitting<'_>, changes: &mut Changes) {
        let place = permission::place(after);
        let (opens, closes) = self.said_validity(before.policy, after.policy);
        let gained = Confirmed::of(&self.gained, after);
        let lost = Confirmed::of(&self.lost, before);
        let differences = permission::differences(before, after);
        let gains = |one: &Difference| one.gains && gained.by(one.part, &differences, true, opens);
        let loses = |one: &Difference| one.loses && lost.by(one.part, &differences, false, closes);
        for one in differences.iter().filter(|one| one.said_here) {
            let (gains, loses) = (gains(one), loses(one));
            let idle = !gains && !loses;
            changes.weigh(gains, loses, &place, |lang| one.say(idle, lang));
        }
        if before.permission.id != after.permission.id || before.policy.id != after.policy.id {
            self.moved(before, after, changes);
        }
        if gained.is_any() && !opens && !differences.iter().any(gains) {
            changes.weigh(true, false, &place, |lang| self.unexplained(after, lang));
        }
    }

    /// A permission with another name or in another policy.
    fn moved(&self, before: Permitting<'_>, after: Permitting<'_>, changes: &mut Changes) {
        let renamed = matched::is_one(&self.policies, before.policy, after.policy);
        if renamed && before.permission.id == after.permission.id {
            return;
        }
        changes.weigh(false, false, permission::place(after), |lang| {
            let (old, new) = (permission::place(before), permission::place(after));
            lang.pick(
                format!("Was {old} war, ist nun {new}."),
                format!("What was {old} is now {new}."),
            )
        });
    }

    /// What is gained under a permission that says what it said: because another one is gone, or of another name.
    fn unexplained(&self, rule: Permitting<'_>, lang: Lang) -> String {
        let whom = conditions::assignee(&rule.permission.assignee, lang);
        let Some((obligations, (policy, then))) = self.gained.eased.get(&rule.name()) else {
            return lang.pick(
                format!("Für {whom}: Fragen, auf die vorher keine Regel eine Antwort gab, werden nun beantwortet."),
                format!("For {whom}: questions that no rule answered before are answered now."),
            );
        };
        let what = list(obligations.iter().map(|one| one.words(lang)));
        lang.pick(
            format!("Für {whom}: was nach der Erlaubnis {then} von {policy} beantwortet wurde, wird nun nach dieser beantwortet ({what})."),
            format!("For {whom}: what was answered under permission {then} of {policy} is now answered under this one ({what})."),
        )
    }

    fn report_prohibitions(&self, changes: &mut Changes) {
        for one in &self.prohibitions.new {
            let loses = self.lost.lifted.contains_key(&one.name());
            changes.weigh(false, loses, one.place(), |lang| {
                let rule = conditions::prohibition(one.rule, lang);
                lang.pick(
                    format!("Neu verboten: {rule}.{}", idle(loses, lang)),
                    format!("Newly prohibited: {rule}.{}", idle(loses, lang)),
                )
            });
        }
        for one in &self.prohibitions.gone {
            let gains = self.gained.lifted.contains_key(&one.name());
            changes.weigh(gains, false, one.place(), |lang| {
                let rule = conditions::prohibition(one.rule, lang);
                lang.pick(
                    format!("Das Verbot fällt weg: {rule}.{}", idle(gains, lang)),
                    format!("The prohibition is gone: {rule}.{}", idle(gains, lang)),
                )
            });
        }
        for (before, after) in &self.prohibitions.both {
            self.prohibition(before, after, changes);
        }
    }

    fn prohibition(&self, before: &Banning<'_>, after: &Banning<'_>, changes: &mut Changes) {
        let gains = self.gained.lifted.contains_key(&before.name());
        let loses = self.lost.lifted.contains_key(&after.name());
        if !matched::same_prohibition(before.rule, after.rule) {
            changes.weigh(gains, loses, after.place(), |lang| {
                let (old, new) = (
                    conditions::prohibition(before.rule, lang),
                    conditions::prohibition(after.rule, lang),
                );
                let idle = idle(gains || loses, lang);
                lang.pick(
                    format!("Verboten ist nun: {new}. Vorher: {old}.{idle}"),
                    format!("Prohibited is now: {new}. Before: {old}.{idle}"),
                )
            });
        } else if gains && !self.said_validity(before.policy, after.policy).1 {
            changes.weigh(true, false, after.place(), |lang| {
                lang.pick(
                    "Das Verbot steht noch da, verhindert aber nicht mehr alles, was es verhinderte.",
                    "The prohibition is still there, and no longer prevents all that it prevented.",
                )
                .to_owned()
            });
        } else if before.rule.id != after.rule.id {
            changes.weigh(false, false, after.place(), |lang| {
                lang.pick(
                    format!("Das Verbot {} heißt nun {}.", before.rule.id, after.rule.id),
                    format!("Prohibition {} is now called {}.", before.rule.id, after.rule.id),
                )
            });
        }
    }
}

impl Gains {
    fn names_permission_of(&self, policy: &Policy) -> bool {
        let of = |name: &Name| name.0 == policy.id;
        self.permitted.iter().any(of) || self.eased.keys().any(of)
    }

    fn lifts_of(&self, policy: &Policy) -> bool {
        self.lifted.keys().any(|name| name.0 == policy.id)
    }
}

/// What was found of one permission.
struct Confirmed<'a> {
    permitted: bool,
    eased: Option<&'a BTreeSet<super::eased::Obligation>>,
}

impl<'a> Confirmed<'a> {
    fn of(found: &'a Gains, rule: Permitting<'_>) -> Self {
        let name = rule.name();
        Self {
            permitted: found.permitted.contains(&name),
            eased: found.eased.get(&name).map(|(obligations, _)| obligations),
        }
    }

    fn is_any(&self) -> bool {
        self.permitted || self.eased.is_some()
    }

    /// Whether a difference has to do with what was found. Lesser obligations are of those that the permission has
    /// itself become lesser in, or else of whom it is for, or when.
    fn by(&self, part: Part, differences: &[Difference], forwards: bool, longer: bool) -> bool {
        let eases =
            |part: Part| matches!(part, Part::Obligation(one) if self.eased.is_some_and(|eased| eased.contains(&one)));
        match part {
            Part::Obligation(_) => eases(part),
            Part::Access => {
                let own = |one: &Difference| if forwards { one.gains } else { one.loses };
                let explained = differences.iter().any(|one| own(one) && eases(one.part)) || longer;
                self.permitted || self.eased.is_some() && !explained
            }
        }
    }
}

fn days(before: &Policy, after: &Policy, lang: Lang) -> String {
    let ((old_from, old_until), (from, until)) = (
        (before.valid_from, before.valid_until),
        (after.valid_from, after.valid_until),
    );
    lang.pick(
        format!("Die Richtlinie gilt nun vom {from} bis zum {until}, vorher vom {old_from} bis zum {old_until}."),
        format!("The policy is now in force from {from} to {until}, before from {old_from} to {old_until}."),
    )
}

/// What is added where a rule changes nothing.
fn idle(effective: bool, lang: Lang) -> &'static str {
    if effective {
        return "";
    }
    lang.pick(
        " Ohne Wirkung neben den anderen Regeln.",
        " Without effect beside the other rules.",
    )
}

fn new(rule: Permitting<'_>, gains: bool, lang: Lang) -> String {
    let (what, idle) = (whole(rule, lang), idle(gains, lang));
    lang.pick(
        format!("Neu erlaubt: {what}.{idle}"),
        format!("Newly permitted: {what}.{idle}"),
    )
}

fn gone(rule: Permitting<'_>, loses: bool, lang: Lang) -> String {
    let (what, idle) = (whole(rule, lang), idle(loses, lang));
    lang.pick(
        format!("Nicht mehr erlaubt: {what}.{idle}"),
        format!("No longer permitted: {what}.{idle}"),
    )
}

/// A permission in one sentence.
fn whole(rule: Permitting<'_>, lang: Lang) -> String {
    let permission = rule.permission;
    let whom = conditions::assignee(&permission.assignee, lang);
    let purposes = list(
        permission
            .purposes
            .iter()
            .map(|purpose| lang.purpose_with_code(*purpose)),
    );
    let release = lang.release(permission.release);
    let columns = list(&permission.columns);
    let permit = match permission.permit_required {
        true => lang.pick(", mit Datengenehmigung", ", with a data permit"),
        false => "",
    };
    let protection = conditions::protection(permission, lang);
    let models = conditions::models(permission, lang);
    let models = models.map_or_else(String::new, |rules| {
        format!("; {}: {rules}", lang.pick("Modelle", "models"))
    });
    lang.pick(
        format!("{whom} zum Zweck {purposes}: {release} über {columns}{permit}; Schutz: {protection}{models}"),
        format!("{whom} for {purposes}: {release} about {columns}{permit}; protection: {protection}{models}"),
    )
}
