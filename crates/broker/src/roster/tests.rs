use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use futures::future::join_all;
use terms::Problem;

use super::*;
use crate::tests::world::{HOUR, World, space};

fn roster(world: &World) -> Arc<Roster> {
    let root = std::fs::read(world.path("root.json")).unwrap();
    let (repository, clock) = (world.repository.clone(), world.clock.clone());
    let opened = Roster::open(space(), repository, &root, &world.path("governance"), clock);
    Arc::new(opened.unwrap())
}

/// A document that whoever reads it waits for, without an end, until this is dropped.
struct Silent {
    path: PathBuf,
    whole: Vec<u8>,
}

impl Silent {
    fn make(path: PathBuf) -> Self {
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self { path, whole }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Opened both ways it does not wait itself.
        let pipe = std::fs::File::options().read(true).write(true).open(&self.path);
        std::fs::remove_file(&self.path).unwrap();
        std::fs::write(&self.path, &self.whole).unwrap();
        drop(pipe);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_look_that_hangs_and_nobody_works_under_what_expired_meanwhile() {
    let world = World::published();
    let roster = roster(&world);
    let before = roster.rules().await.unwrap();
    let silent = Silent::make(world.path("repository/metadata/timestamp.json"));
    world.clock.advance(6);
    let began = Instant::now();
    let found = join_all((0..1_000).map(|_| roster.rules())).await;
    assert!(found.iter().all(|rules| Arc::ptr_eq(rules.as_ref().unwrap(), &before)));
    for _ in 0..100 {
        world.clock.advance(6);
        assert!(Arc::ptr_eq(&roster.rules().await.unwrap(), &before));
    }
    assert!(began.elapsed() < 2 * PATIENCE, "{:?}", began.elapsed());
    world.clock.advance(2 * HOUR);
    assert_eq!(roster.rules().await.unwrap_err().problem, Problem::PolicyExpired);

    drop(silent);
    world.publish(2, &world.files_of(&["gbsg"])).unwrap();
    let taken_up = async {
        while roster.rules().await.map_or(true, |rules| rules.version != 2) {
            world.clock.advance(6);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken_up).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_look_is_waited_for_by_all_and_is_one() {
    let world = World::published();
    let roster = roster(&world);
    let silent = Silent::make(world.path("repository/metadata/timestamp.json"));
    let mut waiting = Box::pin(join_all((0..10).map(|_| roster.rules())));
    let early = tokio::time::timeout(2 * PATIENCE, &mut waiting).await;
    assert!(early.is_err(), "there is nothing to tell yet");
    drop(silent);
    // What was read on the way was cut off, and nothing was known before.
    assert!(waiting.await.iter().all(Result::is_err));
    world.clock.advance(6);
    roster.rules().await.unwrap();
}
