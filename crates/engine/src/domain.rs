//! Whether a query uses each column only for what its role allows, and only along its declared values and bins.
//!
//! For personal data every condition and group must be a union of declared bins: otherwise two queries that
//! differ by one year of age would differ by one person. Where a collection declares `personal = false`, roles
//! still hold and domains need not exist.

use std::collections::BTreeSet;

use models::design::Need;
use policy::{Calendar, Collection, Column, ColumnKind, ColumnRoles, Domain};
use terms::{Problem, Report};

use crate::enforce::WITHHELD_COLUMN;
use crate::query::{
    Aggregate, Case, Comparison, Condition, Function, GroupKey, NODE_COLUMN, Query, ReleaseQuery, Value,
};
use crate::transform;

/// Most conditions in one query, those in FILTER and CASE included. They become chains that the engine walks by recursion.
const CONDITIONS_MAX: usize = 100;

/// Most columns that one query may have conditions on. Everybody who fails just one of them is counted too.
const FILTERED_COLUMNS_MAX: usize = 16;

/// Most distinct FILTERs of a query: people are counted between each two of them.
const FILTERS_MAX: usize = 8;

/// Most bins of a column of which quantiles are interpolated: people are counted in each of them, in each cell.
const QUANTILE_BINS_MAX: usize = 200;

/// Of a column of a joined collection: of people themselves each has a domain.
const NOT_DECLARED: &str =
    "people are told apart by declared values only; ask the board to declare values or bins of the column";

/// Checks roles and domains of everything that `query` names.
pub(crate) fn check(query: &Query, collection: &Collection) -> Result<(), Report> {
    let conditions = match query {
        Query::Release(query) => {
            require_names(query)?;
            require_few_filters(query)?;
            query
                .groups
                .iter()
                .try_for_each(|group| check_group(group, collection))?;
            query
                .aggregates
                .iter()
                .try_for_each(|aggregate| check_aggregate(aggregate, collection))?;
            &query.conditions
        }
        Query::Rows(query) => {
            query
                .columns
                .iter()
                .try_for_each(|column| shown(&column.0, collection))?;
            &query.conditions
        }
    };
    let nested = match query {
        Query::Release(query) => nested_leaves(query),
        Query::Rows(_) => 0,
    };
    if conditions.iter().map(leaves).sum::<usize>() + nested > CONDITIONS_MAX {
        return Err(Problem::SqlLimit.report(format!("the query has more than {CONDITIONS_MAX} conditions")));
    }
    let filtered: BTreeSet<&str> = conditions.iter().flat_map(Condition::columns).collect();
    if filtered.len() > FILTERED_COLUMNS_MAX {
        let message = format!("the query has conditions on more than {FILTERED_COLUMNS_MAX} columns");
        return Err(Problem::SqlLimit.report(message));
    }
    conditions
        .iter()
        .try_for_each(|condition| check_condition(condition, collection))
}

/// The last column of an answer about people has a name of its own.
fn require_names(query: &ReleaseQuery) -> Result<(), Report> {
    if query.outputs.iter().all(|output| output.name != WITHHELD_COLUMN) {
        return Ok(());
    }
    let message =
        format!("a node does not run a query with a column called {WITHHELD_COLUMN}: it says what is withheld");
    Err(Problem::SqlNotAllowed.report(message).remedy("call it something else"))
}

fn require_few_filters(query: &ReleaseQuery) -> Result<(), Report> {
    let mut filters: Vec<&[Condition]> = Vec::new();
    for aggregate in &query.aggregates {
        if !aggregate.filter.is_empty() && !filters.contains(&aggregate.filter.as_slice()) {
            filters.push(&aggregate.filter);
        }
    }
    if filters.len() <= FILTERS_MAX {
        return Ok(());
    }
    let message = format!("the query has more than {FILTERS_MAX} different FILTERs");
    Err(Problem::SqlLimit
        .report(message)
        .remedy("ask in parts, or group by the column that the filters are about"))
}

/// A column that a query may use at all; `None` for the virtual column `node`.
fn used<'a>(name: &str, collection: &'a Collection) -> Result<Option<&'a Column>, Report> {
    if name == NODE_COLUMN {
        return Ok(None);
    }
    match collection.column(name) {
        Some(column) if !column.roles.identifier => Ok(Some(column)),
        _ => Err(Problem::SqlRole.report(format!("no query may use the column {name}"))),
    }
}

/// A column that rows may show: the person too, because a permission that lists it shows a pseudonym.
fn shown(name: &str, collection: &Collection) -> Result<(), Report> {
    match collection.column(name) {
        Some(column) if transform::is_shown(column, collection) => Ok(()),
        _ => used(name, collection).map(drop),
    }
}

fn with_role<'a>(
    name: &str,
    collection: &'a Collection,
    role: fn(&ColumnRoles) -> bool,
    cannot: &str,
) -> Result<Option<&'a Column>, Report> {
    let column = used(name, collection)?;
    if column.is_some_and(|column| !role(&column.roles)) {
        let others = collection
            .columns
            .iter()
            .filter(|c| role(&c.roles))
            .map(|c| c.name.as_str());
        let others: Vec<&str> = others.collect();
        let report = Problem::SqlRole.report(format!("the column {name} cannot be {cannot}"));
        return Err(report.remedy(format!("columns that can be {cannot}: {}", others.join(", "))));
    }
    Ok(column)
}

fn check_aggregate(aggregate: &Aggregate, collection: &Collection) -> Result<(), Report> {
    aggregate
        .filter
        .iter()
        .try_for_each(|condition| check_condition(condition, collection))?;
    match &aggregate.function {
        Function::CountRows | Function::CountPeople(_) => Ok(()),
        Function::Count(column) => used(column, collection).map(drop),
        Function::Sum(column) | Function::Mean(column) | Function::Spread(_, column) => {
            measured(column, collection).map(drop)
        }
        // The difference to a sum over one column alone would be about those few of whom the other is not known.
        Function::PairPart(..) if collection.personal => Err(Problem::SqlNotAllowed
            .report(format!("{} is not released of data about people", aggregate.function))
            .remedy("use covar_pop, covar_samp or corr")),
        Function::Pair(_, x, y) | Function::PairPart(_, x, y) => {
            measured(x, collection).and(measured(y, collection)).map(drop)
        }
        Function::Quantile(_, name) => quantile_edges(name, collection).map(drop),
    }
}

/// The edges of the declared bins from which quantiles of a column are interpolated.
///
/// # Errors
/// `SqlRole` if nothing may be measured of the column, `SqlDomain` if it has no bins, or too many.
pub fn quantile_edges<'a>(name: &str, collection: &'a Collection) -> Result<&'a [f64], Report> {
    match &measured(name, collection)?.domain {
        Some(Domain::Bins(edges)) if edges.len() <= QUANTILE_BINS_MAX + 1 => Ok(edges),
        _ => Err(Problem::SqlDomain
            .report(format!(
                "quantiles are interpolated from declared bins, and {name} has none, or more than {QUANTILE_BINS_MAX}"
            ))
            .remedy("ask for avg and stddev, or ask the board to declare bins")),
    }
}

/// What a model needs of a column: numbers are measured, levels are grouped by.
pub(crate) fn check_need(need: &Need, collection: &Collection) -> Result<(), Report> {
    match need {
        Need::Number(name) => {
            let can = |roles: &ColumnRoles| roles.measure || roles.group;
            with_role(name, collection, can, "a number of a model").map(drop)
        }
        Need::Level(name, _) => with_role(
            name,
            collection,
            |roles| roles.group || roles.measure,
            "a factor of a model",
        )
        .map(drop),
    }
}

fn measured<'a>(name: &str, collection: &'a Collection) -> Result<&'a Column, Report> {
    let found = with_role(name, collection, |roles| roles.measure, "summed or averaged")?;
    found.ok_or_else(|| Problem::SqlRole.report("the column node cannot be summed or averaged"))
}

fn check_group(group: &GroupKey, collection: &Collection) -> Result<(), Report> {
    let name = group.column();
    let column = with_role(name, collection, |roles| roles.group, "grouped by")?;
    let fits = match (group, column) {
        (GroupKey::Column(_), None) => true,
        (_, None) => false,
        (GroupKey::Column(_), Some(column)) => groups_by_itself(column, collection),
        (GroupKey::Bin(_), Some(column)) => matches!(column.domain, Some(Domain::Bins(_))),
        (GroupKey::Calendar(unit, _), Some(column)) => truncates(*unit, column, collection),
        (GroupKey::Case(case), Some(column)) => return check_case(case, column, collection),
    };
    if fits {
        return Ok(());
    }
    let remedy = match column.map(|column| (&column.domain, column.describe_domain())) {
        Some((Some(Domain::Bins(_)), bins)) => format!("GROUP BY bin({name}), which has {bins}"),
        Some((Some(Domain::Calendar(unit)), _)) => format!("GROUP BY date_trunc('{unit}', {name})"),
        Some(_) if column.is_some_and(|column| lacks_values(column, collection)) => NOT_DECLARED.to_owned(),
        Some((_, domain)) => format!("GROUP BY {name}, which has {domain}"),
        None => "GROUP BY node".to_owned(),
    };
    Err(Problem::SqlDomain
        .report(format!(
            "{name} is grouped by its declared ranges or values, and not like that"
        ))
        .remedy(remedy))
}

fn lacks_values(column: &Column, collection: &Collection) -> bool {
    collection.personal && column.domain.is_none() && column.kind != ColumnKind::Boolean
}

/// A group by CASE is a union of declared values, so its conditions follow them.
fn check_case(case: &Case, column: &Column, collection: &Collection) -> Result<(), Report> {
    if declared_values(column).is_none() {
        let name = &column.name;
        let report = Problem::SqlDomain.report(format!(
            "CASE needs a column with declared values or bins, and {name} has none"
        ));
        return Err(report.remedy("group by date_trunc(unit, column), or by a column with declared values"));
    }
    case.arms
        .iter()
        .try_for_each(|(condition, _)| check_leaves(condition, collection))
}

fn groups_by_itself(column: &Column, collection: &Collection) -> bool {
    match &column.domain {
        Some(Domain::Texts(_) | Domain::Integers(_)) => true,
        Some(Domain::Calendar(unit)) => *unit == Calendar::Day && column.kind == ColumnKind::Date,
        Some(Domain::Bins(_)) => false,
        None => column.kind == ColumnKind::Boolean || !collection.personal,
    }
}

fn truncates(unit: Calendar, column: &Column, collection: &Collection) -> bool {
    match &column.domain {
        Some(Domain::Calendar(declared)) => unit.is_union_of(*declared),
        Some(_) => false,
        None => !collection.personal && matches!(column.kind, ColumnKind::Date | ColumnKind::Timestamp),
    }
}

fn nested_leaves(query: &ReleaseQuery) -> usize {
    let filters = query.aggregates.iter().flat_map(|aggregate| &aggregate.filter);
    let arms = query.groups.iter().flat_map(|group| match group {
        GroupKey::Case(case) => case.arms.as_slice(),
        GroupKey::Column(_) | GroupKey::Bin(_) | GroupKey::Calendar(..) => &[],
    });
    filters.chain(arms.map(|(condition, _)| condition)).map(leaves).sum()
}

fn leaves(condition: &Condition) -> usize {
    match condition {
        Condition::Compare(..) | Condition::OneOf { .. } | Condition::IsNull { .. } => 1,
        Condition::Not(inner) => leaves(inner),
        Condition::And(parts) | Condition::Or(parts) => parts.iter().map(leaves).sum(),
    }
}

/// One conjunct. Below an OR or a NOT all must be about one column.
fn check_condition(condition: &Condition, collection: &Collection) -> Result<(), Report> {
    if let Condition::And(parts) = condition {
        return parts.iter().try_for_each(|part| check_condition(part, collection));
    }
    for name in condition.columns() {
        with_role(name, collection, |roles| roles.filter, "filtered by")?;
    }
    if collection.personal && condition.columns().len() > 1 {
        let report = Problem::SqlNotAllowed.report("a node does not run OR or NOT over several columns");
        return Err(report.remedy("use OR within one column, or IN; join conditions on several columns by AND"));
    }
    check_leaves(condition, collection)
}

fn check_leaves(condition: &Condition, collection: &Collection) -> Result<(), Report> {
    match condition {
        Condition::Not(inner) => check_leaves(inner, collection),
        Condition::And(parts) | Condition::Or(parts) => {
            parts.iter().try_for_each(|part| check_leaves(part, collection))
        }
        Condition::IsNull { .. } => Ok(()),
        Condition::Compare(name, comparison, value) => {
            let fits = |column: &Column| compares_along_domain(column, *comparison, value);
            check_leaf(name, collection, fits)
        }
        Condition::OneOf {
            column: name, values, ..
        } => {
            let fits = |column: &Column| {
                values
                    .iter()
                    .all(|value| compares_along_domain(column, Comparison::Equal, value))
            };
            check_leaf(name, collection, fits)
        }
    }
}

fn check_leaf(name: &str, collection: &Collection, fits: impl Fn(&Column) -> bool) -> Result<(), Report> {
    let Some(column) = used(name, collection)? else {
        return Ok(());
    };
    if !collection.personal || fits(column) {
        return Ok(());
    }
    let report = Problem::SqlDomain.report(format!(
        "the condition on {name} does not follow its declared values or bins"
    ));
    Err(report.remedy(match lacks_values(column, collection) {
        true => NOT_DECLARED.to_owned(),
        false => format!("use {}", column.describe_domain()),
    }))
}

/// Whether the comparison is true for all or for none of each declared value or bin.
fn compares_along_domain(column: &Column, comparison: Comparison, value: &Value) -> bool {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match (&column.domain, value) {
        (None, Value::Boolean(_)) => is_equality,
        (Some(Domain::Texts(texts)), Value::Text(text)) => is_equality && texts.contains(text),
        (Some(Domain::Integers(numbers)), Value::Integer(number)) => !is_equality || numbers.contains(number),
        (Some(Domain::Bins(edges)), Value::Integer(number)) => {
            let at = |number: i64| is_edge(edges, number as f64);
            match comparison {
                Comparison::Less | Comparison::GreaterOrEqual => at(*number),
                Comparison::LessOrEqual | Comparison::Greater => number.checked_add(1).is_some_and(at),
                Comparison::Equal | Comparison::NotEqual => at(*number) && number.checked_add(1).is_some_and(at),
            }
        }
        (Some(Domain::Bins(edges)), Value::Number(number)) => {
            let cuts_before = matches!(comparison, Comparison::Less | Comparison::GreaterOrEqual);
            is_outside(edges, *number) || cuts_before && is_edge(edges, *number)
        }
        (Some(Domain::Calendar(unit)), Value::Date(days)) => {
            let at = |days: i32| starts(*unit, days);
            match comparison {
                Comparison::Less | Comparison::GreaterOrEqual => at(*days),
                Comparison::LessOrEqual | Comparison::Greater => days.checked_add(1).is_some_and(at),
                Comparison::Equal | Comparison::NotEqual => *unit == Calendar::Day,
            }
        }
        (Some(Domain::Calendar(unit)), Value::Timestamp(micros)) => {
            const DAY_MICROSECONDS: i64 = 86_400_000_000;
            let is_midnight = micros.rem_euclid(DAY_MICROSECONDS) == 0;
            let days = i32::try_from(micros.div_euclid(DAY_MICROSECONDS));
            matches!(comparison, Comparison::Less | Comparison::GreaterOrEqual)
                && is_midnight
                && days.is_ok_and(|days| starts(*unit, days))
        }
        _ => false,
    }
}

/// An edge, or outside all bins, where the comparison is the same for everybody.
fn is_edge(edges: &[f64], number: f64) -> bool {
    is_outside(edges, number) || edges.contains(&number)
}

fn is_outside(edges: &[f64], number: f64) -> bool {
    edges.first().is_none_or(|first| number < *first) || edges.last().is_none_or(|last| number > *last)
}

/// Whether a period of the unit starts on the day (days since 1970-01-01; weeks start on Monday).
fn starts(unit: Calendar, days: i32) -> bool {
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(i64::from(days)));
    let Ok(date) = date else { return false };
    match unit {
        Calendar::Day => true,
        Calendar::Week => date.weekday() == jiff::civil::Weekday::Monday,
        Calendar::Month => date.day() == 1,
        Calendar::Quarter => date.day() == 1 && (date.month() - 1) % 3 == 0,
        Calendar::Year => date.day() == 1 && date.month() == 1,
    }
}

/// How many values a key could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Possible {
    /// So many; and NULL, if a declared value leads to it.
    Values {
        /// Without NULL.
        values: usize,
        /// Whether NULL is one of them.
        null: bool,
    },
    /// No end of them: days, months.
    Unbounded,
}

/// The values that a key could have under the query's conditions on its column.
pub(crate) fn possible(key: &GroupKey, conditions: &[Condition], collection: &Collection) -> Possible {
    let declared = collection.column(key.column()).and_then(declared_values);
    let Some(declared) = declared.filter(|_| !matches!(key, GroupKey::Calendar(..))) else {
        return Possible::Unbounded;
    };
    let about_key = |condition: &&Condition| condition.columns().contains(key.column());
    let about_key: Vec<&Condition> = conditions.iter().filter(about_key).collect();
    let possible = declared
        .iter()
        .filter(|value| about_key.iter().all(|condition| holds(condition, value)));
    let GroupKey::Case(case) = key else {
        return Possible::Values {
            values: possible.count(),
            null: false,
        };
    };
    let names: BTreeSet<Option<String>> = possible
        .map(|value| {
            let arm = case.arms.iter().find(|(condition, _)| holds(condition, value));
            let name = arm.map_or(case.otherwise.as_ref(), |(_, name)| Some(name));
            name.map(Value::to_string)
        })
        .collect();
    let null = names.contains(&None);
    Possible::Values {
        values: names.len() - usize::from(null),
        null,
    }
}

/// Whether the conditions on one column leave out anything that the column could be.
pub(crate) fn excludes(column: &str, conditions: &[&Condition], collection: &Collection) -> bool {
    let declared = collection.column(column).and_then(declared_values);
    declared.is_none_or(|values| {
        let kept = |value: &Value| conditions.iter().all(|condition| holds(condition, value));
        !values.iter().all(kept)
    })
}

/// Every value that the column can have, or one for each bin; none if there is no end of them.
fn declared_values(column: &Column) -> Option<Vec<Value>> {
    match (&column.domain, column.kind) {
        (Some(Domain::Texts(texts)), _) => Some(texts.iter().cloned().map(Value::Text).collect()),
        (Some(Domain::Integers(numbers)), _) => Some(numbers.iter().copied().map(Value::Integer).collect()),
        // Conditions are the same for all of a bin.
        (Some(Domain::Bins(edges)), _) => {
            let (_, starts) = edges.split_last()?;
            Some(starts.iter().copied().map(Value::Number).collect())
        }
        (None, ColumnKind::Boolean) => Some(vec![Value::Boolean(false), Value::Boolean(true)]),
        (Some(Domain::Calendar(_)) | None, _) => None,
    }
}

/// Whether a condition on one column is true for a value of it that is not NULL.
fn holds(condition: &Condition, value: &Value) -> bool {
    match condition {
        Condition::Compare(_, comparison, with) => compares(value, *comparison, with),
        Condition::OneOf { values, negated, .. } => {
            values.iter().any(|with| compares(value, Comparison::Equal, with)) != *negated
        }
        Condition::IsNull { negated, .. } => *negated,
        Condition::Not(inner) => !holds(inner, value),
        Condition::And(parts) => parts.iter().all(|part| holds(part, value)),
        Condition::Or(parts) => parts.iter().any(|part| holds(part, value)),
    }
}

fn compares(value: &Value, comparison: Comparison, with: &Value) -> bool {
    let Some(order) = order(value, with) else { return false };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

fn order(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        // Edges and bounds are exact as floats.
        (Value::Integer(a), Value::Number(b)) => (*a as f64).partial_cmp(b),
        (Value::Number(a), Value::Integer(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
