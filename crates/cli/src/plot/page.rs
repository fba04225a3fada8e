//! What every drawing has around it: a title, who took part, and where it comes from.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use terms::Report;

use super::canvas::{Area, Canvas, Letters, Side, Way};
use super::draw::{QUIET, WARNING};
use super::figure::Note;
use super::marks::{INK, PAPER};
use super::text;

pub(super) const WIDTH: f64 = 960.0;
pub(super) const MARGIN: f64 = 16.0;

const TITLE_SIZE: f64 = 18.0;
const NOTE_SIZE: f64 = 12.5;
const SOURCE_SIZE: f64 = 10.5;

/// The lines above and below a drawing.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    notes: Vec<(String, RGBColor)>,
    sources: Vec<String>,
    /// Where the drawing begins.
    pub(super) top: f64,
}

impl Page {
    pub(super) fn of(title: &str, notes: &[Note], sources: &[String]) -> Self {
        let inside = WIDTH - 2.0 * MARGIN;
        let lines = notes.iter().flat_map(|note| {
            let (words, colour) = match note {
                Note::Plain(words) => (words.clone(), INK),
                Note::Warning(words) => (format!("! {words}"), WARNING),
            };
            let lines = text::wrapped(&words, NOTE_SIZE, inside);
            lines.into_iter().map(move |line| (line, colour))
        });
        let notes: Vec<_> = lines.collect();
        Self {
            title: text::clipped(title, TITLE_SIZE, inside),
            top: MARGIN + TITLE_SIZE + 8.0 + notes.len() as f64 * (NOTE_SIZE + 5.0) + 12.0,
            notes,
            sources: sources
                .iter()
                .flat_map(|line| text::wrapped(line, SOURCE_SIZE, inside))
                .collect(),
        }
    }

    /// Width and height with a drawing of this height.
    pub(super) fn size(&self, drawing: f64) -> (u32, u32) {
        let height = self.top + drawing + self.sources.len() as f64 * (SOURCE_SIZE + 4.0) + MARGIN;
        (WIDTH as u32, height.ceil() as u32)
    }

    pub(super) fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        (width, height): (u32, u32),
    ) -> Result<(), Report> {
        text::ready()?;
        let all = Area {
            left: 0.0,
            top: 0.0,
            right: f64::from(width),
            bottom: f64::from(height),
        };
        canvas.fill(all, PAPER)?;
        canvas.text(
            &self.title,
            (MARGIN, MARGIN + TITLE_SIZE / 2.0),
            letters(TITLE_SIZE, INK),
        )?;
        let mut y = MARGIN + TITLE_SIZE + 8.0 + NOTE_SIZE / 2.0;
        for (line, colour) in &self.notes {
            canvas.text(line, (MARGIN, y), letters(NOTE_SIZE, *colour))?;
            y += NOTE_SIZE + 5.0;
        }
        y = f64::from(height) - MARGIN - self.sources.len() as f64 * (SOURCE_SIZE + 4.0) + SOURCE_SIZE / 2.0;
        for line in &self.sources {
            canvas.text(line, (MARGIN, y), letters(SOURCE_SIZE, QUIET))?;
            y += SOURCE_SIZE + 4.0;
        }
        Ok(())
    }
}

fn letters(size: f64, colour: RGBColor) -> Letters {
    Letters {
        size,
        colour,
        side: Side::Left,
        way: Way::Across,
    }
}
