//! Rows about people: only under a data permit, and transformed as the permission says.

use terms::Problem;

use super::{allow, columns, refuse, says};
use crate::example::{Files, ROWS_PATH, ada, with_rows};
use crate::{AccessRequest, Release, Tier, Transform};

const TRANSFORMS: &str = "patient_id = \"pseudonym\"\nage = \"bins\"";

/// The permit of Ada's covers everything that is asked for here.
const WIDE: (&str, &str) = (
    "[\"age\", \"grade\"]",
    "[\"patient_id\", \"age\", \"diagnosed_on\", \"grade\"]",
);

fn files(edits: &[(&str, &str)]) -> Files {
    let files = with_rows(TRANSFORMS).edit(ROWS_PATH, "[\"age\"", "[\"patient_id\", \"age\"");
    let edits: Vec<(&str, &str)> = edits.iter().copied().chain([WIDE]).collect();
    files.with_permit(&edits)
}

fn rows(names: &[&str]) -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        release: Release::Rows,
        columns: columns(names),
        ..ada()
    }
}

#[test]
fn without_a_permit_there_are_no_rows() {
    let without = AccessRequest {
        permit: None,
        ..rows(&["age"])
    };
    let refusal = refuse(&files(&[]).rules(), &without);
    let message = "permission rows of breast-cancer-rows version 1 needs a data permit and the request names none";
    says(
        &refusal,
        Problem::PermitRequired,
        Some("rows"),
        message,
        Problem::PermitRequired.next_step(),
    );
}

#[test]
fn an_approved_data_request_gives_no_rows_about_people() {
    let rules = files(&[("\"data-permit\"", "\"data-request\"")]).rules();
    let message = "permit p-1 is an approved data request, which is answered in an anonymised statistical format only (EHDS Art. 69)";
    let refusal = refuse(&rules, &rows(&["age"]));
    says(
        &refusal,
        Problem::PermitInvalid,
        None,
        message,
        "aggregates only; single rows need a data permit (EHDS Art. 68)",
    );
    let statistics = AccessRequest {
        release: Release::Aggregates,
        ..rows(&["age", "diagnosed_on"])
    };
    assert_eq!(allow(&rules, &statistics).rule().as_str(), "rows");
}

#[test]
fn an_identifier_is_covered_only_where_a_permission_shows_its_pseudonym() {
    let rules = with_rows("").with_permit(&[WIDE]).rules();
    let refusal = refuse(&rules, &rows(&["patient_id", "age"]));
    assert_eq!(refusal.problem, Problem::NoPermission, "{refusal:?}");
    allow(&files(&[]).rules(), &rows(&["patient_id", "age"]));
    let statistics = AccessRequest {
        release: Release::Aggregates,
        permit: None,
        ..rows(&["patient_id"])
    };
    assert_eq!(
        refuse(&files(&[]).rules(), &statistics).problem,
        Problem::PermitRequired
    );
}

#[test]
fn a_grant_of_rows_carries_the_transforms_and_the_whole_disclosure() {
    let grant = allow(&files(&[]).rules(), &rows(&["patient_id", "age"]));
    let min_people = 10.try_into().unwrap();
    assert_eq!(
        (grant.release(), grant.tier()),
        (Release::Rows, Tier::Statistical { min_people })
    );
    assert_eq!(grant.disclosure().tier, grant.tier());
    let transforms = [("age", Transform::Bins), ("patient_id", Transform::Pseudonym)];
    let transforms = transforms.map(|(name, shown)| (name.to_owned(), shown));
    assert_eq!(grant.transforms(), &transforms.into());
}

#[test]
fn statistics_under_a_permission_of_rows_are_checked_by_its_tier() {
    let statistics = AccessRequest {
        release: Release::Aggregates,
        ..rows(&["diagnosed_on"])
    };
    let grant = allow(&files(&[]).rules(), &statistics);
    assert_eq!((grant.rule().as_str(), grant.release()), ("rows", Release::Aggregates));
    assert!(matches!(grant.tier(), Tier::Statistical { .. }));
}
