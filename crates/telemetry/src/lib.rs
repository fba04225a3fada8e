//! What a server counts, and the port at which its operator's monitoring reads it.
//!
//! It must never hold a value of a dataset, a text that somebody sent or a name of a person: a label is a word of this program
//! (`&'static str`), and sums of what was released move in large steps, so that no two readings tell of a single question.
//!
//! Reading order: here, `calls.rs` (calls), `connections.rs` (connections), `coarse.rs` (sums that move in steps), `process.rs` (memory and
//! descriptors), `page.rs` (the port), `traces.rs` (where traces go).

mod calls;
mod coarse;
mod connections;
mod page;
mod process;
#[cfg(test)]
mod tests;
mod traces;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

pub use calls::{Answering, Call, Calls, Kind};
pub use coarse::Coarse;
pub use connections::{Connections, Refused};
pub use page::MetricsConfig;
pub use traces::TracesConfig;

/// Bounds of durations, in seconds: from a hundredth of what a short query takes to the longest that one may take.
pub const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 330.0];

/// Everything that one server counts. Clones of what is registered here go to where it is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// What sets gauges of what is known elsewhere, before each reading.
    look: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
    /// The connections that the server takes.
    pub connections: Connections,
    /// The calls on them.
    pub calls: Calls,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("datenraum");
        let (connections, calls) = (Connections::default(), Calls::default());
        connections.register(&mut registry);
        calls.register(&mut registry);
        let metrics = Self {
            registry: Mutex::new(registry),
            look: Mutex::default(),
            connections,
            calls,
        };
        process::watch(&metrics);
        metrics
    }
}

impl Metrics {
    /// Registers one more, and gives it back.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric.clone());
        metric
    }

    /// Has `look` set gauges before each reading.
    pub fn before_reading(&self, look: impl Fn() + Send + Sync + 'static) {
        let mut looks = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push(Box::new(look));
    }

    /// Everything as Prometheus reads it.
    pub fn text(&self) -> String {
        for look in &*self.look.lock().unwrap_or_else(PoisonError::into_inner) {
            look();
        }
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
