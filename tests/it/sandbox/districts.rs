//! District tables: keys as offices write them, in one level and of one date, and rates of cases at some nodes per people at another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use super::clinical::{self, Nodes, shared};
use super::{datenraum, project};

/// Cases of a health office: so many of each age at a place.
fn cases(office: usize, of: &[(&str, u32, usize)]) -> String {
    let mut text = "person_id,place,age,reported_on\n".to_owned();
    let rows = of
        .iter()
        .flat_map(|(place, age, count)| std::iter::repeat_n((place, age), *count));
    for (n, (place, age)) in rows.enumerate() {
        let _ = writeln!(text, "o{office}-{n},{place},{age},2026-03-{:02}", 1 + n % 28);
    }
    text
}

const POPULATION: &str = "ags,age_group,population\n10041,00-17,50000\n10041,18-59,180000\n10041,60+,100000\n10042,00-17,16000\n10042,18-59,56000\n10042,60+,32000\n";

const RATES: &str = "SELECT c.district, c.ages, c.cases * 100000.0 / p.population AS per_100k FROM \
    (SELECT district, bin(age) AS ages, count(*) AS cases FROM notified_cases GROUP BY district, bin(age)) AS c JOIN \
    (SELECT district, bin(age) AS ages, sum(population) AS population FROM population GROUP BY district, bin(age)) AS p \
    ON p.district = c.district AND p.ages = c.ages ORDER BY c.district, c.ages";

#[test]
fn rates_are_of_cases_at_two_offices_per_people_at_a_third() {
    let shipped = project().join("policies/districts");
    let read = |name: &str| fs::read_to_string(shipped.join(format!("collections/{name}.toml"))).unwrap();
    let (population, notified) = (read("population"), read("notified-cases"));
    let open = clinical::policy("population", &["district", "age", "population"], "tier = \"open\"");
    let columns = ["district", "age", "reported_on"];
    let statistical = clinical::policy("notified-cases", &columns, "tier = \"statistical\"\nmin_people = 3");
    let nodes = Nodes {
        collections: &[
            ("population", &population, &open),
            ("notified-cases", &notified, &statistical),
        ],
        nodes: 3,
    };
    // The places of the first office are Kreise, those of the second Gemeinden.
    let offices = [
        cases(
            0,
            &[
                ("10041", 10, 5),
                ("10041", 40, 18),
                ("10041", 70, 4),
                ("10042", 10, 4),
                ("10042", 40, 7),
                ("10042", 70, 4),
            ],
        ),
        cases(
            1,
            &[
                ("10041100", 10, 5),
                ("10041100", 40, 9),
                ("10041100", 70, 4),
                ("10042111", 10, 4),
                ("10042111", 40, 7),
                ("10042111", 70, 4),
            ],
        ),
    ];
    let sandbox = nodes.with_data(|place, node| {
        for name in ["population.toml", "notified-cases.toml", "kreise.csv"] {
            fs::copy(shipped.join("mappings").join(name), place.join(name)).unwrap();
        }
        let (collection, text) = match offices.get(node) {
            Some(cases) => ("notified-cases", cases.as_str()),
            None => ("population", POPULATION),
        };
        fs::write(place.join(format!("{node}.csv")), text).unwrap();
        vec![format!(
            "{{ collection = \"{collection}\", path = \"{node}.csv\", mapping = \"{collection}.toml\" }}"
        )]
    });
    let expected = json!([
        ["10041", "[0, 18)", 20.0],
        ["10041", "[18, 60)", 15.0],
        ["10041", "[60, 130)", 8.0],
        ["10042", "[0, 18)", 50.0],
        ["10042", "[18, 60)", 25.0],
        ["10042", "[60, 130)", 25.0]
    ]);
    assert_eq!(sandbox.ask(RATES)["rows"], expected);

    // A place that is no key, and one outside the data space, are told by their row.
    let (file, config) = (
        sandbox.place().join("bad.csv"),
        sandbox.dir().join("nodes/node-0/node.toml"),
    );
    let mapping = sandbox.place().join("notified-cases.toml");
    for (place, says) in [
        ("1004", "another text than those listed"),
        ("10041x", "no district key (AGS)"),
        ("100", "no district key (AGS)"),
    ] {
        fs::write(&file, cases(0, &[(place, 10, 1)])).unwrap();
        let words = [
            "node",
            "dataset",
            "add",
            file.to_str().unwrap(),
            "--collection",
            "notified-cases",
            "--config",
            config.to_str().unwrap(),
        ];
        let run = datenraum(words.iter().copied().chain(["--mapping", mapping.to_str().unwrap()]));
        assert!(
            run.err().contains("row 2, column district") && run.err().contains(says),
            "{}",
            run.err()
        );
        assert!(!run.err().contains("10041x"), "{}", run.err());
        assert_ne!(run.code(), 0);
    }
}

const COVID: &str = "id = \"covid\"\ntitle = \"COVID-19 by district and day\"\npersonal = false\n[columns.region]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\n\
    [columns.date]\ntype = \"date\"\nrole = [\"group\", \"filter\"]\n[columns.cases_new]\ntype = \"integer\"\nrole = [\"measure\"]\n";

const PEOPLE: &str = "id = \"people\"\ntitle = \"People by district\"\npersonal = false\nkey = \"district\"\n[columns.district]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\n\
    [columns.region]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\n[columns.population]\ntype = \"integer\"\nrole = [\"measure\"]\n";

#[test]
fn weekly_rates_of_six_regions_are_the_oracles() {
    let (Some(oracle), Some(cases), Some(districts)) = (
        shared("oracles/german_sql.json"),
        shared("german/covid_district_day.parquet"),
        shared("german/districts.csv"),
    ) else {
        return;
    };
    let open = |id: &str, columns: &[&str]| clinical::policy(id, columns, "tier = \"open\"");
    let (covid, people) = (
        open("covid", &["region", "date", "cases_new"]),
        open("people", &["district", "region", "population"]),
    );
    let nodes = Nodes {
        collections: &[("covid", COVID, &covid), ("people", PEOPLE, &people)],
        nodes: 2,
    };
    let sandbox = nodes.with_data(|place, node| {
        let mapping = "collection = \"people\"\n[columns.district]\nfrom = \"ags\"\nags = { digits = 5 }\n";
        fs::write(place.join("people.toml"), mapping).unwrap();
        vec![match node {
            0 => format!("{{ collection = \"covid\", path = \"{}\" }}", cases.display()),
            _ => format!(
                "{{ collection = \"people\", path = \"{}\", mapping = \"people.toml\" }}",
                districts.display()
            ),
        }]
    });
    let answer = sandbox.ask(
        "SELECT c.region, c.monday, c.cases * 100000.0 / p.population AS per_100k FROM \
         (SELECT region, date_trunc('week', date) AS monday, sum(cases_new) AS cases FROM covid WHERE date >= DATE '2020-03-02' AND date < DATE '2021-06-28' \
          GROUP BY region, date_trunc('week', date)) AS c JOIN \
         (SELECT region, sum(population) AS population FROM people GROUP BY region) AS p ON p.region = c.region",
    );
    let found: BTreeMap<String, f64> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let day = &row[1].as_str().unwrap()[..10];
            (format!("{} {day}", row[0].as_str().unwrap()), row[2].as_f64().unwrap())
        })
        .collect();
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    let rows = oracle["queries"]["weekly_cases_per_100k"]["rows"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(found.len(), rows.len());
    for row in rows {
        let key = format!(
            "{} {}",
            row["region"].as_str().unwrap(),
            &row["monday"].as_str().unwrap()[..10]
        );
        let truth = row["per_100k"].as_f64().unwrap();
        assert!(
            (found[&key] - truth).abs() < 1e-9 * truth.max(1.0),
            "{key}: {} and not {truth}",
            found[&key]
        );
    }
}
