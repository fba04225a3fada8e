//! The nodes of a federation in this process: each with its datasets, asked as [`crate::ask`] asks and as a node answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use engine::{Datasets, Holding, KeptValues, Leaving, People, Query};
use policy::{AccessRequest, Asked, Caller, Rules};
use tempfile::TempDir;
use terms::{MemberId, Report, UtcTime};
use trust::Digest;

use super::tables::Tables;
use crate::combine;
use crate::finish::{self, Finished};
use crate::local::Tables as Own;
use crate::node::{self, Told};
use crate::parameters::Parameters;
use crate::split::{self, Leaf};

const SPACE: &str = "id = \"differential\"\ntitle = \"Differential\"\n";

const MEMBERS: &str = r#"
[[member]]
id    = "riverside"
title = "Riverside University"
roles = ["university"]
key   = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"#;

pub(super) struct Nodes {
    rules: Rules,
    nodes: Vec<(MemberId, Datasets)>,
    _folder: TempDir,
}

impl Nodes {
    pub(super) fn hold(tables: &Tables) -> Self {
        let mut files = BTreeMap::from([
            ("space.toml".to_owned(), SPACE.as_bytes().to_vec()),
            ("members.toml".to_owned(), MEMBERS.as_bytes().to_vec()),
        ]);
        for table in &tables.all {
            files.insert(
                format!("collections/{}.toml", table.name),
                table.collection.as_bytes().to_vec(),
            );
            files.insert(
                format!("policies/{}.toml", table.name),
                table.policy.as_bytes().to_vec(),
            );
        }
        let rules = Rules::compile_files(1, Digest::of(b"differential"), &files).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let node = |(at, name): (usize, &String)| {
            let datasets = Datasets::open(&folder.path().join(name)).unwrap();
            for table in &tables.all {
                let path = folder.path().join(format!("{name}-{}.parquet", table.name));
                write(&table.by_node[at], &path);
                let collection = &rules.collections[&table.name.parse().unwrap()];
                let added = datasets.add(&path, collection, now());
                added.unwrap_or_else(|report| panic!("{report}; {}", report.remedy));
            }
            (name.parse().unwrap(), datasets)
        };
        let nodes = tables.nodes.iter().enumerate().map(node).collect();
        Self {
            rules,
            nodes,
            _folder: folder,
        }
    }

    /// The story of [`crate::Asker::ask`] without a network.
    pub(super) async fn ask(&self, sql: &str) -> Result<Finished, Report> {
        self.ask_with(sql, &Own::default()).await
    }

    /// The same with tables of the asker's own.
    pub(super) async fn ask_with(&self, sql: &str, own: &Own) -> Result<Finished, Report> {
        let collections = &self.rules.collections;
        let split = split::split(sql, &Parameters::default(), collections, collections, own).await?;
        let mut tables = Vec::new();
        for leaf in &split.leaves {
            let concerned = |(member, _): &&(MemberId, Datasets)| split::concerns(leaf, member.as_str());
            let concerned: Vec<_> = self.nodes.iter().filter(concerned).collect();
            let mut parts = Vec::new();
            for query in leaf.queries() {
                // What a node reads is text; that it means the same is part of the test.
                let query = engine::read::read(&query.to_string(), &self.rules.collections).await?;
                let mut answers = Vec::new();
                for (member, datasets) in &concerned {
                    answers.push(self.told(member, datasets, leaf, &query).await?);
                }
                parts.push(answers);
            }
            let answers = concerned.iter().zip(&parts[0]);
            let answers: Vec<_> = answers.map(|((member, _), told)| (member.clone(), told)).collect();
            let bins: Vec<Vec<&Told>> = parts[1..].iter().map(|told| told.iter().collect()).collect();
            tables.push(combine::pool(leaf, &answers, &bins)?);
        }
        finish::finish(split, &tables).await
    }

    async fn told(&self, member: &MemberId, datasets: &Datasets, leaf: &Leaf, query: &Query) -> Result<Told, Report> {
        let request = AccessRequest {
            caller: Caller {
                member: "riverside".parse().unwrap(),
                person: "ada".parse().unwrap(),
                roles: BTreeSet::from(["university".parse().unwrap()]),
            },
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: None,
            collection: query.collection().clone(),
            release: query.release(),
            columns: query.columns(),
            asked: Asked::default(),
            at: now(),
        };
        let grant = policy::decide(&self.rules, &request).into_grant()?;
        let holding = Holding {
            dataset: &datasets.find(query.collection()).unwrap(),
            people: &People::default(),
            joined: &[],
            node: member.as_str(),
            secret: datasets.secret(),
        };
        let plan = engine::enforce(query, grant, holding)?;
        let executed = engine::execute(plan).await.map_err(|failure| failure.report())?;
        let kept = KeptValues::default();
        let leaving = engine::release(executed, member.as_str(), &kept).await;
        let Leaving::Whole(released) = leaving.map_err(|failure| failure.report())? else {
            panic!("the tables are so small that their rows leave at once");
        };
        let batches = released.batches().to_vec();
        let schema = engine::enforce::answer_schema(query, &leaf.collection)?;
        node::require_sound(&batches, &schema, query, member)?;
        let min_people = released.min_people().map(|people| people.get());
        Ok(Told::of(batches, query, min_people, released.round_to()).unwrap())
    }
}

fn now() -> UtcTime {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn write(rows: &RecordBatch, path: &std::path::Path) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}
