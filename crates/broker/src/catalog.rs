//! The catalogue: which node offers what, as institutions signed it, for people who may ask about it.
//!
//! It must never make a description or show a collection to somebody who may not query it. What it hands out is
//! verified again by whoever reads it. Next: `catalog/store.rs`, where descriptions are kept.

mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use terms::limit::{CLOCK_LEEWAY_SECONDS, MESSAGE_BYTES_MAX};
use terms::{CollectionId, Problem, Report};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use trust::Channel;
use wire::PeerInfo;
use wire::description::{self, DISCOVER_QUERY, NodeDescription};
use wire::v1::catalog_service_server::CatalogService;
use wire::v1::{DiscoverRequest, DiscoverResponse, PublishDescriptionRequest, PublishDescriptionResponse};

use crate::callers::{Callers, key_of};
use crate::refused;
pub(crate) use store::Store;

/// The catalogue of one data space.
#[derive(Debug)]
pub(crate) struct Catalog {
    callers: Arc<Callers>,
    store: Store,
}

impl Catalog {
    pub(crate) fn new(callers: Arc<Callers>, store: Store) -> Self {
        Self { callers, store }
    }

    /// Keeps what a member says of its node.
    async fn publish(&self, request: PublishDescriptionRequest) -> Result<(), Report> {
        crate::require_space(&request.space, &self.callers.space)?;
        let rules = self.callers.roster.rules().await?;
        let opened = description::open(&request.envelope, |member| key_of(&rules, member))?;
        self.require_here_and_now(&opened)?;
        if rules.stops.members.contains(&opened.member) {
            let message = format!("a member of the board has stopped the member {}", opened.member);
            return Err(Problem::Stopped.report(message));
        }
        let member = opened.member.clone();
        self.store.keep(opened, request.envelope).await?;
        tracing::info!(%member, "description kept");
        Ok(())
    }

    fn require_here_and_now(&self, description: &NodeDescription) -> Result<(), Report> {
        crate::require_space(description.space.as_str(), &self.callers.space)?;
        let ahead = description.issued.as_second() - self.callers.clock.now().as_second();
        if ahead <= CLOCK_LEEWAY_SECONDS {
            return Ok(());
        }
        let message = format!(
            "the description of {} is dated {ahead} s in the future",
            description.member
        );
        Err(Problem::Answer
            .report(message)
            .remedy("set the clock of the node's machine"))
    }

    /// The sealed descriptions of the nodes that offer something the caller may query.
    async fn discover(
        &self,
        asked: &str,
        metadata: &MetadataMap,
        channel: Option<Channel>,
    ) -> Result<Vec<Vec<u8>>, Report> {
        crate::require_space(asked, &self.callers.space)?;
        let called = self.callers.authenticate(metadata, channel, DISCOVER_QUERY).await?;
        let rules = &called.rules;
        let queryable = policy::queryable(rules, &called.caller, self.callers.clock.now());
        let queryable: BTreeSet<CollectionId> = queryable.iter().map(|open| open.collection.id.clone()).collect();
        if queryable.is_empty() {
            return Ok(Vec::new());
        }
        let mut kept = self.store.all(self.callers.space.clone()).await?;
        // Opened again: a member may have left, changed its key or been stopped since it was kept.
        kept.retain(|sealed| {
            let opened = description::open(sealed, |member| key_of(rules, member));
            opened.is_ok_and(|node| {
                let mut offered = node.datasets.iter();
                let is_stopped = rules.stops.members.contains(&node.member);
                !is_stopped && offered.any(|dataset| queryable.contains(&dataset.collection))
            })
        });
        require_one_message(&kept)?;
        Ok(kept)
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn publish_description(
        &self,
        request: Request<PublishDescriptionRequest>,
    ) -> Result<Response<PublishDescriptionResponse>, Status> {
        self.publish(request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(PublishDescriptionResponse {}))
    }

    async fn discover(&self, request: Request<DiscoverRequest>) -> Result<Response<DiscoverResponse>, Status> {
        let channel = request.extensions().get::<PeerInfo>().map(|peer| peer.channel);
        let asked = &request.get_ref().space;
        let found = Catalog::discover(self, asked, request.metadata(), channel).await;
        let envelopes = found.map_err(refused)?;
        Ok(Response::new(DiscoverResponse { envelopes }))
    }
}

/// Refuses an answer that no client would read, instead of sending a part of it.
fn require_one_message(kept: &[Vec<u8>]) -> Result<(), Report> {
    // Each has a field key and a length before it; 16 bytes are more than both.
    let bytes: usize = kept.iter().map(|sealed| sealed.len() + 16).sum();
    if bytes <= MESSAGE_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the catalogue has {bytes} bytes, and one message has {MESSAGE_BYTES_MAX}");
    Err(Problem::Resources
        .report(message)
        .remedy("ask the operators of the largest nodes to offer fewer datasets"))
}
