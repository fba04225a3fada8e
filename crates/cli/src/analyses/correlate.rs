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
    let mut findings = Findings::from(rows.results(pairs));
    findings.sheets.insert(0, matrix(pairs, columns));
    findings
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
