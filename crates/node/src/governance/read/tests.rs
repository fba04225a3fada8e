use terms::Problem;
use trust::Stopped;

use super::*;
use crate::example::{HOUR, MINUTE, POLICY, Sent, World};

const SQL: &str = "SELECT count(*) AS n FROM beds";

#[tokio::test]
async fn a_text_that_was_read_is_read_anew_once_the_collection_is_closed_to_the_asker() {
    let world = World::new();
    let desk = world.desk().await;
    world.ask(&desk, SQL, None).await.unwrap();
    world.ask(&desk, SQL, None).await.unwrap();
    let current = desk.governance.current().unwrap();
    assert!(current.read.query(SQL, &current.rules.collections).is_some());
    assert!(current.read.query(SQL, &Collections::new()).is_none());

    let closed = POLICY
        .replace("version     = 1", "version     = 2")
        .replace("[\"university\"]", "[\"hospital\"]");
    world.publish(2, &world.files_with("policies/beds-open.toml", &closed));
    desk.governance.refresh(Some(&world)).await.unwrap();
    let ended = world.ask(&desk, SQL, None).await.unwrap_err();
    assert_eq!(ended.report.problem, Problem::SqlCollection);
}

#[tokio::test]
async fn a_credential_that_verified_does_not_outlive_its_issuers_key_nor_its_own_time() {
    let world = World::new();
    let desk = world.desk().await;
    let credential = world.credential("ada");
    let ask = async |problem| {
        let sent = world.send_with(&desk, Sent::of(SQL), &credential).await;
        assert_eq!(sent.err().map(|ended| ended.report.problem), problem);
    };
    ask(None).await;
    assert!(
        desk.governance
            .current()
            .unwrap()
            .read
            .credential(&credential)
            .is_some()
    );

    world.advance(HOUR + 2 * MINUTE);
    world.announce(1);
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert!(
        desk.governance
            .current()
            .unwrap()
            .read
            .credential(&credential)
            .is_some()
    );
    ask(Some(Problem::TokenExpired)).await;

    let other = World::new();
    world.publish(2, &world.files_with("members.toml", &members_of(&other)));
    assert!(desk.governance.refresh(Some(&world)).await.is_ok());
    ask(Some(Problem::TokenSignature)).await;
}

fn members_of(world: &World) -> String {
    String::from_utf8(world.files()["members.toml"].clone()).unwrap()
}

#[tokio::test]
async fn what_was_read_goes_with_the_documents_and_stays_when_only_their_time_is_renewed() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    let first = governance.current().unwrap();

    world.advance(30 * MINUTE);
    world.announce(1);
    governance.refresh(Some(&world)).await.unwrap();
    let renewed = governance.current().unwrap();
    assert!(Arc::ptr_eq(&first.rules, &renewed.rules) && Arc::ptr_eq(&first.read, &renewed.read));
    assert!(renewed.expires() > first.expires());

    let stop = world.stop(Stopped::Policy("beds-open".parse().unwrap()), &world.board[0]);
    world.serve_stops(&[stop]);
    governance.refresh(Some(&world)).await.unwrap();
    let stopped = governance.current().unwrap();
    assert!(!Arc::ptr_eq(&renewed.rules, &stopped.rules) && !Arc::ptr_eq(&renewed.read, &stopped.read));

    world.publish(2, &world.files());
    governance.refresh(Some(&world)).await.unwrap();
    let newer = governance.current().unwrap();
    assert!(!Arc::ptr_eq(&stopped.rules, &newer.rules) && !Arc::ptr_eq(&stopped.read, &newer.read));
}

#[test]
fn what_is_remembered_is_bounded() {
    let remembered = Remembered::default();
    for number in 0..=REMEMBERED_MAX {
        remembered.keep(number, Arc::new(number));
        assert_eq!(remembered.find(&number).as_deref(), Some(&number));
        assert!(remembered.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }
    assert_eq!(remembered.find(&0), None);
}
