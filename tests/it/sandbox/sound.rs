//! What holds after every attack and every fault: the node is alive and answers, its audit goes on from where it was and has whatever
//! was answered, nothing is forgotten, and what it holds of the machine's memory and files is what it held before.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use node::audit::{self, Compared};
use node::status::NodeStatus;
use trust::{Envelope, Receipt, SigningKey, Verified};

/// So long a permitted question may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// So long what was used may take to be given back.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What an allocator may keep beside the tenth that is allowed, in bytes.
const MEMORY_SLACK: u64 = 48 << 20;

/// What a program may open for later beside the tenth that is allowed.
const FILES_SLACK: usize = 12;

/// A node as it was before something was done to it.
pub(crate) struct Before {
    process: u32,
    config: node::Config,
    checkpoint: String,
    documents: u64,
    memory: u64,
    files: usize,
}

impl Before {
    /// The node of this configuration in this process.
    pub(crate) fn of(process: u32, config: &node::Config) -> Self {
        Self {
            process,
            checkpoint: audit::anchor(&config.anchor_file()).unwrap().unwrap(),
            documents: NodeStatus::read(config).unwrap().documents.version,
            memory: memory(process),
            files: files(process),
            config: config.clone(),
        }
    }

    /// Asserts what can be asserted after anything. `ask` is a permitted question, `receipts` is what its asker keeps.
    pub(crate) fn still_sound(&self, ask: impl FnOnce(), receipts: Vec<Verified<Receipt>>) {
        let since = Instant::now();
        ask();
        assert!(
            since.elapsed() < ANSWERS_WITHIN,
            "a question took {:?}",
            since.elapsed()
        );
        self.nothing_lost(receipts);
        let bytes_max = self.memory + self.memory / 10 + MEMORY_SLACK;
        let files_max = self.files + self.files / 10 + FILES_SLACK;
        while memory(self.process) > bytes_max || files(self.process) > files_max {
            assert!(
                since.elapsed() < BACK_WITHIN,
                "{} bytes before and {} now, {} files before and {} now",
                self.memory,
                memory(self.process),
                self.files,
                files(self.process)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asserts that the log goes on from where it was, with whatever was answered in it, and that no document is older. A log that only
    /// grows gives no quota back.
    pub(crate) fn nothing_lost(&self, receipts: Vec<Verified<Receipt>>) {
        let compared = Compared {
            checkpoints: vec![self.checkpoint.clone()],
            receipts,
        };
        let key = SigningKey::load(&self.config.key).unwrap().public();
        audit::verify(&self.config.ledger_file(), &self.config.audit_origin(), &key, &compared).unwrap();
        let documents = NodeStatus::read(&self.config).unwrap().documents.version;
        assert!(documents >= self.documents, "{documents} after {}", self.documents);
    }

    /// What the process held then, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// The most memory that the process has held since it began, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        kilobytes(self.process, "VmHWM:")
    }
}

/// The receipts that somebody keeps in a folder.
pub(crate) fn kept_receipts(folder: PathBuf, config: &node::Config) -> Vec<Verified<Receipt>> {
    let key = SigningKey::load(&config.key).unwrap().public();
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let lines = files.flat_map(|file| {
        let text = fs::read_to_string(file.path()).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| Receipt::open(&Envelope::parse(line.as_bytes()).unwrap(), &key).unwrap())
        .collect()
}

/// Bytes of memory that a process holds.
pub(crate) fn memory(process: u32) -> u64 {
    kilobytes(process, "VmRSS:")
}

fn kilobytes(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is gone");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("the process has ended");
    let number = line.trim().trim_end_matches(" kB");
    number.parse::<u64>().unwrap() * 1024
}

/// Files and sockets that a process has open.
pub(crate) fn files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd"))
        .expect("the process is gone")
        .count()
}
