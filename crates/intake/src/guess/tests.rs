use super::*;
use crate::example::{Files, conformed, stays};

#[test]
fn a_german_export_is_guessed_and_conforms() {
    let text = "Patienten-ID;Geschlecht;Alter (Jahre);Hämoglobin [g/dL];Aufnahmedatum;Raucher;Straße\n\
                1;w;30;12,5;31.12.2024;ja;Allee\n2;M;k.A.;8,0;13.01.2025;nein;Gasse\n3;w;61;9,5;01.02.2025;;Weg\n";
    let latin = encoding_rs::WINDOWS_1252.encode(text).0;
    let files = Files::of(&[("a.csv", &latin)]);
    let guess = guess(&files.path("a.csv"), None, &stays()).unwrap();
    assert_eq!(
        guess.mapping.to_toml(),
        "collection = \"stays\"\n\n[source]\nencoding = \"windows-1252\"\ndecimal = \",\"\ndate = \"%d.%m.%Y\"\nmissing = [\"k.A.\"]\n\n\
         [columns.admitted_on]\nfrom = \"Aufnahmedatum\"\n\n[columns.age]\nfrom = \"Alter (Jahre)\"\n\n\
         [columns.haemoglobin]\nfrom = \"Hämoglobin [g/dL]\"\n\n[columns.patient_id]\nfrom = \"Patienten-ID\"\n\n\
         [columns.sex]\nfrom = \"Geschlecht\"\n\n[columns.sex.codes]\nM = \"male\"\nw = \"female\"\n\n[columns.smoker]\nfrom = \"Raucher\"\n"
    );
    assert_eq!((guess.notes, guess.absent), (vec![], vec![]));
    let (batches, misfits) = conformed(&files.path("a.csv"), &guess.mapping).unwrap();
    assert_eq!((batches[0].num_rows(), misfits.by_column().len()), (3, 0));
}

#[test]
fn the_unit_in_a_header_is_taken_if_it_can_be_made_the_collections() {
    let of = |header: &str| {
        let text = format!("patient_id,{header}\n1,12.5\n");
        let files = Files::of(&[("a.csv", text.as_bytes())]);
        let guess = guess(&files.path("a.csv"), None, &stays()).unwrap();
        (guess.mapping.column("haemoglobin").unit, guess.notes.join("\n"))
    };
    let (unit, notes) = of("Hb (mmol/l)");
    assert_eq!(unit, None);
    assert!(
        notes.contains("haemoglobin: its header names a unit") && notes.contains("molar_mass"),
        "{notes}"
    );
    assert_eq!(of("Hb (g/l)"), (Some("g/l".to_owned()), String::new()));
    for header in ["Hb (g/dl)", "Hb (neu)", "Hb", "Hb ("] {
        assert_eq!(of(header), (None, String::new()), "{header}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_or_not_at_all_is_said_and_not_guessed() {
    let text = "patient_id,sex,Alter,Alter (gerundet),haemoglobin,admitted_on\n1,SECRET,30,30,12.5,01/02/2024\n2,male,31,30,\"1,5\",02/01/2024\n";
    let files = Files::of(&[("a.csv", text.as_bytes())]);
    let guess = guess(&files.path("a.csv"), None, &stays()).unwrap();
    assert_eq!(guess.absent, ["age", "smoker"], "two columns could be the age");
    assert_eq!(guess.mapping.source, SourceForm::default());
    let notes = guess.notes.join("\n");
    assert!(
        notes.contains("admitted_on: its days could begin with the day or with the month"),
        "{notes}"
    );
    assert!(notes.contains("sex: 1 kinds of values do not fit"), "{notes}");
    assert!(notes.contains("haemoglobin: 1 kinds of values do not fit"), "{notes}");
    assert!(!notes.contains("SECRET"), "{notes}");
}
