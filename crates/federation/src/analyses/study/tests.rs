use super::*;

fn node(name: &str, status: Status, suppressed_cells: u64) -> Coverage {
    Coverage {
        node: name.parse().unwrap(),
        status,
        suppressed_cells,
        withheld: std::collections::BTreeMap::new(),
        policy: None,
        data: Vec::new(),
        permit: None,
        duties: Vec::new(),
        problem: None,
        message: None,
        remedy: None,
        query_id: None,
        receipts: Vec::new(),
    }
}

#[test]
fn numbers_of_different_nodes_are_not_put_together() {
    let before = vec![node("a", Status::Answered, 0), node("b", Status::Answered, 0)];
    let now = [node("a", Status::Answered, 0), node("b", Status::Unreachable, 0)];
    assert_eq!(together(before, &now).unwrap_err().problem, Problem::Partial);
}

#[test]
fn a_column_that_is_named_twice_is_refused_by_its_name() {
    let report = require_each_once(["sex", "age", "sex"]).unwrap_err();
    assert_eq!(report.problem, Problem::Usage);
    assert!(
        report.message.contains("sex twice") && !report.remedy.is_empty(),
        "{report:?}"
    );
    assert!(require_each_once(["sex", "age"]).is_ok());
}

#[test]
fn what_was_withheld_of_both_questions_is_told() {
    let before = vec![node("a", Status::Answered, 2), node("b", Status::Refused, 0)];
    let now = [node("a", Status::Answered, 3), node("b", Status::Refused, 0)];
    let both = together(before, &now).unwrap();
    assert_eq!(both[0].suppressed_cells, 5);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let known = || ["age", "grade"].into_iter();
    assert_eq!(among("aage", "columns", known), "did you mean age? columns: age, grade");
}
