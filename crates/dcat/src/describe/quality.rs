//! Data quality and utility, as Art. 78(3) EHDS asks for it: what follows from how nodes publish data is said by us, the rest by the
//! institution or not at all.
//!
//! Nothing here is computed from the data: how many values are missing, say, is something about people.

use super::variables::{Meaning, told};
use super::{Names, part};
use crate::entry::{Entry, Origin};
use crate::statements::{Dimension, Stated, Texts};
use crate::triples::Triples;
use crate::vocabulary::{dcat, dqv, oa, rdfs, skos};

/// Says what is known, and returns what nobody said.
pub(super) fn describe(triples: &mut Triples, names: &Names<'_>, entry: &Entry, stated: &Stated<'_>) -> Vec<Dimension> {
    let dataset = names.dataset(entry);
    let mut unstated = Vec::new();
    for dimension in Dimension::ALL {
        let known = stated.quality.get(&dimension).map(|texts| (*texts).clone());
        // Of made-up data an institution has nothing to say.
        let known = known.filter(|_| entry.origin == Origin::Real);
        let Some(texts) = known.or_else(|| follows(dimension, entry)) else {
            unstated.push(dimension);
            continue;
        };
        let concept = names.at(&format!("quality/{}", dimension.key()));
        let annotation = part(&dataset, &format!("quality-{}", dimension.key()));
        let body = part(&dataset, &format!("quality-{}-text", dimension.key()));
        triples
            .about(&dataset, dcat::DATASET_CLASS)
            .link(dqv::HAS_QUALITY_ANNOTATION, annotation.clone());
        triples
            .about(&annotation, dqv::QUALITY_ANNOTATION)
            .link(oa::HAS_TARGET, dataset.clone())
            .link(oa::HAS_BODY, body.clone())
            .link(oa::MOTIVATED_BY, dqv::QUALITY_ASSESSMENT)
            .link(dqv::IN_DIMENSION, concept.clone());
        triples.about(&body, oa::TEXTUAL_BODY).texts(rdfs::LABEL, &texts);
        triples
            .about(&concept, dqv::DIMENSION)
            .plain(skos::PREF_LABEL, dimension.key());
    }
    match entry.origin {
        Origin::Real => unstated,
        Origin::Synthetic => Vec::new(),
    }
}

/// What follows from the collection, and from what every node checks before it publishes.
fn follows(dimension: Dimension, entry: &Entry) -> Option<Texts> {
    let collection = &entry.open.collection;
    match dimension {
        Dimension::Documentation => {
            let columns: Vec<_> = told(entry).collect();
            let coded = columns.iter().filter(|column| Meaning::of(column).is_some()).count();
            let (all, units) = (
                columns.len(),
                columns.iter().filter(|column| column.unit.is_some()).count(),
            );
            Some(Texts::both(
                format!(
                    "Die Variablentabelle nennt alle {all} abfragbaren Variablen mit Typ und Wertebereich, {units} mit Einheit und {coded} mit Code."
                ),
                format!(
                    "The variable table names all {all} variables that can be asked about with type and domain, {units} with a unit and {coded} with a code."
                ),
            ))
        }
        Dimension::Validity => Some(Texts::both(
            "Vor der Veröffentlichung wird jeder Wert gegen Typ, Wertebereich und Grenzen der Sammlung geprüft; was nicht passt, wird nicht veröffentlicht.",
            "Before data are published each value is checked against the type, domain and bounds of the collection; what does not fit is not published.",
        )),
        Dimension::Uniqueness => {
            let limit = collection.rows_per_person_max;
            let key = || {
                Texts::both(
                    "Kein Schlüssel kommt zweimal vor: es wird vor der Veröffentlichung geprüft.",
                    "No key is there twice: it is checked before data are published.",
                )
            };
            let rows = |most: u32| {
                Texts::both(
                    format!("Höchstens {most} Zeilen je Person: es wird vor der Veröffentlichung geprüft."),
                    format!("At most {most} rows of one person: it is checked before data are published."),
                )
            };
            limit.map(rows).or_else(|| collection.key.as_ref().map(|_| key()))
        }
        Dimension::Completeness
        | Dimension::Accuracy
        | Dimension::Timeliness
        | Dimension::Consistency
        | Dimension::Management
        | Dimension::Representativity
        | Dimension::Access
        | Dimension::Modifications => None,
    }
}
