//! `node backup`: a copy of what a node keeps, whole and checked, while the node runs.

use terms::{ExitCode, Report};
use trust::SigningKey;

use crate::args::NodeBackupArgs;
use crate::sandbox::found::counted;
use crate::show;

/// Makes a backup.
///
/// # Errors
/// As [`node::backup::backup`].
pub(crate) fn run(args: &NodeBackupArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let key = SigningKey::load(&config.key)?.public();
    let summary = node::backup::backup(&config, &args.config, &key, &args.to)?;
    if json {
        show::json(&summary)?;
        return Ok(ExitCode::Ok);
    }
    let entries = counted(
        usize::try_from(summary.entries).unwrap_or(usize::MAX),
        "entry",
        "entries",
    );
    show::text(format!(
        "{}  the ledger in it verifies: {entries}, root {}\nthe key {} is not in it: keep a copy of it elsewhere",
        args.to.display(),
        summary.root,
        config.key.display()
    ))?;
    Ok(ExitCode::Ok)
}
