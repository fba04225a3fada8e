use models::design::{Need, Variable};
use models::frame::Column;
use models::rounds::Next;

use super::*;

const RULES: Rules = Rules {
    people_min: 10,
    dominance: None,
    p_percent: None,
    guards_zeros: false,
    one_row_each: true,
};

const PEOPLE: usize = 400;

/// A fit at a node of 400 people, of whom `value` says what each column has, with as many rows as `rows_of` says; to its end, or until a
/// step may not be taken.
async fn fitted(call: &str, rows_of: fn(usize) -> usize, value: fn(&str, usize) -> f64) -> Result<u32, String> {
    let text = format!(
        "FIT {call}, nodes => 'a', sum => 'plain', steps => '60', fit => '00000000000000000000000000000000') OF SELECT 1"
    );
    let variable = |name: &str, bounds, levels: &[&str]| Variable {
        name: name.to_owned(),
        is_number: levels.is_empty(),
        bounds,
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        edges: Vec::new(),
    };
    let variables = [
        variable("died", Some((0.0, 1.0)), &[]),
        variable("visits", Some((0.0, 1e6)), &[]),
        variable("cost", Some((0.1, 1e6)), &[]),
        variable("w", Some((0.0, 1e6)), &[]),
        variable("x", Some((-2.0, 2.0)), &[]),
        variable("ward", None, &["a", "b"]),
    ];
    let model = Model::new(&models::Statement::parse(&text).unwrap(), &variables).unwrap();
    let people: Vec<usize> = (0..PEOPLE)
        .flat_map(|person| std::iter::repeat_n(person, rows_of(person)))
        .collect();
    let column = |need: &Need| {
        let values = people.iter().map(|person| value(need.column(), *person));
        match need {
            Need::Number(_) => Column::Numbers(values.collect()),
            Need::Level(..) => Column::Codes(values.map(|code| code as u16).collect()),
        }
    };
    let frame = Arc::new(Frame {
        columns: model.needs.iter().map(column).collect(),
        people: people.iter().map(|person| *person as i64).collect(),
        rows: people.len(),
    });
    let read = Read {
        frames: vec![Arc::clone(&frame)],
        dropped_rows: 0,
        dropped_people: 0,
        failing: Vec::new(),
        unknown: Vec::new(),
        weightless: 0,
        has_negative_weight: false,
        memory: Vec::new(),
    };
    let weighing = Arc::new(Weighing::of(&read, &model));
    let (mut step, mut steps) = (model.start, 1);
    loop {
        let mut sums = vec![0.0; step.width()];
        step.add(&frame, &mut sums);
        match step.next(&sums).map_err(|report| report.to_string())? {
            Next::Done(_) => return Ok(steps),
            Next::Step(next) => (step, steps) = (next, steps + 1),
        }
        let admitted = weighing.admit(&step, &read.frames, &RULES).await;
        admitted.map_err(|report| report.to_string())?;
    }
}

fn once(_: usize) -> usize {
    1
}

/// From −2 to 2.
fn x(person: usize) -> f64 {
    (person as f64 - 199.5) / 100.0
}

/// From 0 to 1, as if by lot.
fn lot(person: usize) -> f64 {
    (person * 7919 % 1009) as f64 / 1009.0
}

fn ordinary(name: &str, person: usize) -> f64 {
    match name {
        "x" => x(person),
        "ward" => (person / 3 % 2) as f64,
        "w" => 1.0 + lot(person + 7),
        "died" => f64::from(lot(person) < 1.0 / (1.0 + (-x(person)).exp())),
        "cost" => (x(person) + lot(person)).exp(),
        _ => (x(person).exp() * 4.0 * lot(person)).round(),
    }
}

/// Whoever is above 0 has died, but for two.
fn nearly_told(name: &str, person: usize) -> f64 {
    match name {
        "died" => f64::from((x(person) > 0.0) != [195, 204].contains(&person)),
        _ => ordinary(name, person),
    }
}

/// In ward b alone.
fn nearly_told_in_a_ward(name: &str, person: usize) -> f64 {
    let is_b = ordinary("ward", person) == 1.0;
    let of: fn(&str, usize) -> f64 = if is_b { nearly_told } else { ordinary };
    of(name, person)
}

/// Four people have a hundred thousand times the weight of the others.
fn heavy(name: &str, person: usize) -> f64 {
    match name {
        "w" if person % 100 == 50 => 1e5,
        _ => ordinary(name, person),
    }
}

/// Those of the largest x have nearly all visits.
fn steep(name: &str, person: usize) -> f64 {
    match name {
        "visits" => (x(person) * 40.0 - 68.0).exp().round(),
        _ => ordinary(name, person),
    }
}

async fn refused(call: &str, rows_of: fn(usize) -> usize, value: fn(&str, usize) -> f64) {
    let refusal = match fitted(call, rows_of, value).await {
        Ok(steps) => panic!("{call} is fitted in {steps} steps"),
        Err(refusal) => refusal,
    };
    assert!(refusal.contains("E_MODEL_DISCLOSURE"), "{call}: {refusal}");
    assert!(refusal.contains("weight on too few people"), "{call}: {refusal}");
}

#[tokio::test]
async fn a_step_whose_weights_are_those_of_a_few_people_is_not_taken() {
    let logistic = "glm(family => 'binomial', formula => 'died ~ x'";
    refused(logistic, once, nearly_told).await;
    refused(
        "glm(family => 'binomial', formula => 'died ~ C(ward) * x'",
        once,
        nearly_told_in_a_ward,
    )
    .await;
    refused(
        "penalised(family => 'binomial', formula => 'died ~ x', penalty => 'ridge', lambdas => '0.000000001'",
        once,
        nearly_told,
    )
    .await;
    refused("glm(family => 'poisson', formula => 'visits ~ x'", once, steep).await;
    for family in ["gaussian", "poisson"] {
        let weighted = format!("glm(family => '{family}', formula => 'visits ~ x', weights => 'w'");
        refused(&weighted, once, heavy).await;
    }
    // Four people have nearly all rows: rows are not people.
    let rows_of = |person: usize| if person % 100 == 50 { 3_000 } else { 1 };
    refused(logistic, rows_of, ordinary).await;
}

#[tokio::test]
async fn ordinary_steps_are_taken() {
    for call in [
        "glm(family => 'binomial', formula => 'died ~ C(ward) * x'",
        "glm(family => 'binomial', formula => 'died ~ C(ward) * x', weights => 'w'",
        "glm(family => 'gaussian', formula => 'cost ~ C(ward) * x', weights => 'w'",
        "glm(family => 'poisson', formula => 'visits ~ C(ward) * x'",
        "glm(family => 'negative-binomial', theta => '1.5', formula => 'visits ~ C(ward) * x'",
        "glm(family => 'gamma', link => 'log', formula => 'cost ~ C(ward) * x'",
        "penalised(family => 'poisson', formula => 'visits ~ C(ward) + x', penalty => 'lasso', lambdas => '0.1, 0.01'",
    ] {
        let steps = fitted(call, once, ordinary)
            .await
            .unwrap_or_else(|refusal| panic!("{call}: {refusal}"));
        assert!(steps < 20, "{call}: {steps}");
    }
}

/// A training of a network of one input.
async fn trained(network: &str, rate: &str) -> Result<u32, String> {
    let call = format!("train(formula => 'died ~ x', {network}, rate => '{rate}', rounds => '20'");
    let value = |name: &str, person: usize| match name {
        "died" => f64::from((x(person) > 0.0) != person.is_multiple_of(150)),
        _ => x(person),
    };
    fitted(&call, once, value).await
}

#[tokio::test]
async fn no_rate_brings_a_network_to_where_a_few_people_have_all_the_weight() {
    for network in [
        "loss => 'logistic'",
        "loss => 'logistic', hidden => '2'",
        "hidden => '2'",
    ] {
        assert!(trained(network, "0.1").await.is_ok(), "{network}");
    }
    for network in ["loss => 'logistic'", "loss => 'logistic', hidden => '2'"] {
        let refusal = trained(network, "300").await.unwrap_err();
        assert!(refusal.contains("weight on too few people"), "{network}: {refusal}");
    }
}

#[test]
fn sums_that_are_no_numbers_tell_of_nobody_and_extreme_ones_are_not_taken() {
    let of = |pulls: &[f64]| {
        let mut weight = Weight::default();
        pulls
            .iter()
            .enumerate()
            .for_each(|(person, pull)| weight.add_row(Some(person as i64), *pull));
        weight.close();
        weight.is_of_many(10)
    };
    assert!(of(&[1.0; 12]) && of(&[0.0; 12]) && of(&[f64::INFINITY; 12]) && of(&[f64::NAN; 12]));
    assert!(of(&[1e150; 12]) && !of(&[1e300; 12]) && !of(&[1e-300; 12]));
    // Of a group of twelve, half must count.
    assert!(of(&[[1.0; 7].as_slice(), &[0.1; 5]].concat()));
    assert!(!of(&[[1.0; 5].as_slice(), &[0.01; 7]].concat()));
    // Of forty, ten.
    assert!(of(&[[1.0; 11].as_slice(), &[0.0; 29]].concat()));
    assert!(!of(&[[1.0; 9].as_slice(), &[0.0; 31]].concat()));
}
