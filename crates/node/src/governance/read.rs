//! What was read under one set of documents, and goes with it: texts of queries, and credentials.
//!
//! It must never hold a decision, nor anything that holds for one asker and not for another: over which collections a text was
//! read is a part of what it is found by. Whether a credential is still valid is looked at whenever a proof is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::Query;
use engine::read::Collections;
use terms::CollectionId;
use trust::{Credential, Digest, Verified};

/// Most queries that are remembered, and most credentials.
const REMEMBERED_MAX: usize = 256;

/// Longest text of a query that is remembered, in bytes: all of them together have a few megabytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// What was read under one set of documents.
#[derive(Debug, Default)]
pub(crate) struct Read {
    queries: Remembered<(Digest, Vec<CollectionId>), Query>,
    credentials: Remembered<Digest, Verified<Credential>>,
}

impl Read {
    /// What a text says over these collections, which are those of the documents.
    pub(crate) fn query(&self, sql: &str, visible: &Collections) -> Option<Arc<Query>> {
        self.queries.find(&named(sql, visible))
    }

    /// Remembers what a text says over these collections.
    pub(crate) fn remember_query(&self, sql: &str, visible: &Collections, query: &Arc<Query>) {
        if sql.len() <= TEXT_BYTES_MAX {
            self.queries.keep(named(sql, visible), Arc::clone(query));
        }
    }

    /// A credential that verified with the keys of these documents, at a time when it was valid.
    pub(crate) fn credential(&self, text: &str) -> Option<Arc<Verified<Credential>>> {
        self.credentials.find(&Digest::of(text.as_bytes()))
    }

    /// Remembers a credential that verified.
    pub(crate) fn remember_credential(&self, text: &str, credential: &Arc<Verified<Credential>>) {
        self.credentials
            .keep(Digest::of(text.as_bytes()), Arc::clone(credential));
    }
}

fn named(sql: &str, visible: &Collections) -> (Digest, Vec<CollectionId>) {
    (Digest::of(sql.as_bytes()), visible.keys().cloned().collect())
}

/// A bounded number of things by what they are found by.
#[derive(Debug)]
struct Remembered<K, V>(Mutex<BTreeMap<K, Arc<V>>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V> Remembered<K, V> {
    fn find(&self, key: &K) -> Option<Arc<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: K, value: Arc<V>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(key, value);
    }
}

#[cfg(test)]
mod tests;
