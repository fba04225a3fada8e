//! Values in place of a question's parameters, written `?` or `$1`, `$2`.
//!
//! They become typed constants of the planned question; no text is ever put together from them. What nodes are asked is then
//! printed by the planner, as if the constants had been written.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Location;
use terms::{Problem, Report};

use crate::split::unfinished;

/// Values for the parameters of a question, that of `$1` first.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<ScalarValue>);

impl Parameters {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For what has no parameters.
    ///
    /// # Errors
    /// `Parameters` if there are values.
    pub(crate) fn require_none(&self) -> Result<(), Report> {
        if self.is_empty() {
            return Ok(());
        }
        let report = Problem::Parameters.report("an analysis has no parameters");
        Err(report.remedy("write the values into the statement, each in single quotes"))
    }

    /// The values of a batch with one row, a column for each parameter.
    ///
    /// # Errors
    /// `Parameters` if it has not exactly one row.
    pub fn of_row(batch: &RecordBatch) -> Result<Self, Report> {
        if batch.num_rows() != 1 {
            let message = format!(
                "there are {} sets of values; a question is asked with one",
                batch.num_rows()
            );
            return Err(Problem::Parameters.report(message));
        }
        let values = batch
            .columns()
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0));
        let values: Result<_, _> = values.collect();
        values.map(Self).map_err(|error| unfinished(&error))
    }

    /// The plan with the values in it.
    pub(crate) fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, Report> {
        let wanted = of(&plan)?.fields().len();
        if wanted != self.0.len() {
            let given = self.0.len();
            let message = format!("parameters in the question: {wanted}; values given: {given}");
            return Err(Problem::Parameters.report(message));
        }
        if wanted == 0 {
            return Ok(plan);
        }
        let values = ParamValues::List(self.0.iter().cloned().map(Into::into).collect());
        plan.with_param_values(values).map_err(|error| unfinished(&error))
    }
}

/// Writes each `?` as `$1`, `$2` and so on, in the order in which they stand in the text.
pub(crate) fn number(statement: &mut Statement) -> Result<(), Report> {
    let Statement::Statement(statement) = statement else {
        return Ok(());
    };
    let mut found = Found::default();
    let ControlFlow::Continue(()) = VisitMut::visit(statement.as_mut(), &mut found);
    let Found { places, others } = found;
    if !places.is_empty() && others {
        let report = Problem::Parameters.report("the question has parameters of both forms, ? and $1");
        return Err(report.remedy("use one form"));
    }
    let ControlFlow::Continue(()) = VisitMut::visit(statement.as_mut(), &mut Numbered(places));
    Ok(())
}

/// Where each `?` stands, and whether there are parameters of another form.
#[derive(Default)]
struct Found {
    places: BTreeSet<Location>,
    others: bool,
}

impl VisitorMut for Found {
    type Break = Infallible;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Infallible> {
        match &value.value {
            Value::Placeholder(name) if name == "?" => drop(self.places.insert(value.span.start)),
            Value::Placeholder(_) => self.others = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Gives each `?` the number of its place.
struct Numbered(BTreeSet<Location>);

impl VisitorMut for Numbered {
    type Break = Infallible;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Infallible> {
        if let Value::Placeholder(name) = &mut value.value
            && name == "?"
        {
            *name = format!("${}", self.0.range(..=value.span.start).count());
        }
        ControlFlow::Continue(())
    }
}

/// The parameters of a plan, `$1` first. What the plan gives no type is text.
pub(crate) fn of(plan: &LogicalPlan) -> Result<SchemaRef, Report> {
    let named = plan.get_parameter_fields().map_err(|error| unfinished(&error))?;
    let field = |at: usize| {
        let name = format!("${at}");
        let known = named.get(&name)?.as_ref();
        let kind = known.map_or(DataType::Utf8, |field| field.data_type().clone());
        Some(Field::new(name, kind, true))
    };
    let fields: Option<Vec<Field>> = (1..=named.len()).map(field).collect();
    let fields = fields.ok_or_else(|| {
        let report = Problem::Parameters.report("the parameters are not numbered from $1 without a gap");
        report.remedy("write ? for each, or $1, $2 and so on")
    })?;
    Ok(Arc::new(Schema::new(fields)))
}
