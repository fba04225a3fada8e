//! From one line for each person in each cell to what the release checks and the numbers need to know of each cell.
//!
//! Everything here is a sum, a maximum or a merge of moments (Chan, Golub and LeVeque, 1979) over people, in integers where
//! the data are integers, so that the order of lines does not matter. It must never keep a single person's line.
//! Next: `disclose.rs`, which decides what may leave.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{Row, RowConverter, SortField};

use terms::limit;

use crate::disclose::NULL_CODE;
use crate::enforce::cells::{InputLayout, Layout};
use crate::sketch::{Contribution, PersonHash, Sketch};

/// Most largest contributors that a policy can ask about.
pub(crate) const TOP_MAX: usize = policy::DOMINANCE_TOP_MAX as usize;

/// What is known of one cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Rows that pass all conditions.
    pub(crate) rows: i64,
    /// Distinct people who have such a row.
    pub(crate) people: u64,
    /// For each condition group, distinct people with a row that fails it alone.
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
            Total::Integer(sum) => sum as f64,
            // What rounding lost of infinity is no number.
            Total::Number { sum, lost } if sum.is_finite() => sum + lost,
            Total::Number { sum, .. } => sum,
        }
    }

    fn add(&mut self, other: Total) {
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

    fn add(&mut self, contribution: f64) {
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

/// Why lines could not become cells.
#[derive(Debug)]
pub(crate) enum CellsError {
    TooMany,
    Arrow(ArrowError),
}

impl From<ArrowError> for CellsError {
    fn from(error: ArrowError) -> Self {
        CellsError::Arrow(error)
    }
}

/// Cells while lines come in.
#[derive(Debug)]
pub(crate) struct Cells {
    layout: Arc<Layout>,
    /// Slots of a sketch, for data about people.
    slots: Option<usize>,
    keeps_empty: bool,
    converter: Option<RowConverter>,
    by_key: HashMap<Box<[u8]>, usize>,
    cells: Vec<Cell>,
}

impl Cells {
    /// `slots` is the number of slots of a sketch, for data about people; `keeps_empty`, whether a cell without rows
    /// is one.
    pub(crate) fn new(layout: Arc<Layout>, slots: Option<usize>, keeps_empty: bool) -> Self {
        Self {
            layout,
            slots,
            keeps_empty,
            converter: None,
            by_key: HashMap::new(),
            cells: Vec::new(),
        }
    }

    /// Adds a batch of lines.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), CellsError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let cells = self.cells_of(batch)?;
        let people = self.people(batch)?;
        let lines = Lines::of(&self.layout, batch)?;
        for (line, cell) in cells.into_iter().enumerate() {
            let person = people.as_ref().map(|people| people[line]);
            self.cells[cell].add(line, &lines, person);
        }
        Ok(())
    }

    /// The cell of each line.
    fn cells_of(&mut self, batch: &RecordBatch) -> Result<Vec<usize>, CellsError> {
        let keys = &batch.columns()[..self.layout.keys];
        if keys.is_empty() {
            self.cell_of(&[])?;
            return Ok(vec![0; batch.num_rows()]);
        }
        if self.converter.is_none() {
            let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
            self.converter = Some(RowConverter::new(fields)?);
        }
        let Some(converter) = &self.converter else {
            return Ok(Vec::new());
        };
        let rows = converter.convert_columns(keys)?;
        (0..batch.num_rows())
            .map(|line| self.cell_of(rows.row(line).as_ref()))
            .collect()
    }

    fn cell_of(&mut self, key: &[u8]) -> Result<usize, CellsError> {
        if let Some(at) = self.by_key.get(key) {
            return Ok(*at);
        }
        if self.cells.len() == limit::GROUPS_MAX {
            return Err(CellsError::TooMany);
        }
        let slots = self.slots.unwrap_or(0);
        self.by_key.insert(key.into(), self.cells.len());
        self.cells.push(Cell::new(&self.layout, slots));
        Ok(self.cells.len() - 1)
    }

    fn people(&self, batch: &RecordBatch) -> Result<Option<Vec<PersonHash>>, ArrowError> {
        let Some(at) = self.layout.person else { return Ok(None) };
        let orders = integers(batch, at)?.values().iter();
        Ok(Some(orders.map(|order| PersonHash::from_order(*order)).collect()))
    }

    /// Takes in the cells of other lines. No person may have lines of one cell in both.
    pub(crate) fn merge(&mut self, other: Cells) -> Result<(), CellsError> {
        let mut theirs: Vec<Option<Cell>> = other.cells.into_iter().map(Some).collect();
        for (key, at) in other.by_key {
            let Some(cell) = theirs[at].take() else { continue };
            let mine = self.cell_of(&key)?;
            self.cells[mine].merge(&cell);
        }
        // Rows of one converter read as those of another: its columns say all.
        self.converter = self.converter.take().or(other.converter);
        Ok(())
    }

    /// The cells that have rows, in the order of their keys.
    pub(crate) fn finish(self) -> Result<Table, ArrowError> {
        let Self {
            converter,
            by_key,
            mut cells,
            layout,
            keeps_empty,
            ..
        } = self;
        let is_cell = |at: usize| cells[at].rows > 0 || keeps_empty;
        let mut order: Vec<(Box<[u8]>, usize)> = by_key.into_iter().filter(|(_, at)| is_cell(*at)).collect();
        order.sort_unstable();
        let keys = match &converter {
            Some(converter) => {
                let parser = converter.parser();
                converter.convert_rows(order.iter().map(|(key, _)| parser.parse(key)))?
            }
            None => Vec::new(),
        };
        let codes = keys.iter().map(codes).collect::<Result<_, ArrowError>>()?;
        let take = |(_, at): &(Box<[u8]>, usize)| std::mem::replace(&mut cells[*at], Cell::new(&layout, 0));
        Ok(Table {
            keys,
            codes,
            cells: order.iter().map(take).collect(),
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
    fn new(layout: &Layout, slots: usize) -> Self {
        Self {
            rows: 0,
            people: 0,
            failing: vec![0; layout.failing.len()],
            inputs: layout.inputs.iter().map(|input| Input::new(input, slots)).collect(),
        }
    }

    fn add(&mut self, line: usize, lines: &Lines<'_>, person: Option<PersonHash>) {
        let rows = lines.rows.value(line);
        self.rows += rows;
        self.people += u64::from(rows > 0);
        for (people, failing) in self.failing.iter_mut().zip(&lines.failing) {
            *people += u64::from(failing.value(line) > 0);
        }
        for (input, columns) in self.inputs.iter_mut().zip(&lines.inputs) {
            input.add(line, columns, person);
        }
    }
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
        if other.rows == 0 {
            return;
        }
        let (before, now) = (self.rows as f64, other.rows as f64);
        let weight = before * now / (before + now);
        let mut deltas = [0.0; 2];
        for (at, (moments, more)) in self.columns.iter_mut().zip(&other.columns).enumerate() {
            let delta = more.mean - moments.mean;
            deltas[at.min(1)] = delta;
            moments.squares += more.squares + delta * delta * weight;
            moments.mean += delta * now / (before + now);
            moments.shares.merge(&more.shares);
            moments.total.add(more.total);
        }
        self.product += other.product + deltas[0] * deltas[1] * weight;
        self.rows += other.rows;
    }

    fn new(layout: &InputLayout, slots: usize) -> Self {
        Self {
            rows: 0,
            people: 0,
            rest: 0,
            between: vec![0; layout.between.len()],
            unknown: 0,
            counts: Shares::default(),
            columns: vec![Moments::default(); layout.columns.len()],
            product: 0.0,
            bins: vec![(0, 0); layout.bins.len()],
            sketches: Sketches {
                sums: Sketch::new(slots),
                bins: (!layout.bins.is_empty()).then(|| Sketch::new(slots)),
            },
        }
    }

    fn add(&mut self, line: usize, lines: &InputLines<'_>, person: Option<PersonHash>) {
        let has = |rows: &Option<&Int64Array>| u64::from(rows.is_some_and(|rows| rows.value(line) > 0));
        self.rest += has(&lines.rest);
        for (people, between) in self.between.iter_mut().zip(&lines.between) {
            *people += u64::from(between.value(line) > 0);
        }
        self.unknown += has(&lines.unknown);
        let rows = lines.rows.value(line);
        if rows == 0 {
            return;
        }
        if let Some(person) = person {
            self.sketches.add(person, line, lines);
        }
        self.people += 1;
        self.counts.add(rows as f64);
        self.add_moments(line, lines, rows);
        for ((all, people), bin) in self.bins.iter_mut().zip(&lines.bins) {
            *all += bin.value(line);
            *people += u64::from(bin.value(line) > 0);
        }
        self.rows += rows;
    }

    /// Merges one person's moments into those of the people before.
    fn add_moments(&mut self, line: usize, lines: &InputLines<'_>, rows: i64) {
        let (before, now) = (self.rows as f64, rows as f64);
        let weight = before * now / (before + now);
        let mut deltas = [0.0; 2];
        for (at, (moments, column)) in self.columns.iter_mut().zip(&lines.columns).enumerate() {
            let total = column.total(line);
            let mean = total.as_f64() / now;
            let delta = mean - moments.mean;
            deltas[at.min(1)] = delta;
            moments.squares += column.squares(line) + delta * delta * weight;
            moments.mean += delta * now / (before + now);
            moments.shares.add(total.as_f64());
            moments.total.add(total);
        }
        if let Some(product) = &lines.product {
            self.product += product.value(line) + deltas[0] * deltas[1] * weight;
        }
    }
}

impl Sketches {
    fn merge(&mut self, other: &Sketches) {
        self.sums.merge(&other.sums);
        if let (Some(mine), Some(other)) = (&mut self.bins, &other.bins) {
            mine.merge(other);
        }
    }

    fn add(&mut self, person: PersonHash, line: usize, lines: &InputLines<'_>) {
        let rows = Contribution::default().with_rows(lines.rows.value(line));
        let sums = lines.columns.iter();
        let sums = sums.fold(rows, |all, column| all.with_number(column.total(line).as_f64()));
        self.sums.add(person, sums);
        if let Some(sketch) = &mut self.bins {
            let bins = lines.bins.iter();
            sketch.add(person, bins.fold(rows, |all, bin| all.with_rows(bin.value(line))));
        }
    }
}

/// The columns of one batch of lines.
struct Lines<'a> {
    rows: &'a Int64Array,
    failing: Vec<&'a Int64Array>,
    inputs: Vec<InputLines<'a>>,
}

struct InputLines<'a> {
    rows: &'a Int64Array,
    rest: Option<&'a Int64Array>,
    between: Vec<&'a Int64Array>,
    unknown: Option<&'a Int64Array>,
    columns: Vec<ColumnLines<'a>>,
    product: Option<&'a Float64Array>,
    bins: Vec<&'a Int64Array>,
}

/// Sum of one column of each line, and of its squared deviations.
struct ColumnLines<'a> {
    sum: Sum<'a>,
    squares: Option<&'a Float64Array>,
}

enum Sum<'a> {
    Narrow(&'a Int64Array),
    Wide(&'a Decimal128Array),
    Number(&'a Float64Array),
}

impl ColumnLines<'_> {
    fn total(&self, line: usize) -> Total {
        match self.sum {
            Sum::Narrow(sums) => Total::Integer(sums.value(line).into()),
            Sum::Wide(sums) => Total::Integer(sums.value(line)),
            Sum::Number(sums) => Total::Number {
                sum: sums.value(line),
                lost: 0.0,
            },
        }
    }

    /// 0 where nothing is known.
    fn squares(&self, line: usize) -> f64 {
        match self.squares {
            Some(squares) if squares.is_valid(line) => squares.value(line),
            _ => 0.0,
        }
    }
}

impl<'a> Lines<'a> {
    fn of(layout: &Layout, batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        Ok(Self {
            rows: integers(batch, layout.rows)?,
            failing: all_integers(batch, &layout.failing)?,
            inputs: layout
                .inputs
                .iter()
                .map(|input| InputLines::of(input, batch))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> InputLines<'a> {
    fn of(layout: &InputLayout, batch: &'a RecordBatch) -> Result<Self, ArrowError> {
        let some = |at: Option<usize>| at.map(|at| integers(batch, at)).transpose();
        let column = |(sum, squares): &(usize, Option<usize>)| {
            Ok(ColumnLines {
                sum: sums(batch, *sum)?,
                squares: squares.map(|at| numbers(batch, at)).transpose()?,
            })
        };
        Ok(Self {
            rows: integers(batch, layout.rows)?,
            rest: some(layout.rest)?,
            between: all_integers(batch, &layout.between)?,
            unknown: some(layout.unknown)?,
            columns: layout.columns.iter().map(column).collect::<Result<_, ArrowError>>()?,
            product: layout.product.map(|at| numbers(batch, at)).transpose()?,
            bins: all_integers(batch, &layout.bins)?,
        })
    }
}

fn all_integers<'a>(batch: &'a RecordBatch, at: &[usize]) -> Result<Vec<&'a Int64Array>, ArrowError> {
    at.iter().map(|at| integers(batch, *at)).collect()
}

fn integers(batch: &RecordBatch, at: usize) -> Result<&Int64Array, ArrowError> {
    batch
        .column(at)
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| unexpected(at))
}

fn numbers(batch: &RecordBatch, at: usize) -> Result<&Float64Array, ArrowError> {
    batch
        .column(at)
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| unexpected(at))
}

fn sums(batch: &RecordBatch, at: usize) -> Result<Sum<'_>, ArrowError> {
    let column = batch.column(at);
    let narrow = column.as_primitive_opt::<Int64Type>().map(Sum::Narrow);
    let wide = || column.as_primitive_opt::<Decimal128Type>().map(Sum::Wide);
    let number = || column.as_primitive_opt::<Float64Type>().map(Sum::Number);
    narrow.or_else(wide).or_else(number).ok_or_else(|| unexpected(at))
}

fn unexpected(at: usize) -> ArrowError {
    ArrowError::SchemaError(format!("column {at} of the plan has another type"))
}
