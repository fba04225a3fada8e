use super::*;
use crate::ledger::Opening;
use crate::ledger::example::{Place, collection, leaving, opening, permitted};

fn key(request: &str) -> RequestKey {
    RequestKey {
        member: "saarland-university".parse().unwrap(),
        person: "ada".parse().unwrap(),
        request: request.parse().unwrap(),
    }
}

fn at(second: i64) -> UtcTime {
    UtcTime::from_second(1_900_000_000 + second).unwrap()
}

#[tokio::test]
async fn a_named_query_that_is_given_up_is_known() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let asked = Digest::of(b"asked");
    let opening = Opening {
        named: Some(Named { key: key("a"), asked }),
        ..opening("SELECT 1")
    };
    drop(ledger.open_entry(opening).unwrap());
    let kept = loop {
        match ledger.kept(key("a"), at(0)).await.unwrap() {
            Some(kept) => break kept,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(matches!(kept.told, Told::Nothing));
    assert_eq!(kept.asked, asked);
    ledger.close().await;
    assert!(ledger.kept(key("a"), at(0)).await.is_err());
}

#[tokio::test]
async fn the_oldest_answers_make_room_and_their_requests_stay_known() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    for name in ["a", "b", "c"] {
        let named = Some(Named {
            key: key(name),
            asked: Digest::of(b"asked"),
        });
        let opening = Opening {
            named,
            ..opening("SELECT 1")
        };
        let entry = ledger
            .open_entry(opening)
            .unwrap()
            .about(&collection())
            .decided(permitted());
        let mut release = leaving(1);
        release.answer = Some(vec![7; 100]);
        entry.released(release).await.unwrap();
    }
    ledger.close().await;

    let mut file = Connection::open(place.file()).unwrap();
    let mut room = Room::in_file(&file).unwrap();
    assert_eq!(room.used, 300);
    room.bytes_max = 150;
    let transaction = file.transaction().unwrap();
    room.make(&transaction).unwrap();
    let kept = |name: &str| find(&transaction, &key(name), at(0)).unwrap().unwrap();
    assert_eq!(room.used, 100);
    let answers = ["a", "b", "c"].map(|name| kept(name).answer.is_some());
    assert_eq!(answers, [false, false, true]);
    room.forget(&transaction, at(OUTCOME_SECONDS + 10)).unwrap();
    assert_eq!(room.used, 0);
    assert!(find(&transaction, &key("c"), at(0)).unwrap().is_none());
}
