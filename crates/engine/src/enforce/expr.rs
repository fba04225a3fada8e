//! Typed parts of a query as expressions of the engine.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::date_trunc;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use policy::{Calendar, Collection, ColumnKind, Domain};
use terms::Problem;

use super::{BuildError, column_kind};
use crate::query::{Case, Comparison, Condition, GroupKey, NODE_COLUMN, Value};
use crate::session;

/// What a key groups by. A bin is its index, so that cells sort as bins do; NULL stays NULL.
pub(super) fn key_expr(key: &GroupKey, collection: &Collection, node: &str) -> Result<Expr, BuildError> {
    Ok(match key {
        GroupKey::Column(column) => column_expr(column, node),
        GroupKey::Bin(column) => bin_expr(&ident(column), edges(column, collection)?)?,
        GroupKey::Calendar(unit, column) => truncated(*unit, ident(column), column_kind(column, collection)?),
        GroupKey::Case(case) => case_expr(case, node)?,
    })
}

/// The declared edges of a column.
pub(super) fn edges<'a>(column: &str, collection: &'a Collection) -> Result<&'a [f64], BuildError> {
    match collection.column(column).and_then(|column| column.domain.as_ref()) {
        Some(Domain::Bins(edges)) => Ok(edges),
        _ => Err(Problem::SqlDomain
            .report(format!("the column {column} has no bins"))
            .into()),
    }
}

/// The index of the declared bin that holds the number.
pub(super) fn bin_expr(number: &Expr, edges: &[f64]) -> Result<Expr, BuildError> {
    let mut case = when(number.clone().is_null(), lit(ScalarValue::Int64(None)));
    for (index, above) in (0_i64..).zip(edges.iter().skip(1)) {
        case = case.when(number.clone().lt(lit(*above)), lit(index));
    }
    Ok(case.otherwise(lit(ScalarValue::Int64(None)))?)
}

/// The start of the period that a date or timestamp falls into, in its own type.
pub(crate) fn truncated(unit: Calendar, value: Expr, kind: ColumnKind) -> Expr {
    let at = cast(value, DataType::Timestamp(TimeUnit::Microsecond, None));
    let start = date_trunc(lit(unit.to_string()), at);
    cast(start, session::arrow_type(kind))
}

fn case_expr(case: &Case, node: &str) -> Result<Expr, BuildError> {
    let missing = || Problem::Internal.report("a CASE without a condition");
    let mut arms = case.arms.iter();
    let (first, name) = arms.next().ok_or_else(missing)?;
    let mut built = when(condition_expr(first, node), value_expr(name));
    for (condition, name) in arms {
        built = built.when(condition_expr(condition, node), value_expr(name));
    }
    Ok(match &case.otherwise {
        Some(name) => built.otherwise(value_expr(name))?,
        None => built.end()?,
    })
}

/// A column, or the institution's name for the virtual one.
pub(crate) fn column_expr(column: &str, node: &str) -> Expr {
    if column == NODE_COLUMN {
        lit(node)
    } else {
        ident(column)
    }
}

/// All conditions, joined by AND; none if there are none.
pub(crate) fn all_of<'a>(conditions: impl IntoIterator<Item = &'a Condition>, node: &str) -> Option<Expr> {
    conjunction(conditions.into_iter().map(|condition| condition_expr(condition, node)))
}

fn condition_expr(condition: &Condition, node: &str) -> Expr {
    let all = |parts: &[Condition]| -> Vec<Expr> { parts.iter().map(|part| condition_expr(part, node)).collect() };
    match condition {
        Condition::Compare(column, comparison, value) => {
            let (left, right) = (column_expr(column, node), value_expr(value));
            match comparison {
                Comparison::Equal => left.eq(right),
                Comparison::NotEqual => left.not_eq(right),
                Comparison::Less => left.lt(right),
                Comparison::LessOrEqual => left.lt_eq(right),
                Comparison::Greater => left.gt(right),
                Comparison::GreaterOrEqual => left.gt_eq(right),
            }
        }
        Condition::OneOf {
            column,
            values,
            negated,
        } => column_expr(column, node).in_list(values.iter().map(value_expr).collect(), *negated),
        Condition::IsNull { column, negated: false } => column_expr(column, node).is_null(),
        Condition::IsNull { column, negated: true } => column_expr(column, node).is_not_null(),
        Condition::Not(inner) => Expr::Not(Box::new(condition_expr(inner, node))),
        Condition::And(parts) => conjunction(all(parts)).unwrap_or_else(|| lit(true)),
        Condition::Or(parts) => disjunction(all(parts)).unwrap_or_else(|| lit(false)),
    }
}

fn value_expr(value: &Value) -> Expr {
    match value {
        Value::Text(text) => lit(text.as_str()),
        Value::Integer(number) => lit(*number),
        Value::Number(number) => lit(*number),
        Value::Boolean(truth) => lit(*truth),
        Value::Date(days) => lit(ScalarValue::Date32(Some(*days))),
        Value::Timestamp(micros) => lit(ScalarValue::TimestampMicrosecond(Some(*micros), None)),
    }
}
