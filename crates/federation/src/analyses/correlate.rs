//! How columns of numbers go together, two by two.

use models::correlate::{Correlation, correlation};
use terms::{Problem, Report};

use super::study::require_each_once;
use super::{CONFIDENCE, Number, Study};

/// Two columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// One column.
    pub one: String,
    /// The other.
    pub other: String,
    /// Pearson's coefficient.
    pub r: Number,
    /// Rows in which both are known.
    pub n: Number,
    /// Its test, if coefficient and rows are exact.
    pub test: Option<Correlation>,
}

/// Which rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those in which both columns of a pair are known.
    Pairwise,
    /// Those in which all columns are known.
    Complete,
}

/// Correlates columns with each other.
///
/// # Errors
/// As [`Study::ask`]; an unknown column, one without numbers, or fewer than two.
pub async fn correlate(study: &mut Study<'_>, columns: &[String], rows: Rows) -> Result<Vec<Pair>, Report> {
    require_each_once(columns.iter().map(String::as_str))?;
    for column in columns {
        study.numbers(column)?;
    }
    let later = |at: usize| columns.iter().skip(at + 1);
    let pairs = columns.iter().enumerate();
    let pairs: Vec<(&String, &String)> = pairs
        .flat_map(|(at, one)| later(at).map(move |other| (one, other)))
        .collect();
    if pairs.is_empty() {
        return Err(Problem::Usage
            .report("one column alone has no correlation")
            .remedy("name at least two columns"));
    }
    let of_pair =
        |(one, other): &(&String, &String)| [format!("corr({one}, {other})"), format!("regr_count({one}, {other})")];
    let values: Vec<String> = pairs.iter().flat_map(of_pair).collect();
    let known = columns.iter().map(|column| format!("{column} IS NOT NULL"));
    let also: Vec<String> = match rows {
        Rows::Pairwise => Vec::new(),
        Rows::Complete => known.collect(),
    };
    let cells = study.ask(&[], &values, &also).await?;
    let found = pairs.iter().enumerate().map(|(at, (one, other))| {
        let (r, n) = (cells.number(&[], 2 * at), cells.number(&[], 2 * at + 1));
        let test = r
            .exact()
            .zip(n.exact())
            .and_then(|(r, n)| correlation(r, n, CONFIDENCE));
        Pair {
            one: (*one).clone(),
            other: (*other).clone(),
            r,
            n,
            test,
        }
    });
    Ok(found.collect())
}
