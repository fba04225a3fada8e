//! A source that is no file: described in a short TOML file, so that whoever adds or renews a data set names one path.
//!
//! A secret stands in a file of its own or in a variable of the environment, and never in the description, in an argument, in a
//! message or in a log.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use terms::{Problem, Report};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::flight::Flight;
use super::postgres::Postgres;
use super::s3::S3;

/// Longest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4 * 1024;

/// What a description may hold: one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    postgres: Option<Postgres>,
    s3: Option<S3>,
    flight: Option<Flight>,
}

/// Whether a path is that of a description.
pub(super) fn is_description(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// Reads a description.
pub(super) fn read(path: &Path) -> Result<Described, Report> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| super::unreadable(path, &error))?;
    let description: Description = terms::text::parse_toml(&name, &text)?;
    let place = Place::of(path);
    match (description.postgres, description.s3, description.flight) {
        (Some(postgres), None, None) => {
            postgres.require_valid(&name)?;
            Ok(Described::Postgres(postgres, place))
        }
        (None, Some(s3), None) => {
            s3.require_valid(&name)?;
            Ok(Described::S3(s3, place))
        }
        (None, None, Some(flight)) => {
            flight.require_valid(&name)?;
            Ok(Described::Flight(flight, place))
        }
        _ => Err(Problem::FileKey
            .report(format!("{name} does not describe one source"))
            .remedy("write what is read in a section [postgres], [s3] or [flight]")),
    }
}

/// A source that was described.
pub(super) enum Described {
    Postgres(Postgres, Place),
    S3(S3, Place),
    Flight(Flight, Place),
}

/// Whether what is sent there leaves this machine.
pub(super) fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Where a description lies: what it names is found from there.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(description: &Path) -> Self {
        Self(description.parent().unwrap_or(Path::new("")).to_owned())
    }

    pub(super) fn find(&self, named: &Path) -> PathBuf {
        self.0.join(named)
    }
}

/// A password or key, which is never shown.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// From a file that others cannot read, or from a variable; none where none is named.
    pub(super) fn from(place: &Place, file: Option<&Path>, variable: Option<&str>) -> Result<Option<Self>, Report> {
        match (file, variable) {
            (Some(file), _) => Self::of_file(&place.find(file)).map(Some),
            (None, Some(name)) => match std::env::var(name) {
                Ok(value) => Ok(Some(Self(Zeroizing::new(value)))),
                Err(_) => Err(Problem::FileMissing
                    .report(format!(
                        "the variable {name}, which holds a secret of the source, is not set"
                    ))
                    .remedy("set it in the environment of this command, or name a file in its place")),
            },
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn of_file(path: &Path) -> Result<Self, Report> {
        let about = fs::metadata(path).map_err(|error| super::unreadable(path, &error))?;
        if exposed(&about) {
            let message = format!(
                "{} holds a secret and can be read by every user of this machine",
                path.display()
            );
            return Err(Problem::FileMissing
                .report(message)
                .remedy(format!("take the right away: chmod 600 {}", path.display())));
        }
        if about.len() > SECRET_BYTES_MAX {
            let message = format!("{} is longer than a secret", path.display());
            return Err(Problem::FileValue
                .report(message)
                .remedy("write the secret into it and nothing else"));
        }
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| super::unreadable(path, &error))?;
        Ok(Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }
}

#[cfg(unix)]
fn exposed(about: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o007 != 0
}

#[cfg(not(unix))]
fn exposed(_about: &fs::Metadata) -> bool {
    false
}
