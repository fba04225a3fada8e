//! An answer as a table for people, or as JSON, CSV, Parquet or Arrow for machines.
//!
//! Coverage is never left out: people and JSON get it with the answer, the other formats on the error stream.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::ipc::writer::FileWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use federation::{Answer, Coverage, Interval, TookPart};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};
use terms::{Problem, Report};

use crate::args::Format;
use crate::sandbox::found::counted;
use crate::show;

/// Writes the answer in `format`, to `output` or the standard output.
///
/// # Errors
/// If the output cannot be written.
pub(crate) fn write(answer: &Answer, format: Format, output: Option<&Path>) -> Result<(), Report> {
    match (format, output) {
        (Format::Table, None) => {
            show::text(fitted(&table(answer)?))?;
            return show::text(summary(answer));
        }
        (Format::Json, None) => return show::json(&as_json(answer)?),
        (Format::Table, Some(path)) => to_file(path, |file| {
            Ok(writeln!(file, "{}\n{}", table(answer)?, summary(answer))?)
        })?,
        (Format::Json, Some(path)) => to_file(path, |file| Ok(serde_json::to_writer_pretty(file, &as_json(answer)?)?))?,
        (Format::Csv, None) => csv(answer, &mut io::stdout().lock()).map_err(|error| unwritten(&error))?,
        (Format::Csv, Some(path)) => to_file(path, |file| csv(answer, file))?,
        (Format::Parquet | Format::Arrow, None) => return Err(Problem::Usage.report("name a file with --output")),
        (Format::Parquet, Some(path)) => to_file(path, |file| parquet(answer, file))?,
        (Format::Arrow, Some(path)) => to_file(path, |file| ipc(answer, file))?,
    }
    // The standard output holds the data; who took part must be seen all the same.
    coverage(answer)
}

/// Tells on the error stream who took part.
///
/// # Errors
/// Never; a closed error stream has nobody to tell.
pub(crate) fn coverage(answer: &Answer) -> Result<(), Report> {
    let _ = writeln!(io::stderr().lock(), "{}", summary(answer));
    Ok(())
}

/// Tells something beside the answer. A closed error stream has nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

type Written<T> = Result<T, Box<dyn std::error::Error>>;

fn to_file(path: &Path, write: impl FnOnce(&mut File) -> Written<()>) -> Result<(), Report> {
    let file = File::create(path);
    let mut file = file.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", path.display())))?;
    write(&mut file).map_err(|error| unwritten(&error))
}

fn unwritten(error: &dyn std::fmt::Display) -> Report {
    Problem::Internal.report(format!("the answer cannot be written: {error}"))
}

fn csv(answer: &Answer, out: &mut impl Write) -> Written<()> {
    let mut writer = WriterBuilder::new().with_header(true).build(out);
    Ok(answer.batches.iter().try_for_each(|batch| writer.write(batch))?)
}

fn parquet(answer: &Answer, file: &mut File) -> Written<()> {
    let mut writer = ArrowWriter::try_new(file, answer.schema.clone(), None)?;
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.close()?;
    Ok(())
}

fn ipc(answer: &Answer, file: &mut File) -> Written<()> {
    let mut writer = FileWriter::try_new(file, &answer.schema)?;
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.finish()?)
}

/// The answer as a table; a value that suppression leaves open is followed by what it can be.
///
/// # Errors
/// If a value has no text.
pub(crate) fn table(answer: &Answer) -> Result<Table, Report> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(answer.schema.fields().iter().map(|field| field.name()));
    let mut row = 0;
    for batch in &answer.batches {
        for at in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .zip(answer.schema.fields())
                .map(|(column, field)| {
                    // A terminal must not obey what is written in a value.
                    let text = cell_text(column, at)?.replace(char::is_control, " ");
                    let open = answer
                        .intervals
                        .iter()
                        .find(|open| open.row == row && open.column == *field.name());
                    let text = open.map_or_else(|| text.clone(), |open| format!("{text} {}", range(open)));
                    let side = if field.data_type().is_numeric() {
                        CellAlignment::Right
                    } else {
                        CellAlignment::Left
                    };
                    Ok(Cell::new(text).set_alignment(side))
                });
            table.add_row(cells.collect::<Result<Vec<_>, Report>>()?);
            row += 1;
        }
    }
    Ok(table)
}

/// Least width of a column in which its values can still be read, in characters.
const COLUMN_LEAST: u16 = 8;

/// A table as text for the terminal: if its columns would become too narrow, one row after the other, each with a line for each
/// column.
fn fitted(table: &Table) -> String {
    let widths = table.column_max_content_widths();
    let least: u32 = widths
        .iter()
        .map(|width| u32::from((*width).min(COLUMN_LEAST)) + 3)
        .sum();
    let Some(width) = table.width().filter(|width| least >= u32::from(*width)) else {
        return table.to_string();
    };
    let names: Vec<String> = table
        .header()
        .into_iter()
        .flat_map(|header| header.cell_iter().map(Cell::content))
        .collect();
    let mut records = Table::new();
    records
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    for (number, row) in (1..).zip(table.row_iter()) {
        records.add_row(vec![format!("── row {number}"), String::new()]);
        for (name, cell) in names.iter().zip(row.cell_iter()) {
            records.add_row(vec![name.clone(), cell.content()]);
        }
    }
    records.to_string()
}

/// A value as text.
///
/// # Errors
/// If it has none.
pub(crate) fn cell_text(column: &ArrayRef, at: usize) -> Result<String, Report> {
    if column.is_null(at) {
        return Ok("–".to_owned());
    }
    if *column.data_type() == DataType::Float64 {
        return Ok(number(column.as_primitive::<Float64Type>().value(at)));
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).map_err(|error| unwritten(&error))?;
    Ok(formatter.value(at).to_string())
}

/// At most four decimals, none that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `[217 … 229]`; a side that is not known is a question mark.
fn range(open: &Interval) -> String {
    let side = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), number);
    format!("[{} … {}]", side(open.low), side(open.high))
}

/// Who took part, in a few lines: how many answered, and each node that did not or that withheld something.
pub(crate) fn summary(answer: &Answer) -> String {
    let mut notes = Vec::new();
    if answer.intervals.iter().any(|open| open.nodes.is_empty()) {
        notes.push("quantiles are interpolated: each lies in the range of declared values that is beside it");
    }
    if answer.intervals.iter().any(|open| !open.nodes.is_empty()) {
        notes.push(OPEN_VALUES);
    }
    if answer.rows_open {
        notes.push(
            "values that lack cells decided which rows are shown: rows can be missing, and rows can be shown that would not be",
        );
    }
    took_part(answer.took_part(), &notes)
}

/// What `[low … high]` means.
pub(crate) const OPEN_VALUES: &str = "values with [low … high] lack what was not released; over the nodes that answered the value lies in that range, and ? is not known";

/// The same of whatever was asked; `notes` are what there is to say of its values.
pub(crate) fn took_part(took_part: TookPart<'_>, notes: &[&str]) -> String {
    let TookPart(coverage) = took_part;
    let asked = counted(coverage.len(), "node", "nodes");
    let mut text = format!("{} of {asked} answered", took_part.answered());
    let suppressing: Vec<&Coverage> = coverage.iter().filter(|node| node.suppressed_cells > 0).collect();
    if !suppressing.is_empty() {
        let cells = usize::try_from(took_part.suppressed_cells()).unwrap_or(usize::MAX);
        let cells = counted(cells, "cell", "cells");
        let nodes: Vec<String> = suppressing
            .iter()
            .map(|c| format!("{} ({})", c.node, c.suppressed_cells))
            .collect();
        text.push_str(&format!(
            "; {cells} not released (too few people, nobody, or needed to protect another cell) at: {}",
            nodes.join(", ")
        ));
    }
    let withholding = coverage.iter().filter(|node| !node.withheld.is_empty());
    let withholding: Vec<String> = withholding.map(withheld_values).collect();
    if !withholding.is_empty() {
        text.push_str(&format!("\nvalues not released at {}", withholding.join(", ")));
    }
    for note in notes {
        text.push_str(&format!("\n{note}"));
    }
    for (why, nodes) in took_part.absent() {
        text.push_str(&format!("\n{} {why}", nodes.join(", ")));
    }
    if let Some(made_up) = made_up(took_part) {
        text.push_str(&format!("\n{made_up}"));
    }
    let policies = policies(took_part);
    if !policies.is_empty() {
        text.push_str(&format!("\nunder {}", policies.join("\nunder ")));
    }
    let kept: u64 = coverage
        .iter()
        .filter_map(|node| node.policy.as_ref())
        .map(|policy| policy.kept_values)
        .sum();
    if kept > 0 {
        let are = if kept == 1 {
            "value of a node is one"
        } else {
            "values of nodes are those"
        };
        text.push_str(&format!(
            "\n{kept} {are} released before, for the same people or nearly the same"
        ));
    }
    for duty in took_part.duties() {
        text.push_str(&format!("\nyour duty: {duty}"));
    }
    text
}

/// That an answer is of nobody.
pub(crate) fn made_up(took_part: TookPart<'_>) -> Option<String> {
    let nodes = took_part.synthetic();
    let nodes = (!nodes.is_empty()).then(|| nodes.join(", "))?;
    Some(format!(
        "SYNTHETIC: all of it is of made-up people and says nothing of real ones; at {nodes}"
    ))
}

/// Under which policies nodes answered, and what these do to results.
pub(crate) fn policies(took_part: TookPart<'_>) -> Vec<String> {
    let mut policies: Vec<String> = took_part
        .0
        .iter()
        .filter_map(|node| node.policy.as_ref())
        .map(|policy| {
            let least = policy.min_people.map_or_else(String::new, |k| {
                format!("; groups of fewer than {k} people at a node are left out")
            });
            let rounded = policy.round_to.map_or_else(String::new, |step| {
                format!("; counts are rounded to multiples of {step}, other numbers to three digits")
            });
            let joined = policy.joined.iter().map(|joined| format!(", joined to {joined}"));
            let joined: String = joined.collect();
            format!(
                "{} version {}, permission {}{joined}{least}{rounded}",
                policy.id, policy.version, policy.rule
            )
        })
        .collect();
    policies.sort();
    policies.dedup();
    policies
}

/// `gbsg: 2 (one or a few people dominate)`; of several reasons each with its number.
fn withheld_values(node: &Coverage) -> String {
    let values: u64 = node.withheld.values().sum();
    let reasons = node.withheld.iter().map(|(reason, times)| match node.withheld.len() {
        1 => reason.words().to_owned(),
        _ => format!("{times}: {}", reason.words()),
    });
    format!("{}: {values} ({})", node.node, reasons.collect::<Vec<_>>().join("; "))
}

/// Tells on the error stream where the receipts are, and why if they are not all there.
pub(crate) fn receipts(answer: &Answer) {
    let Some(receipts) = &answer.receipts else { return };
    // A closed error stream has nobody to tell.
    let _ = match &receipts.problem {
        None => writeln!(io::stderr().lock(), "receipts are in {}", receipts.folder.display()),
        Some(report) => writeln!(io::stderr().lock(), "warning: {report}; {}", report.remedy),
    };
}

/// The answer as `{query_id, columns, rows, intervals, coverage, receipts}`.
///
/// # Errors
/// If a value has no JSON form.
pub(crate) fn as_json(answer: &Answer) -> Result<Value, Report> {
    let columns: Vec<Value> = answer
        .schema
        .fields()
        .iter()
        .map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() }))
        .collect();
    let mut rows = Vec::new();
    for batch in &answer.batches {
        for at in 0..batch.num_rows() {
            let row = batch.columns().iter().map(|column| json_value(column, at));
            rows.push(Value::Array(row.collect::<Result<_, _>>()?));
        }
    }
    let mut whole = Map::new();
    whole.insert("query_id".to_owned(), json!(answer.query_id));
    whole.insert("columns".to_owned(), Value::Array(columns));
    whole.insert("rows".to_owned(), Value::Array(rows));
    whole.insert("intervals".to_owned(), json!(answer.intervals));
    whole.insert("rows_open".to_owned(), json!(answer.rows_open));
    whole.insert("coverage".to_owned(), json!(answer.coverage));
    let folder = answer.receipts.as_ref().map(|receipts| &receipts.folder);
    whole.insert("receipts".to_owned(), json!(folder));
    Ok(Value::Object(whole))
}

fn json_value(column: &ArrayRef, at: usize) -> Result<Value, Report> {
    if column.is_null(at) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(at)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(at)),
        DataType::Boolean => json!(column.as_boolean().value(at)),
        _ => {
            let text = cell_text(column, at)?;
            let parsed = column
                .data_type()
                .is_numeric()
                .then(|| text.parse::<serde_json::Number>().ok())
                .flatten();
            parsed.map_or(Value::String(text), Value::Number)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: usize, width: u16) -> String {
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        table.set_header((0..columns).map(|at| format!("column_{at}")));
        for value in ["12345.6789", "東京都千代田区の病院"] {
            table.add_row((0..columns).map(|_| value));
        }
        fitted(&table)
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_value_is_cut_into_letters() {
        for columns in [1, 2, 6, 7, 8, 20, 60] {
            let text = of(columns, 80);
            let widest = text.lines().map(comfy_width).max();
            assert!(widest <= Some(80), "{columns} columns: {widest:?}\n{text}");
            let values = text.matches("12345.67").count();
            assert_eq!(values, columns, "{columns} columns:\n{text}");
        }
        assert!(of(20, 80).contains("── row 2") && !of(3, 80).contains("── row"));
    }

    /// Letters of East Asia take two places.
    fn comfy_width(line: &str) -> usize {
        line.chars()
            .map(|letter| {
                if ('\u{3000}'..'\u{a000}').contains(&letter) {
                    2
                } else {
                    1
                }
            })
            .sum()
    }
}
