//! Formulas of times to an event: `Surv(time, event) ~ age + C(grade) + strata(hospital)`.
//!
//! A [`Survival`] is a [`Design`] whose response is 1 for an event and 0 for an end of observation without one, and what goes with it: the
//! time, its declared bins, the strata. It has no constant, and factors have the contrasts that they have beside one. Next: `cox.rs`.

use terms::{Problem, Report};

use crate::design::{Building, Design, LevelOf, Need, Value, Variable};
use crate::formula::{Formula, Response};
use crate::frame::Frame;

/// A formula of a time to an event, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    /// What a row has in the model matrix; its response is the event. There are no weights.
    pub design: Design,
    /// The time under observation.
    pub time: Value,
    /// The smallest and the largest time that is declared.
    pub time_bounds: Option<(f64, f64)>,
    /// The edges of the declared bins of the time, ascending; empty if none are declared.
    pub edges: Vec<f64>,
    /// A baseline of its own for each combination of their classes.
    pub strata: Vec<Stratum>,
    /// The terms of the formula, as [`crate::design::DesignColumn::term`] counts them from 1.
    pub terms: Vec<String>,
}

/// What divides the rows into strata.
#[derive(Clone, Debug, PartialEq)]
pub enum Stratum {
    /// The declared values of a column: its place in the needs, and how many there are.
    Levels(usize, usize),
    /// The declared bins of a number: its place in the needs, and their edges.
    Bins(usize, Vec<f64>),
}

impl Survival {
    /// Resolves a formula over the columns of a collection. Rows in which a column of `complete` is not known are left out too.
    ///
    /// # Errors
    /// As [`Design::new`]; `E_MODEL_FORMULA` if what stands before the `~` is not `Surv(time, event)`, if the event is not 0 or 1 in
    /// every row, or if there is nothing after it.
    pub fn new(formula: &Formula, complete: &[&str], variables: &[Variable]) -> Result<Self, Report> {
        let Response::Survival { time, event } = &formula.response else {
            let message = "this model is about a time to an event: before the `~` stands Surv(time, event)";
            return Err(Problem::ModelFormula.report(message));
        };
        let mut building = Building {
            variables,
            needs: Vec::new(),
            levels: Vec::new(),
        };
        let (time, declared) = time_of(&mut building, time)?;
        let response = building.number(event, "the event")?;
        let bounds = building.variable(&event.column)?.bounds;
        if !response.is_indicator() && bounds != Some((0.0, 1.0)) {
            let message = format!("the event {event} must be 0 or 1 in every row");
            let remedy = format!("compare it: {} == \"dead\"", event.column);
            return Err(Problem::ModelFormula.report(message).remedy(remedy));
        }
        // The baseline is the constant: contrasts are as with one, and its column is not there.
        let with_constant = Formula {
            intercept: true,
            ..formula.clone()
        };
        let mut columns = building.columns(&with_constant)?;
        columns.retain(|column| column.term > 0);
        if columns.is_empty() {
            return Err(Problem::ModelFormula.report("after the `~` no term is left whose hazard could be told"));
        }
        let offsets = formula.offsets.iter().map(|atom| building.number(atom, "an offset"));
        let offsets = offsets.collect::<Result<_, _>>()?;
        let strata = formula.strata.iter().map(|column| stratum(&mut building, column));
        let strata = strata.collect::<Result<_, _>>()?;
        let summed = building.needs.len();
        complete.iter().try_for_each(|column| building.complete(column))?;
        let terms = formula.terms.iter().map(|term| {
            let atoms: Vec<String> = term.iter().map(ToString::to_string).collect();
            atoms.join(":")
        });
        Ok(Self {
            terms: terms.collect(),
            design: Design {
                needs: building.needs,
                summed,
                response,
                columns,
                offsets,
                weight: None,
                levels: building.levels,
            },
            time,
            time_bounds: declared.bounds,
            edges: declared.edges,
            strata,
        })
    }

    /// The bins of the time as levels, the one before the first edge and the one after the last included.
    pub(crate) fn bins(&self) -> Vec<LevelOf> {
        let Value::Number(at) = self.time else {
            return Vec::new();
        };
        let level = |(low, high): (f64, f64)| LevelOf {
            factor: "the time".to_owned(),
            level: format!("[{low}, {high})"),
            value: Value::Within(at, low, high),
        };
        between(&self.edges).map(level).collect()
    }

    /// What each column of strata divides into.
    pub(crate) fn classes(&self) -> Vec<Vec<LevelOf>> {
        let of = |stratum: &Stratum| -> Vec<LevelOf> {
            let values: Vec<Value> = match stratum {
                Stratum::Levels(at, levels) => (0..*levels)
                    .map(|level| Value::IsLevel(*at, (0..*levels).map(|other| other == level).collect()))
                    .collect(),
                Stratum::Bins(at, edges) => between(edges)
                    .map(|(low, high)| Value::Within(*at, low, high))
                    .collect(),
            };
            let (Stratum::Levels(at, _) | Stratum::Bins(at, _)) = stratum;
            let factor = format!("strata({})", self.design.needs[*at].column());
            let values = values.into_iter().enumerate();
            let level = |(class, value): (usize, Value)| LevelOf {
                factor: factor.clone(),
                level: class.to_string(),
                value,
            };
            values.map(level).collect()
        };
        self.strata.iter().map(of).collect()
    }

    /// How many strata there can be in a frame; none if they cannot be counted.
    pub(crate) fn strata_len(&self) -> Option<usize> {
        let mut classes = self.strata.iter().map(Stratum::classes);
        classes.try_fold(1_usize, usize::checked_mul)
    }

    /// The stratum of each row.
    pub(crate) fn strata_of(&self, frame: &Frame) -> Vec<usize> {
        let mut of = vec![0; frame.rows];
        for stratum in &self.strata {
            stratum.count_on(frame, &mut of);
        }
        of
    }

    /// In which of the declared bins a time is: the first is below the first edge, the last from the last edge upwards.
    pub(crate) fn bin_of(&self, time: f64) -> usize {
        self.edges.partition_point(|edge| *edge <= time)
    }
}

/// The bins between edges, the one before the first and the one after the last included.
fn between(edges: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let lows = [f64::NEG_INFINITY].into_iter().chain(edges.iter().copied());
    lows.zip(edges.iter().copied().chain([f64::INFINITY]))
}

impl Stratum {
    fn classes(&self) -> usize {
        match self {
            Stratum::Levels(_, levels) => *levels,
            Stratum::Bins(_, edges) => edges.len() + 1,
        }
    }

    fn count_on(&self, frame: &Frame, of: &mut [usize]) {
        let classes = self.classes();
        match self {
            Stratum::Levels(at, _) => {
                let codes = frame.columns[*at].codes(0, frame.rows);
                for (of, code) in of.iter_mut().zip(codes) {
                    *of = *of * classes + usize::from(*code);
                }
            }
            Stratum::Bins(at, edges) => {
                let numbers = frame.columns[*at].numbers(0, frame.rows);
                for (of, number) in of.iter_mut().zip(numbers) {
                    *of = *of * classes + edges.partition_point(|edge| edge <= number);
                }
            }
        }
    }
}

fn time_of(building: &mut Building<'_>, column: &str) -> Result<(Value, Variable), Report> {
    let variable = building.variable(column)?.clone();
    if !variable.is_number {
        let message = format!("{column} is not a number, and the time must be one");
        return Err(Problem::ModelFormula.report(message).remedy("use another column"));
    }
    let at = building.need(Need::Number(column.to_owned()));
    Ok((Value::Number(at), variable))
}

fn stratum(building: &mut Building<'_>, column: &str) -> Result<Stratum, Report> {
    let variable = building.variable(column)?.clone();
    let name = variable.name;
    if !variable.levels.is_empty() {
        let classes = variable.levels.len();
        return Ok(Stratum::Levels(
            building.need(Need::Level(name, variable.levels)),
            classes,
        ));
    }
    if variable.edges.is_empty() || !variable.is_number {
        let message = format!("{name} has neither declared values nor declared bins, so it cannot divide into strata");
        return Err(Problem::ModelFormula.report(message).remedy("use another column"));
    }
    Ok(Stratum::Bins(building.need(Need::Number(name)), variable.edges))
}

#[cfg(test)]
mod tests;
