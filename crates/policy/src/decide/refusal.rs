//! What a refusal says: which rule of which policy decided, and what would be allowed instead.
//!
//! It must never decide anything, and never name people. `decide.rs` is the only caller.

use terms::{PermitId, PolicyId, Problem, Purpose, Report, RuleId};

use super::{AccessRequest, Nearest, Reason};
use crate::collection::{NODE_COLUMN, list};
use crate::disclosure::Quota;
use crate::grant::{Grant, Release};
use crate::permit::{Permit, PermitGap};
use crate::queryable::{open_to, queryable};
use crate::rule::{Policy, Prohibition, Who, utc_day};
use crate::rules::Rules;

/// Most names that one sentence lists.
const NAMES_MAX: usize = 40;

/// A request may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub problem: Problem,
    /// The policy that decided and its version; none if no policy is about the request.
    pub policy: Option<(PolicyId, u64)>,
    /// The rule of the policy that decided.
    pub rule: Option<RuleId>,
    /// What was refused, in one sentence.
    pub message: String,
    /// What would be allowed, or what to do.
    pub remedy: String,
}

impl From<Refusal> for Report {
    fn from(refusal: Refusal) -> Report {
        Report {
            problem: refusal.problem,
            message: refusal.message,
            remedy: refusal.remedy,
        }
    }
}

impl Refusal {
    fn without_rule(problem: Problem, message: String, remedy: String) -> Refusal {
        Refusal {
            problem,
            policy: None,
            rule: None,
            message,
            remedy,
        }
    }

    fn by_rule(problem: Problem, policy: &Policy, rule: &RuleId, message: String, remedy: String) -> Refusal {
        let policy = Some((policy.id.clone(), policy.version));
        Refusal {
            problem,
            policy,
            rule: Some(rule.clone()),
            message,
            remedy,
        }
    }

    /// Two permissions of which neither protects more, so that nobody can say what would protect as much as both.
    pub(crate) fn of_unlike(grant: &Grant, other: &Grant, key: &str) -> Refusal {
        let of = |grant: &Grant| format!("{} of {} version {}", grant.rule(), grant.policy(), grant.version());
        let message = format!(
            "{} and {} say different things about {key}, and neither protects more",
            of(grant),
            of(other)
        );
        let remedy = format!("ask about each collection alone, or ask the board to give both the same {key}");
        Refusal {
            rule: Some(other.rule().clone()),
            policy: Some((other.policy().clone(), other.version())),
            ..Refusal::without_rule(Problem::NoPermission, message, remedy)
        }
    }
}

/// A permit that does not say that people may be linked.
pub(super) fn no_linkage(permit: &Permit) -> Refusal {
    let message = format!("permit {} does not allow to link people across collections", permit.id);
    let remedy = "ask about each collection alone, or ask the issuer for a permit with `linkage = true`".to_owned();
    Refusal::without_rule(Problem::PermitInvalid, message, remedy)
}

/// A reason in words.
pub(crate) fn of(rules: &Rules, request: &AccessRequest, reason: &Reason<'_>) -> Refusal {
    match reason {
        Reason::NotAMember => not_a_member(rules, request),
        Reason::Stopped => stopped(rules, request),
        Reason::NoPurpose(who) => no_purpose(rules, request, who),
        Reason::ProhibitedUse(who, purpose) => prohibited_use(rules, request, who, *purpose),
        Reason::Prohibited(policy, rule) => by_prohibition(policy, rule, request),
        Reason::PermitStopped(id) => permit_stopped(id),
        Reason::PermitUnknown(id) => permit_unknown(id),
        Reason::PermitGap(permit, gap) => by_permit(permit, *gap, request),
        Reason::PermitExhausted(permit) => permit_exhausted(permit),
        Reason::Reserved(who, purpose) => reserved(rules, request, who, *purpose),
        Reason::Short(who, purpose, nearest) => by_shortfall(rules, request, who, *purpose, nearest),
        Reason::NoRule => no_rule(rules, request),
    }
}

fn not_a_member(rules: &Rules, request: &AccessRequest) -> Refusal {
    let message = format!(
        "{} is not a member of data space {}",
        request.caller.member, rules.space.id
    );
    let remedy = "ask the board of the data space to put the institution on the roster".to_owned();
    Refusal::without_rule(Problem::NoPermission, message, remedy)
}

fn no_purpose(rules: &Rules, request: &AccessRequest, who: &Who<'_>) -> Refusal {
    let message = format!(
        "the request names no purpose, and nothing on {} is allowed without",
        request.collection
    );
    Refusal::without_rule(Problem::NoPermission, message, purposes_remedy(rules, request, who))
}

fn prohibited_use(rules: &Rules, request: &AccessRequest, who: &Who<'_>, purpose: Purpose) -> Refusal {
    let message = format!("Art. 54 EHDS prohibits {}", with_words(purpose));
    Refusal::without_rule(Problem::Prohibited, message, purposes_remedy(rules, request, who))
}

fn no_rule(rules: &Rules, request: &AccessRequest) -> Refusal {
    let message = format!("no policy permits anything on collection {}", request.collection);
    let open = queryable(rules, &request.caller, request.at);
    let remedy = match open.is_empty() {
        true => "no collection of the data space is open to you; ask its board".to_owned(),
        false => format!(
            "collections open to you: {}",
            list(open.iter().map(|open| &open.collection.id))
        ),
    };
    Refusal::without_rule(Problem::NoPermission, message, remedy)
}

fn by_prohibition(policy: &Policy, rule: &Prohibition, request: &AccessRequest) -> Refusal {
    let purpose = rule
        .purposes
        .as_ref()
        .and(request.purpose)
        .map(|purpose| format!("purpose {}", with_words(purpose)));
    let release = rule.release.map(|release| format!("release of {release}"));
    let hit: Vec<&String> = rule
        .columns
        .iter()
        .flat_map(|columns| columns.intersection(&request.columns))
        .collect();
    let columns = (!hit.is_empty()).then(|| columns_named(&hit));
    let whom = rule.assignee.as_ref().map(|assignee| format!("requests of {assignee}"));
    let remedy = match (&columns, rule.release) {
        (Some(columns), _) => format!("leave out {columns}"),
        (None, Some(Release::Rows | Release::Models)) => "ask for aggregates only".to_owned(),
        (None, None | Some(Release::Aggregates)) => Problem::Prohibited.next_step().to_owned(),
    };
    let when = (!rule.windows.is_empty()).then(|| format!("requests at {}", list(&rule.windows)));
    let covered: Vec<String> = [purpose, release, columns, whom, when].into_iter().flatten().collect();
    let message = format!(
        "prohibition {} of {} version {} covers {}",
        rule.id,
        policy.id,
        policy.version,
        covered.join(", ")
    );
    Refusal::by_rule(Problem::Prohibited, policy, &rule.id, message, remedy)
}

/// Explains the permission that lacks least.
fn by_shortfall(
    rules: &Rules,
    request: &AccessRequest,
    who: &Who<'_>,
    purpose: Purpose,
    nearest: &Nearest<'_>,
) -> Refusal {
    let Nearest {
        policy,
        permission,
        shortfall,
    } = nearest;
    let (problem, message, remedy) = if shortfall.assignee {
        (
            Problem::NoPermission,
            not_for(request, who),
            format!("permission {} is for {}", permission.id, permission.assignee),
        )
    } else if shortfall.stopped {
        let message = format!("a member of the board has stopped policy {}", policy.id);
        (Problem::Stopped, message, Problem::Stopped.next_step().to_owned())
    } else if shortfall.time {
        let (message, remedy) = out_of_time(policy, request);
        (Problem::NoPermission, message, remedy)
    } else if shortfall.purpose || shortfall.release || shortfall.columns > 0 {
        let (message, remedy) = not_covered(rules, request, who, purpose, nearest);
        (Problem::NoPermission, message, remedy)
    } else {
        not_now(nearest)
    };
    Refusal::by_rule(problem, policy, &permission.id, message, remedy)
}

fn not_for(request: &AccessRequest, who: &Who<'_>) -> String {
    let held = list(request.caller.roles.iter().filter(|role| who.acts_as(role)));
    let unheld = list(request.caller.roles.iter().filter(|role| !who.acts_as(role)));
    let acting = if held.is_empty() {
        "in no role".to_owned()
    } else {
        format!("as {held}")
    };
    let member = &request.caller.member;
    let mut message = format!(
        "no permission on collection {} is given to this person of {member} acting {acting}",
        request.collection
    );
    if !unheld.is_empty() {
        message.push_str(&format!("; the roster does not give {member} the role {unheld}"));
    }
    message
}

fn out_of_time(policy: &Policy, request: &AccessRequest) -> (String, String) {
    let Policy {
        id,
        version,
        valid_from,
        valid_until,
        ..
    } = policy;
    if utc_day(request.at) < *valid_from {
        let message = format!("policy {id} version {version} is in force from {valid_from} (UTC)");
        return (message, format!("ask again on {valid_from}"));
    }
    let message = format!("policy {id} version {version} expired on {valid_until} (UTC)");
    (message, "ask the board for a renewed version".to_owned())
}

fn not_covered(
    rules: &Rules,
    request: &AccessRequest,
    who: &Who<'_>,
    purpose: Purpose,
    nearest: &Nearest<'_>,
) -> (String, String) {
    let Nearest {
        policy,
        permission,
        shortfall,
    } = nearest;
    let (mut lacking, mut remedies) = (Vec::new(), Vec::new());
    if shortfall.purpose {
        lacking.push(format!("purpose {}", with_words(purpose)));
        remedies.push(purposes_remedy(rules, request, who));
    }
    if shortfall.release {
        let with_rows = request.release == Release::Models && permission.models_come_with_rows();
        lacking.push(match with_rows {
            true => "models (they come with its rows, and a prohibition meets these)".to_owned(),
            false => released(request.release).to_owned(),
        });
        remedies.push(match permission.release {
            Release::Models => "models or aggregates only".to_owned(),
            Release::Aggregates | Release::Rows => "aggregates only".to_owned(),
        });
    }
    if shortfall.columns > 0 {
        let missing: Vec<&String> = request.columns.difference(&permission.columns).collect();
        lacking.push(columns_named(&missing));
        remedies.push(match permission.columns.is_empty() {
            true => "columns allowed: none, only counting".to_owned(),
            false => format!("columns allowed: {}", some_of(&permission.columns)),
        });
    }
    if shortfall.permit {
        remedies.push("the permission also needs a data permit".to_owned());
    }
    let rule = format!(
        "permission {} of {} version {}",
        permission.id, policy.id, policy.version
    );
    (
        format!("{rule} does not cover {}", lacking.join(" and ")),
        remedies.join("; "),
    )
}

fn released(release: Release) -> &'static str {
    match release {
        Release::Aggregates => "aggregates",
        Release::Models => "models",
        Release::Rows => "single rows",
    }
}

/// What is left when who, purpose, release and columns are covered: the permit, the time of day, the quota.
fn not_now(nearest: &Nearest<'_>) -> (Problem, String, String) {
    let Nearest {
        policy,
        permission,
        shortfall,
    } = nearest;
    let rule = format!(
        "permission {} of {} version {}",
        permission.id, policy.id, policy.version
    );
    let (problem, message, remedy) = if shortfall.permit {
        let message = format!("{rule} needs a data permit and the request names none");
        (Problem::PermitRequired, message, None)
    } else if shortfall.window {
        let windows = list(&permission.windows);
        let message = format!("{rule} does not hold at this time of the week");
        (Problem::NoPermission, message, Some(format!("ask at: {windows}")))
    } else {
        let message = format!(
            "{rule} lets one person ask {}",
            quota_words(permission.disclosure.queries)
        );
        (Problem::Quota, message, None)
    };
    let remedy = remedy.unwrap_or_else(|| problem.next_step().to_owned());
    (problem, message, remedy)
}

fn quota_words(quota: Quota) -> String {
    let minute = quota.per_minute.map(|most| format!("{most} times a minute"));
    let week = quota.per_week.map(|most| format!("{most} times in seven days"));
    let words: Vec<String> = [minute, week].into_iter().flatten().collect();
    words.join(" and ")
}

fn stopped(rules: &Rules, request: &AccessRequest) -> Refusal {
    let message = rules.stops.words(&request.caller);
    Refusal::without_rule(Problem::Stopped, message, Problem::Stopped.next_step().to_owned())
}

fn reserved(rules: &Rules, request: &AccessRequest, who: &Who<'_>, purpose: Purpose) -> Refusal {
    let member = &request.caller.member;
    let message = format!(
        "Art. 53(2) EHDS reserves {} to public bodies and those acting for them, and the roster does not say so of {member}",
        with_words(purpose)
    );
    Refusal::without_rule(Problem::Reserved, message, purposes_remedy(rules, request, who))
}

fn permit_stopped(id: &PermitId) -> Refusal {
    let message = format!("a member of the board has stopped permit {id}");
    Refusal::without_rule(Problem::Stopped, message, Problem::Stopped.next_step().to_owned())
}

fn permit_unknown(id: &PermitId) -> Refusal {
    let message = format!("permit {id} is not known in the data space");
    Refusal::without_rule(
        Problem::PermitUnknown,
        message,
        Problem::PermitUnknown.next_step().to_owned(),
    )
}

fn permit_exhausted(permit: &Permit) -> Refusal {
    let message = format!(
        "permit {} lets all its persons together ask {}",
        permit.id,
        quota_words(permit.queries)
    );
    Refusal::without_rule(Problem::Quota, message, Problem::Quota.next_step().to_owned())
}

/// Explains in what a permit does not cover the request. What it does cover is told to its own persons only.
fn by_permit(permit: &Permit, gap: PermitGap, request: &AccessRequest) -> Refusal {
    let id = &permit.id;
    let (what, remedy) = match gap {
        PermitGap::Person => ("does not name this person".to_owned(), None),
        PermitGap::Holder => (
            "was issued to an institution that is stopped or no longer a member".to_owned(),
            None,
        ),
        PermitGap::NotYet => (format!("holds from {:.0}", permit.valid_from), None),
        PermitGap::Expired => (format!("expired at {:.0}", permit.valid_until), None),
        PermitGap::Withdrawn => ("was withdrawn".to_owned(), None),
        PermitGap::Purpose => {
            let purposes = list(permit.purposes.iter().copied().map(with_words));
            (
                "is for other purposes".to_owned(),
                Some(format!("purposes of the permit: {purposes}")),
            )
        }
        PermitGap::Collection => {
            let collections = list(permit.columns.keys());
            let what = format!("is not about collection {}", request.collection);
            (what, Some(format!("collections of the permit: {collections}")))
        }
        PermitGap::Release => {
            let what = "is an approved data request, which is answered in an anonymised statistical format only (EHDS Art. 69)";
            let remedy = format!(
                "aggregates only; {} need a data permit (EHDS Art. 68)",
                released(request.release)
            );
            (what.to_owned(), Some(remedy))
        }
        PermitGap::Columns => {
            let known = permit.columns.get(&request.collection);
            let missing: Vec<&String> = request
                .columns
                .iter()
                .filter(|name| *name != NODE_COLUMN && known.is_none_or(|known| !known.contains(*name)))
                .collect();
            let allowed = known.map(|known| format!("columns of the permit: {}", some_of(known)));
            (format!("does not cover {}", columns_named(&missing)), allowed)
        }
    };
    let remedy = remedy.unwrap_or_else(|| Problem::PermitInvalid.next_step().to_owned());
    Refusal::without_rule(Problem::PermitInvalid, format!("permit {id} {what}"), remedy)
}

fn purposes_remedy(rules: &Rules, request: &AccessRequest, who: &Who<'_>) -> String {
    match open_to(rules, who, &request.collection, request.at) {
        Some(open) => format!("purposes allowed: {}", list(open.purposes.into_iter().map(with_words))),
        None => format!("no purpose on collection {} is open to you", request.collection),
    }
}

fn with_words(purpose: Purpose) -> String {
    format!("{purpose} ({})", purpose.words())
}

fn columns_named(names: &[&String]) -> String {
    let noun = if names.len() == 1 { "column" } else { "columns" };
    format!("{noun} {}", some_of(names.iter().copied()))
}

fn some_of<'a>(names: impl IntoIterator<Item = &'a String, IntoIter: ExactSizeIterator>) -> String {
    let names = names.into_iter();
    let left_out = names.len().saturating_sub(NAMES_MAX);
    let shown = list(names.take(NAMES_MAX));
    if left_out == 0 {
        shown
    } else {
        format!("{shown} and {left_out} more")
    }
}
