use super::*;
use crate::example::Files;

fn of(concepts: &[i64], table: &str) -> Result<Descendants, Report> {
    let files = Files::of(&[("ancestors.csv", table.as_bytes())]);
    let of = DescendsFrom {
        concepts: concepts.iter().copied().collect(),
        ancestors: files.path("ancestors.csv"),
    };
    of.look_up()
}

const TABLE: &str = "ANCESTOR_CONCEPT_ID,DESCENDANT_CONCEPT_ID\n10,10\n10,11\n10,12\n11,12\n20,21\n";

#[test]
fn a_concept_that_the_table_does_not_have_is_refused_and_not_taken_for_one_without_descendants() {
    for (concepts, table, says) in [
        (&[10, 30][..], TABLE, "nothing that descends from the concept 30"),
        (&[21], TABLE, "nothing that descends from the concept 21"),
        (
            &[10],
            "ancestor,descendant\n10,11\n",
            "it has no columns ancestor_concept_id and descendant_concept_id",
        ),
        (
            &[10],
            "ancestor_concept_id,descendant_concept_id\n10,x\n",
            "a concept in it is no whole number",
        ),
        (
            &[10],
            "ancestor_concept_id,descendant_concept_id\n10,\n",
            "a row of it lacks a concept",
        ),
    ] {
        let report = of(concepts, table).unwrap_err();
        assert!(report.message.contains(says), "{says}: {report}");
    }
}

#[test]
fn a_concept_and_all_below_it_are_held_and_others_are_not() {
    let of = of(&[11, 20], TABLE).unwrap();
    let held = ["10", "11", "12", "20", "21", "0", "x", ""].map(|code| of.holds(code));
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(held, [no, yes, yes, yes, yes, no, None, None]);
}
