//! The proof that something was checked. Only this crate can make one.

use std::ops::Deref;

/// A value whose signatures, and whatever else its kind demands, held when it was made.
///
/// There is no public constructor, and no way to change the value inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
