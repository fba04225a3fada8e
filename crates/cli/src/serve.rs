//! `node run`, `broker run` and `gateway run`: one role in one process, until it is told to stop.

use std::sync::Arc;

use federation::gateway::{Listener, Options, Token};
use federation::{Asker, Gateway, Profile};
use node::Node;
use serde_json::json;
use terms::{ExitCode, Problem, Report, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::args::{BrokerRunArgs, GatewayRunArgs, NodeRunArgs};
use crate::{query, show};

/// Runs a node.
///
/// # Errors
/// What is missing or does not verify, before a port is bound; afterwards only what ends the server.
pub(crate) async fn node(args: NodeRunArgs) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let address = config.listen.clone();
    let node = Box::pin(Node::open(config, Arc::new(SystemClock))).await?;
    let listener = match address {
        Some(address) => Some(node::serve::listen(&address).await?),
        None => None,
    };
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

/// Runs a gateway, and says where and with which token.
///
/// # Errors
/// What is missing or does not verify, before a port is bound; afterwards only what ends the server.
pub(crate) async fn gateway(args: GatewayRunArgs, json: bool) -> Result<ExitCode, Report> {
    let options = Options {
        purpose: query::purpose(args.purpose.as_deref())?,
        permit: query::permit(args.permit.as_deref())?,
        minimum_nodes: args.minimum_nodes,
        timeout: args.timeout,
    };
    let listener = Listener::bind(&args.listen).await?;
    let profile = query::profile(&args.asker)?;
    let profile = Profile::load(&profile)?;
    let token_file = args.token_file.unwrap_or_else(|| profile.data.join("gateway.token"));
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await?;
    let token = Token::of_file(&token_file)?;
    let stop = stop_when_told()?;
    let (endpoint, token_file) = (
        format!("grpc+tcp://{}", listener.bound()),
        token_file.display().to_string(),
    );
    match json {
        true => show::json_line(&json!({ "endpoint": endpoint, "token_file": token_file }))?,
        false => show::text(format!(
            "answers at {endpoint}\nthe token is in {token_file}\nCtrl-C ends it"
        ))?,
    }
    Box::pin(Gateway::new(asker, options).serve(listener, token, stop)).await?;
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
