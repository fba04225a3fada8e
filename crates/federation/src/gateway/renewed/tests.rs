use std::cell::Cell;

use terms::Problem;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn next(before: Arc<u32>) -> Result<u32, Report> {
    Ok(*before + 1)
}

async fn revoked(_before: Arc<u32>) -> Result<u32, Report> {
    Err(Problem::TokenExpired.report("the credential has expired"))
}

#[tokio::test]
async fn what_is_old_and_cannot_be_made_anew_is_not_used_and_tried_again() {
    let start = Instant::now();
    let held = Renewed::new(1, MINUTE, start);
    // Not looked at before.
    assert_eq!(*held.at(start + MINUTE / 2, revoked).await.unwrap(), 1);
    for late in [MINUTE, MINUTE * 2] {
        let refused = held.at(start + late, revoked).await.unwrap_err();
        assert_eq!(refused.problem, Problem::TokenExpired);
    }
    assert_eq!(*held.at(start + MINUTE * 2, next).await.unwrap(), 2);
}

#[tokio::test]
async fn it_is_made_anew_when_it_is_old_and_from_then_on_counts_as_new() {
    let start = Instant::now();
    let held = Renewed::new(1, MINUTE, start);
    let second = Duration::from_secs(1);
    for (at, expected) in [
        (second, 1),
        (MINUTE - second, 1),
        (MINUTE, 2),
        (MINUTE * 2 - second, 2),
        (MINUTE * 2, 3),
        (MINUTE * 90, 4),
    ] {
        assert_eq!(*held.at(start + at, next).await.unwrap(), expected, "{at:?}");
    }
}

#[tokio::test]
async fn several_who_ask_at_once_make_it_anew_once() {
    let start = Instant::now();
    let held = Renewed::new(1, MINUTE, start);
    let times = Cell::new(0);
    let renew = |before: Arc<u32>| {
        times.set(times.get() + 1);
        async move {
            tokio::task::yield_now().await;
            Ok(*before + 1)
        }
    };
    let both = futures::future::join(held.at(start + MINUTE, renew), held.at(start + MINUTE, renew)).await;
    assert_eq!((*both.0.unwrap(), *both.1.unwrap(), times.get()), (2, 2, 1));
}
