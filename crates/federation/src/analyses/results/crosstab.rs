//! Of two columns against each other.

use models::crosstab::{MantelHaenszel, OddsRatio};

use crate::analyses::crosstab::{Crosstab, Tests};

use super::{Readers, Results, Row, Sheet, Value, figures, refused};

/// Least expected count below which the chi-squared distribution is rough (Cochran 1954).
const EXPECTED_LEAST: f64 = 5.0;

impl Crosstab {
    /// Its tables; `strata` is the column of strata.
    pub fn results(&self, strata: Option<&str>) -> Results {
        let mut notes = Vec::new();
        let mut sheets = vec![self.cells()];
        let mut facts = Row::default();
        match &self.tests {
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
                        figures(tests.independence.least_expected)
                    ));
                }
            }
            Err(report) => notes.push(refused("no test", report)),
        }
        match &self.strata {
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
        if self.can_lack_levels {
            notes.push("a value of which no node released anything is not in the table".to_owned());
        }
        Results {
            facts: facts.with("dropped", Value::Pooled(self.dropped)),
            sheets,
            notes,
            rows_open: self.can_lack_levels,
        }
    }

    /// The counts, one row a cell.
    fn cells(&self) -> Sheet {
        let cells = self.rows.1.iter().enumerate().flat_map(|(row, level)| {
            let columns = self.columns.1.iter().enumerate();
            columns.map(move |(column, other)| {
                let expected = self.expected.as_ref().map(|expected| expected[row][column]);
                Row::default()
                    .with("row", level.clone())
                    .with("column", other.clone())
                    .with("n", Value::Pooled(self.counts[row][column]))
                    .with("expected", expected)
            })
        });
        Sheet::new("rows", cells).read_by(Readers::Programs)
    }
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
