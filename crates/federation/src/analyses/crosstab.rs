//! Two columns against each other: counts, and whether they are independent; over strata their common odds ratio.

use models::crosstab::{self, Fourfold, Independence, MantelHaenszel, OddsRatio};
use terms::{Problem, Report};

use super::study::require_each_once;
use super::{CONFIDENCE, Cell, Cells, Key, Number, Study};

/// A table of counts.
#[derive(Clone, Debug)]
pub struct Crosstab {
    /// What stands along the rows, and its values.
    pub rows: (Key, Vec<String>),
    /// What stands along the columns, and its values.
    pub columns: (Key, Vec<String>),
    /// Counts, row by row; open where not all was released, and without a value where nothing was.
    pub counts: Vec<Vec<Number>>,
    /// What would be expected if both were independent, where every count is exact.
    pub expected: Option<Vec<Vec<f64>>>,
    /// Rows in which one of both is not known.
    pub dropped: Number,
    /// The tests, or why there are none.
    pub tests: Result<Tests, Report>,
    /// Over strata, if they are asked for.
    pub strata: Option<Result<MantelHaenszel, Report>>,
    /// Whether values can be missing of which nobody released anything.
    pub can_lack_levels: bool,
}

/// What tests say of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tests {
    /// Rows in the table.
    pub n: f64,
    /// Chi-squared and G.
    pub independence: Independence,
    /// Fisher's p-value, of two by two.
    pub fisher: Option<f64>,
    /// The odds ratio, of two by two without an empty cell.
    pub odds_ratio: Option<OddsRatio>,
}

/// Counts rows by two columns, and tests the table.
///
/// # Errors
/// As [`Study::ask`]; an unknown column.
pub async fn crosstab(
    study: &mut Study<'_>,
    rows: &str,
    columns: &str,
    strata: Option<&str>,
) -> Result<Crosstab, Report> {
    require_each_once([rows, columns].into_iter().chain(strata))?;
    let (rows, columns) = (study.key(rows)?, study.key(columns)?);
    let strata = strata.map(|strata| study.key(strata)).transpose()?;
    let count = ["count(*)".to_owned()];
    if let Some(strata) = &strata {
        study
            .require_exact(&[strata, &rows, &columns], &count, Some("--strata"))
            .await?;
    }
    let cells = study.ask(&[&rows, &columns], &count, &[]).await?;
    let (cells, dropped) = cells.without_unknown(0);
    let row_levels = cells.levels(0, &rows);
    let column_levels = cells.levels(1, &columns);
    let counts = row_levels.iter().map(|row| {
        let counts = column_levels.iter().map(|column| cells.number(&[row, column], 0));
        counts.collect::<Vec<_>>()
    });
    let counts: Vec<Vec<Number>> = counts.collect();
    let mut exact = exact(&cells, &row_levels, &column_levels);
    let mut can_lack_levels = cells.can_lack(&rows, &row_levels) || cells.can_lack(&columns, &column_levels);
    // What a test is made of is all rows; without one nothing is asked for it.
    if can_lack_levels && let Ok(counts) = exact {
        let all = study.ask(&[], &count, &[]).await?.number(&[], 0);
        exact = whole(counts, all, dropped, &cells);
        can_lack_levels = exact.is_err();
    }
    let strata = match (strata, &exact) {
        (Some(strata), Ok(counts)) => {
            let cells = study.ask(&[&strata, &rows, &columns], &count, &[]).await?;
            let all = counts.iter().flatten().sum();
            Some(over_strata(&cells, all, &strata, &row_levels, &column_levels))
        }
        (Some(_), Err(report)) => Some(Err(report.clone())),
        (None, _) => None,
    };
    Ok(Crosstab {
        expected: exact.as_ref().ok().map(|counts| crosstab::expected(counts)),
        tests: exact.and_then(|counts| tests(&counts)),
        rows: (rows, row_levels),
        columns: (columns, column_levels),
        counts,
        dropped,
        strata,
        can_lack_levels,
    })
}

/// The counts, if all rows are in them or among those dropped that were told: then nobody has a value that is not in the table.
fn whole(counts: Vec<Vec<f64>>, all: Number, dropped: Number, cells: &Cells) -> Result<Vec<Vec<f64>>, Report> {
    let counted: f64 = counts.iter().flatten().sum();
    match all.exact().zip(dropped.value) {
        Some((all, dropped)) if all == counted + dropped => Ok(counts),
        _ => Err(cells.withheld("a row or column that is not in the table")),
    }
}

fn exact(cells: &Cells, rows: &[String], columns: &[String]) -> Result<Vec<Vec<f64>>, Report> {
    let row = |row: &String| columns.iter().map(|column| cells.count(&[row, column], 0)).collect();
    rows.iter().map(row).collect()
}

fn tests(counts: &[Vec<f64>]) -> Result<Tests, Report> {
    let independence = crosstab::independence(counts).ok_or_else(|| {
        let report = Problem::Statistic.report("a table needs two rows and two columns with somebody in them");
        report.remedy("choose columns of which at least two values were released")
    })?;
    let fourfold = fourfold(counts);
    Ok(Tests {
        n: counts.iter().flatten().sum(),
        independence,
        fisher: fourfold.as_ref().and_then(crosstab::fisher),
        odds_ratio: fourfold.and_then(|table| crosstab::odds_ratio(&table, CONFIDENCE)),
    })
}

fn fourfold(counts: &[Vec<f64>]) -> Option<Fourfold> {
    match counts {
        [one, other] => Some([
            <[f64; 2]>::try_from(one.as_slice()).ok()?,
            <[f64; 2]>::try_from(other.as_slice()).ok()?,
        ]),
        _ => None,
    }
}

/// Over all strata that are known, or none: they and the rows without a known one, which R leaves out, are `all` rows of the table.
fn over_strata(
    cells: &Cells,
    all: f64,
    strata: &Key,
    rows: &[String],
    columns: &[String],
) -> Result<MantelHaenszel, Report> {
    let ([one, other], [left, right]) = (rows, columns) else {
        let report = Problem::Statistic.report("an odds ratio is of two rows and two columns");
        return Err(report.remedy("choose columns of two values each, or leave --strata out"));
    };
    let mut tables = Vec::new();
    for stratum in cells.levels(0, strata) {
        let count = |row: &str, column: &str| cells.count(&[&stratum, row, column], 0);
        tables.push([
            [count(one, left)?, count(one, right)?],
            [count(other, left)?, count(other, right)?],
        ]);
    }
    let is_without = |cell: &&Cell| cell.keys[0].is_none() && cell.keys[1..].iter().all(Option::is_some);
    let without = cells
        .cells
        .iter()
        .filter(is_without)
        .filter_map(|cell| cell.numbers[0].value);
    let counted: f64 = tables.iter().flatten().flatten().copied().chain(without).sum();
    if !cells.complete && counted != all {
        return Err(cells.withheld("a stratum that is not among those of which something"));
    }
    crosstab::mantel_haenszel(&tables, CONFIDENCE).ok_or_else(|| {
        let report = Problem::Statistic.report("the strata have no common odds ratio: too many cells are empty");
        report.remedy("use fewer strata")
    })
}

#[cfg(test)]
mod tests;
