//! How governance documents are served, by path and to anybody, and how new ones are taken.
//!
//! It must never tell an error as absence: a client takes absence for "there is no newer root". Nobody logs in to
//! publish: signatures decide, in `repository.rs`, which also says which paths exist at all. What strangers can do is
//! bounded here. Nobody waits for anything whose signatures have not been looked at: the lists of a publication come first, and
//! only who brings news that the board signed takes the one place; a stop waits for others that hold.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use terms::{Clock, Problem, Report, SpaceId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use trust::Envelope;
use wire::PeerInfo;
use wire::publish::Inbox;
use wire::serve::places::{Addresses, Revolving};
use wire::status::to_status;
use wire::v1::governance_service_server::GovernanceService;
use wire::v1::{
    FetchDocumentRequest, FetchDocumentResponse, PublishDocumentsRequest, PublishDocumentsResponse, PublishRootRequest,
    PublishRootResponse, PublishStopRequest, PublishStopResponse,
};

use crate::online::KeyRing;
use crate::repository::{Lists, Publication, Repository};

/// How long a publication may be silent, in seconds, while nobody else can publish.
const SILENCE_SECONDS_MAX: u64 = 10;

/// How long it may take to arrive in all, in seconds.
const ARRIVAL_SECONDS_MAX: u64 = 240;

/// How long the signed lists of a publication may take to arrive, in seconds. Strangers can send such.
const LISTS_SECONDS_MAX: u64 = 30;

/// Publications of one address that arrive at a time, and of all: one more ends the one that has been at it longest. Each may have
/// some megabytes of lists.
const ARRIVING_PER_ADDRESS_MAX: u32 = 2;
const ARRIVING_MAX: u32 = 32;

/// Stops whose signatures are looked at at a time.
const STOPS_AT_ONCE_MAX: usize = 8;

/// Most publications of one address that are refused in a minute. Further ones are not looked at: a board that makes a mistake
/// needs a few, and checking signatures for strangers costs.
const REFUSED_PER_MINUTE_MAX: usize = 20;

/// The governance documents of one data space.
#[derive(Debug)]
pub(crate) struct Governance {
    space: SpaceId,
    repository: Repository,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    /// Publications whose lists come, by address and in all.
    arriving_of: Addresses,
    arriving: Revolving,
    /// Held by the one publication that is being taken.
    publishing: Semaphore,
    /// Held while it is looked whether a stop is signed.
    stopping: Semaphore,
    /// When publications of an address were refused, in the last minute.
    refused: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
}

impl Governance {
    pub(crate) fn new(space: SpaceId, repository: Repository, keys: Arc<KeyRing>, clock: Arc<dyn Clock>) -> Self {
        Self {
            space,
            repository,
            keys,
            clock,
            arriving_of: Addresses::new(ARRIVING_PER_ADDRESS_MAX),
            arriving: Revolving::new(ARRIVING_MAX),
            publishing: Semaphore::new(1),
            stopping: Semaphore::new(STOPS_AT_ONCE_MAX),
            refused: Mutex::default(),
        }
    }

    async fn fetch(&self, request: FetchDocumentRequest) -> Result<Option<Vec<u8>>, Report> {
        crate::require_space(&request.space, &self.space)?;
        self.on_disk(move |repository, _, _| repository.document(&request.path))
            .await
    }

    async fn publish(&self, from: IpAddr, mut pieces: Streaming<PublishDocumentsRequest>) -> Result<(), Report> {
        let _place = self.arriving_of.place(from).ok_or_else(taken)?;
        self.require_patience(from)?;
        let published = self.take(&mut pieces).await;
        self.note(from, published, "documents")
    }

    /// Takes the lists, then a place if they are signed and news, then the files.
    async fn take(&self, pieces: &mut Streaming<PublishDocumentsRequest>) -> Result<(), Report> {
        let mut inbox = Inbox::default();
        let arriving = self.arriving.begin();
        let lists_arrive = in_time(LISTS_SECONDS_MAX, self.receive(&mut inbox, pieces, Until::Files));
        let first_of_files = tokio::select! {
            arrived = lists_arrive => arrived?,
            () = arriving.displaced() => return Err(taken()),
        };
        let lists = lists(&inbox)?;
        let is_news = self.on_disk(move |repository, _, clock| repository.is_news(&lists, clock.now()));
        if !is_news.await? {
            return Ok(());
        }
        let _turn = self.publishing.try_acquire().map_err(|_| taken())?;
        drop(arriving);
        if let Some(piece) = first_of_files {
            inbox.take(piece)?;
            in_time(ARRIVAL_SECONDS_MAX, self.receive(&mut inbox, pieces, Until::End)).await?;
        }
        let (lists, files) = (self::lists(&inbox)?, inbox.finish().files);
        self.on_disk(move |repository, keys, clock| {
            let keys = keys.named_by(&repository.newest_roles()?);
            match lists {
                Lists::Set { targets, delegated } => {
                    let set = Publication {
                        targets,
                        delegated,
                        files,
                    };
                    repository.publish(&keys, &set, clock.now())
                }
                Lists::Delegated(role, document) => {
                    repository.publish_delegated(&keys, role, &document, &files, clock.now())
                }
            }
        })
        .await
    }

    /// Takes pieces to the end, or to the first of a file, which is handed back.
    async fn receive(
        &self,
        inbox: &mut Inbox,
        pieces: &mut Streaming<PublishDocumentsRequest>,
        until: Until,
    ) -> Result<Option<PublishDocumentsRequest>, Report> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(SILENCE_SECONDS_MAX), pieces.message()).await;
            let broken =
                |_: Status| Problem::Usage.report("the publication broke off, or has a piece that is too large");
            let Some(piece) = next.map_err(|_| late())?.map_err(broken)? else {
                return Ok(None);
            };
            crate::require_space(&piece.space, &self.space)?;
            if until == Until::Files && wire::publish::is_file(&piece) {
                return Ok(Some(piece));
            }
            inbox.take(piece)?;
        }
    }

    async fn publish_root(&self, from: IpAddr, request: PublishRootRequest) -> Result<(), Report> {
        crate::require_space(&request.space, &self.space)?;
        let _place = self.arriving_of.place(from).ok_or_else(taken)?;
        self.require_patience(from)?;
        let added = self.add_root(request.root).await;
        self.note(from, added, "a root")
    }

    async fn add_root(&self, root: Vec<u8>) -> Result<(), Report> {
        let offered = root.clone();
        let signed = self.on_disk(move |repository, _, clock| repository.require_next_root(&offered, clock.now()));
        let roles = signed.await?;
        let _turn = self.publishing.try_acquire().map_err(|_| taken())?;
        let adding = self
            .on_disk(move |repository, keys, clock| repository.add_root(&keys.named_by(&roles), &root, clock.now()));
        adding.await
    }

    /// No stop waits for publications or is refused because others were, and none waits for a turn before its signature holds.
    async fn publish_stop(&self, request: PublishStopRequest) -> Result<String, Report> {
        crate::require_space(&request.space, &self.space)?;
        let envelope = Envelope::parse(&request.envelope);
        let envelope = envelope.map_err(|error| Problem::PolicyInvalid.report(format!("it is no stop: {error}")))?;
        let looked_at = {
            let stopping = self.stopping.acquire().await;
            let _place = stopping.map_err(|_| Problem::Internal.report("the broker is stopping"))?;
            let envelope = envelope.clone();
            self.on_disk(move |repository, _, _| repository.require_stop(&envelope))
                .await
        };
        looked_at?;
        let accepted = self
            .on_disk(move |repository, _, _| repository.publish_stop(&envelope))
            .await?;
        tracing::warn!(stopped = %accepted.stop.stopped, digest = %accepted.digest, "a board member stopped");
        Ok(accepted.digest.to_string())
    }

    /// Refuses to look at a publication of an address while too many of it are refused.
    fn require_patience(&self, from: IpAddr) -> Result<(), Report> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, times| {
            times.retain(|at| at.elapsed() < Duration::from_secs(60));
            !times.is_empty()
        });
        if refused
            .get(&from)
            .is_none_or(|times| times.len() < REFUSED_PER_MINUTE_MAX)
        {
            return Ok(());
        }
        Err(Problem::Resources
            .report("too many publications from your address were refused within a minute, so none is looked at")
            .remedy("try again in a minute, or have the broker's operator publish from the folder"))
    }

    fn note(&self, from: IpAddr, published: Result<(), Report>, what: &str) -> Result<(), Report> {
        match &published {
            Ok(()) => tracing::info!(what, "published"),
            Err(report) => {
                tracing::info!(what, problem = %report.problem, message = report.message, "publication refused");
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.entry(from).or_default().push_back(Instant::now());
            }
        }
        published
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository, &KeyRing, &dyn Clock) -> Result<T, Report> + Send + 'static,
    ) -> Result<T, Report> {
        let (repository, keys, clock) = (self.repository.clone(), Arc::clone(&self.keys), Arc::clone(&self.clock));
        let working = tokio::task::spawn_blocking(move || work(&repository, &keys, clock.as_ref()));
        working
            .await
            .map_err(|_| Problem::Internal.report("the work on the repository stopped"))?
    }
}

/// How far pieces are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Files,
    End,
}

/// The lists of what came so far.
fn lists(inbox: &Inbox) -> Result<Lists, Report> {
    let came = inbox.so_far();
    let mut delegated = came.delegated.iter();
    match (&came.targets, delegated.next(), delegated.next()) {
        (Some(targets), ..) => Ok(Lists::Set {
            targets: targets.clone(),
            delegated: came.delegated.clone(),
        }),
        (None, Some((role, document)), None) => Ok(Lists::Delegated(*role, document.clone())),
        (None, ..) => Err(nothing()),
    }
}

async fn in_time<T>(seconds: u64, arriving: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let arrived = tokio::time::timeout(Duration::from_secs(seconds), arriving).await;
    arrived.unwrap_or_else(|_| Err(late()))
}

/// From where a call came. What has no address is one.
pub(crate) fn address<T>(request: &Request<T>) -> IpAddr {
    let peer = request.extensions().get::<PeerInfo>();
    peer.and_then(|peer| peer.address)
        .unwrap_or(Ipv4Addr::UNSPECIFIED.into())
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
        let from = address(&request);
        self.publish(from, request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(PublishDocumentsResponse {}))
    }

    async fn publish_root(
        &self,
        request: Request<PublishRootRequest>,
    ) -> Result<Response<PublishRootResponse>, Status> {
        let from = address(&request);
        Governance::publish_root(self, from, request.into_inner())
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
