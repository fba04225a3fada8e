//! Art. 53(2): purposes (a) to (c) are for public bodies and those who act for them.

use terms::{Problem, Purpose};
use trust::stop::Stopped;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Stops};

const MEMBERS: &str = "members.toml";
const UNIVERSITY: &str = "roles = [\"university\"]\n";

fn statistics() -> AccessRequest {
    AccessRequest {
        purpose: Some(Purpose::Statistics),
        ..ada()
    }
}

#[test]
fn reserved_purposes_are_refused_to_others_whatever_a_permission_says() {
    let open = "\"ehds-53-1-a\", \"ehds-53-1-b\", \"ehds-53-1-c\"";
    let rules = Files::new().edit(PATH, "\"ehds-53-1-c\"", open).rules();
    for purpose in [Purpose::PublicHealth, Purpose::PolicyMaking, Purpose::Statistics] {
        let request = AccessRequest {
            purpose: Some(purpose),
            ..ada()
        };
        let message = format!(
            "Art. 53(2) EHDS reserves {purpose} ({}) to public bodies and those acting for them, and the roster does not \
             say so of saarland-university",
            purpose.words()
        );
        let remedy = "purposes allowed: ehds-53-1-e (scientific research)";
        says(&refuse(&rules, &request), Problem::Reserved, None, &message, remedy);
        let mut request = request;
        request.caller.member = "health-office".parse().unwrap();
        allow(&rules, &request);
    }
}

#[test]
fn a_credential_cannot_make_a_public_body() {
    let mut request = statistics();
    request.caller.roles.insert("public-body".parse().unwrap());
    assert_eq!(refuse(&Files::new().rules(), &request).problem, Problem::Reserved);
}

#[test]
fn who_acts_for_a_public_body_of_the_roster_may_what_it_may() {
    let files = Files::new().edit(
        MEMBERS,
        UNIVERSITY,
        &format!("{UNIVERSITY}acts_for = [\"health-office\"]\n"),
    );
    allow(&files.rules(), &statistics());
    let mut stops = Stops::default();
    stops.add(Stopped::Member("health-office".parse().unwrap()));
    let rules = files.rules().with_stops(stops);
    assert_eq!(
        refuse(&rules, &statistics()).problem,
        Problem::Reserved,
        "not for one that is stopped"
    );
}

#[test]
fn a_permit_may_say_for_which_public_body_its_holder_acts() {
    let request = AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        ..statistics()
    };
    let purpose = ("ehds-53-1-e", "ehds-53-1-c");
    let silent = Files::new().with_permit(&[purpose]).rules();
    assert_eq!(refuse(&silent, &request).problem, Problem::Reserved);
    let acting = ("opt_out", "acts_for = \"Ministry of health\"\nopt_out");
    let rules = Files::new().with_permit(&[purpose, acting]).rules();
    allow(&rules, &request);
    assert_eq!(
        refuse(&rules, &statistics()).problem,
        Problem::Reserved,
        "only under the permit"
    );
    let other = Files::new().with_permit(&[acting]).rules();
    assert_eq!(
        refuse(&other, &request).problem,
        Problem::PermitInvalid,
        "only for its own purposes"
    );
}

#[test]
fn other_purposes_are_open_to_others() {
    allow(&Files::new().rules(), &ada());
}
