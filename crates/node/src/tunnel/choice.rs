//! By which road a tunnel is opened next: by streams, unless these are lost again and again; and from time to time by streams again.

use std::time::Duration;

use tokio::time::Instant;
use wire::Road;

/// A stream that lives for less was cut by the network, or by a broker that ended, which does so once.
const LIVES_WELL: Duration = Duration::from_secs(180);

/// So many streams one after the other that did not.
const LOST_MAX: u32 = 2;

/// After so long streams are tried again: networks change, and streams are better.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// What was seen of one tunnel so far.
#[derive(Debug, Default)]
pub(super) struct Choice {
    lost: u32,
    polls_since: Option<Instant>,
}

impl Choice {
    pub(super) fn road(&self, now: Instant) -> Road {
        match self.polls_since {
            Some(since) if now < since + AGAIN_AFTER => Road::Polls,
            _ => Road::Streams,
        }
    }

    /// A tunnel was there and is no more.
    pub(super) fn lost(&mut self, road: Road, lived: Duration, now: Instant) {
        match road {
            Road::Polls => {}
            Road::Streams if lived >= LIVES_WELL => *self = Self::default(),
            Road::Streams => {
                self.lost += 1;
                // Streams that were tried again and lost once more are given up at once.
                if self.lost >= LOST_MAX {
                    self.polls_since = Some(now);
                }
            }
        }
    }

    /// Polls do not lead there.
    pub(super) fn no_polls(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_are_lost_twice_give_way_to_polls_and_come_back() {
        let (mut choice, now) = (Choice::default(), Instant::now());
        let short = LIVES_WELL / 2;
        choice.lost(Road::Streams, short, now);
        assert_eq!(choice.road(now), Road::Streams, "a broker may end once");
        choice.lost(Road::Streams, LIVES_WELL, now);
        choice.lost(Road::Streams, short, now);
        assert_eq!(choice.road(now), Road::Streams, "not one after the other");
        choice.lost(Road::Streams, short, now);
        assert_eq!(choice.road(now), Road::Polls);
        choice.lost(Road::Polls, short, now);
        assert_eq!(choice.road(now), Road::Polls);
        let later = now + AGAIN_AFTER;
        assert_eq!(choice.road(later), Road::Streams);
        choice.lost(Road::Streams, short, later);
        assert_eq!(choice.road(later), Road::Polls, "still cut");
        choice.no_polls();
        assert_eq!(choice.road(later), Road::Streams);
    }
}
