use std::path::Path;

use terms::Problem;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use trust::SigningKey;

use super::*;
use crate::{Incoming, PeerConfig};

/// A proxy that lets through whoever says this, and nobody to an address that ends in `:1`.
async fn proxy(wants: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, wants));
        }
    });
    address
}

async fn carry(client: TcpStream, wants: Option<&'static str>) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut first, mut authorization) = (String::new(), String::new());
    client.read_line(&mut first).await?;
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        if let Some(value) = line.to_lowercase().strip_prefix("proxy-authorization: ") {
            line[line.len() - value.len()..].trim().clone_into(&mut authorization);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let to = first
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_default();
    if wants.is_some_and(|wants| wants != authorization) {
        return client.write_all(b"HTTP/1.1 407 Who are you?\r\n\r\n").await;
    }
    if to.ends_with(":1") {
        return client.write_all(b"HTTP/1.1 403 No\r\n\r\n").await;
    }
    let mut server = TcpStream::connect(to).await?;
    client.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// A server with TLS, and what a configuration says of it.
async fn server(proxy: String, credentials: Option<&Path>) -> PeerConfig {
    let key = SigningKey::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = Incoming::new(listener, crate::tls::server_config(&key, "broker").unwrap());
    tokio::spawn(
        crate::serve::server()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(incoming),
    );
    let credentials = credentials.map(Path::to_owned);
    PeerConfig {
        address: address.into(),
        key: key.public(),
        proxy: Some(ProxyConfig {
            address: proxy,
            credentials,
        }),
    }
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_or_does_not_connect_is_told_apart_from_silence() {
    let config = server(proxy(Some("Basic YWRhOnNlY3JldA==")).await, None).await;
    let refused = config.connect("broker").await.unwrap_err();
    assert!(
        refused.message.contains("wants credentials") && refused.remedy.contains("user:password"),
        "{refused:?}"
    );

    let blocked = PeerConfig {
        address: "127.0.0.1:1".to_owned().into(),
        ..server(proxy(None).await, None).await
    };
    let refused = blocked.connect("broker").await.unwrap_err();
    assert!(refused.message.contains("does not connect there"), "{refused:?}");

    let silent = server("127.0.0.1:1".to_owned(), None)
        .await
        .connect("broker")
        .await
        .unwrap_err();
    assert!(silent.message.contains("does not answer"), "{silent:?}");
    assert_eq!(silent.problem, Problem::Unreachable);
}

#[tokio::test]
async fn a_server_is_reached_through_a_proxy_that_knows_who_goes_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.txt");
    std::fs::write(&file, "ada:secret\n").unwrap();
    let config = server(proxy(Some("Basic YWRhOnNlY3JldA==")).await, Some(&file)).await;
    assert!(config.connect("broker").await.is_ok());
    // The key is the server's, not the proxy's.
    let other = PeerConfig {
        key: SigningKey::generate().unwrap().public(),
        ..config.clone()
    };
    assert_eq!(other.connect("broker").await.unwrap_err().problem, Problem::PeerKey);

    std::fs::write(&file, "secret\n").unwrap();
    assert_eq!(config.connect("broker").await.unwrap_err().problem, Problem::FileValue);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        config.connect("broker").await.unwrap_err().problem,
        Problem::FileMissing
    );
}

#[test]
fn what_is_no_address_is_refused() {
    for address in ["", "proxy", "proxy:port", "http://proxy:1", "proxy:1/path"] {
        assert_eq!(uri(address).unwrap_err().problem, Problem::FileValue, "{address}");
    }
    assert!(uri("proxy.example:3128").is_ok());
}
