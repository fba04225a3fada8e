//! People who opt out or do not consent are in no answer to a question that is new, also at a node that runs; one that was
//! answered before is answered as before, until so many differ that nobody is exposed by the difference (docs/disclosure.md, 4).
//!
//! Values are compared by statistic, whatever the conditions, so each step that is to be new asks for another one.

use serde_json::{Value, json};

use super::{Run, Sandbox, datenraum};

const SPEC: &str = r#"
space       = "clinic"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies    = ["policies/stays-statistics.toml"]
permits     = ["permits/before.toml", "permits/exempt.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]

[[person]]
id     = "ben"
member = "institute"
roles  = ["institute"]
"#;

const COLLECTION: &str = r#"
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "integer"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine"]

[columns.days]
type   = "integer"
role   = ["measure"]
bounds = [0, 365]

[columns.meals]
type   = "integer"
role   = ["measure"]
bounds = [0, 2000]

[filters.broad_consent]
consent = ["2.16.840.1.113883.3.1937.777.24.5.3.8"]
"#;

const POLICY: &str = r#"
id          = "stays-statistics"
version     = 1
title       = "Statistics on stays"
collection  = "stays"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "statistics"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["ward", "days", "meals"]
disclosure = { tier = "statistical", min_people = 3 }

[[permission]]
id         = "with-consent"
assignee   = { roles = ["institute"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["ward", "days", "meals"]
rows       = "broad_consent"
disclosure = { tier = "statistical", min_people = 3 }
"#;

fn permit(id: &str, opt_out: &str) -> String {
    format!(
        "id = \"{id}\"\nspace = \"clinic\"\ntitle = \"Length of stay, {id}\"\nkind = \"data-request\"\n\
         issuer = \"Health data access body\"\nissued = 2026-02-01\nholder = \"university\"\n\
         persons = [\"university/ada\"]\npurposes = [\"ehds-53-1-e\"]\n\
         valid_from = 2026-02-01\nvalid_until = 2099-12-31\n{opt_out}\n\
         [[dataset]]\ncollection = \"stays\"\ncolumns = [\"ward\", \"days\", \"meals\"]\n"
    )
}

/// Ten people in surgery and ten in medicine, one stay of `person` days each.
fn stays() -> String {
    let rows = (1..=20).map(|person| {
        let ward = if person <= 10 { "surgery" } else { "medicine" };
        format!("{person},{ward},{person},{}\n", 3 * person)
    });
    format!("patient_id,ward,days,meals\n{}", rows.collect::<String>())
}

fn clinic() -> Sandbox {
    let (before, exempt) = (
        permit("before", "opt_out = \"at-issue\""),
        permit(
            "exempt",
            "opt_out = \"exempt\"\nopt_out_reason = \"Section 1 of the register act\"",
        ),
    );
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/stays.toml", COLLECTION),
        ("policies/stays-statistics.toml", POLICY),
        ("permits/before.toml", &before),
        ("permits/exempt.toml", &exempt),
        ("stays.csv", &stays()),
    ]);
    run.returns(0);
    sandbox
}

fn node(sandbox: &Sandbox, words: &[&str]) -> Run {
    let config = sandbox.dir().join("nodes/clinic-a/node.toml");
    let more = ["--collection", "stays", "--config", config.to_str().unwrap()];
    datenraum(["node"].iter().chain(words).chain(&more))
}

/// One statistic by ward, medicine first, as ada or ben asks.
fn by_ward(sandbox: &Sandbox, person: &str, statistic: &str, more: &[&str]) -> Value {
    let sql = format!("SELECT ward, {statistic} AS value FROM stays GROUP BY ward ORDER BY ward");
    let words = ["--purpose", "ehds-53-1-e", "--as", person, "--format", "json"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    sandbox.query(&sql, &words).returns(0).json()["rows"].clone()
}

fn wards(medicine: i64, surgery: i64) -> Value {
    json!([["medicine", medicine], ["surgery", surgery]])
}

#[test]
fn whoever_opts_out_is_in_no_new_answer_and_no_difference_exposes_them() {
    let sandbox = clinic();
    assert_eq!(by_ward(&sandbox, "ada", "sum(days)", &[]), wards(155, 55));

    node(&sandbox, &["opt-out", "add", "10"]).returns(0);
    // Not asked before: person 10 is gone.
    assert_eq!(by_ward(&sandbox, "ada", "count(*)", &[]), wards(10, 9));
    // Asked before: 55 and then 45 would say that person 10 stayed for ten days. Other conditions make it no other question.
    assert_eq!(by_ward(&sandbox, "ada", "sum(days)", &[]), wards(155, 55));
    let surgery = "SELECT sum(days) AS value FROM stays WHERE ward = 'surgery'";
    let words = ["--purpose", "ehds-53-1-e", "--as", "ada", "--format", "json"];
    let surgery = sandbox.query(surgery, &words).returns(0).json();
    assert_eq!(surgery["rows"], json!([[55]]));

    // Seven have opted out, more than the three people of the policy: of just three, two could fall into one slot of a sketch.
    node(&sandbox, &["opt-out", "add", "4", "5", "6", "7", "8", "9"]).returns(0);
    assert_eq!(by_ward(&sandbox, "ada", "sum(days)", &[]), wards(155, 6));
}

#[test]
fn a_permit_says_which_opt_outs_count() {
    let sandbox = clinic();
    // Person 10 says so today; person 20 said so before the permit `before` was issued. Nothing was asked until now.
    node(&sandbox, &["opt-out", "add", "10"]).returns(0);
    node(&sandbox, &["opt-out", "add", "20", "--at", "2026-01-15"]).returns(0);
    let (before, exempt) = (&["--permit", "before"], &["--permit", "exempt"]);
    assert_eq!(by_ward(&sandbox, "ada", "count(*)", &[]), wards(9, 9));
    assert_eq!(by_ward(&sandbox, "ada", "sum(days)", before), wards(135, 55));
    assert_eq!(by_ward(&sandbox, "ada", "count(meals)", exempt), wards(10, 10));
    // Under which permit makes no difference to what was answered before.
    assert_eq!(by_ward(&sandbox, "ada", "count(*)", exempt), wards(9, 9));

    // Taken back: there again, and the register keeps both times.
    node(&sandbox, &["opt-out", "withdraw", "10", "20"]).returns(0);
    let words = ["--purpose", "ehds-53-1-e", "--as", "ada", "--format", "json"];
    let all = sandbox
        .query("SELECT sum(days) AS value FROM stays", &words)
        .returns(0)
        .json();
    assert_eq!(all["rows"], json!([[210]]));
    // Rows of which the ward is known are rows, and these were counted before.
    assert_eq!(by_ward(&sandbox, "ada", "count(ward)", &[]), wards(9, 9));
    let register = node(&sandbox, &["--json", "opt-out", "list"]).returns(0).json();
    assert_eq!(register.as_array().unwrap().len(), 2);
    assert_eq!(register[1]["made"], "2026-01-15T00:00:00Z");
    assert!(register[0]["withdrawn"].is_string() && register[1]["withdrawn"].is_string());
}

#[test]
fn whoever_needs_consent_sees_only_those_who_gave_it() {
    let sandbox = clinic();
    // Nobody, until the clinic has said who gave it.
    assert_eq!(by_ward(&sandbox, "ben", "sum(days)", &[]), json!([]));
    let code = "2.16.840.1.113883.3.1937.777.24.5.3.8";
    let consents = (1..=8).chain(11..=18);
    let consents = consents.map(|person| format!("{person},{code},permit,2025-01-01,2099-01-01\n"));
    let expired = format!("9,{code},permit,2020-01-01,2025-01-01\n1,{code},deny,2025-06-01,2099-01-01\n");
    let file = sandbox.place().join("consents.csv");
    let text = format!(
        "person,code,decision,valid_from,valid_until\n{}{expired}",
        consents.collect::<String>()
    );
    std::fs::write(&file, text).unwrap();
    node(&sandbox, &["consent", "import", file.to_str().unwrap()]).returns(0);
    // Of the eight in surgery with a permission, person 1 denies; person 9's has run out.
    assert_eq!(by_ward(&sandbox, "ben", "sum(days)", &[]), wards(116, 35));
    node(&sandbox, &["opt-out", "add", "8"]).returns(0);
    assert_eq!(by_ward(&sandbox, "ben", "count(*)", &[]), wards(8, 6));
    assert_eq!(by_ward(&sandbox, "ada", "count(meals)", &[]), wards(10, 9));
}

#[test]
fn a_register_that_cannot_be_changed_says_why_and_stays_as_it_is() {
    let sandbox = clinic();
    node(&sandbox, &["opt-out", "add", "1", "--at", "2099-01-01"]).fails_with("E_FILE_VALUE", "future");
    node(&sandbox, &["opt-out", "add", "1", "--at", "yesterday"]).fails_with("E_FILE_VALUE", "2026-11-01");
    let missing = sandbox.place().join("nobody.txt");
    node(&sandbox, &["opt-out", "add", "--file", missing.to_str().unwrap()]).fails_with("E_FILE_MISSING", "nobody.txt");
    let register = node(&sandbox, &["--json", "opt-out", "list"]).returns(0).json();
    assert_eq!(register, json!([]));
}
