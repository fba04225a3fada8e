use std::collections::BTreeMap;

use policy::{AccessRequest, Asked, Caller, Grant, Release, Rules};
use terms::{CollectionId, Problem, UtcTime};
use trust::Digest;

use super::{Changed, Provision, Registers};

const MDAT_USE: &str = "2.16.840.1.113883.3.1937.777.24.5.3.8";

fn at(text: &str) -> UtcTime {
    format!("{text}T12:00:00Z").parse().unwrap()
}

fn collection() -> CollectionId {
    "stays".parse().unwrap()
}

struct World {
    folder: tempfile::TempDir,
    rules: Rules,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            rules: rules(),
        }
    }

    /// Opened anew each time, as another process would.
    fn registers(&self) -> Registers {
        Registers::open(&self.folder.path().join("registers.sqlite")).unwrap()
    }

    fn grant(&self, role: &str, permit: Option<&str>) -> Grant {
        let request = AccessRequest {
            caller: Caller {
                member: "uni".parse().unwrap(),
                person: "ada".parse().unwrap(),
                roles: [role.parse().unwrap()].into(),
            },
            purpose: Some(terms::Purpose::Research),
            permit: permit.map(|id| id.parse().unwrap()),
            collection: collection(),
            release: Release::Aggregates,
            columns: ["ward".to_owned()].into(),
            asked: Asked::default(),
            at: at("2026-06-01"),
        };
        policy::decide(&self.rules, &request)
            .into_grant()
            .unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }
}

fn rules() -> Rules {
    let permit = |id: &str, opt_out: &str| {
        let text = format!(
            "id = \"{id}\"\nspace = \"s\"\ntitle = \"t {id}\"\nkind = \"data-request\"\nissuer = \"body\"\n\
             issued = 2026-02-01\nholder = \"uni\"\npersons = [\"uni/ada\"]\npurposes = [\"ehds-53-1-e\"]\n\
             valid_from = 2026-02-01\nvalid_until = 2027-01-01\n{opt_out}\n\
             [[dataset]]\ncollection = \"stays\"\ncolumns = [\"ward\"]\n"
        );
        (format!("permits/{id}.toml"), text)
    };
    let rule = |id: &str, role: &str, rows: &str| {
        format!(
            "[[permission]]\nid = \"{id}\"\nassignee = {{ roles = [\"{role}\"] }}\npurposes = [\"ehds-53-1-e\"]\n\
             permit = \"none\"\nrelease = \"aggregates\"\ncolumns = [\"ward\"]\n{rows}\n\
             disclosure = {{ tier = \"statistical\", min_people = 2 }}\n"
        )
    };
    let policy = format!(
        "id = \"p\"\nversion = 1\ntitle = \"p\"\ncollection = \"stays\"\nvalid_from = 2026-01-01\nvalid_until = 2026-12-31\n{}{}",
        rule("all", "plain", ""),
        rule("agreed", "consenting", "rows = \"broad\"")
    );
    let collection = format!(
        "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"patient\"\n\
         [columns.patient]\ntype = \"text\"\nrole = \"identifier\"\n\
         [columns.ward]\ntype = \"text\"\nrole = \"group\"\nvalues = [\"a\", \"b\"]\n\
         [filters.broad]\nconsent = [\"{MDAT_USE}\"]\n"
    );
    let members = "[[member]]\nid = \"uni\"\ntitle = \"U\"\nroles = [\"plain\", \"consenting\"]\n\
                   key = \"ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"\n";
    let files: BTreeMap<String, Vec<u8>> = [
        ("space.toml".to_owned(), "id = \"s\"\ntitle = \"S\"\n".to_owned()),
        ("members.toml".to_owned(), members.to_owned()),
        ("collections/stays.toml".to_owned(), collection),
        ("policies/p.toml".to_owned(), policy),
        permit("now", "opt_out = \"at-query\""),
        permit("then", "opt_out = \"at-issue\""),
        permit("exempt", "opt_out = \"exempt\"\nopt_out_reason = \"law\""),
    ]
    .map(|(path, text)| (path, text.into_bytes()))
    .into();
    Rules::compile_files(1, Digest::of(b""), &files).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn keys_and_times_that_cannot_be_are_refused_and_nothing_is_changed() {
    let world = World::new();
    let registers = world.registers();
    let now = at("2026-06-01");
    let refuse = |persons: &[&str], when| {
        let refused = registers.opt_out(&collection(), persons.iter().copied(), when, now);
        assert_eq!(refused.unwrap_err().problem, Problem::FileValue);
    };
    refuse(&["p1", ""], now);
    refuse(&["p1", "two\nlines"], now);
    refuse(&[&"x".repeat(257)], now);
    refuse(&["p1"], at("2026-06-02"));
    assert_eq!(registers.opt_outs(&collection()).unwrap(), []);
}

#[test]
fn who_opts_out_is_gone_at_the_next_query_also_for_a_node_that_runs() {
    let world = World::new();
    let (node, operator) = (world.registers(), world.registers());
    let now = at("2026-06-01");
    assert!(node.people(&world.grant("plain", None), now).unwrap().has("p1"));
    operator.opt_out(&collection(), [" p1 "], now, now).unwrap();
    let people = node.people(&world.grant("plain", None), now).unwrap();
    assert!(!people.has("p1") && people.has("p2"));
    operator
        .withdraw(&collection(), ["p1"], at("2026-06-02"), at("2026-06-02"))
        .unwrap();
    assert!(
        node.people(&world.grant("plain", None), at("2026-06-03"))
            .unwrap()
            .has("p1")
    );
}

#[test]
fn both_times_are_remembered_and_a_repetition_changes_neither() {
    let world = World::new();
    let registers = world.registers();
    let (first, second, third) = (at("2026-01-10"), at("2026-03-01"), at("2026-05-01"));
    let now = at("2026-06-01");
    registers.opt_out(&collection(), ["p1"], first, now).unwrap();
    let again = registers.opt_out(&collection(), ["p1"], second, now).unwrap();
    assert_eq!(
        again,
        Changed {
            changed: 0,
            unchanged: 1
        }
    );
    registers.withdraw(&collection(), ["p1"], second, now).unwrap();
    registers.opt_out(&collection(), ["p1"], now, now).unwrap();
    let earlier = registers.opt_out(&collection(), ["p1"], third, now).unwrap();
    assert_eq!(
        (earlier.changed, earlier.unchanged),
        (1, 0),
        "the person said so earlier than was recorded"
    );
    let times: Vec<_> = world
        .registers()
        .opt_outs(&collection())
        .unwrap()
        .into_iter()
        .map(|entry| (entry.made, entry.withdrawn))
        .collect();
    assert_eq!(times, [(first, Some(second)), (third, None)]);
}

#[test]
fn a_permit_names_which_state_of_the_register_holds() {
    let world = World::new();
    let registers = world.registers();
    let now = at("2026-06-01");
    // Issued on 1 February: p1 was out before, p2 opted out afterwards, p3 was out then and is back.
    registers
        .opt_out(&collection(), ["p1", "p3"], at("2026-01-10"), now)
        .unwrap();
    registers.opt_out(&collection(), ["p2"], at("2026-03-01"), now).unwrap();
    registers
        .withdraw(&collection(), ["p3"], at("2026-04-01"), now)
        .unwrap();
    let there = |permit: &str| {
        let people = registers.people(&world.grant("plain", Some(permit)), now).unwrap();
        ["p1", "p2", "p3", "p4"].map(|person| people.has(person))
    };
    assert_eq!(there("now"), [false, false, true, true]);
    assert_eq!(there("then"), [false, true, false, true]);
    assert_eq!(there("exempt"), [true; 4]);
}

fn provision(person: &str, code: &str, permits: bool, from: &str, until: &str) -> Provision {
    Provision {
        person: person.to_owned(),
        code: code.to_owned(),
        permits,
        valid_from: at(from),
        valid_until: at(until),
    }
}

#[test]
fn only_who_consents_now_and_to_this_provision_is_there() {
    let world = World::new();
    let registers = world.registers();
    let grant = || world.grant("consenting", None);
    assert!(
        !registers.people(&grant(), at("2026-06-01")).unwrap().has("p1"),
        "no consents are kept"
    );
    let provisions = [
        provision("p1", MDAT_USE, true, "2025-01-01", "2030-01-01"),
        provision("p2", "another.code", true, "2025-01-01", "2030-01-01"),
        provision("p3", MDAT_USE, true, "2025-01-01", "2026-06-15"),
        provision("p4", MDAT_USE, true, "2025-01-01", "2030-01-01"),
        provision("p4", MDAT_USE, false, "2026-01-01", "2030-01-01"),
        provision("p5", MDAT_USE, true, "2026-06-10", "2030-01-01"),
    ];
    world.registers().replace_consents(&collection(), &provisions).unwrap();
    let there = |day: &str| {
        let people = registers.people(&grant(), at(day)).unwrap();
        ["p1", "p2", "p3", "p4", "p5"].map(|person| people.has(person))
    };
    assert_eq!(there("2026-06-01"), [true, false, true, false, false]);
    assert_eq!(there("2026-06-12"), [true, false, true, false, true]);
    assert_eq!(there("2026-06-16"), [true, false, false, false, true]);
    // Asked about an earlier time again, after a clock was set back.
    assert_eq!(there("2026-06-01"), [true, false, true, false, false]);
    let people = registers.people(&world.grant("plain", None), at("2026-06-01")).unwrap();
    assert!(people.has("p2"), "another permission does not ask for consent");
}

#[test]
fn an_opt_out_beats_a_consent() {
    let world = World::new();
    let registers = world.registers();
    let now = at("2026-06-01");
    let provisions = [provision("p1", MDAT_USE, true, "2025-01-01", "2030-01-01")];
    registers.replace_consents(&collection(), &provisions).unwrap();
    registers.opt_out(&collection(), ["p1"], now, now).unwrap();
    assert!(
        !registers
            .people(&world.grant("consenting", None), now)
            .unwrap()
            .has("p1")
    );
}

#[test]
fn a_damaged_register_answers_nothing() {
    let world = World::new();
    let path = world.folder.path().join("registers.sqlite");
    std::fs::write(
        &path,
        b"not a database, and longer than the header of one would be ".repeat(40),
    )
    .unwrap();
    let refused = Registers::open(&path).unwrap_err();
    assert_eq!(refused.problem, Problem::AuditUnavailable);
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let registers = world.registers();
    registers
        .opt_out(&collection(), ["p1"], at("2026-01-01"), at("2026-06-01"))
        .unwrap();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[test]
fn files_of_keys_and_consents_name_the_line_that_is_wrong_and_not_what_stands_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| {
        let path = folder.path().join("list");
        std::fs::write(&path, text).unwrap();
        path
    };
    let keys = super::file::keys(&write("# people\np1\n\n p2 \n")).unwrap();
    assert_eq!(keys, ["p1", "p2"]);
    let head = "person,code,decision,valid_from,valid_until\n";
    let good = super::file::provisions(&write(&format!(
        "{head}p1,{MDAT_USE},permit,2025-01-01,2030-01-01T00:00:00+01:00\n"
    )));
    assert_eq!(good.unwrap()[0].code, MDAT_USE);
    for (text, line) in [
        ("person;code\n".to_owned(), "line 1"),
        (format!("{head}secret,c,maybe,2025-01-01,2030-01-01\n"), "line 2"),
        (
            format!("{head}p1,c,permit,2025-01-01,2030-01-01\nsecret,c,permit,soon,2030-01-01\n"),
            "line 3",
        ),
        (format!("{head}secret,c\n"), "line 2"),
    ] {
        let refused = super::file::provisions(&write(&text)).unwrap_err();
        assert_eq!(refused.problem, Problem::FileValue);
        assert!(
            refused.message.contains(line) && !refused.message.contains("secret"),
            "{refused}"
        );
    }
}
