//! What a compiled path yields for a resource: its items, one after the other, to whoever asks. Nothing is gathered that need not be.
//!
//! What goes wrong is one sentence without a value; whoever asks adds which path it was.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use rust_decimal::Decimal;

use super::parse::parse_decimal;
use super::{DATA_TYPES, Expr, FieldName, Literal, Operator, Part, capitalized, moment_kind};
use crate::json::{Kind, Value};
use crate::moment::{Boundary, Moment, MomentKind};
use crate::reference::{Bundled, key_of};

/// What a path yields.
#[derive(Clone, Debug)]
pub(crate) enum Item<'d> {
    /// Something in the resource.
    Element(Element<'d>),
    Text(Cow<'d, str>),
    Moment(Cow<'d, str>, MomentKind),
    Number(Decimal),
    Boolean(bool),
}

/// A value in the resource, and what is said about it. One of them is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'d> {
    pub(crate) value: Option<Value<'d>>,
    pub(crate) remark: Option<Value<'d>>,
    pub(crate) kind: Option<MomentKind>,
}

/// What is the same for all of a resource's paths at one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'d> {
    pub(crate) resource: Value<'d>,
    pub(crate) bundled: Option<&'d Bundled<'d>>,
    pub(crate) row_index: u32,
}

/// Most items of a union: each is compared with each.
const UNION_ITEMS_MAX: usize = 1_000;

/// What is wrong, in words that go on from "the path … ": without a value.
pub(crate) type Sentence = &'static str;

/// Whether to go on.
pub(crate) type Flow = Result<ControlFlow<()>, Sentence>;

type Sink<'s, 'd> = &'s mut dyn FnMut(Item<'d>) -> Flow;

const ON: Flow = Ok(ControlFlow::Continue(()));
const STOP: Flow = Ok(ControlFlow::Break(()));

const MANY: Sentence =
    "has several values where one is needed; a path takes the first(), a column can say collection: true";

impl<'d> Item<'d> {
    pub(crate) fn of(value: Value<'d>) -> Self {
        Item::Element(Element {
            value: Some(value),
            remark: None,
            kind: None,
        })
    }

    fn of_literal(literal: &'d Literal) -> Self {
        match literal {
            Literal::Text(text) => Item::Text(Cow::Borrowed(text)),
            Literal::Number(number) => Item::Number(*number),
            Literal::Boolean(value) => Item::Boolean(*value),
            Literal::Moment(text, kind) => Item::Moment(Cow::Borrowed(text), *kind),
        }
    }

    /// What can be compared: nothing, if only something is said about a value that is not there.
    fn plain(&self) -> Result<Option<Plain<'_>>, Sentence> {
        Ok(Some(match self {
            Item::Text(text) => Plain::Text(text, None),
            Item::Moment(text, kind) => Plain::Text(text, Some(*kind)),
            Item::Number(number) => Plain::Number(*number),
            Item::Boolean(value) => Plain::Boolean(*value),
            Item::Element(element) => match element.value.map(Value::kind) {
                None | Some(Kind::Null) => return Ok(None),
                Some(Kind::Text(text)) => Plain::Text(text, element.kind),
                Some(Kind::Boolean(value)) => Plain::Boolean(value),
                Some(Kind::Number(digits)) => Plain::Number(
                    parse_decimal(digits).map_err(|_| "has a number with too many digits to calculate with")?,
                ),
                Some(Kind::Array | Kind::Object) => {
                    return Err("has an element with parts where a plain value is needed");
                }
            },
        }))
    }
}

/// A plain value.
#[derive(Clone, Copy, Debug)]
enum Plain<'a> {
    Text(&'a str, Option<MomentKind>),
    Number(Decimal),
    Boolean(bool),
}

/// Yields the items of `expr` to `sink`, until that wants no more. Without a focus, names yield nothing.
pub(crate) fn each<'d>(expr: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>, sink: Sink<'_, 'd>) -> Flow {
    match expr {
        Expr::This => focus.map_or(ON, |item| sink(item.clone())),
        Expr::Resource => sink(Item::of(scope.resource)),
        Expr::RowIndex => sink(Item::Number(scope.row_index.into())),
        Expr::Nothing => ON,
        Expr::Literal(literal) => sink(Item::of_literal(literal)),
        Expr::Field(of, name) => each(of, focus, scope, &mut |item| field(&item, name, None, sink)),
        Expr::Choice(of, name, kind) => each(of, focus, scope, &mut |item| field(&item, name, *kind, sink)),
        Expr::OfResource(of, wanted) => each(of, focus, scope, &mut |item| match is_resource(&item, wanted) {
            true => sink(item),
            false => ON,
        }),
        Expr::At(of, index) => at(of, *index, focus, scope, sink),
        Expr::First(of) => at(of, 0, focus, scope, sink),
        Expr::Last(of) => all(of, focus, scope)?.pop().map_or(ON, sink),
        Expr::Where(of, criteria) => each(
            of,
            focus,
            scope,
            &mut |item| match truth(criteria, Some(&item), scope)? {
                Some(true) => sink(item),
                Some(false) | None => ON,
            },
        ),
        Expr::Exists(of, wanted) => sink(Item::Boolean(exists(of, focus, scope)? == *wanted)),
        Expr::Count(of) => sink(Item::Number(all(of, focus, scope)?.len().into())),
        Expr::Not(of) => truth(of, focus, scope)?.map_or(ON, |value| sink(Item::Boolean(!value))),
        Expr::Extension(of, url) => each(of, focus, scope, &mut |item| extension(&item, url, sink)),
        Expr::Join(of, separator) => {
            joined(&all(of, focus, scope)?, separator)?.map_or(ON, |text| sink(Item::Text(text.into())))
        }
        Expr::Bounded(of, side) => each(of, focus, scope, &mut |item| {
            bounded(&item, *side)?.map_or(ON, &mut *sink)
        }),
        Expr::ResourceKey(of) => each(of, focus, scope, &mut |item| {
            let key = object(&item)
                .and_then(|resource| resource.field("id"))
                .and_then(Value::as_text);
            key.map_or(ON, |key| sink(Item::Text(Cow::Borrowed(key))))
        }),
        Expr::ReferenceKey(of, wanted) => each(of, focus, scope, &mut |item| {
            let key = object(&item).and_then(|reference| key_of(reference, wanted.as_deref(), scope.bundled));
            key.map_or(ON, |key| sink(Item::Text(Cow::Borrowed(key))))
        }),
        Expr::Has(of, part, wanted) => {
            has(of, *part, wanted, focus, scope)?.map_or(ON, |value| sink(Item::Boolean(value)))
        }
        Expr::Union(left, right) => union(left, right, focus, scope, sink),
        Expr::Binary(operator, left, right) => binary(*operator, [left, right], focus, scope)?.map_or(ON, sink),
        Expr::Minus(of) => match plain_number(one(of, focus, scope)?)? {
            Some(number) => sink(Item::Number(-number)),
            None => ON,
        },
    }
}

/// All items of a path.
pub(crate) fn all<'d>(expr: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>) -> Result<Vec<Item<'d>>, Sentence> {
    let mut items = Vec::new();
    let flow = each(expr, focus, scope, &mut |item| {
        items.push(item);
        ON
    });
    flow.map(|_| items)
}

/// Its only item, if it has one.
pub(crate) fn one<'d>(
    expr: &'d Expr,
    focus: Option<&Item<'d>>,
    scope: &Scope<'d>,
) -> Result<Option<Item<'d>>, Sentence> {
    let mut found = None;
    let flow = each(expr, focus, scope, &mut |item| match found.replace(item) {
        None => ON,
        Some(_) => Err(MANY),
    });
    flow.map(|_| found)
}

/// Whether it is true; nothing if it has no item.
pub(crate) fn truth<'d>(expr: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>) -> Result<Option<bool>, Sentence> {
    let item = one(expr, focus, scope)?;
    match item.as_ref().map(Item::plain).transpose()?.flatten() {
        None => Ok(None),
        Some(Plain::Boolean(value)) => Ok(Some(value)),
        Some(_) => Err("is neither true nor false where it must be"),
    }
}

fn exists<'d>(of: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>) -> Result<bool, Sentence> {
    each(of, focus, scope, &mut |_| STOP).map(|flow| flow.is_break())
}

fn at<'d>(of: &'d Expr, index: usize, focus: Option<&Item<'d>>, scope: &Scope<'d>, sink: Sink<'_, 'd>) -> Flow {
    let (mut before, mut found) = (0, None);
    let flow = each(of, focus, scope, &mut |item| {
        if before == index {
            found = Some(item);
            return STOP;
        }
        before += 1;
        ON
    });
    match flow?.is_break() {
        true => found.map_or(ON, sink),
        false => ON,
    }
}

/// The object whose names a path goes into: the value's own, or that of what is said about it.
fn object<'d>(item: &Item<'d>) -> Option<Value<'d>> {
    let Item::Element(element) = item else { return None };
    match element.value {
        Some(value) if matches!(value.kind(), Kind::Object) => Some(value),
        _ => element.remark,
    }
}

fn field<'d>(item: &Item<'d>, name: &FieldName, kind: Option<MomentKind>, sink: Sink<'_, 'd>) -> Flow {
    let Some(object) = object(item) else { return ON };
    let value = object.field(&name.name);
    let remark = object.has_remarks().then(|| object.field(&name.remark)).flatten();
    match (value, remark) {
        (None, None) if name.is_choice => choice(object, &name.name, sink),
        (None, None) => ON,
        (value, remark) => elements(value, remark, kind, sink),
    }
}

/// The value whose name goes on with a data type.
fn choice<'d>(object: Value<'d>, name: &str, sink: Sink<'_, 'd>) -> Flow {
    for (known, value) in object.fields() {
        let Some(ending) = known.strip_prefix(name) else {
            continue;
        };
        if let Some(data_type) = DATA_TYPES.iter().find(|data_type| capitalized(data_type) == ending) {
            return elements(Some(value), None, moment_kind(data_type), sink);
        }
    }
    ON
}

/// The elements of a field, each with what is said about it.
fn elements<'d>(
    value: Option<Value<'d>>,
    remark: Option<Value<'d>>,
    kind: Option<MomentKind>,
    sink: Sink<'_, 'd>,
) -> Flow {
    let there = |value: Value<'d>| (!matches!(value.kind(), Kind::Null)).then_some(value);
    let mut values = value.into_iter().flat_map(Value::elements);
    let mut remarks = remark.into_iter().flat_map(Value::elements);
    loop {
        let (value, remark) = (values.next(), remarks.next());
        if value.is_none() && remark.is_none() {
            return ON;
        }
        let (value, remark) = (value.and_then(there), remark.and_then(there));
        if (value.is_some() || remark.is_some()) && sink(Item::Element(Element { value, remark, kind }))?.is_break() {
            return STOP;
        }
    }
}

fn is_resource(item: &Item<'_>, wanted: &str) -> bool {
    let resource_type = object(item).and_then(|resource| resource.field("resourceType"));
    resource_type.and_then(Value::as_text) == Some(wanted)
}

fn extension<'d>(item: &Item<'d>, url: &str, sink: Sink<'_, 'd>) -> Flow {
    let extensions = object(item).and_then(|object| object.field("extension"));
    for extension in extensions.into_iter().flat_map(Value::elements) {
        let is_wanted = extension.field("url").and_then(Value::as_text) == Some(url);
        if is_wanted && sink(Item::of(extension))?.is_break() {
            return STOP;
        }
    }
    ON
}

/// The texts of all items; nothing if there is none.
fn joined(items: &[Item<'_>], separator: &str) -> Result<Option<String>, Sentence> {
    let mut texts = Vec::new();
    for item in items {
        match item.plain()? {
            None => {}
            Some(Plain::Text(text, _)) => texts.push(text),
            Some(_) => return Err("has something other than texts to join"),
        }
    }
    Ok((!texts.is_empty()).then(|| texts.join(separator)))
}

fn bounded<'d>(item: &Item<'_>, side: Boundary) -> Result<Option<Item<'d>>, Sentence> {
    match item.plain()? {
        None => Ok(None),
        Some(Plain::Boolean(_)) => Err("asks for a boundary of something that has none"),
        Some(Plain::Number(number)) => {
            let half = Decimal::try_new(5, number.scale() + 1)
                .map_err(|_| "has a number with too many digits to calculate with")?;
            let moved = if side == Boundary::Low {
                number.checked_sub(half)
            } else {
                number.checked_add(half)
            };
            moved
                .map(|number| Some(Item::Number(number)))
                .ok_or("has a number with too many digits to calculate with")
        }
        Some(Plain::Text(text, kind)) => {
            let bounded = Moment::parse(text).and_then(|moment| moment.boundary(side, kind));
            let bounded = bounded.ok_or("asks for a boundary of a text that is no date or time")?;
            let kind = kind.unwrap_or(if bounded.has_time() {
                MomentKind::DateTime
            } else {
                MomentKind::Date
            });
            Ok(Some(Item::Moment(bounded.to_string().into(), kind)))
        }
    }
}

fn has<'d>(
    of: &'d Expr,
    part: Part,
    wanted: &'d Expr,
    focus: Option<&Item<'d>>,
    scope: &Scope<'d>,
) -> Result<Option<bool>, Sentence> {
    let (of, wanted) = (one(of, focus, scope)?, one(wanted, focus, scope)?);
    let (Some(of), Some(wanted)) = (of, wanted) else {
        return Ok(None);
    };
    match (of.plain()?, wanted.plain()?) {
        (Some(Plain::Text(text, _)), Some(Plain::Text(wanted, _))) => Ok(Some(match part {
            Part::Start => text.starts_with(wanted),
            Part::End => text.ends_with(wanted),
            Part::Anywhere => text.contains(wanted),
        })),
        (None, _) | (_, None) => Ok(None),
        _ => Err("looks for a text in something that is none"),
    }
}

/// The items of both, of those that are equal only the first.
fn union<'d>(left: &'d Expr, right: &'d Expr, focus: Option<&Item<'d>>, scope: &Scope<'d>, sink: Sink<'_, 'd>) -> Flow {
    let mut seen: Vec<Item<'d>> = Vec::new();
    for expr in [left, right] {
        for item in all(expr, focus, scope)? {
            if seen.len() > UNION_ITEMS_MAX {
                return Err("puts together too many items with |");
            }
            if seen.iter().any(|known| is_same(known, &item)) {
                continue;
            }
            seen.push(item.clone());
            if sink(item)?.is_break() {
                return STOP;
            }
        }
    }
    ON
}

/// Whether two items are plain and equal. Elements with parts are kept, each.
fn is_same(left: &Item<'_>, right: &Item<'_>) -> bool {
    match (left.plain(), right.plain()) {
        (Ok(Some(left)), Ok(Some(right))) => equal(left, right) == Some(true),
        _ => false,
    }
}

fn binary<'d>(
    operator: Operator,
    [left, right]: [&'d Expr; 2],
    focus: Option<&Item<'d>>,
    scope: &Scope<'d>,
) -> Result<Option<Item<'d>>, Sentence> {
    use Operator as Op;
    let value = match operator {
        Op::And | Op::Or | Op::Xor | Op::Implies => {
            let left = truth(left, focus, scope)?;
            match (operator, left) {
                // What follows cannot change it, and need not be true or false.
                (Op::And, Some(false)) => Some(false),
                (Op::Or, Some(true)) => Some(true),
                (Op::Implies, Some(false)) => Some(true),
                _ => logic(operator, left, truth(right, focus, scope)?),
            }
        }
        Op::Equal => all_equal(&all(left, focus, scope)?, &all(right, focus, scope)?)?,
        Op::NotEqual => all_equal(&all(left, focus, scope)?, &all(right, focus, scope)?)?.map(|equal| !equal),
        Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
            ordered(one(left, focus, scope)?, one(right, focus, scope)?)?.map(|found| match operator {
                Op::Less => found.is_lt(),
                Op::LessOrEqual => found.is_le(),
                Op::Greater => found.is_gt(),
                _ => found.is_ge(),
            })
        }
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Concatenate => {
            return calculate(operator, one(left, focus, scope)?, one(right, focus, scope)?);
        }
    };
    Ok(value.map(Item::Boolean))
}

/// Logic with three values, FHIRPath 6.5.
fn logic(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (operator, left, right) {
        (Operator::And, Some(false), _) | (Operator::And, _, Some(false)) => Some(false),
        (Operator::And, Some(true), Some(true)) => Some(true),
        (Operator::Or, Some(true), _) | (Operator::Or, _, Some(true)) => Some(true),
        (Operator::Or, Some(false), Some(false)) => Some(false),
        (Operator::Implies, Some(false), _) | (Operator::Implies, _, Some(true)) => Some(true),
        (Operator::Implies, Some(true), Some(false)) => Some(false),
        (Operator::Xor, Some(left), Some(right)) => Some(left != right),
        _ => None,
    }
}

/// Whether the items of both are equal, one by one; nothing if one has none, or if it cannot be said.
fn all_equal(left: &[Item<'_>], right: &[Item<'_>]) -> Result<Option<bool>, Sentence> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    if left.len() != right.len() {
        return Ok(Some(false));
    }
    let mut result = Some(true);
    for (left, right) in left.iter().zip(right) {
        let (Some(left), Some(right)) = (left.plain()?, right.plain()?) else {
            return Ok(None);
        };
        match equal(left, right) {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => result = None,
        }
    }
    Ok(result)
}

fn equal(left: Plain<'_>, right: Plain<'_>) -> Option<bool> {
    match (left, right) {
        (Plain::Text(left, _), Plain::Text(right, _)) if left == right => Some(true),
        (Plain::Text(left, one), Plain::Text(right, other)) => match moments([(left, one), (right, other)]) {
            Some([left, right]) => left.compare(&right).map(Ordering::is_eq),
            None => Some(false),
        },
        (Plain::Number(left), Plain::Number(right)) => Some(left == right),
        (Plain::Boolean(left), Plain::Boolean(right)) => Some(left == right),
        _ => Some(false),
    }
}

fn ordered(left: Option<Item<'_>>, right: Option<Item<'_>>) -> Result<Option<Ordering>, Sentence> {
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(None);
    };
    match (left.plain()?, right.plain()?) {
        (None, _) | (_, None) => Ok(None),
        (Some(Plain::Number(left)), Some(Plain::Number(right))) => Ok(Some(left.cmp(&right))),
        (Some(Plain::Text(left, one)), Some(Plain::Text(right, other))) => match moments([(left, one), (right, other)])
        {
            Some([left, right]) => Ok(left.compare(&right)),
            None => Ok(Some(left.cmp(right))),
        },
        _ => Err("compares values of different types"),
    }
}

/// Both as moments, if they are meant as such: one of them is declared one, or both have a time and an offset, or at least a month.
fn moments(texts: [(&str, Option<MomentKind>); 2]) -> Option<[Moment; 2]> {
    const MONTH: usize = "1970-06".len();
    let [(left, one), (right, other)] = texts;
    let are_meant = one.or(other).is_some() || (left.len() >= MONTH && right.len() >= MONTH);
    are_meant.then(|| Some([Moment::parse(left)?, Moment::parse(right)?]))?
}

fn plain_number(item: Option<Item<'_>>) -> Result<Option<Decimal>, Sentence> {
    match item.as_ref().map(Item::plain).transpose()?.flatten() {
        None => Ok(None),
        Some(Plain::Number(number)) => Ok(Some(number)),
        Some(_) => Err("calculates with something that is no number"),
    }
}

fn calculate<'d>(
    operator: Operator,
    left: Option<Item<'d>>,
    right: Option<Item<'d>>,
) -> Result<Option<Item<'d>>, Sentence> {
    let plain = |item: &Option<Item<'d>>| -> Result<Option<String>, Sentence> {
        match item.as_ref().map(Item::plain).transpose()?.flatten() {
            Some(Plain::Text(text, _)) => Ok(Some(text.to_owned())),
            Some(_) if operator == Operator::Concatenate => Err("puts together something other than texts"),
            _ => Ok(None),
        }
    };
    let texts = (plain(&left)?, plain(&right)?);
    match (operator, texts) {
        (Operator::Concatenate, (left, right)) => {
            return Ok(Some(Item::Text(
                (left.unwrap_or_default() + &right.unwrap_or_default()).into(),
            )));
        }
        (Operator::Add, (Some(left), Some(right))) => return Ok(Some(Item::Text((left + &right).into()))),
        _ => {}
    }
    let (Some(left), Some(right)) = (plain_number(left)?, plain_number(right)?) else {
        return Ok(None);
    };
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        // FHIRPath 6.6.2: nothing.
        _ if right.is_zero() => return Ok(None),
        _ => left.checked_div(right),
    };
    let result = result.ok_or("calculates a number with too many digits")?;
    Ok(Some(Item::Number(result)))
}
