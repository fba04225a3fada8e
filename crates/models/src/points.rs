//! Rows as points in a space of numbers, and where they lie: means, deviations and correlations, as sums in two steps.
//!
//! Next: `pca.rs` and `kmeans.rs`, which begin with these two steps.

use terms::{Problem, Report};

use crate::design::{Building, DesignColumn, Need, Variable, scale};
use crate::formula::{Atom, Formula};
use crate::frame::Frame;
use crate::solve::{packed, packed_len};

/// A column counts as constant if its variance is less than this share of its mean square.
const VARIES_MIN: f64 = 1e-11;

/// The columns that are the coordinates of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// What is read of each row. Rows in which one of them is not known are left out.
    pub needs: Vec<Need>,
    /// So many of them are coordinates; the others only have to be known.
    pub summed: usize,
    /// The coordinates, each of one variable.
    pub columns: Vec<DesignColumn>,
}

/// Where the rows lie; in units of the scaled columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) rows: f64,
    pub(crate) means: Vec<f64>,
    /// Covariances with rows − 1, a packed triangle.
    pub(crate) covariances: Vec<f64>,
}

/// The first two steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Measure {
    /// Adds up rows, and each column.
    Means,
    /// Adds up the products of what the columns differ from these means; of this many rows.
    Products(f64, Vec<f64>),
}

/// What follows from one of them.
pub(crate) enum Measured {
    Next(Measure),
    Done(Moments),
}

impl Points {
    /// Reads variables such as `age, log(bili), sex == "f"` over the columns of a collection. Rows in which a column of `complete` is not
    /// known are left out too.
    ///
    /// # Errors
    /// As [`Formula::parse_variables`]; `E_SQL_COLUMN`, `E_MODEL_FORMULA` for what is not a number.
    pub fn new(text: &str, complete: &[&str], variables: &[Variable]) -> Result<Self, Report> {
        let mut building = Building {
            variables,
            needs: Vec::new(),
            levels: Vec::new(),
        };
        let columns = Formula::parse_variables(text)?;
        let columns = columns.iter().map(|atom| column(&mut building, atom));
        let columns = columns.collect::<Result<_, _>>()?;
        let summed = building.needs.len();
        complete.iter().try_for_each(|column| building.complete(column))?;
        Ok(Self {
            columns,
            summed,
            needs: building.needs,
        })
    }

    /// Coordinates.
    pub(crate) fn size(&self) -> usize {
        self.columns.len()
    }

    /// Calls with each row.
    pub(crate) fn each_row(&self, frame: &Frame, mut with: impl FnMut(&[f64])) {
        const BLOCK_ROWS: usize = 512;
        let mut columns = vec![[0.0; BLOCK_ROWS]; self.size()];
        let mut room = [0.0; BLOCK_ROWS];
        let mut point = vec![0.0; self.size()];
        for from in (0..frame.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(frame.rows - from);
            for (column, into) in self.columns.iter().zip(&mut columns) {
                column.fill(frame, from, &mut into[..rows], &mut room[..rows]);
            }
            for row in 0..rows {
                for (x, column) in point.iter_mut().zip(&columns) {
                    *x = column[row];
                }
                with(&point);
            }
        }
    }
}

fn column(building: &mut Building<'_>, atom: &Atom) -> Result<DesignColumn, Report> {
    let value = building.number(atom, "a variable of this analysis")?;
    let scale = scale(atom, building.variable(&atom.column)?);
    Ok(DesignColumn {
        name: atom.to_string(),
        factors: vec![value],
        scale,
        of_levels: Vec::new(),
        term: 0,
    })
}

impl Measure {
    pub(crate) fn width(&self, points: &Points) -> usize {
        match self {
            Measure::Means => 1 + points.size(),
            Measure::Products(..) => packed_len(points.size()),
        }
    }

    /// Of the wider of the two.
    pub(crate) fn width_max(points: &Points) -> usize {
        packed_len(points.size()).max(1 + points.size())
    }

    pub(crate) fn add(&self, points: &Points, frame: &Frame, into: &mut [f64]) {
        match self {
            Measure::Means => points.each_row(frame, |x| {
                into[0] += 1.0;
                for (sum, x) in into[1..].iter_mut().zip(x) {
                    *sum += x;
                }
            }),
            Measure::Products(_, means) => {
                let mut differs = means.clone();
                points.each_row(frame, |x| {
                    for ((differs, x), mean) in differs.iter_mut().zip(x).zip(means) {
                        *differs = x - mean;
                    }
                    for column in 0..differs.len() {
                        for row in 0..=column {
                            into[packed(row, column)] += differs[row] * differs[column];
                        }
                    }
                });
            }
        }
    }

    /// # Errors
    /// `E_MODEL_DATA` with fewer rows than columns and one, `E_MODEL_SINGULAR` with a constant column.
    pub(crate) fn next(&self, points: &Points, sums: &[f64]) -> Result<Measured, Report> {
        match self {
            Measure::Means => {
                let (rows, size) = (sums[0].round(), points.size());
                if rows < size as f64 + 1.0 {
                    let message = format!(
                        "there are {size} variables and only {rows} rows in which all are known; it needs {}",
                        size + 1
                    );
                    return Err(Problem::ModelData.report(message));
                }
                let means = sums[1..].iter().map(|sum| sum / rows).collect();
                Ok(Measured::Next(Measure::Products(rows, means)))
            }
            Measure::Products(rows, means) => {
                let moments = Moments {
                    rows: *rows,
                    means: means.clone(),
                    covariances: sums.iter().map(|sum| sum / (rows - 1.0)).collect(),
                };
                moments.require_varied(points)?;
                Ok(Measured::Done(moments))
            }
        }
    }
}

impl Moments {
    /// Standard deviations.
    pub(crate) fn deviations(&self) -> Vec<f64> {
        let squares = (0..self.means.len()).map(|at| self.covariances[packed(at, at)]);
        squares.map(f64::sqrt).collect()
    }

    /// A full matrix by rows, as of columns divided by `by`.
    pub(crate) fn matrix(&self, by: &[f64]) -> Vec<f64> {
        let size = by.len();
        let entry = |at: usize| {
            let (row, column) = (at / size, at % size);
            self.covariances[packed(row.min(column), row.max(column))] / (by[row] * by[column])
        };
        (0..size * size).map(entry).collect()
    }

    fn require_varied(&self, points: &Points) -> Result<(), Report> {
        let is_constant = |at: &usize| {
            let (variance, mean) = (self.covariances[packed(*at, *at)], self.means[*at]);
            variance.is_nan() || variance <= VARIES_MIN * (variance + mean * mean)
        };
        let Some(at) = (0..self.means.len()).find(is_constant) else {
            return Ok(());
        };
        let name = &points.columns[at].name;
        Err(Problem::ModelSingular
            .report(format!("{name} is the same in every row"))
            .remedy(format!("leave out {name}")))
    }
}
