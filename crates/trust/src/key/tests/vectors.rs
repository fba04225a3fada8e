//! The vectors of Project Wycheproof, which other implementations are held to.

use crate::digest::unhex;
use crate::key::{PublicKey, Signature};
use crate::token::verdict_on;

const VECTORS: &str = include_str!("wycheproof.txt");

struct Vector<'a> {
    number: &'a str,
    key: [u8; 32],
    message: Vec<u8>,
    signature: Vec<u8>,
    valid: bool,
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.strip_prefix('-').unwrap_or(hex).as_bytes().chunks(2);
    pairs
        .map(|pair| unhex::<1>(std::str::from_utf8(pair).unwrap()).unwrap()[0])
        .collect()
}

fn vectors() -> Vec<Vector<'static>> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let [number, key, message, signature, result] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Vector {
            number,
            key: unhex(key).unwrap(),
            message: bytes(message),
            signature: bytes(signature),
            valid: result == "valid",
        }
    };
    lines.map(read).collect()
}

/// As certificates carry a key, and as everything of ours checks a signature.
fn verdict_by_spki(vector: &Vector<'_>) -> bool {
    let spki = [&super::SPKI_PREFIX[..], &vector.key].concat();
    let (Ok(key), Ok(signature)) = (
        PublicKey::from_spki_der(&spki),
        Signature::from_bytes(&vector.signature),
    ) else {
        return false;
    };
    key.verify(&vector.message, &signature).is_ok()
}

/// No vector of Wycheproof is valid there and refused here: what [`PublicKey::verify`] is stricter about than RFC 8032
/// (points of small order) is in none of them, and is tried in `odd.rs`.
#[test]
fn a_13_the_vectors_of_wycheproof_are_judged_as_published() {
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors() {
        assert_eq!(verdict_by_spki(&vector), vector.valid, "{}", vector.number);
        let by_token = verdict_on(&vector.key, &vector.message, &vector.signature);
        assert_eq!(by_token, vector.valid, "{}", vector.number);
        *(if vector.valid { &mut valid } else { &mut invalid }) += 1;
    }
    // A file that was cut proves nothing.
    assert!(valid + invalid == 151 && valid == 88);
}
