use super::*;

fn variables() -> Vec<Variable> {
    let number = |name: &str, low: f64, high: f64| Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some((low, high)),
        levels: Vec::new(),
        edges: Vec::new(),
    };
    let text = |name: &str, levels: &[&str]| Variable {
        name: name.to_owned(),
        is_number: false,
        bounds: None,
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        edges: Vec::new(),
    };
    vec![
        number("y", 0.0, 100.0),
        Variable {
            edges: vec![18.0, 40.0, 60.0],
            ..number("age", 18.0, 60.0)
        },
        number("dose", 1.0, 8.0),
        number("treated", 0.0, 1.0),
        text("grade", &["low", "mid", "high"]),
        text("centre", &["a", "b"]),
    ]
}

fn design(formula: &str) -> Result<Design, Report> {
    Design::new(&Formula::parse(formula)?, None, &[], &variables())
}

fn names(formula: &str) -> Vec<String> {
    design(formula)
        .unwrap()
        .columns
        .into_iter()
        .map(|column| column.name)
        .collect()
}

#[test]
fn what_a_column_is_not_declared_for_is_refused() {
    for (formula, part) in [
        ("y ~ agee", "there is no column agee"),
        ("grade ~ age", "grade is not a number"),
        ("C(treated) ~ age", "the response must be a number"),
        ("y ~ C(dose)", "no declared values"),
        ("y ~ bin(dose)", "no declared bins"),
        ("y ~ log(treated)", "bounds are above 0"),
        ("y ~ age >= 50", "not an edge"),
        ("y ~ age == 40", "with < and >= only"),
        ("y ~ grade == 'hihg'", "hihg is not a declared value"),
        ("y ~ C(grade, 'none')", "none is not a declared value"),
        ("y ~ dose in (1, 2)", "no declared values"),
        ("y ~ 0", "no term"),
        ("Surv(y, treated) ~ age", "not Surv"),
    ] {
        let refusal = design(formula).unwrap_err();
        assert!(refusal.message.contains(part), "{formula}: {refusal}");
    }
    assert!(design("y ~ grade == 'hihg'").unwrap_err().remedy.contains("high"));
    let formula = Formula::parse("y ~ age").unwrap();
    let below_nought = vec![Variable {
        bounds: Some((-1.0, 1.0)),
        ..variables().remove(2)
    }];
    let weighted = Design::new(&formula, Some("dose"), &[], &[variables(), below_nought].concat());
    assert!(weighted.is_ok());
    assert!(Design::new(&formula, Some("grade"), &[], &variables()).is_err());
}

#[test]
fn contrasts_are_those_of_r() {
    assert_eq!(names("y ~ grade"), ["(Intercept)", "grade[mid]", "grade[high]"]);
    assert_eq!(
        names("y ~ C(grade, 'high')"),
        ["(Intercept)", "grade[low]", "grade[mid]"]
    );
    // Without a constant the first factor has all levels, the second not.
    assert_eq!(
        names("y ~ 0 + grade + centre"),
        ["grade[low]", "grade[mid]", "grade[high]", "centre[b]"]
    );
    assert_eq!(
        names("y ~ grade*age"),
        [
            "(Intercept)",
            "grade[mid]",
            "grade[high]",
            "age",
            "grade[mid]:age",
            "grade[high]:age"
        ]
    );
    // Without its margin, age of each level: R's model.matrix(~ grade:age).
    assert_eq!(
        names("y ~ grade:age"),
        ["(Intercept)", "grade[low]:age", "grade[mid]:age", "grade[high]:age"]
    );
    // centre is told from its reference where grade is in the model, and grade in full where centre is not.
    assert_eq!(
        names("y ~ grade + grade:centre"),
        [
            "(Intercept)",
            "grade[mid]",
            "grade[high]",
            "grade[low]:centre[b]",
            "grade[mid]:centre[b]",
            "grade[high]:centre[b]"
        ]
    );
    assert_eq!(names("y ~ bin(age)"), ["(Intercept)", "bin(age)[[40, 60)]"]);
}

#[test]
fn a_row_has_what_the_formula_says() {
    let design = design("y ~ I(dose^2) + age >= 40 + grade in ('mid', 'high'):treated").unwrap();
    let frame = Frame {
        columns: design
            .needs
            .iter()
            .map(|need| match need.column() {
                "y" => Column::Numbers(vec![1.0, 2.0]),
                "dose" => Column::Numbers(vec![2.0, 3.0]),
                "age" => Column::Numbers(vec![39.0, 40.0]),
                "treated" => Column::Numbers(vec![1.0, 1.0]),
                _ => Column::Codes(vec![0, 2]),
            })
            .collect(),
        people: Vec::new(),
        rows: 2,
    };
    let (mut room, mut found) = ([0.0; 2], Vec::new());
    for column in &design.columns {
        let mut values = [0.0; 2];
        column.fill(&frame, 0, &mut values, &mut room);
        found.push((column.name.as_str(), values.map(|value| value * column.scale)));
    }
    assert_eq!(
        found,
        [
            ("(Intercept)", [1.0, 1.0]),
            ("I(dose^2)", [4.0, 9.0]),
            ("age >= 40", [0.0, 1.0]),
            ("grade in (\"mid\", \"high\"):treated", [0.0, 1.0]),
        ]
    );
}

#[test]
fn complete_cases_are_needed_and_not_summed() {
    let formula = Formula::parse("y ~ age").unwrap();
    let design = Design::new(&formula, None, &["grade", "age"], &variables()).unwrap();
    let needed: Vec<&str> = design.needs.iter().map(Need::column).collect();
    assert_eq!((needed, design.summed), (vec!["y", "age", "grade"], 2));
}

#[test]
fn a_free_text_is_no_complete_case_of_anybody() {
    let note = Variable {
        name: "note".to_owned(),
        is_number: false,
        bounds: None,
        levels: Vec::new(),
        edges: Vec::new(),
    };
    let variables: Vec<Variable> = variables().into_iter().chain([note]).collect();
    let formula = Formula::parse("y ~ age").unwrap();
    let report = Design::new(&formula, None, &["grade", "note"], &variables).unwrap_err();
    assert_eq!(report.problem, Problem::ModelFormula);
    assert!(
        report.message.contains("note") && report.remedy.contains("note IS NOT NULL"),
        "{report:?}"
    );
}

#[test]
fn models_of_too_many_columns_are_refused_before_they_are_made() {
    let of = |name: &str| Variable {
        name: name.to_owned(),
        is_number: false,
        bounds: None,
        levels: (0..300).map(|level| level.to_string()).collect(),
        edges: Vec::new(),
    };
    let variables = ["a", "b", "c", "d"]
        .map(of)
        .into_iter()
        .chain(variables())
        .collect::<Vec<_>>();
    for (formula, what) in [
        ("y ~ a:b:c:d", "more than 1000 columns"),
        ("y ~ a + b + c + d", "more than 1000"),
    ] {
        let error = Design::new(&Formula::parse(formula).unwrap(), None, &[], &variables).unwrap_err();
        assert!(error.message.contains(what), "{formula}: {error}");
    }
}

#[test]
fn a_factor_of_several_terms_has_its_levels_once() {
    let formula = Formula::parse("y ~ grade*age + bin(age) + bin(age):treated").unwrap();
    let design = Design::new(&formula, None, &[], &variables()).unwrap();
    let mut levels: Vec<&Value> = design.levels.iter().map(|level| &level.value).collect();
    let all = levels.len();
    levels.dedup();
    assert_eq!(levels.len(), all);
    let grades = design.levels.iter().filter(|level| level.factor == "grade").count();
    assert_eq!(grades, 3);
}
