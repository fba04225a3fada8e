//! Whole data spaces, through the program as a person uses it: put up, ask, be refused, take down.

mod activation;
mod alliance;
mod apart;
mod backup;
mod bad_input;
mod bombs;
mod broken_data;
mod broker_gone;
mod brokers;
mod called;
mod canaries;
mod catalog;
mod catalog_export;
mod clinical;
mod demo;
mod disk;
mod districts;
mod doctor;
mod dropouts;
mod dry_run;
mod fan_out;
mod fhir;
mod fits_ended;
mod gateway;
mod governance;
mod hostile;
mod intake;
mod joins;
mod kill;
mod kill_carried;
mod lost_connection;
mod masked;
mod methods;
mod models;
mod models_more;
mod namespaces;
mod network;
mod newcomers;
mod omop;
mod operating;
mod oracles;
mod own_tables;
mod paused;
mod peers;
mod people;
mod permit_rows;
mod plots;
mod polls;
mod raw;
mod receipts;
mod regions;
mod sound;
mod sources;
mod statistics;
mod stops;
mod through_gateway;
mod tokens;
mod tunnels;
mod twins;
mod whole_answers;
mod witness;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use faults::Proxy;
use serde_json::Value;
use tempfile::TempDir;

/// The project's folder.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the program to its end.
pub(crate) fn datenraum<I: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = I>) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_datenraum"))
        .args(words)
        .output()
        .unwrap();
    Run(output)
}

/// What the program said and returned.
pub(crate) struct Run(pub(crate) Output);

impl Run {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out(), self.err()))
    }

    /// Asserts the exit code; says everything if it is another.
    pub(crate) fn returns(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout: {}\nstderr: {}", self.out(), self.err());
        self
    }

    /// Asserts that the error names a problem and a remedy.
    pub(crate) fn fails_with(self, problem: &str, says: &str) {
        let error = self.err();
        assert!(error.contains(problem), "no {problem} in: {error}{}", self.out());
        assert!(error.contains(says), "no {says:?} in: {error}");
        assert!(error.contains("what to do: "), "no remedy in: {error}");
        assert!(!error.contains("panicked"), "{error}");
        assert_ne!(self.code(), 0);
    }
}

/// A sandbox that is taken down when the test ends, however it ends.
pub(crate) struct Sandbox {
    place: TempDir,
}

impl Sandbox {
    /// Puts up a sandbox from a file.
    pub(crate) fn up(spec: &Path) -> Self {
        let sandbox = Self {
            place: tempfile::tempdir().unwrap(),
        };
        sandbox.up_again(spec).returns(0);
        sandbox
    }

    /// Puts up a sandbox from files that are written for it.
    pub(crate) fn of(files: &[(&str, &str)]) -> (Self, Run) {
        let sandbox = Self::laid_out(files);
        let run = sandbox.up_again(&sandbox.place.path().join("spec.toml"));
        (sandbox, run)
    }

    /// The same, not yet put up.
    pub(crate) fn laid_out(files: &[(&str, &str)]) -> Self {
        let sandbox = Self {
            place: tempfile::tempdir().unwrap(),
        };
        for (path, text) in files {
            let path = sandbox.place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        sandbox
    }

    pub(crate) fn up_again(&self, spec: &Path) -> Run {
        datenraum([
            "sandbox".as_ref(),
            "up".as_ref(),
            spec.as_os_str(),
            "--dir".as_ref(),
            self.dir().as_os_str(),
        ])
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("sandbox")
    }

    /// Puts nodes behind proxies: from now on they are reached through these only.
    pub(crate) async fn behind_a_proxy(&self, nodes: &[&str]) -> Vec<Proxy> {
        let mut proxies = Vec::new();
        for id in nodes {
            let dir = self.dir();
            datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", id]).returns(0);
            let file = dir.join("nodes").join(id).join("node.toml");
            let text = std::fs::read_to_string(&file).unwrap();
            let listens = node::Config::load(&file).unwrap().listen.unwrap().parse().unwrap();
            let proxy = Proxy::before(listens).await.unwrap();
            let advertised = format!("listen = \"{listens}\"\nadvertise = \"{}\"", proxy.address());
            let changed = text.replace(&format!("listen = \"{listens}\""), &advertised);
            assert_ne!(changed, text);
            std::fs::write(&file, changed).unwrap();
            proxies.push(proxy);
        }
        self.up_again(&self.place().join("spec.toml")).returns(0);
        proxies
    }

    /// One of its nodes as it is now, in the process that holds them all.
    pub(crate) fn before(&self, node: &str) -> sound::Before {
        let dir = self.dir();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
        let mut holding = ids.filter(|id| {
            let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(dir.to_str().unwrap())
        });
        let config = node::Config::load(&dir.join("nodes").join(node).join("node.toml")).unwrap();
        sound::Before::of(holding.next().expect("nobody holds the sandbox"), &config)
    }

    pub(crate) fn down(&self) -> Run {
        datenraum(["sandbox".as_ref(), "down".as_ref(), self.dir().as_os_str()])
    }

    pub(crate) fn query(&self, sql: &str, more: &[&str]) -> Run {
        let dir = self.dir();
        let words = ["query", "--sandbox", dir.to_str().unwrap(), sql];
        datenraum(words.iter().chain(more))
    }

    /// Asks for scientific research and gets JSON.
    pub(crate) fn ask(&self, sql: &str) -> Value {
        self.query(sql, &["--purpose", "ehds-53-1-e", "--format", "json"])
            .returns(0)
            .json()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Down already, or never up: then there is nothing to take down.
        let _ = self.down();
    }
}
