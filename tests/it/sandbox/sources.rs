//! Databases and stores as sources: read, renewed, failing; and what an asker sees of that, which is nothing but older data.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use faults::Postgres;
use faults::store::{ACCESS_KEY, BUCKET, SECRET_KEY, Store};
use serde_json::{Value, json};

use super::{Run, Sandbox, datenraum};

const SPEC: &str = include_str!("../../../examples/own/spec.toml");
const STAYS: &str = include_str!("../../../examples/own/collections/stays.toml");
const POLICY: &str = include_str!("../../../examples/own/policies/stays-statistics.toml");

/// A value that must reach nobody.
const CANARY: &str = "Hs59vQw3";
const SQL: &str = "SELECT ward, count(*) AS n, sum(days) AS days FROM stays GROUP BY ward ORDER BY ward";

fn ward(row: usize) -> &'static str {
    ["surgery", "medicine"][row % 2]
}

/// Not the same for all: that would be withheld.
fn days(row: usize) -> usize {
    row / 2 % 5 + 1
}

/// The answer, where both wards are alike.
fn each(stays: u64, days: u64) -> Value {
    json!([["medicine", stays, days], ["surgery", stays, days]])
}

struct Clinic {
    sandbox: Sandbox,
    config: String,
}

impl Clinic {
    /// A node with ten stays in each of two wards that looks every second.
    fn up() -> Self {
        let rows = (0..20)
            .map(|row| format!("p{row},{},{}\n", ward(row), days(row)))
            .collect::<String>();
        let data = format!("patient_id,ward,days\n{rows}");
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", SPEC),
            ("collections/stays.toml", STAYS),
            ("policies/stays-statistics.toml", POLICY),
            ("stays.csv", &data),
        ]);
        run.returns(0);
        sandbox.down().returns(0);
        let config = sandbox.dir().join("nodes/clinic-a/node.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
        sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
        let config = config.to_str().unwrap().to_owned();
        Self { sandbox, config }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.sandbox.place().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn dataset(&self, words: &[&str]) -> Run {
        let all = ["node", "dataset"].iter().chain(words);
        datenraum(all.copied().chain(["--config", &self.config]))
    }

    fn add(&self, source: &Path) -> Run {
        self.dataset(&["add", source.to_str().unwrap(), "--collection", "stays"])
    }

    fn warnings(&self) -> String {
        let status = datenraum(["--json", "node", "status", "--config", &self.config]).json();
        status["warnings"].to_string()
    }

    /// The answer, once it is this one.
    #[track_caller]
    fn answers(&self, rows: &Value) {
        let begun = Instant::now();
        loop {
            let answer = self.sandbox.ask(SQL)["rows"].clone();
            if answer == *rows {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{answer} and not {rows}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    #[track_caller]
    fn is_told(&self, says: &str) {
        let begun = Instant::now();
        while !self.warnings().contains(says) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no {says:?} in {}",
                self.warnings()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn a_database_is_read_and_renewed_and_what_fails_leaves_the_old_answer() {
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    let database = server.database().unwrap();
    server
        .run(
            &database,
            "CREATE TABLE stays (patient_id int, ward text, days int, scan bytea);
             INSERT INTO stays SELECT n, CASE n % 2 WHEN 0 THEN 'surgery' ELSE 'medicine' END, (n - 1) / 2 % 5 + 1, '\\x00' FROM generate_series(1, 24) AS n",
        )
        .unwrap();
    let clinic = Clinic::up();
    let password = clinic.write("password", "loopback-only\n");
    let name = database.rsplit('/').next().unwrap();
    let source = clinic.write(
        "lab.toml",
        &format!(
            "[postgres]\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{name}\"\nuser = \"datenraum\"\npassword_file = \"password\"\ntable = \"stays\"\n",
            server.port()
        ),
    );
    clinic.add(&source).returns(0);
    clinic.answers(&each(12, 33));
    let guessed = clinic.dataset(&[
        "add",
        source.to_str().unwrap(),
        "--collection",
        "stays",
        "--guess",
        &format!("{}/m.toml", clinic.sandbox.place().display()),
    ]);
    assert!(guessed.returns(0).out().contains("collection = \"stays\""));
    let profile = clinic
        .dataset(&["add", source.to_str().unwrap(), "--collection", "stays", "--dry-run"])
        .returns(0)
        .out();
    assert!(profile.contains("24 rows of 24 people"), "{profile}");

    server
        .run(
            &database,
            "INSERT INTO stays SELECT n, CASE n % 2 WHEN 0 THEN 'surgery' ELSE 'medicine' END, (n - 1) / 2 % 5 + 1, NULL FROM generate_series(25, 44) AS n",
        )
        .unwrap();
    let renewed = clinic.dataset(&["refresh"]).returns(0).out();
    assert!(renewed.contains("stays: 44 rows"), "{renewed}");
    clinic.answers(&each(22, 63));

    // A value that does not fit, a password that does not, a table that is not there, nobody.
    server
        .run(&database, &format!("INSERT INTO stays VALUES (45, '{CANARY}', 1)"))
        .unwrap();
    let failures: [(&dyn Fn(), &str, &str); 4] = [
        (&|| (), "E_DATA_FORMAT", "row 45 of stays, column ward"),
        (
            &|| fs::write(&password, "wrong").unwrap(),
            "E_SOURCE_DENIED",
            "does not let datenraum in",
        ),
        (
            &|| {
                fs::write(&password, "loopback-only").unwrap();
                server.run(&database, "ALTER TABLE stays RENAME TO gone").unwrap();
            },
            "E_SOURCE_MISSING",
            "nothing by that name",
        ),
        (&|| server.stop().unwrap(), "E_SOURCE_UNREACHABLE", "does not answer"),
    ];
    for (fail, problem, says) in failures {
        fail();
        let refused = clinic.dataset(&["refresh", "stays"]);
        let all = refused.err() + &refused.out();
        assert!(!all.contains(CANARY) && !all.contains("loopback-only"), "{all}");
        refused.fails_with(problem, says);
        clinic.is_told(says);
        let warnings = clinic.warnings();
        assert!(
            warnings.contains("is stale") && !warnings.contains(CANARY) && !warnings.contains("loopback-only"),
            "{warnings}"
        );
        clinic.answers(&each(22, 63));
    }
    server.resume().unwrap();
    server
        .run(
            &database,
            &format!("ALTER TABLE gone RENAME TO stays; DELETE FROM stays WHERE ward = '{CANARY}'"),
        )
        .unwrap();
    clinic.dataset(&["refresh"]).returns(0);
    let begun = Instant::now();
    while clinic.warnings().contains("stale") && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(!clinic.warnings().contains("stale"), "{}", clinic.warnings());
}

#[test]
fn objects_of_a_store_are_read_and_renewed() {
    let Some(store) = Store::seaweedfs(None).unwrap() else {
        return;
    };
    let rows = |from: usize| {
        let rows = (from..from + 20).map(|row| format!("s{row},{},{}\n", ward(row), days(row)));
        rows.collect::<String>()
    };
    let csv = |rows: String| format!("patient_id,ward,days\n{rows}");
    store.put(&[("Köln/1.csv", csv(rows(0)).as_bytes())]).unwrap();
    let clinic = Clinic::up();
    clinic.write("access", ACCESS_KEY);
    clinic.write("secret", SECRET_KEY);
    let source = clinic.write(
        "store.toml",
        &format!(
            "[s3]\nendpoint = \"http://127.0.0.1:{}\"\nbucket = \"{BUCKET}\"\nprefix = \"Köln/\"\naccess_key_file = \"access\"\nsecret_key_file = \"secret\"\n",
            store.port()
        ),
    );
    clinic.add(&source).returns(0);
    clinic.answers(&each(10, 30));
    store.put(&[("Köln/2.csv", csv(rows(20)).as_bytes())]).unwrap();
    clinic.dataset(&["refresh", "stays"]).returns(0);
    clinic.answers(&each(20, 60));
    drop(store);
    clinic
        .dataset(&["refresh", "stays"])
        .fails_with("E_SOURCE_UNREACHABLE", "does not answer");
    clinic.is_told("is stale");
    clinic.answers(&each(20, 60));
}

#[test]
fn a_39_a_snapshot_that_is_damaged_while_the_node_runs_is_unhealthy_and_all_others_are_served() {
    let beds = STAYS.replace("\"stays\"", "\"beds\"");
    let policy = POLICY
        .replace(
            "id          = \"stays-statistics\"",
            "id          = \"beds-statistics\"",
        )
        .replace("\"stays\"", "\"beds\"");
    let spec = SPEC
        .replace(
            "[\"collections/stays.toml\"]",
            "[\"collections/stays.toml\", \"collections/beds.toml\"]",
        )
        .replace(
            "[\"policies/stays-statistics.toml\"]",
            "[\"policies/stays-statistics.toml\", \"policies/beds-statistics.toml\"]",
        )
        .replace(
            "datasets = [",
            "datasets = [{ collection = \"beds\", path = \"stays.csv\" }, ",
        );
    assert!(spec.matches("beds").count() >= 3, "{spec}");
    let rows = (0..20)
        .map(|row| format!("{CANARY}{row},{},{}\n", ward(row), days(row)))
        .collect::<String>();
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", &spec),
        ("collections/stays.toml", STAYS),
        ("collections/beds.toml", &beds),
        ("policies/stays-statistics.toml", POLICY),
        ("policies/beds-statistics.toml", &policy),
        ("stays.csv", &format!("patient_id,ward,days\n{rows}")),
    ]);
    run.returns(0);
    sandbox.down().returns(0);
    let config = sandbox.dir().join("nodes/clinic-a/node.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    let clinic = Clinic {
        config: config.to_str().unwrap().to_owned(),
        sandbox,
    };
    clinic.answers(&each(10, 30));

    let folder = clinic.sandbox.dir().join("nodes/clinic-a/data/datasets/stays");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "parquet"))
        .unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    let half = bytes.len() / 2;
    bytes[4..half].fill(0xA5);
    fs::write(&snapshot, bytes).unwrap();
    let others = || clinic.sandbox.ask(&SQL.replace("FROM stays", "FROM beds"))["rows"].clone();
    let asked = || {
        let run = clinic.sandbox.query(SQL, &["--purpose", "ehds-53-1-e"]);
        let all = run.err() + &run.out();
        assert!(
            !all.contains(CANARY) && !all.contains("parquet") && !all.contains("nodes/"),
            "{all}"
        );
        assert_ne!(run.code(), 0, "{all}");
        all
    };
    asked();
    assert_eq!(others(), each(10, 30));
    clinic.is_told("the dataset stays is unhealthy and not answered from");
    let told = asked();
    assert!(told.contains("E_NO_NODE"), "{told}");
    assert_eq!(others(), each(10, 30));

    // A restart changes nothing of it; the file added once more does.
    clinic.sandbox.down().returns(0);
    let file = clinic.sandbox.place().join("stays.csv");
    clinic.add(&file).returns(0);
    clinic
        .sandbox
        .up_again(&clinic.sandbox.place().join("spec.toml"))
        .returns(0);
    clinic.answers(&each(10, 30));
}

#[test]
fn folders_and_derived_columns_are_answered_from_and_the_days_behind_them_are_moved() {
    let clinic = Clinic::up();
    for (at, ward) in ["surgery", "medicine"].iter().enumerate() {
        let of_ward = (0..24).filter(|row| row % 2 == at);
        let rows: String = of_ward
            .map(|row| format!("q{row};01.02.2024;{:02}.02.2024\n", days(row) + 1))
            .collect();
        fs::create_dir_all(clinic.sandbox.place().join(format!("exports/ward={ward}"))).unwrap();
        clinic.write(&format!("exports/ward={ward}/a.csv"), &format!("id;von;bis\n{rows}"));
    }
    let mapping = |columns: &str| {
        let shift = "shift_days = { key = \"patient_id\", secret = \"shift.secret\", max = 90 }";
        let text = format!("collection = \"stays\"\n{shift}\n[source]\ndate = \"%d.%m.%Y\"\n{columns}");
        clinic.write("m.toml", &text).to_str().unwrap().to_owned()
    };
    let columns =
        "[columns.patient_id]\nfrom = \"id\"\n[columns.days]\nderived = \"CAST(bis AS date) - CAST(von AS date)\"\n";
    let exports = clinic.sandbox.place().join("exports").to_str().unwrap().to_owned();
    let add = |mapping: &str, more: &[&str]| {
        let words = ["add", &exports, "--collection", "stays", "--mapping", mapping];
        clinic.dataset(&[&words, more].concat())
    };
    let refused = columns.replace("bis AS date", "bis AS bytea");
    add(&mapping(&refused), &[]).fails_with("E_FILE_VALUE", "CAST(bis AS BYTEA) is nothing that can be used");
    add(&mapping(columns), &["--dry-run"]).fails_with("E_FILE_MISSING", "shift.secret");
    clinic.write("shift.secret", "0123456789abcdef0123456789abcdef\n");
    let foreseen = add(&mapping(columns), &["--dry-run"]).returns(0).out();
    assert!(
        foreseen.contains("days are moved, each person's by a number of their own; of them are made: days")
            && foreseen.contains("nothing was added; without --dry-run it would be"),
        "{foreseen}"
    );
    let added = add(&mapping(columns), &[]).returns(0).out();
    assert!(
        added.contains("days are moved, each person's by a number of their own"),
        "{added}"
    );
    clinic.answers(&each(12, 33));
    clinic.dataset(&["refresh", "stays"]).returns(0);
    clinic.answers(&each(12, 33));
    // Whoever asks is told that days are moved, and by how many at most is nobody's business.
    let dir = clinic.sandbox.dir();
    let words = ["catalog", "show", "stays", "--sandbox", dir.to_str().unwrap()];
    let since = std::time::Instant::now();
    let told = loop {
        let told = datenraum(words).returns(0).out();
        if told.contains("clinic-a (days moved)") || since.elapsed().as_secs() > 60 {
            break told;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    assert!(told.contains("clinic-a (days moved)") && !told.contains("90"), "{told}");
}
