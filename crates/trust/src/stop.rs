//! A stop: one board member ends what a policy, a permit, an institution or a person may do, at once.
//!
//! A stop only takes away. It needs one signature of the board where a policy needs several, because waiting for
//! others costs more than a wrong stop does; lifting one needs the board's full signatures again. A stop is a DSSE
//! envelope of its own type, so that nothing else that a board member signs passes for one.
//! Next: [`crate::dsse`] for the envelope, [`crate::tuf`] for how stops reach a node and stay.

use std::fmt;

use serde::{Deserialize, Serialize};
use terms::{MemberId, PermitId, PersonId, PolicyId, Problem, Report, SpaceId, UtcTime};

use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError};
use crate::json::{JsonError, strict};
use crate::key::{PublicKey, SigningKey};

/// The DSSE payload type of stops.
pub const STOP_TYPE: &str = "application/vnd.datenraum.stop.v1+json";

/// Longest reason of a stop, in characters: a sentence that fits a terminal and a ledger line.
pub const STOP_REASON_CHARS_MAX: usize = 200;

/// Most stops in one list: more than a board lifts late in the life of a data space.
pub const STOPS_MAX: usize = 1_024;

/// Most stops of one member of a board that a client remembers: nobody can fill the list and so end what others can do.
pub const STOPS_PER_MEMBER_MAX: usize = 64;

/// Largest list of stops, in bytes: as many stops of a kilobyte each.
pub const STOPS_BYTES_MAX: usize = STOPS_MAX * 1_024;

/// What a board member says with a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The data space.
    pub space: SpaceId,
    /// What ends.
    pub stopped: Stopped,
    /// Why, in one line for those whom it concerns.
    pub reason: String,
    /// When it was signed.
    pub at: UtcTime,
}

/// What a stop ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// Everything that a policy permits.
    Policy(PolicyId),
    /// Everything under a data permit.
    Permit(PermitId),
    /// Everything of an institution: its people's queries and its node's answers.
    Member(MemberId),
    /// Every query of one person.
    #[serde(with = "person")]
    Person(MemberId, PersonId),
}

/// A stop whose signature held. Only [`Stop::open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedStop {
    /// What it says.
    pub stop: Stop,
    /// Who signed it.
    pub signer: PublicKey,
    /// The digest of the envelope, by which the board names it when lifting it.
    pub digest: Digest,
    /// The envelope, to be kept and handed on.
    pub envelope: Envelope,
}

impl Stop {
    /// A stop, checked as [`Stop::seal`] needs it.
    ///
    /// # Errors
    /// [`Problem::Usage`] if the reason is empty, too long or more than one line.
    pub fn new(space: SpaceId, stopped: Stopped, reason: &str, at: UtcTime) -> Result<Self, Report> {
        let stop = Self {
            space,
            stopped,
            reason: reason.to_owned(),
            at,
        };
        if stop.has_a_reason() {
            return Ok(stop);
        }
        let message = format!("the reason of a stop is one line of 1 to {STOP_REASON_CHARS_MAX} characters");
        Err(Problem::Usage.report(message).remedy("say in one line why you stop it"))
    }

    /// Signs the stop with a board member's key.
    ///
    /// # Errors
    /// [`EnvelopeError::Body`] if the reason is empty, too long or more than one line.
    pub fn seal(&self, key: &SigningKey) -> Result<Envelope, EnvelopeError> {
        if !self.has_a_reason() {
            return Err(EnvelopeError::Body);
        }
        Envelope::seal(STOP_TYPE, self, key)
    }

    /// Checks that one key of the board signed the stop for this data space.
    ///
    /// # Errors
    /// [`Problem::PolicyInvalid`] if it is not a stop, [`Problem::PolicySignature`] if nobody of the board signed
    /// it, [`Problem::PolicyScope`] if it is for another data space.
    pub fn open(envelope: &Envelope, board: &[PublicKey], space: &SpaceId) -> Result<AcceptedStop, Report> {
        // Elsewhere the key id is a hint that nobody reads. It is part of what the digest is of, so here it has to be
        // the signer's: a changed one would make a lifted stop look like a new one.
        let named = board.iter().find(|key| envelope.names_signer(key));
        let signer = *named.ok_or_else(|| Problem::PolicySignature.report("the stop is not signed by the board"))?;
        let stop = envelope.open::<Stop>(STOP_TYPE, &signer).map_err(refused)?.into_inner();
        if !stop.has_a_reason() {
            return Err(Problem::PolicyInvalid.report("the stop does not give its reason in one line"));
        }
        if &stop.space != space {
            let message = format!("the stop is for the data space {}, not for {space}", stop.space);
            return Err(Problem::PolicyScope.report(message));
        }
        Ok(AcceptedStop {
            stop,
            signer,
            digest: envelope.digest(),
            envelope: envelope.clone(),
        })
    }

    fn has_a_reason(&self) -> bool {
        let chars = self.reason.chars().count();
        let blank = self.reason.trim().is_empty();
        // The line and paragraph separators are no control characters, and break lines all the same.
        let breaks = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        !blank && chars <= STOP_REASON_CHARS_MAX && !self.reason.contains(breaks)
    }
}

fn refused(error: EnvelopeError) -> Report {
    let problem = match error {
        EnvelopeError::Signature { .. } => Problem::PolicySignature,
        _ => Problem::PolicyInvalid,
    };
    problem.report(format!("the stop is refused: {error}"))
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Policy(id) => write!(f, "policy {id}"),
            Stopped::Permit(id) => write!(f, "permit {id}"),
            Stopped::Member(id) => write!(f, "member {id}"),
            Stopped::Person(member, person) => write!(f, "person {member}/{person}"),
        }
    }
}

/// A person as `member/person`. Neither half can have a slash.
mod person {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use terms::{MemberId, PersonId};

    pub(super) fn serialize<S: Serializer>(member: &MemberId, person: &PersonId, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("{member}/{person}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(text: D) -> Result<(MemberId, PersonId), D::Error> {
        let text = String::deserialize(text)?;
        let halves = text.split_once('/').ok_or_else(|| D::Error::custom("no slash"))?;
        let member = halves.0.parse().map_err(D::Error::custom)?;
        Ok((member, halves.1.parse().map_err(D::Error::custom)?))
    }
}

/// The stops that a broker serves. Nothing in it is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StopList {
    /// The envelopes, in the order in which they came.
    pub stops: Vec<Envelope>,
    /// Entries that are no envelopes. They do not spoil the others: a stop must not be lost to them.
    #[serde(skip)]
    pub ignored: usize,
}

impl StopList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`Problem::PolicyInvalid`] if it is not a list of stops, or longer than one may be.
    pub fn parse(bytes: &[u8]) -> Result<Self, Report> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct List {
            stops: Vec<serde_json::Value>,
        }
        let invalid =
            |error: JsonError| Problem::PolicyInvalid.report(format!("the list of stops is refused: {error}"));
        let list: List = strict(bytes, STOPS_BYTES_MAX).map_err(invalid)?;
        if list.stops.len() > STOPS_MAX {
            let message = format!("the list of stops has more than {STOPS_MAX}");
            return Err(Problem::PolicyInvalid.report(message));
        }
        let all = list.stops.len();
        let stops: Vec<Envelope> = list.stops.into_iter().flat_map(serde_json::from_value).collect();
        let ignored = all - stops.len();
        Ok(Self { stops, ignored })
    }

    /// The list as it is served.
    ///
    /// # Errors
    /// [`Problem::PolicyInvalid`] if it is longer than one may be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Report> {
        let bytes = serde_json::to_vec(self).map_err(|_| Problem::Internal.report("the stops cannot be written"))?;
        if self.stops.len() > STOPS_MAX || bytes.len() > STOPS_BYTES_MAX {
            let message = format!("a data space holds up to {STOPS_MAX} stops in {STOPS_BYTES_MAX} bytes");
            return Err(Problem::PolicyInvalid
                .report(message)
                .remedy("publish rules that lift the stops that are no longer needed, then remove them"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
