//! What a server is told from outside while it runs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Stop, and look at the key files again.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Take nothing new, finish what runs, end.
    pub stop: CancellationToken,
    /// Look at the key files now: all that wait for it do.
    pub reload: Arc<Notify>,
}

impl From<CancellationToken> for Signals {
    fn from(stop: CancellationToken) -> Self {
        let reload = Arc::default();
        Self { stop, reload }
    }
}
