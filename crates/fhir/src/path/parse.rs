//! The text of a path becomes an [`Expr`], or is refused by name.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::lex::{Token, tokens};
use super::{DATA_TYPES, Expr, FieldName, Literal, Operator, Part, capitalized, moment_kind};
use crate::moment::{Boundary, Moment, MomentKind};

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 4 * 1024;

/// Most steps, values and operators of one path, so that none is nested deeper than a stack carries.
const NODES_MAX: usize = 128;

/// Deepest nesting of brackets, for the same reason: each is a dozen functions deep.
const DEPTH_MAX: usize = 20;

/// What a path is compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// The type of the resources: a path may begin with its name.
    pub(crate) resource: &'a str,
    /// The constants of the view.
    pub(crate) constants: &'a BTreeMap<String, Literal>,
    /// Whether the resource itself is in focus.
    pub(crate) at_root: bool,
}

/// Compiles a path.
///
/// # Errors
/// What is wrong with it or not supported, in words that go on from "the path … : ".
pub(crate) fn parse(path: &str, within: Surroundings<'_>) -> Result<Expr, String> {
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("is longer than {PATH_BYTES_MAX} bytes"));
    }
    let mut parser = Parser {
        tokens: tokens(path)?.into_iter().rev().collect(),
        within,
        nodes: 0,
        depth: 0,
        in_criteria: false,
    };
    let expr = parser.expression()?;
    match parser.tokens.last() {
        None => Ok(expr),
        Some(token) => Err(format!("{token} is not expected here")),
    }
}

struct Parser<'a> {
    /// The next one is the last.
    tokens: Vec<Token>,
    within: Surroundings<'a>,
    nodes: usize,
    depth: usize,
    in_criteria: bool,
}

/// Operators by how strongly they bind, the weakest first.
const LEVELS: [&[(&str, Operator)]; 8] = [
    &[("implies", Operator::Implies)],
    &[("or", Operator::Or), ("xor", Operator::Xor)],
    &[("and", Operator::And)],
    &[("=", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
    ],
    // `|`, which is no `Operator`.
    &[],
    &[
        ("+", Operator::Add),
        ("-", Operator::Subtract),
        ("&", Operator::Concatenate),
    ],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

const UNION_LEVEL: usize = 5;

/// Operators of FHIRPath that are refused by name.
const UNSUPPORTED: [&str; 7] = ["!~", "in", "contains", "is", "as", "div", "mod"];

impl Parser<'_> {
    fn peek_sign(&self, sign: &str) -> bool {
        matches!(self.tokens.last(), Some(Token::Sign(next)) if *next == sign)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is_next = self.peek_sign(sign);
        if is_next {
            self.tokens.pop();
        }
        is_next
    }

    fn require_sign(&mut self, sign: &str) -> Result<(), String> {
        match self.take_sign(sign) {
            true => Ok(()),
            false => Err(match self.tokens.last() {
                Some(token) => format!("{sign} is expected where {token} stands"),
                None => format!("{sign} is missing at the end"),
            }),
        }
    }

    fn count(&mut self) -> Result<(), String> {
        self.nodes += 1;
        match self.nodes > NODES_MAX {
            true => Err(format!("has more than {NODES_MAX} steps")),
            false => Ok(()),
        }
    }

    fn expression(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("is nested too deeply".to_owned());
        }
        let expr = self.binary(0)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            if level == UNION_LEVEL && self.take_sign("|") {
                self.count()?;
                let right = self.binary(level + 1)?;
                left = Expr::Union(Box::new(left), Box::new(right));
                continue;
            }
            let found = match self.tokens.last() {
                Some(Token::Sign(sign)) => operators.iter().find(|(text, _)| text == sign),
                Some(Token::Name(name)) => operators.iter().find(|(text, _)| text == name),
                _ => None,
            };
            let Some((_, operator)) = found else {
                return self.refuse_operator(left);
            };
            self.tokens.pop();
            self.count()?;
            let right = self.binary(level + 1)?;
            left = Expr::Binary(*operator, Box::new(left), Box::new(right));
        }
    }

    fn refuse_operator(&self, left: Expr) -> Result<Expr, String> {
        let next = match self.tokens.last() {
            Some(Token::Name(name)) => name.as_str(),
            Some(Token::Sign(sign)) => sign,
            _ => "",
        };
        match UNSUPPORTED.contains(&next) {
            true => Err(format!("the operator {next} is not supported")),
            false => Ok(left),
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.take_sign("-") {
            self.count()?;
            return Ok(Expr::Minus(Box::new(self.unary()?)));
        }
        self.take_sign("+");
        let mut expr = self.term()?;
        loop {
            if self.take_sign(".") {
                expr = self.step(expr)?;
            } else if self.take_sign("[") {
                expr = Expr::At(Box::new(expr), self.index()?);
                self.require_sign("]")?;
            } else {
                return Ok(expr);
            }
            self.count()?;
        }
    }

    fn index(&mut self) -> Result<usize, String> {
        let index = match self.expression()? {
            Expr::Literal(Literal::Number(number)) => usize::try_from(number).ok(),
            _ => None,
        };
        index.ok_or_else(|| "an index must be a whole number from 0 on, or a constant that is one".to_owned())
    }

    fn term(&mut self) -> Result<Expr, String> {
        self.count()?;
        if self.peek_call() {
            return self.step(Expr::This);
        }
        match self.tokens.pop() {
            Some(Token::This) => Ok(Expr::This),
            Some(Token::Text(text)) => Ok(Expr::Literal(Literal::Text(text))),
            Some(Token::Number(number)) => parse_decimal(&number).map(|number| Expr::Literal(Literal::Number(number))),
            Some(Token::Moment(text)) => literal_moment(&text),
            Some(Token::Constant(name)) => self.constant(&name),
            Some(Token::Quoted(name)) => Ok(Expr::Field(Box::new(Expr::This), FieldName::of(&name))),
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Ok(Expr::Literal(Literal::Boolean(true))),
                "false" => Ok(Expr::Literal(Literal::Boolean(false))),
                _ => self.first_name(&name),
            },
            Some(Token::Sign("(")) => {
                let expr = self.expression()?;
                self.require_sign(")")?;
                Ok(expr)
            }
            Some(Token::Sign("{")) => self.require_sign("}").map(|()| Expr::Nothing),
            Some(token) => Err(format!("{token} is not expected here")),
            None => Err("ends where a name or a value is expected".to_owned()),
        }
    }

    /// Whether a name and an opening bracket come next.
    fn peek_call(&self) -> bool {
        matches!(self.tokens.as_slice(), [.., Token::Sign("("), Token::Name(_)])
    }

    /// A name at the beginning: a field, or the type of the resource.
    fn first_name(&mut self, name: &str) -> Result<Expr, String> {
        let is_type = name.starts_with(|letter: char| letter.is_ascii_uppercase());
        match is_type {
            false => Ok(Expr::Field(Box::new(Expr::This), FieldName::of(name))),
            true if name == self.within.resource && self.within.at_root && !self.in_criteria => Ok(Expr::This),
            true => Err(format!("{name} is not the resource that is in focus")),
        }
    }

    fn constant(&self, name: &str) -> Result<Expr, String> {
        match name {
            "resource" | "rootResource" | "context" => Ok(Expr::Resource),
            "rowIndex" => Ok(Expr::RowIndex),
            _ => match self.within.constants.get(name) {
                Some(literal) => Ok(Expr::Literal(literal.clone())),
                None => Err(format!("there is no constant %{name}")),
            },
        }
    }

    /// What comes after a dot: a field or a function.
    fn step(&mut self, of: Expr) -> Result<Expr, String> {
        let is_call = self.peek_call();
        match self.tokens.pop() {
            Some(Token::Name(name)) if is_call => {
                self.tokens.pop();
                let expr = self.function(of, &name)?;
                self.require_sign(")")?;
                Ok(expr)
            }
            Some(Token::Name(name) | Token::Quoted(name)) => Ok(Expr::Field(Box::new(of), FieldName::of(&name))),
            Some(token) => Err(format!("{token} cannot follow a dot")),
            None => Err("ends with a dot".to_owned()),
        }
    }

    fn function(&mut self, of: Expr, name: &str) -> Result<Expr, String> {
        if name == "ofType" {
            return self.of_type(of);
        }
        let of = Box::new(of);
        match name {
            "first" => Ok(Expr::First(of)),
            "last" => Ok(Expr::Last(of)),
            "count" => Ok(Expr::Count(of)),
            "empty" => Ok(Expr::Exists(of, false)),
            "not" => Ok(Expr::Not(of)),
            "exists" if self.peek_sign(")") => Ok(Expr::Exists(of, true)),
            "exists" => Ok(Expr::Exists(Box::new(Expr::Where(of, self.criteria()?)), true)),
            "where" => Ok(Expr::Where(of, self.criteria()?)),
            "extension" => Ok(Expr::Extension(of, self.text(name)?)),
            "join" if self.peek_sign(")") => Ok(Expr::Join(of, String::new())),
            "join" => Ok(Expr::Join(of, self.text(name)?)),
            "lowBoundary" => Ok(Expr::Bounded(of, Boundary::Low)),
            "highBoundary" => Ok(Expr::Bounded(of, Boundary::High)),
            "getResourceKey" => Ok(Expr::ResourceKey(of)),
            "getReferenceKey" if self.peek_sign(")") => Ok(Expr::ReferenceKey(of, None)),
            "getReferenceKey" => Ok(Expr::ReferenceKey(of, Some(self.type_name(name)?))),
            "startsWith" => Ok(Expr::Has(of, Part::Start, Box::new(self.expression()?))),
            "endsWith" => Ok(Expr::Has(of, Part::End, Box::new(self.expression()?))),
            "contains" => Ok(Expr::Has(of, Part::Anywhere, Box::new(self.expression()?))),
            _ => Err(format!("the function {name}() is not supported")),
        }
    }

    fn criteria(&mut self) -> Result<Box<Expr>, String> {
        let outside = std::mem::replace(&mut self.in_criteria, true);
        let criteria = self.expression()?;
        self.in_criteria = outside;
        Ok(Box::new(criteria))
    }

    fn text(&mut self, function: &str) -> Result<String, String> {
        match self.expression()? {
            Expr::Literal(Literal::Text(text)) => Ok(text),
            _ => Err(format!("{function}() takes a text, or a constant that is one")),
        }
    }

    fn type_name(&mut self, function: &str) -> Result<String, String> {
        match self.tokens.pop() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(format!("{function}() takes the name of a type")),
        }
    }

    /// `ofType(T)`. A resource in JSON says the type of a value in its name only, so that a data type must follow that name.
    fn of_type(&mut self, of: Expr) -> Result<Expr, String> {
        let wanted = self.type_name("ofType")?;
        match of {
            Expr::Field(of, field) if DATA_TYPES.contains(&wanted.as_str()) => {
                let mut name = FieldName::of(&(field.name + &capitalized(&wanted)));
                name.is_choice = false;
                Ok(Expr::Choice(of, name, moment_kind(&wanted)))
            }
            _ if DATA_TYPES.contains(&wanted.as_str()) => Err(format!(
                "ofType({wanted}) must come straight after the name of the element, as in value.ofType({wanted})"
            )),
            of if wanted.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
                Ok(Expr::OfResource(Box::new(of), wanted))
            }
            _ => Err(format!("{wanted} is not a type of FHIR R4")),
        }
    }
}

/// A number with the digits it is written with.
///
/// # Errors
/// It has more digits than can be kept.
pub(crate) fn parse_decimal(text: &str) -> Result<Decimal, String> {
    let parsed = match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(text),
        false => Decimal::from_str_exact(text),
    };
    parsed.map_err(|_| "a number has more digits than can be kept".to_owned())
}

fn literal_moment(text: &str) -> Result<Expr, String> {
    let (written, kind) = match (text.strip_prefix('T'), text.strip_suffix('T')) {
        (Some(time), _) => (time, MomentKind::Time),
        (_, Some(day)) => (day, MomentKind::DateTime),
        _ if text.contains('T') => (text, MomentKind::DateTime),
        _ => (text, MomentKind::Date),
    };
    match Moment::of_kind(written, kind) {
        Some(_) => Ok(Expr::Literal(Literal::Moment(written.to_owned(), kind))),
        None => Err(format!("@{text} is no date or time")),
    }
}
