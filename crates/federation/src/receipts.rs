//! The receipts that verified, kept where their person finds them: `receipts/<question>.json` in the profile's data folder, each in a
//! line of its own.
//!
//! A receipt is proof against the node that signed it. All of one answer are in one file, which is made durable once, however many
//! nodes there are. Its name is the asker's own, so no node can take another's receipt away. Next: `datenraum audit verify --receipt`.

use std::fs;
use std::io;
use std::path::Path;

use terms::{Problem, QueryId, Report};
use trust::Envelope;

use crate::answer::Receipts;

/// The folder in the profile's data folder.
const FOLDER: &str = "receipts";

/// Begins to keep receipts. What it gives back waits for that, and says where they are. An answer is not lost because its receipts
/// cannot be kept: that is told with it.
pub(crate) fn keep(
    data: &Path,
    question: &QueryId,
    envelopes: &[&Envelope],
) -> impl Future<Output = Option<Receipts>> + Send + use<> {
    let folder = data.join(FOLDER);
    let file = folder.join(format!("{question}.json"));
    let lines: Vec<Vec<u8>> = envelopes.iter().map(|envelope| envelope.to_bytes()).collect();
    let keeping = (!lines.is_empty()).then(|| tokio::task::spawn_blocking(move || keep_all(&file, &lines)));
    async move {
        let kept = keeping?.await;
        let kept = kept.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
        let told = |error: io::Error| Problem::FileMissing.report(format!("receipts are not kept: {error}"));
        let problem: Option<Report> = kept.err().map(told);
        Some(Receipts { folder, problem })
    }
}

fn keep_all(file: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    trust::durable::replace(file, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_their_person_can_read_receipts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("receipts/q1.json");
        keep_all(&file, &[b"first".to_vec(), b"second".to_vec()]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "first\nsecond\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn an_answer_without_receipts_keeps_nothing_and_a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let question: QueryId = "q1".parse().unwrap();
        assert!(keep(folder.path(), &question, &[]).await.is_none());
        fs::write(folder.path().join(FOLDER), "no folder").unwrap();
        let key = trust::SigningKey::generate().unwrap();
        let envelope = Envelope::seal("text", &"receipt", &key).unwrap();
        let kept = keep(folder.path(), &question, &[&envelope]).await.unwrap();
        assert_eq!(kept.problem.unwrap().problem, Problem::FileMissing);
    }
}
