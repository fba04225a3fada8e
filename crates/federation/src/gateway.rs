//! A Flight SQL server on this machine in front of [`Asker`]: any Flight SQL client asks federated questions.
//!
//! Whoever has the gateway's token asks as its person. It must never answer without the token, listen where another machine can
//! reach it, or show what some nodes answered as if all had.
//!
//! A question is asked when its answer is fetched, once: only a client that fetches can cancel while nodes are asked. Until then it is
//! kept under a random ticket for this one connection, and what is known of its columns comes from planning.
//!
//! Reading order: `door` (the token), `connection` (one client), `options` (what a client sets), `flight` and `face`
//! (Flight SQL, unpacked and packed), `renewed` (who asks, looked at again), `Gateway::ask` (one question), `told` (who took part, and whether that is enough), `own`
//! (questions about the last answer), `called` (analyses that are called like tables), `tables` (what there is to ask), `actions` (messages that the Flight library lacks).

mod actions;
mod called;
mod connection;
mod door;
mod face;
mod flight;
mod options;
mod own;
mod renewed;
mod tables;
#[cfg(test)]
mod tests;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use telemetry::Metrics;
use terms::{Problem, Report, limit};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use wire::CountCalls;

pub use door::Token;
pub use options::Options;

use crate::ask::{Asker, Question};
use crate::local::Tables;
use crate::parameters::Parameters;
use connection::Session;
use face::Face;
use flight::Flight;
use renewed::Renewed;
use told::{ResultSet, Told};

/// How long open answers may take to end once the gateway is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A port that only this machine reaches.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    bound: SocketAddr,
}

impl Listener {
    /// Listens on `address`, such as `127.0.0.1:32010`. No other machine may reach it.
    ///
    /// # Errors
    /// `Usage` if it is not a loopback address, `PortTaken`.
    pub async fn bind(address: &str) -> Result<Self, Report> {
        let remedy = "name a port of this machine, such as 127.0.0.1:32010 or [::1]:32010";
        let parsed: SocketAddr = address.parse().map_err(|_| {
            let report = Problem::Usage.report(format!("{address:?} is not an IP address and a port"));
            report.remedy(remedy)
        })?;
        if !parsed.ip().is_loopback() {
            let report = Problem::Usage.report(format!("other machines can reach {address}"));
            return Err(report.remedy(remedy));
        }
        let taken = |error| Problem::PortTaken.report(format!("cannot listen on {address}: {error}"));
        let tcp = TcpListener::bind(parsed).await.map_err(taken)?;
        let bound = tcp.local_addr().map_err(taken)?;
        Ok(Self { tcp, bound })
    }

    /// Where it listens.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }
}

/// What serves one person's programs.
#[derive(Debug)]
pub struct Gateway {
    asker: Renewed<Asker>,
    defaults: Options,
    asking: Semaphore,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Gateway {
    /// A gateway that asks as `asker`, with `defaults` for what a connection does not set.
    pub fn new(asker: Asker, defaults: Options) -> Self {
        let every = Duration::from_secs(limit::GATEWAY_RENEWED_SECONDS);
        Self {
            asker: Renewed::new(asker, every, Instant::now()),
            defaults,
            asking: Semaphore::new(limit::GATEWAY_QUESTIONS_MAX),
            room: Arc::new(Semaphore::new(told::kibibytes(limit::GATEWAY_ANSWERS_BYTES_MAX))),
            metrics: Arc::default(),
        }
    }

    /// What the gateway counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves on `listener` until `stop`, and then until open answers are fetched or a few seconds have passed.
    ///
    /// # Errors
    /// If the server ends otherwise.
    pub async fn serve(self, listener: Listener, token: Token, stop: CancellationToken) -> Result<(), Report> {
        let calls = self.metrics.calls.clone();
        let service = FlightServiceServer::new(Flight(Face::new(Arc::new(self), token.clone())))
            .max_decoding_message_size(limit::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limit::ANSWER_MESSAGE_BYTES_MAX);
        let service = InterceptedService::new(service, door::Door(token));
        let patience = Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX);
        let incoming = connection::incoming(listener.tcp, patience);
        let serving = wire::serve::server()
            .layer(CountCalls(calls))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => served.map_err(|error| Problem::Internal.report(format!("the server ended: {error}"))),
            () = drained => Ok(()),
        }
    }

    /// Asks one question: of nodes, or, if it names no collection, of what the connection was told last; or makes an analysis.
    async fn ask(&self, session: &Session, options: &Options, asked: Asked) -> Result<ResultSet, Report> {
        let Asked { sql, parameters } = asked;
        let called = called::parse(&sql)?;
        if called.is_none()
            && let Some(own) = own::plan(&sql, &session.last()).await?
        {
            return own.run(&parameters).await;
        }
        let _asking = self.asking.try_acquire().map_err(|_| {
            let most = limit::GATEWAY_QUESTIONS_MAX;
            Problem::Resources.report(format!(
                "{most} questions are being asked; wait until one has its answer"
            ))
        })?;
        if let Some(called) = called {
            parameters.require_none()?;
            return called.ask(&*self.asker().await?, session, options).await;
        }
        let question = Question {
            sql,
            purpose: options.purpose,
            permit: options.permit.clone(),
            tables: Tables::default(),
            timeout: options.timeout,
        };
        let asker = self.asker().await?;
        let answer = Box::pin(asker.ask_with(&question, &parameters)).await?;
        let told = session.tell(Told::of(&answer));
        told::enough(answer.took_part(), options)?;
        ResultSet::of(answer, &told)
    }

    /// Who asks, with documents, catalogue and credential that are not old.
    async fn asker(&self) -> Result<Arc<Asker>, Report> {
        let renew = |asker: Arc<Asker>| async move { Box::pin(asker.renewed()).await };
        self.asker.at(Instant::now(), renew).await
    }
}

/// A question with the values of its parameters.
#[derive(Clone, Debug)]
struct Asked {
    sql: String,
    parameters: Parameters,
}

impl Asked {
    fn without_values(sql: String) -> Self {
        let parameters = Parameters::default();
        Self { sql, parameters }
    }
}
