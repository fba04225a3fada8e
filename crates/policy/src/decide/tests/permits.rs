//! Permits: a request that names one must be covered by it in every respect.

use terms::{Problem, Purpose, UtcTime};

use super::{PATH, allow, columns, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, OptOut, Release};

fn under_permit() -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        ..ada()
    }
}

fn required() -> Files {
    Files::new().edit(PATH, "\"none\"", "\"required\"")
}

#[track_caller]
fn refused(edits: &[(&str, &str)], request: &AccessRequest, message: &str, remedy: &str) {
    // Whether a permission asks for a permit or not: one that is named is heeded.
    for files in [required(), Files::new()] {
        let refusal = refuse(&files.with_permit(edits).rules(), request);
        says(&refusal, Problem::PermitInvalid, None, message, remedy);
    }
}

#[test]
fn a_permit_that_nobody_issued_opens_nothing() {
    let message = "permit p-1 is not known in the data space";
    for files in [required(), Files::new()] {
        let refusal = refuse(&files.rules(), &under_permit());
        says(
            &refusal,
            Problem::PermitUnknown,
            None,
            message,
            Problem::PermitUnknown.next_step(),
        );
    }
}

#[test]
fn a_permit_covers_a_request_in_every_respect_or_not_at_all() {
    let next = Problem::PermitInvalid.next_step();
    let asked = under_permit();
    refused(
        &[("university/ada", "university/bob")],
        &asked,
        "permit p-1 does not name this person",
        next,
    );
    refused(
        &[("university/ada", "elsewhere/ada")],
        &asked,
        "permit p-1 does not name this person",
        next,
    );
    let message = "permit p-1 is for other purposes";
    let remedy = "purposes of the permit: ehds-53-1-d (education and teaching)";
    refused(&[("ehds-53-1-e", "ehds-53-1-d")], &asked, message, remedy);
    let message = "permit p-1 is not about collection breast-cancer";
    refused(
        &[("\"breast-cancer\"", "\"lung\"")],
        &asked,
        message,
        "collections of the permit: lung",
    );
    let message = "permit p-1 does not cover column age";
    refused(
        &[("[\"age\", \"grade\"]", "[\"grade\"]")],
        &asked,
        message,
        "columns of the permit: grade",
    );
    refused(
        &[("[\"age\", \"grade\"]", "[]")],
        &asked,
        message,
        "columns of the permit: ",
    );
    let message = "permit p-1 was issued to an institution that is stopped or no longer a member";
    refused(
        &[("\"saarland-university\"\npersons", "\"elsewhere\"\npersons")],
        &asked,
        message,
        next,
    );
}

#[test]
fn a_permit_holds_from_its_first_instant_until_before_its_last() {
    let at = |time: &str| AccessRequest {
        at: time.parse().unwrap(),
        ..under_permit()
    };
    let next = Problem::PermitInvalid.next_step();
    let message = "permit p-1 holds from 2026-03-01T00:00:00Z";
    refused(&[], &at("2026-02-28T23:59:59.999999999Z"), message, next);
    // A day is meant to its end, as in policies.
    let message = "permit p-1 expired at 2027-01-01T00:00:00Z";
    refused(&[], &at("2027-01-01T00:00:00Z"), message, next);
    for inside in ["2026-03-01T00:00:00Z", "2026-12-31T23:59:59.999999999Z"] {
        allow(&required().with_permit(&[]).rules(), &at(inside));
    }
    let hour = [("valid_until = 2026-12-31", "valid_until = 2026-11-21T13:00:00+01:00")];
    refused(
        &hour,
        &at("2026-11-21T12:00:00Z"),
        "permit p-1 expired at 2026-11-21T12:00:00Z",
        next,
    );
    allow(&required().with_permit(&hour).rules(), &at("2026-11-21T11:59:59Z"));
}

#[test]
fn a_withdrawn_permit_ends_at_that_instant() {
    let withdrawn = [("opt_out", "withdrawn = 2026-11-21T12:00:00Z\nopt_out")];
    let next = Problem::PermitInvalid.next_step();
    refused(&withdrawn, &under_permit(), "permit p-1 was withdrawn", next);
    let before = AccessRequest {
        at: "2026-11-21T11:59:59Z".parse().unwrap(),
        ..under_permit()
    };
    allow(&required().with_permit(&withdrawn).rules(), &before);
}

#[test]
fn nothing_is_told_about_a_permit_to_those_whom_it_does_not_name() {
    let stranger = |edits: &[(&str, &str)]| {
        let mut request = under_permit();
        request.caller.person = "eve".parse().unwrap();
        refuse(&required().with_permit(edits).rules(), &request)
    };
    let gone = [("opt_out", "withdrawn = 2026-11-21T12:00:00Z\nopt_out")];
    let about = [("\"breast-cancer\"", "\"lung\"")];
    assert_eq!(stranger(&gone), stranger(&[]));
    assert_eq!(stranger(&about), stranger(&[]));
    assert!(!stranger(&[]).message.contains("ada"));
}

#[test]
fn a_data_request_is_answered_with_statistics_only() {
    let beds = |release| AccessRequest {
        collection: "beds".parse().unwrap(),
        columns: columns(&["beds"]),
        release,
        ..under_permit()
    };
    let edits = |kind| {
        [
            ("\"data-permit\"", kind),
            ("\"breast-cancer\"", "\"beds\""),
            ("[\"age\", \"grade\"]", "[\"beds\"]"),
        ]
    };
    let rules = Files::new().with_permit(&edits("\"data-request\"")).rules();
    let message = "permit p-1 is an approved data request, which is answered in an anonymised statistical format only (EHDS Art. 69)";
    let refusal = refuse(&rules, &beds(Release::Rows));
    says(
        &refusal,
        Problem::PermitInvalid,
        None,
        message,
        "aggregates only; single rows need a data permit (EHDS Art. 68)",
    );
    allow(&rules, &beds(Release::Aggregates));
    let rules = Files::new().with_permit(&edits("\"data-permit\"")).rules();
    allow(&rules, &beds(Release::Rows));
}

#[test]
fn a_permit_gives_nothing_that_no_permission_gives() {
    let wide = [("[\"age\", \"grade\"]", "[\"age\", \"grade\", \"meno\"]")];
    let request = AccessRequest {
        columns: columns(&["meno"]),
        ..under_permit()
    };
    let refusal = refuse(&required().with_permit(&wide).rules(), &request);
    assert_eq!(
        (refusal.problem, refusal.message.as_str()),
        (
            Problem::NoPermission,
            "permission statistics of breast-cancer-research version 3 does not cover column meno"
        )
    );
    let education = AccessRequest {
        purpose: Some(Purpose::Education),
        ..under_permit()
    };
    let rules = required().with_permit(&[("ehds-53-1-e", "ehds-53-1-d")]).rules();
    assert_eq!(refuse(&rules, &education).problem, Problem::NoPermission);
}

#[test]
fn no_permit_lifts_a_prohibition() {
    let files = required()
        .edit(PATH, "\"ehds-54-b\"", "\"ehds-53-1-e\"")
        .with_permit(&[]);
    assert_eq!(refuse(&files.rules(), &under_permit()).problem, Problem::Prohibited);
}

#[test]
fn which_institution_answered_is_the_policys_to_tell() {
    let files = required()
        .edit(PATH, "[\"age\", \"grade\"]", "[\"age\", \"node\"]")
        .with_permit(&[]);
    let request = AccessRequest {
        columns: columns(&["age", "node"]),
        ..under_permit()
    };
    allow(&files.rules(), &request);
}

#[test]
fn no_permit_holds_once_the_documents_of_the_committee_have_expired() {
    let mut rules = required().with_permit(&[]).rules();
    let ends: UtcTime = "2026-11-21T12:00:00Z".parse().unwrap();
    rules.set_permits_until(ends);
    assert_eq!(refuse(&rules, &under_permit()).problem, Problem::PermitUnknown);
    let before = AccessRequest {
        at: "2026-11-21T11:59:59Z".parse().unwrap(),
        ..under_permit()
    };
    allow(&rules, &before);
}

#[test]
fn a_grant_carries_the_permit_and_its_rule_of_opt_outs() {
    let grant = |edits: &[(&str, &str)]| allow(&required().with_permit(edits).rules(), &under_permit());
    let plain = grant(&[]);
    assert_eq!(plain.permit().unwrap().id.as_str(), "p-1");
    assert_eq!(plain.opt_out(), &OptOut::AtQuery);
    let issued = grant(&[("at-query", "at-issue")]);
    assert_eq!(issued.opt_out(), &OptOut::AsOf("2026-02-01T00:00:00Z".parse().unwrap()));
    let exempt = grant(&[(
        "\"at-query\"",
        "\"exempt\"\nopt_out_reason = \"Saarland registry act, section 5\"",
    )]);
    let reason = "Saarland registry act, section 5".to_owned();
    assert_eq!(exempt.opt_out(), &OptOut::Exempt { reason });
}
