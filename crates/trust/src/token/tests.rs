use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use terms::{MemberId, SpaceId, UtcTime, limit};

use super::*;
use crate::{Digest, PublicKey, SigningKey, Verified};

const CREDENTIAL_HEADER: &str = r#"{"alg":"EdDSA","typ":"datenraum-credential+jwt"}"#;
const PROOF_HEADER: &str = r#"{"alg":"EdDSA","typ":"datenraum-proof+jwt"}"#;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&[byte; 32]).unwrap()
}

fn noon() -> UtcTime {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> UtcTime {
    UtcTime::from_second(noon().as_second() + seconds).unwrap()
}

fn space() -> SpaceId {
    "oncology".parse().unwrap()
}

/// The roster: one member, `university`, with key 1.
fn roster(member: &MemberId) -> Option<PublicKey> {
    (member.as_str() == "university").then(|| key(1).public())
}

fn credential() -> Credential {
    Credential {
        space: space(),
        member: "university".parse().unwrap(),
        person: "ada".parse().unwrap(),
        roles: ["university".parse().unwrap()].into(),
        key: key(2).public(),
        not_before: noon(),
        expires: after(3600),
    }
}

fn verify(text: &str, now: UtcTime) -> Result<Verified<Credential>, Problem> {
    Credential::verify(text, &space(), roster, now).map_err(|report| report.problem)
}

/// Any header and claims, with a signature that holds.
fn signed(header: &str, claims: &Value, key: &SigningKey) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).bytes());
    format!("{message}.{signature}")
}

fn claims_of(text: &str) -> Value {
    let payload = text.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn credential_claims() -> Value {
    claims_of(&credential().issue(&key(1)).unwrap())
}

/// A credential with one claim replaced, or removed where the value is null.
fn credential_with(claim: &str, value: Value) -> String {
    let mut claims = credential_claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(claim),
        value => claims.as_object_mut().unwrap().insert(claim.to_owned(), value),
    };
    signed(CREDENTIAL_HEADER, &claims, &key(1))
}

fn proof() -> Proof {
    Proof {
        node: "gbsg".to_owned(),
        query: Digest::of(b"query"),
        purpose: Some(terms::Purpose::Research),
        permit: Some("permit-1".parse().unwrap()),
        request: Some("request-1".parse().unwrap()),
        channel: Channel::new([9; 32]),
    }
}

fn verified_credential() -> Verified<Credential> {
    verify(&credential().issue(&key(1)).unwrap(), noon()).unwrap()
}

fn verify_proof(text: &str, now: UtcTime) -> Result<Verified<ProofSeen>, Problem> {
    let asked = proof();
    let received = Received {
        node: &asked.node,
        query: asked.query,
        request: asked.request.as_ref(),
        channel: &asked.channel,
    };
    Proof::verify(text, &verified_credential(), received, now).map_err(|r| r.problem)
}

#[test]
fn algorithms_other_than_eddsa_are_refused() {
    for alg in ["none", "None", "HS256", "RS256", "ES256", "eddsa"] {
        let header = CREDENTIAL_HEADER.replace("EdDSA", alg);
        let text = signed(&header, &credential_claims(), &key(1));
        assert_eq!(verify(&text, noon()), Err(Problem::TokenMalformed), "{alg}");
    }
    let unsigned = format!(
        "{}.",
        signed(CREDENTIAL_HEADER, &credential_claims(), &key(1))
            .rsplit_once('.')
            .unwrap()
            .0
    );
    assert_eq!(verify(&unsigned, noon()), Err(Problem::TokenSignature));
}

#[test]
fn a_proof_cannot_pass_for_a_credential_nor_a_jwt_of_somebody_else() {
    for typ in ["datenraum-proof+jwt", "JWT", "at+jwt", ""] {
        let text = signed(
            &CREDENTIAL_HEADER.replace("datenraum-credential+jwt", typ),
            &credential_claims(),
            &key(1),
        );
        assert_eq!(verify(&text, noon()), Err(Problem::TokenMalformed), "{typ}");
    }
    assert_eq!(
        verify(&signed(r#"{"alg":"EdDSA"}"#, &credential_claims(), &key(1)), noon()),
        Err(Problem::TokenMalformed)
    );
    let claims = claims_of(&proof().issue(&key(2), noon()).unwrap());
    assert_eq!(
        verify_proof(&signed(CREDENTIAL_HEADER, &claims, &key(2)), noon()),
        Err(Problem::TokenMalformed)
    );
}

#[test]
fn a_header_that_brings_a_key_or_an_extension_is_refused() {
    let jwk = r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#;
    for member in [
        jwk,
        r#""jku":"https://x""#,
        r#""x5u":"https://x""#,
        r#""x5c":[]"#,
        r#""crit":["b64"]"#,
        r#""b64":false"#,
    ] {
        let header = CREDENTIAL_HEADER.replace('}', &format!(",{member}}}"));
        assert_eq!(
            verify(&signed(&header, &credential_claims(), &key(1)), noon()),
            Err(Problem::TokenMalformed),
            "{member}"
        );
    }
    let hint = CREDENTIAL_HEADER.replace('}', r#","kid":"anything"}"#);
    assert!(verify(&signed(&hint, &credential_claims(), &key(1)), noon()).is_ok());
}

#[test]
fn another_space_is_refused() {
    assert_eq!(
        verify(&credential_with("aud", json!("cardiology")), noon()),
        Err(Problem::TokenAudience)
    );
    assert_eq!(
        verify(&credential_with("aud", json!(["oncology"])), noon()),
        Err(Problem::TokenMalformed)
    );
}

#[test]
fn an_institution_outside_the_roster_is_refused() {
    assert_eq!(
        verify(&credential_with("iss", json!("insurer")), noon()),
        Err(Problem::TokenIssuer)
    );
}

#[test]
fn a_signature_of_another_key_or_over_other_claims_is_refused() {
    assert_eq!(
        verify(&credential().issue(&key(3)).unwrap(), noon()),
        Err(Problem::TokenSignature)
    );
    let good = credential().issue(&key(1)).unwrap();
    let mut claims = claims_of(&good);
    claims["sub"] = json!("eve");
    let parts: Vec<&str> = good.split('.').collect();
    let forged = format!(
        "{}.{}.{}",
        parts[0],
        URL_SAFE_NO_PAD.encode(claims.to_string()),
        parts[2]
    );
    assert_eq!(verify(&forged, noon()), Err(Problem::TokenSignature));
}

#[test]
fn a_credential_is_refused_before_and_after_its_time() {
    let text = credential().issue(&key(1)).unwrap();
    let leeway = limit::CLOCK_LEEWAY_SECONDS;
    assert_eq!(verify(&text, after(-leeway - 1)), Err(Problem::TokenExpired));
    assert_eq!(verify(&text, after(3600 + leeway + 1)), Err(Problem::TokenExpired));
    assert!(verify(&text, after(-leeway)).is_ok() && verify(&text, after(3600 + leeway)).is_ok());
}

#[test]
fn a_lifetime_that_is_too_long_or_negative_is_neither_issued_nor_accepted() {
    for seconds in [limit::CREDENTIAL_SECONDS_MAX + 1, 0, -5] {
        let credential = Credential {
            expires: after(seconds),
            ..credential()
        };
        assert!(matches!(credential.issue(&key(1)), Err(TokenError::Lifetime { .. })));
        let text = credential_with("exp", json!(noon().as_second() + seconds));
        assert_eq!(verify(&text, noon()), Err(Problem::TokenExpired));
    }
}

#[test]
fn every_claim_is_required_and_unknown_ones_are_refused() {
    for claim in ["iss", "sub", "aud", "iat", "nbf", "exp", "roles", "cnf"] {
        assert_eq!(
            verify(&credential_with(claim, Value::Null), noon()),
            Err(Problem::TokenMalformed),
            "{claim}"
        );
    }
    for (claim, value) in [
        ("admin", json!(true)),
        ("exp", json!("soon")),
        ("exp", json!(1e300)),
        ("nbf", json!(i64::MIN)),
        ("sub", json!("../ada")),
        ("cnf", json!({"jwk": {"kty": "OKP", "crv": "X25519", "x": "AAAA"}})),
        (
            "cnf",
            json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([0; 32])}}),
        ),
    ] {
        assert_eq!(
            verify(&credential_with(claim, value), noon()),
            Err(Problem::TokenMalformed),
            "{claim}"
        );
    }
}

#[test]
fn oversized_and_shapeless_tokens_are_refused() {
    let large = credential_with(
        "roles",
        json!((0..2_000).map(|n| format!("role-{n}")).collect::<Vec<_>>()),
    );
    assert!(large.len() > limit::TOKEN_BYTES_MAX);
    for text in [large.as_str(), "", ".", "..", "...", "a.b.c", "é.é.é"] {
        assert_eq!(verify(text, noon()), Err(Problem::TokenMalformed));
        assert_eq!(verify_proof(text, noon()), Err(Problem::TokenMalformed));
    }
}

#[test]
fn a_credential_is_read_as_it_was_issued() {
    assert_eq!(verified_credential().into_inner(), credential());
}

#[test]
fn a_proof_for_another_query_request_connection_or_node_is_refused() {
    let requests = [None, Some("request-2".parse().unwrap())];
    let requests = requests.map(|request| Proof { request, ..proof() });
    let query = Proof {
        query: Digest::of(b"other"),
        ..proof()
    };
    let channel = Proof {
        channel: Channel::new([8; 32]),
        ..proof()
    };
    let node = Proof {
        node: "other".to_owned(),
        ..proof()
    };
    let verified = |proof: Proof| verify_proof(&proof.issue(&key(2), noon()).unwrap(), noon());
    for request in requests {
        assert_eq!(verified(request), Err(Problem::ProofMismatch));
    }
    assert_eq!(verified(query), Err(Problem::ProofMismatch));
    assert_eq!(verified(channel), Err(Problem::ProofMismatch));
    assert_eq!(verified(node), Err(Problem::TokenAudience));
}

#[test]
fn a_proof_of_another_person_is_refused() {
    assert_eq!(
        verify_proof(&proof().issue(&key(3), noon()).unwrap(), noon()),
        Err(Problem::TokenSignature)
    );
    let mut claims = claims_of(&proof().issue(&key(2), noon()).unwrap());
    claims["iss"] = json!(key(3).public());
    assert_eq!(
        verify_proof(&signed(PROOF_HEADER, &claims, &key(2)), noon()),
        Err(Problem::TokenSignature)
    );
}

#[test]
fn an_old_early_or_long_lived_proof_is_refused() {
    let text = proof().issue(&key(2), noon()).unwrap();
    let leeway = limit::CLOCK_LEEWAY_SECONDS;
    assert_eq!(
        verify_proof(&text, after(limit::PROOF_SECONDS + leeway + 1)),
        Err(Problem::TokenExpired)
    );
    assert_eq!(verify_proof(&text, after(-leeway - 1)), Err(Problem::TokenExpired));
    let mut claims = claims_of(&text);
    claims["exp"] = json!(noon().as_second() + 2 * limit::PROOF_SECONDS);
    assert_eq!(
        verify_proof(&signed(PROOF_HEADER, &claims, &key(2)), noon()),
        Err(Problem::TokenExpired)
    );
}

#[test]
fn a_proof_does_not_outlive_the_credential() {
    let late = after(3600 + limit::CLOCK_LEEWAY_SECONDS + 1);
    let text = proof().issue(&key(2), late).unwrap();
    assert_eq!(verify_proof(&text, late), Err(Problem::TokenExpired));
}

#[test]
fn a_proof_says_purpose_and_permit_and_has_an_id_of_its_own() {
    let seen = || {
        verify_proof(&proof().issue(&key(2), noon()).unwrap(), noon())
            .unwrap()
            .into_inner()
    };
    let (first, second) = (seen(), seen());
    assert_eq!((first.purpose, &first.permit), (proof().purpose, &proof().permit));
    assert_eq!((first.issued, first.expires), (noon(), after(limit::PROOF_SECONDS)));
    assert_ne!(first.id, second.id);
    assert_eq!(format!("{:?}", proof().channel), "Channel(redacted)");
}

/// Header and claims as texts, so that they can be what no JSON writer writes.
fn signed_texts(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key(1).sign(message.as_bytes()).bytes());
    format!("{message}.{signature}")
}

#[test]
fn a_12_a_header_or_claims_with_two_meanings_are_refused() {
    let claims = credential_claims().to_string();
    assert!(verify(&signed_texts(CREDENTIAL_HEADER, &claims), noon()).is_ok());
    for header in [
        CREDENTIAL_HEADER.replacen('{', r#"{"alg":"none","#, 1),
        CREDENTIAL_HEADER.replacen('{', r#"{"alg":"EdDSA","#, 1),
        CREDENTIAL_HEADER.replacen('{', r#"{"typ":"JWT","#, 1),
        CREDENTIAL_HEADER.replacen('{', r#"{"kid":"a","kid":"b","#, 1),
        format!("\u{feff}{CREDENTIAL_HEADER}"),
        format!("{CREDENTIAL_HEADER}{CREDENTIAL_HEADER}"),
        "[".repeat(5_000),
    ] {
        let text = signed_texts(&header, &claims);
        assert_eq!(verify(&text, noon()), Err(Problem::TokenMalformed), "{header}");
    }
    for claims in [
        claims.replacen('{', r#"{"sub":"eve","#, 1),
        claims.replace(r#""kty":"OKP""#, r#""kty":"OKP","kty":"OKP""#),
        claims.replace(r#""ada""#, r#""ada\u0000""#),
        format!("\u{feff}{claims}"),
        format!("{claims}{claims}"),
        "[".repeat(5_000),
    ] {
        let text = signed_texts(CREDENTIAL_HEADER, &claims);
        assert_eq!(verify(&text, noon()), Err(Problem::TokenMalformed), "{claims}");
    }
}

/// What a claim of a free form would be read as, if there were one.
#[test]
fn a_12_claims_of_any_form_have_one_meaning() {
    let kind = jwt::Kind {
        word: "credential",
        typ: "datenraum-credential+jwt",
        seconds_max: 1,
    };
    for claims in [r#"{"a":1,"a":2}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":"\u0000"}"#] {
        let peeked = kind.peek::<Value>(&signed_texts(CREDENTIAL_HEADER, claims));
        assert_eq!(peeked, Err(kind.malformed()), "{claims}");
    }
    assert!(
        kind.peek::<Value>(&signed_texts(CREDENTIAL_HEADER, r#"{"a":{"a":2}}"#))
            .is_ok()
    );
}

#[test]
fn a_12_a_token_of_more_or_fewer_than_three_parts_is_refused() {
    let good = credential().issue(&key(1)).unwrap();
    let (two, _) = good.rsplit_once('.').unwrap();
    for text in [
        two.to_owned(),
        format!("{good}.x"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}="),
    ] {
        assert!(verify(&text, noon()).is_err(), "{text}");
    }
}
