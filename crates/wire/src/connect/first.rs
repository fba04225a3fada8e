//! Several ways to the same place: whichever leads there first.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// How long a way may take before the next one is tried beside it. A server that is down refuses at once; one that hangs says nothing.
const NEXT_WAY_AFTER: Duration = Duration::from_millis(500);

/// The first of these ways that leads somewhere. Each has a start before the next is tried beside it; one that fails makes room
/// at once. If none does, the first error that `says_more` than that nobody answers is told, or else the last one.
///
/// # Errors
/// If no way leads anywhere; `none` if there is no way.
pub async fn first_of<T, E, F: Future<Output = Result<T, E>>>(
    ways: impl IntoIterator<Item = F>,
    none: E,
    says_more: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut failed = none;
    let mut trying = FuturesUnordered::new();
    let mut ways = ways.into_iter();
    loop {
        let next = ways.next();
        let is_last = next.is_none();
        trying.extend(next);
        let tried = if is_last {
            trying.next().await
        } else {
            // One that still tries goes on beside the next.
            let tried = tokio::time::timeout(NEXT_WAY_AFTER, trying.next()).await;
            let Ok(tried) = tried else { continue };
            tried
        };
        match tried {
            Some(Ok(reached)) => return Ok(reached),
            Some(Err(error)) if !says_more(&failed) => failed = error,
            Some(Err(_)) => {}
            None => return Err(failed),
        }
    }
}
