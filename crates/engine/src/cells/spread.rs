//! Who has no match in a joined collection has no value in its columns either, and so is in no cell of these. Who is left out of
//! a cell because of that are all who agree with it in the other keys: section 1 of `docs/disclosure.md`.

use std::collections::HashMap;

use datafusion::arrow::error::ArrowError;

use super::{Cells, codes};

impl Cells {
    /// Gives each cell the people who fail such a group in any cell that agrees with it in the other keys. All of them are in one:
    /// of rows without a match the keys of the join are the same.
    pub(super) fn spread(&mut self) -> Result<(), ArrowError> {
        let Some(converter) = self.converter.as_ref().filter(|_| !self.layout.spread.is_empty()) else {
            return Ok(());
        };
        let parser = converter.parser();
        let keys = converter.convert_rows(self.by_key.keys().map(|key| parser.parse(key)))?;
        let codes: Vec<Vec<u32>> = keys.iter().map(codes).collect::<Result<_, ArrowError>>()?;
        let places: Vec<usize> = self.by_key.values().copied().collect();
        for (group, of_join) in &self.layout.spread {
            let others: Vec<&Vec<u32>> = (0..codes.len())
                .filter(|key| !of_join.contains(key))
                .map(|key| &codes[key])
                .collect();
            let rest = |line: usize| -> Vec<u32> { others.iter().map(|codes| codes[line]).collect() };
            let mut people: HashMap<Vec<u32>, u64> = HashMap::new();
            for (line, place) in places.iter().enumerate() {
                *people.entry(rest(line)).or_default() += self.cells[*place].failing[*group];
            }
            for (line, place) in places.iter().enumerate() {
                self.cells[*place].failing[*group] = people[&rest(line)];
            }
        }
        Ok(())
    }
}
