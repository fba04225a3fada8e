//! The box in which institutions leave their requests to become members, until the board fetches them by their codes.
//!
//! Nothing in it makes anybody a member: the board's signed roster does, and a request of whom it names is handed out no more. The
//! box must never tell a code that is used or expired from one that never was. Next: `enrol/store.rs`.

mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use policy::Rules;
use terms::{Clock, Problem, Report, SpaceId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Request, Response, Status};
use wire::v1::enrolment_service_server::EnrolmentService;
use wire::v1::{FetchEnrolmentRequest, FetchEnrolmentResponse, RequestEnrolmentRequest, RequestEnrolmentResponse};
use wire::{Code, Enrolment, enrolment};

use crate::refused;
use crate::roster::Roster;
pub(crate) use store::Store;

/// How long a code that does not fit keeps its place, and every request that comes.
const PAUSE: Duration = Duration::from_secs(1);

/// Codes that are looked at at once, of all callers: so many wrong ones are tried in a second at the most. Fitting ones keep no place.
const LOOKS_AT_ONCE_MAX: usize = 64;

/// Requests that are taken in at once, of all callers: strangers fill the box slowly.
const TAKEN_AT_ONCE_MAX: usize = 4;

/// How long a call waits for a place.
const WAIT: Duration = Duration::from_secs(5);

/// The requests to one data space.
#[derive(Debug)]
pub(crate) struct Enrolments {
    space: SpaceId,
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
    store: Store,
    looks: Semaphore,
    taken: Semaphore,
}

impl Enrolments {
    pub(crate) fn new(space: SpaceId, roster: Arc<Roster>, clock: Arc<dyn Clock>, store: Store) -> Self {
        Self {
            space,
            roster,
            clock,
            store,
            looks: Semaphore::new(LOOKS_AT_ONCE_MAX),
            taken: Semaphore::new(TAKEN_AT_ONCE_MAX),
        }
    }

    /// Keeps a request that is signed with its own key, of an institution that the roster does not name.
    async fn take(&self, request: RequestEnrolmentRequest) -> Result<(), Report> {
        crate::require_space(&request.space, &self.space)?;
        let place = place(&self.taken).await?;
        let taken = self.keep(request.envelope).await;
        tokio::time::sleep(PAUSE).await;
        drop(place);
        taken
    }

    async fn keep(&self, sealed: Vec<u8>) -> Result<(), Report> {
        let opened = enrolment::open(&sealed)?;
        let now = self.clock.now();
        opened.require_valid(&self.space, now)?;
        let rules = self.roster.rules().await?;
        if is_named(&rules, &opened) {
            let message = format!("the roster names {} or its key already", opened.member);
            let remedy = "choose another name and a new key; an institution that is a member already asks the board to change its key";
            return Err(Problem::Usage.report(message).remedy(remedy));
        }
        let member = opened.member.clone();
        let is_used = move |enrolment: &Enrolment| is_named(&rules, enrolment);
        self.store.keep(opened, sealed, now, is_used).await?;
        tracing::info!(%member, "request for enrolment kept");
        Ok(())
    }

    /// The request with this code. Whoever has another one waits.
    async fn fetch(&self, request: &FetchEnrolmentRequest) -> Result<Vec<u8>, Report> {
        crate::require_space(&request.space, &self.space)?;
        let place = place(&self.looks).await?;
        let found = self.find(&request.code).await?;
        if found.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
        drop(place);
        found.ok_or_else(|| {
            let remedy = "compare the code with the institution; one that was used or is older than a week needs a new request: \
                          datenraum node init --again --dir DIR";
            Problem::Usage
                .report("no open request for enrolment has this code")
                .remedy(remedy)
        })
    }

    async fn find(&self, code: &[u8]) -> Result<Option<Vec<u8>>, Report> {
        let rules = self.roster.rules().await?;
        let Ok(code) = Code::try_from(code) else {
            return Ok(None);
        };
        let found = self.store.find(code).await?;
        Ok(found.filter(|sealed| {
            let opened = enrolment::open(sealed);
            let is_open = |enrolment: &Enrolment| {
                enrolment.require_valid(&self.space, self.clock.now()).is_ok() && !is_named(&rules, enrolment)
            };
            opened.is_ok_and(|enrolment| is_open(&enrolment))
        }))
    }
}

/// Whether the roster names the institution or its key: then its code is used.
fn is_named(rules: &Rules, enrolment: &Enrolment) -> bool {
    let holds = |member: &policy::Member| member.key == enrolment.key;
    rules.members.contains_key(&enrolment.member) || rules.members.values().any(holds)
}

async fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Report> {
    let place = tokio::time::timeout(WAIT, places.acquire()).await;
    let full = || Problem::Resources.report("the broker is asked about more enrolments than it looks at");
    place.ok().and_then(Result::ok).ok_or_else(full)
}

#[tonic::async_trait]
impl EnrolmentService for Enrolments {
    async fn request(
        &self,
        request: Request<RequestEnrolmentRequest>,
    ) -> Result<Response<RequestEnrolmentResponse>, Status> {
        self.take(request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(RequestEnrolmentResponse {}))
    }

    async fn fetch(&self, request: Request<FetchEnrolmentRequest>) -> Result<Response<FetchEnrolmentResponse>, Status> {
        let found = self.fetch(request.get_ref()).await;
        let envelope = found.map_err(refused)?;
        Ok(Response::new(FetchEnrolmentResponse { envelope }))
    }
}
