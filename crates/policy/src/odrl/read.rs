//! From the JSON of an export to what the policy says.
//!
//! It takes each thing that a policy says from one place and does not look at the rest; `same.rs` does that afterwards.
//! Every message begins with the JSON path of what is wrong.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use serde_json::{Map, Value};
use terms::{CollectionId, MemberId, PersonId, PolicyId, Purpose, Report, RuleId, SpaceId};

use super::same::{missing_at, other_at, step};
use super::vocabulary::{self, left};
use super::{Offer, OfferedPermission, OfferedProhibition};
use crate::collection::Calendar;
use crate::disclosure::{Disclosure, Dominance, Quota, Zeros};
use crate::duty::Duty;
use crate::grant::{MinPeople, Release, Tier};
use crate::models::{ModelRules, Overlaps, PARAMETERS_SHARE_MAX, Sum};
use crate::rule::Assignee;
use crate::transform::Transform;
use crate::window::{Window, day_name};

pub(super) fn offer(odrl: &Value) -> Result<Offer, Report> {
    let root = At {
        value: odrl,
        path: "$".to_owned(),
    };
    let uid = root.member("uid")?;
    let (space, id, version) = policy_name(&uid)?;
    let permissions = root.member("permission")?.items()?;
    let prohibitions = root.member("prohibition")?.items()?;
    let offer = Offer {
        space,
        id,
        version,
        title: root.member("dct:title")?.text()?.to_owned(),
        collection: collection(&root.member("dr:collection")?)?,
        valid_from: day(&root.member("dr:validFrom")?)?,
        valid_until: day(&root.member("dr:validUntil")?)?,
        duties: root.member("obligation")?.each(duty)?,
        permissions: permissions.iter().map(permission).collect::<Result<_, _>>()?,
        prohibitions: prohibitions.iter().map(prohibition).collect::<Result<_, _>>()?,
    };
    let mut seen = BTreeSet::new();
    for rule in permissions.iter().chain(&prohibitions) {
        let uid = rule.member("uid")?;
        if !seen.insert(uid.text()?) {
            return Err(uid.wrong("another rule has the same"));
        }
    }
    Ok(offer)
}

fn policy_name(uid: &At<'_>) -> Result<(SpaceId, PolicyId, u64), Report> {
    let parts = vocabulary::parts(uid.text()?);
    let [space, "policy", id, "version", version] = parts.as_deref().unwrap_or_default() else {
        return Err(uid.wrong("it must be urn:datenraum:space:SPACE:policy:ID:version:NUMBER"));
    };
    Ok((uid.parse(space)?, uid.parse(id)?, uid.parse(version)?))
}

fn collection(at: &At<'_>) -> Result<CollectionId, Report> {
    match vocabulary::parts(at.text()?).as_deref() {
        Some([_, "collection", id]) => at.parse(id),
        _ => Err(at.wrong("it must be urn:datenraum:space:SPACE:collection:ID")),
    }
}

fn rule_id(rule: &At<'_>) -> Result<RuleId, Report> {
    let uid = rule.member("uid")?;
    match vocabulary::parts(uid.text()?).as_deref() {
        Some([.., "rule", id]) => uid.parse(id),
        _ => Err(uid.wrong("it must be the uid of the policy and then :rule:ID")),
    }
}

fn permission(rule: &At<'_>) -> Result<OfferedPermission, Report> {
    let target = rule.member("target")?.member("refinement")?;
    let how = rule.member("action")?.first()?.member("refinement")?;
    let constraints = rule.member("constraint")?;
    let releases = how
        .required(left::RELEASE)?
        .list()?
        .iter()
        .map(release)
        .collect::<Result<Vec<_>, _>>()?;
    let permit = constraints.operand(left::COVERING_PERMIT)?;
    Ok(OfferedPermission {
        id: rule_id(rule)?,
        assignee: assignee(&rule.member("assignee")?, left::ROLE_OF_BOTH)?,
        purposes: purposes(&constraints.required("purpose")?)?,
        permit_required: permit.is_some(),
        release: releases.into_iter().max().unwrap_or(Release::Aggregates),
        columns: texts(&target.required(left::COLUMN)?)?,
        rows: match target.operand(left::ROW_FILTER)? {
            Some(name) => Some(name.text()?.to_owned()),
            None => None,
        },
        transforms: how
            .operands(left::TRANSFORM)?
            .iter()
            .map(transform)
            .collect::<Result<_, _>>()?,
        windows: windows(&constraints)?,
        disclosure: disclosure(&how, &constraints)?,
        models: match how.operand(left::MODEL_SUM)? {
            Some(sum) => Some(models(&how, &sum)?),
            None => None,
        },
        duties: rule.member("duty")?.each(duty)?,
    })
}

fn prohibition(rule: &At<'_>) -> Result<OfferedProhibition, Report> {
    let constraints = rule.member("constraint")?;
    let (target, action) = (rule.member("target")?, rule.member("action")?);
    Ok(OfferedProhibition {
        id: rule_id(rule)?,
        assignee: match rule.maybe("assignee")? {
            Some(named) => Some(assignee(&named, left::ROLE_OF_EITHER)?),
            None => None,
        },
        purposes: match constraints.operand("purpose")? {
            Some(named) => Some(purposes(&named)?),
            None => None,
        },
        release: match action.value {
            Value::String(_) => None,
            _ => Some(release(
                &action.first()?.member("refinement")?.required(left::RELEASE)?,
            )?),
        },
        columns: match target.value {
            Value::String(_) => None,
            _ => Some(texts(&target.member("refinement")?.required(left::COLUMN)?)?),
        },
        windows: windows(&constraints)?,
    })
}

fn assignee(party: &At<'_>, role_word: &str) -> Result<Assignee, Report> {
    let refinements = party.member("refinement")?;
    let all = |word: &str| refinements.operand(word)?.map(|operand| operand.list()).transpose();
    let (roles, members, persons) = (all(role_word)?, all(left::MEMBER)?, all(left::PERSON)?);
    let role = |at: &At<'_>| at.parse(at.text()?);
    Ok(Assignee {
        roles: roles.map(|of| of.iter().map(role).collect()).transpose()?,
        members: members.map(|of| of.iter().map(member).collect()).transpose()?,
        persons: persons.map(|of| of.iter().map(person).collect()).transpose()?,
    })
}

fn member(at: &At<'_>) -> Result<MemberId, Report> {
    match vocabulary::parts(at.iri()?).as_deref() {
        Some([_, "member", id]) => at.parse(id),
        _ => Err(at.wrong("it must be urn:datenraum:space:SPACE:member:ID")),
    }
}

fn person(at: &At<'_>) -> Result<(MemberId, PersonId), Report> {
    match vocabulary::parts(at.iri()?).as_deref() {
        Some([_, "member", member, "person", person]) => Ok((at.parse(member)?, at.parse(person)?)),
        _ => Err(at.wrong("it must be urn:datenraum:space:SPACE:member:ID:person:ID")),
    }
}

fn purposes(operand: &At<'_>) -> Result<BTreeSet<Purpose>, Report> {
    let purpose = |at: &At<'_>| at.parse(at.iri()?.strip_prefix("dr:").unwrap_or_default());
    operand.list()?.iter().map(purpose).collect()
}

fn texts(operand: &At<'_>) -> Result<BTreeSet<String>, Report> {
    let texts = operand.list()?;
    texts.iter().map(|at| Ok(at.text()?.to_owned())).collect()
}

fn release(at: &At<'_>) -> Result<Release, Report> {
    match at.iri()? {
        "dr:aggregates" => Ok(Release::Aggregates),
        "dr:models" => Ok(Release::Models),
        "dr:rows" => Ok(Release::Rows),
        _ => Err(at.wrong("it must be dr:aggregates, dr:models or dr:rows")),
    }
}

fn disclosure(how: &At<'_>, constraints: &At<'_>) -> Result<Disclosure, Report> {
    let number = |word: &str| how.operand(word)?.map(|at| at.number()).transpose();
    Ok(Disclosure {
        tier: tier(how)?,
        dominance: match how.operand(left::DOMINANCE)? {
            Some(operand) => Some(dominance(&operand)?),
            None => None,
        },
        p_percent: number(left::P_PERCENT)?,
        round_to: number(left::ROUND_TO)?,
        zeros: zeros(how)?,
        queries: quota(constraints)?,
    })
}

/// That whole numbers are within their limits is checked when the policy is compiled.
fn models(how: &At<'_>, sum: &At<'_>) -> Result<ModelRules, Report> {
    let (share, overlaps) = (
        how.required(left::MODEL_PARAMETERS)?,
        how.required(left::MODEL_OVERLAPS)?,
    );
    let share = share.member("@value")?;
    let number: f64 = share.parse(share.text()?)?;
    if !(number > 0.0 && number <= PARAMETERS_SHARE_MAX) {
        return Err(share.wrong(format_args!(
            "it must be more than 0 and at most {PARAMETERS_SHARE_MAX}"
        )));
    }
    Ok(ModelRules {
        sum: match sum.iri()? {
            "dr:plain" => Sum::Plain,
            "dr:masked" => Sum::Masked,
            _ => return Err(sum.wrong("it must be dr:plain or dr:masked")),
        },
        nodes_min: how.required(left::MODEL_NODES)?.number()?,
        parameters_share: number,
        reason: match how.operand(left::MODEL_REASON)? {
            Some(reason) => Some(reason.text()?.to_owned()),
            None => None,
        },
        steps_max: how.required(left::MODEL_STEPS)?.number()?,
        overlaps: match overlaps.iri()? {
            "dr:allow" => Overlaps::Allow,
            "dr:refuse" => Overlaps::Refuse,
            _ => return Err(overlaps.wrong("it must be dr:allow or dr:refuse")),
        },
    })
}

fn zeros(how: &At<'_>) -> Result<Zeros, Report> {
    let Some(named) = how.operand(left::ZEROS)? else {
        return Ok(Zeros::Open);
    };
    match named.iri()? {
        "dr:protected" => Ok(Zeros::Protected),
        _ => Err(named.wrong("it must be dr:protected, or the constraint must not be there")),
    }
}

fn transform(at: &At<'_>) -> Result<(String, Transform), Report> {
    let column = at.member("dr:ofColumn")?.text()?.to_owned();
    let shown_as = at.member("dr:shownAs")?;
    let transform = match shown_as.iri()? {
        "dr:bin" => Transform::Bins,
        "dr:truncated" => Transform::Truncate(period(&at.member("dr:period")?)?),
        "dr:prefix" => Transform::Prefix(at.member("dr:characters")?.number()?),
        "dr:null" => Transform::Mask,
        "dr:pseudonym" => Transform::Pseudonym,
        _ => return Err(shown_as.wrong("it must be dr:bin, dr:truncated, dr:prefix, dr:null or dr:pseudonym")),
    };
    Ok((column, transform))
}

fn period(at: &At<'_>) -> Result<Calendar, Report> {
    let text = at.text()?;
    let mut units = Calendar::ALL.into_iter();
    units
        .find(|unit| unit.to_string() == text)
        .ok_or_else(|| at.wrong("it must be day, week, month, quarter or year"))
}

fn tier(how: &At<'_>) -> Result<Tier, Report> {
    let tier = how.required(left::TIER)?;
    match tier.iri()? {
        "dr:open" => Ok(Tier::Open),
        "dr:statistical" => {
            let people = how.required(left::MIN_PEOPLE)?;
            let min_people = MinPeople::try_from(people.number()?).map_err(|error| people.wrong(error))?;
            Ok(Tier::Statistical { min_people })
        }
        _ => Err(tier.wrong("it must be dr:open or dr:statistical")),
    }
}

fn dominance(operand: &At<'_>) -> Result<Dominance, Report> {
    let share = operand.member("dr:share")?;
    let number: f64 = share.parse(share.text()?)?;
    if !(number > 0.0 && number < 1.0) {
        return Err(share.wrong("it must lie between 0 and 1"));
    }
    Ok(Dominance {
        top: operand.member("dr:top")?.number()?,
        share: number,
    })
}

fn quota(constraints: &At<'_>) -> Result<Quota, Report> {
    let mut quota = Quota::default();
    for constraint in constraints.items()? {
        if constraint.member("leftOperand")?.text()? != "count" {
            continue;
        }
        let most = constraint.member("rightOperand")?.number()?;
        let unit = constraint.member("unit")?;
        match unit.iri()? {
            "dr:perPersonIn60Seconds" => quota.per_minute = Some(most),
            "dr:perPersonIn7Days" => quota.per_week = Some(most),
            _ => return Err(unit.wrong("it must be dr:perPersonIn60Seconds or dr:perPersonIn7Days")),
        }
    }
    Ok(quota)
}

fn windows(constraints: &At<'_>) -> Result<Vec<Window>, Report> {
    match constraints.operand(left::TIME_WINDOW)? {
        Some(operand) => operand.list()?.iter().map(window).collect(),
        None => Ok(Vec::new()),
    }
}

fn window(at: &At<'_>) -> Result<Window, Report> {
    let days = at.member("dr:days")?.each(weekday)?;
    let (from, until, zone) = (at.member("dr:from")?, at.member("dr:until")?, at.member("dr:zone")?);
    Window::new(days, clock(&from)?, clock(&until)?, zone.text()?).map_err(|error| at.wrong(error))
}

fn weekday(at: &At<'_>) -> Result<Weekday, Report> {
    let text = at.text()?;
    let mut week = Weekday::Monday.cycle_forward().take(7);
    week.find(|day| day_name(*day) == text)
        .ok_or_else(|| at.wrong("it must be mon, tue, wed, thu, fri, sat or sun"))
}

/// Policies know clock times to the minute.
fn clock(at: &At<'_>) -> Result<Time, Report> {
    let time: Time = at.parse(at.text()?)?;
    if time.second() != 0 || time.subsec_nanosecond() != 0 {
        return Err(at.wrong("it must be a clock time to the minute, such as 08:00:00"));
    }
    Ok(time)
}

fn day(at: &At<'_>) -> Result<Date, Report> {
    let day: Date = at.parse(at.text()?)?;
    if day.year() < 0 {
        return Err(at.wrong("it must be a day of a year from 0 on"));
    }
    Ok(day)
}

fn duty(at: &At<'_>) -> Result<Duty, Report> {
    let action = at.member("action")?;
    match action.value {
        Value::String(name) if name == "delete" => Ok(Duty::Delete {
            within_days: within_days(at)?,
        }),
        Value::String(name) if name == "dr:publish" => Ok(Duty::PublishResults {
            within_days: within_days(at)?,
        }),
        Value::String(_) => Err(action.wrong("it must be delete or dr:publish, or odrl:attribute with its words")),
        _ => {
            let words = action.first()?.member("refinement")?.required(left::ATTRIBUTION_TEXT)?;
            Ok(Duty::Attribute {
                text: words.text()?.to_owned(),
            })
        }
    }
}

fn within_days(duty: &At<'_>) -> Result<u32, Report> {
    let both = duty.member("constraint")?.first()?.member("andSequence")?;
    let period = both.required_in_list("elapsedTime")?.member("@value")?;
    let days = period.text()?.strip_prefix('P').and_then(|text| text.strip_suffix('D'));
    match days {
        Some(days) => period.parse(days),
        None => Err(period.wrong("it must be days, such as P30D")),
    }
}

/// A value and where it stands.
struct At<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> At<'a> {
    fn wrong(&self, expected: impl Display) -> Report {
        other_at(&self.path, &expected.to_string())
    }

    fn members(&self) -> Result<&'a Map<String, Value>, Report> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    fn maybe(&self, name: &str) -> Result<Option<At<'a>>, Report> {
        let path = step(&self.path, name);
        Ok(self.members()?.get(name).map(|value| At { value, path }))
    }

    fn member(&self, name: &str) -> Result<At<'a>, Report> {
        self.maybe(name)?.ok_or_else(|| missing_at(&step(&self.path, name)))
    }

    fn items(&self) -> Result<Vec<At<'a>>, Report> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("an array"))?;
        let at = |(index, value)| At {
            value,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(at).collect())
    }

    fn each<T>(&self, read: impl Fn(&At<'a>) -> Result<T, Report>) -> Result<Vec<T>, Report> {
        self.items()?.iter().map(read).collect()
    }

    fn first(&self) -> Result<At<'a>, Report> {
        let first = self.items()?.into_iter().next();
        first.ok_or_else(|| missing_at(&format!("{}[0]", self.path)))
    }

    fn list(&self) -> Result<Vec<At<'a>>, Report> {
        self.member("@list")?.items()
    }

    fn iri(&self) -> Result<&'a str, Report> {
        self.member("@id")?.text()
    }

    fn text(&self) -> Result<&'a str, Report> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    fn number(&self) -> Result<u32, Report> {
        let number = self.value.as_u64().and_then(|number| number.try_into().ok());
        number.ok_or_else(|| self.wrong("a whole number from 0 to 4294967295"))
    }

    fn parse<T: FromStr<Err: Display>>(&self, text: &str) -> Result<T, Report> {
        text.parse().map_err(|error| self.wrong(error))
    }

    /// The right operand of the first of these constraints that has this left operand. That there is no second one is
    /// seen when everything is compared.
    fn operand(&self, left: &str) -> Result<Option<At<'a>>, Report> {
        Ok(self.operands(left)?.into_iter().next())
    }

    /// The right operands of all of these constraints that have this left operand.
    fn operands(&self, left: &str) -> Result<Vec<At<'a>>, Report> {
        let mut operands = Vec::new();
        for constraint in self.items()? {
            if constraint.member("leftOperand")?.text()? == left {
                operands.push(constraint.member("rightOperand")?);
            }
        }
        Ok(operands)
    }

    fn required(&self, left: &str) -> Result<At<'a>, Report> {
        let found = self.operand(left)?;
        found.ok_or_else(|| missing_at(&format!("the one with leftOperand {left} in {}", self.path)))
    }

    fn required_in_list(&self, left: &str) -> Result<At<'a>, Report> {
        self.member("@list")?.required(left)
    }
}
