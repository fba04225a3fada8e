//! The threads on which queries run, apart from those that serve the network: work that does not pause must not keep anybody else's
//! request, or the news that nobody waits any more, from being heard. A node runs all of a query on them: its plan, its rows and what
//! is done with its cells.

use std::num::NonZeroUsize;
use std::sync::{LazyLock, OnceLock};
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

/// They last as long as the process.
static WORKERS: OnceLock<Option<Runtime>> = OnceLock::new();

/// How many processors there are. Asked once: to find out means to read files.
pub(crate) fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZeroUsize::get));
    *PROCESSORS
}

/// Where to spawn work. If there can be no threads of their own, the caller's.
pub(crate) fn handle() -> Handle {
    let new = || {
        Builder::new_multi_thread()
            .worker_threads(processors())
            .thread_name("query")
            .enable_time()
            .build()
            .ok()
    };
    let workers = WORKERS.get_or_init(new).as_ref();
    workers.map_or_else(Handle::current, |runtime| runtime.handle().clone())
}

/// Runs work on these threads. To drop this is to end the work where it pauses. None if it panicked.
pub async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let mut running = JoinSet::new();
    running.spawn_on(work, &handle());
    running.join_next().await?.ok()
}
