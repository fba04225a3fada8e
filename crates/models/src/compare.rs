//! Whether groups differ: t tests and analysis of variance from counts, averages and variances; rank tests from ordered, binned counts.

use serde::Serialize;

use crate::distribution::{chi_squared_above, f_above, normal_two_sided, t_quantile, t_two_sided};

/// What is known of a group of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// How many there are.
    pub n: f64,
    /// Their average.
    pub mean: f64,
    /// Their variance, over n − 1.
    pub variance: f64,
}

/// A t test of two groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TTest {
    /// The average of the first group less that of the second.
    pub difference: f64,
    /// Its standard error.
    pub std_error: f64,
    /// The difference by its standard error.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// The two-sided p-value.
    pub p: f64,
    /// The ends of the confidence interval of the difference.
    pub ci: [f64; 2],
}

/// Welch's test, for groups of different variance (Welch 1947, with Satterthwaite's degrees of freedom); R's `t.test`. None if a
/// group has fewer than two numbers or neither varies.
pub fn welch(a: &Moments, b: &Moments, confidence: f64) -> Option<TTest> {
    let [va, vb] = [a, b].map(|group| group.variance / group.n);
    let df = (va + vb).powi(2) / (va.powi(2) / (a.n - 1.0) + vb.powi(2) / (b.n - 1.0));
    t_test(a, b, (va + vb).sqrt(), df, confidence)
}

/// Student's test, for groups of the same variance; R's `t.test(var.equal = TRUE)`. None as for [`welch`].
pub fn student(a: &Moments, b: &Moments, confidence: f64) -> Option<TTest> {
    let df = a.n + b.n - 2.0;
    let pooled = ((a.n - 1.0) * a.variance + (b.n - 1.0) * b.variance) / df;
    t_test(a, b, (pooled * (1.0 / a.n + 1.0 / b.n)).sqrt(), df, confidence)
}

fn t_test(a: &Moments, b: &Moments, std_error: f64, df: f64, confidence: f64) -> Option<TTest> {
    if a.n < 2.0 || b.n < 2.0 || std_error.is_nan() || std_error <= 0.0 {
        return None;
    }
    let difference = a.mean - b.mean;
    let t = difference / std_error;
    let reach = t_quantile(0.5 + confidence / 2.0, df)? * std_error;
    Some(TTest {
        difference,
        std_error,
        t,
        df,
        p: t_two_sided(t, df)?,
        ci: [difference - reach, difference + reach],
    })
}

/// An analysis of variance in one way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Anova {
    /// Degrees of freedom and sum of squares between groups.
    pub df_between: f64,
    /// Sum of squares between groups.
    pub ss_between: f64,
    /// Degrees of freedom within groups.
    pub df_within: f64,
    /// Sum of squares within groups.
    pub ss_within: f64,
    /// The ratio of both mean squares.
    pub f: f64,
    /// The share of the F distribution above it.
    pub p: f64,
}

/// Analysis of variance in one way (Fisher 1925); R's `oneway.test(var.equal = TRUE)`. None with fewer than two groups, or if there is
/// no variance within them. A group of one number has no variance of its own, and its `variance` is not looked at.
pub fn anova(groups: &[Moments]) -> Option<Anova> {
    let n: f64 = groups.iter().map(|group| group.n).sum();
    let mean = groups.iter().map(|group| group.n * group.mean).sum::<f64>() / n;
    let ss_between: f64 = groups.iter().map(|group| group.n * (group.mean - mean).powi(2)).sum();
    let within = groups.iter().filter(|group| group.n > 1.0);
    let ss_within: f64 = within.map(|group| (group.n - 1.0) * group.variance).sum();
    let (df_between, df_within) = (groups.len() as f64 - 1.0, n - groups.len() as f64);
    let f = (ss_between / df_between) / (ss_within / df_within);
    if df_between < 1.0 || df_within < 1.0 || !f.is_finite() {
        return None;
    }
    Some(Anova {
        df_between,
        ss_between,
        df_within,
        ss_within,
        f,
        p: f_above(f, df_between, df_within)?,
    })
}

/// A rank test of two groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MannWhitney {
    /// Pairs in which the number of the first group is the larger one; a pair in one bin is half of one (R's W).
    pub u: f64,
    /// By how much U can be off because order within bins is not known: half of all pairs that share a bin.
    pub u_error: f64,
    /// The share of pairs in which the first is larger: 0.5 if groups do not differ.
    pub superiority: f64,
    /// The normal approximation with correction for ties and continuity; R's `wilcox.test(exact = FALSE)`.
    pub z: f64,
    /// Its two-sided p-value, with all numbers of a bin as ties.
    pub p: f64,
}

/// Mann and Whitney's test from the rows of both groups in each bin, in the order of the bins. None if a group is empty or all rows are in
/// one bin.
pub fn mann_whitney(bins: &[[f64; 2]]) -> Option<MannWhitney> {
    let [na, nb] = [0, 1].map(|group| bins.iter().map(|bin| bin[group]).sum::<f64>());
    let n = na + nb;
    let (mut u, mut tied_pairs, mut below) = (0.0, 0.0, 0.0);
    for [a, b] in bins {
        u += a * (below + b / 2.0);
        tied_pairs += a * b;
        below += b;
    }
    let variance = na * nb / 12.0 * (n + 1.0 - ties(bins.iter().map(|bin| bin[0] + bin[1])) / (n * (n - 1.0)));
    if na < 1.0 || nb < 1.0 || variance.is_nan() || variance <= 0.0 {
        return None;
    }
    let off = u - na * nb / 2.0;
    let z = (off.abs() - 0.5).max(0.0).copysign(off) / variance.sqrt();
    Some(MannWhitney {
        u,
        u_error: tied_pairs / 2.0,
        superiority: u / (na * nb),
        z,
        p: normal_two_sided(z).min(1.0),
    })
}

/// A rank test of several groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KruskalWallis {
    /// The statistic, corrected for ties.
    pub h: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// The share of the chi-squared distribution above it.
    pub p: f64,
}

/// Kruskal and Wallis' test from the rows of each group in each bin, in the order of the bins; R's `kruskal.test` with all numbers of a bin
/// as ties. None with fewer than two groups, an empty one, or if all rows are in one bin.
pub fn kruskal_wallis(bins: &[Vec<f64>]) -> Option<KruskalWallis> {
    let groups = bins.first()?.len();
    let (mut sizes, mut ranks, mut below) = (vec![0.0; groups], vec![0.0; groups], 0.0);
    for bin in bins {
        let here: f64 = bin.iter().sum();
        let rank = below + (here + 1.0) / 2.0;
        for (group, rows) in bin.iter().enumerate() {
            sizes[group] += rows;
            ranks[group] += rows * rank;
        }
        below += here;
    }
    let n = below;
    let squares: f64 = ranks.iter().zip(&sizes).map(|(ranks, size)| ranks * ranks / size).sum();
    let tied = ties(bins.iter().map(|bin| bin.iter().sum())) / (n.powi(3) - n);
    let h = (12.0 / (n * (n + 1.0)) * squares - 3.0 * (n + 1.0)) / (1.0 - tied);
    let df = groups as f64 - 1.0;
    h.is_finite().then_some(())?;
    Some(KruskalWallis {
        h,
        df,
        p: chi_squared_above(h, df)?,
    })
}

/// Σ (t³ − t) over the numbers of rows that are tied.
fn ties(sizes: impl Iterator<Item = f64>) -> f64 {
    sizes.map(|size| size.powi(3) - size).sum()
}

#[cfg(test)]
mod tests;
