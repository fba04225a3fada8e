//! Whether a server takes new work, as `grpc.health.v1` says it: to anybody, without tokens, and nothing more than yes or no.

use std::time::{Duration, SystemTime};

use terms::Clock;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use crate::connect::Connection;

/// How far another server's clock is ahead of `now`, in seconds, as the head of its answer tells; none if it does not answer or tell.
pub async fn clock_ahead(server: &Connection, clock: &dyn Clock) -> Option<i64> {
    let mut client = HealthClient::new(server.grpc.clone());
    let asked = client.check(HealthCheckRequest::default());
    let before = clock.now().as_second();
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, asked).await.ok()?;
    let after = clock.now().as_second();
    let metadata = match answer {
        Ok(answer) => answer.metadata().clone(),
        Err(status) => status.metadata().clone(),
    };
    let date = httpdate::parse_http_date(metadata.get("date")?.to_str().ok()?).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(i64::try_from(since).ok()? - (before + after) / 2)
}

/// How long it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What says so.
#[derive(Debug)]
pub struct Healthy(HealthReporter);

/// The service, and what has to be told to it.
pub fn health() -> (Healthy, HealthServer<impl Health>) {
    let (reporter, service) = health_reporter();
    (Healthy(reporter), service)
}

impl Healthy {
    /// Says what `is_ready` says, until `stop`; from then on, no.
    pub async fn keep(self, is_ready: impl Fn() -> bool, stop: CancellationToken) {
        loop {
            let ready = !stop.is_cancelled() && is_ready();
            let status = if ready {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.0.set_service_status("", status).await;
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                break;
            }
        }
        self.0.set_service_status("", ServingStatus::NotServing).await;
        std::future::pending().await
    }
}
