//! What a fit is refused for, of a node whose rows are otherwise ordinary.

use models::design::Variable;

use super::*;

/// One row a person of made-up columns, each a function of the person; texts are `a`, `b`, `c` and `d`.
pub(in crate::fit) type Of = fn(usize) -> f64;

fn declared(name: &str) -> Variable {
    let (bounds, levels, edges): (_, &[&str], &[f64]) = match name {
        "ward" => (None, &["a", "b", "c", "d"], &[]),
        "sex" | "died" | "smokes" => (Some((0.0, 1.0)), &["0", "1"], &[]),
        "age" => (Some((20.0, 80.0)), &[], &[20.0, 40.0, 60.0, 80.0]),
        "days" => (Some((0.0, 900.0)), &[], &[0.0, 300.0, 600.0, 900.0]),
        _ => (Some((0.0, 1_000.0)), &[], &[]),
    };
    Variable {
        name: name.to_owned(),
        is_number: name != "ward",
        bounds,
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        edges: edges.to_vec(),
    }
}

/// What a node that holds 400 people says of a statement, if `change` are its only odd values.
fn judged(call: &str, change: &[(&str, Of)]) -> Result<(), String> {
    let (judge, read, model) = made(call, change, 0..400);
    let admitted = judge.admit(&read, &model, &KeptValues::default());
    admitted.map(drop).map_err(|report| report.to_string())
}

/// A statement and a node that holds these people.
pub(in crate::fit) fn made(call: &str, change: &[(&str, Of)], people: Range<usize>) -> (Judge, Read, Model) {
    let text = format!(
        "FIT {call}, nodes => 'x, y', sum => 'plain', steps => '25', fit => '00000000000000000000000000000000') OF SELECT 1"
    );
    let names = ["ward", "sex", "died", "smokes", "age", "days", "cost", "visits"];
    let statement = models::Statement::parse(&text).unwrap();
    let model = Model::new(&statement, &names.map(declared)).unwrap_or_else(|report| panic!("{call}: {report}"));
    let value = |name: &str, person: usize| -> f64 {
        if let Some((_, of)) = change.iter().find(|(known, _)| *known == name) {
            return of(person);
        }
        match name {
            "ward" => (person % 4) as f64,
            "sex" => (person / 4 % 2) as f64,
            "died" => (person / 8 % 2) as f64,
            "smokes" => (person / 16 % 2) as f64,
            "age" => 20.0 + (person * 7 % 60) as f64,
            "days" => 1.0 + (person * 11 % 899) as f64,
            "visits" => (person % 31) as f64,
            _ => 1.0 + (person * 13 % 97) as f64,
        }
    };
    let columns = model.needs.iter().map(|need| match need {
        Need::Number(name) => Column::Numbers(people.clone().map(|person| value(name, person)).collect()),
        Need::Level(name, _) => Column::Codes(people.clone().map(|person| value(name, person) as u16).collect()),
    });
    let frame = Frame {
        columns: columns.collect(),
        people: people.clone().map(|person| person as i64).collect(),
        rows: people.len(),
    };
    let read = Read {
        frames: vec![std::sync::Arc::new(frame)],
        dropped_rows: 0,
        dropped_people: 0,
        failing: Vec::new(),
        unknown: Vec::new(),
        weightless: 0,
        has_negative_weight: false,
        memory: Vec::new(),
    };
    let judge = Judge {
        rules: Rules {
            people_min: 10,
            dominance: None,
            p_percent: None,
            guards_zeros: false,
            one_row_each: true,
        },
        parameters_share: 0.1,
        refuses_overlaps: true,
        tells_pairs: true,
        roster: None,
        collection: "stays".parse().unwrap(),
        measures: ["age", "cost", "sex", "died", "visits"]
            .map(|name| (name.to_owned(), true))
            .into(),
    };
    (judge, read, model)
}

fn require_refused(call: &str, change: &[(&str, Of)], what: &str) {
    assert_eq!(judged(call, &[]), Ok(()), "{call}");
    let refusal = judged(call, change).unwrap_err();
    assert!(refusal.contains(what), "{call}: {refusal}");
}

/// Three people of 400 are in ward d.
fn three_in_d(person: usize) -> f64 {
    if person < 3 { 3.0 } else { (person % 3) as f64 }
}

#[test]
fn whatever_is_0_or_1_in_a_sum_is_counted() {
    let few_in_d: &[(&str, Of)] = &[("ward", three_in_d)];
    for call in [
        "glm(formula => 'ward == \"d\" ~ cost'",
        "glm(family => 'poisson', formula => 'ward == \"d\" ~ cost'",
        "glm(formula => 'cost ~ age + offset(ward == \"d\")'",
        "penalised(formula => 'ward == \"d\" ~ cost', penalty => 'ridge', lambdas => '1'",
        "train(formula => 'ward == \"d\" ~ cost'",
        "cox(formula => 'Surv(days, died) ~ cost + offset(ward == \"d\")'",
        "cox(formula => 'Surv(days, died) ~ cost + strata(ward)'",
    ] {
        require_refused(call, few_in_d, "too few people");
    }
    let few_old: Of = |person| {
        if person < 3 {
            70.0
        } else {
            20.0 + (person * 7 % 40) as f64
        }
    };
    require_refused(
        "glm(formula => 'age >= 60 ~ cost'",
        &[("age", few_old)],
        "too few people",
    );
}

#[test]
fn numbers_of_few_values_are_counted_as_their_powers_could_be_solved() {
    let four: Of = |person| if person < 3 { 3.0 } else { (person % 3) as f64 };
    let five: Of = |person| if person < 3 { 4.0 } else { (person % 4) as f64 };
    require_refused("glm(formula => 'cost ~ visits'", &[("visits", four)], "too few people");
    // Of five values the sums of a number and its square say too little; with those of more powers they do not.
    assert_eq!(judged("glm(formula => 'cost ~ visits'", &[("visits", five)]), Ok(()));
    let squared = "glm(formula => 'cost ~ visits + I(visits^2)'";
    require_refused(squared, &[("visits", five)], "too few people");
}

#[test]
fn strata_and_bins_of_a_shared_baseline_are_counted_together() {
    // In each ward, and in each bin of the time, there are many.
    let few_late_in_d: Of = |person| match person % 4 {
        3 if person > 70 => 1.0 + (person * 11 % 299) as f64,
        _ => 1.0 + (person * 11 % 899) as f64,
    };
    let shared = "cox(formula => 'Surv(days, died) ~ cost + strata(ward)', baseline => 'shared'";
    require_refused(shared, &[("days", few_late_in_d)], "too few people");
    // Of each sex many die, and many die in each bin; of one sex few in the last.
    let few_men_die_late: Of = |person| match (person / 4 % 2, person * 11 % 899) {
        (1, 599..) if person > 64 => 0.0,
        _ => (person / 8 % 2) as f64,
    };
    let shared = "cox(formula => 'Surv(days, died) ~ sex', baseline => 'shared'";
    require_refused(shared, &[("died", few_men_die_late)], "too few people");
}

#[test]
fn products_of_groupings_are_counted_as_they_are_multiplied() {
    // Any two of the three have many people together.
    let rare: Of = |person| match (person / 4 % 2, person % 4) {
        (1, 3) if person > 30 => 0.0,
        _ => (person / 16 % 2) as f64,
    };
    for call in [
        "glm(formula => 'cost ~ ward:sex:smokes'",
        "glm(formula => 'cost ~ ward:sex + smokes'",
        "glm(formula => 'cost ~ C(ward):C(sex) + C(smokes)'",
    ] {
        require_refused(call, &[("smokes", rare)], "too few people");
    }
    assert_eq!(
        judged("glm(formula => 'cost ~ ward + sex + smokes'", &[("smokes", rare)]),
        Ok(())
    );
}

#[test]
fn an_offset_weighs_many_people() {
    for call in [
        "glm(family => 'poisson', formula => 'visits ~ age + offset(cost)'",
        "glm(family => 'binomial', formula => 'died ~ age + offset(cost)'",
        "cox(formula => 'Surv(days, died) ~ age + offset(cost)'",
    ] {
        let refusal = judged(call, &[]).unwrap_err();
        assert!(refusal.contains("nearly all weight"), "{call}: {refusal}");
    }
    assert_eq!(
        judged(
            "glm(family => 'poisson', formula => 'visits ~ age + offset(smokes)'",
            &[]
        ),
        Ok(())
    );
    assert_eq!(judged("glm(formula => 'visits ~ age + offset(cost)'", &[]), Ok(()));
}

#[test]
fn sums_of_numbers_in_groups_are_sums_of_many() {
    // Three in ward d have costs, and many elsewhere.
    let three_pay: Of = |person| match person % 4 {
        3 if person > 12 => 0.0,
        _ => 1.0 + (person * 13 % 97) as f64,
    };
    for call in [
        "glm(formula => 'cost ~ ward'",
        "glm(formula => 'age ~ ward + cost'",
        "glm(formula => 'age ~ ward:cost'",
        "cox(formula => 'Surv(days, died) ~ cost + ward'",
    ] {
        require_refused(
            call,
            &[("cost", three_pay)],
            "too few people here have another cost than 0 in a group",
        );
    }
    let all_pay_the_same: Of = |person| match person % 4 {
        3 => 50.0,
        _ => 1.0 + (person * 13 % 97) as f64,
    };
    require_refused(
        "glm(formula => 'age ~ ward + cost'",
        &[("cost", all_pay_the_same)],
        "cost is the same for everybody in a group that ward tells apart",
    );
}

#[test]
fn more_groups_than_can_be_counted_are_refused() {
    let grouping = |levels: usize| Grouping {
        name: "ward".to_owned(),
        indicators: vec![Value::Number(0); levels],
        has_rest: false,
        is_node: false,
        of: (0, false),
    };
    let (some, many) = (grouping(1_024), grouping(1_025));
    assert_eq!(combinations(&[&some, &some]).unwrap(), CELLS_MAX);
    let report = combinations(&[&some, &many]).unwrap_err();
    assert_eq!(report.problem, Problem::ModelDisclosure);
    assert!(report.remedy.contains("leave interactions"), "{}", report.remedy);
}
