//! What the rows of some columns look like: of numbers how many, mean, spread and quartiles, of the rest how often each value is there.

use policy::{ColumnKind, Domain};
use terms::Report;

use super::study::require_each_once;
use super::{Cells, Key, Number, Study};

/// Shares below which the quantiles lie that are told.
pub const QUARTILES: [f64; 3] = [0.25, 0.5, 0.75];

/// A column of numbers, in one group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The column.
    pub column: String,
    /// The group; none if there are none, or if its value is not known.
    pub group: Option<String>,
    /// Rows in which the column is known.
    pub n: Number,
    /// Rows in which it is not.
    pub missing: Number,
    /// Their average.
    pub mean: Number,
    /// Their standard deviation, over n − 1.
    pub sd: Number,
    /// The quartiles, interpolated in declared bins; none where the column has no bins.
    pub quartiles: Option<[Number; 3]>,
}

/// How often each value of a column, or each bin, is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies {
    /// The column.
    pub key: Key,
    /// The group, the value and the rows, in the order of the values; not known values last.
    pub rows: Vec<(Option<String>, Option<String>, Number)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Of numbers.
    pub summaries: Vec<Summary>,
    /// Of values and bins.
    pub frequencies: Vec<Frequencies>,
    /// Whether groups can be missing of which nobody released anything.
    pub can_lack_groups: bool,
}

/// Describes columns; numbers that have bins as histograms too, if asked to.
///
/// # Errors
/// As [`Study::ask`]; an unknown column; `Usage` if values of the column of groups are to be counted.
pub async fn describe(
    study: &mut Study<'_>,
    columns: &[String],
    by: Option<&str>,
    histograms: bool,
) -> Result<Description, Report> {
    require_each_once(columns.iter().map(String::as_str))?;
    let by = by.map(|by| study.key(by)).transpose()?;
    let mut measured = Vec::new();
    let mut counted = Vec::new();
    for name in columns {
        let column = study.column(name)?;
        let is_number = matches!(column.kind, ColumnKind::Integer | ColumnKind::Number) && column.roles.measure;
        if is_number {
            let has_bins = matches!(column.domain, Some(Domain::Bins(_))) && column.roles.group;
            measured.push((name, has_bins));
        }
        if !is_number || histograms {
            require_each_once(by.iter().map(|by| by.name.as_str()).chain([name.as_str()]))?;
            counted.push(study.key(name)?);
        }
    }
    let mut found = Description::default();
    if !measured.is_empty() {
        found.summaries = summaries(study, &measured, by.as_ref(), &mut found.can_lack_groups).await?;
    }
    for key in counted {
        let keys: Vec<&Key> = by.iter().chain([&key]).collect();
        let cells = study.ask(&keys, &["count(*)".to_owned()], &[]).await?;
        found.can_lack_groups |= by.is_some() && !cells.complete;
        let rows = frequencies(&cells, by.as_ref(), &key);
        found.frequencies.push(Frequencies { key, rows });
    }
    Ok(found)
}

async fn summaries(
    study: &mut Study<'_>,
    measured: &[(&String, bool)],
    by: Option<&Key>,
    can_lack_groups: &mut bool,
) -> Result<Vec<Summary>, Report> {
    let mut values = vec!["count(*)".to_owned()];
    for (name, has_bins) in measured {
        values.extend([
            format!("count({name})"),
            format!("avg({name})"),
            format!("stddev({name})"),
        ]);
        if *has_bins {
            values.extend(QUARTILES.map(|share| format!("approx_percentile_cont({name}, {share})")));
        }
    }
    let keys: Vec<&Key> = by.into_iter().collect();
    let cells = study.ask(&keys, &values, &[]).await?;
    *can_lack_groups |= by.is_some() && !cells.complete;
    let mut summaries = Vec::new();
    for group in sorted(&cells, by) {
        let mut numbers = group.numbers.iter().copied();
        let mut next = || numbers.next().unwrap_or_default();
        let rows = next();
        for (name, has_bins) in measured {
            let (n, mean, sd) = (next(), next(), next());
            summaries.push(Summary {
                column: (*name).clone(),
                group: group.keys.first().cloned().flatten(),
                n,
                missing: rows.minus(n),
                mean,
                sd,
                quartiles: has_bins.then(|| [next(), next(), next()]),
            });
        }
    }
    let place = |summary: &Summary| measured.iter().position(|(name, _)| **name == summary.column);
    summaries.sort_by_key(place);
    Ok(summaries)
}

fn sorted<'c>(cells: &'c Cells, by: Option<&Key>) -> Vec<&'c super::Cell> {
    let mut sorted: Vec<_> = cells.cells.iter().collect();
    if let Some(by) = by {
        sorted.sort_by(|a, b| by.order(a.keys[0].as_deref(), b.keys[0].as_deref()));
    }
    sorted
}

/// Of each group, declared values and those that occur; not known ones only if they were released.
fn frequencies(cells: &Cells, by: Option<&Key>, key: &Key) -> Vec<(Option<String>, Option<String>, Number)> {
    let at = usize::from(by.is_some());
    let mut levels = cells.levels(at, key);
    levels.extend(key.levels.iter().cloned());
    levels.sort_by(|a, b| key.order(Some(a), Some(b)));
    levels.dedup();
    let groups: Vec<Option<String>> = match by {
        Some(by) => cells.levels(0, by).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let known = groups.iter().flat_map(|group| {
        levels.iter().map(move |level| {
            let keys: Vec<&str> = group.iter().chain([level]).map(String::as_str).collect();
            (group.clone(), Some(level.clone()), cells.number(&keys, 0))
        })
    });
    let unknown = cells.cells.iter().filter(|cell| cell.keys.iter().any(Option::is_none));
    let unknown = unknown.map(|cell| {
        let group = by.and_then(|_| cell.keys[0].clone());
        (group, cell.keys[at].clone(), cell.numbers[0])
    });
    let mut rows: Vec<_> = known.chain(unknown).collect();
    rows.sort_by(|a, b| {
        let groups = by.map_or(std::cmp::Ordering::Equal, |by| by.order(a.0.as_deref(), b.0.as_deref()));
        groups.then_with(|| key.order(a.1.as_deref(), b.1.as_deref()))
    });
    rows
}
