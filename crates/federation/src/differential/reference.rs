//! All rows in one table, asked with DataFusion. Second moments are made in two passes, and sums of large integers in 128 bits, because
//! DataFusion's own lose digits or wrap around.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Accumulator, ColumnarValue, Volatility, create_udaf, create_udf};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::tables::{AGE_EDGES, SCORE_EDGES, Table, Tables};

pub(super) struct Reference(SessionContext);

impl Reference {
    pub(super) fn of(tables: &Tables) -> Self {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        for table in &tables.all {
            let rows = pooled(table, &tables.nodes);
            let memory = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
            context.register_table(table.name.as_str(), Arc::new(memory)).unwrap();
        }
        register_moments(&context);
        register_exact_sum(&context);
        register_bins(&context);
        register_quantiles(&context);
        Self(context)
    }

    pub(super) async fn answer(&self, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        let sql = sql
            .replace("bin(age)", "bin_of_integer(age)")
            .replace("bin(score)", "bin_of_number(score)")
            .replace("median(age)", "quantile_of_age(age, 0.5)")
            .replace("median(score)", "quantile_of_score(score, 0.5)")
            .replace("approx_percentile_cont(age, ", "quantile_of_age(age, ")
            .replace("approx_percentile_cont(score, ", "quantile_of_score(score, ");
        self.0
            .sql(&sql.replace("sum(huge)", "sum_exact(huge)"))
            .await?
            .collect()
            .await
    }
}

/// The rows of all nodes, with the column `node`.
fn pooled(table: &Table, nodes: &[String]) -> RecordBatch {
    let node = Arc::new(Field::new("node", DataType::Utf8, false));
    let fields: Vec<_> = table.schema.fields().iter().cloned().chain([node]).collect();
    let schema = Arc::new(Schema::new(fields));
    let of_node = |(rows, node): (&RecordBatch, &String)| {
        let node = Arc::new(StringArray::from(vec![node.as_str(); rows.num_rows()])) as ArrayRef;
        let columns = rows.columns().iter().cloned().chain([node]).collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let all: Vec<RecordBatch> = table.by_node.iter().zip(nodes).map(of_node).collect();
    arrow::compute::concat_batches(&schema, &all).unwrap()
}

/// `bin(age)` and `bin(score)`: the one is of integers, the other not.
fn register_bins(context: &SessionContext) {
    for (kind, edges) in [
        (DataType::Int64, AGE_EDGES.as_slice()),
        (DataType::Float64, SCORE_EDGES.as_slice()),
    ] {
        let label = move |number: f64| {
            let bin = edges.windows(2).find(|bin| number >= bin[0] && number < bin[1]);
            bin.map(|bin| format!("[{}, {})", bin[0], bin[1]))
        };
        let function = move |arguments: &[ColumnarValue]| {
            let numbers = ColumnarValue::values_to_arrays(arguments)?;
            let numbers = cast(&numbers[0], &DataType::Float64)?;
            let labels = numbers
                .as_primitive::<Float64Type>()
                .iter()
                .map(|number| number.and_then(label));
            Ok(ColumnarValue::Array(Arc::new(labels.collect::<StringArray>())))
        };
        let name = if kind == DataType::Int64 {
            "bin_of_integer"
        } else {
            "bin_of_number"
        };
        let function = create_udf(
            name,
            vec![kind],
            DataType::Utf8,
            Volatility::Immutable,
            Arc::new(function),
        );
        context.register_udf(function);
    }
}

type Moment = fn(&Deviations) -> Option<f64>;

fn register_moments(context: &SessionContext) {
    let of_one: [(&str, Moment); 6] = [
        ("var_pop", |d| d.over(d.xx, d.rows)),
        ("var_samp", |d| d.over(d.xx, d.rows - 1.0)),
        ("var", |d| d.over(d.xx, d.rows - 1.0)),
        ("stddev_pop", |d| d.over(d.xx, d.rows).map(f64::sqrt)),
        ("stddev", |d| d.over(d.xx, d.rows - 1.0).map(f64::sqrt)),
        ("stddev_samp", |d| d.over(d.xx, d.rows - 1.0).map(f64::sqrt)),
    ];
    let of_two: [(&str, Moment); 4] = [
        ("covar_pop", |d| d.over(d.xy, d.rows)),
        ("covar_samp", |d| d.over(d.xy, d.rows - 1.0)),
        ("covar", |d| d.over(d.xy, d.rows - 1.0)),
        // Not defined where one of the two does not vary.
        ("corr", |d| d.over(d.xy, d.xx.sqrt() * d.yy.sqrt())),
    ];
    let arguments = of_one.map(|f| (1, f)).into_iter().chain(of_two.map(|f| (2, f)));
    for (arguments, (name, moment)) in arguments {
        let make = move |_: datafusion::logical_expr::function::AccumulatorArgs<'_>| {
            Ok(Box::new(TwoPasses {
                rows: Vec::new(),
                moment,
            }) as Box<dyn Accumulator>)
        };
        context.register_udaf(create_udaf(
            name,
            vec![DataType::Float64; arguments],
            Arc::new(DataType::Float64),
            Volatility::Immutable,
            Arc::new(make),
            Arc::new(vec![DataType::Float64]),
        ));
    }
}

/// Sums of squares and products of deviations from the means.
struct Deviations {
    rows: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Deviations {
    fn over(&self, sum: f64, by: f64) -> Option<f64> {
        (by > 0.0).then(|| sum / by)
    }

    fn of(rows: &[[f64; 2]]) -> Self {
        let count = rows.len() as f64;
        let is_constant = |at: usize| rows.iter().all(|row| row[at] == rows[0][at]);
        let mean = |at: usize| {
            let first = rows.first().map_or(0.0, |row| row[at]);
            first + rows.iter().map(|row| row[at] - first).sum::<f64>() / count.max(1.0)
        };
        let means = [mean(0), mean(1)];
        let off = |row: &[f64; 2], at: usize| if is_constant(at) { 0.0 } else { row[at] - means[at] };
        let offs: Vec<[f64; 2]> = rows.iter().map(|row| [off(row, 0), off(row, 1)]).collect();
        let sum = |a: usize, b: usize| {
            let left_over = offs.iter().map(|off| off[a]).sum::<f64>() * offs.iter().map(|off| off[b]).sum::<f64>();
            offs.iter().map(|off| off[a] * off[b]).sum::<f64>() - left_over / count.max(1.0)
        };
        Self {
            rows: count,
            xx: sum(0, 0),
            yy: sum(1, 1),
            xy: sum(0, 1),
        }
    }
}

#[derive(Debug)]
struct TwoPasses {
    rows: Vec<[f64; 2]>,
    moment: Moment,
}

impl Accumulator for TwoPasses {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let x = values[0].as_primitive::<Float64Type>();
        let y = values.last().unwrap().as_primitive::<Float64Type>();
        let both = x.iter().zip(y).filter_map(|(x, y)| Some([x?, y?]));
        self.rows.extend(both);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let known = (!self.rows.is_empty()).then(|| Deviations::of(&self.rows));
        Ok(ScalarValue::Float64(known.and_then(|known| (self.moment)(&known))))
    }

    fn size(&self) -> usize {
        0
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("one table has one part")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        exec_err!("one table has one part")
    }
}

/// `sum_exact(x)` of integers: an error where the sum does not fit.
fn register_exact_sum(context: &SessionContext) {
    context.register_udaf(create_udaf(
        "sum_exact",
        vec![DataType::Int64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(ExactSum(None)) as Box<dyn Accumulator>)),
        Arc::new(vec![DataType::Int64]),
    ));
}

#[derive(Debug)]
struct ExactSum(Option<i128>);

impl Accumulator for ExactSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            *self.0.get_or_insert(0) += i128::from(value);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.0.map(i64::try_from).transpose();
        sum.map_or_else(|_| exec_err!("does not fit 64 bits"), |sum| Ok(ScalarValue::Int64(sum)))
    }

    fn size(&self) -> usize {
        0
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("one table has one part")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        exec_err!("one table has one part")
    }
}

/// `quantile_of_age(age, 0.5)` and the same of `score`, interpolated within the bin of the row that is first not before that share of all.
fn register_quantiles(context: &SessionContext) {
    for (name, edges) in [
        ("quantile_of_age", AGE_EDGES.as_slice()),
        ("quantile_of_score", SCORE_EDGES.as_slice()),
    ] {
        let make = move |_: datafusion::logical_expr::function::AccumulatorArgs<'_>| {
            Ok(Box::new(Sorted {
                rows: Vec::new(),
                share: 0.0,
                edges,
            }) as Box<dyn Accumulator>)
        };
        context.register_udaf(create_udaf(
            name,
            vec![DataType::Float64; 2],
            Arc::new(DataType::Float64),
            Volatility::Immutable,
            Arc::new(make),
            Arc::new(vec![DataType::Float64]),
        ));
    }
}

#[derive(Debug)]
struct Sorted {
    rows: Vec<f64>,
    share: f64,
    edges: &'static [f64],
}

impl Accumulator for Sorted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows
            .extend(values[0].as_primitive::<Float64Type>().iter().flatten());
        self.share = values[1]
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .next()
            .unwrap_or(self.share);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.rows.sort_by(f64::total_cmp);
        let wanted = self.share * self.rows.len() as f64;
        let row = self.rows.get((wanted.ceil() as usize).max(1) - 1);
        let value = row.and_then(|row| {
            let bin = self.edges.windows(2).find(|bin| *row < bin[1])?;
            let below = self.rows.partition_point(|row| *row < bin[0]);
            let within = self.rows.partition_point(|row| *row < bin[1]) - below;
            Some(bin[0] + (bin[1] - bin[0]) * (wanted - below as f64) / within as f64)
        });
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        0
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("one table has one part")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        exec_err!("one table has one part")
    }
}
