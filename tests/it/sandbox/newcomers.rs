//! A data space whose parties are each started for itself, as on machines of their own, and somebody who comes to it later.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, Sandbox, datenraum, receipts};

const SQL: &str = "SELECT count(*) AS stays FROM stays";

/// A broker or a node, killed when the test ends.
struct Role(Child);

impl Role {
    fn run(role: &str, config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datenraum"));
        command.args([role, "run", "--config"]).arg(config);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn a_free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn found(sandbox: &Sandbox, broker: &str) -> Run {
    let (spec, dir) = (sandbox.place().join("spec.toml"), sandbox.dir());
    let words = [
        "sandbox",
        "found",
        spec.to_str().unwrap(),
        "--dir",
        dir.to_str().unwrap(),
    ];
    datenraum(words.into_iter().chain(["--broker", broker]))
}

fn asked_with(profile: &Path) -> Run {
    let words = ["query", SQL, "--purpose", "ehds-53-1-e", "--json", "--profile"];
    datenraum(words.into_iter().chain([profile.to_str().unwrap()]))
}

/// Asks until nodes and broker have found each other.
fn answered(profile: &Path) -> Run {
    let began = Instant::now();
    loop {
        let run = asked_with(profile);
        if run.code() == 0 || began.elapsed() > Duration::from_secs(30) {
            return run;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn vouched(sandbox: &Sandbox, public: &Path, key: &Path) -> PathBuf {
    let credential = sandbox.place().join("ben/credential.jwt");
    let words = [
        "person",
        "vouch",
        public.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    let more = [
        "--member",
        "university",
        "--space",
        "clinic",
        "--roles",
        "university",
        "--hours",
        "1",
    ];
    let out = ["--out", credential.to_str().unwrap()];
    let run = datenraum(words.into_iter().chain(more).chain(out)).returns(0);
    assert!(
        run.out().contains("university vouches for ben as university until"),
        "{}",
        run.out()
    );
    credential
}

#[test]
fn parties_that_are_started_apart_find_each_other_and_whoever_is_vouched_for_may_ask() {
    let mut files = receipts::FILES;
    let spec = files[0].1.replace("[[node]]", "[[node]]\nreach = \"broker\"");
    files[0].1 = &spec;
    let sandbox = Sandbox::laid_out(&files);
    found(&sandbox, "4443")
        .returns(2)
        .fails_with("E_USAGE", "not a host with a port");
    assert!(!sandbox.dir().exists());
    let broker = format!("127.0.0.1:{}", a_free_port());
    found(&sandbox, &broker).returns(0);
    let broker_config = sandbox.dir().join("broker/broker.toml");
    let listens = std::fs::read_to_string(&broker_config)
        .unwrap()
        .replace("0.0.0.0", "127.0.0.1");
    assert!(listens.contains(&format!("listen = \"{broker}\"")), "{listens}");
    std::fs::write(&broker_config, listens).unwrap();
    let _broker = Role::run("broker", &broker_config);
    // A node that finds no broker looks for one again half a minute later.
    let began = Instant::now();
    while TcpStream::connect(&broker).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "no broker");
        std::thread::sleep(Duration::from_millis(50));
    }
    let _node = Role::run("node", &sandbox.dir().join("nodes/clinic-a/node.toml"));
    let ada = sandbox.dir().join("people/ada");
    let pooled = answered(&ada.join("person.toml")).returns(0).json();

    // Again with the same file: another credential, and nothing else.
    let credential = std::fs::read(ada.join("credential.jwt")).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    found(&sandbox, &broker).returns(0);
    assert_ne!(std::fs::read(ada.join("credential.jwt")).unwrap(), credential);

    let ben = sandbox.place().join("ben");
    let key_of_broker = trust::SigningKey::load(&sandbox.dir().join("broker/broker.key"))
        .unwrap()
        .public();
    let (root, key_of_broker) = (sandbox.dir().join("people/ada/root.json"), key_of_broker.to_string());
    let init = || {
        let words = ["person", "init", "ben", "--member", "university", "--space", "clinic"];
        let broker = ["--broker", &broker, "--broker-key", &key_of_broker];
        let places = ["--root", root.to_str().unwrap(), "--dir", ben.to_str().unwrap()];
        datenraum(words.into_iter().chain(broker).chain(places))
    };
    init().returns(0);
    init().returns(2).fails_with("E_USAGE", "keys are never replaced");
    let (profile, public) = (ben.join("person.toml"), ben.join("ben.pub"));
    let without = asked_with(&profile).returns(2).err();
    assert!(
        without.contains("E_FILE_MISSING") && without.contains("ask your institution"),
        "{without}"
    );
    // Another institution's key vouches for nobody of this one.
    vouched(&sandbox, &public, &sandbox.dir().join("nodes/clinic-a/node.key"));
    assert_ne!(asked_with(&profile).code(), 0);
    vouched(&sandbox, &public, &sandbox.dir().join("members/university/member.key"));
    let asked = asked_with(&profile).returns(0).json();
    assert_eq!(asked["rows"], pooled["rows"]);
}
