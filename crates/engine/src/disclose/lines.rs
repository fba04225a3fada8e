//! The lines of a table, and which cells must not be released because the rest of their line would give another away.
//!
//! The sum over a line can be asked for. So what is withheld in a line must be about enough people, and about two cells at
//! least. See `docs/disclosure.md`, section 1.

use std::collections::BTreeMap;

use super::Rules;

/// All cells that agree in all keys but one.
#[derive(Debug)]
pub(super) struct Line {
    /// In the order of the answer.
    pub(super) cells: Vec<usize>,
    /// Whether one of them has NULL for the key.
    pub(super) has_null: bool,
}

/// The lines of each key.
#[derive(Debug)]
pub(super) struct Lines(Vec<Vec<Line>>);

impl Lines {
    /// From the numbers of each key's values in each cell.
    pub(super) fn of(codes: &[Vec<u32>], cells: usize) -> Self {
        let of_key = |key: usize| {
            let mut lines: BTreeMap<Vec<u32>, Line> = BTreeMap::new();
            for cell in 0..cells {
                let others = codes.iter().enumerate().filter(|(other, _)| *other != key);
                let line = others.map(|(_, codes)| codes[cell]).collect();
                let line = lines.entry(line).or_insert_with(|| Line {
                    cells: Vec::new(),
                    has_null: false,
                });
                line.cells.push(cell);
                line.has_null |= codes[key][cell] == NULL_CODE;
            }
            let mut lines: Vec<Line> = lines.into_values().collect();
            lines.sort_by_key(|line| line.cells.first().copied());
            lines
        };
        Self((0..codes.len()).map(of_key).collect())
    }

    pub(super) fn of_key(&self, key: usize) -> &[Line] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Withholds more until no line is unsafe. `people` of a cell is 0 where the cell is none of its line; `empty` says, of a line of
    /// a key and the number of its withheld cells, how many values count as withheld although they have no cell.
    pub(super) fn secondary(
        &self,
        people: &[u64],
        rules: &Rules,
        is_withheld: &mut [bool],
        empty: impl Fn(usize, &Line, usize) -> usize,
    ) {
        loop {
            let mut changed = false;
            for (key, lines) in self.0.iter().enumerate() {
                for line in lines {
                    let empty = |withheld: usize| empty(key, line, withheld);
                    while let Some(cell) = line.to_withhold(people, rules, is_withheld, empty) {
                        is_withheld[cell] = true;
                        changed = true;
                    }
                }
            }
            if !changed {
                return;
            }
        }
    }
}

/// The number of NULL among the values of a key; others have numbers from 1.
pub(crate) const NULL_CODE: u32 = 0;

impl Line {
    /// The next cell to withhold if the line is unsafe.
    fn to_withhold(
        &self,
        people: &[u64],
        rules: &Rules,
        is_withheld: &[bool],
        empty: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let there = || self.cells.iter().copied().filter(|cell| people[*cell] > 0);
        let withheld: Vec<u64> = there()
            .filter(|cell| is_withheld[*cell])
            .map(|cell| people[cell])
            .collect();
        let empty = empty(withheld.len());
        if withheld.is_empty() && empty == 0 {
            return None;
        }
        let hidden = if rules.one_row_each {
            withheld.iter().sum()
        } else {
            withheld.iter().copied().max().unwrap_or(0)
        };
        if withheld.len() + empty >= 2 && hidden >= rules.people_min {
            return None;
        }
        let released = there().filter(|cell| !is_withheld[*cell]);
        released.min_by_key(|cell| (people[*cell], std::cmp::Reverse(*cell)))
    }
}
