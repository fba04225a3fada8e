//! `datenraum crosstab`: two columns against each other.

use federation::analyses::Study;
use federation::analyses::crosstab::{Crosstab, Tests, crosstab};
use models::crosstab::{MantelHaenszel, OddsRatio};
use terms::{ExitCode, Report};

use super::{Findings, Readers, Row, Sheet, Value, about, asker, end, refused};
use crate::args::analyses::CrosstabArgs;

/// Least expected count below which the chi-squared distribution is rough (Cochran 1954).
const EXPECTED_LEAST: f64 = 5.0;

/// Asks, and prints.
pub(crate) async fn run(args: CrosstabArgs, json: bool) -> Result<ExitCode, Report> {
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let found = crosstab(&mut study, &args.rows, &args.columns, args.strata.as_deref()).await;
    let found = found.map(|table| findings(&table, args.strata.as_deref()));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(table: &Crosstab, strata: Option<&str>) -> Findings {
    let mut notes = Vec::new();
    let mut sheets = vec![glance(table), cells(table)];
    let mut facts = Row::default();
    match &table.tests {
        Ok(tests) => {
            facts = facts.with("n", Value::Number(tests.n));
            sheets.push(Sheet::new("tests", test_rows(tests)));
            sheets.push(Sheet::new(
                "odds_ratios",
                tests.odds_ratio.map(|ratio| ratio_row("odds ratio", &ratio)),
            ));
            if tests.independence.least_expected < EXPECTED_LEAST {
                notes.push(format!(
                    "the least expected count is {}: below 5 the p-values of chi-squared and G are rough",
                    super::sheet::figures(tests.independence.least_expected)
                ));
            }
        }
        Err(report) => notes.push(refused("no test", report)),
    }
    match &table.strata {
        Some(Ok(MantelHaenszel { common, chi_squared, p })) => {
            let over = strata.unwrap_or_default();
            sheets.push(Sheet::new(
                "common_odds_ratio",
                [ratio_row(&format!("common odds ratio over {over}"), common)
                    .with("cmh_chi_squared", Value::Number(*chi_squared))
                    .with("cmh_p", Value::P(*p))],
            ));
        }
        Some(Err(report)) => notes.push(refused("no common odds ratio", report)),
        None => {}
    }
    if table.can_lack_levels {
        notes.push("a value of which no node released anything is not in the table, nor in its tests".to_owned());
    }
    Findings {
        facts: facts.with("dropped", Value::Pooled(table.dropped)),
        sheets,
        notes,
        ..Findings::default()
    }
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

/// The same as programs read it.
fn cells(table: &Crosstab) -> Sheet {
    let cells = table.rows.1.iter().enumerate().flat_map(|(row, level)| {
        let columns = table.columns.1.iter().enumerate();
        columns.map(move |(column, other)| {
            let expected = table.expected.as_ref().map(|expected| expected[row][column]);
            Row::default()
                .with("row", level.clone())
                .with("column", other.clone())
                .with("n", Value::Pooled(table.counts[row][column]))
                .with("expected", expected)
        })
    });
    Sheet::new("rows", cells).read_by(Readers::Programs)
}

fn test_rows(tests: &Tests) -> Vec<Row> {
    let of = &tests.independence;
    let row = |test: &str, statistic: Option<f64>, df: Option<f64>, p: f64| {
        Row::default()
            .with("test", test)
            .with("statistic", statistic)
            .with("df", df)
            .with("p", Value::P(p))
    };
    let mut rows = vec![
        row("Pearson chi-squared", Some(of.chi_squared), Some(of.df), of.p),
        row("G", Some(of.g), Some(of.df), of.p_g),
    ];
    rows.extend(tests.fisher.map(|p| row("Fisher, exact", None, None, p)));
    rows.push(
        Row::default()
            .with("test", "Cramér's V")
            .with("statistic", Value::Number(of.cramers_v))
            .with("df", Value::Nothing)
            .with("p", Value::Nothing),
    );
    rows
}

fn ratio_row(name: &str, ratio: &OddsRatio) -> Row {
    Row::default()
        .with("term", name)
        .with("estimate", Value::Number(ratio.odds_ratio))
        .with("log_std_error", Value::Number(ratio.log_std_error))
        .with("ci_low", Value::Number(ratio.ci[0]))
        .with("ci_high", Value::Number(ratio.ci[1]))
}
