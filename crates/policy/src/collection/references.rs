//! Whether what columns refer to has a key: the only joins there are go along `references`.
//!
//! Each row finds at most one row of the other collection, because no two of its rows have the same key; `engine` holds the
//! data to that. A column of one collection names another, so this is checked when all collections are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use terms::{CollectionId, Problem, Report};

use super::{Collection, Column};

/// Refuses references that no query could follow.
pub(crate) fn require_keys(collections: &BTreeMap<CollectionId, Arc<Collection>>) -> Result<(), Report> {
    for collection in collections.values() {
        for column in &collection.columns {
            let Some(id) = &column.references else { continue };
            if let Some(fault) = fault(collection, column, id, collections.get(id)) {
                let message = format!(
                    "collections/{}.toml: column {}: `references = \"{id}\"`: {fault}",
                    collection.id, column.name
                );
                return Err(Problem::PolicyInvalid.report(message));
            }
        }
    }
    Ok(())
}

fn fault(from: &Collection, column: &Column, id: &CollectionId, to: Option<&Arc<Collection>>) -> Option<String> {
    let Some(to) = to else {
        return Some("there is no such collection".to_owned());
    };
    if to.id == from.id {
        return Some("a collection does not refer to itself".to_owned());
    }
    let Some(key) = to.join_key() else {
        return Some(match to.personal {
            true => format!("{id} does not say `rows_per_person_max = 1`"),
            false => format!("{id} declares no `key`"),
        });
    };
    let is_person = from.privacy_unit.as_ref() == Some(&column.name);
    if to.personal != is_person {
        return Some(match to.personal {
            true => format!("{id} is about people, to whom only the `privacy_unit` refers"),
            false => format!("{id} is not about people, and this is the `privacy_unit`"),
        });
    }
    if column.roles.identifier && !is_person {
        return Some(
            "this is an identifier, which no query may use: leave out its role, or give it another".to_owned(),
        );
    }
    (column.kind != key.kind).then(|| {
        format!(
            "this is {}, and the key {} of {id} is {}",
            column.kind, key.name, key.kind
        )
    })
}
