//! A small data space for the tests of this crate.

use std::collections::BTreeMap;

use proptest::prelude::*;
use terms::{Purpose, Report};
use trust::Digest;

use crate::{AccessRequest, Asked, Caller, Release, Rules};

pub(crate) const SPACE: &str = "id = \"oncology\"\ntitle = \"Oncology of the region\"\n";

pub(crate) const MEMBERS: &str = r#"
[[member]]
id = "gbsg"
title = "Breast cancer study group"
roles = ["hospital"]
key = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

[[member]]
id = "saarland-university"
title = "Saarland University"
roles = ["university"]
key = "ed25519:PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"

[[member]]
id = "health-office"
title = "Public health office"
roles = ["public-health-office", "public-body", "university"]
key = "ed25519:_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"
"#;

pub(crate) const COLLECTION: &str = r#"
id           = "breast-cancer"
title        = "Breast cancer, relapse-free survival"
personal     = true
privacy_unit = "patient_id"
rows_per_person_max = 1

[columns.patient_id]
type = "text"
role = "identifier"

[columns.age]
type   = "integer"
unit   = "a"
role   = ["group", "filter", "measure"]
bins   = [18, 40, 50, 60, 70, 120]
bounds = [18, 120]

[columns.diagnosed_on]
type   = "date"
role   = ["group", "filter"]
bins   = "month"

[columns.grade]
type   = "text"
role   = ["group", "filter"]
values = ["1", "2", "3"]
code   = "http://snomed.info/sct|371469007"

[columns.meno]
type   = "boolean"
role   = ["group", "filter"]

[columns.relapse_free_days]
type   = "integer"
role   = "measure"

[columns.note]
type   = "text"

[filters.research_consent]
sql = "consent_research"
"#;

pub(crate) const BEDS: &str = r#"
id       = "beds"
title    = "Beds by district"
personal = false

[columns.district]
type = "text"
role = ["group", "filter"]

[columns.beds]
type = "integer"
role = "measure"
"#;

pub(crate) const POLICY: &str = r#"
id          = "breast-cancer-research"
version     = 3
title       = "Research and public-health statistics on the breast cancer cohorts"
collection  = "breast-cancer"
valid_from  = 2026-01-01
valid_until = 2027-12-31

[[permission]]
id        = "statistics"
assignee  = { roles = ["university", "public-health-office"] }
purposes  = ["ehds-53-1-c", "ehds-53-1-e"]
permit    = "none"
release   = "aggregates"
columns   = ["age", "grade"]
rows      = "research_consent"

[permission.disclosure]
tier       = "statistical"
min_people = 10

[[prohibition]]
id       = "no-insurance"
purposes = ["ehds-54-b"]
"#;

pub(crate) const BEDS_POLICY: &str = r#"
id          = "beds-open"
version     = 1
title       = "Beds are no secret"
collection  = "beds"
valid_from  = 2026-01-01
valid_until = 2026-12-31

[[permission]]
id         = "everybody"
assignee   = { roles = ["university", "hospital"] }
purposes   = ["ehds-53-1-a", "ehds-53-1-e"]
permit     = "none"
release    = "rows"
columns    = ["district", "beds", "node"]
disclosure = { tier = "open" }
"#;

/// Where [`with_rows`] puts its policy.
pub(crate) const ROWS_PATH: &str = "policies/breast-cancer-rows.toml";

/// Rows about people, in a policy of its own.
pub(crate) const ROWS_POLICY: &str = r#"
id          = "breast-cancer-rows"
version     = 1
title       = "Rows of the breast cancer cohorts under a data permit"
collection  = "breast-cancer"
valid_from  = 2026-01-01
valid_until = 2027-12-31

[[permission]]
id         = "rows"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "required"
release    = "rows"
columns    = ["age", "diagnosed_on", "grade"]
disclosure = { tier = "statistical", min_people = 10 }

[permission.transforms]
"#;

/// A data permit of Ada's, over ages and grades.
pub(crate) const PERMIT: &str = r#"
id          = "p-1"
space       = "oncology"
title       = "Age at diagnosis"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-02-01
holder      = "saarland-university"
persons     = ["saarland-university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-03-01
valid_until = 2026-12-31
opt_out     = "at-query"

[[dataset]]
collection = "breast-cancer"
columns    = ["age", "grade"]
"#;

/// The files of the data space.
#[derive(Clone)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
            .put("space.toml", SPACE)
            .put("members.toml", MEMBERS)
            .put("collections/breast-cancer.toml", COLLECTION)
            .put("collections/beds.toml", BEDS)
            .put("policies/breast-cancer-research.toml", POLICY)
            .put("policies/beds-open.toml", BEDS_POLICY)
    }

    pub(crate) fn put(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), text.as_bytes().to_owned());
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.0.remove(path);
        self
    }

    /// With the permit of Ada's, some of whose text is replaced.
    pub(crate) fn with_permit(self, edits: &[(&str, &str)]) -> Self {
        let files = self.put("permits/p-1.toml", PERMIT);
        edits
            .iter()
            .fold(files, |files, (from, to)| files.edit("permits/p-1.toml", from, to))
    }

    /// Replaces a piece of one file; the piece must be there.
    pub(crate) fn edit(self, path: &str, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.0[path].clone()).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.put(path, &text.replacen(from, to, 1))
    }

    pub(crate) fn compile(&self) -> Result<Rules, Report> {
        Rules::compile_files(7, Digest::of(b"targets"), &self.0)
    }

    pub(crate) fn rules(&self) -> Rules {
        self.compile()
            .unwrap_or_else(|report| panic!("{report}: {}", report.remedy))
    }
}

/// The files with rows about people, which have these transforms, each on a line.
pub(crate) fn with_rows(transforms: &str) -> Files {
    Files::new().put(ROWS_PATH, &format!("{ROWS_POLICY}{transforms}\n"))
}

/// Ada of Saarland University asks for research aggregates by age.
pub(crate) fn ada() -> AccessRequest {
    AccessRequest {
        caller: Caller {
            member: "saarland-university".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: ["university".parse().unwrap()].into(),
        },
        purpose: Some(Purpose::Research),
        permit: None,
        collection: "breast-cancer".parse().unwrap(),
        release: Release::Aggregates,
        columns: ["age".to_owned()].into(),
        asked: Asked::default(),
        at: "2026-11-21T12:00:00Z".parse().unwrap(),
    }
}

/// A models table in one line, with the end of the line.
pub(crate) fn models_table() -> impl Strategy<Value = String> {
    let seen = prop_oneof![(Just("plain"), 1..5_u32), (Just("masked"), 3..6_u32)];
    let share = prop_oneof![
        Just("0.05"),
        Just("0.1"),
        Just("0.2, reason = \"a pilot\""),
        Just("0.33, reason = \"a pilot\""),
    ];
    let overlaps = prop::sample::select(vec!["refuse", "allow"]);
    (seen, share, 24..27_u32, overlaps).prop_map(|((sum, nodes), share, steps, overlaps)| {
        format!(
            "models = {{ sum = {sum:?}, min_nodes = {nodes}, parameters = {share}, steps = {steps}, overlaps = {overlaps:?} }}\n"
        )
    })
}
