//! The gateway's token, and the one check that stands before everything else.
//!
//! A token lies in a file that only its owner can read. It comes as bearer token, or as the password of any user name.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq as _;
use terms::{Problem, Report};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use wire::status::{Ended, to_status};

use super::connection::Session;

/// The header that names the caller; used in no other way.
pub(super) const AUTHORIZATION: &str = "authorization";

/// The shortest token that is taken from a file, in bytes: about as hard to guess as a key, if it is random.
const TOKEN_BYTES_MIN: usize = 32;

/// What a client must know.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token in the file, which is made if it is not there.
    ///
    /// # Errors
    /// `FileMissing`, or `FileValue` if others can read the file or it holds no token.
    pub fn of_file(path: &Path) -> Result<Self, Report> {
        let missing = |error: io::Error| Problem::FileMissing.report(format!("{}: {error}", path.display()));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::checked(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!(
                    "{}{}",
                    trust::new_request_id()?.as_str(),
                    trust::new_request_id()?.as_str()
                );
                trust::durable::replace(path, format!("{text}\n").as_bytes()).map_err(missing)?;
                Ok(Self(text.into()))
            }
            Err(error) => Err(missing(error)),
        }
    }

    fn checked(path: &Path, text: &str) -> Result<Self, Report> {
        let wrong = |what: &str| Problem::FileValue.report(format!("{} {what}", path.display()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let open = std::fs::metadata(path).map_or(true, |file| file.permissions().mode() & 0o077 != 0);
            if open {
                let report = wrong("can be read by others");
                return Err(report.remedy(format!(
                    "chmod 600 {0}; if others may have read it, remove it",
                    path.display()
                )));
            }
        }
        let text = text.trim_end_matches(['\r', '\n']);
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let report = wrong(&format!(
                "holds no token: at least {TOKEN_BYTES_MIN} letters and digits on one line"
            ));
            return Err(report.remedy("remove the file; a new one is made"));
        }
        Ok(Self(text.into()))
    }

    /// The header that a client sends from now on.
    pub(super) fn as_bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Compared in a time that says nothing of the token.
    fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// Whether a header is `Bearer TOKEN`, or `Basic` with the token as password.
    fn is_in(&self, header: &str) -> bool {
        let Some((scheme, rest)) = header.split_once(' ') else {
            return false;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(rest.as_bytes());
        }
        let decoded = BASE64_STANDARD
            .decode(rest)
            .ok()
            .filter(|_| scheme.eq_ignore_ascii_case("basic"));
        let password = decoded
            .as_deref()
            .and_then(|both| both.splitn(2, |byte| *byte == b':').nth(1));
        password.is_some_and(|password| self.is(password))
    }
}

/// Lets a call in if it has the token, exactly once.
#[derive(Clone, Debug)]
pub(super) struct Door(pub(super) Token);

impl Interceptor for Door {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let mut headers = request.metadata().get_all(AUTHORIZATION).iter();
        let header = headers.next().filter(|_| headers.next().is_none());
        let is_known = header
            .and_then(|header| header.to_str().ok())
            .is_some_and(|header| self.0.is_in(header));
        match is_known {
            true => {
                if let Some(session) = request.extensions().get::<Arc<Session>>() {
                    session.know();
                }
                Ok(request)
            }
            false => {
                let report = Problem::GatewayToken.report("the call does not have the gateway's token");
                Err(to_status(&Ended::from(report)))
            }
        }
    }
}
