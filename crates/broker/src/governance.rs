//! How governance documents are served, by path and to anybody, and how new ones are taken.
//!
//! It must never tell an error as absence: a client takes absence for "there is no newer root". Nobody logs in to
//! publish: signatures decide, in `repository.rs`, which also says which paths exist at all. What strangers can do is
//! bounded here: one publication at a time, few that are refused, and stops in a lane of their own, which nobody can
//! block.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use terms::{Clock, Problem, Report, SpaceId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use trust::Envelope;
use wire::publish::Inbox;
use wire::status::to_status;
use wire::v1::governance_service_server::GovernanceService;
use wire::v1::{
    FetchDocumentRequest, FetchDocumentResponse, PublishDocumentsRequest, PublishDocumentsResponse, PublishRootRequest,
    PublishRootResponse, PublishStopRequest, PublishStopResponse,
};

use crate::repository::{OnlineKeys, Publication, Repository};

/// How long a publication may be silent, in seconds, while nobody else can publish.
const SILENCE_SECONDS_MAX: u64 = 10;

/// How long it may take to arrive in all, in seconds.
const ARRIVAL_SECONDS_MAX: u64 = 240;

/// Most publications that are refused in a minute. Further ones are not looked at: a board that makes a mistake needs
/// a few, and checking signatures for strangers costs.
const REFUSED_PER_MINUTE_MAX: usize = 20;

/// The governance documents of one data space.
#[derive(Debug)]
pub(crate) struct Governance {
    space: SpaceId,
    repository: Repository,
    keys: Arc<OnlineKeys>,
    clock: Arc<dyn Clock>,
    /// Held by the one publication that is being taken.
    publishing: Semaphore,
    /// Held by the one stop that is being looked at.
    stopping: Semaphore,
    /// When publications were refused, in the last minute.
    refused: Mutex<VecDeque<Instant>>,
}

impl Governance {
    pub(crate) fn new(space: SpaceId, repository: Repository, keys: Arc<OnlineKeys>, clock: Arc<dyn Clock>) -> Self {
        Self {
            space,
            repository,
            keys,
            clock,
            publishing: Semaphore::new(1),
            stopping: Semaphore::new(1),
            refused: Mutex::default(),
        }
    }

    async fn fetch(&self, request: FetchDocumentRequest) -> Result<Option<Vec<u8>>, Report> {
        crate::require_space(&request.space, &self.space)?;
        self.on_disk(move |repository, _, _| repository.document(&request.path))
            .await
    }

    async fn publish(&self, mut pieces: Streaming<PublishDocumentsRequest>) -> Result<(), Report> {
        self.require_patience()?;
        let _turn = self.publishing.try_acquire().map_err(|_| taken())?;
        let arriving = tokio::time::timeout(Duration::from_secs(ARRIVAL_SECONDS_MAX), self.receive(&mut pieces));
        let arrived = arriving.await.unwrap_or_else(|_| Err(late())).and_then(|publication| {
            let wire::publish::Publication {
                targets,
                delegated,
                files,
            } = publication;
            match (targets, delegated.len()) {
                (Some(targets), _) => Ok(Arrived::Set(Publication {
                    targets,
                    delegated,
                    files,
                })),
                (None, 1) => {
                    let one = delegated.into_iter().next();
                    one.map(|(role, document)| Arrived::Delegated(role, document, files))
                        .ok_or_else(nothing)
                }
                (None, _) => Err(nothing()),
            }
        });
        let published = match arrived {
            Ok(Arrived::Set(set)) => {
                self.on_disk(move |repository, keys, clock| repository.publish(keys, &set, clock.now()))
                    .await
            }
            Ok(Arrived::Delegated(role, document, files)) => {
                self.on_disk(move |repository, keys, clock| {
                    repository.publish_delegated(keys, role, &document, &files, clock.now())
                })
                .await
            }
            Err(report) => Err(report),
        };
        self.note(published, "documents")
    }

    async fn receive(
        &self,
        pieces: &mut Streaming<PublishDocumentsRequest>,
    ) -> Result<wire::publish::Publication, Report> {
        let mut inbox = Inbox::default();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(SILENCE_SECONDS_MAX), pieces.message()).await;
            let broken =
                |_: Status| Problem::Usage.report("the publication broke off, or has a piece that is too large");
            match next.map_err(|_| late())?.map_err(broken)? {
                Some(piece) => {
                    crate::require_space(&piece.space, &self.space)?;
                    inbox.take(piece)?;
                }
                None => return Ok(inbox.finish()),
            }
        }
    }

    async fn publish_root(&self, request: PublishRootRequest) -> Result<(), Report> {
        crate::require_space(&request.space, &self.space)?;
        self.require_patience()?;
        let _turn = self.publishing.try_acquire().map_err(|_| taken())?;
        let added = self.on_disk(move |repository, keys, clock| repository.add_root(keys, &request.root, clock.now()));
        self.note(added.await, "a root")
    }

    /// No stop waits for publications or is refused because others were.
    async fn publish_stop(&self, request: PublishStopRequest) -> Result<String, Report> {
        crate::require_space(&request.space, &self.space)?;
        let envelope = Envelope::parse(&request.envelope);
        let envelope = envelope.map_err(|error| Problem::PolicyInvalid.report(format!("it is no stop: {error}")))?;
        let stopping = self.stopping.acquire().await;
        let _turn = stopping.map_err(|_| Problem::Internal.report("the broker is stopping"))?;
        let accepted = self
            .on_disk(move |repository, _, _| repository.publish_stop(&envelope))
            .await?;
        tracing::warn!(stopped = %accepted.stop.stopped, digest = %accepted.digest, "a board member stopped");
        Ok(accepted.digest.to_string())
    }

    /// Refuses to look at a publication while too many are refused.
    fn require_patience(&self) -> Result<(), Report> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        while refused
            .front()
            .is_some_and(|at| at.elapsed() >= Duration::from_secs(60))
        {
            refused.pop_front();
        }
        if refused.len() < REFUSED_PER_MINUTE_MAX {
            return Ok(());
        }
        Err(Problem::Resources
            .report("too many publications were refused within a minute, so none is looked at")
            .remedy("try again in a minute, or have the broker's operator publish from the folder"))
    }

    fn note(&self, published: Result<(), Report>, what: &str) -> Result<(), Report> {
        match &published {
            Ok(()) => tracing::info!(what, "published"),
            Err(report) => {
                tracing::info!(what, problem = %report.problem, message = report.message, "publication refused");
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.push_back(Instant::now());
            }
        }
        published
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository, &OnlineKeys, &dyn Clock) -> Result<T, Report> + Send + 'static,
    ) -> Result<T, Report> {
        let (repository, keys, clock) = (self.repository.clone(), Arc::clone(&self.keys), Arc::clone(&self.clock));
        let working = tokio::task::spawn_blocking(move || work(&repository, &keys, clock.as_ref()));
        working
            .await
            .map_err(|_| Problem::Internal.report("the work on the repository stopped"))?
    }
}

/// A publication that arrived whole.
enum Arrived {
    /// The board's.
    Set(Publication),
    /// That of one delegated role.
    Delegated(
        trust::tuf::DelegatedRole,
        Vec<u8>,
        std::collections::BTreeMap<String, Vec<u8>>,
    ),
}

fn taken() -> Report {
    Problem::Resources
        .report("the broker is taking another publication")
        .remedy("try again in a minute")
}

fn late() -> Report {
    Problem::Resources
        .report("the publication did not arrive in time")
        .remedy("try again over a faster line")
}

fn nothing() -> Report {
    Problem::Usage.report("a publication has the board's list of files, or the list of one delegated role")
}

#[tonic::async_trait]
impl GovernanceService for Governance {
    async fn fetch_document(
        &self,
        request: Request<FetchDocumentRequest>,
    ) -> Result<Response<FetchDocumentResponse>, Status> {
        let content = self.fetch(request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(FetchDocumentResponse { content }))
    }

    async fn publish_documents(
        &self,
        request: Request<Streaming<PublishDocumentsRequest>>,
    ) -> Result<Response<PublishDocumentsResponse>, Status> {
        self.publish(request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(PublishDocumentsResponse {}))
    }

    async fn publish_root(
        &self,
        request: Request<PublishRootRequest>,
    ) -> Result<Response<PublishRootResponse>, Status> {
        Governance::publish_root(self, request.into_inner())
            .await
            .map_err(refused)?;
        Ok(Response::new(PublishRootResponse {}))
    }

    async fn publish_stop(
        &self,
        request: Request<PublishStopRequest>,
    ) -> Result<Response<PublishStopResponse>, Status> {
        let digest = Governance::publish_stop(self, request.into_inner())
            .await
            .map_err(refused)?;
        Ok(Response::new(PublishStopResponse { digest }))
    }
}

fn refused(report: Report) -> Status {
    to_status(&report.into())
}
