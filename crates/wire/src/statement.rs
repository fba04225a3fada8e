//! What a member says with its institution's key: sealed by it, and opened with the key that the roster names for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use terms::{MemberId, Problem, Report};
use trust::{Envelope, PublicKey, SigningKey, Verified};

/// One kind of statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// DSSE payload type.
    pub(crate) payload_type: &'static str,
    /// What a person calls it.
    pub(crate) name: &'static str,
    /// Largest sealed one, in bytes.
    pub(crate) bytes_max: usize,
}

impl Kind {
    /// Signs a statement. None if it is too large.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub(crate) fn seal<T: Serialize>(self, statement: &T, key: &SigningKey) -> Result<Option<Vec<u8>>, Report> {
        let unwritable = || Problem::Internal.report(format!("the {} cannot be written as JSON", self.name));
        let envelope = Envelope::seal(self.payload_type, statement, key).map_err(|_| unwritable())?;
        let sealed = serde_json::to_vec(&envelope).map_err(|_| unwritable())?;
        Ok((sealed.len() <= self.bytes_max).then_some(sealed))
    }

    /// Opens a sealed statement with the key that the roster names for the institution that it claims to be of.
    ///
    /// # Errors
    /// [`Problem::Answer`] if it is too large, not of a member, not signed by that member, or not a statement of this kind.
    pub(crate) fn open<T: DeserializeOwned>(
        self,
        sealed: &[u8],
        member_key: impl Fn(&MemberId) -> Option<PublicKey>,
    ) -> Result<Verified<T>, Report> {
        let claimed = self.claimed_member(sealed);
        let claimed = claimed.ok_or_else(|| self.refusal("is not of the expected form"))?;
        let key = member_key(&claimed).ok_or_else(|| self.refusal("is of an institution that is not a member"))?;
        let envelope = Envelope::parse(sealed).map_err(|_| self.refusal("is not a signed envelope"))?;
        let opened = envelope.open(self.payload_type, &key);
        opened.map_err(|_| self.refusal(&format!("has no valid signature of {claimed}")))
    }

    /// Whose statement it claims to be, unverified: only to know whose key has to be asked. `open` reads the same
    /// payload again, so what is verified names the same institution.
    fn claimed_member(self, sealed: &[u8]) -> Option<MemberId> {
        #[derive(Deserialize)]
        struct Payload {
            payload: String,
        }
        #[derive(Deserialize)]
        struct Claim {
            member: MemberId,
        }
        if sealed.len() > self.bytes_max {
            return None;
        }
        let outer: Payload = serde_json::from_slice(sealed).ok()?;
        let payload = STANDARD.decode(outer.payload).ok()?;
        Some(serde_json::from_slice::<Claim>(&payload).ok()?.member)
    }

    fn refusal(self, what: &str) -> Report {
        let remedy = "the institution's operator has to check the node's key and configuration";
        Problem::Answer
            .report(format!("the {} {what}", self.name))
            .remedy(remedy)
    }
}
