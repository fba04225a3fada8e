//! What accompanies a query and its answer in gRPC metadata.
//!
//! `authorization: Bearer <credential>` says who asks, `datenraum-proof` that the person's key asks exactly this
//! on this connection, and `datenraum-receipt-bin` comes back with the answer; of rows that leave while they are read the receipt is
//! the metadata of the last message instead. `datenraum-request-id` may name the
//! request, and the proof then names it too: what is asked again under that name is answered once.

use terms::{Problem, Report};
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};

const AUTHORIZATION: &str = "authorization";
const BEARER: &str = "Bearer ";
const PROOF: &str = "datenraum-proof";
const REQUEST: &str = "datenraum-request-id";
const RECEIPT: &str = "datenraum-receipt-bin";

/// The two tokens of a request and its name, unverified.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// The institution's word for the person.
    pub credential: &'a str,
    /// The person's word for this query.
    pub proof: &'a str,
    /// What the asker calls the request, if anything.
    pub request: Option<&'a str>,
}

/// Adds both tokens to a request, and its name.
///
/// # Errors
/// [`Problem::TokenMalformed`] if a token is not plain text.
pub fn attach(metadata: &mut MetadataMap, tokens: Tokens<'_>) -> Result<(), Report> {
    metadata.insert(AUTHORIZATION, ascii(&format!("{BEARER}{}", tokens.credential))?);
    metadata.insert(PROOF, ascii(tokens.proof)?);
    if let Some(request) = tokens.request {
        metadata.insert(REQUEST, ascii(request)?);
    }
    Ok(())
}

/// Reads both tokens of a request, each of which must be there exactly once, and its name, which may.
///
/// # Errors
/// [`Problem::TokenMalformed`].
pub fn read(metadata: &MetadataMap) -> Result<Tokens<'_>, Report> {
    let credential = only(metadata, AUTHORIZATION)?;
    let credential = credential.strip_prefix(BEARER);
    let credential =
        credential.ok_or_else(|| Problem::TokenMalformed.report("the credential is not a bearer token"))?;
    Ok(Tokens {
        credential,
        proof: only(metadata, PROOF)?,
        request: match metadata.contains_key(REQUEST) {
            true => Some(only(metadata, REQUEST)?),
            false => None,
        },
    })
}

/// Adds a receipt (a DSSE envelope as JSON) to an answer.
pub fn attach_receipt(metadata: &mut MetadataMap, envelope: &[u8]) {
    metadata.insert_bin(RECEIPT, BinaryMetadataValue::from_bytes(envelope));
}

/// The receipt of an answer, unverified.
pub fn receipt(metadata: &MetadataMap) -> Option<Vec<u8>> {
    metadata.get_bin(RECEIPT)?.to_bytes().ok().map(|bytes| bytes.to_vec())
}

fn only<'a>(metadata: &'a MetadataMap, name: &'static str) -> Result<&'a str, Report> {
    let mut values = metadata.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::TokenMalformed.report(format!("the header {name} must be there exactly once")));
    };
    value
        .to_str()
        .map_err(|_| Problem::TokenMalformed.report(format!("the header {name} is not plain text")))
}

fn ascii(text: &str) -> Result<AsciiMetadataValue, Report> {
    text.parse()
        .map_err(|_| Problem::TokenMalformed.report("a token is not plain text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_doubled_header_is_refused() {
        let mut metadata = MetadataMap::new();
        assert!(read(&metadata).is_err());
        attach(
            &mut metadata,
            Tokens {
                credential: "a",
                proof: "b",
                request: None,
            },
        )
        .unwrap();
        assert_eq!(read(&metadata).unwrap().credential, "a");
        assert_eq!(read(&metadata).unwrap().request, None);
        let mut named_twice = metadata.clone();
        named_twice.append(REQUEST, "c".parse().unwrap());
        assert_eq!(read(&named_twice).unwrap().request, Some("c"));
        named_twice.append(REQUEST, "d".parse().unwrap());
        assert_eq!(read(&named_twice).unwrap_err().problem, Problem::TokenMalformed);
        metadata.append(AUTHORIZATION, "Bearer c".parse().unwrap());
        assert_eq!(read(&metadata).unwrap_err().problem, Problem::TokenMalformed);
    }
}
