//! The receipts that verified, kept where their person finds them: `receipts/<query id>.json` in the profile's data folder.
//!
//! A receipt is proof against the node that signed it. What is kept is never overwritten: a node chooses the ids of its
//! queries, and must not be able to take another's receipt away. Next: `datenraum audit verify --receipt`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use terms::{Problem, Report};
use trust::Envelope;

use crate::answer::Receipts;
use crate::node::NodeAnswer;

/// The folder in the profile's data folder.
const FOLDER: &str = "receipts";

/// Keeps receipts, and says where. An answer is not lost because its receipts cannot be kept: that is told with it.
pub(crate) async fn keep<'a>(data: &Path, answers: impl Iterator<Item = &'a NodeAnswer>) -> Option<Receipts> {
    let folder = data.join(FOLDER);
    let named = |answer: &NodeAnswer| (names(answer), answer.envelope.clone());
    let receipts: BTreeMap<[String; 2], Envelope> = answers.map(named).collect();
    if receipts.is_empty() {
        return None;
    }
    let place = folder.clone();
    let kept = tokio::task::spawn_blocking(move || keep_all(&place, &receipts)).await;
    let kept = kept.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
    let told = |error: io::Error| Problem::FileMissing.report(format!("receipts are not kept: {error}"));
    let problem: Option<Report> = kept.err().map(told);
    Some(Receipts { folder, problem })
}

/// The file of a receipt, and the one that it gets if another node has given that name already.
fn names(answer: &NodeAnswer) -> [String; 2] {
    let (query, node) = (&answer.receipt.query_id, &answer.receipt.node);
    [format!("{query}.json"), format!("{query}.{node}.json")]
}

fn keep_all(folder: &Path, receipts: &BTreeMap<[String; 2], Envelope>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    receipts.iter().try_for_each(|(names, envelope)| {
        let text = serde_json::to_vec(envelope)?;
        keep_one(names.each_ref().map(|name| folder.join(name)), &text)
    })
}

fn keep_one(places: [PathBuf; 2], text: &[u8]) -> io::Result<()> {
    for place in places {
        match fs::read(&place) {
            Ok(there) if there == text => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return trust::durable::replace(&place, text),
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path) -> [PathBuf; 2] {
        ["q1.json", "q1.gbsg.json"].map(|name| folder.join(name))
    }

    #[test]
    fn what_is_kept_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["first", "second", "first", "second"] {
            keep_one(places(folder.path()), text.as_bytes()).unwrap();
        }
        assert!(keep_one(places(folder.path()), b"third").is_err());
        let [first, second] = places(folder.path()).map(|place| fs::read_to_string(place).unwrap());
        assert_eq!((first.as_str(), second.as_str()), ("first", "second"));
    }

    #[cfg(unix)]
    #[test]
    fn only_their_person_can_read_receipts() {
        let folder = tempfile::tempdir().unwrap();
        keep_one(places(folder.path()), b"first").unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&places(folder.path())[0]).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
