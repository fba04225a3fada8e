//! Components, clusters, penalties and networks over real nodes: what pooled rows give, and what a node does not let out.

use serde_json::Value;

use super::models::{OPEN, STATISTICAL, hospitals, made_up, space};
use super::oracles::oracle;
use super::{Run, Sandbox, datenraum};

fn ask(sandbox: &Sandbox, command: &[&str], more: &[&str]) -> Run {
    let dir = sandbox.dir();
    let about = [
        "--sandbox",
        dir.to_str().unwrap(),
        "--collection",
        "heart",
        "--purpose",
        "ehds-53-1-e",
    ];
    datenraum(command.iter().chain(&about).chain(more))
}

fn found(sandbox: &Sandbox, command: &[&str]) -> Value {
    let run = ask(sandbox, command, &["--format", "json"]);
    assert_eq!(run.code(), 0, "{command:?}: {}", run.err());
    run.json()
}

fn numbers(rows: &Value, name: &str) -> Vec<f64> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[name].as_f64().unwrap()).collect()
}

fn require_near(found: &[f64], expected: &[f64], far: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (one, other) in found.iter().zip(expected) {
        assert!(
            (one - other).abs() <= far * other.abs().max(1.0),
            "{found:?} is not {expected:?}"
        );
    }
}

/// Two kinds of people, far from each other, of whom so many of each hundred are of the second kind.
fn of_two_kinds(people: std::ops::Range<usize>, second: usize) -> String {
    made_up(people, |person, cells| {
        if person % 100 < second {
            cells[3] = (60 + person % 5).to_string();
            cells[7] = (205 + person % 7).to_string();
        } else {
            cells[3] = (180 + person % 5).to_string();
        }
    })
}

#[test]
fn what_tells_of_a_few_people_does_not_leave() {
    let sandbox = space(
        STATISTICAL,
        &[
            ("a", of_two_kinds(0..200, 40)),
            ("b", of_two_kinds(200..400, 30)),
            ("few", of_two_kinds(400..600, 3)),
            ("spread", made_up(600..800, |_, _| {})),
            (
                "men",
                made_up(800..1000, |person, cells| {
                    cells[1] = usize::from(person % 50 != 0).to_string()
                }),
            ),
        ],
    );
    let clusters = ["kmeans", "--columns", "thalach,trestbps", "--clusters", "2"];
    let refused = |command: &[&str], nodes: &str, what: &str| {
        let run = ask(&sandbox, command, &["--nodes", nodes]);
        assert_eq!(run.code(), 4, "{command:?}: {}{}", run.out(), run.err());
        assert!(
            run.err().contains("E_MODEL_DISCLOSURE") && run.err().contains(what),
            "{command:?}: {}",
            run.err()
        );
    };
    // Six of the second kind.
    refused(&clusters, "a,few", "a group with too few people");
    // Clusters without a gap between them: in the last steps only a few people change theirs.
    let gapless = ["kmeans", "--columns", "age,thalach,trestbps", "--clusters", "3"];
    refused(&gapless, "b,spread", "too few people");
    // 200 people at a node, and 0.1 parameters for each: 20.
    let six = "age,sex,thalach,exang,trestbps,oldpeak";
    refused(&["pca", "--columns", six], "a,b", "more parameters");
    let training = ["train", "--formula", "disease ~ age + thalach", "--loss", "logistic"];
    let with = |more: &[&'static str]| [&training[..], more].concat();
    let unseen = "nobody can see whom it tells of";
    refused(&with(&["--method", "averaging"]), "a,b", unseen);
    refused(&with(&["--hidden", "2", "--activation", "relu"]), "a,b", unseen);
    refused(&with(&["--hidden", "8"]), "a,b", "more parameters");
    refused(&with(&["--rounds", "40"]), "a,b", "25 steps at most");
    let lasso = [
        "glm",
        "--formula",
        "disease ~ age + sex",
        "--family",
        "binomial",
        "--penalty",
        "lasso",
        "--lambdas",
        "0.1",
    ];
    refused(&lasso, "a,men", "sex tells apart a group with too few people");
    // What tells of many leaves.
    let fitted = found(&sandbox, &[&clusters[..], &["--nodes", "a,b"]].concat());
    let mut sizes = numbers(&fitted["clusters"], "size");
    sizes.sort_by(f64::total_cmp);
    require_near(&sizes, &[140.0, 260.0], 0.0);
    found(
        &sandbox,
        &["pca", "--columns", "age,thalach,trestbps", "--nodes", "a,b"],
    );
    found(&sandbox, &with(&["--hidden", "2", "--nodes", "a,b"]));
}

#[test]
fn rows_in_a_cluster_must_be_people() {
    let sandbox =
        super::models::space_of_several_rows(&[("a", of_two_kinds(0..200, 40)), ("b", of_two_kinds(200..400, 30))]);
    let run = ask(
        &sandbox,
        &["kmeans", "--columns", "thalach,trestbps", "--clusters", "2"],
        &[],
    );
    assert!(
        run.code() == 4 && run.err().contains("rows in a cluster are not people"),
        "{}{}",
        run.out(),
        run.err()
    );
    found(&sandbox, &["pca", "--columns", "age,thalach"]);
}

#[test]
fn what_cannot_be_is_said_before_a_node_is_asked() {
    let nodes = [("a", made_up(0..200, |_, _| {})), ("b", made_up(200..400, |_, _| {}))];
    let sandbox = space(OPEN, &nodes);
    for (command, what) in [
        (&["pca", "--columns", "age,agee"][..], "the nearest is age"),
        (&["pca", "--columns", "age,C(cp)"], "is a factor"),
        (&["pca", "--columns", "age,"], "^"),
        (&["kmeans", "--columns", "age", "--clusters", "1"], "2 to 100"),
        (
            &["kmeans", "--columns", "age", "--clusters", "2", "--tolerance", "2"],
            "from 0 to 1",
        ),
        (&["glm", "--formula", "age ~ sex", "--penalty", "ridge"], "--lambdas"),
        (
            &[
                "glm",
                "--formula",
                "age ~ sex",
                "--penalty",
                "ridge",
                "--lambdas",
                "1",
                "--mixing",
                "0.2",
            ],
            "mix nothing",
        ),
        (
            &[
                "glm",
                "--formula",
                "age ~ sex",
                "--penalty",
                "lasso",
                "--lambdas",
                "1,x",
            ],
            "cannot be x",
        ),
        (
            &["train", "--formula", "age ~ sex", "--hidden", "8,4,2"],
            "2 hidden layers",
        ),
        (
            &["train", "--formula", "age ~ sex", "--loss", "logistic"],
            "true or false",
        ),
        (
            &["train", "--formula", "age ~ sex", "--rounds", "20", "--steps", "20"],
            "21 steps",
        ),
        (
            &["train", "--formula", "age ~ sex", "--local-steps", "3"],
            "no option local_steps",
        ),
    ] {
        let run = ask(&sandbox, command, &[]);
        assert_eq!(run.code(), 2, "{command:?}: {}{}", run.out(), run.err());
        assert!(run.err().contains(what), "{command:?}: {}", run.err());
    }
}

#[test]
fn two_nodes_find_what_one_finds_over_their_rows() {
    let (one, other) = (of_two_kinds(0..120, 40), of_two_kinds(120..300, 30));
    let rows = other.split_once('\n').unwrap().1;
    let pooled = space(OPEN, &[("all", format!("{one}{rows}"))]);
    let apart = space(OPEN, &[("a", one), ("b", other)]);
    for (command, rows, name) in [
        (
            &[
                "kmeans",
                "--columns",
                "age,thalach,trestbps",
                "--clusters",
                "3",
                "--steps",
                "100",
            ][..],
            "clusters",
            "within",
        ),
        (
            &["pca", "--columns", "age,thalach,trestbps", "--of", "covariance"],
            "variables",
            "PC1",
        ),
        (
            &[
                "glm",
                "--formula",
                "disease ~ age + thalach + C(cp)",
                "--family",
                "binomial",
                "--penalty",
                "elastic-net",
                "--lambdas",
                "0.05,0.01",
            ],
            "terms",
            "estimate",
        ),
        (
            &[
                "train",
                "--formula",
                "disease ~ age + sex",
                "--loss",
                "logistic",
                "--hidden",
                "3,2",
                "--rounds",
                "20",
            ],
            "parameters",
            "value",
        ),
    ] {
        let (of_all, of_both) = (found(&pooled, command), found(&apart, command));
        require_near(&numbers(&of_both[rows], name), &numbers(&of_all[rows], name), 1e-9);
    }
    let averaged = found(
        &apart,
        &[
            "train",
            "--formula",
            "disease ~ age",
            "--loss",
            "logistic",
            "--method",
            "averaging",
        ],
    );
    let losses = numbers(&averaged["losses"], "loss");
    assert!(losses.len() == 20 && losses[19] < losses[0], "{losses:?}");
}

#[test]
fn four_hospitals_have_the_components_of_their_pooled_rows() {
    let Some(hospitals) = hospitals() else { return };
    let oracle = &oracle("tests_meta")["results"]["heart_pca_of_correlation"]["eigenvalues_descending"];
    let expected: Vec<f64> = oracle.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let sandbox = space(OPEN, &hospitals);
    let fitted = found(&sandbox, &["pca", "--columns", "age,trestbps,thalach,oldpeak"]);
    require_near(&numbers(&fitted["components"], "eigenvalue"), &expected, 1e-9);
}
