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
use terms::{Report, limit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::{Connection, Door, Road, Socket, relay};

use crate::config::Config;
use crate::query::Desk;
use choice::{AGAIN_AFTER, Choice};

/// How long a tunnel that was lost waits before it is opened again: at first and at most.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A tunnel that held so long was a good one: the next loss begins with the first wait again.
const HELD_WELL: Duration = Duration::from_secs(60);

/// Keeps the node's tunnels open. Goes on for ever; what was taken up ends with `stop`.
pub(crate) async fn keep(
    config: &Config,
    desk: &Desk,
    door: Door,
    open: &watch::Sender<u16>,
    stop: &CancellationToken,
) {
    join_all((0..config.tunnels).map(|_| keep_one(config, desk, &door, open, stop))).await;
    std::future::pending::<()>().await;
}

async fn keep_one(config: &Config, desk: &Desk, door: &Door, open: &watch::Sender<u16>, stop: &CancellationToken) {
    let (mut wait, mut choice) = (WAIT_FIRST, Choice::default());
    while !stop.is_cancelled() {
        let began = Instant::now();
        let held = hold(config, desk, door, open, &mut choice);
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
    config: &Config,
    desk: &Desk,
    door: &Door,
    open: &watch::Sender<u16>,
    choice: &mut Choice,
) -> Result<(), Report> {
    let broker = match choice.road(Instant::now()) {
        Road::Streams => config.broker.connect("broker").await?,
        Road::Polls => {
            let connected = config.broker.connect_on(Road::Polls, "broker").await;
            connected.inspect_err(|_| choice.no_polls())?
        }
    };
    let mut calls = relay::hold(&broker, &config.space, &config.member, &desk.key, desk.clock.now()).await?;
    let _open = Open::one_more(open);
    let (road, since) = (broker.road(), Instant::now());
    info!(%road, "a tunnel to the broker is open");
    let mut taking_up = JoinSet::new();
    let over = match road {
        Road::Streams => futures::future::pending().left_future(),
        Road::Polls => tokio::time::sleep(AGAIN_AFTER).right_future(),
    };
    let mut over = std::pin::pin!(over);
    loop {
        let call = tokio::select! {
            call = calls.next() => call,
            () = &mut over => {
                // Nobody new comes this way. Those who have come stay for as long as they like.
                while taking_up.join_next().await.is_some() {}
                break;
            }
        };
        let Some(Ok(call)) = call else { break };
        while taking_up.try_join_next().is_some() {}
        if taking_up.len() >= limit::CALLS_PER_TUNNEL_MAX {
            continue;
        }
        let (broker, door) = (broker.clone(), door.clone());
        taking_up.spawn(async move { take_up(&broker, call.call, &door).await });
    }
    choice.lost(road, since.elapsed(), Instant::now());
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
struct Open<'a>(&'a watch::Sender<u16>);

impl<'a> Open<'a> {
    fn one_more(open: &'a watch::Sender<u16>) -> Self {
        open.send_modify(|tunnels| *tunnels += 1);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|tunnels| *tunnels -= 1);
    }
}

/// Between half of it and all of it, so that nodes which lost the broker together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let [random] = trust::random_bytes().unwrap_or([0]);
    wait.mul_f64(0.5 + f64::from(random) / 512.0)
}
