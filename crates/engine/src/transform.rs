//! What rows about people show of a column: the transforms of a permission, as expressions below the policy barrier. Every one of
//! them is total, and keeps the type of its column.

#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result as EngineResult, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, ident, lit, when,
};
use policy::{Collection, Column, Domain, Grant, Release, Transform};
use terms::{Problem, Report};
use trust::Digest;
use zeroize::Zeroizing;

use crate::enforce::BuildError;
use crate::enforce::expr::truncated;
use crate::secret::NodeSecret;
use crate::session;

/// Hexadecimal digits of a pseudonym: 128 bits.
const PSEUDONYM_DIGITS: usize = 32;

/// A column as a grant shows it, under its own name.
pub(crate) fn shown(column: &Column, grant: &Grant, secret: &NodeSecret) -> Result<Expr, BuildError> {
    let value = ident(&column.name);
    let transform = match grant.release() {
        Release::Rows => grant.transforms().get(&column.name),
        // What uses such a column for aggregates or models is refused.
        Release::Aggregates | Release::Models => None,
    };
    let Some(transform) = transform else { return Ok(value) };
    let shown = match transform {
        Transform::Bins => lower_edge(value, column)?,
        Transform::Truncate(unit) => truncated(*unit, value, column.kind),
        Transform::Prefix(characters) => substr_of(value, *characters),
        Transform::Mask => lit(ScalarValue::try_from(&session::arrow_type(column.kind))?),
        Transform::Pseudonym => pseudonym(value, grant, secret),
    };
    Ok(shown.alias(&column.name))
}

/// Refuses aggregates and models of columns of which the permission shows rows only in part: they would tell what rows do not.
///
/// # Errors
/// `SqlRole`.
pub(crate) fn require_untouched(columns: &std::collections::BTreeSet<String>, grant: &Grant) -> Result<(), Report> {
    if grant.release() == Release::Rows {
        return Ok(());
    }
    match columns.iter().find(|name| grant.transforms().contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Problem::SqlRole
            .report(format!(
                "{} shows the column {name} only transformed, and only in rows",
                grant.rule()
            ))
            .remedy("leave the column out, or ask for rows")),
    }
}

/// The lower edge of the declared bin.
fn lower_edge(value: Expr, column: &Column) -> Result<Expr, BuildError> {
    let Some(Domain::Bins(edges)) = &column.domain else {
        return Err(Problem::SqlDomain
            .report(format!("the column {} has no bins", column.name))
            .into());
    };
    let nothing = lit(ScalarValue::try_from(&session::arrow_type(column.kind))?);
    let mut case = when(value.clone().is_null(), nothing.clone());
    for pair in edges.windows(2) {
        let low = ScalarValue::Float64(Some(pair[0])).cast_to(&session::arrow_type(column.kind))?;
        case = case.when(value.clone().lt(lit(pair[1])), lit(low));
    }
    Ok(case.otherwise(nothing)?)
}

/// So many characters from the start.
fn substr_of(value: Expr, characters: u32) -> Expr {
    datafusion::functions::expr_fn::substring(value, lit(1_i64), lit(i64::from(characters)))
}

fn pseudonym(value: Expr, grant: &Grant, secret: &NodeSecret) -> Expr {
    let permit = grant.permit().map(|permit| &permit.id);
    let function = ScalarUDF::new_from_impl(Pseudonyms {
        key: secret.pseudonym_key(permit, &grant.collection().id),
        signature: Signature::uniform(1, vec![DataType::Utf8, DataType::Int64], Volatility::Immutable),
    });
    function.call(vec![value])
}

/// `pseudonym(value)`: 32 hexadecimal digits for a text, a number from 0 for a number; equal for equal values.
struct Pseudonyms {
    key: Zeroizing<[u8; 32]>,
    signature: Signature,
}

impl Pseudonyms {
    fn of_text(&self, value: &str) -> String {
        let mut digits = Digest::keyed(&self.key, value.as_bytes()).hex();
        digits.truncate(PSEUDONYM_DIGITS);
        digits
    }

    fn of_number(&self, value: i64) -> i64 {
        let digest = Digest::keyed(&self.key, &value.to_le_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.bytes()[..8]);
        i64::from_le_bytes(bytes) & i64::MAX
    }
}

impl std::fmt::Debug for Pseudonyms {
    // Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pseudonyms").finish_non_exhaustive()
    }
}

impl PartialEq for Pseudonyms {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Pseudonyms {}

impl Hash for Pseudonyms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The key need not go into hashes of plans: equal ones hash alike.
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Pseudonyms {
    fn name(&self) -> &str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        match types {
            [of @ (DataType::Utf8 | DataType::Int64)] => Ok(of.clone()),
            _ => exec_err!("pseudonyms are made of texts and whole numbers"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let values = match args.args.as_slice() {
            [value] => value.to_array(args.number_rows)?,
            _ => return exec_err!("pseudonyms are made of one value"),
        };
        let made: ArrayRef = match values.data_type() {
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>().iter();
                Arc::new(
                    numbers
                        .map(|number| number.map(|number| self.of_number(number)))
                        .collect::<Int64Array>(),
                )
            }
            DataType::Utf8 => {
                let texts = values.as_string::<i32>().iter();
                Arc::new(
                    texts
                        .map(|text| text.map(|text| self.of_text(text)))
                        .collect::<StringArray>(),
                )
            }
            _ => return exec_err!("pseudonyms are made of texts and whole numbers"),
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// Whether a permission may show the column in rows: one that tells people apart only as a pseudonym.
pub(crate) fn is_shown(column: &Column, collection: &Collection) -> bool {
    !column.roles.identifier || collection.privacy_unit.as_ref() == Some(&column.name)
}
