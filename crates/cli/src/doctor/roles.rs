//! What a node, a broker and a person each need.

use std::path::Path;
use std::sync::Arc;

use federation::{Asker, Profile};
use node::status::NodeStatus;
use terms::{Clock as _, Problem, Report, SystemClock};
use trust::SigningKey;

use super::{Visit, machine, road};

/// Looks at the role that a configuration file is of: what is in it says which.
pub(super) async fn visit(file: &Path) -> Visit {
    let mut visit = Visit::at(file);
    match role_of(file) {
        Err(report) => visit.failed("config", &report),
        Ok(Role::Node) => Box::pin(node(&mut visit, file)).await,
        Ok(Role::Broker) => Box::pin(broker(&mut visit, file)).await,
        Ok(Role::Person) => Box::pin(person(&mut visit, file)).await,
    }
    visit
}

enum Role {
    Node,
    Broker,
    Person,
}

fn role_of(file: &Path) -> Result<Role, Report> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|error| Problem::FileMissing.report(format!("{name}: {error}")))?;
    let table: toml::Table = terms::text::parse_toml(&name, &text)?;
    Ok(match () {
        () if table.contains_key("snapshot_key") => Role::Broker,
        () if table.contains_key("person") => Role::Person,
        () => Role::Node,
    })
}

async fn node(visit: &mut Visit, file: &Path) {
    let findings = node::Config::check(file, SystemClock.now()).await;
    let loaded = node::Config::load(file);
    visit.findings(&findings, || {
        loaded.as_ref().map_or_else(ToString::to_string, |config| {
            format!("{} of {}", config.member, config.space)
        })
    });
    let Ok(config) = loaded else { return };
    let key = visit.need("key", SigningKey::load(&config.key)).map(|key| key.public());
    if let Some(key) = &key {
        visit.ok("key", key.to_string());
    }
    machine::look(visit, &config.data);
    if let Some(folder) = config.anchor.as_deref().and_then(Path::parent) {
        machine::disk(visit, folder);
    }
    if let Some(connection) = road::to_broker(visit, &config.broker).await {
        road::clock(visit, &connection).await;
        road::documents(visit, &connection, &config.space, &config.root).await;
    }
    let (Some(key), Some(status)) = (key, state(visit, &config)) else {
        return;
    };
    if config.ledger_file().exists() {
        if let Some(audit) = visit.need("ledger", node::status::audit_head(&config, &key)) {
            visit.ok(
                "ledger",
                format!(
                    "{} entries under a head that the key signed; audit verify reads them all",
                    audit.entries
                ),
            );
        }
    } else {
        visit.skipped("ledger", "nothing was asked yet");
    }
    match status.datasets.len() {
        0 => visit.warn(
            "datasets",
            "the node offers nothing",
            "add data: datenraum node dataset add FILE --collection ID",
        ),
        count => visit.ok("datasets", format!("{count} offered")),
    }
    address(visit, &config, &key).await;
}

/// What the node wrote down itself.
fn state(visit: &mut Visit, config: &node::Config) -> Option<NodeStatus> {
    let Ok(status) = NodeStatus::read(config) else {
        visit.skipped("state", "the node never ran here");
        return None;
    };
    let warnings = status.warnings(SystemClock.now());
    if warnings.is_empty() {
        visit.ok(
            "state",
            format!("works under version {} of the documents", status.documents.version),
        );
    }
    for warning in warnings {
        visit.warn("state", warning, "see datenraum node status");
    }
    Some(status)
}

/// Whether the node is met where it says that it is.
async fn address(visit: &mut Visit, config: &node::Config, key: &trust::PublicKey) {
    let Some(address) = config.advertise.as_ref().or(config.listen.as_ref()) else {
        return visit.ok(
            "address",
            "takes no connections from outside, and is reached through the broker",
        );
    };
    match wire::connect(address, config.member.as_str(), key).await {
        Ok(_) => visit.ok(
            "address",
            format!("the node answers at {address} with its key, from this machine"),
        ),
        Err(report) if config.tunnels > 0 && report.problem == Problem::Unreachable => visit.warn(
            "address",
            report.message,
            "it is reached through the broker; to be reached directly too, start it, or open the port",
        ),
        Err(report) => visit.failed("address", &report),
    }
}

async fn broker(visit: &mut Visit, file: &Path) {
    let loaded = broker::Config::load(file);
    visit.findings(&broker::Config::check(file), || {
        loaded
            .as_ref()
            .map_or_else(ToString::to_string, |config| format!("of {}", config.space))
    });
    let Ok(config) = loaded else { return };
    let mut key = None;
    for (check, file) in [
        ("key", &config.key),
        ("snapshot", &config.snapshot_key),
        ("timestamp", &config.timestamp_key),
    ] {
        if let Some(loaded) = visit.need(check, SigningKey::load(file)) {
            visit.ok(check, loaded.public().to_string());
            key = key.or((check == "key").then(|| loaded.public()));
        }
    }
    machine::look(visit, &config.data);
    // The port of all addresses is one of this machine too.
    let address = config
        .listen
        .replace("0.0.0.0:", "127.0.0.1:")
        .replace("[::]:", "[::1]:");
    let Some(key) = key else { return };
    let itself = wire::PeerConfig::direct(address, key);
    if let Some(connection) = road::to_broker(visit, &itself).await {
        road::documents(visit, &connection, &config.space, &config.root).await;
    }
}

async fn person(visit: &mut Visit, file: &Path) {
    let Some(profile) = visit.need("config", Profile::load(file)) else {
        return;
    };
    visit.ok(
        "config",
        format!("{} of {} in {}", profile.person, profile.member, profile.space),
    );
    if let Some(key) = visit.need("key", SigningKey::load(&profile.key)) {
        visit.ok("key", key.public().to_string());
    }
    machine::disk(visit, &profile.data);
    if let Some(connection) = road::to_broker(visit, &profile.broker).await {
        road::clock(visit, &connection).await;
        road::documents(visit, &connection, &profile.space, &profile.root).await;
    }
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await;
    let Some(asker) = visit.need("credential", asker) else {
        return;
    };
    let roles: Vec<String> = asker.caller().roles.iter().map(ToString::to_string).collect();
    visit.ok(
        "credential",
        format!("{} vouches for you as {}", asker.caller().member, roles.join(", ")),
    );
    for (node, reached) in asker.reach_nodes().await {
        if let Some(after) = visit.need("node", reached) {
            visit.ok("node", format!("{node} is reached, after {} ms", after.as_millis()));
        }
    }
}
