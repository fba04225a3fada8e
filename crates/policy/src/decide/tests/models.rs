//! Models: between aggregates and rows, under rules of their own, or with rows.

use terms::Problem;

use super::{PATH, allow, columns, refuse, says};
use crate::example::{Files, ROWS_PATH, ada, with_rows};
use crate::{AccessRequest, Overlaps, Refusal, Release, Sum, decide_joined};

/// The example's permission with models instead of aggregates, and with this in its table.
fn with_models(keys: &str) -> Files {
    let table = format!("min_people = 10\n\n[permission.models]\n{keys}");
    Files::new()
        .edit(PATH, "\"aggregates\"", "\"models\"")
        .edit(PATH, "min_people = 10\n", &table)
}

fn models() -> AccessRequest {
    AccessRequest {
        release: Release::Models,
        ..ada()
    }
}

fn under_permit(release: Release) -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        release,
        ..ada()
    }
}

/// Prohibits something in a policy of its own.
fn prohibiting(files: Files, matchers: &str) -> Files {
    let text = format!(
        "id = \"closed\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\n\
         valid_until = 2027-12-31\n[[prohibition]]\nid = \"no\"\n{matchers}\n"
    );
    files.put("policies/closed.toml", &text)
}

#[test]
fn a_permission_of_statistics_gives_no_models() {
    let refusal = refuse(&Files::new().rules(), &models());
    let message = "permission statistics of breast-cancer-research version 3 does not cover models";
    says(
        &refusal,
        Problem::NoPermission,
        Some("statistics"),
        message,
        "aggregates only",
    );
}

#[test]
fn a_permission_of_models_gives_statistics_too_and_no_rows() {
    let rules = with_models("sum = \"masked\"\n").rules();
    let rows = AccessRequest {
        release: Release::Rows,
        ..ada()
    };
    let message = "permission statistics of breast-cancer-research version 3 does not cover single rows";
    let refusal = refuse(&rules, &rows);
    says(
        &refusal,
        Problem::NoPermission,
        Some("statistics"),
        message,
        "models or aggregates only",
    );
    assert_eq!(allow(&rules, &ada()).models(), None);
    let grant = allow(&rules, &models());
    assert_eq!(grant.release(), Release::Models);
    assert_eq!(grant.models().unwrap().sum, Sum::Masked);
}

#[test]
fn an_approved_data_request_is_not_answered_with_models() {
    let of = |kind| {
        with_models("sum = \"plain\"\n")
            .with_permit(&[("\"data-permit\"", kind)])
            .rules()
    };
    let refusal = refuse(&of("\"data-request\""), &under_permit(Release::Models));
    let message = "permit p-1 is an approved data request, which is answered in an anonymised statistical format only (EHDS Art. 69)";
    let remedy = "aggregates only; models need a data permit (EHDS Art. 68)";
    says(&refusal, Problem::PermitInvalid, None, message, remedy);
    allow(&of("\"data-request\""), &under_permit(Release::Aggregates));
    allow(&of("\"data-permit\""), &under_permit(Release::Models));
}

#[test]
fn whoever_may_have_rows_may_have_models_of_them_under_no_rules_of_their_own() {
    let rules = with_rows("").with_permit(&[]).rules();
    let grant = allow(&rules, &under_permit(Release::Models));
    assert_eq!((grant.rule().as_str(), grant.release()), ("rows", Release::Models));
    let models = grant.models().unwrap();
    assert_eq!(
        (models.sum, models.nodes_min, models.overlaps),
        (Sum::Plain, 1, Overlaps::Allow)
    );
    assert!(allow(&rules, &under_permit(Release::Rows)).models().is_some());
}

#[test]
fn where_rows_are_prohibited_models_do_not_come_with_them() {
    let refused = |matchers: &str| -> Refusal {
        let files = prohibiting(with_rows("").without(PATH).with_permit(&[]), matchers);
        refuse(&files.rules(), &under_permit(Release::Models))
    };
    let message = "permission rows of breast-cancer-rows version 1 does not cover models (they come with its rows, and a \
                   prohibition meets these)";
    for matchers in ["release = \"rows\"", "release = \"rows\"\ncolumns = [\"age\"]"] {
        let refusal = refused(matchers);
        says(
            &refusal,
            Problem::NoPermission,
            Some("rows"),
            message,
            "aggregates only",
        );
    }
    // Rules of their own stand by themselves, and so do columns and purposes that the prohibition does not name.
    let own = with_rows("[permission.models]\nsum = \"plain\"").with_permit(&[]);
    for (files, matchers) in [
        (own, "release = \"rows\""),
        (
            with_rows("").with_permit(&[]),
            "release = \"rows\"\ncolumns = [\"meno\"]",
        ),
        (
            with_rows("").with_permit(&[]),
            "release = \"rows\"\npurposes = [\"ehds-53-1-d\"]",
        ),
    ] {
        allow(&prohibiting(files, matchers).rules(), &under_permit(Release::Models));
    }
}

#[test]
fn a_prohibition_of_models_prohibits_models_only() {
    let rules = prohibiting(with_rows("").with_permit(&[]), "release = \"models\"").rules();
    let refusal = refuse(&rules, &under_permit(Release::Models));
    let message = "prohibition no of closed version 1 covers release of models";
    says(
        &refusal,
        Problem::Prohibited,
        Some("no"),
        message,
        "ask for aggregates only",
    );
    allow(&rules, &under_permit(Release::Aggregates));
    allow(&rules, &under_permit(Release::Rows));
}

#[test]
fn where_nobody_is_protected_a_fit_keeps_to_nothing() {
    let beds = AccessRequest {
        collection: "beds".parse().unwrap(),
        columns: columns(&["beds"]),
        ..models()
    };
    let open = Files::new().rules();
    assert_eq!(allow(&open, &beds).models(), None);
    let closed = Files::new().edit("policies/beds-open.toml", "\"rows\"", "\"aggregates\"");
    assert_eq!(refuse(&closed.rules(), &beds).problem, Problem::NoPermission);
}

#[test]
fn of_two_permissions_the_one_that_binds_a_fit_less_gives_models_and_the_first_gives_statistics() {
    let strict = with_models("sum = \"masked\"\n");
    let text = String::from_utf8(strict.0[PATH].clone()).unwrap();
    let lax = text
        .replace("id          = \"breast-cancer-research\"", "id          = \"lax\"")
        .replace("\"masked\"", "\"plain\"");
    let rules = strict.put("policies/lax.toml", &lax).rules();
    assert_eq!(allow(&rules, &models()).policy().as_str(), "lax");
    assert_eq!(allow(&rules, &ada()).policy().as_str(), "breast-cancer-research");
}

#[test]
fn a_fit_over_joined_rows_keeps_to_the_strictest_of_both() {
    let beds = AccessRequest {
        collection: "beds".parse().unwrap(),
        columns: columns(&["beds"]),
        ..models()
    };
    let first = "sum = \"plain\"\nmin_nodes = 2\nparameters = 0.2\nreason = \"few\"\nsteps = 30\n";
    let statistical =
        "\"statistical\", min_people = 3 }\nmodels = { sum = \"masked\", parameters = 0.05, overlaps = \"allow\" }";
    let files = with_models(first).edit("policies/beds-open.toml", "\"rows\"", "\"models\"");
    let joined = |files: &Files| {
        decide_joined(&files.rules(), &models(), std::slice::from_ref(&beds))
            .into_grant()
            .unwrap()
    };
    assert_eq!(joined(&files).models(), allow(&files.rules(), &models()).models());
    let files = files.edit("policies/beds-open.toml", "\"open\" }", statistical);
    let grant = joined(&files);
    let of_both = grant.models().unwrap();
    assert_eq!(
        (of_both.sum, of_both.nodes_min, of_both.steps_max),
        (Sum::Masked, 3, 25)
    );
    assert_eq!((of_both.parameters_share, of_both.reason.as_deref()), (0.05, None));
    assert_eq!(of_both.overlaps, Overlaps::Refuse);
}

#[test]
fn columns_without_the_permission_are_in_no_model() {
    let request = AccessRequest {
        columns: columns(&["age", "meno"]),
        ..models()
    };
    let refusal = refuse(&with_models("sum = \"plain\"\n").rules(), &request);
    assert_eq!(refusal.remedy, "columns allowed: age, grade");
    // Nor an identifier, which no permission of models can list.
    let files = with_models("sum = \"plain\"\n").edit(PATH, "\"grade\"]", "\"patient_id\"]");
    assert!(files.compile().is_err());
    assert!(
        with_rows("")
            .edit(ROWS_PATH, "\"grade\"]", "\"patient_id\"]")
            .compile()
            .is_err()
    );
}
