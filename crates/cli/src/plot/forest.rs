//! A forest plot: estimates with their intervals below each other, what they make together at the end.

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
    pub(crate) lines: Vec<Line>,
    pub(crate) notes: Vec<Note>,
    pub(crate) sources: Vec<String>,
}

/// One estimate.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) estimate: f64,
    pub(crate) ci: [f64; 2],
    /// Its share in what all make together; none of a line that is this itself.
    pub(crate) weight: Option<f64>,
}

const ROW: f64 = 26.0;
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
        let ends = || self.lines.iter().flat_map(|line| line.ci);
        let (low, high) = (
            ends().fold(f64::INFINITY, f64::min),
            ends().fold(f64::NEG_INFINITY, f64::max),
        );
        let room = (high - low).max(f64::MIN_POSITIVE) * 0.05;
        let scale = Scale::new(low - room, high + room, 7);
        let x = |number: f64| area.left + scale.share(number).clamp(0.0, 1.0) * (area.right - area.left);
        for (tick, words) in &scale.ticks {
            canvas.line(&[(x(*tick), area.top), (x(*tick), area.bottom)], GRID, 1.0, &[])?;
            canvas.text(words, (x(*tick), area.bottom + 14.0), letters(Side::Middle))?;
        }
        // The last line is what all make together, as the model says that lets sites differ.
        let pooled = self.lines.iter().rfind(|line| line.weight.is_none());
        if let Some(pooled) = pooled {
            let x = x(pooled.estimate);
            canvas.line(&[(x, area.top), (x, area.bottom)], ORANGE, 1.0, &[4.0, 3.0])?;
        }
        for (at, (line, words)) in self.lines.iter().zip(&texts).enumerate() {
            let y = area.top + (at as f64 + 0.5) * ROW;
            let label = text::clipped(&line.label, LETTERS, names);
            canvas.text(&label, (MARGIN, y), letters(Side::Left))?;
            canvas.text(words, (WIDTH - MARGIN, y), letters(Side::Right))?;
            let [from, until] = line.ci.map(x);
            match line.weight {
                Some(weight) => {
                    canvas.line(&[(from, y), (until, y)], INK, 1.5, &[])?;
                    // The area of the square is the weight.
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
                None => {
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
