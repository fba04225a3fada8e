//! Data sets from FHIR: which view is meant, and what became of the resources.

use std::path::Path;

use intake::Resources;
use terms::{Problem, Report};

use crate::args::DatasetAddArgs;
use crate::show;

/// How many of the resources that were left out are shown; a report has more.
const SHOWN: usize = 10;

/// The view of the command line, or that of the mapping. A file is named from the root, so that a mapping can say it wherever it lies.
pub(super) fn of(args: &DatasetAddArgs, mapped: Option<String>) -> Result<Option<String>, Report> {
    let Some(named) = &args.view else { return Ok(mapped) };
    let file = Path::new(named).canonicalize().ok().filter(|file| file.is_file());
    let named = match file {
        Some(file) if named.ends_with(".json") => file.to_string_lossy().into_owned(),
        _ => named.clone(),
    };
    match mapped {
        Some(mapped) if mapped != named => Err(Problem::FileValue
            .report("the mapping names another view than --view")
            .remedy("leave out --view, or change view under [source] in the mapping")),
        _ => Ok(Some(named)),
    }
}

/// What became of the resources, if there were any.
pub(super) fn tell(resources: &Resources) -> Result<(), Report> {
    if *resources == Resources::default() {
        return Ok(());
    }
    show::text(resources.summary())?;
    for named in resources.named.iter().take(SHOWN) {
        show::text(format!("  left out: {named}"))?;
    }
    match resources.left_out.checked_sub(SHOWN as u64) {
        Some(more) if more > 0 => show::text(format!("  and {more} more")),
        _ => Ok(()),
    }
}
