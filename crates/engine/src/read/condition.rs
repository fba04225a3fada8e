//! WHERE, FILTER and the conditions of CASE: a column compared with constants, and nothing else. Constants are read as the column's
//! kind, if nothing of them is lost.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use policy::ColumnKind;
use terms::{Problem, Report};

use super::{Scope, refuse};
use crate::query::{Comparison, Condition, Value};
use crate::session;

/// The parts of a chain `a AND b AND c` (or OR), without recursion along the chain.
pub(super) fn split(expr: &Expr, by: Operator) -> Vec<&Expr> {
    let (mut parts, mut waiting) = (Vec::new(), vec![expr]);
    while let Some(expr) = waiting.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == by => waiting.extend([&**right, &**left]),
            other => parts.push(other),
        }
    }
    parts
}

pub(super) fn condition(expr: &Expr, scope: &Scope<'_>) -> Result<Condition, Report> {
    let all = |op| {
        split(expr, op)
            .into_iter()
            .map(|part| condition(part, scope))
            .collect::<Result<Vec<_>, _>>()
    };
    match expr {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And => Ok(Condition::And(all(Operator::And)?)),
            Operator::Or => Ok(Condition::Or(all(Operator::Or)?)),
            op => compare(op, &binary.left, &binary.right, scope),
        },
        Expr::Not(inner) => Ok(Condition::Not(Box::new(condition(inner, scope)?))),
        Expr::Column(column) => {
            let name = scope.resolve(column)?;
            if scope.kind(&name)? != ColumnKind::Boolean {
                return Err(refuse(&format!("{name} as a condition: it is not boolean")));
            }
            Ok(Condition::Compare(name, Comparison::Equal, Value::Boolean(true)))
        }
        Expr::IsNull(inner) => Ok(Condition::IsNull {
            column: filtered(inner, scope)?,
            negated: false,
        }),
        Expr::IsNotNull(inner) => Ok(Condition::IsNull {
            column: filtered(inner, scope)?,
            negated: true,
        }),
        Expr::Between(between) => {
            let column = filtered(&between.expr, scope)?;
            let bound = |expr| literal(expr, scope.kind(&column)?);
            let low = Condition::Compare(column.clone(), Comparison::GreaterOrEqual, bound(&between.low)?);
            let high = Condition::Compare(column.clone(), Comparison::LessOrEqual, bound(&between.high)?);
            let both = Condition::And(vec![low, high]);
            Ok(if between.negated {
                Condition::Not(Box::new(both))
            } else {
                both
            })
        }
        Expr::InList(list) => {
            let column = filtered(&list.expr, scope)?;
            let kind = scope.kind(&column)?;
            let values = list
                .list
                .iter()
                .map(|value| literal(value, kind))
                .collect::<Result<_, _>>()?;
            Ok(Condition::OneOf {
                column,
                values,
                negated: list.negated,
            })
        }
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => Err(refuse("IS TRUE, IS FALSE or IS UNKNOWN")),
        Expr::Like(_) | Expr::SimilarTo(_) => Err(refuse("LIKE or SIMILAR TO").remedy("use = or IN")),
        Expr::ScalarFunction(call) => Err(refuse(&format!("{}() in WHERE", call.func.name()))),
        Expr::Case(_) => Err(refuse("CASE")),
        Expr::Cast(_) | Expr::TryCast(_) => Err(refuse("CAST in WHERE")),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
            Err(refuse("subqueries"))
        }
        Expr::Placeholder(_) => Err(refuse("parameters")),
        Expr::Alias(_)
        | Expr::ScalarVariable(..)
        | Expr::Literal(..)
        | Expr::Negative(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::GroupingSet(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Unnest(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_) => Err(refuse("that in WHERE").remedy("compare columns with constants")),
        #[expect(deprecated, reason = "the arm keeps the match complete")]
        Expr::Wildcard { .. } => Err(refuse("* in WHERE")),
    }
}

pub(super) fn compare(op: Operator, left: &Expr, right: &Expr, scope: &Scope<'_>) -> Result<Condition, Report> {
    let (column, value, turned) = match (left, right) {
        (Expr::Column(column), value) => (scope.resolve(column)?, value, false),
        (value, Expr::Column(column)) => (scope.resolve(column)?, value, true),
        _ => return Err(refuse("comparisons of anything but a column with a constant")),
    };
    let comparison = match (op, turned) {
        (Operator::Eq, _) => Comparison::Equal,
        (Operator::NotEq, _) => Comparison::NotEqual,
        (Operator::Lt, false) | (Operator::Gt, true) => Comparison::Less,
        (Operator::LtEq, false) | (Operator::GtEq, true) => Comparison::LessOrEqual,
        (Operator::Gt, false) | (Operator::Lt, true) => Comparison::Greater,
        (Operator::GtEq, false) | (Operator::LtEq, true) => Comparison::GreaterOrEqual,
        (other, _) => return Err(refuse(&format!("the operator {other} in WHERE"))),
    };
    let value = literal(value, scope.kind(&column)?)?;
    Ok(Condition::Compare(column, comparison, value))
}

fn filtered(expr: &Expr, scope: &Scope<'_>) -> Result<String, Report> {
    scope.column(expr, "conditions on an expression; they must be on a column")
}

/// A constant, read as the column's kind.
pub(super) fn literal(expr: &Expr, kind: ColumnKind) -> Result<Value, Report> {
    let not_constant = || refuse("comparisons of anything but a column with a constant");
    let value = match expr {
        Expr::Literal(value, _) => value.clone(),
        Expr::Negative(inner) => match inner.as_ref() {
            Expr::Literal(value, _) => value.arithmetic_negate().map_err(|_| not_constant())?,
            _ => return Err(not_constant()),
        },
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).map_err(|_| mismatch(kind))?,
            _ => return Err(not_constant()),
        },
        _ => return Err(not_constant()),
    };
    if value.is_null() {
        return Err(refuse("comparisons with NULL").remedy("use IS NULL or IS NOT NULL"));
    }
    typed(value, kind).ok_or_else(|| mismatch(kind))
}

fn mismatch(kind: ColumnKind) -> Report {
    Problem::SqlDomain.report(format!(
        "a constant does not fit the column it is compared with, which holds {kind}"
    ))
}

/// The constant as the column's kind, if nothing of it is lost: a day is no replacement for noon of that day.
fn typed(value: ScalarValue, kind: ColumnKind) -> Option<Value> {
    let given = value.data_type();
    let cast = value
        .cast_to(&session::arrow_type(kind))
        .ok()
        .filter(|cast| !cast.is_null());
    let exactly = |cast: &ScalarValue| cast.cast_to(&given).is_ok_and(|back| back == value);
    match (kind, cast?) {
        (ColumnKind::Text, ScalarValue::Utf8(Some(text))) if given.is_string() => Some(Value::Text(text)),
        (ColumnKind::Integer, cast @ ScalarValue::Int64(Some(number))) if given.is_numeric() => {
            if exactly(&cast) {
                Some(Value::Integer(number))
            } else {
                finite(&value)
            }
        }
        (ColumnKind::Number, ScalarValue::Float64(Some(_))) if given.is_numeric() => finite(&value),
        (ColumnKind::Boolean, ScalarValue::Boolean(Some(truth))) if given == DataType::Boolean => {
            Some(Value::Boolean(truth))
        }
        (ColumnKind::Date, cast @ ScalarValue::Date32(Some(days))) => {
            let is_day = match value.try_as_str().flatten() {
                Some(text) => text.trim().len() == DATE_BYTES,
                None => given.is_temporal() && exactly(&cast),
            };
            is_day.then_some(Value::Date(days))
        }
        (ColumnKind::Timestamp, cast @ ScalarValue::TimestampMicrosecond(Some(micros), _)) => {
            let is_instant = match value.try_as_str().flatten() {
                Some(text) => !has_nanoseconds(text),
                None => given.is_temporal() && exactly(&cast),
            };
            is_instant.then_some(Value::Timestamp(micros))
        }
        _ => None,
    }
}

/// Length of `2026-01-31`.
const DATE_BYTES: usize = 10;

fn has_nanoseconds(text: &str) -> bool {
    let fraction = text.split('.').nth(1).unwrap_or_default();
    fraction.bytes().take_while(u8::is_ascii_digit).count() > 6
}

fn finite(value: &ScalarValue) -> Option<Value> {
    match value.cast_to(&DataType::Float64) {
        // Adding zero makes minus zero zero; Arrow would tell them apart.
        Ok(ScalarValue::Float64(Some(number))) if number.is_finite() => Some(Value::Number(number + 0.0)),
        _ => None,
    }
}
