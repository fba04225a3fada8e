//! The signed head of an audit: a C2SP `tlog-checkpoint` in a C2SP `signed-note`.
//!
//! A checkpoint says how long a log is and what its root is. Signatures of others (witnesses) may stand beside
//! ours; [`Checkpoint::verify`] looks for one key and ignores the rest. Next: [`crate::merkle`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::{Problem, Report};

use crate::digest::Digest;
use crate::key::{PublicKey, Signature, SigningKey};
use crate::verified::Verified;

/// Longest signed note that is read, in bytes: a checkpoint and some hundred cosignatures.
const NOTE_BYTES_MAX: usize = 32 * 1024;

/// The signature type of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// The length and root of a log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: one line, unique to the node.
    pub origin: String,
    /// Entries in the log.
    pub size: u64,
    /// Root of the tree over them.
    pub root: [u8; 32],
}

/// Why a checkpoint could not be signed or does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a signed checkpoint.
    #[error("the checkpoint is not a signed note of origin, size and root")]
    Form,
    /// The origin is empty or has line breaks.
    #[error("the checkpoint's origin is not one line of text")]
    Origin,
    /// A key name is empty or has spaces or plus signs.
    #[error("the name of the signing key is empty or has spaces or plus signs")]
    Name,
    /// The key did not sign this text.
    #[error("the checkpoint has no valid signature of {name}")]
    Signature {
        /// The name that should have signed.
        name: String,
    },
}

impl Checkpoint {
    /// The signed note: the checkpoint's text and one signature under `name`.
    ///
    /// # Errors
    /// If origin or name cannot stand in a note.
    pub fn sign(&self, name: &str, key: &SigningKey) -> Result<String, CheckpointError> {
        if self.origin.is_empty() || self.origin.chars().any(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        if !is_key_name(name) {
            return Err(CheckpointError::Name);
        }
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        let signature = key.sign(text.as_bytes());
        let signed = [&key_hash(name, &key.public())[..], signature.bytes()].concat();
        Ok(format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signed)))
    }

    /// Checks that `key`, under `name`, signed the note, and reads the checkpoint in it.
    ///
    /// # Errors
    /// If the note is not of the form of a checkpoint without extensions, or this key did not sign it.
    pub fn verify(note: &str, name: &str, key: &PublicKey) -> Result<Verified<Checkpoint>, CheckpointError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(CheckpointError::Form);
        }
        let split = note.rfind("\n\n").ok_or(CheckpointError::Form)?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let missing = CheckpointError::Signature { name: name.to_owned() };
        let signature = find_signature(signatures, name, key)?.ok_or(missing.clone())?;
        key.verify(text.as_bytes(), &signature).map_err(|_| missing)?;
        parse(text).map(Verified::new).ok_or(CheckpointError::Form)
    }
}

impl From<CheckpointError> for Report {
    fn from(error: CheckpointError) -> Report {
        Problem::AuditBroken.report(error.to_string())
    }
}

/// The signature of this key under this name. Every line must be a signature line.
fn find_signature(lines: &str, name: &str, key: &PublicKey) -> Result<Option<Signature>, CheckpointError> {
    let mut found = None;
    for line in lines.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n') {
        let (signer, encoded) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(signer, _)| is_key_name(signer))
            .ok_or(CheckpointError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| CheckpointError::Form)?;
        let (hash, signature) = bytes.split_at_checked(4).ok_or(CheckpointError::Form)?;
        if signer == name && hash == key_hash(name, key) && found.is_none() {
            found = Some(Signature::from_bytes(signature).map_err(|_| CheckpointError::Form)?);
        }
    }
    Ok(found)
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let one_form = size == "0" || (!size.starts_with('0') && size.bytes().all(|b| b.is_ascii_digit()));
    if lines.next().is_some() || origin.is_empty() || !one_form {
        return None;
    }
    let root = STANDARD.decode(root).ok()?.try_into().ok()?;
    Some(Checkpoint {
        origin: origin.to_owned(),
        size: size.parse().ok()?,
        root,
    })
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// The first four bytes of SHA-256 over name, line break, signature type and public key.
fn key_hash(name: &str, key: &PublicKey) -> [u8; 4] {
    let digest = Digest::of(&[name.as_bytes(), b"\n", &[ED25519], key.bytes()].concat());
    let [a, b, c, d, ..] = *digest.bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "datenraum/oncology/gbsg";

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&[byte; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: NAME.to_owned(),
            size: 42,
            root: [7; 32],
        }
    }

    fn refusal(note: &str) -> CheckpointError {
        Checkpoint::verify(note, NAME, &key(1).public()).unwrap_err()
    }

    #[test]
    fn a_changed_size_root_or_origin_is_refused() {
        let note = checkpoint().sign(NAME, &key(1)).unwrap();
        for changed in [
            note.replacen("42", "43", 1),
            note.replacen("BwcH", "BwcI", 1),
            note.replacen("gbsg", "gbsh", 1),
        ] {
            assert_ne!(changed, note);
            assert_eq!(refusal(&changed), CheckpointError::Signature { name: NAME.to_owned() });
        }
    }

    #[test]
    fn another_key_and_another_name_are_refused() {
        let missing = CheckpointError::Signature { name: NAME.to_owned() };
        assert_eq!(refusal(&checkpoint().sign(NAME, &key(2)).unwrap()), missing);
        assert_eq!(refusal(&checkpoint().sign("other", &key(1)).unwrap()), missing);
    }

    #[test]
    fn a_text_that_is_signed_but_no_checkpoint_is_refused() {
        for text in [
            "o\n042\nBwc=\n",
            "o\n1\n",
            "o\n+1\nBwc=\n",
            &format!("o\n1\n{}\nmore\n", STANDARD.encode([7; 32])),
        ] {
            let signed = [
                &key_hash(NAME, &key(1).public())[..],
                key(1).sign(text.as_bytes()).bytes(),
            ]
            .concat();
            let note = format!("{text}\n\u{2014} {NAME} {}\n", STANDARD.encode(signed));
            assert_eq!(refusal(&note), CheckpointError::Form, "{text}");
        }
    }

    #[test]
    fn broken_notes_are_errors() {
        let note = checkpoint().sign(NAME, &key(1)).unwrap();
        let half = note[..note.len() - 9].to_owned();
        for text in [
            "",
            "\n\n",
            "a\n\nb",
            &half,
            &format!("{note}x"),
            &"\n\n".repeat(NOTE_BYTES_MAX),
        ] {
            assert_eq!(refusal(text), CheckpointError::Form);
        }
    }

    #[test]
    fn names_and_origins_that_break_the_note_are_not_signed() {
        for name in ["", "a b", "a+b", "a\nb"] {
            assert_eq!(checkpoint().sign(name, &key(1)), Err(CheckpointError::Name));
        }
        let broken = Checkpoint {
            origin: "a\nb".to_owned(),
            ..checkpoint()
        };
        assert_eq!(broken.sign(NAME, &key(1)), Err(CheckpointError::Origin));
    }

    #[test]
    fn a_checkpoint_beside_a_witness_is_read() {
        let note = checkpoint().sign(NAME, &key(1)).unwrap();
        assert!(note.starts_with("datenraum/oncology/gbsg\n42\nBwcHBwcH"));
        let witness = checkpoint().sign("witness", &key(2)).unwrap();
        let both = format!("{note}{}", witness.split_once("\n\n").unwrap().1);
        assert_eq!(
            Checkpoint::verify(&both, NAME, &key(1).public()).unwrap().into_inner(),
            checkpoint()
        );
        assert_eq!(
            Checkpoint::verify(&both, "witness", &key(2).public())
                .unwrap()
                .into_inner(),
            checkpoint()
        );
    }
}
