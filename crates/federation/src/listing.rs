//! What a person finds in the catalogue: which collections there are, what their columns mean, which nodes offer them, and for what
//! the person may ask.
//!
//! Everything here comes from documents and descriptions that were verified. Nothing is asked of a node, and nothing here allows
//! anything: nodes decide for themselves.

use std::collections::BTreeSet;

use policy::{Collection, Column, Lang, Queryable, Release, Rules};
use serde::Serialize;
use terms::{CollectionId, MemberId, Problem, Purpose, Report, SpaceId, UtcTime};

use crate::ask::Asker;
use crate::catalog::Offer;

/// The data space, as the asker knows it.
#[derive(Clone, Debug, Serialize)]
pub struct SpaceListing {
    /// The data space.
    pub space: SpaceId,
    /// What people call it.
    pub title: String,
    /// Version of the verified documents.
    pub version: u64,
    /// Institutions that belong to it.
    pub members: usize,
    /// Institutions whose nodes offer something.
    pub nodes: usize,
    /// Collections that are defined.
    pub collections: usize,
    /// Those of them that the asker may query.
    pub open_to_you: usize,
}

/// One collection.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The collection.
    pub collection: CollectionId,
    /// Its name in SQL.
    pub sql_name: String,
    /// What people call it.
    pub title: String,
    /// Whether its rows are about people.
    pub personal: bool,
    /// The nodes that offer it, and when each was last renewed.
    pub datasets: Vec<DatasetListing>,
    /// What the asker may query it for; empty if for nothing.
    pub purposes: Vec<Purpose>,
    /// Those of the purposes that need a data permit.
    pub permit_needed_for: Vec<Purpose>,
    /// What may leave: `aggregates`, `models`, `rows`.
    pub releases: Vec<String>,
    /// The columns, in the order of the collection.
    pub columns: Vec<ColumnListing>,
}

/// One node's data of a collection.
#[derive(Clone, Debug, Serialize)]
pub struct DatasetListing {
    /// The node.
    pub node: MemberId,
    /// When the data were last renewed there.
    pub updated: UtcTime,
    /// Whether they are made up.
    pub synthetic: bool,
    /// Whether each person's days are moved, all by the same number, which nobody is told: no seasons can be asked for.
    pub days_moved: bool,
}

/// One column.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnListing {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a query may do with it: `group`, `filter`, `measure`; `identifier`, with which it can do nothing.
    pub roles: Vec<&'static str>,
    /// Its values or bins, in words.
    pub domain: String,
    /// Its unit, in UCUM.
    pub unit: Option<String>,
    /// What it means, as a code of a terminology.
    pub code: Option<String>,
    /// Whether the asker may use it.
    pub open_to_you: bool,
}

impl Listing {
    /// Whether `word` is in its names, its title, or the names, codes and values of its columns; whatever the case of letters.
    pub fn speaks_of(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&word);
        let column = |column: &ColumnListing| {
            has(&column.name) || has(&column.domain) || column.code.as_deref().is_some_and(has)
        };
        has(self.collection.as_str()) || has(&self.sql_name) || has(&self.title) || self.columns.iter().any(column)
    }
}

impl Asker {
    /// The data space.
    pub fn space(&self) -> SpaceListing {
        let rules = self.rules();
        SpaceListing {
            space: rules.space.id.clone(),
            title: rules.space.title.clone(),
            version: rules.version,
            members: rules.members.len(),
            nodes: self.offers().len(),
            collections: rules.collections.len(),
            open_to_you: self.queryable().len(),
        }
    }

    /// All collections of the data space, by id.
    pub fn listings(&self) -> Vec<Listing> {
        let open = self.queryable();
        let collections = self.rules().collections.values();
        collections
            .map(|collection| listing(collection, &open, self.offers()))
            .collect()
    }

    /// One collection, by its id or its name in SQL.
    ///
    /// # Errors
    /// `SqlCollection` if there is none of this name.
    pub fn listing(&self, name: &str) -> Result<Listing, Report> {
        let collection = known(self.rules(), name)?;
        Ok(listing(collection, &self.queryable(), self.offers()))
    }

    /// Who may query a collection for what: the decision table of each policy on it, as its board signed it.
    ///
    /// # Errors
    /// `SqlCollection` if there is no collection of this name.
    pub fn who_may_query(&self, name: &str, lang: Lang) -> Result<Vec<String>, Report> {
        let rules = self.rules();
        let id = &known(rules, name)?.id;
        let policies = rules.policies().filter(|policy| policy.collection == *id);
        Ok(policies
            .filter_map(|policy| policy::matrix(rules, &policy.id, lang))
            .collect())
    }
}

fn known<'a>(rules: &'a Rules, name: &str) -> Result<&'a Collection, Report> {
    let mut all = rules.collections.values();
    let found = all.find(|collection| collection.id.as_str() == name || collection.sql_name() == name);
    found.map(AsRef::as_ref).ok_or_else(|| {
        let names: Vec<&str> = rules.collections.keys().map(CollectionId::as_str).collect();
        let report = Problem::SqlCollection.report(format!("the data space has no collection {name}"));
        report.remedy(format!("name one of: {}", names.join(", ")))
    })
}

fn listing(collection: &Collection, open: &[Queryable], offers: &[Offer]) -> Listing {
    let open = open.iter().find(|open| open.collection.id == collection.id);
    let datasets = offers.iter().filter_map(|offer| {
        let offered = offer.offered(&collection.id)?;
        Some(DatasetListing {
            node: offer.peer.member.clone(),
            updated: offered.updated,
            synthetic: offered.synthetic,
            days_moved: offered.days_moved,
        })
    });
    let releases = open.map(|open| &open.releases);
    let of = |purposes: Option<&BTreeSet<Purpose>>| purposes.into_iter().flatten().copied().collect();
    let columns = collection.columns.iter();
    Listing {
        collection: collection.id.clone(),
        sql_name: collection.sql_name(),
        title: collection.title.clone(),
        personal: collection.personal,
        datasets: datasets.collect(),
        purposes: of(open.map(|open| &open.purposes)),
        permit_needed_for: of(open.map(|open| &open.permit_needed_for)),
        releases: releases.into_iter().flatten().map(Release::to_string).collect(),
        columns: columns.map(|column| column_listing(column, open)).collect(),
    }
}

fn column_listing(column: &Column, open: Option<&Queryable>) -> ColumnListing {
    let roles = [
        ("identifier", column.roles.identifier),
        ("group", column.roles.group),
        ("filter", column.roles.filter),
        ("measure", column.roles.measure),
    ];
    ColumnListing {
        name: column.name.clone(),
        kind: column.kind.to_string(),
        roles: roles
            .into_iter()
            .filter(|(_, has)| *has)
            .map(|(role, _)| role)
            .collect(),
        domain: column.describe_domain(),
        unit: column.unit.clone(),
        code: column.code.clone(),
        open_to_you: open.is_some_and(|open| open.columns.contains(&column.name)),
    }
}
