use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxrdf::Triple;
use oxttl::TurtleParser;
use policy::Rules;
use terms::{MemberId, Problem, UtcTime};
use trust::Digest;

use crate::{Entry, Export, Format, Origin, Statements, describe, write};

const DEMO: &str = include_str!("../../../demo/catalog.toml");

/// The signed example of the project.
fn rules(change: impl Fn(&Path, String) -> String) -> Rules {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/signed/oncology");
    let mut paths: Vec<PathBuf> = vec!["space.toml".into(), "members.toml".into()];
    for name in [
        "collections/breast-cancer",
        "collections/lung-cancer",
        "policies/breast-cancer-research",
        "policies/lung-cancer-research",
    ] {
        paths.push(format!("{name}.toml").into());
    }
    let file = |path: PathBuf| {
        let text = change(&path, fs::read_to_string(folder.join(&path)).unwrap());
        (path.to_str().unwrap().to_owned(), text.into_bytes())
    };
    let files: BTreeMap<String, Vec<u8>> = paths.into_iter().map(file).collect();
    Rules::compile_files(1, Digest::of(b""), &files).unwrap()
}

fn noon() -> UtcTime {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn entries(rules: &Rules, origin: Origin) -> Vec<Entry> {
    let member: MemberId = "city-hospital".parse().unwrap();
    let open = policy::open_to_members(rules, noon());
    let entry = |open| Entry::new(rules, noon(), &member, &Arc::new(open), noon(), origin).unwrap();
    open.into_iter().map(entry).collect()
}

fn export(rules: &Rules, origin: Origin) -> Export {
    let statements = Statements::parse(DEMO).unwrap();
    describe(&entries(rules, origin), &statements, "catalog.toml").unwrap()
}

fn as_is(_: &Path, text: String) -> String {
    text
}

fn turtle(export: &Export) -> String {
    write(&export.triples, Format::Turtle).unwrap()
}

#[test]
fn all_that_is_missing_is_named_at_once_with_where_to_write_it() {
    let rules = rules(as_is);
    let without = |text: &str| {
        DEMO.lines()
            .filter(|line| !line.starts_with(text))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for key in [
        "trusted",
        "note",
        "type ",
        "description = { en = \"Patients with a",
        "themes",
        "categories",
        "spatial",
        "provenance",
        "keywords",
    ] {
        let statements = Statements::parse(&without(key)).unwrap();
        let report = describe(&entries(&rules, Origin::Real), &statements, "catalog.toml").unwrap_err();
        assert_eq!(report.problem, Problem::FileKey, "{key}");
        let name = key.split_whitespace().next().unwrap();
        assert!(
            report.message.contains(&format!(".{name}: is not said")),
            "{}",
            report.message
        );
        assert!(
            report.remedy.contains(&format!("write {name} under [")),
            "{}",
            report.remedy
        );
    }
    let statements = without("themes").replace("spatial", "#");
    let statements = Statements::parse(&statements).unwrap();
    let report = describe(&entries(&rules, Origin::Real), &statements, "catalog.toml").unwrap_err();
    assert_eq!(report.message.lines().count(), 4, "{}", report.message);
}

#[test]
fn columns_that_no_permission_opens_and_identifiers_are_not_told() {
    let narrowed = rules(|path, text| match path.to_str().unwrap() {
        "policies/breast-cancer-research.toml" => text.replace("\"grade\", ", ""),
        _ => text,
    });
    let open = turtle(&export(&rules(as_is), Origin::Real));
    let closed = turtle(&export(&narrowed, Origin::Real));
    assert!(open.contains("column-grade") && open.contains("http://snomed.info/id/371469007"));
    assert!(!closed.contains("grade") && !closed.contains("371469007"), "{closed}");
    assert!(!open.contains("patient_id"), "{open}");
}

#[test]
fn a_policy_that_is_not_in_force_is_not_named() {
    let ended = rules(|path, text| match path.to_str().unwrap() {
        "policies/breast-cancer-research.toml" => text.replace("valid_until = 2027-12-31", "valid_until = 2026-11-20"),
        _ => text,
    });
    let named = |rules: &Rules| {
        let open = policy::open_to_members(&self::rules(as_is), noon());
        let entry = |open| {
            Entry::new(
                rules,
                noon(),
                &"city-hospital".parse().unwrap(),
                &Arc::new(open),
                noon(),
                Origin::Real,
            )
            .unwrap()
        };
        open.into_iter()
            .map(entry)
            .map(|entry| entry.policies.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(named(&rules(as_is)), [1, 1]);
    assert_eq!(named(&ended), [0, 1]);
}

#[test]
fn nothing_in_it_is_a_number_of_people() {
    let text = turtle(&export(&rules(as_is), Origin::Real));
    for word in ["numberOfRecords", "numberOfUniqueIndividuals", "temporal", "TypicalAge"] {
        assert!(!text.contains(word), "{word}");
    }
    let sizes: BTreeSet<&str> = text.lines().filter(|line| line.contains("byteSize")).collect();
    assert_eq!(sizes.len(), 1, "every data set is as large: {sizes:?}");
}

#[test]
fn made_up_data_say_so_in_title_type_keyword_description_and_provenance() {
    let rules = rules(as_is);
    let (real, made_up) = (export(&rules, Origin::Real), export(&rules, Origin::Synthetic));
    let about_datasets = |export: &Export, property: &str, says: &str| {
        let is_dataset = |triple: &&Triple| {
            let subject = triple.subject.to_string();
            subject.contains("/dataset/") && (!subject.contains('#') || subject.ends_with("#provenance>"))
        };
        let says = |triple: &&Triple| {
            triple.predicate.as_str().ends_with(property) && triple.object.to_string().contains(says)
        };
        export.triples.iter().filter(is_dataset).filter(says).count()
    };
    for (property, says) in [
        ("title", "synthetic"),
        ("title", "künstlich erzeugt"),
        ("type", "SYNTHETIC_DATA"),
        ("keyword", "synthetic data"),
        ("description", "Synthetic data: no value is of a person"),
        ("label", "Synthetic data: no value is of a person"),
    ] {
        assert_eq!(about_datasets(&real, property, says), 0, "{property} {says}");
        assert_eq!(about_datasets(&made_up, property, says), 2, "{property} {says}");
    }
    assert_eq!(about_datasets(&made_up, "type", "PERSONAL_DATA"), 0);
}

#[test]
fn what_art_78_asks_and_nobody_said_is_listed() {
    let export = export(&rules(as_is), Origin::Real);
    let of = |collection: &str| {
        let unstated = export.unstated.iter();
        unstated
            .filter(|(id, _)| id.as_str() == collection)
            .map(|(_, d)| d.key())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("breast-cancer"), [""; 0]);
    assert_eq!(
        of("lung-cancer"),
        [
            "completeness",
            "accuracy",
            "timeliness",
            "consistency",
            "management",
            "representativity",
            "access",
            "modifications"
        ]
    );
}

#[test]
fn both_ways_of_writing_are_read_as_what_was_meant_and_the_same_each_time() {
    let export = export(&rules(as_is), Origin::Real);
    let meant: BTreeSet<String> = export.triples.iter().map(Triple::to_string).collect();
    assert_eq!(meant.len(), export.triples.len(), "nothing is said twice");
    let text = turtle(&export);
    let read: BTreeSet<String> = TurtleParser::new()
        .for_slice(&text)
        .map(|triple| triple.unwrap().to_string())
        .collect();
    assert_eq!(read, meant);
    let text = write(&export.triples, Format::JsonLd).unwrap();
    let read = oxjsonld::JsonLdParser::new().for_slice(&text);
    let read: BTreeSet<String> = read.map(|quad| Triple::from(quad.unwrap()).to_string()).collect();
    assert_eq!(read, meant);
    assert_eq!(text, write(&export.triples, Format::JsonLd).unwrap());
}
