//! Who belongs: `space.toml` names the data space, `members.toml` its institutions with their keys.
//!
//! It must never hold people: an institution vouches for its own. Next: `rules.rs`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use terms::{MemberId, Report, RoleName, SpaceId};
use toml::Spanned;
use trust::PublicKey;

use crate::source::Source;

/// The data space itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its identifier.
    pub id: SpaceId,
    /// What people call it.
    pub title: String,
}

/// An institution of the data space.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its identifier, which is also its node's name.
    pub id: MemberId,
    /// What people call it.
    pub title: String,
    /// What it is to the data space. Its people can act in these roles and in no others.
    pub roles: BTreeSet<RoleName>,
    /// The key that its node and its credentials are known by.
    pub key: PublicKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSpace {
    id: SpaceId,
    title: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoster {
    #[serde(default)]
    member: Vec<WrittenMember>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    id: Spanned<MemberId>,
    title: Spanned<String>,
    roles: Vec<RoleName>,
    key: Spanned<PublicKey>,
}

/// Parses `space.toml`.
pub(crate) fn parse_space(source: Source<'_>) -> Result<Space, Report> {
    let written: WrittenSpace = source.parse()?;
    source.require_line(written.title.span(), "title", written.title.get_ref())?;
    Ok(Space {
        id: written.id,
        title: written.title.into_inner(),
    })
}

/// Parses `members.toml`. One institution, one key: a shared key would make two institutions one at every door.
pub(crate) fn parse_members(source: Source<'_>) -> Result<BTreeMap<MemberId, Member>, Report> {
    let written: WrittenRoster = source.parse()?;
    let mut keys = BTreeMap::new();
    let mut members = BTreeMap::new();
    for WrittenMember { id, title, roles, key } in written.member {
        source.require_line(title.span(), "title", title.get_ref())?;
        if let Some(other) = keys.insert(*key.get_ref().bytes(), id.get_ref().clone()) {
            let message = format!("member {} has the same key as member {other}", id.get_ref());
            return Err(source.invalid(key.span(), message));
        }
        let member = Member {
            id: id.get_ref().clone(),
            title: title.into_inner(),
            roles: roles.into_iter().collect(),
            key: key.into_inner(),
        };
        if members.insert(member.id.clone(), member).is_some() {
            return Err(source.invalid(id.span(), format!("member {} is there twice", id.get_ref())));
        }
    }
    Ok(members)
}
