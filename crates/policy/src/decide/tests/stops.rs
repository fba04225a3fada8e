//! Stops: they take away, and give nobody anything.

use terms::Problem;
use trust::stop::Stopped;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Rules, Stops, queryable};

fn stopped(files: &Files, what: Stopped) -> Rules {
    let mut stops = Stops::default();
    stops.add(what);
    files.rules().with_stops(stops)
}

fn under_permit() -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        ..ada()
    }
}

#[test]
fn nobody_of_a_stopped_member_is_answered() {
    let rules = stopped(&Files::new(), Stopped::Member("saarland-university".parse().unwrap()));
    let message = "a member of the board has stopped the member saarland-university";
    says(
        &refuse(&rules, &ada()),
        Problem::Stopped,
        None,
        message,
        Problem::Stopped.next_step(),
    );
    assert_eq!(queryable(&rules, &ada().caller, ada().at), []);
    let mut other = ada();
    other.caller.member = "health-office".parse().unwrap();
    allow(&rules, &other);
}

#[test]
fn a_stopped_person_is_not_answered_and_not_named() {
    let person = Stopped::Person("saarland-university".parse().unwrap(), "ada".parse().unwrap());
    let rules = stopped(&Files::new(), person);
    let message = "a member of the board has stopped this person of saarland-university";
    says(
        &refuse(&rules, &ada()),
        Problem::Stopped,
        None,
        message,
        Problem::Stopped.next_step(),
    );
    assert_eq!(queryable(&rules, &ada().caller, ada().at), []);
    let mut colleague = ada();
    colleague.caller.person = "bob".parse().unwrap();
    allow(&rules, &colleague);
    let mut namesake = ada();
    namesake.caller.member = "health-office".parse().unwrap();
    allow(&rules, &namesake);
}

#[test]
fn a_stopped_policy_permits_nothing_and_still_prohibits() {
    let policy = || Stopped::Policy("breast-cancer-research".parse().unwrap());
    let rules = stopped(&Files::new(), policy());
    let message = "a member of the board has stopped policy breast-cancer-research";
    let next = Problem::Stopped.next_step();
    says(
        &refuse(&rules, &ada()),
        Problem::Stopped,
        Some("statistics"),
        message,
        next,
    );
    let prohibiting = Files::new().edit(PATH, "purposes = [\"ehds-54-b\"]", "columns = [\"age\"]");
    let wide = "id = \"wide\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\n\
                valid_until = 2026-12-31\n[[permission]]\nid = \"p\"\nassignee = { roles = [\"university\"] }\n\
                purposes = [\"ehds-53-1-e\"]\npermit = \"none\"\nrelease = \"aggregates\"\ncolumns = [\"age\"]\n\
                disclosure = { tier = \"statistical\", min_people = 3 }\n";
    let prohibiting = prohibiting.put("policies/wide.toml", wide);
    assert_eq!(refuse(&prohibiting.rules(), &ada()).problem, Problem::Prohibited);
    let rules = stopped(&prohibiting, policy());
    assert_eq!(
        refuse(&rules, &ada()).problem,
        Problem::Prohibited,
        "stopping allows nobody anything"
    );
}

#[test]
fn a_stopped_permit_does_not_hold() {
    let files = Files::new().with_permit(&[]);
    let rules = stopped(&files, Stopped::Permit("p-1".parse().unwrap()));
    let message = "a member of the board has stopped permit p-1";
    says(
        &refuse(&rules, &under_permit()),
        Problem::Stopped,
        None,
        message,
        Problem::Stopped.next_step(),
    );
    allow(&rules, &ada());
    allow(&files.rules(), &under_permit());
}

#[test]
fn the_permits_of_a_stopped_holder_do_not_hold_for_others_either() {
    let files = Files::new().with_permit(&[("holder      = \"saarland-university\"", "holder = \"gbsg\"")]);
    allow(&files.rules(), &under_permit());
    let rules = stopped(&files, Stopped::Member("gbsg".parse().unwrap()));
    assert_eq!(refuse(&rules, &under_permit()).problem, Problem::PermitInvalid);
}

#[test]
fn a_stop_of_something_that_is_not_there_changes_nothing() {
    for what in [
        Stopped::Policy("elsewhere".parse().unwrap()),
        Stopped::Permit("elsewhere".parse().unwrap()),
        Stopped::Member("elsewhere".parse().unwrap()),
    ] {
        allow(&stopped(&Files::new(), what), &ada());
    }
}
