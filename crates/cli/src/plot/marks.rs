//! Bars, lines and steps, and how what is open or missing is drawn in them.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use terms::Report;

use super::canvas::{Area, At, Canvas, Dashes, Letters, Side, Way};
use super::figure::{Form, Open, Panel, Series};
use super::scale::Scale;
use super::text;

pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const FAINT: RGBColor = RGBColor(0x55, 0x55, 0x55);

/// Colours that the colour-blind tell apart (Okabe and Ito 2008), light and dark by turns, so that neighbours differ in grey too.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x33, 0x33, 0x33),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xf0, 0xe4, 0x42),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
];

const DASHES: [Dashes; 8] = [
    &[],
    &[9.0, 4.0],
    &[3.0, 3.0],
    &[12.0, 3.0, 3.0, 3.0],
    &[16.0, 6.0],
    &[6.0, 2.0],
    &[9.0, 3.0, 3.0, 3.0, 3.0, 3.0],
    &[2.0, 6.0],
];

/// Most series that can be told apart.
pub(super) const SERIES_MAX: usize = COLOURS.len();

const VALUE_SIZE: f64 = 10.5;

/// Widest bar, in units of the drawing.
const BAR_MAX: f64 = 84.0;

pub(super) fn colour(series: usize) -> RGBColor {
    COLOURS[series % COLOURS.len()]
}

/// A panel's place, its scale, and where its marks are across.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) area: Area,
    pub(super) scale: &'a Scale,
    pub(super) places: &'a [f64],
    /// Room of one place.
    pub(super) room: f64,
    /// Whether neighbours are one step of the scale apart.
    pub(super) next: &'a [bool],
}

impl Field<'_> {
    fn y(&self, number: f64) -> f64 {
        let share = self.scale.share(number).clamp(0.0, 1.0);
        self.area.bottom - share * (self.area.bottom - self.area.top)
    }

    /// Where the end of a range is, if it is known and on the axis.
    fn on_axis(&self, end: Option<f64>) -> Option<f64> {
        let end = end.filter(|end| (self.scale.low()..=self.scale.high()).contains(end));
        end.map(|end| self.y(end))
    }
}

/// Draws all marks of a panel; `names` are those of the legend.
pub(super) fn draw<B: DrawingBackend>(
    canvas: &Canvas<B>,
    panel: &Panel,
    field: &Field<'_>,
    names: &[&str],
) -> Result<(), Report> {
    let number = |series: &Series| names.iter().position(|name| *name == series.name).unwrap_or(0);
    match panel.form {
        Form::Bars => bars(canvas, panel, field, number),
        Form::Lines => {
            let mut series = panel.series.iter();
            series.try_for_each(|series| line(canvas, series, number(series), field))
        }
        Form::Steps => {
            let mut series = panel.series.iter();
            series.try_for_each(|series| steps(canvas, series, number(series), field))
        }
    }
}

fn bars<B: DrawingBackend>(
    canvas: &Canvas<B>,
    panel: &Panel,
    field: &Field<'_>,
    number: impl Fn(&Series) -> usize,
) -> Result<(), Report> {
    let side_by_side = panel.series.len() as f64;
    let wide = (field.room * 0.82 / side_by_side).min(BAR_MAX);
    let values = || {
        panel
            .series
            .iter()
            .flat_map(|series| &series.marks)
            .filter_map(|mark| mark.value)
    };
    let widest = values()
        .map(|value| text::width(&short(value), VALUE_SIZE))
        .fold(0.0, f64::max);
    let has_numbers = widest + 2.0 <= wide.max(field.room / side_by_side);
    for (at, place) in field.places.iter().enumerate() {
        for (turn, series) in panel.series.iter().enumerate() {
            let left = place + (turn as f64 - side_by_side / 2.0) * wide;
            let gap = (wide * 0.06).min(2.0);
            let sides = (left + gap, left + wide - gap);
            let mark = &series.marks[at];
            match mark.value {
                Some(value) => bar(canvas, value, mark.open.as_ref(), sides, colour(number(series)), field)?,
                None => cross(canvas, (left + wide / 2.0, field.y(0.0) - 7.0))?,
            }
            let Some(value) = mark.value else { continue };
            let is_unbounded = mark.open.as_ref().is_some_and(Open::is_unbounded);
            let words = match (has_numbers, is_unbounded) {
                (true, true) => format!("{} ?", short(value)),
                (true, false) => short(value),
                (false, true) => "?".to_owned(),
                (false, false) => continue,
            };
            at_end(canvas, &words, (left + wide / 2.0, value), field)?;
        }
    }
    Ok(())
}

fn bar<B: DrawingBackend>(
    canvas: &Canvas<B>,
    value: f64,
    open: Option<&Open>,
    (left, right): (f64, f64),
    colour: RGBColor,
    field: &Field<'_>,
) -> Result<(), Report> {
    let (zero, end) = (field.y(0.0), field.y(value));
    let area = Area {
        left,
        top: zero.min(end),
        right,
        bottom: zero.max(end),
    };
    canvas.fill(area, colour)?;
    if let Some(open) = open {
        open_bar(canvas, area, open, colour, field)?;
    }
    // A released zero is a line, and so is the end of each bar.
    canvas.line(&[(left, end), (right, end)], INK, 1.5, &[])
}

/// Hatches where the end of a bar can be; all of the bar, if that is not known.
fn open_bar<B: DrawingBackend>(
    canvas: &Canvas<B>,
    bar: Area,
    open: &Open,
    colour: RGBColor,
    field: &Field<'_>,
) -> Result<(), Report> {
    let reach = reach(open, field);
    let range = match open.is_unbounded() {
        true => bar,
        false => Area {
            top: reach.top,
            bottom: reach.bottom,
            ..bar
        },
    };
    canvas.hatch(range, INK)?;
    let within = Area {
        top: range.top.max(bar.top),
        bottom: range.bottom.min(bar.bottom),
        ..bar
    };
    if is_dark(colour) && within.top < within.bottom {
        canvas.fill(within, colour)?;
        canvas.hatch(within, PAPER)?;
    }
    canvas.outline(range, INK, &[3.0, 2.0])?;
    whisker(canvas, (bar.left + bar.right) / 2.0, open, field, INK)
}

/// Whether white lines are seen better on it than dark ones.
fn is_dark(RGBColor(red, green, blue): RGBColor) -> bool {
    0.3 * f64::from(red) + 0.59 * f64::from(green) + 0.11 * f64::from(blue) < 110.0
}

/// How far up and down an open value can lie, within the axis.
fn reach(open: &Open, field: &Field<'_>) -> Area {
    Area {
        left: 0.0,
        right: 0.0,
        top: field.on_axis(open.high).unwrap_or(field.area.top + 4.0),
        bottom: field.on_axis(open.low).unwrap_or(field.area.bottom),
    }
}

/// A line from the least to the most; an arrow where it goes on beyond the axis, or nobody knows how far. Of values without any bounds
/// something else says so.
fn whisker<B: DrawingBackend>(
    canvas: &Canvas<B>,
    x: f64,
    open: &Open,
    field: &Field<'_>,
    ink: RGBColor,
) -> Result<(), Report> {
    if open.is_unbounded() {
        return Ok(());
    }
    let Area { top, bottom, .. } = reach(open, field);
    canvas.line(&[(x, top), (x, bottom)], PAPER, 3.0, &[])?;
    canvas.line(&[(x, top), (x, bottom)], ink, 1.6, &[])?;
    for (y, end, inward) in [(top, open.high, 8.0), (bottom, open.low, -8.0)] {
        match field.on_axis(end) {
            Some(_) => canvas.line(&[(x - 5.0, y), (x + 5.0, y)], ink, 1.6, &[])?,
            None => canvas.polygon(&[(x, y), (x - 5.0, y + inward), (x + 5.0, y + inward)], ink)?,
        }
    }
    Ok(())
}

/// The mark of a value that is not there.
pub(super) fn cross<B: DrawingBackend>(canvas: &Canvas<B>, (x, y): At) -> Result<(), Report> {
    canvas.line(&[(x - 3.5, y - 3.5), (x + 3.5, y + 3.5)], FAINT, 1.4, &[])?;
    canvas.line(&[(x - 3.5, y + 3.5), (x + 3.5, y - 3.5)], FAINT, 1.4, &[])
}

/// The mark of a value of which it is not known how far off it is.
pub(super) fn question<B: DrawingBackend>(canvas: &Canvas<B>, at: At) -> Result<(), Report> {
    canvas.text("?", at, VALUE)
}

const VALUE: Letters = Letters {
    size: VALUE_SIZE,
    colour: INK,
    side: Side::Middle,
    way: Way::Across,
};

/// Words beyond the end of a bar.
fn at_end<B: DrawingBackend>(
    canvas: &Canvas<B>,
    words: &str,
    (x, value): (f64, f64),
    field: &Field<'_>,
) -> Result<(), Report> {
    let y = field.y(value) + if value < 0.0 { 9.0 } else { -9.0 };
    let half = text::width(words, VALUE_SIZE) / 2.0 + 1.0;
    let plate = Area {
        left: x - half,
        right: x + half,
        top: y - 6.5,
        bottom: y + 6.5,
    };
    canvas.fill(plate, PAPER)?;
    canvas.text(words, (x, y), VALUE)
}

/// A number for a bar: four digits that say something.
fn short(value: f64) -> String {
    let whole = value.abs().max(1.0).log10().floor() as usize + 1;
    let decimals = if value.fract() == 0.0 {
        0
    } else {
        4_usize.saturating_sub(whole).min(3)
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn line<B: DrawingBackend>(
    canvas: &Canvas<B>,
    series: &Series,
    number: usize,
    field: &Field<'_>,
) -> Result<(), Report> {
    open_points(canvas, series, number, field)?;
    for piece in pieces(series, field) {
        canvas.line(&piece, colour(number), 2.0, DASHES[number % DASHES.len()])?;
    }
    let size = if field.room < 5.0 { 2.0 } else { 4.0 };
    let marks = field.places.iter().zip(&series.marks);
    let mut known = marks.filter_map(|(x, mark)| mark.value.map(|value| (*x, field.y(value))));
    known.try_for_each(|at| symbol(canvas, at, number, size))
}

/// What is open at the points of a line, a little apart from that of other lines.
fn open_points<B: DrawingBackend>(
    canvas: &Canvas<B>,
    series: &Series,
    number: usize,
    field: &Field<'_>,
) -> Result<(), Report> {
    const APART: f64 = 3.0;
    for (x, mark) in field.places.iter().zip(&series.marks) {
        let (Some(value), Some(open)) = (mark.value, &mark.open) else {
            continue;
        };
        let x = x + number as f64 * APART;
        whisker(canvas, x, open, field, colour(number))?;
        if open.is_unbounded() {
            let letters = Letters {
                colour: colour(number),
                ..VALUE
            };
            canvas.text("?", (x + 8.0 + number as f64 * 6.0, field.y(value) - 9.0), letters)?;
        }
    }
    Ok(())
}

/// The points of a line, cut where a value is missing: a line across would say what nobody released.
fn pieces(series: &Series, field: &Field<'_>) -> Vec<Vec<At>> {
    let mut pieces: Vec<Vec<At>> = vec![Vec::new()];
    for (at, mark) in series.marks.iter().enumerate() {
        if mark.value.is_none() || !field.next[at] {
            pieces.push(Vec::new());
        }
        if let (Some(value), Some(piece)) = (mark.value, pieces.last_mut()) {
            piece.push((field.places[at], field.y(value)));
        }
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

/// A series' own sign: circle, square, triangles, diamond, without colour.
pub(super) fn symbol<B: DrawingBackend>(
    canvas: &Canvas<B>,
    (x, y): At,
    number: usize,
    size: f64,
) -> Result<(), Report> {
    let colour = colour(number);
    let corners: &[At] = match number % 5 {
        0 => return canvas.circle((x, y), size, colour),
        1 => &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        2 => &[(0.0, -1.3), (1.2, 1.0), (-1.2, 1.0)],
        3 => &[(0.0, -1.4), (1.2, 0.0), (0.0, 1.4), (-1.2, 0.0)],
        _ => &[(0.0, 1.3), (1.2, -1.0), (-1.2, -1.0)],
    };
    let corners: Vec<At> = corners.iter().map(|(dx, dy)| (x + dx * size, y + dy * size)).collect();
    canvas.polygon(&corners, colour)
}

fn steps<B: DrawingBackend>(
    canvas: &Canvas<B>,
    series: &Series,
    number: usize,
    field: &Field<'_>,
) -> Result<(), Report> {
    let mut points: Vec<At> = Vec::new();
    for (x, mark) in field.places.iter().zip(&series.marks) {
        let Some(value) = mark.value else { continue };
        if let Some((_, before)) = points.last() {
            points.push((*x, *before));
        }
        points.push((*x, field.y(value)));
    }
    open_points(canvas, series, number, field)?;
    canvas.line(&points, colour(number), 2.0, DASHES[number % DASHES.len()])
}

/// What stands for a series in the legend.
pub(super) fn sample<B: DrawingBackend>(
    canvas: &Canvas<B>,
    form: Form,
    number: usize,
    area: Area,
) -> Result<(), Report> {
    if form == Form::Bars {
        canvas.fill(area, colour(number))?;
        return canvas.outline(area, INK, &[]);
    }
    let middle = (area.top + area.bottom) / 2.0;
    let ends = [(area.left, middle), (area.right, middle)];
    canvas.line(&ends, colour(number), 2.0, DASHES[number % DASHES.len()])?;
    match form {
        Form::Lines => symbol(canvas, ((area.left + area.right) / 2.0, middle), number, 4.0),
        Form::Bars | Form::Steps => Ok(()),
    }
}
