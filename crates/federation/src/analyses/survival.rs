//! Time until an event, over the declared bins of time: what is left of each group, and whether groups differ.
//!
//! Of each bin nodes are asked for its people, and for those with the event and without. So the people at risk stay known where only what
//! became of a few is withheld; these are *unclear*. Where nodes can have withheld whole bins, the number of all people is asked for, too:
//! those whom it has more are *unseen*. The curve then lies between bounds, and is never made as if they were not there.

use models::life_table::{self, LogRank, Method, Point, Scale, Span};
use policy::ColumnKind;
use terms::{Problem, Report};

use super::{CONFIDENCE, Cells, Key, Number, Study};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The column of times.
    pub time: &'a str,
    /// The column that says whether the event was seen.
    pub event: &'a str,
    /// The value of it that means that it was; if nothing is said, true or 1.
    pub seen: Option<&'a str>,
    /// The groups.
    pub by: Option<&'a str>,
    /// How those count who were last seen within a bin; if nothing is said, as half where times are in bins.
    pub method: Option<Method>,
    /// On which scale intervals are symmetric.
    pub scale: Scale,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Survival {
    /// The times.
    pub time: Key,
    /// The end of each bin, or each time.
    pub ends: Vec<f64>,
    /// The groups in their order; one without a value if there are none.
    pub curves: Vec<Curve>,
    /// Rows in which time, event or group is not known.
    pub dropped: Number,
    /// How those counted who were last seen within a bin.
    pub method: Method,
    /// The test of whether groups differ, if there are several, or why there is none.
    pub log_rank: Option<Result<LogRank, Report>>,
    /// Whether groups can be missing of which nobody released anything.
    pub can_lack_groups: bool,
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its value; none if there are no groups.
    pub level: Option<String>,
    /// People who were counted.
    pub n: f64,
    /// Events that were counted.
    pub events: f64,
    /// People who were counted and of whom nobody tells whether they had the event.
    pub unclear: f64,
    /// People of whom nobody tells when they were last seen.
    pub unseen: f64,
    /// What is known at each end.
    pub points: Vec<Point>,
    /// Where half is left.
    pub median: Median,
}

/// The time at which half is left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Median {
    /// The time; none if more than half are left at the last, or if it is not known.
    pub time: Option<f64>,
    /// The ends of its confidence interval; none where it has no end.
    pub ci: [Option<f64>; 2],
    /// The bin, or bins, in which that of the exact times is; without an upper end if it can be after the last.
    pub between: Option<(f64, Option<f64>)>,
}

/// Asks how many had the event and how many were last seen without it in each bin of time.
///
/// # Errors
/// As [`Study::ask`]; an unknown column; `Withheld` if it is not known how many people there are.
pub async fn survival(study: &mut Study<'_>, asked: &Asked<'_>) -> Result<Survival, Report> {
    study.numbers(asked.time)?;
    let time = study.key(asked.time)?;
    let by = asked.by.map(|by| study.key(by)).transpose()?;
    let counts = counts(study, asked.event, asked.seen)?;
    let keys: Vec<&Key> = by.iter().chain([&time]).collect();
    study.require_exact(&keys, &counts, None).await?;
    let all = study.ask(&keys, &counts, &[]).await?;
    let groups: Vec<&Key> = by.iter().collect();
    let totals = match all.complete {
        true => None,
        false => Some(study.ask(&groups, &counts[..1], &[]).await?),
    };
    let levels: Vec<Option<String>> = match &by {
        Some(by) => all.levels(0, by).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let unseen = levels
        .iter()
        .map(|level| unseen(&all, totals.as_ref(), level.as_deref()));
    let mut unseen: Vec<f64> = unseen.collect::<Result<_, _>>()?;
    let (known, mut dropped) = all.without_unknown(ROWS);
    let bins = bins(&known, keys.len() - 1, &time);
    if bins.is_empty() {
        let nobody = Problem::Statistic.report("there is nobody whose time and group are known");
        return Err(match known.complete {
            true => nobody.remedy("choose other columns, or other rows with --where"),
            false => known.withheld("when people were last seen"),
        });
    }
    let ranges: Vec<[f64; 2]> = bins.iter().filter_map(|bin| time.range(bin)).collect();
    let mut spans = Vec::with_capacity(levels.len());
    for (level, unseen) in levels.iter().zip(&mut unseen) {
        let mut of_level = Vec::with_capacity(bins.len());
        for bin in &bins {
            let keys: Vec<&str> = level.iter().chain([bin]).map(String::as_str).collect();
            let counted = counted(&known, &keys)?;
            dropped = dropped.plus(Number::known(counted.without_event));
            *unseen += counted.unseen;
            of_level.push(counted.span);
        }
        spans.push(of_level);
    }
    if by.is_none() && unseen.iter().all(|people| *people == 0.0) {
        // All people are in cells that were released.
        dropped.open = None;
    }
    let method = asked.method.unwrap_or(match time.edges.is_empty() {
        true => Method::ProductLimit,
        false => Method::Actuarial,
    });
    let curves = levels.iter().zip(&spans).zip(&unseen);
    let curves =
        curves.map(|((level, spans), unseen)| curve(level.clone(), spans, *unseen, &ranges, method, asked.scale));
    let curves: Vec<Curve> = curves.collect();
    let log_rank = curves.len() > 1;
    let log_rank = log_rank.then(|| {
        if curves.iter().any(|curve| curve.unseen + curve.unclear > 0.0) {
            return Err(known.withheld("what became of people"));
        }
        life_table::log_rank(&spans, method).ok_or_else(|| {
            let report = Problem::Statistic.report("without events in two groups there is nothing to compare");
            report.remedy("choose groups in which something happened")
        })
    });
    Ok(Survival {
        ends: ranges.iter().map(|range| range[1]).collect(),
        time,
        curves,
        dropped,
        method,
        log_rank,
        can_lack_groups: by.is_some() && !known.complete,
    })
}

/// What is counted in each bin, in this order.
const ROWS: usize = 0;
const KNOWN: usize = 1;
const WITH: usize = 2;
const WITHOUT: usize = 3;

/// Rows, those in which the event is known, those with it and those without.
fn counts(study: &Study<'_>, event: &str, seen: Option<&str>) -> Result<Vec<String>, Report> {
    let column = study.column(event)?;
    let unknown = |known: String| {
        let report = Problem::Usage.report(format!("no value of {event} is known to mean that the event was seen"));
        report.remedy(format!("name it with --event-value; {event} has {known}"))
    };
    let (with, without) = match (column.kind, seen) {
        (ColumnKind::Boolean, None | Some("true")) => (event.to_owned(), format!("NOT {event}")),
        (ColumnKind::Boolean, Some("false")) => (format!("NOT {event}"), event.to_owned()),
        (ColumnKind::Integer, seen) => {
            let seen: i64 = seen
                .unwrap_or("1")
                .parse()
                .map_err(|_| unknown(column.describe_domain()))?;
            (format!("{event} = {seen}"), format!("{event} <> {seen}"))
        }
        (ColumnKind::Text, Some(seen)) => {
            let seen = seen.replace('\'', "''");
            (format!("{event} = '{seen}'"), format!("{event} <> '{seen}'"))
        }
        _ => return Err(unknown(column.describe_domain())),
    };
    Ok(vec![
        "count(*)".to_owned(),
        format!("count({event})"),
        format!("count(*) FILTER (WHERE {with})"),
        format!("count(*) FILTER (WHERE {without})"),
    ])
}

/// The times of the curve: of declared bins also those in which nothing happened, up to the last in which something did.
fn bins(cells: &Cells, at: usize, time: &Key) -> Vec<String> {
    let seen = cells.levels(at, time);
    if time.edges.is_empty() {
        return seen;
    }
    let last = seen
        .last()
        .and_then(|last| time.levels.iter().position(|level| level == last));
    time.levels
        .iter()
        .take(last.map_or(0, |last| last + 1))
        .cloned()
        .collect()
}

/// People of a group who are in no cell that was released.
fn unseen(all: &Cells, totals: Option<&Cells>, group: Option<&str>) -> Result<f64, Report> {
    let Some(totals) = totals else { return Ok(0.0) };
    let is_in = |cell: &&super::Cell| group.is_none_or(|group| cell.keys[0].as_deref() == Some(group));
    let counted = all
        .cells
        .iter()
        .filter(is_in)
        .filter_map(|cell| cell.numbers[ROWS].value);
    let group: Vec<&str> = group.into_iter().collect();
    more_than(totals.exact(&group, ROWS)?, counted.sum(), all)
}

/// How many more people there are than a part of them. Where a node answers with numbers of before, a part can seem to be more than all:
/// then it is not known how many are missing.
fn more_than(all: f64, part: f64, cells: &Cells) -> Result<f64, Report> {
    match all < part {
        true => Err(cells.withheld("the number of people")),
        false => Ok(all - part),
    }
}

/// What is known of the people whose time ends in a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    span: Span,
    /// People whose event is not known, and who are no part of the curve.
    without_event: f64,
    /// People of whom it is not told whether their event is known.
    unseen: f64,
}

fn counted(cells: &Cells, keys: &[&str]) -> Result<Counted, Report> {
    let Some(cell) = cells.find(keys) else {
        return Ok(Counted::default());
    };
    let [rows, known, with, without] = [ROWS, KNOWN, WITH, WITHOUT].map(|at| cell.numbers[at]);
    let value = |number: Number| number.value.unwrap_or_default();
    let not_known = more_than(value(rows), value(known), cells)?;
    let (without_event, unseen) = match known.open == rows.open && known.value.is_some() {
        true => (not_known, 0.0),
        false => (0.0, not_known),
    };
    let span = Span {
        events: value(with),
        censored: value(without),
        unclear: more_than(value(known), value(with) + value(without), cells)?,
    };
    Ok(Counted {
        span,
        without_event,
        unseen,
    })
}

fn curve(
    level: Option<String>,
    spans: &[Span],
    unseen: f64,
    ranges: &[[f64; 2]],
    method: Method,
    scale: Scale,
) -> Curve {
    let sum = |of: fn(&Span) -> f64| spans.iter().map(of).sum::<f64>();
    let points = life_table::curve(spans, unseen, method, scale, CONFIDENCE);
    Curve {
        level,
        n: sum(|span| span.events + span.censored + span.unclear),
        events: sum(|span| span.events),
        unclear: sum(|span| span.unclear),
        unseen,
        median: median(&points, ranges),
        points,
    }
}

fn median(points: &[Point], ranges: &[[f64; 2]]) -> Median {
    let first = |of: &dyn Fn(&Point) -> f64| life_table::first_half(points.iter().map(of));
    let end = |at: Option<usize>| at.map(|at| ranges[at][1]);
    // Beyond where the curve is known, nothing is known of where half is left.
    let known = |share: Option<f64>| share.unwrap_or(1.0);
    let half = first(&|point| known(point.survival));
    let time = half.map(|at| {
        // R takes the middle to the next event where exactly half is left.
        let is_half = (known(points[at].survival) - 0.5).abs() < 1e-12;
        let next = (at + 1..points.len()).find(|next| points[*next].n_event > 0.0);
        match next.filter(|_| is_half && ranges[at][0] == ranges[at][1]) {
            Some(next) => f64::midpoint(ranges[at][1], ranges[next][1]),
            None => ranges[at][1],
        }
    });
    let ci = [0, 1].map(|side| end(first(&|point| known(point.ci.map(|ci| ci[side])))));
    let latest = first(&|point| point.bounds[1]);
    Median {
        time,
        ci,
        between: first(&|point| point.bounds[0]).map(|at| (ranges[at][0], end(latest))),
    }
}

#[cfg(test)]
mod tests;
