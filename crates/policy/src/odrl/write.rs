//! What a policy says, to JSON-LD.
//!
//! It must write the same value for the same policy: `same.rs` holds what is imported against it.

use jiff::civil::{Date, Time};
use serde_json::{Value, json};
use terms::{Purpose, SpaceId};

use super::vocabulary::{self, left};
use super::{Offer, OfferedPermission, OfferedProhibition};
use crate::disclosure::{Disclosure, Dominance, Quota, Zeros};
use crate::duty::Duty;
use crate::grant::{Release, Tier};
use crate::models::{ModelRules, Overlaps, Sum};
use crate::rule::Assignee;
use crate::transform::Transform;
use crate::window::{Window, day_name};

pub(super) fn offer(offer: &Offer) -> Value {
    json!({
        "@context": vocabulary::context(),
        "type": "Offer",
        "uid": vocabulary::policy(offer),
        "profile": vocabulary::PROFILE,
        "conflict": "prohibit",
        "assigner": vocabulary::board(&offer.space),
        "dct:title": offer.title,
        "dcat:version": offer.version.to_string(),
        "dr:collection": vocabulary::collection(&offer.space, &offer.collection),
        "dr:validFrom": offer.valid_from.to_string(),
        "dr:validUntil": offer.valid_until.to_string(),
        "permission": list(&offer.permissions, |rule| permission(offer, rule)),
        "prohibition": list(&offer.prohibitions, |rule| prohibition(offer, rule)),
        "obligation": list(&offer.duties, duty),
    })
}

fn list<'a, T: 'a>(items: impl IntoIterator<Item = &'a T>, to_json: impl Fn(&'a T) -> Value) -> Value {
    Value::Array(items.into_iter().map(to_json).collect())
}

fn permission(offer: &Offer, rule: &OfferedPermission) -> Value {
    let mut cells = vec![any_of(left::COLUMN, list(&rule.columns, |name| json!(name)))];
    cells.extend(
        rule.rows
            .as_ref()
            .map(|name| constraint(left::ROW_FILTER, "eq", json!(name))),
    );
    let mut how = vec![any_of(left::RELEASE, json!(releases_up_to(rule.release)))];
    how.extend(rule.transforms.iter().map(|(column, shown)| transform(column, *shown)));
    how.extend(disclosure(&rule.disclosure));
    how.extend(rule.models.iter().flat_map(models));
    let mut constraints = vec![purposes(rule.purposes.iter())];
    constraints.extend(validity(offer));
    constraints.extend(windows(&rule.windows));
    constraints.extend(quota(rule.disclosure.queries));
    constraints.extend(
        rule.permit_required
            .then(|| constraint(left::COVERING_PERMIT, "eq", json!(true))),
    );
    json!({
        "type": "Permission",
        "uid": format!("{}:rule:{}", vocabulary::policy(offer), rule.id),
        "assignee": assignee(&offer.space, left::ROLE_OF_BOTH, &rule.assignee),
        "target": part_of_collection(offer, cells),
        "action": read_refined(how),
        "constraint": constraints,
        "duty": list(&rule.duties, duty),
    })
}

fn prohibition(offer: &Offer, rule: &OfferedProhibition) -> Value {
    let columns = rule.columns.as_ref();
    let cells = columns.map(|columns| any_of(left::COLUMN, list(columns, |name| json!(name))));
    let how = rule
        .release
        .map(|named| constraint(left::RELEASE, "eq", release(named)));
    let mut constraints: Vec<Value> = rule.purposes.iter().map(|named| purposes(named.iter())).collect();
    constraints.extend(validity(offer));
    constraints.extend(windows(&rule.windows));
    let mut written = json!({
        "type": "Prohibition",
        "uid": format!("{}:rule:{}", vocabulary::policy(offer), rule.id),
        "target": match cells {
            Some(cells) => part_of_collection(offer, vec![cells]),
            None => json!(vocabulary::collection(&offer.space, &offer.collection)),
        },
        "action": match how {
            Some(how) => read_refined(vec![how]),
            None => json!("read"),
        },
        "constraint": constraints,
    });
    if let Some(named) = &rule.assignee {
        written["assignee"] = assignee(&offer.space, left::ROLE_OF_EITHER, named);
    }
    written
}

fn constraint(left: &str, operator: &str, right: Value) -> Value {
    json!({ "type": "Constraint", "leftOperand": left, "operator": operator, "rightOperand": right })
}

/// A right operand is one value, so that several are one list.
fn any_of(left: &str, items: Value) -> Value {
    constraint(left, "isAnyOf", json!({ "@list": items }))
}

fn assignee(space: &SpaceId, role_word: &str, assignee: &Assignee) -> Value {
    let roles = assignee.roles.as_ref();
    let roles = roles.map(|roles| any_of(role_word, list(roles, |role| json!(role.as_str()))));
    let members = assignee.members.as_ref();
    let members =
        members.map(|members| any_of(left::MEMBER, list(members, |id| named(&vocabulary::member(space, id)))));
    let persons = assignee.persons.as_ref();
    let persons =
        persons.map(|persons| any_of(left::PERSON, list(persons, |id| named(&vocabulary::person(space, id)))));
    let refinements: Vec<Value> = [roles, members, persons].into_iter().flatten().collect();
    json!({ "type": "PartyCollection", "source": vocabulary::people(space), "refinement": refinements })
}

fn named(iri: &str) -> Value {
    json!({ "@id": iri })
}

fn part_of_collection(offer: &Offer, refinements: Vec<Value>) -> Value {
    let source = vocabulary::collection(&offer.space, &offer.collection);
    json!({ "type": "AssetCollection", "source": source, "refinement": refinements })
}

fn read_refined(refinements: Vec<Value>) -> Value {
    json!([{ "rdf:value": named("odrl:read"), "refinement": refinements }])
}

fn release(release: Release) -> Value {
    named(match release {
        Release::Aggregates => "dr:aggregates",
        Release::Models => "dr:models",
        Release::Rows => "dr:rows",
    })
}

/// Whoever may have rows may have models and statistics.
fn releases_up_to(most: Release) -> Vec<Value> {
    let up_to = Release::ALL.into_iter().filter(|release| *release <= most);
    up_to.map(release).collect()
}

fn transform(column: &str, transform: Transform) -> Value {
    let mut operand = json!({ "type": "RightOperand", "dr:ofColumn": column });
    operand["dr:shownAs"] = named(match transform {
        Transform::Bins => "dr:bin",
        Transform::Truncate(_) => "dr:truncated",
        Transform::Prefix(_) => "dr:prefix",
        Transform::Mask => "dr:null",
        Transform::Pseudonym => "dr:pseudonym",
    });
    match transform {
        Transform::Truncate(unit) => operand["dr:period"] = json!(unit.to_string()),
        Transform::Prefix(characters) => operand["dr:characters"] = json!(characters),
        Transform::Bins | Transform::Mask | Transform::Pseudonym => {}
    }
    constraint(left::TRANSFORM, "eq", operand)
}

fn disclosure(disclosure: &Disclosure) -> Vec<Value> {
    let Disclosure {
        tier,
        dominance,
        p_percent,
        round_to,
        zeros,
        queries: _,
    } = disclosure;
    let mut refinements = match tier {
        Tier::Open => vec![constraint(left::TIER, "eq", named("dr:open"))],
        Tier::Statistical { min_people } => vec![
            constraint(left::TIER, "eq", named("dr:statistical")),
            constraint(left::MIN_PEOPLE, "gteq", json!(min_people.get())),
        ],
    };
    let dominance = dominance.map(|Dominance { top, share }| {
        let operand = json!({ "type": "RightOperand", "dr:top": top, "dr:share": share.to_string() });
        constraint(left::DOMINANCE, "lteq", operand)
    });
    refinements.extend(dominance);
    refinements.extend(p_percent.map(|percent| constraint(left::P_PERCENT, "gteq", json!(percent))));
    refinements.extend(round_to.map(|number| constraint(left::ROUND_TO, "eq", json!(number))));
    if *zeros == Zeros::Protected {
        refinements.push(constraint(left::ZEROS, "eq", named("dr:protected")));
    }
    refinements
}

fn models(models: &ModelRules) -> Vec<Value> {
    let ModelRules {
        sum,
        nodes_min,
        parameters_share,
        reason,
        steps_max,
        overlaps,
    } = models;
    let sum = named(match sum {
        Sum::Plain => "dr:plain",
        Sum::Masked => "dr:masked",
    });
    let overlaps = named(match overlaps {
        Overlaps::Allow => "dr:allow",
        Overlaps::Refuse => "dr:refuse",
    });
    let share = json!({ "@type": "xsd:decimal", "@value": parameters_share.to_string() });
    let mut refinements = vec![
        constraint(left::MODEL_SUM, "eq", sum),
        constraint(left::MODEL_NODES, "gteq", json!(nodes_min)),
        constraint(left::MODEL_PARAMETERS, "lteq", share),
        constraint(left::MODEL_STEPS, "lteq", json!(steps_max)),
        constraint(left::MODEL_OVERLAPS, "eq", overlaps),
    ];
    refinements.extend(
        reason
            .iter()
            .map(|text| constraint(left::MODEL_REASON, "eq", json!(text))),
    );
    refinements
}

fn purposes<'a>(purposes: impl Iterator<Item = &'a Purpose>) -> Value {
    any_of("purpose", list(purposes, |purpose| named(&format!("dr:{purpose}"))))
}

/// ODRL puts time on rules, not on policies; the last day is included, so that the first instant after it is not.
fn validity(offer: &Offer) -> [Value; 2] {
    let at = |instant: String| json!({ "@type": "xsd:dateTime", "@value": instant });
    let after = match offer.valid_until.tomorrow() {
        Ok(day) => day.to_string(),
        // The last day that a file can name has a next one in XML Schema.
        Err(_) => "10000-01-01".to_owned(),
    };
    [
        constraint("dateTime", "gteq", at(midnight(offer.valid_from))),
        constraint("dateTime", "lt", at(format!("{after}T00:00:00Z"))),
    ]
}

fn midnight(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

fn windows(windows: &[Window]) -> Option<Value> {
    (!windows.is_empty()).then(|| any_of(left::TIME_WINDOW, list(windows, window)))
}

fn window(window: &Window) -> Value {
    let clock = |time: Time| time.strftime("%H:%M:%S").to_string();
    let days: Vec<&str> = window.days().iter().copied().map(day_name).collect();
    json!({
        "type": "RightOperand",
        "dr:days": days,
        "dr:from": clock(window.from()),
        "dr:until": clock(window.until()),
        "dr:zone": window.zone(),
    })
}

fn quota(quota: Quota) -> impl Iterator<Item = Value> {
    let Quota { per_minute, per_week } = quota;
    let count = |unit: &str, most: u32| {
        let mut written = constraint("count", "lteq", json!(most));
        written["unit"] = named(unit);
        written
    };
    let minute = per_minute.map(|most| count("dr:perPersonIn60Seconds", most));
    let week = per_week.map(|most| count("dr:perPersonIn7Days", most));
    minute.into_iter().chain(week)
}

fn duty(duty: &Duty) -> Value {
    let (action, target, constraint) = match duty {
        Duty::Delete { within_days } => (json!("delete"), "dr:answer", use_then_within(*within_days)),
        Duty::PublishResults { within_days } => (json!("dr:publish"), "dr:results", use_then_within(*within_days)),
        Duty::Attribute { text } => {
            let refinement = constraint(left::ATTRIBUTION_TEXT, "eq", json!(text));
            let action = json!([{ "rdf:value": named("odrl:attribute"), "refinement": [refinement] }]);
            (action, "dr:results", after_use())
        }
    };
    json!({ "type": "Duty", "action": action, "target": target, "constraint": [constraint] })
}

/// Without this, an ODRL duty is due before the permission may be used.
fn after_use() -> Value {
    constraint("event", "gt", named("odrl:policyUsage"))
}

fn use_then_within(days: u32) -> Value {
    let period = json!({ "@type": "xsd:duration", "@value": format!("P{days}D") });
    let both = [after_use(), constraint("elapsedTime", "lteq", period)];
    json!({ "type": "LogicalConstraint", "andSequence": { "@list": both } })
}
