use super::{Lint, Severity, lint, lint_files};
use crate::cases::shipped;
use crate::example::{Files, ROWS_PATH, ROWS_POLICY};
use crate::{Lang, cases_path, matrix, matrix_path};

const PATH: &str = "policies/breast-cancer-research.toml";
const COLLECTION: &str = "collections/breast-cancer.toml";

fn found(files: &Files) -> Vec<Lint> {
    lint(&files.rules(), "2026-11-24T12:00:00Z".parse().unwrap())
}

/// What an edit of the files adds to what is found in them.
fn added(files: &Files) -> Vec<Lint> {
    let before = found(&Files::new());
    found(files).into_iter().filter(|lint| !before.contains(lint)).collect()
}

/// That an edit adds one finding, of this severity, at this place, which says this.
fn finds(files: &Files, severity: Severity, place: &str, says: &str) {
    let added = added(files);
    let one = added.iter().find(|lint| lint.en.contains(says));
    let one = one.unwrap_or_else(|| panic!("{says}: {added:#?}"));
    assert_eq!((one.severity, one.place.as_str()), (severity, place), "{}", one.en);
    assert_ne!(one.de, one.en);
    let sentences = (one.sentence(Lang::De), one.sentence(Lang::En));
    assert!(sentences.0.starts_with(place) && sentences.0.ends_with(&one.de) && sentences.1.ends_with(&one.en));
}

fn line(files: &Files, path: &str, text: &str) -> String {
    let all = String::from_utf8(files.0[path].clone()).unwrap();
    let at = all.lines().position(|line| line.contains(text)).unwrap();
    format!("{path}, line {}", at + 1)
}

fn policy(from: &str, to: &str) -> Files {
    Files::new().edit(PATH, from, to)
}

const PERMISSION: &str = r#"

[[permission]]
id         = "second"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["age"]
rows       = "research_consent"
disclosure = { tier = "statistical", min_people = 10 }

[[prohibition]]"#;

#[test]
fn the_example_has_no_finding_but_the_reminder_of_the_law() {
    let found = found(&Files::new());
    let words: Vec<(Severity, &str)> = found.iter().map(|lint| (lint.severity, lint.en.as_str())).collect();
    let reminder = "what no-insurance is prohibited by Art. 54 EHDS anyway";
    assert_eq!(words.len(), 1, "{words:#?} {reminder}");
    assert_eq!(words[0].0, Severity::Hint);
}

#[test]
fn a_policy_that_is_over_is_an_error_and_one_that_ends_soon_a_warning() {
    let past = policy("2027-12-31", "2026-11-23");
    finds(
        &past,
        Severity::Error,
        &line(&past, PATH, "valid_from"),
        "expired on 2026-11-23",
    );
    for last in ["2026-11-24", "2026-12-24"] {
        let soon = policy("2027-12-31", last);
        finds(
            &soon,
            Severity::Warning,
            &line(&soon, PATH, "valid_from"),
            &format!("expires on {last}"),
        );
    }
    let later = policy("2027-12-31", "2026-12-25");
    assert_eq!(added(&later), []);
}

#[test]
fn a_permission_that_a_prohibition_takes_entirely_can_never_apply() {
    let files = policy("purposes = [\"ehds-54-b\"]", "release = \"aggregates\"");
    finds(
        &files,
        Severity::Warning,
        &line(&files, PATH, "\"statistics\""),
        "can never apply",
    );
    // Half of it is left here.
    let files = policy("purposes = [\"ehds-54-b\"]", "columns = [\"age\"]");
    assert!(added(&files).iter().all(|lint| !lint.en.contains("never")));
}

#[test]
fn a_window_that_does_not_open_while_the_policy_is_in_force_is_found() {
    let when =
        "when = [{ days = [\"sun\"], from = 08:00:00, until = 09:00:00, zone = \"Europe/Berlin\" }]\npermit    =";
    let files = policy("permit    =", when).edit(PATH, "2026-01-01", "2027-12-29");
    finds(
        &files,
        Severity::Warning,
        &line(&files, PATH, "\"statistics\""),
        "can never apply",
    );
    assert!(
        added(&policy("permit    =", when))
            .iter()
            .all(|lint| !lint.en.contains("never"))
    );
}

#[test]
fn an_error_is_said_only_of_a_policy_that_does_nothing() {
    let text = Files::new().0[PATH].clone();
    let text = String::from_utf8(text).unwrap();
    let head = text.split("[[permission]]").next().unwrap();
    let empty = Files::new().put(PATH, head);
    finds(&empty, Severity::Error, PATH, "permits and prohibits nothing");
    let other = "id = \"other\"\nversion = 1\ntitle = \"Other\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\n\
                 valid_until = 2027-12-31\n[[prohibition]]\nid = \"nothing-leaves\"\nrelease = \"aggregates\"\n";
    let alone = text.split("[[prohibition]]").next().unwrap();
    let files = Files::new().put(PATH, alone).put("policies/other.toml", other);
    finds(
        &files,
        Severity::Error,
        &line(&files, PATH, "\"statistics\""),
        "can never apply",
    );
}

#[test]
fn a_permission_that_another_shadows_is_found_and_one_that_gives_more_is_not() {
    let files = policy("\n\n[[prohibition]]", PERMISSION);
    let place = line(&files, PATH, "\"second\"");
    finds(
        &files,
        Severity::Warning,
        &place,
        "permission second gives nothing that statistics does not give too",
    );
    let second = "permit     = \"none\"\nrelease    = \"aggregates\"\ncolumns    = [\"age\"]";
    for (from, to) in [
        (second, second.replace("[\"age\"]", "[\"age\", \"meno\"]")),
        ("min_people = 10 }", "min_people = 9 }".to_owned()),
        (
            "purposes   = [\"ehds-53-1-e\"]",
            "purposes   = [\"ehds-53-1-d\"]".to_owned(),
        ),
        (
            "{ roles = [\"university\"] }\npurposes   =",
            "{ roles = [\"hospital\"] }\npurposes   =".to_owned(),
        ),
        ("rows       = \"research_consent\"\n", String::new()),
    ] {
        let wider = files.clone().edit(PATH, from, &to);
        assert!(
            added(&wider).iter().all(|lint| !lint.en.contains("permission second")),
            "{to}"
        );
    }
    // Of two that are alike, one is said to be too many, and not both.
    let twice = policy("[\"age\", \"grade\"]", "[\"age\"]")
        .edit(PATH, "[\"ehds-53-1-c\", \"ehds-53-1-e\"]", "[\"ehds-53-1-e\"]")
        .edit(PATH, "[\"university\", \"public-health-office\"]", "[\"university\"]")
        .edit(PATH, "\n\n[[prohibition]]", PERMISSION);
    let shadows: Vec<Lint> = added(&twice)
        .into_iter()
        .filter(|lint| lint.en.contains("gives nothing"))
        .collect();
    assert_eq!(shadows.len(), 1, "{shadows:#?}");
}

#[test]
fn rules_for_nobody_on_the_roster_are_found() {
    let files = policy(
        "{ roles = [\"university\", \"public-health-office\"] }",
        "{ members = [\"elsewhere\"] }",
    );
    let place = line(&files, PATH, "assignee");
    finds(&files, Severity::Warning, &place, "not on the roster: elsewhere");
    finds(&files, Severity::Warning, &place, "permission statistics is for nobody");
    let files = policy(
        "\"university\", \"public-health-office\"",
        "\"university\", \"insurer\"",
    );
    finds(
        &files,
        Severity::Hint,
        &line(&files, PATH, "assignee"),
        "no member has the role: insurer",
    );
    let files = policy(
        "purposes = [\"ehds-54-b\"]",
        "assignee = { persons = [\"elsewhere/eve\"] }",
    );
    finds(
        &files,
        Severity::Warning,
        &line(&files, PATH, "no-insurance"),
        "not on the roster: elsewhere",
    );
    let reserved = policy("[\"ehds-53-1-c\", \"ehds-53-1-e\"]", "[\"ehds-53-1-c\"]");
    assert_eq!(added(&reserved), []);
    let nobody = reserved.edit("members.toml", "\"public-body\", ", "");
    finds(
        &nobody,
        Severity::Warning,
        &line(&nobody, PATH, "purposes"),
        "applies to nobody",
    );
    let acting = nobody.edit(
        "members.toml",
        "roles = [\"university\"]",
        "roles = [\"university\"]\nacts_for = [\"gbsg\"]",
    );
    let acting = acting.edit("members.toml", "[\"hospital\"]", "[\"hospital\", \"public-body\"]");
    assert_eq!(added(&acting), []);
}

#[test]
fn a_prohibition_that_hits_nothing_is_found() {
    for (matcher, idle) in [
        ("release = \"rows\"", true),
        ("columns = [\"meno\"]", true),
        ("purposes = [\"ehds-53-1-d\"]", true),
        ("columns = [\"grade\"]", false),
        ("purposes = [\"ehds-53-1-e\", \"ehds-54-b\"]", false),
    ] {
        let files = policy("purposes = [\"ehds-54-b\"]", matcher);
        let says = "prohibition no-insurance hits nothing that a permission gives";
        match idle {
            true => finds(&files, Severity::Hint, &line(&files, PATH, "no-insurance"), says),
            false => assert!(added(&files).iter().all(|lint| !lint.en.contains(says)), "{matcher}"),
        }
    }
}

#[test]
fn what_a_permission_leaves_out_is_told() {
    let files = policy("[\"age\", \"grade\"]", "[]");
    finds(
        &files,
        Severity::Hint,
        &line(&files, PATH, "columns "),
        "allows only to count",
    );
    let files = policy("permit    = \"none\"", "permit    = \"required\"");
    finds(
        &files,
        Severity::Hint,
        &line(&files, PATH, "permit "),
        "needs a data permit, and there is none",
    );
}

#[test]
fn ranges_that_are_too_fine_or_empty_are_found() {
    let bins = |edges: String| Files::new().edit(COLLECTION, "[18, 40, 50, 60, 70, 120]", &edges);
    let place = "collections/breast-cancer.toml, column age";
    let years: Vec<u32> = (18..=120).collect();
    let files = bins(format!("{years:?}"));
    finds(
        &files,
        Severity::Warning,
        place,
        "age is as fine as the measurement itself",
    );
    finds(
        &files,
        Severity::Warning,
        place,
        "age falls into 102 parts; an institution needs 1020 people",
    );
    finds(
        &bins("[18, 40.2, 40.8, 120]".to_owned()),
        Severity::Warning,
        place,
        "from 40.2 to under 40.8",
    );
    finds(
        &bins("[0, 18, 40, 120]".to_owned()),
        Severity::Warning,
        place,
        "from 0 to under 18",
    );
    let careless = files.edit(PATH, "min_people = 10", "min_people = 9");
    assert!(added(&careless).iter().all(|lint| !lint.en.contains("as fine as")));
    let days =
        Files::new()
            .edit(COLLECTION, "\"month\"", "\"day\"")
            .edit(PATH, "[\"age\", \"grade\"]", "[\"diagnosed_on\"]");
    finds(
        &days,
        Severity::Warning,
        "collections/breast-cancer.toml, column diagnosed_on",
        "as fine as",
    );
    let unlisted = Files::new().edit(COLLECTION, "\"month\"", "\"day\"");
    assert_eq!(added(&unlisted), []);
}

#[test]
fn permits_that_open_nothing_or_end_are_found() {
    let permit = "id = \"survival\"\nspace = \"oncology\"\ntitle = \"Survival\"\nkind = \"data-permit\"\nissuer = \"Access body\"\n\
                  issued = 2026-02-01\nholder = \"saarland-university\"\npersons = [\"saarland-university/ada\"]\n\
                  purposes = [\"ehds-53-1-e\"]\nvalid_from = 2026-02-01\nvalid_until = 2028-02-01\nopt_out = \"at-query\"\n\
                  [[dataset]]\ncollection = \"breast-cancer\"\ncolumns = [\"age\"]\n";
    let path = "permits/survival.toml";
    let files = |from: &str, to: &str| {
        assert!(permit.contains(from), "{from}");
        Files::new().put(path, &permit.replacen(from, to, 1))
    };
    assert_eq!(added(&files("id", "id")), []);
    let warns = |from: &str, to: &str, says: &str| finds(&files(from, to), Severity::Warning, path, says);
    warns(
        "[\"age\"]",
        "[\"age\", \"meno\"]",
        "no permission on breast-cancer names these columns: meno",
    );
    warns(
        "\"breast-cancer\"",
        "\"gone\"",
        "names gone, for which there is no permission",
    );
    warns("ehds-53-1-e", "ehds-53-1-d", "for these purposes: ehds-53-1-d");
    warns(
        "university/ada\"",
        "university/ada\", \"gbsg/kim\"",
        "for these persons: gbsg/kim",
    );
    warns(
        "holder = \"saarland-university\"",
        "holder = \"elsewhere\"",
        "not on the roster: elsewhere",
    );
    warns("2028-02-01", "2026-12-01", "ends on 2026-12-01");
    let over = |to: &str, says: &str| finds(&files("2028-02-01", to), Severity::Hint, path, says);
    over("2026-11-01", "has expired");
    over("2028-02-01\nwithdrawn = 2026-03-01", "is withdrawn");
}

#[test]
fn cases_and_matrices_that_are_missing_or_not_the_policy_s_are_found() {
    let files = Files::new().without("policies/beds-open.toml");
    let rules = files.rules();
    let id = rules.policies().next().unwrap().id;
    let says = |files: &Files| -> Vec<String> {
        let lints = lint_files(&rules, &files.0);
        lints.iter().map(|lint| lint.sentence(Lang::En)).collect()
    };
    let missing = [
        "policies/breast-cancer-research.cases.toml: the policy has no cases: nothing holds it to what it is meant to decide",
        "policies/breast-cancer-research.matrix.txt: the decision table is missing",
    ];
    assert_eq!(says(&files), missing);
    let text = matrix(&rules, &id, Lang::En).unwrap();
    let files = files.put(&cases_path(&id), "").put(&matrix_path(&id), &text);
    assert_eq!(says(&files), [] as [&str; 0]);
    let old = files.clone().put(&matrix_path(&id), &text.replace("from 10", "from 5"));
    assert_eq!(says(&old).len(), 1);
    assert_eq!(
        says(&files.put("policies/gone.matrix.txt", "")),
        ["policies/gone.matrix.txt: the decision table belongs to no policy"]
    );
}

#[test]
fn what_the_repository_ships_has_hints_at_most_and_no_file_missing() {
    for space in shipped::all() {
        let rules = space.rules();
        let found = lint(&rules, "2026-11-24T12:00:00Z".parse().unwrap());
        let more: Vec<&Lint> = found.iter().filter(|lint| lint.severity > Severity::Hint).collect();
        assert!(more.is_empty(), "{}: {more:#?}", space.folder.display());
        // Whether a matrix is up to date is for matrix/tests/shipped.rs, which can write it anew meanwhile.
        let files = lint_files(&rules, &space.files).into_iter();
        let files: Vec<Lint> = files.filter(|lint| !lint.en.contains("is not the one")).collect();
        assert!(files.is_empty(), "{}: {files:#?}", space.folder.display());
    }
}

/// Two permissions of rows in one policy, with these transforms each.
fn both(first: &str, second: &str) -> Files {
    let rule = format!("[[permission]]{}", ROWS_POLICY.split("[[permission]]").nth(1).unwrap());
    let second = format!(
        "{}{second}\n",
        rule.replace("\"rows\"\nassignee", "\"second\"\nassignee")
    );
    Files::new().put(ROWS_PATH, &format!("{ROWS_POLICY}{first}\n{second}"))
}

#[test]
fn a_permission_that_shows_less_is_shadowed_and_one_that_shows_more_of_something_is_not() {
    let shadowed = |first: &str, second: &str| {
        let found = found(&both(first, second));
        found
            .into_iter()
            .filter(|lint| lint.en.contains("gives nothing that") || lint.en.contains("can never apply"))
            .map(|lint| lint.en)
            .collect::<Vec<_>>()
    };
    let says = "permission second gives nothing that rows does not give too, on no more conditions";
    for (first, second) in [
        ("", "age = \"bins\""),
        ("age = \"bins\"", "age = \"mask\""),
        ("grade = { prefix = 2 }", "grade = { prefix = 1 }\nage = \"mask\""),
    ] {
        assert_eq!(shadowed(first, second), [says], "{first} / {second}");
    }
    for (first, second) in [
        ("age = \"bins\"", "grade = \"mask\""),
        ("grade = \"mask\"", "age = \"mask\"\ndiagnosed_on = \"mask\""),
    ] {
        assert_eq!(shadowed(first, second), [""; 0], "{first} / {second}");
    }
    // Neither shows less than the other of ages, and the first one is always taken.
    let never = shadowed("age = \"bins\"", "age = \"pseudonym\"\ngrade = \"mask\"");
    assert!(
        matches!(&never[..], [one] if one.contains("permission second can never apply")),
        "{never:?}"
    );
}

#[test]
fn a_permission_that_withholds_zeros_is_shadowed_by_one_that_does_not() {
    let strict = PERMISSION.replace("min_people = 10", "min_people = 10, zeros = \"protected\"");
    let files = policy("\n\n[[prohibition]]", &strict);
    let place = line(&files, PATH, "\"second\"");
    let says = "permission second gives nothing that statistics does not give too";
    finds(&files, Severity::Warning, &place, says);
    let files = policy("min_people = 10", "min_people = 10\nzeros = \"protected\"");
    let files = files.edit(PATH, "\n\n[[prohibition]]", PERMISSION);
    assert!(added(&files).iter().all(|lint| !lint.en.contains("permission second")));
}

/// The example with models under this table.
fn with_models(keys: &str) -> Files {
    policy("\"aggregates\"", "\"models\"").edit(
        PATH,
        "min_people = 10\n",
        &format!("min_people = 10\n\n[permission.models]\n{keys}\n"),
    )
}

#[test]
fn models_that_show_the_sums_of_few_institutions_or_have_many_parameters_are_found() {
    let few = with_models("sum = \"plain\"\nmin_nodes = 2");
    let place = line(&few, PATH, "[permission.models]");
    finds(&few, Severity::Hint, &place, "sees the sums of each institution");
    let many = with_models("sum = \"masked\"\nparameters = 0.2\nreason = \"few\"");
    let place = line(&many, PATH, "[permission.models]");
    finds(
        &many,
        Severity::Warning,
        &place,
        "allows 0.2 parameters for each person",
    );
    // Models that come with rows are no more than the rows.
    let careful = found(&with_models("sum = \"plain\"\nmin_nodes = 3"));
    let rows = found(&Files::new().put(ROWS_PATH, ROWS_POLICY));
    for lint in careful.iter().chain(&rows) {
        assert!(
            !lint.en.contains("parameters") && !lint.en.contains("sums"),
            "{}",
            lint.en
        );
    }
}

#[test]
fn a_permission_that_binds_models_more_is_shadowed_by_one_that_binds_them_less() {
    let second = |keys: &str| {
        PERMISSION.replace("\"aggregates\"", "\"models\"").replace(
            "min_people = 10 }",
            &format!("min_people = 10 }}\nmodels = {{ {keys} }}"),
        )
    };
    let files =
        |keys: &str| with_models("sum = \"plain\"\nsteps = 30").edit(PATH, "\n\n[[prohibition]]", &second(keys));
    let shadowed = |keys: &str| {
        let found = added(&files(keys));
        found
            .iter()
            .any(|lint| lint.en.contains("permission second gives nothing"))
    };
    assert!(shadowed("sum = \"masked\"") && shadowed("sum = \"plain\", min_nodes = 5"));
    assert!(!shadowed("sum = \"plain\", min_nodes = 2") && !shadowed("sum = \"masked\", steps = 31"));
}
