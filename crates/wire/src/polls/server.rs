//! The broker's end: requests become the bytes of sessions, and each session a connection that has yet to prove anything.
//!
//! Sessions are bounded in number, in all and from one address, and in bytes; one of which nothing is heard ends.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prost::bytes::Bytes;
use terms::limit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::pipe::{Pipe, Refused};
use super::{HOLD, HOLD_MAX, LAST, NAME_BYTES, PATH, PIECE_BYTES_MAX, Polled, SILENCE_MAX, TAKEN};
use crate::serve::Origin;

/// How long a connection may say nothing between requests, or take to say one.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of a request's first lines that are read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How often it is looked whether a session is over.
const LOOK_EVERY: Duration = Duration::from_secs(2);

type Answer = Response<Full<Bytes>>;

/// All sessions.
#[derive(Clone, Debug)]
pub(crate) struct Polls {
    sessions: Arc<Mutex<HashMap<String, Session>>>,
    opened: mpsc::Sender<Polled>,
    /// How long nothing may be heard of a session.
    pub(super) silence_max: Duration,
}

/// One that is open.
#[derive(Clone, Debug)]
struct Session {
    up: Arc<Pipe>,
    down: Arc<Pipe>,
    peer: Origin,
    heard: Instant,
}

impl Polls {
    /// New sessions are sent as the streams that they are.
    pub(crate) fn new(opened: mpsc::Sender<Polled>) -> Self {
        Self {
            sessions: Arc::default(),
            opened,
            silence_max: SILENCE_MAX,
        }
    }

    /// Answers requests on one connection until it ends.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Origin) {
        let service = hyper::service::service_fn(|request| async move {
            Ok::<_, Infallible>(self.answer(request, peer).await.unwrap_or_else(refusal))
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // However it ended, it is over.
        let _ = serving.await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: Origin) -> Result<Answer, StatusCode> {
        let path = request.uri().path().to_owned();
        let path: Vec<&str> = path
            .strip_prefix(PATH)
            .ok_or(StatusCode::NOT_FOUND)?
            .split('/')
            .skip(1)
            .collect();
        match (request.method(), path.as_slice()) {
            (&Method::POST, []) => self.open(peer),
            (&Method::POST, [name, offset]) => {
                let (session, offset) = (self.session(name)?, offset_of(offset)?);
                let answered = session.hear(request, offset).await?;
                self.note(name);
                Ok(answered)
            }
            (&Method::GET, [name, offset]) => {
                let (session, offset) = (self.session(name)?, offset_of(offset)?);
                session.down.forget_before(offset).map_err(status)?;
                // Before it waits: a connection may not live as long as the answer is held.
                self.note(name);
                session.say(offset, hold(&request)).await
            }
            (&Method::DELETE, [name]) => {
                self.session(name)?;
                self.end(name);
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    pub(super) fn open(&self, peer: Origin) -> Result<Answer, StatusCode> {
        let random: [u8; NAME_BYTES] = trust::random_bytes().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let session = Session {
            up: Arc::default(),
            down: Arc::default(),
            peer,
            heard: Instant::now(),
        };
        let mut sessions = self.sessions();
        let of_peer = sessions.values().filter(|session| session.peer == peer).count();
        if of_peer >= limit::POLL_SESSIONS_PER_PEER_MAX || sessions.len() >= limit::POLL_SESSIONS_MAX {
            return Err(StatusCode::TOO_MANY_REQUESTS);
        }
        let polled = Polled {
            coming: Arc::clone(&session.up),
            going: Arc::clone(&session.down),
            peer: Some(peer.address()),
        };
        // Whoever takes them has too many already, or has gone.
        self.opened
            .try_send(polled)
            .map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
        sessions.insert(name.clone(), session);
        drop(sessions);
        tokio::spawn(self.clone().end_when_over(name.clone()));
        Ok(Response::new(Full::from(name)))
    }

    async fn end_when_over(self, name: String) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let is_over = match self.sessions().get(&name) {
                Some(session) => session.heard.elapsed() > self.silence_max || session.down.is_over(),
                None => return,
            };
            if is_over {
                return self.end(&name);
            }
        }
    }

    fn end(&self, name: &str) {
        let ended = self.sessions().remove(name);
        if let Some(session) = ended {
            session.up.break_off();
            session.down.break_off();
        }
    }

    fn session(&self, name: &str) -> Result<Session, StatusCode> {
        self.sessions().get(name).cloned().ok_or(StatusCode::NOT_FOUND)
    }

    /// Something was heard of it that was next. A request that is refused keeps nothing open.
    fn note(&self, name: &str) {
        if let Some(session) = self.sessions().get_mut(name) {
            session.heard = Instant::now();
        }
    }

    /// The name of some session, and where its hearer goes on.
    #[cfg(test)]
    pub(super) fn waits_at(&self) -> (String, u64) {
        let sessions = self.sessions();
        let (name, session) = sessions.iter().next().unwrap();
        (name.clone(), session.down.next())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    async fn hear(&self, request: Request<Incoming>, offset: u64) -> Result<Answer, StatusCode> {
        let (hold, is_last) = (hold(&request), request.headers().contains_key(LAST));
        let reading = Limited::new(request.into_body(), PIECE_BYTES_MAX).collect();
        let read = tokio::time::timeout(REQUEST_TIME_MAX, reading).await;
        let bytes = read.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
        let bytes = bytes.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
        // What cannot be taken at once is not read from the other end any faster than it is taken here.
        self.up.room(hold).await.map_err(status)?;
        let taken = self.up.put(offset, &bytes, is_last).map_err(status)?;
        let mut answer = empty(StatusCode::NO_CONTENT);
        answer.headers_mut().insert(TAKEN, HeaderValue::from(taken));
        Ok(answer)
    }

    async fn say(&self, offset: u64, hold: Duration) -> Result<Answer, StatusCode> {
        let piece = self.down.piece(offset, PIECE_BYTES_MAX, hold).await.map_err(status)?;
        let mut answer = Response::new(Full::from(piece.bytes));
        if piece.is_last {
            answer.headers_mut().insert(LAST, HeaderValue::from_static("1"));
        }
        Ok(answer)
    }
}

fn offset_of(text: &str) -> Result<u64, StatusCode> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = is_number.then(|| text.parse().ok()).flatten();
    // Sums of offsets and lengths stay numbers.
    offset
        .filter(|offset| *offset <= u64::MAX / 2)
        .ok_or(StatusCode::BAD_REQUEST)
}

fn hold(request: &Request<Incoming>) -> Duration {
    let said = request
        .headers()
        .get(HOLD)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    said.map_or(Duration::ZERO, Duration::from_millis).min(HOLD_MAX)
}

fn status(refused: Refused) -> StatusCode {
    match refused {
        Refused::OutOfOrder | Refused::Replaced => StatusCode::CONFLICT,
        Refused::Over => StatusCode::GONE,
    }
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// Whoever is refused begins anew, with another handshake.
fn refusal(status: StatusCode) -> Answer {
    let mut answer = empty(status);
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
