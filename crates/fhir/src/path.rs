//! Paths: the part of FHIRPath that SQL on FHIR v2 names, compiled once.
//!
//! What is not in [`Expr`] is refused by name when a view is compiled: no path fails at the millionth resource because of what it is. Next:
//! `path/parse.rs` (text to `Expr`), `path/evaluate.rs` (`Expr` and a resource to items).

pub(crate) mod evaluate;
mod lex;
pub(crate) mod parse;
#[cfg(test)]
mod tests;

use rust_decimal::Decimal;

use crate::moment::{Boundary, MomentKind};

/// A compiled path. Each variant yields items, in order, for the item that is in focus.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// `$this`: the item in focus.
    This,
    /// `%resource`, `%context`: the whole resource.
    Resource,
    /// `%rowIndex`: the number of the item that the nearest `forEach` or `repeat` is at, from 0.
    RowIndex,
    /// `{}`
    Nothing,
    /// A literal, or a constant of the view.
    Literal(Literal),
    /// `name`, and what is said about it under `_name`.
    Field(Box<Expr>, FieldName),
    /// `value.ofType(Quantity)`: the field `valueQuantity`.
    Choice(Box<Expr>, FieldName, Option<MomentKind>),
    /// `contained.ofType(Patient)`: resources of that type.
    OfResource(Box<Expr>, String),
    /// `[2]`
    At(Box<Expr>, usize),
    /// `first()`
    First(Box<Expr>),
    /// `last()`
    Last(Box<Expr>),
    /// `where(criteria)`
    Where(Box<Expr>, Box<Expr>),
    /// `exists()`, or `empty()` if false.
    Exists(Box<Expr>, bool),
    /// `count()`
    Count(Box<Expr>),
    /// `not()`
    Not(Box<Expr>),
    /// `extension(url)`
    Extension(Box<Expr>, String),
    /// `join(separator)`
    Join(Box<Expr>, String),
    /// `lowBoundary()`, `highBoundary()`
    Bounded(Box<Expr>, Boundary),
    /// `getResourceKey()`
    ResourceKey(Box<Expr>),
    /// `getReferenceKey(type)`
    ReferenceKey(Box<Expr>, Option<String>),
    /// `startsWith(text)`, `endsWith(text)`, `contains(text)`
    Has(Box<Expr>, Part, Box<Expr>),
    /// `a | b`
    Union(Box<Expr>, Box<Expr>),
    /// `a and b`, `a = b`, `a + b` …
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `-a`
    Minus(Box<Expr>),
}

/// A value that stands in a path or in a view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(Decimal),
    Boolean(bool),
    Moment(String, MomentKind),
}

/// A name in a resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldName {
    pub(crate) name: String,
    /// The name with `_` before it: where FHIR keeps what is said about a primitive value.
    pub(crate) remark: String,
    /// Whether FHIR R4 has elements of this name that end in the type of their value: `value` is `valueString` or `valueQuantity`.
    pub(crate) is_choice: bool,
}

/// Where in a text another one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Start,
    End,
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    Xor,
    And,
    Implies,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Concatenate,
}

impl FieldName {
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            remark: format!("_{name}"),
            is_choice: CHOICES.contains(&name),
        }
    }
}

impl Expr {
    /// Whether its items are what a boundary function made: complete dates and times.
    pub(crate) fn is_bounded(&self) -> bool {
        match self {
            Expr::Bounded(..) => true,
            Expr::First(of) | Expr::Last(of) | Expr::At(of, _) => of.is_bounded(),
            Expr::Union(left, right) => left.is_bounded() && right.is_bounded(),
            _ => false,
        }
    }
}

/// The types of FHIR R4's choice elements: a data type that a name can end with.
pub(crate) const DATA_TYPES: [&str; 50] = [
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "date",
    "dateTime",
    "decimal",
    "id",
    "instant",
    "integer",
    "markdown",
    "oid",
    "positiveInt",
    "string",
    "time",
    "unsignedInt",
    "uri",
    "url",
    "uuid",
    "Address",
    "Age",
    "Annotation",
    "Attachment",
    "CodeableConcept",
    "Coding",
    "ContactDetail",
    "ContactPoint",
    "Contributor",
    "Count",
    "DataRequirement",
    "Distance",
    "Dosage",
    "Duration",
    "Expression",
    "HumanName",
    "Identifier",
    "Meta",
    "Money",
    "ParameterDefinition",
    "Period",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "RelatedArtifact",
    "SampledData",
    "Signature",
    "Timing",
    "TriggerDefinition",
    "UsageContext",
];

/// The names of FHIR R4's choice elements, without their types.
const CHOICES: [&str; 48] = [
    "abatement",
    "age",
    "allowed",
    "amount",
    "asNeeded",
    "author",
    "born",
    "bodySite",
    "chargeItem",
    "collected",
    "content",
    "deceased",
    "defaultValue",
    "definition",
    "diagnosis",
    "dose",
    "effective",
    "entity",
    "event",
    "fixed",
    "identified",
    "indication",
    "item",
    "legallyBinding",
    "location",
    "maxValue",
    "medication",
    "minValue",
    "multipleBirth",
    "name",
    "occurred",
    "occurrence",
    "onset",
    "pattern",
    "performed",
    "probability",
    "procedure",
    "product",
    "rate",
    "reported",
    "scheduled",
    "serviced",
    "source",
    "subject",
    "substance",
    "timing",
    "topic",
    "value",
];

/// A data type as names end with it: `string` as `String`.
pub(crate) fn capitalized(data_type: &str) -> String {
    let (first, rest) = data_type.split_at(1);
    first.to_ascii_uppercase() + rest
}

fn moment_kind(data_type: &str) -> Option<MomentKind> {
    match data_type {
        "date" => Some(MomentKind::Date),
        "dateTime" | "instant" => Some(MomentKind::DateTime),
        "time" => Some(MomentKind::Time),
        _ => None,
    }
}
