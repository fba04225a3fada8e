//! Which cells and which values of a table may leave: the rules of `docs/disclosure.md`, sections 1 and 2, in their order.
//!
//! Pure: numbers of people and totals in, verdicts out. Every rule is total, and what cannot be compared is withheld.
//! Secondary suppression is in `disclose/lines.rs`; the numbers that leave are made in `numbers.rs`.

mod lines;
#[cfg(test)]
mod tests;

use std::fmt;

use policy::{Collection, Disclosure, Dominance, Grant, MinPeople, Tier, Zeros};
use serde::{Serialize, Serializer};

pub(crate) use self::lines::NULL_CODE;
use self::lines::{Line, Lines};
use crate::cells::{Cell, Input, Moments, Shares, Table};
use crate::domain::Possible;
use crate::query::{Function, Pair};

/// Fewest degrees of freedom of a variance, covariance or correlation (SACRO, ACRO).
const FREEDOM_MIN: u64 = 10;

/// From here on a correlation is a straight line through everybody's values.
const CORRELATION_MAX: f64 = 1.0 - 1e-9;

/// Sums of squared deviations up to this share of the sum of squares are rounding.
const CONSTANT_SHARE: f64 = 1e-24;

/// What the policy says, as the checks need it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) people_min: u64,
    pub(crate) dominance: Option<Dominance>,
    pub(crate) p_percent: Option<u32>,
    /// Whether it is withheld that nobody is in a cell.
    pub(crate) guards_zeros: bool,
    /// Whether nobody has a second row, so that people of several cells can be added up.
    pub(crate) one_row_each: bool,
}

impl Rules {
    /// The threshold as receipts tell it.
    pub(crate) fn min_people(&self) -> Option<MinPeople> {
        u32::try_from(self.people_min)
            .ok()
            .and_then(|people| MinPeople::try_from(people).ok())
    }

    /// What the grant asks for.
    pub(crate) fn of(grant: &Grant, collection: &Collection) -> Self {
        let Disclosure {
            tier,
            dominance,
            p_percent,
            // Rounding and quotas are no checks.
            round_to: _,
            zeros,
            queries: _,
        } = grant.disclosure();
        let people_min = match tier {
            Tier::Open => 0,
            Tier::Statistical { min_people } => min_people.get().into(),
        };
        Self {
            people_min,
            dominance: *dominance,
            p_percent: *p_percent,
            guards_zeros: *zeros == Zeros::Protected,
            one_row_each: collection.rows_per_person_max == Some(1),
        }
    }
}

/// What the checks need to know of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts {
    pub(crate) possible: Possible,
    /// Whether another key is about the same column: then the one says what the other is.
    pub(crate) shares_column: bool,
}

/// Why a value is withheld although its cell is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Fewer than `min_people` people contribute, or contribute something other than 0.
    FewPeople,
    /// The difference to a larger group is about fewer than `min_people` people.
    Complement,
    /// The largest contributors give too much of it.
    Dominance,
    /// One contributor could estimate another's value too closely.
    PPercent,
    /// Too few degrees of freedom.
    Freedom,
    /// Nobody's value differs, or all lie on a line.
    Constant,
    /// A bin holds too few people, or all.
    Bins,
    /// It would give away another value that is withheld.
    Secondary,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::FewPeople,
        Self::Complement,
        Self::Dominance,
        Self::PPercent,
        Self::Freedom,
        Self::Constant,
        Self::Bins,
        Self::Secondary,
    ];

    /// The reason as the column `withheld` names it.
    pub fn code(self) -> &'static str {
        match self {
            Self::FewPeople => "few-people",
            Self::Complement => "complement",
            Self::Dominance => "dominance",
            Self::PPercent => "p-percent",
            Self::Freedom => "freedom",
            Self::Constant => "constant",
            Self::Bins => "bins",
            Self::Secondary => "secondary",
        }
    }

    /// The reason with that code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The reason for people, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::FewPeople => "too few people contribute",
            Self::Complement => "too few people are left out",
            Self::Dominance => "one or a few people dominate",
            Self::PPercent => "one person's part could be estimated",
            Self::Freedom => "too few people for a spread",
            Self::Constant => "values do not differ enough",
            Self::Bins => "too few people in a range, or all in one",
            Self::Secondary => "it would give away another",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// What may leave of a table.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// By cell.
    pub(crate) is_withheld: Vec<bool>,
    /// By aggregate, then by cell; only of released cells.
    pub(crate) reasons: Vec<Vec<Option<Reason>>>,
}

impl Verdicts {
    /// Everything may leave: data without people.
    pub(crate) fn all(cells: usize, aggregates: usize) -> Self {
        Self {
            is_withheld: vec![false; cells],
            reasons: vec![vec![None; cells]; aggregates],
        }
    }

    /// The released cells.
    pub(crate) fn released(&self) -> impl Iterator<Item = usize> + Clone {
        let released = self.is_withheld.iter().enumerate();
        released.filter(|(_, is_withheld)| !**is_withheld).map(|(cell, _)| cell)
    }

    /// Values withheld in released cells.
    pub(crate) fn withheld_values(&self) -> u64 {
        self.reasons.iter().flatten().flatten().count() as u64
    }
}

/// Applies all rules. `functions` are those of the query's aggregates, each with its input; `excludes` says of each condition
/// group whether it leaves out any declared value.
pub(crate) fn judge(
    table: &Table,
    keys: &[KeyFacts],
    excludes: &[bool],
    functions: &[(&Function, usize)],
    rules: &Rules,
) -> Verdicts {
    let lines = Lines::of(&table.codes, table.cells.len());
    let is_withheld = cells(table, &lines, keys, excludes, rules);
    let reasons = functions
        .iter()
        .map(|aggregate| values(table, &lines, keys, &is_withheld, *aggregate, rules))
        .collect();
    Verdicts { is_withheld, reasons }
}

/// Section 1.
fn cells(table: &Table, lines: &Lines, keys: &[KeyFacts], excludes: &[bool], rules: &Rules) -> Vec<bool> {
    let mut is_withheld: Vec<bool> = table
        .cells
        .iter()
        .map(|cell| cell.people < rules.people_min || complements(cell, excludes, rules))
        .collect();
    for (key, facts) in keys.iter().enumerate() {
        for line in lines.of_key(key) {
            if let [only] = line.cells.as_slice()
                && !facts.shares_column
                && could_be_another(facts, line)
            {
                is_withheld[*only] = true;
            }
        }
    }
    let people: Vec<u64> = table.cells.iter().map(|cell| cell.people).collect();
    let empty = |key: usize, line: &Line, _: usize| guarded_empty(keys, rules, key, line);
    lines.secondary(&people, rules, &mut is_withheld, empty);
    is_withheld
}

/// How many values that a line's key could have had count as withheld, because nobody has them.
fn guarded_empty(keys: &[KeyFacts], rules: &Rules, key: usize, line: &Line) -> usize {
    match keys.get(key) {
        Some(facts) if rules.guards_zeros => empty_values(facts, line),
        _ => 0,
    }
}

/// Whether the cell and the one without one of its conditions differ by too few people.
fn complements(cell: &Cell, excludes: &[bool], rules: &Rules) -> bool {
    cell.failing
        .iter()
        .zip(excludes)
        .any(|(people, excludes)| match people {
            0 => rules.guards_zeros && *excludes,
            people => *people < rules.people_min,
        })
}

/// Whether the only cell of a line says something of whoever is in the line.
fn could_be_another(facts: &KeyFacts, line: &Line) -> bool {
    match facts.possible {
        Possible::Unbounded => true,
        Possible::Values { values, null } => match line.has_null {
            true => values > 0,
            false => values > 1 || null,
        },
    }
}

/// How many values the key could have had that nobody in the line has.
fn empty_values(facts: &KeyFacts, line: &Line) -> usize {
    match facts.possible {
        Possible::Unbounded => 2,
        Possible::Values { values, null } => {
            let there = line.cells.len() - usize::from(line.has_null);
            values.saturating_sub(there) + usize::from(null && !line.has_null)
        }
    }
}

/// Section 2, of one aggregate.
fn values(
    table: &Table,
    lines: &Lines,
    keys: &[KeyFacts],
    cell_is_withheld: &[bool],
    (function, input): (&Function, usize),
    rules: &Rules,
) -> Vec<Option<Reason>> {
    let inputs: Vec<&Input> = table.cells.iter().map(|cell| &cell.inputs[input]).collect();
    let mut reasons: Vec<Option<Reason>> = inputs
        .iter()
        .zip(cell_is_withheld)
        .map(|(input, is_withheld)| match is_withheld {
            true => None,
            false => primary(function, input, rules),
        })
        .collect();
    let people: Vec<u64> = inputs.iter().map(|input| input.people).collect();
    let mut is_withheld: Vec<bool> = reasons
        .iter()
        .zip(cell_is_withheld)
        .map(|(reason, cell)| reason.is_some() || *cell)
        .collect();
    // Empty values count beside withheld ones, and make no line unsafe alone.
    lines.secondary(&people, rules, &mut is_withheld, |key, line, withheld| match withheld {
        0 => 0,
        _ => guarded_empty(keys, rules, key, line),
    });
    for (reason, (is_withheld, cell)) in reasons.iter_mut().zip(is_withheld.iter().zip(cell_is_withheld)) {
        if *is_withheld && !cell && reason.is_none() {
            *reason = Some(Reason::Secondary);
        }
    }
    reasons
}

/// The first rule that withholds a value for what is in its own cell.
fn primary(function: &Function, input: &Input, rules: &Rules) -> Option<Reason> {
    let too_few = |people: u64| people < rules.people_min;
    let some_but_too_few = |people: u64| people > 0 && too_few(people);
    if too_few(input.people) {
        return Some(Reason::FewPeople);
    }
    let between = input.between.iter().any(|people| some_but_too_few(*people));
    if some_but_too_few(input.rest) || between || some_but_too_few(input.unknown) {
        return Some(Reason::Complement);
    }
    let columns = contributing(function, input);
    if columns.iter().any(|column| too_few(column.shares.nonzero)) {
        return Some(Reason::FewPeople);
    }
    let shares = shared(function, input);
    if shares.iter().any(|shares| dominates(shares, rules)) {
        return Some(Reason::Dominance);
    }
    if shares.iter().any(|shares| estimates(shares, rules)) {
        return Some(Reason::PPercent);
    }
    of_shape(function, input, rules)
}

/// Whether what is kept of nearly the same people may stand for a value: it was released, but perhaps as another function.
pub(crate) fn older(function: &Function, input: &Input, rules: &Rules) -> Option<Reason> {
    match function {
        // Made of what was kept of bins, which are of nothing else.
        Function::Quantile(..) => None,
        _ => of_shape(function, input, rules),
    }
}

/// Whether a total is that of a few people for the most part, or, of a column, nobody's else.
pub(crate) fn is_of_few(shares: &Shares, rules: &Rules) -> bool {
    dominates(shares, rules) || estimates(shares, rules) || shares.nonzero < rules.people_min
}

/// The columns of which the sum matters.
fn contributing<'a>(function: &Function, input: &'a Input) -> &'a [Moments] {
    match function {
        Function::Sum(_) | Function::Mean(_) | Function::Spread(..) | Function::Pair(..) | Function::PairPart(..) => {
            &input.columns
        }
        Function::CountRows | Function::Count(_) | Function::CountPeople(_) | Function::Quantile(..) => &[],
    }
}

/// What must not be one person's for the most part.
fn shared<'a>(function: &Function, input: &'a Input) -> Vec<&'a Shares> {
    match function {
        Function::CountRows | Function::Count(_) => vec![&input.counts],
        Function::CountPeople(_) | Function::Quantile(..) => Vec::new(),
        Function::Sum(_) | Function::Mean(_) | Function::Spread(..) | Function::Pair(..) | Function::PairPart(..) => {
            input.columns.iter().map(|column| &column.shares).collect()
        }
    }
}

/// False also of what is no number: what cannot be compared is withheld.
fn surely_at_most(value: f64, most: f64) -> bool {
    value <= most
}

/// (n,k) dominance.
fn dominates(shares: &Shares, rules: &Rules) -> bool {
    let Some(Dominance { top, share }) = rules.dominance else {
        return false;
    };
    let top = usize::try_from(top).unwrap_or(usize::MAX).min(shares.largest.len());
    let largest: f64 = shares.largest[..top].iter().sum();
    shares.magnitude > 0.0 && !surely_at_most(largest, share * shares.magnitude)
}

/// p %: what is left without the two largest is how closely the second largest can estimate the largest.
fn estimates(shares: &Shares, rules: &Rules) -> bool {
    let Some(percent) = rules.p_percent else { return false };
    let [first, second, ..] = shares.largest;
    let rest = shares.magnitude - first - second;
    first > 0.0 && !surely_at_most(f64::from(percent) / 100.0 * first, rest)
}

/// The rules of second moments and of quantiles.
fn of_shape(function: &Function, input: &Input, rules: &Rules) -> Option<Reason> {
    match function {
        Function::CountRows | Function::Count(_) | Function::CountPeople(_) => None,
        Function::Sum(_) | Function::Mean(_) => is_constant(input).then_some(Reason::Constant),
        Function::Spread(..) => constant_or_few(input, 1),
        Function::PairPart(..) => constant_or_few(input, 2),
        Function::Pair(pair, ..) => constant_or_few(input, 2).or_else(|| {
            let is_line = *pair == Pair::Corr && !surely_at_most(correlation(input).abs(), CORRELATION_MAX);
            is_line.then_some(Reason::Constant)
        }),
        Function::Quantile(share, _) => gives_bins_away(*share, input, rules).then_some(Reason::Bins),
    }
}

fn constant_or_few(input: &Input, parameters: u64) -> Option<Reason> {
    if input.people < FREEDOM_MIN + parameters {
        return Some(Reason::Freedom);
    }
    is_constant(input).then_some(Reason::Constant)
}

/// Whether all rows have the same value of some column: then whoever is in the cell has it.
fn is_constant(input: &Input) -> bool {
    let rows = input.rows as f64;
    let varies = |column: &Moments| column.squares > CONSTANT_SHARE * rows * column.mean * column.mean;
    !input.columns.iter().all(varies)
}

/// Pearson's r.
pub(crate) fn correlation(input: &Input) -> f64 {
    match input.columns.as_slice() {
        [x, y] => input.product / (x.squares.sqrt() * y.squares.sqrt()),
        _ => f64::NAN,
    }
}

fn gives_bins_away(share: f64, input: &Input, rules: &Rules) -> bool {
    let (k, people) = (rules.people_min, input.people as f64);
    let small = |(_, people): &(i64, u64)| *people > 0 && *people < k;
    let filled = input.bins.iter().filter(|(rows, _)| *rows > 0).count();
    let too_far_out = share * people < k as f64 || (1.0 - share) * people < k as f64;
    input.bins.iter().any(small) || filled < 2 || too_far_out
}
