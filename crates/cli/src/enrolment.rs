//! `node init`: how an institution comes to a key, a configuration and a code with which it asks to join a data space.
//!
//! The key never leaves the machine, and nothing that is there is ever replaced. Next: `board/enrol.rs`, the other end.

use std::path::{Path, PathBuf};

use node::Config;
use terms::{Clock as _, ExitCode, Problem, Report, SystemClock};
use trust::SigningKey;
use wire::description::BROKER_AUDIENCE;
use wire::enrolment::{self, ENROLMENT_SECONDS_MAX};
use wire::{Code, Enrolment, PeerConfig};

use crate::args::enrolment::NodeInitArgs;
use crate::sandbox::found::whole_seconds;
use crate::sandbox::layout::{make_folder, write_private};
use crate::show;

/// Makes key and configuration, and leaves a request with the broker; or only the request, once more.
///
/// # Errors
/// If something is there already or cannot be written; then nothing was asked. What the broker says: the files stay.
pub(crate) async fn init(args: &NodeInitArgs, json: bool) -> Result<ExitCode, Report> {
    if let Some(title) = &args.title {
        enrolment::require_title(title)?;
    }
    let config_file = args.dir.join("node.toml");
    if !args.again {
        write_new(args, &config_file)?;
    }
    let config = Config::load(&config_file)?;
    let (request, sealed) = sealed(args, &config)?;
    let code = Code::of(&sealed);
    leave(&config, &sealed)
        .await
        .map_err(|report| how_to_go_on(report, args))?;
    if json {
        show::json(&serde_json::json!({
            "member": request.member, "key": request.key, "code": code.to_string(), "expires": request.expires,
            "config": config_file,
        }))?;
        return Ok(ExitCode::Ok);
    }
    show::text(format!(
        "{}  keep it: nobody else may have it\n{}  complete it as docs/operators.md says\n\
         read this code to the board by telephone, until {:.0}:\n{code}\n\
         when the board has admitted {}: datenraum node run --config {}",
        config.key.display(),
        config_file.display(),
        request.expires,
        request.member,
        config_file.display()
    ))?;
    Ok(ExitCode::Ok)
}

fn write_new(args: &NodeInitArgs, config_file: &Path) -> Result<(), Report> {
    let NodeInitArgs {
        space: Some(space),
        member: Some(member),
        root: Some(root),
        broker: Some(broker),
        broker_key: Some(broker_key),
        dir,
        ..
    } = args
    else {
        return Err(Problem::Usage.report("node init needs --space, --member, --root, --broker and --broker-key"));
    };
    let (key_file, root_file) = (dir.join("node.key"), dir.join("root.json"));
    let mut files = [config_file, &key_file, &root_file].into_iter();
    if let Some(there) = files.find(|file| file.symlink_metadata().is_ok()) {
        let message = format!("{} is there already, and nothing is replaced", there.display());
        let remedy = "name another folder with --dir; to ask once more with what is there: --again --dir DIR";
        return Err(Problem::Usage.report(message).remedy(remedy));
    }
    let root =
        std::fs::read(root).map_err(|error| Problem::FileMissing.report(format!("{}: {error}", root.display())))?;
    let config = Config {
        space: space.clone(),
        member: member.clone(),
        listen: None,
        advertise: None,
        key: PathBuf::from("node.key"),
        root: PathBuf::from("root.json"),
        data: PathBuf::from("data"),
        anchor: None,
        tunnels: 2,
        refresh_seconds: 30,
        limits: wire::NodeLimits::default(),
        metrics: None,
        traces: None,
        broker: PeerConfig {
            address: broker.clone(),
            key: *broker_key,
            proxy: None,
        },
    };
    let text = toml::to_string(&config).map_err(|error| Problem::Internal.report(error.to_string()))?;
    make_folder(dir)?;
    SigningKey::generate()?.save_new(&key_file)?;
    write_private(&root_file, &root)?;
    write_private(
        config_file,
        format!("# A node. Paths are relative to this file.\n\n{text}").as_bytes(),
    )
}

/// A new request of the institution that the configuration names, signed with its key.
fn sealed(args: &NodeInitArgs, config: &Config) -> Result<(Enrolment, Vec<u8>), Report> {
    let key = SigningKey::load(&config.key)?;
    let issued = whole_seconds(SystemClock.now(), 0);
    let request = Enrolment {
        space: config.space.clone(),
        member: config.member.clone(),
        title: args.title.clone().unwrap_or_else(|| config.member.to_string()),
        key: key.public(),
        issued,
        expires: whole_seconds(issued, ENROLMENT_SECONDS_MAX),
    };
    let sealed = enrolment::seal(&request, &key)?;
    Ok((request, sealed))
}

/// Leaves the request at every address of the broker; one that takes it is enough.
async fn leave(config: &Config, sealed: &[u8]) -> Result<(), Report> {
    let mut outcome = Err(Problem::Unreachable.report("the broker has no address"));
    for broker in config.broker.each() {
        let left = match broker.connect(BROKER_AUDIENCE).await {
            Ok(connection) => enrolment::send(&connection, &config.space, sealed).await,
            Err(report) => Err(report),
        };
        outcome = outcome.or(left);
    }
    outcome
}

fn how_to_go_on(report: Report, args: &NodeInitArgs) -> Report {
    let again = format!(
        "key and configuration stay; then ask once more: datenraum node init --again --dir {}",
        args.dir.display()
    );
    let remedy = format!("{}; {again}", report.remedy);
    report.remedy(remedy)
}
