use proptest::prelude::*;

use super::*;
use crate::stop::{STOP_TYPE, Stop, Stopped};
use crate::{Checkpoint, Receipt};

const KIND: &str = "application/vnd.datenraum.test+json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    rows: u64,
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&[byte; 32]).unwrap()
}

fn sealed() -> Envelope {
    Envelope::seal(KIND, &Note { rows: 3 }, &key(1)).unwrap()
}

/// A validly signed envelope around any bytes.
fn sealed_bytes(payload: &[u8]) -> Envelope {
    sealed_with(KIND, payload, &|message| key(1).sign(message).bytes().to_vec())
}

fn signature(sig: String) -> EnvelopeSignature {
    EnvelopeSignature {
        keyid: key(1).public().key_id(),
        sig,
    }
}

fn refusal(envelope: &Envelope) -> EnvelopeError {
    envelope.open::<Note>(KIND, &key(1).public()).unwrap_err()
}

#[test]
fn another_type_is_refused_even_if_the_envelope_claims_this_one() {
    let other = Envelope::seal("application/other", &Note { rows: 3 }, &key(1)).unwrap();
    assert_eq!(
        refusal(&other),
        EnvelopeError::Type {
            expected: KIND.to_owned()
        }
    );
    let claimed = Envelope {
        payload_type: KIND.to_owned(),
        ..other
    };
    assert_eq!(
        refusal(&claimed),
        EnvelopeError::Signature {
            key: key(1).public().to_string()
        }
    );
}

#[test]
fn another_key_is_refused_whatever_the_key_id_says() {
    let mut forged = Envelope::seal(KIND, &Note { rows: 3 }, &key(2)).unwrap();
    forged.signatures[0].keyid = key(1).public().key_id();
    assert_eq!(
        refusal(&forged),
        EnvelopeError::Signature {
            key: key(1).public().to_string()
        }
    );
}

#[test]
fn a_changed_payload_is_refused() {
    let changed = Envelope {
        payload: STANDARD.encode(br#"{"rows":4}"#),
        ..sealed()
    };
    assert_eq!(
        refusal(&changed),
        EnvelopeError::Signature {
            key: key(1).public().to_string()
        }
    );
}

#[test]
fn unknown_fields_and_trailing_bytes_are_refused() {
    for payload in [
        &br#"{"rows":3,"x":1}"#[..],
        br#"{"rows":3}{"rows":4}"#,
        br#"{"rows":3,"rows":4}"#,
        b"{}",
    ] {
        assert_eq!(refusal(&sealed_bytes(payload)), EnvelopeError::Body);
    }
    let text = serde_json::to_string(&sealed()).unwrap();
    assert!(serde_json::from_str::<Envelope>(&text.replacen('{', r#"{"x":1,"#, 1)).is_err());
}

#[test]
fn no_signature_two_signatures_and_short_signatures_are_refused() {
    let one = sealed().signatures[0].clone();
    for signatures in [vec![], vec![one.clone(), one], vec![signature("AAAA".to_owned())]] {
        assert_eq!(refusal(&Envelope { signatures, ..sealed() }), EnvelopeError::Form);
    }
}

#[test]
fn the_signed_bytes_are_those_of_the_specification() {
    let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
    assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn a_sealed_body_is_opened_with_the_names_of_dsse() {
    let text = serde_json::to_value(sealed()).unwrap();
    assert_eq!(text["payloadType"], KIND);
    let opened: Envelope = serde_json::from_value(text).unwrap();
    assert_eq!(
        opened.open::<Note>(KIND, &key(1).public()).unwrap().into_inner(),
        Note { rows: 3 }
    );
}

/// What a reader of `KIND` says to a payload that is signed as it should be.
fn refuses_payload(payload: &[u8]) {
    assert_eq!(
        refusal(&sealed_bytes(payload)),
        EnvelopeError::Body,
        "{:?}",
        String::from_utf8_lossy(payload)
    );
}

fn refuses_envelope(bytes: &[u8]) {
    assert_eq!(
        Envelope::parse(bytes),
        Err(EnvelopeError::Form),
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
}

#[test]
fn a_12_a_signature_does_not_make_an_abused_payload_readable() {
    let deep = format!(r#"{{"rows":{}}}"#, "[".repeat(10_000));
    for payload in [
        &br#"{"rows":3,"rows":3}"#[..],
        b"\xef\xbb\xbf{\"rows\":3}",
        b"{\"rows\":NaN}",
        b"{\"rows\":1e400}",
        b"{\"rows\":3,\"x\\u0000\":1}",
        b"{\"rows\":3}\0",
        b"{\"\xff\":3}",
        b"{\"rows\":3} {\"rows\":3}",
        b"",
        deep.as_bytes(),
    ] {
        refuses_payload(payload);
    }
}

/// Fields of a struct are refused twice by serde as well; free-form parts are not.
#[test]
fn a_12_a_payload_of_any_form_has_one_meaning() {
    for payload in [
        &br#"{"a":1,"a":2}"#[..],
        br#"[{"a":{"b":1,"b":1}}]"#,
        br#"{"a":"\u0000"}"#,
    ] {
        let opened = sealed_bytes(payload).open::<serde_json::Value>(KIND, &key(1).public());
        assert_eq!(opened.unwrap_err(), EnvelopeError::Body);
    }
    let nested = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let opened = sealed_bytes(nested.as_bytes()).open::<serde_json::Value>(KIND, &key(1).public());
    assert_eq!(opened.unwrap_err(), EnvelopeError::Body);
    let opened = sealed_bytes(br#"{"a":{"a":1}}"#).open::<serde_json::Value>(KIND, &key(1).public());
    assert!(opened.is_ok());
}

#[test]
fn a_12_an_abused_envelope_is_refused() {
    let good = sealed().to_bytes();
    let text = String::from_utf8(good.clone()).unwrap();
    for changed in [
        text.replacen('{', r#"{"payloadType":"x","#, 1),
        text.replace(r#""keyid":"#, r#""sig":"","keyid":"#),
        text.replacen('{', r#"{"note":1,"#, 1),
        format!("\u{feff}{text}"),
        format!("{text}{text}"),
        format!("{text}x"),
        text.replace(KIND, "a\\u0000b"),
        text.replace(KIND, r"\ud800"),
        "[".repeat(10_000),
        "null".to_owned(),
        String::new(),
    ] {
        refuses_envelope(changed.as_bytes());
    }
    refuses_envelope(&[&good[..20], b"\xff", &good[20..]].concat());
    assert_eq!(Envelope::parse(&good), Ok(sealed()));
}

#[test]
fn a_12_a_large_envelope_is_refused_before_it_is_read() {
    let large = vec![b'['; 100 * 1024 * 1024];
    let begun = std::time::Instant::now();
    assert_eq!(Envelope::parse(&large), Err(EnvelopeError::Form));
    assert!(begun.elapsed() < std::time::Duration::from_millis(100));
    // In an envelope that came another way, the payload is not even decoded.
    let payload = "=".repeat(PAYLOAD_TEXT_BYTES_MAX + 1);
    assert_eq!(refusal(&Envelope { payload, ..sealed() }), EnvelopeError::Form);
}

fn stop() -> Stop {
    let stopped = Stopped::Policy("breast-cancer".parse().unwrap());
    let at = "2026-11-24T12:00:00Z".parse().unwrap();
    Stop::new("oncology".parse().unwrap(), stopped, "a wrong rule", at).unwrap()
}

/// All are signed by one key, so that only the type is between them.
#[test]
fn a_11_what_was_signed_as_one_thing_is_never_read_as_another() {
    let (one, public) = (key(1), key(1).public());
    let space = "oncology".parse().unwrap();
    let stop = stop().seal(&one).unwrap();
    assert!(Stop::open(&stop, &[public], &space).is_ok());
    assert!(Receipt::open(&stop, &public).is_err());
    for kind in [
        crate::receipt::RECEIPT_TYPE,
        "application/vnd.datenraum.description.v1+json",
        "application/vnd.datenraum.stop.v2+json",
        "",
    ] {
        // The body of a stop, signed as something else; and the same with the type replaced afterwards.
        let other = Envelope::seal(kind, &self::stop(), &one).unwrap();
        assert!(Stop::open(&other, &[public], &space).is_err(), "{kind}");
        let renamed = Envelope {
            payload_type: STOP_TYPE.to_owned(),
            ..other
        };
        assert!(Stop::open(&renamed, &[public], &space).is_err(), "{kind}");
        let stop = Envelope {
            payload_type: kind.to_owned(),
            ..stop.clone()
        };
        assert!(stop.open::<Stop>(kind, &public).is_err(), "{kind}");
    }
}

#[test]
fn a_11_a_checkpoint_and_an_envelope_do_not_pass_for_each_other() {
    let (one, public) = (key(1), key(1).public());
    let checkpoint = Checkpoint {
        origin: "gbsg".to_owned(),
        size: 1,
        root: [7; 32],
    };
    let note = checkpoint.sign("gbsg", &one).unwrap();
    refuses_envelope(note.as_bytes());
    // The signature of a checkpoint over the very same bytes as payload.
    let (text, signature) = note.split_once("\n\n").unwrap();
    let signature = STANDARD
        .decode(signature.trim_end().rsplit_once(' ').unwrap().1)
        .unwrap();
    let envelope = sealed_with(STOP_TYPE, text.as_bytes(), &|_| signature[4..].to_vec());
    assert!(matches!(
        envelope.open::<Stop>(STOP_TYPE, &public),
        Err(EnvelopeError::Signature { .. })
    ));
    let json = String::from_utf8(stop().seal(&one).unwrap().to_bytes()).unwrap();
    assert!(Checkpoint::verify(&json, "gbsg", &public).is_err());
}

#[test]
fn a_signature_beside_a_payload_is_of_this_payload_type_and_key_only() {
    let signature = sign_payload(KIND, b"payload", &key(1));
    let refused =
        |kind: &str, payload: &[u8], by: u8| verify_payload(kind, payload, &signature, &key(by).public()).is_err();
    assert!(refused(KIND, b"payloae", 1));
    assert!(refused("another/type", b"payload", 1));
    assert!(refused(KIND, b"payload", 2));
    // Where the type ends and the payload begins is signed too.
    assert!(refused(&format!("{KIND} 7 payload"), b"", 1));
    assert!(!refused(KIND, b"payload", 1));
}

#[test]
fn the_digest_of_an_envelope_does_not_depend_on_how_it_was_written() {
    let spaced = serde_json::to_vec_pretty(&sealed()).unwrap();
    let read = Envelope::parse(&spaced).unwrap();
    assert_eq!(read.digest(), sealed().digest());
    assert_eq!(read.to_bytes(), sealed().to_bytes());
    assert_ne!(sealed_bytes(br#"{"rows":4}"#).digest(), sealed().digest());
}

/// Whether the bytes are an envelope of the note that `sealed` holds. The key id, which nobody reads here, may differ.
fn opens(bytes: &[u8]) -> bool {
    let envelope = Envelope::parse(bytes);
    envelope.is_ok_and(|envelope| envelope.open::<Note>(KIND, &key(1).public()).is_ok())
}

#[test]
fn a_11_no_envelope_that_was_cut_opens() {
    let bytes = sealed().to_bytes();
    assert!(opens(&bytes));
    for length in 0..bytes.len() {
        assert!(!opens(&bytes[..length]), "{length}");
    }
}

proptest! {
    #[test]
    fn a_11_no_envelope_with_a_changed_byte_opens(at in any::<proptest::sample::Index>(), flip in 1_u8..) {
        let mut bytes = sealed().to_bytes();
        let keyid = key(1).public().key_id();
        let hint = String::from_utf8(bytes.clone()).unwrap().find(&keyid).unwrap();
        let at = at.index(bytes.len());
        prop_assume!(!(hint..hint + keyid.len()).contains(&at));
        bytes[at] ^= flip;
        prop_assert!(!opens(&bytes));
    }

    #[test]
    fn a_11_no_bytes_make_reading_an_envelope_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!opens(&bytes));
    }
}
