//! What the program tells whoever runs it: a log on standard error, and the traces of a node's queries if it was told where to send them.
//!
//! A trace holds the steps of a query by name (the spans of `node::query` and nothing else), how long each took, the query's id, what it
//! came to and how many bytes left. It must never hold an event: those of the log can quote data.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use telemetry::TracesConfig;
use terms::{MemberId, Problem, Report};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::args::LogForm;

/// Which events are logged, such as `info` or `node=debug`.
const LOG_VARIABLE: &str = "DATENRAUM_LOG";

/// Where the spans of a query are made.
const TRACED: &str = "node::query";

type Traced = Option<Box<dyn Layer<Registry> + Send + Sync>>;

/// Where traces are switched on once the configuration is read.
static TRACES: OnceLock<reload::Handle<Traced, Registry>> = OnceLock::new();

/// Starts the log.
pub(crate) fn start(form: LogForm) {
    let (traces, handle) = reload::Layer::new(None);
    // The first one stays.
    let _ = TRACES.set(handle);
    let is_step = filter_fn(|about| about.is_span() && about.target() == TRACED);
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match form {
        LogForm::Text => lines.with_filter(filter).boxed(),
        LogForm::Json => lines.json().with_filter(filter).boxed(),
    };
    tracing_subscriber::registry()
        .with(traces.with_filter(is_step))
        .with(lines)
        .init();
}

/// Traces on their way; what waits is sent when they end.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

/// Sends the traces of this node's queries from now on.
///
/// # Errors
/// If they cannot be sent in principle. Whether somebody collects them is not asked.
pub(crate) fn start_traces(config: &TracesConfig, node: &MemberId) -> Result<Traces, Report> {
    let wrong = |error: &dyn std::fmt::Display| Problem::FileValue.report(format!("traces: {error}"));
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.endpoint)
        .build();
    let exporter = exporter.map_err(|error| wrong(&error))?;
    let resource = Resource::builder_empty()
        .with_service_name("datenraum-node")
        .with_attribute(KeyValue::new("service.instance.id", node.to_string()))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("datenraum"))
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    let switched = TRACES.get().map(|traces| traces.reload(Some(layer.boxed())));
    match switched {
        Some(Ok(())) => Ok(Traces(provider)),
        Some(Err(error)) => Err(wrong(&error)),
        None => Err(Problem::Internal.report("the log was not started")),
    }
}

impl Traces {
    /// Sends what waits.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
