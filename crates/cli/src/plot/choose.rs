//! What of an answer lies where: which column along the bottom, which as series, which numbers upwards.
//!
//! Texts, dates and whatever was grouped by are keys; all other numbers are values. Of one or two keys a date or number lies along
//! the bottom as a scale and makes lines, a text makes groups of bars. Values of the same kind share a panel.

mod survival;
pub(super) mod table;

use std::collections::BTreeMap;

use federation::{Answer, Expected, Status, TookPart};
use terms::{Problem, Report};

use self::table::{Column, Nature, Table, nature};
use super::figure::{Axis, Figure, Form, Mark, Note, Panel, Places, Point, Series, Ticks};
use super::marks::SERIES_MAX;
use crate::args::PlotKind;
use crate::render;
use crate::sandbox::found::counted;

/// Most groups side by side, and most bars: as many as have a readable label, and a width.
const GROUPS_MAX: usize = 60;
const BARS_MAX: usize = 180;

/// Most points along a scale: more than the chart has pixels say nothing.
const POINTS_MAX: usize = 2_000;

/// Most panels.
const PANELS_MAX: usize = 4;

/// Names of nodes that are written out under the title.
const NAMED_MAX: usize = 4;

/// Whether columns of such types make a chart at all, as far as that can be said before there are rows.
///
/// # Errors
/// `Chart`, with what to change.
pub(super) fn check(columns: &[Expected], kind: Option<PlotKind>) -> Result<(), Report> {
    let numbers = columns.iter().filter(|column| column.data_type.is_numeric()).count();
    let scales = columns
        .iter()
        .filter(|column| nature(&column.data_type).is_scale())
        .count();
    if numbers == 0 {
        return Err(unfit(
            "the answer has no number to draw",
            "select one, such as count(*)",
        ));
    }
    if columns.len() < 2 {
        let message = "the answer has one column, and a chart needs a number and what it is drawn over";
        return Err(unfit(message, "group by a column, and select that column too"));
    }
    if kind == Some(PlotKind::Survival) && scales != 2 {
        return Err(survival::unfit_columns());
    }
    match columns.iter().find(|column| nature(&column.data_type) == Nature::Other) {
        Some(column) => {
            let message = format!(
                "{} is of the type {}, which a chart cannot show",
                column.name, column.data_type
            );
            Err(unfit(message, "select numbers, texts, dates or yes or no"))
        }
        None => Ok(()),
    }
}

/// The chart of an answer.
///
/// # Errors
/// `Chart`, with what to change.
pub(super) fn figure(answer: &Answer, columns: &[Expected], kind: Option<PlotKind>) -> Result<Figure, Report> {
    let table = Table::of(answer, columns)?;
    if table.rows == 0 {
        return Err(unfit("the answer has no rows to draw", "ask for what is there"));
    }
    let (title, x, panels) = match kind {
        Some(PlotKind::Survival) => survival::curves(&table)?,
        Some(PlotKind::Bar) => over_keys(&table, Some(Form::Bars))?,
        Some(PlotKind::Line) => over_keys(&table, Some(Form::Lines))?,
        None => over_keys(&table, None)?,
    };
    Ok(Figure {
        title,
        notes: notes(answer),
        sources: render::policies(answer.took_part()),
        x,
        panels,
    })
}

fn unfit(message: impl Into<String>, remedy: impl Into<String>) -> Report {
    Problem::Chart.report(message).remedy(remedy)
}

type Drawn = (String, Axis, Vec<Panel>);

fn over_keys(table: &Table<'_>, form: Option<Form>) -> Result<Drawn, Report> {
    let keys = keys(table)?;
    let values = table.columns.iter().filter(|column| column.nature.is_number());
    let values: Vec<&Column<'_>> = values
        .filter(|column| !keys.iter().any(|key| key.name == column.name))
        .collect();
    if values.is_empty() {
        return Err(unfit(
            "every number of the answer is a group",
            "select what is counted or measured, such as count(*)",
        ));
    }
    let is_complete = |key: &&&Column<'_>| key.nature.is_scale() && key.has_no_null();
    let x = keys.iter().find(is_complete).or(keys.first()).copied();
    let Some(x) = x else {
        return Err(unfit(
            "the answer has no column to draw its numbers over",
            "group by a text, a date or a range of numbers, and select it",
        ));
    };
    let by = keys.iter().find(|key| key.name != x.name).copied();
    let form = form.unwrap_or(if is_complete(&&x) { Form::Lines } else { Form::Bars });
    let places = places(x, form)?;
    let panels = match by {
        Some(by) => by_series(table, &places, by, &values, form)?,
        None => by_kind(table, &places, &values, form),
    };
    require_readable(&panels, form, places.rows_at.len())?;
    let whats: Vec<&str> = values.iter().map(|column| column.name).collect();
    let over: Vec<&str> = [Some(x), by].into_iter().flatten().map(|key| key.name).collect();
    let title = format!("{} by {}", whats.join(", "), over.join(" and "));
    let axis = Axis {
        title: x.title.clone(),
        places: places.places,
    };
    Ok((title, axis, panels))
}

fn require_readable(panels: &[Panel], form: Form, places: usize) -> Result<(), Report> {
    let bars = panels.iter().map(|panel| panel.series.len()).max().unwrap_or(0) * places;
    if form == Form::Bars && bars > BARS_MAX {
        return Err(unfit(
            format!("{bars} bars are too many to read, more than {BARS_MAX}"),
            "leave out some groups with WHERE, HAVING or LIMIT, or draw --plot-kind line",
        ));
    }
    if panels.len() > PANELS_MAX {
        let message = format!("{} numbers of different kinds are too many for one chart", panels.len());
        return Err(unfit(message, format!("select at most {PANELS_MAX}")));
    }
    Ok(())
}

/// The columns that tell rows apart: those that were grouped by, all texts and dates, and as many numbers as are needed.
fn keys<'a, 'b>(table: &'b Table<'a>) -> Result<Vec<&'b Column<'a>>, Report> {
    let grouped = table
        .columns
        .iter()
        .any(|column| column.is_group && column.nature.is_number());
    let is_key = |column: &&Column<'_>| column.is_group || !column.nature.is_number();
    let mut keys: Vec<&Column<'_>> = table.columns.iter().filter(is_key).collect();
    let mut whole = table
        .columns
        .iter()
        .filter(|column| column.nature == Nature::Whole && !column.is_group && !column.is_open);
    while !grouped && !(table.tells_apart(&keys) && (table.rows == 1 || !keys.is_empty())) {
        let Some(next) = whole.next() else { break };
        keys.push(next);
    }
    if !keys.is_empty() && !table.tells_apart(&keys) {
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let message = format!("several rows have the same {}", names.join(" and "));
        return Err(unfit(message, "select all columns that the question groups by"));
    }
    if keys.len() > 2 {
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let message = format!(
            "a chart shows two columns of groups, and the answer has {}: {}",
            keys.len(),
            names.join(", ")
        );
        return Err(unfit(message, "group by one or two; put conditions on the others"));
    }
    keys.sort_by_key(|key| table.columns.iter().position(|column| column.name == key.name));
    Ok(keys)
}

/// What lies along the bottom, and at which place each row is.
struct Placed {
    places: Places,
    /// For each place, its rows.
    rows_at: Vec<Vec<usize>>,
}

fn places(x: &Column<'_>, form: Form) -> Result<Placed, Report> {
    let as_scale = form == Form::Lines && x.nature.is_scale();
    let mut rows_at: Vec<Vec<usize>> = Vec::new();
    if !as_scale {
        let distinct = x.distinct();
        if distinct.len() > GROUPS_MAX {
            let message = format!(
                "{} groups of {} are too many side by side, more than {GROUPS_MAX}",
                distinct.len(),
                x.name
            );
            let remedy = "take coarser groups such as bin(x) or date_trunc('month', x), leave out some with WHERE, HAVING or LIMIT, or draw --plot-kind line of a date or a number";
            return Err(unfit(message, remedy));
        }
        let at: BTreeMap<&Option<String>, usize> = distinct.iter().enumerate().map(|(at, key)| (key, at)).collect();
        rows_at.resize(distinct.len(), Vec::new());
        for (row, key) in x.texts.iter().enumerate() {
            if let Some(at) = at.get(key) {
                rows_at[*at].push(row);
            }
        }
        let labels = distinct.iter().map(label).collect();
        return Ok(Placed {
            places: Places::Groups(labels),
            rows_at,
        });
    }
    if !x.has_no_null() {
        let message = format!("some {} is NULL, which is nowhere on a scale", x.name);
        return Err(unfit(
            message,
            format!("ask with WHERE {} IS NOT NULL, or draw --plot-kind bar", x.name),
        ));
    }
    let mut order: Vec<usize> = (0..x.texts.len()).collect();
    order.sort_by(|a, b| x.numbers[*a].total_cmp(&x.numbers[*b]));
    let mut points: Vec<Point> = Vec::new();
    for row in order {
        let at = x.numbers[row];
        if points.last().is_none_or(|point| point.at < at) {
            points.push(Point {
                at,
                label: label(&x.texts[row]),
            });
            rows_at.push(Vec::new());
        }
        if let Some(rows) = rows_at.last_mut() {
            rows.push(row);
        }
    }
    if points.len() > POINTS_MAX {
        let message = format!("{} points are more than a chart can show, {POINTS_MAX}", points.len());
        return Err(unfit(message, "take coarser groups such as date_trunc('month', x)"));
    }
    let ticks = if x.nature == Nature::Measure {
        Ticks::Round
    } else {
        Ticks::AtPoints
    };
    Ok(Placed {
        places: Places::Scale(points, ticks),
        rows_at,
    })
}

/// A key as people see it; NULL as in tables.
fn label(key: &Option<String>) -> String {
    key.clone().unwrap_or_else(|| "–".to_owned())
}

/// One panel for each value, with one series for each value of `by`.
fn by_series(
    table: &Table<'_>,
    places: &Placed,
    by: &Column<'_>,
    values: &[&Column<'_>],
    form: Form,
) -> Result<Vec<Panel>, Report> {
    let names = table::series_of(by);
    if names.len() > SERIES_MAX {
        let message = format!(
            "{} groups of {} cannot be told apart in one chart",
            names.len(),
            by.name
        );
        let remedy = format!(
            "leave out some with WHERE or HAVING, at most {SERIES_MAX}; or exchange the columns, the first lies along the bottom"
        );
        return Err(unfit(message, remedy));
    }
    let panel = |value: &&Column<'_>| {
        let series = names.iter().map(|(key, name)| {
            let marks = places.rows_at.iter().map(|rows| {
                let row = rows.iter().find(|row| by.texts[**row] == *key);
                row.map_or_else(Mark::default, |row| table.mark(value, *row))
            });
            Series {
                name: name.clone(),
                marks: marks.collect(),
            }
        });
        Panel {
            title: value.title.clone(),
            form,
            series: series.collect(),
        }
    };
    Ok(values.iter().map(panel).collect())
}

/// Values of the same unit in one panel, and whole numbers without one.
fn by_kind(table: &Table<'_>, places: &Placed, values: &[&Column<'_>], form: Form) -> Vec<Panel> {
    let mut kinds: Vec<Vec<&Column<'_>>> = Vec::new();
    for value in values {
        let is_alike = |kind: &&mut Vec<&Column<'_>>| {
            let is_known = value.unit.is_some() || value.nature == Nature::Whole;
            is_known && kind.len() < SERIES_MAX && kind[0].unit == value.unit && kind[0].nature == value.nature
        };
        match kinds.iter_mut().find(is_alike) {
            Some(kind) => kind.push(value),
            None => kinds.push(vec![value]),
        }
    }
    let panel = |kind: &Vec<&Column<'_>>| {
        let series = kind.iter().map(|value| {
            let marks = places
                .rows_at
                .iter()
                .map(|rows| rows.first().map_or_else(Mark::default, |row| table.mark(value, *row)));
            Series {
                name: if kind.len() > 1 {
                    value.name.to_owned()
                } else {
                    String::new()
                },
                marks: marks.collect(),
            }
        });
        let title = match kind.as_slice() {
            [only] => only.title.clone(),
            several => several[0]
                .unit
                .as_deref()
                .map_or_else(|| "number".to_owned(), table::unit_words),
        };
        Panel {
            title,
            form,
            series: series.collect(),
        }
    };
    kinds.iter().map(panel).collect()
}

/// Who took part and what is missing, for the lines under the title.
fn notes(answer: &Answer) -> Vec<Note> {
    let mut notes = took_part(answer.took_part());
    if answer.rows_open {
        notes.push(Note::Warning(
            "values that lack cells decided what is shown: groups can be missing, or be here without reason".to_owned(),
        ));
    }
    notes
}

/// The same of whatever was asked.
pub(super) fn took_part(took_part: TookPart<'_>) -> Vec<Note> {
    let TookPart(coverage) = took_part;
    let asked = coverage.len();
    let answered = format!(
        "{} of {} answered",
        took_part.answered(),
        counted(asked, "node", "nodes")
    );
    let absent = coverage.iter().filter(|node| node.status != Status::Answered);
    let absent: Vec<String> = absent
        .map(|node| format!("{} ({})", node.node, node.status.word()))
        .collect();
    let mut notes: Vec<Note> = render::made_up(took_part).map(Note::Warning).into_iter().collect();
    if absent.is_empty() {
        notes.push(Note::Plain(answered));
    } else {
        let more = absent.len().saturating_sub(NAMED_MAX);
        let mut named = absent[..absent.len() - more].join(", ");
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        notes.push(Note::Warning(format!("{answered}; without {named}")));
    }
    let cells = usize::try_from(took_part.suppressed_cells()).unwrap_or(usize::MAX);
    let values: u64 = coverage.iter().flat_map(|node| node.withheld.values()).sum();
    if cells > 0 {
        let nodes = coverage.iter().filter(|node| node.suppressed_cells > 0).count();
        let (cells, nodes) = (counted(cells, "cell", "cells"), counted(nodes, "node", "nodes"));
        notes.push(Note::Plain(format!(
            "{cells} of {nodes} not released: too few people, nobody, or to protect another cell"
        )));
    }
    if values > 0 {
        let values = counted(usize::try_from(values).unwrap_or(usize::MAX), "value", "values");
        notes.push(Note::Plain(format!("{values} not released in cells that were")));
    }
    notes
}
