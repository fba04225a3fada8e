//! By which road a tunnel is opened next: by streams, unless these are cut again and again; and from time to time by streams again.
//!
//! Whether it was the network or the broker that ended a stream cannot always be told: what is concluded from little holds for little.

use std::time::Duration;

use tokio::time::Instant;
use wire::Road;

/// A stream that lives for less was cut by the network, or by a broker that was killed.
const LIVES_WELL: Duration = Duration::from_secs(180);

/// So many streams one after the other that did not.
const CUT_MAX: u32 = 2;

/// After so long streams are tried again, the first time and at most: networks change, and streams are better. Twice as long each time that
/// they are cut once more.
const AGAIN_AFTER_FIRST: Duration = Duration::from_secs(60);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(600);

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The broker said so, inside of TLS: no network can.
    Said,
    /// Without a word.
    Cut,
}

/// What was seen of one tunnel so far.
#[derive(Debug, Default)]
pub(super) struct Choice {
    cut: u32,
    polls: Option<Polls>,
}

/// Since when polls are used, and for how long.
#[derive(Clone, Copy, Debug)]
struct Polls {
    since: Instant,
    lasts: Duration,
}

impl Choice {
    pub(super) fn road(&self, now: Instant) -> Road {
        match self.polls {
            Some(polls) if now < polls.since + polls.lasts => Road::Polls,
            _ => Road::Streams,
        }
    }

    /// How long a tunnel of polls that begins now is held, before streams are tried again.
    pub(super) fn polls_last(&self) -> Duration {
        self.polls.map_or(AGAIN_AFTER_FIRST, |polls| polls.lasts)
    }

    /// A tunnel was there and is no more.
    pub(super) fn ended(&mut self, road: Road, end: End, lived: Duration, now: Instant) {
        match (road, end) {
            (Road::Polls, _) | (Road::Streams, End::Said) => {}
            (Road::Streams, End::Cut) if lived >= LIVES_WELL => *self = Self::default(),
            (Road::Streams, End::Cut) => {
                self.cut += 1;
                // Streams that were tried again and cut once more are given up at once, and for longer.
                if self.cut >= CUT_MAX {
                    let lasts = self.polls.map_or(AGAIN_AFTER_FIRST, |polls| polls.lasts * 2);
                    let lasts = lasts.min(AGAIN_AFTER_MAX);
                    self.polls = Some(Polls { since: now, lasts });
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

    const SHORT: Duration = Duration::from_secs(LIVES_WELL.as_secs() / 2);

    #[test]
    fn a_broker_that_says_that_it_ends_moves_nobody_to_polls() {
        let (mut choice, now) = (Choice::default(), Instant::now());
        for _ in 0..10 {
            choice.ended(Road::Streams, End::Said, SHORT, now);
        }
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        assert_eq!(choice.road(now), Road::Streams, "it was killed once");
    }

    #[test]
    fn a_broker_that_is_killed_twice_costs_a_minute_of_polls() {
        let (mut choice, now) = (Choice::default(), Instant::now());
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        assert_eq!(choice.road(now), Road::Polls);
        let later = now + AGAIN_AFTER_FIRST;
        choice.ended(Road::Polls, End::Cut, AGAIN_AFTER_FIRST, later);
        assert_eq!(choice.road(later), Road::Streams);
        choice.ended(Road::Streams, End::Cut, LIVES_WELL, later);
        choice.ended(Road::Streams, End::Cut, SHORT, later);
        assert_eq!(choice.road(later), Road::Streams, "all is forgotten");
    }

    #[test]
    fn a_network_that_cuts_every_stream_is_tried_less_and_less_often() {
        let (mut choice, mut now) = (Choice::default(), Instant::now());
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        assert_eq!(choice.road(now), Road::Streams, "once is not always");
        choice.ended(Road::Streams, End::Cut, LIVES_WELL, now);
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        assert_eq!(choice.road(now), Road::Streams, "not one after the other");
        for minutes in [1, 2, 4, 8, 10, 10] {
            choice.ended(Road::Streams, End::Cut, SHORT, now);
            let lasts = Duration::from_secs(60 * minutes);
            assert_eq!((choice.road(now), choice.polls_last()), (Road::Polls, lasts));
            now += lasts;
            assert_eq!(choice.road(now), Road::Streams);
        }
        choice.no_polls();
        choice.ended(Road::Streams, End::Cut, SHORT, now);
        assert_eq!(choice.road(now), Road::Streams);
    }
}
