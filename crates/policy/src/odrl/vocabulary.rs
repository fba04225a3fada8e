//! Every name that stands in an export: the JSON-LD context and the IRIs of a data space. `docs/odrl.md` says what the
//! terms of the profile mean.
//!
//! Terms are those of ODRL's own context (`http://www.w3.org/ns/odrl.jsonld`), with the same meaning. They are repeated
//! so that nobody has to fetch a context before they can read a policy, and nobody who serves one can change it.

use std::fmt::Display;

use serde_json::{Value, json};
use terms::{CollectionId, MemberId, PersonId, SpaceId};

/// The IRI of the profile.
///
/// A URN, because the project owns no domain: an address of somebody else's could be taken over and given another
/// meaning. Nothing looks it up.
pub(super) const PROFILE: &str = "urn:datenraum:odrl:1";

/// What the context shortens to `dr:`.
const PROFILE_TERMS: &str = "urn:datenraum:odrl:1:";

/// What the IRIs of every data space begin with.
const SPACES: &str = "urn:datenraum:space:";

/// Left operands of the profile.
pub(super) mod left {
    pub(in crate::odrl) const ATTRIBUTION_TEXT: &str = "dr:attributionText";
    pub(in crate::odrl) const COLUMN: &str = "dr:column";
    pub(in crate::odrl) const COVERING_PERMIT: &str = "dr:coveringPermit";
    pub(in crate::odrl) const DOMINANCE: &str = "dr:dominance";
    pub(in crate::odrl) const MEMBER: &str = "dr:member";
    pub(in crate::odrl) const MIN_PEOPLE: &str = "dr:minPeople";
    pub(in crate::odrl) const MODEL_NODES: &str = "dr:modelNodes";
    pub(in crate::odrl) const MODEL_OVERLAPS: &str = "dr:modelOverlaps";
    pub(in crate::odrl) const MODEL_PARAMETERS: &str = "dr:modelParametersPerPerson";
    pub(in crate::odrl) const MODEL_REASON: &str = "dr:modelParametersReason";
    pub(in crate::odrl) const MODEL_STEPS: &str = "dr:modelSteps";
    pub(in crate::odrl) const MODEL_SUM: &str = "dr:modelSum";
    pub(in crate::odrl) const PERSON: &str = "dr:person";
    pub(in crate::odrl) const P_PERCENT: &str = "dr:pPercent";
    pub(in crate::odrl) const RELEASE: &str = "dr:release";
    pub(in crate::odrl) const ROLE_OF_BOTH: &str = "dr:roleOfBoth";
    pub(in crate::odrl) const ROLE_OF_EITHER: &str = "dr:roleOfEither";
    pub(in crate::odrl) const ROUND_TO: &str = "dr:roundTo";
    pub(in crate::odrl) const ROW_FILTER: &str = "dr:rowFilter";
    pub(in crate::odrl) const TIER: &str = "dr:tier";
    pub(in crate::odrl) const TIME_WINDOW: &str = "dr:timeWindow";
    pub(in crate::odrl) const TRANSFORM: &str = "dr:transform";
    pub(in crate::odrl) const ZEROS: &str = "dr:zeros";
}

/// The context of every export: the terms that exports use and no others.
pub(super) fn context() -> Value {
    let mut context = json!({
        "odrl": "http://www.w3.org/ns/odrl/2/",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "dct": "http://purl.org/dc/terms/",
        "dcat": "http://www.w3.org/ns/dcat#",
        "dr": PROFILE_TERMS,
        "uid": "@id",
        "type": "@type",
        "rightOperand": "odrl:rightOperand",
        "unit": "odrl:unit",
        "andSequence": "odrl:andSequence",
        "dr:collection": { "@type": "@id" },
        "dr:days": { "@container": "@list" },
        "dr:from": { "@type": "xsd:time" },
        "dr:share": { "@type": "xsd:decimal" },
        "dr:until": { "@type": "xsd:time" },
        "dr:validFrom": { "@type": "xsd:date" },
        "dr:validUntil": { "@type": "xsd:date" },
    });
    for term in ["action", "conflict", "leftOperand", "operator"] {
        context[term] = json!({ "@id": format!("odrl:{term}"), "@type": "@vocab" });
    }
    let to_nodes = [
        "assignee",
        "assigner",
        "constraint",
        "duty",
        "obligation",
        "permission",
        "profile",
        "prohibition",
        "refinement",
        "source",
        "target",
    ];
    for term in to_nodes {
        context[term] = json!({ "@id": format!("odrl:{term}"), "@type": "@id" });
    }
    let classes = [
        "AssetCollection",
        "Constraint",
        "Duty",
        "LogicalConstraint",
        "Offer",
        "PartyCollection",
        "Permission",
        "Prohibition",
        "RightOperand",
    ];
    let values = [
        "attribute",
        "count",
        "dateTime",
        "delete",
        "elapsedTime",
        "eq",
        "event",
        "gt",
        "gteq",
        "isAnyOf",
        "lt",
        "lteq",
        "policyUsage",
        "prohibit",
        "purpose",
        "read",
    ];
    for term in classes.into_iter().chain(values) {
        context[term] = json!(format!("odrl:{term}"));
    }
    context
}

/// An IRI of a data space. Ids hold no colon, so that no two names fall together.
fn of_space(space: &SpaceId, rest: impl Display) -> String {
    format!("{SPACES}{space}:{rest}")
}

pub(super) fn policy(offer: &super::Offer) -> String {
    of_space(
        &offer.space,
        format_args!("policy:{}:version:{}", offer.id, offer.version),
    )
}

pub(super) fn board(space: &SpaceId) -> String {
    of_space(space, "board")
}

pub(super) fn people(space: &SpaceId) -> String {
    of_space(space, "people")
}

pub(super) fn collection(space: &SpaceId, id: &CollectionId) -> String {
    of_space(space, format_args!("collection:{id}"))
}

pub(super) fn member(space: &SpaceId, id: &MemberId) -> String {
    of_space(space, format_args!("member:{id}"))
}

pub(super) fn person(space: &SpaceId, (member, person): &(MemberId, PersonId)) -> String {
    of_space(space, format_args!("member:{member}:person:{person}"))
}

/// The parts of an IRI of a data space, from its id on.
pub(super) fn parts(iri: &str) -> Option<Vec<&str>> {
    iri.strip_prefix(SPACES).map(|rest| rest.split(':').collect())
}
