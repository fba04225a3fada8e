//! Many small data spaces and requests, made from numbered seeds, on which both decisions must agree.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use terms::{CollectionId, MemberId, PermitId, PersonId, Purpose, RoleName};
use toml::Table;
use trust::stop::Stopped;

use super::{World, decides, tables, texts};
use crate::decide::decide;
use crate::example::{BEDS, COLLECTION, Files, MEMBERS as ROSTER, SPACE, ada};
use crate::{AccessRequest, Asked, Release, Rules, Stops};

const SPACES: u64 = 1_000;
const REQUESTS: u64 = 20;

const MEMBERS: [&str; 3] = ["gbsg", "saarland-university", "health-office"];
const ROLES: [&str; 4] = ["hospital", "university", "public-health-office", "public-body"];
const PERSONS: [&str; 4] = [
    "saarland-university/ada",
    "saarland-university/bob",
    "gbsg/ada",
    "health-office/bob",
];
const PURPOSES: [&str; 6] = [
    "ehds-53-1-a",
    "ehds-53-1-b",
    "ehds-53-1-c",
    "ehds-53-1-d",
    "ehds-53-1-e",
    "ehds-53-1-f",
];
const COLLECTIONS: [(&str, [&str; 4]); 2] = [
    ("breast-cancer", ["age", "grade", "meno", "node"]),
    ("beds", ["district", "beds", "node", "district"]),
];
/// The borders of the days, permits and windows below, with instants on both sides.
const TIMES: [&str; 14] = [
    "2025-12-31T23:59:59Z",
    "2026-01-01T00:00:00Z",
    "2026-03-28T23:30:00Z",
    "2026-03-29T01:00:00Z",
    "2026-06-30T23:59:59.9Z",
    "2026-07-01T00:00:00Z",
    "2026-07-01T06:00:00Z",
    "2026-09-14T05:59:59Z",
    "2026-09-14T06:00:00Z",
    "2026-10-24T22:30:00Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z",
    "2026-11-21T12:00:00Z",
    "2026-12-31T23:00:00Z",
];
const DAYS: [(&str, &str); 4] = [
    ("2026-01-01", "2026-12-31"),
    ("2026-01-01", "2027-12-31"),
    ("2026-01-01", "2026-06-30"),
    ("2026-07-01", "2026-12-31"),
];

/// A small generator of numbers (xorshift*): the same seed, the same numbers.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % most
    }

    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Some of them, one at least, each with this share.
    fn some<'a>(&mut self, of: &[&'a str], share: usize) -> Vec<&'a str> {
        let mut some: Vec<&str> = of.iter().copied().filter(|_| self.percent(share)).collect();
        if some.is_empty() {
            some.push(self.pick(of));
        }
        some.sort_unstable();
        some.dedup();
        some
    }
}

fn assignee(dice: &mut Dice) -> String {
    let keys = match dice.below(8) {
        0 => format!("members = {:?}", dice.some(&MEMBERS, 60)),
        1 => format!("persons = {:?}", dice.some(&PERSONS, 60)),
        2 => format!(
            "roles = {:?}, members = {:?}",
            dice.some(&ROLES, 50),
            dice.some(&MEMBERS, 60)
        ),
        _ => format!("roles = {:?}", dice.some(&ROLES, 50)),
    };
    format!("assignee = {{ {keys} }}\n")
}

fn when(dice: &mut Dice) -> String {
    let window = |dice: &mut Dice| {
        let days = dice.some(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 60);
        let (from, until) = *dice.pick(&[
            &("08:00:00", "20:00:00"),
            &("22:00:00", "06:00:00"),
            &("02:00:00", "02:00:00"),
            &("02:30:00", "14:00:00"),
        ]);
        let zone = dice.pick(&["Europe/Berlin", "UTC", "Pacific/Auckland"]);
        format!("{{ days = {days:?}, from = {from}, until = {until}, zone = \"{zone}\" }}")
    };
    let windows: Vec<String> = (0..=dice.below(3)).map(|_| window(dice)).collect();
    format!("when = [{}]\n", windows.join(", "))
}

fn queries(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => format!("queries = {{ per_minute = {} }}", 1 + dice.below(3)),
        1 => format!("queries = {{ per_week = {} }}", 1 + dice.below(5)),
        _ => format!(
            "queries = {{ per_minute = {}, per_week = {} }}",
            1 + dice.below(3),
            1 + dice.below(5)
        ),
    }
}

fn duties(dice: &mut Dice, table: &str) -> String {
    match dice.below(8) {
        0 => format!(
            "[[{table}]]\naction = \"delete\"\nwithin_days = {}\n",
            30 * (1 + dice.below(3))
        ),
        1 => format!(
            "[[{table}]]\naction = \"publish-results\"\nwithin_days = {}\n",
            30 * (1 + dice.below(3))
        ),
        2 => format!("[[{table}]]\naction = \"attribute\"\ntext = \"gbsg\"\n"),
        _ => String::new(),
    }
}

/// What rows show of some of these columns.
fn transforms(dice: &mut Dice, columns: &[&str]) -> String {
    let mut shown = Vec::new();
    for column in columns {
        let fitting: &[&str] = match *column {
            "age" => &["\"bins\"", "\"pseudonym\"", "\"mask\""],
            "grade" | "district" => &["{ prefix = 1 }", "{ prefix = 2 }", "\"pseudonym\"", "\"mask\""],
            "meno" | "beds" => &["\"mask\""],
            _ => continue,
        };
        if dice.percent(40) {
            shown.push(format!("{column} = {}", dice.pick(fitting)));
        }
    }
    format!("transforms = {{ {} }}\n", shown.join(", "))
}

/// What fits must keep to; whatever is left out has its default.
fn models(dice: &mut Dice) -> String {
    let sum = dice.pick(&["sum = \"plain\"", "sum = \"plain\", min_nodes = 2", "sum = \"masked\""]);
    let share = dice.pick(&[
        "",
        ", parameters = 0.05",
        ", parameters = 0.33, reason = \"r\"",
        ", parameters = 0.2, reason = \"r\"",
    ]);
    let steps = dice.pick(&["", ", steps = 10", ", steps = 26"]);
    let overlaps = dice.pick(&["", ", overlaps = \"allow\"", ", overlaps = \"refuse\""]);
    format!("models = {{ {sum}{share}{steps}{overlaps} }}\n")
}

fn permission(dice: &mut Dice, number: usize, collection: &str, columns: &[&str]) -> String {
    let personal = collection == "breast-cancer";
    let open = !personal && dice.percent(70);
    let rows = dice.percent(if open { 60 } else { 20 });
    let of_models = !rows && dice.percent(40);
    let release = match (rows, of_models) {
        (true, _) => "rows",
        (false, true) => "models",
        (false, false) => "aggregates",
    };
    let mut text = format!("[[permission]]\nid = \"may-{number}\"\n{}", assignee(dice));
    let permit = match rows && !open {
        true => "required",
        false => dice.pick(&["none", "none", "none", "required"]),
    };
    write!(
        text,
        "purposes = {:?}\npermit = \"{permit}\"\n",
        dice.some(&PURPOSES, 55)
    )
    .unwrap();
    let columns = dice.some(columns, 75);
    write!(text, "release = \"{release}\"\ncolumns = {columns:?}\n").unwrap();
    if rows {
        text.push_str(&transforms(dice, &columns));
    }
    if !open && (of_models || rows && dice.percent(50)) {
        text.push_str(&models(dice));
    }
    if personal && dice.percent(30) {
        text.push_str("rows = \"research_consent\"\n");
    }
    if dice.percent(25) {
        text.push_str(&when(dice));
    }
    let quota = if dice.percent(25) {
        format!("{}\n", queries(dice))
    } else {
        String::new()
    };
    match open {
        true => writeln!(text, "[permission.disclosure]\ntier = \"open\"\n{quota}").unwrap(),
        false => {
            let people = 2 + dice.below(3);
            let zeros = dice.pick(&["", "", "zeros = \"open\"\n", "zeros = \"protected\"\n"]);
            writeln!(
                text,
                "[permission.disclosure]\ntier = \"statistical\"\nmin_people = {people}\n{zeros}{quota}"
            )
            .unwrap();
        }
    }
    text.push_str(&duties(dice, "permission.duty"));
    text
}

fn prohibition(dice: &mut Dice, number: usize, columns: &[&str]) -> String {
    let mut text = format!("[[prohibition]]\nid = \"no-{number}\"\n");
    let mut matchers = String::new();
    while matchers.is_empty() {
        if dice.percent(50) {
            matchers.push_str(&assignee(dice));
        }
        if dice.percent(50) {
            writeln!(matchers, "purposes = {:?}", dice.some(&PURPOSES, 25)).unwrap();
        }
        if dice.percent(30) {
            writeln!(
                matchers,
                "release = \"{}\"",
                dice.pick(&["rows", "models", "aggregates"])
            )
            .unwrap();
        }
        if dice.percent(50) {
            writeln!(matchers, "columns = {:?}", dice.some(columns, 25)).unwrap();
        }
        if dice.percent(25) {
            matchers.push_str(&when(dice));
        }
    }
    text.push_str(&matchers);
    text
}

fn policy(dice: &mut Dice, id: &str) -> String {
    let (collection, columns) = COLLECTIONS[usize::from(dice.percent(30))];
    let (from, until) = DAYS[dice.below(DAYS.len())];
    let mut text = format!(
        "id = \"{id}\"\nversion = 1\ntitle = \"t\"\ncollection = \"{collection}\"\nvalid_from = {from}\nvalid_until = {until}\n"
    );
    text.push_str(&duties(dice, "duty"));
    for number in 0..1 + dice.below(4) {
        text.push_str(&permission(dice, number, collection, &columns));
    }
    for number in 0..[0, 0, 0, 0, 1, 2][dice.below(6)] {
        text.push_str(&prohibition(dice, number, &columns));
    }
    text
}

fn permit(dice: &mut Dice, id: &str) -> String {
    let kind = dice.pick(&["data-permit", "data-request"]);
    let holder = dice.pick(&["saarland-university", "gbsg", "saarland-university", "elsewhere"]);
    let (from, until) = *dice.pick(&[
        &("2026-01-01", "2026-12-31"),
        &("2026-01-01", "2026-12-31"),
        &("2026-07-01T08:00:00+02:00", "2026-11-21T12:00:00Z"),
        &("2026-07-01", "2026-09-14T08:00:00+02:00"),
    ]);
    let mut text = format!(
        "id = \"{id}\"\nspace = \"oncology\"\ntitle = \"t\"\nkind = \"{kind}\"\nissuer = \"i\"\nissued = 2025-12-01\nholder = \"{holder}\"\n\
         persons = {:?}\npurposes = {:?}\nvalid_from = {from}\nvalid_until = {until}\nopt_out = \"at-query\"\n",
        dice.some(&PERSONS, 80),
        dice.some(&PURPOSES, 80),
    );
    if dice.percent(15) {
        text.push_str("withdrawn = 2026-09-14T06:00:00Z\n");
    }
    if dice.percent(30) {
        text.push_str("acts_for = \"Ministry of health\"\n");
    }
    if dice.percent(40) {
        writeln!(text, "{}", queries(dice)).unwrap();
    }
    let both = dice.percent(65);
    let first = dice.below(2);
    for (collection, columns) in COLLECTIONS
        .iter()
        .enumerate()
        .filter(|(n, _)| both || *n == first)
        .map(|(_, it)| it)
    {
        write!(
            text,
            "[[dataset]]\ncollection = \"{collection}\"\ncolumns = {:?}\n",
            dice.some(columns, 90)
        )
        .unwrap();
    }
    text
}

fn roster(dice: &mut Dice) -> String {
    let mut text = ROSTER.to_owned();
    if dice.percent(30) {
        text = text.replacen(
            "[\"university\"]",
            "[\"university\"]\nacts_for = [\"health-office\"]",
            1,
        );
    }
    if dice.percent(20) {
        text = text.replacen("[\"hospital\"]", "[\"hospital\", \"public-body\"]", 1);
    }
    text
}

fn stop(dice: &mut Dice) -> Stopped {
    match dice.below(4) {
        0 => Stopped::Policy(dice.pick(&["a", "b", "c"]).parse().unwrap()),
        1 => Stopped::Permit(dice.pick(&["p-1", "p-2"]).parse().unwrap()),
        2 => Stopped::Member(dice.pick(&MEMBERS).parse().unwrap()),
        _ => {
            let (member, person) = dice.pick(&PERSONS).split_once('/').unwrap();
            Stopped::Person(member.parse().unwrap(), person.parse().unwrap())
        }
    }
}

/// One data space, read in both ways.
fn space(dice: &mut Dice) -> (Rules, World) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut put = |path: &str, text: &str| files.insert(path.to_owned(), text.as_bytes().to_owned());
    put("space.toml", SPACE);
    put("members.toml", &roster(dice));
    put("collections/breast-cancer.toml", COLLECTION);
    put("collections/beds.toml", BEDS);
    for id in &["a", "b", "c", "d"][..1 + dice.below(4)] {
        put(&format!("policies/{id}.toml"), &policy(dice, id));
    }
    for id in ["p-1", "p-2"] {
        if dice.percent(85) {
            put(&format!("permits/{id}.toml"), &permit(dice, id));
        }
    }
    let mut stops = Stops::default();
    let mut stopped = Vec::new();
    for _ in 0..[0, 0, 0, 0, 1, 2][dice.below(6)] {
        let stop = stop(dice);
        stopped.push(stop.to_string());
        stops.add(stop);
    }
    let permits_until = dice.percent(10).then(|| dice.pick(&TIMES).parse().unwrap());
    let tables = files.iter().map(|(path, bytes)| {
        let table: Table = toml::from_str(std::str::from_utf8(bytes).unwrap()).unwrap();
        (path.clone(), table)
    });
    let world = World {
        files: tables.collect(),
        stopped,
        permits_until,
    };
    let mut rules = Files(files).rules().with_stops(stops);
    if let Some(until) = permits_until {
        rules.set_permits_until(until);
    }
    (rules, world)
}

/// A request of anybody for anything.
fn anything(dice: &mut Dice) -> AccessRequest {
    let (collection, columns) = COLLECTIONS[usize::from(dice.percent(30))];
    let member: MemberId = dice
        .pick(&[
            "gbsg",
            "saarland-university",
            "saarland-university",
            "health-office",
            "elsewhere",
        ])
        .parse()
        .unwrap();
    let person: PersonId = dice.pick(&["ada", "ada", "bob"]).parse().unwrap();
    let roles = dice
        .some(&ROLES, 40)
        .into_iter()
        .map(|role| role.parse::<RoleName>().unwrap());
    let purpose = dice.pick(&[&PURPOSES[..], &PURPOSES[3..], &["ehds-54-b"][..]]);
    let permit: Option<PermitId> = dice
        .percent(45)
        .then(|| dice.pick(&["p-1", "p-1", "p-2", "p-3"]).parse().unwrap());
    let minute = u32::try_from(dice.below(3)).unwrap();
    let permit_minute = u32::try_from(dice.below(3)).unwrap();
    AccessRequest {
        caller: crate::Caller {
            member,
            person,
            roles: roles.collect(),
        },
        purpose: dice.percent(95).then(|| dice.pick(purpose).parse().unwrap()),
        permit,
        collection: collection.parse().unwrap(),
        release: match dice.below(10) {
            0 | 1 => Release::Rows,
            2 | 3 => Release::Models,
            _ => Release::Aggregates,
        },
        columns: dice.some(&columns, 30).into_iter().map(str::to_owned).collect(),
        asked: Asked {
            minute,
            week: minute + u32::try_from(dice.below(3)).unwrap(),
            permit_minute,
            permit_week: permit_minute + u32::try_from(dice.below(3)).unwrap(),
        },
        at: dice.pick(&TIMES).parse().unwrap(),
    }
}

/// A request that one of the permissions is about, with something changed now and then.
fn aimed(dice: &mut Dice, world: &World) -> AccessRequest {
    let mut request = anything(dice);
    let policies: Vec<&Table> = world
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("policies/"))
        .map(|it| it.1)
        .collect();
    let policy = dice.pick(&policies);
    let rules: Vec<&Table> = tables(policy, "permission").collect();
    let rule = dice.pick(&rules);
    request.collection = policy["collection"].as_str().unwrap().parse::<CollectionId>().unwrap();
    let purposes = texts(rule, "purposes").unwrap();
    request.purpose = Some(purposes[dice.below(purposes.len())].parse::<Purpose>().unwrap());
    request.release = match rule["release"].as_str() {
        Some("rows") => Release::ALL[[0, 1, 2, 2][dice.below(4)]],
        Some("models") => Release::ALL[dice.below(2)],
        _ => Release::Aggregates,
    };
    let columns = texts(rule, "columns").unwrap();
    request.columns = columns.into_iter().filter(|_| dice.percent(50)).collect();
    let assignee = rule["assignee"].as_table().unwrap();
    request.caller.member = dice.pick(&MEMBERS).parse().unwrap();
    if let Some(persons) = texts(assignee, "persons") {
        let (member, person) = persons[0].split_once('/').unwrap();
        request.caller.member = member.parse().unwrap();
        request.caller.person = person.parse().unwrap();
    }
    if let Some(members) = texts(assignee, "members") {
        request.caller.member = members[dice.below(members.len())].parse().unwrap();
    }
    let entry = tables(&world.files["members.toml"], "member")
        .find(|it| it["id"].as_str() == Some(request.caller.member.as_str()));
    let roles = entry.and_then(|entry| texts(entry, "roles")).unwrap_or_default();
    request.caller.roles = roles.iter().map(|role| role.parse().unwrap()).collect();
    if dice.percent(75) {
        request.at = ada().at;
        request.asked = Asked::default();
    }
    let needs_permit = rule["permit"].as_str() == Some("required");
    if needs_permit {
        request.permit = Some(dice.pick(&["p-1", "p-2"]).parse().unwrap());
    } else if dice.percent(85) {
        request.permit = None;
    }
    match dice.below(16) {
        0 => request.release = Release::Rows,
        4 => request.release = Release::Models,
        1 => drop(request.columns.insert("meno".to_owned())),
        2 => request.caller.roles.clear(),
        3 => request.permit = None,
        _ => {}
    }
    request
}

#[test]
fn twenty_thousand_decisions_agree_with_the_naive_ones() {
    let mut allowed = 0;
    let mut alone: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..SPACES {
        let mut dice = Dice::new(seed + 1);
        let (rules, world) = space(&mut dice);
        for number in 0..REQUESTS {
            let request = if dice.percent(85) {
                aimed(&mut dice, &world)
            } else {
                anything(&mut dice)
            };
            let naive = decides(&world, &request);
            let grant = decide(&rules, &request).into_grant();
            let decided = grant
                .as_ref()
                .map(|grant| (grant.policy().to_string(), grant.rule().to_string()));
            assert_eq!(
                decided.as_ref().ok(),
                naive.as_ref().ok(),
                "seed {seed}, request {number}: {request:?}\n{decided:?}\n{naive:?}\n{}",
                written(&world)
            );
            match naive {
                Ok(_) => allowed += 1,
                Err(why) => why.into_iter().for_each(|what| *alone.entry(what).or_default() += 1),
            }
        }
    }
    // A comparison of refusals only, or one that some matcher never decides, would say little.
    assert!(
        allowed * 100 >= SPACES * REQUESTS * 15,
        "only {allowed} are allowed; {alone:?}"
    );
    let decisive = [
        "stranger",
        "stopped caller",
        "no purpose",
        "prohibited use",
        "prohibition",
        "reserved",
        "stopped permit",
        "unknown permit",
        "permit person",
        "permit holder",
        "permit withdrawn",
        "permit not yet",
        "permit expired",
        "permit purposes",
        "permit collection",
        "permit release",
        "permit columns",
        "permit quota",
        "assignee",
        "stopped policy",
        "validity",
        "purposes",
        "release",
        "columns",
        "permit",
        "window",
        "quota",
    ];
    for what in decisive {
        assert!(
            alone.get(what).is_some_and(|count| *count >= 10),
            "{what} hardly ever decides alone: {alone:?}"
        );
    }
}

fn written(world: &World) -> String {
    let files: Vec<String> = world
        .files
        .iter()
        .map(|(path, table)| format!("# {path}\n{table}"))
        .collect();
    format!(
        "stopped: {:?}, permits until {:?}\n{}",
        world.stopped,
        world.permits_until,
        files.join("\n")
    )
}
