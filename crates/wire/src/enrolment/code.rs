//! The code that stands for a request, as it is read out by telephone: 80 bits of its SHA-256, Crockford's base32.

use std::fmt;
use std::str::FromStr;

use trust::Digest;

/// Bytes of a code: nobody finds another request with the code of a given one.
const BYTES: usize = 10;

/// Bits of a character.
const BITS: usize = 5;

/// Crockford's alphabet: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What stands for one sealed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code([u8; BYTES]);

/// Text or bytes that are no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a code: four groups of four letters and digits, such as 7Q2M-0XKD-94TZ-HB3E")]
pub struct CodeError;

impl Code {
    /// The code of a sealed request.
    pub fn of(sealed: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, ..] = *Digest::of(sealed).bytes();
        Self([a, b, c, d, e, f, g, h, i, j])
    }

    /// Its bytes, as they are sent.
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Code {
    type Error = CodeError;

    fn try_from(bytes: &[u8]) -> Result<Self, CodeError> {
        bytes.try_into().map(Self).map_err(|_| CodeError)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self
            .0
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let characters = BYTES * 8 / BITS;
        for place in 0..characters {
            if place > 0 && place % 4 == 0 {
                f.write_str("-")?;
            }
            let value = number >> (BITS * (characters - 1 - place)) & 31;
            let letter = ALPHABET.get(value as usize).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// As people write it: in any case, with or without hyphens, O for 0, I and L for 1.
impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let written = text.chars().filter(|c| !matches!(c, '-' | ' '));
        let mut number = 0_u128;
        let mut characters = 0;
        for c in written {
            characters += 1;
            if characters > BYTES * 8 / BITS {
                return Err(CodeError);
            }
            number = number << BITS | u128::from(value(c).ok_or(CodeError)?);
        }
        if characters != BYTES * 8 / BITS {
            return Err(CodeError);
        }
        let [.., a, b, c, d, e, f, g, h, i, j] = number.to_be_bytes();
        Ok(Self([a, b, c, d, e, f, g, h, i, j]))
    }
}

fn value(c: char) -> Option<u8> {
    let letter = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| char::from(*known) == letter)?;
    u8::try_from(place).ok()
}
