//! A connection that breaks between two questions: the second is asked once more, and nobody notices.

use std::sync::Arc;

use federation::{Asker, Profile, Question, Status};
use terms::SystemClock;

use super::receipts::FILES;
use super::{Sandbox, datenraum};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_started_again_answers_whoever_was_connected_before() {
    let (sandbox, run) = Sandbox::of(&FILES);
    run.returns(0);
    let profile = Profile::load(&sandbox.dir().join("people/ada/person.toml")).unwrap();
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
    let question = Question {
        tables: federation::Tables::default(),
        sql: "SELECT count(*) AS stays FROM stays".to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        timeout: None,
    };
    for _ in 0..3 {
        let answer = Box::pin(asker.ask(&question)).await.unwrap();
        let node = &answer.coverage[0];
        assert_eq!(node.status, Status::Answered, "{:?}", node.message);
        let dir = sandbox.dir();
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic-a"]).returns(0);
        sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    }
}
