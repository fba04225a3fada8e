//! The data space, its institutions, and what is stopped.

use std::collections::BTreeSet;

use terms::{MemberId, RoleName, UtcTime};

use super::cells::{Gains, Side, callers_of};
use super::policies::side;
use super::{Changes, moved};
use crate::collection::list;
use crate::lang::Lang;
use crate::roster::{Member, PUBLIC_BODY};
use crate::rule::utc_day;
use crate::rules::Rules;

const SPACE: &str = "space.toml";

pub(super) fn compare(before: &Rules, after: &Rules, at: UtcTime, changes: &mut Changes) {
    space(before, after, changes);
    stops(before, after, changes);
    for member in after
        .members
        .values()
        .filter(|member| !before.members.contains_key(&member.id))
    {
        changes.weigh(true, false, place(member), |lang| {
            let (title, id, roles) = (&member.title, &member.id, roles(&member.roles, lang));
            lang.pick(
                format!("{title} ({id}) gehört nun dazu, als {roles}: seine Leute dürfen fragen, was die Richtlinien ihm erlauben."),
                format!("{title} ({id}) now belongs, as {roles}: its people may ask what policies permit it."),
            )
        });
    }
    for member in before
        .members
        .values()
        .filter(|member| !after.members.contains_key(&member.id))
    {
        changes.weigh(false, true, place(member), |lang| {
            let (title, id) = (&member.title, &member.id);
            lang.pick(
                format!("{title} ({id}) gehört nicht mehr dazu: seine Leute dürfen nichts mehr fragen."),
                format!("{title} ({id}) no longer belongs: its people may ask nothing any more."),
            )
        });
    }
    for (id, now) in &after.members {
        if let Some(then) = before.members.get(id) {
            member(then, now, changes);
            lost_roles(after, then, now, at, changes);
        }
    }
}

fn place(member: &Member) -> String {
    format!("members.toml, member {}", member.id)
}

fn roles(roles: &BTreeSet<RoleName>, lang: Lang) -> String {
    match roles.is_empty() {
        true => lang.pick("ohne Rolle", "without a role").to_owned(),
        false => list(roles),
    }
}

fn space(before: &Rules, after: &Rules, changes: &mut Changes) {
    let (b, a) = (&before.space, &after.space);
    if b.id != a.id {
        changes.weigh(true, false, SPACE, |lang| {
            lang.pick(
                format!(
                    "Das sind die Regeln eines anderen Datenraums: {} statt {}. Sie lassen sich nicht vergleichen.",
                    a.id, b.id
                ),
                format!(
                    "These are the rules of another data space: {} and not {}. They cannot be compared.",
                    a.id, b.id
                ),
            )
        });
    }
    if b.title != a.title {
        changes.weigh(false, false, SPACE, |lang| {
            lang.pick(
                format!("Der Datenraum heißt nun {}.", a.title),
                format!("The data space is now called {}.", a.title),
            )
        });
    }
    let (came, went) = moved(&b.lifted, &a.lifted);
    for stop in came {
        changes.weigh(true, false, format!("{SPACE}, lifted"), |lang| {
            lang.pick(
                format!("Der Stopp {stop} ist aufgehoben: was er anhielt, ist wieder möglich."),
                format!("Stop {stop} is lifted: what it held back is possible again."),
            )
        });
    }
    for stop in went {
        changes.weigh(false, true, format!("{SPACE}, lifted"), |lang| {
            lang.pick(
                format!("Der Stopp {stop} ist nicht mehr aufgehoben: was er anhält, ist nicht mehr möglich."),
                format!("Stop {stop} is no longer lifted: what it holds back is no longer possible."),
            )
        });
    }
}

fn stops(before: &Rules, after: &Rules, changes: &mut Changes) {
    let (b, a) = (stopped(before), stopped(after));
    let (came, went) = moved(&b, &a);
    for (kind, id) in came {
        changes.weigh(false, true, "stops", |lang| {
            let kind = lang.pick(kind.0, kind.1);
            lang.pick(
                format!("Gestoppt ist nun: {kind} {id}."),
                format!("Now stopped: {kind} {id}."),
            )
        });
    }
    for (kind, id) in went {
        changes.weigh(true, false, "stops", |lang| {
            let kind = lang.pick(kind.0, kind.1);
            lang.pick(
                format!("Nicht mehr gestoppt ist: {kind} {id}."),
                format!("No longer stopped: {kind} {id}."),
            )
        });
    }
}

/// What is stopped: of which kind, in German and in English, and its id.
type StoppedThing = ((&'static str, &'static str), String);

/// Everything that is stopped.
fn stopped(rules: &Rules) -> BTreeSet<StoppedThing> {
    let stops = &rules.stops;
    let policies = stops
        .policies
        .iter()
        .map(|id| (("Richtlinie", "policy"), id.to_string()));
    let permits = stops
        .permits
        .iter()
        .map(|id| (("Genehmigung", "permit"), id.to_string()));
    let members = stops
        .members
        .iter()
        .map(|id| (("Einrichtung", "member"), id.to_string()));
    let persons = stops
        .persons
        .iter()
        .map(|(member, person)| (("Person", "person"), format!("{member}/{person}")));
    policies.chain(permits).chain(members).chain(persons).collect()
}

/// What is said of an institution that is there before and after.
fn member(before: &Member, after: &Member, changes: &mut Changes) {
    let (place, title) = (place(after), &after.title);
    if before.key != after.key {
        changes.weigh(true, false, &place, |lang| {
            lang.pick(
                format!("Ein anderer Schlüssel steht nun für {title}: wer ihn hat, handelt als diese Einrichtung."),
                format!("Another key now stands for {title}: whoever has it acts as this institution."),
            )
        });
    }
    let (came, went) = moved(&before.roles, &after.roles);
    for role in came {
        changes.weigh(true, false, &place, |lang| gained_role(title, role, lang));
    }
    for role in went {
        changes.weigh(false, true, &place, |lang| {
            lang.pick(
                format!("Leute von {title} handeln nicht mehr als {role}."),
                format!("People of {title} no longer act as {role}."),
            )
        });
    }
    acts_for(before, after, changes);
    if before.title != after.title {
        changes.weigh(false, false, &place, |lang| {
            lang.pick(format!("Heißt nun {title}."), format!("Is now called {title}."))
        });
    }
}

fn gained_role(title: &str, role: &RoleName, lang: Lang) -> String {
    if role.as_str() == PUBLIC_BODY {
        return lang.pick(
            format!("{title} gilt nun als öffentliche Stelle: seine Leute und die von Einrichtungen, die für sie handeln, dürfen zu den Zwecken a bis c fragen."),
            format!("{title} now counts as a public body: its people, and those of institutions that act for it, may ask for purposes a to c."),
        );
    }
    lang.pick(
        format!("Leute von {title} dürfen nun auch als {role} fragen."),
        format!("People of {title} may now also ask as {role}."),
    )
}

fn acts_for(before: &Member, after: &Member, changes: &mut Changes) {
    let title = &after.title;
    let (came, went) = moved(&before.acts_for, &after.acts_for);
    for body in came {
        changes.weigh(true, false, place(after), |lang| {
            lang.pick(
                format!("{title} handelt nun für {body} und darf darum zu Zwecken fragen, die öffentlichen Stellen vorbehalten sind."),
                format!("{title} now acts for {body}, and may therefore ask for purposes that are reserved to public bodies."),
            )
        });
    }
    for body in went {
        changes.weigh(false, true, place(after), |lang| {
            lang.pick(
                format!("{title} handelt nicht mehr für {body}."),
                format!("{title} no longer acts for {body}."),
            )
        });
    }
}

/// Whoever loses a role loses the prohibitions of that role too, and could then be answered under another permission.
fn lost_roles(rules: &Rules, before: &Member, after: &Member, at: UtcTime, changes: &mut Changes) {
    let kept: BTreeSet<RoleName> = &before.roles & &after.roles;
    if kept == before.roles {
        return;
    }
    for collection in rules.collections.keys() {
        let side: Side<'_> = side(rules, rules, collection);
        let callers = callers_of(&side, &after.id, &before.roles, &kept);
        let gains = Gains::of(&side, &side, &callers, utc_day(at));
        if gains.is_empty() {
            continue;
        }
        changes.weigh(true, false, place(after), |lang| lost_role(&after.id, &gains, lang));
    }
}

fn lost_role(member: &MemberId, gains: &Gains, lang: Lang) -> String {
    let by = list(gains.lifted.keys().map(|(policy, rule)| format!("{rule} ({policy})")));
    if by.is_empty() {
        return lang.pick(
            format!("Ohne die Rolle werden Fragen von {member} nach einer anderen Erlaubnis beantwortet, mit anderen Auflagen."),
            format!("Without the role, questions of {member} are answered under another permission, with other obligations."),
        );
    }
    lang.pick(
        format!("Ohne die Rolle treffen diese Verbote Leute von {member} nicht mehr: {by}."),
        format!("Without the role, these prohibitions no longer meet people of {member}: {by}."),
    )
}
