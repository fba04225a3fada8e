//! Where traces go, if an operator says so. What is in them, `cli` decides: the steps of a query by name, how long each took, what it
//! came to.

use serde::{Deserialize, Serialize};
use terms::{Problem, Report};

/// Who collects traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// Where OTLP is spoken over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
}

impl TracesConfig {
    /// Refuses what is no such address.
    ///
    /// # Errors
    /// `FileValue`.
    pub fn check(&self) -> Result<(), Report> {
        let uri: Option<hyper::Uri> = self.endpoint.parse().ok();
        let is_one = uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.port().is_some());
        if is_one {
            return Ok(());
        }
        let report = Problem::FileValue.report(format!(
            "{:?} is not an address of the form http://host:port",
            self.endpoint
        ));
        Err(report.remedy("name a collector on this machine; it can pass traces on over TLS"))
    }
}
