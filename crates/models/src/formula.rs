//! Formulas as R and patsy users write them: `relapsed ~ age + C(grade) + hormone:age + offset(log(years))`.
//!
//! A formula names columns and a closed list of functions, and nothing else: what is not in the list is refused with the place
//! where it stands. Next: `design.rs`, which resolves it against the columns of a collection.

use std::collections::BTreeSet;
use std::fmt;

use terms::{Problem, Report};

/// Most bytes of a formula.
const FORMULA_BYTES_MAX: usize = 4_000;

/// Most terms of a formula once it is multiplied out.
const TERMS_MAX: usize = 200;

/// What is explained, and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// What stands before `~`.
    pub response: Response,
    /// Products of variables, each once, in the order in which R puts them: by how many there are in them, then as written.
    pub terms: Vec<Vec<Atom>>,
    /// Whether there is a constant.
    pub intercept: bool,
    /// Added to the linear predictor as they are.
    pub offsets: Vec<Atom>,
    /// `strata(x)`: a baseline hazard of its own for each value.
    pub strata: Vec<String>,
}

/// What stands before `~`.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// A variable.
    One(Atom),
    /// `Surv(time, event)`.
    Survival {
        /// The column with the time under observation.
        time: String,
        /// The column that says whether the event came.
        event: Atom,
    },
}

/// One variable, made of one column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom {
    /// The column.
    pub column: String,
    /// What is made of it.
    pub shape: Shape,
}

/// What is made of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// The column as it is: numbers as they stand, declared texts as a factor.
    Plain,
    /// `C(x)`, `C(x, "reference")`: a factor.
    Factor(Option<String>),
    /// `bin(x)`: the declared bins of a number as a factor.
    Bin,
    /// `log(x)`, the natural logarithm.
    Log,
    /// `sqrt(x)`
    Root,
    /// `I(x^2)`, to the power of 2, 3 or 4.
    Power(u8),
    /// `x == "a"`, `x != "a"`, `x >= 50`, `x < 50`: 1 where it is true, 0 where it is not.
    Is(Comparison, Literal),
    /// `x in ("a", "b")`: 1 for these values, 0 for others.
    OneOf(Vec<Literal>),
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a column is compared with, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Literal {
    /// In quotes.
    Text(String),
    /// A number.
    Number(String),
}

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` with the text, a mark under the place, and what can stand there.
    pub fn parse(text: &str) -> Result<Self, Report> {
        if text.len() > FORMULA_BYTES_MAX {
            let message = format!("the formula is longer than {FORMULA_BYTES_MAX} bytes");
            return Err(Problem::ModelFormula.report(message));
        }
        let tokens = tokens(text)?;
        Parser { text, tokens, at: 0 }.formula()
    }

    /// Reads variables without a response and without products: `age + log(bili)` or `age, log(bili)`.
    ///
    /// # Errors
    /// As [`Formula::parse`].
    pub fn parse_variables(text: &str) -> Result<Vec<Atom>, Report> {
        if text.len() > FORMULA_BYTES_MAX {
            let message = format!("the variables are longer than {FORMULA_BYTES_MAX} bytes");
            return Err(Problem::ModelFormula.report(message));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser { text, tokens, at: 0 };
        let mut atoms = vec![parser.atom()?];
        while parser.take("+") || parser.take(",") {
            let (at, atom) = (parser.place(), parser.atom()?);
            if atoms.len() == TERMS_MAX || atoms.contains(&atom) {
                return Err(wrong(text, at, &format!("each variable once, and at most {TERMS_MAX}")));
            }
            atoms.push(atom);
        }
        if parser.peek().is_some() {
            return Err(wrong(text, parser.place(), "here a `+`, a `,` or the end is expected"));
        }
        Ok(atoms)
    }

    /// Every column that it names.
    pub fn columns(&self) -> BTreeSet<&str> {
        let response = match &self.response {
            Response::One(atom) => vec![atom.column.as_str()],
            Response::Survival { time, event } => vec![time.as_str(), event.column.as_str()],
        };
        let atoms = self.terms.iter().flatten().chain(&self.offsets);
        let atoms = atoms.map(|atom| atom.column.as_str());
        response
            .into_iter()
            .chain(atoms)
            .chain(self.strata.iter().map(String::as_str))
            .collect()
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        match &self.shape {
            Shape::Plain => f.write_str(column),
            Shape::Factor(None) => write!(f, "C({column})"),
            Shape::Factor(Some(reference)) => write!(f, "C({column}, \"{reference}\")"),
            Shape::Bin => write!(f, "bin({column})"),
            Shape::Log => write!(f, "log({column})"),
            Shape::Root => write!(f, "sqrt({column})"),
            Shape::Power(power) => write!(f, "I({column}^{power})"),
            Shape::Is(comparison, literal) => write!(f, "{column} {comparison} {literal}"),
            Shape::OneOf(literals) => {
                let literals: Vec<String> = literals.iter().map(ToString::to_string).collect();
                write!(f, "{column} in ({})", literals.join(", "))
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "\"{text}\""),
            Literal::Number(number) => f.write_str(number),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Name(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

/// A word and the byte at which it begins.
type Token = (Word, usize);

/// The longest first, so that `>=` is not `>` and `=`.
const SIGNS: [&str; 16] = [
    "==", "!=", "<=", ">=", "**", "~", "+", "-", "*", ":", "(", ")", ",", "^", "<", ">",
];

fn tokens(text: &str) -> Result<Vec<Token>, Report> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (word, length) = word(rest).ok_or_else(|| wrong(text, at, "this cannot stand in a formula"))?;
        tokens.push((word, at));
        at += length;
    }
    Ok(tokens)
}

/// The first word of a text that does not begin with a space, and how many bytes it takes.
fn word(rest: &str) -> Option<(Word, usize)> {
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Some((Word::Sign(sign), sign.len()));
    }
    let first = rest.chars().next()?;
    let while_true = |accept: fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
    match first {
        '"' | '\'' => {
            let inner = &rest[1..];
            let end = inner.find(first)?;
            Some((Word::Text(inner[..end].to_owned()), end + 2))
        }
        '0'..='9' | '.' => {
            let end = while_true(|c| c.is_ascii_digit() || c == '.');
            Some((Word::Number(rest[..end].to_owned()), end))
        }
        c if c.is_alphabetic() || c == '_' => {
            let end = while_true(|c| c.is_alphanumeric() || c == '_');
            Some((Word::Name(rest[..end].to_owned()), end))
        }
        _ => None,
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

/// What one summand says.
enum Summand {
    Intercept(bool),
    Terms(Vec<Vec<Atom>>),
    Offset(Atom),
    Strata(String),
}

impl Parser<'_> {
    fn formula(mut self) -> Result<Formula, Report> {
        let response = self.response()?;
        self.expect("~", "the formula needs a `~` between what is explained and by what")?;
        let mut formula = Formula {
            response,
            terms: Vec::new(),
            intercept: true,
            offsets: Vec::new(),
            strata: Vec::new(),
        };
        let mut plus = true;
        loop {
            let at = self.place();
            match (self.summand()?, plus) {
                (Summand::Intercept(is_there), plus) => formula.intercept = is_there == plus,
                (Summand::Terms(terms), true) => {
                    for term in terms {
                        if !formula.terms.contains(&term) {
                            formula.terms.push(term);
                        }
                    }
                }
                (Summand::Offset(atom), true) => formula.offsets.push(atom),
                (Summand::Strata(column), true) => formula.strata.push(column),
                (_, false) => return Err(wrong(self.text, at, "only `- 1` can be taken away: leave the term out")),
            }
            if formula.terms.len() > TERMS_MAX {
                return Err(wrong(self.text, at, &format!("there are more than {TERMS_MAX} terms")));
            }
            match self.next() {
                None => break,
                Some((Word::Sign("+"), _)) => plus = true,
                Some((Word::Sign("-"), _)) => plus = false,
                Some((_, at)) => return Err(wrong(self.text, at, "here a `+` or the end is expected")),
            }
        }
        formula.terms.sort_by_key(Vec::len);
        Ok(formula)
    }

    fn response(&mut self) -> Result<Response, Report> {
        if self.peek_name() == Some("Surv") {
            self.at += 1;
            self.expect("(", "`Surv` is written `Surv(time, event)`")?;
            let time = self.name("the column with the time")?;
            self.expect(",", "`Surv` is written `Surv(time, event)`")?;
            let event = self.atom()?;
            self.expect(")", "`Surv(` is not closed")?;
            return Ok(Response::Survival { time, event });
        }
        Ok(Response::One(self.atom()?))
    }

    fn summand(&mut self) -> Result<Summand, Report> {
        match self.peek() {
            Some(Word::Number(number)) if number == "1" || number == "0" => {
                let is_there = number == "1";
                self.at += 1;
                return Ok(Summand::Intercept(is_there));
            }
            Some(Word::Name(name)) if name == "offset" && self.is_call() => {
                self.at += 2;
                let atom = self.atom()?;
                self.expect(")", "`offset(` is not closed")?;
                return Ok(Summand::Offset(atom));
            }
            Some(Word::Name(name)) if name == "strata" && self.is_call() => {
                self.at += 2;
                let column = self.name("a column")?;
                self.expect(")", "`strata(` is not closed")?;
                return Ok(Summand::Strata(column));
            }
            _ => {}
        }
        let mut terms = self.product()?;
        while self.take("*") {
            let other = self.product()?;
            let crossed = terms.iter().flat_map(|one| other.iter().map(|two| both(one, two)));
            let more: Vec<_> = crossed.collect();
            for term in other.into_iter().chain(more) {
                if !terms.contains(&term) {
                    terms.push(term);
                }
            }
            if terms.len() > TERMS_MAX {
                return Err(wrong(
                    self.text,
                    self.place(),
                    &format!("there are more than {TERMS_MAX} terms"),
                ));
            }
        }
        Ok(Summand::Terms(terms))
    }

    /// Variables joined by `:`.
    fn product(&mut self) -> Result<Vec<Vec<Atom>>, Report> {
        let mut term = vec![self.atom()?];
        while self.take(":") {
            term = both(&term, &[self.atom()?]);
        }
        Ok(vec![term])
    }

    fn atom(&mut self) -> Result<Atom, Report> {
        if self.take("(") {
            let atom = self.atom()?;
            self.expect(")", "a parenthesis is not closed")?;
            return Ok(atom);
        }
        let at = self.place();
        let name = self.name("the name of a column")?;
        if !self.take("(") {
            return self.compared(name);
        }
        let atom = match name.as_str() {
            "C" | "factor" => {
                let column = self.name("a column")?;
                let reference = if self.take(",") { Some(self.level()?) } else { None };
                let shape = Shape::Factor(reference);
                Atom { column, shape }
            }
            "bin" => self.of_column(Shape::Bin)?,
            "log" => self.of_column(Shape::Log)?,
            "sqrt" => self.of_column(Shape::Root)?,
            "I" => self.identity()?,
            _ => {
                let known = "C, bin, log, sqrt, I, offset, strata and, before the `~`, Surv";
                return Err(wrong(
                    self.text,
                    at,
                    &format!("there is no function {name} here; there are {known}"),
                ));
            }
        };
        self.expect(")", "a parenthesis is not closed")?;
        Ok(atom)
    }

    fn of_column(&mut self, shape: Shape) -> Result<Atom, Report> {
        let column = self.name("a column")?;
        Ok(Atom { column, shape })
    }

    /// What stands in `I( )`: a power or a comparison.
    fn identity(&mut self) -> Result<Atom, Report> {
        let column = self.name("a column")?;
        if !self.take("^") && !self.take("**") {
            return self.compared(column);
        }
        let at = self.place();
        let power = match self.next() {
            Some((Word::Number(number), _)) => number.parse().ok().filter(|power| (2..=4).contains(power)),
            _ => None,
        };
        let power = power.ok_or_else(|| wrong(self.text, at, "a power is 2, 3 or 4"))?;
        let shape = Shape::Power(power);
        Ok(Atom { column, shape })
    }

    /// A column, and a comparison if one follows.
    fn compared(&mut self, column: String) -> Result<Atom, Report> {
        let comparison = match self.peek() {
            Some(Word::Sign("==")) => Comparison::Equal,
            Some(Word::Sign("!=")) => Comparison::NotEqual,
            Some(Word::Sign("<")) => Comparison::Less,
            Some(Word::Sign("<=")) => Comparison::LessOrEqual,
            Some(Word::Sign(">")) => Comparison::Greater,
            Some(Word::Sign(">=")) => Comparison::GreaterOrEqual,
            Some(Word::Name(word)) if word == "in" => return self.one_of(column),
            _ => {
                let shape = Shape::Plain;
                return Ok(Atom { column, shape });
            }
        };
        self.at += 1;
        let shape = Shape::Is(comparison, self.literal()?);
        Ok(Atom { column, shape })
    }

    fn one_of(&mut self, column: String) -> Result<Atom, Report> {
        self.at += 1;
        self.expect("(", "`in` is written `x in (\"a\", \"b\")`")?;
        let mut literals = vec![self.literal()?];
        while self.take(",") {
            literals.push(self.literal()?);
        }
        self.expect(")", "`in (` is not closed")?;
        let shape = Shape::OneOf(literals);
        Ok(Atom { column, shape })
    }

    fn literal(&mut self) -> Result<Literal, Report> {
        let at = self.place();
        let negative = if self.take("-") { "-" } else { "" };
        match self.next() {
            Some((Word::Number(number), _)) => Ok(Literal::Number(format!("{negative}{number}"))),
            Some((Word::Text(text), _)) if negative.is_empty() => Ok(Literal::Text(text)),
            _ => Err(wrong(self.text, at, "here a number or a text in quotes is expected")),
        }
    }

    fn level(&mut self) -> Result<String, Report> {
        let at = self.place();
        match self.next() {
            Some((Word::Text(level) | Word::Number(level), _)) => Ok(level),
            _ => Err(wrong(self.text, at, "here a level in quotes is expected")),
        }
    }

    fn name(&mut self, what: &str) -> Result<String, Report> {
        let at = self.place();
        match self.next() {
            Some((Word::Name(name), _)) => Ok(name),
            _ => Err(wrong(self.text, at, &format!("here {what} is expected"))),
        }
    }

    fn expect(&mut self, sign: &'static str, otherwise: &str) -> Result<(), Report> {
        if self.take(sign) {
            return Ok(());
        }
        Err(wrong(self.text, self.place(), otherwise))
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let is_next = matches!(self.peek(), Some(Word::Sign(next)) if *next == sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn is_call(&self) -> bool {
        matches!(self.tokens.get(self.at + 1), Some((Word::Sign("("), _)))
    }

    fn peek(&self) -> Option<&Word> {
        self.tokens.get(self.at).map(|(word, _)| word)
    }

    fn peek_name(&self) -> Option<&str> {
        match self.peek() {
            Some(Word::Name(name)) if self.is_call() => Some(name),
            _ => None,
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// The byte at which the next word begins.
    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |(_, at)| *at)
    }
}

/// Both products in one, each variable once.
fn both(one: &[Atom], two: &[Atom]) -> Vec<Atom> {
    let mut term = one.to_vec();
    term.extend(two.iter().filter(|atom| !one.contains(atom)).cloned());
    term
}

/// What is wrong, with the formula and a mark under the place.
fn wrong(text: &str, at: usize, what: &str) -> Report {
    let before = text.get(..at).unwrap_or(text).chars().count();
    let message = format!("{what}\n  {text}\n  {}^", " ".repeat(before));
    Problem::ModelFormula.report(message)
}

#[cfg(test)]
mod tests;
