//! An answer as a chart, SVG or PNG.
//!
//! What suppression left open is drawn as open, and what was not released is never drawn as nothing. A chart that cannot be
//! made well is refused with what to change.
//!
//! Reading order: [`choose`] (what of an answer lies where), [`figure`] (what a chart shows; other commands can make one), `draw` and
//! `marks` (how it looks), `png`.

mod canvas;
mod choose;
mod draw;
pub(crate) mod figure;
pub(crate) mod forest;
pub(crate) mod map;
mod marks;
mod page;
mod png;
mod scale;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use federation::{Answer, Expected, TookPart};
use plotters::prelude::{IntoDrawingArea as _, SVGBackend};
use terms::{Problem, Report};

use crate::args::PlotKind;
use crate::board::folder;
use crate::render;
use canvas::Canvas;
use draw::Drawing;
use figure::Figure;
use forest::Forest;
use map::Map;

pub(crate) use choose::table::unit_words;

/// A chart that was asked for: its file has a known form, and the question's columns make one.
#[derive(Debug)]
pub(crate) struct Plot {
    file: PathBuf,
    format: Format,
    kind: Option<PlotKind>,
    columns: Vec<Expected>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Svg,
    Png,
}

impl Plot {
    /// Checks what can be checked before anything is asked.
    ///
    /// # Errors
    /// `Chart` if the file has no known ending, or the columns cannot be drawn.
    pub(crate) fn new(file: &Path, kind: Option<PlotKind>, columns: Vec<Expected>) -> Result<Self, Report> {
        let format = format(file)?;
        choose::check(&columns, kind)?;
        Ok(Self {
            file: file.to_owned(),
            format,
            kind,
            columns,
        })
    }

    /// Where it is drawn.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Draws the answer into the file, which is replaced whole if it is there.
    ///
    /// # Errors
    /// `Chart` if the answer does not make a chart; if the file cannot be written.
    pub(crate) fn write(&self, answer: &Answer) -> Result<(), Report> {
        let figure = choose::figure(answer, &self.columns, self.kind)?;
        let bytes = match self.format {
            Format::Svg => svg(&figure)?.into_bytes(),
            Format::Png => png::png(&figure)?,
        };
        folder::write(&self.file, &bytes)
    }
}

/// A drawing of what an analysis found, with its file.
#[derive(Debug)]
pub(crate) struct Picture {
    file: PathBuf,
    shows: Shows,
}

/// What a drawing shows.
#[derive(Debug)]
enum Shows {
    Chart(Figure),
    Forest(Forest),
    Map(Map),
}

impl Picture {
    /// A chart; who took part is written on it when it is drawn.
    pub(crate) fn chart(file: &Path, figure: Figure) -> Self {
        Self {
            file: file.to_owned(),
            shows: Shows::Chart(figure),
        }
    }

    /// A forest plot.
    pub(crate) fn forest(file: &Path, forest: Forest) -> Self {
        Self {
            file: file.to_owned(),
            shows: Shows::Forest(forest),
        }
    }

    /// A map.
    pub(crate) fn map(file: &Path, map: Map) -> Self {
        Self {
            file: file.to_owned(),
            shows: Shows::Map(map),
        }
    }

    /// Where it is drawn.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Draws it into the file, which is replaced whole if it is there.
    ///
    /// # Errors
    /// `Chart` if the file has no known ending; if it cannot be written.
    pub(crate) fn write(mut self, took_part: TookPart<'_>) -> Result<(), Report> {
        let (notes, sources) = match &mut self.shows {
            Shows::Chart(Figure { notes, sources, .. })
            | Shows::Forest(Forest { notes, sources, .. })
            | Shows::Map(Map { notes, sources, .. }) => (notes, sources),
        };
        // What was read from files has no nodes.
        if !took_part.0.is_empty() {
            notes.extend(choose::took_part(took_part));
            sources.extend(render::policies(took_part));
        }
        let bytes = match (format(&self.file)?, &self.shows) {
            (Format::Svg, Shows::Chart(figure)) => svg(figure)?.into_bytes(),
            (Format::Png, Shows::Chart(figure)) => png::png(figure)?,
            (Format::Svg, Shows::Forest(forest)) => text_of(forest.size(), |canvas| forest.draw(canvas))?.into_bytes(),
            (Format::Svg, Shows::Map(map)) => text_of(map.size()?, |canvas| map.draw(canvas))?.into_bytes(),
            (Format::Png, Shows::Forest(_) | Shows::Map(_)) => return Err(only_svg(&self.file)),
        };
        folder::write(&self.file, &bytes)
    }
}

/// Whether the name of a file says how to draw into it.
///
/// # Errors
/// `Chart` if it does not.
pub(crate) fn check(file: &Path) -> Result<(), Report> {
    format(file).map(drop)
}

/// The same of a drawing that is made as SVG only.
///
/// # Errors
/// `Chart` if the name of the file does not end so.
pub(crate) fn check_svg(file: &Path) -> Result<(), Report> {
    match format(file)? {
        Format::Svg => Ok(()),
        Format::Png => Err(only_svg(file)),
    }
}

fn only_svg(file: &Path) -> Report {
    let report = Problem::Chart.report(format!(
        "{} is no SVG, and this drawing is made as SVG only",
        file.display()
    ));
    report.remedy("end the name of the file in .svg")
}

fn format(file: &Path) -> Result<Format, Report> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_lowercase).as_deref() {
        Some("svg") => Ok(Format::Svg),
        Some("png") => Ok(Format::Png),
        _ => Err(Problem::Chart
            .report(format!("{} is neither an SVG nor a PNG", file.display()))
            .remedy("end the name of the file in .svg or .png")),
    }
}

/// The chart as the text of an SVG file.
fn svg(figure: &Figure) -> Result<String, Report> {
    let drawing = Drawing::of(figure);
    text_of(drawing.size(), |canvas| drawing.draw(canvas))
}

fn text_of(
    size: (u32, u32),
    draw: impl FnOnce(&Canvas<SVGBackend<'_>>) -> Result<(), Report>,
) -> Result<String, Report> {
    let mut text = String::new();
    draw(&Canvas::of_texts(
        SVGBackend::with_string(&mut text, size).into_drawing_area(),
    ))?;
    Ok(text)
}
