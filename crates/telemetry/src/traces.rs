//! Where traces go, if an operator says so. What is in them, `cli` decides: the steps of a query by name, how long each took, what it
//! came to.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use terms::{Problem, Report};

/// Who collects traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// Where OTLP is spoken over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// Whether that may be another machine than this one, although nothing protects what goes there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beyond_this_machine: bool,
}

impl TracesConfig {
    /// Refuses what is no such address, and another machine's unless it may be one.
    ///
    /// # Errors
    /// `FileValue`.
    pub fn check(&self) -> Result<(), Report> {
        let uri: Option<hyper::Uri> = self.endpoint.parse().ok();
        let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.port().is_some());
        let report = |message: String| {
            let report = Problem::FileValue.report(message);
            report.remedy("name a collector on this machine, which can pass traces on over TLS, or write beyond_this_machine = true")
        };
        let Some(host) = uri.as_ref().and_then(hyper::Uri::host) else {
            return Err(report(format!(
                "{:?} is not an address of the form http://host:port",
                self.endpoint
            )));
        };
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if self.beyond_this_machine || host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return Ok(());
        }
        Err(report(format!("traces would go to {host} unprotected")))
    }
}
