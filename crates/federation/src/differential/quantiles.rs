//! Quantiles of people at several nodes: what is told is what one node with all rows would tell, or says in which range that is.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Float64Type;

use super::nodes::Nodes;
use super::random::Random;
use super::tables::PERSON;
use super::{oracles, people};

const EDGES: [f64; 6] = [0.0, 18.0, 40.0, 65.0, 80.0, 120.0];

/// Tables that are asked.
const TABLES: u64 = 40;

type Person = (Option<i64>, &'static str);

/// People of one node: of few ages, of many, or of none that is known.
fn drawn(random: &mut Random) -> Vec<Person> {
    let (most, oldest) = (*random.pick(&[0, 30, 150, 300]), *random.pick(&[17, 60, 100, 119]));
    let unknown = *random.pick(&[0, 0, 20, 100]);
    let mut person = || {
        let age = random.between(0, oldest);
        let sex = *random.pick(&["f", "m"]);
        ((!random.chance(unknown)).then_some(age), sex)
    };
    (0..most).map(|_| person()).collect()
}

fn held(by_node: &[Vec<Person>], disclosure: &str) -> Nodes {
    let rows = |(node, people): (usize, &Vec<Person>)| {
        let person: StringArray = (0..people.len()).map(|at| Some(format!("{node}-{at}"))).collect();
        let age: Int64Array = people.iter().map(|person| person.0).collect();
        let sex: StringArray = people.iter().map(|person| Some(person.1)).collect();
        oracles::of(vec![
            (PERSON.to_owned(), Arc::new(person) as ArrayRef),
            ("age".to_owned(), Arc::new(age)),
            ("sex".to_owned(), Arc::new(sex)),
        ])
    };
    let columns = format!(
        "age = {{ type = \"integer\", role = [\"group\", \"measure\"], bins = {EDGES:?} }}\n\
         sex = {{ type = \"text\", role = [\"group\", \"filter\"], values = [\"f\", \"m\"] }}\n"
    );
    people::held(&columns, by_node.iter().enumerate().map(rows).collect(), disclosure)
}

/// What one node with all of them would say.
fn truth<'a>(people: impl Iterator<Item = &'a Person>, share: f64) -> Option<f64> {
    let mut rows = vec![0; EDGES.len() - 1];
    for age in people.filter_map(|person| person.0) {
        rows[EDGES.partition_point(|edge| *edge <= age as f64) - 1] += 1;
    }
    engine::interpolated(share, &rows, &EDGES).map(|(value, _)| value)
}

#[derive(Debug, Default)]
struct Seen {
    exact: usize,
    open: usize,
    /// Open, and not everywhere.
    narrow: usize,
}

/// Asks for quantiles of all, of each sex, and of one sex by FILTER.
async fn ask(nodes: &Nodes, people: &[Vec<Person>], share: f64, seen: &mut Seen) {
    let quantile = format!("approx_percentile_cont(age, {share:?})");
    let all = || people.iter().flatten();
    let of = |sex: Option<&str>| truth(all().filter(|person| sex.is_none_or(|sex| person.1 == sex)), share);
    for (sql, of_sex) in [
        (format!("SELECT 'all' AS sex, {quantile} AS q FROM t"), None),
        (
            format!("SELECT sex, {quantile} AS q, count(*) FROM t GROUP BY sex"),
            None,
        ),
        (
            format!("SELECT 'f' AS sex, {quantile} FILTER (WHERE sex = 'f') AS q FROM t"),
            Some("f"),
        ),
    ] {
        let finished = nodes.ask(&sql).await.unwrap();
        let mut row = 0;
        for batch in &finished.batches {
            let (sexes, values) = (batch.column(0), batch.column(1).as_primitive::<Float64Type>());
            let sexes = arrow::compute::cast(sexes, &arrow::datatypes::DataType::Utf8).unwrap();
            for (sex, value) in sexes.as_string::<i32>().iter().zip(values) {
                let truth = of(sex.filter(|sex| *sex != "all").or(of_sex));
                let open = finished
                    .intervals
                    .iter()
                    .find(|open| open.row == row && open.column == "q");
                let told = format!("{sql}: {value:?}, {open:?}, {truth:?} of {people:?}");
                row += 1;
                match open {
                    None => assert!(value.is_none() && truth.is_none(), "{told}"),
                    Some(open) if open.nodes.is_empty() => {
                        seen.exact += 1;
                        assert!(value.zip(truth).is_some_and(|(a, b)| (a - b).abs() < 1e-9), "{told}");
                    }
                    Some(open) => {
                        let [low, high] = [open.low, open.high].map(Option::unwrap);
                        seen.open += 1;
                        seen.narrow += usize::from(high - low < 120.0);
                        let is_in = |value: f64| low <= value && value <= high;
                        assert!(truth.is_none_or(is_in) && value.is_none_or(is_in), "{told}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quantile_of_people_is_that_of_all_rows_or_its_range_is_true() {
    let mut seen = Seen::default();
    for set in 0..TABLES {
        let random = &mut Random::of(set);
        let people: Vec<_> = (0..random.between(1, 5)).map(|_| drawn(random)).collect();
        let disclosure = *random.pick(&[
            "{ tier = \"statistical\", min_people = 5 }",
            "{ tier = \"statistical\", min_people = 5, zeros = \"protected\" }",
            "{ tier = \"statistical\", min_people = 3, round_to = 5 }",
        ]);
        let share = *random.pick(&[0.1, 0.25, 0.5, 0.5, 0.9]);
        ask(&held(&people, disclosure), &people, share, &mut seen).await;
    }
    assert!(seen.exact > 10 && seen.open > 10 && seen.narrow > 10, "{seen:?}");
}
