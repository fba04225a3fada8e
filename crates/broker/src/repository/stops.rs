//! The list of stops that the broker serves. One member of the board is enough to add to it, and nobody takes away.

use terms::{Problem, Report, SpaceId};
use trust::stop::STOPS_PER_MEMBER_MAX;
use trust::tuf::TopRole;
use trust::{AcceptedStop, Envelope, Stop, StopList};

use super::path::DocumentPath;
use super::shelf::{Glance, Reading};
use super::{Repository, RepositoryError, parse_as};

impl Repository {
    /// Publishes a stop that one member of the present board signed. Publishing it again does nothing.
    ///
    /// The time is not asked: a wrong clock must not delay a stop.
    ///
    /// # Errors
    /// Why clients would refuse it; [`terms::Problem::PolicyInvalid`] if the list is full.
    pub fn publish_stop(&self, envelope: &Envelope) -> Result<AcceptedStop, Report> {
        // What nobody of the board signed takes no turn. Another board may have come when the turn does.
        self.require_stop(envelope)?;
        let mut turn = self.turn()?;
        let (accepted, space) = accept(&mut turn, envelope)?;
        let mut list = match turn.read(&DocumentPath::Stops)? {
            Some(bytes) => StopList::parse(&bytes)?,
            None => StopList::default(),
        };
        if !list.stops.iter().any(|known| known.digest() == accepted.digest) {
            let of_member = |known: &&Envelope| Stop::open(known, &[accepted.signer], &space).is_ok();
            if list.stops.iter().filter(of_member).count() >= STOPS_PER_MEMBER_MAX {
                let message = format!("this member has signed {STOPS_PER_MEMBER_MAX} stops already");
                return Err(Problem::PolicyInvalid
                    .report(message)
                    .remedy("have another member of the board sign the stop"));
            }
            list.stops.push(envelope.clone());
            turn.write(&DocumentPath::Stops, &list.to_bytes()?)?;
        }
        turn.finish()?;
        Ok(accepted)
    }

    /// Refuses what no member of the present board signed, without a turn.
    ///
    /// # Errors
    /// As [`Repository::publish_stop`].
    pub(crate) fn require_stop(&self, envelope: &Envelope) -> Result<(), Report> {
        accept(&mut Glance(self.shelf.as_ref()), envelope).map(drop)
    }
}

/// A stop that a member of the present board signed, and the data space.
fn accept(of: &mut impl Reading, envelope: &Envelope) -> Result<(AcceptedStop, SpaceId), Report> {
    let (_, root) = of.newest_root()?;
    let (root, _) = parse_as(TopRole::Root, "the root", &root)?;
    let board = root.board().ok_or(RepositoryError::Missing)?;
    let accepted = Stop::open(envelope, &board.targets.keys, root.space())?;
    Ok((accepted, root.space().clone()))
}
