//! The other end: a stream whose bytes go and come by requests, each of which is made again until it is answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use terms::limit;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::pipe::{Pipe, Refused};
use super::{HOLD, LAST, NAME_BYTES, PATH, PIECE_BYTES_MAX, Polled, SILENCE_MAX, TAKEN};
use crate::connect::Dialer;
use crate::socket::Socket;

/// How long the broker is asked to hold an answer: at first and at most, and at the least where connections live for moments only.
const HOLD_FIRST: Duration = Duration::from_secs(10);
const HOLD_LEAST: Duration = Duration::from_millis(500);

/// How much longer an answer may take than it is held.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long it waits before a request is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Dials by way of requests, over connections that `road` makes.
#[derive(Clone, Debug)]
pub(crate) struct ByPolls {
    pub(crate) road: Arc<dyn Dialer>,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<ClientConfig>,
}

#[async_trait::async_trait]
impl Dialer for ByPolls {
    async fn dial(&self) -> io::Result<Socket> {
        let mut line = Line::new(self.clone());
        let opened = line.ask(Method::POST, PATH, &[], Bytes::new(), Duration::ZERO).await?;
        let name = String::from_utf8(opened.body.to_vec()).map_err(io::Error::other)?;
        let is_name = name.len() == 2 * NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if opened.status != StatusCode::OK || !is_name {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let session = format!("{PATH}/{name}");
        let polled = Polled {
            coming: Arc::default(),
            going: Arc::default(),
            peer: None,
        };
        // Both end with the stream, or when the broker is silent for too long.
        let hearing = hear(Line::new(self.clone()), session.clone(), Arc::clone(&polled.coming));
        let saying = say(line, session, Arc::clone(&polled.going), Arc::clone(&polled.coming));
        tokio::spawn(hearing);
        tokio::spawn(saying);
        Ok(Socket::Polled(Box::new(polled)))
    }
}

/// Asks for bytes until there are no more.
async fn hear(mut line: Line, session: String, coming: Arc<Pipe>) {
    let (mut patience, mut hold) = (Patience::default(), HOLD_FIRST);
    loop {
        if coming.room(SILENCE_MAX).await.is_err() {
            break;
        }
        let offset = coming.next();
        let path = format!("{session}/{offset}");
        let asked = line.ask(Method::GET, &path, &[], Bytes::new(), hold);
        match asked.await {
            Ok(Answered {
                status: StatusCode::OK,
                head,
                body,
            }) => {
                patience = Patience::default();
                hold = (hold + HOLD_LEAST).min(HOLD_FIRST);
                match coming.put(offset, &body, head.contains_key(LAST)) {
                    Ok(next) if head.contains_key(LAST) && next == offset + body.len() as u64 => return,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            Ok(answered) if !answered.may_come_again() || patience.is_over() => break,
            Ok(_) => tokio::time::sleep(AGAIN_AFTER).await,
            Err(_) if patience.is_over() => break,
            // The connection did not live as long as the answer was held.
            Err(_) => {
                hold = (hold / 2).max(HOLD_LEAST);
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
    coming.break_off();
}

/// Says bytes until there are no more, and then ends the session.
async fn say(mut line: Line, session: String, going: Arc<Pipe>, coming: Arc<Pipe>) {
    let mut patience = Patience::default();
    loop {
        let piece = match going.piece(going.first(), PIECE_BYTES_MAX, SILENCE_MAX).await {
            Ok(piece) => piece,
            Err(Refused::OutOfOrder | Refused::Replaced | Refused::Over) => break,
        };
        if piece.bytes.is_empty() && !piece.is_last {
            continue;
        }
        let (path, end) = (
            format!("{session}/{}", piece.offset),
            piece.offset + piece.bytes.len() as u64,
        );
        let asked = line.ask(Method::POST, &path, last(piece.is_last), piece.bytes, HOLD_FIRST);
        match asked.await {
            Ok(Answered {
                status: StatusCode::NO_CONTENT,
                head,
                ..
            }) => {
                patience = Patience::default();
                let taken = head.get(TAKEN).and_then(|taken| taken.to_str().ok()?.parse().ok());
                if taken.is_none_or(|taken| going.forget_before(taken).is_err()) {
                    break;
                }
                if piece.is_last && taken == Some(end) {
                    // What the broker still has to say may be waited for.
                    coming.over().await;
                    break;
                }
            }
            Ok(answered) if !answered.may_come_again() => break,
            Ok(_) | Err(_) if patience.is_over() => break,
            Ok(_) | Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
    going.break_off();
    // If it does not hear of it, it hears nothing more, and ends the session by itself.
    let _ = line
        .ask(Method::DELETE, &session, &[], Bytes::new(), Duration::ZERO)
        .await;
}

fn last(is_last: bool) -> &'static [(&'static str, &'static str)] {
    if is_last { &[(LAST, "1")] } else { &[] }
}

/// Since when nothing was answered.
#[derive(Default)]
struct Patience(Option<Instant>);

impl Patience {
    /// Once more nothing was answered.
    fn is_over(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() > SILENCE_MAX
    }
}

/// A connection for one request after the other, made anew when it is lost.
struct Line {
    way: ByPolls,
    open: Option<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)>,
}

struct Answered {
    status: StatusCode,
    head: HeaderMap,
    body: Bytes,
}

impl Answered {
    /// Another request took this one's place, such as one that was lost on its way and came late, or the same once more from whatever
    /// is between. The session is still there.
    fn may_come_again(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }
}

impl Line {
    fn new(way: ByPolls) -> Self {
        Self { way, open: None }
    }

    /// Asks once. A connection on which anything went wrong is not used again.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        words: &[(&str, &str)],
        body: Bytes,
        hold: Duration,
    ) -> io::Result<Answered> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "broker")
            .header(HOLD, hold.as_millis().to_string());
        for (name, value) in words {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).map_err(io::Error::other)?;
        let (mut sender, connection) = match self.open.take() {
            Some(open) if open.0.is_ready() => open,
            _ => self.way.connect().await?,
        };
        let asking = async {
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, PIECE_BYTES_MAX).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            let (status, head) = (head.status, head.headers);
            Ok::<_, io::Error>(Answered { status, head, body })
        };
        let answered = tokio::time::timeout(hold + ANSWER_TIME_MAX, asking).await??;
        if answered.status.is_success() {
            self.open = Some((sender, connection));
        }
        Ok(answered)
    }
}

impl ByPolls {
    async fn connect(&self) -> io::Result<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)> {
        let connecting = async {
            let socket = self.road.dial().await?;
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            let tls = connector.connect(self.name.clone(), socket).await?;
            let (sender, connection) = handshake(TokioIo::new(tls)).await.map_err(io::Error::other)?;
            let serving = tokio::spawn(async {
                // What went wrong is told to whoever waits for the answer.
                let _ = connection.await;
            });
            Ok((sender, AbortOnDropHandle::new(serving)))
        };
        tokio::time::timeout(Duration::from_secs(limit::CONNECT_SECONDS_MAX), connecting).await?
    }
}
