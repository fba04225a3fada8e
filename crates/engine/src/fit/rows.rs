//! The rows of a fit on their way into memory: those that pass all conditions, have a weight above 0 and in which all columns are known.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use models::design::Need;
use models::frame::{Column, Frame};
use tokio::task::JoinSet;

use super::Layout;
use crate::execute::{ExecuteError, start};
use crate::workers;

/// Rows in memory, and whom they leave out.
#[derive(Debug)]
pub(super) struct Read {
    /// Each of other people.
    pub(super) frames: Vec<Arc<Frame>>,
    pub(super) dropped_rows: u64,
    pub(super) dropped_people: u64,
    /// Of each condition group, the people who have a row that passes all others and not this one, and in which all columns are known.
    pub(super) failing: Vec<u64>,
    /// Of each guarded need, the people who have a row that passes all conditions and in which it is not known.
    pub(super) unknown: Vec<u64>,
    /// People who have a row that passes all conditions and has no weight, and in which all columns are known.
    pub(super) weightless: u64,
    /// Whether a row weighs less than nothing.
    pub(super) has_negative_weight: bool,
    pub(super) memory: Vec<MemoryReservation>,
}

/// Reads all parts at the same time.
pub(super) async fn read(
    plans: Vec<LogicalPlan>,
    state: SessionState,
    layout: Arc<Layout>,
    as_one: bool,
) -> Result<Read, ExecuteError> {
    let (state, mut running) = (Arc::new(state), JoinSet::new());
    for (at, plan) in plans.into_iter().enumerate() {
        let (state, layout) = (Arc::clone(&state), Arc::clone(&layout));
        let part = async move { (at, read_part(plan, &state, &layout).await) };
        running.spawn_on(part, &workers::handle());
    }
    let mut parts = Vec::new();
    while let Some(part) = running.join_next().await {
        let (at, part) = part.map_err(|_| ExecuteError::Stopped)?;
        parts.push((at, part?));
    }
    parts.sort_by_key(|(at, _)| *at);
    let mut read = Read {
        frames: Vec::new(),
        dropped_rows: 0,
        dropped_people: 0,
        failing: vec![0; layout.groups],
        unknown: vec![0; layout.guarded.len()],
        weightless: 0,
        has_negative_weight: false,
        memory: Vec::new(),
    };
    let mut frames = Vec::new();
    for (_, (reader, memory)) in parts {
        read.dropped_rows += reader.dropped_rows;
        read.dropped_people += reader.dropped_people.people;
        read.weightless += reader.weightless.people;
        read.has_negative_weight |= reader.has_negative_weight;
        for (all, part) in read.failing.iter_mut().zip(&reader.failing) {
            *all += part.people;
        }
        for (all, part) in read.unknown.iter_mut().zip(&reader.unknown) {
            *all += part.people;
        }
        read.memory.push(memory);
        frames.push(reader.frame);
    }
    if as_one {
        // While they are put together, they are there twice.
        let twice = MemoryConsumer::new("fit").register(&state.runtime_env().memory_pool);
        twice.try_resize(frames.iter().map(Frame::bytes).sum())?;
        frames = together(frames).into_iter().collect();
    }
    read.frames = frames.into_iter().map(Arc::new).collect();
    Ok(read)
}

fn together(frames: Vec<Frame>) -> Option<Frame> {
    let rows: usize = frames.iter().map(|frame| frame.rows).sum();
    let mut frames = frames.into_iter();
    let mut one = frames.next()?;
    one.reserve(rows - one.rows);
    frames.for_each(|frame| one.append(frame));
    Some(one)
}

async fn read_part(
    plan: LogicalPlan,
    state: &SessionState,
    layout: &Layout,
) -> Result<(Reader, MemoryReservation), ExecuteError> {
    let mut batches = start(&plan, state).await?;
    let memory = MemoryConsumer::new("fit").register(&state.runtime_env().memory_pool);
    let mut reader = Reader::new(layout);
    while let Some(batch) = batches.next().await {
        reader.add(layout, &batch?)?;
        memory.try_resize(reader.frame.bytes())?;
        // Whoever is not waited for any more ends here.
        tokio::task::yield_now().await;
    }
    Ok((reader, memory))
}

/// Distinct people of rows that come person by person.
#[derive(Debug, Default)]
struct Distinct {
    people: u64,
    last: Option<i64>,
}

impl Distinct {
    fn add(&mut self, person: i64) {
        if self.last != Some(person) {
            self.people += 1;
            self.last = Some(person);
        }
    }
}

#[derive(Debug)]
struct Reader {
    frame: Frame,
    /// Of each need for levels, which text is which.
    codes: Vec<HashMap<String, u16>>,
    dropped_rows: u64,
    dropped_people: Distinct,
    failing: Vec<Distinct>,
    unknown: Vec<Distinct>,
    weightless: Distinct,
    has_negative_weight: bool,
    last: i64,
}

impl Reader {
    fn new(layout: &Layout) -> Self {
        let codes = layout.needs.iter().map(|need| match need {
            Need::Number(_) => HashMap::new(),
            Need::Level(_, levels) => (0_u16..)
                .zip(levels)
                .map(|(code, level)| (level.clone(), code))
                .collect(),
        });
        Self {
            frame: Frame {
                columns: layout.needs.iter().map(Column::from).collect(),
                ..Frame::default()
            },
            codes: codes.collect(),
            dropped_rows: 0,
            dropped_people: Distinct::default(),
            failing: (0..layout.groups).map(|_| Distinct::default()).collect(),
            unknown: layout.guarded.iter().map(|_| Distinct::default()).collect(),
            weightless: Distinct::default(),
            has_negative_weight: false,
            last: i64::MIN,
        }
    }

    fn add(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<(), ExecuteError> {
        let width = layout.needs.len();
        let people = match layout.is_personal {
            true => Some(self.people(batch.column(width + layout.groups))?),
            false => None,
        };
        let passes = (width..width + layout.groups).map(|at| truth(batch.column(at)));
        let passes = passes.collect::<Result<Vec<BooleanArray>, ExecuteError>>()?;
        let needed = layout.needs.iter().zip(&self.codes).zip(batch.columns());
        let needed = needed.map(|((need, codes), column)| values(need, codes, column));
        let needed = needed.collect::<Result<Vec<Values>, ExecuteError>>()?;
        for row in 0..batch.num_rows() {
            let is_known = needed.iter().all(|values| values.is_known(row));
            let mut failed = passes.iter().enumerate().filter(|(_, passes)| !passes.value(row));
            match (failed.next(), failed.next()) {
                (None, _) => {}
                (Some((group, _)), None) => {
                    if let Some(people) = people.as_ref().filter(|_| is_known) {
                        self.failing[group].add(people[row]);
                    }
                    continue;
                }
                (Some(_), Some(_)) => continue,
            }
            // As R, whose `glm` counts no row of weight 0.
            let weight = layout
                .weight
                .as_ref()
                .and_then(|weight| needed[weight.need].number(row));
            if weight == Some(0.0) {
                if let Some(people) = people.as_ref().filter(|_| is_known) {
                    self.weightless.add(people[row]);
                }
                continue;
            }
            self.has_negative_weight |= weight.is_some_and(|weight| weight < 0.0);
            if !is_known {
                self.dropped_rows += 1;
                if let Some(people) = &people {
                    self.dropped_people.add(people[row]);
                    let guarded = layout.guarded.iter().zip(&mut self.unknown);
                    guarded
                        .filter(|(need, _)| !needed[**need].is_known(row))
                        .for_each(|(_, unknown)| unknown.add(people[row]));
                }
                continue;
            }
            for (values, column) in needed.iter().zip(&mut self.frame.columns) {
                values.push(row, column);
            }
            if let Some(people) = &people {
                self.frame.people.push(people[row]);
            }
            self.frame.rows += 1;
        }
        Ok(())
    }

    /// Whose rows these are. They come person by person, or the node's own checks do not hold.
    fn people(&mut self, column: &ArrayRef) -> Result<Vec<i64>, ExecuteError> {
        let people = column
            .as_primitive_opt::<Int64Type>()
            .filter(|people| people.null_count() == 0);
        let people = people.ok_or(ExecuteError::Unordered)?.values();
        let goes_on = people.first().is_none_or(|first| *first >= self.last);
        if !goes_on || !people.is_sorted() {
            return Err(ExecuteError::Unordered);
        }
        self.last = people.last().copied().unwrap_or(self.last);
        Ok(people.to_vec())
    }
}

/// What is not known is not passed.
fn truth(column: &ArrayRef) -> Result<BooleanArray, ExecuteError> {
    let passes = column.as_boolean_opt();
    let passes = passes.ok_or_else(|| ArrowError::CastError("a condition is not true or false".to_owned()));
    let passes = passes.map_err(engine)?;
    Ok(if passes.null_count() > 0 {
        prep_null_mask_filter(passes)
    } else {
        passes.clone()
    })
}

/// The values of one need in a batch; not known where there is none.
enum Values {
    Numbers(Vec<f64>),
    Codes(Vec<Option<u16>>),
}

impl Values {
    fn is_known(&self, row: usize) -> bool {
        match self {
            Values::Numbers(numbers) => numbers[row].is_finite(),
            Values::Codes(codes) => codes[row].is_some(),
        }
    }

    fn number(&self, row: usize) -> Option<f64> {
        match self {
            Values::Numbers(numbers) => Some(numbers[row]),
            Values::Codes(_) => None,
        }
    }

    fn push(&self, row: usize, column: &mut Column) {
        match (self, column) {
            (Values::Numbers(numbers), Column::Numbers(all)) => all.push(numbers[row]),
            (Values::Codes(codes), Column::Codes(all)) => all.extend(codes[row]),
            // Both follow from the same need.
            (Values::Numbers(_), Column::Codes(_)) | (Values::Codes(_), Column::Numbers(_)) => {}
        }
    }
}

fn values(need: &Need, codes: &HashMap<String, u16>, column: &ArrayRef) -> Result<Values, ExecuteError> {
    match need {
        Need::Number(_) => {
            let numbers = cast(column, &DataType::Float64).map_err(engine)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            Ok(Values::Numbers(
                numbers.iter().map(|number| number.unwrap_or(f64::NAN)).collect(),
            ))
        }
        Need::Level(..) => {
            let texts = cast(column, &DataType::Utf8).map_err(engine)?;
            let texts = texts.as_string::<i32>();
            let code = |text: Option<&str>| text.and_then(|text| codes.get(text).copied());
            Ok(Values::Codes(texts.iter().map(code).collect()))
        }
    }
}

fn engine(error: ArrowError) -> ExecuteError {
    ExecuteError::Engine(error.into())
}

#[cfg(test)]
mod tests;
