use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Float64Type, Int64Type};
use models::Fitted;
use models::glm::penalised;

use super::*;
use crate::FitQuestion;
use crate::analyses::{Number, Row, Value as Told};

const GLM: &str = "SELECT * FROM glm(collection => 'heart', formula => 'disease == ''yes'' ~ age', family => 'binomial', where => 'age >= 50', \
                   nodes => 'a, b', without_missing => 'true', steps => '7')";

fn fit_of(sql: &str) -> FitQuestion {
    match parse(sql).unwrap() {
        Some(Called::Fit(called)) => called.question,
        other => panic!("{other:?}"),
    }
}

/// Asserts that a call with these arguments is refused.
fn refused(analysis: &str, arguments: &str, says: &str, remedy: &str) {
    let sql = format!("SELECT * FROM {analysis}(collection => 'heart', {arguments})");
    let report = parse(&sql).unwrap_err();
    assert!(
        report.problem == Problem::Usage && report.message.contains(says) && report.remedy.contains(remedy),
        "{sql}: {report:?}"
    );
}

#[test]
fn what_cannot_be_read_or_is_not_whole_is_refused() {
    let refused = |from: &str, to: &str, problem: Problem, says: &str| {
        let bad = GLM.replacen(from, to, 1);
        assert_ne!(bad, GLM, "{from}");
        let report = parse(&bad).unwrap_err();
        assert_eq!(report.problem, problem, "{bad}: {report:?}");
        assert!(
            report.message.contains(says) && !report.remedy.is_empty(),
            "{bad}: {report:?}"
        );
    };
    refused("collection => 'heart', ", "", Problem::Usage, "collection");
    refused("'heart'", "' '", Problem::Usage, "collection");
    refused("'heart'", "heart", Problem::SqlSyntax, "quotes");
    refused("'7')", "'7'", Problem::SqlSyntax, ") is missing");
    refused(
        "'7')",
        "'7') WHERE p < 0.05",
        Problem::SqlNotAllowed,
        "nothing can follow",
    );
    refused("'7')", "'7'); SELECT 1", Problem::SqlNotAllowed, "nothing can follow");
    refused("'7'", "'many'", Problem::Usage, "steps");
    refused("'7'", "'-1'", Problem::Usage, "steps");
    refused("'true'", "'yes'", Problem::Usage, "without_missing");
    refused("'a, b'", "'a, No Id'", Problem::Usage, "nodes");
    refused("'a, b'", "'a,, b'", Problem::Usage, "nodes");
    refused("steps =>", "nodes =>", Problem::SqlSyntax, "twice");
    let long = GLM.replace("age >= 50", &"age >= 50 AND ".repeat(10_000));
    assert_eq!(parse(&long).unwrap_err().problem, Problem::SqlLimit);
}

#[test]
fn an_analysis_that_does_not_say_what_it_must_is_refused() {
    for (analysis, said, missing) in [
        ("describe", "by => 'sex'", "columns"),
        ("survival", "event => 'died'", "time"),
        ("survival", "time => 'days'", "event"),
        ("crosstab", "rows => 'sex'", "columns"),
        ("crosstab", "columns => 'sex'", "rows"),
        ("compare", "outcome => 'age'", "by"),
        ("compare", "by => 'sex'", "outcome"),
        ("correlate", "complete => 'true'", "columns"),
        ("rates", "by => 'district'", "population"),
        ("meta", "where => 'age > 50'", "outcome"),
    ] {
        refused(analysis, said, &format!("does not say {missing}"), missing);
    }
    let report = parse("SELECT * FROM survival(time => 'days', event => 'died')").unwrap_err();
    assert!(report.message.contains("collection"), "{report:?}");
}

#[test]
fn an_option_that_an_analysis_has_not_is_refused_with_those_that_it_has() {
    for (analysis, options) in study::OPTIONS {
        refused(
            analysis,
            "purpose => 'ehds-53-1-e'",
            "no option purpose",
            &options.join(", "),
        );
    }
    refused(
        "describe",
        "columns => 'age', histograms => 'true'",
        "no option histograms",
        "did you mean histogram?",
    );
    refused(
        "survival",
        "tim => 'days', event => 'died'",
        "no option tim",
        "did you mean time?",
    );
}

#[test]
fn a_value_that_an_option_cannot_have_is_refused_with_those_that_it_can() {
    let survival = "time => 'days', event => 'died', ";
    refused(
        "survival",
        &format!("{survival}method => 'km'"),
        "method",
        "product-limit, actuarial",
    );
    refused(
        "survival",
        &format!("{survival}interval => 'plain'"),
        "interval",
        "log, log-log",
    );
    refused("describe", "columns => 'age', histogram => 'maybe'", "histogram", "");
    refused("compare", "outcome => 'age', by => 'sex', ranks => '1'", "ranks", "");
    let rates = "by => 'district', population => 'people', ";
    refused("rates", &format!("{rates}per => '0'"), "per", "");
    refused("rates", &format!("{rates}per => '1e5'"), "per", "");
    refused(
        "rates",
        &format!("{rates}age => 'age', standard => 'old'"),
        "standard",
        "european-2013, who-2000-2025",
    );
    refused(
        "rates",
        &format!("{rates}interval => 'wald'"),
        "interval",
        "gamma, dobson",
    );
    refused(
        "rates",
        &format!("{rates}age => 'age'"),
        "one of both is missing",
        "both",
    );
    refused(
        "rates",
        &format!("{rates}standard => 'european-2013'"),
        "one of both is missing",
        "both",
    );
}

#[test]
fn a_file_of_people_is_not_read_by_the_gateway() {
    refused(
        "rates",
        "population => '/etc/people.CSV'",
        "reads no files",
        "lines of the CSV",
    );
    let own =
        "SELECT * FROM rates(collection => 'heart', by => 'district', population => 'district,population\na,many\n')";
    let report = parse(own).unwrap_err();
    assert!(
        report.problem == Problem::OwnFile && report.message.contains("line 2"),
        "{report:?}"
    );
    assert!(parse(&own.replace("many", "7")).is_ok());
}

#[test]
fn every_option_that_is_listed_is_read() {
    let value = |option: &str| match option {
        "histogram" | "ranks" | "complete" => "true",
        "method" => "actuarial",
        "standard" => "who-2000-2025",
        "per" => "1000",
        _ => "age",
    };
    for (analysis, options) in study::OPTIONS {
        let said = |option: &str| match (analysis, option) {
            ("survival", "interval") => "log-log",
            ("rates", "interval") => "dobson",
            _ => value(option),
        };
        // Estimates are of nobody who is asked.
        let options = options.iter().filter(|option| **option != "estimates");
        let said = options.map(|option| format!("{option} => '{}'", said(option)));
        let said = said.collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT * FROM {analysis}(collection => 'heart', where => 'age > 50', {said})");
        assert!(matches!(parse(&sql).unwrap(), Some(Called::Study(_))), "{sql}");
    }
}

#[test]
fn what_is_no_call_is_left_to_the_planner() {
    for sql in [
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT * FROM glm",
        "SELECT * FROMglm('x')",
        "SELECT * FROM heart",
        "SELECT term FROM glm(collection => 'heart', formula => 'disease ~ age')",
        "SELECT * FROM glms(collection => 'heart')",
        "SELECT * FROM penalised(collection => 'heart')",
        "SELECT * FROM (SELECT 1) AS glm(a)",
        "SELECT * FROM heart, glm(collection => 'heart')",
        "FIT glm(formula => 'disease ~ age')",
        "SÉLECT * FROM glm(collection => 'heart')",
    ] {
        assert!(parse(sql).unwrap().is_none(), "{sql}");
    }
}

#[test]
fn a_call_says_what_a_fit_is_asked_with_and_never_for_what() {
    for sql in [
        GLM.to_owned(),
        GLM.replace("SELECT * FROM glm", "select*\n from  GLM ") + " ; \n",
    ] {
        let question = fit_of(&sql);
        assert_eq!(question.collection, "heart");
        assert_eq!(question.analysis, "glm");
        assert_eq!(question.condition.as_deref(), Some("age >= 50"));
        assert_eq!(question.nodes.map(|nodes| nodes.len()), Some(2));
        assert!(question.without_missing);
        assert_eq!(question.steps, Some(7));
        let options: Vec<_> = question
            .options
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(options, [("family", "binomial"), ("formula", "disease == 'yes' ~ age")]);
    }
    // Purpose and permit come from the connection: in the text they are options that no model has.
    let question = fit_of(&GLM.replace("family => 'binomial'", "purpose => 'ehds-53-1-e', permit => 'P-1'"));
    assert_eq!((question.purpose, question.permit), (None, None));
    assert!(question.options.contains_key("purpose") && question.options.contains_key("permit"));
    assert!(!fit_of("SELECT * FROM cox(collection => 'heart', formula => 'Surv(days, died) ~ age')").without_missing);
    let path = fit_of(&GLM.replace("family => 'binomial'", "penalty => 'lasso', lambdas => '0.1'"));
    assert_eq!(path.analysis, "penalised");
}

#[test]
fn a_fit_over_fewer_nodes_than_are_enough_is_refused_before_anybody_is_asked() {
    let options = |least: Option<usize>| Options {
        minimum_nodes: least.and_then(std::num::NonZeroUsize::new),
        ..Options::default()
    };
    let refused = |nodes, without_missing, least, says: &str| {
        let report = fit::enough_to_ask(nodes, without_missing, &options(least)).unwrap_err();
        assert!(
            report.problem == Problem::Partial
                && report.message.contains(says)
                && report.remedy.contains("minimum_nodes"),
            "{report:?}"
        );
    };
    refused(3, true, None, "how many are enough");
    refused(2, false, Some(3), "over 2 nodes");
    refused(2, true, Some(3), "fewer than 3");
    for (nodes, without_missing, least) in [(1, false, None), (3, false, Some(3)), (3, true, Some(2))] {
        fit::enough_to_ask(nodes, without_missing, &options(least)).unwrap();
    }
}

#[test]
fn the_columns_are_known_from_the_call() {
    let columns = |sql: &str| {
        let described = parse(sql).unwrap().unwrap().described().unwrap();
        assert!(described.parameters.fields().is_empty());
        let fields = described.schema.fields().iter().map(|field| field.name().clone());
        fields.collect::<Vec<_>>().join(" ")
    };
    let of_glm = "term estimate std_error statistic p ci_low ci_high";
    assert_eq!(columns(GLM), of_glm);
    let of_cox = format!("{of_glm} hazard_ratio hazard_ratio_low hazard_ratio_high");
    assert_eq!(columns(&GLM.replace("glm", "cox")), of_cox);
    let path = GLM.replace("family => 'binomial'", "penalty => 'ridge', lambdas => '1'");
    assert_eq!(columns(&path), "lambda nonzero deviance term estimate");
    let of_columns = "SELECT * FROM describe(collection => 'heart', columns => 'age, sex', by => 'sex')";
    assert_eq!(
        columns(of_columns),
        "column kind group value n missing mean sd q25 median q75"
    );
}

#[test]
fn what_no_column_holds_is_not_left_out_without_a_word() {
    let row = Row::default().with("one", "age").with("rho", Told::Number(0.5));
    let report = table::CORRELATE.batch(&[row]).unwrap_err();
    assert!(
        report.problem == Problem::Internal && report.message.contains("rho"),
        "{report:?}"
    );
}

#[test]
fn a_number_that_is_open_is_told_of_by_its_row_and_one_that_is_not_there_is_null() {
    let open = Number {
        value: Some(12.0),
        open: Some((Some(12.0), None)),
        bin: None,
    };
    let withheld = Number { value: None, ..open };
    let row = |n: Number, expected: f64| {
        let row = Row::default().with("row", "a").with("n", Told::Pooled(n));
        row.with("expected", Told::Number(expected))
    };
    let rows = [row(Number::known(30.0), 25.0), row(open, f64::NAN), row(withheld, 1.0)];
    let batch = table::CROSSTAB.batch(&rows).unwrap();
    let (n, expected) = (
        batch.column(2).as_primitive::<Int64Type>(),
        batch.column(3).as_primitive::<Float64Type>(),
    );
    assert_eq!(n.iter().collect::<Vec<_>>(), [Some(30), Some(12), None]);
    assert!(expected.is_null(1) && batch.column(1).is_null(0));
    let intervals = table::intervals(&rows, &Evidence::default());
    let told: Vec<_> = intervals
        .iter()
        .map(|open| (open.row, open.column.as_str(), open.low, open.high))
        .collect();
    assert_eq!(told, [(1, "n", Some(12.0), None), (2, "n", Some(12.0), None)]);
}

#[test]
fn a_path_is_a_row_for_each_coefficient_at_each_penalty() {
    let point = |lambda: f64| penalised::Point {
        lambda,
        terms: ["(Intercept)", "age"]
            .map(|term| penalised::Coefficient {
                term: term.to_owned(),
                estimate: lambda,
            })
            .into(),
        nonzero: 1,
        deviance: 10.0,
    };
    let fitted = Fitted::Penalised(penalised::Fitted {
        mixing: 1.0,
        path: vec![point(0.5), point(0.1)],
        n: 100,
        steps: 4,
        empty_levels: Vec::new(),
    });
    let batch = table::PENALISED.batch(&fit::tabled(&fitted).rows).unwrap();
    let lambdas = batch.column(0).as_primitive::<Float64Type>();
    assert_eq!(lambdas.values().to_vec(), [0.5, 0.5, 0.1, 0.1]);
    let terms: Vec<_> = batch.column(3).as_string::<i32>().iter().flatten().collect();
    assert_eq!(terms, ["(Intercept)", "age", "(Intercept)", "age"]);
}

#[test]
fn facts_that_are_too_long_for_a_schema_lack_the_covariances() {
    let facts = |size: usize| {
        let facts = json!({ "n": 100, "covariance": vec![vec![0.123_456_789; size]; size], "questions": ["FIT"] });
        facts.as_object().cloned().unwrap()
    };
    assert!(short_enough(facts(3)).contains("covariance"));
    let short = short_enough(facts(400));
    assert!(short.len() < 100 && short.contains("\"n\":100"), "{short}");
}

#[tokio::test]
async fn a_fit_that_takes_longer_than_the_connection_gives_it_is_late() {
    let never = std::future::pending::<Result<(), Report>>();
    let report = within(Some("1".parse().unwrap()), never).await.unwrap_err();
    assert_eq!(report.problem, Problem::Late);
    assert!(report.message.contains("1 s"), "{report:?}");
}

#[test]
fn what_a_command_says_of_its_flags_a_call_says_of_its_arguments() {
    for (command, call) in [
        (
            "use wider groups: --where \"node NOT IN ('north')\"",
            "use wider groups: where => 'node NOT IN (''north'')'",
        ),
        ("other rows with --where", "other rows with where"),
        ("name it with --event-value; it", "name it with event_value; it"),
        ("--complete-cases takes only those", "complete takes only those"),
        ("leave --strata out -- or not", "leave strata out -- or not"),
        ("datenraum query --dry-run tells", "datenraum query --dry-run tells"),
        ("--where \"open", "where \"open"),
        ("nothing", "nothing"),
    ] {
        assert_eq!(said::as_called(command), call);
    }
    let report = Problem::Withheld.report("no").remedy("--where \"a > 1\"");
    assert_eq!(said::report_as_called(report).remedy, "where => 'a > 1'");
}

#[test]
fn own_estimates_are_read_and_nobody_is_asked() {
    let refused = |estimates: &str, says: &str| {
        let report = parse(&format!("SELECT * FROM meta(estimates => '{estimates}')")).unwrap_err();
        assert!(
            report.problem == Problem::Usage && report.message.contains(says) && report.remedy.contains("std_error"),
            "{report:?}"
        );
    };
    refused("north", "no array");
    refused("{}", "no array");
    refused(r#"[{"label": "north", "estimate": 0.2}]"#, "entry 1");
    let both = parse("SELECT * FROM meta(estimates => '[]', outcome => 'age')").unwrap_err();
    assert!(
        both.message.contains("meta of estimates has no option outcome"),
        "{both:?}"
    );
    let told = r#"SELECT * FROM meta(estimates => '[{"label": "north", "estimate": 0.2, "std_error": 0.1}]')"#;
    assert!(matches!(parse(told).unwrap(), Some(Called::Study(_))));
}
