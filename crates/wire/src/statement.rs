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

/// Whose statement it claims to be.
#[derive(Deserialize)]
struct Claim {
    member: MemberId,
}

/// The same, with the key that the statement itself names.
#[derive(Deserialize)]
struct OwnClaim {
    member: MemberId,
    key: PublicKey,
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
        let Claim { member } = self.claimed(sealed)?;
        let key = member_key(&member).ok_or_else(|| self.refusal("is of an institution that is not a member"))?;
        self.open_with(sealed, &member, &key)
    }

    /// Opens a sealed statement with the key that it names itself: whoever made it holds that key, and nothing else is shown.
    ///
    /// # Errors
    /// [`Problem::Answer`] if it is too large, not signed with that key, or not a statement of this kind.
    pub(crate) fn open_own<T: DeserializeOwned>(self, sealed: &[u8]) -> Result<Verified<T>, Report> {
        let OwnClaim { member, key } = self.claimed(sealed)?;
        self.open_with(sealed, &member, &key)
    }

    fn open_with<T: DeserializeOwned>(
        self,
        sealed: &[u8],
        claimed: &MemberId,
        key: &PublicKey,
    ) -> Result<Verified<T>, Report> {
        let envelope = Envelope::parse(sealed).map_err(|_| self.refusal("is not a signed envelope"))?;
        let opened = envelope.open(self.payload_type, key);
        opened.map_err(|_| self.refusal(&format!("has no valid signature of {claimed}")))
    }

    /// What it claims, unverified: only to know which key has to be asked. `open_with` reads the same payload again, so what is
    /// verified claims the same.
    fn claimed<C: DeserializeOwned>(self, sealed: &[u8]) -> Result<C, Report> {
        #[derive(Deserialize)]
        struct Payload {
            payload: String,
        }
        let read = || {
            let outer: Payload = serde_json::from_slice(sealed).ok()?;
            let payload = STANDARD.decode(outer.payload).ok()?;
            serde_json::from_slice(&payload).ok()
        };
        let fits = sealed.len() <= self.bytes_max;
        let claimed = fits.then(read).flatten();
        claimed.ok_or_else(|| self.refusal("is not of the expected form"))
    }

    fn refusal(self, what: &str) -> Report {
        let remedy = "the institution's operator has to check the node's key and configuration";
        Problem::Answer
            .report(format!("the {} {what}", self.name))
            .remedy(remedy)
    }
}
