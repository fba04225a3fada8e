//! Of the time until an event.

use models::life_table::{Method, Point};

use crate::analyses::Number;
use crate::analyses::survival::{Curve, Survival};

use super::{Results, Row, Sheet, Value, figures, refused};

impl Survival {
    /// Its tables.
    pub fn results(&self) -> Results {
        let is_binned = !self.time.edges.is_empty();
        let is_open = self.curves.iter().any(|curve| curve.unseen + curve.unclear > 0.0);
        let has_bounds = is_binned || is_open;
        let rows = self.curves.iter().flat_map(|curve| {
            let points = curve.points.iter().zip(&self.ends);
            // As R prints a curve: where something happened.
            let points = points.filter(move |(point, _)| is_binned || point.n_event > 0.0);
            points.map(move |(point, end)| point_row(curve, point, *end, has_bounds))
        });
        let medians = self.curves.iter().map(|curve| median_row(curve, has_bounds));
        let mut sheets = vec![Sheet::new("rows", rows), Sheet::new("medians", medians)];
        let mut notes = Vec::new();
        let mut facts = Row::default();
        match &self.log_rank {
            Some(Ok(test)) => {
                let rows = self.curves.iter().zip(test.observed.iter().zip(&test.expected));
                let rows = rows.map(|(curve, (observed, expected))| {
                    Row::default()
                        .with("group", curve.level.clone())
                        .with("observed", Value::Number(*observed))
                        .with("expected", Value::Number(*expected))
                });
                sheets.push(Sheet::new("log_rank", rows));
                facts = facts
                    .with("chi_squared", Value::Number(test.chi_squared))
                    .with("df", Value::Number(test.df))
                    .with("p", Value::P(test.p));
            }
            Some(Err(report)) => notes.push(refused("no log-rank test", report)),
            None => {}
        }
        if is_binned {
            notes.push(self.approximation());
        }
        if is_open {
            notes.push(
                "unclear: nodes told when they were last seen, and not whether with the event; unseen: not even when. From there on survival is no number, and lies in [low … high] whatever became of them"
                    .to_owned(),
            );
        }
        if self.can_lack_groups {
            notes.push("a group of which no node released anything is not listed, nor in the test".to_owned());
        }
        Results {
            facts: facts.with("dropped", Value::Pooled(self.dropped)),
            sheets,
            notes,
            rows_open: self.can_lack_groups,
        }
    }

    /// How far the curve can be from the one of the exact times, and what is assumed.
    fn approximation(&self) -> String {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let off = points.filter_map(|point| {
            let survival = point.survival?;
            Some((survival - point.bounds[0]).max(point.bounds[1] - survival))
        });
        let off = off.max_by(f64::total_cmp);
        let off = off.map_or_else(String::new, |off| {
            format!(", at most {} from the survival that is told", figures(off))
        });
        let assumed = match self.method {
            Method::Actuarial => "those last seen in a range count half of it (actuarial)",
            Method::ProductLimit => "those last seen in a range count all of it (product limit)",
        };
        format!(
            "times are in declared ranges; {assumed}; at the end of each range the Kaplan-Meier estimate of the exact times lies from bound_low to bound_high{off}"
        )
    }
}

fn point_row(curve: &Curve, point: &Point, end: f64, has_bounds: bool) -> Row {
    let [low, high] = point.bounds;
    let survival = Number {
        value: point.survival,
        open: point.survival.is_none().then_some((Some(low), Some(high))),
        bin: None,
    };
    let mut row = in_group(curve)
        .with("time", Value::Number(end))
        .with("n_risk", Value::Number(point.n_risk))
        .with("n_event", Value::Number(point.n_event))
        .with("n_censor", Value::Number(point.n_censor));
    if has_bounds {
        row = row.with("n_unclear", Value::Number(point.n_unclear));
    }
    row = row
        .with("survival", Value::Pooled(survival))
        .with("std_error", point.std_err)
        .with("ci_low", point.ci.map(|ci| ci[0]))
        .with("ci_high", point.ci.map(|ci| ci[1]));
    match has_bounds {
        true => row
            .with("bound_low", Value::Number(low))
            .with("bound_high", Value::Number(high)),
        false => row,
    }
}

fn median_row(curve: &Curve, has_bounds: bool) -> Row {
    let median = &curve.median;
    let mut row = in_group(curve)
        .with("n", Value::Number(curve.n))
        .with("events", Value::Number(curve.events));
    if has_bounds {
        row = row
            .with("unclear", Value::Number(curve.unclear))
            .with("unseen", Value::Number(curve.unseen));
    }
    row = row
        .with("median", median.time)
        .with("ci_low", median.ci[0])
        .with("ci_high", median.ci[1]);
    match has_bounds {
        true => row
            .with("after", median.between.map(|between| between.0))
            .with("until", median.between.and_then(|between| between.1)),
        false => row,
    }
}

fn in_group(curve: &Curve) -> Row {
    match &curve.level {
        Some(level) => Row::default().with("group", level.clone()),
        None => Row::default(),
    }
}
