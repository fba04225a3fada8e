//! `datenraum correlate`: columns of numbers with each other.

use federation::analyses::Study;
use federation::analyses::correlate::{Pair, Rows, correlate};
use terms::{ExitCode, Report};

use super::{Findings, Readers, Row, Sheet, Value, about, asker, end};
use crate::args::analyses::CorrelateArgs;

/// Asks, and prints.
pub(crate) async fn run(args: CorrelateArgs, json: bool) -> Result<ExitCode, Report> {
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let rows = match args.complete {
        true => Rows::Complete,
        false => Rows::Pairwise,
    };
    let found = correlate(&mut study, &args.columns, rows).await;
    let found = found.map(|pairs| findings(&pairs, &args.columns, rows));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(pairs: &[Pair], columns: &[String], rows: Rows) -> Findings {
    let line = |pair: &Pair| {
        let test = |of: fn(&models::correlate::Correlation) -> Option<f64>| pair.test.as_ref().and_then(of);
        Row::default()
            .with("one", pair.one.clone())
            .with("other", pair.other.clone())
            .with("r", Value::Pooled(pair.r))
            .with("n", Value::Pooled(pair.n))
            .with("t", test(|test| Some(test.t)))
            .with("p", pair.test.map_or(Value::Nothing, |test| Value::P(test.p)))
            .with("ci_low", test(|test| test.ci.map(|ci| ci[0])))
            .with("ci_high", test(|test| test.ci.map(|ci| ci[1])))
    };
    let counted = match rows {
        Rows::Pairwise => "pairwise: of each pair, the rows in which both columns are known",
        Rows::Complete => "complete: only rows in which all of these columns are known",
    };
    Findings {
        sheets: vec![matrix(pairs, columns), Sheet::new("rows", pairs.iter().map(line))],
        notes: vec![counted.to_owned()],
        ..Findings::default()
    }
}

/// The coefficients as people read them.
fn matrix(pairs: &[Pair], columns: &[String]) -> Sheet {
    let value = |one: &String, other: &String| {
        let is_it = |pair: &&Pair| [&pair.one, &pair.other] == [one, other] || [&pair.other, &pair.one] == [one, other];
        match pairs.iter().find(is_it) {
            Some(pair) => Value::Pooled(pair.r),
            None => Value::Number(1.0),
        }
    };
    let lines = columns.iter().map(|one| {
        let first = Row::default().with("", one.clone());
        columns
            .iter()
            .fold(first, |row, other| row.with(other.clone(), value(one, other)))
    });
    Sheet::new("matrix", lines).read_by(Readers::People)
}
