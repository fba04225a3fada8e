use futures::StreamExt as _;
use terms::SystemClock;
use tokio::net::TcpListener;
use trust::SigningKey;
use wire::Incoming;

use super::*;

fn new_key() -> SigningKey {
    SigningKey::generate().unwrap()
}

/// Shakes hands as whoever holds `key`, and says nothing more.
async fn listening(key: &SigningKey) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut incoming = Incoming::new(listener, wire::tls::server_config(key, "gbsg").unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some(connected) = incoming.next().await {
            held.push(connected);
        }
    });
    address
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The roads of somebody whose broker was there a moment ago, at these addresses.
async fn with_brokers(addresses: [String; 2]) -> Roads {
    let person = Person {
        space: "oncology".parse().unwrap(),
        key: Arc::new(new_key()),
        credential: String::new(),
        clock: Arc::new(SystemClock),
    };
    let key = new_key();
    let answered = wire::connect(&listening(&key).await, "broker", &key.public())
        .await
        .unwrap();
    let broker = PeerConfig {
        address: addresses.to_vec().try_into().unwrap(),
        ..PeerConfig::direct(String::new(), key.public())
    };
    Roads::new(Arc::new(person), &broker, Some(&answered))
}

fn peer(address: Option<String>, key: &SigningKey) -> Peer {
    Peer {
        member: "gbsg".parse().unwrap(),
        address,
        relayed: true,
        key: key.public(),
    }
}

#[tokio::test]
async fn another_key_on_the_direct_road_is_told_when_the_broker_fails_too() {
    let roads = with_brokers([nobody().await, nobody().await]).await;
    let (right, wrong) = (new_key(), new_key());
    let told = roads
        .connect(&peer(Some(listening(&wrong).await), &right))
        .await
        .unwrap_err();
    assert_eq!(told.problem, Problem::PeerKey, "{told}");
    // Where nobody answers on either road, that is what is told.
    let told = roads.connect(&peer(Some(nobody().await), &right)).await.unwrap_err();
    assert_eq!(told.problem, Problem::Unreachable, "{told}");
    let told = roads.connect(&peer(None, &right)).await.unwrap_err();
    assert_eq!(told.problem, Problem::Unreachable, "{told}");
    // And the right key is right without a broker.
    roads
        .connect(&peer(Some(listening(&right).await), &right))
        .await
        .unwrap();
}

#[tokio::test]
async fn another_key_at_the_broker_does_not_stand_for_the_nodes() {
    let imposter = new_key();
    let (one, other) = (listening(&imposter).await, listening(&imposter).await);
    let roads = with_brokers([one, other]).await;
    let (right, wrong) = (new_key(), new_key());
    let told = roads
        .connect(&peer(Some(listening(&wrong).await), &right))
        .await
        .unwrap_err();
    assert_eq!(told.problem, Problem::PeerKey, "{told}");
    assert!(told.message.contains("gbsg"), "{told}");
}
