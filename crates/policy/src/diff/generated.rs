//! Every step by which a rule of a realistic data space can widen, made one at a time: each must be flagged, and the same step
//! back must not.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};
use trust::Digest;

use super::{Change, Effect, diff};
use crate::Rules;
use crate::example::{Files, MEMBERS};

const PURPOSES: [&str; 6] = [
    "ehds-53-1-a",
    "ehds-53-1-b",
    "ehds-53-1-c",
    "ehds-53-1-d",
    "ehds-53-1-e",
    "ehds-53-1-f",
];
const ROLES: [&str; 4] = ["hospital", "university", "public-health-office", "cancer-registry"];
const OTHER_KEY: &str = "ed25519:EOeIBMJjKTkmHIueiMI8IUrFI8IGpBda94vlgQ4WEPI";

const PERMIT: &str = r#"
id = "project"
space = "oncology"
title = "A project"
kind = "data-request"
issuer = "Health data access body"
issued = 2026-02-01
holder = "saarland-university"
persons = ["saarland-university/ada"]
purposes = ["ehds-53-1-e"]
valid_from = 2026-02-01
valid_until = 2027-06-30
withdrawn = 2027-01-31
queries = { per_minute = 3, per_week = 30 }
opt_out = "at-query"

[[dataset]]
collection = "COLLECTION"
columns = ["age"]
"#;

/// Rules of every kind beside each other, none of which gives what another gives.
const RICH: &str = r#"
id          = "rich"
version     = 1
title       = "Rules of every kind"
collection  = "breast-cancer"
valid_from  = 2026-01-01
valid_until = 2027-12-31

[[duty]]
action = "attribute"
text   = "Data: the study groups"

[[permission]]
id         = "strict"
assignee   = { roles = ["cancer-registry"] }
purposes   = ["ehds-53-1-f"]
permit     = "required"
release    = "aggregates"
columns    = ["age", "grade"]
rows       = "research_consent"
when       = [{ days = ["mon", "tue"], from = 08:00:00, until = 12:00:00, zone = "Europe/Berlin" }]
disclosure = { tier = "statistical", min_people = 8, p_percent = 10, round_to = 5, zeros = "protected", dominance = { top = 2, share = 0.8 }, queries = { per_minute = 2, per_week = 20 } }

[[permission.duty]]
action      = "delete"
within_days = 30

[[permission]]
id         = "named"
assignee   = { members = ["gbsg"], persons = ["gbsg/otto"] }
purposes   = ["ehds-53-1-d"]
permit     = "none"
release    = "aggregates"
columns    = ["grade", "meno", "node"]
disclosure = { tier = "statistical", min_people = 12 }

[[permission]]
id         = "rows"
assignee   = { roles = ["quality-institute"] }
purposes   = ["ehds-53-1-b"]
permit     = "required"
release    = "rows"
columns    = ["patient_id", "age", "diagnosed_on", "grade", "note", "meno"]
disclosure = { tier = "statistical", min_people = 12 }

[permission.transforms]
patient_id   = "pseudonym"
age          = "bins"
diagnosed_on = { truncate = "year" }
grade        = { prefix = 2 }
note         = "mask"

[[permission]]
id         = "models"
assignee   = { roles = ["modellers"] }
purposes   = ["ehds-53-1-a"]
permit     = "required"
release    = "models"
columns    = ["age", "meno"]
disclosure = { tier = "statistical", min_people = 12 }

[permission.models]
sum       = "masked"
min_nodes = 4

[[prohibition]]
id       = "no-hospital-by-menopause"
assignee = { members = ["gbsg"] }
purposes = ["ehds-53-1-d"]
columns  = ["meno"]
"#;

#[derive(Clone)]
struct Space(BTreeMap<String, Table>);

/// One step from one space to a wider one.
struct Step {
    name: String,
    before: Space,
    after: Space,
}

impl Space {
    fn new(files: Files) -> Self {
        let tables = files.0.iter().map(|(path, bytes)| {
            let text = std::str::from_utf8(bytes).unwrap();
            (path.clone(), text.parse().unwrap())
        });
        Self(tables.collect())
    }

    fn rules(&self, name: &str) -> Rules {
        let files = self
            .0
            .iter()
            .map(|(path, table)| (path.clone(), toml::to_string(table).unwrap().into_bytes()));
        Rules::compile_files(1, Digest::of(b""), &files.collect()).unwrap_or_else(|report| panic!("{name}: {report}"))
    }

    fn paths(&self, folder: &str) -> Vec<String> {
        self.0.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    }
}

/// What the repository ships, and what the tests of this crate use.
fn spaces() -> Vec<(&'static str, Space)> {
    let shipped = |folder: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../policies")
            .join(folder);
        let mut files = Files(BTreeMap::new())
            .put("space.toml", crate::example::SPACE)
            .put("members.toml", MEMBERS);
        for kind in ["collections", "policies"] {
            for entry in std::fs::read_dir(root.join(kind)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let is_aid = name.ends_with(".cases.toml") || !name.ends_with(".toml");
                if !is_aid {
                    files = files.put(&format!("{kind}/{name}"), &std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        files
    };
    let permit = |collection: &str| PERMIT.replace("COLLECTION", collection);
    let example = Files::new()
        .put("policies/rich.toml", RICH)
        .put("permits/project.toml", &permit("breast-cancer"));
    let oncology = shipped("oncology").put("permits/project.toml", &permit("lung-cancer"));
    let template = shipped("template").put("permits/project.toml", &permit("example-registry"));
    vec![
        ("example", Space::new(example)),
        ("oncology", Space::new(oncology)),
        ("template", Space::new(template)),
    ]
}

fn list<'a>(table: &'a mut Table, key: &str) -> &'a mut Vec<Value> {
    table
        .entry(key)
        .or_insert_with(|| Value::Array(Vec::new()))
        .as_array_mut()
        .unwrap()
}

fn table(value: &mut Value) -> &mut Table {
    value.as_table_mut().unwrap()
}

fn texts(table: &Table, key: &str) -> Vec<String> {
    let items = table.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Steps made in one space.
struct Steps {
    of: &'static str,
    base: Space,
    all: Vec<Step>,
}

impl Steps {
    /// A step by which `path` says more than it said.
    fn wider(&mut self, name: &str, path: &str, edit: impl FnOnce(&mut Table)) {
        let mut after = self.base.clone();
        edit(after.0.get_mut(path).unwrap());
        let name = format!("{}: {path}: {name}", self.of);
        self.all.push(Step {
            name,
            before: self.base.clone(),
            after,
        });
    }

    /// A step by which `path` says less: from what it says without it.
    fn reversed(&mut self, name: &str, path: &str, edit: impl FnOnce(&mut Table)) {
        self.wider(name, path, edit);
        let step = self.all.last_mut().unwrap();
        std::mem::swap(&mut step.before, &mut step.after);
    }

    fn policy(&mut self, path: &str) {
        let policy = self.base.0[path].clone();
        self.wider("one day longer", path, |policy| {
            policy.insert("valid_until".to_owned(), day("2028-01-01"));
        });
        self.reversed("begins next month", path, |policy| {
            policy.insert("valid_from".to_owned(), day("2026-12-25"));
        });
        for at in 0..policy["permission"].as_array().unwrap().len() {
            self.permission(path, at);
        }
        for (at, rule) in policy
            .get("prohibition")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            self.prohibition(path, at, rule.as_table().unwrap());
        }
        if policy.contains_key("duty") {
            self.wider("duty of the policy dropped", path, |policy| {
                policy.remove("duty");
            });
        }
    }

    fn rule(&mut self, name: &str, path: &str, at: usize, edit: impl FnOnce(&mut Table)) {
        self.wider(&format!("permission {at}: {name}"), path, |policy| {
            edit(table(&mut list(policy, "permission")[at]))
        });
    }

    fn permission(&mut self, path: &str, at: usize) {
        let policy = self.base.0[path].clone();
        let rule = policy["permission"].as_array().unwrap()[at].as_table().unwrap().clone();
        let id = rule["id"].as_str().unwrap();
        self.reversed(&format!("permission {id} added"), path, |policy| {
            list(policy, "permission").remove(at);
        });
        for purpose in PURPOSES
            .iter()
            .filter(|purpose| !texts(&rule, "purposes").contains(&(**purpose).to_owned()))
        {
            self.rule(&format!("purpose {purpose}"), path, at, |rule| {
                list(rule, "purposes").push((*purpose).into())
            });
        }
        let collection = self.base.0[&format!("collections/{}.toml", policy["collection"].as_str().unwrap())].clone();
        let unused = collection["columns"]
            .as_table()
            .unwrap()
            .iter()
            .filter(|(name, column)| {
                let role = column.get("role");
                role.is_some_and(|role| role.as_str() != Some("identifier")) && !texts(&rule, "columns").contains(name)
            });
        for (column, _) in unused {
            self.rule(&format!("column {column}"), path, at, |rule| {
                list(rule, "columns").push(column.as_str().into())
            });
        }
        let assignee = rule["assignee"].as_table().unwrap();
        if assignee.contains_key("roles") {
            for role in ROLES
                .iter()
                .filter(|role| !texts(assignee, "roles").contains(&(**role).to_owned()))
            {
                self.rule(&format!("role {role}"), path, at, |rule| {
                    list(table(&mut rule["assignee"]), "roles").push((*role).into())
                });
            }
        }
        if assignee.contains_key("members") {
            self.rule("members dropped", path, at, |rule| {
                table(&mut rule["assignee"]).remove("members");
                table(&mut rule["assignee"]).insert(
                    "persons".to_owned(),
                    Value::Array(vec!["gbsg/otto".into(), "gbsg/ada".into()]),
                );
            });
        }
        if rule["permit"].as_str() == Some("required") && rule["release"].as_str() != Some("rows") {
            self.rule("permit none", path, at, |rule| {
                rule.insert("permit".to_owned(), "none".into());
            });
        }
        for key in ["rows", "duty", "when"]
            .into_iter()
            .filter(|key| rule.contains_key(*key))
        {
            self.rule(&format!("{key} dropped"), path, at, |rule| {
                rule.remove(key);
            });
        }
        if rule.contains_key("when") {
            self.rule("an hour longer", path, at, |rule| {
                let window = table(&mut list(rule, "when")[0]);
                let until: toml::value::Datetime = "21:00:00".parse().unwrap();
                window.insert("until".to_owned(), Value::Datetime(until));
            });
            self.rule("on Sundays too", path, at, |rule| {
                list(table(&mut list(rule, "when")[0]), "days").push("sun".into())
            });
        }
        self.disclosure(path, at, rule["disclosure"].as_table().unwrap());
        self.transforms(path, at, &rule);
        self.models(path, at, &rule);
        for (number, duty) in rule
            .get("duty")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            if let Some(days) = duty.get("within_days").and_then(Value::as_integer) {
                self.rule(&format!("duty {number} a day later"), path, at, |rule| {
                    table(&mut list(rule, "duty")[number]).insert("within_days".to_owned(), (days + 1).into());
                });
            }
        }
    }

    /// Each transform of a permission of rows dropped, changed, and made of a column that had none.
    fn transforms(&mut self, path: &str, at: usize, rule: &Table) {
        if rule["release"].as_str() != Some("rows") {
            return;
        }
        let transforms = rule
            .get("transforms")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        let set = |name: &str, shown: &str| {
            let shown: Table = format!("shown = {shown}").parse().unwrap();
            let name = name.to_owned();
            move |rule: &mut Table| {
                let transforms = rule.entry("transforms").or_insert_with(|| Value::Table(Table::new()));
                table(transforms).insert(name, shown["shown"].clone());
            }
        };
        for (name, shown) in &transforms {
            // An identifier is there as a pseudonym or not at all.
            if name != "patient_id" {
                self.rule(&format!("{name} as it is"), path, at, |rule| {
                    table(&mut rule["transforms"]).remove(name);
                });
            }
            let others: &[&str] = match (shown.get("truncate"), shown.get("prefix"), shown.as_str()) {
                (Some(_), ..) => &["{ truncate = \"month\" }", "{ truncate = \"quarter\" }"],
                (_, Some(_), _) => &["{ prefix = 3 }", "\"pseudonym\""],
                (.., Some("bins")) => &["\"pseudonym\""],
                (.., Some("mask")) => &["{ prefix = 1 }", "\"pseudonym\""],
                _ => &[],
            };
            for other in others {
                self.rule(&format!("{name} as {other}"), path, at, set(name, other));
            }
        }
        for name in texts(rule, "columns") {
            if !transforms.contains_key(&name) && name != "node" {
                self.reversed(&format!("permission {at}: {name} masked"), path, |policy| {
                    set(&name, "\"mask\"")(table(&mut list(policy, "permission")[at]));
                });
            }
        }
    }

    fn models(&mut self, path: &str, at: usize, rule: &Table) {
        let set = |key: &'static str, value: Value| {
            move |rule: &mut Table| {
                table(rule.get_mut("models").unwrap()).insert(key.to_owned(), value);
            }
        };
        if rule["release"].as_str() == Some("aggregates") {
            self.rule("models too", path, at, |rule| {
                rule.insert("release".to_owned(), "models".into());
                rule.insert("models".to_owned(), Value::Table("sum = \"masked\"".parse().unwrap()));
            });
        }
        let Some(models) = rule.get("models").and_then(Value::as_table) else {
            return;
        };
        let number = |key: &str, otherwise| models.get(key).map_or(otherwise, |number| number.as_integer().unwrap());
        let nodes = number("min_nodes", 3);
        if nodes > 3 || models["sum"].as_str() == Some("plain") && nodes > 1 {
            self.rule("a node fewer", path, at, set("min_nodes", (nodes - 1).into()));
        }
        if models["sum"].as_str() == Some("masked") {
            self.rule("sums plain", path, at, set("sum", "plain".into()));
        }
        self.rule("a step more", path, at, set("steps", (number("steps", 25) + 1).into()));
        self.rule("overlaps allowed", path, at, set("overlaps", "allow".into()));
        self.rule("more parameters", path, at, |rule| {
            set("parameters", 0.2.into())(rule);
            set("reason", "a pilot".into())(rule);
        });
        if rule["release"].as_str() == Some("models") && rule["permit"].as_str() == Some("required") {
            self.rule("rows too", path, at, |rule| {
                rule.insert("release".to_owned(), "rows".into());
            });
        }
    }

    fn disclosure(&mut self, path: &str, at: usize, disclosure: &Table) {
        let set = |key: &'static str, value: i64| {
            move |rule: &mut Table| {
                table(&mut rule["disclosure"]).insert(key.to_owned(), value.into());
            }
        };
        let drop = |key: &'static str| {
            move |rule: &mut Table| {
                table(&mut rule["disclosure"]).remove(key);
            }
        };
        if let Some(people) = disclosure.get("min_people").and_then(Value::as_integer) {
            self.rule("one person fewer", path, at, set("min_people", people - 1));
        }
        for key in ["p_percent", "round_to"] {
            if let Some(number) = disclosure.get(key).and_then(Value::as_integer) {
                self.rule(&format!("{key} one less"), path, at, set(key, number - 1));
            }
        }
        for key in ["p_percent", "round_to", "zeros", "dominance", "queries"]
            .into_iter()
            .filter(|key| disclosure.contains_key(*key))
        {
            self.rule(&format!("{key} dropped"), path, at, drop(key));
        }
        for (key, most) in disclosure
            .get("queries")
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            let most = most.as_integer().unwrap();
            self.rule(&format!("{key} one more"), path, at, |rule| {
                table(&mut table(&mut rule["disclosure"])["queries"]).insert(key.clone(), (most + 1).into());
            });
        }
    }

    fn prohibition(&mut self, path: &str, at: usize, rule: &Table) {
        if texts(rule, "purposes")
            .iter()
            .any(|purpose| purpose.starts_with("ehds-54"))
        {
            // The regulation prohibits it whatever stands here.
            return;
        }
        let id = rule["id"].as_str().unwrap();
        self.wider(&format!("prohibition {id} removed"), path, |policy| {
            list(policy, "prohibition").remove(at);
        });
        self.wider(&format!("prohibition {id} on Mondays only"), path, |policy| {
            let window = "days = [\"mon\"]\nfrom = 08:00:00\nuntil = 09:00:00\nzone = \"Europe/Berlin\"\n";
            let window: Table = window.parse().unwrap();
            table(&mut list(policy, "prohibition")[at])
                .insert("when".to_owned(), Value::Array(vec![Value::Table(window)]));
        });
        self.wider(&format!("prohibition {id} for one institution only"), path, |policy| {
            let assignee: Table = "members = [\"nobody\"]".parse().unwrap();
            table(&mut list(policy, "prohibition")[at]).insert("assignee".to_owned(), Value::Table(assignee));
        });
    }

    /// What is done to a column matters if a permission names it.
    fn collection(&mut self, path: &str) {
        let collection = self.base.0[path].clone();
        let id = collection["id"].as_str().unwrap();
        let policies = self
            .base
            .0
            .iter()
            .filter(|(at, policy)| at.starts_with("policies") && policy["collection"].as_str() == Some(id));
        let rules: Vec<Value> = policies
            .flat_map(|(_, policy)| policy["permission"].as_array().unwrap().clone())
            .collect();
        let used: Vec<String> = rules
            .iter()
            .flat_map(|rule| texts(rule.as_table().unwrap(), "columns"))
            .collect();
        let columns = collection["columns"]
            .as_table()
            .unwrap()
            .iter()
            .filter(|(name, _)| used.contains(name));
        for (name, column) in columns {
            let edit = |edit: Box<dyn FnOnce(&mut Table)>| {
                let name = name.clone();
                move |file: &mut Table| edit(table(&mut table(&mut file["columns"])[&name]))
            };
            if column
                .get("values")
                .and_then(Value::as_array)
                .is_some_and(|values| values[0].is_str())
            {
                self.wider(
                    &format!("{name}: a value"),
                    path,
                    edit(Box::new(|column| list(column, "values").push("more".into()))),
                );
            }
            if column.get("bins").is_some_and(Value::is_array) {
                self.wider(
                    &format!("{name}: a bin split"),
                    path,
                    edit(Box::new(|column| {
                        let bins = list(column, "bins");
                        let (low, high) = (bins[0].as_integer().unwrap(), bins[1].as_integer().unwrap());
                        bins.insert(1, Value::Float((low + high) as f64 / 2.0));
                        bins.iter_mut()
                            .filter(|edge| edge.is_integer())
                            .for_each(|edge| *edge = Value::Float(edge.as_integer().unwrap() as f64));
                    })),
                );
            }
            if column.get("bounds").is_some() {
                self.wider(
                    &format!("{name}: wider bounds"),
                    path,
                    edit(Box::new(|column| {
                        let bounds = list(column, "bounds");
                        let high = bounds[1].as_integer().unwrap();
                        bounds[1] = (high + 1).into();
                    })),
                );
            }
            let roles = texts(column.as_table().unwrap(), "role");
            if roles.contains(&"filter".to_owned()) {
                self.reversed(
                    &format!("{name}: role filter"),
                    path,
                    edit(Box::new(|column| {
                        list(column, "role").retain(|role| role.as_str() != Some("filter"));
                    })),
                );
            }
        }
        if let Some(rows) = collection.get("rows_per_person_max").and_then(Value::as_integer) {
            self.wider("one row more of a person", path, |file| {
                file.insert("rows_per_person_max".to_owned(), (rows + 1).into());
            });
        }
    }

    fn members(&mut self) {
        let path = "members.toml";
        for at in 0..3 {
            self.wider(&format!("member {at}: a role"), path, |roster| {
                list(table(&mut list(roster, "member")[at]), "roles").push("insurer".into())
            });
            let roles = |roster: &mut Table| texts(table(&mut list(roster, "member")[at]), "roles");
            if !roles(&mut self.base.0[path].clone()).contains(&"public-body".to_owned()) {
                self.wider(&format!("member {at}: a public body"), path, |roster| {
                    list(table(&mut list(roster, "member")[at]), "roles").push("public-body".into());
                });
            }
            self.reversed(&format!("member {at} added"), path, |roster| {
                list(roster, "member").remove(at);
            });
            self.wider(&format!("member {at}: key changed"), path, |roster| {
                table(&mut list(roster, "member")[at]).insert("key".to_owned(), OTHER_KEY.into());
            });
        }
        self.wider("a stop lifted", "space.toml", |space| {
            list(space, "lifted").push(Digest::of(b"stop").to_string().into());
        });
    }

    fn permit(&mut self) {
        let path = "permits/project.toml";
        let pairs: [(&str, Value); 4] = [
            ("kind", "data-permit".into()),
            ("linkage", true.into()),
            ("acts_for", "Ministry of Health".into()),
            ("opt_out", "at-issue".into()),
        ];
        for (key, value) in pairs {
            self.wider(key, path, |permit| {
                permit.insert(key.to_owned(), value);
            });
        }
        self.wider("exempt", path, |permit| {
            permit.insert("opt_out".to_owned(), "exempt".into());
            permit.insert("opt_out_reason".to_owned(), "Section 7".into());
        });
        for key in ["withdrawn", "queries"] {
            self.wider(&format!("{key} removed"), path, |permit| {
                permit.remove(key);
            });
        }
        self.wider("withdrawn a day later", path, |permit| {
            permit.insert("withdrawn".to_owned(), day("2027-02-01"));
        });
        self.wider("a person", path, |permit| {
            list(permit, "persons").push("gbsg/otto".into())
        });
        self.wider("a purpose", path, |permit| {
            list(permit, "purposes").push("ehds-53-1-d".into())
        });
        self.wider("a column", path, |permit| {
            list(table(&mut list(permit, "dataset")[0]), "columns").push("grade".into())
        });
        self.wider("a query more in a week", path, |permit| {
            table(&mut permit["queries"]).insert("per_week".to_owned(), 31.into());
        });
    }
}

fn day(text: &str) -> Value {
    Value::Datetime(text.parse().unwrap())
}

fn steps() -> Vec<Step> {
    let mut all = Vec::new();
    for (of, base) in spaces() {
        let mut steps = Steps {
            of,
            base,
            all: Vec::new(),
        };
        for path in steps.base.paths("policies/") {
            steps.policy(&path);
        }
        for path in steps.base.paths("collections/") {
            steps.collection(&path);
        }
        steps.members();
        steps.permit();
        all.append(&mut steps.all);
    }
    all
}

fn found(before: &Rules, after: &Rules) -> Vec<Change> {
    diff(before, after, "2026-11-24T09:00:00Z".parse().unwrap())
}

fn widening(changes: &[Change]) -> Vec<&Change> {
    changes
        .iter()
        .filter(|change| change.effect == Effect::Widens)
        .collect()
}

/// Steps that look wider and give nobody anything, because of another rule: a part of the name, and why.
const IDLE: [(&str, &str); 2] = [
    ("prohibition no-ranking", "no permission to improve care lists the node"),
    ("prohibition no-rows", "no permission releases rows"),
];

/// Steps that widen in both directions: a part of the name, and why.
const BOTH_WAYS: [(&str, &str); 25] = [
    (
        "oncology: policies/breast-cancer-research.toml: permission 1: models too",
        "then `models` of breast-cancer-models answers, with plain sums",
    ),
    (
        "example: policies/breast-cancer-research.toml: permission 0: purpose ehds-53-1-a",
        "then `models` answers, of all rows",
    ),
    (
        "rich.toml: permission 0: purpose ehds-53-1-a",
        "then `models` answers, without the checks of `strict`",
    ),
    (
        "rich.toml: permission 3: purpose ehds-53-1-b",
        "then `rows` answers, and models that come with rows have no rules of their own",
    ),
    (
        "example: policies/breast-cancer-research.toml: permission 0: purpose ehds-53-1-b",
        "then `rows` answers, of all rows",
    ),
    (
        "rich.toml: permission 0: purpose ehds-53-1-b",
        "then `rows` answers, without the checks of `strict`",
    ),
    (
        "grade as \"pseudonym\"",
        "a pseudonym and a prefix each say something that the other does not",
    ),
    (
        "age as \"pseudonym\"",
        "a pseudonym and a range each say something that the other does not",
    ),
    (
        "key changed",
        "whoever has the key that came is somebody else than whoever has the one that went",
    ),
    (
        "round_to one less",
        "multiples of 4 and multiples of 5 each say something that the others do not",
    ),
    // Of several permissions the one for the smallest groups answers. Where it ends, another one answers the same request,
    // about larger groups and without the row filter or the duties of the first.
    ("breast-cancer-research.toml: permission small-groups added", STATISTICS),
    (
        "breast-cancer-research.toml: permission 1: per_minute one more",
        STATISTICS,
    ),
    (
        "breast-cancer-research.toml: permission 1: per_week one more",
        STATISTICS,
    ),
    ("breast-cancer-research.toml: permission 1: queries dropped", STATISTICS),
    ("breast-cancer-research.toml: permission 1: permit none", STATISTICS),
    (
        "breast-cancer-research.toml: permission 1: purpose ehds-53-1-c",
        STATISTICS,
    ),
    (
        "breast-cancer-research.toml: permission 1: role public-health-office",
        STATISTICS,
    ),
    (
        "breast-cancer-research.toml: permission 1: role cancer-registry",
        STATISTICS,
    ),
    ("breast-cancer-research.toml: permission 1: role hospital", STATISTICS),
    (
        "breast-cancer-research.toml: permission 1: purpose ehds-53-1-f",
        "then `care-in-working-hours` answers, with another duty",
    ),
    (
        "example: policies/breast-cancer-research.toml: permission 0: purpose ehds-53-1-d",
        "then `named` answers, of all rows",
    ),
    (
        "permits/project.toml: opt_out",
        "who opted out before the permit was issued and took it back since is there again",
    ),
    ("rich.toml: permission 0: purpose ehds-53-1-c", STATISTICS),
    (
        "rich.toml: permission 0: purpose ehds-53-1-d",
        "then `named` answers, of all rows",
    ),
    ("rich.toml: permission 0: purpose ehds-53-1-e", STATISTICS),
];

const STATISTICS: &str = "then `statistics` answers, without the duties";

fn is_one_of(name: &str, parts: &[(&str, &str)]) -> bool {
    parts.iter().any(|(part, _)| name.contains(part))
}

#[test]
fn every_widening_step_is_flagged_and_no_step_back_is() {
    let steps = steps();
    assert!(steps.len() >= 200, "{} steps", steps.len());
    let mut wrong = Vec::new();
    for step in &steps {
        let (before, after) = (step.before.rules(&step.name), step.after.rules(&step.name));
        let forth = found(&before, &after);
        if widening(&forth).is_empty() != is_one_of(&step.name, &IDLE) {
            wrong.push(format!("forth: {}: {forth:#?}", step.name));
        }
        let back = found(&after, &before);
        assert!(!back.is_empty(), "{}: nothing found", step.name);
        if widening(&back).is_empty() == is_one_of(&step.name, &BOTH_WAYS) {
            wrong.push(format!("back: {}: {back:#?}", step.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn one_step_is_told_in_one_or_two_changes() {
    for step in steps() {
        let changes = found(&step.before.rules(&step.name), &step.after.rules(&step.name));
        assert!(changes.len() <= 2, "{}: {changes:#?}", step.name);
        for change in &changes {
            assert!(change.en.len() > 10 && change.de != change.en, "{change:?}");
        }
    }
}
