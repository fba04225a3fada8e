//! Bytes to JSON under limits, and nothing lost on the way: of a member that is there twice, a reader that takes the last
//! one would show another policy than a reader that takes the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use terms::limit::DOCUMENT_BYTES_MAX;
use terms::{Problem, Report};

/// Largest exported policy, in bytes: an export spells out in full what the file says in a word.
const ODRL_BYTES_MAX: usize = 32 * DOCUMENT_BYTES_MAX;

/// Deepest nesting of an exported policy: an export nests less than half as deep.
const ODRL_DEPTH_MAX: usize = 32;

/// Reads the bytes of an exported policy as JSON.
///
/// # Errors
/// [`Problem::FileSyntax`] if they are not JSON, [`Problem::FileKey`] if a member is there twice, [`Problem::FileValue`]
/// if they are too many or nested too deep.
pub fn parse(bytes: &[u8]) -> Result<Value, Report> {
    if bytes.len() > ODRL_BYTES_MAX {
        return Err(too_large());
    }
    // The JSON reader stops of itself where nesting is so deep that it would need a deep stack.
    let Strict(value) = serde_json::from_slice(bytes).map_err(|error| not_read(&error))?;
    require_within_limits(&value)?;
    Ok(value)
}

/// Refuses what is too large or nested too deep to be an export, before anything follows its nesting.
pub(super) fn require_within_limits(value: &Value) -> Result<(), Report> {
    let mut bytes = 0_usize;
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > ODRL_DEPTH_MAX {
            let message = format!("an exported policy is nested at most {ODRL_DEPTH_MAX} deep, and this is deeper");
            return Err(Problem::FileValue.report(message));
        }
        bytes += 1;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => {
                bytes += members.keys().map(String::len).sum::<usize>();
                open.extend(members.values().map(|member| (member, depth + 1)));
            }
        }
        if bytes > ODRL_BYTES_MAX {
            return Err(too_large());
        }
    }
    Ok(())
}

fn too_large() -> Report {
    Problem::FileValue.report(format!(
        "an exported policy has at most {ODRL_BYTES_MAX} bytes, and this has more"
    ))
}

fn not_read(error: &serde_json::Error) -> Report {
    let problem = if error.is_data() {
        Problem::FileKey
    } else {
        Problem::FileSyntax
    };
    problem.report(format!("not the JSON of an exported policy: {error}"))
}

/// JSON in which no member is there twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((name, Strict(member))) = members.next_entry::<String, Strict>()? {
            let shown = super::same::name(&name);
            if read.insert(name, member).is_some() {
                return Err(A::Error::custom(format_args!("member {shown} is there twice")));
            }
        }
        Ok(Value::Object(read))
    }
}
