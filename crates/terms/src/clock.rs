//! Time comes in as an argument. Only the outermost layer reads the system clock.

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
