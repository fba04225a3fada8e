use terms::PolicyId;
use trust::{SigningKey, Stopped};

use super::*;
use crate::config::Config;
use crate::example::{HOUR, MINUTE, POLICY, World, space};
use crate::status::NodeStatus;

const BROKEN: &str = "id = \"beds-open\"\nversion = 2\nall = true\n";

fn status(config: &Config, governance: &Governance, world: &World) -> NodeStatus {
    let datasets = engine::Datasets::open(&world.path("datasets")).unwrap();
    NodeStatus::of(config, governance, &datasets)
}

fn the_policy() -> Stopped {
    Stopped::Policy("beds-open".parse().unwrap())
}

fn stopped_policies(governance: &Governance) -> Vec<PolicyId> {
    governance.latest().rules.stops.policies.iter().cloned().collect()
}

#[tokio::test]
async fn a_06_a_frozen_broker_is_told_then_nothing_is_answered_and_new_documents_heal_it() {
    let world = World::new();
    let config = world.config();
    let governance = world.govern().await.unwrap();
    assert_eq!(
        status(&config, &governance, &world).warnings(world.now()),
        Vec::<String>::new()
    );

    world.advance(40 * MINUTE);
    governance.refresh(Some(&world)).await.unwrap();
    assert!(governance.current().is_ok());
    let told = status(&config, &governance, &world);
    assert!(
        told.warnings(world.now())[0].contains("does not renew"),
        "{:?}",
        told.warnings(world.now())
    );
    assert!(!told.is_expired(world.now()));

    world.advance(21 * MINUTE);
    assert_eq!(
        governance.refresh(Some(&world)).await.unwrap_err().problem,
        Problem::PolicyExpired
    );
    assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
    assert!(status(&config, &governance, &world).is_expired(world.now()));
    assert_eq!(governance.latest().set.version, 1);

    world.publish(2, &world.files());
    governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(governance.current().unwrap().set.version, 2);
    assert_eq!(
        status(&config, &governance, &world).warnings(world.now()),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn documents_that_verify_and_do_not_compile_change_nothing_for_a_running_node_and_one_that_starts_again() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    world.publish(2, &world.files_with("policies/beds-open.toml", BROKEN));
    let refused = governance.refresh(Some(&world)).await.unwrap_err();
    assert!(refused.message.contains("policies/beds-open.toml"), "{refused}");
    let looked = governance.last_look();
    assert_eq!(looked.unusable.map(|(version, _)| version), Some(2));
    // Longer than any timestamp: the broker shows that it is there, so the rules before hold.
    for _ in 0..5 {
        world.advance(50 * MINUTE);
        world.announce(2);
        governance.refresh(Some(&world)).await.unwrap_err();
        assert_eq!(governance.current().unwrap().set.version, 1);
    }
    drop(governance);
    let governance = world.govern().await.unwrap();
    assert_eq!(governance.current().unwrap().set.version, 1);
    assert!(governance.last_look().problem.is_some());
    drop(governance);
    // Without a broker too, for as long as its last word is fresh.
    world.break_off();
    let governance = world.govern().await.unwrap();
    assert_eq!(governance.current().unwrap().set.version, 1);
    world.advance(61 * MINUTE);
    assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
    world.publish(3, &world.files());
    governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(governance.current().unwrap().set.version, 3);
}

#[tokio::test]
async fn a_node_that_never_had_rules_does_not_start_under_documents_that_do_not_compile() {
    let world = World::new();
    world.publish(2, &world.files_with("policies/beds-open.toml", BROKEN));
    assert_eq!(world.govern().await.unwrap_err().problem, Problem::FileKey);
    let kept = world.config().data.join("in-force");
    assert!(!kept.exists());
}

#[tokio::test]
async fn rules_that_hold_beside_unusable_documents_end_when_the_board_signed_them_to() {
    let world = World::new();
    world.publish_for(2, &world.files(), 3 * HOUR);
    let governance = world.govern().await.unwrap();
    world.publish(3, &world.files_with("policies/beds-open.toml", BROKEN));
    for _ in 0..3 {
        world.advance(50 * MINUTE);
        world.announce(3);
        governance.refresh(Some(&world)).await.unwrap_err();
        assert!(governance.current().is_ok());
    }
    world.advance(40 * MINUTE);
    world.announce(3);
    governance.refresh(Some(&world)).await.unwrap_err();
    assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
}

#[tokio::test]
async fn a_changed_copy_of_the_rules_in_force_is_not_worked_under() {
    let world = World::new();
    drop(world.govern().await.unwrap());
    world.publish(2, &world.files_with("policies/beds-open.toml", BROKEN));
    let folder = world.config().data.join("in-force");
    let marker = folder.join("in-force.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    let copy = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .find(|entry| entry.path().is_dir())
        .unwrap()
        .path();
    for file in std::fs::read_dir(copy.join("files")).unwrap().flatten() {
        let changed = std::fs::read_to_string(file.path())
            .unwrap()
            .replace("ehds-53-1-e", "ehds-53-1-f");
        std::fs::write(file.path(), changed).unwrap();
    }
    assert_eq!(world.govern().await.unwrap_err().problem, Problem::FileKey);
    std::fs::write(&marker, text.replace("sha256", "sha512")).unwrap();
    assert_eq!(world.govern().await.unwrap_err().problem, Problem::FileKey);
}

#[tokio::test]
async fn documents_of_another_space_are_refused() {
    let world = World::new();
    let other = "cardiology".parse().unwrap();
    let clock: Arc<dyn Clock> = world.clock.clone();
    let started = Governance::start(&other, world.store(), &world.config().data, Some(&world), clock).await;
    assert_eq!(started.unwrap_err().problem, Problem::PolicyScope);
}

#[tokio::test]
async fn a_stop_acts_whatever_the_newest_documents_are_like() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    assert!(stopped_policies(&governance).is_empty());
    // They do not compile.
    world.publish(2, &world.files_with("policies/beds-open.toml", BROKEN));
    world.serve_stops(&[world.stop(the_policy(), &world.board[2])]);
    governance.refresh(Some(&world)).await.unwrap_err();
    assert_eq!(stopped_policies(&governance), ["beds-open".parse().unwrap()]);
    assert_eq!(governance.latest().set.version, 1);
    // They do not verify.
    let world = World::new();
    let governance = world.govern().await.unwrap();
    world.put("metadata/timestamp.json", b"{}".to_vec());
    world.serve_stops(&[world.stop(the_policy(), &world.board[0])]);
    governance.refresh(Some(&world)).await.unwrap_err();
    assert_eq!(stopped_policies(&governance), ["beds-open".parse().unwrap()]);
}

#[tokio::test]
async fn a_stop_that_came_as_a_file_acts_without_a_broker_and_a_file_that_is_none_spoils_nothing() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    world.break_off();
    let folder = world.config().data.join("stops");
    std::fs::create_dir_all(&folder).unwrap();
    let stranger = SigningKey::generate().unwrap();
    std::fs::write(folder.join("a.json"), b"{}").unwrap();
    std::fs::write(folder.join("b.json"), world.stop(the_policy(), &stranger).to_bytes()).unwrap();
    std::fs::write(folder.join("c.json"), vec![b' '; 1 << 20]).unwrap();
    governance.refresh(None).await.unwrap_err();
    assert!(stopped_policies(&governance).is_empty());
    let told = governance.last_look().stop_files;
    let problems: Vec<Problem> = told.iter().map(|file| file.problem.as_ref().unwrap().problem).collect();
    assert_eq!(
        problems,
        [Problem::PolicyInvalid, Problem::PolicySignature, Problem::PolicyInvalid]
    );

    let stop = world.stop(the_policy(), &world.board[1]);
    std::fs::write(folder.join("d.json"), stop.to_bytes()).unwrap();
    governance.refresh(None).await.unwrap_err();
    assert_eq!(stopped_policies(&governance), ["beds-open".parse().unwrap()]);
    // The file may go, the stop stays: across a restart too.
    std::fs::remove_dir_all(&folder).unwrap();
    drop(governance);
    assert_eq!(
        stopped_policies(&world.govern().await.unwrap()),
        ["beds-open".parse().unwrap()]
    );
}

#[tokio::test]
async fn a_14_a_stop_stays_when_an_older_list_is_served_and_only_the_board_together_lifts_it() {
    let world = World::new();
    let stop = world.stop(the_policy(), &world.board[0]);
    world.serve_stops(std::slice::from_ref(&stop));
    let governance = world.govern().await.unwrap();
    world.serve_stops(&[]);
    world.publish(2, &world.files());
    governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(stopped_policies(&governance), ["beds-open".parse().unwrap()]);
    world.publish(3, &world.lifting(&[stop.digest()]));
    governance.refresh(Some(&world)).await.unwrap();
    assert!(stopped_policies(&governance).is_empty());
    // The lifted one, once more: nothing. Another one: stopped again.
    world.serve_stops(std::slice::from_ref(&stop));
    governance.refresh(Some(&world)).await.unwrap();
    assert!(stopped_policies(&governance).is_empty());
    world.advance(1);
    world.serve_stops(&[stop, world.stop(the_policy(), &world.board[0])]);
    governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(stopped_policies(&governance), ["beds-open".parse().unwrap()]);
}

#[tokio::test]
async fn a_04_an_older_set_is_refused_and_the_operator_sees_what_was_served() {
    let world = World::new();
    world.publish(2, &world.files());
    let (config, governance) = (world.config(), world.govern().await.unwrap());
    world.publish(1, &world.files());
    assert_eq!(
        governance.refresh(Some(&world)).await.unwrap_err().problem,
        Problem::PolicyRollback
    );
    assert_eq!(governance.current().unwrap().set.version, 2);
    let told = status(&config, &governance, &world);
    assert_eq!(told.evidence[0].problem, Problem::PolicyRollback);
    assert!(
        config
            .governance_folder()
            .join("evidence")
            .join(&told.evidence[0].file)
            .exists()
    );
    assert!(
        told.warnings(world.now())
            .iter()
            .any(|warning| warning.contains("evidence"))
    );
    drop(governance);
    assert_eq!(world.govern().await.unwrap().current().unwrap().set.version, 2);
}

#[tokio::test]
async fn a_05_two_documents_of_one_version_leave_the_first_in_force_and_the_second_as_evidence() {
    let world = World::new();
    let (config, governance) = (world.config(), world.govern().await.unwrap());
    let changed = POLICY.replace("per_week = 6", "per_week = 60");
    world.publish(1, &world.files_with("policies/beds-open.toml", &changed));
    assert_eq!(
        governance.refresh(Some(&world)).await.unwrap_err().problem,
        Problem::PolicyEquivocation
    );
    let told = status(&config, &governance, &world);
    assert_eq!(told.problem.unwrap().problem, Problem::PolicyEquivocation);
    assert!(
        told.evidence
            .iter()
            .any(|kept| kept.problem == Problem::PolicyEquivocation)
    );
    assert_eq!(space(), told.space);
}

#[tokio::test]
async fn a_50_what_expired_does_not_come_back_when_the_clock_is_set_back_and_a_restart_says_why() {
    for back in [HOUR / 2, 365 * 24 * HOUR] {
        let world = World::new();
        let governance = world.govern().await.unwrap();
        world.break_off();
        world.advance(61 * MINUTE);
        governance.refresh(None).await.unwrap_err();
        assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
        world.advance(-back);
        assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
        let told = governance.refresh(Some(&world)).await.unwrap_err();
        assert!(told.message.contains("the clock says"), "{told}");
        assert_eq!(governance.current().unwrap_err().problem, Problem::PolicyExpired);
        drop(governance);
        let refused = world.govern().await.unwrap_err();
        assert!(refused.message.contains("the clock says"), "{refused}");
        assert!(refused.remedy.contains("clock"), "{}", refused.remedy);
        // Set right again, with a broker that is there: nothing was lost.
        world.advance(back);
        world.publish(2, &world.files());
        assert_eq!(world.govern().await.unwrap().current().unwrap().set.version, 2);
    }
}

#[tokio::test]
async fn a_50_while_the_clock_is_far_behind_nobody_is_answered_because_no_stop_would_be_heard() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    world.advance(10 * MINUTE);
    governance.refresh(Some(&world)).await.unwrap();
    governance.current().unwrap();
    world.advance(-30);
    governance.current().unwrap();
    world.advance(-5 * MINUTE);
    let refused = governance.current().unwrap_err();
    assert_eq!(refused.problem, Problem::PolicyExpired);
    assert!(refused.message.contains("set back"), "{refused}");
    world.advance(6 * MINUTE);
    governance.refresh(Some(&world)).await.unwrap();
    governance.current().unwrap();
}

#[tokio::test]
async fn a_50_a_small_step_back_over_a_restart_brings_back_nothing_either() {
    let world = World::new();
    let governance = world.govern().await.unwrap();
    world.break_off();
    world.advance(HOUR + 10);
    governance.refresh(None).await.unwrap_err();
    drop(governance);
    world.advance(-30);
    // By its own clock the documents would hold for a moment more.
    assert_eq!(world.govern().await.unwrap_err().problem, Problem::PolicyExpired);
}
