//! `datenraum survival`: what is left of each group over time.

use federation::analyses::Study;
use federation::analyses::survival::{Asked, Survival, survival};
use models::life_table::{Method, Scale};
use terms::{ExitCode, Report};

use super::{Findings, about, asker, end, figures};
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
    let picture = args.plot.as_ref();
    Findings {
        picture: picture.map(|file| Picture::chart(file, chart(found, args))),
        ..found.results().into()
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
