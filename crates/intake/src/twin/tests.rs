use std::collections::BTreeSet;

use super::*;
use crate::example::{Files, stays};
use crate::{Conforming, Mapping, Misfits, Opened};

fn twin(people: u32, seed: u64) -> Twin {
    Twin {
        people,
        seed,
        also: [("consent".to_owned(), "a \"yes\", or so".to_owned())].into(),
    }
}

fn text(twin: &Twin, collection: &Collection) -> String {
    let mut out = Vec::new();
    let rows = twin.write(collection, &Margins::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count() as u64, rows + 1);
    text
}

#[test]
fn nobody_too_many_and_what_cannot_be_are_refused() {
    for people in [0, PEOPLE_MAX + 1] {
        let report = twin(people, 1)
            .write(&stays(), &Margins::default(), &mut Vec::new())
            .unwrap_err();
        assert_eq!(report.problem, Problem::Usage);
    }
    let mut impossible = stays();
    impossible.columns[2].bounds = Some([200.0, 300.0]);
    let report = twin(5, 1)
        .write(&impossible, &Margins::default(), &mut Vec::new())
        .unwrap_err();
    assert!(report.message.contains("no value of column age"), "{}", report.message);
}

#[test]
fn the_seed_alone_makes_the_table_and_every_row_says_that_it_is_made_up() {
    let (one, again, other) = (
        text(&twin(40, 7), &stays()),
        text(&twin(40, 7), &stays()),
        text(&twin(40, 8), &stays()),
    );
    assert_eq!(one, again);
    assert_ne!(one, other);
    let mut lines = one.lines();
    assert!(lines.next().unwrap().ends_with(&format!(",consent,{MARK}")));
    assert!(
        lines.all(|line| line.ends_with(",\"a \"\"yes\"\", or so\",true")),
        "{one}"
    );
}

#[test]
fn it_conforms_to_its_collection_has_all_of_each_domain_missing_values_and_people_with_several_rows() {
    let collection = stays();
    let files = Files::of(&[("twin.csv", text(&twin(400, 3), &collection).as_bytes())]);
    let mapping = Mapping::plain(collection.id.clone());
    let opened = Opened::open(&files.path("twin.csv"), &mapping.source).unwrap();
    assert!(opened.is_synthetic());
    let conforming = Conforming::new(&opened, &mapping, &collection).unwrap();
    let mut misfits = Misfits::default();
    let mut rows = 0;
    let mut missing = vec![0; collection.columns.len()];
    for piece in opened.batches(conforming.wanted()).unwrap() {
        let conformed = conforming.conform(&piece.unwrap(), &mut misfits).unwrap();
        rows += conformed.rows;
        for (count, column) in missing.iter_mut().zip(&conformed.columns) {
            *count += arrow::array::Array::null_count(column.as_ref());
        }
    }
    misfits.require_allowed(&conforming).unwrap();
    assert!(rows > 400 && rows < 800, "{rows}");
    assert_eq!(missing[0], 0, "people are never missing");
    assert!(
        missing[1..].iter().all(|count| *count > 0 && *count < rows / 8),
        "{missing:?}"
    );
    let table = text(&twin(400, 3), &collection);
    let sexes: BTreeSet<&str> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap())
        .collect();
    assert_eq!(sexes, ["", "female", "male"].into());
    let ages = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(2)?.parse::<u32>().ok());
    let bins: BTreeSet<u32> = ages
        .map(|age| [40, 60, 120].into_iter().position(|edge| age < edge).unwrap() as u32)
        .collect();
    assert_eq!(bins, [0, 1, 2].into());
}
