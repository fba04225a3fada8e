//! What only people can say of their data sets, as they write it down in a TOML file.
//!
//! Every key is checked here, once. There is deliberately no key for a number of rows or people, and none for a range of dates.
//! What stands under `[dataset.MEMBER.COLLECTION]` goes before what stands under `[collection.COLLECTION]`, and what stands under
//! `[publishers.MEMBER]` before what stands under `[publisher]`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use oxrdf::NamedNode;
use serde::Deserialize;
use terms::finding::Finding;
use terms::{CollectionId, MemberId, Problem, Report};

use crate::entry::Entry;
use crate::vocabulary::{EHDS, GDPR, HEALTH_AUTHORITY, HEALTH_CATEGORIES, HEALTH_THEMES};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements {
    /// What the names of all entries begin with.
    pub(crate) base: Base,
    pub(crate) catalog: Catalog,
    /// The health data access body.
    access_body: Agent,
    #[serde(default)]
    publisher: Publisher,
    #[serde(default)]
    publishers: BTreeMap<MemberId, Publisher>,
    #[serde(default)]
    collection: BTreeMap<CollectionId, About>,
    #[serde(default)]
    dataset: BTreeMap<MemberId, BTreeMap<CollectionId, About>>,
}

/// Who publishes the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    pub(crate) title: Texts,
    pub(crate) description: Texts,
    /// Where people read how they get access.
    pub(crate) access_url: Iri,
    pub(crate) publisher: Agent,
    /// The language of the titles in the board's documents.
    #[serde(default)]
    pub(crate) titles_in: Language,
}

/// The language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    /// German.
    De,
    /// English.
    #[default]
    En,
}

/// An institution, as others reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agent {
    pub(crate) name: Texts,
    pub(crate) homepage: Iri,
    pub(crate) email: Mailbox,
}

/// What is said of an institution that holds data; its name stands in the roster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publisher {
    homepage: Option<Iri>,
    email: Option<Mailbox>,
    /// Of the authority list of publisher types.
    #[serde(rename = "type")]
    kind: Option<Iri>,
    note: Option<Texts>,
    /// Whether it is a trusted health data holder: Art. 72 EHDS.
    trusted: Option<bool>,
    /// Where questions about its data go.
    contact: Option<Contact>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    pub(crate) name: String,
    pub(crate) email: Mailbox,
    pub(crate) page: Iri,
}

/// What is said of a data set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// In place of the collection's title.
    title: Option<Texts>,
    description: Option<Texts>,
    keywords: Option<Keywords>,
    categories: Option<Vec<HealthCategory>>,
    themes: Option<Vec<HealthTheme>>,
    spatial: Option<Vec<Iri>>,
    provenance: Option<Texts>,
    legal_basis: Option<Vec<LegalBasis>>,
    personal_data: Option<Vec<Iri>>,
    frequency: Option<Iri>,
    legislation: Option<Vec<Iri>>,
    population: Option<Texts>,
    /// Where a made-up sample of it can be had, if not where access is explained.
    sample_url: Option<Iri>,
    #[serde(default)]
    quality: BTreeMap<Dimension, Texts>,
}

/// What the data quality and utility label is about: Art. 78(3) EHDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Metadata, dictionary, format, provenance: (a).
    Documentation,
    /// How complete the data are: (b).
    Completeness,
    /// Whether the same is there twice: (b).
    Uniqueness,
    /// Whether they are right: (b).
    Accuracy,
    /// Whether values are of the declared form: (b).
    Validity,
    /// Whether they are from the time that matters: (b).
    Timeliness,
    /// Whether they contradict each other: (b).
    Consistency,
    /// How quality is managed, biases included: (c).
    Management,
    /// Whom they represent: (d).
    Representativity,
    /// From collection until they can be used, and from request until access: (e).
    Access,
    /// What was merged with them or added: (f).
    Modifications,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Dimension; 11] = [
        Dimension::Documentation,
        Dimension::Completeness,
        Dimension::Uniqueness,
        Dimension::Accuracy,
        Dimension::Validity,
        Dimension::Timeliness,
        Dimension::Consistency,
        Dimension::Management,
        Dimension::Representativity,
        Dimension::Access,
        Dimension::Modifications,
    ];

    /// Its key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Dimension::Documentation => "documentation",
            Dimension::Completeness => "completeness",
            Dimension::Uniqueness => "uniqueness",
            Dimension::Accuracy => "accuracy",
            Dimension::Validity => "validity",
            Dimension::Timeliness => "timeliness",
            Dimension::Consistency => "consistency",
            Dimension::Management => "management",
            Dimension::Representativity => "representativity",
            Dimension::Access => "access",
            Dimension::Modifications => "modifications",
        }
    }
}

/// A text in the languages of the catalogue: at least in one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenTexts")]
pub(crate) struct Texts {
    de: Option<String>,
    en: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTexts {
    de: Option<String>,
    en: Option<String>,
}

impl TryFrom<WrittenTexts> for Texts {
    type Error = String;

    fn try_from(written: WrittenTexts) -> Result<Self, String> {
        let is_empty = |text: &Option<String>| text.as_deref().is_some_and(|text| text.trim().is_empty());
        let WrittenTexts { de, en } = written;
        if is_empty(&de) || is_empty(&en) || (de.is_none() && en.is_none()) {
            return Err(
                "a text in de (German), in en (English) or in both is expected, and none that is empty".to_owned(),
            );
        }
        Ok(Self { de, en })
    }
}

impl Texts {
    pub(crate) fn both(de: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            de: Some(de.into()),
            en: Some(en.into()),
        }
    }

    pub(crate) fn one(language: Language, text: impl Into<String>) -> Self {
        let text = Some(text.into());
        match language {
            Language::De => Self { de: text, en: None },
            Language::En => Self { de: None, en: text },
        }
    }

    /// The text in each language, with its tag.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let de = self.de.as_deref().map(|text| ("de", text));
        de.into_iter().chain(self.en.as_deref().map(|text| ("en", text)))
    }

    /// With more at the end, in each language that it has.
    pub(crate) fn and(&self, de: &str, en: &str) -> Self {
        Self {
            de: self.de.as_ref().map(|text| format!("{text}{de}")),
            en: self.en.as_ref().map(|text| format!("{text}{en}")),
        }
    }
}

/// Words to find a data set by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keywords {
    #[serde(default)]
    de: Vec<String>,
    #[serde(default)]
    en: Vec<String>,
}

impl Keywords {
    pub(crate) fn each(&self) -> impl Iterator<Item = Texts> {
        let de = self.de.iter().map(|word| Texts::one(Language::De, word));
        de.chain(self.en.iter().map(|word| Texts::one(Language::En, word)))
    }
}

/// An absolute web address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Iri(NamedNode);

impl Iri {
    pub(crate) fn node(&self) -> NamedNode {
        self.0.clone()
    }
}

impl TryFrom<String> for Iri {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        match NamedNode::new(text) {
            Ok(node) if is_web => Ok(Self(node)),
            _ => Err("an address that begins with https:// is expected".to_owned()),
        }
    }
}

/// What names begin with: a web address to whose end more can be written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Iri")]
pub(crate) struct Base(String);

impl Base {
    /// Without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.trim_end_matches('/')
    }
}

impl TryFrom<Iri> for Base {
    type Error = String;

    fn try_from(address: Iri) -> Result<Self, String> {
        match address.0.as_str().contains(['#', '?']) {
            true => Err("an address without # and ? is expected: names are written to its end".to_owned()),
            false => Ok(Self(address.0.into_string())),
        }
    }
}

/// An address for letters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Mailbox(String);

impl Mailbox {
    pub(crate) fn node(&self) -> NamedNode {
        // Checked when it was read.
        NamedNode::new_unchecked(format!("mailto:{}", self.0))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Mailbox {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('@');
        let is_address =
            parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
        match is_address && NamedNode::new(format!("mailto:{text}")).is_ok() {
            true => Ok(Self(text)),
            false => Err("an address such as data@hospital.example is expected".to_owned()),
        }
    }
}

macro_rules! one_of_a_list {
    ($(#[$doc:meta])* $name:ident, $list:ident, $what:literal, $scheme:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn node(&self) -> NamedNode {
                NamedNode::new_unchecked(format!("{HEALTH_AUTHORITY}{}/{}", $scheme, self.0))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                match $list.contains(&text.as_str()) {
                    true => Ok(Self(text)),
                    false => Err(format!("{} is expected: {}", $what, $list.join(", "))),
                }
            }
        }
    };
}

one_of_a_list!(
    /// A category of Art. 51(1) EHDS.
    HealthCategory, HEALTH_CATEGORIES, "a category of Art. 51 EHDS", "healthcategories"
);
one_of_a_list!(
    /// A health theme.
    HealthTheme, HEALTH_THEMES, "a health theme", "health-theme"
);

/// A legal basis in the GDPR: `A9-2-j`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LegalBasis(String);

impl LegalBasis {
    pub(crate) fn node(&self) -> NamedNode {
        NamedNode::new_unchecked(format!("{GDPR}{}", self.0))
    }
}

impl TryFrom<String> for LegalBasis {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let letter = text.strip_prefix("A6-1-").or_else(|| text.strip_prefix("A9-2-"));
        match letter.map(str::as_bytes) {
            Some([b'a'..=b'j']) => Ok(Self(text)),
            _ => Err("a legal basis of Art. 6(1) or Art. 9(2) GDPR is expected, such as A6-1-e or A9-2-j".to_owned()),
        }
    }
}

/// All that had to be said of one data set and its institution, and was.
#[derive(Debug)]
pub(crate) struct Stated<'a> {
    pub(crate) homepage: &'a Iri,
    pub(crate) email: &'a Mailbox,
    pub(crate) kind: &'a Iri,
    pub(crate) note: &'a Texts,
    pub(crate) trusted: bool,
    pub(crate) contact: &'a Contact,
    pub(crate) access_body: &'a Agent,
    pub(crate) title: Option<&'a Texts>,
    pub(crate) description: &'a Texts,
    pub(crate) keywords: &'a Keywords,
    pub(crate) categories: &'a [HealthCategory],
    pub(crate) themes: &'a [HealthTheme],
    pub(crate) spatial: &'a [Iri],
    pub(crate) provenance: &'a Texts,
    pub(crate) legal_basis: &'a [LegalBasis],
    pub(crate) personal_data: &'a [Iri],
    pub(crate) frequency: Option<&'a Iri>,
    pub(crate) legislation: Vec<NamedNode>,
    pub(crate) population: Option<&'a Texts>,
    pub(crate) sample_url: Option<&'a Iri>,
    pub(crate) quality: BTreeMap<Dimension, &'a Texts>,
}

impl Statements {
    /// Reads the file.
    ///
    /// # Errors
    /// `FileSyntax` with line and key of the first thing that is not right.
    pub fn parse(text: &str) -> Result<Self, Report> {
        toml::from_str(text).map_err(|error| Problem::FileSyntax.report(error.to_string().trim_end()))
    }

    /// What is said of one data set. What is not said and has to be is added to `missing`.
    pub(crate) fn of<'a>(&'a self, entry: &Entry, missing: &mut Vec<Finding>) -> Option<Stated<'a>> {
        let (member, collection) = (&entry.member, &entry.open.collection.id);
        let own = self.publishers.get(member);
        let mut publisher = Wanted::under(format!("publishers.{member}"), "publisher", missing);
        let homepage = publisher.want("homepage", own, &self.publisher, |p| p.homepage.as_ref());
        let email = publisher.want("email", own, &self.publisher, |p| p.email.as_ref());
        let kind = publisher.want("type", own, &self.publisher, |p| p.kind.as_ref());
        let note = publisher.want("note", own, &self.publisher, |p| p.note.as_ref());
        let trusted = publisher.want("trusted", own, &self.publisher, |p| p.trusted.as_ref());
        let contact = publisher.want("contact", own, &self.publisher, |p| p.contact.as_ref());
        let nothing = &NOTHING;
        let own = self.dataset.get(member).and_then(|of_member| of_member.get(collection));
        let all = self.collection.get(collection).unwrap_or(nothing);
        let mut about = Wanted::under(
            format!("dataset.{member}.{collection}"),
            format!("collection.{collection}"),
            missing,
        );
        let description = about.want("description", own, all, |a| a.description.as_ref());
        let keywords = about.want("keywords", own, all, |a| {
            a.keywords.as_ref().filter(|words| words.each().next().is_some())
        });
        let categories = about.want("categories", own, all, |a| filled(a.categories.as_deref()));
        let themes = about.want("themes", own, all, |a| filled(a.themes.as_deref()));
        let spatial = about.want("spatial", own, all, |a| filled(a.spatial.as_deref()));
        let provenance = about.want("provenance", own, all, |a| a.provenance.as_ref());
        let legislation = either(own, all, |a| a.legislation.as_deref()).unwrap_or_default();
        let ehds = NamedNode::new_unchecked(EHDS);
        let quality = all.quality.iter().chain(own.into_iter().flat_map(|own| &own.quality));
        Some(Stated {
            homepage: homepage?,
            email: email?,
            kind: kind?,
            note: note?,
            trusted: *trusted?,
            contact: contact?,
            access_body: &self.access_body,
            title: either(own, all, |a| a.title.as_ref()),
            description: description?,
            keywords: keywords?,
            categories: categories?,
            themes: themes?,
            spatial: spatial?,
            provenance: provenance?,
            legal_basis: either(own, all, |a| a.legal_basis.as_deref()).unwrap_or_default(),
            personal_data: either(own, all, |a| a.personal_data.as_deref()).unwrap_or_default(),
            frequency: either(own, all, |a| a.frequency.as_ref()),
            legislation: [ehds].into_iter().chain(legislation.iter().map(Iri::node)).collect(),
            population: either(own, all, |a| a.population.as_ref()),
            sample_url: either(own, all, |a| a.sample_url.as_ref()),
            quality: quality.map(|(dimension, texts)| (*dimension, texts)).collect(),
        })
    }
}

static NOTHING: About = About {
    title: None,
    description: None,
    keywords: None,
    categories: None,
    themes: None,
    spatial: None,
    provenance: None,
    legal_basis: None,
    personal_data: None,
    frequency: None,
    legislation: None,
    population: None,
    sample_url: None,
    quality: BTreeMap::new(),
};

fn filled<T>(list: Option<&[T]>) -> Option<&[T]> {
    list.filter(|list| !list.is_empty())
}

/// What one's own section says, or that for all.
fn either<'a, S, T: ?Sized>(own: Option<&'a S>, all: &'a S, of: impl Fn(&'a S) -> Option<&'a T>) -> Option<&'a T> {
    own.and_then(&of).or_else(|| of(all))
}

/// Looks for what has to be said, and remembers what is not.
struct Wanted<'a> {
    own: String,
    all: String,
    missing: &'a mut Vec<Finding>,
}

impl<'m> Wanted<'m> {
    fn under(own: String, all: impl Into<String>, missing: &'m mut Vec<Finding>) -> Self {
        let all = all.into();
        Self { own, all, missing }
    }

    fn want<'a, S, T: ?Sized>(
        &mut self,
        key: &str,
        own: Option<&'a S>,
        all: &'a S,
        of: impl Fn(&'a S) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let found = either(own, all, of);
        if found.is_none() {
            let (all, own) = (&self.all, &self.own);
            let report = Problem::FileKey.report("is not said, and HealthDCAT-AP asks for it");
            let report = report.remedy(format!(
                "write {key} under [{all}], or under [{own}] for this one alone"
            ));
            let finding = Finding::of(&format!("{all}.{key}"), report);
            if !self.missing.contains(&finding) && !self.missing.iter().any(|known| known.key == finding.key) {
                self.missing.push(finding);
            }
        }
        found
    }
}
