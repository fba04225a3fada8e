//! A profile as one HTML page, without a script and without anything that is fetched from elsewhere.

use std::fmt::Write as _;

use super::{ColumnProfile, Profile};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}\
    table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{text-align:left;padding:.25rem .75rem .25rem 0;\
    border-bottom:1px solid #ddd;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
    .bar{background:#4a7ba6;height:.7rem;display:inline-block}.small{color:#9a4a00}.bad{color:#a00000}h2{margin-top:2rem}";

pub(super) fn page(profile: &Profile) -> String {
    let mut page = String::new();
    let title = format!("Profile of {}", escaped(&profile.collection));
    // Writing to a text does not fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\
         <h1>{title}</h1><p>For the node's operator. It holds counts and declared groups, and no value of the data.</p><table>"
    );
    row(&mut page, "Rows", &profile.rows.to_string());
    if let Some(units) = profile.units {
        row(&mut page, "People or keys", &units.to_string());
    }
    if profile.rows_too_many > 0 {
        row(
            &mut page,
            "Rows beyond those that one person or key may have",
            &profile.rows_too_many.to_string(),
        );
    }
    row(
        &mut page,
        "A number leaves if it is about at least",
        &format!("{} people", profile.min_people),
    );
    if let Some(shifted) = profile.shifted_in_words() {
        row(&mut page, "Moved", &escaped(&shifted));
    }
    if let Some(resources) = &profile.resources {
        row(&mut page, "Resources", &escaped(&resources.summary()));
        for named in &resources.named {
            let what = format!("<span class=\"bad\">{}</span>", escaped(named));
            row(&mut page, "Left out", &what);
        }
    }
    page.push_str("</table>");
    profile
        .columns
        .iter()
        .for_each(|column| section(&mut page, profile, column));
    page.push_str("</body></html>\n");
    page
}

fn section(page: &mut String, profile: &Profile, column: &ColumnProfile) {
    let _ = write!(page, "<h2>{}</h2><table>", escaped(&column.name));
    row(page, "Expected", &escaped(&column.expected));
    row(page, "Missing", &format!("{} of {}", column.missing, profile.rows));
    let distinct = column
        .distinct
        .map_or_else(|| "more than 10000".to_owned(), |distinct| distinct.to_string());
    row(page, "Distinct values", &distinct);
    if let Some([low, high]) = column.range {
        row(page, "Between", &format!("{low} and {high}"));
    }
    for (class, misfit) in &column.misfits {
        let what = format!(
            "<span class=\"bad\">{} × {}, first in {}</span>",
            misfit.count,
            escaped(class),
            escaped(&misfit.first)
        );
        row(page, "Does not fit", &what);
    }
    page.push_str("</table>");
    if column.groups.is_empty() {
        return;
    }
    let most = column
        .groups
        .iter()
        .map(|group| group.rows)
        .max()
        .unwrap_or_default()
        .max(1);
    page.push_str("<table><tr><th>Group</th><th class=\"n\">Rows</th><th></th><th></th></tr>");
    for group in &column.groups {
        let width = group.rows * 100 / most;
        let small = if group.is_small {
            "<span class=\"small\">too few people: no number about it leaves</span>"
        } else {
            ""
        };
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td style=\"width:20rem\"><span class=\"bar\" style=\"width:{width}%\"></span></td><td>{small}</td></tr>",
            escaped(&group.label),
            group.rows
        );
    }
    page.push_str("</table>");
}

fn row(page: &mut String, what: &str, value: &str) {
    let _ = write!(page, "<tr><th>{what}</th><td>{value}</td></tr>");
}

/// Names come from files.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
