//! The asker's own numbers of people, as CSV.

use std::collections::BTreeMap;
use std::io::Read;

use terms::{Problem, Report};

use super::Population;

/// The column with the number of people.
const PEOPLE: &str = "population";

impl Population {
    /// People by place and age, as far as these are `asked` for; lines of the same place and age are added up. `name` is that of the table.
    ///
    /// # Errors
    /// `OwnFile` if it is no CSV with these columns and numbers of people.
    pub fn own(csv: impl Read, name: &str, asked: &Keys<'_>) -> Result<Self, Report> {
        let unread = |error: csv::Error| Problem::OwnFile.report(format!("{name}: {error}"));
        let mut reader = csv::Reader::from_reader(csv);
        let header = reader.headers().map_err(unread)?.clone();
        let column = |column: &str| {
            let at = header.iter().position(|known| known == column);
            at.ok_or_else(|| {
                let report = Problem::OwnFile.report(format!("{name} has no column {column}"));
                report.remedy(format!(
                    "give it one; it has: {}",
                    header.iter().collect::<Vec<_>>().join(", ")
                ))
            })
        };
        let keys = [asked.by, asked.age].into_iter().flatten();
        let keys = keys.map(column).collect::<Result<Vec<_>, _>>()?;
        let people_at = column(PEOPLE)?;
        let mut people = BTreeMap::new();
        for (line, record) in reader.records().enumerate() {
            let record = record.map_err(unread)?;
            let number = record[people_at].parse::<f64>().ok();
            let number = number.filter(|number| number.is_finite() && *number >= 0.0);
            let number = number.ok_or_else(|| {
                let report = Problem::OwnFile.report(format!("{name} line {}: {PEOPLE} is no number", line + 2));
                report.remedy("write a number of people in each line")
            })?;
            let key: Vec<String> = keys.iter().map(|at| record[*at].to_owned()).collect();
            *people.entry(key).or_default() += number;
        }
        Ok(Self::Own(people))
    }
}

/// The columns by which people are told apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// The column of places.
    pub by: Option<&'a str>,
    /// The column of ages.
    pub age: Option<&'a str>,
}

#[cfg(test)]
mod tests;
