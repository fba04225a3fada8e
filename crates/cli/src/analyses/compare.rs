//! `datenraum compare`: a number between groups.

use federation::analyses::Study;
use federation::analyses::compare::compare;
use terms::{ExitCode, Report};

use super::{about, asker, end};
use crate::args::analyses::CompareArgs;

/// Asks, and prints.
pub(crate) async fn run(args: CompareArgs, json: bool) -> Result<ExitCode, Report> {
    let asker = asker(&args.about.asker).await?;
    let mut study = Study::new(&asker, about(&args.about)?)?;
    let found = compare(&mut study, &args.outcome, &args.by, args.ranks).await;
    end(
        found.map(|found| found.results().into()),
        study.evidence(),
        &args.about.written,
        json,
    )
}
