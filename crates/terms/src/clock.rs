//! Time comes in as an argument. Only the outermost layer reads the system clock.

use std::sync::{Arc, Mutex, PoisonError};

/// A point in time, UTC, nanosecond resolution.
pub type UtcTime = jiff::Timestamp;

/// Where the time comes from. Servers take one, so that tests need not wait.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> UtcTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UtcTime {
        UtcTime::now()
    }
}

/// A clock that never says an earlier time than it has said: what has expired stays expired, whatever becomes of the machine's clock.
/// While that is behind, time stands still here.
#[derive(Clone, Debug)]
pub struct Forward {
    machine: Arc<dyn Clock>,
    latest: Arc<Mutex<UtcTime>>,
}

impl Forward {
    /// The machine's clock from `latest` on: the latest time that is remembered from before.
    pub fn from(machine: Arc<dyn Clock>, latest: UtcTime) -> Self {
        Self {
            machine,
            latest: Arc::new(Mutex::new(latest)),
        }
    }

    /// The machine's clock, which can say an earlier time than it did.
    pub fn machine(&self) -> &dyn Clock {
        &*self.machine
    }
}

impl Clock for Forward {
    fn now(&self) -> UtcTime {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = self.machine.now().max(*latest);
        *latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Hand(Mutex<UtcTime>);

    impl Clock for Hand {
        fn now(&self) -> UtcTime {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_50_time_stands_still_while_the_machines_clock_is_behind() {
        let at = |second| UtcTime::from_second(second).unwrap();
        let hand = Arc::new(Hand(Mutex::new(at(1_000))));
        let clock = Forward::from(hand.clone(), at(990));
        let said = |second| {
            *hand.0.lock().unwrap() = at(second);
            (clock.now(), clock.machine().now())
        };
        assert_eq!(said(1_000), (at(1_000), at(1_000)));
        assert_eq!(said(400), (at(1_000), at(400)));
        assert_eq!(said(1_001), (at(1_001), at(1_001)));
        let restarted = Forward::from(hand, at(2_000));
        assert_eq!(restarted.now(), at(2_000));
    }
}
