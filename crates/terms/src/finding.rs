//! What is wrong with a file that an operator writes, all of it at once.

use crate::problem::Report;

/// One thing that is wrong, and under which key of the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The key, such as `broker.address`; empty if the file itself is wrong.
    pub key: String,
    /// What is wrong with it and what to do.
    #[serde(flatten)]
    pub report: Report,
}

impl Finding {
    /// A finding under a key.
    pub fn of(key: &str, report: Report) -> Self {
        let key = key.to_owned();
        Self { key, report }
    }

    /// Nothing if nothing was found in `file`, otherwise all of it as one report under the first one's code.
    ///
    /// # Errors
    /// What was found.
    pub fn none_in(file: &str, findings: &[Finding]) -> Result<(), Report> {
        let Some(first) = findings.first() else { return Ok(()) };
        let line = |finding: &Finding| match finding.key.as_str() {
            "" => finding.report.message.clone(),
            key => format!("{file}: {key}: {}", finding.report.message),
        };
        let lines: Vec<String> = findings.iter().map(line).collect();
        let report = first.report.problem.report(lines.join("\n"));
        let remedies: Vec<&str> = findings.iter().map(|finding| finding.report.remedy.as_str()).collect();
        Err(report.remedy(remedies.join("\n")))
    }
}
