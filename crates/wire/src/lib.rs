//! What travels between parties, and how: generated protobuf, TLS pinned to members' keys, the headers of a
//! query, and the one place where an error becomes a gRPC status.
//!
//! This crate must never decide whether something is allowed, and never see a data set.
//!
//! Reading order: [`header`] (what accompanies a query), [`tls`] (who is at the other end), [`key_file`] and [`signals`] (what
//! changes while a server runs), [`serve`] and [`mod@connect`] (the two ends of a connection), [`limits`], [`counted`] and
//! [`health`] (what a server takes, counts and says of itself), [`proxy`] (a way out), [`polls`] (another, of short requests),
//! [`relay`] (connections that a broker carries), `person` (who calls a broker), [`socket`] (what is under TLS), [`check`] (what a
//! configuration names), [`status`] (what may leave as an error), `statement` (what a member says), [`description`] (what a node says
//! of itself), [`enrolment`] (who asks to become a member), [`dry_run`] (whether it would answer), [`governance_source`] (governance
//! documents through the broker), [`publish`] (new ones to it).

pub mod check;
pub mod connect;
pub mod counted;
pub mod description;
pub mod dry_run;
pub mod enrolment;
pub mod governance_source;
pub mod header;
pub mod health;
pub mod key_file;
pub mod limits;
mod person;
pub mod polls;
pub mod proxy;
pub mod publish;
pub mod relay;
pub mod serve;
pub mod signals;
pub mod socket;
mod statement;
pub mod status;
pub mod tls;

/// Generated from `proto/datenraum/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    rustdoc::invalid_html_tags,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("datenraum.v1");
}

pub use connect::{Addresses, ConnectError, Connection, Dialer, PeerConfig, Road, connect, connect_by, first_of};
pub use counted::CountCalls;
pub use description::{NodeDescription, OfferedDataset};
pub use enrolment::{Code, Enrolment};
pub use governance_source::BrokerSource;
pub use key_file::KeyFile;
pub use limits::{BrokerLimits, Limits, NodeLimits};
pub use person::Person;
pub use proxy::ProxyConfig;
pub use serve::{Door, Incoming, PeerInfo};
pub use signals::Signals;
pub use socket::Socket;
