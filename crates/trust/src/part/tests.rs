use super::*;

#[test]
fn a_part_of_anything_else_is_none_of_this() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (ada, bob): (MemberId, MemberId) = ("ada".parse().unwrap(), "bob".parse().unwrap());
    let part = PartOf {
        statement: Digest::of(b"FIT"),
        step: 3,
        kind: 0,
        member: &ada,
    };
    let signature = part.sign(b"sums", &key);
    assert!(part.verify(b"sums", &signature, &key.public()).is_ok());
    assert!(part.verify(b"others", &signature, &key.public()).is_err());
    assert!(part.verify(b"sums", &signature, &other.public()).is_err());
    assert!(part.verify(b"sums", &signature[1..], &key.public()).is_err());
    let changed = [
        PartOf {
            statement: Digest::of(b"FIT other"),
            ..part.clone()
        },
        PartOf {
            step: 4,
            ..part.clone()
        },
        PartOf {
            kind: 1,
            ..part.clone()
        },
        PartOf {
            member: &bob,
            ..part.clone()
        },
    ];
    for changed in changed {
        assert!(
            changed.verify(b"sums", &signature, &key.public()).is_err(),
            "{changed:?}"
        );
    }
}
