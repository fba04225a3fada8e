//! Who has no match in a joined collection has no value in its columns either, and so is in no cell of these. Who is left out of
//! a cell because of that are all who agree with it in the other keys: section 1 of `docs/disclosure.md`.

use std::collections::HashMap;

use datafusion::arrow::error::ArrowError;

use super::{Cells, codes};

impl Cells {
    /// Gives each cell the people who fail such a group in any cell that agrees with it in the other keys. All of them are in one:
    /// of rows without a match the keys of the join are the same. `groups` are condition groups with the keys of their join.
    pub(crate) fn spread(&mut self, groups: &[(usize, Vec<usize>)]) -> Result<(), ArrowError> {
        if groups.is_empty() {
            return Ok(());
        }
        let keys = self.keys.columns()?;
        let codes: Vec<Vec<u32>> = keys.iter().map(codes).collect::<Result<_, ArrowError>>()?;
        for (group, of_join) in groups {
            let others: Vec<&Vec<u32>> = (0..codes.len())
                .filter(|key| !of_join.contains(key))
                .map(|key| &codes[key])
                .collect();
            let rest = |cell: usize| -> Vec<u32> { others.iter().map(|codes| codes[cell]).collect() };
            let mut people: HashMap<Vec<u32>, u64> = HashMap::new();
            for (at, cell) in self.cells.iter().enumerate() {
                *people.entry(rest(at)).or_default() += cell.failing[*group];
            }
            for (at, cell) in self.cells.iter_mut().enumerate() {
                cell.failing[*group] = people[&rest(at)];
            }
        }
        Ok(())
    }
}
