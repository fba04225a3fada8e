//! Where everything is on a chart, and the order in which it is drawn: title, notes, legend, panels, labels, sources.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use terms::Report;

use super::canvas::{Area, Canvas, Letters, Side, Way};
use super::figure::{Figure, Form, Note, Open, Places, Ticks};
use super::marks::{self, Field, INK, PAPER};
use super::scale::Scale;
use super::text;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;

const TITLE_SIZE: f64 = 18.0;
const NOTE_SIZE: f64 = 12.5;
const LABEL_SIZE: f64 = 12.0;
const SOURCE_SIZE: f64 = 10.5;

/// Height of the only panel, and of each of several.
const PANEL: f64 = 380.0;
const PANELS: f64 = 240.0;
const BETWEEN_PANELS: f64 = 22.0;

/// Longest label along the bottom when it runs upwards.
const LABEL_MAX: f64 = 150.0;

const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
pub(super) const QUIET: RGBColor = RGBColor(0x55, 0x55, 0x55);
pub(super) const WARNING: RGBColor = RGBColor(0xb0, 0x3a, 0x00);

/// A chart with the place of everything in it.
#[derive(Debug)]
pub(super) struct Drawing<'a> {
    figure: &'a Figure,
    names: Vec<&'a str>,
    notes: Vec<(String, RGBColor)>,
    sources: Vec<String>,
    legend: Vec<(Entry, String, f64, f64)>,
    scales: Vec<Scale>,
    panels: Vec<Area>,
    places: Vec<f64>,
    next: Vec<bool>,
    room: f64,
    labels: Vec<(f64, String)>,
    labels_run: Way,
    labels_height: f64,
    height: f64,
}

/// What a line of the legend explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Series(usize),
    Open,
    Unbounded,
    Missing,
}

impl<'a> Drawing<'a> {
    /// Lays a chart out.
    pub(super) fn of(figure: &'a Figure) -> Self {
        let inside = WIDTH - 2.0 * MARGIN;
        let notes: Vec<_> = figure
            .notes
            .iter()
            .flat_map(|note| {
                let (words, colour) = match note {
                    Note::Plain(words) => (words.clone(), INK),
                    Note::Warning(words) => (format!("! {words}"), WARNING),
                };
                text::wrapped(&words, NOTE_SIZE, inside)
                    .into_iter()
                    .map(move |line| (line, colour))
            })
            .collect();
        let sources: Vec<String> = figure
            .sources
            .iter()
            .flat_map(|line| text::wrapped(line, SOURCE_SIZE, inside))
            .collect();
        let names = figure.series_names();
        let head = MARGIN + TITLE_SIZE + 8.0 + notes.len() as f64 * (NOTE_SIZE + 5.0) + 8.0;
        let legend = legend(figure, &names, head, inside);
        let top = legend.last().map_or(head, |(_, _, _, y)| y + 14.0) + 12.0;

        let scales: Vec<Scale> = figure.panels.iter().map(Scale::of_panel).collect();
        let ticks = scales.iter().flat_map(|scale| &scale.ticks);
        let ticks = ticks
            .map(|(_, words)| text::width(words, LABEL_SIZE))
            .fold(0.0, f64::max);
        let (left, right) = (MARGIN + LABEL_SIZE + 12.0 + ticks + 8.0, WIDTH - MARGIN);
        let each = if scales.len() == 1 { PANEL } else { PANELS };
        let panels: Vec<Area> = (0..scales.len())
            .map(|at| top + at as f64 * (each + BETWEEN_PANELS))
            .map(|top| Area {
                left,
                top,
                right,
                bottom: top + each,
            })
            .collect();
        let across = Across::of(figure, left, right);
        let below = panels.last().map_or(top, |area| area.bottom) + across.height + LABEL_SIZE + 14.0;
        let height = below + sources.len() as f64 * (SOURCE_SIZE + 4.0) + MARGIN;
        Self {
            figure,
            names,
            notes,
            sources,
            legend,
            scales,
            panels,
            places: across.places,
            next: across.next,
            room: across.room,
            labels: across.labels,
            labels_run: across.run,
            labels_height: across.height,
            height,
        }
    }

    /// Width and height.
    pub(super) fn size(&self) -> (u32, u32) {
        (WIDTH as u32, self.height.ceil() as u32)
    }

    /// Draws it.
    ///
    /// # Errors
    /// If the canvas does not take it.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        text::ready()?;
        let (width, height) = self.size();
        let all = Area {
            left: 0.0,
            top: 0.0,
            right: f64::from(width),
            bottom: f64::from(height),
        };
        canvas.fill(all, PAPER)?;
        self.head(canvas)?;
        self.explain(canvas)?;
        for (at, panel) in self.figure.panels.iter().enumerate() {
            let (area, scale) = (self.panels[at], &self.scales[at]);
            self.frame(canvas, area, scale, &panel.title)?;
            let field = Field {
                area,
                scale,
                places: &self.places,
                room: self.room,
                next: &self.next,
            };
            marks::draw(canvas, panel, &field, &self.names)?;
            self.axis(canvas, area, scale)?;
        }
        self.labels(canvas)?;
        self.foot(canvas)?;
        canvas.finish()
    }

    fn head<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        let title = text::clipped(&self.figure.title, TITLE_SIZE, WIDTH - 2.0 * MARGIN);
        let mut y = MARGIN + TITLE_SIZE / 2.0;
        canvas.text(&title, (MARGIN, y), across(TITLE_SIZE, INK, Side::Left))?;
        y += TITLE_SIZE / 2.0 + 8.0 + NOTE_SIZE / 2.0;
        for (line, colour) in &self.notes {
            canvas.text(line, (MARGIN, y), across(NOTE_SIZE, *colour, Side::Left))?;
            y += NOTE_SIZE + 5.0;
        }
        Ok(())
    }

    fn explain<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        for (entry, words, x, y) in &self.legend {
            let area = Area {
                left: *x,
                right: x + SAMPLE,
                top: y - 6.0,
                bottom: y + 6.0,
            };
            match entry {
                Entry::Series(number) => marks::sample(canvas, self.form(), *number, area)?,
                Entry::Open if self.form() == Form::Bars => {
                    canvas.hatch(area, INK)?;
                    canvas.outline(area, INK, &[3.0, 2.0])?;
                }
                Entry::Open => {
                    let middle = (area.left + area.right) / 2.0;
                    canvas.line(&[(middle, area.top), (middle, area.bottom)], INK, 1.6, &[])?;
                    for y in [area.top, area.bottom] {
                        canvas.line(&[(middle - 5.0, y), (middle + 5.0, y)], INK, 1.6, &[])?;
                    }
                }
                Entry::Unbounded => marks::question(canvas, ((area.left + area.right) / 2.0, *y))?,
                Entry::Missing => marks::cross(canvas, ((area.left + area.right) / 2.0, *y))?,
            }
            let at = (area.right + 7.0, *y);
            canvas.text(words, at, across(LABEL_SIZE, INK, Side::Left))?;
        }
        Ok(())
    }

    fn form(&self) -> Form {
        self.figure.panels.first().map_or(Form::Bars, |panel| panel.form)
    }

    /// Lines across and numbers of a panel's y axis.
    fn frame<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        area: Area,
        scale: &Scale,
        title: &str,
    ) -> Result<(), Report> {
        for (tick, words) in &scale.ticks {
            let y = area.bottom - scale.share(*tick) * (area.bottom - area.top);
            canvas.line(&[(area.left, y), (area.right, y)], GRID, 1.0, &[])?;
            canvas.text(words, (area.left - 7.0, y), across(LABEL_SIZE, INK, Side::Right))?;
        }
        let title = text::clipped(title, LABEL_SIZE + 1.0, area.bottom - area.top);
        let letters = Letters {
            way: Way::Up,
            ..across(LABEL_SIZE + 1.0, INK, Side::Middle)
        };
        let at = (MARGIN + LABEL_SIZE / 2.0, (area.top + area.bottom) / 2.0);
        canvas.text(&title, at, letters)
    }

    /// The lines of both axes, over the marks.
    fn axis<B: DrawingBackend>(&self, canvas: &Canvas<B>, area: Area, scale: &Scale) -> Result<(), Report> {
        let corner = [
            (area.left, area.top),
            (area.left, area.bottom),
            (area.right, area.bottom),
        ];
        canvas.line(&corner, INK, 1.2, &[])?;
        let zero = scale.share(0.0);
        if zero > 0.0 && zero < 1.0 {
            let y = area.bottom - zero * (area.bottom - area.top);
            canvas.line(&[(area.left, y), (area.right, y)], INK, 1.2, &[])?;
        }
        Ok(())
    }

    fn labels<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        let Some(area) = self.panels.last() else { return Ok(()) };
        let scale_marks = matches!(self.figure.x.places, Places::Scale(..));
        for (x, words) in &self.labels {
            if scale_marks {
                canvas.line(&[(*x, area.bottom), (*x, area.bottom + 5.0)], INK, 1.2, &[])?;
            }
            let (at, letters) = match self.labels_run {
                Way::Across => (
                    (*x, area.bottom + 8.0 + LABEL_SIZE / 2.0),
                    across(LABEL_SIZE, INK, Side::Middle),
                ),
                Way::Up => (
                    (*x, area.bottom + 8.0),
                    Letters {
                        way: Way::Up,
                        ..across(LABEL_SIZE, INK, Side::Right)
                    },
                ),
            };
            canvas.text(words, at, letters)?;
        }
        let at = (
            (area.left + area.right) / 2.0,
            area.bottom + self.labels_height + 4.0 + LABEL_SIZE / 2.0,
        );
        let title = text::clipped(&self.figure.x.title, LABEL_SIZE + 1.0, area.right - area.left);
        canvas.text(&title, at, across(LABEL_SIZE + 1.0, INK, Side::Middle))
    }

    fn foot<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        let mut y = self.height - MARGIN - self.sources.len() as f64 * (SOURCE_SIZE + 4.0) + SOURCE_SIZE / 2.0;
        for line in &self.sources {
            canvas.text(line, (MARGIN, y), across(SOURCE_SIZE, QUIET, Side::Left))?;
            y += SOURCE_SIZE + 4.0;
        }
        Ok(())
    }
}

fn across(size: f64, colour: RGBColor, side: Side) -> Letters {
    Letters {
        size,
        colour,
        side,
        way: Way::Across,
    }
}

/// Width of what stands for a series in the legend.
const SAMPLE: f64 = 26.0;

/// The entries of the legend and their places, line by line.
fn legend(figure: &Figure, names: &[&str], top: f64, inside: f64) -> Vec<(Entry, String, f64, f64)> {
    let mut entries: Vec<(Entry, String)> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (Entry::Series(at), text::clipped(name, LABEL_SIZE, 220.0)))
        .collect();
    if figure.open_values().any(|open| !open.is_unbounded()) {
        let words = "left open by suppression: the value lies in this range; an arrow: it goes on, or no end is known";
        entries.push((Entry::Open, words.to_owned()));
    }
    if figure.open_values().any(Open::is_unbounded) {
        let words =
            "left open by suppression: what was not released may be lacking, and nobody knows how much".to_owned();
        entries.push((Entry::Unbounded, words));
    }
    if figure.has_missing_bars() {
        entries.push((Entry::Missing, "no value: not released, or nothing there".to_owned()));
    }
    let (mut x, mut y) = (MARGIN, top + 8.0);
    let mut placed = Vec::new();
    for (entry, words) in entries {
        let wide = SAMPLE + 7.0 + text::width(&words, LABEL_SIZE) + 20.0;
        if x > MARGIN && x + wide > MARGIN + inside {
            (x, y) = (MARGIN, y + LABEL_SIZE + 8.0);
        }
        placed.push((entry, words, x, y));
        x += wide;
    }
    placed
}

/// What lies along the bottom.
struct Across {
    places: Vec<f64>,
    next: Vec<bool>,
    room: f64,
    labels: Vec<(f64, String)>,
    run: Way,
    height: f64,
}

impl Across {
    fn of(figure: &Figure, left: f64, right: f64) -> Self {
        match &figure.x.places {
            Places::Groups(labels) => Self::groups(labels, left, right),
            Places::Scale(points, ticks) => {
                let at: Vec<f64> = points.iter().map(|point| point.at).collect();
                let steps = figure.panels.iter().any(|panel| panel.form == Form::Steps);
                let least = if steps { 0.0 } else { at.first().copied().unwrap_or(0.0) };
                let most = at.last().copied().unwrap_or(1.0);
                let scale = Scale::new(least, most, 10);
                let edge = if steps { 0.0 } else { 18.0 };
                let (from, until) = (left + edge, right - 18.0);
                let place = |number: f64| from + scale.share(number) * (until - from);
                let places: Vec<f64> = at.iter().map(|number| place(*number)).collect();
                let labels: Vec<(f64, String)> = match ticks {
                    Ticks::AtPoints => {
                        let labels = places.iter().zip(points);
                        labels.map(|(x, point)| (*x, point.label.clone())).collect()
                    }
                    Ticks::Round => {
                        let inside = scale
                            .ticks
                            .iter()
                            .filter(|(tick, _)| (scale.low()..=scale.high()).contains(tick));
                        inside.map(|(tick, words)| (place(*tick), words.clone())).collect()
                    }
                };
                let apart = places.windows(2).map(|pair| pair[1] - pair[0]);
                Self {
                    room: apart.fold(right - left, f64::min),
                    next: neighbours(&at),
                    places,
                    labels: apart_enough(labels),
                    run: Way::Across,
                    height: LABEL_SIZE + 12.0,
                }
            }
        }
    }

    fn groups(labels: &[String], left: f64, right: f64) -> Self {
        let room = (right - left) / labels.len().max(1) as f64;
        let places: Vec<f64> = (0..labels.len()).map(|at| left + (at as f64 + 0.5) * room).collect();
        let widest = |labels: &[String]| {
            let widths = labels.iter().map(|label| text::width(label, LABEL_SIZE));
            widths.fold(0.0, f64::max)
        };
        let (run, most) = if widest(labels) <= room - 6.0 {
            (Way::Across, room)
        } else {
            (Way::Up, LABEL_MAX)
        };
        let labels: Vec<String> = labels
            .iter()
            .map(|label| text::clipped(label, LABEL_SIZE, most))
            .collect();
        let height = match run {
            Way::Across => LABEL_SIZE + 12.0,
            Way::Up => widest(&labels) + 14.0,
        };
        Self {
            next: vec![true; places.len()],
            room,
            labels: places.iter().copied().zip(labels).collect(),
            places,
            run,
            height,
        }
    }
}

/// Every so many labels, so that none touches the next.
fn apart_enough(labels: Vec<(f64, String)>) -> Vec<(f64, String)> {
    let fits = |step: &usize| {
        let kept: Vec<&(f64, String)> = labels.iter().step_by(*step).collect();
        kept.windows(2).all(|pair| {
            let widths = text::width(&pair[0].1, LABEL_SIZE) + text::width(&pair[1].1, LABEL_SIZE);
            pair[1].0 - pair[0].0 >= widths / 2.0 + 10.0
        })
    };
    let step = (1..=labels.len()).find(fits).unwrap_or(1);
    labels.into_iter().step_by(step).collect()
}

/// For each point, whether the one before it is its neighbour. Where most points are one step apart, as weeks are, a longer way
/// means that something between is missing.
fn neighbours(at: &[f64]) -> Vec<bool> {
    let apart: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = apart.iter().copied().fold(f64::INFINITY, f64::min);
    // Months are of 28 to 31 days.
    let is_step = |way: &f64| *way < least * 1.5;
    let steps = apart.iter().filter(|way| is_step(way)).count();
    let has_steps = steps * 2 > apart.len();
    let after = apart.iter().map(|way| !has_steps || is_step(way));
    [true].into_iter().chain(after).take(at.len()).collect()
}
