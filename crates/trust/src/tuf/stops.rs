//! The stops of board members: fetched with every refresh, remembered before they are used, never forgotten.
//!
//! A broker that withholds a stop delays it; one that serves an old list takes nothing back. A stop stays when its
//! signer has left the board: it only denies, and the board lifts it with its full signatures.

use std::collections::{BTreeMap, BTreeSet};

use terms::{Problem, Report};

use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::key::PublicKey;
use crate::stop::{AcceptedStop, STOPS_BYTES_MAX, STOPS_MAX, STOPS_PER_MEMBER_MAX, Stop, StopList};
use crate::tuf::roles::BoardRoles;
use crate::tuf::source::{DocumentSource, STOPS_PATH};
use crate::tuf::store::{Record, StoreError, Vault};

/// Fetches the list and remembers what is new in it. Returns how many entries are no stops of this board.
///
/// # Errors
/// If the store cannot be read or written. A list that is absent, unreadable or out of reach is none.
pub(super) async fn receive(source: &dyn DocumentSource, vault: &Vault) -> Result<usize, Report> {
    let Ok(Some(bytes)) = source.fetch(STOPS_PATH, STOPS_BYTES_MAX as u64).await else {
        return Ok(0);
    };
    let Ok(StopList { stops, ignored }) = StopList::parse(&bytes) else {
        return Ok(1);
    };
    let mut refused = ignored;
    vault.update(|record| {
        refused += remember_all(record, stops)?;
        Ok(())
    })?;
    Ok(refused)
}

/// Remembers one stop. One that is remembered already needs no member of the present board.
pub(super) fn accept(vault: &Vault, envelope: &Envelope) -> Result<AcceptedStop, Report> {
    let record = vault.read()?;
    let known = |record: &Record| {
        remembered(record)
            .into_iter()
            .find(|stop| stop.digest == envelope.digest())
    };
    if let Some(known) = known(&record) {
        return Ok(known);
    }
    let space = record.space.clone().ok_or(StoreError::OtherKind)?;
    let accepted = Stop::open(envelope, &record.newest_roles()?.targets.keys, &space)?;
    let record = vault.update(|record| remember_all(record, vec![envelope.clone()]).map(drop))?;
    known(&record).map(|_| accepted).ok_or_else(|| {
        let message =
            format!("this client remembers {STOPS_PER_MEMBER_MAX} stops of this member, or {STOPS_MAX} in all");
        Problem::PolicyInvalid.report(message)
    })
}

/// All stops that were ever accepted, verified again against every board that there was.
pub(super) fn remembered(record: &Record) -> Vec<AcceptedStop> {
    let Some(space) = &record.space else {
        return Vec::new();
    };
    let boards: Vec<PublicKey> = record
        .roots
        .iter()
        .filter_map(|root| BoardRoles::read(root.as_bytes()).ok())
        .flat_map(|roles| roles.targets.keys)
        .collect();
    let open = |envelope| Stop::open(envelope, &boards, space).ok();
    record.stops.iter().filter_map(open).collect()
}

/// Adds the stops that a member of the present board signed. Returns how many are not.
fn remember_all(record: &mut Record, stops: Vec<Envelope>) -> Result<usize, StoreError> {
    let space = record.space.clone().ok_or(StoreError::OtherKind)?;
    let roles = record.newest_roles().map_err(|_| StoreError::Damaged)?;
    let mut known: BTreeSet<Digest> = record.stops.iter().map(Envelope::digest).collect();
    let mut of_member: BTreeMap<PublicKey, usize> = BTreeMap::new();
    for stop in remembered(record) {
        *of_member.entry(stop.signer).or_default() += 1;
    }
    let mut refused = 0;
    for envelope in stops {
        if known.contains(&envelope.digest()) {
            continue;
        }
        let opened = Stop::open(&envelope, &roles.targets.keys, &space).ok();
        let room = opened.map(|stop| of_member.entry(stop.signer).or_default());
        let Some(count) = room.filter(|count| **count < STOPS_PER_MEMBER_MAX && record.stops.len() < STOPS_MAX) else {
            refused += 1;
            continue;
        };
        *count += 1;
        known.insert(envelope.digest());
        record.stops.push(envelope);
    }
    Ok(refused)
}
