//! The first difference between what an export would say and what is there. This is how [`super::import`] skips nothing:
//! what it did not read has no counterpart here.
//!
//! It follows the nesting of what is there only as far as the export goes.

use serde_json::Value;
use terms::{Problem, Report};

/// Longest piece of a document that a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Refuses what says anything else than `export`.
pub(super) fn require(export: &Value, there: &Value) -> Result<(), Report> {
    compare(export, there, "$")
}

fn compare(export: &Value, there: &Value, path: &str) -> Result<(), Report> {
    match (export, there) {
        (Value::Object(known), Value::Object(members)) => {
            if let Some(unknown) = members.keys().find(|name| !known.contains_key(*name)) {
                return Err(unknown_at(&step(path, unknown)));
            }
            for (name, value) in known {
                let path = step(path, name);
                let member = members.get(name).ok_or_else(|| missing_at(&path))?;
                compare(value, member, &path)?;
            }
            Ok(())
        }
        (Value::Array(known), Value::Array(items)) => {
            for (at, (value, item)) in known.iter().zip(items).enumerate() {
                compare(value, item, &format!("{path}[{at}]"))?;
            }
            match known.len().cmp(&items.len()) {
                std::cmp::Ordering::Less => Err(unknown_at(&format!("{path}[{}]", known.len()))),
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Greater => Err(missing_at(&format!("{path}[{}]", items.len()))),
            }
        }
        (Value::Object(_) | Value::Array(_), _) => Err(other_at(path, "something of another form")),
        (known, value) if known == value => Ok(()),
        (known, _) => Err(other_at(path, &shown(&known.to_string()))),
    }
}

/// The path of a member.
pub(super) fn step(path: &str, member: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '@';
    if !member.is_empty() && member.len() <= SHOWN_CHARS_MAX && member.chars().all(plain) {
        format!("{path}.{member}")
    } else {
        format!("{path}[{}]", name(member))
    }
}

/// The name of a member as messages show it: on one line, and cut short.
pub(super) fn name(member: &str) -> String {
    format!("{:?}", shown(member))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn unknown_at(path: &str) -> Report {
    Problem::FileKey
        .report(format!("{path} is nothing that the export of a policy has there"))
        .remedy("remove it, or say it in the policy's TOML file; what is not understood is not skipped")
}

pub(super) fn missing_at(path: &str) -> Report {
    Problem::FileKey
        .report(format!("{path} is missing"))
        .remedy("take the whole of what `board export` wrote")
}

/// A value that an export does not have at `path`.
pub(super) fn other_at(path: &str, export: &str) -> Report {
    Problem::FileValue
        .report(format!(
            "{path} is not as in the export of a policy, which has there: {export}"
        ))
        .remedy("change the policy's TOML file and export it anew; several values stand in the order of their names")
}
