use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Date32Type, Int64Type};

use super::*;
use crate::cell;
use crate::example::{Files, conformed, stays};
use crate::mapping::OnMisfit;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const SHIFT: &str = "shift_days = { key = \"patient_id\", secret = \"shift.secret\", max = 90 }\n";

fn files(text: &str, csv: &str, secret: &str) -> Files {
    let text = format!("collection = \"stays\"\n{text}");
    let files = Files::of(&[
        ("m.toml", text.as_bytes()),
        ("a.csv", csv.as_bytes()),
        ("shift.secret", secret.as_bytes()),
    ]);
    fs::set_permissions(files.path("shift.secret"), fs::Permissions::from_mode(0o600)).unwrap();
    files
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let report = Mapping::load(&files(text, "", SECRET).path("m.toml"), &stays()).unwrap_err();
    assert!(report.message.contains(says), "{text}: no {says:?} in {report}");
}

const HEADER: &str = "patient_id,sex,age,haemoglobin,admitted_on,smoker,born\n";

#[test]
fn what_would_show_some_days_as_they_are_and_move_others_is_refused() {
    refused(
        "shift_days = { key = \"sex\", secret = \"s\", max = 90 }",
        "key is patient_id",
    );
    refused(
        "shift_days = { key = \"patient_id\", secret = \"s\", max = 0 }",
        "from 1 to 3650",
    );
    refused(
        "shift_days = { key = \"patient_id\", secret = \"s\", max = 3651 }",
        "from 1 to 3650",
    );
    refused(
        "shift_days = { key = \"patient_id\", secret = \"s\", max = -1 }",
        "invalid value",
    );
    refused(
        "shift_days = { key = \"patient_id\", max = 9 }",
        "missing field `secret`",
    );
    let with = |unshifted: &str, rest: &str| {
        format!(
            "shift_days = {{ key = \"patient_id\", secret = \"shift.secret\", max = 90, unshifted = {unshifted} }}\n{rest}"
        )
    };
    refused(&with("[\"patient_id\"]", ""), "patient_id in unshifted is no column");
    refused(&with("[\"born\"]", ""), "born in unshifted is no column");
    refused(&with("[\"admitted_on\"]", ""), "no column whose days it could move");
    // The same day in another column.
    let twice = "[columns.sex]\nfrom = \"ADMITTED_ON\"\n";
    refused(
        &with("[]", twice),
        "sex would show days as they are that are moved in another column",
    );
    let twice = "[columns.admitted_on]\nderived = \"CAST(day AS date)\"\n[columns.sex]\nfrom = \"day\"\n";
    refused(&with("[]", twice), "sex would show days as they are");
    Mapping::load(&files(&with("[\"sex\"]", twice), "", SECRET).path("m.toml"), &stays()).unwrap();
    let mut open = stays();
    (open.personal, open.privacy_unit) = (false, None);
    let report = Mapping::load(&files(SHIFT, "", SECRET).path("m.toml"), &open).unwrap_err();
    assert!(report.message.contains("collections about people"), "{report}");
    // A derived text of it.
    let derived = format!("{SHIFT}[columns.sex]\nderived = \"concat(admitted_on, '')\"\n");
    let files = files(&derived, HEADER, SECRET);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let report = conformed(&files.path("a.csv"), &mapping).unwrap_err();
    assert!(
        report.message.contains("derived reads admitted_on as a text"),
        "{report}"
    );
}

#[test]
fn a_secret_that_others_can_read_or_guess_is_refused_and_not_shown() {
    let read = |secret: &str, mode: u32| {
        let files = files(SHIFT, HEADER, secret);
        fs::set_permissions(files.path("shift.secret"), fs::Permissions::from_mode(mode)).unwrap();
        let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
        assert!(!format!("{mapping:?} {}", mapping.to_toml()).contains(SECRET));
        conformed(&files.path("a.csv"), &mapping).map(drop).unwrap_err()
    };
    assert!(read(SECRET, 0o644).message.contains("every user of this machine"));
    let short = read("hunter2hunter2hunter2", 0o600);
    assert!(short.message.contains("shorter than 32 characters") && !short.message.contains("hunter2"));
    let files = files(SHIFT, HEADER, SECRET);
    fs::remove_file(files.path("shift.secret")).unwrap();
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let absent = conformed(&files.path("a.csv"), &mapping).map(drop).unwrap_err();
    assert_eq!(absent.problem, Problem::FileMissing);
}

#[test]
fn days_of_one_person_move_together_by_a_number_that_another_secret_changes() {
    let csv: String = (0..200)
        .map(|row| format!("p{},female,,,20{:02}-03-01,true,1980-02-29\n", row / 2, row % 2 + 20))
        .collect();
    let text =
        format!("{SHIFT}[columns.age]\nderived = \"years_between(CAST(born AS date), CAST(admitted_on AS date))\"\n");
    let read = |secret: &str, text: &str| {
        let files = files(text, &format!("{HEADER}{csv}"), secret);
        let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
        let (batches, misfits) = conformed(&files.path("a.csv"), &mapping).unwrap();
        assert!(misfits.by_column().is_empty());
        let days: Vec<i32> = batches[0].column(4).as_primitive::<Date32Type>().values().to_vec();
        let ages: Vec<i64> = batches[0].column(2).as_primitive::<Int64Type>().values().to_vec();
        (days, ages)
    };
    let as_it_is = text.replace(SHIFT, "");
    let (true_days, true_ages) = read(SECRET, &as_it_is);
    let (days, ages) = read(SECRET, &text);
    assert_eq!(ages, true_ages);
    let moved: Vec<i32> = days.iter().zip(&true_days).map(|(day, was)| day - was).collect();
    assert!(moved.chunks(2).all(|both| both[0] == both[1]));
    assert!(moved.iter().all(|days| (1..=90).contains(&days.abs())));
    let numbers: BTreeSet<i32> = moved.iter().copied().collect();
    assert!(numbers.len() > 50, "{numbers:?}");
    assert!(numbers.iter().any(|days| *days > 60) && numbers.iter().any(|days| *days < -60));
    // The same again, also with a line end; with another secret or another limit, others.
    assert_eq!(read(&format!("{SECRET}\n"), &text).0, days);
    let other = read("another secret, as long as the one before", &text).0;
    let same = |others: &[i32]| others.iter().zip(&days).filter(|(one, other)| one == other).count();
    assert!(same(&other) < 20, "{}", same(&other));
    assert!(same(&read(SECRET, &text.replace("max = 90", "max = 91")).0) < 20);
}

#[test]
fn every_number_of_days_is_as_likely_and_none_is_not() {
    let shifts = |max: u16| {
        let files = files("", "", SECRET);
        let shift = ShiftDays {
            key: "patient_id".to_owned(),
            secret: files.path("shift.secret"),
            max,
            unshifted: Vec::new(),
        };
        shift.look_up().unwrap()
    };
    let mut counted = std::collections::BTreeMap::<i32, u32>::new();
    let of_three = shifts(3);
    (0..6000).for_each(|person| *counted.entry(of_three.of(&person.to_string())).or_default() += 1);
    assert_eq!(counted.keys().copied().collect::<Vec<_>>(), [-3, -2, -1, 1, 2, 3]);
    // Four standard deviations of a count that is 1000 on average.
    assert!(counted.values().all(|count| (885..1115).contains(count)), "{counted:?}");
    assert_eq!(shifts(1).of("x").abs(), 1);
}

#[test]
fn parts_of_days_are_of_the_moved_ones_and_what_is_out_of_the_domain_then_does_not_fit() {
    let csv: String = (0..40)
        .map(|person| format!("p{person},female,,,0120-01-01,true,\n"))
        .collect();
    let text = format!("{SHIFT}[columns.age]\nfrom = \"admitted_on\"\npart = \"year\"\n");
    let files = files(&text, &format!("{HEADER}{csv}"), SECRET);
    let mut mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    // The collection takes years below 120: they are of the day before New Year.
    let report = conformed(&files.path("a.csv"), &mapping).unwrap_err();
    assert!(
        report.message.contains("column age: a number outside the range"),
        "{report}"
    );
    mapping.columns.get_mut("age").unwrap().misfits = OnMisfit::Missing;
    let (batches, misfits) = conformed(&files.path("a.csv"), &mapping).unwrap();
    let (years, days) = (batches[0].column(2), batches[0].column(4));
    let later = days
        .as_primitive::<Date32Type>()
        .iter()
        .map(|day| cell::date_of(day.unwrap()).unwrap().year() == 120);
    let later: Vec<bool> = later.collect();
    assert!(later.contains(&true) && later.contains(&false));
    assert!((0..40).all(|row| years.is_null(row) == later[row]));
    assert_eq!(
        misfits.by_column()["age"]["a number outside the range"].count,
        later.iter().filter(|is| **is).count() as u64
    );
    // Beyond the last day of the calendar.
    let late = csv.replace("0120-01-01", "9999-12-31");
    let files = super::tests::files(SHIFT, &format!("{HEADER}{late}"), SECRET);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let report = conformed(&files.path("a.csv"), &mapping).unwrap_err();
    assert!(
        report
            .message
            .contains("column admitted_on: a day that is too far away"),
        "{report}"
    );
}

#[test]
fn a_constant_day_and_what_is_named_stay_and_the_profile_says_what_moved() {
    let csv = "p1,female,,,2024-01-31,true,\n";
    let text = "shift_days = { key = \"patient_id\", secret = \"shift.secret\", max = 90, unshifted = [\"age\"] }\n\
        [columns.age]\nderived = \"year(CAST(admitted_on AS date)) - 2000\"\n[columns.smoker]\nderived = \"1 = 1\"\n";
    let files = files(text, &format!("{HEADER}{csv}"), SECRET);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let opened = crate::Opened::open(&files.path("a.csv"), &mapping.source).unwrap();
    let conforming = crate::Conforming::new(&opened, &mapping, &stays()).unwrap();
    assert_eq!(conforming.shifted().collect::<Vec<_>>(), ["admitted_on"]);
    let (batches, _) = conformed(&files.path("a.csv"), &mapping).unwrap();
    assert_eq!(batches[0].column(2).as_primitive::<Int64Type>().value(0), 24);
    let collection = stays();
    let counting = crate::profile::Counting::new(&collection, 2);
    let profile = counting.finish(&crate::Misfits::default(), &conforming);
    let says = "days are moved, each person&#39;s by a number of their own; of them are made: admitted_on";
    assert!(profile.to_html().contains(says));
    let json = serde_json::to_string(&profile).unwrap();
    assert!(
        json.contains("\"shifted\":[\"admitted_on\"]") && !json.contains("90"),
        "{json}"
    );
    let constant = text.replace(
        "[columns.smoker]",
        "[columns.admitted_on]\nvalue = \"2024-01-31\"\n[columns.smoker]",
    );
    let files = super::tests::files(&constant, &format!("{HEADER}{csv}"), SECRET);
    let mapping = Mapping::load(&files.path("m.toml"), &stays());
    // Constant ones do not move; then there is nothing left here but what is derived.
    let (batches, _) = conformed(&files.path("a.csv"), &mapping.unwrap()).unwrap();
    assert_eq!(batches[0].column(4).as_primitive::<Date32Type>().value(0), 19_753);
}
