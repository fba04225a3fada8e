//! A view: a ViewDefinition of SQL on FHIR v2, compiled once, with the Arrow schema of what it yields.
//!
//! Everything that we do not support is refused here, by its place in the view and its name. What is left can fail for a single resource only.
//! Next: `view/definition.rs` (text to compiled view), `rows.rs` (a resource to rows), `read.rs` (a file to batches).

mod definition;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use terms::Report;

use crate::moment::MomentKind;
use crate::path::Expr;

/// A compiled view. A copy shares everything with the first.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) compiled: Arc<Compiled>,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    /// The type of the resources that it is about.
    pub(crate) resource: String,
    /// What must be true of a resource.
    pub(crate) conditions: Vec<Path>,
    pub(crate) select: Select,
    /// The columns, in their order.
    pub(crate) columns: Vec<Shape>,
    schema: SchemaRef,
}

/// A part of the view: for each item of something, columns and further parts.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) each: Each,
    pub(crate) columns: Vec<Column>,
    /// What is put beside the columns, each with each.
    pub(crate) parts: Vec<Select>,
    /// What is put beneath each other, beside all that. Its parts fill the same columns.
    pub(crate) union: Vec<Select>,
}

/// Over what a part goes.
#[derive(Debug)]
pub(crate) enum Each {
    /// What is in focus already.
    Focus,
    /// `forEach`
    Items(Path),
    /// `forEachOrNull`
    ItemsOrNull(Path),
    /// `repeat`
    Repeat(Vec<Path>),
}

/// A path, and the text that it was compiled from: a problem names it.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) text: Arc<str>,
    pub(crate) expr: Expr,
}

#[derive(Debug)]
pub(crate) struct Column {
    /// Its number among all columns of the view.
    pub(crate) slot: usize,
    pub(crate) path: Expr,
}

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ColumnKind,
    /// Whether a row holds a list of them.
    pub(crate) collection: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Text,
    /// A date or time as it is written, which may be partial.
    Written(MomentKind),
    Boolean,
    Integer,
    Number,
    /// A day on the calendar.
    Date,
    /// An instant.
    Timestamp,
}

impl View {
    /// Compiles the JSON of a ViewDefinition.
    ///
    /// # Errors
    /// `FhirView` with the place in the view that is wrong or asks for what is not supported.
    pub fn compile(definition: &str) -> Result<View, Report> {
        let compiled = definition::compile(definition)?;
        Ok(View {
            compiled: Arc::new(compiled),
        })
    }

    /// The columns of the batches that it yields.
    pub fn schema(&self) -> &SchemaRef {
        &self.compiled.schema
    }

    /// The type of the resources that it is about, such as `Condition`. Others are passed over.
    pub fn resource(&self) -> &str {
        &self.compiled.resource
    }
}

impl Compiled {
    fn new(resource: String, conditions: Vec<Path>, select: Select, columns: Vec<Shape>) -> Self {
        let fields: Vec<Field> = columns.iter().map(Shape::field).collect();
        Self {
            resource,
            conditions,
            select,
            columns,
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl Shape {
    fn field(&self) -> Field {
        let value = self.kind.data_type();
        let data_type = match self.collection {
            true => DataType::List(Arc::new(Field::new_list_field(value, true))),
            false => value,
        };
        Field::new(self.name.as_ref(), data_type, true)
    }
}

impl ColumnKind {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            ColumnKind::Text | ColumnKind::Written(_) => DataType::Utf8,
            ColumnKind::Boolean => DataType::Boolean,
            ColumnKind::Integer => DataType::Int64,
            ColumnKind::Number => DataType::Float64,
            ColumnKind::Date => DataType::Date32,
            ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}
