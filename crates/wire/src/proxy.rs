//! A way out through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6), with a user and password where it wants them (RFC 7617).
//!
//! What goes through it is TLS to a pinned key; the proxy sees whom it connects, and no more.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use serde::{Deserialize, Serialize};
use terms::{Problem, Report};
use tonic::codegen::http::HeaderValue;
use tonic::transport::Uri;
use tower::ServiceExt;

use crate::connect::Dialer;
use crate::socket::Socket;

/// A proxy in somebody's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// `host:port`.
    pub address: String,
    /// A file with the line `user:password`, if the proxy wants to know who goes through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
}

impl ProxyConfig {
    /// What dials `address` through the proxy.
    ///
    /// # Errors
    /// If an address or the file of credentials cannot be used.
    pub(crate) fn dialer(&self, address: &str) -> Result<ThroughProxy, Report> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut tunnel = Tunnel::new(uri(&self.address)?, connector);
        if let Some(line) = self.credentials_line()? {
            let basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(line)));
            let basic = basic.map_err(|_| Problem::Internal.report("credentials cannot be sent"))?;
            tunnel = tunnel.with_auth(basic);
        }
        Ok(ThroughProxy {
            tunnel,
            to: uri(address)?,
        })
    }
}

impl ProxyConfig {
    /// The line `user:password`, if there is to be one.
    ///
    /// # Errors
    /// If the file cannot be read, or does not have that one line.
    pub(crate) fn credentials_line(&self) -> Result<Option<String>, Report> {
        let Some(file) = &self.credentials else { return Ok(None) };
        let line = std::fs::read_to_string(file);
        let line = line.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", file.display())))?;
        let line = line.trim_end_matches(['\r', '\n']);
        if !line.contains(':') || line.contains(char::is_control) {
            let message = format!("{}: it must have the one line user:password", file.display());
            return Err(Problem::FileValue.report(message));
        }
        Ok(Some(line.to_owned()))
    }
}

fn uri(address: &str) -> Result<Uri, Report> {
    let not_one = || Problem::FileValue.report(format!("{address:?} is not an address of the form host:port"));
    let uri: Uri = format!("http://{address}").parse().map_err(|_| not_one())?;
    let is_one = uri.port().is_some() && uri.path() == "/" && uri.query().is_none();
    is_one.then_some(uri).ok_or_else(not_one)
}

/// Dials by way of a proxy.
#[derive(Debug)]
pub(crate) struct ThroughProxy {
    tunnel: Tunnel<HttpConnector>,
    to: Uri,
}

#[async_trait::async_trait]
impl Dialer for ThroughProxy {
    async fn dial(&self) -> io::Result<Socket> {
        let connected = self.tunnel.clone().oneshot(self.to.clone()).await;
        Ok(Socket::Tcp(connected.map_err(io::Error::other)?.into_inner()))
    }
}

#[cfg(test)]
mod tests;
