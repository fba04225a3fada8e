//! Of columns: numbers summed up, values counted.

use crate::analyses::describe::{Description, Frequencies, Summary};

use super::{Results, Row, Sheet, Value};

impl Description {
    /// Its tables; `by` is the column of groups.
    pub fn results(&self, by: Option<&str>) -> Results {
        let summaries = self.summaries.iter().map(|summary| summary_row(summary, by));
        let frequencies = self.frequencies.iter().flat_map(|of| frequency_rows(of, by));
        let mut notes = Vec::new();
        if self.summaries.iter().any(|summary| summary.quartiles.is_some()) {
            notes.push("quartiles are interpolated in the declared bins: each lies in the bin beside it".to_owned());
        }
        if self.can_lack_groups {
            notes.push("a group of which no node released anything is not listed".to_owned());
        }
        Results {
            facts: Row::default(),
            sheets: vec![Sheet::new("rows", summaries), Sheet::new("frequencies", frequencies)],
            notes,
            rows_open: self.can_lack_groups,
        }
    }
}

fn summary_row(summary: &Summary, by: Option<&str>) -> Row {
    let mut row = Row::default().with("column", summary.column.clone());
    if by.is_some() {
        row = row.with("group", summary.group.clone());
    }
    let quartile = |at: usize| summary.quartiles.map_or(Value::Nothing, |all| Value::Pooled(all[at]));
    row.with("n", Value::Pooled(summary.n))
        .with("missing", Value::Pooled(summary.missing))
        .with("mean", Value::Pooled(summary.mean))
        .with("sd", Value::Pooled(summary.sd))
        .with("q25", quartile(0))
        .with("median", quartile(1))
        .with("q75", quartile(2))
}

fn frequency_rows(of: &Frequencies, by: Option<&str>) -> Vec<Row> {
    let rows = of.rows.iter().map(|(group, value, n)| {
        let mut row = Row::default().with("column", of.key.name.clone());
        if by.is_some() {
            row = row.with("group", group.clone());
        }
        row.with("value", value.clone()).with("n", Value::Pooled(*n))
    });
    rows.collect()
}
