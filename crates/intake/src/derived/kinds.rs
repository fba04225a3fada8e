//! Of which type an expression is, before a row is read.

use policy::ColumnKind;

use super::{Expression, Operation};

/// The type of its values; none, if they are always missing.
type Kind = Option<ColumnKind>;

/// Whether values of a type can be those of another.
pub(super) fn becomes(made: Kind, expected: ColumnKind) -> bool {
    made.is_none_or(|made| made == expected || (made == ColumnKind::Integer && expected == ColumnKind::Number))
}

pub(super) fn kind(expression: &Expression, columns: &[ColumnKind]) -> Result<Kind, String> {
    match expression {
        Expression::Column(at) => Ok(columns.get(*at).copied()),
        Expression::Constant(value) => Ok(value.kind()),
        Expression::Case(branches, otherwise) => {
            let mut result = kind(otherwise, columns)?;
            for (condition, branch) in branches {
                require(kind(condition, columns)?, ColumnKind::Boolean, "a condition")?;
                result = common(result, kind(branch, columns)?, "the results of CASE or IF")?;
            }
            Ok(result)
        }
        Expression::Call(operation, of) => {
            let kinds = of
                .iter()
                .map(|part| kind(part, columns))
                .collect::<Result<Vec<_>, _>>()?;
            if let (Operation::To(ColumnKind::Date | ColumnKind::Timestamp), [Some(ColumnKind::Text)], [text]) =
                (operation, &kinds[..], &of[..])
                && !text.is_of_a_row()
            {
                return Err(
                    "derived: a day is read from texts of columns; a constant one is written as DATE '2024-12-31'"
                        .to_owned(),
                );
            }
            of_call(*operation, &kinds)
        }
    }
}

fn of_call(operation: Operation, of: &[Kind]) -> Result<Kind, String> {
    use ColumnKind::{Boolean, Date, Integer, Number, Text};
    let all = |wanted: ColumnKind, what: &str| of.iter().try_for_each(|kind| require(*kind, wanted, what));
    Ok(Some(match operation {
        Operation::Add | Operation::Subtract | Operation::Multiply => match (operation, of) {
            (Operation::Subtract, [Some(Date), Some(Date)]) => Integer,
            (Operation::Add | Operation::Subtract, [Some(Date), Some(Integer)]) => Date,
            _ => {
                let numbers = numbers(of, "+, - and *")?;
                return Ok(numbers);
            }
        },
        Operation::Divide => {
            numbers(of, "/")?;
            Number
        }
        Operation::Negate => return numbers(of, "-"),
        Operation::Compare(_) | Operation::IsOneOf => {
            let first = of.first().copied().flatten();
            of.iter()
                .try_for_each(|kind| common(first, *kind, "a comparison").map(drop))?;
            Boolean
        }
        Operation::And | Operation::Or | Operation::Not => {
            all(Boolean, "AND, OR and NOT")?;
            Boolean
        }
        Operation::IsMissing => Boolean,
        Operation::Coalesce => {
            let kinds = of.iter().copied();
            return kinds
                .map(Ok)
                .reduce(|one, other| common(one?, other?, "COALESCE"))
                .unwrap_or(Ok(None));
        }
        Operation::Year => {
            all(Date, "YEAR")?;
            Integer
        }
        Operation::YearsBetween => {
            all(Date, "YEARS_BETWEEN")?;
            Integer
        }
        Operation::Round | Operation::Floor => {
            numbers(of, "ROUND and FLOOR")?;
            Integer
        }
        Operation::Concat | Operation::Lower | Operation::Upper | Operation::Trim => {
            all(Text, "CONCAT, LOWER, UPPER and TRIM")?;
            Text
        }
        Operation::To(wanted) => {
            let from = of.first().copied().flatten();
            if !from.is_none_or(|from| is_cast(from, wanted)) {
                return Err(wrong("CAST", from, "what can be read as that"));
            }
            wanted
        }
    }))
}

/// What one type can be read as, without guessing.
fn is_cast(from: ColumnKind, to: ColumnKind) -> bool {
    use ColumnKind::{Date, Integer, Number, Text, Timestamp};
    let is_listed = matches!((from, to), (Text, _) | (Integer, Number | Text) | (Timestamp, Date));
    from == to || is_listed
}

fn require(found: Kind, wanted: ColumnKind, what: &str) -> Result<(), String> {
    match found {
        Some(other) if other != wanted => Err(wrong(what, found, &wanted.to_string())),
        _ => Ok(()),
    }
}

fn wrong(what: &str, found: Kind, wanted: &str) -> String {
    let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
    format!(
        "derived: {what} takes {wanted}, and not {found}; columns of text become numbers or days by CAST(x AS number)"
    )
}

/// Whole numbers, if all are.
fn numbers(of: &[Kind], what: &str) -> Result<Kind, String> {
    let is_number = |kind: &Kind| matches!(kind, None | Some(ColumnKind::Integer | ColumnKind::Number));
    if let Some(other) = of.iter().find(|kind| !is_number(kind)) {
        return Err(wrong(what, *other, "numbers"));
    }
    let kinds = of.iter().copied().flatten();
    Ok(kinds.reduce(|one, other| if one == other { one } else { ColumnKind::Number }))
}

/// The type that two have in common.
fn common(one: Kind, other: Kind, what: &str) -> Result<Kind, String> {
    use ColumnKind::{Integer, Number};
    match (one, other) {
        (kind, None) | (None, kind) => Ok(kind),
        (Some(one), Some(other)) if one == other => Ok(Some(one)),
        (Some(Integer | Number), Some(Integer | Number)) => Ok(Some(Number)),
        (Some(one), found) => Err(wrong(what, found, &format!("{one} beside {one}"))),
    }
}
