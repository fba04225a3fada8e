//! What a running refresh has verified so far, and the source that serves what was verified before.
//!
//! The library writes each document as soon as it is verified. A broker that publishes a new timestamp and
//! withholds its snapshot would so make the next run forget the old snapshot's version. Therefore new roots are
//! stored at once, everything else stays here until the whole refresh has succeeded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sigstore_tuf::{Error, Metadata, MetadataStore, Result as TufResult, Root};

use crate::tuf::refresh::RefreshError;
use crate::tuf::roles::BoardRoles;
use crate::tuf::source::{DocumentSource, SourceError};
use crate::tuf::store::{Floors, MetadataSet, Record, SpaceStore, StoreError};

/// The store as the library sees it during one refresh.
pub(super) struct Staging {
    store: SpaceStore,
    pinned_version: u64,
    state: Mutex<State>,
}

struct State {
    record: Record,
    timestamp: Option<String>,
    snapshot: Option<String>,
    targets: Option<String>,
    /// The first new root that could not be stored, and why.
    root_lost: Option<StoreError>,
}

impl Staging {
    pub(super) fn new(store: SpaceStore, record: Record) -> Result<Self, RefreshError> {
        let pinned = record.roots.first().ok_or(StoreError::Damaged)?;
        let pinned_version = Metadata::<Root>::from_slice(pinned.as_bytes())?.signed().version;
        let state = State {
            record,
            timestamp: None,
            snapshot: None,
            targets: None,
            root_lost: None,
        };
        Ok(Self {
            store,
            pinned_version,
            state: Mutex::new(state),
        })
    }

    pub(super) fn store(&self) -> &SpaceStore {
        &self.store
    }

    pub(super) fn pinned_root(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self
            .state()
            .record
            .roots
            .first()
            .ok_or(StoreError::Damaged)?
            .clone()
            .into_bytes())
    }

    pub(super) fn floors(&self) -> Floors {
        self.state().record.floors
    }

    /// Every stored root must have been verified again, from the pinned one up.
    pub(super) fn require_whole_chain(&self, reached: u64) -> Result<(), StoreError> {
        let successors = self.state().record.roots.len() as u64 - 1;
        if self.pinned_version.checked_add(successors) == Some(reached) {
            Ok(())
        } else {
            Err(StoreError::Damaged)
        }
    }

    pub(super) fn require_roots_kept(&self) -> Result<(), StoreError> {
        self.state().root_lost.clone().map_or(Ok(()), Err)
    }

    /// The set as it would be stored: new documents, and old ones that did not change.
    pub(super) fn set(&self) -> Option<MetadataSet> {
        let state = self.state();
        let before = state.record.set.as_ref();
        let timestamp = state
            .timestamp
            .clone()
            .or_else(|| before.map(|set| set.timestamp.clone()))?;
        let snapshot = state
            .snapshot
            .clone()
            .or_else(|| before.map(|set| set.snapshot.clone()))?;
        let targets = state
            .targets
            .clone()
            .or_else(|| before.map(|set| set.targets.clone()))?;
        Some(MetadataSet {
            timestamp,
            snapshot,
            targets,
        })
    }

    /// Stores a set that verified as a whole.
    pub(super) fn commit(&self, set: MetadataSet, floors: Floors) -> Result<(), StoreError> {
        self.change(|record| {
            (record.set, record.floors) = (Some(set), floors);
        })
    }

    /// A root that the library verified. The roles of it were checked when it was fetched.
    fn keep_root(&self, version: u64, document: &str) -> Result<(), StoreError> {
        let index = version
            .checked_sub(self.pinned_version)
            .and_then(|index| usize::try_from(index).ok());
        let roots = self.state().record.roots.clone();
        match index {
            Some(index) if roots.get(index).is_some_and(|known| known == document) => Ok(()),
            Some(index) if index == roots.len() => self.append_root(&roots[index - 1], document),
            _ => Err(StoreError::Damaged),
        }
    }

    fn append_root(&self, before: &str, document: &str) -> Result<(), StoreError> {
        let read = |root: &str| BoardRoles::read(root.as_bytes()).map_err(|_| StoreError::Damaged);
        let online_differs = read(document)?.online_differs(&read(before)?);
        self.change(|record| {
            record.roots.push(document.to_owned());
            // TUF 5.3.11: whoever held the old online keys may have published versions that cannot be reached
            // again, so the board's exchange of these keys starts the count anew.
            if online_differs {
                (record.set, record.floors) = (None, Floors::default());
            }
        })
    }

    /// Changes the stored record, unless another process did since it was read.
    fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), StoreError> {
        let mut state = self.state();
        let generation = state.record.generation;
        state.record = self.store.update(|record| {
            if record.generation != generation {
                return Err(StoreError::Changed);
            }
            let before = record.clone();
            change(record);
            if *record != before {
                record.generation += 1;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetadataStore for Staging {
    fn load(&self, name: &str) -> TufResult<Option<Vec<u8>>> {
        let state = self.state();
        let set = state.record.set.as_ref();
        let found = match name {
            "timestamp.json" => set.map(|set| &set.timestamp),
            "snapshot.json" => set.map(|set| &set.snapshot),
            "targets.json" => set.map(|set| &set.targets),
            _ => root_version(name)
                .and_then(|version| usize::try_from(version.checked_sub(self.pinned_version)?).ok())
                .and_then(|index| state.record.roots.get(index)),
        };
        Ok(found.map(|text| text.clone().into_bytes()))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> TufResult<()> {
        let text = || {
            let text = String::from_utf8(bytes.to_vec());
            text.map_err(|_| Error::Malformed("the document is not UTF-8".to_owned()))
        };
        match name {
            "timestamp.json" => self.state().timestamp = Some(text()?),
            "snapshot.json" => self.state().snapshot = Some(text()?),
            "targets.json" => self.state().targets = Some(text()?),
            _ => {
                // The rest are copies under other names, and files, which are cached by digest.
                let Some(version) = root_version(name) else {
                    return Ok(());
                };
                if let Err(error) = self.keep_root(version, &text()?) {
                    self.state().root_lost.get_or_insert(error);
                }
            }
        }
        Ok(())
    }
}

/// The version in `root_history/3.root.json`.
fn root_version(name: &str) -> Option<u64> {
    name.strip_prefix("root_history/")?
        .strip_suffix(".root.json")?
        .parse()
        .ok()
}

/// The last good set as a source: no newer root, no files but the cached ones.
pub(super) struct Shelf(pub(super) MetadataSet);

#[async_trait::async_trait]
impl DocumentSource for Shelf {
    async fn fetch(&self, path: &str, _bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let document = match path {
            "metadata/timestamp.json" => &self.0.timestamp,
            _ if path.starts_with("metadata/") && path.ends_with(".snapshot.json") => &self.0.snapshot,
            _ if path.starts_with("metadata/") && path.ends_with(".targets.json") => &self.0.targets,
            _ => return Ok(None),
        };
        Ok(Some(document.clone().into_bytes()))
    }
}
