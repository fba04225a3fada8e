use super::*;
use crate::example::{Files, stays};
use crate::mapping::{ColumnMapping, OnMisfit};
use crate::{Conforming, Mapping, Opened};

fn profile(text: &str) -> Profile {
    let files = Files::of(&[("a.csv", text.as_bytes())]);
    let mut mapping = Mapping::plain("stays".parse().unwrap());
    let lax = ColumnMapping {
        misfits: OnMisfit::Missing,
        ..ColumnMapping::default()
    };
    mapping.columns.insert("sex".to_owned(), lax);
    let collection = stays();
    let opened = Opened::open(&files.path("a.csv"), &mapping.source).unwrap();
    let conforming = Conforming::new(&opened, &mapping, &collection).unwrap();
    let (mut misfits, mut counting) = (Misfits::default(), Counting::new(&collection, 2));
    for piece in opened.batches(conforming.wanted()).unwrap() {
        counting.count(&conforming.conform(&piece.unwrap(), &mut misfits).unwrap());
    }
    counting.finish(&misfits, &conforming)
}

#[test]
fn a_profile_counts_and_shows_no_value() {
    let text = "patient_id,sex,age,haemoglobin,admitted_on,smoker\n\
                SECRET,female,30,12.25,2024-12-31,true\nSECRET,female,31,,2024-12-31,\nSECRET,SECRET<x>,50,7,2024-12-31,true\np2,female,70,8,2024-12-31,true\n";
    let profile = profile(text);
    assert_eq!((profile.rows, profile.units, profile.rows_too_many), (4, Some(2), 1));
    let column = |name: &str| profile.columns.iter().find(|column| column.name == name).unwrap();
    let sex = column("sex");
    assert_eq!(
        (
            sex.missing,
            sex.distinct,
            sex.misfits["another text than those listed"].count
        ),
        (0, Some(1), 1)
    );
    let groups: Vec<(&str, u64, bool)> = sex
        .groups
        .iter()
        .map(|group| (group.label.as_str(), group.rows, group.is_small))
        .collect();
    // Three rows of two people are not small; nobody is.
    assert_eq!(groups, [("female", 3, false), ("male", 0, true)]);
    let age = column("age");
    assert_eq!(age.range, Some([0.0, 120.0]));
    assert_eq!(
        age.groups
            .iter()
            .map(|group| (group.rows, group.is_small))
            .collect::<Vec<_>>(),
        [(2, true), (1, true), (1, true)]
    );
    assert_eq!((column("haemoglobin").missing, column("haemoglobin").range), (1, None));
    assert_eq!(column("smoker").groups[1].rows, 3);
    let json = serde_json::to_string(&profile).unwrap();
    for shown in [json, profile.to_html()] {
        assert!(!shown.contains("SECRET") && !shown.contains("12.25"), "{shown}");
    }
    assert!(profile.to_html().contains("too few people"));
}
