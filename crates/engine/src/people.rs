//! Which people exist for a query: not those who have opted out, and where a consent is needed only those who gave it.
//!
//! It acts below the policy barrier, together with the row filter: for everything that the asker's query does, the
//! others' rows are not there. It must never say how many people it leaves out. Who they are, the node keeps.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, ident,
};

/// The people whose rows exist, by the text form of their keys in the privacy unit.
#[derive(Clone, Default)]
pub struct People {
    opted_out: Arc<HashSet<String>>,
    consenting: Option<Arc<HashSet<String>>>,
}

impl People {
    /// Everybody: for data without people, and where nobody has opted out.
    pub fn everybody() -> Self {
        Self::default()
    }

    /// Nobody of `opted_out`; and, if there is one, nobody outside `consenting`.
    pub fn without(opted_out: Arc<HashSet<String>>, consenting: Option<Arc<HashSet<String>>>) -> Self {
        Self { opted_out, consenting }
    }

    /// Whether this person's rows exist.
    pub fn has(&self, person: &str) -> bool {
        let consents = self.consenting.as_ref().is_none_or(|all| all.contains(person));
        consents && !self.opted_out.contains(person)
    }

    pub(crate) fn needs_consent(&self) -> bool {
        self.consenting.is_some()
    }

    fn is_everybody(&self) -> bool {
        self.opted_out.is_empty() && self.consenting.is_none()
    }

    /// The condition on the column that tells people apart; none if everybody's rows exist.
    pub(crate) fn condition(&self, privacy_unit: &str) -> Option<Expr> {
        if self.is_everybody() {
            return None;
        }
        let admits = ScalarUDF::new_from_impl(Admits {
            people: self.clone(),
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        });
        Some(admits.call(vec![cast(ident(privacy_unit), DataType::Utf8)]))
    }
}

impl fmt::Debug for People {
    // Neither who nor how many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// `admits(key)`: true for people whose rows exist, false for others and where there is no key.
#[derive(Debug)]
struct Admits {
    people: People,
    signature: Signature,
}

impl Admits {
    fn sets(&self) -> (*const HashSet<String>, Option<*const HashSet<String>>) {
        let People { opted_out, consenting } = &self.people;
        (Arc::as_ptr(opted_out), consenting.as_ref().map(Arc::as_ptr))
    }
}

// Two are equal if they hold the same sets, not only equal ones: comparing them would cost more than it saves.
impl PartialEq for Admits {
    fn eq(&self, other: &Self) -> bool {
        self.sets() == other.sets()
    }
}

impl Eq for Admits {}

impl Hash for Admits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sets().hash(state);
    }
}

impl ScalarUDFImpl for Admits {
    fn name(&self) -> &str {
        "admits"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let admits = |key: Option<&str>| key.is_some_and(|key| self.people.has(key));
        match args.args.as_slice() {
            [ColumnarValue::Array(keys)] if keys.data_type() == &DataType::Utf8 => {
                let keys = keys.as_string::<i32>();
                let admitted: BooleanArray = keys.iter().map(|key| Some(admits(key))).collect();
                Ok(ColumnarValue::Array(Arc::new(admitted)))
            }
            [ColumnarValue::Scalar(ScalarValue::Utf8(key))] => {
                let admitted = admits(key.as_deref());
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(admitted))))
            }
            _ => exec_err!("admits takes the key of a person"),
        }
    }
}
