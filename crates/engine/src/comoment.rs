//! The aggregate `comoment(x, y)`: the sum of products of both columns' deviations from their means; of `(x, x)`, of squares.
//!
//! DataFusion's own variance and covariance lose a digit for each digit by which the mean is larger than the deviation. This one
//! takes every value from the group's first one before it does anything else (Welford, 1962, on the differences). It runs within
//! one part of a plan: its states never leave it.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

/// The aggregate over the rows in which both are known; NULL if there are none.
pub(crate) fn comoment(x: Expr, y: Expr) -> Expr {
    AggregateUDF::new_from_impl(Comoment {
        signature: Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable),
    })
    .call(vec![x, y])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Comoment {
    signature: Signature,
}

impl AggregateUDFImpl for Comoment {
    fn name(&self) -> &str {
        "comoment"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Group::default()))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups(Vec::new())))
    }
}

/// The rows of one group so far.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    rows: f64,
    first: [f64; 2],
    /// Means of what is left when the first values are taken away.
    means: [f64; 2],
    products: f64,
}

impl Group {
    fn add(&mut self, x: f64, y: f64) {
        if self.rows == 0.0 {
            self.first = [x, y];
        }
        self.rows += 1.0;
        let [x, y] = [x - self.first[0], y - self.first[1]];
        let before = x - self.means[0];
        self.means[0] += before / self.rows;
        self.means[1] += (y - self.means[1]) / self.rows;
        self.products += before * (y - self.means[1]);
    }

    fn total(&self) -> Option<f64> {
        (self.rows > 0.0).then_some(self.products)
    }
}

/// Calls `add` with the number and values of each row in which both are known.
fn each_known(values: &[ArrayRef], mut add: impl FnMut(usize, f64, f64)) -> Result<()> {
    let [x, y] = values else {
        return exec_err!("comoment has two arguments");
    };
    let (x, y): (&Float64Array, &Float64Array) = (x.as_primitive::<Float64Type>(), y.as_primitive::<Float64Type>());
    for row in 0..x.len() {
        if x.is_valid(row) && y.is_valid(row) {
            add(row, x.value(row), y.value(row));
        }
    }
    Ok(())
}

fn of_one_part<T>() -> Result<T> {
    exec_err!("comoment runs in one part of a plan")
}

impl Accumulator for Group {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_known(values, |_, x, y| self.add(x, y))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.total()))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        of_one_part()
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        of_one_part()
    }
}

struct Groups(Vec<Group>);

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        if opt_filter.is_some() {
            return exec_err!("comoment has no FILTER");
        }
        self.0.resize(total_num_groups, Group::default());
        each_known(values, |row, x, y| self.0[group_indices[row]].add(x, y))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.0);
        Ok(Arc::new(groups.iter().map(Group::total).collect::<Float64Array>()))
    }

    fn state(&mut self, _emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        of_one_part()
    }

    fn merge_batch(&mut self, _values: &[ArrayRef], _group_indices: &[usize], _total_num_groups: usize) -> Result<()> {
        of_one_part()
    }

    fn convert_to_state(&self, _values: &[ArrayRef], _opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        of_one_part()
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<Group>()
    }
}

#[cfg(test)]
mod tests;
