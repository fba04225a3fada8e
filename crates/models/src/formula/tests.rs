use super::*;

fn refusal(text: &str) -> String {
    Formula::parse(text).unwrap_err().message
}

#[test]
fn what_is_wrong_is_shown_under_the_formula() {
    assert_eq!(
        refusal("y ~ age + exp(grade)"),
        "there is no function exp here; there are C, bin, log, sqrt, I, offset, strata and, before the `~`, Surv\n  \
         y ~ age + exp(grade)\n            ^"
    );
    for (text, part) in [
        ("", "the name of a column"),
        ("y", "needs a `~`"),
        ("y ~", "the name of a column"),
        ("y ~ a b", "a `+` or the end"),
        ("y ~ a - b", "leave the term out"),
        ("y ~ I(a^9)", "a power is 2, 3 or 4"),
        ("y ~ C(a", "not closed"),
        ("y ~ 'a", "cannot stand"),
        ("y ~ a; DROP TABLE b", "cannot stand"),
        ("Surv(t) ~ a", "Surv(time, event)"),
    ] {
        assert!(refusal(text).contains(part), "{text}: {}", refusal(text));
    }
    let long = format!("y ~ {}", vec!["a"; 3_000].join(" + "));
    assert!(refusal(&long).contains("longer than"));
}

#[test]
fn products_are_multiplied_out_once_and_come_in_the_order_of_r() {
    let formula = Formula::parse("relapsed ~ hormone:age + age * C(grade, '1') + age + offset(log(years))").unwrap();
    let terms: Vec<String> = formula
        .terms
        .iter()
        .map(|term| term.iter().map(ToString::to_string).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(terms, ["age", "C(grade, \"1\")", "hormone:age", "age:C(grade, \"1\")"]);
    assert!(formula.intercept);
    assert_eq!(formula.offsets[0].to_string(), "log(years)");
    let columns: Vec<&str> = formula.columns().into_iter().collect();
    assert_eq!(columns, ["age", "grade", "hormone", "relapsed", "years"]);
}

#[test]
fn the_constant_can_be_left_out() {
    assert!(!Formula::parse("y ~ a - 1").unwrap().intercept);
    assert!(!Formula::parse("y ~ 0 + a").unwrap().intercept);
    assert!(Formula::parse("y ~ 1").unwrap().intercept);
}

#[test]
fn a_time_to_an_event_and_comparisons() {
    let formula = Formula::parse("Surv(days, status == 2) ~ I(sex != \"m\") + (age >= 50) + strata(centre)").unwrap();
    let Response::Survival { time, event } = &formula.response else {
        panic!("{formula:?}")
    };
    assert_eq!((time.as_str(), event.to_string().as_str()), ("days", "status == 2"));
    assert_eq!(formula.terms[0][0].to_string(), "sex != \"m\"");
    assert_eq!(formula.terms[1][0].to_string(), "age >= 50");
    assert_eq!(formula.strata, ["centre"]);
}

#[test]
fn products_that_multiply_without_end_are_refused() {
    for variable in ["x", "I(x^2)", "(x)"] {
        let formula = format!("y ~ {}", [variable; 60].join("*"));
        assert_eq!(Formula::parse(&formula).unwrap().terms.len(), 1);
    }
    let columns: Vec<String> = (0..60).map(|at| format!("x{at}")).collect();
    let error = Formula::parse(&format!("y ~ {}", columns.join("*"))).unwrap_err();
    assert!(error.message.contains("more than 200 terms"), "{error}");
}
