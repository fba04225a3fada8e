//! The same decision a second time, in the most naive way, straight from the text of the files: to compare with.
//!
//! It must share nothing with `decide.rs` but the request. Next: `reference/generated.rs`, which compares.

mod generated;

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{DateTime, Time};
use terms::UtcTime;
use toml::{Table, Value};

use crate::{AccessRequest, Release};

/// The files of a data space as tables, and what is not in files.
struct World {
    files: BTreeMap<String, Table>,
    /// `policy x`, `permit x`, `member x`, `person x/y`.
    stopped: Vec<String>,
    permits_until: Option<UtcTime>,
}

/// What alone stands between a request and a permission or permit, for each of which that is so.
type Why = Vec<&'static str>;

/// The policy and the permission that allow the request.
fn decides(world: &World, request: &AccessRequest) -> Result<(String, String), Why> {
    let member = request.caller.member.as_str();
    let person = format!("{member}/{}", request.caller.person);
    let Some(entry) = entry(world, member) else {
        return Err(vec!["stranger"]);
    };
    if stopped(world, "member", member) || stopped(world, "person", &person) {
        return Err(vec!["stopped caller"]);
    }
    let Some(purpose) = request.purpose.map(|purpose| purpose.to_string()) else {
        return Err(vec!["no purpose"]);
    };
    if purpose.starts_with("ehds-54") {
        return Err(vec!["prohibited use"]);
    }
    let credential: Vec<String> = request.caller.roles.iter().map(ToString::to_string).collect();
    let roster = texts(entry, "roles").unwrap_or_default();
    let policies = || {
        world
            .files
            .iter()
            .filter(|(path, _)| path.starts_with("policies/"))
            .map(|(_, table)| table)
    };
    let about = || policies().filter(|policy| text(policy, "collection") == request.collection.as_str());
    for policy in about().filter(|policy| days_include(policy, request.at)) {
        let either: Vec<String> = credential.iter().chain(&roster).cloned().collect();
        if tables(policy, "prohibition").any(|rule| prohibits(rule, &either, member, &person, &purpose, request)) {
            return Err(vec!["prohibition"]);
        }
    }
    let for_rows = AccessRequest {
        release: Release::Rows,
        ..request.clone()
    };
    let rows_are_prohibited = about().filter(|policy| days_include(policy, request.at)).any(|policy| {
        let either: Vec<String> = credential.iter().chain(&roster).cloned().collect();
        tables(policy, "prohibition").any(|rule| prohibits(rule, &either, member, &person, &purpose, &for_rows))
    });
    let permit = permit(world, &person, &purpose, request)?;
    let is_body = |id: &str| self::entry(world, id).is_some_and(|entry| contains(entry, "roles", "public-body"));
    let acts_for = texts(entry, "acts_for").unwrap_or_default();
    let acts = acts_for
        .iter()
        .any(|body| is_body(body) && !stopped(world, "member", body));
    let by_permit = permit.is_some_and(|permit| permit.contains_key("acts_for") && text(permit, "holder") == member);
    if ["ehds-53-1-a", "ehds-53-1-b", "ehds-53-1-c"].contains(&&*purpose) && !is_body(member) && !acts && !by_permit {
        return Err(vec!["reserved"]);
    }
    let both: Vec<String> = credential.into_iter().filter(|role| roster.contains(role)).collect();
    let asked = request.asked;
    let (mut least, mut why): (Option<_>, Why) = (None, Vec::new());
    for policy in about() {
        for rule in tables(policy, "permission") {
            let columns = texts(rule, "columns").unwrap_or_default();
            let lacking: Why = [
                ("assignee", !is_meant(rule, &both, member, &person)),
                ("stopped policy", stopped(world, "policy", text(policy, "id"))),
                ("validity", !days_include(policy, request.at)),
                ("purposes", !contains(rule, "purposes", &purpose)),
                (
                    "release",
                    match (text(rule, "release"), request.release) {
                        (_, Release::Aggregates) | ("rows", Release::Rows) | ("models", Release::Models) => false,
                        // Whoever may have the rows may add them up.
                        ("rows", Release::Models) => rows_are_prohibited && !rule.contains_key("models"),
                        (_, Release::Models | Release::Rows) => true,
                    },
                ),
                ("columns", !request.columns.iter().all(|name| columns.contains(name))),
                ("permit", text(rule, "permit") == "required" && permit.is_none()),
                ("window", !windows_include(rule, request.at)),
                (
                    "quota",
                    exhausted(rule["disclosure"].get("queries"), asked.minute, asked.week),
                ),
            ]
            .into_iter()
            .filter_map(|(what, lacks)| lacks.then_some(what))
            .collect();
            if let [only] = lacking[..] {
                why.push(only);
            }
            let ids = (text(policy, "id").to_owned(), text(rule, "id").to_owned());
            let candidate = (demanded(policy, rule, request), ids);
            if lacking.is_empty() && least.as_ref().is_none_or(|least| candidate < *least) {
                least = Some(candidate);
            }
        }
    }
    least.map(|(_, ids)| ids).ok_or(why)
}

fn prohibits(
    rule: &Table,
    roles: &[String],
    member: &str,
    person: &str,
    purpose: &str,
    request: &AccessRequest,
) -> bool {
    let release = rule.get("release").and_then(Value::as_str);
    is_meant(rule, roles, member, person)
        && (!rule.contains_key("purposes") || contains(rule, "purposes", purpose))
        && release.is_none_or(|release| release == request.release.to_string())
        && texts(rule, "columns").is_none_or(|named| named.iter().any(|name| request.columns.contains(name)))
        && windows_include(rule, request.at)
}

fn permit<'a>(
    world: &'a World,
    person: &str,
    purpose: &str,
    request: &AccessRequest,
) -> Result<Option<&'a Table>, Why> {
    let Some(id) = &request.permit else { return Ok(None) };
    if stopped(world, "permit", id.as_str()) {
        return Err(vec!["stopped permit"]);
    }
    let lapsed = world.permits_until.is_some_and(|until| request.at >= until);
    let Some(permit) = world.files.get(&format!("permits/{id}.toml")).filter(|_| !lapsed) else {
        return Err(vec!["unknown permit"]);
    };
    let holder = text(permit, "holder");
    let dataset = tables(permit, "dataset").find(|set| text(set, "collection") == request.collection.as_str());
    let columns = dataset.and_then(|set| texts(set, "columns")).unwrap_or_default();
    let covered = |name: &String| name == "node" || columns.contains(name);
    let asked = request.asked;
    let gaps = [
        ("permit person", !contains(permit, "persons", person)),
        (
            "permit holder",
            entry(world, holder).is_none() || stopped(world, "member", holder),
        ),
        (
            "permit withdrawn",
            permit.get("withdrawn").is_some_and(|at| reached(at, false, request.at)),
        ),
        ("permit not yet", !reached(&permit["valid_from"], false, request.at)),
        ("permit expired", reached(&permit["valid_until"], true, request.at)),
        ("permit purposes", !contains(permit, "purposes", purpose)),
        ("permit collection", dataset.is_none()),
        (
            "permit release",
            text(permit, "kind") == "data-request" && request.release != Release::Aggregates,
        ),
        ("permit columns", !request.columns.iter().all(covered)),
        (
            "permit quota",
            exhausted(permit.get("queries"), asked.permit_minute, asked.permit_week),
        ),
    ];
    let gaps: Why = gaps.into_iter().filter_map(|(what, gap)| gap.then_some(what)).collect();
    match gaps.len() {
        0 => Ok(Some(permit)),
        1 => Err(gaps),
        _ => Err(Vec::new()),
    }
}

/// Whether a point in time has come: of a day, its first instant or its end, UTC.
fn reached(written: &Value, end: bool, at: UtcTime) -> bool {
    let written = written.to_string();
    match (written.parse::<UtcTime>(), end) {
        (Ok(time), _) => at >= time,
        (Err(_), false) => at.to_string()[..10] >= *written,
        (Err(_), true) => at.to_string()[..10] > *written,
    }
}

fn days_include(policy: &Table, at: UtcTime) -> bool {
    reached(&policy["valid_from"], false, at) && !reached(&policy["valid_until"], true, at)
}

fn windows_include(rule: &Table, at: UtcTime) -> bool {
    let Some(Value::Array(windows)) = rule.get("when") else {
        return true;
    };
    let windows = windows.iter().filter_map(Value::as_table);
    windows.into_iter().any(|window| {
        let local: DateTime = at.in_tz(text(window, "zone")).unwrap().datetime();
        let clock = |key: &str| window[key].to_string().parse::<Time>().unwrap();
        // It may have begun yesterday.
        [local.date(), local.date() - 1.day()].into_iter().any(|first| {
            let last = if clock("until") > clock("from") {
                first
            } else {
                first + 1.day()
            };
            let day = first.strftime("%a").to_string().to_lowercase();
            contains(window, "days", &day)
                && first.to_datetime(clock("from")) <= local
                && local < last.to_datetime(clock("until"))
        })
    })
}

fn is_meant(rule: &Table, roles: &[String], member: &str, person: &str) -> bool {
    let Some(assignee) = rule.get("assignee").and_then(Value::as_table) else {
        return true;
    };
    texts(assignee, "roles").is_none_or(|named| named.iter().any(|role| roles.contains(role)))
        && texts(assignee, "members").is_none_or(|named| named.iter().any(|id| id == member))
        && texts(assignee, "persons").is_none_or(|named| named.iter().any(|id| id == person))
}

fn exhausted(queries: Option<&Value>, minute: u32, week: u32) -> bool {
    let most = |key: &str| queries.and_then(|table| table.get(key)).and_then(Value::as_integer);
    most("per_minute").is_some_and(|most| i64::from(minute) >= most)
        || most("per_week").is_some_and(|most| i64::from(week) >= most)
}

/// What a permission asks for, as numbers that grow with it: people, row filter, columns that are not shown as they are,
/// how little is shown of them, five of a fit, empty cells, deleting, publishing, naming.
fn demanded(policy: &Table, rule: &Table, request: &AccessRequest) -> [i64; 13] {
    let columns = &request.columns;
    let people = rule["disclosure"]
        .get("min_people")
        .map_or(0, |people| people.as_integer().unwrap());
    let duties: Vec<&Table> = tables(policy, "duty").chain(tables(rule, "duty")).collect();
    let of = |action: &'static str| duties.iter().filter(move |duty| text(duty, "action") == action);
    let sooner = |action| {
        of(action)
            .map(|duty| 10_000 - duty["within_days"].as_integer().unwrap())
            .max()
            .unwrap_or(0)
    };
    let transforms = rule.get("transforms").and_then(Value::as_table).into_iter().flatten();
    let shown: Vec<&Value> = transforms
        .filter(|(name, _)| columns.contains(*name))
        .map(|(_, shown)| shown)
        .collect();
    let protected = rule["disclosure"].get("zeros").and_then(Value::as_str) == Some("protected");
    let [masked, nodes, parameters, steps, refused] = demanded_of_a_fit(rule, request.release);
    let named = i64::try_from(of("attribute").count()).unwrap();
    [
        people,
        i64::from(rule.contains_key("rows")),
        i64::try_from(shown.len()).unwrap(),
        shown.into_iter().map(little).sum(),
        masked,
        nodes,
        parameters,
        steps,
        refused,
        i64::from(protected),
        sooner("delete"),
        sooner("publish-results"),
        named,
    ]
}

fn demanded_of_a_fit(rule: &Table, release: Release) -> [i64; 5] {
    if release != Release::Models || text(rule["disclosure"].as_table().unwrap(), "tier") == "open" {
        return [0; 5];
    }
    let Some(models) = rule.get("models").and_then(Value::as_table) else {
        return [0, 1, -330_000, -25, 0];
    };
    let whole = |key: &str, otherwise| models.get(key).map_or(otherwise, |number| number.as_integer().unwrap());
    let share = models.get("parameters").map_or(0.1, |share| share.as_float().unwrap());
    [
        i64::from(text(models, "sum") == "masked"),
        whole("min_nodes", 3),
        -(share * 1_000_000.0).round() as i64,
        -whole("steps", 25),
        i64::from(models.get("overlaps").and_then(Value::as_str) != Some("allow")),
    ]
}

/// How little is shown of a value.
fn little(shown: &Value) -> i64 {
    let units = ["day", "week", "month", "quarter", "year"];
    let period = |unit: &str| 1 + i64::try_from(units.iter().position(|one| *one == unit).unwrap()).unwrap();
    match (shown.as_str(), shown.get("truncate"), shown.get("prefix")) {
        (Some("mask"), ..) => 65,
        (Some(_), ..) => 1,
        (_, Some(unit), _) => period(unit.as_str().unwrap()),
        (.., length) => 65 - length.unwrap().as_integer().unwrap(),
    }
}

fn entry<'a>(world: &'a World, member: &str) -> Option<&'a Table> {
    tables(&world.files["members.toml"], "member").find(|entry| text(entry, "id") == member)
}

fn stopped(world: &World, kind: &str, id: &str) -> bool {
    world.stopped.contains(&format!("{kind} {id}"))
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table[key].as_str().unwrap()
}

fn texts(table: &Table, key: &str) -> Option<Vec<String>> {
    let items = table.get(key)?.as_array().unwrap();
    Some(items.iter().map(|item| item.as_str().unwrap().to_owned()).collect())
}

fn contains(table: &Table, key: &str, item: &str) -> bool {
    texts(table, key).is_some_and(|items| items.iter().any(|one| one == item))
}

fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    table
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table)
}
