//! What came back: cells of pooled numbers, each exact, open or not there.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use terms::{MemberId, Problem, Report};

use crate::answer::{Answer, Coverage, Interval, Status};

use super::Key;
use super::study::rounded;

/// A pooled number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number {
    /// What was released; none if it is NULL.
    pub value: Option<f64>,
    /// The least and the most that it can be, where not all of it was released.
    pub open: Option<(Option<f64>, Option<f64>)>,
    /// The declared bin in which a quantile is, where all was released: more is not known of it.
    pub bin: Option<[f64; 2]>,
}

impl Number {
    /// The number, if all of it was released.
    pub fn exact(self) -> Option<f64> {
        self.value.filter(|_| self.open.is_none())
    }

    /// A number of which everything is known.
    pub fn known(value: f64) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }

    /// The same on another scale, which must keep the order of numbers.
    #[must_use]
    pub(super) fn map(self, scale: impl Fn(f64) -> f64) -> Self {
        Self {
            value: self.value.map(&scale),
            open: self.open.map(|(low, high)| (low.map(&scale), high.map(&scale))),
            bin: self.bin.map(|bin| bin.map(&scale)),
        }
    }

    /// This count and another one together: what is not there counts nothing, and what is open stays open.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        let ends = |number: Self| number.open.unwrap_or((number.value, number.value));
        let ((low, high), (other_low, other_high)) = (ends(self), ends(other));
        let add = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(one, other)| one + other);
        let is_open = self.open.is_some() || other.open.is_some();
        Self {
            value: Some(self.value.unwrap_or_default() + other.value.unwrap_or_default()),
            open: is_open.then(|| (add(low, other_low), add(high, other_high))),
            bin: None,
        }
    }

    /// How much more this count is than one of a part of it.
    #[must_use]
    pub(super) fn minus(self, part: Self) -> Self {
        let value = self.value.zip(part.value).map(|(all, part)| all - part);
        let is_open = self.open.is_some() || part.open.is_some();
        Self {
            value,
            open: is_open.then_some((Some(0.0), None)),
            bin: None,
        }
    }
}

/// One combination of key values.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its values; none where the column is not known.
    pub keys: Vec<Option<String>>,
    /// Its numbers, in the order in which they were asked for.
    pub numbers: Vec<Number>,
}

/// All cells that at least one node released.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// The cells in the order of their keys, as texts.
    pub cells: Vec<Cell>,
    /// Whether a combination that is not among them has no rows; otherwise it can be that nobody released it.
    pub complete: bool,
    /// The nodes that said that they withheld something.
    pub withholding: Vec<MemberId>,
    /// The largest step to which a node rounded, if one did.
    pub rounded_to: Option<u32>,
}

impl Cells {
    pub(super) fn of(answer: &Answer, keys: usize) -> Result<Self, Report> {
        let mut cells = Vec::new();
        for batch in &answer.batches {
            let (groups, values) = batch.columns().split_at(keys);
            let numbers: Vec<ArrayRef> = values
                .iter()
                .map(|column| cast(column, &DataType::Float64).map_err(|error| unread(&error)))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows() {
                let at = cells.len();
                let keys = groups
                    .iter()
                    .map(|column| level(column, row))
                    .collect::<Result<_, _>>()?;
                let numbers = numbers.iter().enumerate().map(|(value, column)| {
                    let name = answer.schema.field(groups.len() + value).name();
                    let value = column
                        .is_valid(row)
                        .then(|| column.as_primitive::<Float64Type>().value(row));
                    number(answer, at, name, value)
                });
                let numbers = numbers.collect();
                cells.push(Cell { keys, numbers });
            }
        }
        let answered = || answer.coverage.iter().filter(|node| node.status == Status::Answered);
        let has_threshold = |node: &Coverage| node.policy.as_ref().is_none_or(|policy| policy.min_people.is_some());
        let withholds = |node: &&Coverage| node.suppressed_cells > 0 || !node.withheld.is_empty();
        let withholding = answered().filter(withholds).map(|node| node.node.clone());
        let rounded_to = answered().filter_map(|node| node.policy.as_ref()?.round_to).max();
        let cells = Self::new(cells, !answered().any(has_threshold), withholding.collect());
        Ok(Self { rounded_to, ..cells })
    }

    pub(super) fn new(mut cells: Vec<Cell>, complete: bool, withholding: Vec<MemberId>) -> Self {
        cells.sort_by(|a, b| a.keys.cmp(&b.keys));
        Self {
            cells,
            complete,
            withholding,
            rounded_to: None,
        }
    }

    /// The cell with these key values.
    pub fn find(&self, keys: &[&str]) -> Option<&Cell> {
        let against = |cell: &Cell| {
            cell.keys
                .iter()
                .map(Option::as_deref)
                .cmp(keys.iter().copied().map(Some))
        };
        let at = self.cells.binary_search_by(against).ok()?;
        self.cells.get(at)
    }

    /// The known values of a key that occur, in their order.
    pub fn levels(&self, at: usize, key: &Key) -> Vec<String> {
        let mut levels: Vec<String> = self.cells.iter().filter_map(|cell| cell.keys[at].clone()).collect();
        levels.sort_by(|a, b| key.order(Some(a), Some(b)));
        levels.dedup();
        levels
    }

    /// Whether somebody can have a value that is not among those `found`: a declared one, or any where none are declared.
    pub fn can_lack(&self, key: &Key, found: &[String]) -> bool {
        let is_lacking = |level: &String| !found.contains(level);
        !self.complete && (key.levels.is_empty() || key.levels.iter().any(is_lacking))
    }

    /// Without the cells in which one of the keys is not known, and the rows that these had: as many as were released.
    #[must_use]
    pub fn without_unknown(self, rows: usize) -> (Self, Number) {
        let (known, unknown): (Vec<_>, Vec<_>) = self
            .cells
            .into_iter()
            .partition(|cell| cell.keys.iter().all(Option::is_some));
        let released = unknown.iter().filter_map(|cell| cell.numbers[rows].value);
        // The sum of nothing is −0.
        let released = released.sum::<f64>() + 0.0;
        let is_open = !self.complete || unknown.iter().any(|cell| cell.numbers[rows].open.is_some());
        let dropped = Number {
            value: Some(released),
            open: is_open.then_some((Some(released), None)),
            bin: None,
        };
        (Self { cells: known, ..self }, dropped)
    }

    /// The number of a cell; of one that is not there, nothing if nobody can have withheld it, else that it can be anything from zero.
    pub fn number(&self, keys: &[&str], at: usize) -> Number {
        match self.find(keys) {
            Some(cell) => cell.numbers[at],
            None if self.complete => Number::known(0.0),
            None => Number {
                value: None,
                open: Some((Some(0.0), None)),
                bin: None,
            },
        }
    }

    /// The exact number of a cell that is there.
    ///
    /// # Errors
    /// `Withheld` if nodes did not release all of it.
    pub fn exact(&self, keys: &[&str], at: usize) -> Result<f64, Report> {
        let number = self.find(keys).and_then(|cell| cell.numbers[at].exact());
        number.ok_or_else(|| self.withheld(&cell_of(keys)))
    }

    /// The exact number of a cell; that of one that is not there is zero if nobody can have withheld it.
    ///
    /// # Errors
    /// `Withheld` if nodes did not release all of it.
    pub fn count(&self, keys: &[&str], at: usize) -> Result<f64, Report> {
        let number = match self.find(keys) {
            Some(cell) => cell.numbers[at].exact(),
            None => self.complete.then_some(0.0),
        };
        number.ok_or_else(|| self.withheld(&cell_of(keys)))
    }

    /// That something would be needed which was not released, or not as it is, and what can be done.
    pub fn withheld(&self, what: &str) -> Report {
        if let Some(step) = self.rounded_to {
            return rounded(step);
        }
        let nodes: Vec<&str> = self.withholding.iter().map(MemberId::as_str).collect();
        let message = format!("{what} was not all released, and what is not known is not taken as nothing");
        let remedy = match nodes.as_slice() {
            [] => "use fewer or wider groups: CASE in a question of your own, other columns, or --where".to_owned(),
            nodes => {
                let quoted: Vec<String> = nodes.iter().map(|node| format!("'{node}'")).collect();
                format!(
                    "use fewer or wider groups, or leave out the nodes that withheld something, if the policy allows: --where \"node NOT IN ({})\"",
                    quoted.join(", ")
                )
            }
        };
        Problem::Withheld.report(message).remedy(remedy)
    }
}

/// A cell in words.
fn cell_of(keys: &[&str]) -> String {
    match keys {
        [] => "the number of rows".to_owned(),
        keys => format!("the cell ({})", keys.join(", ")),
    }
}

fn level(column: &ArrayRef, row: usize) -> Result<Option<String>, Report> {
    if column.is_null(row) {
        return Ok(None);
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).map_err(|error| unread(&error))?;
    Ok(Some(formatter.value(row).to_string()))
}

fn number(answer: &Answer, row: usize, column: &str, value: Option<f64>) -> Number {
    let is_it = |open: &&Interval| open.row == row && open.column == column;
    let interval = answer.intervals.iter().find(is_it);
    // A quantile that lacks nothing has an interval too: the bin in which it is.
    let (open, bin) = match interval {
        Some(Interval {
            low: Some(low),
            high: Some(high),
            nodes,
            ..
        }) if nodes.is_empty() => (None, Some([*low, *high])),
        Some(interval) => (Some((interval.low, interval.high)), None),
        None => (None, None),
    };
    Number { value, open, bin }
}

fn unread(error: &dyn std::fmt::Display) -> Report {
    Problem::Internal.report(format!("an answer of nodes cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
