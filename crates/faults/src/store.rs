//! An S3-compatible store of a test's own: moto or SeaweedFS, in a temporary folder, reached from this machine only, ended with the test.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// So long it lives at most, in seconds, whatever becomes of the test.
const LIFE_SECONDS_MAX: &str = "600";

/// So long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(90);

/// Who may do everything there. Only this machine can, while the test runs.
pub const ACCESS_KEY: &str = "loopback-access";
/// Their secret.
pub const SECRET_KEY: &str = "loopback-secret";

/// The bucket that is there.
pub const BUCKET: &str = "exports";

const PUT: &str = "
import boto3, pathlib, sys, urllib.parse
endpoint, key, secret, bucket, folder = sys.argv[1:6]
s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name='us-east-1')
try:
    s3.create_bucket(Bucket=bucket)
except s3.exceptions.ClientError as error:
    if 'AlreadyOwnedByYou' not in str(error) and 'AlreadyExists' not in str(error):
        raise
for file in sorted(pathlib.Path(folder).iterdir()):
    s3.put_object(Bucket=bucket, Key=urllib.parse.unquote(file.name), Body=file.read_bytes())
";

const IDENTITIES: &str = r#"{"identities": [{"name": "all", "actions": ["Admin", "Read", "List", "Write"],
    "credentials": [{"accessKey": "loopback-access", "secretKey": "loopback-secret"}]}]}"#;

/// A running store.
#[derive(Debug)]
pub struct Store {
    _folder: TempDir,
    programs: PathBuf,
    port: u16,
    running: Child,
}

impl Store {
    /// Starts moto, which lets everybody in; none if it cannot be had, which is said aloud.
    ///
    /// # Errors
    /// If it does not start.
    pub fn moto() -> io::Result<Option<Self>> {
        Self::start(|programs, folder, [port, ..]| {
            let mut serve = alive(&programs.join("moto_server"), folder);
            serve.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            Ok(serve)
        })
    }

    /// Starts SeaweedFS, which lets in who has the keys; with a certificate and its key in PEM, it speaks TLS.
    ///
    /// # Errors
    /// If it does not start.
    pub fn seaweedfs(tls: Option<(&str, &str)>) -> io::Result<Option<Self>> {
        Self::start(|programs, folder, ports| {
            let identities = folder.join("identities.json");
            std::fs::write(&identities, IDENTITIES)?;
            let mut serve = alive(&programs.join("weed"), folder);
            serve.args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-s3",
                "-volume.max=20",
                "-master.volumeSizeLimitMB=64",
            ]);
            serve.args(["-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
            serve
                .arg(format!("-dir={}", folder.display()))
                .arg(format!("-s3.config={}", identities.display()));
            let names = [
                "s3.port",
                "master.port",
                "volume.port",
                "filer.port",
                "s3.port.grpc",
                "master.port.grpc",
                "volume.port.grpc",
                "filer.port.grpc",
            ];
            serve.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
            for (name, text) in tls
                .map(|(certificate, key)| [("cert", certificate), ("key", key)])
                .into_iter()
                .flatten()
            {
                let file = folder.join(format!("{name}.pem"));
                std::fs::write(&file, text)?;
                serve.arg(format!("-s3.{name}.file={}", file.display()));
            }
            Ok(serve)
        })
    }

    fn start(command: impl Fn(&Path, &Path, [u16; 8]) -> io::Result<Command>) -> io::Result<Option<Self>> {
        let Some(programs) = programs()? else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let ports = free_ports()?;
        let mut serve = command(&programs, folder.path(), ports)?;
        let running = serve
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut store = Self {
            _folder: folder,
            programs,
            port: ports[0],
            running,
        };
        let until = Instant::now() + START_TIME_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, store.port)).is_err() {
            if Instant::now() > until || store.running.try_wait()?.is_some() {
                return Err(io::Error::other("the store does not start"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Some(store))
    }

    /// Its port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts objects into the bucket, which is made if need be.
    ///
    /// # Errors
    /// If the store does not take them.
    pub fn put(&self, objects: &[(&str, &[u8])]) -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        for (key, bytes) in objects {
            let escaped: String = key
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect();
            std::fs::write(folder.path().join(escaped), bytes)?;
        }
        let until = Instant::now() + START_TIME_MAX;
        loop {
            let mut put = Command::new(self.programs.join("python3"));
            put.args([
                "-c",
                PUT,
                &format!("http://127.0.0.1:{}", self.port),
                ACCESS_KEY,
                SECRET_KEY,
                BUCKET,
            ]);
            let output = put.arg(folder.path()).output()?;
            if output.status.success() {
                return Ok(());
            }
            // What listens does not always take what it is given yet.
            if Instant::now() > until {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // `timeout` passes it on to the store. One that did not end now ends when its life does.
        let _ = Command::new("kill")
            .args(["-TERM", &self.running.id().to_string()])
            .status();
        let _ = self.running.wait();
    }
}

fn alive(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--signal=TERM", "--kill-after=5", LIFE_SECONDS_MAX])
        .arg(program)
        .current_dir(folder);
    command
}

fn free_ports() -> io::Result<[u16; 8]> {
    let taken: Vec<TcpListener> = (0..8)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let mut ports = [0; 8];
    for (port, listener) in ports.iter_mut().zip(&taken) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Where the stores' programs are, installed if need be.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn programs() -> io::Result<Option<PathBuf>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(project.join("scripts/stores.sh")).output()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stdout).trim());
        return Ok(None);
    }
    project.join("target/stores-venv/bin").canonicalize().map(Some)
}
