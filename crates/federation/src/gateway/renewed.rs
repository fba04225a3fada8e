//! What is not used once it is old: then it is made anew, or nothing is done with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use terms::Report;
use tokio::sync::Mutex;

#[derive(Debug)]
pub(super) struct Renewed<T> {
    every: Duration,
    held: Mutex<(Arc<T>, Instant)>,
}

impl<T> Renewed<T> {
    /// Made at `since`, and old after `every`.
    pub(super) fn new(made: T, every: Duration, since: Instant) -> Self {
        Self {
            every,
            held: Mutex::new((Arc::new(made), since)),
        }
    }

    /// What is held, or what `renew` makes of it if that is old `now`. If it cannot be made anew there is nothing: what no longer
    /// verifies ends here. Several who ask at once make it anew once.
    pub(super) async fn at<F: Future<Output = Result<T, Report>>>(
        &self,
        now: Instant,
        renew: impl FnOnce(Arc<T>) -> F,
    ) -> Result<Arc<T>, Report> {
        let mut held = self.held.lock().await;
        let (of_before, since) = &*held;
        if now.saturating_duration_since(*since) >= self.every {
            *held = (Arc::new(renew(Arc::clone(of_before)).await?), now);
        }
        Ok(Arc::clone(&held.0))
    }
}

#[cfg(test)]
mod tests;
