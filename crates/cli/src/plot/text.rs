//! Texts of charts: one font that comes with the program, so that a chart is the same on every machine.

use std::sync::OnceLock;

use ab_glyph::{Font as _, FontRef};
use plotters::style::{FontStyle, register_font};
use terms::{Problem, Report};

/// What an SVG asks for: the font that texts were measured with, another as wide, any.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

const FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");

/// By how much texts may come out wider than they were measured, in another font or as pixels.
const SLACK: f64 = 1.07;

/// Makes the font known to the drawing library.
///
/// # Errors
/// If the font in the program is no font.
pub(super) fn ready() -> Result<(), Report> {
    let known = register_font(FAMILY, FontStyle::Normal, FONT);
    known.map_err(|_| Problem::Internal.report("the font of charts cannot be read"))
}

fn font() -> Option<&'static FontRef<'static>> {
    static READ: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    READ.get_or_init(|| FontRef::try_from_slice(FONT).ok()).as_ref()
}

/// Width of a text of letters of `size` pixels, in pixels. What the font lacks counts as a square.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let Some(font) = font() else { return 0.0 };
    let units = f64::from(font.units_per_em().unwrap_or(1.0));
    let advance = |letter: char| match font.glyph_id(letter) {
        glyph if glyph.0 == 0 => 1.0,
        glyph => f64::from(font.h_advance_unscaled(glyph)) / units,
    };
    clean(text).chars().map(advance).sum::<f64>() * size * SLACK
}

/// The first letter that the font does not have.
pub(super) fn missing(text: &str) -> Option<char> {
    let font = font()?;
    clean(text).chars().find(|letter| font.glyph_id(*letter).0 == 0)
}

/// A text without what is no letter to see: control characters, which XML cannot hold, and those that turn the direction of
/// what follows.
pub(super) fn clean(text: &str) -> String {
    let is_seen = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            && !matches!(letter, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars()
        .map(|letter| if is_seen(&letter) { letter } else { ' ' })
        .collect()
}

/// The text, shortened with `…` if it is wider than `most`.
pub(super) fn clipped(text: &str, size: f64, most: f64) -> String {
    let mut text = clean(text);
    if width(&text, size) <= most {
        return text;
    }
    while !text.is_empty() && width(&text, size) + width("…", size) > most {
        text.pop();
    }
    text.push('…');
    text
}

/// The text in lines of at most `most`, broken between words.
pub(super) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(clipped(word, size, most)),
        }
    }
    lines
}
