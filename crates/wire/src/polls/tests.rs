use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use trust::{PublicKey, SigningKey};

use super::pipe::{Pipe, Refused, WINDOW_BYTES};
use super::server::Polls;
use super::{HOLD, PIECE_BYTES_MAX, Polled, TAKEN};
use crate::serve::Origin;
use crate::{Incoming, PeerConfig, Road, Socket};

const MOMENT: Duration = Duration::from_millis(50);

#[test]
fn bytes_that_are_not_next_are_refused_and_those_that_come_again_are_taken_once() {
    let pipe = Pipe::default();
    assert_eq!(pipe.put(1, b"b", false), Err(Refused::OutOfOrder));
    assert_eq!(pipe.put(0, b"abc", false), Ok(3));
    assert_eq!(pipe.put(0, b"abc", false), Ok(3));
    assert_eq!(pipe.put(1, b"bcd", false), Ok(4));
    assert_eq!(pipe.put(5, b"f", false), Err(Refused::OutOfOrder));
    assert_eq!(pipe.put(4, b"", true), Ok(4));
    assert_eq!(pipe.put(4, b"e", false), Err(Refused::OutOfOrder));
}

#[test]
fn no_more_than_a_window_is_held() {
    let pipe = Pipe::default();
    let much = vec![7; WINDOW_BYTES + 1];
    assert_eq!(pipe.put(0, &much, true), Ok(WINDOW_BYTES as u64));
    assert_eq!(pipe.put(0, &much, true), Ok(WINDOW_BYTES as u64));
}

#[tokio::test]
async fn what_the_other_end_has_is_not_said_again_and_what_it_lacks_is() {
    let pipe = Pipe::default();
    pipe.put(0, b"abcdef", false).unwrap();
    let piece = |offset| pipe.piece(offset, 4, MOMENT);
    assert_eq!(piece(0).await.unwrap().bytes, "abcd");
    assert_eq!(piece(0).await.unwrap().bytes, "abcd");
    assert_eq!(piece(4).await.unwrap().bytes, "ef");
    assert_eq!(piece(0).await, Err(Refused::OutOfOrder));
    assert_eq!(piece(7).await, Err(Refused::OutOfOrder));
    assert_eq!(piece(6).await.unwrap().bytes, "");
}

#[tokio::test]
async fn the_latest_of_those_who_wait_waits() {
    let pipe = Arc::new(Pipe::default());
    let first = tokio::spawn({
        let pipe = Arc::clone(&pipe);
        async move { pipe.piece(0, 4, Duration::from_secs(60)).await }
    });
    tokio::time::sleep(MOMENT).await;
    let (second, _) = tokio::join!(pipe.piece(0, 4, Duration::from_secs(60)), async {
        tokio::time::sleep(MOMENT).await;
        pipe.put(0, b"abcd", false)
    });
    assert_eq!(first.await.unwrap(), Err(Refused::Replaced));
    assert_eq!(second.unwrap().bytes, "abcd");
}

/// A server that says back what it hears on each connection.
struct Echo {
    address: SocketAddr,
    key: PublicKey,
    polls: Polls,
}

impl Echo {
    async fn start() -> Self {
        Self::start_with(super::SILENCE_MAX).await
    }

    /// Its sessions end when nothing was heard of them for so long.
    async fn start_with(silence_max: Duration) -> Self {
        let key = SigningKey::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = crate::tls::Identity::new(crate::tls::server_config(&key, "broker").unwrap());
        let limits = crate::BrokerLimits::default();
        let (opened, sessions) = mpsc::channel(64);
        let mut polls = Polls::new(opened);
        polls.silence_max = silence_max;
        let connections = telemetry::Connections::default();
        let taking = (polls.clone(), sessions);
        let mut incoming = Incoming::with_sessions(listener, identity, &limits, connections, taking);
        tokio::spawn(async move {
            while let Some(Ok(stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let (mut coming, mut going) = tokio::io::split(stream);
                    // It ends when the other end does.
                    let _ = tokio::io::copy(&mut coming, &mut going).await;
                    let _ = going.shutdown().await;
                });
            }
        });
        let key = key.public();
        Self { address, key, polls }
    }

    async fn tls(&self, config: Arc<rustls::ClientConfig>) -> tokio_rustls::client::TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("broker").unwrap();
        TlsConnector::from(config).connect(name, tcp).await.unwrap()
    }

    /// One request on a connection of its own.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        hold: Duration,
    ) -> (StatusCode, Option<u64>, Bytes) {
        let tls = crate::tls::by_requests(&crate::tls::client_config(&self.key).unwrap());
        let stream = TokioIo::new(self.tls(tls).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "broker");
        let request = request.header(HOLD, hold.as_millis().to_string());
        let request = request.body(Full::<Bytes>::from(body.into())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let taken = answer
            .headers()
            .get(TAKEN)
            .map(|taken| taken.to_str().unwrap().parse().unwrap());
        let status = answer.status();
        (status, taken, answer.into_body().collect().await.unwrap().to_bytes())
    }

    async fn open(&self) -> (StatusCode, String) {
        let (status, _, name) = self.ask(Method::POST, "/polls", "", Duration::ZERO).await;
        (status, String::from_utf8(name.to_vec()).unwrap())
    }

    /// The way to it through `address`.
    fn peer(&self, address: SocketAddr) -> PeerConfig {
        PeerConfig::direct(address.to_string(), self.key)
    }
}

#[tokio::test]
async fn a_session_that_is_guessed_a_path_of_another_shape_and_too_much_at_a_time_are_refused() {
    let echo = Echo::start().await;
    let (status, name) = echo.open().await;
    assert_eq!(status, StatusCode::OK);
    let other: String = name.bytes().map(|byte| if byte == b'0' { '1' } else { '0' }).collect();
    for (method, path) in [
        (Method::GET, format!("/polls/{other}/0")),
        (Method::POST, format!("/polls/{other}/0")),
        (Method::DELETE, format!("/polls/{other}")),
        (Method::GET, format!("/polls/{}/0", name.to_uppercase())),
        (Method::GET, "/".to_owned()),
        (Method::PUT, "/polls".to_owned()),
        (Method::GET, "/polls".to_owned()),
        (Method::GET, format!("/polls/{name}/0/0")),
    ] {
        let (status, ..) = echo.ask(method, &path, "", Duration::ZERO).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    for offset in ["-1", "+1", "x", "99999999999999999999", "18446744073709551615"] {
        let (status, ..) = echo
            .ask(Method::GET, &format!("/polls/{name}/{offset}"), "", Duration::ZERO)
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{offset}");
    }
    let much = vec![0; PIECE_BYTES_MAX + 1];
    let (status, ..) = echo
        .ask(Method::POST, &format!("/polls/{name}/0"), much, Duration::ZERO)
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // It is there, and ends when it is told to.
    let (status, ..) = echo
        .ask(Method::DELETE, &format!("/polls/{name}"), "", Duration::ZERO)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, ..) = echo
        .ask(Method::GET, &format!("/polls/{name}/0"), "", Duration::ZERO)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn requests_that_come_twice_too_early_or_again_change_nothing() {
    let echo = Echo::start().await;
    let (_, name) = echo.open().await;
    let up = |offset: u64, bytes: &'static str| {
        let path = format!("/polls/{name}/{offset}");
        let echo = &echo;
        async move {
            let (status, taken, _) = echo.ask(Method::POST, &path, bytes, Duration::ZERO).await;
            (status, taken)
        }
    };
    assert_eq!(up(5, "later").await, (StatusCode::CONFLICT, None));
    assert_eq!(up(0, "\u{16}").await, (StatusCode::NO_CONTENT, Some(1)));
    assert_eq!(up(0, "\u{16}").await, (StatusCode::NO_CONTENT, Some(1)));
    let path = format!("/polls/{name}/7");
    let (status, ..) = echo.ask(Method::GET, &path, "", Duration::ZERO).await;
    assert_eq!(status, StatusCode::CONFLICT, "nothing was said up to there");
}

#[tokio::test]
async fn one_address_opens_so_many_sessions_and_no_more() {
    let (opened, mut sessions) = mpsc::channel(2 * terms::limit::POLL_SESSIONS_MAX);
    let polls = Polls::new(opened);
    let of = |last: u8| Origin::from(IpAddr::from([10, 0, 0, last]));
    for _ in 0..terms::limit::POLL_SESSIONS_PER_PEER_MAX {
        polls.open(of(1)).unwrap();
    }
    assert_eq!(polls.open(of(1)).err(), Some(StatusCode::TOO_MANY_REQUESTS));
    let mut peer = 2;
    let mut all = terms::limit::POLL_SESSIONS_PER_PEER_MAX;
    while all < terms::limit::POLL_SESSIONS_MAX {
        match polls.open(of(peer)) {
            Ok(_) => all += 1,
            Err(_) => peer += 1,
        }
    }
    assert_eq!(polls.open(of(200)).err(), Some(StatusCode::TOO_MANY_REQUESTS));
    // Whoever takes it knows from where it came.
    let first = crate::socket::Socket::Polled(Box::new(sessions.try_recv().unwrap()));
    assert_eq!(first.address(), Some(of(1).address()));
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address() {
    let (opened, _sessions) = mpsc::channel(terms::limit::POLL_SESSIONS_MAX);
    let polls = Polls::new(opened);
    let of = |network: u16, host: u16| Origin::from(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]));
    for host in 0..terms::limit::POLL_SESSIONS_PER_PEER_MAX as u16 {
        polls.open(of(1, host)).unwrap();
    }
    let refused = polls.open(of(1, u16::MAX)).err();
    assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS));
    assert!(polls.open(of(2, 1)).is_ok());
}

#[tokio::test]
async fn requests_that_are_refused_keep_no_session_open() {
    let echo = Echo::start_with(20 * MOMENT).await;
    let (_, name) = echo.open().await;
    let began = Instant::now();
    let [early, ended] = [StatusCode::CONFLICT, StatusCode::NOT_FOUND];
    for (method, path) in [
        (Method::POST, format!("/polls/{name}/7")),
        (Method::GET, format!("/polls/{name}/7")),
    ] {
        let (status, ..) = echo.ask(method, &path, "", Duration::ZERO).await;
        assert_eq!(status, early, "{path}");
    }
    let path = format!("/polls/{name}/7");
    while echo.ask(Method::POST, &path, "", Duration::ZERO).await.0 != ended {
        assert!(began.elapsed() < Duration::from_secs(20), "it is still open");
        tokio::time::sleep(MOMENT).await;
    }
}

#[tokio::test]
async fn a_session_of_which_nothing_is_heard_ends() {
    let (opened, mut sessions) = mpsc::channel(1);
    let mut polls = Polls::new(opened);
    polls.silence_max = MOMENT;
    polls.open(IpAddr::from([10, 0, 0, 1]).into()).unwrap();
    let mut session: Polled = sessions.recv().await.unwrap();
    let within = Duration::from_secs(10);
    let read = tokio::time::timeout(within, session.read_u8()).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn there_are_no_sessions_inside_of_sessions() {
    let echo = Echo::start().await;
    let peer = echo.peer(echo.address);
    let dialer = super::ByPolls {
        road: Arc::new(Through(peer.clone())),
        name: ServerName::try_from("broker").unwrap(),
        tls: crate::tls::by_requests(&crate::tls::client_config(&echo.key).unwrap()),
    };
    let nested = tokio::time::timeout(Duration::from_secs(20), crate::Dialer::dial(&dialer));
    assert!(nested.await.unwrap().is_err());
}

/// Inside of a session.
#[derive(Debug)]
struct Through(PeerConfig);

#[async_trait::async_trait]
impl crate::Dialer for Through {
    async fn dial(&self) -> std::io::Result<Socket> {
        super::ByPolls {
            road: Arc::new(Plain(self.0.address.to_string())),
            name: ServerName::try_from("broker").unwrap(),
            tls: crate::tls::by_requests(&crate::tls::client_config(&self.0.key).unwrap()),
        }
        .dial()
        .await
    }
}

#[derive(Debug)]
struct Plain(String);

#[async_trait::async_trait]
impl crate::Dialer for Plain {
    async fn dial(&self) -> std::io::Result<Socket> {
        Ok(Socket::Tcp(TcpStream::connect(&self.0).await?))
    }
}

/// A network that lets no connection live for longer than this, and none at all that says `h2` in clear.
async fn network(server: SocketAddr, life: Duration, takes_h2: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(tokio::time::timeout(life, async move {
                let mut hello = [0; 2048];
                let read = client.read(&mut hello).await.unwrap();
                if !takes_h2 && hello[..read].windows(3).any(|window| window == b"\x02h2") {
                    return;
                }
                let mut server = TcpStream::connect(server).await.unwrap();
                server.write_all(&hello[..read]).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }));
        }
    });
    address
}

#[tokio::test]
async fn what_is_said_arrives_whole_over_connections_that_live_for_a_moment() {
    let echo = Echo::start().await;
    let address = network(echo.address, Duration::from_millis(300), true).await;
    let dialer = super::ByPolls {
        road: Arc::new(Plain(address.to_string())),
        name: ServerName::try_from("broker").unwrap(),
        tls: crate::tls::by_requests(&crate::tls::client_config(&echo.key).unwrap()),
    };
    let socket = crate::Dialer::dial(&dialer).await.unwrap();
    let connector = TlsConnector::from(crate::tls::client_config(&echo.key).unwrap());
    let name = ServerName::try_from("broker").unwrap();
    let (mut coming, mut going) = tokio::io::split(connector.connect(name, socket).await.unwrap());
    let said: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let saying = async {
        for part in said.chunks(500_000) {
            going.write_all(part).await.unwrap();
            // So long that connections die in between.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        going.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let (read, ()) = tokio::join!(coming.read_to_end(&mut heard), saying);
    assert_eq!(read.unwrap(), said.len());
    assert!(heard == said);
}

#[tokio::test]
async fn where_http_2_does_not_get_through_polls_are_taken_and_another_key_is_not_gone_on_with() {
    let echo = Echo::start().await;
    let address = network(echo.address, Duration::from_secs(60), false).await;
    let straight = echo.peer(echo.address).connect("broker").await.unwrap();
    assert_eq!(straight.road(), Road::Streams);
    let around = echo.peer(address).connect("broker").await.unwrap();
    assert_eq!(around.road(), Road::Polls);
    assert!(around.binding().is_ok());
    let mut other = echo.peer(address);
    other.key = SigningKey::generate().unwrap().public();
    let refused = other.connect_on(Road::Polls, "broker").await.unwrap_err();
    assert_eq!(refused.problem, terms::Problem::PeerKey);
}

#[tokio::test]
async fn a_request_whose_place_was_taken_is_made_again() {
    let echo = Echo::start().await;
    let dialer = super::ByPolls {
        road: Arc::new(Plain(echo.address.to_string())),
        name: ServerName::try_from("broker").unwrap(),
        tls: crate::tls::by_requests(&crate::tls::client_config(&echo.key).unwrap()),
    };
    let socket = crate::Dialer::dial(&dialer).await.unwrap();
    let connector = TlsConnector::from(crate::tls::client_config(&echo.key).unwrap());
    let name = ServerName::try_from("broker").unwrap();
    let mut tls = connector.connect(name, socket).await.unwrap();
    let mut said_back = async |said: &[u8; 6]| {
        tls.write_all(said).await.unwrap();
        let mut heard = [0; 6];
        let reading = tokio::time::timeout(Duration::from_secs(20), tls.read_exact(&mut heard));
        reading.await.unwrap().unwrap();
        assert_eq!(&heard, said);
    };
    said_back(b"before").await;
    tokio::time::sleep(MOMENT).await;
    // Nothing is said: whoever hears waits. The same is asked once more, as by something between the two.
    let (name, offset) = echo.polls.waits_at();
    let path = format!("/polls/{name}/{offset}");
    assert_eq!(echo.ask(Method::GET, &path, "", Duration::ZERO).await.0, StatusCode::OK);
    tokio::time::sleep(MOMENT).await;
    said_back(b"behind").await;
}
