//! Symmetric systems of equations, as sums of products give them.

/// A column that is so nearly a combination of those before it counts as one: of its length, after all is brought to length 1, less than
/// this is left. R's `lm` takes 1e-7 of the length itself.
const LEFT_MIN: f64 = 1e-11;

/// Index of `(row, column)`, row ≤ column, in the packed upper triangle.
pub(crate) fn packed(row: usize, column: usize) -> usize {
    column * (column + 1) / 2 + row
}

/// Numbers of a packed upper triangle.
pub(crate) fn packed_len(size: usize) -> usize {
    size * (size + 1) / 2
}

/// A positive definite matrix, decomposed: A = D L Lᵀ D with D the roots of its diagonal.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    size: usize,
    lengths: Vec<f64>,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Decomposes the packed upper triangle of a matrix.
    ///
    /// # Errors
    /// The first column that is zero or a combination of those before it.
    pub(crate) fn new(matrix: &[f64], size: usize) -> Result<Self, usize> {
        let lengths: Vec<f64> = (0..size).map(|at| matrix[packed(at, at)].sqrt()).collect();
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            let is_usable = lengths[row].is_normal();
            if !is_usable {
                return Err(row);
            }
            for column in 0..=row {
                let scaled = matrix[packed(column, row)] / (lengths[column] * lengths[row]);
                let known: f64 = (0..column)
                    .map(|k| lower[row * size + k] * lower[column * size + k])
                    .sum();
                let left = scaled - known;
                lower[row * size + column] = if column < row {
                    left / lower[column * size + column]
                } else if left > LEFT_MIN {
                    left.sqrt()
                } else {
                    return Err(row);
                };
            }
        }
        Ok(Self { size, lengths, lower })
    }

    /// x of A x = b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let Self { size, lengths, lower } = self;
        let mut x: Vec<f64> = b.iter().zip(lengths).map(|(b, length)| b / length).collect();
        for row in 0..*size {
            let known: f64 = (0..row).map(|k| lower[row * size + k] * x[k]).sum();
            x[row] = (x[row] - known) / lower[row * size + row];
        }
        for row in (0..*size).rev() {
            let known: f64 = (row + 1..*size).map(|k| lower[k * size + row] * x[k]).sum();
            x[row] = (x[row] - known) / lower[row * size + row];
        }
        x.iter().zip(lengths).map(|(x, length)| x / length).collect()
    }

    /// The inverse, as a full matrix by rows.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let mut inverse = vec![0.0; self.size * self.size];
        for column in 0..self.size {
            let mut unit = vec![0.0; self.size];
            unit[column] = 1.0;
            for (row, value) in self.solve(&unit).into_iter().enumerate() {
                inverse[row * self.size + column] = value;
            }
        }
        inverse
    }
}
