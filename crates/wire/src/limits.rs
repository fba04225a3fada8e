//! The table `[limits]` of `node.toml` and `broker.toml`: every bound of a server that an operator may have to move, with what it is
//! unless they say otherwise and between what it may lie. `docs/operators.md` shows the same table.
//!
//! Bounds that are not here are the same everywhere: `terms::limit`.

use std::collections::BTreeMap;
use std::ops::{Deref, RangeInclusive};

use serde::{Deserialize, Serialize};
use terms::limit;

/// One line of the table.
struct Known {
    name: &'static str,
    /// What it is for a node, and for a broker, unless the file says otherwise. None where it has no such limit.
    node: Option<u32>,
    broker: Option<u32>,
    range: RangeInclusive<u32>,
    says: &'static str,
}

macro_rules! limits {
    ($($name:ident: $node:expr, $broker:expr, $range:expr, $says:literal;)*) => {
        /// The limits of one server. What its role has no limit for is 0 and is not looked at.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $says] pub $name: u32,)*
        }

        const TABLE: &[Known] = &[$(Known {
            name: stringify!($name),
            node: $node,
            broker: $broker,
            range: $range,
            says: $says,
        },)*];

        impl Limits {
            fn of(role: Role) -> Self {
                let mut known = TABLE.iter().map(|known| role.default_of(known).unwrap_or(0));
                Self { $($name: known.next().unwrap_or(0),)* }
            }

            fn named(&mut self, name: &str) -> Option<&mut u32> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }

            fn all(&self) -> [u32; TABLE.len()] {
                [$(self.$name,)*]
            }
        }
    };
}

/// A window of HTTP/2 is at least this, and at most 2^31-1 (RFC 9113, section 6.9).
const WINDOW: RangeInclusive<u32> = 65_535..=2_147_483_647;

limits! {
    connections: Some(limit::CONNECTIONS_MAX as u32), Some(limit::CONNECTIONS_MAX as u32), 1..=100_000,
        "Open connections";
    connections_per_address: Some(limit::CONNECTIONS_PER_ADDRESS_MAX as u32), Some(limit::CONNECTIONS_PER_ADDRESS_MAX as u32), 1..=100_000,
        "Open connections from one address (of IPv6, one network of 64 bits). What a broker carries to a node has no address, and counts as `carried_connections`";
    carried_connections: Some(limit::CARRIED_CONNECTIONS_MAX as u32), None, 1..=100_000,
        "Open connections that came through a broker";
    handshakes_at_once: Some(1_024), Some(1_024), 1..=100_000,
        "Connections that shake hands at the same time; one more ends the one that has been at it longest";
    handshake_seconds: Some(limit::HANDSHAKE_SECONDS_MAX as u32), Some(limit::HANDSHAKE_SECONDS_MAX as u32), 1..=60,
        "Time for a TLS handshake, and after it until the peer speaks HTTP/2";
    streams_per_connection: Some(limit::STREAMS_PER_CONNECTION_MAX), Some(limit::RELAY_STREAMS_PER_CONNECTION_MAX), 1..=10_000,
        "Calls on one connection at the same time. At a broker: also those that it carries";
    header_list_bytes: Some(limit::HEADER_LIST_BYTES_MAX), Some(limit::HEADER_LIST_BYTES_MAX), 16_384..=1_048_576,
        "Headers of one call; credential and proof are in them";
    frame_bytes: Some(16_384), Some(limit::RELAY_FRAME_BYTES), 16_384..=16_777_215,
        "One frame of HTTP/2";
    stream_window_bytes: Some(1_048_576), Some(limit::RELAY_STREAM_WINDOW_BYTES), WINDOW,
        "Bytes of one call that may be on their way unread";
    connection_window_bytes: Some(1_048_576), Some(limit::RELAY_CONNECTION_WINDOW_BYTES), WINDOW,
        "Bytes of all calls on one connection that may be on their way unread";
    pending_reset_streams: Some(20), Some(20), 1..=1_000,
        "Calls that a peer takes back before they are looked at; one more ends the connection";
    local_error_reset_streams: Some(1_024), Some(1_024), 1..=10_000,
        "Calls on one connection that end for a peer's mistakes; one more ends the connection";
    keep_alive_seconds: Some(limit::HELD_KEEP_ALIVE_SECONDS as u32), Some(limit::HELD_KEEP_ALIVE_SECONDS as u32), 1..=300,
        "After how long without a word a peer is made to say something";
    keep_alive_answer_seconds: Some(limit::HELD_KEEP_ALIVE_ANSWER_SECONDS_MAX as u32), Some(limit::HELD_KEEP_ALIVE_ANSWER_SECONDS_MAX as u32), 1..=60,
        "How long it may take to; with the time before, a dead connection is noticed within 30 s";
    request_seconds: Some(limit::NODE_ANSWER_SECONDS_MAX as u32), Some(limit::NODE_ANSWER_SECONDS_MAX as u32), 1..=3_600,
        "Time until the answer to a call begins";
    connection_age_seconds: Some(86_400), Some(0), 0..=2_592_000,
        "After how long a connection takes no new calls, so that its peer opens another; 0 for never. At a broker it ends tunnels";
    message_bytes: Some(limit::MESSAGE_BYTES_MAX as u32), None, 65_536..=67_108_864,
        "One message of a call";
    queries_at_once: Some(limit::QUERIES_AT_ONCE_MAX as u32), None, 1..=1_024,
        "Queries that run at the same time; others wait";
    readings_at_once: Some(limit::READING_AT_ONCE_MAX as u32), None, 1..=256,
        "SQL texts that are read at the same time, each on a thread with a deep stack; others wait";
    row_streams_at_once: Some(limit::ROW_STREAMS_AT_ONCE_MAX as u32), None, 1..=4_096,
        "Long answers that leave while they are read; one more is refused";
    fit_step_seconds: Some(limit::FIT_STEP_SECONDS_MAX as u32), None, 1..=(limit::FIT_STEP_SECONDS_MAX as u32),
        "How long a fit waits for what whoever asks says next; the slowest of the other nodes reads its rows meanwhile";
    drain_seconds: Some(30), Some(10), 0..=3_600,
        "How long what runs may go on once the server is told to stop. Give the service manager more than that";
}

/// Whose limits they are.
#[derive(Clone, Copy, Debug)]
enum Role {
    Node,
    Broker,
}

impl Role {
    fn default_of(self, known: &Known) -> Option<u32> {
        match self {
            Role::Node => known.node,
            Role::Broker => known.broker,
        }
    }
}

/// Why a table of limits is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// There is no such limit.
    #[error("unknown field `{name}`, expected one of {known}")]
    Unknown {
        /// What was written.
        name: String,
        /// What there is.
        known: String,
    },
    /// It may not have this value.
    #[error("invalid value: `{name}` is {value}, and must be from {least} to {most}")]
    Range {
        /// The limit.
        name: String,
        /// What was written.
        value: i64,
        /// The least that it may be.
        least: u32,
        /// The most.
        most: u32,
    },
    /// One stream may not have more on its way than all together.
    #[error("invalid value: `stream_window_bytes` is more than `connection_window_bytes`")]
    Windows,
}

impl Limits {
    fn parse(role: Role, written: BTreeMap<String, i64>) -> Result<Self, LimitsError> {
        let mut limits = Self::of(role);
        for (name, value) in written {
            let known = TABLE.iter().find(|known| known.name == name);
            let known = known.filter(|known| role.default_of(known).is_some());
            let (Some(known), Some(place)) = (known, limits.named(&name)) else {
                let names = TABLE.iter().filter(|known| role.default_of(known).is_some());
                let names: Vec<String> = names.map(|known| format!("`{}`", known.name)).collect();
                let known = names.join(", ");
                return Err(LimitsError::Unknown { name, known });
            };
            let (least, most) = (*known.range.start(), *known.range.end());
            let fits = u32::try_from(value).ok().filter(|value| known.range.contains(value));
            *place = fits.ok_or(LimitsError::Range {
                name,
                value,
                least,
                most,
            })?;
        }
        if limits.stream_window_bytes > limits.connection_window_bytes {
            return Err(LimitsError::Windows);
        }
        Ok(limits)
    }

    /// What is not as it is unless somebody says otherwise.
    fn changed(&self, role: Role) -> BTreeMap<String, u32> {
        let values = TABLE.iter().zip(self.all());
        let changed = values.filter(|(known, value)| role.default_of(known).is_some_and(|usual| usual != *value));
        changed.map(|(known, value)| (known.name.to_owned(), value)).collect()
    }
}

macro_rules! limits_of {
    ($name:ident, $role:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "BTreeMap<String, i64>", into = "BTreeMap<String, u32>")]
        pub struct $name(Limits);

        impl $name {
            /// Those that the file changes.
            pub fn changed(&self) -> BTreeMap<String, u32> {
                self.0.changed($role)
            }

            /// Whether the file changes none.
            pub fn are_usual(&self) -> bool {
                self.changed().is_empty()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Limits::of($role))
            }
        }

        impl Deref for $name {
            type Target = Limits;

            fn deref(&self) -> &Limits {
                &self.0
            }
        }

        impl TryFrom<BTreeMap<String, i64>> for $name {
            type Error = LimitsError;

            fn try_from(written: BTreeMap<String, i64>) -> Result<Self, LimitsError> {
                Limits::parse($role, written).map(Self)
            }
        }

        impl From<$name> for BTreeMap<String, u32> {
            fn from(limits: $name) -> Self {
                limits.changed()
            }
        }
    };
}

limits_of!(NodeLimits, Role::Node, "The limits of a node.");
limits_of!(BrokerLimits, Role::Broker, "The limits of a broker.");

/// The table as the operators' guide shows it.
pub fn page() -> String {
    let mut page = String::from("| limit | node | broker | from | to | what it bounds |\n|---|---|---|---|---|---|\n");
    for known in TABLE {
        let usual = |value: Option<u32>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        let (node, broker) = (usual(known.node), usual(known.broker));
        let (least, most) = (known.range.start(), known.range.end());
        let row = format!(
            "| `{}` | {node} | {broker} | {least} | {most} | {} |\n",
            known.name, known.says
        );
        page.push_str(&row);
    }
    page
}

#[cfg(test)]
mod tests;
