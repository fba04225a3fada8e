//! What single board members have stopped: anybody on the board can, at once, and only the board together can lift it.
//!
//! A stop only denies. The prohibitions of a stopped policy go on to hold, so that stopping it allows nobody anything.
//! Next: `decide.rs`.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use terms::{MemberId, PermitId, PersonId, PolicyId};
use trust::stop::{AcceptedStop, Stopped};

use crate::decide::Caller;
use crate::roster::Space;

/// The stops in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Policies none of whose permissions hold.
    pub policies: BTreeSet<PolicyId>,
    /// Permits that do not hold.
    pub permits: BTreeSet<PermitId>,
    /// Institutions whose people are refused.
    pub members: BTreeSet<MemberId>,
    /// People who are refused.
    pub persons: BTreeSet<(MemberId, PersonId)>,
}

impl Stops {
    /// The accepted stops that the board has not lifted.
    pub fn in_force(accepted: &[AcceptedStop], space: &Space) -> Stops {
        let mut stops = Stops::default();
        for accepted in accepted
            .iter()
            .filter(|accepted| !space.lifted.contains(&accepted.digest))
        {
            stops.add(accepted.stop.stopped.clone());
        }
        stops
    }

    /// One more.
    pub fn add(&mut self, stopped: Stopped) {
        match stopped {
            Stopped::Policy(id) => self.policies.insert(id),
            Stopped::Permit(id) => self.permits.insert(id),
            Stopped::Member(id) => self.members.insert(id),
            Stopped::Person(member, person) => self.persons.insert((member, person)),
        };
    }

    /// Whether the caller or their institution is stopped.
    pub fn names(&self, caller: &Caller) -> bool {
        self.members.contains(&caller.member)
            || self
                .persons
                .iter()
                .any(|(member, person)| *member == caller.member && *person == caller.person)
    }

    /// What a stopped caller is told. Who exactly was stopped is for the institution to tell.
    pub fn words(&self, caller: &Caller) -> String {
        match self.members.contains(&caller.member) {
            true => format!("a member of the board has stopped the member {}", caller.member),
            false => format!("a member of the board has stopped this person of {}", caller.member),
        }
    }
}
