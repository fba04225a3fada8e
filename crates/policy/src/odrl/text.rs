//! What a policy says, to the text of its TOML file.
//!
//! Texts are written by the TOML writer, so that none can end its own string and go on as a key.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::{Offer, OfferedPermission, OfferedProhibition};
use crate::disclosure::{Disclosure, Dominance, Quota, Zeros};
use crate::duty::Duty;
use crate::grant::Tier;
use crate::models::{ModelRules, Overlaps, Sum};
use crate::rule::Assignee;
use crate::transform::Transform;
use crate::window::{Window, day_name};

pub(super) fn policy(offer: &Offer) -> String {
    let mut text = String::new();
    line(&mut text, "id", quoted(offer.id.as_str()));
    line(&mut text, "version", offer.version);
    line(&mut text, "title", quoted(&offer.title));
    line(&mut text, "collection", quoted(offer.collection.as_str()));
    line(&mut text, "valid_from", offer.valid_from);
    line(&mut text, "valid_until", offer.valid_until);
    for own in &offer.duties {
        text.push_str("\n[[duty]]\n");
        duty(&mut text, own);
    }
    for rule in &offer.permissions {
        permission(&mut text, rule);
    }
    for rule in &offer.prohibitions {
        prohibition(&mut text, rule);
    }
    text
}

fn line(text: &mut String, key: &str, value: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn array<T>(items: impl IntoIterator<Item = T>, each: impl Fn(T) -> String) -> String {
    let items: Vec<String> = items.into_iter().map(each).collect();
    format!("[{}]", items.join(", "))
}

fn permission(text: &mut String, rule: &OfferedPermission) {
    text.push_str("\n[[permission]]\n");
    line(text, "id", quoted(rule.id.as_str()));
    line(text, "assignee", assignee(&rule.assignee));
    line(
        text,
        "purposes",
        array(&rule.purposes, |purpose| quoted(purpose.code())),
    );
    line(
        text,
        "permit",
        quoted(if rule.permit_required { "required" } else { "none" }),
    );
    line(text, "release", quoted(&rule.release.to_string()));
    line(text, "columns", array(&rule.columns, |name| quoted(name)));
    if let Some(name) = &rule.rows {
        line(text, "rows", quoted(name));
    }
    transforms(text, &rule.transforms);
    windows(text, &rule.windows);
    text.push_str("\n[permission.disclosure]\n");
    disclosure(text, &rule.disclosure);
    if let Some(rules) = &rule.models {
        models(text, rules);
    }
    for own in &rule.duties {
        text.push_str("\n[[permission.duty]]\n");
        duty(text, own);
    }
}

fn prohibition(text: &mut String, rule: &OfferedProhibition) {
    text.push_str("\n[[prohibition]]\n");
    line(text, "id", quoted(rule.id.as_str()));
    if let Some(named) = &rule.assignee {
        line(text, "assignee", assignee(named));
    }
    if let Some(purposes) = &rule.purposes {
        line(text, "purposes", array(purposes, |purpose| quoted(purpose.code())));
    }
    if let Some(release) = rule.release {
        line(text, "release", quoted(&release.to_string()));
    }
    if let Some(columns) = &rule.columns {
        line(text, "columns", array(columns, |name| quoted(name)));
    }
    windows(text, &rule.windows);
}

fn assignee(assignee: &Assignee) -> String {
    let Assignee {
        roles,
        members,
        persons,
    } = assignee;
    let roles = roles.as_ref().map(|roles| array(roles, |role| quoted(role.as_str())));
    let members = members
        .as_ref()
        .map(|members| array(members, |member| quoted(member.as_str())));
    let persons = persons.as_ref();
    let persons = persons.map(|persons| array(persons, |(member, person)| quoted(&format!("{member}/{person}"))));
    let keys = [("roles", roles), ("members", members), ("persons", persons)];
    let parts: Vec<String> = keys
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key} = {value}")))
        .collect();
    format!("{{ {} }}", parts.join(", "))
}

fn windows(text: &mut String, windows: &[Window]) {
    if !windows.is_empty() {
        line(text, "when", array(windows, window));
    }
}

fn window(window: &Window) -> String {
    let days = array(window.days(), |day| quoted(day_name(*day)));
    let (from, until) = (window.from().strftime("%H:%M:%S"), window.until().strftime("%H:%M:%S"));
    format!(
        "{{ days = {days}, from = {from}, until = {until}, zone = {} }}",
        quoted(window.zone())
    )
}

/// In one line, whose keys the TOML writer puts in quotes where that is needed.
fn transforms(text: &mut String, transforms: &BTreeMap<String, Transform>) {
    let written = |(column, transform): (&String, &Transform)| (column.clone(), transformed(*transform));
    let table: toml::Table = transforms.iter().map(written).collect();
    if !table.is_empty() {
        line(text, "transforms", toml::Value::Table(table));
    }
}

fn transformed(transform: Transform) -> toml::Value {
    let table = |key: &str, value: toml::Value| toml::Value::Table([(key.to_owned(), value)].into_iter().collect());
    match transform {
        Transform::Bins => "bins".into(),
        Transform::Truncate(unit) => table("truncate", unit.to_string().into()),
        Transform::Prefix(characters) => table("prefix", i64::from(characters).into()),
        Transform::Mask => "mask".into(),
        Transform::Pseudonym => "pseudonym".into(),
    }
}

fn disclosure(text: &mut String, disclosure: &Disclosure) {
    let Disclosure {
        tier,
        dominance,
        p_percent,
        round_to,
        zeros,
        queries,
    } = disclosure;
    match tier {
        Tier::Open => line(text, "tier", quoted("open")),
        Tier::Statistical { min_people } => {
            line(text, "tier", quoted("statistical"));
            line(text, "min_people", min_people);
        }
    }
    if let Some(Dominance { top, share }) = dominance {
        line(text, "dominance", format_args!("{{ top = {top}, share = {share} }}"));
    }
    if let Some(percent) = p_percent {
        line(text, "p_percent", percent);
    }
    if let Some(number) = round_to {
        line(text, "round_to", number);
    }
    if *zeros == Zeros::Protected {
        line(text, "zeros", quoted("protected"));
    }
    let Quota { per_minute, per_week } = queries;
    let quota: Vec<String> = [("per_minute", per_minute), ("per_week", per_week)]
        .into_iter()
        .filter_map(|(key, most)| most.map(|most| format!("{key} = {most}")))
        .collect();
    if !quota.is_empty() {
        line(text, "queries", format_args!("{{ {} }}", quota.join(", ")));
    }
}

fn models(text: &mut String, models: &ModelRules) {
    let ModelRules {
        sum,
        nodes_min,
        parameters_share,
        reason,
        steps_max,
        overlaps,
    } = models;
    text.push_str("\n[permission.models]\n");
    line(
        text,
        "sum",
        quoted(match sum {
            Sum::Plain => "plain",
            Sum::Masked => "masked",
        }),
    );
    line(text, "min_nodes", nodes_min);
    // With a point, which makes it a number that is no integer.
    line(text, "parameters", format_args!("{parameters_share:?}"));
    if let Some(reason) = reason {
        line(text, "reason", quoted(reason));
    }
    line(text, "steps", steps_max);
    line(
        text,
        "overlaps",
        quoted(match overlaps {
            Overlaps::Allow => "allow",
            Overlaps::Refuse => "refuse",
        }),
    );
}

fn duty(text: &mut String, duty: &Duty) {
    match duty {
        Duty::Delete { within_days } => {
            line(text, "action", quoted("delete"));
            line(text, "within_days", within_days);
        }
        Duty::Attribute { text: words } => {
            line(text, "action", quoted("attribute"));
            line(text, "text", quoted(words));
        }
        Duty::PublishResults { within_days } => {
            line(text, "action", quoted("publish-results"));
            line(text, "within_days", within_days);
        }
    }
}
