//! Names that people could take for each other are refused: two institutions whose names look the same are one to a
//! board that reads them. Unicode TR 39 says what looks the same: its skeletons.

use std::collections::BTreeMap;

use terms::{Problem, Report};

use super::Rules;
use crate::collection::Domain;

/// Refuses names of one kind that look the same.
pub(super) fn refuse(rules: &Rules) -> Result<(), Report> {
    let policies = || rules.policies.values().flatten();
    distinct("members.toml", "members", rules.members.keys())?;
    distinct(
        "members.toml",
        "titles of members",
        rules.members.values().map(|member| &member.title),
    )?;
    distinct("collections", "collections", rules.collections.keys())?;
    distinct("policies", "policies", policies().map(|policy| &policy.id))?;
    distinct("permits", "permits", rules.permits.keys())?;
    for policy in policies() {
        let permissions = policy.permissions.iter().map(|rule| &rule.id);
        distinct(
            &policy.path,
            "rules",
            permissions.chain(policy.prohibitions.iter().map(|rule| &rule.id)),
        )?;
    }
    for collection in rules.collections.values() {
        let path = format!("collections/{}.toml", collection.id);
        distinct(&path, "columns", collection.columns.iter().map(|column| &column.name))?;
        distinct(&path, "filters", collection.filters.keys())?;
        for column in &collection.columns {
            if let Some(Domain::Texts(texts)) = &column.domain {
                distinct(&path, &format!("values of column {}", column.name), texts)?;
            }
        }
    }
    Ok(())
}

fn distinct<T: ToString>(place: &str, what: &str, names: impl IntoIterator<Item = T>) -> Result<(), Report> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let name = name.to_string();
        if let Some(other) = seen.insert(skeleton(&name), name.clone()) {
            let message = format!(
                "{place}: the {what} \"{}\" and \"{}\" look the same",
                shown(&other),
                shown(&name)
            );
            let remedy = "give one of them a name that nobody can take for the other";
            return Err(Problem::PolicyInvalid.report(message).remedy(remedy));
        }
    }
    Ok(())
}

/// What a name looks like, whatever its letters are. Case is kept: "I" and "l" fall together, "i" and "l" do not.
fn skeleton(name: &str) -> String {
    unicode_security::skeleton(name).collect()
}

/// ASCII only, so that the message shows which of the two is not what it seems.
fn shown(name: &str) -> String {
    name.escape_default().take(80).collect()
}
