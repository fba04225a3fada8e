//! Survival curves: the share that is left, over time.

use std::collections::BTreeMap;

use terms::Report;

use super::super::figure::{Axis, Form, Mark, Panel, Places, Point, Series, Ticks};
use super::super::marks::SERIES_MAX;
use super::table::{Column, Nature, Table, series_of};
use super::{Drawn, POINTS_MAX, unfit};

/// By how much a share may seem to rise that was computed.
const ROUNDING: f64 = 1e-9;

pub(super) fn unfit_columns() -> Report {
    unfit(
        "a survival curve needs a number that is a time and one that is a probability",
        "select these two, and a text if there are several curves",
    )
}

/// One curve for each text, each from 1 at time 0.
pub(super) fn curves(table: &Table<'_>) -> Result<Drawn, Report> {
    let mut scales = table.columns.iter().filter(|column| column.nature.is_scale());
    let (Some(time), Some(share), None) = (scales.next(), scales.next(), scales.next()) else {
        return Err(unfit_columns());
    };
    let mut words = table.columns.iter().filter(|column| column.nature == Nature::Word);
    let (by, None) = (words.next(), words.next()) else {
        return Err(unfit(
            "a survival curve has one column of groups",
            "select one text at most",
        ));
    };
    require_shares(time, share)?;
    let names = by.map_or_else(|| vec![(None, String::new())], series_of);
    if names.len() > SERIES_MAX {
        let message = format!("{} curves cannot be told apart in one chart", names.len());
        return Err(unfit(
            message,
            format!("leave out some with WHERE, at most {SERIES_MAX}"),
        ));
    }
    let points = points(time);
    if points.len() > POINTS_MAX {
        return Err(unfit(
            format!("{} times are more than a chart can show, {POINTS_MAX}", points.len()),
            "take coarser times",
        ));
    }
    let series = names.into_iter().map(|(key, name)| {
        let rows = (0..table.rows).filter(|row| by.is_none_or(|by| by.texts[*row] == key));
        let marks = curve(table, time, share, rows.collect(), &points)?;
        Ok(Series { name, marks })
    });
    let panel = Panel {
        title: share.title.clone(),
        form: Form::Steps,
        series: series.collect::<Result<_, Report>>()?,
    };
    let title = match by {
        Some(by) => format!("{} over {} by {}", share.name, time.name, by.name),
        None => format!("{} over {}", share.name, time.name),
    };
    let axis = Axis {
        title: time.title.clone(),
        places: Places::Scale(points, Ticks::Round),
    };
    Ok((title, axis, vec![panel]))
}

fn require_shares(time: &Column<'_>, share: &Column<'_>) -> Result<(), Report> {
    if time.nature == Nature::Moment {
        let message = format!(
            "{} is a date, and a survival curve is over the time since a beginning",
            time.name
        );
        return Err(unfit(
            message,
            "select a number of days, months or years, before the probability",
        ));
    }
    if time.numbers.iter().any(|time| !time.is_finite() || *time < 0.0) {
        let message = format!(
            "{} is negative or NULL in some row, and is taken for the time",
            time.name
        );
        return Err(unfit(message, "select the time before the probability"));
    }
    let is_share = |share: &f64| share.is_nan() || (-ROUNDING..=1.0 + ROUNDING).contains(share);
    if !share.numbers.iter().all(is_share) {
        let message = format!(
            "{} is not between 0 and 1 everywhere, and is taken for the probability",
            share.name
        );
        return Err(unfit(message, "select the time, then the probability"));
    }
    Ok(())
}

/// Time 0 and every time of any curve.
fn points(time: &Column<'_>) -> Vec<Point> {
    let mut times: Vec<f64> = time.numbers.iter().copied().chain([0.0]).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let point = |at: f64| Point {
        at,
        label: String::new(),
    };
    times.into_iter().map(point).collect()
}

fn curve(
    table: &Table<'_>,
    time: &Column<'_>,
    share: &Column<'_>,
    rows: Vec<usize>,
    points: &[Point],
) -> Result<Vec<Mark>, Report> {
    let mut at: BTreeMap<usize, Mark> = BTreeMap::new();
    for row in rows {
        let place = points.partition_point(|point| point.at < time.numbers[row]);
        if at.insert(place, table.mark(share, row)).is_some() {
            let message = format!("a curve has several rows of the same {}", time.name);
            return Err(unfit(message, "select the text that tells the curves apart"));
        }
    }
    let values: Vec<f64> = at.values().filter_map(|mark| mark.value).collect();
    if values.windows(2).any(|pair| pair[1] > pair[0] + ROUNDING) {
        let message = format!("{} rises, and the share that is left never does", share.name);
        return Err(unfit(
            message,
            "draw --plot-kind line, or compute the share that is left",
        ));
    }
    let everybody = Mark {
        value: Some(1.0),
        open: None,
    };
    at.entry(0).or_insert(everybody);
    Ok((0..points.len())
        .map(|place| at.remove(&place).unwrap_or_default())
        .collect())
}
