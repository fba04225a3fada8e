use terms::UtcTime;
use trust::SigningKey;

use super::*;

const THERE: &str =
    "# Who belongs.\n[[member]]\nid = \"gbsg\"\ntitle = \"GBSG\"\nroles = [\"hospital\"]   # since 2024\nkey = \"KEY\"";

fn files(roster: Option<&str>) -> Files {
    let space = (
        "space.toml".to_owned(),
        b"id = \"oncology\"\ntitle = \"Oncology\"\n".to_vec(),
    );
    let roster = roster.map(|text| (ROSTER.to_owned(), text.as_bytes().to_vec()));
    std::iter::once(space).chain(roster).collect()
}

fn there() -> (SigningKey, String) {
    let key = SigningKey::generate().unwrap();
    let text = THERE.replace("KEY", &key.public().to_string());
    (key, text)
}

fn request(member: &str, title: &str, key: &SigningKey) -> Enrolment {
    Enrolment {
        space: "oncology".parse().unwrap(),
        member: member.parse().unwrap(),
        title: title.to_owned(),
        key: key.public(),
        issued: UtcTime::UNIX_EPOCH,
        expires: UtcTime::UNIX_EPOCH,
    }
}

fn hospital() -> [RoleName; 1] {
    ["hospital".parse().unwrap()]
}

#[test]
fn a_21_a_name_or_key_that_is_there_and_one_that_looks_the_same_are_refused() {
    let (key, text) = there();
    let other = SigningKey::generate().unwrap();
    for (member, title, key) in [
        ("gbsg", "Clinic", &other),
        ("clinic", "Clinic", &key),
        ("clinic", "GBSG", &other),
        // A Cyrillic letter.
        ("clinic", "GB\u{405}G", &other),
    ] {
        let refused = roster_with(&files(Some(&text)), &request(member, title, key), &hospital()).unwrap_err();
        assert_eq!(refused.problem, Problem::PolicyInvalid, "{member} {title}: {refused}");
    }
}

#[test]
fn a_21_a_roster_that_takes_nobody_at_its_end_is_refused() {
    let other = SigningKey::generate().unwrap();
    let clinic = request("clinic", "Clinic", &other);
    assert!(roster_with(&files(Some("member = []\n")), &clinic, &hospital()).is_err());
    assert!(roster_with(&files(Some("# a \"\"\"\n[[member\n")), &clinic, &hospital()).is_err());
}

#[test]
fn what_is_written_in_the_roster_stays_and_the_member_comes_at_its_end() {
    let (_, text) = there();
    let other = SigningKey::generate().unwrap();
    let odd = "The \"Clinic\" \\ of M\u{fc}nchen";
    let with = roster_with(&files(Some(&text)), &request("clinic", odd, &other), &hospital()).unwrap();
    assert!(with.starts_with(&text), "{with}");
    let rules = rules_of(&files(Some(&with))).unwrap();
    let clinic = &rules.members[&"clinic".parse().unwrap()];
    assert_eq!((clinic.title.as_str(), clinic.key), (odd, other.public()));
    assert_eq!(
        clinic.roles.iter().map(RoleName::as_str).collect::<Vec<_>>(),
        ["hospital"]
    );
    // The first member of all, and a second edit.
    let first = roster_with(&files(None), &request("clinic", "Clinic", &other), &hospital()).unwrap();
    assert!(first.starts_with("[[member]]"), "{first}");
    assert!(roster_with(&files(Some(&first)), &request("clinic", "Clinic", &other), &hospital()).is_err());
}

#[test]
fn a_21_those_who_are_enrolled_at_the_same_time_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files(Some(&there().1)) {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let folder = Folder::new(folder.path());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let folder = &folder;
            scope.spawn(move || {
                let key = SigningKey::generate().unwrap();
                let clinic = request(&format!("clinic-{number}"), &format!("Clinic {number}"), &key);
                write_into(folder, &clinic, &hospital()).unwrap();
            });
        }
    });
    let rules = rules_of(&with_members(folder.space_files().unwrap())).unwrap();
    assert_eq!(rules.members.len(), 9);
}
