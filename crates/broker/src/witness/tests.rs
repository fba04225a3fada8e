use trust::merkle::leaf_hash;
use trust::{Cosigned, PublicKey};
use wire::Connection;
use wire::v1::witness_service_client::WitnessServiceClient;

use super::*;
use crate::tests::SPACE;
use crate::tests::world::{World, new_key};

const ORIGIN: &str = "datenraum/oncology/gbsg";

/// The log of a node, whose entries are these bytes.
#[derive(Clone)]
struct Log(Vec<Hash>);

impl Log {
    fn of(entries: &[u8]) -> Self {
        Self(entries.iter().map(|entry| leaf_hash(&[*entry])).collect())
    }

    fn tree(&self, size: usize) -> Frontier {
        let mut tree = Frontier::default();
        self.0[..size].iter().for_each(|leaf| tree.append(*leaf));
        tree
    }

    fn note(&self, origin: &str, key: &SigningKey) -> String {
        let tree = self.tree(self.0.len());
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: tree.size(),
            root: tree.root(),
        };
        checkpoint.sign(origin, key).unwrap()
    }

    fn request(&self, old_size: usize, key: &SigningKey) -> AddCheckpointRequest {
        let proof = self.tree(old_size).consistency_proof(&self.0[old_size..]);
        AddCheckpointRequest {
            space: SPACE.to_owned(),
            old_size: old_size as u64,
            proof: proof.iter().map(|hash| hash.to_vec()).collect(),
            checkpoint: self.note(ORIGIN, key),
        }
    }
}

async fn add(connection: &Connection, request: AddCheckpointRequest) -> Result<Outcome, Report> {
    let answer = WitnessServiceClient::new(connection.grpc.clone())
        .add_checkpoint(request)
        .await;
    let answer = answer.map_err(|status| wire::status::from_status(&status, "the broker").report)?;
    Ok(answer.into_inner().outcome.unwrap())
}

fn require_cosigned(outcome: Result<Outcome, Report>, note: &str, key: &PublicKey) -> u64 {
    let Ok(Outcome::Cosignature(line)) = outcome else {
        panic!("{outcome:?}");
    };
    let cosigned = Cosigned::verify(&format!("{note}{line}"), WITNESS_NAME, key).unwrap();
    cosigned.into_inner().checkpoint.size
}

async fn problem(connection: &Connection, request: AddCheckpointRequest) -> Problem {
    add(connection, request).await.unwrap_err().problem
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_members_own_key_did_not_sign_for_its_own_log_is_not_looked_at() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let (log, key) = (Log::of(b"abc"), &world.members["gbsg"]);
    let signed_by = |origin: &str, key: &SigningKey| AddCheckpointRequest {
        checkpoint: log.note(origin, key),
        ..log.request(0, key)
    };
    let other_key = signed_by(ORIGIN, &new_key());
    assert_eq!(problem(&connection, other_key).await, Problem::AuditBroken);
    let of_another_member = signed_by("datenraum/oncology/archive", key);
    assert_eq!(problem(&connection, of_another_member).await, Problem::AuditBroken);
    for origin in ["datenraum/oncology/nobody", "datenraum/cardiology/gbsg", "gbsg"] {
        assert_eq!(
            problem(&connection, signed_by(origin, key)).await,
            Problem::TokenIssuer,
            "{origin}"
        );
    }
    let changed = AddCheckpointRequest {
        checkpoint: log.note(ORIGIN, key).replacen("\n3\n", "\n4\n", 1),
        ..log.request(0, key)
    };
    assert_eq!(problem(&connection, changed).await, Problem::AuditBroken);
    let elsewhere = AddCheckpointRequest {
        space: "cardiology".to_owned(),
        ..log.request(0, key)
    };
    assert_eq!(problem(&connection, elsewhere).await, Problem::PolicyScope);
    let no_hash = AddCheckpointRequest {
        proof: vec![vec![0; 31]],
        ..log.request(0, key)
    };
    assert_eq!(problem(&connection, no_hash).await, Problem::Answer);
    let known = add(&connection, log.request(2, key)).await;
    assert_eq!(known, Ok(Outcome::KnownSize(0)), "nothing of this was remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_49_a_log_that_contradicts_the_one_that_was_cosigned_is_never_cosigned_and_kept_as_evidence() {
    for world in World::published_everywhere() {
        let broker = world.start().await;
        let connection = broker.connect().await;
        let (log, key) = (Log::of(b"abcde"), &world.members["gbsg"]);
        let note = log.note(ORIGIN, key);
        assert_eq!(
            require_cosigned(add(&connection, log.request(0, key)).await, &note, &world.tls),
            5
        );

        let evidence = async |world: &World| {
            let space = SPACE.parse().unwrap();
            let kept = world.witnessed().evidence(&space).await.unwrap();
            kept.into_iter().map(|(_, reason)| reason).collect::<Vec<_>>()
        };
        let same_size = Log::of(b"abcdX");
        assert_eq!(
            problem(&connection, same_size.request(5, key)).await,
            Problem::AuditBroken
        );
        assert_eq!(evidence(&world).await, ["contradicts"]);
        let forked = Log::of(b"abcdXfgh");
        assert_eq!(problem(&connection, forked.request(5, key)).await, Problem::AuditBroken);
        // From the beginning again: the size is told, nothing else.
        assert_eq!(
            add(&connection, forked.request(0, key)).await,
            Ok(Outcome::KnownSize(5))
        );
        assert_eq!(evidence(&world).await, ["contradicts", "unproven"]);
        // More of the same is not kept, and an older one is no evidence: whoever kept it can send it.
        for entry in b'A'..=b'Z' {
            let forked = Log::of(&[b"abcdefg", &[entry][..]].concat().repeat(2)).request(5, key);
            let cut = AddCheckpointRequest {
                proof: Vec::new(),
                ..forked
            };
            assert_eq!(problem(&connection, cut).await, Problem::AuditBroken);
        }
        let shorter = Log::of(b"abc");
        assert_eq!(
            add(&connection, shorter.request(0, key)).await,
            Ok(Outcome::KnownSize(5))
        );
        assert_eq!(evidence(&world).await.len(), 2);

        let longer = Log::of(b"abcdefg");
        let mut wrong_proof = longer.request(5, key);
        wrong_proof.old_size = 4;
        assert_eq!(add(&connection, wrong_proof).await, Ok(Outcome::KnownSize(5)));
        let note = longer.note(ORIGIN, key);
        assert_eq!(
            require_cosigned(add(&connection, longer.request(5, key)).await, &note, &world.tls),
            7
        );
        // Replayed: it is the size that is known.
        assert_eq!(
            add(&connection, longer.request(5, key)).await,
            Ok(Outcome::KnownSize(7))
        );
        broker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_starts_again_goes_on_from_what_it_cosigned() {
    let world = World::published();
    let key = &world.members["gbsg"];
    let broker = world.start().await;
    let log = Log::of(b"abc");
    let added = add(&broker.connect().await, log.request(0, key)).await;
    require_cosigned(added, &log.note(ORIGIN, key), &world.tls);
    broker.stop().await.unwrap();
    let broker = world.start().await;
    let connection = broker.connect().await;
    assert_eq!(
        add(&connection, Log::of(b"xyz").request(0, key)).await,
        Ok(Outcome::KnownSize(3))
    );
    // The same once more, to be told a newer time.
    let again = add(&connection, log.request(3, key)).await;
    assert_eq!(require_cosigned(again, &log.note(ORIGIN, key), &world.tls), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_forks_that_race_through_two_brokers_one_is_cosigned() {
    let Some(world) = World::published_in_postgres() else {
        eprintln!("SKIPPED: no PostgreSQL on this machine");
        return;
    };
    let key = &world.members["gbsg"];
    let (one, other) = (world.start().await, world.start_beside().await);
    let (one, other) = (one.connect().await, other.connect().await);
    let mut log = Vec::new();
    for round in 0..20_u8 {
        let (left, right) = ([&log[..], &[round]].concat(), [&log[..], &[round + 100]].concat());
        let (left_log, right_log) = (Log::of(&left), Log::of(&right));
        let (left_added, right_added) = tokio::join!(
            add(&one, left_log.request(log.len(), key)),
            add(&other, right_log.request(log.len(), key))
        );
        let is_cosigned = |added: &Result<Outcome, Report>| matches!(added, Ok(Outcome::Cosignature(_)));
        assert_ne!(
            is_cosigned(&left_added),
            is_cosigned(&right_added),
            "{left_added:?} {right_added:?}"
        );
        log = if is_cosigned(&left_added) { left } else { right };
    }
}
