//! Entries and statements into triples: the catalogue, and for each data set what HealthDCAT-AP asks for.
//!
//! A data set is reached through a node that answers questions. So its distribution is the answers, the data service is the node, and
//! the size of the distribution is the most that one answer has: it says nothing of the data.

mod quality;
mod variables;

use oxrdf::vocab::xsd;
use oxrdf::{NamedNode, Triple};
use policy::Lang;
use terms::finding::Finding;
use terms::limit::ANSWER_BYTES_MAX;
use terms::{Purpose, Report};

use crate::entry::{Entry, Origin};
use crate::statements::{Agent, Dimension, Stated, Statements, Texts};
use crate::triples::Triples;
use crate::vocabulary::{
    EHDS, EU_AUTHORITY, adms, cv, dcat, dcatap, dct, dpv, foaf, geodcatap, health, rdfs, skos, vcard,
};

/// What [`describe`] made.
#[derive(Debug)]
pub struct Export {
    /// All that is told.
    pub triples: Vec<Triple>,
    /// What Art. 78 EHDS asks of each collection, and nobody said.
    pub unstated: Vec<(terms::CollectionId, Dimension)>,
}

/// Names of the resources of one catalogue.
struct Names<'a> {
    base: &'a str,
}

impl Names<'_> {
    /// Made of checked parts only: a base that is a web address, and ids.
    fn at(&self, path: &str) -> NamedNode {
        NamedNode::new_unchecked(format!("{}/{path}", self.base))
    }

    fn dataset(&self, entry: &Entry) -> NamedNode {
        self.at(&format!("dataset/{}/{}", entry.member, entry.open.collection.id))
    }
}

/// A part of a resource.
fn part(of: &NamedNode, name: &str) -> NamedNode {
    NamedNode::new_unchecked(format!("{}#{name}", of.as_str()))
}

fn authority(path: &str) -> NamedNode {
    NamedNode::new_unchecked(format!("{EU_AUTHORITY}{path}"))
}

/// Describes the catalogue with these entries. `file` names where the statements stand, for messages.
///
/// # Errors
/// `FileKey` with all statements that HealthDCAT-AP asks for and that are missing.
pub fn describe(entries: &[Entry], statements: &Statements, file: &str) -> Result<Export, Report> {
    let mut missing = Vec::new();
    let stated: Vec<_> = entries.iter().map(|entry| statements.of(entry, &mut missing)).collect();
    Finding::none_in(file, &missing)?;
    let names = Names {
        base: statements.base.as_str(),
    };
    let mut triples = Triples::default();
    let mut unstated = Vec::new();
    catalog(&mut triples, &names, entries, statements);
    for (entry, stated) in entries.iter().zip(stated.into_iter().flatten()) {
        dataset(&mut triples, &names, entry, &stated, statements);
        distributions(&mut triples, &names, entry, &stated, statements);
        holder(&mut triples, &names, entry, &stated);
        variables::describe(&mut triples, &names.dataset(entry), entry);
        let collection = &entry.open.collection.id;
        let left = quality::describe(&mut triples, &names, entry, &stated);
        unstated.extend(left.into_iter().map(|dimension| (collection.clone(), dimension)));
    }
    unstated.sort();
    unstated.dedup();
    Ok(Export {
        triples: triples.into_vec(),
        unstated,
    })
}

fn catalog(triples: &mut Triples, names: &Names<'_>, entries: &[Entry], statements: &Statements) {
    let stated = &statements.catalog;
    let node = names.at("catalog");
    let publisher = names.at("publisher");
    triples
        .about(&node, dcat::CATALOG)
        .texts(dct::TITLE, &stated.title)
        .texts(dct::DESCRIPTION, &stated.description)
        .link(dct::PUBLISHER, publisher.clone())
        .link(dcatap::APPLICABLE_LEGISLATION, NamedNode::new_unchecked(EHDS))
        .links(dct::LANGUAGE, languages(&stated.title))
        .links(dcat::DATASET, entries.iter().map(|entry| names.dataset(entry)))
        .links(
            dcat::SERVICE,
            entries.iter().map(|entry| part(&names.dataset(entry), "service")),
        );
    agent(triples, &publisher, &stated.publisher);
}

fn languages(texts: &Texts) -> impl Iterator<Item = NamedNode> {
    texts.each().map(|(language, _)| match language {
        "de" => authority("language/DEU"),
        _ => authority("language/ENG"),
    })
}

fn agent(triples: &mut Triples, node: &NamedNode, stated: &Agent) {
    let contact = part(node, "contact");
    triples
        .about(node, foaf::AGENT)
        .texts(foaf::NAME, &stated.name)
        .link(foaf::HOMEPAGE, stated.homepage.node())
        .link(foaf::MBOX, stated.email.node())
        .link(cv::CONTACT_POINT, contact.clone());
    triples
        .about(&contact, cv::CONTACT_POINT_CLASS)
        .plain(cv::EMAIL, stated.email.as_str())
        .link(cv::CONTACT_PAGE, stated.homepage.node());
}

/// The title that people read: what is made up says so in it.
fn title(entry: &Entry, stated: &Stated<'_>, statements: &Statements) -> Texts {
    let collection = || Texts::one(statements.catalog.titles_in, &entry.open.collection.title);
    let at = format!(" ({})", entry.member_title);
    let title = stated.title.cloned().unwrap_or_else(collection).and(&at, &at);
    match entry.origin {
        Origin::Real => title,
        Origin::Synthetic => title.and(", künstlich erzeugt", ", synthetic"),
    }
}

fn dataset(triples: &mut Triples, names: &Names<'_>, entry: &Entry, stated: &Stated<'_>, statements: &Statements) {
    let node = names.dataset(entry);
    let collection = &entry.open.collection;
    let holder = names.at(&format!("institution/{}", entry.member));
    let standard = names.at(&format!("collection/{}", collection.id));
    let access_body = names.at("access-body");
    let provenance = part(&node, "provenance");
    let description = match entry.origin {
        Origin::Real => stated.description.clone(),
        Origin::Synthetic => stated.description.and(SYNTHETIC.0, SYNTHETIC.1),
    };
    let (rights, kind) = match (entry.origin, collection.personal) {
        (Origin::Synthetic, _) => ("access-right/RESTRICTED", "dataset-type/SYNTHETIC_DATA"),
        (Origin::Real, true) => ("access-right/NON_PUBLIC", "dataset-type/PERSONAL_DATA"),
        (Origin::Real, false) => ("access-right/RESTRICTED", "dataset-type/STATISTICAL"),
    };
    let mut about = triples
        .about(&node, dcat::DATASET_CLASS)
        .texts(dct::TITLE, &title(entry, stated, statements))
        .texts(dct::DESCRIPTION, &description)
        .typed(dct::IDENTIFIER, node.as_str(), xsd::ANY_URI)
        .typed(dct::MODIFIED, entry.updated.to_string(), xsd::DATE_TIME)
        .link(dct::TYPE, authority(kind))
        .link(dct::ACCESS_RIGHTS, authority(rights))
        .link(dct::CONFORMS_TO, standard.clone())
        .link(dct::PUBLISHER, holder.clone())
        .link(geodcatap::CUSTODIAN, holder.clone())
        .link(dcat::CONTACT_POINT, part(&holder, "contact"))
        .link(health::HDAB, access_body.clone())
        .links(dcatap::APPLICABLE_LEGISLATION, stated.legislation.iter().cloned())
        .link(dcat::THEME, authority("data-theme/HEAL"))
        .links(health::HEALTH_CATEGORY, stated.categories.iter().map(|one| one.node()))
        .links(health::HEALTH_THEME, stated.themes.iter().map(|one| one.node()))
        .links(dct::SPATIAL, stated.spatial.iter().map(|one| one.node()))
        .link(dct::PROVENANCE, provenance.clone())
        .links(
            dpv::HAS_PURPOSE,
            entry.open.purposes.iter().map(|one| purpose_node(names, *one)),
        )
        .links(dpv::HAS_LEGAL_BASIS, stated.legal_basis.iter().map(|one| one.node()))
        .links(
            dpv::HAS_PERSONAL_DATA,
            stated.personal_data.iter().map(|one| one.node()),
        )
        .links(dct::ACCRUAL_PERIODICITY, stated.frequency.map(|one| one.node()))
        .link(dcat::DISTRIBUTION, part(&node, "answers"))
        .link(adms::SAMPLE, part(&node, "sample"));
    for word in stated.keywords.each() {
        about = about.texts(dcat::KEYWORD, &word);
    }
    if let Some(population) = stated.population {
        about = about.texts(health::POPULATION_COVERAGE, population);
    }
    if entry.origin == Origin::Synthetic {
        about.texts(
            dcat::KEYWORD,
            &Texts::both("künstlich erzeugte Daten", "synthetic data"),
        );
    }
    triples
        .about(&standard, dct::STANDARD)
        .texts(dct::TITLE, &Texts::one(statements.catalog.titles_in, &collection.title))
        .plain(dct::IDENTIFIER, collection.id.as_str());
    let origin = match entry.origin {
        Origin::Real => stated.provenance.clone(),
        Origin::Synthetic => Texts::both(SYNTHETIC.0.trim(), SYNTHETIC.1.trim()),
    };
    triples
        .about(&provenance, dct::PROVENANCE_STATEMENT)
        .texts(rdfs::LABEL, &origin);
    for purpose in &entry.open.purposes {
        describe_purpose(triples, names, *purpose);
    }
    agent(triples, &access_body, stated.access_body);
}

/// What stands wherever made-up data are described, in German and English.
const SYNTHETIC: (&str, &str) = (
    " Künstlich erzeugte Daten: kein Wert stammt von einem Menschen; gemacht aus der öffentlichen Beschreibung der Sammlung allein.",
    " Synthetic data: no value is of a person; made from the public definition of the collection alone.",
);

fn purpose_node(names: &Names<'_>, purpose: Purpose) -> NamedNode {
    names.at(&format!("purpose/{}", purpose.code()))
}

fn describe_purpose(triples: &mut Triples, names: &Names<'_>, purpose: Purpose) {
    let words = Texts::both(Lang::De.purpose(purpose), Lang::En.purpose(purpose));
    triples
        .about(&purpose_node(names, purpose), dpv::PURPOSE)
        .plain(skos::NOTATION, purpose.code())
        .texts(dct::DESCRIPTION, &words)
        .link(dct::SOURCE, NamedNode::new_unchecked(EHDS));
}

/// The answers of the node, and the made-up sample that anybody can make from the collection.
fn distributions(
    triples: &mut Triples,
    names: &Names<'_>,
    entry: &Entry,
    stated: &Stated<'_>,
    statements: &Statements,
) {
    let node = names.dataset(entry);
    let [answers, sample, service, rights] = ["answers", "sample", "service", "rights"].map(|name| part(&node, name));
    let access_url = &statements.catalog.access_url;
    let title = title(entry, stated, statements);
    triples
        .about(&answers, dcat::DISTRIBUTION_CLASS)
        .texts(dct::TITLE, &title.and(": Antworten auf Fragen", ": answers to questions"))
        .texts(dct::DESCRIPTION, &Texts::both(
            "Die Daten bleiben bei der Einrichtung. Zu haben sind Antworten auf Fragen, soweit die Nutzungsregeln sie erlauben. Die Größe ist die, die eine Antwort höchstens hat.",
            "The data stay with the institution. What can be had is answers to questions, as the usage policies allow. The size is the most that one answer has.",
        ))
        .link(dcat::ACCESS_URL, access_url.node())
        .link(dcat::ACCESS_SERVICE, service.clone())
        .links(dcatap::APPLICABLE_LEGISLATION, stated.legislation.iter().cloned())
        .typed(dcat::BYTE_SIZE, ANSWER_BYTES_MAX.to_string(), xsd::NON_NEGATIVE_INTEGER)
        .link(dct::FORMAT, authority("file-type/CSV"))
        .link(dcat::MEDIA_TYPE, NamedNode::new_unchecked("https://www.iana.org/assignments/media-types/text/csv"))
        .link(dct::RIGHTS, rights.clone());
    triples
        .about(&sample, dcat::DISTRIBUTION_CLASS)
        .texts(
            dct::TITLE,
            &title.and(": künstlich erzeugtes Beispiel", ": synthetic sample"),
        )
        .texts(dct::DESCRIPTION, &Texts::both(SYNTHETIC.0.trim(), SYNTHETIC.1.trim()))
        .link(dct::TYPE, authority("dataset-type/SYNTHETIC_DATA"))
        .link(dcat::ACCESS_URL, stated.sample_url.unwrap_or(access_url).node())
        .links(dcatap::APPLICABLE_LEGISLATION, stated.legislation.iter().cloned())
        .link(dct::FORMAT, authority("file-type/CSV"))
        .link(dct::RIGHTS, rights.clone());
    triples
        .about(&service, dcat::DATA_SERVICE)
        .texts(dct::TITLE, &title.and(": Abfragedienst", ": query service"))
        .link(dcat::ENDPOINT_URL, access_url.node())
        .link(dcat::SERVES_DATASET, node.clone())
        .links(dcatap::APPLICABLE_LEGISLATION, stated.legislation.iter().cloned());
    triples
        .about(&rights, dct::RIGHTS_STATEMENT)
        .texts(rdfs::LABEL, &rights_text(entry));
}

fn rights_text(entry: &Entry) -> Texts {
    let list = |lang: Lang| {
        let one = |policy: &crate::PolicyNamed| {
            lang.pick(
                format!("{} Version {}", policy.id, policy.version),
                format!("{} version {}", policy.id, policy.version),
            )
        };
        entry.policies.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let permit = |lang: Lang| {
        let words = entry
            .open
            .permit_needed_for
            .iter()
            .map(|purpose| lang.purpose(*purpose));
        let words = words.collect::<Vec<_>>().join(", ");
        match words.is_empty() {
            true => String::new(),
            false => lang.pick(
                format!(" Eine Datengenehmigung ist nötig für: {words}."),
                format!(" A data permit is needed for: {words}."),
            ),
        }
    };
    Texts::both(
        format!(
            "Nur wie die unterschriebenen Nutzungsregeln erlauben: {}.{}",
            list(Lang::De),
            permit(Lang::De)
        ),
        format!(
            "Only as the signed usage policies allow: {}.{}",
            list(Lang::En),
            permit(Lang::En)
        ),
    )
}

/// The institution that holds the data, and where questions about them go.
fn holder(triples: &mut Triples, names: &Names<'_>, entry: &Entry, stated: &Stated<'_>) {
    let node = names.at(&format!("institution/{}", entry.member));
    let [contact, own] = ["contact", "address"].map(|name| part(&node, name));
    triples
        .about(&node, foaf::AGENT)
        .plain(foaf::NAME, &entry.member_title)
        .link(foaf::HOMEPAGE, stated.homepage.node())
        .link(foaf::MBOX, stated.email.node())
        .link(health::PUBLISHER_TYPE, stated.kind.node())
        .texts(health::PUBLISHER_NOTE, stated.note)
        .typed(health::TRUSTED_DATA_HOLDER, stated.trusted.to_string(), xsd::BOOLEAN)
        .link(cv::CONTACT_POINT, own.clone());
    triples
        .about(&own, cv::CONTACT_POINT_CLASS)
        .plain(cv::EMAIL, stated.email.as_str())
        .link(cv::CONTACT_PAGE, stated.homepage.node());
    triples
        .about(&contact, vcard::KIND)
        .plain(vcard::FN, &stated.contact.name)
        .link(vcard::HAS_EMAIL, stated.contact.email.node())
        .link(vcard::HAS_URL, stated.contact.page.node());
}
