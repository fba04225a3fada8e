//! What the tests of all analyses share: tables of real institutions, nodes' frames of them, and steps as nodes make them.

use std::path::{Path, PathBuf};

use terms::Report;

use crate::design::{Need, Variable};
use crate::frame::{Column, Frame};
use crate::rounds::{Rounds, to_the_end};

/// A table as text; the empty text is not known.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap()
    }

    /// What a collection over these columns would declare: bounds from the values, levels where asked for.
    pub(crate) fn variables(&self, factors: &[&str]) -> Vec<Variable> {
        let variable = |name: &String| {
            let at = self.column(name);
            let known = || {
                self.rows
                    .iter()
                    .map(|row| row[at].as_str())
                    .filter(|text| !text.is_empty())
            };
            let numbers: Option<Vec<f64>> = known().map(|text| text.parse().ok()).collect();
            let mut levels: Vec<String> = known().map(str::to_owned).collect();
            levels.sort();
            levels.dedup();
            Variable {
                name: name.clone(),
                is_number: numbers.is_some(),
                bounds: numbers.as_ref().map(|all| {
                    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
                    (low, all.iter().copied().fold(f64::NEG_INFINITY, f64::max))
                }),
                levels: if factors.contains(&name.as_str()) || numbers.is_none() {
                    levels
                } else {
                    Vec::new()
                },
                edges: Vec::new(),
            }
        };
        self.names.iter().map(variable).collect()
    }

    /// The same with one column more.
    pub(crate) fn with(mut self, name: &str, value: impl Fn(&dyn Fn(&str) -> String) -> String) -> Self {
        for at in 0..self.rows.len() {
            let of = |name: &str| self.rows[at][self.column(name)].clone();
            let value = value(&of);
            self.rows[at].push(value);
        }
        self.names.push(name.to_owned());
        self
    }

    /// The rows of each value of a column, as nodes with one value each would read them.
    pub(crate) fn frames_by(&self, column: &str, needs: &[Need]) -> Vec<Frame> {
        let at = self.column(column);
        let mut values: Vec<&String> = self.rows.iter().map(|row| &row[at]).collect();
        values.sort();
        values.dedup();
        let frames = values
            .iter()
            .map(|value| self.frame(needs, |_, row| row[at] == **value));
        frames.collect()
    }

    /// The rows for which `is_here`, as a node would read them for a design.
    pub(crate) fn frame(&self, needs: &[Need], is_here: impl Fn(usize, &[String]) -> bool) -> Frame {
        let mut frame = Frame {
            columns: needs.iter().map(Column::from).collect(),
            ..Frame::default()
        };
        for (at, row) in self.rows.iter().enumerate() {
            let values: Vec<&str> = needs
                .iter()
                .map(|need| row[self.column(need.column())].as_str())
                .collect();
            if !is_here(at, row) || values.iter().any(|value| value.is_empty()) {
                continue;
            }
            for ((need, column), value) in needs.iter().zip(&mut frame.columns).zip(values) {
                match (need, column) {
                    (Need::Level(_, levels), Column::Codes(codes)) => {
                        codes.push(levels.iter().position(|level| level == value).unwrap() as u16);
                    }
                    (_, Column::Numbers(numbers)) => numbers.push(value.parse().unwrap()),
                    _ => unreachable!(),
                }
            }
            frame.rows += 1;
        }
        frame
    }
}

/// Steps over frames as nodes make them: each adds up, all are added.
pub(crate) fn fit<R: Rounds>(analysis: &R, frames: &[Frame]) -> Result<R::Fitted, Report> {
    to_the_end(analysis.start(), 200, |state| {
        analysis.next(state, &added(analysis, state, frames))
    })
}

/// The sums of one step over all frames.
pub(crate) fn added<R: Rounds>(analysis: &R, state: &R::State, frames: &[Frame]) -> Vec<f64> {
    let width = analysis.width(state);
    assert!(analysis.width_max().is_none_or(|most| width <= most));
    let mut sums = vec![0.0; width];
    for frame in frames {
        let mut own = vec![0.0; width];
        analysis.add(state, frame, &mut own);
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
    sums
}

pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: {} is not there", file.display());
    None
}

pub(crate) fn table(file: &Path) -> Table {
    let mut lines = csv::Reader::from_path(file).unwrap();
    let names = lines.headers().unwrap().iter();
    Table {
        names: names.map(|name| name.replace(['.', '-'], "_")).collect(),
        rows: lines.deserialize().collect::<Result<_, _>>().unwrap(),
    }
}
