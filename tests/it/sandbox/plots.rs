//! Answers of nodes as charts: what `query --plot` writes, and where it says so.

use super::{Sandbox, project};

const PURPOSE: [&str; 2] = ["--purpose", "ehds-53-1-e"];
const BY_SEX: &str = "SELECT sex, count(*) AS people, avg(age) AS mean_age FROM lung_cancer GROUP BY sex ORDER BY sex";

/// The share without relapse at the end of each declared range of days, by the actuarial method.
const RELAPSE_FREE: &str = "
    WITH counted AS (
        SELECT bin(relapse_free_days) AS days, hormone, count(*) AS n, count(*) FILTER (WHERE relapsed) AS relapsed
        FROM breast_cancer GROUP BY bin(relapse_free_days), hormone),
    at_risk AS (
        SELECT CAST(split_part(trim(BOTH '[)' FROM days), ', ', 2) AS BIGINT) AS day, hormone, n, relapsed, days,
            sum(n) OVER (PARTITION BY hormone ORDER BY CAST(split_part(trim(BOTH '[)' FROM days), ', ', 1) AS BIGINT) DESC) AS risk
        FROM counted)
    SELECT day, exp(sum(ln(1.0 - relapsed / (risk - (n - relapsed) / 2.0))) OVER (PARTITION BY hormone ORDER BY day)) AS relapse_free,
        CASE WHEN hormone THEN 'with hormones' ELSE 'without' END AS treatment
    FROM at_risk WHERE day < 10000 ORDER BY treatment, day";

#[test]
fn a_chart_of_nodes_answers_is_the_one_in_the_documents() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    let file = |name: &str| sandbox.place().join(name);
    let draw = |sql: &str, name: &str, more: &[&str]| {
        let file = file(name);
        let words = [&PURPOSE, ["--plot", file.to_str().unwrap()].as_slice(), more].concat();
        sandbox.query(sql, &words)
    };

    // What cannot be drawn is refused before anything is asked, and writes nothing.
    draw(BY_SEX, "chart.pdf", &[]).fails_with("E_CHART", "neither an SVG nor a PNG");
    draw("SELECT count(*) AS n FROM lung_cancer", "chart.svg", &[]).fails_with("E_CHART", "one column");
    let three = "SELECT sex, count(*) AS n, avg(age) AS a, sum(age) AS s FROM lung_cancer GROUP BY sex";
    draw(three, "chart.svg", &["--plot-kind", "survival"])
        .fails_with("E_CHART", "a time and one that is a probability");
    let audit = super::datenraum([
        "audit",
        "show",
        "--json",
        sandbox.dir().join("nodes/ncctg-01").to_str().unwrap(),
    ]);
    let audit = audit.returns(0).out();
    assert!(!audit.contains("SELECT"), "{audit}");

    // What only the answer tells is refused after it is printed: it was asked, and counts.
    let run = draw(BY_SEX, "chart.svg", &["--plot-kind", "survival", "--format", "csv"]).returns(2);
    assert!(run.out().contains("female,56,"), "{}", run.out());
    run.fails_with("E_CHART", "mean_age is not between 0 and 1");
    assert!(!file("chart.svg").exists());

    let run = draw(BY_SEX, "by-sex.svg", &["--format", "csv"]).returns(0);
    let lines: Vec<String> = run.out().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "only the data are on the standard output: {lines:?}");
    assert!(run.err().contains("by-sex.svg"), "{}", run.err());
    same_as_document("lung-cancer-by-sex.svg", &file("by-sex.svg"));

    // Written over whole, as --output does; a PNG too.
    draw(BY_SEX, "by-sex.svg", &[]).returns(0);
    same_as_document("lung-cancer-by-sex.svg", &file("by-sex.svg"));
    draw(BY_SEX, "by-sex.png", &[]).returns(0);
    assert!(std::fs::read(file("by-sex.png")).unwrap().starts_with(b"\x89PNG"));

    let by_node = "SELECT grade, node, count(*) AS people FROM breast_cancer GROUP BY grade, node ORDER BY grade, node";
    draw(by_node, "by-node.svg", &[]).returns(0);
    let text = std::fs::read_to_string(file("by-node.svg")).unwrap();
    assert!(text.contains("no value: not released, or nothing there"), "{text}");

    // Counts of such groups are withheld here and there: nothing is known of what is computed from them, and the curve says so.
    draw(RELAPSE_FREE, "relapse-free.svg", &["--plot-kind", "survival"]).returns(0);
    let text = std::fs::read_to_string(file("relapse-free.svg")).unwrap();
    assert!(text.contains("nobody knows how much"), "{text}");
    assert!(text.contains("relapse_free over day by treatment"), "{text}");

    // A partial answer is drawn as one.
    let dir = sandbox.dir();
    super::datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "ncctg-12"]).returns(0);
    draw(BY_SEX, "partial.svg", &[]).returns(3);
    let text = std::fs::read_to_string(file("partial.svg")).unwrap();
    assert!(
        text.contains("! 17 of 18 nodes answered; without ncctg-12 (unreachable)"),
        "{text}"
    );
}

/// A chart in docs/images is what the program draws; with UPDATE_DOCS=1 it becomes so.
fn same_as_document(name: &str, drawn: &std::path::Path) {
    let document = project().join("docs/images").join(name);
    let drawn = std::fs::read_to_string(drawn).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(document.parent().unwrap()).unwrap();
        std::fs::write(&document, &drawn).unwrap();
    }
    let stands = std::fs::read_to_string(&document).unwrap_or_default();
    assert!(
        stands == drawn,
        "{} is not what is drawn; write it with UPDATE_DOCS=1",
        document.display()
    );
}
