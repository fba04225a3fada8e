//! A forest plot: estimates with their intervals below each other; of sites, what they make together at the end.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use terms::Report;

use super::canvas::{Area, Canvas, Letters, Side, Way};
use super::figure::Note;
use super::marks::INK;
use super::page::{MARGIN, Page, WIDTH};
use super::scale::Scale;
use super::text;

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Forest {
    pub(crate) title: String,
    /// What the numbers are.
    pub(crate) axis: String,
    pub(crate) kind: Kind,
    pub(crate) lines: Vec<Line>,
    pub(crate) notes: Vec<Note>,
    pub(crate) sources: Vec<String>,
}

/// How the numbers lie along the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Evenly.
    Sites,
    /// Evenly, around 0, which is no difference.
    Differences,
    /// By their logarithms, around 1, which is no difference.
    Ratios,
}

/// One estimate.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) estimate: f64,
    /// An end that is no number, or not on the axis, is at its edge.
    pub(crate) ci: [f64; 2],
    pub(crate) shape: Shape,
}

/// How an estimate is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A square whose area is this share in what all make together.
    Share(f64),
    /// What all make together.
    Together,
    /// A dot.
    Alone,
}

const ROW: f64 = 26.0;

/// Round numbers along the axis, about.
const TICKS: usize = 7;

const LETTERS: f64 = 12.5;
const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const ORANGE: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

impl Forest {
    fn page(&self) -> Page {
        Page::of(&self.title, &self.notes, &self.sources)
    }

    /// Width and height.
    pub(super) fn size(&self) -> (u32, u32) {
        self.page().size(self.lines.len() as f64 * ROW + 64.0)
    }

    /// Draws it.
    ///
    /// # Errors
    /// If the canvas does not take it.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        let page = self.page();
        page.draw(canvas, self.size())?;
        let texts: Vec<String> = self.lines.iter().map(numbers).collect();
        let widest =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(|words| text::width(words, LETTERS)).fold(0.0, f64::max);
        let names = widest(&mut self.lines.iter().map(|line| line.label.as_str())).min(WIDTH / 3.0);
        let values = widest(&mut texts.iter().map(String::as_str));
        let area = Area {
            left: MARGIN + names + 16.0,
            right: WIDTH - MARGIN - values - 16.0,
            top: page.top,
            bottom: page.top + self.lines.len() as f64 * ROW,
        };
        let scale = self.scale();
        let share = |number: f64| match scale.share(number) {
            share if share.is_nan() => 0.0,
            share => share.clamp(0.0, 1.0),
        };
        let x = |number: f64| area.left + share(number) * (area.right - area.left);
        for (tick, words) in &scale.ticks {
            canvas.line(&[(x(*tick), area.top), (x(*tick), area.bottom)], GRID, 1.0, &[])?;
            canvas.text(words, (x(*tick), area.bottom + 14.0), letters(Side::Middle))?;
        }
        if let Some(middle) = self.middle() {
            let x = x(middle);
            canvas.line(&[(x, area.top), (x, area.bottom)], ORANGE, 1.0, &[4.0, 3.0])?;
        }
        for (at, (line, words)) in self.lines.iter().zip(&texts).enumerate() {
            let y = area.top + (at as f64 + 0.5) * ROW;
            let label = text::clipped(&line.label, LETTERS, names);
            canvas.text(&label, (MARGIN, y), letters(Side::Left))?;
            canvas.text(words, (WIDTH - MARGIN, y), letters(Side::Right))?;
            let [from, until] = line.ci.map(x);
            match line.shape {
                Shape::Alone => {
                    canvas.line(&[(from, y), (until, y)], INK, 1.5, &[])?;
                    canvas.circle((x(line.estimate), y), 4.5, BLUE)?;
                }
                Shape::Share(weight) => {
                    canvas.line(&[(from, y), (until, y)], INK, 1.5, &[])?;
                    let half = (3.0 + 8.0 * weight.sqrt()).min(ROW / 2.0 - 2.0);
                    let middle = x(line.estimate);
                    canvas.fill(
                        Area {
                            left: middle - half,
                            right: middle + half,
                            top: y - half,
                            bottom: y + half,
                        },
                        BLUE,
                    )?;
                }
                Shape::Together => {
                    let corners = [
                        (from, y),
                        (x(line.estimate), y - 8.0),
                        (until, y),
                        (x(line.estimate), y + 8.0),
                    ];
                    canvas.polygon(&corners, ORANGE)?;
                }
            }
        }
        canvas.line(&[(area.left, area.bottom), (area.right, area.bottom)], INK, 1.2, &[])?;
        let middle = ((area.left + area.right) / 2.0, area.bottom + 36.0);
        let axis = text::clipped(
            &format!("{} with 95% interval", self.axis),
            LETTERS,
            WIDTH - 2.0 * MARGIN,
        );
        canvas.text(&axis, middle, letters(Side::Middle))?;
        canvas.finish()
    }

    /// From the least end of an interval to the largest, and what means no difference in between.
    fn scale(&self) -> Scale {
        let is_ratio = self.kind == Kind::Ratios;
        let is_placed = |end: &f64| end.is_finite() && !(is_ratio && *end <= 0.0);
        let ends = self
            .lines
            .iter()
            .flat_map(|line| [line.estimate, line.ci[0], line.ci[1]]);
        let ends = ends.chain(self.no_difference()).filter(is_placed);
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| {
            (low.min(end), high.max(end))
        });
        if is_ratio {
            let room = (high / low).powf(0.05).max(1.01);
            return Scale::logarithmic(low / room, high * room, TICKS);
        }
        let room = (high - low).max(f64::MIN_POSITIVE) * 0.05;
        Scale::new(low - room, high + room, TICKS)
    }

    fn no_difference(&self) -> Option<f64> {
        match self.kind {
            Kind::Sites => None,
            Kind::Differences => Some(0.0),
            Kind::Ratios => Some(1.0),
        }
    }

    /// Where a line goes through all: what means no difference; of sites the last that all make together, as the model says that lets
    /// sites differ.
    fn middle(&self) -> Option<f64> {
        let together = self.lines.iter().rfind(|line| line.shape == Shape::Together);
        self.no_difference().or(together.map(|line| line.estimate))
    }
}

fn numbers(line: &Line) -> String {
    let digits = crate::analyses::figures;
    format!(
        "{} [{}, {}]",
        digits(line.estimate),
        digits(line.ci[0]),
        digits(line.ci[1])
    )
}

fn letters(side: Side) -> Letters {
    Letters {
        size: LETTERS,
        colour: INK,
        side,
        way: Way::Across,
    }
}

#[cfg(test)]
mod tests;
