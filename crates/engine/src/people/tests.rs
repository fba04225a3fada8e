use std::collections::HashSet;
use std::sync::Arc;

use super::People;

fn set(keys: &[&str]) -> Arc<HashSet<String>> {
    Arc::new(keys.iter().map(|key| (*key).to_owned()).collect())
}

#[test]
fn somebody_who_opted_out_is_not_there_even_with_consent() {
    let people = People::without(set(&["p1"]), Some(set(&["p1", "p2"])));
    assert!(!people.has("p1"));
    assert!(people.has("p2"));
    assert!(!people.has("p3"), "no consent");
}

#[test]
fn without_opt_outs_and_consents_no_condition_is_put_into_the_plan() {
    assert!(People::everybody().condition("patient_id").is_none());
    assert!(People::without(set(&["p1"]), None).condition("patient_id").is_some());
    // A consent that nobody gave leaves nobody.
    let nobody = People::without(set(&[]), Some(set(&[])));
    assert!(nobody.condition("patient_id").is_some());
    assert!(!nobody.has("p1"));
}

#[test]
fn debug_shows_neither_who_nor_how_many() {
    let people = People::without(set(&["secret-patient"]), None);
    assert_eq!(format!("{people:?}"), "People { .. }");
}
