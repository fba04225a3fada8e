//! What a gateway of a data space says of an answer beside its rows, in the schema: what of it is no plain number, and of whom it is.
//!
//! An answer that lacks what nodes withheld would be published here as if it were whole, and made-up people as if they were real.

use std::collections::HashMap;

use arrow::datatypes::Schema;
use serde::Deserialize;
use terms::{Problem, Report};

use crate::twin::MARK;

#[derive(Deserialize)]
struct Covered {
    #[serde(default)]
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    synthetic: bool,
}

/// Refuses an answer that cannot be published as it is. What is of no data space says nothing of the kind.
///
/// # Errors
/// `Withheld` if values lack what nodes withheld; `Mixed` if it is of made-up people, and its rows do not say so.
pub(super) fn require_plain(schema: &Schema) -> Result<(), Report> {
    let said = schema.metadata();
    let is_open = says(said, "intervals").is_some_and(|open| open != "[]");
    let rows_open = says(said, "rows_open").is_some_and(|open| open != "false");
    if is_open || rows_open {
        let message =
            "the answer has values that lack what nodes withheld, and would be published as if they were whole";
        return Err(Problem::Withheld.report(message).remedy(
            "select what is released whole: fewer or wider groups; datenraum query shows what lacks something as [low … high]",
        ));
    }
    let is_made_up = says(said, "coverage").is_some_and(|coverage| {
        let coverage = serde_json::from_str::<Vec<Covered>>(coverage);
        // What cannot be read could say anything.
        coverage.map_or(true, |nodes| {
            nodes.iter().flat_map(|node| &node.data).any(|data| data.synthetic)
        })
    });
    if is_made_up && schema.index_of(MARK).is_err() {
        let report =
            Problem::Mixed.report("the answer is of made-up people, and would be published as if they were real");
        return Err(report.remedy(format!("let the query say so in each row: SELECT …, true AS {MARK}")));
    }
    Ok(())
}

/// What is said of something; of what is too long for it, where it could be read.
fn says<'a>(said: &'a HashMap<String, String>, what: &str) -> Option<&'a str> {
    let name = format!("datenraum.{what}");
    let said = said.get(&name).or_else(|| said.get(&format!("{name}.table")));
    said.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &[(&str, &str)], columns: &[&str]) -> Result<(), Problem> {
        let field = |name: &&str| arrow::datatypes::Field::new(*name, arrow::datatypes::DataType::Boolean, true);
        let said = said.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>()).with_metadata(said.collect());
        require_plain(&schema).map_err(|report| report.problem)
    }

    #[test]
    fn what_lacks_something_or_is_of_nobody_is_refused_and_what_is_of_no_data_space_is_not() {
        let open = r#"[{"row": 0, "column": "n", "low": 3.0, "high": null, "nodes": ["a"]}]"#;
        let made_up = r#"[{"node": "a", "data": [{"collection": "stays", "version": 1, "synthetic": true}]}]"#;
        let real = r#"[{"node": "a", "data": [{"collection": "stays", "version": 1}]}, {"node": "b"}]"#;
        for (said, problem) in [
            (("datenraum.intervals", open), Problem::Withheld),
            (("datenraum.intervals.table", "SELECT"), Problem::Withheld),
            (("datenraum.rows_open", "true"), Problem::Withheld),
            (("datenraum.coverage", made_up), Problem::Mixed),
            (("datenraum.coverage", "{"), Problem::Mixed),
            (("datenraum.coverage.table", "SELECT"), Problem::Mixed),
        ] {
            assert_eq!(told(&[said], &["ward"]), Err(problem), "{said:?}");
        }
        assert_eq!(told(&[("datenraum.coverage", made_up)], &["ward", MARK]), Ok(()));
        let plain = [
            ("datenraum.intervals", "[]"),
            ("datenraum.rows_open", "false"),
            ("datenraum.coverage", real),
            ("other", "true"),
        ];
        assert_eq!(told(&plain, &["ward"]), Ok(()));
        assert_eq!(told(&[], &["ward"]), Ok(()));
    }
}
