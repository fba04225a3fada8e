//! One node's engine with the fixtures of `tests/enforce`, asked as a node asks it: read, decide, enforce, execute,
//! release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use engine::{Datasets, Holding, KeptValues, Leaving, People, Released};
use policy::{AccessRequest, Asked, Caller, Rules};
use tempfile::TempDir;
use terms::{CollectionId, Purpose, Report, UtcTime};
use trust::Digest;

/// The institution that answers.
const NODE: &str = "riverside";

pub(crate) struct Bench {
    pub(crate) rules: Rules,
    datasets: Datasets,
    _folder: TempDir,
}

/// What a node remembers from one question to the next.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) people: People,
    pub(crate) kept: KeptValues,
}

/// What somebody who asks gets to see.
pub(crate) enum Outcome {
    Answered(Released),
    Refused(Report),
}

pub(crate) fn tests_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

impl Bench {
    pub(crate) fn shared() -> &'static Bench {
        static BENCH: LazyLock<Bench> = LazyLock::new(Bench::new);
        &BENCH
    }

    /// A node of its own, with the fixtures.
    pub(crate) fn new() -> Bench {
        let here = tests_folder().join("enforce");
        let mut files = BTreeMap::new();
        let collections = ["patients", "beds", "districts", "register"];
        let documents = collections.map(|name| [format!("collections/{name}.toml"), format!("policies/{name}.toml")]);
        let documents = documents.into_iter().flatten();
        for path in documents.chain(["space.toml".to_owned(), "members.toml".to_owned()]) {
            let text = fs::read(here.join("space").join(&path)).unwrap();
            files.insert(path, text);
        }
        Bench::of(&files, |collection| here.join(format!("{collection}.csv")))
    }

    /// A node that holds a file of each collection under these documents.
    pub(crate) fn of(files: &BTreeMap<String, Vec<u8>>, data: impl Fn(&str) -> PathBuf) -> Bench {
        let rules = Rules::compile_files(1, Digest::of(b"enforcement"), files).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let datasets = Datasets::open(folder.path()).unwrap();
        for collection in rules.collections.values() {
            add(&datasets, &data(collection.id.as_str()), collection);
        }
        Bench {
            rules,
            datasets,
            _folder: folder,
        }
    }

    /// Exchanges the data of a collection; `at` is later than what was added before.
    pub(crate) fn exchange(&self, collection: &str, file: &Path, at: UtcTime) {
        let collection = &self.rules.collections[&collection.parse().unwrap()];
        self.datasets.add(file, collection, at).unwrap();
    }

    /// Asks as somebody whose institution and person act in the role.
    pub(crate) async fn ask(&self, role: &str, sql: &str) -> Outcome {
        self.ask_under(role, None, sql).await
    }

    /// The same under a permit.
    pub(crate) async fn ask_under(&self, role: &str, permit: Option<&str>, sql: &str) -> Outcome {
        self.ask_with(&Memory::default(), role, permit, sql).await
    }

    /// The same of a node that remembers what it released before.
    pub(crate) async fn ask_with(&self, memory: &Memory, role: &str, permit: Option<&str>, sql: &str) -> Outcome {
        match self.answer(memory, role, permit, sql).await {
            Ok(released) => Outcome::Answered(released),
            Err(report) => Outcome::Refused(report),
        }
    }

    async fn answer(&self, memory: &Memory, role: &str, permit: Option<&str>, sql: &str) -> Result<Released, Report> {
        let query = engine::read::read(sql, &self.rules.collections).await?;
        let request = |collection: &CollectionId, columns| AccessRequest {
            caller: Caller {
                member: NODE.parse().unwrap(),
                person: "ada".parse().unwrap(),
                roles: BTreeSet::from([role.parse().unwrap()]),
            },
            purpose: Some("ehds-53-1-e".parse::<Purpose>().unwrap()),
            permit: permit.map(|permit| permit.parse().unwrap()),
            collection: collection.clone(),
            release: query.release(),
            columns,
            asked: Asked::default(),
            at: "2026-11-21T12:00:00Z".parse::<UtcTime>().unwrap(),
        };
        let joins = query.joins();
        let joined = joins
            .iter()
            .map(|join| request(&join.collection, query.joined_columns(join)));
        let joined: Vec<AccessRequest> = joined.collect();
        let asked = request(query.collection(), query.columns());
        let grant = policy::decide_joined(&self.rules, &asked, &joined).into_grant()?;
        let dataset = self.datasets.find(query.collection()).unwrap();
        let joined = joins.iter().map(|join| self.datasets.find(&join.collection).unwrap());
        let joined: Vec<_> = joined.collect();
        let held = |dataset, people| Holding {
            dataset,
            people,
            joined: &[],
            node: NODE,
            secret: self.datasets.secret(),
        };
        // Who objects to the one collection need not object to another.
        let everybody = People::everybody();
        let joined: Vec<_> = joined.iter().map(|dataset| held(dataset, &everybody)).collect();
        let holding = Holding {
            joined: &joined,
            ..held(&dataset, &memory.people)
        };
        let plan = engine::enforce(&query, grant, holding)?;
        let executed = engine::execute(plan).await.map_err(|failure| failure.report())?;
        let leaving = engine::release(executed, NODE, &memory.kept).await;
        match leaving.map_err(|failure| failure.report())? {
            Leaving::Whole(released) => Ok(released),
            Leaving::Rows(_) => panic!("no case has a long answer"),
        }
    }
}

fn add(datasets: &Datasets, file: &Path, collection: &policy::Collection) {
    let now = "2026-11-21T11:00:00Z".parse::<UtcTime>().unwrap();
    datasets
        .add(file, collection, now)
        .unwrap_or_else(|report| panic!("{report}; {}", report.remedy));
}
