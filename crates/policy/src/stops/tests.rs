use terms::{SpaceId, UtcTime};
use trust::SigningKey;
use trust::stop::{AcceptedStop, Stop, Stopped};

use super::Stops;
use crate::example::Files;
use crate::roster::Space;

fn accepted(stopped: Stopped, key: &SigningKey) -> AcceptedStop {
    let space: SpaceId = "oncology".parse().unwrap();
    let at: UtcTime = "2026-11-21T12:00:00Z".parse().unwrap();
    let envelope = Stop::new(space.clone(), stopped, "a complaint", at)
        .unwrap()
        .seal(key)
        .unwrap();
    Stop::open(&envelope, &[key.public()], &space).unwrap()
}

/// The data space, whose board has lifted these stops.
fn lifting(stops: &[&AcceptedStop]) -> Space {
    let digests: Vec<String> = stops
        .iter()
        .map(|stop| format!("{:?}", stop.digest.to_string()))
        .collect();
    let key = format!("lifted = [{}]\ntitle", digests.join(", "));
    Files::new().edit("space.toml", "title", &key).rules().space
}

#[test]
fn what_was_lifted_and_nothing_else_is_in_force_no_more() {
    let (ana, ben) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let policy = || Stopped::Policy("research".parse().unwrap());
    let member = Stopped::Member("gbsg".parse().unwrap());
    let stops = [
        accepted(policy(), &ana),
        accepted(policy(), &ben),
        accepted(member, &ana),
    ];
    let in_force = |lifted: &[&AcceptedStop]| Stops::in_force(&stops, &lifting(lifted));
    assert_eq!(in_force(&[]).policies.len(), 1);
    let one = in_force(&[&stops[0]]);
    assert_eq!(
        one.policies.len(),
        1,
        "the other member's stop of the policy is not lifted"
    );
    let both = in_force(&[&stops[0], &stops[1]]);
    assert!(both.policies.is_empty());
    assert_eq!(both.members, ["gbsg".parse().unwrap()].into());
    assert_eq!(in_force(&[&stops[0], &stops[1], &stops[2]]), Stops::default());
}

#[test]
fn each_kind_of_stop_is_kept_as_what_it_is() {
    let mut stops = Stops::default();
    let (member, person) = ("gbsg".parse().unwrap(), "ada".parse().unwrap());
    stops.add(Stopped::Permit("p-1".parse().unwrap()));
    stops.add(Stopped::Person(member, person));
    assert_eq!((stops.permits.len(), stops.persons.len()), (1, 1));
    assert!(stops.policies.is_empty() && stops.members.is_empty());
}
