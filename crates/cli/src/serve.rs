//! `node run` and `broker run`: one role in one process, until it is told to stop.

use std::sync::Arc;

use node::Node;
use terms::{ExitCode, Problem, Report, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::args::{BrokerRunArgs, NodeRunArgs};

/// Runs a node.
///
/// # Errors
/// What is missing or does not verify, before a port is bound; afterwards only what ends the server.
pub(crate) async fn node(args: NodeRunArgs) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let address = config.listen.clone();
    let node = Box::pin(Node::open(config, Arc::new(SystemClock))).await?;
    let listener = node::serve::listen(&address).await?;
    Box::pin(node.serve(listener, stop_when_told()?)).await?;
    Ok(ExitCode::Ok)
}

/// Runs a broker.
///
/// # Errors
/// As for a node.
pub(crate) async fn broker(args: BrokerRunArgs) -> Result<ExitCode, Report> {
    let config = broker::Config::load(&args.config)?;
    let listener = node::serve::listen(&config.listen).await?;
    Box::pin(broker::serve(
        config,
        listener,
        Arc::new(SystemClock),
        stop_when_told()?,
    ))
    .await?;
    Ok(ExitCode::Ok)
}

/// Cancelled by Ctrl-C, and by SIGTERM where there is one.
///
/// # Errors
/// If the system does not let this process listen to signals.
pub(crate) fn stop_when_told() -> Result<CancellationToken, Report> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let deaf = |error: std::io::Error| Problem::Internal.report(format!("signals cannot be listened to: {error}"));
    #[cfg(unix)]
    let mut terminated = {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).map_err(deaf)?
    };
    #[cfg(unix)]
    let terminated = async move { terminated.recv().await };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    // The task ends with the process, which is what it waits for.
    tokio::spawn(async move {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => if let Err(error) = pressed {
                tracing::error!(message = deaf(error).message, "stopping");
            },
            _ = terminated => {}
        }
        told.cancel();
    });
    Ok(stop)
}
