//! What a fit says together with other fits and with answers: `docs/disclosure.md`, section 6.
//!
//! Sums of a fit are sums that can be asked for, over the rows in which all of its columns are known. So each of them is held against what
//! left before, of the same columns, and kept beside it: two sums never differ by fewer people than a cell must have.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};

use models::Model;
use models::design::Need;
use models::frame::Column;
use terms::{Problem, Report};

use super::judge::{Judge, Parts, cells, combinations, person_ranges, refuse};
use super::rows::Read;
use crate::cells::{Shares, Total};
use crate::disclose::{self, Rules};
use crate::kept::{self, KeptValue, KeptValues, Shelf, State};
use crate::sketch::{self, Contribution, PersonHash, Sketch, SketchKey};

/// Most sums of products of two columns of which it is kept of whom they are.
const PRODUCTS_MAX: usize = 500;

/// Most values that are kept of one fit.
const VALUES_MAX: usize = 100_000;

/// From here on a whole number may have lost digits.
const INTEGER_MAX: f64 = (1_u64 << 53) as f64;

/// The nodes of a fit with masked sums. Two such sums over the same people here, one over fewer nodes, differ by what those nodes add.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) nodes: BTreeSet<String>,
    /// Only so many together may be told apart from the rest.
    pub(super) nodes_min: u64,
}

impl Roster {
    /// Those who are left of it.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE` if they are too few.
    fn left<'n>(&self, nodes: impl Iterator<Item = &'n str>) -> Result<Self, Report> {
        let (nodes, nodes_min) = (nodes.map(str::to_owned).collect::<BTreeSet<_>>(), self.nodes_min);
        if (nodes.len() as u64) < nodes_min {
            let message = format!(
                "a fit here is over {nodes_min} nodes at least, and {} are left",
                nodes.len()
            );
            return Err(refuse(&message, "ask again when more nodes answer"));
        }
        Ok(Self { nodes, nodes_min })
    }

    /// What is kept of it: for each sum and all people of whom it is, as `people` has them, which nodes were in it.
    pub(super) fn kept(&self, people: &KeptValue) -> KeptValue {
        // Who the nodes are is no secret.
        let key = SketchKey::from([0; 16]);
        let mut sketch = Sketch::new(sketch::slots(self.nodes_min));
        for node in &self.nodes {
            sketch.add(key.person(node.as_bytes()), Contribution::default());
        }
        let names: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let state = State {
            rows: key.person(names.join(" ").as_bytes()).as_order(),
            people: self.nodes.len() as u64,
            ..State::default()
        };
        let statistic = format!("nodes over {} in {}", people.mark(), people.statistic);
        KeptValue::new(statistic, self.nodes_min, state, sketch)
    }
}

/// Of whom the sums of a fit are: with these later fits and answers are compared.
#[derive(Debug, Default)]
pub(super) struct About {
    people: Vec<OfSum>,
}

/// Of whom a sum is.
#[derive(Debug)]
struct OfSum {
    /// For those who ask.
    columns: String,
    value: KeptValue,
    /// Whether it is kept, and not only held against what is.
    is_kept: bool,
}

impl About {
    /// Over which nodes these people are summed, where only the sum over all may be seen.
    fn nodes(&self, roster: Option<&Roster>) -> Vec<KeptValue> {
        let of = |roster: &Roster| self.people.iter().map(|sum| roster.kept(&sum.value)).collect();
        roster.map(of).unwrap_or_default()
    }
}

impl Judge {
    /// Of whom the sums of the fit are.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE` if it tells apart more groups than can be looked at.
    pub(super) fn about(&self, read: &Read, model: &Model, parts: &Parts) -> Result<About, Report> {
        let mut kept = Kept::default();
        for (at, need) in model.needs[..model.exposure.summed].iter().enumerate() {
            kept.put(self.whole(read, at, need));
        }
        let needs = Needs::of(model, self);
        // That the value of a measure is missing is told of anybody; whom else a fit leaves out is not, of a few in a group.
        let tells_rows = !read.failing.is_empty() || read.unknown.iter().any(|people| *people > 0);
        for (groups, tellings) in parts.tellings(&needs, self.tells_pairs, tells_rows) {
            let sums = Sums::gather(read, parts, &groups, &needs, &tellings, self)?;
            sums.into_iter().for_each(|sum| kept.put(sum));
            if kept.values.len() > VALUES_MAX {
                let message = "the terms tell apart more groups than a node keeps";
                return Err(refuse(message, "leave interactions or factors of many values out"));
            }
        }
        Ok(About { people: kept.values })
    }

    /// All people of a column and what they have in it, whatever the model makes of it. No value can be made of this.
    fn whole(&self, read: &Read, at: usize, need: &Need) -> OfSum {
        let mut sketch = Sketch::new(sketch::slots(self.rules.people_min));
        let mut state = State::default();
        for frame in &read.frames {
            state.rows += frame.rows as i64;
            for rows in person_ranges(frame) {
                state.people += 1;
                let person = PersonHash::from_order(frame.people[rows.start]);
                let contribution = Contribution::default().with_rows(rows.len() as i64);
                let contribution = match &frame.columns[at] {
                    Column::Numbers(numbers) => {
                        contribution.with_number(numbers[rows].iter().fold(0.0, |all, one| all + one))
                    }
                    Column::Codes(codes) => {
                        let codes = codes[rows].iter();
                        codes.fold(contribution, |all, code| all.with_rows(i64::from(*code)))
                    }
                };
                sketch.add(person, contribution);
            }
        }
        let columns = [need.column().to_owned()];
        let what = match self.measures.contains_key(need.column()) && matches!(need, Need::Number(_)) {
            true => "",
            false => "model of ",
        };
        let statistic = kept::statistic(&self.collection, what, &columns);
        let [columns] = columns;
        OfSum {
            columns,
            value: KeptValue::new(statistic, self.rules.people_min, state, sketch),
            is_kept: true,
        }
    }

    /// Refuses people of whom earlier fits and answers tell too few apart, and nodes likewise.
    pub(super) fn require_distance(&self, about: &About, shelf: &Shelf) -> Result<(), Report> {
        self.require_distance_over(about, &about.nodes(self.roster.as_ref()), shelf)
    }

    fn require_distance_over(&self, about: &About, nodes: &[KeptValue], shelf: &Shelf) -> Result<(), Report> {
        if nodes.iter().any(|nodes| shelf.is_near_another(nodes)) {
            let message = "an earlier fit was over nearly the same nodes: both together would tell of a few nodes";
            let remedy = "ask the same nodes as that fit; until the data change, only fits over these, or with enough other nodes, are answered";
            return Err(refuse(message, remedy));
        }
        let mut near = about.people.iter().filter(|sum| shelf.differs_by_few(&sum.value));
        let Some(near) = near.next().filter(|_| self.refuses_overlaps) else {
            return Ok(());
        };
        let with = match near.columns.as_str() {
            "" => String::new(),
            columns => format!(" with {columns}"),
        };
        let message = format!(
            "an earlier fit or answer{with} was about nearly the same people: both together would tell of a few"
        );
        let remedy = "choose columns and conditions so that the same people are in both, or so that more differ: after a fit, \
                      --complete-cases takes only those of whom further columns are known; a board may allow it (overlaps)";
        Err(refuse(&message, remedy))
    }

    /// Keeps of whom the sums of a fit are, and the nodes over which they go. From here on later fits and answers are held against it.
    ///
    /// # Errors
    /// As [`Judge::require_distance`], and `E_RESOURCES` if there is no more room.
    pub(super) fn enter<'n>(
        &self,
        about: &About,
        nodes: impl Iterator<Item = &'n str>,
        kept: &KeptValues,
    ) -> Result<Vec<KeptValue>, Report> {
        let roster = self.roster.as_ref().map(|roster| roster.left(nodes)).transpose()?;
        let nodes = about.nodes(roster.as_ref());
        let mut shelf = kept.shelf();
        self.require_distance_over(about, &nodes, &shelf)?;
        let people = about.people.iter().filter(|sum| sum.is_kept).map(|sum| &sum.value);
        let new = people.chain(&nodes).filter(|value| !shelf.holds(value)).cloned();
        let new: Vec<KeptValue> = new.collect();
        let full = Problem::Resources.report("the node cannot keep any more of what it has released");
        shelf.add(&new).map_err(|_| full)?;
        Ok(new)
    }
}

/// Values to be kept, each once: of two about the same, the one of which more can be made.
#[derive(Default)]
struct Kept {
    values: Vec<OfSum>,
    known: HashMap<(String, String, u64), usize>,
}

impl Kept {
    fn put(&mut self, sum: OfSum) {
        let value = &sum.value;
        match self
            .known
            .entry((value.statistic.clone(), value.mark(), value.people()))
        {
            Entry::Vacant(place) => {
                place.insert(self.values.len());
                self.values.push(sum);
            }
            Entry::Occupied(known) => {
                let known = &mut self.values[*known.get()];
                if sum.is_kept && !(known.is_kept && known.value.says_as_much_as(&sum.value)) {
                    *known = sum;
                }
            }
        }
    }
}

/// The needs of a model that are numbers which can be asked for in sums; in the order of needs.
pub(super) struct Needs(Vec<Option<Measure>>);

struct Measure {
    column: String,
    is_integer: bool,
    /// The numbers that its levels are, if it is taken as levels.
    levels: Vec<f64>,
}

impl Needs {
    fn of(model: &Model, judge: &Judge) -> Self {
        let measure = |need: &Need| {
            let column = need.column().to_owned();
            let is_integer = *judge.measures.get(&column)?;
            let levels = match need {
                Need::Number(_) => Vec::new(),
                Need::Level(_, levels) => levels.iter().map(|level| level.parse().ok()).collect::<Option<_>>()?,
            };
            Some(Measure {
                column,
                is_integer,
                levels,
            })
        };
        Self(model.needs[..model.exposure.summed].iter().map(measure).collect())
    }

    fn measure(&self, at: usize) -> Option<&Measure> {
        self.0.get(at)?.as_ref()
    }
}

impl Measure {
    fn of_row(&self, column: &Column, row: usize) -> f64 {
        match column {
            Column::Numbers(numbers) => numbers[row],
            Column::Codes(codes) => self.levels[usize::from(codes[row])],
        }
    }
}

/// What is told in each cell of some groupings: of which needs the sum, or the sum of products, or of none the rows; and whether the node's own
/// sum is told, as it is, so that it can take the place of a later one.
type Tellings = BTreeMap<Vec<usize>, bool>;

impl Parts {
    /// The sums that can be asked for and that follow from those of the model, by the groupings in whose cells they are told.
    fn tellings(&self, needs: &Needs, tells_pairs: bool, tells_rows: bool) -> BTreeMap<BTreeSet<usize>, Tellings> {
        let mut all: BTreeMap<BTreeSet<usize>, Tellings> = BTreeMap::new();
        let mut products = 0;
        let mut tell = |groups: BTreeSet<usize>, mut of: Vec<(usize, bool)>, is_told: bool| {
            of.sort_by_key(|(need, _)| needs.measure(*need).map(|measure| &measure.column));
            of.dedup_by_key(|(need, _)| *need);
            if of.iter().any(|(need, _)| needs.measure(*need).is_none()) {
                return;
            }
            let is_told = is_told && of.iter().all(|(_, is_raw)| *is_raw);
            let of: Vec<usize> = of.into_iter().map(|(need, _)| need).collect();
            let in_cells = all.entry(groups).or_default();
            if of.len() > 1 && !in_cells.contains_key(&of) {
                products += 1;
                if products > PRODUCTS_MAX {
                    return;
                }
            }
            *in_cells.entry(of).or_default() |= is_told;
        };
        let columns = self
            .columns
            .iter()
            .map(|column| (column.groups.clone(), column.numbers.clone()));
        let groupings = (0..self.groupings.len()).map(|at| ([at].into(), BTreeSet::new()));
        let numbers = (0..self.numbers.len()).map(|at| (BTreeSet::new(), [at].into()));
        let alone: BTreeSet<(BTreeSet<usize>, BTreeSet<usize>)> = columns.chain(groupings).chain(numbers).collect();
        let pairs = alone.iter().flat_map(|one| {
            alone
                .range(one..)
                .map(move |other| (&one.0 | &other.0, &one.1 | &other.1))
        });
        let pairs: BTreeSet<_> = pairs.collect();
        for sum in &pairs {
            let (groups, numbers) = sum;
            let is_told = tells_pairs || alone.contains(sum);
            let of_numbers: Vec<(usize, bool)> = numbers.iter().map(|at| self.numbers[*at].need()).collect();
            // A group of one value of a number says what its sum is.
            let of_groups = groups.iter().map(|at| (*at, self.groupings[*at].of));
            let of_groups: Vec<(usize, (usize, bool))> = of_groups.collect();
            let without = |left_out: &[usize]| groups.iter().copied().filter(|at| !left_out.contains(at)).collect();
            match of_numbers.as_slice() {
                [] => {
                    // Of all rows it is asked before, whom they leave out.
                    if tells_rows && !groups.is_empty() {
                        tell(groups.clone(), Vec::new(), true);
                    }
                    for (at, (group, need)) in of_groups.iter().enumerate() {
                        tell(without(&[*group]), vec![*need], is_told);
                        for (other, other_need) in &of_groups[at + 1..] {
                            tell(without(&[*group, *other]), vec![*need, *other_need], is_told);
                        }
                    }
                }
                [number] => {
                    tell(groups.clone(), vec![*number], is_told);
                    for (group, need) in &of_groups {
                        tell(without(&[*group]), vec![*number, *need], is_told);
                    }
                }
                [_, _] => tell(groups.clone(), of_numbers, is_told),
                // Nothing that can be asked for.
                _ => {}
            }
        }
        all
    }
}

/// What is added up in one cell.
struct Sums {
    rows: i64,
    people: u64,
    /// The first value of each need. Means are told from here: far from zero they would lose digits.
    origins: Vec<f64>,
    /// Sum, sum from the origin, and sum of squares from there, of each need.
    needs: Vec<(Total, f64, f64)>,
    /// Sum of products from the origins, of each telling of two.
    products: Vec<f64>,
    /// Who contributed what, of each telling.
    sketches: Vec<Sketch>,
    /// How rows, and the sums of each need, are shared among people.
    shares: (Shares, Vec<Shares>),
    /// Of each need, whether no digits were lost.
    are_exact: Vec<bool>,
}

/// What one person has in each cell.
#[derive(Default)]
struct Own {
    /// The cell, and rows in it.
    cells: Vec<(usize, i64)>,
    /// The sums of all needs, cell by cell.
    sums: Vec<f64>,
}

impl Sums {
    fn new(origins: Vec<f64>, measures: &[(usize, &Measure)], tellings: usize, slots: usize) -> Self {
        let zero = |(_, measure): &(usize, &Measure)| match measure.is_integer {
            true => (Total::Integer(0), 0.0, 0.0),
            false => (Total::Number { sum: 0.0, lost: 0.0 }, 0.0, 0.0),
        };
        Self {
            rows: 0,
            people: 0,
            needs: measures.iter().map(zero).collect(),
            origins,
            products: vec![0.0; tellings],
            sketches: vec![Sketch::new(slots); tellings],
            shares: (Shares::default(), vec![Shares::default(); measures.len()]),
            are_exact: vec![true; measures.len()],
        }
    }

    /// Of each cell in which there are enough people, and each telling: what is kept, with its columns.
    fn gather(
        read: &Read,
        parts: &Parts,
        groups: &BTreeSet<usize>,
        needs: &Needs,
        tellings: &Tellings,
        judge: &Judge,
    ) -> Result<Vec<OfSum>, Report> {
        let groupings = parts.named(groups);
        let used: BTreeSet<usize> = tellings.keys().flatten().copied().collect();
        let measures: Vec<(usize, &Measure)> = used
            .iter()
            .filter_map(|need| Some((*need, needs.measure(*need)?)))
            .collect();
        let place = |need: &usize| measures.iter().position(|(at, _)| at == need);
        let places: Vec<Vec<usize>> = tellings
            .keys()
            .map(|of| of.iter().filter_map(place).collect())
            .collect();
        let slots = sketch::slots(judge.rules.people_min);
        let mut all: Vec<Option<Box<Sums>>> = Vec::new();
        all.resize_with(combinations(&groupings)?, || None);
        let (mut values, mut own) = (vec![0.0; measures.len()], Own::default());
        for frame in &read.frames {
            let cells = cells(frame, &groupings);
            for rows in person_ranges(frame) {
                let person = PersonHash::from_order(frame.people[rows.start]);
                for row in rows {
                    for (value, (at, measure)) in values.iter_mut().zip(&measures) {
                        *value = measure.of_row(&frame.columns[*at], row);
                    }
                    let new = || Box::new(Sums::new(values.clone(), &measures, tellings.len(), slots));
                    all[cells[row]].get_or_insert_with(new).add(&values, &places);
                    own.add(cells[row], &values);
                }
                own.close(|cell, rows, sums| {
                    if let Some(cell) = &mut all[cell] {
                        cell.close(person, rows, sums, &places);
                    }
                });
            }
        }
        let mut kept = Vec::new();
        for sums in all
            .into_iter()
            .flatten()
            .filter(|sums| sums.people >= judge.rules.people_min)
        {
            for ((at, of), is_told) in places.iter().enumerate().zip(tellings.values()) {
                let columns: Vec<String> = of.iter().map(|at| measures[*at].1.column.clone()).collect();
                let statistic = kept::statistic(&judge.collection, "", &columns);
                let is_of_few = sums.is_of_few(of, &judge.rules);
                let state = sums.state(of, at, *is_told && !is_of_few);
                kept.push(OfSum {
                    columns: columns.join(" and "),
                    value: KeptValue::new(statistic, judge.rules.people_min, state, sums.sketches[at].clone()),
                    // Of rows the state says all that there is.
                    is_kept: !(of.is_empty() && is_of_few),
                });
            }
        }
        Ok(kept)
    }

    fn add(&mut self, values: &[f64], places: &[Vec<usize>]) {
        self.rows += 1;
        let needs = self.origins.iter().zip(&mut self.needs).zip(&mut self.are_exact);
        for (value, ((origin, (total, sum, squares)), is_exact)) in values.iter().zip(needs) {
            *is_exact &= matches!(total, Total::Number { .. }) || value.abs() < INTEGER_MAX;
            total.add(match total {
                Total::Integer(_) => Total::Integer(*value as i128),
                Total::Number { .. } => Total::Number { sum: *value, lost: 0.0 },
            });
            let from_origin = value - origin;
            *sum += from_origin;
            *squares += from_origin * from_origin;
        }
        for (product, of) in self.products.iter_mut().zip(places) {
            if let [x, y] = *of.as_slice() {
                *product += (values[x] - self.origins[x]) * (values[y] - self.origins[y]);
            }
        }
    }

    /// All rows of a person were added.
    fn close(&mut self, person: PersonHash, rows: i64, sums: &[f64], places: &[Vec<usize>]) {
        self.people += 1;
        self.shares.0.add(rows as f64);
        self.shares
            .1
            .iter_mut()
            .zip(sums)
            .for_each(|(shares, sum)| shares.add(*sum));
        let rows = Contribution::default().with_rows(rows);
        for (sketch, of) in self.sketches.iter_mut().zip(places) {
            let contribution = of.iter().fold(rows, |all, at| all.with_number(sums[*at]));
            sketch.add(person, contribution);
        }
    }

    /// As section 2 of `docs/disclosure.md` has it of an answer.
    fn is_of_few(&self, of: &[usize], rules: &Rules) -> bool {
        let (rows, needs) = &self.shares;
        match of {
            [] => disclose::is_of_few(rows, rules),
            of => of.iter().any(|at| disclose::is_of_few(&needs[*at], rules)),
        }
    }

    fn state(&self, of: &[usize], telling: usize, is_told: bool) -> State {
        let mut state = State {
            rows: self.rows,
            people: self.people,
            ..State::default()
        };
        if !is_told || of.iter().any(|at| !self.are_exact[*at]) {
            return state;
        }
        let rows = self.rows as f64;
        let column = |at: &usize| {
            let (total, sum, squares) = self.needs[*at];
            (
                total,
                self.origins[*at] + sum / rows,
                (squares - sum * sum / rows).max(0.0),
            )
        };
        state.columns = of.iter().map(column).collect();
        if let [x, y] = *of {
            state.product = self.products[telling] - self.needs[x].1 * self.needs[y].1 / rows;
        }
        state
    }
}

impl Own {
    fn add(&mut self, cell: usize, values: &[f64]) {
        let place = self.cells.iter().position(|(known, _)| *known == cell);
        let place = place.unwrap_or_else(|| {
            self.cells.push((cell, 0));
            self.sums.extend(values.iter().map(|_| 0.0));
            self.cells.len() - 1
        });
        self.cells[place].1 += 1;
        let sums = self.sums[place * values.len()..].iter_mut();
        sums.zip(values).for_each(|(sum, value)| *sum += value);
    }

    /// Hands out each cell with its rows and sums. The next person begins.
    fn close(&mut self, mut each: impl FnMut(usize, i64, &[f64])) {
        let width = self.sums.len() / self.cells.len().max(1);
        for (place, (cell, rows)) in self.cells.iter().enumerate() {
            each(*cell, *rows, &self.sums[place * width..][..width]);
        }
        self.cells.clear();
        self.sums.clear();
    }
}

#[cfg(test)]
mod tests;
