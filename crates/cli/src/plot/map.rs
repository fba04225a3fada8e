//! A map whose places are as dark as their number is large; those of which none was released are hatched, not pale.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use terms::{Problem, Report};

use super::canvas::{Area, At, Canvas, Letters, Side, Way};
use super::figure::Note;
use super::marks::INK;
use super::page::{MARGIN, Page, WIDTH};

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) title: String,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) notes: Vec<Note>,
    pub(crate) sources: Vec<String>,
}

/// One place.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Outlines, in longitude and latitude.
    pub(crate) rings: Vec<Vec<(f64, f64)>>,
    /// None if it is not known.
    pub(crate) value: Option<f64>,
}

/// One hue from pale to dark, which the colour-blind and grey printers tell apart (ColorBrewer *Blues*).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0xef, 0xf3, 0xff),
    RGBColor(0xbd, 0xd7, 0xe7),
    RGBColor(0x6b, 0xae, 0xd6),
    RGBColor(0x31, 0x82, 0xbd),
    RGBColor(0x08, 0x51, 0x9c),
];
const UNKNOWN: RGBColor = RGBColor(0xee, 0xee, 0xee);

const HEIGHT_MOST: f64 = 760.0;
const LEGEND: f64 = 240.0;
const LETTERS: f64 = 12.5;

/// How degrees become places on the page: a degree of longitude is as long as it is in the middle of the map.
struct Projection {
    left: f64,
    top: f64,
    by: f64,
    narrow: f64,
    west: f64,
    north: f64,
    height: f64,
}

impl Projection {
    fn of(map: &Map, top: f64) -> Result<Self, Report> {
        let points = || map.shapes.iter().flat_map(|shape| &shape.rings).flatten();
        let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
        let (west, south) = (least(|point| point.0), least(|point| point.1));
        let (east, north) = (-least(|point| -point.0), -least(|point| -point.1));
        let narrow = f64::midpoint(south, north).to_radians().cos();
        let (wide, high) = ((east - west) * narrow, north - south);
        if !(wide > 0.0 && high > 0.0 && (-180.0..=180.0).contains(&west) && (-90.0..=90.0).contains(&south)) {
            let report = Problem::Chart.report("the map has no polygons in longitude and latitude");
            return Err(report.remedy("give a GeoJSON file in WGS 84, as RFC 7946 says"));
        }
        let by = ((WIDTH - 2.0 * MARGIN - LEGEND) / wide).min(HEIGHT_MOST / high);
        Ok(Self {
            left: MARGIN,
            top,
            by,
            narrow,
            west,
            north,
            height: high * by,
        })
    }

    fn at(&self, (longitude, latitude): (f64, f64)) -> At {
        let x = self.left + (longitude - self.west) * self.narrow * self.by;
        (x, self.top + (self.north - latitude) * self.by)
    }
}

impl Map {
    fn page(&self) -> Page {
        Page::of(&self.title, &self.notes, &self.sources)
    }

    /// Width and height.
    ///
    /// # Errors
    /// `Chart` if it has no places.
    pub(super) fn size(&self) -> Result<(u32, u32), Report> {
        let page = self.page();
        let height = Projection::of(self, page.top)?.height;
        Ok(page.size(height.max(170.0) + 12.0))
    }

    /// Draws it.
    ///
    /// # Errors
    /// `Chart` if it has no places; if the canvas does not take it.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<(), Report> {
        let page = self.page();
        page.draw(canvas, self.size()?)?;
        let projection = Projection::of(self, page.top)?;
        let classes = Classes::of(self);
        for shape in &self.shapes {
            let colour = shape.value.map_or(UNKNOWN, |value| COLOURS[classes.of_value(value)]);
            for ring in &shape.rings {
                let corners: Vec<At> = ring.iter().map(|point| projection.at(*point)).collect();
                canvas.polygon(&corners, colour)?;
                canvas.line(&corners, INK, 1.0, &[])?;
                if shape.value.is_none() {
                    cross(canvas, &corners)?;
                }
            }
        }
        self.legend(canvas, page.top, &classes)?;
        canvas.finish()
    }

    fn legend<B: DrawingBackend>(&self, canvas: &Canvas<B>, top: f64, classes: &Classes) -> Result<(), Report> {
        let left = WIDTH - MARGIN - LEGEND + 24.0;
        let area = |at: usize| Area {
            left,
            right: left + 30.0,
            top: top + at as f64 * 26.0,
            bottom: top + at as f64 * 26.0 + 18.0,
        };
        let letters = Letters {
            size: LETTERS,
            colour: INK,
            side: Side::Left,
            way: Way::Across,
        };
        for (at, words) in classes.words().iter().enumerate() {
            canvas.fill(area(at), COLOURS[at])?;
            canvas.outline(area(at), INK, &[])?;
            canvas.text(words, (left + 38.0, area(at).top + 9.0), letters)?;
        }
        if self.shapes.iter().any(|shape| shape.value.is_none()) {
            let area = area(COLOURS.len());
            canvas.fill(area, UNKNOWN)?;
            canvas.outline(area, INK, &[])?;
            canvas.line(&[(area.left, area.bottom), (area.right, area.top)], INK, 1.0, &[])?;
            canvas.text("not released, or not asked", (left + 38.0, area.top + 9.0), letters)?;
        }
        Ok(())
    }
}

/// Marks a place of which nothing is known.
fn cross<B: DrawingBackend>(canvas: &Canvas<B>, corners: &[At]) -> Result<(), Report> {
    let n = corners.len().max(1) as f64;
    let middle = (
        corners.iter().map(|at| at.0).sum::<f64>() / n,
        corners.iter().map(|at| at.1).sum::<f64>() / n,
    );
    canvas.line(
        &[(middle.0 - 4.0, middle.1 - 4.0), (middle.0 + 4.0, middle.1 + 4.0)],
        INK,
        1.2,
        &[],
    )?;
    canvas.line(
        &[(middle.0 - 4.0, middle.1 + 4.0), (middle.0 + 4.0, middle.1 - 4.0)],
        INK,
        1.2,
        &[],
    )
}

/// Five classes of the same width between the least and the largest number.
struct Classes {
    low: f64,
    step: f64,
}

impl Classes {
    fn of(map: &Map) -> Self {
        let values = || map.shapes.iter().filter_map(|shape| shape.value);
        let (low, high) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        match low <= high {
            true => Self {
                low,
                step: (high - low) / COLOURS.len() as f64,
            },
            false => Self { low: 0.0, step: 0.0 },
        }
    }

    fn of_value(&self, value: f64) -> usize {
        if self.step <= 0.0 {
            return 0;
        }
        (((value - self.low) / self.step) as usize).min(COLOURS.len() - 1)
    }

    fn words(&self) -> Vec<String> {
        let edge = |at: usize| crate::analyses::figures(self.low + at as f64 * self.step);
        (0..COLOURS.len())
            .map(|at| format!("{} – {}", edge(at), edge(at + 1)))
            .collect()
    }
}
