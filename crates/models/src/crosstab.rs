//! Tables of counts: whether rows and columns are independent, how strongly they are not, and odds ratios, over strata too.

use serde::Serialize;

use crate::distribution::{chi_squared_above, normal_quantile};

/// A test of independence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Independence {
    /// Pearson's chi-squared, without correction for continuity (R's `chisq.test(correct = FALSE)`).
    pub chi_squared: f64,
    /// The likelihood ratio G.
    pub g: f64,
    /// Degrees of freedom of both.
    pub df: f64,
    /// The p-value of chi-squared.
    pub p: f64,
    /// The p-value of G.
    pub p_g: f64,
    /// Cramér's V, from 0 to 1.
    pub cramers_v: f64,
    /// The least expected count: below 5 the p-values are rough (Cochran 1954).
    pub least_expected: f64,
}

/// What would be expected in each cell if rows and columns were independent.
pub fn expected(counts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let columns = counts.first().map_or(0, Vec::len);
    let across: Vec<f64> = counts.iter().map(|row| row.iter().sum()).collect();
    let down: Vec<f64> = (0..columns).map(|at| counts.iter().map(|row| row[at]).sum()).collect();
    let n: f64 = across.iter().sum();
    across
        .iter()
        .map(|row| down.iter().map(|column| row * column / n).collect())
        .collect()
}

/// Pearson's chi-squared and G. None if there are fewer than two rows or columns with something in them; empty ones do not count.
pub fn independence(counts: &[Vec<f64>]) -> Option<Independence> {
    let expected = expected(counts);
    let rows = expected
        .iter()
        .filter(|row| row.iter().any(|count| *count > 0.0))
        .count();
    let columns = expected.first()?.len();
    let columns = (0..columns)
        .filter(|at| expected.iter().any(|row| row[*at] > 0.0))
        .count();
    if rows < 2 || columns < 2 {
        return None;
    }
    let cells = counts
        .iter()
        .flatten()
        .zip(expected.iter().flatten())
        .filter(|(_, expected)| **expected > 0.0);
    let (mut chi_squared, mut g, mut n, mut least_expected) = (0.0, 0.0, 0.0, f64::INFINITY);
    for (count, expected) in cells {
        chi_squared += (count - expected).powi(2) / expected;
        if *count > 0.0 {
            g += 2.0 * count * (count / expected).ln();
        }
        n += count;
        least_expected = expected.min(least_expected);
    }
    let df = ((rows - 1) * (columns - 1)) as f64;
    Some(Independence {
        chi_squared,
        g,
        df,
        p: chi_squared_above(chi_squared, df)?,
        p_g: chi_squared_above(g.max(0.0), df)?,
        cramers_v: (chi_squared / n / (rows.min(columns) as f64 - 1.0)).sqrt(),
        least_expected,
    })
}

/// Most rows of which Fisher's test is made: it takes memory for each, and of so many chi-squared says the same.
pub const FISHER_MOST: f64 = 1e6;

/// A table of two rows and two columns: `[[a, b], [c, d]]`.
pub type Fourfold = [[f64; 2]; 2];

/// Fisher's exact test, two-sided: the tables with the same margins that are at most as likely as this one (R's `fisher.test`, with its
/// tolerance of 1e-7). None if there is nothing in the table, or more than [`FISHER_MOST`].
pub fn fisher(table: &Fourfold) -> Option<f64> {
    let [[a, b], [c, d]] = *table;
    let (row, column, n) = (a + b, a + c, a + b + c + d);
    if n <= 0.0 || n > FISHER_MOST {
        return None;
    }
    let factorials = LogFactorials::up_to(n);
    // The probability of x in the first cell, without the factor that all tables share.
    let weight = |x: f64| {
        let cells = [x, row - x, column - x, n - row - column + x];
        -cells.iter().map(|cell| factorials.of(*cell)).sum::<f64>()
    };
    let seen = weight(a);
    let (least, most) = ((row + column - n).max(0.0), row.min(column));
    let (mut all, mut extreme) = (0.0, 0.0);
    let mut x = least;
    while x <= most {
        let share = (weight(x) - seen).exp();
        all += share;
        if share <= 1.0 + 1e-7 {
            extreme += share;
        }
        x += 1.0;
    }
    Some((extreme / all).min(1.0))
}

/// ln n! of whole numbers, each the sum of the logarithms before it.
struct LogFactorials(Vec<f64>);

impl LogFactorials {
    fn up_to(most: f64) -> Self {
        let mut sum = 0.0;
        let more = (1..=most as u64).map(|number| {
            sum += (number as f64).ln();
            sum
        });
        Self([0.0].into_iter().chain(more).collect())
    }

    fn of(&self, number: f64) -> f64 {
        self.0[number as usize]
    }
}

/// An odds ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OddsRatio {
    /// The estimate.
    pub odds_ratio: f64,
    /// The standard error of its logarithm.
    pub log_std_error: f64,
    /// The ends of its confidence interval.
    pub ci: [f64; 2],
}

impl OddsRatio {
    fn of(odds_ratio: f64, log_std_error: f64, confidence: f64) -> Option<Self> {
        if !odds_ratio.is_finite() || odds_ratio <= 0.0 || !log_std_error.is_finite() {
            return None;
        }
        let reach = normal_quantile(0.5 + confidence / 2.0) * log_std_error;
        Some(Self {
            odds_ratio,
            log_std_error,
            ci: [-reach, reach].map(|reach| (odds_ratio.ln() + reach).exp()),
        })
    }
}

/// The odds ratio ad/bc with Woolf's interval (1955). None if a cell is empty.
pub fn odds_ratio(table: &Fourfold, confidence: f64) -> Option<OddsRatio> {
    let [[a, b], [c, d]] = *table;
    let error = (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt();
    OddsRatio::of(a * d / (b * c), error, confidence)
}

/// An odds ratio over strata.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MantelHaenszel {
    /// The common odds ratio, with the interval of Robins, Breslow and Greenland (1986).
    pub common: OddsRatio,
    /// Cochran, Mantel and Haenszel's statistic without correction for continuity.
    pub chi_squared: f64,
    /// Its p-value, with one degree of freedom.
    pub p: f64,
}

/// Mantel and Haenszel's common odds ratio (1959) of several tables. None if it is not a positive number.
pub fn mantel_haenszel(strata: &[Fourfold], confidence: f64) -> Option<MantelHaenszel> {
    let (mut r, mut s) = (0.0, 0.0);
    let (mut pr, mut ps_qr, mut qs) = (0.0, 0.0, 0.0);
    let (mut off, mut variance) = (0.0, 0.0);
    for [[a, b], [c, d]] in strata {
        let n = a + b + c + d;
        if n < 2.0 {
            continue;
        }
        let (ri, si, p, q) = (a * d / n, b * c / n, (a + d) / n, (b + c) / n);
        r += ri;
        s += si;
        pr += p * ri;
        ps_qr += p * si + q * ri;
        qs += q * si;
        off += a - (a + b) * (a + c) / n;
        variance += (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1.0));
    }
    let error = (pr / (2.0 * r * r) + ps_qr / (2.0 * r * s) + qs / (2.0 * s * s)).sqrt();
    let chi_squared = off * off / variance;
    Some(MantelHaenszel {
        common: OddsRatio::of(r / s, error, confidence)?,
        chi_squared,
        p: chi_squared_above(chi_squared, 1.0)?,
    })
}

#[cfg(test)]
mod tests;
