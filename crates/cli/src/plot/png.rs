//! A chart as PNG: drawn larger by the same lines as the SVG, then made smaller, which makes edges smooth.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};
use plotters::prelude::{BitMapBackend, IntoDrawingArea as _};
use terms::{Problem, Report};

use super::canvas::Canvas;
use super::draw::Drawing;
use super::figure::Figure;
use super::text;

/// Pixels of the file for each unit of the drawing: sharp on screens of today.
const PIXELS: u32 = 2;

/// Drawn pixels for each pixel of the file, in both directions.
const SAMPLES: u32 = 2;

/// The bytes of the file.
///
/// # Errors
/// If the chart has letters that the font lacks: they would be boxes.
pub(super) fn png(figure: &Figure) -> Result<Vec<u8>, Report> {
    if let Some(letter) = figure.texts().find_map(text::missing) {
        let report = Problem::Chart.report(format!("the font for PNG has no letter {letter:?}"));
        return Err(report.remedy("write an SVG, which takes the fonts of whoever looks at it: --plot FILE.svg"));
    }
    let drawing = Drawing::of(figure);
    let (width, height) = drawing.size();
    let (width, height) = (width * PIXELS, height * PIXELS);
    let mut drawn = vec![0; (width * SAMPLES * height * SAMPLES * 3) as usize];
    {
        let backend = BitMapBackend::with_buffer(&mut drawn, (width * SAMPLES, height * SAMPLES));
        drawing.draw(&Canvas::of_pixels(backend.into_drawing_area(), PIXELS * SAMPLES))?;
    }
    let encoded = encode(&smaller(&drawn, width as usize), width, height);
    encoded.map_err(|error| Problem::Internal.report(format!("the chart cannot be compressed: {error}")))
}

/// Each pixel is the average of those that were drawn for it.
fn smaller(drawn: &[u8], width: usize) -> Vec<u8> {
    let samples = SAMPLES as usize;
    let mut pixels = Vec::with_capacity(drawn.len() / (samples * samples));
    for rows in drawn.chunks(width * samples * 3 * samples) {
        let mut sums = vec![0_u16; width * 3];
        for row in rows.chunks(width * samples * 3) {
            for (at, value) in row.iter().enumerate() {
                sums[at / (3 * samples) * 3 + at % 3] += u16::from(*value);
            }
        }
        pixels.extend(sums.iter().map(|sum| (sum / (SAMPLES * SAMPLES) as u16) as u8));
    }
    pixels
}

/// A file of the PNG specification, third edition, with three bytes a pixel. The crate `png` would do it, and would switch on features of
/// `flate2` for the whole workspace.
fn encode(pixels: &[u8], width: u32, height: u32) -> std::io::Result<Vec<u8>> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks(width as usize * 3) {
        packed.write_all(&[0])?; // filter type: none
        packed.write_all(row)?;
    }
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits, red, green and blue; the only methods of compression and filtering; not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", header), (b"IDAT", packed.finish()?), (b"IEND", Vec::new())] {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(&content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(name);
        file.extend(&content);
        file.extend(sum.sum().to_be_bytes());
    }
    Ok(file)
}
