//! Calls: how many, how they ended, how long until their answer began, and whether any is still being answered.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::SECONDS;

/// How calls of a server went.
#[derive(Clone, Debug)]
pub struct Calls {
    ended: Family<Ended, Counter>,
    broken_off: Family<Ended, Counter>,
    seconds: Family<Method, Histogram>,
    open: Gauge,
    /// Calls that are waited for when a server stops, until their answers are sent.
    work: TaskTracker,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            ended: Family::default(),
            broken_off: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            open: Gauge::default(),
            work: TaskTracker::new(),
        }
    }
}

impl Calls {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let what = "Calls whose answer began, or why there is none: ok, a problem code, or the status of gRPC";
        registry.register("calls", what, self.ended.clone());
        let what = "Answers that ended early after they began, by what ended them";
        registry.register("answers_broken_off", what, self.broken_off.clone());
        let what = "Time until the answer of a call began, in seconds";
        registry.register("call_seconds", what, self.seconds.clone());
        registry.register("calls_open", "Calls that have no answer yet", self.open.clone());
    }

    /// A call begins. What is `Held` open for as long as both ends are there is no work.
    pub fn begin(&self, method: &'static str, kind: Kind) -> Call {
        self.open.inc();
        Call {
            work: (kind == Kind::Work).then(|| self.work.token()),
            calls: self.clone(),
            method,
            begun: Instant::now(),
            outcome: "dropped",
        }
    }

    /// Waits until no call is worked on and no answer is on its way.
    pub async fn idle(&self) {
        self.work.close();
        self.work.wait().await;
    }
}

/// What a call is to a server that stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has an end, which is waited for.
    Work,
    /// It ends with the connection.
    Held,
}

/// A call that has no answer yet. One that is let go before was dropped, by whoever called or for the time that it took.
#[derive(Debug)]
pub struct Call {
    calls: Calls,
    method: &'static str,
    begun: Instant,
    outcome: &'static str,
    work: Option<TaskTrackerToken>,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answering {
    calls: Calls,
    method: &'static str,
    _work: Option<TaskTrackerToken>,
}

impl Call {
    /// The answer begins, or there is none.
    pub fn end(mut self, outcome: &'static str) -> Answering {
        self.outcome = outcome;
        Answering {
            calls: self.calls.clone(),
            method: self.method,
            _work: self.work.take(),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (method, outcome) = (self.method, self.outcome);
        self.calls.open.dec();
        self.calls.ended.get_or_create(&Ended { method, outcome }).inc();
        let seconds = self.calls.seconds.get_or_create(&Method { method });
        seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

impl Answering {
    /// It ends early.
    pub fn break_off(&self, outcome: &'static str) {
        let method = self.method;
        self.calls.broken_off.get_or_create(&Ended { method, outcome }).inc();
    }
}
