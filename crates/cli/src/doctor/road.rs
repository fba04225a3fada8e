//! The way to the broker, step by step, so that the step that does not work is the one that is named; and what can be learned from a
//! broker that answers: the time, and whether its documents verify from here.

use std::time::{Duration, Instant};

use terms::{Clock as _, Problem, Report, SpaceId, SystemClock, limit};
use tokio::net::{TcpStream, lookup_host};
use trust::SpaceStore;
use wire::{BrokerSource, Connection, PeerConfig, Road};

use super::Visit;

/// Clock difference at which somebody should look, in seconds: that which is tolerated.
const SKEW_SECONDS_MAX: i64 = limit::CLOCK_LEEWAY_SECONDS;

/// How long a step may take.
const STEP: Duration = Duration::from_secs(limit::CONNECT_SECONDS_MAX);

/// Walks to each address of the broker. The first connection that came about.
pub(super) async fn to_broker(visit: &mut Visit, broker: &PeerConfig) -> Option<Connection> {
    let mut connection = None;
    for at_one_address in broker.each() {
        let there = walk(visit, &at_one_address).await;
        connection = connection.or(there);
    }
    connection
}

async fn walk(visit: &mut Visit, broker: &PeerConfig) -> Option<Connection> {
    let address = broker.address.to_string();
    let (first, what) = match &broker.proxy {
        Some(proxy) => (&proxy.address, "the proxy"),
        None => (&address, "the broker"),
    };
    let reached = reach(visit, first, what).await;
    if !reached {
        visit.skipped("broker", format!("{what} is not reached"));
        return None;
    }
    let began = Instant::now();
    let connection = visit.need(
        "broker",
        broker
            .connect("broker")
            .await
            .map_err(|report| explained(report, broker)),
    )?;
    let through = broker
        .proxy
        .as_ref()
        .map(|proxy| format!(" through the proxy {}", proxy.address));
    let told = format!(
        "answers at {}{} with its key, by {}, after {} ms",
        broker.address,
        through.unwrap_or_default(),
        connection.road(),
        began.elapsed().as_millis()
    );
    match connection.road() {
        Road::Streams => visit.ok("broker", told),
        Road::Polls => visit.warn("broker", format!("{told}: no connection lives on the way"), POLLS),
    }
    Some(connection)
}

/// Finds an address by its name and opens a TCP connection there.
async fn reach(visit: &mut Visit, address: &str, what: &str) -> bool {
    let found = match tokio::time::timeout(STEP, lookup_host(address)).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => return no_way(visit, "name", format!("{address} ({what}) is not found: {error}"), NAME),
        Err(_) => return no_way(visit, "name", format!("{address} ({what}) is not found in time"), NAME),
    };
    let listed: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    visit.ok("name", format!("{address} is {}", listed.join(", ")));
    let began = Instant::now();
    match tokio::time::timeout(STEP, TcpStream::connect(&*found)).await {
        Ok(Ok(_)) => {
            visit.ok(
                "network",
                format!("{what} takes connections, after {} ms", began.elapsed().as_millis()),
            );
            true
        }
        Ok(Err(error)) => no_way(
            visit,
            "network",
            format!("{what} at {address} takes no connection: {error}"),
            NETWORK,
        ),
        Err(_) => no_way(visit, "network", format!("{what} at {address} says nothing"), NETWORK),
    }
}

const NAME: &str = "check the spelling of the address, and that this machine can resolve names (its DNS server)";
const NETWORK: &str = "ask your network's operator to allow outgoing TCP connections to this address and port, or name the proxy \
                       under [broker.proxy]";
const POLLS: &str = "nothing has to be done: short requests are used, which are slower; for more speed ask your network's operator to let \
                     TLS with HTTP/2 pass to this address and port";

fn no_way(visit: &mut Visit, check: &'static str, message: String, remedy: &str) -> bool {
    visit.failed(check, &Problem::Unreachable.report(message).remedy(remedy));
    false
}

/// A key that is not the broker's has one of two causes, and an operator cannot know which.
fn explained(report: Report, broker: &PeerConfig) -> Report {
    match report.problem {
        Problem::PeerKey => report.remedy(
            "either the key in the configuration is not the broker's (ask the board), or something on the way opens TLS (ask your \
             network's operator to leave this address out of inspection)",
        ),
        Problem::Unreachable if broker.proxy.is_none() => report.remedy(
            "the port is open, but what answers speaks TLS neither with HTTP/2 nor by short requests: check the port, and whether something \
             on the way changes or ends such connections",
        ),
        _ => report,
    }
}

/// How far the clocks are apart, by the time that the broker's answer bears.
pub(super) async fn clock(visit: &mut Visit, broker: &Connection) {
    let Some(ahead) = wire::health::clock_ahead(broker, &SystemClock).await else {
        return visit.skipped("clock", "the broker does not say what time it is");
    };
    if ahead.abs() > SKEW_SECONDS_MAX {
        let way = if ahead > 0 { "behind" } else { "ahead of" };
        visit.warn(
            "clock",
            format!("this machine is {} s {way} the broker", ahead.abs()),
            "let both keep time by NTP: credentials and documents are refused when clocks differ",
        );
    } else {
        visit.ok("clock", format!("within {} s of the broker's", ahead.abs().max(1)));
    }
}

/// Whether what the broker serves verifies, from the root document that is pinned here.
pub(super) async fn documents(visit: &mut Visit, broker: &Connection, space: &SpaceId, root: &std::path::Path) {
    let verified = async {
        let root = std::fs::read(root);
        let root =
            root.map_err(|error| Problem::FileMissing.report(format!("the root document cannot be read: {error}")))?;
        let place = Scratch::new()?;
        let store = SpaceStore::create(&place.0, &root)?;
        let source = BrokerSource::new(broker.clone(), space.clone());
        trust::refresh(&source, &store, SystemClock.now()).await
    };
    if let Some(verified) = visit.need("documents", verified.await) {
        visit.ok(
            "documents",
            format!(
                "version {} of {} verifies from the pinned root, {} signatures, until {:.0}",
                verified.version,
                verified.space,
                verified.signers.len(),
                verified.expires
            ),
        );
    }
}

/// A folder that is there for one look.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, Report> {
        let [a, b, c, d] = trust::random_bytes()?;
        let name = format!("datenraum-doctor-{a:02x}{b:02x}{c:02x}{d:02x}");
        let folder = std::env::temp_dir().join(name);
        crate::sandbox::layout::make_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is what everybody may read.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
