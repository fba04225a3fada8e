//! People who opt out or do not consent are gone from the next answer, also from that of a node that runs.

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
columns    = ["ward", "days"]
disclosure = { tier = "statistical", min_people = 3 }

[[permission]]
id         = "with-consent"
assignee   = { roles = ["institute"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["ward", "days"]
rows       = "broad_consent"
disclosure = { tier = "statistical", min_people = 3 }
"#;

fn permit(id: &str, opt_out: &str) -> String {
    format!(
        "id = \"{id}\"\nspace = \"clinic\"\ntitle = \"Length of stay, {id}\"\nkind = \"data-request\"\n\
         issuer = \"Health data access body\"\nissued = 2026-02-01\nholder = \"university\"\n\
         persons = [\"university/ada\"]\npurposes = [\"ehds-53-1-e\"]\n\
         valid_from = 2026-02-01\nvalid_until = 2099-12-31\n{opt_out}\n\
         [[dataset]]\ncollection = \"stays\"\ncolumns = [\"ward\", \"days\"]\n"
    )
}

/// Ten people in surgery and ten in medicine, one stay of `person` days each.
fn stays() -> String {
    let rows = (1..=20).map(|person| {
        let ward = if person <= 10 { "surgery" } else { "medicine" };
        format!("{person},{ward},{person}\n")
    });
    format!("patient_id,ward,days\n{}", rows.collect::<String>())
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

/// Counts and sums by ward, as ada or ben asks.
fn by_ward(sandbox: &Sandbox, person: &str, more: &[&str]) -> Value {
    let sql = "SELECT ward, count(*) AS n, sum(days) AS days FROM stays GROUP BY ward ORDER BY ward";
    let words = ["--purpose", "ehds-53-1-e", "--as", person, "--format", "json"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    sandbox.query(sql, &words).returns(0).json()["rows"].clone()
}

#[test]
fn opt_outs_and_consents_act_on_the_next_query_of_a_running_node() {
    let sandbox = clinic();
    let everybody = json!([["medicine", 10, 155], ["surgery", 10, 55]]);
    assert_eq!(by_ward(&sandbox, "ada", &[]), everybody);

    // Person 10 opts out today: gone, but not for a permit that was issued before, nor for one that the law excepts.
    node(&sandbox, &["opt-out", "add", "10"]).returns(0);
    assert_eq!(
        by_ward(&sandbox, "ada", &[]),
        json!([["medicine", 10, 155], ["surgery", 9, 45]])
    );
    assert_eq!(by_ward(&sandbox, "ada", &["--permit", "before"]), everybody);
    assert_eq!(by_ward(&sandbox, "ada", &["--permit", "exempt"]), everybody);

    // Person 20 said so before the permit was issued.
    node(&sandbox, &["opt-out", "add", "20", "--at", "2026-01-15"]).returns(0);
    assert_eq!(
        by_ward(&sandbox, "ada", &["--permit", "before"]),
        json!([["medicine", 9, 135], ["surgery", 10, 55]])
    );

    // Taken back: there again, and the register keeps both times.
    node(&sandbox, &["opt-out", "withdraw", "10", "20"]).returns(0);
    assert_eq!(by_ward(&sandbox, "ada", &[]), everybody);
    let register = node(&sandbox, &["--json", "opt-out", "list"]).returns(0).json();
    assert_eq!(register.as_array().unwrap().len(), 2);
    assert_eq!(register[1]["made"], "2026-01-15T00:00:00Z");
    assert!(register[0]["withdrawn"].is_string() && register[1]["withdrawn"].is_string());

    // Whoever needs consent sees nobody until the clinic has said who gave it.
    assert_eq!(by_ward(&sandbox, "ben", &[]), json!([]));
    let code = "2.16.840.1.113883.3.1937.777.24.5.3.8";
    let consents = (1..=8).map(|person| format!("{person},{code},permit,2025-01-01,2099-01-01\n"));
    let expired = format!("9,{code},permit,2020-01-01,2025-01-01\n1,{code},deny,2025-06-01,2099-01-01\n");
    let file = sandbox.place().join("consents.csv");
    let text = format!(
        "person,code,decision,valid_from,valid_until\n{}{expired}",
        consents.collect::<String>()
    );
    std::fs::write(&file, text).unwrap();
    node(&sandbox, &["consent", "import", file.to_str().unwrap()]).returns(0);
    // Of the eight with a permission, person 1 denies; person 9's has run out.
    assert_eq!(by_ward(&sandbox, "ben", &[]), json!([["surgery", 7, 35]]));
    node(&sandbox, &["opt-out", "add", "8"]).returns(0);
    assert_eq!(by_ward(&sandbox, "ben", &[]), json!([["surgery", 6, 27]]));
    assert_eq!(
        by_ward(&sandbox, "ada", &[]),
        json!([["medicine", 10, 155], ["surgery", 9, 47]])
    );
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
