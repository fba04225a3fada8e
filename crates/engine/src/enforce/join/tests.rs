//! What the engine makes of joins: rows stay in the order of people, and all data come through a barrier.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, displayable};
use policy::{AccessRequest, Asked, Caller, Rules};
use terms::CollectionId;

use crate::dataset::{Dataset, Datasets, ORDER};
use crate::enforce::{Holding, enforce};
use crate::example;
use crate::people::People;
use crate::scan::is_guarded;

const STAYS: &str = "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"pid\"\n[columns.pid]\ntype = \"text\"\n\
    role = \"identifier\"\nreferences = \"register\"\n[columns.place]\ntype = \"text\"\nreferences = \"places\"\n";

const PLACES: &str = "id = \"places\"\ntitle = \"Places\"\npersonal = false\nkey = \"place\"\n[columns.place]\ntype = \"text\"\n\
    [columns.rural]\ntype = \"boolean\"\nrole = [\"group\", \"filter\"]\n";

const REGISTER: &str = "id = \"register\"\ntitle = \"Register\"\npersonal = true\nprivacy_unit = \"person\"\nrows_per_person_max = 1\n\
    [columns.person]\ntype = \"text\"\nrole = \"identifier\"\n[columns.smoker]\ntype = \"boolean\"\nrole = [\"group\", \"filter\"]\n";

fn policy(collection: &str, columns: &str, disclosure: &str) -> String {
    format!(
        "id = \"{collection}\"\nversion = 1\ntitle = \"P\"\ncollection = \"{collection}\"\nvalid_from = 2026-01-01\nvalid_until = 2027-12-31\n\
         [[permission]]\nid = \"statistics\"\nassignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\n\
         release = \"aggregates\"\ncolumns = [{columns}]\ndisclosure = {{ {disclosure} }}\n"
    )
}

fn rules() -> Rules {
    let statistical = "tier = \"statistical\", min_people = 5";
    example::rules(&[
        ("collections/stays.toml", STAYS),
        ("collections/places.toml", PLACES),
        ("collections/register.toml", REGISTER),
        ("policies/stays.toml", &policy("stays", "\"place\"", statistical)),
        (
            "policies/places.toml",
            &policy("places", "\"place\", \"rural\"", "tier = \"open\""),
        ),
        ("policies/register.toml", &policy("register", "\"smoker\"", statistical)),
    ])
}

#[tokio::test]
async fn rows_stream_past_what_is_joined_in_the_order_of_people() {
    let (rules, place) = (rules(), tempfile::tempdir().unwrap());
    let now = "2026-11-21T11:00:00Z".parse().unwrap();
    let datasets = Datasets::open(&place.path().join("datasets")).unwrap();
    let add = |name: &str, text: String| {
        let file = place.path().join(format!("{name}.csv"));
        std::fs::write(&file, text).unwrap();
        let id: CollectionId = name.parse().unwrap();
        datasets.add(&file, &rules.collections[&id], now).unwrap()
    };
    let rows = |of: fn(usize) -> String| (0..90).map(of).collect::<String>();
    let stays = add(
        "stays",
        format!("pid,place\n{}", rows(|n| format!("p{},x{}\n", n % 30, n % 4))),
    );
    let register = add(
        "register",
        format!("person,smoker\n{}", rows(|n| format!("p{n},{}\n", n % 2 == 0))),
    );
    let places = add("places", "place,rural\nx0,true\nx1,false\nx2,true\n".to_owned());

    let sql = "SELECT p.rural, count(*) FROM stays s JOIN places p ON s.place = p.place LEFT JOIN register r ON s.pid = r.person \
               WHERE r.smoker GROUP BY p.rural";
    let query = crate::read::read(sql, &rules.collections).await.unwrap();
    let request = |collection: &CollectionId, columns: BTreeSet<String>| AccessRequest {
        caller: Caller {
            member: "clinic".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: BTreeSet::from(["university".parse().unwrap()]),
        },
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        collection: collection.clone(),
        release: query.release(),
        columns,
        asked: Asked::default(),
        at: now,
    };
    let joined = query
        .joins()
        .iter()
        .map(|join| request(&join.collection, query.joined_columns(join)));
    let joined: Vec<AccessRequest> = joined.collect();
    let asked = request(query.collection(), query.columns());
    let grant = || policy::decide_joined(&rules, &asked, &joined).into_grant().unwrap();
    let everybody = People::everybody();
    fn held<'a>(dataset: &'a Dataset, people: &'a People, datasets: &'a Datasets) -> Holding<'a> {
        Holding {
            dataset,
            people,
            joined: &[],
            node: "clinic",
            secret: datasets.secret(),
        }
    }
    let beside = [
        held(&places, &everybody, &datasets),
        held(&register, &everybody, &datasets),
    ];
    let holding = held(&stays, &everybody, &datasets);

    // Not on the data of one of them alone, nor in another order.
    assert!(enforce(&query, grant(), holding).is_err());
    let turned = [beside[1], beside[0]];
    assert!(
        enforce(
            &query,
            grant(),
            Holding {
                joined: &turned,
                ..holding
            }
        )
        .is_err()
    );

    let plan = enforce(
        &query,
        grant(),
        Holding {
            joined: &beside,
            ..holding
        },
    )
    .unwrap();
    let physical = plan.state.create_physical_plan(&plan.plans[0]).await.unwrap();
    assert!(is_guarded(&physical));
    let shown = displayable(physical.as_ref()).indent(true).to_string();
    assert_eq!(shown.matches("PolicyBarrier").count(), 3, "{shown}");
    assert_eq!(
        shown.matches("HashJoinExec: mode=CollectLeft, join_type=Right").count(),
        2,
        "{shown}"
    );
    assert!(!shown.contains("SortExec"), "{shown}");
    let order = top_join(&physical)
        .properties()
        .output_ordering()
        .map(ToString::to_string);
    assert!(order.is_some_and(|order| order.contains(ORDER)), "{shown}");
}

/// The join that gives the rows.
fn top_join(plan: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    match plan.name() {
        "HashJoinExec" => plan,
        _ => top_join(plan.children()[0]),
    }
}
