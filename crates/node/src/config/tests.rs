use super::*;

/// A folder with everything that a node needs, but for a roster.
fn whole() -> tempfile::TempDir {
    let world = crate::example::World::new();
    let folder = tempfile::tempdir().unwrap();
    world.node_key().save_new(&folder.path().join("node.key")).unwrap();
    std::fs::copy(world.path("root.json"), folder.path().join("root.json")).unwrap();
    std::fs::write(folder.path().join("proxy.txt"), "user:password").unwrap();
    folder
}

async fn found(folder: &Path, more: &str) -> Vec<(String, Problem, String)> {
    let key = trust::SigningKey::generate().unwrap().public();
    let text = format!(
        "space = \"oncology\"\nmember = \"gbsg\"\nkey = \"node.key\"\nroot = \"root.json\"\ndata = \"data\"\n{more}\n\
         [broker]\naddress = \"127.0.0.1:1\"\nkey = \"{key}\"\n[broker.proxy]\naddress = \"127.0.0.1:2\"\ncredentials = \"proxy.txt\"\n"
    );
    let path = folder.join("node.toml");
    std::fs::write(&path, text).unwrap();
    let findings = Config::check(&path, terms::Clock::now(&terms::SystemClock)).await;
    let told = |finding: Finding| (finding.key, finding.report.problem, finding.report.message);
    findings.into_iter().map(told).collect()
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.key"), "-----BEGIN PRIVATE KEY-----\nMC4C").unwrap();
    std::fs::write(folder.path().join("root.json"), "{}").unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let more = "listen = \"nowhere\"\nadvertise = \"gbsg.example:0\"\nrefresh_seconds = 0\nanchor = \"data/x.anchor\"\n\
                [metrics]\nlisten = \"0.0.0.0:9464\"";
    let found = found(folder.path(), more).await;
    let keys: Vec<&str> = found.iter().map(|(key, ..)| key.as_str()).collect();
    let wrong = [
        "refresh_seconds",
        "metrics.listen",
        "listen",
        "advertise",
        "key",
        "root",
        "data",
        "anchor",
        "broker.proxy.credentials",
    ];
    assert_eq!(keys, wrong, "{found:?}");
    assert!(!format!("{found:?}").contains("MC4C"));
}

#[tokio::test]
async fn a_key_that_everybody_can_read_and_a_root_of_another_space_are_found() {
    let folder = whole();
    assert_eq!(found(folder.path(), "").await, []);
    assert!(!folder.path().join("data").exists());
    std::fs::set_permissions(
        folder.path().join("node.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let exposed = found(folder.path(), "").await;
    assert!(exposed.len() == 1 && exposed[0].2.contains("every user"), "{exposed:?}");
    let text = std::fs::read_to_string(folder.path().join("node.toml")).unwrap();
    std::fs::write(folder.path().join("node.toml"), text.replace("oncology", "cardiology")).unwrap();
    let findings = Config::check(&folder.path().join("node.toml"), terms::Clock::now(&terms::SystemClock)).await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.key == "root" && finding.report.problem == Problem::PolicyScope)
    );
    let told = Finding::none_in("node.toml", &findings).unwrap_err();
    assert_eq!(told.message.lines().count(), 2, "{told:?}");
}

#[tokio::test]
async fn a_key_that_the_roster_does_not_name_is_found_where_the_roster_is_known() {
    let world = crate::example::World::new();
    world.govern().await.unwrap();
    let config = world.config();
    let now = terms::Clock::now(&*world.clock);
    assert_eq!(
        config.require_rosters_key(&world.node_key().public(), now).await,
        Ok(())
    );
    let other = trust::SigningKey::generate().unwrap().public();
    let report = config.require_rosters_key(&other, now).await.unwrap_err();
    assert_eq!(report.problem, Problem::PeerKey);
}

fn loaded(more: &str) -> Result<Config, Report> {
    loaded_with(more, "\"127.0.0.1:1\"")
}

/// The same, with a broker there.
fn loaded_with(more: &str, address: &str) -> Result<Config, Report> {
    let folder = tempfile::tempdir().unwrap();
    let key = trust::SigningKey::generate().unwrap().public();
    let text = format!(
        "space = \"oncology\"\nmember = \"gbsg\"\nkey = \"node.key\"\nroot = \"root.json\"\ndata = \"data\"\n{more}\n\
         [broker]\naddress = {address}\nkey = \"{key}\"\n[broker.proxy]\naddress = \"127.0.0.1:2\"\ncredentials = \"proxy.txt\"\n"
    );
    let path = folder.path().join("node.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path)?;
    let proxy = config.broker.proxy.as_ref().unwrap();
    assert_eq!(proxy.credentials.as_ref().unwrap(), &folder.path().join("proxy.txt"));
    Ok(config)
}

#[test]
fn a_node_that_nobody_could_reach_or_with_more_tunnels_than_a_broker_takes_is_refused() {
    let unreachable = loaded("tunnels = 0").unwrap_err();
    assert_eq!(unreachable.problem, Problem::FileValue);
    assert!(unreachable.message.contains("nobody can reach") && unreachable.remedy.contains("tunnels at 2"));
    let many = loaded("tunnels = 9").unwrap_err();
    assert_eq!(many.problem, Problem::FileValue);
    assert!(many.message.contains("may be 8 at each address"), "{many:?}");
    let alone = loaded("").unwrap();
    assert_eq!((alone.listen, alone.tunnels), (None, TUNNELS));
    assert_eq!(loaded("listen = \"127.0.0.1:0\"\ntunnels = 0").unwrap().tunnels, 0);
}

#[test]
fn tunnels_are_counted_at_each_address_of_a_broker_and_all_may_lead_to_one() {
    let four = "[\"a:1\", \"b:1\", \"c:1\", \"d:1\"]";
    let many = loaded_with("tunnels = 3", four).unwrap_err();
    assert!(many.message.contains("may be 2 at each address"), "{many:?}");
    assert_eq!(loaded_with("tunnels = 2", four).unwrap().tunnels_wanted(), 8);
    assert_eq!(loaded("tunnels = 8").unwrap().tunnels_wanted(), 8);
}
