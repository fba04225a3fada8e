use trust::{PublicKey, SigningKey};

use super::*;
use crate::postgres::tests::{database, open};
use crate::tests::world::{World, new_key};

/// A store of each kind, as two brokers or two calls have it.
fn stores(folder: &Path) -> Vec<[Store; 2]> {
    let file = folder.join("catalog.sqlite");
    let alone = [Store::in_file(&file).unwrap(), Store::in_file(&file).unwrap()];
    let shared = database().map(|text| [open(&text), open(&text)].map(Store::Shared));
    std::iter::once(alone).chain(shared).collect()
}

fn said(world: &World, key: &SigningKey, seconds: i64) -> (Verified<NodeDescription>, Vec<u8>) {
    let mut description = world.description("gbsg", "beds");
    description.issued = world.after(seconds);
    let sealed = wire::description::seal(&description, key).unwrap();
    let public: PublicKey = key.public();
    (wire::description::open(&sealed, |_| Some(public)).unwrap(), sealed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_description_never_replaces_a_later_one_through_whichever_broker_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (world, key) = (World::founded(), new_key());
    let space: SpaceId = "oncology".parse().unwrap();
    for [one, other] in stores(folder.path()) {
        assert_eq!(one.all(space.clone()).await, Ok(Vec::new()));
        let ((earlier, sealed_earlier), (later, sealed_later)) = (said(&world, &key, 0), said(&world, &key, 1));
        one.keep(later, sealed_later.clone()).await.unwrap();
        let refused = other.keep(earlier, sealed_earlier).await.unwrap_err();
        assert_eq!(refused.problem, Problem::Answer);
        assert_eq!(other.all(space.clone()).await, Ok(vec![sealed_later]));
        assert_eq!(one.all("cardiology".parse().unwrap()).await, Ok(Vec::new()));

        let keeping = (2..20).map(|seconds| {
            let (store, (opened, sealed)) = (
                if seconds % 2 == 0 { &one } else { &other },
                said(&world, &key, seconds),
            );
            store.keep(opened, sealed)
        });
        futures::future::join_all(keeping).await;
        assert_eq!(one.all(space.clone()).await, Ok(vec![said(&world, &key, 19).1]));
    }
}
