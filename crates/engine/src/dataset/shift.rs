//! That each person's days are moved by the same number in every version of a data set: whoever saw a person's days moved by two numbers, or
//! moved and as they are, knows more of the true ones, or all. By how much nobody is told, and nothing that is kept says it.

use terms::{CollectionId, Problem, Report};
use trust::Digest;

use super::import::Imported;
use super::{ABOUT_FILE, Dataset, Datasets, read_about, source, unreadable, write_json};
use crate::secret::NodeSecret;

/// What stands for the numbers by which the days of a new version are moved. A version of made-up people keeps that of the real ones.
///
/// # Errors
/// `DataShift` if they were moved by others in an earlier version, or are not moved any more.
pub(super) fn mark(made: &Imported, before: Option<&Dataset>, secret: &NodeSecret) -> Result<Option<Digest>, Report> {
    let before = before.and_then(|before| before.about.shift_mark);
    let mark = made.shift_mark.map(|mark| secret.shift_mark(&mark));
    match (before, mark) {
        (before, None) if made.is_synthetic => Ok(before),
        (Some(before), Some(mark)) if before != mark => {
            Err(Problem::DataShift.report("the secret of shift_days, or its max, is not that of the version before"))
        }
        (Some(_), None) => {
            let report = Problem::DataShift.report("the days of the version before are moved, and these are not");
            Err(report.remedy(
                "name the mapping with shift_days; if days shall be as they are, and the board has been asked, add the file with --other-shifts",
            ))
        }
        (_, mark) => Ok(mark),
    }
}

impl Datasets {
    /// Lets the next version of a collection's data move days by other numbers than the one in force.
    ///
    /// # Errors
    /// `DataBusy` if somebody adds to the collection; `FileMissing` if what is kept cannot be read or written.
    pub fn allow_other_shifts(&self, collection: &CollectionId) -> Result<(), Report> {
        let folder = self.folder.join(collection.as_str());
        if !folder.join(ABOUT_FILE).is_file() {
            return Ok(());
        }
        let _lock = source::lock(&folder)?;
        let mut about = read_about(&folder)?;
        about.shift_mark = None;
        write_json(&folder, ABOUT_FILE, &about).map_err(|error| unreadable(&folder, &error))?;
        self.take_up(&folder).map(drop)
    }
}
