//! `datenraum describe`: what the rows of some columns look like.

use federation::analyses::Study;
use federation::analyses::describe::{Description, Frequencies, describe};
use terms::{ExitCode, Problem, Report};

use super::{Findings, about, asker, end};
use crate::args::analyses::DescribeArgs;
use crate::plot::figure::{Axis, Figure, Form, Mark, Open, Panel, Places, Series};
use crate::plot::{self, Picture};

/// Asks, and prints.
pub(crate) async fn run(args: DescribeArgs, json: bool) -> Result<ExitCode, Report> {
    args.plot.as_deref().map_or(Ok(()), plot::check)?;
    if args.plot.is_some() && args.columns.len() != 1 {
        let report = Problem::Usage.report("one drawing shows one column");
        return Err(report.remedy("name one column with --columns"));
    }
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let histograms = args.histogram || args.plot.is_some();
    let found = describe(&mut study, &args.columns, args.by.as_deref(), histograms).await;
    let found = found.map(|description| findings(&description, &args));
    end(found, study.evidence(), &args.about.written, json)
}

fn findings(description: &Description, args: &DescribeArgs) -> Findings {
    let picture = args.plot.as_ref().and_then(|file| {
        let of = description.frequencies.first()?;
        Some(Picture::chart(file, histogram(of, args)))
    });
    Findings {
        picture,
        ..description.results(args.by.as_deref()).into()
    }
}

/// Rows in each bin or of each value: one series for each group.
fn histogram(of: &Frequencies, args: &DescribeArgs) -> Figure {
    let label = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    let mut values: Vec<Option<String>> = of.rows.iter().map(|(_, value, _)| value.clone()).collect();
    values.sort_by(|a, b| of.key.order(a.as_deref(), b.as_deref()));
    values.dedup();
    let mut groups: Vec<&Option<String>> = Vec::new();
    for (group, ..) in &of.rows {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let series = groups.into_iter().map(|group| {
        let mark = |value: &Option<String>| {
            let is_it = |row: &&(Option<String>, Option<String>, _)| row.0 == *group && row.1 == *value;
            of.rows.iter().find(is_it).map_or_else(Mark::default, |(_, _, n)| Mark {
                value: n.value,
                open: n.open.map(|(low, high)| Open { low, high }),
            })
        };
        Series {
            name: args
                .by
                .as_ref()
                .map_or_else(String::new, |by| format!("{by} {}", label(group))),
            marks: values.iter().map(mark).collect(),
        }
    });
    let unit = of
        .key
        .unit
        .as_deref()
        .map_or_else(String::new, |unit| format!(" ({})", plot::unit_words(unit)));
    Figure {
        title: format!("{} in {}", of.key.name, args.about.collection),
        notes: Vec::new(),
        sources: Vec::new(),
        x: Axis {
            title: format!("{}{unit}", of.key.name),
            places: Places::Groups(values.iter().map(label).collect()),
        },
        panels: vec![Panel {
            title: "rows".to_owned(),
            form: Form::Bars,
            series: series.collect(),
        }],
    }
}
