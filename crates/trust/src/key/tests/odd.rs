//! Keys and signatures that nobody honest makes, at each of the four places where a signature of ours is checked.
//!
//! Each place has a message of its own form, so the signatures are made here, from the curve itself.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::Digest as _;

use crate::digest::{Digest, hex};
use crate::key::{PublicKey, PublicKeyError, Signature, SigningKey};
use crate::{Checkpoint, Credential, Receipt};

/// The order of the group, little endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = {
    let mut order =
        *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    order[31] = 0x10;
    order
};

type Sign<'a> = dyn Fn(&[u8]) -> Vec<u8> + 'a;
type Place = fn(&[u8], &Sign<'_>) -> bool;

/// Whether each place accepts what `sign` makes of its message, for the public key with these bytes.
const PLACES: [(&str, Place); 4] = [
    ("board", board),
    ("token", token),
    ("node identity", node_identity),
    ("checkpoint", checkpoint),
];

fn board(key: &[u8], sign: &Sign<'_>) -> bool {
    let Ok(key) = PublicKey::from_bytes(key) else {
        return false;
    };
    crate::tuf::board_accepts(&key, sign)
}

fn token(key: &[u8], sign: &Sign<'_>) -> bool {
    let issuer = SigningKey::from_seed(&[9; 32]).unwrap();
    let credential = Credential {
        space: "oncology".parse().unwrap(),
        member: "university".parse().unwrap(),
        person: "ada".parse().unwrap(),
        roles: [].into(),
        key: issuer.public(),
        not_before: "2026-11-21T12:00:00Z".parse().unwrap(),
        expires: "2026-11-21T13:00:00Z".parse().unwrap(),
    };
    let now = credential.not_before;
    let text = credential.issue(&issuer).unwrap();
    let (message, _) = text.rsplit_once('.').unwrap();
    let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())));
    let roster = |_: &terms::MemberId| PublicKey::from_bytes(key).ok();
    Credential::verify(&text, &"oncology".parse().unwrap(), roster, now).is_ok()
}

/// The key of a certificate, and a receipt that it signed.
fn node_identity(key: &[u8], sign: &Sign<'_>) -> bool {
    let Ok(key) = PublicKey::from_spki_der(&[&super::SPKI_PREFIX[..], key].concat()) else {
        return false;
    };
    let receipt = Receipt {
        query_id: "q-1".parse().unwrap(),
        request: None,
        node: "gbsg".parse().unwrap(),
        space: "oncology".parse().unwrap(),
        query: Digest::of(b"query"),
        policy: "breast-cancer-research".parse().unwrap(),
        policy_version: 3,
        policy_digest: Digest::of(b"policy"),
        permit: None,
        rule: "statistics".parse().unwrap(),
        joined: Vec::new(),
        data: Vec::new(),
        min_people: Some(10),
        duties: Vec::new(),
        rows: 12,
        blanked_values: 1,
        kept_values: 0,
        round_to: None,
        result: Digest::of(b"result"),
        audit_index: 7,
        at: "2026-11-21T12:00:00Z".parse().unwrap(),
    };
    let payload = serde_json::to_vec(&receipt).unwrap();
    let envelope = crate::dsse::sealed_with(crate::receipt::RECEIPT_TYPE, &payload, sign);
    Receipt::open(&envelope, &key).is_ok()
}

fn checkpoint(key: &[u8], sign: &Sign<'_>) -> bool {
    let Ok(public) = PublicKey::from_bytes(key) else {
        return false;
    };
    let text = format!("gbsg\n42\n{}\n", STANDARD.encode([7; 32]));
    let hash = Digest::of(&[b"gbsg\n\x01", public.bytes().as_slice()].concat());
    let signed = [&hash.bytes()[..4], &sign(text.as_bytes())].concat();
    let note = format!("{text}\n\u{2014} gbsg {}\n", STANDARD.encode(signed));
    Checkpoint::verify(&note, "gbsg", &public).is_ok()
}

/// A secret scalar, and what may be added to its public point and to the point of a signature.
struct Signer {
    secret: Scalar,
    on_key: EdwardsPoint,
    on_nonce: EdwardsPoint,
    nonce: Option<Scalar>,
}

impl Signer {
    fn honest() -> Self {
        Self {
            secret: wide(b"secret"),
            on_key: EIGHT_TORSION[0],
            on_nonce: EIGHT_TORSION[0],
            nonce: None,
        }
    }

    fn public(&self) -> [u8; 32] {
        (ED25519_BASEPOINT_POINT * self.secret + self.on_key)
            .compress()
            .to_bytes()
    }

    /// R and S; with a key of mixed order, such that also those accept it who do not multiply by the cofactor.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        for attempt in 0..=u8::MAX {
            let nonce = self.nonce.unwrap_or_else(|| wide(&[&[attempt], message].concat()));
            let point = (ED25519_BASEPOINT_POINT * nonce + self.on_nonce).compress().to_bytes();
            let challenge = wide(&[&point, &self.public()[..], message].concat());
            let clears_torsion = challenge.as_bytes()[0].is_multiple_of(8);
            if self.on_key == EIGHT_TORSION[0] || clears_torsion || self.nonce.is_some() {
                return [point, (nonce + challenge * self.secret).to_bytes()].concat();
            }
        }
        unreachable!("one challenge in eight is a multiple of eight");
    }
}

fn wide(bytes: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&sha2::Sha512::digest(bytes).into())
}

/// S + L: the same signature in a second form.
fn malleated(mut signature: Vec<u8>) -> Vec<u8> {
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    signature
}

fn refused_everywhere(what: &str, key: &[u8], sign: &Sign<'_>) {
    for (place, accepts) in PLACES {
        assert!(!accepts(key, sign), "{place} accepted {what}");
    }
}

/// Without this the refusals below would prove nothing.
#[test]
fn a_13_a_signature_made_by_hand_is_accepted_everywhere() {
    let signer = Signer::honest();
    for (place, accepts) in PLACES {
        assert!(accepts(&signer.public(), &|message| signer.sign(message)), "{place}");
    }
}

#[test]
fn a_13_a_second_form_of_a_signature_is_refused_everywhere() {
    let signer = Signer::honest();
    let key = signer.public();
    refused_everywhere("S + L", &key, &|message| malleated(signer.sign(message)));
    for bit in [0x20, 0x40, 0x80] {
        refused_everywhere("a high bit of S", &key, &|message| {
            let mut signature = signer.sign(message);
            signature[63] |= bit;
            signature
        });
    }
    refused_everywhere("S = L", &key, &|message| [&signer.sign(message)[..32], &ORDER].concat());
    refused_everywhere("zeros", &key, &|_| vec![0; 64]);
    refused_everywhere("a zero S", &key, &|message| {
        [&signer.sign(message)[..32], &[0; 32]].concat()
    });
}

#[test]
fn a_13_signatures_and_keys_of_another_length_are_refused_everywhere() {
    let signer = Signer::honest();
    let key = signer.public();
    for length in [0, 1, 31, 32, 33, 63, 65, 128] {
        refused_everywhere("a length", &key, &|message| {
            let mut signature = signer.sign(message);
            signature.resize(length, 0);
            signature
        });
    }
    for length in [0, 1, 31, 33, 64] {
        let mut other = key.to_vec();
        other.resize(length, 0);
        assert_eq!(PublicKey::from_bytes(&other), Err(PublicKeyError::Form));
        refused_everywhere("a key of another length", &other, &|message| signer.sign(message));
    }
}

/// RFC 8032 accepts these: the equation holds. With them one signature would hold for many messages.
#[test]
fn a_13_a_signature_point_of_small_or_mixed_order_is_refused_everywhere() {
    for torsion in EIGHT_TORSION {
        let small = Signer {
            on_nonce: torsion,
            nonce: Some(Scalar::ZERO),
            ..Signer::honest()
        };
        refused_everywhere("an R of small order", &small.public(), &|message| small.sign(message));
    }
    for torsion in &EIGHT_TORSION[1..] {
        let mixed = Signer {
            on_nonce: *torsion,
            ..Signer::honest()
        };
        refused_everywhere("an R of mixed order", &mixed.public(), &|message| mixed.sign(message));
    }
}

#[test]
fn a_13_a_key_of_small_order_is_neither_enrolled_nor_accepted() {
    for torsion in EIGHT_TORSION {
        let weak = Signer {
            secret: Scalar::ZERO,
            on_key: torsion,
            ..Signer::honest()
        };
        let key = weak.public();
        assert_eq!(PublicKey::from_bytes(&key), Err(PublicKeyError::Weak));
        assert_eq!(enrolled(&key), Err(PublicKeyError::Weak));
        refused_everywhere("a key of small order", &key, &|message| weak.sign(message));
    }
}

#[test]
fn a_13_a_key_of_mixed_order_is_neither_enrolled_nor_accepted() {
    for torsion in &EIGHT_TORSION[1..] {
        let mixed = Signer {
            on_key: *torsion,
            ..Signer::honest()
        };
        let key = mixed.public();
        assert_eq!(PublicKey::from_bytes(&key), Err(PublicKeyError::Order));
        assert_eq!(enrolled(&key), Err(PublicKeyError::Order));
        refused_everywhere("a key of mixed order", &key, &|message| mixed.sign(message));
        // The library alone would accept it: the check of the key is what refuses.
        let alone = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
        let signature = Signature::from_bytes(&mixed.sign(b"message")).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(signature.bytes());
        assert!(alone.verify_strict(b"message", &signature).is_ok());
    }
}

#[test]
fn a_13_a_key_in_an_encoding_of_its_own_is_neither_enrolled_nor_accepted() {
    let honest = Signer::honest();
    // y from p to 2^255 - 1 names the points of 0 to 18 once more; x = 0 has a sign that means nothing.
    let again = (0..19).map(|y| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xed + y, 0x7f);
        bytes
    });
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    for key in again.chain([negative_zero]) {
        assert!(
            PublicKey::from_bytes(&key).is_err() && enrolled(&key).is_err(),
            "{key:?}"
        );
        refused_everywhere("another encoding of a key", &key, &|message| honest.sign(message));
        refused_everywhere("another encoding of R", &honest.public(), &|message| {
            [&key[..], &honest.sign(message)[32..]].concat()
        });
    }
}

/// A key as files and rosters name it.
fn enrolled(key: &[u8; 32]) -> Result<PublicKey, PublicKeyError> {
    let text = format!("ed25519:{}", URL_SAFE_NO_PAD.encode(key));
    let parsed = text.parse::<PublicKey>();
    assert_eq!(
        serde_json::from_value::<PublicKey>(text.into()).is_ok(),
        parsed.is_ok(),
        "{}",
        hex(key)
    );
    parsed
}
