//! From the rows that exist to what has to be known of each cell, in one pass.
//!
//! A snapshot about people holds all rows of one person together, in the order of a keyed hash. So each cell adds up one
//! person at a time, and closes the account when another's row comes. That rows do come in this order is checked: what
//! does not is an error, never a number. Next: `cells.rs`, where the cells of several parts come together.

pub(crate) mod keys;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;

use self::keys::Keys;
use crate::cells::{COLUMNS_MAX, Cell, Cells, CellsError, Input, Moments, RowMoments, Shares, Sketches, Total};
use crate::enforce::cells::{InputLayout, Layout};
use crate::sketch::{Contribution, PersonHash, Sketch};

/// Rows whose deviations are added up before they are merged with the rest. Their rounding is at most so many times that of one.
const BLOCK_ROWS: i64 = 1024;

/// Cells while the rows of some people come in.
#[derive(Debug)]
pub(crate) struct Fold {
    layout: Arc<Layout>,
    /// Slots of a sketch, for data about people.
    slots: Option<usize>,
    /// Whose row was the last one.
    last: i64,
    keys: Keys,
    passing: People,
    failing: Vec<People>,
    inputs: Vec<InputFold>,
}

impl Fold {
    /// `slots` is the number of slots of a sketch, for data about people.
    pub(crate) fn new(layout: Arc<Layout>, slots: Option<usize>) -> Self {
        Self {
            slots,
            last: i64::MIN,
            keys: Keys::new(layout.keys),
            passing: People::default(),
            failing: vec![People::default(); layout.groups.len()],
            inputs: layout.inputs.iter().map(InputFold::new).collect(),
            layout,
        }
    }

    /// Adds the rows that follow.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), CellsError> {
        let layout = Arc::clone(&self.layout);
        let batch = &relevant(&layout, batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let people = people(&layout, batch)?;
        self.require_order(&people)?;
        let cells = self.keys.cells_of(&batch.columns()[..layout.keys], batch.num_rows())?;
        let rows = Rows::of(batch, &people, &cells);
        let mut passing = BooleanBuffer::new_set(batch.num_rows());
        for (group, failing) in layout.groups.iter().zip(&mut self.failing) {
            let passes = truth(batch, *group)?;
            // Whoever fails it fails nothing else: others are not relevant.
            failing.add(&rows, &!&passes);
            passing = &passing & &passes;
        }
        self.passing.add(&rows, &passing);
        let filters = layout.filters.iter();
        let filters = filters.map(|filter| Ok(&truth(batch, *filter)? & &passing));
        let filters = filters.collect::<Result<Vec<_>, ArrowError>>()?;
        for input in &mut self.inputs {
            input.add(&rows, &passing, &filters, self.slots)?;
        }
        Ok(())
    }

    fn require_order(&mut self, people: &[i64]) -> Result<(), CellsError> {
        let goes_on = people.first().is_some_and(|first| *first >= self.last);
        if !goes_on || !people.is_sorted() {
            return Err(CellsError::Unordered);
        }
        self.last = people.last().copied().unwrap_or(self.last);
        Ok(())
    }

    /// What the cells take in memory, or a little less.
    pub(crate) fn bytes(&self) -> usize {
        let inputs = self.layout.inputs.iter();
        let cell: usize = inputs.map(|input| Account::bytes(input, self.slots)).sum();
        self.keys.len() * cell
    }

    /// The cells, when all rows have come.
    pub(crate) fn finish(mut self) -> Cells {
        let cells = (0..self.keys.len()).map(|at| Cell {
            rows: self.passing.of(at).rows,
            people: self.passing.of(at).people,
            failing: self.failing.iter().map(|failing| failing.of(at).people).collect(),
            inputs: self
                .inputs
                .iter_mut()
                .map(|input| input.finish(at, self.slots))
                .collect(),
        });
        Cells {
            cells: cells.collect(),
            keys: self.keys,
        }
    }
}

/// The rows that fail one condition group at most: the others are in no cell and no complement.
fn relevant(layout: &Layout, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if layout.groups.len() < 2 {
        return Ok(batch.clone());
    }
    let none = || BooleanBuffer::new_unset(batch.num_rows());
    let (mut once, mut twice) = (none(), none());
    for group in &layout.groups {
        let fails = !&truth(batch, *group)?;
        twice = &twice | &(&once & &fails);
        once = &once | &fails;
    }
    filter_record_batch(batch, &BooleanArray::from(!&twice))
}

/// The person of each row; one and the same for data without people.
fn people<'a>(layout: &Layout, batch: &'a RecordBatch) -> Result<Cow<'a, [i64]>, ArrowError> {
    let Some(at) = layout.person else {
        return Ok(Cow::Owned(vec![0; batch.num_rows()]));
    };
    let people = batch.column(at).as_primitive_opt::<Int64Type>();
    let people = people.filter(|people| people.null_count() == 0);
    Ok(Cow::Borrowed(people.ok_or_else(|| unexpected(at))?.values()))
}

/// Where a condition is true; not where it is false or unknown.
fn truth(batch: &RecordBatch, at: usize) -> Result<BooleanBuffer, ArrowError> {
    let condition = batch.column(at).as_boolean_opt().ok_or_else(|| unexpected(at))?;
    Ok(condition.values() & &known(condition))
}

fn known(values: &dyn Array) -> BooleanBuffer {
    let known = values.nulls().map(|nulls| nulls.inner().clone());
    known.unwrap_or_else(|| BooleanBuffer::new_set(values.len()))
}

fn unexpected(at: usize) -> ArrowError {
    ArrowError::SchemaError(format!("column {at} of the plan has another type"))
}

/// A batch, with person and cell of each row.
struct Rows<'a> {
    batch: &'a RecordBatch,
    people: &'a [i64],
    cells: &'a [u32],
    /// Where runs of rows of one person in one cell end.
    ends: Vec<usize>,
    /// One more than the largest cell.
    cells_end: usize,
}

/// Rows that follow each other, of one person in one cell.
struct Run {
    rows: Range<usize>,
    person: i64,
    cell: usize,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch, people: &'a [i64], cells: &'a [u32]) -> Self {
        Self {
            batch,
            people,
            cells,
            ends: ends(people, cells),
            cells_end: cells.iter().max().map_or(0, |cell| *cell as usize + 1),
        }
    }

    /// The rows in `of`, in as few runs as is easily had.
    fn each(&self, of: &BooleanBuffer, mut add: impl FnMut(&Run)) {
        let mut run = |rows: Range<usize>| {
            add(&Run {
                person: self.people[rows.start],
                cell: self.cells[rows.start] as usize,
                rows,
            });
        };
        if of.count_set_bits() < of.len() {
            return of.set_indices().for_each(|row| run(row..row + 1));
        }
        let mut start = 0;
        for end in &self.ends {
            run(start..*end);
            start = *end;
        }
    }
}

/// Where runs of one person in one cell end.
fn ends(people: &[i64], cells: &[u32]) -> Vec<usize> {
    let mut ends = vec![people.len(); people.len()];
    let mut runs = 0;
    let neighbours = people.windows(2).zip(cells.windows(2)).enumerate();
    // Written in any case, and kept where a run ends: where that is, no processor can foresee.
    for (at, (people, cells)) in neighbours {
        ends[runs] = at + 1;
        runs += usize::from(people[0] != people[1] || cells[0] != cells[1]);
    }
    ends[runs] = people.len();
    ends.truncate(runs + 1);
    ends
}

/// Rows and distinct people of each cell.
#[derive(Clone, Debug, Default)]
struct People(Vec<Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rows: i64,
    people: u64,
    /// Who was counted last.
    last: i64,
}

impl People {
    fn add(&mut self, rows: &Rows<'_>, of: &BooleanBuffer) {
        self.0.resize(self.0.len().max(rows.cells_end), Count::default());
        rows.each(of, |run| {
            let count = &mut self.0[run.cell];
            count.people += u64::from(count.rows == 0 || count.last != run.person);
            count.last = run.person;
            count.rows += run.rows.len() as i64;
        });
    }

    fn of(&self, cell: usize) -> Count {
        self.0.get(cell).copied().unwrap_or_default()
    }
}

/// One input of all cells.
#[derive(Debug)]
struct InputFold {
    layout: InputLayout,
    cells: Vec<Account>,
    rest: People,
    between: Vec<People>,
    unknown: People,
}

impl InputFold {
    fn new(layout: &InputLayout) -> Self {
        Self {
            cells: Vec::new(),
            rest: People::default(),
            between: vec![People::default(); layout.filter.unwrap_or(0)],
            unknown: People::default(),
            layout: layout.clone(),
        }
    }

    /// `filters` are the rows in which each FILTER of the query is true.
    fn add(
        &mut self,
        rows: &Rows<'_>,
        passing: &BooleanBuffer,
        filters: &[BooleanBuffer],
        slots: Option<usize>,
    ) -> Result<(), ArrowError> {
        let columns = || self.layout.columns.iter().map(|at| rows.batch.column(*at));
        let known = columns().fold(passing.clone(), |all, column| match column.null_count() {
            0 => all,
            _ => &all & &known(column),
        });
        let filter = self.layout.filter.map(|at| &filters[at]);
        let within = filter.map_or_else(|| known.clone(), |filter| filter & &known);
        if let Some(filter) = filter {
            self.rest.add(rows, &(&known & &!filter));
            for (between, earlier) in self.between.iter_mut().zip(filters) {
                between.add(rows, &(filter ^ earlier));
            }
        }
        if self.layout.guards_unknown {
            self.unknown.add(rows, &(filter.unwrap_or(passing) & &!&known));
        }
        self.add_rows(rows, &within, slots)
    }

    fn add_rows(&mut self, rows: &Rows<'_>, within: &BooleanBuffer, slots: Option<usize>) -> Result<(), ArrowError> {
        let columns = self.layout.summed().iter().map(|at| Column::of(rows.batch, *at));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let bins = self.layout.bins.map(|bins| integers(rows.batch, bins.column));
        let bins = bins.transpose()?;
        self.open(rows.cells_end, slots);
        rows.each(within, |run| {
            let account = &mut self.cells[run.cell];
            if account.person != run.person {
                account.close();
                account.person = run.person;
            }
            account.add(run.rows.clone(), &columns);
            if let Some(bins) = bins {
                run.rows.clone().for_each(|row| account.add_bin(bins, row));
            }
        });
        Ok(())
    }

    fn open(&mut self, cells: usize, slots: Option<usize>) {
        let cells = self.cells.len().max(cells);
        self.cells.resize_with(cells, || Account::new(&self.layout, slots));
    }

    fn finish(&mut self, cell: usize, slots: Option<usize>) -> Input {
        self.open(cell + 1, slots);
        let account = std::mem::replace(&mut self.cells[cell], Account::new(&self.layout, None));
        let mut input = account.finish();
        input.rest = self.rest.of(cell).people;
        input.between = self.between.iter().map(|between| between.of(cell).people).collect();
        input.unknown = self.unknown.of(cell).people;
        input
    }
}

/// The values of one column.
struct Column<'a> {
    numbers: Cow<'a, [f64]>,
    /// The same where they are integers.
    integers: Option<&'a [i64]>,
}

impl<'a> Column<'a> {
    fn of(batch: &'a RecordBatch, at: usize) -> Result<Self, ArrowError> {
        let column = batch.column(at);
        if let Some(integers) = column.as_primitive_opt::<Int64Type>() {
            let numbers = integers.values().iter().map(|integer| *integer as f64).collect();
            return Ok(Self {
                numbers: Cow::Owned(numbers),
                integers: Some(integers.values()),
            });
        }
        let numbers = column.as_primitive_opt::<Float64Type>();
        Ok(Self {
            numbers: Cow::Borrowed(numbers.ok_or_else(|| unexpected(at))?.values()),
            integers: None,
        })
    }
}

fn integers(batch: &RecordBatch, at: usize) -> Result<&Int64Array, ArrowError> {
    batch.column(at).as_primitive_opt().ok_or_else(|| unexpected(at))
}

/// One input of one cell, with the account of the person whose rows are coming.
#[derive(Debug)]
struct Account {
    person: i64,
    rows: i64,
    sums: [Sum; COLUMNS_MAX],
    /// Rows of the person in each bin.
    bins: Vec<i64>,
    block: Block,
    /// The first value of each column. Until the end means are told from here: far from zero they would lose digits.
    origins: [f64; COLUMNS_MAX],
    /// Whether it is sketched who contributes.
    is_sketched: bool,
    input: Input,
}

/// Of one person. Only one of both is used, by the kind of the column.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    integer: i128,
    number: Option<f64>,
}

impl Account {
    fn new(layout: &InputLayout, slots: Option<usize>) -> Self {
        let bins = layout.bins.map_or(0, |bins| bins.count);
        let sketch = || Sketch::new(slots.unwrap_or(0));
        Self {
            person: 0,
            rows: 0,
            sums: Default::default(),
            bins: vec![0; bins],
            block: Block::default(),
            origins: [0.0; COLUMNS_MAX],
            is_sketched: slots.is_some(),
            input: Input {
                rows: 0,
                people: 0,
                rest: 0,
                between: Vec::new(),
                unknown: 0,
                counts: Shares::default(),
                columns: vec![Moments::default(); layout.summed().len()],
                product: 0.0,
                bins: vec![(0, 0); bins],
                sketches: Sketches {
                    sums: sketch(),
                    bins: (bins > 0).then(sketch),
                },
            },
        }
    }

    fn bytes(layout: &InputLayout, slots: Option<usize>) -> usize {
        let bins = layout.bins.map_or(0, |bins| bins.count);
        let sketches = slots.unwrap_or(0) * if bins > 0 { 2 } else { 1 };
        size_of::<Self>() + layout.summed().len() * size_of::<Moments>() + bins * size_of::<[u64; 3]>() + sketches
    }

    fn add(&mut self, rows: Range<usize>, columns: &[Column<'_>]) {
        self.rows += rows.len() as i64;
        if self.block.rows == 0 {
            self.start_block(columns, rows.start);
        }
        self.block.rows += rows.len() as i64;
        for (at, (column, sum)) in columns.iter().zip(&mut self.sums).enumerate() {
            let numbers = &column.numbers[rows.clone()];
            sum.add(numbers, column.integers.map(|integers| &integers[rows.clone()]));
            self.block.add(at, numbers);
        }
        if let [x, y] = columns {
            self.block.add_products(&x.numbers[rows.clone()], &y.numbers[rows]);
        }
        if self.block.rows >= BLOCK_ROWS {
            self.settle();
        }
    }

    fn start_block(&mut self, columns: &[Column<'_>], first: usize) {
        if self.input.rows == 0 {
            let firsts = columns.iter().map(|column| column.numbers[first]);
            self.origins
                .iter_mut()
                .zip(firsts)
                .for_each(|(origin, first)| *origin = first);
        }
        self.block = Block::default();
        let centres = self.block.centres.iter_mut().zip(self.origins);
        for ((centre, origin), moments) in centres.zip(&self.input.columns) {
            *centre = origin + moments.mean;
        }
    }

    fn add_bin(&mut self, bins: &Int64Array, row: usize) {
        let bin = bins.is_valid(row).then(|| bins.value(row));
        let bin = bin.and_then(|bin| usize::try_from(bin).ok());
        if let Some(rows) = bin.and_then(|bin| self.bins.get_mut(bin)) {
            *rows += 1;
        }
    }

    /// Merges the rows of a block with those before.
    fn settle(&mut self) {
        let block = std::mem::take(&mut self.block);
        let moments = block.moments(&self.input, &self.origins);
        self.input.merge_rows(&moments);
    }

    /// No more rows of the person come: what they contribute is known.
    fn close(&mut self) {
        if self.rows == 0 {
            return;
        }
        let mut contribution = Contribution::default().with_rows(self.rows);
        let input = &mut self.input;
        input.people += 1;
        input.counts.add(self.rows as f64);
        for (sum, moments) in self.sums.iter_mut().zip(&mut input.columns) {
            let total = std::mem::take(sum).total();
            contribution = contribution.with_number(total.as_f64());
            moments.shares.add(total.as_f64());
            moments.total.add(total);
        }
        if self.is_sketched {
            input
                .sketches
                .sums
                .add(PersonHash::from_order(self.person), contribution);
        }
        self.close_bins();
        self.rows = 0;
    }

    fn close_bins(&mut self) {
        let Some(sketch) = &mut self.input.sketches.bins else {
            return;
        };
        let rows = Contribution::default().with_rows(self.rows);
        let contribution = self.bins.iter().fold(rows, |all, rows| all.with_rows(*rows));
        if self.is_sketched {
            sketch.add(PersonHash::from_order(self.person), contribution);
        }
        for ((all, people), rows) in self.input.bins.iter_mut().zip(&mut self.bins) {
            *all += *rows;
            *people += u64::from(*rows > 0);
            *rows = 0;
        }
    }

    fn finish(mut self) -> Input {
        self.close();
        self.settle();
        for (moments, origin) in self.input.columns.iter_mut().zip(self.origins) {
            moments.mean += origin;
        }
        self.input
    }
}

impl Sum {
    fn add(&mut self, numbers: &[f64], integers: Option<&[i64]>) {
        match integers {
            Some(integers) => self.integer += integers.iter().copied().map(i128::from).sum::<i128>(),
            None => {
                let before = self.number.unwrap_or(0.0);
                self.number = Some(numbers.iter().fold(before, |sum, number| sum + number));
            }
        }
    }

    fn total(self) -> Total {
        match self.number {
            Some(sum) => Total::Number { sum, lost: 0.0 },
            None => Total::Integer(self.integer),
        }
    }
}

/// Deviations of some rows from a number close to them: the mean before, or the first value. What rounding loses is then small
/// against the sum of squares, and nothing where all values are the same.
#[derive(Debug, Default)]
struct Block {
    rows: i64,
    centres: [f64; COLUMNS_MAX],
    sums: [f64; COLUMNS_MAX],
    squares: [f64; COLUMNS_MAX],
    product: f64,
}

impl Block {
    fn add(&mut self, at: usize, numbers: &[f64]) {
        let (mut sum, mut squares, centre) = (self.sums[at], self.squares[at], self.centres[at]);
        for number in numbers {
            let off = number - centre;
            sum += off;
            squares += off * off;
        }
        (self.sums[at], self.squares[at]) = (sum, squares);
    }

    fn add_products(&mut self, x: &[f64], y: &[f64]) {
        for (x, y) in x.iter().zip(y) {
            self.product += (x - self.centres[0]) * (y - self.centres[1]);
        }
    }

    fn moments(&self, before: &Input, origins: &[f64; COLUMNS_MAX]) -> RowMoments {
        let rows = self.rows as f64;
        let mut moments = RowMoments {
            rows: self.rows,
            product: self.product - self.sums[0] * self.sums[1] / rows,
            ..RowMoments::default()
        };
        for (at, column) in before.columns.iter().enumerate() {
            moments.deltas[at] = self.centres[at] - origins[at] - column.mean + self.sums[at] / rows;
            moments.squares[at] = (self.squares[at] - self.sums[at] * self.sums[at] / rows).max(0.0);
        }
        moments
    }
}
