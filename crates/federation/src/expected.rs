//! The columns that an answer will have, and what the collections say of them: units, and which of them make groups.
//!
//! Followed through what only chooses, renames, sorts, joins and takes together; of what is computed in another way nothing is said.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use engine::query::{Function, GroupKey, Query, Spread};
use terms::Report;

use crate::ask::{Asker, Question};
use crate::parameters::Parameters;
use crate::split::{Leaf, Pooled, Split, leaf_of};

/// One column of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Its unit in UCUM, if its values are those of a column that has one.
    pub unit: Option<String>,
    /// Whether rows were grouped by it.
    pub is_group: bool,
}

impl Asker {
    /// The columns that the answer to a question will have. Nothing is asked.
    ///
    /// # Errors
    /// As [`Asker::ask`], before anything is asked.
    pub async fn expected(&self, question: &Question) -> Result<Vec<Expected>, Report> {
        Ok(of(&self.split(question, &Parameters::default()).await?))
    }
}

fn of(split: &Split) -> Vec<Expected> {
    let origins = origins(&split.rest, &split.leaves);
    let fields = split.rest.schema().fields().iter().zip(origins);
    let expected = fields.map(|(field, origin)| Expected {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        unit: origin.unit,
        is_group: origin.is_group,
    });
    expected.collect()
}

/// What is known of a column.
#[derive(Clone, Debug, Default)]
struct Origin {
    unit: Option<String>,
    is_group: bool,
}

/// One for each column of the plan.
fn origins(plan: &LogicalPlan, leaves: &[Leaf]) -> Vec<Origin> {
    let below = |input: &LogicalPlan| origins(input, leaves);
    let found = match plan {
        LogicalPlan::TableScan(scan) => match leaf_of(scan).and_then(|at| leaves.get(at)) {
            Some(leaf) => of_leaf(leaf),
            None => Vec::new(),
        },
        LogicalPlan::Projection(projection) => {
            let known = below(&projection.input);
            let list = projection.expr.iter();
            list.map(|expr| of_expr(expr, &projection.input, &known)).collect()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let known = below(&aggregate.input);
            let groups = aggregate.group_expr.iter().map(|expr| Origin {
                is_group: true,
                ..of_expr(expr, &aggregate.input, &known)
            });
            let values = aggregate
                .aggr_expr
                .iter()
                .map(|expr| of_aggregate(expr, &aggregate.input, &known));
            groups.chain(values).collect()
        }
        LogicalPlan::Filter(filter) => below(&filter.input),
        LogicalPlan::Sort(sort) => below(&sort.input),
        LogicalPlan::Limit(limit) => below(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
        LogicalPlan::Distinct(Distinct::All(input)) => below(input),
        LogicalPlan::Window(window) => below(&window.input),
        LogicalPlan::Join(join) => [below(&join.left), below(&join.right)].concat(),
        _ => Vec::new(),
    };
    // A window adds columns; a join of one kind or another has those of one side only.
    let columns = plan.schema().fields().len();
    match plan {
        LogicalPlan::Window(_) => padded(found, columns),
        _ if found.len() == columns => found,
        _ => padded(Vec::new(), columns),
    }
}

fn padded(mut origins: Vec<Origin>, columns: usize) -> Vec<Origin> {
    origins.resize(columns, Origin::default());
    origins
}

fn of_leaf(leaf: &Leaf) -> Vec<Origin> {
    let unit = |column: &str| leaf.collection.column(column).and_then(|column| column.unit.clone());
    match (&leaf.asked, &leaf.pooled) {
        (Query::Release(query), Pooled::Cells { aggregates, .. }) => {
            let groups = query.groups.iter().map(|group| Origin {
                unit: match group {
                    GroupKey::Column(column) | GroupKey::Bin(column) => unit(column),
                    GroupKey::Calendar(..) | GroupKey::Case(_) => None,
                },
                is_group: true,
            });
            let values = aggregates.iter().map(|aggregate| Origin {
                unit: match &aggregate.function {
                    Function::Sum(column)
                    | Function::Mean(column)
                    | Function::Quantile(_, column)
                    | Function::Spread(Spread::StddevPop | Spread::StddevSamp, column) => unit(column),
                    _ => None,
                },
                is_group: false,
            });
            groups.chain(values).collect()
        }
        (Query::Rows(query), Pooled::Rows { asked }) if query.columns.len() == asked.len() => {
            let columns = query.columns.iter().map(|(column, _)| Origin {
                unit: unit(column),
                is_group: false,
            });
            columns.collect()
        }
        _ => leaf
            .schema
            .fields()
            .iter()
            .map(|field| Origin {
                unit: unit(field.name()),
                is_group: false,
            })
            .collect(),
    }
}

fn of_expr(expr: &Expr, input: &LogicalPlan, known: &[Origin]) -> Origin {
    let find = |column: &Column| input.schema().index_of_column(column).ok();
    match expr {
        Expr::Alias(alias) => of_expr(&alias.expr, input, known),
        Expr::Column(column) => find(column).and_then(|at| known.get(at)).cloned().unwrap_or_default(),
        _ => Origin::default(),
    }
}

/// An aggregate that is made here, over rows.
fn of_aggregate(expr: &Expr, input: &LogicalPlan, known: &[Origin]) -> Origin {
    match expr {
        Expr::Alias(alias) => of_aggregate(&alias.expr, input, known),
        Expr::AggregateFunction(aggregate) => {
            let keeps = ["sum", "avg", "min", "max", "median", "stddev", "stddev_pop"].contains(&aggregate.func.name());
            let argument = aggregate.params.args.first().filter(|_| keeps);
            Origin {
                unit: argument.and_then(|argument| of_expr(argument, input, known).unit),
                is_group: false,
            }
        }
        _ => Origin::default(),
    }
}

#[cfg(test)]
mod tests;
