use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn said(to: std::net::SocketAddr, line: &str) -> String {
    let mut tcp = TcpStream::connect(to).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn a_port_that_others_reach_is_refused_unless_they_may() {
    let config = |text: &str| terms::text::parse_toml::<MetricsConfig>("node.toml", text).unwrap();
    let open = config("listen = \"0.0.0.0:9464\"").check().unwrap_err();
    assert_eq!(open.problem, terms::Problem::FileValue);
    assert!(open.remedy.contains("beyond_this_machine = true"), "{open:?}");
    assert!(
        config("listen = \"0.0.0.0:9464\"\nbeyond_this_machine = true")
            .check()
            .is_ok()
    );
    assert!(config("listen = \"127.0.0.1:9464\"").check().is_ok());
}

#[tokio::test]
async fn there_is_one_page_and_it_counts() {
    let metrics = Arc::new(Metrics::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&metrics).serve(Some(listener)));
    for other in ["GET /", "POST /metrics", "GET /metrics/secret"] {
        assert!(said(address, other).await.starts_with("HTTP/1.1 404"), "{other}");
    }
    metrics.calls.begin("DoGet", Kind::Work).end("E_QUOTA");
    drop(metrics.calls.begin("DoGet", Kind::Work));
    metrics.connections.refuse(Refused::Late);
    let page = said(address, "GET /metrics").await;
    for line in [
        "datenraum_calls_total{method=\"DoGet\",outcome=\"E_QUOTA\"} 1",
        "datenraum_calls_total{method=\"DoGet\",outcome=\"dropped\"} 1",
        "datenraum_calls_open 0",
        "datenraum_connections_refused_total{reason=\"late\"} 1",
        "# EOF",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
}

#[test]
fn a_coarse_sum_shows_whole_steps_only() {
    let sum = Coarse::new(100);
    for (more, shown) in [(99, 0), (1, 100), (99, 100), (301, 500)] {
        sum.add(more);
        assert_eq!(sum.shown.get(), shown);
    }
}

#[tokio::test]
async fn a_server_is_idle_when_what_it_works_on_is_answered_to_the_end() {
    let calls = Calls::default();
    let _held = calls.begin("Hold", Kind::Held).end("ok");
    let call = calls.begin("DoGet", Kind::Work);
    let soon = || tokio::time::timeout(std::time::Duration::from_millis(50), calls.idle());
    assert!(soon().await.is_err());
    let answering = call.end("ok");
    assert!(soon().await.is_err());
    drop(answering);
    assert!(soon().await.is_ok());
}

#[test]
fn traces_go_to_no_other_machine_unless_that_is_said() {
    let check = |endpoint: &str, beyond_this_machine: bool| {
        let endpoint = endpoint.to_owned();
        TracesConfig {
            endpoint,
            beyond_this_machine,
        }
        .check()
    };
    for here in ["http://127.0.0.1:4317", "http://[::1]:4317", "http://localhost:4317"] {
        check(here, false).unwrap();
    }
    for wrong in ["", "127.0.0.1:4317", "https://127.0.0.1:4317", "http://127.0.0.1"] {
        let refused = check(wrong, true).unwrap_err();
        assert!(refused.message.contains("not an address"), "{refused}");
    }
    for elsewhere in [
        "http://collector.example:4317",
        "http://10.0.0.1:4317",
        "http://localhost.example:4317",
    ] {
        let refused = check(elsewhere, false).unwrap_err();
        assert!(
            refused.message.contains("unprotected") && refused.remedy.contains("on this machine"),
            "{refused}"
        );
        check(elsewhere, true).unwrap();
    }
}
