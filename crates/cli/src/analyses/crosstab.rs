//! `datenraum crosstab`: two columns against each other.

use federation::analyses::Study;
use federation::analyses::crosstab::{Crosstab, crosstab};
use terms::{ExitCode, Report};

use super::{Findings, Readers, Row, Sheet, Value, about, asker, end};
use crate::args::analyses::CrosstabArgs;

/// Asks, and prints.
pub(crate) async fn run(args: CrosstabArgs, json: bool) -> Result<ExitCode, Report> {
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let found = crosstab(&mut study, &args.rows, &args.columns, args.strata.as_deref()).await;
    let found = found.map(|table| findings(&table, args.strata.as_deref()));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(table: &Crosstab, strata: Option<&str>) -> Findings {
    let mut findings = Findings::from(table.results(strata));
    findings.sheets.insert(0, glance(table));
    findings
}

/// The table as people read it.
fn glance(table: &Crosstab) -> Sheet {
    let ((rows, row_levels), (columns, column_levels)) = (&table.rows, &table.columns);
    let lines = row_levels.iter().zip(&table.counts).map(|(level, counts)| {
        let first = Row::default().with(rows.name.clone(), level.clone());
        let cells = column_levels.iter().zip(counts);
        cells.fold(first, |row, (level, count)| {
            row.with(format!("{} {level}", columns.name), Value::Pooled(*count))
        })
    });
    Sheet::new("table", lines).read_by(Readers::People)
}
