use super::*;

fn at(second: i64) -> UtcTime {
    UtcTime::from_second(1_900_000_000 + second).unwrap()
}

fn caller(person: &str) -> Caller {
    Caller {
        member: "saarland-university".parse().unwrap(),
        person: person.parse().unwrap(),
        roles: std::collections::BTreeSet::new(),
    }
}

fn beds() -> CollectionId {
    "beds".parse().unwrap()
}

/// A query of somebody about beds, under a permit or none.
fn charge(tally: &mut Tally, person: &str, permit: Option<&str>, second: i64, charge: Charge) -> Result<Asked, Report> {
    let (caller, beds) = (caller(person), beds());
    let permit: Option<PermitId> = permit.map(|id| id.parse().unwrap());
    let asking = Asking {
        caller: &caller,
        collection: &beds,
        permit: permit.as_ref(),
    };
    tally.charge(asking, at(second), |asked| (asked, charge))
}

fn ask(tally: &mut Tally, person: &str, second: i64) -> Asked {
    charge(tally, person, None, second, Charge::One).unwrap()
}

fn seen(tally: &Tally, person: &str, collection: &str, second: i64) -> Asked {
    let (caller, collection) = (caller(person), collection.parse().unwrap());
    let asking = Asking {
        caller: &caller,
        collection: &collection,
        permit: None,
    };
    tally.asked(asking, at(second))
}

fn asked(minute: u32, week: u32) -> Asked {
    Asked {
        minute,
        week,
        ..Asked::default()
    }
}

#[test]
fn a_query_that_may_not_run_costs_nothing() {
    let mut tally = Tally::default();
    for _ in 0..9 {
        assert_eq!(
            charge(&mut tally, "ada", Some("study-7"), 0, Charge::Free),
            Ok(asked(0, 0))
        );
    }
}

#[test]
fn each_person_and_each_collection_is_counted_alone() {
    let mut tally = Tally::default();
    ask(&mut tally, "ada", 0);
    ask(&mut tally, "ada", 1);
    assert_eq!(ask(&mut tally, "bob", 1), asked(0, 0));
    assert_eq!(ask(&mut tally, "ada", 1), asked(2, 2));
    assert_eq!(seen(&tally, "ada", "wards", 1), asked(0, 0));
}

#[test]
fn queries_under_one_permit_are_counted_together_whoever_asks() {
    let mut tally = Tally::default();
    let mut ask = |person, permit, second| charge(&mut tally, person, permit, second, Charge::One).unwrap();
    ask("ada", Some("study-7"), 0);
    ask("bob", Some("study-7"), 30);
    ask("bob", None, 30);
    let seen = ask("eve", Some("study-7"), 59);
    assert_eq!((seen.week, seen.permit_minute, seen.permit_week), (0, 2, 2));
    let seen = ask("ada", Some("study-7"), 60);
    assert_eq!((seen.week, seen.permit_minute, seen.permit_week), (1, 2, 3));
    assert_eq!(ask("bob", Some("study-8"), 60).permit_week, 0);
}

#[test]
fn a_minute_and_a_week_are_over_when_they_are_and_never_earlier() {
    let mut tally = Tally::default();
    for second in [0, 0, 30, 59] {
        ask(&mut tally, "ada", second);
    }
    let seen = |second| seen(&tally, "ada", "beds", second);
    assert_eq!(seen(59), asked(4, 4));
    assert_eq!(seen(60), asked(2, 4));
    assert_eq!(seen(118), asked(1, 4));
    assert_eq!(seen(119), asked(0, 4));
    assert_eq!(seen(WEEK_SECONDS - 1).week, 4);
    // Minutes are forgotten as a whole.
    assert_eq!(seen(WEEK_SECONDS + 59).week, 0);
}

#[test]
fn a_clock_that_is_set_back_gives_no_query_back() {
    let mut tally = Tally::default();
    for second in [70, 40, 70, 39, 41] {
        ask(&mut tally, "ada", second);
    }
    assert_eq!(seen(&tally, "ada", "beds", 39), asked(5, 5));
    assert_eq!(seen(&tally, "ada", "beds", 100), asked(3, 5));
}

#[test]
fn a_week_of_asking_every_second_is_remembered_in_some_thousand_buckets() {
    let mut tally = Tally::default();
    for second in (0..2 * WEEK_SECONDS).step_by(7) {
        ask(&mut tally, "ada", second);
    }
    let exact = u32::try_from(WEEK_SECONDS / 7).unwrap();
    let seen = seen(&tally, "ada", "beds", 2 * WEEK_SECONDS).week;
    assert!((exact..exact + 9).contains(&seen), "{seen} instead of {exact}");
    assert!(tally.buckets <= 10_200, "{}", tally.buckets);
}

#[test]
fn a_full_tally_refuses_instead_of_forgetting() {
    let mut tally = Tally {
        buckets_max: 4,
        ..Tally::default()
    };
    ask(&mut tally, "ada", 0);
    ask(&mut tally, "bob", 0);
    let refused = charge(&mut tally, "eve", None, 1, Charge::One);
    assert_eq!(refused.unwrap_err().problem, Problem::Resources);
    assert_eq!(seen(&tally, "ada", "beds", 1), asked(1, 1));
    // A week later there is room again.
    assert_eq!(ask(&mut tally, "eve", WEEK_SECONDS + 60), asked(0, 0));
}
