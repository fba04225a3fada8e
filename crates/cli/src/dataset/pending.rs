//! What an operator is told of a version that waits: `docs/disclosure.md`, section 5. Nobody else is.

use engine::Pending;
use serde_json::{Value, json};
use terms::{CollectionId, ExitCode, Report};

use crate::show;

/// Says that a file is right, and that questions are not answered from it yet.
pub(super) fn tell(pending: &Pending, collection: &CollectionId, json: bool) -> Result<ExitCode, Report> {
    if json {
        show::json(&json!({ "collection": collection, "pending": as_json(pending) }))?;
        return Ok(ExitCode::Ok);
    }
    show::text(format!(
        "the file conforms to {collection}, and waits: {}",
        why(pending)
    ))?;
    show::text("questions are answered from the version before; add the file again when more has changed")?;
    Ok(ExitCode::Ok)
}

/// Why it waits.
pub(super) fn why(pending: &Pending) -> String {
    let Pending { differing, least, .. } = pending;
    let people = match differing {
        1 => "person differs",
        _ => "people differ",
    };
    format!(
        "{differing} {people} from the version in force, and {least} must, so that no difference of two answers is about so few"
    )
}

/// The same for programs.
pub(super) fn as_json(pending: &Pending) -> Value {
    json!({
        "added": pending.added,
        "rows": pending.rows,
        "people_that_differ": pending.differing,
        "people_that_must": pending.least,
    })
}
