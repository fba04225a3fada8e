//! The threads on which queries run, apart from those that serve the network: work that does not pause must not keep anybody else's
//! request, or the news that nobody waits any more, from being heard.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

/// They last as long as the process.
static WORKERS: OnceLock<Option<Runtime>> = OnceLock::new();

/// Where to spawn work. If there can be no threads of their own, the caller's.
pub(crate) fn handle() -> Handle {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let new = || {
        Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("query")
            .enable_time()
            .build()
            .ok()
    };
    let workers = WORKERS.get_or_init(new).as_ref();
    workers.map_or_else(Handle::current, |runtime| runtime.handle().clone())
}
