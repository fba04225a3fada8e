//! Models as tables of the gateway: what is asked when, and without whom. That the numbers are those of the pooled rows,
//! `tests/clients/python_package.py` shows.

use std::sync::Arc;

use federation::gateway::{Listener, Options, Token};
use federation::{Asker, Gateway, Profile};
use terms::SystemClock;
use tokio_util::sync::CancellationToken;

use super::gateway::Client;
use super::models::{STATISTICAL, made_up, space};
use super::{Sandbox, datenraum};

const GLM: &str = "SELECT * FROM glm(collection => 'heart', formula => 'disease ~ age', family => 'binomial', without_missing => 'false')";

/// How often nodes were asked anything.
pub(super) fn asked(sandbox: &Sandbox) -> usize {
    let node = |node: &str| {
        let folder = sandbox.dir().join("nodes").join(node);
        let shown = datenraum(["audit".as_ref(), "show".as_ref(), folder.as_os_str()]).returns(0);
        shown.out().lines().filter(|line| line.starts_with('#')).count()
    };
    ["a", "b", "c"].map(node).iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_fitted_when_it_is_fetched_and_without_a_node_only_if_statement_and_connection_allow_it() {
    let nodes = [("a", 0..200), ("b", 200..400), ("c", 400..600)];
    let nodes = nodes.map(|(node, people)| (node, made_up(people, |_, _| {})));
    let sandbox = space(STATISTICAL, &nodes);
    let profile = Profile::load(&sandbox.dir().join("people/ada/person.toml")).unwrap();
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
    let token = sandbox.place().join("gateway.token");
    let (listener, stop) = (Listener::bind("127.0.0.1:0").await.unwrap(), CancellationToken::new());
    let address = listener.bound().to_string();
    let options = Options {
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        ..Options::default()
    };
    let serving = Gateway::new(asker, options).serve(listener, Token::of_file(&token).unwrap(), stop.clone());
    let serving = tokio::spawn(serving);
    let bearer = format!("Bearer {}", std::fs::read_to_string(token).unwrap().trim());
    let client = Client::of(&address, &bearer).await;

    let before = asked(&sandbox);
    let ticket = client.ticket(GLM, &[]).await.unwrap();
    assert_eq!(asked(&sandbox), before, "nobody is asked before the answer is fetched");
    client.get(ticket).await.unwrap();
    // Two entries at each node: its beginning and its end.
    assert_eq!(asked(&sandbox), before + 6);

    let dir = sandbox.dir();
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "c"]).returns(0);
    let without = GLM.replace("'false'", "'true'");
    let refused = async |sql: &str, headers: &[(&'static str, &str)], code: &str, says: &str| {
        let status = client.ask(sql, headers).await.unwrap_err();
        let said = status.message();
        assert!(said.contains(code) && said.contains(says), "{sql}: {said}");
    };
    let least = |nodes: &'static str| [("datenraum-minimum-nodes", nodes)];
    refused(GLM, &least("2"), "E_UNREACHABLE", "c unreachable").await;
    // The others record that they were left, a moment later.
    let since = std::time::Instant::now();
    while asked(&sandbox) < 8 && since.elapsed().as_secs() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let before = asked(&sandbox);
    assert_eq!(before, 8);
    refused(&without, &[], "E_PARTIAL", "how many are enough").await;
    assert_eq!(asked(&sandbox), before, "it is refused before anybody is asked");
    // More nodes are wanted than the fit would ask.
    let of_two = GLM.replace("without_missing", "nodes => 'a, b', without_missing");
    refused(&of_two, &least("3"), "E_PARTIAL", "over 2 nodes").await;
    assert_eq!(asked(&sandbox), before, "it is refused before anybody is asked");
    refused(&without, &least("3"), "E_PARTIAL", "2 of 3").await;
    client.ask(&without, &least("2")).await.unwrap();
    for (twice, says) in [
        (
            "describe(collection => 'heart', columns => 'cp, age', by => 'cp')",
            "cp twice",
        ),
        (
            "crosstab(collection => 'heart', rows => 'sex', columns => 'sex')",
            "sex twice",
        ),
        (
            "correlate(collection => 'heart', columns => 'age, thalach, age')",
            "twice",
        ),
    ] {
        let before = asked(&sandbox);
        refused(&format!("SELECT * FROM {twice}"), &least("2"), "E_USAGE", says).await;
        assert_eq!(
            asked(&sandbox),
            before,
            "{twice}: it is refused before anybody is asked"
        );
    }
    // Estimates are of nobody who is asked: nobody can be missing.
    let before = asked(&sandbox);
    let one = r#"{"label": "north", "estimate": 0.2, "std_error": 0.1}"#;
    let estimates = |all: &str| format!("SELECT * FROM meta(estimates => '[{all}]')");
    client
        .ask(&estimates(&format!("{one}, {one}")), &least("3"))
        .await
        .unwrap();
    refused(&estimates(one), &[], "E_STATISTIC", "fewer than two").await;
    assert_eq!(asked(&sandbox), before);
    // What it is for, the connection says and not the statement.
    let other = [("datenraum-purpose", "ehds-54-b")];
    refused(GLM, &other, "E_PROHIBITED", "54").await;
    let said = GLM.replace("family => 'binomial'", "purpose => 'ehds-53-1-e'");
    refused(&said, &other, "E_MODEL_FORMULA", "no option purpose").await;

    stop.cancel();
    serving.await.unwrap().unwrap();
}
