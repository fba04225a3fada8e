use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const STAYS: &str = r#"
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine", "eye"]
"#;

/// Stays in a ward, several of a person, in a node's folder.
struct Bench {
    folder: TempDir,
    collection: Collection,
    datasets: Datasets,
    added: std::cell::Cell<i64>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let datasets = Datasets::open(&folder.path().join("datasets")).unwrap();
        Self {
            folder,
            collection: Collection::clone(
                crate::example::rules(&[("collections/stays.toml", STAYS)])
                    .collections
                    .values()
                    .next()
                    .unwrap(),
            ),
            datasets,
            added: std::cell::Cell::new(0),
        }
    }

    fn file(&self, rows: &[(u32, &str)], header: &str) -> PathBuf {
        let lines: String = rows
            .iter()
            .map(|(person, ward)| {
                format!(
                    "p{person},{ward}{}\n",
                    if header.ends_with("synthetic") { ",true" } else { "" }
                )
            })
            .collect();
        let path = self.folder.path().join("stays.csv");
        fs::write(&path, format!("{header}\n{lines}")).unwrap();
        path
    }

    fn publish(&self, rows: &[(u32, &str)]) -> Publication {
        self.publish_as(rows, "patient_id,ward")
    }

    fn publish_as(&self, rows: &[(u32, &str)], header: &str) -> Publication {
        let file = self.file(rows, header);
        self.added.set(self.added.get() + 1);
        let now = UtcTime::from_second(1_700_000_000 + self.added.get()).unwrap();
        let mapping = Mapping::plain(self.collection.id.clone());
        let least = Some(3.try_into().unwrap());
        self.datasets
            .publish(&mapping, &file, &self.collection, now, least)
            .unwrap()
            .0
    }

    fn foresee(&self, rows: &[(u32, &str)]) -> Option<Pending> {
        let file = self.file(rows, "patient_id,ward");
        let now = UtcTime::from_second(1_700_000_100).unwrap();
        let mapping = Mapping::plain(self.collection.id.clone());
        let least = Some(3.try_into().unwrap());
        self.datasets
            .foresee(&mapping, &file, &self.collection, now, least)
            .unwrap()
    }

    /// What is in the data set's folder.
    fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = fs::read_dir(self.folder.path().join("datasets/stays"));
        let mut kept: Vec<_> = folder
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        kept.sort();
        kept
    }

    /// Version and rows of what questions are answered from, in another process too.
    fn in_force(&self) -> (u64, u64) {
        let other = Datasets::open(&self.folder.path().join("datasets")).unwrap();
        let dataset = other.find(&self.collection.id).unwrap();
        let own = self.datasets.find(&self.collection.id).unwrap();
        assert_eq!(own.version(), dataset.version());
        (dataset.version().version, dataset.rows())
    }
}

/// Twenty people with two rows each.
fn twenty() -> Vec<(u32, &'static str)> {
    (0..40)
        .map(|row| (row / 2, ["surgery", "medicine"][row as usize % 2]))
        .collect()
}

#[test]
fn a_version_that_differs_by_too_few_people_waits_and_is_told_until_enough_differ() {
    let bench = Bench::new();
    assert!(matches!(bench.publish(&twenty()), Publication::InForce(_)));
    assert_eq!(bench.in_force(), (1, 40));
    let mut one_less = twenty();
    one_less.retain(|(person, _)| *person != 7);
    let mut two_more = twenty();
    two_more.extend([(30, "surgery"), (31, "surgery")]);
    let mut one_other = twenty();
    one_other[4].1 = "medicine";
    for (rows, differing) in [(&one_less, 1), (&two_more, 2), (&one_other, 1)] {
        let Publication::Pending(pending) = bench.publish(rows) else {
            panic!("it does not wait");
        };
        assert_eq!((pending.differing, pending.rows), (differing, rows.len() as u64));
        assert_eq!(bench.datasets.pending(&bench.collection.id).unwrap(), Some(pending));
        assert_eq!(bench.in_force(), (1, 40), "questions are answered as before");
    }
    two_more.push((32, "eye"));
    assert!(matches!(bench.publish(&two_more), Publication::InForce(_)));
    assert_eq!(bench.in_force(), (2, 43));
    assert_eq!(bench.datasets.pending(&bench.collection.id).unwrap(), None);
    let folder = bench.folder.path().join("datasets/stays");
    let snapshots = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|ending| ending == "parquet"));
    assert_eq!(snapshots.count(), 2, "of what waited nothing is left");
}

#[test]
fn that_a_version_would_wait_is_foreseen_and_nothing_is_kept_of_it() {
    let bench = Bench::new();
    assert_eq!(bench.foresee(&twenty()), None);
    assert_eq!(
        bench.kept(),
        [],
        "where there is no version there is nothing to wait for"
    );
    bench.publish(&twenty());
    let kept = bench.kept();
    let mut one_less = twenty();
    one_less.retain(|(person, _)| *person != 7);
    let foreseen = bench.foresee(&one_less).unwrap();
    assert_eq!((foreseen.differing, foreseen.least, foreseen.rows), (1, 3, 38));
    one_less.retain(|(person, _)| *person > 8);
    assert_eq!(bench.foresee(&one_less), None);
    assert_eq!(bench.foresee(&twenty()), None);
    assert_eq!(bench.kept(), kept);
    assert_eq!(bench.datasets.pending(&bench.collection.id).unwrap(), None);
    assert_eq!(bench.in_force(), (1, 40));
}

#[test]
fn the_same_people_in_another_order_are_no_other_version_and_do_not_wait() {
    let bench = Bench::new();
    bench.publish(&twenty());
    assert!(matches!(bench.publish(&twenty()), Publication::InForce(_)));
    assert_eq!(bench.in_force(), (1, 40));
    let mut reversed = twenty();
    reversed.reverse();
    assert!(matches!(bench.publish(&reversed), Publication::InForce(_)));
}

#[test]
fn made_up_people_do_not_wait_and_say_what_they_are() {
    let bench = Bench::new();
    let header = &format!("patient_id,ward,{}", "datenraum_synthetic");
    for rows in [&twenty()[..], &twenty()[1..]] {
        let Publication::InForce(dataset) = bench.publish_as(rows, header) else {
            panic!("it waits");
        };
        assert!(dataset.is_synthetic() && dataset.version().synthetic);
    }
    let Publication::InForce(real) = bench.publish(&twenty()) else {
        panic!("it waits");
    };
    assert!(!real.is_synthetic());
    assert_eq!(bench.in_force().0, 3);
}
