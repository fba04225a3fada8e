mod demands;
mod joins;
mod models;
mod permits;
mod prohibitions;
mod quotas;
mod reserved;
mod rows;
mod stops;
mod windows;

use terms::{Problem, Purpose, Report};

use super::{AccessRequest, Decision, Refusal, decide};
use crate::example::{Files, ada};
use crate::{Grant, MinPeople, OptOut, Release, RowFilter, Rules, Tier};

const PATH: &str = "policies/breast-cancer-research.toml";
const ROLES: &str = "assignee  = { roles = [\"university\", \"public-health-office\"] }";

fn refuse(rules: &Rules, request: &AccessRequest) -> Refusal {
    match decide(rules, request) {
        Decision::Allow(grant) => panic!("allowed: {grant:?}"),
        Decision::Refuse(refusal) => refusal,
    }
}

fn allow(rules: &Rules, request: &AccessRequest) -> Grant {
    decide(rules, request)
        .into_grant()
        .unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn columns(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[track_caller]
fn says(refusal: &Refusal, problem: Problem, rule: Option<&str>, message: &str, remedy: &str) {
    assert_eq!((refusal.message.as_str(), refusal.remedy.as_str()), (message, remedy));
    assert_eq!(
        (refusal.problem, refusal.rule.as_ref().map(terms::RuleId::as_str)),
        (problem, rule)
    );
}

#[test]
fn without_a_policy_everything_is_refused() {
    let rules = Files::new().without(PATH).rules();
    let refusal = refuse(&rules, &ada());
    let message = "no policy permits anything on collection breast-cancer";
    says(
        &refusal,
        Problem::NoPermission,
        None,
        message,
        "collections open to you: beds",
    );
    assert_eq!(refusal.policy, None);
    let request = AccessRequest {
        collection: "unheard-of".parse().unwrap(),
        ..ada()
    };
    let rules = Files::new().without("policies/beds-open.toml").without(PATH).rules();
    let remedy = "no collection of the data space is open to you; ask its board";
    let message = "no policy permits anything on collection unheard-of";
    says(&refuse(&rules, &request), Problem::NoPermission, None, message, remedy);
}

#[test]
fn a_stranger_is_refused_whatever_they_claim() {
    let mut request = ada();
    request.caller.member = "elsewhere".parse().unwrap();
    let message = "elsewhere is not a member of data space oncology";
    let remedy = "ask the board of the data space to put the institution on the roster";
    says(
        &refuse(&Files::new().rules(), &request),
        Problem::NoPermission,
        None,
        message,
        remedy,
    );
}

#[test]
fn a_request_without_purpose_learns_which_it_may_name() {
    let request = AccessRequest { purpose: None, ..ada() };
    let message = "the request names no purpose, and nothing on breast-cancer is allowed without";
    let research = "purposes allowed: ehds-53-1-e (scientific research)";
    let both = "purposes allowed: ehds-53-1-c (statistics), ehds-53-1-e (scientific research)";
    let none = "no purpose on collection breast-cancer is open to you";
    let prohibited = |purpose: &str| Files::new().edit(PATH, "\"ehds-54-b\"", purpose);
    let cases = [
        (Files::new(), "saarland-university", research),
        (Files::new(), "health-office", both),
        (prohibited("\"ehds-53-1-c\""), "health-office", research),
        (prohibited("\"ehds-53-1-e\""), "saarland-university", none),
    ];
    for (files, member, remedy) in cases {
        let mut request = request.clone();
        request.caller.member = member.parse().unwrap();
        let refusal = refuse(&files.rules(), &request);
        says(&refusal, Problem::NoPermission, None, message, remedy);
    }
}

#[test]
fn article_54_needs_no_policy_to_refuse() {
    for purpose in Purpose::all().filter(|purpose| purpose.is_prohibited_use()) {
        let request = AccessRequest {
            purpose: Some(purpose),
            ..ada()
        };
        let refusal = refuse(&Files::new().rules(), &request);
        assert_eq!((refusal.problem, refusal.rule.as_ref()), (Problem::Prohibited, None));
        assert!(
            refusal.message.starts_with("Art. 54 EHDS prohibits ehds-54-"),
            "{}",
            refusal.message
        );
    }
}

#[test]
fn a_column_that_is_not_permitted_is_named_with_those_that_are() {
    let request = AccessRequest {
        columns: columns(&["age", "meno"]),
        ..ada()
    };
    let refusal = refuse(&Files::new().rules(), &request);
    let message = "permission statistics of breast-cancer-research version 3 does not cover column meno";
    says(
        &refusal,
        Problem::NoPermission,
        Some("statistics"),
        message,
        "columns allowed: age, grade",
    );
    assert_eq!(refusal.policy, Some(("breast-cancer-research".parse().unwrap(), 3)));
    let request = AccessRequest {
        columns: columns(&["node"]),
        ..ada()
    };
    assert!(
        refuse(&Files::new().rules(), &request)
            .message
            .ends_with("does not cover column node")
    );
}

#[test]
fn several_shortfalls_are_told_together() {
    let request = AccessRequest {
        purpose: Some(Purpose::Education),
        release: Release::Rows,
        columns: columns(&["meno", "note"]),
        ..ada()
    };
    let files = Files::new().edit(PATH, "\"none\"", "\"required\"");
    let message = "permission statistics of breast-cancer-research version 3 does not cover purpose ehds-53-1-d \
                   (education and teaching) and single rows and columns meno, note";
    let remedy = "purposes allowed: ehds-53-1-e (scientific research); aggregates only; columns allowed: age, grade; \
                  the permission also needs a data permit";
    says(
        &refuse(&files.rules(), &request),
        Problem::NoPermission,
        Some("statistics"),
        message,
        remedy,
    );
}

#[test]
fn rows_of_people_are_refused_with_what_is_possible() {
    let request = AccessRequest {
        release: Release::Rows,
        ..ada()
    };
    let message = "permission statistics of breast-cancer-research version 3 does not cover single rows";
    says(
        &refuse(&Files::new().rules(), &request),
        Problem::NoPermission,
        Some("statistics"),
        message,
        "aggregates only",
    );
}

#[test]
fn the_nearest_permission_explains_the_refusal() {
    let other = "\n[[permission]]\nid = \"counts\"\nassignee = { roles = [\"university\"] }\npurposes = [\"ehds-53-1-d\"]\n\
                 permit = \"none\"\nrelease = \"aggregates\"\ncolumns = [\"meno\"]\n\
                 disclosure = { tier = \"statistical\", min_people = 5 }\n\n[[prohibition]]";
    let rules = Files::new().edit(PATH, "\n[[prohibition]]", other).rules();
    let request = AccessRequest {
        columns: columns(&["age", "meno"]),
        ..ada()
    };
    assert_eq!(
        refuse(&rules, &request).rule.unwrap().as_str(),
        "statistics",
        "purpose weighs more than a column"
    );
    let request = AccessRequest {
        purpose: Some(Purpose::Education),
        columns: columns(&["age", "meno"]),
        ..ada()
    };
    assert_eq!(refuse(&rules, &request).rule.unwrap().as_str(), "counts");
}

#[test]
fn a_role_counts_only_if_the_roster_gives_it_too() {
    let mut request = ada();
    request.caller.member = "gbsg".parse().unwrap();
    let refusal = refuse(&Files::new().rules(), &request);
    let message = "no permission on collection breast-cancer is given to this person of gbsg acting in no role; the \
                   roster does not give gbsg the role university";
    let remedy = "permission statistics is for role public-health-office, university";
    says(&refusal, Problem::NoPermission, Some("statistics"), message, remedy);
    request.caller = ada().caller;
    request.caller.roles.clear();
    assert_eq!(refuse(&Files::new().rules(), &request).problem, Problem::NoPermission);
}

#[test]
fn every_key_of_an_assignee_must_match() {
    let assignee = |text: &str| {
        Files::new()
            .edit(PATH, ROLES, &format!("assignee = {{ {text} }}"))
            .rules()
    };
    let university = "members = [\"saarland-university\"]";
    for allowed in [
        university,
        "persons = [\"saarland-university/ada\"]",
        &format!("roles = [\"university\"], {university}"),
    ] {
        allow(&assignee(allowed), &ada());
    }
    let refused = [
        "members = [\"gbsg\"]",
        "persons = [\"gbsg/ada\"]",
        "persons = [\"saarland-university/bob\"]",
        &format!("roles = [\"hospital\"], {university}"),
        "roles = [\"university\"], members = [\"gbsg\"]",
    ];
    for text in refused {
        assert_eq!(refuse(&assignee(text), &ada()).problem, Problem::NoPermission, "{text}");
    }
    let refusal = refuse(&assignee("persons = [\"saarland-university/bob\"]"), &ada());
    assert!(
        !format!("{refusal:?}").contains("bob"),
        "others are not named: {refusal:?}"
    );
}

#[test]
fn a_policy_counts_on_its_days_only() {
    let at = |time: &str| AccessRequest {
        at: time.parse().unwrap(),
        ..ada()
    };
    let rules = Files::new().rules();
    allow(&rules, &at("2026-01-01T00:00:00Z"));
    allow(&rules, &at("2027-12-31T23:59:59.999999999Z"));
    let message = "policy breast-cancer-research version 3 expired on 2027-12-31 (UTC)";
    let refusal = refuse(&rules, &at("2028-01-01T00:00:00Z"));
    says(
        &refusal,
        Problem::NoPermission,
        Some("statistics"),
        message,
        "ask the board for a renewed version",
    );
    let message = "policy breast-cancer-research version 3 is in force from 2026-01-01 (UTC)";
    let refusal = refuse(&rules, &at("2025-12-31T23:59:59Z"));
    says(
        &refusal,
        Problem::NoPermission,
        Some("statistics"),
        message,
        "ask again on 2026-01-01",
    );
    for time in [jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
        refuse(&rules, &AccessRequest { at: time, ..ada() });
    }
}

#[test]
fn a_required_permit_must_be_named_and_known() {
    let rules = Files::new().edit(PATH, "\"none\"", "\"required\"").rules();
    let refusal = refuse(&rules, &ada());
    let message =
        "permission statistics of breast-cancer-research version 3 needs a data permit and the request names none";
    says(
        &refusal,
        Problem::PermitRequired,
        Some("statistics"),
        message,
        Problem::PermitRequired.next_step(),
    );
    let request = AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        ..ada()
    };
    assert_eq!(refuse(&rules, &request).problem, Problem::PermitUnknown);
    let request = AccessRequest {
        columns: columns(&["meno"]),
        ..ada()
    };
    assert_eq!(
        refuse(&rules, &request).problem,
        Problem::NoPermission,
        "a permit would not help here"
    );
}

#[test]
fn a_grant_carries_the_obligations_of_its_permission() {
    let rules = Files::new().rules();
    let grant = allow(&rules, &ada());
    assert_eq!(
        (grant.policy().as_str(), grant.version(), grant.rule().as_str()),
        ("breast-cancer-research", 3, "statistics")
    );
    assert_eq!(
        grant.policy_digest(),
        trust::Digest::of(crate::example::POLICY.as_bytes())
    );
    assert_eq!(grant.collection().sql_name(), "breast_cancer");
    assert_eq!(grant.row_filter(), Some(&RowFilter::Sql("consent_research".to_owned())));
    assert_eq!(
        grant.tier(),
        Tier::Statistical {
            min_people: MinPeople::try_from(10).unwrap()
        }
    );
    assert_eq!(
        (grant.release(), grant.columns()),
        (Release::Aggregates, &columns(&["age", "grade"]))
    );
    assert_eq!((grant.permit(), grant.opt_out()), (None, &OptOut::AtQuery));
    assert_eq!(grant.duties().count(), 0);
    allow(
        &rules,
        &AccessRequest {
            columns: columns(&[]),
            ..ada()
        },
    );
}

#[test]
fn who_may_have_rows_may_have_their_sums() {
    let rules = Files::new().rules();
    for release in [Release::Rows, Release::Aggregates] {
        let request = AccessRequest {
            collection: "beds".parse().unwrap(),
            release,
            columns: columns(&["beds", "district", "node"]),
            ..ada()
        };
        let grant = allow(&rules, &request);
        assert_eq!(
            (grant.tier(), grant.release(), grant.row_filter()),
            (Tier::Open, release, None)
        );
    }
}

#[test]
fn a_refusal_becomes_a_report() {
    let refusal = refuse(&Files::new().rules(), &AccessRequest { purpose: None, ..ada() });
    let report = Report::from(refusal.clone());
    assert_eq!(
        (report.problem, report.message, report.remedy),
        (refusal.problem, refusal.message, refusal.remedy)
    );
}
