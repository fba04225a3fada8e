//! Nodes with a collection `t` about people, who each have one row.

use arrow::record_batch::RecordBatch;

use super::nodes::Nodes;
use super::tables::{PERSON, Table, Tables, policy};

/// The rows have the column of the person; `columns` declares the others.
pub(super) fn held(columns: &str, by_node: Vec<RecordBatch>, disclosure: &str) -> Nodes {
    let schema = by_node[0].schema();
    let collection = format!(
        "id = \"t\"\ntitle = \"t\"\npersonal = true\nprivacy_unit = {PERSON:?}\nrows_per_person_max = 1\n[columns]\n\
         {PERSON} = {{ type = \"text\", role = \"identifier\" }}\n{columns}"
    );
    let table = Table {
        name: "t".to_owned(),
        collection,
        policy: policy("t", &schema, disclosure, &["aggregates"]),
        schema,
        by_node,
    };
    let nodes = (1..=table.by_node.len()).map(|node| format!("node-{node}")).collect();
    Nodes::hold(&Tables {
        nodes,
        all: vec![table],
    })
}
