//! Data spaces with as many policies as are asked for, of which one answers [`request`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policy::{AccessRequest, Asked, Caller, Release};
use trust::SigningKey;

/// What tells the policies apart.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Spread {
    /// They are about as many collections as there may be.
    Collections,
    /// All are about one collection, each for another institution.
    Assignees,
    /// All are about one collection and for one role; only one is for the purpose.
    Purposes,
}

/// Collections when policies are spread over them, at most: they are documents of the space too.
pub(crate) const COLLECTIONS: usize = 100;

pub(crate) fn files(policies: usize, spread: Spread) -> BTreeMap<String, Vec<u8>> {
    let collections = if spread == Spread::Collections {
        policies.min(COLLECTIONS)
    } else {
        1
    };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut put = |path: String, text: String| files.insert(path, text.into_bytes());
    put(
        "space.toml".to_owned(),
        "id = \"bench\"\ntitle = \"Bench\"\n".to_owned(),
    );
    put("members.toml".to_owned(), roster());
    for number in 0..collections {
        put(format!("collections/{}.toml", id("c", number)), collection(number));
    }
    for number in 0..policies {
        put(
            format!("policies/{}.toml", id("p", number)),
            policy(number, number % collections, spread),
        );
    }
    files
}

/// A request that policy 0 answers.
pub(crate) fn request() -> AccessRequest {
    AccessRequest {
        caller: Caller {
            member: "university".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: ["research".parse().unwrap()].into(),
        },
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        collection: id("c", 0).parse().unwrap(),
        release: Release::Aggregates,
        columns: ["age", "grade"].map(str::to_owned).into(),
        asked: Asked::default(),
        at: "2026-11-21T12:00:00Z".parse().unwrap(),
    }
}

/// Numbers as letters: names with digits look alike soon.
fn id(prefix: &str, number: usize) -> String {
    let letters: String = [1_000, 100, 10, 1]
        .map(|place| char::from(b"abcdefghjk"[number / place % 10]))
        .into_iter()
        .collect();
    format!("{prefix}-{letters}")
}

fn roster() -> String {
    let key = SigningKey::generate().unwrap().public();
    format!("[[member]]\nid = \"university\"\ntitle = \"University\"\nroles = [\"research\"]\nkey = \"{key}\"\n")
}

fn collection(number: usize) -> String {
    let id = id("c", number);
    let mut text = format!("id = \"{id}\"\ntitle = \"Cohort {number}\"\npersonal = true\nprivacy_unit = \"person\"\n");
    text.push_str("[columns.person]\ntype = \"text\"\nrole = \"identifier\"\n");
    for (name, values) in [("age", "[1, 2, 3]"), ("grade", "[1, 2]"), ("stage", "[1, 2, 3, 4]")] {
        write!(
            text,
            "[columns.{name}]\ntype = \"integer\"\nrole = [\"group\", \"filter\"]\nvalues = {values}\n"
        )
        .unwrap();
    }
    text
}

fn policy(number: usize, collection: usize, spread: Spread) -> String {
    let assignee = match (spread, number) {
        (Spread::Assignees, 1..) => format!("members = [\"{}\"]", id("m", number)),
        _ => "roles = [\"research\"]".to_owned(),
    };
    let purpose = match (spread, number) {
        (Spread::Purposes | Spread::Collections, 1..) => "ehds-53-1-d",
        _ => "ehds-53-1-e",
    };
    format!(
        "id = \"{}\"\nversion = 1\ntitle = \"Policy {number}\"\ncollection = \"{}\"\nvalid_from = 2026-01-01\n\
         valid_until = 2027-12-31\n[[permission]]\nid = \"statistics\"\nassignee = {{ {assignee} }}\n\
         purposes = [\"{purpose}\"]\npermit = \"none\"\nrelease = \"aggregates\"\ncolumns = [\"age\", \"grade\", \"stage\"]\n\
         disclosure = {{ tier = \"statistical\", min_people = 10 }}\n[[prohibition]]\nid = \"no-insurance\"\n\
         purposes = [\"ehds-54-b\"]\n",
        id("p", number),
        id("c", collection)
    )
}
