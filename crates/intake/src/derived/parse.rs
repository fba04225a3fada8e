//! A text as an expression. Every form that SQL has is either taken or refused here, by name: there is no arm for what nobody thought of.

use std::str::FromStr as _;

use jiff::civil::Date;
use policy::ColumnKind;
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectNamePart, Spanned as _, TypedString, UnaryOperator, Value as Literal,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::evaluate::Value;
use super::{ALLOWED, Comparison, Expression, Operation};
use crate::cell;

/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Deepest nesting that is read: the parser takes some ten kilobytes of stack for each.
const NESTING_MAX: usize = 24;

/// Deepest expression, where each operator of a chain is one deeper.
const DEPTH_MAX: usize = 64;

/// An expression, and the columns that it names.
pub(super) struct Parsed {
    pub(super) expression: Expression,
    pub(super) columns: Vec<String>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("derived is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let unreadable = |error: ParserError| {
        let why = match error {
            ParserError::TokenizerError(why) | ParserError::ParserError(why) => why,
            ParserError::RecursionLimitExceeded => TOO_DEEP.to_owned(),
        };
        format!("derived cannot be read: {why}; {ALLOWED}")
    };
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .try_with_sql(text)
        .map_err(unreadable)?;
    let expr = parser.parse_expr().map_err(unreadable)?;
    parser.expect_token(&Token::EOF).map_err(unreadable)?;
    let mut columns = Columns::default();
    let expression = columns.expression(&expr, 0)?;
    Ok(Parsed {
        expression,
        columns: columns.0,
    })
}

const TOO_DEEP: &str = "it is nested too deeply";

/// The columns that were named so far.
#[derive(Default)]
struct Columns(Vec<String>);

/// Of what an expression is made, before its parts are looked at.
enum Form<'a> {
    Column(&'a Ident),
    Constant(Value<'static>),
    Call(Operation, Vec<&'a Expr>),
    Not(Operation, Vec<&'a Expr>),
    Between(&'a Expr, &'a Expr, &'a Expr, bool),
    Case(Option<&'a Expr>, Vec<(&'a Expr, &'a Expr)>, Option<&'a Expr>),
    Same(&'a Expr),
    Unknown,
}

impl Columns {
    fn expression(&mut self, expr: &Expr, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH_MAX {
            return Err(format!("derived: {TOO_DEEP}; make a part of it a column of the source"));
        }
        let mut part = |expr: &Expr| self.expression(expr, depth + 1);
        Ok(match form(expr) {
            Form::Column(name) => self.column(&name.value),
            Form::Constant(value) => Expression::Constant(value),
            Form::Call(operation, of) => {
                let of = of.into_iter().map(part).collect::<Result<_, _>>()?;
                Expression::Call(operation, of)
            }
            Form::Not(operation, of) => {
                let of = of.into_iter().map(part).collect::<Result<_, _>>()?;
                not(Expression::Call(operation, of))
            }
            Form::Between(of, low, high, is_negated) => {
                let compare = |is, of, with| Expression::Call(Operation::Compare(is), vec![of, with]);
                let above = compare(Comparison::GreaterOrEqual, part(of)?, part(low)?);
                let below = compare(Comparison::LessOrEqual, part(of)?, part(high)?);
                let between = Expression::Call(Operation::And, vec![above, below]);
                if is_negated { not(between) } else { between }
            }
            Form::Case(of, branches, otherwise) => {
                let mut taken = Vec::new();
                for (condition, result) in branches {
                    let condition = match of {
                        Some(of) => {
                            let equal = Operation::Compare(Comparison::Equal);
                            Expression::Call(equal, vec![part(of)?, part(condition)?])
                        }
                        None => part(condition)?,
                    };
                    taken.push((condition, part(result)?));
                }
                let otherwise = otherwise.map(part).transpose()?;
                let otherwise = otherwise.unwrap_or(Expression::Constant(Value::Missing));
                Expression::Case(taken, Box::new(otherwise))
            }
            Form::Same(expr) => part(expr)?,
            Form::Unknown => return Err(unknown(expr)),
        })
    }

    fn column(&mut self, name: &str) -> Expression {
        let at = self.0.iter().position(|known| known == name);
        Expression::Column(at.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        }))
    }
}

fn not(of: Expression) -> Expression {
    Expression::Call(Operation::Not, vec![of])
}

/// The text is the operator's own.
fn unknown(expr: &Expr) -> String {
    let start = expr.span().start;
    let place = match start.column {
        0 => String::new(),
        column => format!(", line {}, at {column}", start.line),
    };
    let text: String = expr.to_string().chars().take(80).collect();
    format!("derived{place}: {text} is nothing that can be used; {ALLOWED}")
}

fn form(expr: &Expr) -> Form<'_> {
    match expr {
        Expr::Identifier(name) => Form::Column(name),
        Expr::Nested(inner) => Form::Same(inner),
        Expr::Value(value) => literal(&value.value).map_or(Form::Unknown, Form::Constant),
        Expr::TypedString(text) => day(text).map_or(Form::Unknown, Form::Constant),
        Expr::IsNull(of) => Form::Call(Operation::IsMissing, vec![of]),
        Expr::IsNotNull(of) => Form::Not(Operation::IsMissing, vec![of]),
        Expr::InList { expr, list, negated } => {
            let of = std::iter::once(expr.as_ref()).chain(list).collect();
            match negated {
                true => Form::Not(Operation::IsOneOf, of),
                false => Form::Call(Operation::IsOneOf, of),
            }
        }
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => Form::Between(expr, low, high, *negated),
        Expr::BinaryOp { left, op, right } => {
            binary(op).map_or(Form::Unknown, |operation| Form::Call(operation, vec![left, right]))
        }
        Expr::UnaryOp { op, expr } => match unary(op) {
            Some(Operation::Add) => Form::Same(expr),
            Some(operation) => Form::Call(operation, vec![expr]),
            None => Form::Unknown,
        },
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            let branches = conditions.iter().map(|branch| (&branch.condition, &branch.result));
            Form::Case(operand.as_deref(), branches.collect(), else_result.as_deref())
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type,
            array: false,
            format: None,
        } => kind(data_type).map_or(Form::Unknown, |kind| Form::Call(Operation::To(kind), vec![expr])),
        Expr::Floor {
            expr,
            field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
        } => Form::Call(Operation::Floor, vec![expr]),
        Expr::Trim {
            trim_where: None,
            trim_what: None,
            expr,
            trim_characters: None,
        } => Form::Call(Operation::Trim, vec![expr]),
        Expr::Function(function) => call(function),
        Expr::CompoundIdentifier(..)
        | Expr::CompoundFieldAccess { .. }
        | Expr::JsonAccess { .. }
        | Expr::IsFalse(..)
        | Expr::IsNotFalse(..)
        | Expr::IsTrue(..)
        | Expr::IsNotTrue(..)
        | Expr::IsUnknown(..)
        | Expr::IsNotUnknown(..)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::IsNormalized { .. }
        | Expr::InSubquery { .. }
        | Expr::InUnnest { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. }
        | Expr::RLike { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::Convert { .. }
        | Expr::Cast { .. }
        | Expr::AtTimeZone { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Overlay { .. }
        | Expr::Collate { .. }
        | Expr::Prefixed { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(..)
        | Expr::GroupingSets(..)
        | Expr::Cube(..)
        | Expr::Rollup(..)
        | Expr::Tuple(..)
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(..)
        | Expr::Map(..)
        | Expr::Array(..)
        | Expr::Interval(..)
        | Expr::MatchAgainst { .. }
        | Expr::Wildcard(..)
        | Expr::QualifiedWildcard(..)
        | Expr::OuterJoin(..)
        | Expr::Prior(..)
        | Expr::Lambda(..)
        | Expr::MemberOf(..) => Form::Unknown,
    }
}

fn literal(value: &Literal) -> Option<Value<'static>> {
    match value {
        Literal::Number(digits, false) => match digits.parse() {
            Ok(whole) => Some(Value::Integer(whole)),
            Err(_) => digits
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Value::Number),
        },
        Literal::SingleQuotedString(text) => Some(Value::Text(text.clone().into())),
        Literal::Boolean(truth) => Some(Value::Truth(*truth)),
        Literal::Null => Some(Value::Missing),
        Literal::Number(_, true)
        | Literal::DollarQuotedString(..)
        | Literal::TripleSingleQuotedString(..)
        | Literal::TripleDoubleQuotedString(..)
        | Literal::EscapedStringLiteral(..)
        | Literal::UnicodeStringLiteral(..)
        | Literal::SingleQuotedByteStringLiteral(..)
        | Literal::DoubleQuotedByteStringLiteral(..)
        | Literal::TripleSingleQuotedByteStringLiteral(..)
        | Literal::TripleDoubleQuotedByteStringLiteral(..)
        | Literal::SingleQuotedRawStringLiteral(..)
        | Literal::DoubleQuotedRawStringLiteral(..)
        | Literal::TripleSingleQuotedRawStringLiteral(..)
        | Literal::TripleDoubleQuotedRawStringLiteral(..)
        | Literal::NationalStringLiteral(..)
        | Literal::QuoteDelimitedStringLiteral(..)
        | Literal::NationalQuoteDelimitedStringLiteral(..)
        | Literal::HexStringLiteral(..)
        | Literal::DoubleQuotedString(..)
        | Literal::Placeholder(..) => None,
    }
}

/// `DATE '2024-12-31'`.
fn day(text: &TypedString) -> Option<Value<'static>> {
    if kind(&text.data_type) != Some(ColumnKind::Date) {
        return None;
    }
    let written = text.value.clone().into_string()?;
    let date = Date::from_str(&written).ok().filter(|_| written.len() == 10)?;
    Some(Value::constant_day(cell::days_of(date)?))
}

/// The types of a collection, by their names there.
fn kind(data_type: &DataType) -> Option<ColumnKind> {
    Some(match data_type.to_string().to_ascii_lowercase().as_str() {
        "text" => ColumnKind::Text,
        "integer" => ColumnKind::Integer,
        "number" => ColumnKind::Number,
        "boolean" => ColumnKind::Boolean,
        "date" => ColumnKind::Date,
        "timestamp" => ColumnKind::Timestamp,
        _ => return None,
    })
}

/// A function by its name, with arguments and nothing else.
fn call(function: &Function) -> Form<'_> {
    let Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return Form::Unknown;
    };
    let [ObjectNamePart::Identifier(name)] = &name.0[..] else {
        return Form::Unknown;
    };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    });
    let arguments: Option<Vec<&Expr>> = arguments.collect();
    let is_plain = within_group.is_empty() && list.duplicate_treatment.is_none() && list.clauses.is_empty();
    let Some(arguments) = arguments.filter(|_| is_plain && name.quote_style.is_none()) else {
        return Form::Unknown;
    };
    let operation = match (name.value.to_ascii_lowercase().as_str(), &arguments[..]) {
        ("if", [condition, yes, no]) => return Form::Case(None, vec![(condition, yes)], Some(no)),
        ("coalesce", [_, ..]) => Operation::Coalesce,
        ("year", [_]) => Operation::Year,
        ("years_between", [_, _]) => Operation::YearsBetween,
        ("round", [_]) => Operation::Round,
        ("concat", [_, ..]) => Operation::Concat,
        ("lower", [_]) => Operation::Lower,
        ("upper", [_]) => Operation::Upper,
        _ => return Form::Unknown,
    };
    Form::Call(operation, arguments)
}

fn unary(op: &UnaryOperator) -> Option<Operation> {
    match op {
        UnaryOperator::Plus => Some(Operation::Add),
        UnaryOperator::Minus => Some(Operation::Negate),
        UnaryOperator::Not => Some(Operation::Not),
        UnaryOperator::AtDashAt
        | UnaryOperator::BangNot
        | UnaryOperator::BitwiseNot
        | UnaryOperator::DoubleAt
        | UnaryOperator::Hash
        | UnaryOperator::PGAbs
        | UnaryOperator::PGCubeRoot
        | UnaryOperator::PGPostfixFactorial
        | UnaryOperator::PGPrefixFactorial
        | UnaryOperator::PGSquareRoot
        | UnaryOperator::QuestionDash
        | UnaryOperator::QuestionPipe => None,
    }
}

fn binary(op: &BinaryOperator) -> Option<Operation> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    match op {
        BinaryOperator::Plus => Some(Operation::Add),
        BinaryOperator::Minus => Some(Operation::Subtract),
        BinaryOperator::Multiply => Some(Operation::Multiply),
        BinaryOperator::Divide => Some(Operation::Divide),
        BinaryOperator::Eq => Some(Operation::Compare(Equal)),
        BinaryOperator::NotEq => Some(Operation::Compare(NotEqual)),
        BinaryOperator::Lt => Some(Operation::Compare(Less)),
        BinaryOperator::LtEq => Some(Operation::Compare(LessOrEqual)),
        BinaryOperator::Gt => Some(Operation::Compare(Greater)),
        BinaryOperator::GtEq => Some(Operation::Compare(GreaterOrEqual)),
        BinaryOperator::And => Some(Operation::And),
        BinaryOperator::Or => Some(Operation::Or),
        BinaryOperator::Modulo
        | BinaryOperator::StringConcat
        | BinaryOperator::Spaceship
        | BinaryOperator::Xor
        | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::BitwiseXor
        | BinaryOperator::DuckIntegerDivide
        | BinaryOperator::MyIntegerDivide
        | BinaryOperator::Match
        | BinaryOperator::Regexp
        | BinaryOperator::Custom(..)
        | BinaryOperator::PGBitwiseXor
        | BinaryOperator::PGBitwiseShiftLeft
        | BinaryOperator::PGBitwiseShiftRight
        | BinaryOperator::PGExp
        | BinaryOperator::PGOverlap
        | BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch
        | BinaryOperator::PGLikeMatch
        | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch
        | BinaryOperator::PGNotILikeMatch
        | BinaryOperator::PGStartsWith
        | BinaryOperator::Arrow
        | BinaryOperator::LongArrow
        | BinaryOperator::HashArrow
        | BinaryOperator::HashLongArrow
        | BinaryOperator::AtAt
        | BinaryOperator::AtArrow
        | BinaryOperator::ArrowAt
        | BinaryOperator::HashMinus
        | BinaryOperator::AtQuestion
        | BinaryOperator::Question
        | BinaryOperator::QuestionAnd
        | BinaryOperator::QuestionPipe
        | BinaryOperator::Overlaps
        | BinaryOperator::DoubleHash
        | BinaryOperator::LtDashGt
        | BinaryOperator::AndLt
        | BinaryOperator::AndGt
        | BinaryOperator::LtLtPipe
        | BinaryOperator::PipeGtGt
        | BinaryOperator::AndLtPipe
        | BinaryOperator::PipeAndGt
        | BinaryOperator::LtCaret
        | BinaryOperator::GtCaret
        | BinaryOperator::QuestionHash
        | BinaryOperator::QuestionDash
        | BinaryOperator::QuestionDashPipe
        | BinaryOperator::QuestionDoublePipe
        | BinaryOperator::At
        | BinaryOperator::TildeEq
        | BinaryOperator::Assignment
        | BinaryOperator::PGCustomBinaryOperator(..) => None,
    }
}
