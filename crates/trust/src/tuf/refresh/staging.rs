//! What a running refresh has verified so far, and the source that serves what was verified before.
//!
//! The library writes each document as soon as it is verified. A broker that publishes a new timestamp and
//! withholds its snapshot would so make the next run forget the old snapshot's version. Therefore new roots are
//! stored at once, everything else stays here until the whole refresh has succeeded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sigstore_tuf::{Error, Metadata, MetadataStore, Result as TufResult, Root};

use crate::tuf::profile::Profile;
use crate::tuf::refresh::RefreshError;
use crate::tuf::refresh::floors;
use crate::tuf::source::{DocumentSource, SourceError};
use crate::tuf::store::{Floors, MetadataSet, Record, StoreError, Vault};
use crate::tuf::{ROOT_ROTATIONS_MAX, ROOTS_MAX};

/// The store as the library sees it during one refresh.
pub(crate) struct Staging {
    vault: Vault,
    profile: Profile,
    pinned_version: u64,
    state: Mutex<State>,
}

struct State {
    record: Record,
    /// What was verified in this refresh.
    verified: MetadataSet,
    /// Metadata as it was served, verified or not, in order.
    fetched: Vec<(String, Vec<u8>)>,
    roots_added: u32,
    /// The first new root that could not be stored, and why.
    root_lost: Option<StoreError>,
}

impl Staging {
    pub(crate) fn new(vault: Vault, record: Record) -> Result<Self, RefreshError> {
        let pinned = record.roots.first().ok_or(StoreError::Damaged)?;
        let pinned_version = Metadata::<Root>::from_slice(pinned.as_bytes())?.signed().version;
        Ok(Self {
            vault,
            profile: record.profile(),
            pinned_version,
            state: Mutex::new(State {
                record,
                verified: MetadataSet::new(),
                fetched: Vec::new(),
                roots_added: 0,
                root_lost: None,
            }),
        })
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Looks at a document before the library does, and remembers it in case it is refused.
    pub(crate) fn inspect(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        if path.starts_with("metadata/") {
            self.state().fetched.push((path.to_owned(), bytes.to_owned()));
        }
        let inspected = self.profile.inspect(path, bytes);
        inspected.map_err(|unfit| Error::transport_with_source("reading", unfit))
    }

    /// What was served at `path` in this refresh.
    pub(super) fn fetched(&self, path: &str) -> Option<String> {
        let state = self.state();
        let found = state.fetched.iter().rev().find(|(fetched, _)| fetched == path);
        found.and_then(|(_, bytes)| String::from_utf8(bytes.clone()).ok())
    }

    /// The document of `role` that was served last, or else the last one of any role.
    pub(crate) fn suspect(&self, role: Option<&str>) -> Option<(String, Vec<u8>)> {
        let state = self.state();
        let of_role = |path: &str| role.is_some_and(|role| path.ends_with(&format!("{role}.json")));
        let found = state.fetched.iter().rev().find(|(path, _)| of_role(path));
        found.or(state.fetched.last()).cloned()
    }

    pub(crate) fn record(&self) -> Record {
        self.state().record.clone()
    }

    pub(crate) fn pinned_root(&self) -> Result<Vec<u8>, StoreError> {
        let state = self.state();
        let pinned = state.record.roots.first().ok_or(StoreError::Damaged)?;
        Ok(pinned.clone().into_bytes())
    }

    pub(super) fn floors(&self) -> Floors {
        self.state().record.floors.clone()
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

    /// Whether there may be more roots than were followed.
    pub(super) fn is_at_its_last_root(&self) -> bool {
        self.state().roots_added >= ROOT_ROTATIONS_MAX
    }

    /// The document of `role` that was verified in this refresh.
    pub(super) fn document(&self, role: &str) -> Option<String> {
        self.state().verified.get(role).cloned()
    }

    /// Forgets the document of `role`: it verified, and is refused for another reason.
    pub(super) fn drop_document(&self, role: &str) {
        let mut state = self.state();
        state.verified.remove(role);
        state.record.set.remove(role);
    }

    /// The set as it would be stored: new documents, and old ones that did not change.
    pub(super) fn set(&self) -> MetadataSet {
        let state = self.state();
        let mut set = state.record.set.clone();
        set.extend(state.verified.clone());
        set
    }

    /// Stores a set that verified as a whole. A role that has no document in it keeps its floor.
    pub(crate) fn commit(&self, set: MetadataSet) -> Result<(), RefreshError> {
        let floors = floors::of(&set)?;
        Ok(self.change(|record| {
            record.set = set;
            record.floors.extend(floors);
        })?)
    }

    /// A root that the library verified. The roles of it were checked when it was fetched.
    fn keep_root(&self, version: u64, document: &str) -> Result<(), StoreError> {
        let index = version
            .checked_sub(self.pinned_version)
            .and_then(|index| usize::try_from(index).ok());
        let roots = self.state().record.roots.clone();
        match index {
            Some(index) if roots.get(index).is_some_and(|known| known == document) => Ok(()),
            Some(index) if index >= ROOTS_MAX => Err(StoreError::TooManyRoots),
            Some(index) if index == roots.len() => self.append_root(&roots[index - 1], document),
            _ => Err(StoreError::Damaged),
        }
    }

    fn append_root(&self, before: &str, document: &str) -> Result<(), StoreError> {
        let void = floors::void(before, document).map_err(|_| StoreError::Damaged)?;
        self.change(|record| {
            record.roots.push(document.to_owned());
            if void.is_something() {
                // The old set would be remembered as the lowest that a snapshot may list.
                record.set = MetadataSet::new();
            }
            void.apply(&self.profile, &mut record.floors);
        })?;
        self.state().roots_added += 1;
        Ok(())
    }

    /// Changes the stored record, unless another process did since it was read.
    fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), StoreError> {
        let mut state = self.state();
        let generation = state.record.generation;
        state.record = self.vault.update(|record| {
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
        let found = match name {
            "timestamp.json" | "snapshot.json" | "targets.json" => {
                role_name(name).and_then(|role| state.record.set.get(role))
            }
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
        if let Some(version) = root_version(name) {
            if let Err(error) = self.keep_root(version, &text()?) {
                self.state().root_lost.get_or_insert(error);
            }
            return Ok(());
        }
        // The rest are files, which are cached by digest, and copies under a second name.
        if let Some(role) = role_name(name).filter(|role| !is_copy(role)) {
            self.state().verified.insert(role.to_owned(), text()?);
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

/// The role in `permits.json`.
fn role_name(name: &str) -> Option<&str> {
    name.strip_suffix(".json").filter(|role| !role.contains('/'))
}

/// The library stores roots and snapshots a second time, under other names.
fn is_copy(role: &str) -> bool {
    let version = role.strip_suffix(".snapshot");
    role == "root" || version.is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit()))
}

/// The last good set as a source: no newer root, no files but the cached ones.
pub(super) struct Shelf(pub(super) MetadataSet);

#[async_trait::async_trait]
impl DocumentSource for Shelf {
    async fn fetch(&self, path: &str, _bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let name = path
            .strip_prefix("metadata/")
            .and_then(|name| name.strip_suffix(".json"));
        let role = name.map(|name| name.split_once('.').map_or(name, |(_, role)| role));
        let document = role.and_then(|role| self.0.get(role));
        Ok(document.map(|document| document.clone().into_bytes()))
    }
}
