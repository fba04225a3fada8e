//! One request of a name at a time: whoever asks again under it waits until the first has ended.
//!
//! Who asks and goes away is given a moment to come back: a broken connection does not end what would only have to be
//! begun again. It must never let work go on for nobody for longer than that. Used by `query.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::ledger::RequestKey;

/// How long a request is worked on for nobody: a client that lost its connection is back within it, and a query that is
/// given up still ends within two seconds.
const COME_BACK: Duration = Duration::from_secs(1);

type Lock = tokio::sync::Mutex<()>;

/// The requests that are being answered, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    open: Arc<Mutex<BTreeMap<RequestKey, Weak<Lock>>>>,
}

/// The right to answer the request of a name, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    key: RequestKey,
    held: OwnedMutexGuard<()>,
    turns: Turns,
}

impl Turns {
    /// Waits until nobody answers a request of this name.
    pub(crate) async fn wait(&self, key: RequestKey) -> Turn {
        let lock = self.join(&key);
        Turn {
            held: lock.lock_owned().await,
            turns: self.clone(),
            key,
        }
    }

    fn join(&self, key: &RequestKey) -> Arc<Lock> {
        let mut open = self.lock();
        if let Some(lock) = open.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(Lock::default());
        open.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestKey, Weak<Lock>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut open = self.turns.lock();
        if Arc::strong_count(OwnedMutexGuard::mutex(&self.held)) == 1 {
            open.remove(&self.key);
        }
    }
}

/// Works in `turn` until the work is done. If whoever waits for that is dropped, the work goes on while somebody else
/// waits for the same turn, or for the moment in which somebody may. `None` if the work panicked.
pub(crate) async fn see_through<T: Send + 'static>(
    turn: Turn,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let awaited = Arc::downgrade(OwnedMutexGuard::mutex(&turn.held));
    let task = async move {
        let done = work.await;
        drop(turn);
        done
    };
    let mut waiting = Waiting {
        task: Some(AbortOnDropHandle::new(tokio::spawn(task.in_current_span()))),
        awaited,
    };
    let done = waiting.task.as_mut()?.await;
    waiting.task = None;
    done.ok()
}

/// Somebody who waits for work.
struct Waiting<T: Send + 'static> {
    task: Option<AbortOnDropHandle<T>>,
    awaited: Weak<Lock>,
}

impl<T: Send + 'static> Drop for Waiting<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take().filter(|task| !task.is_finished()) else {
            return;
        };
        // Without a runtime the process ends, and the work with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(linger(task, self.awaited.clone()));
        }
    }
}

/// Lets work go on for a moment, and then for as long as somebody waits for its turn. To drop the task is to end it.
async fn linger<T>(mut task: AbortOnDropHandle<T>, awaited: Weak<Lock>) {
    while tokio::time::timeout(COME_BACK, &mut task).await.is_err() {
        if awaited.strong_count() <= 1 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    fn key(request: &str) -> RequestKey {
        RequestKey {
            member: "university".parse().unwrap(),
            person: "ada".parse().unwrap(),
            request: request.parse().unwrap(),
        }
    }

    /// Work that takes so long, and says whether it was done.
    fn work(time: Duration) -> (Arc<AtomicBool>, impl Future<Output = ()> + Send + 'static) {
        let done = Arc::new(AtomicBool::new(false));
        let tells = Arc::clone(&done);
        let work = async move {
            tokio::time::sleep(time).await;
            tells.store(true, Ordering::Relaxed);
        };
        (done, work)
    }

    async fn given_up(turns: &Turns, work: impl Future<Output = ()> + Send + 'static) {
        let turn = turns.wait(key("a")).await;
        let asked = tokio::time::timeout(Duration::from_millis(20), see_through(turn, work));
        assert!(asked.await.is_err());
    }

    #[tokio::test]
    async fn work_that_nobody_comes_back_for_ends_after_a_moment() {
        let turns = Turns::default();
        let (done, work) = work(Duration::from_secs(60));
        given_up(&turns, work).await;
        let given_up = Instant::now();
        tokio::time::sleep(2 * COME_BACK).await;
        drop(turns.wait(key("a")).await);
        assert!(given_up.elapsed() < Duration::from_secs(10));
        assert!(!done.load(Ordering::Relaxed));
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn work_that_somebody_waits_for_goes_on_and_has_ended_when_it_is_their_turn() {
        let turns = Turns::default();
        let (done, work) = work(3 * COME_BACK);
        given_up(&turns, work).await;
        drop(turns.wait(key("a")).await);
        assert!(done.load(Ordering::Relaxed));
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn another_name_does_not_wait() {
        let turns = Turns::default();
        let held = turns.wait(key("a")).await;
        drop(turns.wait(key("b")).await);
        drop(held);
    }
}
