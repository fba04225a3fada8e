//! How results reach the standard output: lines, tables, JSON. A reader that went away (`| head`) is not an error.

use std::io::{self, IsTerminal as _, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use terms::{Problem, Report};

/// Prints lines as they are.
///
/// # Errors
/// If the output cannot be written to.
pub(crate) fn text(text: impl std::fmt::Display) -> Result<(), Report> {
    done(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints one value as JSON.
///
/// # Errors
/// If the output cannot be written to.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Report> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Problem::Internal.report(error.to_string()))?;
    done(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints one value as JSON on one line.
///
/// # Errors
/// If the output cannot be written to.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Report> {
    let text = serde_json::to_string(value).map_err(|error| Problem::Internal.report(error.to_string()))?;
    done(writeln!(io::stdout().lock(), "{text}"))
}

/// Width of a table that does not go to a terminal, in characters: what fits a page or a mail.
const PLAIN_COLUMNS: u16 = 120;

/// A table with a header, as all commands print it.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        table.set_width(PLAIN_COLUMNS);
    }
    table.set_header(header);
    table
}

fn done(written: io::Result<()>) -> Result<(), Report> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::Internal.report(format!("the output cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
