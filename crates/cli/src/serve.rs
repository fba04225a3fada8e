//! `node run`, `broker run` and `gateway run`: one role in one process, until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use federation::gateway::{Listener, Options, Token};
use federation::{Asker, Gateway, Profile};
use node::Node;
use serde_json::json;
use telemetry::MetricsConfig;
use terms::finding::Finding;
use terms::{ExitCode, Problem, Report, SystemClock};
use tokio_util::sync::CancellationToken;
use wire::Signals;

use crate::args::{BrokerRunArgs, GatewayRunArgs, NodeRunArgs};
use crate::{log, query, show};

/// Runs a node.
///
/// # Errors
/// What is missing or does not verify, before a port is bound; afterwards only what ends the server.
pub(crate) async fn node(args: NodeRunArgs, json: bool) -> Result<ExitCode, Report> {
    let findings = node::Config::check(&args.config, terms::Clock::now(&SystemClock)).await;
    if let Some(checked) = checked(&args.config, &findings, args.check, json)? {
        return Ok(checked);
    }
    let config = node::Config::load(&args.config)?;
    let (address, config_traces, member) = (config.listen.clone(), config.traces.clone(), config.member.clone());
    let node = Box::pin(Node::open(config, Arc::new(SystemClock))).await?;
    let listener = match address {
        Some(address) => Some(node::serve::listen(&address).await?),
        None => None,
    };
    let traces = config_traces
        .map(|traces| log::start_traces(&traces, &member))
        .transpose()?;
    let served = Box::pin(node.serve(listener, signals_when_told()?)).await;
    if let Some(traces) = traces {
        traces.end();
    }
    served?;
    Ok(ExitCode::Ok)
}

/// Runs a broker.
///
/// # Errors
/// As for a node.
pub(crate) async fn broker(args: BrokerRunArgs, json: bool) -> Result<ExitCode, Report> {
    let findings = broker::Config::check(&args.config);
    if let Some(checked) = checked(&args.config, &findings, args.check, json)? {
        return Ok(checked);
    }
    let config = broker::Config::load(&args.config)?;
    let listener = node::serve::listen(&config.listen).await?;
    Box::pin(broker::serve(
        config,
        listener,
        Arc::new(SystemClock),
        signals_when_told()?,
    ))
    .await?;
    Ok(ExitCode::Ok)
}

/// What a check of a configuration ends with, if it ends here: what is wrong, or that nothing is where no more was asked for.
fn checked(file: &Path, findings: &[Finding], only_check: bool, json: bool) -> Result<Option<ExitCode>, Report> {
    if only_check && json {
        show::json(&json!({ "findings": findings }))?;
        let first = findings.first().map(|finding| finding.report.problem.exit_code());
        return Ok(Some(first.unwrap_or(ExitCode::Ok)));
    }
    let name = file.display().to_string();
    Finding::none_in(&name, findings)?;
    if only_check {
        show::text(format!("{name} and all that it names are in order"))?;
    }
    Ok(only_check.then_some(ExitCode::Ok))
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
    let metrics_listener = match args.metrics {
        Some(listen) => Some(MetricsConfig::of_this_machine(listen).listen().await?),
        None => None,
    };
    let profile = query::profile(&args.asker)?;
    let profile = Profile::load(&profile)?;
    let token_file = args.token_file.unwrap_or_else(|| profile.data.join("gateway.token"));
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await?;
    let token = Token::of_file(&token_file)?;
    let stop = stop_when_told()?;
    if args.until_input_ends {
        stop_when_input_ends(stop.clone())?;
    }
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
    let gateway = Gateway::new(asker, options);
    let metrics = gateway.metrics();
    tokio::select! {
        served = Box::pin(gateway.serve(listener, token, stop)) => served?,
        () = metrics.serve(metrics_listener) => {}
    }
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

/// Cancels when nobody holds the other end of standard input any more: the system closes it for a program that is killed, too.
///
/// # Errors
/// If the system gives no thread, which a read that waits needs to itself. It ends with the process.
fn stop_when_input_ends(stop: CancellationToken) -> Result<(), Report> {
    let read = move || {
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        stop.cancel();
    };
    let thread = std::thread::Builder::new().name("input".to_owned()).spawn(read);
    let none = |error| Problem::Internal.report(format!("standard input cannot be waited for: {error}"));
    thread.map(drop).map_err(none)
}

/// What a node or a broker is told: SIGTERM or Ctrl-C is to finish what runs, a second one to end at once (all that anybody was told is
/// on disk), SIGHUP to look at the key file.
///
/// # Errors
/// As [`stop_when_told`].
#[cfg(unix)]
fn signals_when_told() -> Result<Signals, Report> {
    use tokio::signal::unix::{SignalKind, signal};
    let deaf = |error: std::io::Error| Problem::Internal.report(format!("signals cannot be listened to: {error}"));
    let listen = |kind: SignalKind| signal(kind).map_err(deaf);
    let mut terminated = listen(SignalKind::terminate())?;
    let mut pressed = listen(SignalKind::interrupt())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    let signals = Signals::default();
    let told = signals.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = pressed.recv() => {}
                _ = hung_up.recv() => {
                    told.reload.notify_waiters();
                    continue;
                }
            }
            if told.stop.is_cancelled() {
                tracing::warn!("told to stop a second time: what still runs is cut off");
                std::process::exit(ExitCode::Failed as i32);
            }
            told.stop.cancel();
        }
    });
    Ok(signals)
}

#[cfg(not(unix))]
fn signals_when_told() -> Result<Signals, Report> {
    stop_when_told().map(Signals::from)
}
