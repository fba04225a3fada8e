//! References between resources, as far as they name another resource by its key.

use std::collections::HashMap;

use crate::json::Value;

/// The resources of one bundle that are named by a URN, by that name: a transaction's resources need no key of their own.
#[derive(Debug, Default)]
pub(crate) struct Bundled<'d> {
    by_url: HashMap<&'d str, (&'d str, &'d str)>,
}

impl<'d> Bundled<'d> {
    /// Those of a bundle's entries that have a type and a key.
    pub(crate) fn of(bundle: Value<'d>) -> Self {
        let mut by_url = HashMap::new();
        for entry in bundle.field("entry").into_iter().flat_map(Value::elements) {
            let text = |value: Option<Value<'d>>| value.and_then(Value::as_text);
            let Some(url) = text(entry.field("fullUrl")).filter(|url| url.starts_with("urn:")) else {
                continue;
            };
            let Some(resource) = entry.field("resource") else {
                continue;
            };
            if let (Some(kind), Some(id)) = (text(resource.field("resourceType")), text(resource.field("id"))) {
                by_url.insert(url, (kind, id));
            }
        }
        Self { by_url }
    }
}

/// The key of the resource that a reference names, if it names one of the type that is wanted.
///
/// `Patient/7`, `https://hospital.example/fhir/Patient/7` and `Patient/7/_history/2` are all of key 7. A contained resource (`#a`), a search
/// (`Patient?identifier=…`) and a URN of which the bundle has no resource have none.
pub(crate) fn key_of<'d>(reference: Value<'d>, wanted: Option<&str>, bundled: Option<&Bundled<'d>>) -> Option<&'d str> {
    let text = reference.field("reference")?.as_text()?;
    let (kind, id) = match text.starts_with("urn:") {
        true => *bundled?.by_url.get(text)?,
        false => parse_reference(text)?,
    };
    wanted.is_none_or(|wanted| wanted == kind).then_some(id)
}

fn parse_reference(text: &str) -> Option<(&str, &str)> {
    let unversioned = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let (before, id) = unversioned.rsplit_once('/')?;
    let kind = before.rsplit_once('/').map_or(before, |(_, kind)| kind);
    (is_type(kind) && is_id(id)).then_some((kind, id))
}

/// Whether a text could be the type of a resource.
pub(crate) fn is_type(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a text could be the key of a resource: FHIR's `id`.
pub(crate) fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(is_part)
}
