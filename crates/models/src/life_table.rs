//! Survival over bins of time: the share that is left, how sure that is, what the bins leave open, and whether groups differ.

use nalgebra::{DMatrix, DVector};
use serde::Serialize;

use crate::distribution::{chi_squared_above, normal_quantile};

/// What happened in one bin of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// Events.
    pub events: f64,
    /// People who were last seen in it, without the event.
    pub censored: f64,
    /// People whose time ends in it, and nobody tells by which of both.
    pub unclear: f64,
}

impl Span {
    fn people(&self) -> f64 {
        self.events + self.censored + self.unclear
    }
}

/// How people count who were last seen within a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// All of them were at risk for the whole bin: Kaplan and Meier's estimate (1958) where a bin is one moment.
    ProductLimit,
    /// Half of them were: the actuarial life table (Cutler and Ederer 1958), for bins that are longer than a moment.
    Actuarial,
}

/// On which scale the confidence interval is symmetric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// The logarithm, as R's `survfit` does.
    #[default]
    Log,
    /// The logarithm of the negative logarithm: never outside 0 to 1.
    LogLog,
}

/// What is known at the end of a bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// People who are known to be at risk when it began.
    pub n_risk: f64,
    /// Events in it.
    pub n_event: f64,
    /// People last seen in it.
    pub n_censor: f64,
    /// People of whom it is one or the other.
    pub n_unclear: f64,
    /// The share that is left; none if somebody is unclear until here, or unseen.
    pub survival: Option<f64>,
    /// Its standard error (Greenwood 1926); none once nobody is left.
    pub std_err: Option<f64>,
    /// The ends of its confidence interval.
    pub ci: Option<[f64; 2]>,
    /// The least and the most that Kaplan and Meier's estimate of the exact times can be here, whatever the order within bins, and whatever
    /// became of those who are unclear or unseen.
    pub bounds: [f64; 2],
}

/// The curve over bins in the order of time. `unseen` are people of whom it is not known in which bin they are and what happened, none of
/// whom was counted.
///
/// The bounds hold because the estimate falls when somebody was last seen earlier, or had the event instead, and most by an event at
/// the very time. So the least is with all censored before all events of a bin, all unclear with the event and all unseen with an event
/// now; the most with all unclear censored, all censored after the events and all unseen there to the end.
pub fn curve(spans: &[Span], unseen: f64, method: Method, scale: Scale, confidence: f64) -> Vec<Point> {
    let z = normal_quantile(0.5 + confidence / 2.0);
    let mut n_risk: f64 = spans.iter().map(Span::people).sum();
    let (mut survival, mut greenwood, mut unclear) = (1.0, 0.0, 0.0);
    let (mut least, mut most) = (1.0, 1.0);
    let mut points = Vec::with_capacity(spans.len());
    for span in spans {
        let exposed = n_risk - within(method) * span.censored;
        if span.events > 0.0 {
            survival *= 1.0 - span.events / exposed;
            greenwood += span.events / (exposed * (exposed - span.events));
        }
        unclear += span.unclear;
        let (low_risk, high_risk) = (n_risk - span.censored + unseen, n_risk + unseen);
        let events_most = span.events + span.unclear;
        // What is least now has all unseen here; what goes on from here has them later.
        let now = least * share_left(events_most + unseen, low_risk);
        least *= share_left(events_most, low_risk);
        most *= share_left(span.events, high_risk);
        let survival = (unclear + unseen == 0.0).then_some(survival);
        let relative_error = greenwood.sqrt();
        points.push(Point {
            n_risk,
            n_event: span.events,
            n_censor: span.censored,
            n_unclear: span.unclear,
            survival,
            std_err: survival
                .map(|share| share * relative_error)
                .filter(|error| error.is_finite()),
            ci: survival.and_then(|share| interval(share, relative_error, z, scale)),
            bounds: [now, most],
        });
        n_risk -= span.people();
    }
    points
}

/// How much of those who were last seen in a bin was not at risk.
fn within(method: Method) -> f64 {
    match method {
        Method::ProductLimit => 0.0,
        Method::Actuarial => 0.5,
    }
}

fn share_left(events: f64, at_risk: f64) -> f64 {
    if events > 0.0 {
        1.0 - (events / at_risk).min(1.0)
    } else {
        1.0
    }
}

fn interval(survival: f64, relative_error: f64, z: f64, scale: Scale) -> Option<[f64; 2]> {
    if survival >= 1.0 {
        return Some([1.0, 1.0]);
    }
    if survival <= 0.0 {
        return None;
    }
    let ends = match scale {
        Scale::Log => [-z, z].map(|z| (survival.ln() + z * relative_error).exp().min(1.0)),
        Scale::LogLog => {
            let theta = z * relative_error / survival.ln();
            [-theta, theta].map(|theta| survival.powf(theta.exp()))
        }
    };
    Some(ends)
}

/// The first bin at whose end no more than half is left.
pub fn first_half(shares: impl IntoIterator<Item = f64>) -> Option<usize> {
    shares.into_iter().position(|share| share <= 0.5 + 1e-12)
}

/// A test of whether groups have the same survival.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogRank {
    /// Events of each group.
    pub observed: Vec<f64>,
    /// Events that each would have if all had the same hazard in each bin.
    pub expected: Vec<f64>,
    /// The statistic.
    pub chi_squared: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Its p-value.
    pub p: f64,
}

/// The log-rank test (Mantel 1966), with all events of a bin as ties; R's `survdiff`. Each group has the same bins. None with fewer than two
/// groups, without events that could tell them apart, or if somebody is unclear.
pub fn log_rank(groups: &[Vec<Span>], method: Method) -> Option<LogRank> {
    let spans = groups.first()?.len();
    let size = |group: &Vec<Span>| group.iter().map(Span::people).sum::<f64>();
    let mut at_risk: Vec<f64> = groups.iter().map(size).collect();
    let others = groups.len().checked_sub(1).filter(|others| *others > 0)?;
    if groups.iter().flatten().any(|span| span.unclear > 0.0) {
        return None;
    }
    let (mut observed, mut expected) = (vec![0.0; groups.len()], vec![0.0; groups.len()]);
    let mut covariance = DMatrix::<f64>::zeros(others, others);
    for at in 0..spans {
        let exposed = groups
            .iter()
            .zip(&at_risk)
            .map(|(group, n)| n - within(method) * group[at].censored);
        let exposed: Vec<f64> = exposed.collect();
        let n: f64 = exposed.iter().sum();
        let events: f64 = groups.iter().map(|group| group[at].events).sum();
        if events > 0.0 && n > 1.0 {
            let spread = events * (n - events) / (n - 1.0);
            for i in 0..others {
                for j in 0..others {
                    let same = if i == j { exposed[i] / n } else { 0.0 };
                    covariance[(i, j)] += spread * (same - exposed[i] * exposed[j] / (n * n));
                }
            }
        }
        for (group, spans) in groups.iter().enumerate() {
            observed[group] += spans[at].events;
            expected[group] += if n > 0.0 { events * exposed[group] / n } else { 0.0 };
            at_risk[group] -= spans[at].people();
        }
    }
    let off = DVector::from_iterator(others, (0..others).map(|group| observed[group] - expected[group]));
    let solved = covariance.cholesky()?.solve(&off);
    let chi_squared = off.dot(&solved);
    let df = others as f64;
    Some(LogRank {
        observed,
        expected,
        chi_squared,
        df,
        p: chi_squared_above(chi_squared, df)?,
    })
}

#[cfg(test)]
mod tests;
