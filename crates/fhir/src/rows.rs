//! A resource becomes rows: what SQL on FHIR v2 calls to process a view.
//!
//! The rows of a resource are made whole before any goes into a batch, so that a resource that goes wrong leaves nothing behind. Next:
//! `columns.rs`, which makes arrays of them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::json::{Kind, Value};
use crate::moment::Moment;
use crate::path::Expr;
use crate::path::evaluate::{Element, Item, Scope, Sentence, all, one, truth};
use crate::reference::Bundled;
use crate::skipped::Wrong;
use crate::view::{Column, ColumnKind, Compiled, Each, Path, Select, Shape};

/// Most memory for the rows of one resource, in bytes. Lists put beside each other multiply, also long texts in them.
const ROWS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What going over one item counts as: also work that yields no row comes to an end.
const STEP_BYTES: usize = 16;

/// Most items that one `forEach` or `repeat` may go over.
const ITEMS_MAX: usize = 1_000_000;

const TOO_MANY: &str = "yields too many items";

/// How deep `repeat` goes: as deep as a resource is read.
const REPEAT_DEPTH_MAX: usize = 128;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'d> {
    Null,
    Text(Cow<'d, str>),
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
    List(Vec<Cell<'d>>),
}

impl Cell<'_> {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Cell::Text(text) => text.len(),
                Cell::List(cells) => cells.iter().map(Cell::bytes).sum(),
                _ => 0,
            }
    }
}

/// The rows of one resource, each as long as the view has columns.
pub(crate) type Rows<'d> = Vec<Cell<'d>>;

/// The rows that a resource becomes; nothing if it does not meet the view's conditions.
pub(crate) fn rows<'d>(
    view: &'d Compiled,
    resource: Value<'d>,
    bundled: Option<&'d Bundled<'d>>,
) -> Result<Option<Rows<'d>>, Wrong> {
    let scope = Scope {
        resource,
        bundled,
        row_index: 0,
    };
    let item = Item::of(resource);
    for Path { text, expr } in &view.conditions {
        let met = truth(expr, Some(&item), &scope).map_err(|what| Wrong::path(text, what))?;
        if met != Some(true) {
            return Ok(None);
        }
    }
    let mut maker = Maker {
        shapes: &view.columns,
        row: vec![Cell::Null; view.columns.len()],
        rows: Vec::new(),
        bytes: 0,
    };
    maker.select(&view.select, Some(&item), scope, &mut Maker::emit)?;
    Ok(Some(maker.rows))
}

struct Maker<'d> {
    shapes: &'d [Shape],
    /// The row that is being made.
    row: Vec<Cell<'d>>,
    rows: Rows<'d>,
    bytes: usize,
}

/// What is done with the row when a part has filled its columns.
type Next<'n, 'd> = &'n mut dyn FnMut(&mut Maker<'d>) -> Result<(), Wrong>;

impl<'d> Maker<'d> {
    fn emit(&mut self) -> Result<(), Wrong> {
        self.weigh(self.row.iter().map(Cell::bytes).sum())?;
        self.rows.extend_from_slice(&self.row);
        Ok(())
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.bytes += bytes;
        match self.bytes > ROWS_BYTES_MAX {
            true => Err(Wrong::TooManyRows { most: ROWS_BYTES_MAX }),
            false => Ok(()),
        }
    }

    fn select(
        &mut self,
        select: &'d Select,
        focus: Option<&Item<'d>>,
        scope: Scope<'d>,
        next: Next<'_, 'd>,
    ) -> Result<(), Wrong> {
        let items = match &select.each {
            Each::Focus => return self.columns(select, focus, scope, next),
            Each::Items(path) => self.items(path, focus, &scope)?,
            Each::ItemsOrNull(path) => match self.items(path, focus, &scope)? {
                none if none.is_empty() => return self.columns(select, None, Scope { row_index: 0, ..scope }, next),
                items => items,
            },
            Each::Repeat(paths) => {
                let mut items = Vec::new();
                self.repeat(paths, focus, &scope, &mut items, 0)?;
                items
            }
        };
        for (row_index, item) in (0..).zip(&items) {
            self.columns(select, Some(item), Scope { row_index, ..scope }, next)?;
        }
        Ok(())
    }

    fn items(&self, path: &'d Path, focus: Option<&Item<'d>>, scope: &Scope<'d>) -> Result<Vec<Item<'d>>, Wrong> {
        let items = all(&path.expr, focus, scope).map_err(|what| Wrong::path(&path.text, what))?;
        match items.len() > ITEMS_MAX {
            true => Err(Wrong::path(&path.text, TOO_MANY)),
            false => Ok(items),
        }
    }

    /// The items of the paths, each followed by those that the paths yield from it.
    fn repeat(
        &self,
        paths: &'d [Path],
        focus: Option<&Item<'d>>,
        scope: &Scope<'d>,
        found: &mut Vec<Item<'d>>,
        depth: usize,
    ) -> Result<(), Wrong> {
        for path in paths {
            for item in self.items(path, focus, scope)? {
                if depth > REPEAT_DEPTH_MAX || found.len() > ITEMS_MAX {
                    return Err(Wrong::path(&path.text, TOO_MANY));
                }
                found.push(item.clone());
                self.repeat(paths, Some(&item), scope, found, depth + 1)?;
            }
        }
        Ok(())
    }

    fn columns(
        &mut self,
        select: &'d Select,
        focus: Option<&Item<'d>>,
        scope: Scope<'d>,
        next: Next<'_, 'd>,
    ) -> Result<(), Wrong> {
        self.weigh(STEP_BYTES)?;
        for Column { slot, path } in &select.columns {
            let shape = &self.shapes[*slot];
            let cell = cell(shape, path, focus, &scope);
            self.row[*slot] = cell.map_err(|what| Wrong::column(&shape.name, what))?;
        }
        self.parts(select, 0, focus, scope, next)
    }

    /// Each row of one part with each of the following ones, and then of the union.
    fn parts(
        &mut self,
        select: &'d Select,
        at: usize,
        focus: Option<&Item<'d>>,
        scope: Scope<'d>,
        next: Next<'_, 'd>,
    ) -> Result<(), Wrong> {
        if let Some(part) = select.parts.get(at) {
            return self.select(part, focus, scope, &mut |maker| {
                maker.parts(select, at + 1, focus, scope, &mut *next)
            });
        }
        if select.union.is_empty() {
            return next(self);
        }
        for part in &select.union {
            self.select(part, focus, scope, &mut *next)?;
        }
        Ok(())
    }
}

fn cell<'d>(shape: &Shape, path: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>) -> Result<Cell<'d>, Sentence> {
    if shape.collection {
        let items = all(path, focus, scope)?;
        let cells = items.iter().map(|item| convert(shape.kind, item));
        return cells.collect::<Result<_, _>>().map(Cell::List);
    }
    match one(path, focus, scope)? {
        Some(item) => convert(shape.kind, &item),
        None => Ok(Cell::Null),
    }
}

/// A value as the column holds it. It is never made to fit.
fn convert<'d>(kind: ColumnKind, item: &Item<'d>) -> Result<Cell<'d>, Sentence> {
    match item {
        Item::Text(text) | Item::Moment(text, _) => convert_text(kind, text.clone()),
        Item::Number(number) => convert_decimal(kind, *number),
        Item::Boolean(value) => convert_boolean(kind, *value),
        Item::Element(Element { value, .. }) => match value.map(Value::kind) {
            None | Some(Kind::Null) => Ok(Cell::Null),
            Some(Kind::Text(text)) => convert_text(kind, Cow::Borrowed(text)),
            Some(Kind::Number(digits)) => convert_number(kind, digits),
            Some(Kind::Boolean(value)) => convert_boolean(kind, value),
            Some(Kind::Array | Kind::Object) => Err("is an element with parts, not a plain value"),
        },
    }
}

fn convert_text<'d>(kind: ColumnKind, text: Cow<'d, str>) -> Result<Cell<'d>, Sentence> {
    match kind {
        ColumnKind::Text => Ok(Cell::Text(text)),
        ColumnKind::Written(wanted) => match Moment::of_kind(&text, wanted) {
            Some(_) => Ok(Cell::Text(text)),
            None => Err("is no date or time of the type that the column has"),
        },
        ColumnKind::Date => {
            let days = Moment::parse(&text).ok_or("is no date")?.days();
            days.map(Cell::Date)
                .ok_or("is a date without a day; a view asks for its lowBoundary() or highBoundary()")
        }
        ColumnKind::Timestamp => {
            let found = Moment::parse(&text).ok_or("is no date-time")?;
            let instant = found
                .instant()
                .ok_or("is a date-time without a day or without an offset from UTC")?;
            Ok(Cell::Timestamp(instant.as_microsecond()))
        }
        ColumnKind::Boolean | ColumnKind::Integer | ColumnKind::Number => {
            Err("is a text, which the column cannot hold")
        }
    }
}

fn convert_number<'d>(kind: ColumnKind, digits: &'d str) -> Result<Cell<'d>, Sentence> {
    match kind {
        ColumnKind::Text => Ok(Cell::Text(Cow::Borrowed(digits))),
        ColumnKind::Integer => digits
            .parse()
            .map(Cell::Integer)
            .map_err(|_| "is no whole number of 64 bits"),
        ColumnKind::Number => finite(digits.parse()),
        _ => Err("is a number, which the column cannot hold"),
    }
}

fn convert_decimal<'d>(kind: ColumnKind, number: Decimal) -> Result<Cell<'d>, Sentence> {
    match kind {
        ColumnKind::Text => Ok(Cell::Text(number.to_string().into())),
        ColumnKind::Integer => match number.is_integer() {
            true => i64::try_from(number)
                .map(Cell::Integer)
                .map_err(|_| "is no whole number of 64 bits"),
            false => Err("is no whole number of 64 bits"),
        },
        ColumnKind::Number => finite(number.to_string().parse()),
        _ => Err("is a number, which the column cannot hold"),
    }
}

fn finite<'d>(parsed: Result<f64, std::num::ParseFloatError>) -> Result<Cell<'d>, Sentence> {
    match parsed {
        Ok(number) if number.is_finite() => Ok(Cell::Number(number)),
        _ => Err("is a number too large for 64 bits"),
    }
}

fn convert_boolean<'d>(kind: ColumnKind, value: bool) -> Result<Cell<'d>, Sentence> {
    match kind {
        ColumnKind::Boolean => Ok(Cell::Boolean(value)),
        ColumnKind::Text => Ok(Cell::Text(Cow::Borrowed(if value { "true" } else { "false" }))),
        _ => Err("is true or false, which the column cannot hold"),
    }
}
