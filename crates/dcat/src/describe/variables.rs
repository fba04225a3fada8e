//! The variable table of a data set, in CSVW: the columns that may be asked about, and no others.

use oxrdf::NamedNode;
use oxrdf::vocab::xsd;
use policy::{Column, ColumnKind};

use super::part;
use crate::entry::Entry;
use crate::statements::Texts;
use crate::triples::Triples;
use crate::vocabulary::{csvw, dcat, dct, health, skos};

/// Describes the columns that are open, with their domains as the board declared them.
pub(super) fn describe(triples: &mut Triples, dataset: &NamedNode, entry: &Entry) {
    let [group, table] = ["variables", "table"].map(|name| part(dataset, name));
    let title = &entry.open.collection.title;
    let columns: Vec<&Column> = told(entry).collect();
    let named = |column: &&Column| part(dataset, &format!("column-{}", column.name));
    let meanings: Vec<(&Column, Meaning)> = columns.iter().filter_map(|c| Some((*c, Meaning::of(c)?))).collect();
    triples
        .about(dataset, dcat::DATASET_CLASS)
        .typed(health::HAS_STRUCTURED_DATA, "true", xsd::BOOLEAN)
        .link(health::HAS_VARIABLES, group.clone())
        .links(
            health::HAS_CODING_SYSTEM,
            meanings.iter().map(|(_, meaning)| meaning.system.clone()),
        )
        .links(
            health::HAS_CODE_VALUES,
            meanings.iter().map(|(c, _)| part(dataset, &format!("code-{}", c.name))),
        );
    triples
        .about(&group, csvw::TABLE_GROUP)
        .plain(dct::TITLE, title)
        .link(csvw::TABLE, table.clone());
    triples
        .about(&table, csvw::TABLE_CLASS)
        .plain(dct::TITLE, title)
        .link(csvw::URL, part(dataset, "answers"))
        .links(csvw::COLUMN, columns.iter().map(named));
    for column in &columns {
        let mut about = triples
            .about(&named(column), csvw::COLUMN_CLASS)
            .plain(csvw::NAME, &column.name)
            .plain(csvw::TITLES, &column.name)
            .plain(csvw::TITLE, &column.name)
            .plain(csvw::DATATYPE, datatype(column.kind))
            .texts(
                dct::DESCRIPTION,
                &Texts::both(words(column, "Einheit"), words(column, "unit")),
            );
        if let Some(meaning) = Meaning::of(column) {
            about = about.link(csvw::PROPERTY_URL, meaning.concept);
        }
        drop(about);
    }
    for (column, meaning) in meanings {
        triples
            .about(&part(dataset, &format!("code-{}", column.name)), skos::CONCEPT)
            .typed(dct::IDENTIFIER, meaning.concept.as_str(), xsd::ANY_URI)
            .plain(skos::PREF_LABEL, &column.name)
            .link(skos::IN_SCHEME, meaning.system.clone());
        triples
            .about(&meaning.system, dct::STANDARD)
            .plain(dct::TITLE, meaning.system.as_str());
    }
}

/// Identifiers are of no use to anybody who asks, and what no permission opens is nobody's business.
pub(super) fn told(entry: &Entry) -> impl Iterator<Item = &Column> {
    let open = &entry.open;
    let columns = open.collection.columns.iter();
    columns.filter(|column| column.roles.any_query() && !column.roles.identifier && open.columns.contains(&column.name))
}

fn words(column: &Column, unit_word: &str) -> String {
    let unit = column.unit.as_ref().map(|unit| format!("; {unit_word} {unit} (UCUM)"));
    format!("{}{}", column.describe_domain(), unit.unwrap_or_default())
}

fn datatype(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "string",
        ColumnKind::Integer => "integer",
        ColumnKind::Number => "number",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Date => "date",
        ColumnKind::Timestamp => "dateTime",
    }
}

/// What a column means, in a terminology.
pub(super) struct Meaning {
    system: NamedNode,
    concept: NamedNode,
}

impl Meaning {
    /// Of a column with a code `system|code` whose system is a web address.
    pub(super) fn of(column: &Column) -> Option<Self> {
        let (system, code) = column.code.as_deref()?.split_once('|')?;
        // SNOMED names its concepts apart from its editions.
        let stem = match system {
            "http://snomed.info/sct" => "http://snomed.info/id",
            other => other,
        };
        Some(Self {
            system: NamedNode::new(system).ok()?,
            concept: NamedNode::new(format!("{stem}/{code}")).ok()?,
        })
    }
}
