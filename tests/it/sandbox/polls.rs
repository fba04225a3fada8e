//! A node behind a network that lets no connection live: it is reached by short requests, and chooses them by itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::kill::Process;
use super::{Sandbox, datenraum, receipts};

const SQL: &str = "SELECT count(*) AS stays FROM stays";

/// So long a connection lives.
const LIFE: Duration = Duration::from_secs(2);

/// Longest that the network is there.
const NETWORK_MAX: Duration = Duration::from_secs(120);

/// Lets everything pass to `server`, and cuts each connection when it has lived for so long.
async fn cutting(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(tokio::time::timeout(NETWORK_MAX, async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(tokio::time::timeout(LIFE, async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }));
        }
    }));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_network_cuts_every_connection_answers_by_polls() {
    let mut files = receipts::FILES;
    let spec = files[0].1.replace("[[node]]", "[[node]]\nreach = \"broker\"");
    files[0].1 = &spec;
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", "clinic-a"]).returns(0);
    let file = sandbox.dir().join("nodes/clinic-a/node.toml");
    let broker = node::Config::load(&file).unwrap().broker.address.to_string();
    let network = cutting(broker.parse().unwrap()).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace(&broker, &network.to_string());
    assert_ne!(changed, text);
    std::fs::write(&file, changed).unwrap();
    let _node = Process::start(&file);
    // Two tunnels of streams are cut after two seconds each, and then again. Tunnels of polls outlive all of their connections.
    tokio::time::sleep(4 * LIFE).await;
    let (began, mut answered) = (Instant::now(), 0);
    while answered < 12 {
        let run = sandbox.query(SQL, &["--purpose", "ehds-53-1-e", "--format", "json"]);
        answered = if run.code() == 0 { answered + 1 } else { 0 };
        assert!(began.elapsed() < Duration::from_secs(90), "{}{}", run.out(), run.err());
        tokio::time::sleep(LIFE / 4).await;
    }
}
