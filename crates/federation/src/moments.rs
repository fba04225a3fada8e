//! Second moments of all nodes from those of each (Chan, Golub and LeVeque, 1979): what is within the nodes, and what is between
//! their means. There is no difference of large squares.

use engine::query::{Pair, PairPart, Spread};

/// Deviations of so small a share of the mean are what rounding makes of equal numbers.
const NOISE: f64 = 1e-14;

/// A sum: exact of integers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) integer: i128,
    pub(crate) float: f64,
    pub(crate) is_float: bool,
}

impl Total {
    pub(crate) fn as_f64(&self) -> f64 {
        self.integer as f64 + self.float
    }

    pub(crate) fn add(&mut self, other: &Total) {
        // Only a node that lies has a sum of such a size, and it is refused as one that does not fit.
        self.integer = self.integer.saturating_add(other.integer);
        self.float += other.float;
        self.is_float |= other.is_float;
    }
}

/// What one node says of one column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneColumn {
    pub(crate) rows: i64,
    pub(crate) sum: Total,
    pub(crate) variance: f64,
}

/// A variance or its root; none if it is not defined.
pub(crate) fn spread(spread: Spread, nodes: &[OneColumn]) -> Option<f64> {
    let rows: f64 = nodes.iter().map(|node| node.rows as f64).sum();
    let (mean, off) = off_sums(nodes);
    let within = nodes.iter().map(|node| node.rows as f64 * node.variance);
    let between = nodes.iter().zip(off).map(|(node, off)| node.rows as f64 * off * off);
    let squares: f64 = within.chain(between).sum();
    let is_exact = nodes.iter().all(|node| !node.sum.is_float);
    let squares = if is_exact {
        squares
    } else {
        without_noise(squares, rows, mean)
    };
    let value = match spread {
        Spread::VarPop => squares / rows,
        Spread::VarSamp => squares / (rows - 1.0),
        Spread::StddevPop => (squares / rows).sqrt(),
        Spread::StddevSamp => (squares / (rows - 1.0)).sqrt(),
    };
    defined(value, rows)
}

fn defined(value: f64, rows: f64) -> Option<f64> {
    (rows > 0.0 && value.is_finite()).then_some(value)
}

fn without_noise(squares: f64, rows: f64, mean: f64) -> f64 {
    let noise = NOISE * mean;
    if squares <= rows * noise * noise { 0.0 } else { squares }
}

/// The mean, and how far each node's is from it. Of integers the difference is exact before it is divided.
fn off_sums(nodes: &[OneColumn]) -> (f64, Vec<f64>) {
    let rows: i64 = nodes.iter().map(|node| node.rows).sum();
    let mut all = Total::default();
    nodes.iter().for_each(|node| all.add(&node.sum));
    let mean = all.as_f64() / rows as f64;
    let exact = |node: &OneColumn| {
        let ours = i128::from(rows).checked_mul(node.sum.integer)?;
        let theirs = i128::from(node.rows).checked_mul(all.integer)?;
        let off = ours.checked_sub(theirs)? as f64 / (rows as f64 * node.rows as f64);
        (!all.is_float).then_some(off)
    };
    let off = |node: &OneColumn| exact(node).unwrap_or(node.sum.as_f64() / node.rows as f64 - mean);
    (mean, nodes.iter().map(off).collect())
}

/// What one node says of two columns, and what all nodes say together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TwoColumns {
    pub(crate) rows: f64,
    pub(crate) means: [f64; 2],
    pub(crate) squares: [f64; 2],
    pub(crate) products: f64,
}

impl TwoColumns {
    /// From the parts in the order of [`PairPart::ALL`].
    pub(crate) fn of(parts: [f64; PairPart::ALL.len()]) -> Self {
        let [rows, first, second, squares_of_first, squares_of_second, products] = parts;
        Self {
            rows,
            means: [first, second],
            squares: [squares_of_first, squares_of_second],
            products,
        }
    }

    /// From the count, and of each column the sum and the variance, of the rows in which both are known; and their covariance.
    pub(crate) fn of_people(parts: [f64; PairPart::ALL.len()]) -> Self {
        let [rows, sum_of_first, of_first, sum_of_second, of_second, together] = parts;
        Self {
            rows,
            means: [sum_of_first / rows, sum_of_second / rows],
            squares: [of_first * rows, of_second * rows],
            products: together * rows,
        }
    }

    pub(crate) fn all(nodes: &[Self]) -> Self {
        let rows: f64 = nodes.iter().map(|node| node.rows).sum();
        let mean = |at: usize| nodes.iter().map(|node| node.rows * node.means[at]).sum::<f64>() / rows;
        let means = [mean(0), mean(1)];
        let between =
            |node: &Self, a: usize, b: usize| node.rows * (node.means[a] - means[a]) * (node.means[b] - means[b]);
        let squares = |at: usize| {
            let each = nodes.iter().map(|node| node.squares[at] + between(node, at, at));
            without_noise(each.sum(), rows, means[at])
        };
        let squares = [squares(0), squares(1)];
        let products: f64 = nodes.iter().map(|node| node.products + between(node, 0, 1)).sum();
        Self {
            rows,
            means,
            squares,
            // Where one of the two does not vary, neither do they together.
            products: if squares.contains(&0.0) { 0.0 } else { products },
        }
    }

    pub(crate) fn statistic(&self, pair: Pair) -> Option<f64> {
        let value = match pair {
            Pair::CovarPop => self.products / self.rows,
            Pair::CovarSamp => self.products / (self.rows - 1.0),
            // What rounding adds to a straight line is no more than one.
            Pair::Corr => (self.products / (self.squares[0].sqrt() * self.squares[1].sqrt())).clamp(-1.0, 1.0),
        };
        defined(value, self.rows)
    }

    pub(crate) fn part(&self, part: PairPart) -> f64 {
        match part {
            PairPart::Rows => self.rows,
            PairPart::MeanOfFirst => self.means[0],
            PairPart::MeanOfSecond => self.means[1],
            PairPart::SquaresOfFirst => self.squares[0],
            PairPart::SquaresOfSecond => self.squares[1],
            PairPart::Products => self.products,
        }
    }
}

#[cfg(test)]
mod tests;
