//! How an error reaches a person or a program. The only place that prints one.

use std::io::Write;

use serde::Serialize;
use terms::{ExitCode, Report};

/// An error as JSON: one object on one line of the error stream.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(crate) struct Failure {
    /// What happened and what to do next.
    pub(crate) error: Report,
}

/// Prints a report on the error stream and says what the command returns to the shell.
pub(crate) fn tell(report: &Report, json: bool) -> ExitCode {
    // When even the error stream is closed, the exit code is all that is left to say.
    let _ = write(&mut std::io::stderr().lock(), report, json);
    report.problem.exit_code()
}

fn write(out: &mut impl Write, report: &Report, json: bool) -> std::io::Result<()> {
    if json {
        let failure = Failure { error: report.clone() };
        serde_json::to_writer(&mut *out, &failure)?;
        return writeln!(out);
    }
    writeln!(out, "error: {report}\nwhat to do: {}", report.remedy)
}

#[cfg(test)]
mod tests {
    use terms::Problem;

    use super::*;

    #[test]
    fn a_failure_names_code_and_remedy_in_both_forms() {
        let report = Problem::SandboxUp.report("the sandbox in /tmp/a is up");
        let (mut text, mut json) = (Vec::new(), Vec::new());
        write(&mut text, &report, false).unwrap();
        write(&mut json, &report, true).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with("error: the sandbox in /tmp/a is up [E_SANDBOX_UP]\nwhat to do: Use it"),
            "{text}"
        );
        let failure: Failure = serde_json::from_slice(&json).unwrap();
        assert_eq!(failure.error, report);
    }
}
