//! A disk that is full, and one that fails: nothing is answered that is not recorded, and nothing that failed is taken for done.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use terms::limit::LEDGER_ROOM_BYTES_MIN;

use super::apart::{Apart, Process, Reach, Role, strace_is_there};
use super::datenraum;
use super::sound::{Before, kept_receipts};

/// So long a node may take to end once its ledger has failed.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A small disk in memory, unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts a folder on a disk of so many bytes; none where that may not be done.
    fn of(folder: &Path, bytes: u64) -> Option<Self> {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "tmpfs"])
            .arg(folder)
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            super::apart::skipped("a disk of its own cannot be mounted here (it needs root)");
            return None;
        }
        super::apart::copy_folder(&aside, folder);
        Some(Self(folder.to_owned()))
    }

    fn free(&self) -> u64 {
        let said = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(&self.0)
            .output()
            .unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }

    /// Fills it until so many bytes are free, or to the last one that it takes.
    fn fill_until(&self, free: u64) {
        let mut filling = fs::File::create(self.filling()).unwrap();
        let mut left = self.free().saturating_sub(free);
        while left > 0 || free == 0 {
            let most = if free == 0 { 4_096 } else { left.min(4_096) };
            match filling.write(&vec![0; most as usize]) {
                Ok(written @ 1..) => left = left.saturating_sub(written as u64),
                _ => break,
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.filling()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn is_refused_for_room(apart: &Apart) {
    let run = apart.ask(&[]);
    let (said, told) = (run.out(), run.err());
    assert!(
        said.contains("E_AUDIT_UNAVAILABLE") && said.contains("is full"),
        "{said}{told}"
    );
    assert_ne!(run.code(), 0);
}

fn entries(apart: &Apart) -> usize {
    node::audit::entries(&apart.config().ledger_file()).unwrap().len()
}

fn sound(apart: &Apart, before: &Before) {
    let receipts = kept_receipts(apart.sandbox.dir().join("people/ada/cache/receipts"), &apart.config());
    assert!(!receipts.is_empty());
    before.still_sound(|| drop(apart.ask(&[]).returns(0)), receipts);
}

#[test]
fn a_44_a_full_disk_refuses_before_anything_is_read_and_the_node_goes_on_when_there_is_room() {
    let apart = Apart::of(Reach::Directly);
    let Some(disk) = SmallDisk::of(&apart.config().data, LEDGER_ROOM_BYTES_MIN * 2) else {
        return;
    };
    let (_broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    std::thread::sleep(Duration::from_secs(1));
    let before = Before::of(node.id(), &apart.config());

    disk.fill_until(LEDGER_ROOM_BYTES_MIN / 2);
    let recorded = entries(&apart);
    is_refused_for_room(&apart);
    // Before anything: what was not looked at is not recorded either.
    assert_eq!(entries(&apart), recorded);
    let file = apart.file(Role::Node);
    let status = datenraum(["node", "status", "--config", file.to_str().unwrap()])
        .returns(0)
        .out();
    assert!(status.contains("disk of the ledger"), "{status}");
    disk.make_room();
    sound(&apart, &before);

    // To the last byte, at once, while others ask.
    let (over, since) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        let asking = [(); 3].map(|()| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) && since.elapsed() < Duration::from_secs(30) {
                    let run = apart.ask(&[]);
                    let is_refused = run.out().contains("E_AUDIT_UNAVAILABLE");
                    assert!(run.code() == 0 || is_refused, "{}{}", run.out(), run.err());
                }
            })
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            disk.fill_until(0);
            std::thread::sleep(Duration::from_millis(300));
            is_refused_for_room(&apart);
            disk.make_room();
        }
        over.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|asking| asking.join().unwrap());
    });
    sound(&apart, &before);
    let log = apart.log(Role::Node);
    assert_eq!(
        log.matches("stopped: the disk of the ledger is full").count(),
        4,
        "{log}"
    );
    assert!(log.contains("the disk of the ledger has room again"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert!(node.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_44_what_is_stopped_while_the_disk_takes_not_a_byte_more_is_in_force_and_stays_so() {
    let apart = Apart::of(Reach::Directly);
    let Some(disk) = SmallDisk::of(&apart.config().data, LEDGER_ROOM_BYTES_MIN * 2) else {
        return;
    };
    let (_broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    tokio::task::block_in_place(|| apart.answered());
    let reserve = apart.config().data.join("reserve");
    assert!(reserve.exists());
    disk.fill_until(0);
    let space = apart.config().space;
    let stopped = trust::Stopped::Person("university".parse().unwrap(), "bob".parse().unwrap());
    let stop = trust::Stop::new(space.clone(), stopped, "lost a key", terms::UtcTime::now()).unwrap();
    let member = trust::SigningKey::load(&apart.sandbox.dir().join("board/member-1.key")).unwrap();
    let connection = apart.config().broker.connect("broker").await.unwrap();
    wire::publish::stop(&connection, &space, &stop.seal(&member).unwrap())
        .await
        .unwrap();
    let in_force = || node::status::NodeStatus::read(&apart.config()).unwrap().stops.len();
    let since = Instant::now();
    while in_force() != 1 {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", apart.log(Role::Node));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::task::block_in_place(|| is_refused_for_room(&apart));
    disk.make_room();
    let since = Instant::now();
    while !reserve.exists() {
        assert!(since.elapsed() < Duration::from_secs(20), "the room is not held again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Also for a node that knows no more than what it wrote.
    drop((node, _broker));
    let _node = apart.start(Role::Node);
    apart.listens(&apart.config().listen.unwrap()).await;
    assert_eq!(in_force(), 1);
}

/// Asks until the node fails, which it must; says how it ended.
fn fails(apart: &Apart, mut node: Process) -> Option<i32> {
    let since = Instant::now();
    let ended = loop {
        let run = apart.ask(&["--timeout", "5"]);
        if run.code() != 0 {
            assert!(run.out().contains("E_AUDIT_UNAVAILABLE"), "{}{}", run.out(), run.err());
            // Nobody is answered any more, however often the disk would say that it works again.
            for _ in 0..3 {
                assert_ne!(apart.ask(&["--timeout", "5"]).code(), 0);
            }
            break node.ended_within(ENDS_WITHIN);
        }
        assert!(since.elapsed() < Duration::from_secs(60), "the disk never failed");
    };
    ended.expect("the node does not end").code()
}

/// A node whose system calls fail as told, once, and then work again: what becomes of it, and of its next start.
fn ends_and_comes_back(strace: &[&str]) {
    let apart = Apart::of(Reach::Directly);
    let _broker = apart.start(Role::Broker);
    let node = apart.start(Role::Node);
    apart.answered();
    assert!(node.stop().success());

    let wal = apart.config().ledger_file().with_extension("sqlite-wal");
    let words: Vec<&str> = ["-P", wal.to_str().unwrap()].iter().chain(strace).copied().collect();
    let traced = apart.start_under(Role::Node, &apart.file(Role::Node), &words);
    apart.answered();
    assert_eq!(fails(&apart, traced), Some(1), "{strace:?}: {}", apart.log(Role::Node));
    let log = apart.log(Role::Node);
    assert_eq!(
        log.matches("the ledger cannot record; nothing is answered any more")
            .count(),
        1,
        "{log}"
    );

    let node = apart.start(Role::Node);
    apart.answered();
    std::thread::sleep(Duration::from_secs(1));
    sound(&apart, &Before::of(node.id(), &apart.config()));
}

#[test]
fn a_45_no_answer_leaves_after_a_sync_of_the_ledger_failed_and_the_node_ends_and_comes_back() {
    if strace_is_there() {
        ends_and_comes_back(&[
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "inject=fsync,fdatasync:error=EIO:when=3",
        ]);
    }
}

#[test]
fn a_45_no_answer_leaves_after_a_write_to_the_ledger_failed_and_the_node_ends_and_comes_back() {
    if strace_is_there() {
        ends_and_comes_back(&[
            "-e",
            "trace=write,pwrite64",
            "-e",
            "inject=write,pwrite64:error=EIO:when=20",
        ]);
    }
}

#[test]
fn a_45_a_write_for_which_there_is_no_room_costs_its_own_answer_only() {
    if !strace_is_there() {
        return;
    }
    let apart = Apart::of(Reach::Directly);
    let _broker = apart.start(Role::Broker);
    let wal = apart.config().ledger_file().with_extension("sqlite-wal");
    let words = [
        "-P",
        wal.to_str().unwrap(),
        "-e",
        "trace=write,pwrite64",
        "-e",
        // Once more with the room that the node holds for that.
        "inject=write,pwrite64:error=ENOSPC:when=40..41",
    ];
    let node = apart.start_under(Role::Node, &apart.file(Role::Node), &words);
    apart.answered();
    std::thread::sleep(Duration::from_secs(1));
    let before = Before::of(node.id(), &apart.config());
    let since = Instant::now();
    while apart.ask(&[]).code() == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "the disk never failed");
    }
    sound(&apart, &before);
    let log = apart.log(Role::Node);
    assert_eq!(
        log.matches("no room to record; what was asked is not answered").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_45_documents_that_cannot_be_put_in_place_leave_the_old_ones_in_force() {
    if !strace_is_there() {
        return;
    }
    let apart = Apart::of(Reach::Directly);
    let (_broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    std::thread::sleep(Duration::from_secs(1));
    let before = Before::of(node.id(), &apart.config());
    for failing in [
        "inject=rename,renameat,renameat2:error=EIO",
        "inject=fsync,fdatasync:error=EIO",
    ] {
        let trusted = apart.config().governance_folder().join("trusted");
        let kept = fs::read(&trusted).unwrap();
        // The ledger's own thread is left alone: it is not asked meanwhile.
        let mut strace = node.trace(&["-e", failing]);
        let lines = apart
            .log(Role::Node)
            .matches("governance documents not renewed")
            .count();
        let since = Instant::now();
        while apart
            .log(Role::Node)
            .matches("governance documents not renewed")
            .count()
            < lines + 2
        {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "{failing}: {}",
                apart.log(Role::Node)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        if failing.contains("rename") {
            assert_eq!(fs::read(&trusted).unwrap(), kept);
        }
        let pid = strace.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        strace.wait().unwrap();
        sound(&apart, &before);
    }
    assert!(node.stop().success());
}
