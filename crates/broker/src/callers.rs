//! Who calls the broker: people whom a member vouches for, with a proof for this call on this connection.
//!
//! It must never take a name from a request: who somebody is, is what a verified credential says.

use std::sync::Arc;

use policy::{Caller, Rules};
use terms::{Clock, Problem, Report, SpaceId, UtcTime};
use tonic::metadata::MetadataMap;
use trust::{Channel, Credential, Digest, Proof, PublicKey, Received, Replay};
use wire::description::BROKER_AUDIENCE;

use crate::roster::Roster;

/// Checks who calls.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) space: SpaceId,
    pub(crate) roster: Arc<Roster>,
    pub(crate) clock: Arc<dyn Clock>,
    replay: Replay,
}

/// A person who proved who they are, under the rules of the moment.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) rules: Arc<Rules>,
    pub(crate) caller: Caller,
    /// The key with which the institution vouches for the person.
    pub(crate) issuer: PublicKey,
    /// When its word ends.
    pub(crate) expires: UtcTime,
}

impl Callers {
    pub(crate) fn new(space: SpaceId, roster: Arc<Roster>, clock: Arc<dyn Clock>) -> Self {
        Self {
            space,
            roster,
            clock,
            replay: Replay::new(),
        }
    }

    /// Who calls, on this connection, with a proof for `query` that was not used before.
    pub(crate) async fn authenticate(
        &self,
        metadata: &MetadataMap,
        channel: Option<Channel>,
        query: &[u8],
    ) -> Result<Called, Report> {
        let rules = self.roster.rules().await?;
        let channel = channel.ok_or_else(|| Problem::Internal.report("the connection has no binding"))?;
        let now = self.clock.now();
        let tokens = wire::header::read(metadata)?;
        let issuer_key = |member: &terms::MemberId| key_of(&rules, member);
        let credential = Credential::verify(tokens.credential, &self.space, issuer_key, now)?;
        let received = Received {
            node: BROKER_AUDIENCE,
            query: Digest::of(query),
            // To call again is harmless: it needs no name.
            request: None,
            channel: &channel,
        };
        let proof = Proof::verify(tokens.proof, &credential, received, now)?;
        let Credential {
            member,
            person,
            roles,
            expires,
            ..
        } = credential.into_inner();
        let caller = Caller { member, person, roles };
        // Whoever is stopped leaves no trace that others would have to make room for.
        require_not_stopped(&rules, &caller)?;
        self.replay.first_use(&proof, now)?;
        let issuer = issuer_key(&caller.member);
        let issuer = issuer.ok_or_else(|| Problem::Internal.report("the issuer left the roster"))?;
        Ok(Called {
            rules: Arc::clone(&rules),
            caller,
            issuer,
            expires,
        })
    }
}

/// Refuses whom a member of the board has stopped.
pub(crate) fn require_not_stopped(rules: &Rules, caller: &Caller) -> Result<(), Report> {
    if !rules.stops.names(caller) {
        return Ok(());
    }
    let message = format!(
        "a member of the board has stopped this person of {}, or all of them",
        caller.member
    );
    Err(Problem::Stopped.report(message))
}

pub(crate) fn key_of(rules: &Rules, member: &terms::MemberId) -> Option<PublicKey> {
    rules.members.get(member).map(|member| member.key)
}
