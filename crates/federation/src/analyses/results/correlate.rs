//! Of columns of numbers with each other.

use models::correlate::Correlation;

use crate::analyses::correlate::{Pair, Rows};

use super::{Results, Row, Sheet, Value};

impl Pair {
    fn row(&self) -> Row {
        let test = |of: fn(&Correlation) -> Option<f64>| self.test.as_ref().and_then(of);
        Row::default()
            .with("one", self.one.clone())
            .with("other", self.other.clone())
            .with("r", Value::Pooled(self.r))
            .with("n", Value::Pooled(self.n))
            .with("t", test(|test| Some(test.t)))
            .with("p", self.test.map_or(Value::Nothing, |test| Value::P(test.p)))
            .with("ci_low", test(|test| test.ci.map(|ci| ci[0])))
            .with("ci_high", test(|test| test.ci.map(|ci| ci[1])))
    }
}

impl Rows {
    /// The table of pairs that were correlated over these rows.
    pub fn results(self, pairs: &[Pair]) -> Results {
        let counted = match self {
            Rows::Pairwise => "pairwise: of each pair, the rows in which both columns are known",
            Rows::Complete => "complete: only rows in which all of these columns are known",
        };
        Results {
            sheets: vec![Sheet::new("rows", pairs.iter().map(Pair::row))],
            notes: vec![counted.to_owned()],
            ..Results::default()
        }
    }
}
