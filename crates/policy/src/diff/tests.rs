use terms::UtcTime;

use super::{Change, Effect, diff, widens};
use crate::example::{BEDS_POLICY, Files, MEMBERS, POLICY, ROWS_PATH, ROWS_POLICY, with_rows};
use crate::{Lang, Rules, Stops};

const RESEARCH: &str = "policies/breast-cancer-research.toml";
const COLLECTION: &str = "collections/breast-cancer.toml";

fn at() -> UtcTime {
    "2026-11-24T09:00:00Z".parse().unwrap()
}

fn changes(before: &Files, after: &Files) -> Vec<Change> {
    let read = |files: &Files| Rules::compile_files(1, trust::Digest::of(b""), &files.0).unwrap();
    diff(&read(before), &read(after), at())
}

/// What one edit of one file of the example changes.
fn edit(path: &str, from: &str, to: &str) -> Vec<Change> {
    changes(&Files::new(), &Files::new().edit(path, from, to))
}

fn effects(changes: &[Change]) -> Vec<Effect> {
    changes.iter().map(|change| change.effect).collect()
}

#[test]
fn one_more_column_widens_and_is_said_in_words() {
    let changes = edit(RESEARCH, "[\"age\", \"grade\"]", "[\"age\", \"grade\", \"meno\"]");
    let [change] = changes.as_slice() else {
        panic!("{changes:#?}")
    };
    assert_eq!(change.effect, Effect::Widens);
    assert_eq!(
        change.place,
        "policies/breast-cancer-research.toml, permission statistics"
    );
    assert_eq!(
        change.sentence(Lang::En),
        "For role public-health-office or university: questions may now also ask about meno."
    );
    assert_eq!(
        change.sentence(Lang::De),
        "Für Rolle public-health-office oder university: Fragen dürfen nun auch meno nutzen."
    );
}

#[test]
fn other_sql_in_a_row_filter_cannot_be_compared_and_widens() {
    let changes = edit(COLLECTION, "consent_research", "consent_research OR age > 60");
    let [change] = changes.as_slice() else {
        panic!("{changes:#?}")
    };
    assert_eq!(
        (change.effect, change.place.as_str()),
        (
            Effect::Widens,
            "collections/breast-cancer.toml, filter research_consent"
        )
    );
    assert!(change.en.contains("cannot be compared"), "{}", change.en);
}

#[test]
fn consent_to_more_provisions_narrows_and_to_fewer_widens() {
    let consent = |codes: &str| {
        Files::new().edit(
            COLLECTION,
            "sql = \"consent_research\"",
            &format!("consent = [{codes}]"),
        )
    };
    let (one, two) = (consent("\"1.2\""), consent("\"1.2\", \"1.3\""));
    assert_eq!(effects(&changes(&one, &two)), [Effect::Narrows]);
    assert_eq!(effects(&changes(&two, &one)), [Effect::Widens]);
}

#[test]
fn the_same_hours_in_another_zone_cannot_be_compared_and_widen() {
    let window = |zone: &str| {
        let when = format!(
            "when = [{{ days = [\"mon\"], from = 08:00:00, until = 12:00:00, zone = \"{zone}\" }}]\npermit    = \"none\""
        );
        Files::new().edit(RESEARCH, "permit    = \"none\"", &when)
    };
    let changes = changes(&window("Europe/Berlin"), &window("Europe/London"));
    assert_eq!(effects(&changes), [Effect::Widens]);
    assert!(
        changes[0].en.contains("time zones cannot be compared"),
        "{}",
        changes[0].en
    );
}

#[test]
fn a_window_that_ends_on_the_next_day_is_as_long_as_two_that_meet_at_midnight() {
    let windows = |when: &str| {
        Files::new().edit(
            RESEARCH,
            "permit    = \"none\"",
            &format!("when = [{when}]\npermit    = \"none\""),
        )
    };
    let over = windows("{ days = [\"mon\"], from = 22:00:00, until = 02:00:00, zone = \"Europe/Berlin\" }");
    let halves = windows(
        "{ days = [\"mon\"], from = 22:00:00, until = 00:00:00, zone = \"Europe/Berlin\" }, \
         { days = [\"tue\"], from = 00:00:00, until = 02:00:00, zone = \"Europe/Berlin\" }",
    );
    assert!(!widens(&changes(&over, &halves)));
    assert!(!widens(&changes(&halves, &over)));
}

#[test]
fn a_prohibition_that_ends_with_its_policy_widens() {
    let files = Files::new().put("policies/stop.toml", &stopping("2027-12-31"));
    let shorter = Files::new().put("policies/stop.toml", &stopping("2027-06-30"));
    assert_eq!(effects(&changes(&files, &shorter)), [Effect::Widens]);
    assert_eq!(effects(&changes(&shorter, &files)), [Effect::Narrows]);
}

fn stopping(until: &str) -> String {
    format!(
        "id = \"stop\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\nvalid_until = {until}\n\
         [[prohibition]]\nid = \"no-grade\"\ncolumns = [\"grade\"]\n"
    )
}

#[test]
fn rules_that_go_to_a_policy_of_other_days_widen_where_it_ends_earlier_or_later() {
    let (longer, shorter) = (
        stopping("2027-12-31"),
        stopping("2027-06-30").replace("id = \"stop\"", "id = \"other\""),
    );
    let other = "[[permission]]\nid = \"none\"\nassignee = { members = [\"nobody\"] }\npurposes = [\"ehds-53-1-d\"]\npermit = \"none\"\n\
                 release = \"aggregates\"\ncolumns = []\ndisclosure = { tier = \"statistical\", min_people = 99 }\n";
    let before = Files::new().put("policies/stop.toml", &format!("{longer}{other}"));
    let after = Files::new().put("policies/other.toml", &shorter);
    assert!(widens(&changes(&before, &after)));
    let start = POLICY.find("[[permission]]").unwrap();
    let moved = POLICY
        .replace("\"breast-cancer-research\"", "\"moved\"")
        .replace("2027-12-31", "2028-12-31");
    let before = Files::new().put(
        RESEARCH,
        &format!("{POLICY}\n{}", other.replace("\"none\"\na", "\"nil\"\na")),
    );
    let after = Files::new()
        .put(RESEARCH, &POLICY[..start])
        .put("policies/moved.toml", &moved);
    assert!(widens(&changes(&before, &after)));
}

#[test]
fn days_that_are_over_make_nothing_possible() {
    let changes = edit(RESEARCH, "valid_from  = 2026-01-01", "valid_from  = 2025-01-01");
    assert_eq!(effects(&changes), [Effect::Neutral]);
}

#[test]
fn an_institution_that_loses_a_prohibited_role_widens() {
    let ban = "[[prohibition]]\nid = \"no-hospitals\"\nassignee = { roles = [\"public-health-office\"] }\ncolumns = [\"grade\"]\n";
    let before = Files::new().put(RESEARCH, &format!("{POLICY}\n{ban}"));
    let after = before.clone().edit("members.toml", "\"public-health-office\", ", "");
    let changes = changes(&before, &after);
    assert_eq!(changes[0].effect, Effect::Widens);
    assert!(
        changes[0].en.contains("no-hospitals (breast-cancer-research)"),
        "{changes:#?}"
    );
}

#[test]
fn a_permission_split_in_two_halves_is_neutral() {
    let start = POLICY.find("[[permission]]").unwrap();
    let end = POLICY.find("[[prohibition]]").unwrap_or(POLICY.len());
    let (head, rule, rest) = (&POLICY[..start], &POLICY[start..end], &POLICY[end..]);
    let half = |id: &str, role: &str| {
        let rule = rule.replacen("\"statistics\"", &format!("\"{id}\""), 1);
        rule.replace("[\"university\", \"public-health-office\"]", &format!("[\"{role}\"]"))
    };
    let halves = format!(
        "{head}{}\n{}\n{rest}",
        half("a", "university"),
        half("b", "public-health-office")
    );
    let changes = changes(&Files::new(), &Files::new().put(RESEARCH, &halves));
    assert!(
        changes.iter().all(|change| change.effect == Effect::Neutral),
        "{changes:#?}"
    );
    assert!(!changes.is_empty());
}

#[test]
fn names_titles_units_and_codes_are_neutral() {
    let edits = [
        (RESEARCH, "id        = \"statistics\"", "id        = \"numbers\""),
        (RESEARCH, "title       = \"Research", "title       = \"Science"),
        (RESEARCH, "version     = 3", "version     = 4"),
        (COLLECTION, "unit   = \"a\"", "unit   = \"mo\""),
        (COLLECTION, "371469007", "371469008"),
        (COLLECTION, "title        = \"Breast", "title        = \"Mamma"),
        (
            "members.toml",
            "title = \"Saarland University\"",
            "title = \"University of the Saarland\"",
        ),
        ("space.toml", "title = \"Oncology", "title = \"Cancer"),
    ];
    for (path, from, to) in edits {
        let changes = edit(path, from, to);
        assert_eq!(effects(&changes), [Effect::Neutral], "{path}: {to}: {changes:#?}");
    }
}

#[test]
fn a_policy_under_another_name_is_one_neutral_change() {
    let renamed = BEDS_POLICY.replace("id          = \"beds-open\"", "id          = \"beds\"");
    let after = Files::new()
        .without("policies/beds-open.toml")
        .put("policies/beds.toml", &renamed);
    let changes = changes(&Files::new(), &after);
    assert_eq!(effects(&changes), [Effect::Neutral]);
    assert_eq!(changes[0].en, "Policy beds-open is now called beds.");
}

#[test]
fn order_and_comments_are_no_change() {
    assert!(edit(RESEARCH, "[\"age\", \"grade\"]", "[\"grade\", \"age\"] # both").is_empty());
    assert!(edit(COLLECTION, "[\"1\", \"2\", \"3\"]", "[\"3\", \"1\", \"2\"]").is_empty());
    let mut members: Vec<&str> = MEMBERS.split("[[member]]").skip(1).collect();
    members.reverse();
    let members: String = members.iter().map(|member| format!("[[member]]{member}")).collect();
    assert!(changes(&Files::new(), &Files::new().put("members.toml", &members)).is_empty());
}

#[test]
fn a_stop_that_is_lifted_widens_and_one_that_comes_narrows() {
    let running = Files::new().rules();
    let stopped = Files::new().rules().with_stops(Stops {
        policies: ["breast-cancer-research".parse().unwrap()].into(),
        ..Stops::default()
    });
    assert_eq!(effects(&diff(&running, &stopped, at())), [Effect::Narrows]);
    assert_eq!(effects(&diff(&stopped, &running, at())), [Effect::Widens]);
}

#[test]
fn a_copy_of_a_stopped_policy_widens() {
    let stops = Stops {
        policies: ["breast-cancer-research".parse().unwrap()].into(),
        ..Stops::default()
    };
    let copy = POLICY.replacen("breast-cancer-research", "again", 1);
    let before = Files::new().rules().with_stops(stops.clone());
    let after = Files::new().put("policies/again.toml", &copy).rules().with_stops(stops);
    assert!(widens(&diff(&before, &after, at())));
}

#[test]
fn what_widens_comes_first_and_then_by_place() {
    let after = Files::new()
        .edit(RESEARCH, "min_people = 10", "min_people = 9")
        .edit("policies/beds-open.toml", "\"ehds-53-1-a\", ", "")
        .edit("space.toml", "title = \"Oncology", "title = \"Cancer");
    let changes = changes(&Files::new(), &after);
    assert_eq!(
        effects(&changes),
        [Effect::Widens, Effect::Narrows, Effect::Neutral],
        "{changes:#?}"
    );
}

/// What rows show, before and after.
fn shown(before: &str, after: &str) -> Vec<Change> {
    let rows = |transforms: &str| {
        let columns = "\"age\", \"diagnosed_on\", \"grade\", \"note\"";
        with_rows(transforms).edit(ROWS_PATH, "\"age\", \"diagnosed_on\", \"grade\"", columns)
    };
    changes(&rows(before), &rows(after))
}

#[test]
fn what_shows_less_of_a_column_narrows_and_the_way_back_widens() {
    for (more, less) in [
        ("", "age = \"bins\""),
        ("", "age = \"pseudonym\""),
        ("", "note = \"mask\""),
        ("age = \"bins\"", "age = \"mask\""),
        (
            "diagnosed_on = { truncate = \"month\" }",
            "diagnosed_on = { truncate = \"quarter\" }",
        ),
        (
            "diagnosed_on = { truncate = \"quarter\" }",
            "diagnosed_on = { truncate = \"year\" }",
        ),
        ("grade = { prefix = 3 }", "grade = { prefix = 2 }"),
        ("age = \"bins\"", "age = \"bins\"\ngrade = { prefix = 1 }"),
    ] {
        assert_eq!(effects(&shown(more, less)), [Effect::Narrows], "{more} -> {less}");
        assert_eq!(effects(&shown(less, more)), [Effect::Widens], "{less} -> {more}");
    }
}

#[test]
fn transforms_that_cannot_be_compared_widen_both_ways_and_say_so() {
    for (one, other) in [
        ("age = \"bins\"", "age = \"pseudonym\""),
        ("grade = { prefix = 3 }", "grade = \"pseudonym\""),
        (
            "grade = { prefix = 1 }\nage = \"bins\"",
            "grade = \"pseudonym\"\nage = \"bins\"",
        ),
    ] {
        for (before, after) in [(one, other), (other, one)] {
            let found = shown(before, after);
            assert_eq!(effects(&found), [Effect::Widens], "{before} -> {after}");
            assert!(found[0].en.ends_with("The two cannot be compared."), "{found:?}");
        }
    }
    // Weeks cut through months, where the collection declares no period.
    let undeclared = |unit: &str| {
        let files = with_rows(&format!("diagnosed_on = {{ truncate = \"{unit}\" }}"));
        let column = "role   = [\"group\", \"filter\"]\nbins   = \"month\"";
        files.edit(COLLECTION, column, "")
    };
    for (before, after) in [("week", "month"), ("month", "week"), ("week", "year")] {
        assert_eq!(
            effects(&changes(&undeclared(before), &undeclared(after))),
            [Effect::Widens]
        );
    }
    assert_eq!(
        effects(&changes(&undeclared("day"), &undeclared("week"))),
        [Effect::Narrows]
    );
}

#[test]
fn what_is_shown_is_said_in_words() {
    let found = shown("age = \"bins\"", "age = \"mask\"");
    assert_eq!(found[0].place, format!("{ROWS_PATH}, permission rows"));
    assert_eq!(found[0].en, "Of age is now shown: nothing; before: only the range.");
    assert_eq!(
        found[0].de,
        "Von age ist nun zu sehen: nichts; vorher: nur der Bereich."
    );
    let found = shown("", "diagnosed_on = { truncate = \"year\" }");
    assert_eq!(
        found[0].en,
        "Of diagnosed_on is now shown: only the year; before: the value."
    );
    let pseudonym = with_rows("patient_id = \"pseudonym\"").edit(ROWS_PATH, "[\"age\"", "[\"patient_id\", \"age\"");
    let found = changes(&with_rows(""), &pseudonym);
    assert_eq!(effects(&found), [Effect::Widens]);
    assert_eq!(
        found[0].en,
        "For role university: questions may now also ask about patient_id (a pseudonym, another one under each permit)."
    );
    assert_eq!(effects(&changes(&pseudonym, &with_rows(""))), [Effect::Narrows]);
}

#[test]
fn rows_instead_of_statistics_widen() {
    let statistics = with_rows("").edit(ROWS_PATH, "\"rows\"\ncolumns", "\"aggregates\"\ncolumns");
    assert_eq!(effects(&changes(&statistics, &with_rows(""))), [Effect::Widens]);
    assert_eq!(effects(&changes(&with_rows(""), &statistics)), [Effect::Narrows]);
}

#[test]
fn withheld_zeros_narrow_and_open_ones_widen() {
    let zeros = |value: &str| {
        let to = format!("zeros = \"{value}\"\nmin_people = 10");
        Files::new().edit(RESEARCH, "min_people = 10", &to)
    };
    let (open, protected) = (zeros("open"), zeros("protected"));
    let found = changes(&protected, &open);
    assert_eq!(effects(&found), [Effect::Widens]);
    assert_eq!(found[0].en, "That nobody is in a cell may now be inferred.");
    let found = changes(&Files::new(), &protected);
    assert_eq!(effects(&found), [Effect::Narrows]);
    assert_eq!(
        found[0].de,
        "Dass niemand in einer Zelle ist, wird nun auch zurückgehalten."
    );
    assert_eq!(changes(&Files::new(), &open), []);
}

#[test]
fn a_permission_that_shows_more_of_what_is_asked_for_is_a_gain_beside_one_that_masks_other_columns() {
    // Beside the old permission a new one that shows ages as they are and less of all else.
    let second = ROWS_POLICY
        .replace("breast-cancer-rows", "more")
        .replace("version     = 1", "version     = 2");
    let second = format!("{second}diagnosed_on = \"mask\"\ngrade = \"mask\"\n");
    let before = with_rows("age = \"bins\"");
    let found = changes(&before, &before.clone().put("policies/more.toml", &second));
    assert!(widens(&found), "{found:#?}");
    assert!(
        found
            .iter()
            .any(|change| change.effect == Effect::Widens && change.place.starts_with("policies/more.toml"))
    );
}

#[test]
fn the_quota_of_a_permit_is_said_of_all_its_persons() {
    let with = |queries: &str| Files::new().with_permit(&[("opt_out", &format!("{queries}\nopt_out"))]);
    let found = changes(&with(""), &with("queries = { per_week = 9 }"));
    assert_eq!(effects(&found), [Effect::Narrows]);
    assert_eq!(
        found[0].en,
        "All its persons together may now ask 9 times in seven days, before as often as they like."
    );
}

#[test]
fn a_column_that_refers_to_another_collection_widens_and_one_that_no_longer_does_narrows() {
    let keyed = Files::new().edit(
        "collections/beds.toml",
        "personal = false",
        "personal = false\nkey = \"district\"",
    );
    let none = keyed.edit(
        COLLECTION,
        "[columns.note]\ntype   = \"text\"",
        "[columns.note]\ntype   = \"text\"\nreferences = \"beds\"",
    );
    let refers = none.clone();
    let none = none.edit(COLLECTION, "\nreferences = \"beds\"", "");
    let widened = changes(&none, &refers);
    assert_eq!(effects(&widened), [Effect::Widens]);
    assert_eq!(
        widened[0].sentence(Lang::En),
        "Questions may now join the rows along this column to beds, before to no collection."
    );
    assert_eq!(effects(&changes(&refers, &none)), [Effect::Narrows]);
    let without = Files::new();
    assert_eq!(
        effects(&changes(&without, &none)),
        [Effect::Neutral],
        "a key alone joins nothing"
    );
}

/// The example with models under this table.
fn models(keys: &str) -> Files {
    let table = format!("min_people = 10\n\n[permission.models]\n{keys}\n");
    Files::new()
        .edit(RESEARCH, "\"aggregates\"", "\"models\"")
        .edit(RESEARCH, "min_people = 10\n", &table)
}

#[test]
fn models_beside_statistics_widen_and_their_rules_are_said() {
    let found = changes(&Files::new(), &models("sum = \"masked\""));
    let [change] = found.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(change.effect, Effect::Widens);
    assert_eq!(
        change.en,
        "For role public-health-office or university: models may now leave too, not only statistics (only the sums of all \
         institutions together can be seen; over at least 3 institutions; at most 0.1 parameters for each person; at most 25 \
         steps; none whose people differ from those of an earlier one by fewer than 10)."
    );
    let back = changes(&models("sum = \"masked\""), &Files::new());
    assert_eq!(effects(&back), [Effect::Narrows]);
    assert_eq!(
        back[0].de,
        "Für Rolle public-health-office oder university: Modelle dürfen nicht mehr hinaus, nur Statistik."
    );
}

#[test]
fn each_rule_of_models_that_is_weaker_widens_and_the_way_back_narrows() {
    let strict = "sum = \"masked\"\nmin_nodes = 4\n";
    let cases = [
        (
            "sum = \"plain\"\nmin_nodes = 4\n",
            "the sums of each institution can be seen",
        ),
        ("sum = \"masked\"\nmin_nodes = 3\n", "over at least 3 institutions"),
        (
            "sum = \"masked\"\nmin_nodes = 4\nparameters = 0.2\nreason = \"few\"\n",
            "at most 0.2 parameters for each person (reason: few)",
        ),
        ("sum = \"masked\"\nmin_nodes = 4\nsteps = 26\n", "at most 26 steps"),
        (
            "sum = \"masked\"\nmin_nodes = 4\noverlaps = \"allow\"\n",
            "also if the people differ from those of an earlier one by few",
        ),
    ];
    for (lax, says) in cases {
        let found = changes(&models(strict), &models(lax));
        assert_eq!(effects(&found), [Effect::Widens], "{found:#?}");
        let said = format!("Of models now holds: {says}. Before: ");
        assert!(found[0].en.starts_with(&said), "{}", found[0].en);
        assert!(found[0].de.starts_with("Für Modelle gilt nun: "), "{}", found[0].de);
        assert_eq!(
            effects(&changes(&models(lax), &models(strict))),
            [Effect::Narrows],
            "{lax}"
        );
    }
    let of = |reason: &str| models(&format!("sum = \"plain\"\nparameters = 0.2\nreason = {reason:?}\n"));
    assert_eq!(effects(&changes(&of("few"), &of("rare"))), [Effect::Neutral]);
}

#[test]
fn a_prohibition_of_rows_that_ends_gives_models_back_that_come_with_rows() {
    let prohibited = with_rows("\n[[prohibition]]\nid = \"no\"\nrelease = \"rows\"\ncolumns = [\"age\"]");
    let found = changes(&prohibited, &with_rows(""));
    assert_eq!(effects(&found), [Effect::Widens], "{found:#?}");
    assert_eq!(effects(&changes(&with_rows(""), &prohibited)), [Effect::Narrows]);
}
