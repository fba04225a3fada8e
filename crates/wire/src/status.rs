//! The one place where a report becomes a gRPC status, and back.
//!
//! What leaves is a problem code, a sentence without data, a remedy and the query id. Nothing else of an error
//! may cross: engine messages quote patients' values.

use terms::{Problem, QueryId, Report};
use tonic::{Code, Status};

/// A report together with the query that it ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    /// What happened and what to do next.
    #[serde(flatten)]
    pub report: Report,
    /// The query at the node, for its operator.
    pub query_id: Option<QueryId>,
}

impl From<Report> for Ended {
    fn from(report: Report) -> Self {
        Ended { report, query_id: None }
    }
}

/// Packs what ended a call.
pub fn to_status(ended: &Ended) -> Status {
    let message = format!("{}; {}", ended.report, ended.report.remedy);
    let details = serde_json::to_vec(ended).unwrap_or_default();
    Status::with_details(code(ended.report.problem), message, details.into())
}

/// Longest sentence that is taken from a peer, in characters: several times the longest refusal.
const SENTENCE_CHARS_MAX: usize = 4_000;

/// Unpacks what ended a call. A status that no Datenraum server made becomes [`Problem::Unreachable`] or
/// [`Problem::Answer`], without the peer's text. What a peer says is shown on terminals: it can be plain text only.
pub fn from_status(status: &Status, from: &str) -> Ended {
    if let Ok(mut ended) = serde_json::from_slice::<Ended>(status.details()) {
        ended.report.message = plain(&ended.report.message);
        ended.report.remedy = plain(&ended.report.remedy);
        return ended;
    }
    let gone = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown
    );
    let report = if gone {
        Problem::Unreachable.report(format!("{from} does not answer"))
    } else {
        Problem::Answer.report(format!("{from} answered with gRPC status {:?}", status.code()))
    };
    report.into()
}

/// What a peer says, without what a terminal would obey: control characters, and marks that turn the direction of writing; cut to
/// the longest sentence that is taken.
pub fn plain(text: &str) -> String {
    let is_mark =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let shown = text.chars().map(|c| if c.is_control() || is_mark(c) { ' ' } else { c });
    shown.take(SENTENCE_CHARS_MAX).collect()
}

fn code(problem: Problem) -> Code {
    use terms::ExitCode;
    match problem {
        Problem::Resources => Code::ResourceExhausted,
        Problem::AuditUnavailable => Code::Unavailable,
        Problem::Execution | Problem::Internal | Problem::Unfinished => Code::Internal,
        Problem::TokenMalformed
        | Problem::TokenSignature
        | Problem::TokenIssuer
        | Problem::TokenAudience
        | Problem::TokenExpired
        | Problem::ProofMismatch
        | Problem::ProofReplayed
        | Problem::GatewayToken => Code::Unauthenticated,
        // Not a code at which programs ask once more by themselves.
        Problem::Partial => Code::FailedPrecondition,
        Problem::Late => Code::DeadlineExceeded,
        other => match other.exit_code() {
            ExitCode::Refused => Code::PermissionDenied,
            ExitCode::Usage => Code::InvalidArgument,
            ExitCode::Unreachable => Code::Unavailable,
            ExitCode::Verification => Code::FailedPrecondition,
            ExitCode::Ok | ExitCode::Failed | ExitCode::Partial => Code::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_status_does_not_carry_its_text() {
        let ended = from_status(&Status::internal("patient 4711"), "gbsg");
        assert!(!format!("{ended:?}").contains("4711"));
    }

    #[test]
    fn a_peer_cannot_write_to_a_terminal_more_than_plain_text() {
        let ended = Ended {
            report: Problem::SqlColumn
                .report(format!("a\u{1b}[2Jb\nc\u{202e}d{}", "e".repeat(1_000_000)))
                .remedy("f\rg"),
            query_id: None,
        };
        let report = from_status(&to_status(&ended), "gbsg").report;
        assert!(report.message.starts_with("a [2Jb c de"), "{}", report.message);
        assert!(report.message.len() <= SENTENCE_CHARS_MAX);
        assert_eq!(report.remedy, "f g");
    }

    #[test]
    fn every_problem_survives_the_way_out_and_back() {
        for problem in Problem::ALL {
            let ended = Ended {
                report: problem.report("x"),
                query_id: Some("q1".parse().unwrap()),
            };
            assert_eq!(from_status(&to_status(&ended), "n"), ended);
        }
    }
}
