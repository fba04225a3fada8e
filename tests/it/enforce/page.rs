//! `docs/attacks.md` says of each attack where it is tested; that is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::bench::tests_folder;
use super::case;

/// The last number of the list.
const ATTACKS: u32 = 84;

/// Number and last cell of each row of the table.
fn rows() -> Vec<(u32, String)> {
    let page = fs::read_to_string(tests_folder().join("../docs/attacks.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let number = cells.next()?.parse().ok()?;
        Some((number, cells.last()?.to_owned()))
    });
    rows.collect()
}

/// What stands in backticks, each with the number after it, if there is one.
fn named(cell: &str) -> Vec<(&str, Option<u32>)> {
    let parts: Vec<&str> = cell.split('`').collect();
    let names = parts.iter().skip(1).step_by(2);
    let after = parts.iter().skip(2).step_by(2);
    let number = |text: &&str| text.trim().trim_end_matches(',').parse().ok();
    names.zip(after).map(|(name, after)| (*name, number(after))).collect()
}

/// The number with which an entry's name begins.
fn number_of(entry: &str) -> Option<u32> {
    entry.split(' ').next()?.parse().ok()
}

fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_attack_has_one_row_and_whatever_a_row_names_is_there() {
    let rows = rows();
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=ATTACKS).collect::<Vec<_>>());
    let mut tests = BTreeSet::new();
    functions(&tests_folder().join("../crates"), &mut tests);
    functions(&tests_folder().join("it"), &mut tests);
    let entries = case::attack_names();
    let has = |file: &str, number: u32| {
        let of_file = entries.iter().filter(|(name, _)| name == file);
        of_file.into_iter().any(|(_, entry)| number_of(entry) == Some(number))
    };
    for (number, cell) in &rows {
        let names = named(cell);
        assert!(!names.is_empty() || cell == "–", "{number} names no test");
        for (name, other) in names {
            match name.ends_with(".toml") {
                true => assert!(
                    has(name, other.unwrap_or(*number)),
                    "{number}: {name} has no such entry"
                ),
                false => assert!(tests.contains(name), "{number}: there is no test {name}"),
            }
        }
    }
    for (file, entry) in &entries {
        let Some(number) = number_of(entry) else { continue };
        let row = rows.iter().find(|(row, _)| *row == number).map(|(_, cell)| named(cell));
        let says = row.is_some_and(|names| names.contains(&(file.as_str(), None)));
        assert!(says, "row {number} does not name {file}, which has {entry:?}");
    }
}
