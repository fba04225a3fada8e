//! The gateway of one data space as the source of a node of another: what one let out becomes a table of the other, whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use federation::gateway::{Listener, Options, Token};
use federation::{Asker, Gateway, Profile};
use serde_json::json;
use terms::SystemClock;
use tokio_util::sync::CancellationToken;

use super::{Run, Sandbox, datenraum, project};

const CLINICS: &str = r#"
space       = "clinic"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies    = ["policies/stays-statistics.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "stays", FIRST }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
datasets = [{ collection = "stays", SECOND }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const FILES: [&str; 2] = ["path = \"a.csv\"", "path = \"b.csv\""];
const MADE_UP: &str = "synthetic = { people = 50, seed = 1 }";

const TOWN: &str = r#"
space       = "town"
board       = { members = 3, threshold = 2 }
collections = ["collections/wards.toml"]
policies    = ["policies/wards.toml"]

[[node]]
id       = "office"
roles    = ["public-health-office"]
datasets = [{ collection = "wards", path = "wards.csv" }]

[[person]]
id     = "eve"
member = "university"
roles  = ["university"]
"#;

const WARDS: &str = r#"
id       = "wards"
title    = "Stays by ward"
personal = false
key      = "ward"

[columns.ward]
type = "text"
role = ["group", "filter"]

[columns.stays]
type = "integer"
role = "measure"

[columns.days]
type = "number"
role = "measure"
"#;

const OPEN: &str = r#"
id          = "wards"
version     = 1
title       = "Wards are no secret"
collection  = "wards"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "open"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["ward", "stays", "days"]
disclosure = { tier = "open" }
"#;

const BY_WARD: &str = "SELECT ward, count(*) AS stays, avg(days) AS days FROM stays GROUP BY ward";
const TOLD: &str = "SELECT ward, sum(stays) AS stays, sum(days) AS days FROM wards GROUP BY ward ORDER BY ward";

/// A gateway in front of the clinics, and a town whose office reads from it.
struct Both {
    clinics: Sandbox,
    town: Sandbox,
    address: String,
    token: PathBuf,
    stop: CancellationToken,
}

/// `wards` has a number of stays for each ward.
fn stays(first: usize, wards: &[(&str, usize)]) -> String {
    let wards = wards.iter().flat_map(|(ward, stays)| vec![*ward; *stays]);
    let rows = (first..)
        .zip(wards)
        .map(|(person, ward)| format!("p{person},{ward},{}\n", person % 5));
    format!("patient_id,ward,days\n{}", rows.collect::<String>())
}

impl Both {
    async fn up(sources: [&str; 2], b: &str) -> Self {
        let own = |path: &str| fs::read_to_string(project().join("examples/own").join(path)).unwrap();
        let (collection, policy) = (own("collections/stays.toml"), own("policies/stays-statistics.toml"));
        let (spec, a) = (
            CLINICS.replace("FIRST", sources[0]).replace("SECOND", sources[1]),
            stays(0, &[("surgery", 30), ("medicine", 20)]),
        );
        let (clinics, run) = Sandbox::of(&[
            ("spec.toml", &spec),
            ("collections/stays.toml", &collection),
            ("policies/stays-statistics.toml", &policy),
            ("a.csv", &a),
            ("b.csv", b),
        ]);
        run.returns(0);
        let (town, run) = Sandbox::of(&[
            ("spec.toml", TOWN),
            ("collections/wards.toml", WARDS),
            ("policies/wards.toml", OPEN),
            ("wards.csv", "ward,stays,days\nnone,0,0\n"),
        ]);
        run.returns(0);
        let profile = Profile::load(&clinics.dir().join("people/ada/person.toml")).unwrap();
        let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
        let options = Options {
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            ..Options::default()
        };
        let token = town.place().join("gateway.token");
        let known = Token::of_file(&token).unwrap();
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.bound().to_string(), CancellationToken::new());
        tokio::spawn(Gateway::new(asker, options).serve(listener, known, stop.clone()));
        Self {
            clinics,
            town,
            address,
            token,
            stop,
        }
    }

    /// Adds what a description asks of the gateway.
    async fn add(&self, rest: &str) -> Run {
        let text = format!("[flight]\nurl = \"grpc+tcp://{}\"\n{rest}\n", self.address);
        let source = self.town.place().join("clinics.toml");
        fs::write(&source, text).unwrap();
        let config = self.town.dir().join("nodes/office/node.toml");
        let words = [
            "node",
            "dataset",
            "add",
            source.to_str().unwrap(),
            "--collection",
            "wards",
            "--config",
        ];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = [words, vec![config.to_str().unwrap().to_owned()]].concat();
        // The gateway answers meanwhile.
        tokio::task::spawn_blocking(|| datenraum(words)).await.unwrap()
    }

    async fn ask(&self, sql: &str) -> Run {
        self.add(&format!("token_file = \"gateway.token\"\nquery = \"{sql}\""))
            .await
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_answers_is_published_whole_in_another_data_space_or_not_at_all() {
    let both = Both::up(FILES, &stays(50, &[("surgery", 10), ("medicine", 15)])).await;
    // Who has no token, and what is no question of a data space.
    both.add(&format!("query = \"{BY_WARD}\""))
        .await
        .fails_with("E_SOURCE_DENIED", "does not let us in");
    let stranger = both.town.place().join("stranger.token");
    fs::write(&stranger, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(&stranger, fs::Permissions::from_mode(0o600)).unwrap();
    let with = |rest: &str| format!("token_file = \"stranger.token\"\n{rest}");
    both.add(&with(&format!("query = \"{BY_WARD}\"")))
        .await
        .fails_with("E_SOURCE_DENIED", "does not let us in");
    // Rows of people are behind the gateway what they are without it.
    let rows = both.ask("SELECT ward, days AS stays, days FROM stays").await;
    rows.fails_with("E_SOURCE_DENIED", "does not allow it");
    // Tokens and passwords.
    both.ask(BY_WARD).await.returns(0);
    let password = "user = \"anybody\"\npassword_file = \"gateway.token\"";
    both.add(&format!("{password}\nquery = \"{BY_WARD}\"")).await.returns(0);
    assert!(both.token.is_file());
    let down = |sandbox: &Sandbox, node: &str| {
        datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", node]).returns(0);
    };
    let answers = || {
        down(&both.town, "office");
        both.town.up_again(&both.town.place().join("spec.toml")).returns(0);
        both.town.ask(TOLD)["rows"].clone()
    };
    let average = |people: std::ops::Range<usize>, more: std::ops::Range<usize>| {
        let days: Vec<usize> = people.chain(more).map(|person| person % 5).collect();
        days.iter().sum::<usize>() as f64 / days.len() as f64
    };
    let whole = json!([
        ["medicine", 35, average(30..50, 60..75)],
        ["surgery", 40, average(0..30, 50..60)]
    ]);
    assert_eq!(answers(), whole);
    // One clinic is missing: nothing is published, and what was there stays.
    down(&both.clinics, "clinic-b");
    let partial = both.ask(BY_WARD).await;
    assert_ne!(partial.code(), 0);
    assert!(partial.err().contains("E_SOURCE_"), "{}", partial.err());
    assert_eq!(answers(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lacks_something_or_is_of_nobody_is_not_published_as_if_it_were_whole() {
    // At the second clinic both wards are withheld.
    let both = Both::up(FILES, &stays(50, &[("surgery", 2), ("medicine", 2)])).await;
    both.ask(BY_WARD)
        .await
        .fails_with("E_WITHHELD", "values that lack what nodes withheld");
    let both = Both::up([MADE_UP; 2], "").await;
    both.ask(BY_WARD).await.fails_with("E_MIXED", "of made-up people");
    let marked = BY_WARD.replace(
        " FROM stays",
        ", true AS datenraum_synthetic FROM stays WHERE ward IN ('surgery', 'medicine')",
    );
    let added = both.ask(&marked).await.returns(0).out();
    assert!(added.contains("made-up people"), "{added}");
}
