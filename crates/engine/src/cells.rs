//! What the release checks and the numbers need to know of each cell.
//!
//! Everything here is a sum, a maximum or a merge of moments (Chan, Golub and LeVeque, 1979) over people, in integers where
//! the data are integers, so that it does not matter in which parts people were added up. It must never keep a single person's
//! rows. `fold.rs` makes it. Next: `disclose.rs`, which decides what may leave.

mod spread;

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{Row, RowConverter, SortField};

use crate::disclose::NULL_CODE;
use crate::fold::keys::Keys;
use crate::sketch::Sketch;

/// Most largest contributors that a policy can ask about.
pub(crate) const TOP_MAX: usize = policy::DOMINANCE_TOP_MAX as usize;

/// What is known of one cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Rows that pass all conditions.
    pub(crate) rows: i64,
    /// Distinct people who have such a row.
    pub(crate) people: u64,
    /// For each condition group, distinct people with a row that fails it alone; for some in [`Layout::spread`] in other cells.
    pub(crate) failing: Vec<u64>,
    pub(crate) inputs: Vec<Input>,
}

/// What is known of one input of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) rows: i64,
    /// Distinct people with a row in it.
    pub(crate) people: u64,
    /// Distinct people with a known value in the cell outside of the FILTER.
    pub(crate) rest: u64,
    /// For each FILTER that stands before its own, distinct people with a row for which exactly one of the two is true.
    pub(crate) between: Vec<u64>,
    /// Distinct people without a known value.
    pub(crate) unknown: u64,
    /// How rows are shared among people.
    pub(crate) counts: Shares,
    pub(crate) columns: Vec<Moments>,
    /// Sum of products of both columns' deviations from their means.
    pub(crate) product: f64,
    /// Rows and people in each declared bin.
    pub(crate) bins: Vec<(i64, u64)>,
    pub(crate) sketches: Sketches,
}

/// Sums and moments of one column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) total: Total,
    pub(crate) mean: f64,
    /// Sum of squared deviations from the mean.
    pub(crate) squares: f64,
    /// How the sum is shared among people.
    pub(crate) shares: Shares,
}

/// A sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Total {
    /// Of integers: exact.
    Integer(i128),
    /// Of floats, with what rounding lost (Neumaier, 1974).
    Number { sum: f64, lost: f64 },
}

impl Default for Total {
    fn default() -> Self {
        Total::Integer(0)
    }
}

impl Total {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            // The same, and quicker where 64 bits do.
            Total::Integer(sum) => i64::try_from(sum).map_or_else(|_| sum as f64, |sum| sum as f64),
            // What rounding lost of infinity is no number.
            Total::Number { sum, lost } if sum.is_finite() => sum + lost,
            Total::Number { sum, .. } => sum,
        }
    }

    pub(crate) fn add(&mut self, other: Total) {
        *self = match (*self, other) {
            (Total::Integer(a), Total::Integer(b)) => Total::Integer(a.saturating_add(b)),
            (a, b) => {
                let (sum, lost) = match a {
                    Total::Integer(sum) => (sum as f64, 0.0),
                    Total::Number { sum, lost } => (sum, lost),
                };
                let b = b.as_f64();
                let next = sum + b;
                let error = if sum.abs() >= b.abs() {
                    (sum - next) + b
                } else {
                    (b - next) + sum
                };
                Total::Number {
                    sum: next,
                    lost: lost + error,
                }
            }
        };
    }
}

/// How a total is shared among the people who contribute to it, by magnitude.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// People whose contribution is not 0.
    pub(crate) nonzero: u64,
    /// Sum of magnitudes.
    pub(crate) magnitude: f64,
    /// The largest magnitudes, the largest first.
    pub(crate) largest: [f64; TOP_MAX],
}

impl Shares {
    fn merge(&mut self, other: &Shares) {
        self.nonzero += other.nonzero;
        self.magnitude += other.magnitude;
        other.largest.iter().for_each(|magnitude| self.rank(*magnitude));
    }

    pub(crate) fn add(&mut self, contribution: f64) {
        let magnitude = contribution.abs();
        self.nonzero += u64::from(magnitude > 0.0);
        self.magnitude += magnitude;
        self.rank(magnitude);
    }

    /// Puts a magnitude among the largest, if it is one of them.
    fn rank(&mut self, magnitude: f64) {
        if magnitude <= self.largest[TOP_MAX - 1] {
            return;
        }
        let at = self.largest.partition_point(|larger| *larger >= magnitude);
        self.largest[at..].rotate_right(1);
        self.largest[at] = magnitude;
    }
}

/// Most columns of one aggregate.
pub(crate) const COLUMNS_MAX: usize = 2;

/// Rows to merge with those before.
#[derive(Debug, Default)]
pub(crate) struct RowMoments {
    pub(crate) rows: i64,
    /// How far the mean of each column is from the mean before.
    pub(crate) deltas: [f64; COLUMNS_MAX],
    /// Sum of squared deviations from their own mean.
    pub(crate) squares: [f64; COLUMNS_MAX],
    /// Sum of products of both columns' deviations.
    pub(crate) product: f64,
}

/// Who contributed what.
#[derive(Clone, Debug)]
pub(crate) struct Sketches {
    /// Rows and sums.
    pub(crate) sums: Sketch,
    /// Rows in each bin.
    pub(crate) bins: Option<Sketch>,
}

/// All cells, in the order of the answer.
#[derive(Debug)]
pub(crate) struct Table {
    /// The keys, one array each.
    pub(crate) keys: Vec<ArrayRef>,
    /// For each key, the number of its value in each cell: equal values have equal numbers.
    pub(crate) codes: Vec<Vec<u32>>,
    pub(crate) cells: Vec<Cell>,
}

/// Why rows could not become cells.
#[derive(Debug)]
pub(crate) enum CellsError {
    TooMany,
    /// Rows do not come person by person: whoever comes twice would be counted twice.
    Unordered,
    Arrow(ArrowError),
}

impl From<ArrowError> for CellsError {
    fn from(error: ArrowError) -> Self {
        CellsError::Arrow(error)
    }
}

/// The cells of some people.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) keys: Keys,
    /// By the number that the keys give it.
    pub(crate) cells: Vec<Cell>,
}

impl Cells {
    /// Takes in the cells of other people.
    pub(crate) fn merge(&mut self, other: Cells) -> Result<(), CellsError> {
        let mine = self.keys.cells_of(&other.keys.columns()?, other.cells.len())?;
        for (mine, theirs) in mine.into_iter().zip(other.cells) {
            match self.cells.get_mut(mine as usize) {
                Some(cell) => cell.merge(&theirs),
                // New cells have the numbers that follow.
                None => self.cells.push(theirs),
            }
        }
        Ok(())
    }

    /// The cells that have rows, in the order of their keys. `keeps_empty`, whether a cell without rows is one.
    pub(crate) fn table(self, keeps_empty: bool) -> Result<Table, ArrowError> {
        let keys = self.keys.columns()?;
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        order.retain(|at| keeps_empty || self.cells[*at].rows > 0);
        if !keys.is_empty() {
            let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
            let rows = RowConverter::new(fields)?.convert_columns(&keys)?;
            order.sort_unstable_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
        }
        let positions = UInt32Array::from_iter_values(order.iter().map(|at| *at as u32));
        let keys = keys.iter().map(|key| take(key, &positions, None));
        let keys = keys.collect::<Result<Vec<_>, ArrowError>>()?;
        let mut cells: Vec<Option<Cell>> = self.cells.into_iter().map(Some).collect();
        Ok(Table {
            codes: keys.iter().map(codes).collect::<Result<_, ArrowError>>()?,
            keys,
            cells: order.into_iter().filter_map(|at| cells[at].take()).collect(),
        })
    }
}

/// Numbers the distinct values of a key from 1; NULL is [`NULL_CODE`].
fn codes(key: &ArrayRef) -> Result<Vec<u32>, ArrowError> {
    let converter = RowConverter::new(vec![SortField::new(key.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(key))?;
    let mut known: HashMap<Box<[u8]>, u32> = HashMap::new();
    let number = |(at, row): (usize, Row<'_>)| {
        if key.is_null(at) {
            return NULL_CODE;
        }
        let next = u32::try_from(known.len() + 1).unwrap_or(u32::MAX);
        *known.entry(row.as_ref().into()).or_insert(next)
    };
    Ok(rows.iter().enumerate().map(number).collect())
}

impl Cell {
    fn merge(&mut self, other: &Cell) {
        self.rows += other.rows;
        self.people += other.people;
        add_each(&mut self.failing, &other.failing);
        self.inputs
            .iter_mut()
            .zip(&other.inputs)
            .for_each(|(input, other)| input.merge(other));
    }
}

fn add_each(all: &mut [u64], others: &[u64]) {
    all.iter_mut().zip(others).for_each(|(all, other)| *all += other);
}

impl Input {
    fn merge(&mut self, other: &Input) {
        self.people += other.people;
        self.rest += other.rest;
        add_each(&mut self.between, &other.between);
        self.unknown += other.unknown;
        self.counts.merge(&other.counts);
        for ((rows, people), (more_rows, more_people)) in self.bins.iter_mut().zip(&other.bins) {
            *rows += more_rows;
            *people += more_people;
        }
        self.sketches.merge(&other.sketches);
        for (moments, more) in self.columns.iter_mut().zip(&other.columns) {
            moments.shares.merge(&more.shares);
            moments.total.add(more.total);
        }
        let mut rows = RowMoments {
            rows: other.rows,
            product: other.product,
            ..RowMoments::default()
        };
        for (at, (moments, more)) in self.columns.iter().zip(&other.columns).enumerate().take(COLUMNS_MAX) {
            rows.deltas[at] = more.mean - moments.mean;
            rows.squares[at] = more.squares;
        }
        self.merge_rows(&rows);
    }

    /// Merges the moments of more rows into those of the rows before.
    pub(crate) fn merge_rows(&mut self, more: &RowMoments) {
        if more.rows == 0 {
            return;
        }
        let (before, now) = (self.rows as f64, more.rows as f64);
        let weight = before * now / (before + now);
        for ((moments, delta), squares) in self.columns.iter_mut().zip(more.deltas).zip(more.squares) {
            moments.squares += squares + delta * delta * weight;
            moments.mean += delta * now / (before + now);
        }
        self.product += more.product + more.deltas[0] * more.deltas[1] * weight;
        self.rows += more.rows;
    }
}

impl Sketches {
    fn merge(&mut self, other: &Sketches) {
        self.sums.merge(&other.sums);
        if let (Some(mine), Some(other)) = (&mut self.bins, &other.bins) {
            mine.merge(other);
        }
    }
}
