//! Proofs serve once: the memory of those that were used.
//!
//! In memory, and bounded. What it has forgotten it refuses, also when the clock is set back. It must never let a
//! proof through because there is no room to remember it. Nothing is carried over a restart: a proof is bound to a
//! connection, and connections do not outlive the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use terms::limit::{CLOCK_LEEWAY_SECONDS, PROOF_SECONDS};
use terms::{Problem, Report, UtcTime};

use crate::token::ProofSeen;
use crate::verified::Verified;

/// Most proofs that are remembered. Each is remembered for a minute and a half, so this is a thousand queries in every
/// second of it, far more than a server runs.
const PROOFS_MAX: usize = 100_000;

/// The proofs that were used at one server.
#[derive(Debug, Default)]
pub struct Replay {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// Proof ids, each with the second after which it can be forgotten, because the proof is refused as expired then.
    until: HashMap<[u8; 16], i64>,
    /// Proofs that were good until before this second are forgotten. Never goes back, also when the clock does.
    swept: i64,
}

impl Replay {
    /// An empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a proof, if this is its first use.
    ///
    /// # Errors
    /// [`Problem::ProofReplayed`] if it was used before, or could have been before what is remembered begins;
    /// [`Problem::Resources`] if no more can be remembered.
    pub fn first_use(&self, proof: &Verified<ProofSeen>, now: UtcTime) -> Result<(), Report> {
        let until = proof.expires.as_second().saturating_add(CLOCK_LEEWAY_SECONDS);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.sweep(now.as_second());
        if until < used.swept || used.until.contains_key(&proof.id) {
            return Err(Problem::ProofReplayed.report("the proof was used before, or is past its time"));
        }
        if used.until.len() >= PROOFS_MAX {
            let message = format!("{PROOFS_MAX} proofs were used here within {PROOF_SECONDS} s");
            return Err(Problem::Resources.report(message).remedy("ask again in a minute"));
        }
        used.until.insert(proof.id, until);
        Ok(())
    }
}

impl Used {
    /// Forgets what has expired; at most once a second, since it looks at everything.
    fn sweep(&mut self, now: i64) {
        if now > self.swept {
            self.swept = now;
            self.until.retain(|_, until| *until >= now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: i64 = PROOF_SECONDS + CLOCK_LEEWAY_SECONDS + 1;

    fn at(second: i64) -> UtcTime {
        UtcTime::from_second(1_900_000_000 + second).unwrap()
    }

    /// Uses proof number `id`, made at `issued`, at second `now`.
    fn use_proof(replay: &Replay, id: u32, issued: i64, now: i64) -> Result<(), Problem> {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&id.to_le_bytes());
        let (issued, expires) = (at(issued), at(issued + PROOF_SECONDS));
        let seen = Verified::new(ProofSeen {
            purpose: None,
            permit: None,
            request: None,
            id: bytes,
            issued,
            expires,
        });
        replay.first_use(&seen, at(now)).map_err(|report| report.problem)
    }

    #[test]
    fn a_proof_serves_once_for_as_long_as_it_is_valid() {
        let replay = Replay::new();
        assert_eq!(use_proof(&replay, 1, 0, 0), Ok(()));
        for now in [0, 1, PROOF_SECONDS, PROOF_SECONDS + CLOCK_LEEWAY_SECONDS] {
            assert_eq!(use_proof(&replay, 1, 0, now), Err(Problem::ProofReplayed));
        }
        assert_eq!(use_proof(&replay, 2, 0, 1), Ok(()));
    }

    #[test]
    fn a_forgotten_proof_is_not_new_when_the_clock_is_set_back() {
        let replay = Replay::new();
        assert_eq!(use_proof(&replay, 1, 0, 0), Ok(()));
        assert_eq!(use_proof(&replay, 2, LATER, LATER), Ok(()));
        assert_eq!(replay.used.lock().unwrap().until.len(), 1);
        assert_eq!(use_proof(&replay, 1, 0, 0), Err(Problem::ProofReplayed));
    }

    #[test]
    fn a_full_memory_refuses_until_proofs_expire() {
        let replay = Replay::new();
        for id in 0..PROOFS_MAX {
            assert_eq!(use_proof(&replay, id.try_into().unwrap(), 0, 0), Ok(()));
        }
        assert_eq!(use_proof(&replay, u32::MAX, 0, 1), Err(Problem::Resources));
        assert_eq!(use_proof(&replay, 0, 0, 1), Err(Problem::ProofReplayed));
        assert_eq!(use_proof(&replay, u32::MAX, LATER, LATER), Ok(()));
    }
}
