//! What an analysis found as text: what R and statsmodels print. What there is to print, `federation::analyses::results` says.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use federation::analyses::Number;
use federation::analyses::results::figures;
use federation::analyses::{Row, Sheet, Value};

fn value(value: &Value) -> String {
    match value {
        // A terminal must not obey what is written in a value.
        Value::Text(text) => text.replace(char::is_control, " "),
        Value::Pooled(number) => pooled(*number),
        Value::Number(number) => figures(*number),
        Value::P(p) => p_value(*p),
        Value::Nothing => "–".to_owned(),
    }
}

/// The names that a row has, as `n = 3, dropped = 0`.
pub(super) fn line(row: &Row) -> Option<String> {
    let facts = row.0.iter().map(|(name, fact)| format!("{name} = {}", value(fact)));
    let facts: Vec<String> = facts.collect();
    (!facts.is_empty()).then(|| facts.join(", "))
}

/// A sheet as a table, below its title.
pub(super) fn table(sheet: &Sheet) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    let names = sheet.rows.first().map_or(&[][..], |row| &row.0);
    table.set_header(names.iter().map(|(name, _)| name.replace(char::is_control, " ")));
    for Row(values) in &sheet.rows {
        table.add_row(values.iter().map(|(_, shown)| {
            let side = match shown {
                Value::Text(_) => CellAlignment::Left,
                _ => CellAlignment::Right,
            };
            Cell::new(value(shown)).set_alignment(side)
        }));
    }
    match &sheet.title {
        Some(title) => format!("{title}\n{table}"),
        None => table.to_string(),
    }
}

fn pooled(number: Number) -> String {
    let value = number.value.map_or_else(|| "–".to_owned(), figures);
    let side = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), figures);
    match (number.open, number.bin) {
        (Some((low, high)), _) => format!("{value} [{} … {}]", side(low), side(high)),
        (None, Some([low, high])) => format!("{value} in [{}, {})", figures(low), figures(high)),
        (None, None) => value,
    }
}

/// A p-value as R prints it: three digits, and nothing below what doubles tell from 0.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if p.is_nan() => "–".to_owned(),
        p if p < 2.2e-16 => "<2e-16".to_owned(),
        p if p < 1e-4 => format!("{p:.2e}"),
        p => format!("{p:.4}"),
    }
}
