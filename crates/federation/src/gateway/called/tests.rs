use terms::Problem;

use super::*;

const GLM: &str = "SELECT * FROM glm(collection => 'heart', formula => 'disease == ''yes'' ~ age', family => 'binomial', where => 'age >= 50', \
                   nodes => 'a, b', without_missing => 'true', steps => '7')";

fn fit_of(sql: &str) -> FitQuestion {
    match parse(sql).unwrap() {
        Some(Called::Fit(question)) => question,
        other => panic!("{other:?}"),
    }
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
    for (said, says) in [
        ("collection => 'heart'", "columns"),
        ("columns => 'age'", "collection"),
        (
            "collection => 'heart', columns => 'age', histograms => 'true'",
            "no option histograms",
        ),
        (
            "collection => 'heart', columns => 'age', histogram => 'maybe'",
            "histogram",
        ),
    ] {
        let report = parse(&format!("SELECT * FROM describe({said})")).unwrap_err();
        assert!(
            report.problem == Problem::Usage && report.message.contains(says),
            "{said}: {report:?}"
        );
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
}

#[test]
fn the_columns_are_known_from_the_name() {
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
    let of_columns = "SELECT * FROM describe(collection => 'heart', columns => 'age, sex', by => 'sex')";
    assert_eq!(
        columns(of_columns),
        "column kind group value n missing mean sd q25 median q75"
    );
}

#[test]
fn facts_that_are_too_long_for_a_schema_lack_the_covariances() {
    let facts =
        |size: usize| json!({ "n": 100, "covariance": vec![vec![0.123_456_789; size]; size], "questions": ["FIT"] });
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
