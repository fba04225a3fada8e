use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use trust::SigningKey;

use super::*;
use crate::serve::{Incoming, PeerInfo};
use crate::v1::governance_service_client::GovernanceServiceClient;
use crate::v1::governance_service_server::{GovernanceService, GovernanceServiceServer};
use crate::v1::{
    FetchDocumentRequest, FetchDocumentResponse, PublishDocumentsRequest, PublishDocumentsResponse, PublishRootRequest,
    PublishRootResponse, PublishStopRequest, PublishStopResponse,
};

/// Tells the test on which connection a call came.
struct Telling(mpsc::UnboundedSender<trust::Channel>);

#[tonic::async_trait]
impl GovernanceService for Telling {
    async fn fetch_document(
        &self,
        request: Request<FetchDocumentRequest>,
    ) -> Result<Response<FetchDocumentResponse>, Status> {
        let peer = request
            .extensions()
            .get::<PeerInfo>()
            .expect("every connection has its info");
        self.0.send(peer.channel).expect("the test listens");
        Ok(Response::new(FetchDocumentResponse { content: None }))
    }

    async fn publish_documents(
        &self,
        _: Request<Streaming<PublishDocumentsRequest>>,
    ) -> Result<Response<PublishDocumentsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn publish_root(&self, _: Request<PublishRootRequest>) -> Result<Response<PublishRootResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    /// Takes its time.
    async fn publish_stop(&self, _: Request<PublishStopRequest>) -> Result<Response<PublishStopResponse>, Status> {
        tokio::time::sleep(Duration::from_secs(3 * limit::KEEP_ALIVE_SECONDS)).await;
        Ok(Response::new(PublishStopResponse::default()))
    }
}

struct Server {
    address: String,
    key: SigningKey,
    channels: mpsc::UnboundedReceiver<trust::Channel>,
}

async fn serve() -> Server {
    let key = SigningKey::generate().unwrap();
    let config = crate::tls::server_config(&key, "gbsg").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, channels) = mpsc::unbounded_channel();
    let serving = crate::serve::server()
        .add_service(GovernanceServiceServer::new(Telling(sender)))
        .serve_with_incoming(Incoming::new(listener, config));
    tokio::spawn(serving);
    Server { address, key, channels }
}

async fn call(connection: &Connection) {
    let mut client = GovernanceServiceClient::new(connection.grpc.clone());
    client.fetch_document(FetchDocumentRequest::default()).await.unwrap();
}

#[tokio::test]
async fn another_key_is_told_as_another_key() {
    let server = serve().await;
    let expected = SigningKey::generate().unwrap().public();
    let report = connect(&server.address, "gbsg", &expected).await.unwrap_err();
    assert_eq!(report.problem, Problem::PeerKey);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let key = SigningKey::generate().unwrap().public();
    assert_eq!(
        connect(&address, "gbsg", &key).await.unwrap_err().problem,
        Problem::Unreachable
    );
    assert_eq!(
        connect("no address", "gbsg", &key).await.unwrap_err().problem,
        Problem::Unreachable
    );
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"220 mail ready\r\n").await;
        }
    });
    let key = SigningKey::generate().unwrap().public();
    assert_eq!(
        connect(&address, "gbsg", &key).await.unwrap_err().problem,
        Problem::Unreachable
    );
}

#[tokio::test]
async fn a_peer_that_says_nothing_does_not_stop_others() {
    let server = serve().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(&server.address).await.unwrap());
    }
    let started = Instant::now();
    call(&connect(&server.address, "gbsg", &server.key.public()).await.unwrap()).await;
    assert!(
        started.elapsed() < Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX),
        "others had to wait"
    );
}

#[tokio::test]
async fn both_ends_of_a_connection_derive_one_binding_and_two_connections_two() {
    let mut server = serve().await;
    let mut bindings = Vec::new();
    for _ in 0..2 {
        let connection = connect(&server.address, "gbsg", &server.key.public()).await.unwrap();
        call(&connection).await;
        let here = connection.binding().unwrap();
        assert!(server.channels.recv().await == Some(here), "the ends differ");
        bindings.push(here);
    }
    assert!(bindings[0] != bindings[1], "two connections have one binding");
}

#[tokio::test]
async fn a_server_that_takes_its_time_is_heard_and_one_that_is_not_asked_falls_silent() {
    let server = serve().await;
    let connection = connect(&server.address, "gbsg", &server.key.public()).await.unwrap();
    let patience = Duration::from_secs(2 * limit::KEEP_ALIVE_SECONDS);
    let mut client = GovernanceServiceClient::new(connection.grpc.clone());
    tokio::select! {
        answered = client.publish_stop(PublishStopRequest::default()) => drop(answered.unwrap()),
        () = connection.falls_silent(patience) => panic!("nothing was heard"),
    }
    let idle = tokio::time::timeout(3 * patience, connection.falls_silent(patience)).await;
    assert!(idle.is_ok());
}

#[test]
fn a_peer_in_a_configuration_has_no_other_keys() {
    let key = SigningKey::generate().unwrap().public();
    let text = format!("address = \"127.0.0.1:1\"\nkey = \"{key}\"\n");
    let peer: PeerConfig = terms::text::parse_toml("node.toml", &text).unwrap();
    assert_eq!(peer, PeerConfig::direct("127.0.0.1:1".to_owned(), key));
    assert!(terms::text::parse_toml::<PeerConfig>("node.toml", &format!("{text}tls = false\n")).is_err());
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn at(addresses: Vec<String>, key: PublicKey) -> PeerConfig {
    PeerConfig {
        address: addresses.try_into().unwrap(),
        key,
        proxy: None,
    }
}

#[test]
fn an_address_is_written_as_one_text_or_as_a_list_and_never_as_none() {
    let key = SigningKey::generate().unwrap().public();
    let read = |address: &str| {
        let text = format!("{{\"address\": {address}, \"key\": \"{key}\"}}");
        serde_json::from_str::<PeerConfig>(&text)
    };
    for wrong in ["[]", "3", "[\"a:1\", 2]", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    for address in ["\"a:1\"", "[\"a:1\",\"b:1\"]"] {
        let config = read(address).unwrap();
        let written = serde_json::to_string(&config).unwrap();
        assert!(written.contains(&format!("\"address\":{address}")), "{written}");
    }
    let each: Vec<String> = read("[\"a:1\", \"b:1\"]")
        .unwrap()
        .each()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(each, ["a:1", "b:1"]);
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_is_enough_and_another_key_at_one_is_told_if_none_does() {
    let (server, other) = (serve().await, serve().await);
    let key = server.key.public();
    at(vec![nobody().await, server.address.clone()], key)
        .connect("gbsg")
        .await
        .unwrap();
    at(vec![other.address.clone(), server.address.clone()], key)
        .connect("gbsg")
        .await
        .unwrap();
    let none = at(vec![nobody().await, nobody().await], key)
        .connect("gbsg")
        .await
        .unwrap_err();
    assert_eq!(none.problem, Problem::Unreachable);
    for addresses in [
        vec![other.address.clone(), nobody().await],
        vec![nobody().await, other.address.clone()],
    ] {
        let wrong = at(addresses, key).connect("gbsg").await.unwrap_err();
        assert_eq!(wrong.problem, Problem::PeerKey);
    }
}

#[tokio::test]
async fn an_address_that_says_nothing_holds_up_the_next_one_for_a_moment_only() {
    let server = serve().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let began = Instant::now();
    let addresses = vec![silent.local_addr().unwrap().to_string(), server.address.clone()];
    at(addresses, server.key.public()).connect("gbsg").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Leads nowhere, and says why.
#[derive(Debug)]
struct Closed(Problem);

#[async_trait::async_trait]
impl Dialer for Closed {
    async fn dial(&self) -> io::Result<Socket> {
        Err(io::Error::other(self.0.report("the way is closed")))
    }
}

#[tokio::test]
async fn what_a_broker_on_the_way_says_is_told_also_why_nobody_answers() {
    let key = SigningKey::generate().unwrap().public();
    let refused = async |problem: Problem| {
        let refused = connect_by(Arc::new(Closed(problem)), "gbsg", &key).await;
        refused.unwrap_err().report("gbsg", "the broker's relay")
    };
    assert_eq!(
        refused(Problem::Resources).await,
        Problem::Resources.report("the way is closed")
    );
    let nobody = refused(Problem::Unreachable).await;
    assert_eq!(nobody.problem, Problem::Unreachable);
    assert_eq!(
        nobody.message,
        "gbsg does not answer at the broker's relay: the way is closed"
    );
}
