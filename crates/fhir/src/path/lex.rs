//! The words and signs of a path.

use std::fmt;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, or a word such as `and`.
    Name(String),
    /// A name in backquotes: never a word such as `and`.
    Quoted(String),
    Text(String),
    Number(String),
    /// What follows `@`.
    Moment(String),
    /// `%name`
    Constant(String),
    /// `$this`
    This,
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Name(name) | Token::Quoted(name) => write!(f, "{name}"),
            Token::Text(text) => write!(f, "'{text}'"),
            Token::Number(number) => write!(f, "{number}"),
            Token::Moment(text) => write!(f, "@{text}"),
            Token::Constant(name) => write!(f, "%{name}"),
            Token::This => write!(f, "$this"),
            Token::Sign(sign) => write!(f, "{sign}"),
        }
    }
}

/// Longer signs first.
const SIGNS: [&str; 21] = [
    "!=", "!~", "<=", ">=", ".", ",", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "|", "&", "=", "<", ">",
];

/// The tokens of a path.
///
/// # Errors
/// What cannot be read.
pub(super) fn tokens(path: &str) -> Result<Vec<Token>, String> {
    let mut rest = path.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\'' => delimited(rest, '\'').map(|(text, after)| (Token::Text(text), after))?,
            '`' => delimited(rest, '`').map(|(name, after)| (Token::Quoted(name), after))?,
            '%' => constant(&rest[1..])?,
            '$' => match rest.strip_prefix("$this") {
                Some(after) => (Token::This, after),
                None => return Err(format!("{} is not supported", word(rest, 1).0)),
            },
            '@' => {
                let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, ':' | '-' | '+' | '.');
                let (text, after) = split(&rest[1..], is_part);
                (Token::Moment(text.to_owned()), after)
            }
            '0'..='9' => number(rest),
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                let (name, after) = word(rest, 0);
                (Token::Name(name.to_owned()), after)
            }
            _ => sign(rest)?,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !is_part(letter)).unwrap_or(text.len()))
}

/// A word that begins after `skip` bytes, with those.
fn word(text: &str, skip: usize) -> (&str, &str) {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (name, _) = split(&text[skip..], is_part);
    text.split_at(skip + name.len())
}

fn number(text: &str) -> (Token, &str) {
    let (whole, after) = split(text, |letter| letter.is_ascii_digit());
    let fraction = after
        .strip_prefix('.')
        .map(|after| split(after, |letter| letter.is_ascii_digit()));
    match fraction {
        Some((fraction, after)) if !fraction.is_empty() => (Token::Number(format!("{whole}.{fraction}")), after),
        _ => (Token::Number(whole.to_owned()), after),
    }
}

fn constant(text: &str) -> Result<(Token, &str), String> {
    let (name, after) = match text.chars().next() {
        Some(quote @ ('\'' | '`')) => delimited(text, quote)?,
        _ => {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            let (name, after) = split(text, is_part);
            (name.to_owned(), after)
        }
    };
    Ok((Token::Constant(name), after))
}

fn sign(text: &str) -> Result<(Token, &str), String> {
    SIGNS
        .iter()
        .find_map(|sign| Some((Token::Sign(sign), text.strip_prefix(sign)?)))
        .ok_or_else(|| format!("{:?} means nothing here", text.chars().next().unwrap_or_default()))
}

/// A text up to the quote that ends it, without its escapes.
fn delimited(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut letters = text.char_indices().skip(1);
    let mut content = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => content.push(escape(&mut letters)?),
            _ if letter == quote => return Ok((content, &text[at + 1..])),
            _ => content.push(letter),
        }
    }
    Err(format!("a text begins with {quote} and does not end"))
}

fn escape(letters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    match letters.next().map(|(_, letter)| letter) {
        Some(letter @ ('\'' | '"' | '`' | '\\' | '/')) => Ok(letter),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('f') => Ok('\u{c}'),
        Some('u') => {
            let code: String = letters.take(4).map(|(_, letter)| letter).collect();
            let letter = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
            letter.ok_or_else(|| format!("\\u{code} is no character"))
        }
        _ => Err("an escape in a text is none".to_owned()),
    }
}
