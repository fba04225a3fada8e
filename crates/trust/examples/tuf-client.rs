//! A client for any TUF repository on this machine, with the command line of the public conformance suite:
//!
//! ```text
//! tuf-client --metadata-dir DIR [--metadata-url URL] init TRUSTED_ROOT
//! tuf-client --metadata-dir DIR --metadata-url URL refresh
//! tuf-client --metadata-dir DIR --metadata-url URL --target-name NAME ... --target-base-url URL --target-dir DIR download
//! ```
//!
//! It exits with 0 if everything verified and with 1 if anything was refused. What verifies is [`trust::TufClient`], the
//! code that nodes run; here are the arguments and a plain HTTP client that goes to this machine and nowhere else.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures::executor::block_on;
use terms::{Clock as _, SystemClock};
use trust::{DocumentSource, SourceError, TufClient};

/// How long one read or write may take.
const STEP_MAX: Duration = Duration::from_secs(30);

/// Longest head of an HTTP answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Largest trusted root that is read from a file, in bytes.
const ROOT_FILE_BYTES_MAX: u64 = 1024 * 1024;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| arguments.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done if nobody reads it.
            let _ = writeln!(io::stderr(), "tuf-client: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Arguments {
    metadata_dir: PathBuf,
    metadata_url: String,
    target_names: Vec<String>,
    target_base_url: String,
    target_dir: PathBuf,
    command: Vec<String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--metadata-dir" => arguments.metadata_dir = value()?.into(),
                "--metadata-url" => arguments.metadata_url = value()?,
                "--target-name" => arguments.target_names.push(value()?),
                "--target-base-url" => arguments.target_base_url = value()?,
                "--target-dir" => arguments.target_dir = value()?.into(),
                option if option.starts_with('-') => return Err(format!("{option} is not an option").into()),
                _ => arguments.command.push(word),
            }
        }
        if arguments.metadata_dir.as_os_str().is_empty() {
            return Err("--metadata-dir is missing".into());
        }
        Ok(arguments)
    }

    fn run(&self) -> Result<(), Failure> {
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        match command.as_slice() {
            ["init", root] => self.init(Path::new(root)),
            ["refresh"] => self.refresh(),
            ["download"] => self.download(),
            _ => Err("say init TRUSTED_ROOT, refresh or download".into()),
        }
    }

    fn init(&self, root: &Path) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        std::fs::File::open(root)?
            .take(ROOT_FILE_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        TufClient::init(&self.metadata_dir, &bytes)?;
        Ok(())
    }

    fn refresh(&self) -> Result<(), Failure> {
        let client = TufClient::open(&self.metadata_dir)?;
        Ok(block_on(client.refresh(&self.source(), SystemClock.now()))?)
    }

    fn download(&self) -> Result<(), Failure> {
        if self.target_names.is_empty() || self.target_dir.as_os_str().is_empty() {
            return Err("download needs --target-name and --target-dir".into());
        }
        let client = TufClient::open(&self.metadata_dir)?;
        let downloads = block_on(client.download(&self.source(), &self.target_names, SystemClock.now()))?;
        for (name, bytes) in downloads.targets {
            let path = self.target_dir.join(file_name(&name)?);
            if std::fs::read(&path).is_ok_and(|known| known == bytes) {
                continue;
            }
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, bytes)?;
        }
        Ok(downloads.refused.map_or(Ok(()), Err)?)
    }

    fn source(&self) -> Loopback<'_> {
        Loopback {
            metadata: &self.metadata_url,
            targets: &self.target_base_url,
        }
    }
}

/// Where a target lies under the folder of targets. A name that leads out of it is refused.
fn file_name(target: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(target.trim_start_matches('/'));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if inside && path.file_name().is_some() {
        return Ok(path.to_owned());
    }
    Err(format!("the target {target:?} would be written outside of its folder").into())
}

/// A server on this machine, by plain HTTP/1.1.
struct Loopback<'a> {
    metadata: &'a str,
    targets: &'a str,
}

#[async_trait::async_trait]
impl DocumentSource for Loopback<'_> {
    async fn fetch(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let (base, rest) = match path.split_once('/') {
            Some(("metadata", rest)) => (self.metadata, rest),
            Some(("targets", rest)) => (self.targets, rest),
            _ => return Ok(None),
        };
        let url = format!("{}/{rest}", base.trim_end_matches('/'));
        match get(&url, bytes_max) {
            Ok(Body::Found(bytes)) => Ok(Some(bytes)),
            Ok(Body::Absent) => Ok(None),
            Ok(Body::TooLarge) => Err(SourceError::TooLarge {
                path: path.to_owned(),
                bytes_max,
            }),
            Err(failure) => Err(SourceError::Unreachable {
                reason: failure.to_string(),
            }),
        }
    }
}

enum Body {
    Found(Vec<u8>),
    Absent,
    TooLarge,
}

/// Asks for `url`. The connection is closed after the answer, so its end is the end of the body.
fn get(url: &str, bytes_max: u64) -> Result<Body, Failure> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is spoken here")?;
    let (host, path) = rest.split_once('/').ok_or("the address has no path")?;
    let mut stream = TcpStream::connect_timeout(&on_this_machine(host)?, STEP_MAX)?;
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    let path = percent_encoded(path);
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let (head, rest) = read_head(&mut stream)?;
    let length = content_length(&head)?;
    match status(&head)? {
        200 => {}
        // Stores of objects say 403 of what they do not have.
        403 | 404 => return Ok(Body::Absent),
        other => return Err(format!("the server answered {other}").into()),
    }
    if length.is_some_and(|length| length > bytes_max) {
        return Ok(Body::TooLarge);
    }
    read_body(stream, rest, length, bytes_max)
}

fn on_this_machine(host: &str) -> Result<SocketAddr, Failure> {
    let loopback = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = host.to_socket_addrs()?.find(loopback);
    found.ok_or_else(|| format!("{host} is not on this machine").into())
}

/// Escapes what cannot stand in a request line. Escapes that are there already stay.
fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%/!$&'()*+,;=:@".contains(&byte);
    path.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec())?;
            return Ok((head, bytes.split_off(end + 4)));
        }
        let read = stream.read(&mut part)?;
        if read == 0 || bytes.len() > HEAD_BYTES_MAX {
            return Err("the server's answer has no head".into());
        }
        bytes.extend_from_slice(&part[..read]);
    }
}

fn status(head: &str) -> Result<u16, Failure> {
    let code = head
        .split_whitespace()
        .nth(1)
        .ok_or("the server's answer has no status")?;
    Ok(code.parse()?)
}

fn content_length(head: &str) -> Result<Option<u64>, Failure> {
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("the server's answer comes in an encoding that is not read here".into());
        }
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Some(value.trim().parse()?));
        }
    }
    Ok(None)
}

fn read_body(stream: TcpStream, begun: Vec<u8>, length: Option<u64>, bytes_max: u64) -> Result<Body, Failure> {
    let mut body = begun;
    let begun = body.len() as u64;
    let wanted = length.unwrap_or(bytes_max.saturating_add(1));
    stream.take(wanted.saturating_sub(begun)).read_to_end(&mut body)?;
    let got = body.len() as u64;
    if got > bytes_max {
        return Ok(Body::TooLarge);
    }
    if length.is_some_and(|length| length != got) {
        return Err("the server's answer broke off".into());
    }
    Ok(Body::Found(body))
}
