//! The box in which institutions leave their requests to become members, until the board fetches them by their codes.
//!
//! Nothing in it makes anybody a member: the board's signed roster does, and a request of whom it names is handed out no more. The
//! box must never tell a code that is used or expired from one that never was, nor refuse one address for what others do: strangers
//! from many addresses make an institution wait at the most. Next: `enrol/store.rs` (which requests stay when there are too many).

mod store;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::Rules;
use terms::{Clock, Problem, Report, SpaceId};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use wire::serve::places::{AddressPlace, Addresses};
use wire::v1::enrolment_service_server::EnrolmentService;
use wire::v1::{FetchEnrolmentRequest, FetchEnrolmentResponse, RequestEnrolmentRequest, RequestEnrolmentResponse};
use wire::{Code, Enrolment, enrolment};

use crate::governance::address;
use crate::refused;
use crate::roster::Roster;
pub(crate) use store::Store;

/// How long a code that does not fit keeps its place, and every request that comes.
const PAUSE: Duration = Duration::from_secs(1);

/// Codes of one address that are looked at at once: so many wrong ones it tries in a second at the most. Fitting ones keep no place.
/// A code has 80 bits, so that many addresses find no more than one.
const LOOKS_PER_ADDRESS_MAX: u32 = 16;

/// Requests of one address that are taken in at once.
const TAKEN_PER_ADDRESS_MAX: u32 = 2;

/// Requests that are worked on at once, each for milliseconds: what comes from many addresses takes turns.
const WORK_AT_ONCE_MAX: usize = 4;

/// The requests to one data space.
#[derive(Debug)]
pub(crate) struct Enrolments {
    space: SpaceId,
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
    store: Store,
    looks: Addresses,
    taken: Addresses,
    work: Semaphore,
}

impl Enrolments {
    pub(crate) fn new(space: SpaceId, roster: Arc<Roster>, clock: Arc<dyn Clock>, store: Store) -> Self {
        Self {
            space,
            roster,
            clock,
            store,
            looks: Addresses::new(LOOKS_PER_ADDRESS_MAX),
            taken: Addresses::new(TAKEN_PER_ADDRESS_MAX),
            work: Semaphore::new(WORK_AT_ONCE_MAX),
        }
    }

    /// Keeps a request that is signed with its own key, of an institution that the roster does not name.
    async fn take(&self, from: IpAddr, request: RequestEnrolmentRequest) -> Result<(), Report> {
        crate::require_space(&request.space, &self.space)?;
        let place = place(&self.taken, from)?;
        let taken = self.keep(from, request.envelope).await;
        tokio::time::sleep(PAUSE).await;
        drop(place);
        taken
    }

    async fn keep(&self, from: IpAddr, sealed: Vec<u8>) -> Result<(), Report> {
        let _turn = self.work.acquire().await;
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
        self.store.keep(opened, sealed, from, now, rules).await?;
        tracing::info!(%member, "request for enrolment kept");
        Ok(())
    }

    /// The request with this code. Whoever has another one waits.
    async fn fetch(&self, from: IpAddr, request: &FetchEnrolmentRequest) -> Result<Vec<u8>, Report> {
        crate::require_space(&request.space, &self.space)?;
        let place = place(&self.looks, from)?;
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

fn place(places: &Addresses, from: IpAddr) -> Result<AddressPlace, Report> {
    places.place(from).ok_or_else(|| {
        Problem::Resources
            .report("your address asks about more enrolments at once than the broker looks at")
            .remedy("try again in a few seconds, one after the other")
    })
}

#[tonic::async_trait]
impl EnrolmentService for Enrolments {
    async fn request(
        &self,
        request: Request<RequestEnrolmentRequest>,
    ) -> Result<Response<RequestEnrolmentResponse>, Status> {
        let from = address(&request);
        self.take(from, request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(RequestEnrolmentResponse {}))
    }

    async fn fetch(&self, request: Request<FetchEnrolmentRequest>) -> Result<Response<FetchEnrolmentResponse>, Status> {
        let found = self.fetch(address(&request), request.get_ref()).await;
        let envelope = found.map_err(refused)?;
        Ok(Response::new(FetchEnrolmentResponse { envelope }))
    }
}
