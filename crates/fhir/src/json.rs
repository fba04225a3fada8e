//! JSON that is read where it lies: one flat tape a document, used again for the next one.
//!
//! Three things that a general reader does not do together: a number keeps the digits it is written with (in FHIR, 1.0 and 1.00 differ),
//! nothing is allocated for a value, and what is ambiguous (a name twice in an object) or hostile (deep nesting) is refused. It takes no more
//! than RFC 8259 does; `json/tests.rs` compares it with `serde_json`. Next: `path/evaluate.rs`, which walks these values.

#[cfg(test)]
mod tests;

/// Deepest nesting of one document: several times that of any resource.
const DEPTH_MAX: usize = 128;

/// Most names in one object, so that finding a name twice stays cheap. No element of FHIR has as many.
const NAMES_MAX: usize = 512;

/// Why a text is not JSON that we read. It says where, and never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// What is wrong.
    pub(crate) what: &'static str,
    /// At which byte.
    pub(crate) at: usize,
}

const ENDS_EARLY: &str = "ends too early";

/// The memory into which documents are read, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    unescaped: String,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

/// A value; those inside an array or object follow it, up to `end`. In an object, names and values take turns.
#[derive(Clone, Copy, Debug)]
enum Node {
    Null,
    Boolean(bool),
    Number(Span),
    /// In the document.
    Text(Span),
    /// In `Tape::unescaped`.
    Unescaped(Span),
    Array {
        end: u32,
    },
    Object {
        end: u32,
        /// Whether some name begins with `_`: FHIR's place for what is said about a value.
        remarks: bool,
    },
}

/// A value of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'d> {
    text: &'d str,
    tape: &'d Tape,
    at: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'d> {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(&'d str),
    Text(&'d str),
    Array,
    Object,
}

impl Tape {
    /// Reads one document.
    pub(crate) fn read<'d>(&'d mut self, text: &'d str) -> Result<Value<'d>, JsonError> {
        self.nodes.clear();
        self.unescaped.clear();
        let mut parser = Parser {
            text,
            bytes: text.as_bytes(),
            at: 0,
            tape: self,
        };
        if u32::try_from(text.len()).is_err() {
            return Err(parser.wrong("is too long"));
        }
        parser.blank();
        parser.value(0)?;
        parser.blank();
        if parser.at < text.len() {
            return Err(parser.wrong("has something after its end"));
        }
        Ok(Value {
            text,
            tape: self,
            at: 0,
        })
    }

    fn end_of(&self, at: usize) -> usize {
        match self.nodes[at] {
            Node::Array { end } | Node::Object { end, .. } => end as usize,
            _ => at + 1,
        }
    }

    fn text<'d>(&'d self, text: &'d str, at: usize) -> &'d str {
        match self.nodes[at] {
            Node::Text(span) | Node::Number(span) => &text[span.start as usize..span.end as usize],
            Node::Unescaped(span) => &self.unescaped[span.start as usize..span.end as usize],
            _ => "",
        }
    }
}

impl<'d> Value<'d> {
    pub(crate) fn kind(self) -> Kind<'d> {
        match self.tape.nodes[self.at] {
            Node::Null => Kind::Null,
            Node::Boolean(value) => Kind::Boolean(value),
            Node::Number(_) => Kind::Number(self.tape.text(self.text, self.at)),
            Node::Text(_) | Node::Unescaped(_) => Kind::Text(self.tape.text(self.text, self.at)),
            Node::Array { .. } => Kind::Array,
            Node::Object { .. } => Kind::Object,
        }
    }

    /// Its text, if it is one.
    pub(crate) fn as_text(self) -> Option<&'d str> {
        match self.kind() {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of that name, unless it is null. Nothing, if this is not an object.
    pub(crate) fn field(self, name: &str) -> Option<Value<'d>> {
        let (_, value) = self.fields().find(|(known, _)| *known == name)?;
        (!matches!(value.kind(), Kind::Null)).then_some(value)
    }

    /// Names and values; none, if this is not an object.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'d str, Value<'d>)> {
        let end = match self.tape.nodes[self.at] {
            Node::Object { end, .. } => end as usize,
            _ => 0,
        };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let name = (at < end).then(|| self.tape.text(self.text, at))?;
            let value = Value { at: at + 1, ..self };
            at = self.tape.end_of(at + 1);
            Some((name, value))
        })
    }

    /// The elements of an array, also null ones. Any other value is the only element of itself, as FHIR means it.
    pub(crate) fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let (mut at, end) = match self.tape.nodes[self.at] {
            Node::Array { end } => (self.at + 1, end as usize),
            _ => (self.at, self.at + 1),
        };
        std::iter::from_fn(move || {
            let value = (at < end).then_some(Value { at, ..self })?;
            at = self.tape.end_of(at);
            Some(value)
        })
    }

    /// Whether this is an object in which something is said about its values, under names that begin with `_`.
    pub(crate) fn has_remarks(self) -> bool {
        matches!(self.tape.nodes[self.at], Node::Object { remarks: true, .. })
    }
}

struct Parser<'p> {
    text: &'p str,
    bytes: &'p [u8],
    at: usize,
    tape: &'p mut Tape,
}

impl Parser<'_> {
    fn wrong(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.at }
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.bytes.get(self.at).copied().ok_or_else(|| self.wrong(ENDS_EARLY))
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the text is shorter than 4 GiB: Tape::read"
    )]
    fn span(&self, start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Node::Boolean(true)),
            b'f' => self.word("false", Node::Boolean(false)),
            b'n' => self.word("null", Node::Null),
            _ => Err(self.wrong("has something that is no value")),
        }
    }

    fn word(&mut self, word: &'static str, node: Node) -> Result<(), JsonError> {
        for &byte in word.as_bytes() {
            if self.peek()? != byte {
                return Err(self.wrong("has something that is no value"));
            }
            self.at += 1;
        }
        self.tape.nodes.push(node);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        let own = self.open(depth)?;
        let mut next = self.peek()?;
        while next != b']' {
            self.value(depth + 1)?;
            next = self.separator(b']')?;
        }
        self.at += 1;
        let end = self.here();
        self.tape.nodes[own] = Node::Array { end };
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let own = self.open(depth)?;
        let mut names = Names::default();
        let mut next = self.peek()?;
        while next != b'}' {
            if next != b'"' {
                return Err(self.wrong("has something that is no name"));
            }
            let name = self.tape.nodes.len();
            self.string()?;
            self.distinct(own, name, &mut names)?;
            self.blank();
            if self.peek()? != b':' {
                return Err(self.wrong("lacks a colon"));
            }
            self.at += 1;
            self.blank();
            self.value(depth + 1)?;
            next = self.separator(b'}')?;
        }
        self.at += 1;
        let end = self.here();
        let remarks = names.remarks;
        self.tape.nodes[own] = Node::Object { end, remarks };
        Ok(())
    }

    /// Makes room for an array or object and goes to what comes first in it.
    fn open(&mut self, depth: usize) -> Result<usize, JsonError> {
        if depth >= DEPTH_MAX {
            return Err(self.wrong("is nested too deeply"));
        }
        self.at += 1;
        self.blank();
        self.tape.nodes.push(Node::Null);
        Ok(self.tape.nodes.len() - 1)
    }

    /// After a value: goes past the comma to what follows, or stays at what closes.
    fn separator(&mut self, close: u8) -> Result<u8, JsonError> {
        self.blank();
        match self.peek()? {
            b',' => {
                self.at += 1;
                self.blank();
                match self.peek()? {
                    next if next == close => Err(self.wrong("has a comma before nothing")),
                    next => Ok(next),
                }
            }
            next if next == close => Ok(next),
            _ => Err(self.wrong("lacks a comma")),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a text has fewer values than bytes")]
    fn here(&self) -> u32 {
        self.tape.nodes.len() as u32
    }

    /// That the object at `own` has not had the name at `name` before.
    fn distinct(&mut self, own: usize, name: usize, names: &mut Names) -> Result<(), JsonError> {
        let text = self.tape.text(self.text, name);
        names.count += 1;
        names.remarks |= text.starts_with('_');
        if names.count > NAMES_MAX {
            return Err(self.wrong("has an object with too many names"));
        }
        if !names.may_hold(text) {
            return Ok(());
        }
        let mut at = own + 1;
        while at < name {
            if self.tape.text(self.text, at) == text {
                return Err(self.wrong("has a name twice in one object"));
            }
            at = self.tape.end_of(at + 1);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.peek()? {
                self.at += 1;
            }
            self.digits()?;
        }
        let span = self.span(start, self.at);
        self.tape.nodes.push(Node::Number(span));
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.wrong("has a number that is none"));
        }
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek()? == b'"' {
            let span = self.span(start, self.at);
            self.at += 1;
            self.tape.nodes.push(Node::Text(span));
            return Ok(());
        }
        self.at = start;
        self.escaped_string()
    }

    /// Goes to the next byte that is not simply a letter of a string: a quote, a backslash, a control character.
    fn plain(&mut self) {
        while let Some(word) = self.bytes.get(self.at..self.at + 8) {
            let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            match special(word) {
                0 => self.at += 8,
                found => {
                    self.at += found.trailing_zeros() as usize / 8;
                    return;
                }
            }
        }
        while let Some(byte) = self.bytes.get(self.at)
            && !matches!(byte, b'"' | b'\\' | 0..0x20)
        {
            self.at += 1;
        }
    }

    fn escaped_string(&mut self) -> Result<(), JsonError> {
        let start = self.tape.unescaped.len();
        loop {
            let from = self.at;
            self.plain();
            self.tape.unescaped.push_str(&self.text[from..self.at]);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    let letter = self.escape()?;
                    self.tape.unescaped.push(letter);
                }
                _ => return Err(self.wrong("has a control character in a text")),
            }
        }
        self.at += 1;
        let span = self.span(start, self.tape.unescaped.len());
        self.tape.nodes.push(Node::Unescaped(span));
        Ok(())
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = match self.peek()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.wrong("has an escape that is none")),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.unit()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if self.peek()? != b'\\' {
                return Err(self.wrong("has half a character"));
            }
            self.at += 1;
            match self.peek()? {
                b'u' => {}
                _ => return Err(self.wrong("has half a character")),
            }
            match self.unit()? {
                second @ 0xDC00..0xE000 => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => return Err(self.wrong("has half a character")),
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.wrong("has half a character"))
    }

    /// The four digits after `u`.
    fn unit(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()?).to_digit(16);
            code = code * 16 + digit.ok_or_else(|| self.wrong("has an escape that is none"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

/// The names of one object, as far as it takes to see that one is new.
#[derive(Default)]
struct Names {
    count: usize,
    remarks: bool,
    seen: u64,
}

impl Names {
    /// Whether the name could have been there before; from now on it was.
    fn may_hold(&mut self, name: &str) -> bool {
        let ends = (name.as_bytes().first(), name.as_bytes().last());
        let mixed = match ends {
            (Some(&first), Some(&last)) => usize::from(first) * 7 + usize::from(last) * 31 + name.len() * 3,
            _ => 0,
        };
        let bit = 1_u64 << (mixed % 64);
        let held = self.seen & bit != 0;
        self.seen |= bit;
        held
    }
}

/// A word of eight bytes with the highest bit of each byte set that ends the plain part of a string; of those, the lowest is exact.
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control
}
