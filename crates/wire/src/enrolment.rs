//! How an institution asks to become a member: a request signed with the key that it names, and a short code that stands for it.
//!
//! A request grants nothing: it shows that whoever made it holds the key, and nothing about who they are. The code goes to the board
//! by another way than the request, and commits to all of it: a broker that exchanges the key has a request with another code.
//! Opened in one place, [`open`], by the broker and again by the board. Next: `broker`'s `enrol.rs`.

mod code;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use terms::limit::CLOCK_LEEWAY_SECONDS;
use terms::{MemberId, Problem, Report, SpaceId, UtcTime};
use trust::{PublicKey, SigningKey, Verified};

pub use self::code::{Code, CodeError};
use crate::connect::Connection;
use crate::statement::Kind;
use crate::v1::enrolment_service_client::EnrolmentServiceClient;
use crate::v1::{FetchEnrolmentRequest, RequestEnrolmentRequest};

/// Largest sealed request, in bytes: a name, a title and a key, several times over.
pub const ENROLMENT_BYTES_MAX: usize = 4 * 1024;

/// How long a request may be open, in seconds: a week, so that a board finds the time.
pub const ENROLMENT_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// Longest title, in characters: one line of a table.
const TITLE_CHARS_MAX: usize = 120;

const ENROLMENT: Kind = Kind {
    payload_type: "application/vnd.datenraum.enrolment.v1+json",
    name: "request for enrolment",
    bytes_max: ENROLMENT_BYTES_MAX,
};

/// Who asks to become a member of which data space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The data space.
    pub space: SpaceId,
    /// The name that the institution asks for.
    pub member: MemberId,
    /// What people call it.
    pub title: String,
    /// Its key, which signs the request.
    pub key: PublicKey,
    /// When it was made.
    pub issued: UtcTime,
    /// When it ends.
    pub expires: UtcTime,
}

impl Enrolment {
    /// Checks what a signature does not: the data space, the time, and that the title is one plain line.
    ///
    /// # Errors
    /// [`Problem::Answer`] saying which of them.
    pub fn require_valid(&self, space: &SpaceId, now: UtcTime) -> Result<(), Report> {
        let (issued, expires) = (self.issued.as_second(), self.expires.as_second());
        let wrong = |what: &str, remedy: &str| {
            let message = format!("the request for enrolment of {} {what}", self.member);
            Err(Problem::Answer.report(message).remedy(remedy.to_owned()))
        };
        if self.space != *space {
            return wrong("is for another data space", "name the data space that you want to join");
        }
        if issued - now.as_second() > CLOCK_LEEWAY_SECONDS {
            return wrong("is dated in the future", "set the clock of the machine that made it");
        }
        // Half a second is not time left.
        if expires <= now.as_second() {
            return wrong("has expired", "make a new one: datenraum node init --again --dir DIR");
        }
        if expires - issued > ENROLMENT_SECONDS_MAX {
            return wrong(
                "is valid for more than seven days",
                "make a new one: datenraum node init --again --dir DIR",
            );
        }
        require_title(&self.title)
    }
}

/// A title is shown on terminals and written into the roster: one line, and nothing that a terminal obeys.
///
/// # Errors
/// [`Problem::Answer`] if it is anything else.
pub fn require_title(title: &str) -> Result<(), Report> {
    let is_plain = title == crate::status::plain(title) && title == title.trim() && !title.is_empty();
    if is_plain && title.chars().count() <= TITLE_CHARS_MAX {
        return Ok(());
    }
    let message = format!("a title is one line of at most {TITLE_CHARS_MAX} characters, without control characters");
    Err(Problem::Answer.report(message).remedy("give another --title"))
}

/// Signs a request.
///
/// # Errors
/// [`Problem::Answer`] if it is larger than a broker takes.
pub fn seal(enrolment: &Enrolment, key: &SigningKey) -> Result<Vec<u8>, Report> {
    ENROLMENT.seal(enrolment, key)?.ok_or_else(|| {
        let message = format!("the request for enrolment has more than {ENROLMENT_BYTES_MAX} bytes");
        Problem::Answer.report(message).remedy("give a shorter --title")
    })
}

/// Opens a sealed request with the key that it names. Space and time are for the caller to check: [`Enrolment::require_valid`].
///
/// # Errors
/// [`Problem::Answer`] if it is too large, not signed with that key, or not a request.
pub fn open(sealed: &[u8]) -> Result<Verified<Enrolment>, Report> {
    ENROLMENT.open_own(sealed)
}

/// Leaves a sealed request with the broker.
///
/// # Errors
/// What the broker found wrong with it; `Unreachable` if it does not answer.
pub async fn send(connection: &Connection, space: &SpaceId, sealed: &[u8]) -> Result<(), Report> {
    let request = RequestEnrolmentRequest {
        space: space.to_string(),
        envelope: sealed.to_owned(),
    };
    let mut client = EnrolmentServiceClient::new(connection.grpc.clone());
    crate::publish::in_time(client.request(request)).await.map(|_| ())
}

/// Fetches the request for which a code stands, and believes the broker nothing about it.
///
/// # Errors
/// [`Problem::Answer`] if what comes is not what the code stands for, or is not valid here and now; what the broker says.
pub async fn fetch(
    connection: &Connection,
    space: &SpaceId,
    code: Code,
    now: UtcTime,
) -> Result<Verified<Enrolment>, Report> {
    let request = FetchEnrolmentRequest {
        space: space.to_string(),
        code: code.bytes().to_vec(),
    };
    let mut client = EnrolmentServiceClient::new(connection.grpc.clone());
    let sealed = crate::publish::in_time(client.fetch(request)).await?.envelope;
    open_fetched(&sealed, space, code, now)
}

/// What came for a code, checked against it.
fn open_fetched(sealed: &[u8], space: &SpaceId, code: Code, now: UtcTime) -> Result<Verified<Enrolment>, Report> {
    if Code::of(sealed) != code {
        let message = "the broker gave another request than the one that the code stands for";
        let remedy = "do not go on; ask the broker's operator, and the institution for the code once more";
        return Err(Problem::Answer.report(message).remedy(remedy));
    }
    let enrolment = open(sealed)?;
    enrolment.require_valid(space, now)?;
    Ok(enrolment)
}
