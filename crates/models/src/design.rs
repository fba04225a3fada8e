//! A formula over the columns of a collection: which columns the model has, and what a row has in each of them.
//!
//! Everything is decided from what the collection declares (levels, bins, bounds), so that every node and the data user come to the same
//! columns without having seen a row. Factors have the treatment contrasts of R. Next: `frame.rs`, the rows; `glm.rs`, what is made of them.

use terms::{Problem, Report};

use crate::formula::{Atom, Comparison, Formula, Literal, Shape};
use crate::frame::{Column, Frame};

/// Most columns of a model matrix, and most values of its factors: the products of each two columns still fit a message.
const COLUMNS_MAX: usize = 1_000;

/// What the constant is called among the terms.
pub const INTERCEPT: &str = "(Intercept)";

/// What a collection declares of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether its values are numbers: integers, numbers, and booleans as 0 and 1.
    pub is_number: bool,
    /// The smallest and the largest value.
    pub bounds: Option<(f64, f64)>,
    /// The declared values in their order, as text.
    pub levels: Vec<String>,
    /// The edges of the declared bins, ascending; half-open.
    pub edges: Vec<f64>,
}

/// How the values of a column are read into a [`Frame`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// As numbers.
    Number(String),
    /// As indices into these declared values.
    Level(String, Vec<String>),
}

impl Need {
    /// The column.
    pub fn column(&self) -> &str {
        match self {
            Need::Number(column) | Need::Level(column, _) => column,
        }
    }
}

/// A formula resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// What is read of each row, in this order. Rows in which one of them is not known are left out.
    pub needs: Vec<Need>,
    /// So many of these go into sums; of the others it only counts whether they are known.
    pub summed: usize,
    /// What is explained: 0 or 1, a count, a number.
    pub response: Value,
    /// The columns of the model matrix.
    pub columns: Vec<DesignColumn>,
    /// Added to the linear predictor.
    pub offsets: Vec<Value>,
    /// Weight of each row.
    pub weight: Option<Value>,
    /// All levels of all factors; of those without a row in any node the columns are left out.
    pub levels: Vec<LevelOf>,
}

/// A level of a factor.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelOf {
    /// The factor as it was written: `C(grade)`.
    pub factor: String,
    /// The level.
    pub level: String,
    /// 1 for the rows that have it.
    pub value: Value,
}

/// One column of the model matrix: a product of values.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignColumn {
    /// `age`, `grade[2]`, `hormone:age`, `(Intercept)`.
    pub name: String,
    /// Multiplied; none for the constant.
    pub factors: Vec<Value>,
    /// The column is divided by this power of two, so that its values are not far from 1.
    pub scale: f64,
    /// Which entries of [`Design::levels`] must have rows for the column to be in the model.
    pub of_levels: Vec<usize>,
    /// The term of the formula that it belongs to.
    pub term: usize,
}

/// A number of each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The column with this place in [`Design::needs`].
    Number(usize),
    /// Its logarithm.
    Log(usize),
    /// Its root.
    Root(usize),
    /// A power of it.
    Power(usize, i32),
    /// 1 if its level is one of these, given as one flag for each level; 0 if not.
    IsLevel(usize, Vec<bool>),
    /// 1 if low ≤ x < high; 0 if not.
    Within(usize, f64, f64),
}

impl Value {
    /// The values of the rows from `from`, into `into`.
    pub fn fill(&self, frame: &Frame, from: usize, into: &mut [f64]) {
        let numbers = |at: usize| frame.columns[at].numbers(from, into.len());
        match self {
            Value::Number(at) => into.copy_from_slice(numbers(*at)),
            Value::Log(at) => each(numbers(*at), into, f64::ln),
            Value::Root(at) => each(numbers(*at), into, f64::sqrt),
            Value::Power(at, power) => each(numbers(*at), into, |x| x.powi(*power)),
            Value::Within(at, low, high) => each(numbers(*at), into, |x| f64::from(*low <= x && x < *high)),
            Value::IsLevel(at, flags) => {
                let codes = frame.columns[*at].codes(from, into.len());
                for (value, code) in into.iter_mut().zip(codes) {
                    *value = f64::from(flags[usize::from(*code)]);
                }
            }
        }
    }

    /// The number of which it is a function; none for levels.
    pub fn number(&self) -> Option<usize> {
        match self {
            Value::Number(at) | Value::Log(at) | Value::Root(at) | Value::Power(at, _) | Value::Within(at, ..) => {
                Some(*at)
            }
            Value::IsLevel(..) => None,
        }
    }

    /// Whether it is 0 or 1 in every row, whatever the rows are.
    pub fn is_indicator(&self) -> bool {
        matches!(self, Value::IsLevel(..) | Value::Within(..))
    }
}

fn each(from: &[f64], into: &mut [f64], make: impl Fn(f64) -> f64) {
    for (value, x) in into.iter_mut().zip(from) {
        *value = make(*x);
    }
}

impl DesignColumn {
    /// A product that is in no term.
    pub(crate) fn of(name: &str, factors: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            factors,
            scale: 1.0,
            of_levels: Vec::new(),
            term: 0,
        }
    }

    /// The values of the rows from `from`, into `into`.
    pub fn fill(&self, frame: &Frame, from: usize, into: &mut [f64], room: &mut [f64]) {
        into.fill(1.0 / self.scale);
        for factor in &self.factors {
            factor.fill(frame, from, room);
            for (value, x) in into.iter_mut().zip(room.iter()) {
                *value *= x;
            }
        }
    }
}

impl Design {
    /// Resolves a formula over the columns of a collection. Rows in which a column of `complete` is not known are left out too.
    ///
    /// # Errors
    /// `E_SQL_COLUMN` for a column that is not there, with the nearest one; `E_MODEL_FORMULA` for a column that cannot be used so.
    pub fn new(
        formula: &Formula,
        weight: Option<&str>,
        complete: &[&str],
        variables: &[Variable],
    ) -> Result<Self, Report> {
        let crate::formula::Response::One(response) = &formula.response else {
            let message = "the response of this model is one variable, not Surv(time, event)";
            return Err(Problem::ModelFormula.report(message));
        };
        let mut building = Building {
            variables,
            needs: Vec::new(),
            levels: Vec::new(),
        };
        let response = building.number(response, "the response")?;
        let columns = building.columns(formula)?;
        let offsets = formula.offsets.iter().map(|atom| building.number(atom, "an offset"));
        let offsets = offsets.collect::<Result<_, _>>()?;
        let weight = weight.map(|column| building.weight(column)).transpose()?;
        let summed = building.needs.len();
        complete.iter().try_for_each(|column| building.complete(column))?;
        Ok(Self {
            needs: building.needs,
            summed,
            response,
            columns,
            offsets,
            weight,
            levels: building.levels,
        })
    }

    /// The columns of the model matrix if only these levels have rows.
    pub fn columns_of<'a>(&'a self, has_rows: &'a [bool]) -> impl Iterator<Item = &'a DesignColumn> + 'a {
        self.columns
            .iter()
            .filter(|column| column.of_levels.iter().all(|level| has_rows[*level]))
    }

    /// What the sums of a model are made of: its columns, and as columns of their own what else goes into them; each as it is weighed.
    pub fn summed_columns(&self) -> Vec<DesignColumn> {
        let of = |name: &str, value: &Value| DesignColumn::of(name, vec![value.clone()]);
        let offsets = self.offsets.iter().map(|value| of("the offset", value));
        let response = [of("the response", &self.response)];
        let weighed = |mut column: DesignColumn| {
            column.factors.extend(self.weight.clone());
            column
        };
        let weight = self.weight.iter().map(|value| of("the weight", value));
        let columns = self.columns.iter().cloned().chain(offsets).chain(response);
        columns.map(weighed).chain(weight).collect()
    }

    /// The levels that have no rows, as `factor[level]`.
    pub(crate) fn empty_levels(&self, has_rows: &[bool]) -> Vec<String> {
        let empty = self.levels.iter().zip(has_rows).filter(|(_, has_rows)| !**has_rows);
        let mut empty: Vec<String> = empty.map(|(of, _)| format!("{}[{}]", of.factor, of.level)).collect();
        empty.dedup();
        empty
    }
}

/// The columns that variables of one collection become.
pub(crate) struct Building<'a> {
    pub(crate) variables: &'a [Variable],
    pub(crate) needs: Vec<Need>,
    pub(crate) levels: Vec<LevelOf>,
}

/// What a variable of a term is: a number, or a factor with a name for each level.
enum Coded {
    Number(Value, f64),
    /// The levels by their place in [`Design::levels`], and which of them is the reference.
    Factor(std::ops::Range<usize>, usize),
}

impl Building<'_> {
    pub(crate) fn columns(&mut self, formula: &Formula) -> Result<Vec<DesignColumn>, Report> {
        let mut columns = Vec::new();
        if formula.intercept {
            columns.push(DesignColumn {
                name: INTERCEPT.to_owned(),
                factors: Vec::new(),
                scale: 1.0,
                of_levels: Vec::new(),
                term: 0,
            });
        }
        for (at, term) in formula.terms.iter().enumerate() {
            let mut products = vec![DesignColumn {
                name: String::new(),
                factors: Vec::new(),
                scale: 1.0,
                of_levels: Vec::new(),
                term: at + 1,
            }];
            for atom in term {
                let has_margin = self.has_margin(formula, term, atom);
                let coded = self.coded(atom)?;
                let times = match &coded {
                    Coded::Number(..) => 1,
                    Coded::Factor(levels, _) => levels.len(),
                };
                if columns.len() + products.len() * times > COLUMNS_MAX {
                    return Err(Problem::ModelFormula
                        .report(format!("the model has more than {COLUMNS_MAX} columns"))
                        .remedy("leave interactions or factors of many values out"));
                }
                products = products
                    .iter()
                    .flat_map(|product| self.times(product, atom, &coded, has_margin))
                    .collect();
            }
            columns.extend(products);
        }
        if columns.is_empty() {
            return Err(Problem::ModelFormula.report("the formula has no term: write `~ 1` for the constant alone"));
        }
        Ok(columns)
    }

    /// A product with one variable more. A factor whose margin is in the model has no column for its reference.
    fn times(&self, product: &DesignColumn, atom: &Atom, coded: &Coded, has_margin: bool) -> Vec<DesignColumn> {
        let with = |name: String, value: Value, scale: f64, level: Option<usize>| {
            let mut column = product.clone();
            let between = if column.name.is_empty() { "" } else { ":" };
            column.name = format!("{}{between}{name}", column.name);
            column.factors.push(value);
            column.scale *= scale;
            column.of_levels.extend(level);
            column
        };
        match coded {
            Coded::Number(value, scale) => vec![with(atom.to_string(), value.clone(), *scale, None)],
            Coded::Factor(levels, reference) => levels
                .clone()
                .filter(|level| !has_margin || level != reference)
                .map(|at| {
                    let LevelOf { level, value, .. } = &self.levels[at];
                    with(format!("{}[{level}]", named(atom)), value.clone(), 1.0, Some(at))
                })
                .collect(),
        }
    }

    /// Whether the term without this variable is in the model: then the variable's levels are told from its reference. Without a
    /// constant the first factor has a column for each level.
    fn has_margin(&self, formula: &Formula, term: &[Atom], atom: &Atom) -> bool {
        let margin: Vec<&Atom> = term.iter().filter(|other| *other != atom).collect();
        if !margin.is_empty() {
            let is_same =
                |other: &Vec<Atom>| other.len() == margin.len() && margin.iter().all(|atom| other.contains(atom));
            return formula.terms.iter().any(is_same);
        }
        let first = formula
            .terms
            .iter()
            .find(|term| term.len() == 1 && self.is_factor(&term[0]));
        formula.intercept || first.is_none_or(|first| first[0] != *atom)
    }

    fn is_factor(&self, atom: &Atom) -> bool {
        match atom.shape {
            Shape::Factor(_) | Shape::Bin => true,
            Shape::Plain => self
                .variables
                .iter()
                .any(|variable| variable.name == atom.column && !variable.is_number),
            Shape::Log | Shape::Root | Shape::Power(_) | Shape::Is(..) | Shape::OneOf(_) => false,
        }
    }

    fn coded(&mut self, atom: &Atom) -> Result<Coded, Report> {
        let variable = self.variable(&atom.column)?.clone();
        match &atom.shape {
            Shape::Factor(reference) => self.factor(atom, &variable, reference.as_deref()),
            Shape::Plain if !variable.is_number => self.factor(atom, &variable, None),
            Shape::Bin => self.binned(atom, &variable),
            _ => {
                let value = self.number(atom, "a number")?;
                Ok(Coded::Number(value, scale(atom, &variable)))
            }
        }
    }

    fn factor(&mut self, atom: &Atom, variable: &Variable, reference: Option<&str>) -> Result<Coded, Report> {
        if variable.levels.is_empty() {
            let message = format!("{} has no declared values, so it cannot be a factor", variable.name);
            let remedy = if variable.edges.is_empty() {
                "use it as a number".to_owned()
            } else {
                format!("use it as a number, or its declared bins: bin({})", variable.name)
            };
            return Err(Problem::ModelFormula.report(message).remedy(remedy));
        }
        let reference = match reference {
            None => 0,
            Some(level) => position(level, variable)?,
        };
        if let Some(levels) = self.known(atom) {
            let first = levels.start;
            return Ok(Coded::Factor(levels, first + reference));
        }
        if self.levels.len() + variable.levels.len() > COLUMNS_MAX {
            return Err(Problem::ModelFormula
                .report(format!("the factors of the model have more than {COLUMNS_MAX} values"))
                .remedy("compare the column with a few values: x in (\"a\", \"b\")"));
        }
        let at = self.need(Need::Level(variable.name.clone(), variable.levels.clone()));
        let first = self.levels.len();
        for (level, name) in variable.levels.iter().enumerate() {
            let flags = (0..variable.levels.len()).map(|other| other == level).collect();
            self.levels.push(LevelOf {
                factor: atom.to_string(),
                level: name.clone(),
                value: Value::IsLevel(at, flags),
            });
        }
        Ok(Coded::Factor(first..self.levels.len(), first + reference))
    }

    /// The levels of a factor that is in another term too.
    fn known(&self, atom: &Atom) -> Option<std::ops::Range<usize>> {
        let name = atom.to_string();
        let first = self.levels.iter().position(|level| level.factor == name)?;
        let count = self.levels[first..]
            .iter()
            .take_while(|level| level.factor == name)
            .count();
        Some(first..first + count)
    }

    fn binned(&mut self, atom: &Atom, variable: &Variable) -> Result<Coded, Report> {
        if variable.edges.len() < 2 {
            let message = format!("{} has no declared bins of numbers", variable.name);
            return Err(Problem::ModelFormula.report(message).remedy("use the column as it is"));
        }
        if let Some(levels) = self.known(atom) {
            let first = levels.start;
            return Ok(Coded::Factor(levels, first));
        }
        let at = self.need(Need::Number(variable.name.clone()));
        let first = self.levels.len();
        for pair in variable.edges.windows(2) {
            self.levels.push(LevelOf {
                factor: atom.to_string(),
                level: format!("[{}, {})", pair[0], pair[1]),
                value: Value::Within(at, pair[0], pair[1]),
            });
        }
        Ok(Coded::Factor(first..self.levels.len(), first))
    }

    /// A number of each row; `what` says what for.
    pub(crate) fn number(&mut self, atom: &Atom, what: &str) -> Result<Value, Report> {
        let variable = self.variable(&atom.column)?.clone();
        match &atom.shape {
            Shape::Is(comparison, literal) => return self.is(&variable, *comparison, literal),
            Shape::OneOf(literals) => return self.one_of(&variable, literals),
            _ => {}
        }
        let name = &variable.name;
        if !variable.is_number {
            let message = format!("{name} is not a number, and {what} must be one");
            let remedy = match variable.levels.first() {
                Some(level) => format!("compare it: {name} == \"{level}\""),
                None => "use another column".to_owned(),
            };
            return Err(Problem::ModelFormula.report(message).remedy(remedy));
        }
        let low = variable.bounds.map(|(low, _)| low);
        let (value, low_min): (fn(usize) -> Value, _) = match atom.shape {
            Shape::Log => (Value::Log, Some((0.0, false))),
            Shape::Root => (Value::Root, Some((0.0, true))),
            Shape::Power(power) => {
                let at = self.need(Need::Number(name.clone()));
                return Ok(Value::Power(at, i32::from(power)));
            }
            Shape::Plain => (Value::Number, None),
            Shape::Factor(_) | Shape::Bin => {
                let message = format!("{atom} is a factor, and {what} must be a number");
                return Err(Problem::ModelFormula.report(message));
            }
            Shape::Is(..) | Shape::OneOf(_) => (Value::Number, None),
        };
        let is_within = match (low_min, low) {
            (None, _) => true,
            (Some((least, is_included)), Some(low)) => low > least || (is_included && low >= least),
            (Some(_), None) => false,
        };
        if !is_within {
            let message = format!("{atom} needs a column whose declared bounds are above 0");
            return Err(Problem::ModelFormula
                .report(message)
                .remedy("use the column without the function"));
        }
        let at = self.need(Need::Number(name.clone()));
        Ok(value(at))
    }

    pub(crate) fn complete(&mut self, column: &str) -> Result<(), Report> {
        if self.needs.iter().any(|need| need.column() == column) {
            return Ok(());
        }
        let variable = self.variable(column)?;
        let need = match (variable.is_number, variable.levels.as_slice()) {
            (true, _) => Need::Number(column.to_owned()),
            (false, []) => {
                let message =
                    format!("{column} is no number and has no declared values, so a fit cannot tell where it is known");
                let remedy =
                    format!("name other columns for complete cases, or add {column} IS NOT NULL to the conditions");
                return Err(Problem::ModelFormula.report(message).remedy(remedy));
            }
            (false, levels) => Need::Level(column.to_owned(), levels.to_vec()),
        };
        self.need(need);
        Ok(())
    }

    fn weight(&mut self, column: &str) -> Result<Value, Report> {
        let variable = self.variable(column)?;
        if !variable.is_number || variable.bounds.is_none_or(|(low, _)| low < 0.0) {
            let message = format!("{column} cannot be a weight: its declared bounds are not from 0 upwards");
            return Err(Problem::ModelFormula.report(message).remedy("use another column"));
        }
        let at = self.need(Need::Number(column.to_owned()));
        Ok(Value::Number(at))
    }

    fn is(&mut self, variable: &Variable, comparison: Comparison, literal: &Literal) -> Result<Value, Report> {
        let name = &variable.name;
        let (Literal::Text(text) | Literal::Number(text)) = literal;
        if !variable.levels.is_empty() && matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            let level = position(text, variable)?;
            let equal = comparison == Comparison::Equal;
            let flags = (0..variable.levels.len()).map(|at| (at == level) == equal).collect();
            let at = self.need(Need::Level(name.clone(), variable.levels.clone()));
            return Ok(Value::IsLevel(at, flags));
        }
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|_| matches!(literal, Literal::Number(_)));
        let (Some(number), true) = (number, variable.is_number) else {
            let message = format!("{name} cannot be compared with {literal} here");
            return Err(Problem::ModelFormula.report(message));
        };
        let is_boolean = variable.bounds == Some((0.0, 1.0)) && variable.edges.is_empty();
        let (low, high) = match comparison {
            Comparison::Less => (f64::NEG_INFINITY, number),
            Comparison::GreaterOrEqual => (number, f64::INFINITY),
            Comparison::Equal if is_boolean && number == 1.0 => (1.0, f64::INFINITY),
            Comparison::Equal if is_boolean && number == 0.0 => (f64::NEG_INFINITY, 1.0),
            _ => {
                let message =
                    format!("{name} is a number without declared values: it can be compared with < and >= only");
                return Err(Problem::ModelFormula.report(message));
            }
        };
        if !is_boolean && !variable.edges.contains(&number) {
            let message = format!("{number} is not an edge of the declared bins of {name}");
            let remedy = match variable.edges.as_slice() {
                [] => format!("{name} has no declared bins: use it as a number"),
                edges => format!("its edges are {}", listed(edges)),
            };
            return Err(Problem::ModelFormula.report(message).remedy(remedy));
        }
        let at = self.need(Need::Number(name.clone()));
        Ok(Value::Within(at, low, high))
    }

    fn one_of(&mut self, variable: &Variable, literals: &[Literal]) -> Result<Value, Report> {
        if variable.levels.is_empty() {
            let message = format!("{} has no declared values: `in` has nothing to compare", variable.name);
            return Err(Problem::ModelFormula.report(message));
        }
        let mut flags = vec![false; variable.levels.len()];
        for Literal::Text(text) | Literal::Number(text) in literals {
            flags[position(text, variable)?] = true;
        }
        let at = self.need(Need::Level(variable.name.clone(), variable.levels.clone()));
        Ok(Value::IsLevel(at, flags))
    }

    pub(crate) fn need(&mut self, need: Need) -> usize {
        let known = self.needs.iter().position(|known| *known == need);
        known.unwrap_or_else(|| {
            self.needs.push(need);
            self.needs.len() - 1
        })
    }

    pub(crate) fn variable(&self, name: &str) -> Result<&Variable, Report> {
        let found = self.variables.iter().find(|variable| variable.name == name);
        found.ok_or_else(|| {
            let names = self.variables.iter().map(|variable| variable.name.as_str());
            let report = Problem::SqlColumn.report(format!("there is no column {name}"));
            match terms::text::nearest(name, names) {
                Some(nearest) => report.remedy(format!("the nearest is {nearest}")),
                None => report,
            }
        })
    }
}

/// How a factor is called in the name of a column.
fn named(atom: &Atom) -> String {
    match atom.shape {
        Shape::Factor(_) => atom.column.clone(),
        _ => atom.to_string(),
    }
}

fn position(level: &str, variable: &Variable) -> Result<usize, Report> {
    let found = variable.levels.iter().position(|known| known == level);
    found.ok_or_else(|| {
        let message = format!("{level} is not a declared value of {}", variable.name);
        let report = Problem::ModelFormula.report(message);
        match terms::text::nearest(level, variable.levels.iter().map(String::as_str)) {
            Some(nearest) => report.remedy(format!("the nearest is {nearest}")),
            None => report.remedy(format!("its values are {}", variable.levels.join(", "))),
        }
    })
}

/// The power of two next above the largest value that the bounds allow.
pub(crate) fn scale(atom: &Atom, variable: &Variable) -> f64 {
    let Some((low, high)) = variable.bounds else {
        return 1.0;
    };
    let largest = low.abs().max(high.abs());
    let largest = match atom.shape {
        Shape::Log => low.ln().abs().max(high.ln().abs()),
        Shape::Root => largest.sqrt(),
        Shape::Power(power) => largest.powi(i32::from(power)),
        Shape::Is(..) | Shape::OneOf(_) => 1.0,
        Shape::Plain | Shape::Factor(_) | Shape::Bin => largest,
    };
    if largest.is_normal() {
        largest.log2().ceil().exp2()
    } else {
        1.0
    }
}

fn listed(edges: &[f64]) -> String {
    edges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A column that is read as it is used.
impl From<&Need> for Column {
    fn from(need: &Need) -> Self {
        match need {
            Need::Number(_) => Column::Numbers(Vec::new()),
            Need::Level(..) => Column::Codes(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;
