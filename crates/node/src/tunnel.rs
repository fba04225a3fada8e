//! How a node is reached that takes no connection from outside: it dials out to the broker and keeps some connections open, on each of
//! which it hears that somebody wants to reach it.
//!
//! Whoever comes that way is met at the same door as everybody else: TLS with the node's key, then tokens. The broker is not asked who
//! it is. Next: `tunnel/choice.rs` (what becomes of it where networks cut long connections).

mod choice;

use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt as _, StreamExt};
use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};
use terms::{Report, UtcTime, limit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::{Connection, Door, PeerConfig, Road, Socket, relay};

use crate::config::Config;
use crate::query::Desk;
use choice::{Choice, End};

/// How long a tunnel that was lost waits before it is opened again: at first and at most.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A tunnel that held so long was a good one: the next loss begins with the first wait again.
const HELD_WELL: Duration = Duration::from_secs(60);

/// A tunnel that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// Where the broker is to which it leads.
    pub broker: String,
    /// How bytes come to it and from it.
    pub road: Road,
    /// Since when.
    pub since: UtcTime,
}

/// Those that are.
pub(crate) type Tunnels = watch::Sender<Vec<TunnelStatus>>;

/// Keeps the node's tunnels open, at each address of the broker as many as are configured. Goes on for ever; what was taken up ends with `stop`.
pub(crate) async fn keep(config: &Config, desk: &Desk, door: Door, open: &Tunnels, stop: &CancellationToken) {
    let brokers: Vec<PeerConfig> = config.broker.each().collect();
    let tunnels = brokers
        .iter()
        .flat_map(|broker| (0..config.tunnels).map(|_| keep_one(broker, desk, &door, open, stop)));
    join_all(tunnels).await;
    std::future::pending::<()>().await;
}

async fn keep_one(broker: &PeerConfig, desk: &Desk, door: &Door, open: &Tunnels, stop: &CancellationToken) {
    let (mut wait, mut choice) = (WAIT_FIRST, Choice::default());
    while !stop.is_cancelled() {
        let began = Instant::now();
        let held = hold(broker, desk, door, open, &mut choice);
        let Some(held) = stop.run_until_cancelled(held).await else {
            return;
        };
        match held {
            Ok(()) => info!("a tunnel to the broker ended"),
            Err(report) => warn!(problem = %report.problem, message = report.message, "no tunnel to the broker"),
        }
        if began.elapsed() >= HELD_WELL {
            wait = WAIT_FIRST;
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(jittered(wait)))
            .await
            .is_none()
        {
            return;
        }
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Holds one tunnel until it ends: with its connection, and all who came through it; or, if it is one of polls, once it is time to try
/// streams again.
async fn hold(
    broker: &PeerConfig,
    desk: &Desk,
    door: &Door,
    open: &Tunnels,
    choice: &mut Choice,
) -> Result<(), Report> {
    let address = broker.address.to_string();
    let broker = match choice.road(Instant::now()) {
        Road::Streams => broker.connect("broker").await?,
        Road::Polls => {
            let connected = broker.connect_on(Road::Polls, "broker").await;
            connected.inspect_err(|_| choice.no_polls())?
        }
    };
    let mut calls = relay::hold(&broker, &desk.space, &desk.member, &desk.key, desk.clock.now()).await?;
    let (road, began) = (broker.road(), Instant::now());
    let status = TunnelStatus {
        broker: address,
        road,
        since: desk.clock.now(),
    };
    let _open = Open::one_more(open, status);
    info!(%road, "a tunnel to the broker is open");
    let mut taking_up = JoinSet::new();
    let over = match road {
        Road::Streams => futures::future::pending().left_future(),
        Road::Polls => tokio::time::sleep(choice.polls_last()).right_future(),
    };
    let mut over = std::pin::pin!(over);
    let end = loop {
        let call = tokio::select! {
            call = calls.next() => call,
            () = &mut over => {
                // Nobody new comes this way. Those who have come stay for as long as they like.
                while taking_up.join_next().await.is_some() {}
                break End::Said;
            }
        };
        let call = match call {
            Some(Ok(call)) => call,
            Some(Err(_)) => break End::Cut,
            None => break End::Said,
        };
        while taking_up.try_join_next().is_some() {}
        if taking_up.len() >= limit::CALLS_PER_TUNNEL_MAX {
            continue;
        }
        let (broker, door) = (broker.clone(), door.clone());
        taking_up.spawn(async move { take_up(&broker, call.call, &door).await });
    };
    choice.ended(road, end, began.elapsed(), Instant::now());
    Ok(())
}

/// Takes up one call. If whoever called has gone, nothing is to be done.
async fn take_up(broker: &Connection, call: Bytes, door: &Door) {
    let carrying = tokio::time::timeout(Duration::from_secs(limit::CALL_SECONDS_MAX), relay::carry(broker, call));
    if let Ok(Ok(carried)) = carrying.await {
        door.admit(Socket::Carried(Box::new(carried))).await;
    }
}

/// One of the tunnels that are open.
struct Open<'a> {
    open: &'a Tunnels,
    status: TunnelStatus,
}

impl<'a> Open<'a> {
    fn one_more(open: &'a Tunnels, status: TunnelStatus) -> Self {
        open.send_modify(|tunnels| tunnels.push(status.clone()));
        Self { open, status }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.open.send_modify(|tunnels| {
            if let Some(place) = tunnels.iter().position(|tunnel| *tunnel == self.status) {
                tunnels.remove(place);
            }
        });
    }
}

/// Between half of it and all of it, so that nodes which lost the broker together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let [random] = trust::random_bytes().unwrap_or([0]);
    wait.mul_f64(0.5 + f64::from(random) / 512.0)
}
