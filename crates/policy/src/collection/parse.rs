//! `collections/*.toml` to a checked [`Collection`].
//!
//! A collection that would leave the engine a question open (which column is a person? which values may a group
//! have?) is refused here. Each check is one line of [`parse`] or of [`column`].

mod written;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;

use terms::Report;
use terms::id::ID_BYTES_MAX;
use terms::limit::SQL_BYTES_MAX;
use toml::Spanned;

use self::written::{WrittenBins, WrittenCollection, WrittenColumn, WrittenFilter, WrittenRole, WrittenValue};
use super::{Collection, Column, ColumnKind, ColumnRoles, Domain, NODE_COLUMN, RowFilter};
use crate::source::Source;

/// Largest edge or bound: up to here every integer has an exact 64-bit float.
const NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Longest code of a consent provision, in bytes: twice the longest OID in use.
const CODE_BYTES_MAX: usize = 128;

pub(crate) fn parse(source: Source<'_>) -> Result<Collection, Report> {
    let written: WrittenCollection = source.parse()?;
    source.require_named(&written.id)?;
    source.require_line(written.title.span(), "title", written.title.get_ref())?;
    let columns = columns(source, written.columns, written.personal)?;
    let filters = filters(source, written.filters, written.personal)?;
    let head = written.id.span();
    let privacy_unit = privacy_unit(source, written.privacy_unit, written.personal, &columns, head)?;
    let rows_per_person_max = rows_per_person_max(source, written.rows_per_person_max, written.personal)?;
    let key = key(source, written.key, written.personal, &columns)?;
    Ok(Collection {
        id: written.id.into_inner(),
        title: written.title.into_inner(),
        personal: written.personal,
        privacy_unit,
        rows_per_person_max,
        key,
        columns,
        filters,
    })
}

fn privacy_unit(
    source: Source<'_>,
    written: Option<Spanned<String>>,
    personal: bool,
    columns: &[Column],
    head: Range<usize>,
) -> Result<Option<String>, Report> {
    let unit = match (written, personal) {
        (None, false) => return Ok(None),
        (None, true) => {
            return Err(source.invalid(head, "personal data needs `privacy_unit`, the column of the person"));
        }
        (Some(unit), false) => return Err(source.invalid(unit.span(), "`privacy_unit` is for `personal = true`")),
        (Some(unit), true) => unit,
    };
    match columns.iter().find(|column| column.name == *unit.get_ref()) {
        Some(column) if column.roles.identifier => Ok(Some(unit.into_inner())),
        Some(column) => {
            let message = format!(
                "`privacy_unit` names column {}, whose role is not \"identifier\"",
                column.name
            );
            Err(source.invalid(unit.span(), message))
        }
        None => Err(source.invalid(unit.span(), "`privacy_unit` names a column that is not there")),
    }
}

fn rows_per_person_max(
    source: Source<'_>,
    written: Option<Spanned<u32>>,
    personal: bool,
) -> Result<Option<u32>, Report> {
    let Some(rows) = written else { return Ok(None) };
    if !personal {
        return Err(source.invalid(rows.span(), "`rows_per_person_max` is for `personal = true`"));
    }
    if *rows.get_ref() == 0 {
        return Err(source.invalid(rows.span(), "`rows_per_person_max` must be 1 or more"));
    }
    Ok(Some(rows.into_inner()))
}

/// Queries that join use the key, so it is none that only the node may use.
fn key(
    source: Source<'_>,
    written: Option<Spanned<String>>,
    personal: bool,
    columns: &[Column],
) -> Result<Option<String>, Report> {
    let Some(key) = written else { return Ok(None) };
    let invalid = |message: String| Err(source.invalid(key.span(), message));
    if personal {
        return invalid(
            "`key` is for `personal = false`; of people it is `privacy_unit` with `rows_per_person_max = 1`".to_owned(),
        );
    }
    match columns.iter().find(|column| column.name == *key.get_ref()) {
        None => invalid("`key` names a column that is not there".to_owned()),
        Some(Column { name, roles, .. }) if roles.identifier => invalid(format!(
            "`key` names column {name}, an identifier, which no query may use: leave out its role, or give it another"
        )),
        Some(Column { name, kind, .. }) if !matches!(kind, ColumnKind::Text | ColumnKind::Integer) => invalid(format!(
            "`key` names column {name} of type {kind}; a key is text or integer"
        )),
        Some(_) => Ok(Some(key.into_inner())),
    }
}

fn filters(
    source: Source<'_>,
    written: BTreeMap<Spanned<String>, WrittenFilter>,
    personal: bool,
) -> Result<BTreeMap<String, RowFilter>, Report> {
    let mut filters = BTreeMap::new();
    for (name, filter) in written {
        require_name(source, "filter", &name)?;
        let checked = row_filter(source, &name, filter, personal)?;
        filters.insert(name.into_inner(), checked);
    }
    Ok(filters)
}

fn row_filter(
    source: Source<'_>,
    name: &Spanned<String>,
    written: WrittenFilter,
    personal: bool,
) -> Result<RowFilter, Report> {
    let invalid = |message: &str| source.invalid(name.span(), format!("filter {}: {message}", name.get_ref()));
    match (written.sql, written.consent) {
        (Some(sql), None) if sql.trim().is_empty() || sql.len() > SQL_BYTES_MAX => {
            Err(invalid(&format!("sql must be 1 to {SQL_BYTES_MAX} bytes")))
        }
        (Some(sql), None) => Ok(RowFilter::Sql(sql)),
        (None, Some(_)) if !personal => Err(invalid("consent is for `personal = true`")),
        (None, Some(codes)) => {
            let shape =
                |code: &String| !code.is_empty() && code.len() <= CODE_BYTES_MAX && code.bytes().all(is_code_byte);
            if codes.is_empty() || repeats(&codes) || !codes.iter().all(shape) {
                let what = "consent needs codes of provisions, each once: letters, digits, '.', '-', '_' and ':'";
                return Err(invalid(what));
            }
            Ok(RowFilter::Consent(codes.into_iter().collect()))
        }
        (None, None) | (Some(_), Some(_)) => Err(invalid("needs either `sql` or `consent`")),
    }
}

fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')
}

fn columns(
    source: Source<'_>,
    written: BTreeMap<Spanned<String>, WrittenColumn>,
    personal: bool,
) -> Result<Vec<Column>, Report> {
    let mut in_file_order: Vec<_> = written.into_iter().collect();
    in_file_order.sort_by_key(|(name, _)| name.span().start);
    in_file_order
        .into_iter()
        .map(|(name, written)| {
            require_name(source, "column", &name)?;
            let here = Here {
                source,
                span: name.span(),
                name: name.get_ref(),
            };
            column(&here, written, personal)
        })
        .collect()
}

fn column(here: &Here<'_>, written: WrittenColumn, personal: bool) -> Result<Column, Report> {
    let kind = written.kind;
    let roles = roles(here, &written.roles.0)?;
    for (key, text) in [("unit", &written.unit), ("code", &written.code)] {
        here.require_line(key, text.as_deref())?;
    }
    if let Some(bounds) = written.bounds {
        here.require_numeric("bounds", kind)?;
        here.require_ascending("bounds", &bounds)?;
    }
    if roles.measure {
        here.require_numeric("role \"measure\"", kind)?;
    }
    let domain = match (written.values, written.bins) {
        (None, None) => None,
        (Some(_), Some(_)) => return Err(here.invalid("has both `values` and `bins`")),
        (Some(values), None) => Some(values_domain(here, kind, values)?),
        (None, Some(bins)) => Some(bins_domain(here, kind, bins)?),
    };
    if roles.identifier && (domain.is_some() || written.bounds.is_some()) {
        return Err(here.invalid("is an identifier: `values`, `bins` and `bounds` would say which there are"));
    }
    let finite = domain.is_some() || kind == ColumnKind::Boolean;
    if personal && (roles.group || roles.filter) && !finite {
        let message = "role \"group\" or \"filter\" of personal data needs a finite domain";
        return Err(here
            .invalid(message)
            .remedy("declare `values` or `bins`, or leave the role out"));
    }
    Ok(Column {
        name: here.name.to_owned(),
        kind,
        roles,
        domain,
        bounds: written.bounds,
        unit: written.unit,
        code: written.code,
        references: written.references,
    })
}

fn roles(here: &Here<'_>, written: &[WrittenRole]) -> Result<ColumnRoles, Report> {
    let mut roles = ColumnRoles::default();
    for role in written {
        let flag = match role {
            WrittenRole::Identifier => &mut roles.identifier,
            WrittenRole::Group => &mut roles.group,
            WrittenRole::Filter => &mut roles.filter,
            WrittenRole::Measure => &mut roles.measure,
        };
        if std::mem::replace(flag, true) {
            return Err(here.invalid("names a role twice"));
        }
    }
    if roles.identifier && roles.any_query() {
        return Err(here.invalid("an identifier can have no other role"));
    }
    Ok(roles)
}

fn values_domain(here: &Here<'_>, kind: ColumnKind, written: Vec<WrittenValue>) -> Result<Domain, Report> {
    let mut texts = Vec::new();
    let mut integers = Vec::new();
    for value in written {
        match (value, kind) {
            (WrittenValue::Text(text), ColumnKind::Text) => texts.push(text),
            (WrittenValue::Integer(number), ColumnKind::Integer) => integers.push(number),
            (_, ColumnKind::Text) => return Err(here.invalid("type text needs `values` that are strings")),
            (_, ColumnKind::Integer) => return Err(here.invalid("type integer needs `values` that are integers")),
            (_, ColumnKind::Boolean) => return Err(here.invalid("type boolean takes no `values`: it has two")),
            (_, ColumnKind::Number | ColumnKind::Date | ColumnKind::Timestamp) => {
                return Err(here.invalid(format!("type {kind} takes `bins`, not `values`")));
            }
        }
    }
    for text in &texts {
        here.require_line("each of `values`", Some(text))?;
    }
    if texts.is_empty() && integers.is_empty() {
        return Err(here.invalid("`values` is empty"));
    }
    if repeats(&texts) || repeats(&integers) {
        return Err(here.invalid("`values` has an entry twice"));
    }
    Ok(if kind == ColumnKind::Text {
        Domain::Texts(texts)
    } else {
        Domain::Integers(integers)
    })
}

fn repeats<T: Ord>(items: &[T]) -> bool {
    let distinct: std::collections::BTreeSet<&T> = items.iter().collect();
    distinct.len() < items.len()
}

fn bins_domain(here: &Here<'_>, kind: ColumnKind, written: WrittenBins) -> Result<Domain, Report> {
    match written {
        WrittenBins::Edges(edges) => {
            here.require_numeric("`bins` of numbers", kind)?;
            if edges.len() < 2 {
                return Err(here.invalid("`bins` needs two edges or more"));
            }
            here.require_ascending("bins", &edges)?;
            Ok(Domain::Bins(edges))
        }
        WrittenBins::Calendar(unit) => match kind {
            ColumnKind::Date | ColumnKind::Timestamp => Ok(Domain::Calendar(unit)),
            ColumnKind::Text | ColumnKind::Integer | ColumnKind::Number | ColumnKind::Boolean => Err(here.invalid(
                format!("`bins = \"{unit}\"` is for dates and timestamps, not for type {kind}"),
            )),
        },
    }
}

/// Refuses a name that would need quotes in SQL, or that we keep for ourselves.
fn require_name(source: Source<'_>, what: &str, name: &Spanned<String>) -> Result<(), Report> {
    let text = name.get_ref().as_str();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let letter_first = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !letter_first || text.len() > ID_BYTES_MAX || !text.bytes().all(allowed) {
        let short: String = text.chars().take(ID_BYTES_MAX).collect();
        let message = format!("{what} {short:?}: a name starts with a letter and goes on with a-z, 0-9 and _");
        return Err(source.invalid(name.span(), message));
    }
    if text == NODE_COLUMN {
        let message = format!("{what} {NODE_COLUMN:?}: the name is kept for the institution that answered");
        return Err(source.invalid(name.span(), message));
    }
    Ok(())
}

/// The column that is being checked.
struct Here<'a> {
    source: Source<'a>,
    span: Range<usize>,
    name: &'a str,
}

impl Here<'_> {
    fn invalid(&self, message: impl Display) -> Report {
        self.source
            .invalid(self.span.clone(), format!("column {}: {message}", self.name))
    }

    fn require_line(&self, key: &str, text: Option<&str>) -> Result<(), Report> {
        let key = format!("column {}: {key}", self.name);
        text.map_or(Ok(()), |text| self.source.require_line(self.span.clone(), &key, text))
    }

    fn require_numeric(&self, what: &str, kind: ColumnKind) -> Result<(), Report> {
        match kind {
            ColumnKind::Integer | ColumnKind::Number => Ok(()),
            ColumnKind::Text | ColumnKind::Boolean | ColumnKind::Date | ColumnKind::Timestamp => {
                Err(self.invalid(format!("{what} needs type integer or number, not {kind}")))
            }
        }
    }

    fn require_ascending(&self, key: &str, numbers: &[f64]) -> Result<(), Report> {
        let exact = numbers.iter().all(|number| number.abs() <= NUMBER_MAX);
        if exact && numbers.windows(2).all(|pair| pair[0] < pair[1]) {
            return Ok(());
        }
        Err(self.invalid(format!("`{key}` must be finite and ascending")))
    }
}
