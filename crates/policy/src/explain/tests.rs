use terms::Problem;

use super::{Explanation, explain};
use crate::example::{Files, ada, with_rows};
use crate::{AccessRequest, Decision, Lang, Release, decide};

const PATH: &str = "policies/breast-cancer-research.toml";

fn ask(files: &Files, request: &AccessRequest, lang: Lang) -> Explanation {
    explain(&files.rules(), &files.0, request, lang)
}

/// The quoted lines, without their path when it is that of the policy.
fn lines(explanation: &Explanation) -> Vec<String> {
    let words = explanation.because.iter();
    words
        .map(|words| match words.path == PATH {
            true => words.text.clone(),
            false => format!("{}: {}", words.path, words.text),
        })
        .collect()
}

fn asking(change: impl FnOnce(&mut AccessRequest)) -> AccessRequest {
    let mut request = ada();
    change(&mut request);
    request
}

fn columns(names: &[&str]) -> AccessRequest {
    asking(|request| request.columns = names.iter().map(|name| (*name).to_owned()).collect())
}

fn permit(change: &str) -> String {
    format!(
        "id = \"survival\"\nspace = \"oncology\"\ntitle = \"Survival\"\nkind = \"data-request\"\nissuer = \"Access body\"\n\
         issued = 2026-02-01\nholder = \"saarland-university\"\npersons = [\"saarland-university/ada\"]\n\
         purposes = [\"ehds-53-1-e\"]\nvalid_from = 2026-02-01\nvalid_until = 2027-02-01\nopt_out = \"at-issue\"\n{change}\n\
         [[dataset]]\ncollection = \"breast-cancer\"\ncolumns = [\"age\"]\n"
    )
}

/// A request and the files for every reason to refuse one.
fn refusals() -> Vec<(Files, AccessRequest, Vec<&'static str>)> {
    let files = Files::new;
    let none: Vec<&str> = Vec::new();
    let with = |change: &str| files().put("permits/survival.toml", &permit(change));
    let named = |mut request: AccessRequest| {
        request.permit = Some("survival".parse().unwrap());
        request
    };
    let rule = "id        = \"statistics\"";
    vec![
        (files(), asking(|it| it.caller.member = "elsewhere".parse().unwrap()), none.clone()),
        (files(), asking(|it| it.purpose = None), none.clone()),
        (
            files(),
            asking(|it| it.purpose = Some("ehds-54-b".parse().unwrap())),
            vec!["id       = \"no-insurance\"", "purposes = [\"ehds-54-b\"]"],
        ),
        (
            files().edit(PATH, "purposes = [\"ehds-54-b\"]", "columns = [\"grade\",\n  \"age\"]"),
            ada(),
            vec!["id       = \"no-insurance\"", "\"age\"]"],
        ),
        (files(), asking(|it| it.permit = Some("none".parse().unwrap())), none.clone()),
        (
            with(""),
            named(asking(|it| it.caller.person = "bea".parse().unwrap())),
            vec!["permits/survival.toml: persons = [\"saarland-university/ada\"]"],
        ),
        (
            with(""),
            named(asking(|it| it.at = "2027-03-01T00:00:00Z".parse().unwrap())),
            vec!["permits/survival.toml: valid_until = 2027-02-01"],
        ),
        (
            with("withdrawn = 2026-03-01"),
            named(ada()),
            vec!["permits/survival.toml: withdrawn = 2026-03-01"],
        ),
        (
            with(""),
            named(columns(&["grade"])),
            vec![
                "permits/survival.toml: collection = \"breast-cancer\"",
                "permits/survival.toml: columns = [\"age\"]",
            ],
        ),
        (
            with("queries = { per_week = 1 }"),
            named(asking(|it| it.asked.permit_week = 1)),
            vec!["permits/survival.toml: queries = { per_week = 1 }"],
        ),
        (
            files(),
            asking(|it| it.purpose = Some("ehds-53-1-c".parse().unwrap())),
            vec!["members.toml: roles = [\"university\"]"],
        ),
        (
            files(),
            asking(|it| it.caller.roles = ["hospital".parse().unwrap()].into()),
            vec![
                rule,
                "assignee  = { roles = [\"university\", \"public-health-office\"] }",
                "members.toml: roles = [\"university\"]",
            ],
        ),
        (
            files(),
            asking(|it| it.at = "2028-01-01T00:00:00Z".parse().unwrap()),
            vec!["valid_from  = 2026-01-01", "valid_until = 2027-12-31"],
        ),
        (
            files(),
            asking(|it| it.purpose = Some("ehds-53-1-d".parse().unwrap())),
            vec![rule, "purposes  = [\"ehds-53-1-c\", \"ehds-53-1-e\"]"],
        ),
        (
            files(),
            columns(&["meno"]),
            vec![rule, "columns   = [\"age\", \"grade\"]"],
        ),
        (
            files().edit(PATH, "permit    = \"none\"", "permit    = \"required\""),
            ada(),
            vec![rule, "permit    = \"required\""],
        ),
        (
            files().edit(
                PATH,
                "permit    =",
                "when = [{ days = [\"mon\"], from = 08:00:00, until = 09:00:00, zone = \"Europe/Berlin\" }]\npermit    =",
            ),
            ada(),
            vec![
                rule,
                "when = [{ days = [\"mon\"], from = 08:00:00, until = 09:00:00, zone = \"Europe/Berlin\" }]",
            ],
        ),
        (
            files().edit(PATH, "min_people = 10", "min_people = 10\nqueries = { per_minute = 3 }"),
            asking(|it| it.asked.minute = 3),
            vec![rule, "queries = { per_minute = 3 }"],
        ),
        (files().without(PATH), ada(), none),
    ]
}

#[test]
fn a_refusal_quotes_the_lines_that_decide_and_nothing_else() {
    for (files, request, expected) in refusals() {
        let explanation = ask(&files, &request, Lang::En);
        assert!(!explanation.allowed && explanation.obligations.is_empty());
        assert_eq!(lines(&explanation), expected, "{}", explanation.sentence);
        for words in &explanation.because {
            let text = String::from_utf8(files.0[&words.path].clone()).unwrap();
            assert_eq!(text.lines().nth(words.line - 1).unwrap().trim(), words.text);
        }
    }
}

#[test]
fn an_english_refusal_is_the_one_that_a_data_user_reads() {
    for (files, request, _) in refusals() {
        let Decision::Refuse(refusal) = decide(&files.rules(), &request) else {
            panic!("{request:?} is allowed");
        };
        let explanation = ask(&files, &request, Lang::En);
        assert_eq!(explanation.problem, Some(refusal.problem));
        assert_eq!(explanation.sentence, format!("No: {}", refusal.message));
        assert_eq!(explanation.remedy, Some(refusal.remedy));
    }
}

#[test]
fn every_reason_to_refuse_has_a_german_sentence_and_a_german_remedy() {
    let mut sentences = std::collections::BTreeSet::new();
    for (files, request, _) in refusals() {
        let (de, en) = (ask(&files, &request, Lang::De), ask(&files, &request, Lang::En));
        assert_eq!((&de.problem, &de.because), (&en.problem, &en.because));
        assert!(de.sentence.starts_with("Nein: "), "{}", de.sentence);
        assert_ne!(de.remedy, en.remedy, "{}", de.sentence);
        for word in [" the ", " is ", " of ", "permission "] {
            let german = format!("{} {}", de.sentence, de.remedy.as_deref().unwrap());
            assert!(!german.contains(word), "{german}");
        }
        sentences.insert(de.sentence);
    }
    assert_eq!(sentences.len(), refusals().len());
}

#[test]
fn a_stop_is_explained_without_a_line() {
    let mut stops = crate::Stops::default();
    stops.policies.insert("breast-cancer-research".parse().unwrap());
    let files = Files::new();
    let rules = files.rules().with_stops(stops);
    let explanation = explain(&rules, &files.0, &ada(), Lang::De);
    assert_eq!(explanation.problem, Some(Problem::Stopped));
    let says = "Nein: ein Mitglied des Gremiums hat das Regelwerk breast-cancer-research gestoppt";
    assert_eq!((explanation.sentence.as_str(), explanation.because), (says, Vec::new()));
}

#[test]
fn a_yes_names_what_holds_for_the_answer_and_the_lines_that_say_so() {
    let files = Files::new()
        .edit(
            PATH,
            "min_people = 10",
            "min_people = 10\nqueries = { per_week = 40 }\n\n[[permission.duty]]\naction = \"delete\"\nwithin_days = 30",
        )
        .put("permits/survival.toml", &permit(""));
    let request = asking(|request| request.permit = Some("survival".parse().unwrap()));
    let en = ask(&files, &request, Lang::En);
    assert!(en.allowed && en.problem.is_none() && en.remedy.is_none());
    let says = "Yes: saarland-university/ada gets statistics of breast-cancer over age for ehds-53-1-e (scientific research); \
                permission statistics of breast-cancer-research version 3 says so";
    assert_eq!(en.sentence, says);
    let obligations = [
        "statistics only, no single rows",
        "no number about fewer than 10 people of one institution",
        "only rows with: consent_research",
        "people who had opted out by 2026-02-01T00:00:00Z are left out: when the permit was issued (Art. 71(3))",
        "one person may ask 40 times in seven days",
        "duty: delete within 30 days",
        "until 2027-12-31 (UTC)",
    ];
    assert_eq!(en.obligations, obligations);
    let lines = lines(&en);
    for line in [
        "columns   = [\"age\", \"grade\"]",
        "min_people = 10",
        "rows      = \"research_consent\"",
        "queries = { per_week = 40 }",
        "within_days = 30",
        "permits/survival.toml: persons = [\"saarland-university/ada\"]",
        "permits/survival.toml: columns = [\"age\"]",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
    let de = ask(&files, &request, Lang::De);
    assert!(
        de.sentence
            .starts_with("Ja: saarland-university/ada bekommt Statistik aus breast-cancer über age")
    );
    assert_eq!(de.obligations.len(), en.obligations.len());
    assert!(de.obligations.iter().all(|text| !en.obligations.contains(text)));
}

#[test]
fn an_explanation_without_the_files_has_no_lines_and_is_the_same_answer() {
    let files = Files::new();
    let explanation = explain(&files.rules(), &std::collections::BTreeMap::new(), &ada(), Lang::En);
    assert!(explanation.allowed && explanation.because.is_empty());
    assert_eq!(explanation.sentence, ask(&files, &ada(), Lang::En).sentence);
}

#[test]
fn rows_are_explained_with_what_is_shown_of_what_was_asked_for() {
    let transforms = "age = \"bins\"\ngrade = \"mask\"";
    let files = with_rows(transforms).with_permit(&[("opt_out", "queries = { per_week = 40 }\nopt_out")]);
    let request = asking(|request| {
        request.permit = Some("p-1".parse().unwrap());
        request.release = Release::Rows;
    });
    let en = ask(&files, &request, Lang::En);
    let obligations = [
        "single rows under a data permit only, without checks of numbers",
        "of age: only the range",
        "people who have opted out when the query runs are left out (Art. 71)",
        "all persons of the permit together may ask 40 times in seven days",
        "until 2027-12-31 (UTC)",
    ];
    assert_eq!(en.obligations, obligations);
    let because: Vec<&str> = en.because.iter().map(|words| words.text.as_str()).collect();
    assert!(
        because.contains(&"age = \"bins\"") && !because.contains(&"grade = \"mask\""),
        "{because:#?}"
    );
    let de = ask(&files, &request, Lang::De);
    assert_eq!(de.obligations[1], "von age: nur der Bereich");
    assert_eq!(de.obligations.len(), en.obligations.len());
    assert!(de.obligations.iter().all(|text| !en.obligations.contains(text)));
}

#[test]
fn withheld_zeros_are_an_obligation_with_their_line() {
    let files = Files::new().edit(PATH, "min_people = 10", "min_people = 10\nzeros = \"protected\"");
    let en = ask(&files, &ada(), Lang::En);
    let says = "no number about fewer than 10 people of one institution; nor that nobody is in a cell";
    assert!(en.obligations.contains(&says.to_owned()), "{:#?}", en.obligations);
    assert!(lines(&en).contains(&"zeros = \"protected\"".to_owned()));
}

#[test]
fn a_quota_of_a_permit_is_explained_as_that_of_all_its_persons() {
    let files = Files::new().with_permit(&[("opt_out", "queries = { per_week = 2 }\nopt_out")]);
    let request = asking(|request| {
        request.permit = Some("p-1".parse().unwrap());
        request.asked.permit_week = 2;
    });
    let de = ask(&files, &request, Lang::De);
    let says = "Nein: die Datengenehmigung p-1 lässt alle ihre Personen zusammen 2 mal in sieben Tagen fragen";
    assert_eq!((de.problem, de.sentence.as_str()), (Some(Problem::Quota), says));
}

#[test]
fn models_are_explained_with_the_lines_and_rules_of_their_table() {
    let files = Files::new().edit(PATH, "\"aggregates\"", "\"models\"").edit(
        PATH,
        "min_people = 10\n",
        "min_people = 10\n\n[permission.models]\nsum = \"masked\"\nsteps = 12\n",
    );
    let request = asking(|it| it.release = Release::Models);
    let yes = ask(&files, &request, Lang::En);
    assert!(
        yes.allowed && yes.sentence.contains("gets models of breast-cancer"),
        "{}",
        yes.sentence
    );
    let quoted = lines(&yes);
    for line in ["sum = \"masked\"", "steps = 12"] {
        assert!(quoted.contains(&line.to_owned()), "{quoted:#?}");
    }
    let [only, rules, ..] = yes.obligations.as_slice() else {
        panic!("{yes:#?}")
    };
    assert_eq!(only, "only sums for models, no single rows");
    assert!(
        rules.starts_with("no number about fewer than 10 people") && rules.contains("at most 12 steps"),
        "{rules}"
    );
    // Of statistics under the same permission nothing of it is said.
    assert!(!lines(&ask(&files, &ada(), Lang::En)).contains(&"steps = 12".to_owned()));
    let de = ask(&files, &request, Lang::De);
    assert!(de.sentence.contains("bekommt Modelle"), "{}", de.sentence);
    let no = ask(&Files::new(), &request, Lang::De);
    assert!(no.sentence.ends_with("deckt Modelle nicht"), "{}", no.sentence);
    assert_eq!(no.remedy.as_deref(), Some("nur nach Statistik fragen"));
    assert!(lines(&no).iter().any(|line| line.starts_with("release")), "{no:#?}");
}
