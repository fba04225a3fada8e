use super::*;

fn variables() -> Vec<Variable> {
    let number = |name: &str, bounds, edges: &[f64]| Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some(bounds),
        levels: Vec::new(),
        edges: edges.to_vec(),
    };
    vec![
        number("days", (0.0, 4000.0), &[0.0, 365.0, 730.0]),
        number("died", (0.0, 1.0), &[]),
        number("age", (0.0, 120.0), &[0.0, 50.0, 70.0]),
        number("weight", (0.0, 300.0), &[]),
        Variable {
            name: "grade".to_owned(),
            is_number: false,
            bounds: None,
            levels: ["1", "2", "3"].map(str::to_owned).to_vec(),
            edges: Vec::new(),
        },
    ]
}

fn survival(formula: &str) -> Result<Survival, Report> {
    Survival::new(&Formula::parse(formula)?, &[], &variables())
}

#[test]
fn what_is_no_time_and_event_is_refused() {
    for (formula, message) in [
        ("died ~ age", "Surv(time, event)"),
        ("Surv(days, age) ~ grade", "must be 0 or 1"),
        ("Surv(grade, died) ~ age", "the time must be one"),
        ("Surv(days, died) ~ 1", "no term is left"),
        (
            "Surv(days, died) ~ age + strata(weight)",
            "neither declared values nor declared bins",
        ),
        ("Surv(dais, died) ~ age", "there is no column dais"),
    ] {
        let error = survival(formula).unwrap_err().to_string();
        assert!(error.contains(message), "{formula}: {error}");
    }
}

#[test]
fn the_baseline_is_the_constant() {
    for formula in ["Surv(days, died) ~ grade + age", "Surv(days, died) ~ grade + age - 1"] {
        let names: Vec<String> = survival(formula)
            .unwrap()
            .design
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        assert_eq!(names, ["grade[2]", "grade[3]", "age"]);
    }
}

#[test]
fn strata_are_all_combinations_of_levels_and_bins() {
    let survival = survival("Surv(days, died) ~ weight + strata(grade) + strata(age)").unwrap();
    assert_eq!(survival.strata_len(), Some(12));
    let mut frame = Frame {
        columns: survival.design.needs.iter().map(crate::frame::Column::from).collect(),
        rows: 3,
        people: Vec::new(),
    };
    for (need, column) in survival.design.needs.iter().zip(&mut frame.columns) {
        *column = match need {
            Need::Level(..) => crate::frame::Column::Codes(vec![0, 2, 2]),
            Need::Number(name) if name == "age" => crate::frame::Column::Numbers(vec![20.0, 50.0, 99.0]),
            Need::Number(_) => crate::frame::Column::Numbers(vec![1.0; 3]),
        };
    }
    assert_eq!(survival.strata_of(&frame), [1, 10, 11]);
    assert_eq!([0.0, 364.0, 365.0, 9e9].map(|time| survival.bin_of(time)), [1, 1, 2, 3]);
}
