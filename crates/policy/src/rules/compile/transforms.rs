//! The transforms of a permission: whether each of them fits its column.

use std::collections::BTreeMap;

use terms::{Report, RuleId};
use toml::Spanned;

use super::Scope;
use crate::collection::{Calendar, Column, ColumnKind, Domain, NODE_COLUMN, list};
use crate::document::WrittenTransforms;
use crate::grant::Release;
use crate::transform::{PREFIX_CHARS_MAX, Transform};

impl Scope<'_> {
    pub(super) fn transforms(
        &self,
        id: &RuleId,
        release: Release,
        columns: &[Spanned<String>],
        written: Option<Spanned<WrittenTransforms>>,
    ) -> Result<BTreeMap<String, Transform>, Report> {
        let Some(written) = written else {
            return Ok(BTreeMap::new());
        };
        if release != Release::Rows && !written.get_ref().is_empty() {
            let message = format!(
                "permission {id}: transforms is for release = \"rows\" only; statistics follow the declared values and bins anyway"
            );
            let remedy = "take transforms away, or release rows";
            return Err(self.source.invalid(written.span(), message).remedy(remedy));
        }
        let mut transforms = BTreeMap::new();
        for (name, transform) in written.into_inner() {
            let column = self.transformed_column(id, columns, &name)?;
            self.require_fitting(id, &name, column, *transform.get_ref())?;
            transforms.insert(name.into_inner(), transform.into_inner());
        }
        Ok(transforms)
    }

    /// The column of the collection that a transform is for.
    fn transformed_column(
        &self,
        id: &RuleId,
        columns: &[Spanned<String>],
        name: &Spanned<String>,
    ) -> Result<&Column, Report> {
        self.require_column("permission", id, name)?;
        if !columns.iter().any(|listed| listed.get_ref() == name.get_ref()) {
            let message = format!(
                "permission {id}: transforms names column {}, which is not among its columns",
                name.get_ref()
            );
            let remedy = format!("add {} to columns, or take its transform away", name.get_ref());
            return Err(self.source.invalid(name.span(), message).remedy(remedy));
        }
        self.collection.column(name.get_ref()).ok_or_else(|| {
            let message = format!(
                "permission {id}: column {NODE_COLUMN} is the institution that answered, and takes no transform"
            );
            self.source
                .invalid(name.span(), message)
                .remedy("take its transform away")
        })
    }

    fn require_fitting(
        &self,
        id: &RuleId,
        name: &Spanned<String>,
        column: &Column,
        transform: Transform,
    ) -> Result<(), Report> {
        let Err((lacking, remedy)) = fits(column, transform) else {
            return Ok(());
        };
        let message = format!("permission {id}: column {}: {lacking}", column.name);
        Err(self.source.invalid(name.span(), message).remedy(remedy))
    }
}

/// Whether a transform can be made of a column; if not, what is lacking and what to do.
fn fits(column: &Column, transform: Transform) -> Result<(), (String, String)> {
    match transform {
        Transform::Mask => Ok(()),
        Transform::Bins => match column.domain {
            Some(Domain::Bins(_)) => Ok(()),
            _ => Err((
                "\"bins\" needs declared bins of numbers, and the collection declares none".to_owned(),
                "declare `bins` in the collection, or use \"mask\"".to_owned(),
            )),
        },
        Transform::Truncate(unit) => {
            require_kind(column, "truncate", &[ColumnKind::Date, ColumnKind::Timestamp])?;
            require_whole(column, unit)
        }
        Transform::Prefix(characters) => {
            require_kind(column, "prefix", &[ColumnKind::Text])?;
            if (1..=PREFIX_CHARS_MAX).contains(&characters) {
                return Ok(());
            }
            let lacking = format!("prefix must be from 1 to {PREFIX_CHARS_MAX} characters");
            Err((lacking, "use \"mask\" to show nothing of it".to_owned()))
        }
        Transform::Pseudonym => require_kind(column, "\"pseudonym\"", &[ColumnKind::Text, ColumnKind::Integer]),
    }
}

fn require_kind(column: &Column, what: &str, kinds: &[ColumnKind]) -> Result<(), (String, String)> {
    if kinds.contains(&column.kind) {
        return Ok(());
    }
    let needed: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    let lacking = format!("{what} needs type {}, not {}", needed.join(" or "), column.kind);
    Err((lacking, "use a transform for its type, or \"mask\"".to_owned()))
}

/// Refuses periods that cut through those that the collection declares.
fn require_whole(column: &Column, unit: Calendar) -> Result<(), (String, String)> {
    let Some(Domain::Calendar(declared)) = column.domain else {
        return Ok(());
    };
    if unit.is_union_of(declared) {
        return Ok(());
    }
    let lacking = format!("truncate = \"{unit}\" is not made of whole {declared}s, which the collection declares");
    let fitting = Calendar::ALL.iter().filter(|unit| unit.is_union_of(declared));
    Err((lacking, format!("truncate to one of: {}", list(fitting))))
}
