//! A program that is paused answers nothing and closes nothing: the other end notices, says so, and both go on when it does.

use std::time::{Duration, Instant};

use terms::limit;

use super::apart::{Apart, Reach, Role};
use super::sound::Before;

/// So long a dead connection may go unnoticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// So long it may take until all is as before, once the program goes on.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Pauses a program while somebody asks.
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn paused(role: Role) {
    let apart = Apart::of(Reach::ByTunnel);
    let (broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    std::thread::sleep(Duration::from_secs(1));
    let before = Before::of(node.id(), &apart.config());
    let entries = || node::audit::entries(&apart.config().ledger_file()).unwrap();
    let recorded = entries().len();
    let process = match role {
        Role::Broker => &broker,
        Role::Node => &node,
    };
    process.signal("STOP");
    let since = Instant::now();
    let run = apart.ask(&[]);
    let said = format!("{}{}", run.out(), run.err());
    assert_ne!(run.code(), 0, "{said}");
    assert!(said.contains("E_UNREACHABLE"), "{said}");
    let told_after = since.elapsed();
    assert!(
        told_after < NOTICED_WITHIN + Duration::from_secs(limit::CONNECT_SECONDS_MAX),
        "{told_after:?}"
    );
    std::thread::sleep(NOTICED_WITHIN.saturating_sub(since.elapsed()));
    if let Role::Broker = role {
        let log = apart.log(Role::Node);
        assert!(log.contains("the broker does not answer"), "{log}");
    }
    process.signal("CONT");
    let (since, mut asked) = (Instant::now(), 2);
    while apart.ask(&["--timeout", "5"]).code() != 0 {
        asked += 1;
        assert!(since.elapsed() < BACK_WITHIN, "not back: {}", apart.log(Role::Node));
        std::thread::sleep(Duration::from_millis(200));
    }
    println!(
        "{role:?} paused: told after {told_after:?}, back after {:?}",
        since.elapsed()
    );
    // Each question was executed once at most, also the one that was under way.
    let executed = entries().len() - recorded;
    assert!(
        (1..=asked).contains(&executed),
        "{executed} entries for {asked} questions"
    );
    before.still_sound(|| drop(apart.ask(&[]).returns(0)), Vec::new());
}

#[test]
fn a_48_a_program_that_is_paused_is_noticed_and_nothing_is_executed_twice_when_it_goes_on() {
    std::thread::scope(|scope| {
        for role in [Role::Node, Role::Broker] {
            scope.spawn(move || paused(role));
        }
    });
}
