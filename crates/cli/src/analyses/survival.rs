//! `datenraum survival`: what is left of each group over time.

use federation::analyses::survival::{Asked, Curve, Survival, survival};
use federation::analyses::{Number, Study};
use models::life_table::{Method, Point, Scale};
use terms::{ExitCode, Report};

use super::{Findings, Row, Sheet, Value, about, asker, end, figures, refused};
use crate::args::analyses::{MethodArg, ScaleArg, SurvivalArgs};
use crate::plot::figure::{Axis, Figure, Form, Mark, Panel, Places, Point as Place, Series, Ticks};
use crate::plot::{self, Picture};

/// Asks, and prints.
pub(crate) async fn run(args: SurvivalArgs, json: bool) -> Result<ExitCode, Report> {
    args.plot.as_deref().map_or(Ok(()), plot::check)?;
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let asked = Asked {
        time: &args.time,
        event: &args.event,
        seen: args.event_value.as_deref(),
        by: args.by.as_deref(),
        method: args.method.map(|method| match method {
            MethodArg::ProductLimit => Method::ProductLimit,
            MethodArg::Actuarial => Method::Actuarial,
        }),
        scale: match args.interval {
            ScaleArg::Log => Scale::Log,
            ScaleArg::LogLog => Scale::LogLog,
        },
    };
    let found = survival(&mut study, &asked).await;
    let found = found.map(|found| findings(&found, &args));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(found: &Survival, args: &SurvivalArgs) -> Findings {
    let is_binned = !found.time.edges.is_empty();
    let is_open = found.curves.iter().any(|curve| curve.unseen + curve.unclear > 0.0);
    let rows = found.curves.iter().flat_map(|curve| {
        let points = curve.points.iter().zip(&found.ends);
        // As R prints a curve: where something happened.
        let points = points.filter(move |(point, _)| is_binned || point.n_event > 0.0);
        points.map(move |(point, end)| point_row(curve, point, *end, is_binned || is_open))
    });
    let mut sheets = vec![
        Sheet::new("rows", rows),
        Sheet::new(
            "medians",
            found.curves.iter().map(|curve| median_row(curve, is_binned || is_open)),
        ),
    ];
    let mut notes = Vec::new();
    let mut facts = Row::default();
    match &found.log_rank {
        Some(Ok(test)) => {
            let rows = found.curves.iter().zip(test.observed.iter().zip(&test.expected));
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
        notes.push(approximation(found));
    }
    if is_open {
        notes.push(
            "unclear: nodes told when they were last seen, and not whether with the event; unseen: not even when. From there on survival is no number, and lies in [low … high] whatever became of them"
                .to_owned(),
        );
    }
    if found.can_lack_groups {
        notes.push("a group of which no node released anything is not listed, nor in the test".to_owned());
    }
    Findings {
        facts: facts.with("dropped", Value::Pooled(found.dropped)),
        sheets,
        notes,
        picture: args.plot.as_ref().map(|file| Picture::chart(file, chart(found, args))),
    }
}

/// How far the curve can be from the one of the exact times, and what is assumed.
fn approximation(found: &Survival) -> String {
    let points = found.curves.iter().flat_map(|curve| &curve.points);
    let off = points.filter_map(|point| {
        let survival = point.survival?;
        Some((survival - point.bounds[0]).max(point.bounds[1] - survival))
    });
    let off = off.max_by(f64::total_cmp);
    let off = off.map_or_else(String::new, |off| {
        format!(", at most {} from the survival that is told", figures(off))
    });
    let assumed = match found.method {
        Method::Actuarial => "those last seen in a range count half of it (actuarial)",
        Method::ProductLimit => "those last seen in a range count all of it (product limit)",
    };
    format!(
        "times are in declared ranges; {assumed}; at the end of each range the Kaplan-Meier estimate of the exact times lies from bound_low to bound_high{off}"
    )
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

/// Steps from 1 at time 0. Where it is not known what became of people, the least and the most that can be left are drawn instead.
fn chart(found: &Survival, args: &SurvivalArgs) -> Figure {
    let (edge, end) = (found.time.edges.first(), found.ends.first());
    let first = edge.or(end).copied().unwrap_or(0.0).min(0.0);
    let places = [first].into_iter().chain(found.ends.iter().copied());
    let points = places.map(|at| Place { at, label: figures(at) });
    let series = found.curves.iter().flat_map(|curve| {
        let name = args.by.as_ref().zip(curve.level.as_ref());
        let name = name.map_or_else(String::new, |(by, level)| format!("{by} {level}"));
        let bounds = |side: usize| curve.points.iter().map(move |point| Some(point.bounds[side]));
        let shares = |shares: Vec<Option<f64>>, words: &str| Series {
            name: format!("{name} {words}").trim().to_owned(),
            marks: shares.into_iter().map(|value| Mark { value, open: None }).collect(),
        };
        let start = || [Some(1.0)].into_iter();
        match curve.points.iter().all(|point| point.survival.is_some()) {
            true => vec![shares(
                start().chain(curve.points.iter().map(|point| point.survival)).collect(),
                "",
            )],
            false => {
                // As few as at its end can be left at the beginning of a bin.
                let least = bounds(0).chain(bounds(0).next_back());
                vec![
                    shares(least.collect(), "at least"),
                    shares(start().chain(bounds(1)).collect(), "at most"),
                ]
            }
        }
    });
    let unit = found.time.unit.as_deref();
    let unit = unit.map_or_else(String::new, |unit| format!(" ({})", plot::unit_words(unit)));
    Figure {
        title: format!("{} until {} in {}", args.time, args.event, args.about.collection),
        notes: Vec::new(),
        sources: Vec::new(),
        x: Axis {
            title: format!("{}{unit}", args.time),
            places: Places::Scale(points.collect(), Ticks::Round),
        },
        panels: vec![Panel {
            title: "share without the event".to_owned(),
            form: Form::Steps,
            series: series.collect(),
        }],
    }
}
