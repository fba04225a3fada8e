//! What a person types to open their key.

use std::fmt;

use zeroize::Zeroizing;

/// Shortest passphrase of a new key, in characters. Whoever has the file can try without end, so this is more than a
/// site asks for; NIST SP 800-63B asks for 8 where tries are counted.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

/// The passphrase of a key file. Wiped from memory when dropped; never shown.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase as it was typed or read from a file. The line ending is not part of it.
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Self(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// Whether it is too short for a new key: [`PASSPHRASE_CHARS_MIN`].
    pub fn is_short(&self) -> bool {
        self.0.chars().count() < PASSPHRASE_CHARS_MIN
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether the same was typed twice.
impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}
