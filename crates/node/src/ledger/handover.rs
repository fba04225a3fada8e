//! A ledger that goes on under another key: the institution has a new one, and what was asked, used up and released stays known.
//!
//! The head of the log as it is gets the signatures of both keys, which is the proof that the log of the one is the beginning of the
//! other's. No entry is touched. It must never hand over a log that the old key did not sign whole, nor one that a node is writing.

use std::sync::Arc;

use terms::{Problem, Report};
use trust::{Digest, SigningKey};

use crate::ledger::store::Store;
use crate::ledger::{Ledger, LedgerPlace, anchor};

/// A log that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// Entries in it.
    pub entries: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The checkpoint that both keys signed.
    pub checkpoint: String,
}

impl Ledger {
    /// Hands the ledger at `place` over from the key that signed it to another. What is done twice is done once. Blocks for as long as
    /// reading the file takes.
    ///
    /// # Errors
    /// As [`Ledger::open`] with the old key; `E_USAGE` if both keys are one; `E_FILE_MISSING` if there is no ledger.
    pub fn hand_over(
        place: &LedgerPlace,
        origin: &str,
        from: Arc<SigningKey>,
        to: &SigningKey,
    ) -> Result<HandedOver, Report> {
        if from.public() == to.public() {
            let report = Problem::Usage.report("the ledger is signed with this key already");
            return Err(report.remedy("name the file of the key that the roster names from now on"));
        }
        if !place.file.exists() {
            let message = format!("there is no ledger {}", place.file.display());
            let report = Problem::FileMissing.report(message);
            return Err(report.remedy("a node without a ledger needs none: start it with the new key"));
        }
        let mut store = Store::open(&place.file, &place.anchor, origin, from, |_| ())?;
        store.hand_over(to)?;
        let (entries, root, checkpoint) = store.head();
        anchor::write(&place.anchor, &checkpoint)?;
        Ok(HandedOver {
            entries,
            root: Digest::from_bytes(root),
            checkpoint,
        })
    }
}

#[cfg(test)]
mod tests {
    use terms::Problem;
    use trust::Checkpoint;

    use super::*;
    use crate::audit::{self, Compared};
    use crate::ledger::example::{ORIGIN, Place};

    fn new_key() -> SigningKey {
        SigningKey::generate().unwrap()
    }

    #[tokio::test]
    async fn a_ledger_that_is_not_the_old_keys_or_is_in_use_or_broken_is_not_handed_over() {
        let place = Place::with_released(2).await;
        let hand_over = |from: &Arc<SigningKey>, to: &SigningKey| {
            let outcome = Ledger::hand_over(&place.place(), ORIGIN, Arc::clone(from), to);
            outcome.map_err(|report| report.problem)
        };
        let old = place.signing_key();
        assert_eq!(hand_over(&old, &old), Err(Problem::Usage));
        assert_eq!(hand_over(&Arc::new(new_key()), &new_key()), Err(Problem::AuditBroken));
        let ledger = place.open().unwrap();
        assert_eq!(hand_over(&old, &new_key()), Err(Problem::AuditUnavailable));
        ledger.close().await;
        place.tamper("DELETE FROM entry WHERE idx = 1");
        assert_eq!(hand_over(&old, &new_key()), Err(Problem::AuditBroken));
        std::fs::remove_file(place.file()).unwrap();
        assert_eq!(hand_over(&old, &new_key()), Err(Problem::FileMissing));
    }

    #[tokio::test]
    async fn a_ledger_goes_on_under_the_new_key_and_the_old_one_opens_it_no_more() {
        let mut place = Place::new();
        let before = place.release(3).await;
        let mut export = Vec::new();
        audit::export(&place.file(), &mut export).unwrap();
        let (old, new) = (place.signing_key(), Arc::new(new_key()));
        let handed_over = Ledger::hand_over(&place.place(), ORIGIN, Arc::clone(&old), &new).unwrap();
        for key in [old.public(), new.public()] {
            let signed = Checkpoint::verify(&handed_over.checkpoint, ORIGIN, &key).unwrap();
            assert_eq!((signed.size, Digest::from_bytes(signed.root)), (3, handed_over.root));
        }
        // Also when nobody knows any more whether it was done.
        let again = Ledger::hand_over(&place.place(), ORIGIN, Arc::clone(&old), &new).unwrap();
        assert_eq!(again, handed_over);

        place.use_key(&new);
        place.release(1).await;
        let kept = Compared {
            checkpoints: vec![handed_over.checkpoint],
            receipts: Vec::new(),
        };
        let whole = audit::verify(&place.file(), ORIGIN, &new.public(), &kept).unwrap();
        assert_eq!(whole.entries, 4);
        let kept = Compared {
            checkpoints: vec![before],
            receipts: Vec::new(),
        };
        let of_old = audit::verify(&place.file(), ORIGIN, &new.public(), &kept).unwrap_err();
        assert_eq!(of_old.problem, Problem::AuditBroken, "it is the old key's word");
        // The old key's export of until then ends with what both signed, whatever the log became.
        let kept = Compared {
            checkpoints: vec![again.checkpoint],
            receipts: Vec::new(),
        };
        let until_then = audit::verify_export(&export[..], ORIGIN, &old.public(), &kept).unwrap();
        assert_eq!(until_then.entries, 3);
        place.use_key(&old);
        let refused = place.open().unwrap_err();
        assert_eq!(refused.problem, Problem::AuditBroken);
        assert!(refused.remedy.contains("hand-over"), "{refused:?}");
    }
}
