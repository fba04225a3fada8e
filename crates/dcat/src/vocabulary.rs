//! The terms of others, by the names that their standards give them.
//!
//! DCAT 3 and DCAT-AP 3, HealthDCAT-AP (its namespace is that of the HealthData@EU portal; the authority lists are those of its
//! Release 8), CSVW, DPV, DQV and the web annotation terms that DQV uses, and the EU's authority lists.

use oxrdf::NamedNodeRef;

/// Prefixes as they are written in Turtle and JSON-LD.
pub(crate) const PREFIXES: [(&str, &str); 17] = [
    ("adms", "http://www.w3.org/ns/adms#"),
    ("csvw", "http://www.w3.org/ns/csvw#"),
    ("cv", "http://data.europa.eu/m8g/"),
    ("dcat", "http://www.w3.org/ns/dcat#"),
    ("dcatap", "http://data.europa.eu/r5r/"),
    ("dct", "http://purl.org/dc/terms/"),
    ("dpv", "https://w3id.org/dpv#"),
    ("dqv", "http://www.w3.org/ns/dqv#"),
    ("foaf", "http://xmlns.com/foaf/0.1/"),
    ("geodcatap", "http://data.europa.eu/930/"),
    ("healthdcatap", "http://healthdataportal.eu/ns/health#"),
    ("oa", "http://www.w3.org/ns/oa#"),
    ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    ("rdfs", "http://www.w3.org/2000/01/rdf-schema#"),
    ("skos", "http://www.w3.org/2004/02/skos/core#"),
    ("vcard", "http://www.w3.org/2006/vcard/ns#"),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
];

/// Regulation (EU) 2025/327, the European Health Data Space.
pub(crate) const EHDS: &str = "http://data.europa.eu/eli/reg/2025/327/oj";

/// The EU's authority lists.
pub(crate) const EU_AUTHORITY: &str = "http://publications.europa.eu/resource/authority/";

/// The authority lists of HealthData@EU.
pub(crate) const HEALTH_AUTHORITY: &str = "https://hdeu-dcat.data.health.europa.eu/resource/authority/";

/// Legal bases of the GDPR in the Data Privacy Vocabulary.
pub(crate) const GDPR: &str = "https://w3id.org/dpv/legal/eu/gdpr#";

macro_rules! terms {
    ($($module:ident $base:literal { $($name:ident = $term:literal,)* })*) => {
        $(pub(crate) mod $module {
            use super::NamedNodeRef;
            $(pub(crate) const $name: NamedNodeRef<'static> = NamedNodeRef::new_unchecked(concat!($base, $term));)*
        })*
    };
}

terms! {
    adms "http://www.w3.org/ns/adms#" { SAMPLE = "sample", }
    csvw "http://www.w3.org/ns/csvw#" {
        COLUMN = "column", COLUMN_CLASS = "Column", DATATYPE = "datatype", NAME = "name", PROPERTY_URL = "propertyUrl",
        TABLE = "table", TABLE_CLASS = "Table", TABLE_GROUP = "TableGroup", TITLE = "title", TITLES = "titles", URL = "url",
    }
    cv "http://data.europa.eu/m8g/" {
        CONTACT_PAGE = "contactPage", CONTACT_POINT = "contactPoint", CONTACT_POINT_CLASS = "ContactPoint", EMAIL = "email",
    }
    dcat "http://www.w3.org/ns/dcat#" {
        ACCESS_SERVICE = "accessService", ACCESS_URL = "accessURL", BYTE_SIZE = "byteSize", CATALOG = "Catalog",
        CONTACT_POINT = "contactPoint", DATASET = "dataset", DATASET_CLASS = "Dataset", DATA_SERVICE = "DataService",
        DISTRIBUTION = "distribution", DISTRIBUTION_CLASS = "Distribution", ENDPOINT_URL = "endpointURL", KEYWORD = "keyword",
        MEDIA_TYPE = "mediaType", SERVES_DATASET = "servesDataset", SERVICE = "service", THEME = "theme",
    }
    dcatap "http://data.europa.eu/r5r/" { APPLICABLE_LEGISLATION = "applicableLegislation", }
    dct "http://purl.org/dc/terms/" {
        ACCESS_RIGHTS = "accessRights", ACCRUAL_PERIODICITY = "accrualPeriodicity", CONFORMS_TO = "conformsTo", DESCRIPTION = "description",
        FORMAT = "format", IDENTIFIER = "identifier", LANGUAGE = "language", MODIFIED = "modified",
        PROVENANCE = "provenance", PROVENANCE_STATEMENT = "ProvenanceStatement", PUBLISHER = "publisher", RIGHTS = "rights",
        RIGHTS_STATEMENT = "RightsStatement", SOURCE = "source", SPATIAL = "spatial", STANDARD = "Standard", TITLE = "title", TYPE = "type",
    }
    dpv "https://w3id.org/dpv#" {
        HAS_LEGAL_BASIS = "hasLegalBasis", HAS_PERSONAL_DATA = "hasPersonalData", HAS_PURPOSE = "hasPurpose", PURPOSE = "Purpose",
    }
    dqv "http://www.w3.org/ns/dqv#" {
        DIMENSION = "Dimension", HAS_QUALITY_ANNOTATION = "hasQualityAnnotation", IN_DIMENSION = "inDimension",
        QUALITY_ANNOTATION = "QualityAnnotation", QUALITY_ASSESSMENT = "qualityAssessment",
    }
    foaf "http://xmlns.com/foaf/0.1/" { AGENT = "Agent", HOMEPAGE = "homepage", MBOX = "mbox", NAME = "name", }
    geodcatap "http://data.europa.eu/930/" { CUSTODIAN = "custodian", }
    health "http://healthdataportal.eu/ns/health#" {
        HAS_CODE_VALUES = "hasCodeValues", HAS_CODING_SYSTEM = "hasCodingSystem", HAS_STRUCTURED_DATA = "hasStructuredData",
        HAS_VARIABLES = "hasVariables", HDAB = "hdab", HEALTH_CATEGORY = "healthCategory", HEALTH_THEME = "healthTheme",
        POPULATION_COVERAGE = "populationCoverage", PUBLISHER_NOTE = "publisherNote", PUBLISHER_TYPE = "publisherType",
        TRUSTED_DATA_HOLDER = "trustedDataHolder",
    }
    oa "http://www.w3.org/ns/oa#" {
        HAS_BODY = "hasBody", HAS_TARGET = "hasTarget", MOTIVATED_BY = "motivatedBy", TEXTUAL_BODY = "TextualBody",
    }
    rdfs "http://www.w3.org/2000/01/rdf-schema#" { LABEL = "label", }
    skos "http://www.w3.org/2004/02/skos/core#" { CONCEPT = "Concept", IN_SCHEME = "inScheme", NOTATION = "notation", PREF_LABEL = "prefLabel", }
    vcard "http://www.w3.org/2006/vcard/ns#" {
        FN = "fn", HAS_EMAIL = "hasEmail", HAS_URL = "hasURL", KIND = "Kind",
    }
}

/// The categories of electronic health data of Art. 51(1) EHDS, by their codes in the authority list.
pub(crate) const HEALTH_CATEGORIES: [&str; 17] = [
    "EHRS", "DIOH", "NRPE", "RPDG", "HRAD", "HGPD", "HPML", "PGEH", "WELA", "IDHP", "PHDR", "MRMR", "EHCT", "EMRD",
    "RMMD", "RQSH", "EINS",
];

/// The health themes of the authority list.
pub(crate) const HEALTH_THEMES: [&str; 20] = [
    "ANTIMICROBIAL_CONTROL",
    "BLOOD_INFECTIONS",
    "CANCER_DISEASE",
    "CLIMATE_HEALTH",
    "EMERGENCY_SETTINGS",
    "ENTERIC_INFECTIONS",
    "ENVIRONMENTAL_HEALTH",
    "HEALTH_PRODUCTS",
    "HEALTH_SYSTEMS",
    "IMMUNIZATION_DISEASES",
    "INJURY_PREVENTION",
    "LIFECOURSE_HEALTH",
    "MENTAL_HEALTH",
    "NONCOMMUNICABLE_DISEASES",
    "NUTRITION_SECURITY",
    "REPRODUCTIVE_HEALTH",
    "RESPIRATORY_DISEASES",
    "SENSORY_HEALTH",
    "TROPICAL_DISEASES",
    "VECTOR_DISEASES",
];
