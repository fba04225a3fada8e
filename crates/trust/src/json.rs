//! Strict JSON: one meaning or none.
//!
//! Everything signed that arrives as JSON is read through [`strict`]. The ordinary reader lets the last of two equal
//! keys win; two programs that differ in this read two documents under one signature. Next: [`crate::dsse`].

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of lists and objects. Our documents nest up to seven deep.
pub(crate) const DEPTH_MAX: usize = 32;

/// The byte order mark in UTF-8.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Why bytes are not strict JSON of the expected form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Refused before it is looked at.
    #[error("it has more than {bytes_max} bytes")]
    Large {
        /// How many it may have.
        bytes_max: usize,
    },
    /// Not UTF-8, or with a byte order mark.
    #[error("it is not UTF-8 text without a byte order mark")]
    Encoding,
    /// Not one JSON value with finite numbers.
    #[error("it is not one JSON value: line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// One object has a key twice.
    #[error("an object has a key twice: line {line}, column {column}")]
    Duplicate {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Lists and objects nest too deep.
    #[error("it nests more than {DEPTH_MAX} deep")]
    Deep,
    /// A text has the character U+0000, at which some programs stop reading.
    #[error("a text in it has the character U+0000")]
    Null,
    /// JSON, but not of the expected form.
    #[error("it has a missing, unknown or wrong field: line {line}, column {column}")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

/// Reads `bytes` as exactly one JSON value of the form of `T`.
///
/// # Errors
/// See [`JsonError`]. The size is checked before anything is read.
pub(crate) fn strict<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::Large { bytes_max });
    }
    if bytes.starts_with(&BOM) || std::str::from_utf8(bytes).is_err() {
        return Err(JsonError::Encoding);
    }
    walk(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape {
        line: error.line(),
        column: error.column(),
    })
}

/// Looks at every value once, without keeping any.
fn walk(bytes: &[u8]) -> Result<(), JsonError> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let walk = Walk {
        room: DEPTH_MAX,
        fault: &fault,
    };
    let walked = walk.deserialize(&mut reader).and_then(|()| reader.end());
    walked.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match fault.get() {
            Some(Fault::Duplicate) => JsonError::Duplicate { line, column },
            Some(Fault::Deep) => JsonError::Deep,
            Some(Fault::Null) => JsonError::Null,
            None => JsonError::Syntax { line, column },
        }
    })
}

/// What the ordinary reader would let pass.
#[derive(Clone, Copy)]
enum Fault {
    Duplicate,
    Deep,
    Null,
}

/// Reads one value and forgets it.
#[derive(Clone, Copy)]
struct Walk<'a> {
    /// How many levels may still open.
    room: usize,
    /// What stopped the walk: the reader's own errors are text only.
    fault: &'a Cell<Option<Fault>>,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.room.checked_sub(1) {
            Some(room) => Ok(Self { room, ..self }),
            None => Err(self.refuse(Fault::Deep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(E::custom("not finite"))
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(self.refuse(Fault::Null));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.visit_str::<A::Error>(&key)?;
            if !seen.insert(key) {
                return Err(self.refuse(Fault::Duplicate));
            }
            entries.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
