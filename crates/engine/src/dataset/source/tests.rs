use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::example;

const COLLECTION: &str = r#"
id = "stays"
title = "Stays"
personal = true
privacy_unit = "patient_id"
rows_per_person_max = 1
[columns.patient_id]
type = "text"
role = "identifier"
"#;

struct Place {
    folder: TempDir,
    stays: Arc<Collection>,
    others: Arc<Collection>,
}

impl Place {
    /// A file of two people, added for two collections.
    fn new() -> (Self, Datasets) {
        let other = COLLECTION.replace("\"stays\"", "\"others\"");
        let rules = example::rules(&[
            ("collections/stays.toml", COLLECTION),
            ("collections/others.toml", &other),
        ]);
        let of = |id: &str| Arc::clone(&rules.collections[&id.parse().unwrap()]);
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            stays: of("stays"),
            others: of("others"),
        };
        place.write("patient_id\na\nb\n");
        let datasets = place.open();
        for collection in [&place.stays, &place.others] {
            datasets.add(&place.file(), collection, at(1)).unwrap();
        }
        (place, datasets)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("stays.csv")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    fn open(&self) -> Datasets {
        Datasets::open(&self.folder.path().join("datasets")).unwrap()
    }

    fn snapshot(&self) -> PathBuf {
        let entries = fs::read_dir(self.folder.path().join("datasets/stays")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths
            .find(|path| path.extension().is_some_and(|ending| ending == "parquet"))
            .unwrap()
    }
}

fn at(second: i64) -> UtcTime {
    UtcTime::from_second(1_700_000_000 + second).unwrap()
}

#[test]
fn a_source_that_fails_leaves_what_was_there_and_is_told_until_it_is_renewed() {
    let (place, datasets) = Place::new();
    for (text, problem) in [
        (None, Problem::FileMissing),
        (Some("patient_id\na\na\n"), Problem::DataFormat),
        (Some("other\na\n"), Problem::DataSchema),
    ] {
        match text {
            Some(text) => place.write(text),
            None => fs::remove_file(place.file()).unwrap(),
        }
        assert_eq!(datasets.renew(&place.stays, at(2), None).unwrap_err().problem, problem);
        // Also for a node that runs meanwhile, and after a restart.
        for datasets in [&datasets, &place.open()] {
            let unhealthy = datasets.unhealthy();
            let [stale] = &unhealthy[..] else {
                panic!("{unhealthy:?}")
            };
            assert_eq!(
                (stale.is_served, stale.since, stale.problem.problem),
                (true, Some(at(2)), problem)
            );
            assert_eq!(stale.collection, place.stays.id);
            assert_eq!(datasets.find(&place.stays.id).unwrap().rows(), 2);
            assert_eq!(datasets.find(&place.stays.id).unwrap().updated(), at(1));
        }
    }
    place.write("patient_id\na\nb\nc\n");
    let running = place.open();
    datasets.renew(&place.stays, at(3), None).unwrap();
    assert_eq!(datasets.find(&place.stays.id).unwrap().rows(), 3);
    assert_eq!(running.look_again(), Ok(true));
    for datasets in [&datasets, &running] {
        assert_eq!(datasets.unhealthy(), []);
        assert_eq!(datasets.find(&place.stays.id).unwrap().rows(), 3);
    }
}

#[test]
fn of_what_was_added_before_sources_were_kept_nobody_guesses_the_source() {
    let (place, datasets) = Place::new();
    fs::remove_file(place.folder.path().join("datasets/stays").join(SOURCE_FILE)).unwrap();
    assert_eq!(datasets.renewable().unwrap(), std::slice::from_ref(&place.others.id));
    let report = datasets.renew(&place.stays, at(2), None).unwrap_err();
    assert_eq!(report.problem, Problem::FileMissing);
    assert!(report.remedy.contains("node dataset add"), "{report:?}");
}

#[test]
fn days_are_moved_alike_in_each_version_as_long_as_the_secret_is_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let columns = "[columns.seen]\ntype = \"date\"\nrole = [\"group\"]\nbins = \"month\"\n";
    let rules = example::rules(&[("collections/stays.toml", &format!("{COLLECTION}{columns}"))]);
    let collection = &rules.collections[&"stays".parse().unwrap()];
    fs::write(path("stays.csv"), "patient_id,seen\na,2024-01-01\nb,2024-01-01\n").unwrap();
    let text = "collection = \"stays\"\nshift_days = { key = \"patient_id\", secret = \"shift.secret\", max = 90 }\n";
    fs::write(path("m.toml"), text).unwrap();
    let keep = |secret: &str| {
        fs::write(path("shift.secret"), secret).unwrap();
        fs::set_permissions(path("shift.secret"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    keep("0123456789abcdef0123456789abcdef");
    let mapping = Mapping::load(&path("m.toml"), collection).unwrap();
    let datasets = Datasets::open(&path("datasets")).unwrap();
    let (first, _) = datasets
        .add_by(&mapping, &path("stays.csv"), collection, at(1))
        .unwrap();
    let kept = fs::read_to_string(path("datasets/stays/source.json")).unwrap();
    assert!(kept.contains("shift.secret") && !kept.contains("0123456789"), "{kept}");
    datasets.renew(collection, at(2), None).unwrap();
    let version = || datasets.find(&collection.id).unwrap().version();
    assert_eq!(version(), first.version());
    fs::remove_file(path("shift.secret")).unwrap();
    let refused = datasets.renew(collection, at(3), None).unwrap_err();
    assert_eq!((refused.problem, version()), (Problem::FileMissing, first.version()));
    // With another secret, by another max, and as they are.
    let of_text = |text: &str| {
        fs::write(path("m.toml"), text).unwrap();
        Mapping::load(&path("m.toml"), collection).unwrap()
    };
    let (wider, plain) = (
        of_text(&text.replace("90", "91")),
        Mapping::plain(collection.id.clone()),
    );
    let add = |mapping: &Mapping, to: &Datasets, second| {
        let added = to.publish(mapping, &path("stays.csv"), collection, at(second), None);
        added.map(drop).map_err(|report| report.problem)
    };
    keep("0123456789abcdef0123456789abcdef");
    assert_eq!(add(&wider, &datasets, 4), Err(Problem::DataShift));
    assert_eq!(add(&plain, &datasets, 4), Err(Problem::DataShift));
    assert_eq!(add(&mapping, &datasets, 4), Ok(()));
    keep("fedcba9876543210fedcba9876543210");
    let refused = datasets.renew(collection, at(5), None).unwrap_err();
    assert_eq!((refused.problem, version()), (Problem::DataShift, first.version()));
    assert!(refused.remedy.contains("--other-shifts"), "{refused:?}");
    // What is kept of the secret can be made of it by nobody without the node's.
    let about = fs::read_to_string(path("datasets/stays/dataset.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    let kept = about["shift_mark"].as_str().unwrap();
    let elsewhere = Datasets::open(&path("elsewhere")).unwrap();
    keep("0123456789abcdef0123456789abcdef");
    assert_eq!(add(&mapping, &elsewhere, 1), Ok(()));
    let other = fs::read_to_string(path("elsewhere/stays/dataset.json")).unwrap();
    assert!(other.contains("shift_mark") && !other.contains(kept), "{other}");
    // Made-up people between two versions of real ones do not make it forgotten; who decides so does.
    keep("fedcba9876543210fedcba9876543210");
    fs::write(
        path("twin.csv"),
        "patient_id,seen,datenraum_synthetic\ns,2024-01-01,true\n",
    )
    .unwrap();
    datasets.add(&path("twin.csv"), collection, at(6)).unwrap();
    assert_eq!(add(&mapping, &datasets, 7), Err(Problem::DataShift));
    datasets.allow_other_shifts(&collection.id).unwrap();
    assert_eq!(add(&mapping, &datasets, 8), Ok(()));
    assert_ne!(version().digest, first.version().digest);
    keep("0123456789abcdef0123456789abcdef");
    assert_eq!(
        add(&mapping, &place_of(&datasets), 9),
        Err(Problem::DataShift),
        "after a restart"
    );
}

/// The same datasets, opened anew.
fn place_of(datasets: &Datasets) -> Datasets {
    Datasets::open(&datasets.folder).unwrap()
}

#[test]
fn two_who_add_to_one_collection_at_once_do_not_disturb_each_other() {
    let (place, datasets) = Place::new();
    let held = lock(&place.folder.path().join("datasets/stays")).unwrap();
    let refused = place.open().add(&place.file(), &place.stays, at(2)).unwrap_err();
    assert_eq!(refused.problem, Problem::DataBusy);
    datasets.add(&place.file(), &place.others, at(2)).unwrap();
    drop(held);
    datasets.add(&place.file(), &place.stays, at(2)).unwrap();
}

#[test]
fn a_39_a_snapshot_that_is_damaged_is_not_answered_from_and_takes_no_other_with_it() {
    let damages: [fn(&Path); 5] = [
        |snapshot| fs::remove_file(snapshot).unwrap(),
        |snapshot| fs::write(snapshot, b"PAR1").unwrap(),
        |snapshot| {
            let bytes = fs::read(snapshot).unwrap();
            fs::write(snapshot, &bytes[..bytes.len() - 1]).unwrap();
        },
        |snapshot| {
            let mut bytes = fs::read(snapshot).unwrap();
            let end = bytes.len();
            bytes[end - 40..].fill(0xff);
            fs::write(snapshot, bytes).unwrap();
        },
        |snapshot| fs::write(snapshot.parent().unwrap().join("dataset.json"), b"{}").unwrap(),
    ];
    for damage in damages {
        let (place, running) = Place::new();
        // Times of files are not finer than that everywhere.
        std::thread::sleep(std::time::Duration::from_millis(20));
        damage(&place.snapshot());
        assert!(running.look_again().is_err());
        assert_eq!(running.look_again(), Ok(false), "it is told once");
        for datasets in [&running, &place.open()] {
            assert!(datasets.find(&place.stays.id).is_none());
            assert!(datasets.find(&place.others.id).is_some());
            let unhealthy = datasets.unhealthy();
            let [damaged] = &unhealthy[..] else {
                panic!("{unhealthy:?}")
            };
            assert_eq!((damaged.is_served, &damaged.collection), (false, &place.stays.id));
        }
        place.open().renew(&place.stays, at(2), None).unwrap();
        assert_eq!(running.look_again(), Ok(true));
        assert_eq!(
            (running.unhealthy(), running.find(&place.stays.id).unwrap().rows()),
            (vec![], 2)
        );
    }
}

#[test]
fn a_39_another_content_of_the_same_length_is_noticed_at_the_next_start() {
    let (place, running) = Place::new();
    let (other, _) = {
        let (other, datasets) = Place::new();
        other.write("patient_id\nc\nd\n");
        datasets.add(&other.file(), &other.stays, at(1)).unwrap();
        (other, datasets)
    };
    let newest = |place: &Place| {
        let about = fs::read_to_string(place.folder.path().join("datasets/stays/dataset.json")).unwrap();
        let about: serde_json::Value = serde_json::from_str(&about).unwrap();
        let file = about["file"].as_str().unwrap().to_owned();
        place.folder.path().join("datasets/stays").join(file)
    };
    let (mine, theirs) = (newest(&place), fs::read(newest(&other)).unwrap());
    let own = fs::read(&mine).unwrap();
    assert_eq!(own.len(), theirs.len());
    drop(running);
    let checked = place.folder.path().join("datasets/stays/checked.json");
    let before = fs::read_to_string(&checked).unwrap();
    // As somebody who sets back the time of the last writing.
    let written = fs::metadata(&mine).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let put = |content: &[u8]| {
        fs::write(&mine, content).unwrap();
        let file = File::options().write(true).open(&mine).unwrap();
        file.set_modified(written).unwrap();
    };
    put(&theirs);
    for _ in 0..2 {
        let opened = place.open();
        let unhealthy = opened.unhealthy();
        let [changed] = &unhealthy[..] else {
            panic!("{unhealthy:?}")
        };
        assert_eq!(
            (changed.is_served, &changed.collection, changed.problem.problem),
            (false, &place.stays.id, Problem::DataChanged)
        );
        assert!(opened.find(&place.stays.id).is_none() && opened.find(&place.others.id).is_some());
    }
    // What was only touched, as by whoever puts back a backup, is read once and then known again.
    put(&own);
    assert_eq!(place.open().find(&place.stays.id).unwrap().rows(), 2);
    let after = fs::read_to_string(&checked).unwrap();
    assert_ne!(after, before);
    assert_eq!(place.open().unhealthy(), []);
    assert_eq!(fs::read_to_string(&checked).unwrap(), after);
    fs::remove_file(&checked).unwrap();
    assert_eq!(place.open().unhealthy(), []);
    assert_eq!(fs::read_to_string(&checked).unwrap(), after);
    put(&theirs);
    place.open().renew(&place.stays, at(2), None).unwrap();
    assert_eq!(place.open().unhealthy(), []);
}

#[test]
fn a_snapshot_that_nobody_touched_is_not_read_at_each_start() {
    let (place, datasets) = Place::new();
    drop(datasets);
    let folder = place.folder.path().join("datasets/stays");
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert_ne!(text.replace(from, to), text);
        fs::write(folder.join(file), text.replace(from, to)).unwrap();
    };
    let about = fs::read_to_string(folder.join("dataset.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    let (_, content) = about["content"].as_str().unwrap().split_once(':').unwrap();
    // Whoever read it would see that this is not its digest.
    let wrong = format!("{}{}", &content[1..], &content[..1]);
    change("dataset.json", content, &wrong);
    assert_eq!(place.open().unhealthy().len(), 1);
    change("checked.json", content, &wrong);
    assert_eq!(place.open().unhealthy(), []);
}

#[test]
fn what_the_files_of_a_mapping_say_of_codes_holds_when_it_is_renewed() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let columns = "[columns.bleeds]\ntype = \"boolean\"\nrole = [\"group\"]\n[columns.district]\ntype = \"text\"\nrole = [\"group\"]\nvalues = [\"16063\"]\n";
    let rules = example::rules(&[("collections/stays.toml", &format!("{COLLECTION}{columns}"))]);
    let collection = &rules.collections[&"stays".parse().unwrap()];
    write("stays.csv", "patient_id,concept,place\na,11,16056\nb,12,16063\n");
    write("ancestors.csv", "ancestor_concept_id,descendant_concept_id\n10,11\n");
    write("kreise.csv", "from,to,valid_from\n16056,16063,2021-07-01\n");
    write(
        "m.toml",
        "collection = \"stays\"\n[columns.bleeds]\nfrom = \"concept\"\ndescends_from = { concepts = [10], ancestors = \"ancestors.csv\" }\n\
         [columns.district]\nfrom = \"place\"\nags = { digits = 5, changes = \"kreise.csv\" }\n",
    );
    let mapping = Mapping::load(&place.path().join("m.toml"), collection).unwrap();
    let datasets = Datasets::open(&place.path().join("datasets")).unwrap();
    let (added, _) = datasets
        .add_by(&mapping, &place.path().join("stays.csv"), collection, at(1))
        .unwrap();
    datasets.renew(collection, at(2), None).unwrap();
    assert_eq!(datasets.find(&collection.id).unwrap().version(), added.version());
    fs::remove_file(place.path().join("ancestors.csv")).unwrap();
    let refused = datasets.renew(collection, at(3), None).unwrap_err();
    assert_eq!(refused.problem, Problem::FileMissing);
    assert_eq!(datasets.find(&collection.id).unwrap().version(), added.version());
}
