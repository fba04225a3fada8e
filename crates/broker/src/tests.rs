//! The broker as its callers meet it: over TLS and gRPC on the loopback.

mod publish;
pub(crate) mod world;

use std::time::Duration;

use terms::{Problem, Report};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};
use wire::v1::catalog_service_client::CatalogServiceClient;
use wire::v1::governance_service_client::GovernanceServiceClient;
use wire::v1::{DiscoverRequest, FetchDocumentRequest, PublishDescriptionRequest};
use wire::{BrokerSource, Connection, NodeDescription};

use world::{HOUR, World, headers, new_key};

pub(crate) const SPACE: &str = "oncology";

fn report(status: &Status) -> Report {
    wire::status::from_status(status, "the broker").report
}

pub(crate) async fn fetch(connection: &Connection, space: &str, path: &str) -> Result<Option<Vec<u8>>, Report> {
    let request = FetchDocumentRequest {
        space: space.to_owned(),
        path: path.to_owned(),
    };
    let answer = GovernanceServiceClient::new(connection.grpc.clone())
        .fetch_document(request)
        .await;
    answer
        .map(|answer| answer.into_inner().content)
        .map_err(|status| report(&status))
}

pub(crate) async fn publish(connection: &Connection, space: &str, envelope: Vec<u8>) -> Result<(), Report> {
    let request = PublishDescriptionRequest {
        space: space.to_owned(),
        envelope,
    };
    let answer = CatalogServiceClient::new(connection.grpc.clone())
        .publish_description(request)
        .await;
    answer.map(|_| ()).map_err(|status| report(&status))
}

async fn discover(connection: &Connection, space: &str, metadata: MetadataMap) -> Result<Vec<Vec<u8>>, Report> {
    let request = Request::from_parts(
        metadata,
        Extensions::default(),
        DiscoverRequest {
            space: space.to_owned(),
        },
    );
    let answer = CatalogServiceClient::new(connection.grpc.clone())
        .discover(request)
        .await;
    answer
        .map(|answer| answer.into_inner().envelopes)
        .map_err(|status| report(&status))
}

/// A discovery by the person whom `member` vouches for as `role`.
pub(crate) async fn discover_as(
    world: &World,
    connection: &Connection,
    member: &str,
    role: &str,
) -> Result<Vec<Vec<u8>>, Report> {
    let metadata = headers(&world.credential(member, role), &world.proof(connection));
    discover(connection, SPACE, metadata).await
}

fn refused<T: std::fmt::Debug>(result: Result<T, Report>) -> Problem {
    result.unwrap_err().problem
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused_over_the_wire_and_never_told_as_absent() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    for path in [
        "../tls.pem",
        "/etc/passwd",
        "metadata/timestamp.json",
        "targets/../lock",
        "",
    ] {
        assert_eq!(refused(fetch(&connection, SPACE, path).await), Problem::Usage, "{path}");
    }
    assert_eq!(fetch(&connection, SPACE, "2.root.json").await, Ok(None));
}

#[tokio::test]
async fn another_space_and_no_space_at_all_get_the_same_answer_everywhere() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let envelope = world.described("gbsg", "beds");
    let mut answers = Vec::new();
    for space in ["cardiology", "../oncology", ""] {
        answers.push(fetch(&connection, space, "timestamp.json").await.unwrap_err());
        answers.push(publish(&connection, space, envelope.clone()).await.unwrap_err());
        answers.push(discover(&connection, space, MetadataMap::new()).await.unwrap_err());
    }
    assert_eq!(answers[0].problem, Problem::PolicyScope);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn what_was_published_reaches_a_client_whole_and_so_does_the_next_version() {
    let world = World::published();
    let broker = world.start().await;
    let source = BrokerSource::new(broker.connect().await, SPACE.parse().unwrap());
    let client = world.client("client");
    let documents = trust::refresh(&source, &client, world.now()).await.unwrap();
    assert_eq!((documents.version, &documents.files), (1, &world.files()));
    let next = world.files_of(&["gbsg"]);
    world.publish(2, &next).unwrap();
    let documents = trust::refresh(&source, &client, world.now()).await.unwrap();
    assert_eq!((documents.version, &documents.files), (2, &next));
}

#[tokio::test]
async fn a_document_larger_than_asked_for_is_an_error() {
    let world = World::published();
    let broker = world.start().await;
    let source = BrokerSource::new(broker.connect().await, SPACE.parse().unwrap());
    for bytes_max in [0, 10, 100] {
        let error = trust::DocumentSource::fetch(&source, "metadata/1.root.json", bytes_max)
            .await
            .unwrap_err();
        assert!(matches!(error, trust::SourceError::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_is_gone_is_an_error_and_not_absence() {
    let world = World::published();
    let broker = world.start().await;
    let source = BrokerSource::new(broker.connect().await, SPACE.parse().unwrap());
    broker.stop().await.unwrap();
    let error = trust::DocumentSource::fetch(&source, "metadata/2.root.json", 1000)
        .await
        .unwrap_err();
    assert!(matches!(error, trust::SourceError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_description_is_kept_only_if_its_member_signed_it_for_this_space_and_this_time() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let described = |change: &dyn Fn(&mut NodeDescription), signer: &str| {
        let mut description = world.description("gbsg", "beds");
        change(&mut description);
        wire::description::seal(&description, &world.members[signer]).unwrap()
    };
    let strangers = wire::description::seal(&world.description("gbsg", "beds"), &new_key()).unwrap();
    let refusals = [
        (strangers, Problem::Answer),
        (described(&|_| (), "archive"), Problem::Answer),
        (
            described(&|it| it.member = "nobody".parse().unwrap(), "gbsg"),
            Problem::Answer,
        ),
        (
            described(&|it| it.space = "cardiology".parse().unwrap(), "gbsg"),
            Problem::PolicyScope,
        ),
        (described(&|it| it.issued = world.after(31), "gbsg"), Problem::Answer),
        (b"{}".to_vec(), Problem::Answer),
        (
            vec![b' '; wire::description::DESCRIPTION_BYTES_MAX + 1],
            Problem::Answer,
        ),
    ];
    for (envelope, problem) in refusals {
        assert_eq!(refused(publish(&connection, SPACE, envelope).await), problem);
    }
    assert_eq!(
        discover_as(&world, &connection, "saarland-university", "university").await,
        Ok(Vec::new())
    );
    publish(&connection, SPACE, described(&|it| it.issued = world.after(30), "gbsg"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_later_description_replaces_an_earlier_one_and_never_the_other_way_round() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let earlier = world.described("gbsg", "beds");
    world.clock.advance(10);
    let later = world.described("gbsg", "beds");
    publish(&connection, SPACE, earlier.clone()).await.unwrap();
    publish(&connection, SPACE, later.clone()).await.unwrap();
    assert_eq!(refused(publish(&connection, SPACE, earlier).await), Problem::Answer);
    publish(&connection, SPACE, later.clone()).await.unwrap();
    let found = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(found, Ok(vec![later]));
}

#[tokio::test]
async fn nobody_discovers_without_tokens_of_their_own_for_this_connection_and_this_call() {
    let world = World::published();
    let broker = world.start().await;
    let (connection, other) = (broker.connect().await, broker.connect().await);
    let credential = world.credential("saarland-university", "university");
    assert_eq!(
        refused(discover(&connection, SPACE, MetadataMap::new()).await),
        Problem::TokenMalformed
    );
    let stolen = headers(&credential, &world.proof(&other));
    assert_eq!(
        refused(discover(&connection, SPACE, stolen).await),
        Problem::ProofMismatch
    );
    let for_a_node = headers(&credential, &world.proof_for("gbsg", &connection));
    assert_eq!(
        refused(discover(&connection, SPACE, for_a_node).await),
        Problem::TokenAudience
    );
    let once = headers(&credential, &world.proof(&connection));
    discover(&connection, SPACE, once.clone()).await.unwrap();
    assert_eq!(
        refused(discover(&connection, SPACE, once).await),
        Problem::ProofReplayed
    );
    world.clock.advance(HOUR + 60);
    world.repository.renew(&world.keys(), world.now()).unwrap();
    let outlived = headers(&credential, &world.proof(&connection));
    assert_eq!(
        refused(discover(&connection, SPACE, outlived).await),
        Problem::TokenExpired
    );
}

#[tokio::test]
async fn somebody_who_may_query_nothing_discovers_nothing() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    publish(&connection, SPACE, world.described("gbsg", "beds"))
        .await
        .unwrap();
    assert_eq!(
        discover_as(&world, &connection, "archive", "archive").await,
        Ok(Vec::new())
    );
    // A role that the institution does not have in the data space is worth nothing.
    assert_eq!(
        discover_as(&world, &connection, "archive", "university").await,
        Ok(Vec::new())
    );
}

#[tokio::test]
async fn who_may_query_discovers_the_nodes_that_offer_it_and_no_others() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let offering = world.described("gbsg", "beds");
    publish(&connection, SPACE, offering.clone()).await.unwrap();
    publish(&connection, SPACE, world.described("archive", "other-things"))
        .await
        .unwrap();
    let found = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(found, Ok(vec![offering]));
}

#[tokio::test]
async fn a_member_that_left_is_no_longer_discovered_or_heard() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    publish(&connection, SPACE, world.described("gbsg", "beds"))
        .await
        .unwrap();
    world.publish(2, &world.files_of(&["saarland-university"])).unwrap();
    world.clock.advance(6);
    assert_eq!(
        discover_as(&world, &connection, "saarland-university", "university").await,
        Ok(Vec::new())
    );
    assert_eq!(
        refused(discover_as(&world, &connection, "archive", "archive").await),
        Problem::TokenIssuer
    );
    assert_eq!(
        refused(publish(&connection, SPACE, world.described("gbsg", "beds")).await),
        Problem::Answer
    );
}

#[tokio::test]
async fn a_broker_can_be_started_before_its_board_has_published() {
    let world = World::founded();
    let broker = world.start().await;
    let connection = broker.connect().await;
    assert_eq!(fetch(&connection, SPACE, "timestamp.json").await, Ok(None));
    let envelope = world.described("gbsg", "beds");
    assert_eq!(
        refused(publish(&connection, SPACE, envelope.clone()).await),
        Problem::PolicyNone
    );
    world.publish(1, &world.files()).unwrap();
    world.clock.advance(6);
    publish(&connection, SPACE, envelope).await.unwrap();
}

#[tokio::test]
async fn what_was_published_outlives_a_restart() {
    let world = World::published();
    let broker = world.start().await;
    let offering = world.described("gbsg", "beds");
    publish(&broker.connect().await, SPACE, offering.clone()).await.unwrap();
    broker.stop().await.unwrap();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let found = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(found, Ok(vec![offering]));
}

#[tokio::test]
async fn a_broker_whose_configuration_names_another_space_or_key_does_not_start() {
    let world = World::published();
    for (change, problem) in [("space", Problem::PolicyScope), ("key", Problem::PolicyThreshold)] {
        let mut config = world.config();
        match change {
            "space" => config.space = "cardiology".parse().unwrap(),
            _ => config.snapshot_key = world.path("tls.pem"),
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = crate::serve(config, listener, world.clock.clone(), CancellationToken::new()).await;
        assert_eq!(refused(served), problem, "{change}");
    }
}

#[tokio::test]
async fn a_stopped_broker_ends_soon_whatever_its_callers_do() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    fetch(&connection, SPACE, "timestamp.json").await.unwrap();
    let _silent = TcpStream::connect(&broker.address).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), broker.stop()).await;
    stopped.expect("the broker goes on").unwrap();
}
