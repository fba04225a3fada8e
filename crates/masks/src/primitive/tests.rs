//! Against constants that other libraries computed: `known_answers.py` beside this crate, with Python's `cryptography` 50.0.2 (OpenSSL).

use super::*;
use crate::derivation::{about, mask_of_following};
use crate::plan::Seat;
use trust::Digest;

fn one() -> Secret {
    Secret::new(std::array::from_fn(|place| place as u8))
}

fn two() -> Secret {
    Secret::new(std::array::from_fn(|place| place as u8 + 32))
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap())
}

fn context() -> Digest {
    Digest::from_bytes([0xc0; 32])
}

fn numbers(key: &Secret, entries: usize) -> Vec<u128> {
    let mut numbers = vec![0; entries];
    mask(key, entries).unwrap().add_to(&mut numbers);
    numbers
}

#[test]
fn points_of_small_order_are_no_keys() {
    // 0, 1, and one of order 8 (RFC 7748, section 6.1, and the list of Bernstein's curve25519 page).
    let order_8 = bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for point in [
        [0; KEY_BYTES],
        std::array::from_fn(|place| u8::from(place == 0)),
        order_8,
    ] {
        assert_eq!(KeyPair::of(&one()).unwrap().agree(&point, b""), Err(Refused));
    }
}

#[test]
fn what_was_sealed_opens_under_the_same_key_about_the_same_and_unchanged() {
    let sealed = seal(&one(), b"from 2 to 5", b"shares").unwrap();
    assert_eq!(sealed.len(), 6 + TAG_BYTES);
    assert_eq!(open(&two(), b"from 2 to 5", &sealed), Err(Refused));
    assert_eq!(open(&one(), b"from 2 to 6", &sealed), Err(Refused));
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(open(&one(), b"from 2 to 5", &changed), Err(Refused));
    }
    assert_eq!(open(&one(), b"from 2 to 5", &[]), Err(Refused));
    assert_eq!(open(&one(), b"from 2 to 5", &sealed).unwrap().as_slice(), b"shares");
}

#[test]
fn public_keys_are_those_of_x25519() {
    let public = bytes("8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f");
    assert_eq!(KeyPair::of(&one()).unwrap().public, public);
    let public = bytes("358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254");
    assert_eq!(KeyPair::of(&two()).unwrap().public, public);
}

#[test]
fn both_ends_derive_the_key_and_the_mask_that_other_libraries_derive() {
    let about = about("mask between two", &context(), Seat(2), Seat(5));
    let key = KeyPair::of(&one())
        .unwrap()
        .agree(&KeyPair::of(&two()).unwrap().public, &about)
        .unwrap();
    assert_eq!(
        KeyPair::of(&two())
            .unwrap()
            .agree(&KeyPair::of(&one()).unwrap().public, &about)
            .unwrap(),
        key
    );
    let expected = bytes("53b47c3580d8bad75aaf470ba0ab0cae97144e7362263df4efc31dccc7339b14");
    assert_eq!(*key, expected);
    let expected = [
        0xb30e_375c_d53a_ae9d_66f9_b2d9_b193_c04d,
        0x0242_b148_ce2b_78a4_da91_d2e6_0416_902d,
        0xe632_90a7_585b_f1a5_d398_ab6b_d1b9_ce09,
        0xf718_919b_44b4_2454_2948_7442_7391_16a9,
        0xb418_4f45_2a01_863a_78a1_69a7_081f_1e9c,
    ];
    assert_eq!(numbers(&key, 5), expected);
}

#[test]
fn both_ends_mask_following_sums_as_other_libraries_do() {
    let about = about("key of following sums", &context(), Seat(2), Seat(5));
    let (one, two) = (KeyPair::of(&one()).unwrap(), KeyPair::of(&two()).unwrap());
    let key = one.agree(&two.public, &about).unwrap();
    assert_eq!(two.agree(&one.public, &about).unwrap(), key);
    let expected = bytes("155a8f6a835fa51ed9f180f477ad04504f9739730f3ad1507e4050309099cb82");
    assert_eq!(*key, expected);
    let basis = Digest::from_bytes([0xba; 32]);
    for ends in [(Seat(2), Seat(5)), (Seat(5), Seat(2))] {
        let mut numbers = vec![0; 2];
        let mask = mask_of_following(&key, 7, &basis, ends, 2).unwrap();
        mask.add_to(&mut numbers);
        let expected = [
            0xe559_288c_8203_8c24_44bb_7128_0ad9_ff8b,
            0xaa89_d5fc_c35c_bbb0_c916_de9d_dc3d_e144,
        ];
        assert_eq!(numbers, expected);
    }
}

#[test]
fn the_mask_of_one_node_is_what_other_libraries_derive() {
    let key = derive(one().as_slice(), &about("mask of one", &context(), Seat(2), Seat(2))).unwrap();
    let expected = [
        0x13dc_eb5f_c4fa_5194_8ffc_6746_4ca1_57f7,
        0x5873_62e2_fc0a_2a0f_b5b4_80e2_8ad9_51e7,
    ];
    assert_eq!(numbers(&key, 2), expected);
}

#[test]
fn sealed_shares_are_what_other_libraries_seal() {
    let about = about("sealed shares", &context(), Seat(2), Seat(5));
    let key = KeyPair::of(&one())
        .unwrap()
        .agree(&KeyPair::of(&two()).unwrap().public, &about)
        .unwrap();
    let text = [one().as_slice(), two().as_slice()].concat();
    let expected: [u8; 80] = bytes(concat!(
        "8db7cd89d2f079037e5523c74886491c4b6570ae9acc3a9a7880ff07d52b5bb1aee33562a4ca34bc",
        "8f5290adb7dbb3bd796eae721822dce5860e6e1ddcc0fbfe41799f083c854cb674e43df920061438",
    ));
    assert_eq!(seal(&key, &about, &text).unwrap(), expected);
}

#[test]
fn a_mask_taken_off_leaves_what_was_there() {
    let mask = mask(&one(), 3).unwrap();
    let mut entries = [0, 5, u128::MAX];
    mask.add_to(&mut entries);
    assert!(entries != [0, 5, u128::MAX]);
    mask.take_from(&mut entries);
    assert_eq!(entries, [0, 5, u128::MAX]);
}
