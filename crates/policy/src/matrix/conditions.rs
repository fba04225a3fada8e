//! How a permission, its columns and a prohibition read: the words of the matrix, of which none decides anything.

use super::layout::{Ruled, WIDTH, table};
use crate::collection::{Calendar, Collection, Column, ColumnKind, Domain, NODE_COLUMN, list};
use crate::disclosure::{Dominance, Zeros};
use crate::grant::{Release, Tier};
use crate::lang::Lang;
use crate::models::{ModelRules, Overlaps, Sum};
use crate::rule::{Assignee, Permission, Policy, Prohibition};
use crate::transform::Transform;

/// The conditions of a permission, each with its name.
pub(super) fn of(policy: &Policy, permission: &Permission, lang: Lang) -> Vec<(&'static str, String)> {
    let purposes = permission
        .purposes
        .iter()
        .map(|purpose| lang.purpose_with_code(*purpose));
    let mut all = vec![
        (lang.pick("wer", "who"), assignee(&permission.assignee, lang)),
        (lang.pick("Zweck", "purpose"), list(purposes)),
        (
            lang.pick("Datengenehmigung", "data permit"),
            match permission.permit_required {
                true => lang.pick(
                    "nötig, und sie muss die Anfrage decken",
                    "needed, and it must cover the request",
                ),
                false => lang.pick("nicht nötig", "not needed"),
            }
            .to_owned(),
        ),
        (
            lang.pick("Zeilen", "rows"),
            match &permission.rows {
                Some(rows) => format!("{}: {}", rows.name, lang.row_filter(&rows.filter)),
                None => lang.pick("alle", "all").to_owned(),
            },
        ),
    ];
    if !permission.transforms.is_empty() {
        let names = permission.transforms.keys();
        let shown = list_of(names.map(|name| shown_of(permission, name, lang)));
        all.push((lang.pick("Werte", "values"), shown));
    }
    all.extend([
        (
            lang.pick("Zeiten", "times"),
            match permission.windows.is_empty() {
                true => lang.pick("jederzeit", "at any time").to_owned(),
                false => list_of(permission.windows.iter().map(|window| lang.window(window))),
            },
        ),
        (lang.pick("Schutz", "protection"), protection(permission, lang)),
    ]);
    all.extend(models(permission, lang).map(|words| (lang.pick("Modelle", "models"), words)));
    all.extend([(
        lang.pick("Fragen", "questions"),
        match lang.quota(permission.disclosure.queries) {
            Some(quota) => lang.pick(format!("je Person {quota}"), format!("{quota}, each person")),
            None => lang.pick("beliebig viele", "as many as one likes").to_owned(),
        },
    )]);
    let duties: Vec<String> = policy
        .duties
        .iter()
        .chain(&permission.duties)
        .map(|duty| lang.duty(duty))
        .collect();
    let none = lang.pick("keine", "none").to_owned();
    all.push((
        lang.pick("Pflichten", "duties"),
        if duties.is_empty() { none } else { list_of(duties) },
    ));
    all
}

/// Parts that can have commas of their own.
fn list_of(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join("; ")
}

/// How strictly what a permission lets leave is checked.
pub(crate) fn protection(permission: &Permission, lang: Lang) -> String {
    let of_statistics = checks(permission, Release::Aggregates, lang);
    match (permission.release, permission.disclosure.tier) {
        (Release::Rows, Tier::Statistical { .. }) => {
            let of_rows = checks(permission, Release::Rows, lang);
            format!(
                "{of_rows}; {}: {of_statistics}",
                lang.pick("für Statistik", "of statistics")
            )
        }
        (Release::Rows | Release::Models | Release::Aggregates, _) => of_statistics,
    }
}

/// What fits of models must keep to; none where there are none, or nobody is protected.
pub(crate) fn models(permission: &Permission, lang: Lang) -> Option<String> {
    model_rules(permission, lang).map(list_of)
}

/// The same, each rule by itself.
pub(crate) fn model_rules(permission: &Permission, lang: Lang) -> Option<[String; 5]> {
    let ModelRules {
        sum,
        nodes_min,
        parameters_share,
        reason,
        steps_max,
        overlaps,
    } = permission.models.as_ref()?;
    let Tier::Statistical { min_people } = permission.disclosure.tier else {
        return None;
    };
    let seen = match sum {
        Sum::Plain => lang.pick(
            "die Summen jeder Einrichtung sind zu sehen",
            "the sums of each institution can be seen",
        ),
        Sum::Masked => lang.pick(
            "nur die Summen aller Einrichtungen zusammen sind zu sehen",
            "only the sums of all institutions together can be seen",
        ),
    };
    let nodes = match nodes_min {
        1 => lang
            .pick("auch über eine einzige Einrichtung", "over one institution too")
            .to_owned(),
        _ => lang.pick(
            format!("über mindestens {nodes_min} Einrichtungen"),
            format!("over at least {nodes_min} institutions"),
        ),
    };
    let parameters = lang.pick(
        format!("höchstens {parameters_share} Parameter je Mensch"),
        format!("at most {parameters_share} parameters for each person"),
    );
    let parameters = match reason {
        Some(reason) => format!("{parameters} ({}: {reason})", lang.pick("Grund", "reason")),
        None => parameters,
    };
    let steps = lang.pick(
        format!("höchstens {steps_max} Schritte"),
        format!("at most {steps_max} steps"),
    );
    let overlaps = match overlaps {
        Overlaps::Refuse => lang.pick(
            format!("keines, dessen Menschen sich von denen eines früheren um weniger als {min_people} unterscheiden"),
            format!("none whose people differ from those of an earlier one by fewer than {min_people}"),
        ),
        Overlaps::Allow => lang
            .pick(
                "auch wenn sich die Menschen von denen eines früheren nur um wenige unterscheiden",
                "also if the people differ from those of an earlier one by few",
            )
            .to_owned(),
    };
    Some([seen.to_owned(), nodes, parameters, steps, overlaps])
}

/// How strictly an answer is checked.
pub(crate) fn checks(permission: &Permission, release: Release, lang: Lang) -> String {
    let disclosure = &permission.disclosure;
    let Tier::Statistical { min_people } = disclosure.tier else {
        return lang
            .pick(
                "keiner: es sind keine Daten über Menschen",
                "none: the data are not about people",
            )
            .to_owned();
    };
    if release == Release::Rows {
        return lang
            .pick(
                "einzelne Zeilen nur unter einer Datengenehmigung, ohne Prüfung von Zahlen",
                "single rows under a data permit only, without checks of numbers",
            )
            .to_owned();
    }
    let mut parts = vec![lang.pick(
        format!("keine Zahl über weniger als {min_people} Menschen einer Einrichtung"),
        format!("no number about fewer than {min_people} people of one institution"),
    )];
    if release == Release::Models {
        return list_of(parts.into_iter().chain(models(permission, lang)));
    }
    if let Some(Dominance { top, share }) = disclosure.dominance {
        let percent = share * 100.0;
        parts.push(lang.pick(
            format!("keine, zu der die {top} größten Beiträge mehr als {percent} % geben"),
            format!("none to which the {top} largest contributors give more than {percent} %"),
        ));
    }
    if let Some(percent) = disclosure.p_percent {
        parts.push(lang.pick(
            format!("keine, aus der jemand den Wert eines anderen auf {percent} % genau schätzen könnte"),
            format!("none from which somebody could estimate another's value to within {percent} %"),
        ));
    }
    if let Some(to) = disclosure.round_to {
        parts.push(lang.pick(
            format!("gerundet auf Vielfache von {to}"),
            format!("rounded to multiples of {to}"),
        ));
    }
    if disclosure.zeros == Zeros::Protected {
        parts.push(
            lang.pick(
                "auch nicht, dass niemand in einer Zelle ist",
                "nor that nobody is in a cell",
            )
            .to_owned(),
        );
    }
    list_of(parts)
}

/// What is shown of a column, in a sentence.
pub(crate) fn shown_of(permission: &Permission, name: &str, lang: Lang) -> String {
    let shown = shown_as(permission.transforms.get(name).copied(), lang);
    lang.pick(format!("von {name}: {shown}"), format!("of {name}: {shown}"))
}

/// A column, with what is shown of it if that is not its value.
pub(crate) fn column_shown(permission: &Permission, name: &str, lang: Lang) -> String {
    match permission.transforms.get(name) {
        Some(transform) => format!("{name} ({})", shown_as(Some(*transform), lang)),
        None => name.to_owned(),
    }
}

/// What is shown of a column.
pub(crate) fn shown_as(transform: Option<Transform>, lang: Lang) -> String {
    match transform {
        None => lang.pick("der Wert", "the value").to_owned(),
        Some(Transform::Bins) => lang.pick("nur der Bereich", "only the range").to_owned(),
        Some(Transform::Truncate(unit)) => lang.pick(
            format!("nur {}", period(unit, lang)),
            format!("only the {}", period(unit, lang)),
        ),
        Some(Transform::Prefix(1)) => lang
            .pick("nur das erste Zeichen", "only the first character")
            .to_owned(),
        Some(Transform::Prefix(characters)) => lang.pick(
            format!("nur die ersten {characters} Zeichen"),
            format!("only the first {characters} characters"),
        ),
        Some(Transform::Mask) => lang.pick("nichts", "nothing").to_owned(),
        Some(Transform::Pseudonym) => lang
            .pick(
                "ein Pseudonym, je Genehmigung ein anderes",
                "a pseudonym, another one under each permit",
            )
            .to_owned(),
    }
}

fn period(unit: Calendar, lang: Lang) -> &'static str {
    match unit {
        Calendar::Day => lang.pick("der Tag", "day"),
        Calendar::Week => lang.pick("die Woche", "week"),
        Calendar::Month => lang.pick("der Monat", "month"),
        Calendar::Quarter => lang.pick("das Quartal", "quarter"),
        Calendar::Year => lang.pick("das Jahr", "year"),
    }
}

/// Whom a rule is for. Persons are named: the board wrote them.
pub(crate) fn assignee(assignee: &Assignee, lang: Lang) -> String {
    let or = lang.pick(" oder ", " or ");
    let names = |names: Vec<String>| names.join(or);
    let roles = assignee.roles.as_ref().map(|roles| {
        let names = names(roles.iter().map(ToString::to_string).collect());
        format!("{} {names}", lang.pick("Rolle", "role"))
    });
    let members = assignee.members.as_ref().map(|members| {
        let names = names(members.iter().map(ToString::to_string).collect());
        format!("{} {names}", lang.pick("Mitglied", "member"))
    });
    let persons = assignee.persons.as_ref().map(|persons| {
        let names = names(
            persons
                .iter()
                .map(|(member, person)| format!("{member}/{person}"))
                .collect(),
        );
        format!("{} {names}", lang.pick("Person", "person"))
    });
    let parts: Vec<String> = [roles, members, persons].into_iter().flatten().collect();
    parts.join(lang.pick(", und zwar ", ", namely "))
}

/// A prohibition in one sentence.
pub(crate) fn prohibition(rule: &Prohibition, lang: Lang) -> String {
    let release = match rule.release {
        None => lang.pick("keine Anfrage", "no request"),
        Some(Release::Aggregates) => lang.pick("keine Anfrage nach Statistik", "no request for statistics"),
        Some(Release::Models) => lang.pick("keine Anfrage nach Modellen", "no request for models"),
        Some(Release::Rows) => lang.pick("keine Anfrage nach einzelnen Zeilen", "no request for single rows"),
    };
    let mut text = release.to_owned();
    if let Some(whom) = &rule.assignee {
        text.push_str(lang.pick(" von: ", " of: "));
        text.push_str(&assignee(whom, lang));
    }
    if let Some(purposes) = &rule.purposes {
        let purposes: Vec<String> = purposes
            .iter()
            .map(|purpose| lang.purpose_with_code(*purpose))
            .collect();
        text.push_str(lang.pick(" zum Zweck ", " for "));
        text.push_str(&purposes.join(lang.pick(" oder ", " or ")));
    }
    if let Some(columns) = &rule.columns {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        text.push_str(lang.pick(", die eine der Spalten nutzt: ", " that uses any of the columns: "));
        text.push_str(&columns.join(", "));
    }
    if !rule.windows.is_empty() {
        text.push_str(lang.pick(", zu diesen Zeiten: ", ", at these times: "));
        text.push_str(&list_of(rule.windows.iter().map(|window| lang.window(window))));
    }
    text
}

/// The columns of a permission with what a question may do with each.
pub(super) fn columns(out: &mut String, collection: &Collection, permission: &Permission, lang: Lang) {
    if permission.columns.is_empty() {
        let none = lang.pick("    Spalten: keine; nur zählen", "    columns: none; only counting");
        out.push_str(none);
        out.push('\n');
        return;
    }
    let header = lang.pick(
        ["Spalte", "gruppieren", "filtern", "summieren", "Einheit", "Werte"],
        ["column", "group by", "filter", "sum", "unit", "values"],
    );
    let mut rows = vec![header.map(|text| vec![text.to_owned()]).to_vec()];
    if permission.columns.contains(NODE_COLUMN) {
        let what = lang.pick("die Einrichtung, die geantwortet hat", "the institution that answered");
        rows.push(row(NODE_COLUMN, [true, true, false], "", what, lang));
    }
    let permitted = collection
        .columns
        .iter()
        .filter(|column| permission.columns.contains(&column.name));
    for column in permitted {
        let uses = [column.roles.group, column.roles.filter, column.roles.measure];
        rows.push(row(
            &column.name,
            uses,
            &unit(column, lang),
            &values(column, lang),
            lang,
        ));
    }
    let widest = |at: usize, most: usize| {
        let cells = rows.iter().flat_map(|row| &row[at]);
        cells.map(|text| text.chars().count()).max().unwrap_or(0).min(most)
    };
    let mut widths = vec![
        widest(0, 28),
        widest(1, 10),
        widest(2, 10),
        widest(3, 10),
        widest(4, 12),
    ];
    // What is left of the page after the indent and the five gaps.
    let left = WIDTH - 4 - 5 * 3 - widths.iter().sum::<usize>();
    widths.push(widest(5, left));
    table(out, 4, Ruled::Header, &widths, &rows);
}

fn row(name: &str, uses: [bool; 3], unit: &str, values: &str, lang: Lang) -> Vec<Vec<String>> {
    let [group, filter, measure] = uses.map(|may| if may { lang.pick("ja", "yes") } else { "-" });
    [name, group, filter, measure, unit, values]
        .map(|text| vec![text.to_owned()])
        .to_vec()
}

/// The unit in words where UCUM's code is not what people write.
fn unit(column: &Column, lang: Lang) -> String {
    let Some(unit) = column.unit.as_deref() else {
        return String::new();
    };
    let words = match unit {
        "a" => lang.pick("Jahre", "years"),
        "mo" => lang.pick("Monate", "months"),
        "wk" => lang.pick("Wochen", "weeks"),
        "d" => lang.pick("Tage", "days"),
        "h" => lang.pick("Stunden", "hours"),
        "min" => lang.pick("Minuten", "minutes"),
        "[lb_av]" => lang.pick("Pfund (lb)", "pounds (lb)"),
        // An annotation of UCUM is a word of the author's.
        other => other
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(other),
    };
    words.to_owned()
}

fn values(column: &Column, lang: Lang) -> String {
    let mut parts: Vec<String> = vec![domain(column, lang)];
    if let (true, Some([low, high])) = (column.roles.measure, column.bounds) {
        let to = lang.pick("bis", "to");
        parts.push(format!("{} {low} {to} {high}", lang.pick("Grenzen", "limits")));
    }
    if let Some(code) = &column.code {
        parts.push(format!("{} {code}", lang.pick("Code", "code")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn domain(column: &Column, lang: Lang) -> String {
    match (&column.domain, column.kind) {
        (Some(Domain::Texts(texts)), _) => list(texts),
        (Some(Domain::Integers(numbers)), _) => integers(numbers, lang),
        (Some(Domain::Bins(edges)), kind) => list(
            edges
                .windows(2)
                .map(|pair| bin(pair[0], pair[1], kind == ColumnKind::Integer, lang)),
        ),
        (Some(Domain::Calendar(unit)), _) => lang
            .pick(
                match unit {
                    Calendar::Day => "ganze Tage",
                    Calendar::Week => "ganze Wochen",
                    Calendar::Month => "ganze Monate",
                    Calendar::Quarter => "ganze Quartale",
                    Calendar::Year => "ganze Jahre",
                },
                match unit {
                    Calendar::Day => "whole days",
                    Calendar::Week => "whole weeks",
                    Calendar::Month => "whole months",
                    Calendar::Quarter => "whole quarters",
                    Calendar::Year => "whole years",
                },
            )
            .to_owned(),
        (None, ColumnKind::Boolean) => lang.pick("ja, nein", "true, false").to_owned(),
        (None, _) if column.roles.group || column.roles.filter => lang.pick("beliebig", "any").to_owned(),
        (None, _) => String::new(),
    }
}

/// `[18, 40)` of whole numbers is 18 to 39.
fn bin(low: f64, high: f64, whole: bool, lang: Lang) -> String {
    let is_whole = whole && low.fract() == 0.0 && high.fract() == 0.0;
    match is_whole {
        true if high - low == 1.0 => format!("{low}"),
        true => format!("{low} {} {}", lang.pick("bis", "to"), high - 1.0),
        false => format!("{low} {} {high}", lang.pick("bis unter", "to under")),
    }
}

/// Runs of consecutive numbers as `1 to 52`.
fn integers(numbers: &[i64], lang: Lang) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    list(runs.into_iter().flat_map(|(first, last)| match last - first {
        0 => vec![first.to_string()],
        1 => vec![first.to_string(), last.to_string()],
        _ => vec![format!("{first} {} {last}", lang.pick("bis", "to"))],
    }))
}
