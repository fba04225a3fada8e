//! Connections: how many are open, and why others were not taken.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a connection was not taken, or let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many as there may be were open.
    Full,
    /// As many as one address may have were.
    Address,
    /// Others came while it shook hands, more than may at the same time.
    Displaced,
    /// It did not shake hands in time.
    Late,
    /// It ended before it had.
    Left,
    /// What it said was not TLS as it is spoken here.
    Handshake,
    /// It shook hands and then said nothing.
    Silent,
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Refused::Full => "full",
            Refused::Address => "address",
            Refused::Displaced => "displaced",
            Refused::Late => "late",
            Refused::Left => "left",
            Refused::Handshake => "handshake",
            Refused::Silent => "silent",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    by: &'static str,
}

/// The connections of a server.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// Those that are open.
    pub open: Gauge,
    refused: Family<Why, Counter>,
    ended: Family<Ended, Counter>,
}

impl Connections {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("connections_open", "Connections that are open", self.open.clone());
        let what = "Connections that were not taken, by reason";
        registry.register("connections_refused", what, self.refused.clone());
        let what =
            "Connections that ended, by who ended them: a peer that breaks the rules of HTTP/2 is ended by this end";
        registry.register("connections_ended", what, self.ended.clone());
    }

    /// One is not taken.
    pub fn refuse(&self, why: Refused) {
        let reason = why.name();
        self.refused.get_or_create(&Why { reason }).inc();
    }

    /// One ended; whether the other end had said that it would.
    pub fn end(&self, peer_left: bool) {
        let by = if peer_left { "peer" } else { "us" };
        self.ended.get_or_create(&Ended { by }).inc();
    }
}
