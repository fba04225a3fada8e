//! The signed head of an audit: a C2SP `tlog-checkpoint` in a C2SP `signed-note`.
//!
//! A checkpoint says how long a log is and what its root is. Signatures of others (witnesses) may stand beside
//! ours; [`Checkpoint::verify`] looks for one key and ignores the rest. A witness cosigns in the form of C2SP `tlog-cosignature` v1,
//! with the time: [`Cosigned`]. Next: [`crate::merkle`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::{Problem, Report, UtcTime};

use crate::digest::Digest;
use crate::key::{PublicKey, Signature, SigningKey};
use crate::verified::Verified;

/// Longest signed note that is read, in bytes: a checkpoint and some hundred cosignatures.
const NOTE_BYTES_MAX: usize = 32 * 1024;

/// The signature type of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// The signature type of a timestamped Ed25519 cosignature. C2SP tlog-cosignature.
const COSIGNATURE: u8 = 4;

/// The key name of a broker as a witness.
pub const WITNESS_NAME: &str = "datenraum/broker";

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

/// A checkpoint that a witness cosigned: it saw no other log of this origin that is not the beginning of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What it cosigned.
    pub checkpoint: Checkpoint,
    /// When, by the witness's clock.
    pub at: UtcTime,
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
    /// A time before 1970, or one that no calendar has.
    #[error("the time of the cosignature is none")]
    Time,
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
        Ok(format!("{}\n{}", self.text(), self.signature(name, key)?))
    }

    /// The line of one more signature, which goes below the others of the note.
    ///
    /// # Errors
    /// As [`Checkpoint::sign`].
    pub fn signature(&self, name: &str, key: &SigningKey) -> Result<String, CheckpointError> {
        if self.origin.is_empty() || self.origin.chars().any(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        if !is_key_name(name) {
            return Err(CheckpointError::Name);
        }
        let signature = key.sign(self.text().as_bytes());
        let hash = key_hash(name, ED25519, &key.public());
        Ok(signature_line(name, hash, signature.bytes()))
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Checks that `key`, under `name`, signed the note, and reads the checkpoint in it.
    ///
    /// # Errors
    /// If the note is not of the form of a checkpoint without extensions, or this key did not sign it.
    pub fn verify(note: &str, name: &str, key: &PublicKey) -> Result<Verified<Checkpoint>, CheckpointError> {
        let (text, signatures) = split(note)?;
        let missing = || CheckpointError::Signature { name: name.to_owned() };
        let signature = find_signature(signatures, name, key_hash(name, ED25519, key))?.ok_or_else(missing)?;
        let signature = Signature::from_bytes(&signature).map_err(|_| CheckpointError::Form)?;
        key.verify(text.as_bytes(), &signature).map_err(|_| missing())?;
        parse(text).map(Verified::new).ok_or(CheckpointError::Form)
    }

    /// The origin that a note says to be of, unverified: to find the key that must have signed it.
    pub fn claimed_origin(note: &str) -> Option<&str> {
        note.split_once('\n').map(|(origin, _)| origin)
    }
}

impl Verified<Checkpoint> {
    /// The line with which the witness `name` cosigns. It goes below the others of the signed note.
    ///
    /// # Errors
    /// If the name cannot stand in a note, or the time is before 1970.
    pub fn cosign(&self, name: &str, key: &SigningKey, at: UtcTime) -> Result<String, CheckpointError> {
        if !is_key_name(name) {
            return Err(CheckpointError::Name);
        }
        let seconds = u64::try_from(at.as_second()).map_err(|_| CheckpointError::Time)?;
        let signature = key.sign(&cosigned_message(seconds, &self.text()));
        let signed = [&seconds.to_be_bytes()[..], signature.bytes()].concat();
        Ok(signature_line(
            name,
            key_hash(name, COSIGNATURE, &key.public()),
            &signed,
        ))
    }
}

impl Cosigned {
    /// Checks that the witness `name` with this key cosigned the note. Whether the log's own key signed it is [`Checkpoint::verify`]'s
    /// to say.
    ///
    /// # Errors
    /// If the note is not of the form of a checkpoint without extensions, or this key did not cosign it.
    pub fn verify(note: &str, name: &str, key: &PublicKey) -> Result<Verified<Cosigned>, CheckpointError> {
        let (text, signatures) = split(note)?;
        let missing = || CheckpointError::Signature { name: name.to_owned() };
        let signed = find_signature(signatures, name, key_hash(name, COSIGNATURE, key))?.ok_or_else(missing)?;
        let (seconds, signature) = signed.split_first_chunk().ok_or(CheckpointError::Form)?;
        let seconds = u64::from_be_bytes(*seconds);
        let signature = Signature::from_bytes(signature).map_err(|_| CheckpointError::Form)?;
        key.verify(&cosigned_message(seconds, text), &signature)
            .map_err(|_| missing())?;
        let at = i64::try_from(seconds)
            .ok()
            .and_then(|seconds| UtcTime::from_second(seconds).ok());
        let checkpoint = parse(text).ok_or(CheckpointError::Form)?;
        Ok(Verified::new(Cosigned {
            checkpoint,
            at: at.ok_or(CheckpointError::Time)?,
        }))
    }
}

/// What a cosignature signs. C2SP tlog-cosignature, v1.
fn cosigned_message(seconds: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{text}").into_bytes()
}

fn signature_line(name: &str, hash: [u8; 4], signed: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&hash[..], signed].concat()))
}

/// The text that is signed, and the lines of signatures.
fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(CheckpointError::Form);
    }
    let split = note.rfind("\n\n").ok_or(CheckpointError::Form)?;
    Ok((&note[..=split], &note[split + 2..]))
}

impl From<CheckpointError> for Report {
    fn from(error: CheckpointError) -> Report {
        Problem::AuditBroken.report(error.to_string())
    }
}

/// What stands behind this name and key, the first if there are several. Every line must be a signature line.
fn find_signature(lines: &str, name: &str, key: [u8; 4]) -> Result<Option<Vec<u8>>, CheckpointError> {
    let mut found = None;
    for line in lines.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n') {
        let (signer, encoded) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(signer, _)| is_key_name(signer))
            .ok_or(CheckpointError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| CheckpointError::Form)?;
        let (hash, signature) = bytes.split_at_checked(4).ok_or(CheckpointError::Form)?;
        if signer == name && hash == key && found.is_none() {
            found = Some(signature.to_owned());
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
fn key_hash(name: &str, signature_type: u8, key: &PublicKey) -> [u8; 4] {
    let digest = Digest::of(&[name.as_bytes(), b"\n", &[signature_type], key.bytes()].concat());
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
                &key_hash(NAME, ED25519, &key(1).public())[..],
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

    const WITNESS: &str = "datenraum/broker";

    fn noon() -> UtcTime {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn cosigned_note() -> String {
        let note = checkpoint().sign(NAME, &key(1)).unwrap();
        let checkpoint = Checkpoint::verify(&note, NAME, &key(1).public()).unwrap();
        note + &checkpoint.cosign(WITNESS, &key(2), noon()).unwrap()
    }

    #[test]
    fn a_cosignature_of_another_key_name_time_or_text_is_refused() {
        let note = cosigned_note();
        let missing = CheckpointError::Signature {
            name: WITNESS.to_owned(),
        };
        let refused = |note: &str, key: &SigningKey| Cosigned::verify(note, WITNESS, &key.public()).unwrap_err();
        assert_eq!(refused(&note, &key(1)), missing);
        assert_eq!(refused(&note.replace(WITNESS, "other"), &key(2)), missing);
        assert_eq!(refused(&note.replacen("42", "43", 1), &key(2)), missing);
        // A signature of the log's own kind is no cosignature, and the other way round.
        let plain = checkpoint().sign(WITNESS, &key(2)).unwrap();
        assert_eq!(refused(&plain, &key(2)), missing);
        assert_eq!(
            Checkpoint::verify(&note, WITNESS, &key(2).public()).unwrap_err(),
            missing
        );
        let (before, encoded) = note.rsplit_once(' ').unwrap();
        let mut signed = STANDARD.decode(encoded.trim_end()).unwrap();
        signed[11] ^= 1;
        let later = format!("{before} {}\n", STANDARD.encode(&signed));
        assert_eq!(refused(&later, &key(2)), missing);
        let cut = format!("{before} {}\n", STANDARD.encode(&signed[..10]));
        assert_eq!(refused(&cut, &key(2)), CheckpointError::Form);
    }

    #[test]
    fn a_cosigned_note_says_what_and_when_and_is_still_the_logs_own() {
        let note = cosigned_note();
        let cosigned = Cosigned::verify(&note, WITNESS, &key(2).public()).unwrap();
        assert_eq!((&cosigned.checkpoint, cosigned.at), (&checkpoint(), noon()));
        let own = Checkpoint::verify(&note, NAME, &key(1).public()).unwrap();
        assert_eq!(own.into_inner(), checkpoint());
        assert_eq!(Checkpoint::claimed_origin(&note), Some(NAME));
    }

    #[test]
    fn a_cosignature_has_the_form_that_c2sp_writes_down() {
        let note = cosigned_note();
        let line = note.lines().last().unwrap();
        let signed = STANDARD.decode(line.rsplit_once(' ').unwrap().1).unwrap();
        assert_eq!(signed.len(), 4 + 8 + 64);
        let id = Digest::of(&[b"datenraum/broker\n\x04", &key(2).public().bytes()[..]].concat());
        assert_eq!(signed[..4], id.bytes()[..4]);
        let message = format!("cosignature/v1\ntime 1795262400\n{}", checkpoint().text());
        let signature = Signature::from_bytes(&signed[12..]).unwrap();
        assert_eq!(key(2).public().verify(message.as_bytes(), &signature), Ok(()));
    }
}
