//! Covariances and correlations of people at several nodes: what two passes over all rows give, or said to be open.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::nodes::Nodes;
use super::random::Random;
use super::tables::PERSON;
use super::{oracles, people};

const COLUMNS: &str = r#"
x   = { type = "number", role = ["filter", "measure"], bins = [-1000, 0, 1000] }
y   = { type = "number", role = ["filter", "measure"], bins = [-1000, 0, 1000] }
sex = { type = "text", role = ["group", "filter"], values = ["f", "m"] }
"#;

const STATISTICS: [&str; 8] = [
    "corr(y, x)",
    "covar_pop(x, y)",
    "covar_samp(x, y)",
    "regr_count(y, x)",
    "regr_avgx(y, x)",
    "regr_sxx(y, x)",
    "regr_syy(y, x)",
    "regr_sxy(y, x)",
];

#[derive(Clone, Copy, Debug)]
struct Person {
    x: Option<f64>,
    y: Option<f64>,
    sex: &'static str,
}

/// People of one node, of whom so many per cent lack the one number or the other.
fn drawn(random: &mut Random, rows: usize, unknown: u64) -> Vec<Person> {
    let mean = random.share() * 400.0 - 200.0;
    let mut person = || {
        let x = mean + random.share() * 50.0;
        let y = x * 0.5 + random.share() * 40.0;
        let mut known = |number: f64| (!random.chance(unknown)).then_some(number);
        let (x, y) = (known(x), known(y));
        let sex = *random.pick(&["f", "m"]);
        Person { x, y, sex }
    };
    (0..rows).map(|_| person()).collect()
}

fn held(by_node: &[Vec<Person>]) -> Nodes {
    let rows = |people: &Vec<Person>| {
        let person: StringArray = (0..people.len()).map(|at| Some(at.to_string())).collect();
        let x: Float64Array = people.iter().map(|person| person.x).collect();
        let y: Float64Array = people.iter().map(|person| person.y).collect();
        let sex: StringArray = people.iter().map(|person| Some(person.sex)).collect();
        oracles::of(vec![
            (PERSON.to_owned(), Arc::new(person) as ArrayRef),
            ("x".to_owned(), Arc::new(x)),
            ("y".to_owned(), Arc::new(y)),
            ("sex".to_owned(), Arc::new(sex)),
        ])
    };
    people::held(
        COLUMNS,
        by_node.iter().map(rows).collect(),
        "{ tier = \"statistical\", min_people = 5 }",
    )
}

/// Two passes, in the order of [`STATISTICS`].
fn truth(people: impl Iterator<Item = Person>) -> [f64; STATISTICS.len()] {
    let both: Vec<[f64; 2]> = people.filter_map(|person| Some([person.x?, person.y?])).collect();
    let n = both.len() as f64;
    let mean = |at: usize| both.iter().map(|row| row[at]).sum::<f64>() / n;
    let means = [mean(0), mean(1)];
    let products = |a: usize, b: usize| {
        let each = both.iter().map(|row| (row[a] - means[a]) * (row[b] - means[b]));
        each.sum::<f64>()
    };
    let (xx, yy, xy) = (products(0, 0), products(1, 1), products(0, 1));
    [xy / (xx * yy).sqrt(), xy / n, xy / (n - 1.0), n, means[0], xx, yy, xy]
}

/// How many values were exact, and how many open.
async fn ask(by_node: &[Vec<Person>]) -> (usize, usize) {
    let nodes = held(by_node);
    let (mut exact, mut open_values) = (0, 0);
    for (list, group) in [("", ""), ("sex, ", " GROUP BY sex")] {
        let finished = nodes
            .ask(&format!("SELECT {list}{} FROM t{group}", STATISTICS.join(", ")))
            .await;
        let finished = finished.unwrap();
        let keys = usize::from(!group.is_empty());
        let mut row = 0;
        for batch in &finished.batches {
            for at in 0..batch.num_rows() {
                let sex = (keys > 0).then(|| cast(batch.column(0), &DataType::Utf8).unwrap());
                let sex = sex.as_ref().map(|sexes| sexes.as_string::<i32>().value(at));
                let all = by_node.iter().flatten().copied();
                let truth = truth(all.filter(|person| sex.is_none_or(|sex| sex == person.sex)));
                for (statistic, truth) in truth.iter().enumerate() {
                    let column = cast(batch.column(keys + statistic), &DataType::Float64).unwrap();
                    let given = column.as_primitive::<Float64Type>();
                    let name = finished.schema.field(keys + statistic).name();
                    if finished
                        .intervals
                        .iter()
                        .any(|open| open.row == row && open.column == *name)
                    {
                        open_values += 1;
                        continue;
                    }
                    exact += 1;
                    let far = (given.value(at) - truth).abs();
                    assert!(
                        !column.is_null(at) && far <= 1e-9 * truth.abs().max(1.0),
                        "{name} {sex:?}: {} and {truth} of {by_node:?}",
                        given.value(at)
                    );
                }
                row += 1;
            }
        }
    }
    (exact, open_values)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_people_of_whom_only_one_number_is_known_leave_a_correlation_open() {
    let random = &mut Random::of(1);
    let mut all = [drawn(random, 60, 0), drawn(random, 60, 0)];
    all[1][0].y = None;
    all[1][7].x = None;
    let (exact, open) = ask(&all[1..]).await;
    assert!(exact == 0 && open > 0, "{exact} exact, {open} open");
    // Said of the other node all the same.
    let (exact, open) = ask(&all).await;
    assert!(exact == 0 && open > 0, "{exact} exact, {open} open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correlation_of_people_is_that_of_all_rows_or_open() {
    let (mut exact, mut open) = (0, 0);
    for set in 0..16 {
        let random = &mut Random::of(set);
        let unknown = *random.pick(&[0, 0, 30]);
        let rows = |random: &mut Random| *random.pick(&[0, 80, 200]);
        let nodes = (0..random.between(1, 4)).map(|_| {
            let rows = rows(random);
            drawn(random, rows, unknown)
        });
        let (exact_here, open_here) = ask(&nodes.collect::<Vec<_>>()).await;
        exact += exact_here;
        open += open_here;
    }
    assert!(exact > 100 && open > 10, "{exact} exact, {open} open");
}
