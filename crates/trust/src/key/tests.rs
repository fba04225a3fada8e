use ed25519_dalek::pkcs8::EncodePrivateKey as _;

use super::*;

mod odd;
mod vectors;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&[byte; 32]).unwrap()
}

#[test]
fn weak_keys_are_refused() {
    // The identity, the point of order two and a point of order eight.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let order_eight = crate::digest::unhex::<32>("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    for bytes in [identity, order_two, order_eight.unwrap(), [0; 32]] {
        assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError::Weak), "{bytes:?}");
    }
}

#[test]
fn a_second_encoding_of_a_key_is_refused() {
    // y = p + 3 is the point with y = 3 once more.
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + 3, 0x7f);
    assert_eq!(PublicKey::from_bytes(&bytes), Err(PublicKeyError::Point));
}

#[test]
fn a_wrong_length_is_an_error() {
    for length in [0, 31, 33, 64] {
        assert_eq!(PublicKey::from_bytes(&vec![7; length]), Err(PublicKeyError::Form));
        assert_eq!(Signature::from_bytes(&vec![7; length + 1]), Err(SignatureInvalid));
    }
    for text in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:é"] {
        assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError::Form), "{text}");
    }
}

#[test]
fn a_changed_message_or_signature_or_key_does_not_verify() {
    let signature = key(1).sign(b"message");
    assert_eq!(key(1).public().verify(b"message", &signature), Ok(()));
    assert_eq!(key(1).public().verify(b"messagf", &signature), Err(SignatureInvalid));
    assert_eq!(key(2).public().verify(b"message", &signature), Err(SignatureInvalid));
    let mut changed = *signature.bytes();
    changed[40] ^= 1;
    assert_eq!(
        key(1).public().verify(b"message", &Signature(changed)),
        Err(SignatureInvalid)
    );
}

#[test]
fn a_key_is_the_same_in_every_form() {
    let public = key(3).public();
    assert_eq!(public.to_string().parse(), Ok(public));
    assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()), Ok(public));
    assert_eq!(
        PublicKey::from_spki_der(&public.to_spki_der()[1..]),
        Err(PublicKeyError::Form)
    );
    let encoded = ed25519_dalek::pkcs8::KeypairBytes {
        secret_key: [3; 32],
        public_key: None,
    };
    let encoded = encoded.to_pkcs8_der().unwrap();
    assert_eq!(key(3).to_pkcs8_der().as_slice(), encoded.as_bytes());
}

#[test]
fn the_key_id_is_that_of_tuf() {
    let public = key(4).public();
    let json = serde_json::json!({
        "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": hex(public.bytes()) },
    });
    let tuf: sigstore_tuf::Key = serde_json::from_value(json).unwrap();
    assert_eq!(public.key_id(), tuf.key_id().unwrap());
}

#[test]
fn debug_of_a_signing_key_shows_only_the_public_key() {
    let shown = format!("{:?}", key(5));
    assert_eq!(shown, format!("SigningKey(private, of {})", key(5).public()));
    assert!(!shown.contains(&hex(&[5; 32])) && !shown.contains(&URL_SAFE_NO_PAD.encode([5; 32])));
}

#[test]
fn what_is_no_key_is_none_however_often_it_is_offered_and_whatever_was_checked_before() {
    let key = SigningKey::generate().unwrap().public();
    let (none, weak) = ([0xff; 32], [0; 32]);
    for _ in 0..3 {
        assert_eq!(PublicKey::from_bytes(key.bytes()), Ok(key));
        assert!(PublicKey::from_bytes(&none).is_err() && PublicKey::from_bytes(&weak).is_err());
    }
}

#[test]
fn keys_that_were_checked_take_a_bounded_room() {
    for _ in 0..CHECKED_MAX + 2 {
        SigningKey::generate()
            .map(|key| PublicKey::from_bytes(key.public().bytes()))
            .unwrap()
            .unwrap();
        assert!(CHECKED.read().unwrap().len() <= CHECKED_MAX);
    }
}
