//! Whether the nodes can be reached from here. Nothing is asked of them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use terms::{MemberId, Report};

use super::Asker;

impl Asker {
    /// Connects to each node that offers something, all at the same time: how long it took until it proved its key, or why there is no
    /// connection. In the order of their names.
    pub async fn reach_nodes(&self) -> Vec<(MemberId, Result<Duration, Report>)> {
        let reaching = self.offers().iter().map(|offer| async {
            let began = Instant::now();
            let reached = self.roads.connect(&offer.peer).await;
            (offer.peer.member.clone(), reached.map(|_| began.elapsed()))
        });
        join_all(reaching).await
    }
}
