//! A sum that moves in large steps: somebody who reads it before and after a question does not learn what the question added.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;

/// A sum that is shown rounded down to a multiple of its step.
#[derive(Clone, Debug)]
pub struct Coarse {
    step: u64,
    rest: Arc<AtomicU64>,
    /// What is shown.
    pub shown: Counter,
}

impl Coarse {
    /// A sum of nothing yet. A step of 0 is one of 1.
    pub fn new(step: u64) -> Self {
        Self {
            step: step.max(1),
            rest: Arc::default(),
            shown: Counter::default(),
        }
    }

    /// Adds, and shows what of it makes whole steps.
    pub fn add(&self, more: u64) {
        let before = self.rest.fetch_add(more, Ordering::Relaxed);
        let (before, after) = (before / self.step, before.saturating_add(more) / self.step);
        self.shown.inc_by((after - before) * self.step);
    }
}
