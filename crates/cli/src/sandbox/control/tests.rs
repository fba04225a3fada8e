//! Orders without the token, of another form or too long are not carried out.

use std::sync::Mutex;

use super::*;

fn status() -> Status {
    Status {
        space: "oncology".parse().unwrap(),
        folder: PathBuf::from("/tmp/oncology"),
        ready: true,
        broker: "127.0.0.1:1".to_owned(),
        documents: None,
        nodes: Vec::new(),
        people: vec!["ada".parse().unwrap()],
    }
}

/// A host that notes its orders and has no node `lost`.
struct Host {
    _folder: tempfile::TempDir,
    layout: Layout,
    port: u16,
    orders: Arc<Mutex<Vec<Order>>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Host {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let control = Control::open(&layout).await.unwrap();
        let port = control.listener.local_addr().unwrap().port();
        let (orders, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let noted = Arc::clone(&orders);
        let obey = move |order: Order| {
            noted.lock().unwrap().push(order.clone());
            async move {
                match order {
                    Order::StopNode { node } if node.as_str() == "lost" => Err(Problem::Usage.report("no such node")),
                    _ => Ok(status()),
                }
            }
        };
        let task = tokio::spawn(control.serve(obey, stop.clone()));
        Self {
            _folder: folder,
            layout,
            port,
            orders,
            stop,
            task,
        }
    }

    /// What the host answers to these bytes.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(read_line(&mut stream, ANSWER_BYTES_MAX).await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn an_order_without_the_token_is_not_carried_out() {
    let host = Host::start().await;
    let answer = host.say(b"{\"token\": \"guess\", \"order\": \"down\"}\n").await;
    assert!(
        answer.contains("E_TOKEN_SIGNATURE") || answer.contains("TokenSignature"),
        "{answer}"
    );
    assert!(host.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_an_order_is_refused() {
    let host = Host::start().await;
    let long = vec![b'x'; 2 * ORDER_BYTES_MAX as usize];
    for bytes in [
        &b""[..],
        b"\n",
        b"down\n",
        b"{\"token\": \"\", \"order\": \"erase\"}\n",
        &long,
    ] {
        let answer = host.say(bytes).await;
        assert!(answer.contains("not one that a sandbox knows"), "{answer}");
    }
    assert!(host.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_order_with_the_token_is_carried_out_and_its_refusal_comes_back() {
    let host = Host::start().await;
    assert_eq!(tell(&host.layout, Order::Status).await.unwrap(), status());
    let lost = Order::StopNode {
        node: "lost".parse().unwrap(),
    };
    assert_eq!(
        tell(&host.layout, lost.clone()).await.unwrap_err().message,
        "no such node"
    );
    assert_eq!(*host.orders.lock().unwrap(), [Order::Status, lost]);
}

#[tokio::test]
async fn a_host_that_stopped_is_down() {
    let host = Host::start().await;
    host.stop.cancel();
    host.task.await.unwrap();
    assert_eq!(
        tell(&host.layout, Order::Status).await.unwrap_err().problem,
        Problem::SandboxDown
    );
    let nowhere = Layout::new("/nowhere");
    assert_eq!(
        tell(&nowhere, Order::Down).await.unwrap_err().problem,
        Problem::SandboxDown
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = Host::start().await;
    let mode = std::fs::metadata(host.layout.control_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}
