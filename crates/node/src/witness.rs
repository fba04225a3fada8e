//! The node's audit, cosigned by the broker: a checkpoint that the broker saw cannot be taken back without its noticing.
//!
//! It must never be in the way of an answer, and a broker that refuses stops nothing: else a broker could stop nodes. The broker
//! learns how long the log is, and its root. Next: the broker crate's `witness.rs`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use terms::{Problem, Report, UtcTime, limit};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trust::merkle::Hash;
use trust::{Cosigned, Frontier, WITNESS_NAME};
use wire::Connection;
use wire::v1::add_checkpoint_response::Outcome;
use wire::v1::witness_service_client::WitnessServiceClient;
use wire::v1::{AddCheckpointRequest, AddCheckpointResponse};

use crate::config::Config;
use crate::durable;
use crate::ledger::{Ledger, LedgerStatus, store};

/// How often the broker is asked while the log grows, at the most; no rarer than the node looks at documents.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// How far the log is cosigned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessStatus {
    /// Entries that the broker cosigned last, since the node was started.
    pub entries: u64,
    /// When.
    pub at: Option<UtcTime>,
    /// Why the log as it is now is not cosigned, if the broker has seen another.
    pub problem: Option<Report>,
}

/// What is known of the broker's view of the log.
#[derive(Debug, Default)]
pub(crate) struct Witnessed {
    status: Mutex<WitnessStatus>,
}

impl Witnessed {
    pub(crate) fn status(&self) -> WitnessStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for cosignatures while the log grows, until `stop`; then waits for ever.
    pub(crate) async fn keep_asking(&self, config: &Config, ledger: &Ledger, stop: &CancellationToken) {
        let every = Duration::from_secs(config.refresh_seconds).min(ASK_EVERY);
        let (mut broker, mut at_broker) = (None, Frontier::default());
        while !stop.is_cancelled() {
            let (head, status) = (ledger.status(), self.status());
            let is_new = status.at.is_none() || status.entries != head.entries;
            if is_new && let Err(report) = self.ask(config, &head, &mut broker, &mut at_broker).await {
                broker = None;
                self.note(report);
            }
            if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
                break;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Has this head cosigned. Of what the broker says that it knows, the proof begins.
    async fn ask(
        &self,
        config: &Config,
        head: &LedgerStatus,
        broker: &mut Option<Connection>,
        at_broker: &mut Frontier,
    ) -> Result<(), Report> {
        let connection = match broker {
            Some(connection) => connection,
            None => broker.insert(config.broker.connect("broker").await?),
        };
        // The broker says once what it knows; then the proof begins there.
        for _ in 0..2 {
            let leaves = leaves(config, at_broker.size(), head.entries).await?;
            let request = AddCheckpointRequest {
                space: config.space.to_string(),
                old_size: at_broker.size(),
                proof: at_broker
                    .consistency_proof(&leaves)
                    .iter()
                    .map(|hash| hash.to_vec())
                    .collect(),
                checkpoint: head.checkpoint.clone(),
            };
            match add(connection, request).await?.outcome {
                Some(Outcome::Cosignature(line)) => {
                    leaves.into_iter().for_each(|leaf| at_broker.append(leaf));
                    return self.keep(config, head, &line);
                }
                Some(Outcome::KnownSize(known)) if known <= head.entries => {
                    *at_broker = Frontier::default();
                    self::leaves(config, 0, known)
                        .await?
                        .into_iter()
                        .for_each(|leaf| at_broker.append(leaf));
                }
                Some(Outcome::KnownSize(known)) => return Err(longer(known, head.entries)),
                None => return Err(Problem::Answer.report("the broker did not say whether it cosigns")),
            }
        }
        Err(Problem::Unreachable.report("the broker cosigned another checkpoint meanwhile"))
    }

    /// Keeps what the broker cosigned beside the anchor.
    fn keep(&self, config: &Config, head: &LedgerStatus, line: &str) -> Result<(), Report> {
        let note = format!("{}{line}", head.checkpoint);
        let cosigned = Cosigned::verify(&note, WITNESS_NAME, &config.broker.key)
            .map_err(|error| Problem::Answer.report(format!("what the broker cosigned does not verify: {error}")))?;
        let path = config.cosigned_file();
        durable::replace(&path, note.as_bytes()).map_err(|error| {
            Problem::FileMissing.report(format!("{} is not written: {}", path.display(), error.kind()))
        })?;
        info!(entries = head.entries, "the broker cosigned the audit");
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = WitnessStatus {
            entries: head.entries,
            at: Some(cosigned.at),
            problem: None,
        };
        Ok(())
    }

    /// Remembers why not. A broker that cannot be reached is told elsewhere.
    fn note(&self, report: Report) {
        if report.problem == Problem::AuditBroken {
            error!(problem = %report.problem, message = report.message, "the audit is not cosigned, and must not be trusted unseen");
            self.status.lock().unwrap_or_else(PoisonError::into_inner).problem = Some(report.remedy(REMEDY));
        } else {
            warn!(problem = %report.problem, message = report.message, "the audit is not cosigned");
        }
    }
}

const REMEDY: &str = "find out whether the ledger was cut or restored from an older backup: answers may have been given that are not in \
                      it; keep it as evidence, tell the board, and read docs/operators.md, Backup and restore";

fn longer(known: u64, entries: u64) -> Report {
    Problem::AuditBroken.report(format!(
        "the broker cosigned {known} entries of this node's audit, and the ledger has {entries}"
    ))
}

/// The hashes of the entries from one to another, as the ledger keeps them.
async fn leaves(config: &Config, from: u64, to: u64) -> Result<Vec<Hash>, Report> {
    let file = config.ledger_file();
    let read = tokio::task::spawn_blocking(move || read_leaves(&file, from, to));
    read.await
        .map_err(|_| Problem::Internal.report("the ledger was not read"))?
}

fn read_leaves(file: &Path, from: u64, to: u64) -> Result<Vec<Hash>, Report> {
    let leaves = store::leaf_hashes(&store::open_to_read(file)?, from, to)?;
    if leaves.len() as u64 == to - from {
        return Ok(leaves);
    }
    Err(Problem::AuditUnavailable.report("the ledger has fewer entries than its checkpoint says"))
}

async fn add(connection: &Connection, request: AddCheckpointRequest) -> Result<AddCheckpointResponse, Report> {
    let seconds = limit::CATALOG_SECONDS_MAX;
    let mut witness = WitnessServiceClient::new(connection.grpc.clone());
    let added = tokio::time::timeout(Duration::from_secs(seconds), witness.add_checkpoint(request)).await;
    let late = |_| Problem::Unreachable.report(format!("the broker did not answer within {seconds} s"));
    let added = added
        .map_err(late)?
        .map_err(|status| wire::status::from_status(&status, "the broker").report)?;
    Ok(added.into_inner())
}
