//! Enforcement cases (`tests/enforce/*.toml`) and attacks (`tests/attacks/*.toml`): data files, walked here. A new case
//! needs no compile. How a case is asked is in `enforce/bench.rs`, what an answer's bytes may hold in `enforce/bytes.rs`,
//! several questions one after the other in `enforce/sequence.rs`.

mod bench;
mod bytes;
mod case;
mod joins;
mod page;
mod random;
mod rows;
mod sequence;

use std::fmt::Write as _;

use bench::{Bench, Outcome};
use case::{Attack, Case};
use serde_json::Value;

#[tokio::test]
async fn cases_answer_what_the_oracle_says_and_refuse_with_a_way_on() {
    let bench = Bench::shared();
    let expected = case::expected();
    let mut wrong = String::new();
    for case in case::cases() {
        let outcome = bench.ask(&case.asker, &case.sql).await;
        if let Err(difference) = compare(&case, &outcome, &expected) {
            let _ = writeln!(wrong, "\n{}\n  {}\n  {difference}", case.name, case.sql);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn compare(case: &Case, outcome: &Outcome, expected: &case::Expected) -> Result<(), String> {
    bytes::without_canaries(outcome)?;
    match (&case.refused, outcome) {
        (Some(code), Outcome::Refused(report)) => {
            let words = format!("{} {}", report.message, report.remedy);
            let says = case.says.as_deref().unwrap_or_default();
            if report.problem.code() != code || !words.contains(says) {
                return Err(format!(
                    "expected {code} saying {says:?}, got {}: {words}",
                    report.problem
                ));
            }
            Ok(())
        }
        (Some(code), Outcome::Answered(_)) => Err(format!("expected {code}, got {}", bytes::as_json(outcome))),
        (None, Outcome::Refused(report)) => Err(format!("refused: {report}; {}", report.remedy)),
        (None, Outcome::Answered(released)) => {
            let expected = expected
                .get(&case.name)
                .ok_or("no oracle: run python3 tests/enforce/patients.py")?;
            bytes::is_clean(released)?;
            expected.compare(&bytes::columns(released), &bytes::rows(released))
        }
    }
}

#[tokio::test]
async fn attacks_are_refused_by_name() {
    let bench = Bench::shared();
    let mut wrong = String::new();
    for Attack {
        name,
        asker,
        sql,
        refused,
        says,
    } in case::attacks()
    {
        let outcome = bench.ask(&asker, &sql).await;
        let short: String = sql.chars().take(200).collect();
        let problem = match &outcome {
            Outcome::Answered(_) => Err(format!("was answered: {}", bytes::as_json(&outcome))),
            Outcome::Refused(report) if !refused.iter().any(|code| code == report.problem.code()) => {
                Err(format!("expected {}, got {report}", refused.join(" or ")))
            }
            Outcome::Refused(report) if !says.as_ref().is_none_or(|says| report.message.contains(says)) => {
                Err(format!("expected it to say {says:?}, got {report}"))
            }
            Outcome::Refused(_) => Ok(()),
        };
        if let Err(difference) = problem.and_then(|()| bytes::without_canaries(&outcome)) {
            let _ = writeln!(wrong, "\n{name}\n  {short}\n  {difference}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What was built to be hard to read ends: by a refusal or an answer, not by an abort, and not by going on for ever.
#[tokio::test]
async fn long_and_deep_statements_end() {
    /// No measure of speed: only what would never end reaches it.
    const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(120);
    let bench = Bench::shared();
    let mut wrong = String::new();
    for (name, sql, codes) in case::long_statements() {
        let outcome = tokio::time::timeout(FOR_EVER, bench.ask("university", &sql)).await;
        let code = match &outcome {
            Err(_) => "no end",
            Ok(Outcome::Answered(_)) => "an answer",
            Ok(Outcome::Refused(report)) => report.problem.code(),
        };
        if !codes.iter().any(|expected| expected == code) {
            let _ = writeln!(wrong, "\n{name}: expected {codes:?}, got {code}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn blanked_values_leave_nothing_behind_in_the_buffers() {
    let bench = Bench::shared();
    let sql =
        "SELECT district, sum(cost) AS total, avg(cost) AS mean, count(cost) AS known FROM patients GROUP BY district";
    let Outcome::Answered(released) = bench.ask("university", sql).await else {
        panic!("refused")
    };
    let values = || released.batches().iter().flat_map(|batch| &batch.columns()[1..4]);
    let nulls: u64 = values().map(|column| column.null_count() as u64).sum();
    assert!(nulls >= 3 && nulls == released.blanked_values(), "{nulls}");
    let rows = bytes::rows(&released);
    for row in rows {
        let is_withheld = row[1..4].iter().any(Value::is_null);
        assert_eq!(
            is_withheld,
            !row[4].is_null(),
            "a value is missing without a word: {row:?}"
        );
    }
    bytes::is_clean(&released).unwrap();
}

#[tokio::test]
async fn an_answer_has_no_metadata_and_comes_in_the_order_of_its_groups() {
    let bench = Bench::shared();
    let Outcome::Answered(released) = bench
        .ask(
            "university",
            "SELECT count(*) AS n, diagnosis FROM patients GROUP BY diagnosis",
        )
        .await
    else {
        panic!("refused")
    };
    let schema = released.schema();
    assert!(schema.metadata().is_empty() && schema.fields().iter().all(|field| field.metadata().is_empty()));
    assert_eq!(schema.to_string(), released.batches()[0].schema().to_string());
    let rows = bytes::rows(&released);
    let groups: Vec<String> = rows
        .iter()
        .map(|row| row[1].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(groups.is_sorted(), "{groups:?}");
}

/// Nodes are asked in canonical SQL: reading what a query prints must give the query.
#[tokio::test]
async fn a_query_prints_as_sql_that_reads_back_as_the_same_query() {
    let bench = Bench::shared();
    for case in case::cases().into_iter().filter(|case| case.refused.is_none()) {
        let query = engine::read::read(&case.sql, &bench.rules.collections).await.unwrap();
        let again = engine::read::read(&query.to_string(), &bench.rules.collections).await;
        let again = again.unwrap_or_else(|report| panic!("{}: {query}: {report}", case.name));
        assert_eq!(again, query, "{}", case.name);
    }
}
