//! Who belongs: `space.toml` names the data space, `members.toml` its institutions with their keys.
//!
//! It must never hold people: an institution vouches for its own. Next: `rules.rs`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use terms::{MemberId, Report, RoleName, SpaceId};
use toml::Spanned;
use trust::{Digest, PublicKey};

use crate::source::Source;

/// The data space itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its identifier.
    pub id: SpaceId,
    /// What people call it.
    pub title: String,
    /// Digests of the stops that the board has lifted.
    pub lifted: BTreeSet<Digest>,
}

/// The role that the roster gives to public sector bodies: purposes (a) to (c) of Art. 53(1) EHDS are for them and for
/// those who act for them (Art. 53(2)).
pub const PUBLIC_BODY: &str = "public-body";

/// An institution of the data space.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its identifier, which is also its node's name.
    pub id: MemberId,
    /// What people call it.
    pub title: String,
    /// What it is to the data space. Its people can act in these roles and in no others.
    pub roles: BTreeSet<RoleName>,
    /// Public bodies of the data space for which it acts: Art. 53(2) EHDS.
    pub acts_for: BTreeSet<MemberId>,
    /// The key that its node and its credentials are known by.
    pub key: PublicKey,
}

impl Member {
    /// Whether the roster calls it a public body.
    pub fn is_public_body(&self) -> bool {
        self.roles.iter().any(|role| role.as_str() == PUBLIC_BODY)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSpace {
    id: SpaceId,
    title: Spanned<String>,
    #[serde(default)]
    lifted: BTreeSet<Digest>,
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
    #[serde(default)]
    acts_for: Vec<Spanned<MemberId>>,
    key: Spanned<PublicKey>,
}

/// Parses `space.toml`.
pub(crate) fn parse_space(source: Source<'_>) -> Result<Space, Report> {
    let written: WrittenSpace = source.parse()?;
    source.require_line(written.title.span(), "title", written.title.get_ref())?;
    Ok(Space {
        id: written.id,
        title: written.title.into_inner(),
        lifted: written.lifted,
    })
}

/// Parses `members.toml`. One institution, one key: a shared key would make two institutions one at every door.
pub(crate) fn parse_members(source: Source<'_>) -> Result<BTreeMap<MemberId, Member>, Report> {
    let written: WrittenRoster = source.parse()?;
    let mut keys = BTreeMap::new();
    let mut members = BTreeMap::new();
    let mut acting = Vec::new();
    for WrittenMember {
        id,
        title,
        roles,
        acts_for,
        key,
    } in written.member
    {
        source.require_line(title.span(), "title", title.get_ref())?;
        if let Some(other) = keys.insert(*key.get_ref().bytes(), id.get_ref().clone()) {
            let message = format!("member {} has the same key as member {other}", id.get_ref());
            return Err(source.invalid(key.span(), message));
        }
        let member = Member {
            id: id.get_ref().clone(),
            title: title.into_inner(),
            roles: roles.into_iter().collect(),
            acts_for: acts_for.iter().map(|body| body.get_ref().clone()).collect(),
            key: key.into_inner(),
        };
        if members.insert(member.id.clone(), member).is_some() {
            return Err(source.invalid(id.span(), format!("member {} is there twice", id.get_ref())));
        }
        acting.extend(acts_for.into_iter().map(|body| (id.get_ref().clone(), body)));
    }
    for (id, body) in acting {
        // Acting for somebody who acts for a public body is not enough: Art. 53(2) knows no chains.
        if !members.get(body.get_ref()).is_some_and(Member::is_public_body) {
            let message = format!(
                "member {id} acts for {}, which is no public body of the roster",
                body.get_ref()
            );
            let remedy = format!(
                "give {} the role \"{PUBLIC_BODY}\", or take it out of acts_for",
                body.get_ref()
            );
            return Err(source.invalid(body.span(), message).remedy(remedy));
        }
    }
    Ok(members)
}
