//! Plain text for a page of fixed width: paragraphs and tables whose cells wrap. It knows nothing about policies.

/// Widest line, in characters: what fits a printed page and a terminal window.
pub(super) const WIDTH: usize = 110;

/// Breaks text into lines of at most `width` characters, at spaces where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().map_or(0, |line| line.chars().count());
            let gap = usize::from(line > 0);
            if line + gap + word.len() <= width {
                push(&mut lines, gap, word);
                break;
            }
            if line > 0 {
                lines.push(String::new());
                continue;
            }
            let rest = word.split_off(width);
            push(&mut lines, 0, word);
            lines.push(String::new());
            word = rest;
        }
    }
    lines
}

fn push(lines: &mut [String], gap: usize, word: Vec<char>) {
    if let Some(line) = lines.last_mut() {
        line.extend(std::iter::repeat_n(' ', gap));
        line.extend(word);
    }
}

/// A paragraph: `first` before its first line, and as many spaces before the others.
pub(super) fn paragraph(out: &mut String, first: &str, text: &str) {
    let indent = first.chars().count();
    let mut before = first.to_owned();
    for line in wrap(text, WIDTH.saturating_sub(indent)) {
        out.push_str(format!("{before}{line}").trim_end());
        out.push('\n');
        before = " ".repeat(indent);
    }
}

/// Where a table has lines between its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruled {
    /// Below the header.
    Header,
    /// Below the header and between all rows.
    Rows,
}

/// A table whose first row is its header. Each cell is a list of paragraphs; columns are as wide as given, with ` | `
/// between them.
pub(super) fn table(out: &mut String, indent: usize, ruled: Ruled, widths: &[usize], rows: &[Vec<Vec<String>>]) {
    let before = " ".repeat(indent);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    for (number, row) in rows.iter().enumerate() {
        if number == 1 || number > 1 && ruled == Ruled::Rows {
            out.push_str(&format!("{before}{}\n", rule.join("-+-")));
        }
        let wrapped = |(cell, width): (&Vec<String>, &usize)| {
            let lines = cell.iter().flat_map(|text| wrap(text, *width));
            lines.collect::<Vec<String>>()
        };
        let cells: Vec<Vec<String>> = row.iter().zip(widths).map(wrapped).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let parts = cells.iter().zip(widths).map(|(cell, width)| {
                let text = cell.get(line).map_or("", String::as_str);
                format!("{text:width$}")
            });
            let parts: Vec<String> = parts.collect();
            out.push_str(format!("{before}{}", parts.join(" | ")).trim_end());
            out.push('\n');
        }
    }
}
