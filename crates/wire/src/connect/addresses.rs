//! Where a server is. One party can be at several addresses: whoever answers must hold the same key.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most addresses of one party: each costs tunnels, and a try when the others are silent.
const ADDRESSES_MAX: usize = 4;

/// One or more of `host:port`, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<String> for Addresses {
    fn from(address: String) -> Self {
        Self(vec![address])
    }
}

impl TryFrom<Vec<String>> for Addresses {
    type Error = AddressesError;

    fn try_from(addresses: Vec<String>) -> Result<Self, AddressesError> {
        let is_counted = (1..=ADDRESSES_MAX).contains(&addresses.len());
        is_counted.then_some(Self(addresses)).ok_or(AddressesError)
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

/// There are too few of them, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there must be from 1 to {ADDRESSES_MAX} addresses")]
pub struct AddressesError;

/// `"a:1"` or `["a:1", "b:1"]`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "an address is \"host:port\", or a list of them")]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<Written> for Addresses {
    type Error = AddressesError;

    fn try_from(written: Written) -> Result<Self, AddressesError> {
        match written {
            Written::One(address) => Ok(address.into()),
            Written::Several(addresses) => addresses.try_into(),
        }
    }
}

impl From<Addresses> for Written {
    fn from(Addresses(mut addresses): Addresses) -> Self {
        match addresses.pop() {
            Some(only) if addresses.is_empty() => Self::One(only),
            last => {
                addresses.extend(last);
                Self::Several(addresses)
            }
        }
    }
}
