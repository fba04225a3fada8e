use super::*;
use crate::SigningKey;
use crate::tuf::RoleKeys;

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
    let draft = Draft::root(1, "2027-01-01T00:00:00Z".parse().unwrap(), &roles).unwrap();
    SpaceStore::create(folder, &draft.assemble(vec![draft.sign(&key)])).unwrap()
}

#[test]
fn a_set_is_not_stored_over_that_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let staging = || Staging::new(store.clone(), store.note_time(now).unwrap().0).unwrap();
    let (ours, theirs) = (staging(), staging());
    let set = |text: &str| MetadataSet {
        timestamp: text.into(),
        snapshot: text.into(),
        targets: text.into(),
    };
    assert_eq!(
        theirs.commit(
            set("newer"),
            Floors {
                targets: 2,
                ..Floors::default()
            }
        ),
        Ok(())
    );
    assert_eq!(ours.commit(set("older"), Floors::default()), Err(StoreError::Changed));
    assert_eq!(store.note_time(now).unwrap().0.set, Some(set("newer")));
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
    let digest = |text: &[u8]| Some(Digest::of(text));
    let floors = Floors {
        timestamp: 5,
        snapshot: 4,
        targets: 3,
        targets_digest: digest(b"a"),
    };
    for lower in [
        Floors { timestamp: 4, ..floors },
        Floors { snapshot: 3, ..floors },
        Floors { targets: 2, ..floors },
    ] {
        assert!(matches!(
            require_floors(&floors, &lower),
            Err(RefreshError::Rollback { .. })
        ));
    }
    let other = Floors {
        targets_digest: digest(b"b"),
        ..floors
    };
    assert!(matches!(
        require_floors(&floors, &other),
        Err(RefreshError::Equivocation { version: 3 })
    ));
    assert!(
        require_floors(&floors, &Floors { targets: 4, ..other }).is_ok() && require_floors(&floors, &floors).is_ok()
    );
}
