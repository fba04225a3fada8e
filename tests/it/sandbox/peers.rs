//! Peers that speak TLS or HTTP/2 as nobody should: slowly, wrongly, endlessly. They cost a connection each, and others are answered.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption};
use tokio_rustls::rustls::client::{Tls12ClientSessionValue, Tls13ClientSessionValue};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme};

use super::apart::{Apart, Process, Reach, Role, SQL, times};
use super::sound::Before;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// So long a connection that does nothing right may be held.
const LET_GO_WITHIN: Duration = Duration::from_secs(40);

/// What an attack may cost the node in memory beside what it had, in bytes.
const MEMORY_MAX: u64 = 192 << 20;

/// Takes any certificate: who is at the other end does not matter here.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A client of TLS 1.3 that takes anybody, asked for these protocols.
fn client(protocols: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

async fn shake(address: &str, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("clinic-a").unwrap();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    tokio::time::timeout(Duration::from_secs(15), shaken).await?
}

/// Both programs, and the node as it was.
async fn beside(apart: &Apart) -> (Process, Process, Before) {
    let (broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    tokio::task::block_in_place(|| apart.answered());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Before::of(node.id(), &apart.config());
    (broker, node, before)
}

fn sound(apart: &Apart, before: &Before) {
    tokio::task::block_in_place(|| before.still_sound(|| drop(apart.ask(&[]).returns(0)), Vec::new()));
    for role in [Role::Node, Role::Broker] {
        let log = apart.log(role);
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// How long a permitted question takes, so many times; the 95th percentile.
async fn p95(apart: &Apart, questions: usize) -> Duration {
    let person = apart.person().await;
    let mut took = Vec::new();
    for _ in 0..questions {
        let since = Instant::now();
        assert!(person.ask(SQL, None).await.refused.is_none());
        took.push(since.elapsed());
    }
    took.sort();
    took[took.len() * 95 / 100]
}

/// Says whether and with what it was asked for a certificate.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_18_nobody_is_asked_for_a_certificate_and_whoever_cannot_shake_hands_is_let_go() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let listen = apart.config().listen.unwrap();
    for address in [&listen, &apart.broker_address()] {
        let asked = Arc::new(Asked::default());
        let mut config = client(&[b"h2"]);
        config.client_auth_cert_resolver = Arc::clone(&asked) as Arc<dyn ResolvesClientCert>;
        shake(address, config).await.unwrap();
        assert_eq!(asked.0.load(Ordering::SeqCst), 0);
        // Another protocol, and one of which nobody has heard.
        for protocol in [&b"http/1.1"[..], b"h3", b"zz"] {
            // A broker takes short requests too, where a network lets no connection live.
            let is_taken = protocol == b"http/1.1" && *address != listen;
            assert_eq!(
                shake(address, client(&[protocol])).await.is_ok(),
                is_taken,
                "{protocol:?}"
            );
        }
        let hello: &[u8] = &[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        let too_long = [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
        let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 80];
        let record_of_one_mebibyte = [&[22, 3, 3, 0x40, 0, 11, 0x10, 0, 0][..], &[0x30; 1 << 20]].concat();
        for said in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            hello,
            &too_long,
            alert,
            &[0; 4_096],
            &record_of_one_mebibyte,
        ] {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            // It may be closed while it is said.
            let _ = tcp.write_all(said).await;
            let _ = tcp.shutdown().await;
            let mut read = Vec::new();
            let ended = tokio::time::timeout(LET_GO_WITHIN, tcp.read_to_end(&mut read)).await;
            assert!(ended.is_ok() && read.len() < 1_000, "{} bytes: {:?}", said.len(), ended);
        }
    }
    sound(&apart, &before);
}

/// Remembers what a server lets one resume.
#[derive(Debug)]
struct Kept {
    tickets: AtomicUsize,
    cache: ClientSessionMemoryCache,
}

impl ClientSessionStore for Kept {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(name, group);
    }
    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(name)
    }
    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.cache.set_tls12_session(name, value);
    }
    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(name)
    }
    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.cache.remove_tls12_session(name);
    }
    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::SeqCst);
        self.cache.insert_tls13_ticket(name, value);
    }
    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_19_no_server_gives_anybody_anything_to_resume_a_connection_with() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let listen = apart.config().listen.unwrap();
    for address in [&listen, &apart.broker_address()] {
        let kept = Arc::new(Kept {
            tickets: AtomicUsize::new(0),
            cache: ClientSessionMemoryCache::new(8),
        });
        for _ in 0..3 {
            let mut config = client(&[b"h2"]);
            config.resumption = Resumption::store(Arc::clone(&kept) as Arc<dyn ClientSessionStore>);
            config.enable_early_data = true;
            let mut tls = shake(address, config).await.unwrap();
            assert_ne!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
            // What comes after the handshake would bring tickets.
            tls.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
                .await
                .unwrap();
            let mut read = [0; 512];
            assert!(tls.read(&mut read).await.unwrap() > 0);
            assert!(!tls.get_ref().1.is_early_data_accepted());
        }
        assert_eq!(kept.tickets.load(Ordering::SeqCst), 0, "{address}");
    }
    sound(&apart, &before);
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is in no table (RFC 7541, 6.2.2), of at most 126 bytes each.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// A call of a method by this path.
fn call(path: &str) -> Vec<u8> {
    // `:method: POST` and `:scheme: https` by their number in the static table.
    let [method, scheme] = [vec![0x83], vec![0x87]];
    [
        method,
        scheme,
        literal(":path", path),
        literal(":authority", "clinic-a"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ]
    .concat()
}

const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &call(DO_GET))
}

/// A connection that says whatever it is told to.
struct Raw(TlsStream<TcpStream>);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// With a reason (RFC 9113, 7).
    GoAway(u32),
    /// Without one.
    Closed,
    /// It did not, and no more was taken or nothing was said against it.
    Open,
}

impl Raw {
    async fn at(address: &str) -> Self {
        let mut tls = shake(address, client(&[b"h2"])).await.unwrap();
        tls.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await
            .unwrap();
        Self(tls)
    }

    /// Says it all and waits until the first stream is answered to its end, or the connection ends.
    async fn ask(self, said: impl Iterator<Item = Vec<u8>> + Send) -> (Ended, Vec<u8>) {
        let is_end = |(kind, flags, _): &(u8, u8, &[u8])| match *kind {
            RST_STREAM | GOAWAY => true,
            kind => kind == HEADERS && flags & END_STREAM != 0,
        };
        self.say_until(said, Duration::from_secs(5), |heard| frames(heard).iter().any(is_end))
            .await
    }

    /// Says it all, reading what comes meanwhile; waits for so long for an end.
    async fn say(self, said: impl Iterator<Item = Vec<u8>> + Send, waits: Duration) -> (Ended, Vec<u8>) {
        self.say_until(said, waits, |_| false).await
    }

    async fn say_until(
        self,
        said: impl Iterator<Item = Vec<u8>> + Send,
        waits: Duration,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> (Ended, Vec<u8>) {
        let (mut from, mut to) = tokio::io::split(self.0);
        let heard = Mutex::new(Vec::new());
        let reading = async {
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut chunk).await {
                let mut heard = heard.lock().unwrap();
                heard.extend_from_slice(&chunk[..read]);
                if is_enough(&heard) {
                    return false;
                }
            }
            true
        };
        let writing = async {
            let mut waiting = Vec::new();
            for piece in said {
                waiting.extend(piece);
                if waiting.len() > 32 * 1024 && to.write_all(&std::mem::take(&mut waiting)).await.is_err() {
                    break;
                }
            }
            let _ = to.write_all(&waiting).await;
            let _ = to.flush().await;
            std::future::pending::<()>().await
        };
        let is_closed = tokio::select! {
            is_closed = reading => is_closed,
            () = writing => false,
            () = tokio::time::sleep(waits) => false,
        };
        let heard = heard.into_inner().unwrap();
        (ended(&heard, is_closed), heard)
    }
}

/// Every frame in what was heard: kind, flags, and payload.
fn frames(mut heard: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = heard {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, after)) = rest.split_at_checked(length) else {
            break;
        };
        frames.push((*kind, *flags, payload));
        heard = after;
    }
    frames
}

fn ended(heard: &[u8], is_closed: bool) -> Ended {
    let mut reasons = frames(heard).into_iter().filter(|(kind, ..)| *kind == GOAWAY);
    let reason = reasons
        .next_back()
        .and_then(|(.., payload)| payload[4..8].try_into().ok());
    match reason {
        Some(reason) => Ended::GoAway(u32::from_be_bytes(reason)),
        None if is_closed => Ended::Closed,
        None => Ended::Open,
    }
}

fn streams(count: u64) -> impl Iterator<Item = u32> + Send {
    (0..u32::try_from(count).unwrap()).map(|number| 2 * number + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_37_abuse_of_http_2_ends_its_own_connection_or_costs_nobody_else_anything() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let listen = apart.config().listen.unwrap();
    let many = times("DATENRAUM_FRAMES", 10_000);
    let cancel = 8_u32.to_be_bytes();
    let long = |bytes: usize| literal("x-long", &"y".repeat(120)).repeat(bytes / 128);
    let one_byte = [&4_u16.to_be_bytes()[..], &1_u32.to_be_bytes()].concat();
    type Said = Box<dyn Iterator<Item = Vec<u8>> + Send>;
    let attacks: Vec<(&str, Said, bool)> = vec![
        (
            "rapid reset",
            Box::new(streams(many).flat_map(move |stream| [open(stream), frame(RST_STREAM, 0, stream, &cancel)])),
            true,
        ),
        ("ten thousand streams", Box::new(streams(many).map(open)), false),
        (
            "resets that the server is made to send",
            Box::new(streams(many).flat_map(|stream| [open(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])])),
            true,
        ),
        (
            "continuations without end",
            Box::new(
                std::iter::once(frame(HEADERS, 0, 1, &call(DO_GET)))
                    .chain((0..many).map(move |_| frame(CONTINUATION, 0, 1, &long(1_024)))),
            ),
            true,
        ),
        (
            "empty continuations without end",
            Box::new(
                std::iter::once(frame(HEADERS, 0, 1, &call(DO_GET)))
                    .chain((0..many).map(|_| frame(CONTINUATION, 0, 1, &[]))),
            ),
            true,
        ),
        (
            "a header list of a megabyte",
            Box::new({
                let first = frame(HEADERS, 0, 1, &call(DO_GET));
                let more = (0..64).map(move |_| frame(CONTINUATION, 0, 1, &long(16_256)));
                let end = frame(CONTINUATION, END_HEADERS, 1, &[]);
                std::iter::once(first).chain(more).chain([end])
            }),
            true,
        ),
        (
            "empty data without end",
            Box::new(std::iter::once(open(1)).chain((0..many).map(|_| frame(DATA, 0, 1, &[])))),
            false,
        ),
        (
            "settings",
            Box::new((0..many).map(|_| frame(SETTINGS, 0, 0, &[]))),
            false,
        ),
        (
            "pings",
            Box::new((0..many).map(|number| frame(PING, 0, 0, &number.to_be_bytes()))),
            false,
        ),
        (
            "windows of one byte",
            Box::new(
                std::iter::once(frame(SETTINGS, 0, 0, &one_byte)).chain(streams(90).flat_map(|stream| {
                    [
                        frame(HEADERS, END_HEADERS, stream, &call(DO_GET)),
                        frame(DATA, END_STREAM, stream, &[0; 5]),
                        frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()),
                    ]
                })),
            ),
            false,
        ),
        (
            "data on a stream that is not there",
            Box::new(std::iter::once(frame(DATA, 0, 77, b"x"))),
            true,
        ),
        (
            "a frame that is too large",
            Box::new(std::iter::once(frame(DATA, 0, 1, &vec![0; 1 << 20]))),
            true,
        ),
    ];
    for (name, said, must_end) in attacks {
        let (raw, since) = (Raw::at(&listen).await, Instant::now());
        let attack = raw.say(said, Duration::from_secs(5));
        let ((ended, _), beside) = tokio::join!(attack, p95(&apart, 10));
        let peak = before.memory_peak();
        println!(
            "{name}: {ended:?} after {:.1} s, p95 of others {:.0} ms, peak {} MiB",
            since.elapsed().as_secs_f64(),
            beside.as_secs_f64() * 1e3,
            peak >> 20
        );
        assert!(!must_end || ended != Ended::Open, "{name}: {ended:?}");
        assert!(beside < Duration::from_secs(2), "{name}: {beside:?}");
        assert!(peak < before.memory() + MEMORY_MAX, "{name}: {peak}");
    }
    sound(&apart, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_22_only_the_method_that_is_meant_is_called_whatever_a_path_looks_like() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let listen = apart.config().listen.unwrap();
    let twice = [call(DO_GET), literal(":authority", "clinic-b")].concat();
    let paths = [
        call("arrow.flight.protocol.FlightService/DoGet"),
        call("//arrow.flight.protocol.FlightService/DoGet"),
        call("/arrow.flight.protocol.FlightService//DoGet"),
        call("/Arrow.Flight.Protocol.FlightService/DoGet"),
        call("/arrow.flight.protocol.FlightService/doget"),
        call("/arrow.flight.protocol.FlightService/DoGe%74"),
        call("/arrow.flight.protocol.FlightService/DoGet/"),
        call("/arrow.flight.protocol.FlightService/DoGet\0"),
        call("/x/../arrow.flight.protocol.FlightService/DoGet"),
        call("*"),
        call(""),
        twice,
    ];
    for headers in paths {
        let said = [frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers)];
        let (ended, heard) = Raw::at(&listen).await.ask(said.into_iter()).await;
        let name = String::from_utf8_lossy(&headers).into_owned();
        // Refused as unknown (its status is in a first and only block of headers), as malformed, or with the connection.
        let is_refused =
            |(kind, flags, _): &(u8, u8, &[u8])| *kind == RST_STREAM || (*kind == HEADERS && flags & END_STREAM != 0);
        assert!(
            ended != Ended::Open || frames(&heard).iter().any(is_refused),
            "{name}: {ended:?} {heard:?}"
        );
        let has_data = frames(&heard).iter().any(|(kind, ..)| *kind == DATA);
        assert!(!has_data, "{name}");
    }
    sound(&apart, &before);
}

/// Waits until the other end closes it. Says when that was.
async fn closed(mut tcp: impl tokio::io::AsyncRead + Unpin, since: Instant) -> Option<Duration> {
    let mut chunk = [0; 1_024];
    let ended = async { while let Ok(1..) = tcp.read(&mut chunk).await {} };
    tokio::time::timeout(LET_GO_WITHIN, ended)
        .await
        .ok()
        .map(|()| since.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_38_slow_and_silent_peers_are_let_go_and_others_are_answered() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let listen = apart.config().listen.unwrap();
    let quiet = p95(&apart, 40).await;
    let since = Instant::now();
    let mut silent = JoinSet::new();
    let mut slow = JoinSet::new();
    let mut idle = JoinSet::new();
    // Without a word; with a byte of a hello at a time; with TLS and nothing after; with HTTP/2 and no answer to a ping.
    for _ in 0..times("DATENRAUM_PEERS", 1_000) {
        silent.spawn(closed(TcpStream::connect(&listen).await.unwrap(), since));
    }
    for _ in 0..20 {
        let tcp = TcpStream::connect(&listen).await.unwrap();
        slow.spawn(async move {
            let (from, mut to) = tcp.into_split();
            let saying = tokio::spawn(async move {
                for byte in [22, 3, 1, 0, 200, 1, 0, 0, 196] {
                    if to.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            });
            let ended = closed(from, since).await;
            saying.abort();
            ended
        });
        slow.spawn(closed(shake(&listen, client(&[b"h2"])).await.unwrap(), since));
    }
    for _ in 0..times("DATENRAUM_PEERS", 1_000) / 10 {
        let mut raw = Raw::at(&listen).await;
        // A body that never ends, whose answer is never read.
        raw.0.write_all(&open(1)).await.unwrap();
        raw.0.write_all(&frame(DATA, 0, 1, &[0, 0, 0, 1, 0])).await.unwrap();
        idle.spawn(closed(raw.0, since));
    }
    let beside = p95(&apart, 40).await;
    println!(
        "p95 of others {:.0} ms beside {} peers, {:.0} ms without, peak {} MiB",
        beside.as_secs_f64() * 1e3,
        silent.len() + slow.len() + idle.len(),
        quiet.as_secs_f64() * 1e3,
        before.memory_peak() >> 20
    );
    assert!(
        beside < quiet * 10 + Duration::from_millis(300),
        "{beside:?} instead of {quiet:?}"
    );
    for (name, peers) in [("silent", silent), ("slow", slow), ("idle", idle)] {
        let ended = peers.join_all().await;
        let (held, last) = (
            ended.iter().filter(|ended| ended.is_none()).count(),
            ended.iter().flatten().max(),
        );
        println!(
            "{name}: {} peers, {held} not let go, the last after {last:?}",
            ended.len()
        );
        assert_eq!(held, 0, "{name}");
    }
    assert!(before.memory_peak() < 512 << 20);
    sound(&apart, &before);
}

/// Every method of the node and of the broker that there is.
const METHODS: [(Role, &str, &[&str]); 5] = [
    (
        Role::Node,
        "arrow.flight.protocol.FlightService",
        &[
            "Handshake",
            "ListFlights",
            "GetFlightInfo",
            "PollFlightInfo",
            "GetSchema",
            "DoGet",
            "DoPut",
            "DoExchange",
            "DoAction",
        ],
    ),
    (
        Role::Broker,
        "datenraum.v1.GovernanceService",
        &["FetchDocument", "PublishDocuments", "PublishRoot", "PublishStop"],
    ),
    (
        Role::Broker,
        "datenraum.v1.CatalogService",
        &["PublishDescription", "Discover"],
    ),
    (Role::Broker, "datenraum.v1.RelayService", &["Hold", "Carry", "Reach"]),
    (Role::Broker, "datenraum.v1.NobodysService", &["Nothing"]),
];

/// A gRPC message as it goes on the wire: whether it is compressed, how long it says that it is, and what it is.
fn message(is_compressed: u8, length: usize, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[is_compressed], &length[..], content].concat()
}

/// A protobuf message in a message, so deep.
fn nested(deep: usize) -> Vec<u8> {
    let mut inner = Vec::new();
    for _ in 0..deep {
        let mut length = inner.len();
        let mut outer = vec![0x0a];
        while length > 0x7f {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend(inner);
        inner = outer;
    }
    inner
}

#[tokio::test(flavor = "multi_thread")]
async fn a_35_whatever_is_sent_to_any_method_of_node_and_broker_is_refused_and_they_go_on() {
    let apart = Apart::of(Reach::Directly);
    let (_broker, _node, before) = beside(&apart).await;
    let noise: Vec<u8> = (0..4_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let zeros = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; 64 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let deep = nested(200);
    let bodies = [
        ("nothing", Vec::new(), ""),
        ("noise", message(0, noise.len(), &noise), ""),
        ("noise without a length", noise.clone(), ""),
        ("a message that is cut", message(0, 1_000, &noise[..10]), ""),
        ("a message that says it has 64 MiB", message(0, 64 << 20, &noise), ""),
        (
            "a message that says it has 4 GiB",
            message(0, u32::MAX as usize, &noise),
            "",
        ),
        ("200 messages in each other", message(0, deep.len(), &deep), ""),
        ("64 MiB of zeros, compressed", message(1, zeros.len(), &zeros), "gzip"),
        (
            "noise that is said to be compressed",
            message(1, noise.len(), &noise),
            "zstd",
        ),
        ("a flag that is none", message(7, 4, &noise[..4]), ""),
    ];
    for (role, service, methods) in METHODS {
        let address = match role {
            Role::Node => apart.config().listen.unwrap(),
            Role::Broker => apart.broker_address(),
        };
        for method in methods {
            for (name, body, encoding) in &bodies {
                let mut headers = call(&format!("/{service}/{method}"));
                if !encoding.is_empty() {
                    headers.extend(literal("grpc-encoding", encoding));
                }
                let pieces = body.chunks(16_000).map(|piece| frame(DATA, 0, 1, piece));
                let said = std::iter::once(frame(HEADERS, END_HEADERS, 1, &headers)).chain(pieces);
                let said: Vec<_> = said.chain([frame(DATA, END_STREAM, 1, &[])]).collect();
                let (ended, heard) = Raw::at(&address).await.ask(said.into_iter()).await;
                let frames = frames(&heard);
                let said = format!("{name} to {service}/{method}: {ended:?} {frames:?}");
                assert!(frames.iter().all(|(kind, ..)| *kind != DATA), "{said}");
                let is_answered = frames.iter().any(|(kind, ..)| [HEADERS, RST_STREAM].contains(kind));
                assert!(is_answered || ended != Ended::Open, "{said}");
            }
        }
    }
    // What is no HTTP/2 at all.
    for address in [apart.config().listen.unwrap(), apart.broker_address()] {
        for said in [
            &noise[..],
            &PREFACE[..10],
            b"GET / HTTP/1.1\r\n\r\n",
            &frame(0xee, 0xff, 0x7fff_ffff, &noise),
        ] {
            let mut tls = shake(&address, client(&[b"h2"])).await.unwrap();
            tls.write_all(said).await.unwrap();
            assert!(closed(tls, Instant::now()).await.is_some(), "{said:?}");
        }
    }
    assert!(before.memory_peak() < before.memory() + MEMORY_MAX);
    sound(&apart, &before);
}
