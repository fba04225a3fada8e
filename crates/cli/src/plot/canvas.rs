//! Lines, areas and texts in units of the drawing, on whatever it is drawn on.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::prelude::{Circle, DrawingArea, DrawingBackend, PathElement, Polygon, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontTransform, IntoTextStyle as _, RGBColor, ShapeStyle};
use terms::{Problem, Report};

use super::text::{self, FAMILY};

/// What plotters divides a font's size by before it writes an SVG.
const FONT_FACTOR: f64 = 1.24;

/// By how much of their size letters made of pixels come out above their middle.
const PIXEL_DROP: f64 = 0.13;

/// A place in units of the drawing, from the upper left.
pub(super) type At = (f64, f64);

/// A rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

/// Where a text is, seen from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// Which way a text runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Across,
    Up,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters {
    pub(super) size: f64,
    pub(super) colour: RGBColor,
    pub(super) side: Side,
    pub(super) way: Way,
}

/// Pieces of a line that are drawn, and gaps between them; no gaps for a whole line.
pub(super) type Dashes = &'static [f64];

/// What is drawn on.
pub(super) struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    drop: f64,
}

impl<B: DrawingBackend> std::fmt::Debug for Canvas<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canvas")
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

impl<B: DrawingBackend> Canvas<B> {
    /// A canvas of lines and texts, with one unit for each pixel.
    pub(super) fn of_texts(area: DrawingArea<B, Shift>) -> Self {
        Self {
            area,
            scale: 1.0,
            drop: 0.0,
        }
    }

    /// A canvas of pixels, with `scale` of them for each unit.
    pub(super) fn of_pixels(area: DrawingArea<B, Shift>, scale: u32) -> Self {
        Self {
            area,
            scale: f64::from(scale),
            drop: PIXEL_DROP,
        }
    }

    pub(super) fn fill(&self, area: Area, colour: RGBColor) -> Result<(), Report> {
        let Area {
            left,
            top,
            right,
            bottom,
        } = area;
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        self.polygon(&corners, colour)
    }

    pub(super) fn polygon(&self, corners: &[At], colour: RGBColor) -> Result<(), Report> {
        let corners: Vec<_> = corners.iter().map(|at| self.pixel(*at)).collect();
        drawn(self.area.draw(&Polygon::new(corners, colour.filled())))
    }

    pub(super) fn line(&self, points: &[At], colour: RGBColor, thick: f64, dashes: Dashes) -> Result<(), Report> {
        if dashes.is_empty() {
            let points: Vec<_> = points.iter().map(|at| self.pixel(*at)).collect();
            return drawn(self.area.draw(&PathElement::new(points, self.pen(colour, thick))));
        }
        dashed(points, dashes)
            .iter()
            .try_for_each(|piece| self.line(piece, colour, thick, &[]))
    }

    pub(super) fn outline(&self, area: Area, colour: RGBColor, dashes: Dashes) -> Result<(), Report> {
        let Area {
            left,
            top,
            right,
            bottom,
        } = area;
        let round = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.line(&round, colour, 1.0, dashes)
    }

    /// Fills an area with slanted lines.
    pub(super) fn hatch(&self, area: Area, colour: RGBColor) -> Result<(), Report> {
        const APART: f64 = 7.0;
        let Area {
            left,
            top,
            right,
            bottom,
        } = area;
        // Lines x + y = sum, from the upper left corner to the lower right.
        let mut sum = ((left + top) / APART).ceil() * APART;
        while sum < right + bottom {
            let from = (left.max(sum - bottom), (sum - left).min(bottom));
            let until = (right.min(sum - top), (sum - right).max(top));
            self.line(&[from, until], colour, 1.0, &[])?;
            sum += APART;
        }
        Ok(())
    }

    pub(super) fn circle(&self, at: At, radius: f64, colour: RGBColor) -> Result<(), Report> {
        let radius = (radius * self.scale).round() as u32;
        drawn(self.area.draw(&Circle::new(self.pixel(at), radius, colour.filled())))
    }

    pub(super) fn text(&self, words: &str, at: At, letters: Letters) -> Result<(), Report> {
        let side = match letters.side {
            Side::Left => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Right,
        };
        let way = match letters.way {
            Way::Across => FontTransform::None,
            Way::Up => FontTransform::Rotate270,
        };
        let style = (FAMILY, letters.size * FONT_FACTOR * self.scale)
            .into_text_style(&self.area)
            .transform(way)
            .color(&letters.colour)
            .pos(Pos::new(side, VPos::Center));
        let drop = self.drop * letters.size;
        let at = match letters.way {
            Way::Across => (at.0, at.1 + drop),
            Way::Up => (at.0 + drop, at.1),
        };
        drawn(self.area.draw(&Text::new(text::clean(words), self.pixel(at), style)))
    }

    /// Ends the drawing.
    pub(super) fn finish(&self) -> Result<(), Report> {
        drawn(self.area.present())
    }

    fn pen(&self, colour: RGBColor, thick: f64) -> ShapeStyle {
        colour.stroke_width((thick * self.scale).round().max(1.0) as u32)
    }

    fn pixel(&self, (x, y): At) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }
}

/// The drawn pieces of a line of straight parts.
fn dashed(points: &[At], dashes: Dashes) -> Vec<Vec<At>> {
    let (mut pieces, mut at, mut left) = (vec![Vec::new()], 0, dashes[0]);
    for part in points.windows(2) {
        let ((mut x, mut y), (to_x, to_y)) = (part[0], part[1]);
        loop {
            let length = (to_x - x).hypot(to_y - y);
            let step = length.min(left);
            let is_drawn = at % 2 == 0;
            let piece = pieces.last_mut().filter(|_| is_drawn);
            let share = if length > 0.0 { step / length } else { 1.0 };
            let next = (x + (to_x - x) * share, y + (to_y - y) * share);
            if let Some(piece) = piece {
                if piece.is_empty() {
                    piece.push((x, y));
                }
                piece.push(next);
            }
            (x, y) = next;
            left -= step;
            if left > 0.0 {
                break;
            }
            if is_drawn {
                pieces.push(Vec::new());
            }
            at += 1;
            left = dashes[at % dashes.len()];
            if step >= length {
                break;
            }
        }
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

fn drawn<T>(done: Result<T, impl Display>) -> Result<T, Report> {
    done.map_err(|error| Problem::Internal.report(format!("the chart cannot be drawn: {error}")))
}
