use super::*;

const BY: Keys<'_> = Keys {
    by: Some("district"),
    age: None,
};

#[test]
fn a_table_without_people_or_with_something_else_in_their_place_is_refused() {
    let refused = |csv: &str, says: &str| {
        let report = Population::own(csv.as_bytes(), "people.csv", &BY).unwrap_err();
        assert!(
            report.problem == Problem::OwnFile && report.message.contains(says) && !report.remedy.is_empty(),
            "{csv}: {report:?}"
        );
    };
    refused("", "no column district");
    refused("district,people\na,5\n", "no column population");
    refused("place,population\na,5\n", "no column district");
    for people in ["many", "", "-1", "NaN", "inf"] {
        refused(&format!("district,population\na,5\nb,{people}\n"), "line 3");
    }
    refused("district,population\na\n", "people.csv");
}

#[test]
fn people_of_one_place_are_added_up_over_ages_that_are_not_asked_for() {
    let csv = "population,age,district\n5,0-4,a\n7,5-9,a\n2,0-4,b\n";
    let key = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let Population::Own(people) = Population::own(csv.as_bytes(), "people.csv", &BY).unwrap() else {
        panic!("a table is no column")
    };
    assert_eq!(people, [(key(&["a"]), 12.0), (key(&["b"]), 2.0)].into());
    let both = Keys { age: Some("age"), ..BY };
    let Population::Own(people) = Population::own(csv.as_bytes(), "people.csv", &both).unwrap() else {
        panic!("a table is no column")
    };
    assert_eq!(people[&key(&["a", "5-9"])], 7.0);
}
