//! The JSON of a ViewDefinition becomes a compiled view. An unknown key is refused, never passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use terms::text::nearest;
use terms::{Problem, Report};

use super::{Column, ColumnKind, Compiled, Each, Path, Select, Shape};
use crate::moment::{Moment, MomentKind};
use crate::path::parse::{Surroundings, parse, parse_decimal};
use crate::path::{Expr, Literal};
use crate::reference::is_type;

/// Deepest nesting of `select` and `unionAll`, and most columns: more than a table is read with.
const DEPTH_MAX: usize = 16;
const COLUMNS_MAX: usize = 1_000;

/// Longest ViewDefinition, in bytes.
const DEFINITION_BYTES_MAX: usize = 1024 * 1024;

/// What a ViewDefinition may say; the last ones describe it and change nothing.
const VIEW_KEYS: [&str; 33] = [
    "resourceType",
    "resource",
    "constant",
    "select",
    "where",
    "fhirVersion",
    "status",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "url",
    "identifier",
    "version",
    "versionAlgorithmString",
    "name",
    "title",
    "experimental",
    "date",
    "publisher",
    "contact",
    "description",
    "useContext",
    "jurisdiction",
    "purpose",
    "copyright",
    "copyrightLabel",
    "profile",
    "relatedArtifact",
    "author",
];
const SELECT_KEYS: [&str; 8] = [
    "column",
    "select",
    "forEach",
    "forEachOrNull",
    "repeat",
    "unionAll",
    "id",
    "extension",
];
const COLUMN_KEYS: [&str; 8] = [
    "name",
    "path",
    "type",
    "collection",
    "description",
    "tag",
    "id",
    "extension",
];
const WHERE_KEYS: [&str; 4] = ["path", "description", "id", "extension"];

/// Where something stands in a view, such as `select[1].column[0]`, and what is wrong with it.
struct Refused {
    place: String,
    what: String,
}

type Checked<T> = Result<T, Refused>;

/// Compiles a ViewDefinition.
///
/// # Errors
/// `FhirView`.
pub(super) fn compile(definition: &str) -> Result<Compiled, Report> {
    if definition.len() > DEFINITION_BYTES_MAX {
        return Err(Problem::FhirView.report(format!("the view is longer than {DEFINITION_BYTES_MAX} bytes")));
    }
    let json: Value = serde_json::from_str(definition).map_err(|error| {
        Problem::FhirView.report(format!(
            "the view is not JSON: line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    compile_json(&json).map_err(|Refused { place, what }| match place.as_str() {
        "" => Problem::FhirView.report(format!("the view {what}")),
        place => Problem::FhirView.report(format!("the view's {place} {what}")),
    })
}

fn compile_json(json: &Value) -> Checked<Compiled> {
    let view = object(json, "")?;
    known_keys(view, &VIEW_KEYS, "")?;
    if let Some(other) = view.get("resourceType").filter(|kind| *kind != "ViewDefinition") {
        return refuse("resourceType", format!("is {other}, not \"ViewDefinition\""));
    }
    let resource = text(view, "resource", "")?;
    if !is_type(resource) {
        return refuse("resource", "is not the name of a type such as Patient");
    }
    let constants = constants(view)?;
    let mut compiler = Compiler {
        within: Surroundings {
            resource,
            constants: &constants,
            at_root: true,
        },
        columns: Vec::new(),
    };
    let conditions = compiler.conditions(view)?;
    let parts = list(view, "select", "")?;
    if parts.is_empty() {
        return refuse("", "lacks select");
    }
    let parts = compiler.selects(parts, "select", Depth(0, true))?;
    if compiler.columns.is_empty() {
        return refuse("", "has no column");
    }
    let select = Select {
        each: Each::Focus,
        columns: Vec::new(),
        parts,
        union: Vec::new(),
    };
    Ok(Compiled::new(resource.to_owned(), conditions, select, compiler.columns))
}

fn constants(view: &Map<String, Value>) -> Checked<BTreeMap<String, Literal>> {
    let mut constants = BTreeMap::new();
    for (at, json) in list(view, "constant", "")?.iter().enumerate() {
        let place = format!("constant[{at}]");
        let constant = object(json, &place)?;
        let name = text(constant, "name", &place)?;
        require_name(name, &place)?;
        let values: Vec<_> = constant
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "name" | "id" | "extension"))
            .collect();
        let [(key, value)] = values[..] else {
            return refuse(&place, "needs exactly one value, such as valueString");
        };
        let Some(literal) = constant_value(key, value) else {
            return refuse(&place, format!("has no value that {key} can have"));
        };
        if constants.insert(name.to_owned(), literal).is_some() {
            return refuse(&place, format!("is the second one with the name {name}"));
        }
    }
    Ok(constants)
}

fn constant_value(key: &str, value: &Value) -> Option<Literal> {
    let moment = |kind| {
        let text = value.as_str().filter(|text| Moment::of_kind(text, kind).is_some());
        text.map(|text| Literal::Moment(text.to_owned(), kind))
    };
    match key {
        "valueBoolean" => value.as_bool().map(Literal::Boolean),
        "valueInteger" | "valueInteger64" | "valuePositiveInt" | "valueUnsignedInt" => {
            value.as_i64().map(|whole| Literal::Number(whole.into()))
        }
        "valueDecimal" => value
            .as_number()
            .and_then(|number| parse_decimal(&number.to_string()).ok())
            .map(Literal::Number),
        "valueDate" => moment(MomentKind::Date),
        "valueDateTime" | "valueInstant" => moment(MomentKind::DateTime),
        "valueTime" => moment(MomentKind::Time),
        "valueBase64Binary" | "valueCanonical" | "valueCode" | "valueId" | "valueOid" | "valueString" | "valueUri"
        | "valueUrl" | "valueUuid" | "valueMarkdown" => value.as_str().map(|text| Literal::Text(text.to_owned())),
        _ => None,
    }
}

struct Compiler<'a> {
    within: Surroundings<'a>,
    columns: Vec<Shape>,
}

/// How deep a part stands, and whether the resource itself is in focus there.
#[derive(Clone, Copy)]
struct Depth(usize, bool);

impl Compiler<'_> {
    fn conditions(&self, view: &Map<String, Value>) -> Checked<Vec<Path>> {
        let mut conditions = Vec::new();
        for (at, json) in list(view, "where", "")?.iter().enumerate() {
            let place = format!("where[{at}]");
            let condition = object(json, &place)?;
            known_keys(condition, &WHERE_KEYS, &place)?;
            let path = text(condition, "path", &place)?;
            conditions.push(self.named(path, &place, true)?);
        }
        Ok(conditions)
    }

    fn selects(&mut self, parts: &[Value], place: &str, depth: Depth) -> Checked<Vec<Select>> {
        let numbered = parts.iter().enumerate();
        numbered
            .map(|(at, json)| self.select(json, &format!("{place}[{at}]"), depth))
            .collect()
    }

    fn select(&mut self, json: &Value, place: &str, Depth(depth, at_root): Depth) -> Checked<Select> {
        if depth > DEPTH_MAX {
            return refuse(place, "is nested too deeply");
        }
        let part = object(json, place)?;
        known_keys(part, &SELECT_KEYS, place)?;
        let each = self.each(part, place, at_root)?;
        let inside = Depth(depth + 1, at_root && matches!(each, Each::Focus));
        let mut columns = Vec::new();
        for (at, json) in list(part, "column", place)?.iter().enumerate() {
            columns.push(self.column(json, &format!("{place}.column[{at}]"), inside.1)?);
        }
        let parts = self.selects(list(part, "select", place)?, &format!("{place}.select"), inside)?;
        let union = self.union(list(part, "unionAll", place)?, &format!("{place}.unionAll"), inside)?;
        if columns.is_empty() && parts.is_empty() && union.is_empty() {
            return refuse(place, "needs column, select or unionAll");
        }
        Ok(Select {
            each,
            columns,
            parts,
            union,
        })
    }

    fn each(&self, part: &Map<String, Value>, place: &str, at_root: bool) -> Checked<Each> {
        let keys: Vec<&str> = ["forEach", "forEachOrNull", "repeat"]
            .into_iter()
            .filter(|key| part.contains_key(*key))
            .collect();
        match keys[..] {
            [] => Ok(Each::Focus),
            ["repeat"] => {
                let paths = list(part, "repeat", place)?;
                let texts = paths.iter().map(|path| path.as_str());
                let Some(texts) = texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty()) else {
                    return refuse(place, "repeats something other than paths");
                };
                let paths = texts.into_iter().map(|path| self.named(path, place, at_root));
                paths.collect::<Checked<_>>().map(Each::Repeat)
            }
            [key] => {
                let path = self.named(text(part, key, place)?, place, at_root)?;
                Ok(if key == "forEach" {
                    Each::Items(path)
                } else {
                    Each::ItemsOrNull(path)
                })
            }
            _ => refuse(place, format!("has {} at the same time", keys.join(" and "))),
        }
    }

    fn column(&mut self, json: &Value, place: &str, at_root: bool) -> Checked<Column> {
        let column = object(json, place)?;
        known_keys(column, &COLUMN_KEYS, place)?;
        let name = text(column, "name", place)?;
        require_name(name, place)?;
        if self.columns.iter().any(|known| &*known.name == name) {
            return refuse(place, format!("is the second one with the name {name}"));
        }
        if self.columns.len() == COLUMNS_MAX {
            return refuse(place, format!("is one more than {COLUMNS_MAX}"));
        }
        let path = self.path(text(column, "path", place)?, place, at_root)?;
        let collection = match column.get("collection") {
            None => false,
            Some(Value::Bool(collection)) => *collection,
            Some(_) => return refuse(place, "has a collection that is neither true nor false"),
        };
        let kind = kind(column, path.is_bounded(), place)?;
        self.columns.push(Shape {
            name: Arc::from(name),
            kind,
            collection,
        });
        let slot = self.columns.len() - 1;
        Ok(Column { slot, path })
    }

    /// The parts of a union, which must have the same columns: those of the first are kept, and the others fill them.
    fn union(&mut self, parts: &[Value], place: &str, depth: Depth) -> Checked<Vec<Select>> {
        let first = self.columns.len();
        let mut union: Vec<Select> = Vec::new();
        let mut kept: Option<Vec<Shape>> = None;
        for (at, json) in parts.iter().enumerate() {
            let place = format!("{place}[{at}]");
            let others: Vec<Shape> = self.columns.drain(first..).collect();
            kept = kept.or((at > 0).then_some(others));
            union.push(self.select(json, &place, depth)?);
            if let Some(kept) = &kept
                && kept[..] != self.columns[first..]
            {
                return refuse(
                    &place,
                    "does not have the same columns, in the same order and of the same types, as the first part",
                );
            }
        }
        Ok(union)
    }

    fn named(&self, path: &str, place: &str, at_root: bool) -> Checked<Path> {
        Ok(Path {
            text: Arc::from(path),
            expr: self.path(path, place, at_root)?,
        })
    }

    fn path(&self, path: &str, place: &str, at_root: bool) -> Checked<Expr> {
        let within = Surroundings { at_root, ..self.within };
        parse(path, within).or_else(|what| refuse(place, format!("has a path that cannot be used, {path}: {what}")))
    }
}

/// Which Arrow type a column has. A date or date-time may be partial, and stays as it is written, unless a boundary function completes it
/// or the tag `ansi/type` says that it is complete.
fn kind(column: &Map<String, Value>, is_bounded: bool, place: &str) -> Checked<ColumnKind> {
    let said = match column.get("type") {
        None => "string",
        Some(Value::String(said)) => said.as_str(),
        Some(_) => return refuse(place, "has a type that is no text"),
    };
    let said = said
        .strip_prefix("http://hl7.org/fhir/StructureDefinition/")
        .unwrap_or(said);
    let kind = match said {
        "string" | "code" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid" | "markdown" | "base64Binary"
        | "xhtml" => ColumnKind::Text,
        "boolean" => ColumnKind::Boolean,
        "integer" | "positiveInt" | "unsignedInt" | "integer64" => ColumnKind::Integer,
        "decimal" => ColumnKind::Number,
        "instant" => ColumnKind::Timestamp,
        "date" if is_bounded => ColumnKind::Date,
        "dateTime" if is_bounded => ColumnKind::Timestamp,
        "date" => ColumnKind::Written(MomentKind::Date),
        "dateTime" => ColumnKind::Written(MomentKind::DateTime),
        "time" => ColumnKind::Written(MomentKind::Time),
        other => {
            return refuse(
                place,
                format!("is of the type {other}; a column holds values of a primitive type of FHIR"),
            );
        }
    };
    match tagged(column, place)? {
        None => Ok(kind),
        Some("DATE") if matches!(said, "date" | "dateTime" | "instant") => Ok(ColumnKind::Date),
        Some("TIMESTAMP WITH TIME ZONE") if matches!(said, "dateTime" | "instant") => Ok(ColumnKind::Timestamp),
        Some(other) => refuse(
            place,
            format!("is tagged ansi/type {other}, which a column of the type {said} cannot be; it can be left out"),
        ),
    }
}

/// The value of the tag `ansi/type`. Other tags are for others.
fn tagged<'a>(column: &'a Map<String, Value>, place: &str) -> Checked<Option<&'a str>> {
    let mut found = None;
    for json in list(column, "tag", place)? {
        let tag = object(json, place)?;
        let (name, value) = (text(tag, "name", place)?, text(tag, "value", place)?);
        if name == "ansi/type" && found.replace(value).is_some() {
            return refuse(place, "has the tag ansi/type twice");
        }
    }
    Ok(found)
}

fn refuse<T>(place: &str, what: impl Into<String>) -> Checked<T> {
    Err(Refused {
        place: place.to_owned(),
        what: what.into(),
    })
}

fn object<'a>(json: &'a Value, place: &str) -> Checked<&'a Map<String, Value>> {
    json.as_object().map_or_else(|| refuse(place, "is no object"), Ok)
}

fn text<'a>(object: &'a Map<String, Value>, key: &str, place: &str) -> Checked<&'a str> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => refuse(place, format!("has a {key} that is no text")),
        None => refuse(place, format!("lacks {key}")),
    }
}

/// A list, which may be missing; one that is there is not empty.
fn list<'a>(object: &'a Map<String, Value>, key: &str, place: &str) -> Checked<&'a [Value]> {
    match object.get(key) {
        None => Ok(&[]),
        Some(Value::Array(list)) if !list.is_empty() => Ok(list),
        Some(_) => refuse(place, format!("has a {key} that is no list of at least one")),
    }
}

fn known_keys(object: &Map<String, Value>, known: &[&str], place: &str) -> Checked<()> {
    let known_all: BTreeSet<&str> = known.iter().copied().collect();
    match object.keys().find(|key| !known_all.contains(key.as_str())) {
        None => Ok(()),
        Some(key) => refuse(
            place,
            match nearest(key, known.iter().copied()) {
                Some(near) => format!("has {key}, which is not known; did you mean {near}?"),
                None => format!("has {key}, which is not known"),
            },
        ),
    }
}

/// SQL on FHIR's names for a database: a letter, then letters, digits and underscores.
fn require_name(name: &str, place: &str) -> Checked<()> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name =
        name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_part) && name.len() <= 255;
    match is_name {
        true => Ok(()),
        false => refuse(
            place,
            "has a name that is not a letter followed by letters, digits and underscores",
        ),
    }
}
