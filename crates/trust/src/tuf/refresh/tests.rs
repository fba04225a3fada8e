use sigstore_tuf::Error;
use terms::Problem;

use super::*;
use crate::SigningKey;
use crate::tuf::store::{Floor, Floors};
use crate::tuf::{RoleKeys, SourceError};

fn store(folder: &std::path::Path) -> SpaceStore {
    let key = SigningKey::generate().unwrap();
    let role = RoleKeys {
        keys: vec![key.public()],
        threshold: 1,
    };
    let roles = BoardRoles {
        root: role.clone(),
        targets: role.clone(),
        snapshot: role.clone(),
        timestamp: role,
    };
    let draft = Draft::root(
        &"oncology".parse().unwrap(),
        1,
        "2027-01-01T00:00:00Z".parse().unwrap(),
        &roles,
    )
    .unwrap();
    SpaceStore::create(folder, &draft.assemble(vec![draft.sign(&key)])).unwrap()
}

#[test]
fn a_set_is_not_stored_over_that_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let note = || store.vault().note_time(now).unwrap().0;
    let staging = || Staging::new(store.vault().clone(), note()).unwrap();
    let (ours, theirs) = (staging(), staging());
    let set = |version: u64| {
        let text = format!(r#"{{"signed":{{"version":{version}}}}}"#);
        MetadataSet::from([("targets".to_owned(), text)])
    };
    theirs.commit(set(2)).unwrap();
    let refused = ours.commit(set(1)).unwrap_err();
    assert!(matches!(refused, RefreshError::Store(StoreError::Changed)));
    assert_eq!(note().set, set(2));
}

#[test]
fn causes_are_told_in_one_line() {
    let source = SourceError::Unreachable {
        reason: "connection reset".to_owned(),
    };
    let error = RefreshError::from(Error::transport_with_source("fetching", source));
    let text = "transport error: fetching: the source of governance documents does not answer: connection reset";
    assert_eq!(error.to_string(), text);
    assert_eq!(Report::from(error).problem, Problem::Unreachable);
}

#[test]
fn nothing_below_a_floor_is_accepted_whatever_the_cache_says() {
    let floor = |version: u64, text: &[u8]| Floor {
        version,
        digest: Digest::of(text),
    };
    let of = |role: &str, floor| Floors::from([(role.to_owned(), floor)]);
    for role in ["timestamp", "snapshot", "targets", "permits"] {
        let trusted = of(role, floor(5, b"a"));
        let lower = floors::require_no_rollback(&trusted, &of(role, floor(4, b"a")));
        assert!(matches!(
            lower,
            Err(RefreshError::Rollback {
                offered: 4,
                trusted: 5,
                ..
            })
        ));
        let other = floors::require_no_equivocation(&trusted, &of(role, floor(5, b"b")));
        assert!(matches!(other, Err(RefreshError::Equivocation { version: 5, .. })));
        for offered in [floor(5, b"a"), floor(6, b"b")] {
            assert!(floors::require_no_rollback(&trusted, &of(role, offered)).is_ok());
            assert!(floors::require_no_equivocation(&trusted, &of(role, offered)).is_ok());
        }
    }
}
