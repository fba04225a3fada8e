//! The port at which monitoring reads: HTTP, one page, nothing else. Whoever reaches it may read it, so it is off unless an operator
//! names it, and of this machine unless they say that others may reach it too.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use terms::{Problem, Report};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Metrics;

/// Readers at the same time.
const READERS_MAX: usize = 8;

/// How long one may take.
const READER_TIME_MAX: Duration = Duration::from_secs(10);

/// Where metrics are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// An IP address and a port, such as `127.0.0.1:9464`.
    pub listen: SocketAddr,
    /// Whether machines other than this one may read them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beyond_this_machine: bool,
}

impl MetricsConfig {
    /// Metrics that no other machine reads.
    pub fn of_this_machine(listen: SocketAddr) -> Self {
        let beyond_this_machine = false;
        Self {
            listen,
            beyond_this_machine,
        }
    }

    /// Refuses an address that other machines reach, unless they may.
    ///
    /// # Errors
    /// `FileValue`.
    pub fn check(&self) -> Result<(), Report> {
        if self.listen.ip().is_loopback() || self.beyond_this_machine {
            return Ok(());
        }
        let message = format!("other machines can reach {}", self.listen);
        let remedy = "name a port of this machine, such as 127.0.0.1:9464, or write beyond_this_machine = true";
        Err(Problem::FileValue.report(message).remedy(remedy))
    }

    /// Listens.
    ///
    /// # Errors
    /// `PortTaken`, and as [`MetricsConfig::check`].
    pub async fn listen(&self) -> Result<TcpListener, Report> {
        self.check()?;
        let taken = |error| Problem::PortTaken.report(format!("metrics: cannot listen on {}: {error}", self.listen));
        TcpListener::bind(self.listen).await.map_err(taken)
    }
}

impl Metrics {
    /// Serves `GET /metrics` on `listener`, for ever; on none, nothing.
    pub async fn serve(self: Arc<Self>, listener: Option<TcpListener>) {
        let Some(listener) = listener else {
            return std::future::pending().await;
        };
        let readers = Arc::new(Semaphore::new(READERS_MAX));
        loop {
            let Ok(place) = Arc::clone(&readers).acquire_owned().await else {
                return;
            };
            let Ok((tcp, _)) = listener.accept().await else {
                // Out of descriptors, most likely: wait for some instead of spinning.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let metrics = Arc::clone(&self);
            tokio::spawn(async move {
                // Whoever goes away, or takes too long, has not read it.
                let _ = tokio::time::timeout(READER_TIME_MAX, metrics.answer(tcp)).await;
                drop(place);
            });
        }
    }

    async fn answer(self: Arc<Self>, tcp: TcpStream) {
        let service = hyper::service::service_fn(move |request| {
            let response = self.page(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).keep_alive(false);
        if let Err(error) = http.serve_connection(TokioIo::new(tcp), service).await {
            tracing::debug!(%error, "metrics were not read");
        }
    }

    fn page(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_page = request.method() == Method::GET && request.uri().path() == "/metrics";
        let mut response = Response::new(Full::from(if is_page { self.text() } else { String::new() }));
        if !is_page {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        let kind = header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
