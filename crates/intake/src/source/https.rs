//! Connections to stores and Flight SQL servers: TLS with a verified name. And short requests to a store, one after the other, for code
//! that waits: no redirects, every answer bounded.
//!
//! The connections live on a thread of their own, because whoever waits may be in a runtime already.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use terms::{Problem, Report};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// How long it may take to be connected.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);

/// How long an answer may take to come, in bits as small as a server likes. A range of 4 MiB is that slow at 56 kbit/s.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// How often a request is sent before it has failed; it changes nothing there.
const ATTEMPTS: u32 = 3;

/// One server.
#[derive(Debug)]
pub(super) struct Client {
    thread: Thread,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    silence_max: Duration,
    answer_time_max: Duration,
    open: Mutex<Option<SendRequest<Empty<Bytes>>>>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    Silent,
    Slow,
    Untrusted(String),
    Broken(String),
}

impl Client {
    /// A client of the server of a URL, which is not called yet.
    pub(super) fn new(url: &Url, ca_file: Option<&Path>, silence_max: Duration) -> Result<Self, Report> {
        let host = url.host_str().unwrap_or_default();
        let tls = match url.scheme() {
            "https" => Some(Arc::new(trusting(ca_file)?)),
            _ => None,
        };
        let shared = Shared {
            host: bare(host),
            port: url.port_or_known_default().unwrap_or(443),
            tls,
            silence_max,
            answer_time_max: ANSWER_TIME_MAX,
            open: Mutex::default(),
        };
        let thread = Thread::start().map_err(|error| Problem::Internal.report(format!("no thread: {error}")))?;
        Ok(Self {
            thread,
            shared: Arc::new(shared),
        })
    }

    /// Asks for a URL of the server, and reads at most so many bytes of the answer. What the server cannot do at the moment is
    /// asked for again.
    pub(super) fn get(&self, url: &Url, headers: &[(HeaderName, String)], bytes_max: usize) -> Result<Answer, Report> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let asked = self.shared.request(url, headers)?;
            let shared = Arc::clone(&self.shared);
            let wait = Duration::from_millis(200) * attempt * attempt;
            let answer = self.thread.wait_for(async move {
                tokio::time::sleep(wait).await;
                shared.ask(asked, bytes_max).await
            });
            match answer {
                Ok(answer) if is_worth_another(answer.status) => {
                    last = Some(Unanswered::Broken(answer.status.to_string()))
                }
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Untrusted(why)) => return Err(self.untrusted(&why)),
                Err(unanswered) => last = Some(unanswered),
            }
        }
        let why = match last {
            Some(Unanswered::Silent) => format!("nothing came for {} s", self.shared.silence_max.as_secs()),
            Some(Unanswered::Slow) => "its answer did not end".to_owned(),
            Some(Unanswered::Broken(why) | Unanswered::Untrusted(why)) => why,
            None => String::new(),
        };
        Err(Problem::SourceUnreachable.report(format!("{} does not answer: {why}", self.server())))
    }

    pub(super) fn server(&self) -> String {
        format!("the store at {}:{}", self.shared.host, self.shared.port)
    }

    fn untrusted(&self, why: &str) -> Report {
        Problem::SourceUnreachable
            .report(format!("no encrypted connection to {}: {why}", self.server()))
            .remedy("name the authority that signed its certificate as ca_file; TLS 1.2 and 1.3 are spoken")
    }
}

/// An address as it is called: without the brackets of IPv6 in a URL.
pub(super) fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn is_worth_another(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

impl Shared {
    fn request(&self, url: &Url, headers: &[(HeaderName, String)]) -> Result<Request<Empty<Bytes>>, Report> {
        let invalid = |_| Problem::FileValue.report("the description of the store makes no request");
        let path = &url[url::Position::BeforePath..];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::get(path).header(HOST, host);
        for (name, value) in headers {
            request = request.header(
                name,
                HeaderValue::from_str(value).map_err(|error| invalid(error.into()))?,
            );
        }
        request.body(Empty::new()).map_err(invalid)
    }

    async fn ask(&self, request: Request<Empty<Bytes>>, bytes_max: usize) -> Result<Answer, Unanswered> {
        let mut open = self.open.lock().await;
        let mut sender = match open.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => timeout(CONNECT_TIME_MAX.min(self.silence_max), self.connect())
                .await
                .map_err(|_| Unanswered::Silent)??,
        };
        let answer = timeout(self.silence_max, sender.send_request(request)).await;
        let answer = answer.map_err(|_| Unanswered::Silent)?.map_err(|_| broken())?;
        let answer = timeout(self.answer_time_max, self.whole(answer, bytes_max)).await;
        let answer = answer.map_err(|_| Unanswered::Slow)??;
        *open = Some(sender);
        Ok(answer)
    }

    async fn whole(&self, answer: Response<Incoming>, bytes_max: usize) -> Result<Answer, Unanswered> {
        let (head, body) = answer.into_parts();
        let mut body = Limited::new(body, bytes_max);
        let mut bytes = Vec::new();
        loop {
            let frame = timeout(self.silence_max, body.frame())
                .await
                .map_err(|_| Unanswered::Silent)?;
            let Some(frame) = frame else { break };
            if let Ok(data) = frame.map_err(|_| broken())?.into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: bytes.into(),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Unanswered> {
        let stream = reach(&self.host, self.port, self.tls.clone()).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken())?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, and verifies the server's name if the connection is encrypted.
pub(super) async fn reach(
    host: &str,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>, Unanswered> {
    let unreached = |error: std::io::Error| Unanswered::Broken(error.kind().to_string());
    let stream = TcpStream::connect((host, port)).await.map_err(unreached)?;
    stream.set_nodelay(true).map_err(unreached)?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let untrusted = |error: std::io::Error| Unanswered::Untrusted(error.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Unanswered::Untrusted(error.to_string()))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    Ok(Box::new(stream.map_err(untrusted)?))
}

fn broken() -> Unanswered {
    Unanswered::Broken("the connection broke, or the answer is longer than what was asked for".to_owned())
}

/// The public authorities, and the one that is named.
pub(super) fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, Report> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = ca_file {
        std::fs::metadata(file).map_err(|error| super::unreadable(file, &error))?;
        let none = || Problem::FileValue.report(format!("{} holds no certificates", file.display()));
        let mut certificates = CertificateDer::pem_file_iter(file).map_err(|_| none())?.peekable();
        certificates.peek().ok_or_else(none)?;
        for certificate in certificates {
            roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Problem::Internal.report(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Where the connections live.
#[derive(Debug)]
struct Thread {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl Thread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            // That the sender is gone is what is waited for.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self {
            handle,
            _running: running,
        })
    }

    fn wait_for(
        &self,
        work: impl Future<Output = Result<Answer, Unanswered>> + Send + 'static,
    ) -> Result<Answer, Unanswered> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Whoever asked is waiting.
            let _ = answer.send(work.await);
        });
        answered.recv().unwrap_or_else(|_| Err(broken()))
    }
}
