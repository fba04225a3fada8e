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

/// Unpacks what ended a call. A status that no Datenraum server made becomes [`Problem::Unreachable`] or
/// [`Problem::Answer`], without the peer's text.
pub fn from_status(status: &Status, from: &str) -> Ended {
    if let Ok(ended) = serde_json::from_slice::<Ended>(status.details()) {
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
        | Problem::ProofReplayed => Code::Unauthenticated,
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
