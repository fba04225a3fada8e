//! A PostgreSQL of a test's own: in a temporary folder, reached from this machine only, ended with the test.
//!
//! It runs as an unprivileged user, as PostgreSQL demands, and never longer than a test may take.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// So long it lives at most, in seconds, whatever becomes of the test.
const LIFE_SECONDS_MAX: &str = "900";

/// So long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// The password of its one user. Only this machine can use it, while the test runs.
const PASSWORD: &str = "loopback-only";

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    /// As whom it runs, if the test itself runs as root.
    user: Option<(u32, u32)>,
    port: u16,
    running: Mutex<Option<Child>>,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes and starts one; none if this machine has no PostgreSQL, which is said aloud.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(programs) = programs() else {
            say_that_it_is_missing();
            return Ok(None);
        };
        let postgres = Self {
            folder: tempfile::tempdir()?,
            programs,
            user: unprivileged()?,
            port: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
            running: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        if let Some((user, group)) = postgres.user {
            chown(postgres.folder.path(), Some(user), Some(group))?;
        }
        let password = postgres.folder.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        let mut init = postgres.program("initdb");
        init.arg("--pgdata").arg(postgres.data()).arg("--pwfile").arg(&password);
        done(init.args([
            "--username=datenraum",
            "--auth=scram-sha-256",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]))?;
        postgres.resume()?;
        Ok(Some(postgres))
    }

    /// A new database: how to connect to it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn database(&self) -> io::Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut create = self.program("createdb");
        let port = self.port.to_string();
        create.args(["--host=127.0.0.1", "--username=datenraum", "--port", &port, &name]);
        done(create.env("PGPASSWORD", PASSWORD))?;
        Ok(format!("postgres://datenraum:{PASSWORD}@127.0.0.1:{port}/{name}"))
    }

    /// Runs statements in a database that [`Postgres::database`] made.
    ///
    /// # Errors
    /// If one fails.
    pub fn run(&self, database: &str, sql: &str) -> io::Result<()> {
        let mut psql = self.program("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            database,
            "--command",
            sql,
        ]);
        done(&mut psql)
    }

    /// Its port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its Unix socket is.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on it speaks TLS with this certificate to those who ask for it.
    ///
    /// # Errors
    /// If it does not start again.
    pub fn encrypt(&self, certificate: &str, key: &str) -> io::Result<()> {
        self.stop()?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.data().join(name);
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            if let Some((user, group)) = self.user {
                chown(&file, Some(user), Some(group))?;
            }
        }
        let mut settings = std::fs::OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))?;
        io::Write::write_all(&mut settings, b"\nssl = on\n")?;
        self.resume()
    }

    /// Ends it as if its machine went away: its connections break.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&self) -> io::Result<()> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut running) = running else {
            return Ok(());
        };
        done(Command::new("kill").args(["-INT", &running.id().to_string()]))?;
        running.wait().map(|_| ())
    }

    /// Starts it again with what it had, at the same place.
    ///
    /// # Errors
    /// If it does not start in time.
    pub fn resume(&self) -> io::Result<()> {
        let log = File::create(self.folder.path().join("log"))?;
        let mut serve = self.within_its_life();
        serve.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        serve
            .arg("-k")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string()]);
        serve.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let until = Instant::now() + START_TIME_MAX;
        while !self.takes_queries() {
            if Instant::now() > until {
                return Err(io::Error::other("PostgreSQL does not start"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn takes_queries(&self) -> bool {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            return false;
        }
        let port = self.port.to_string();
        let mut asked = self.program("pg_isready");
        done(asked.args(["--quiet", "--host=127.0.0.1", "--port", &port])).is_ok()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        self.as_its_user(Command::new(self.programs.join(name)))
    }

    fn within_its_life(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=INT", LIFE_SECONDS_MAX]);
        self.as_its_user(command)
    }

    fn as_its_user(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // One that did not end now ends when its life does.
        let _ = self.stop();
    }
}

/// Where its programs are: the newest that is installed.
fn programs() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = installed.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let version = |folder: &PathBuf| folder.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    folders
        .filter(|folder| folder.join("postgres").exists())
        .max_by_key(version)
}

/// The user `postgres`, if we are root.
fn unprivileged() -> io::Result<Option<(u32, u32)>> {
    let number = |option: &str, user: &[&str]| -> io::Result<u32> {
        let output = Command::new("id").arg(option).args(user).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(io::Error::other)
    };
    if number("-u", &[])? != 0 {
        return Ok(None);
    }
    Ok(Some((number("-u", &["postgres"])?, number("-g", &["postgres"])?)))
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = Path::new(command.get_program()).display().to_string();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{program}: {said}")))
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn say_that_it_is_missing() {
    eprintln!("SKIPPED: no PostgreSQL here; scripts/setup.sh as root installs it");
}
