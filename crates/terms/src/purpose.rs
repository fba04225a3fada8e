//! Purposes of secondary use: Regulation (EU) 2025/327 (EHDS), Articles 53(1) and 54.

use std::fmt;
use std::str::FromStr;

/// A purpose that a query is run for. Article 54 lists uses that no policy may allow; they are named
/// here so that a request for one is refused by its name and not as a spelling mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Purpose {
    /// Art. 53(1)(a): public interest in public and occupational health.
    PublicHealth,
    /// Art. 53(1)(b): policy-making and regulatory activities.
    PolicyMaking,
    /// Art. 53(1)(c): statistics related to the health or care sectors.
    Statistics,
    /// Art. 53(1)(d): education or teaching in the health or care sectors.
    Education,
    /// Art. 53(1)(e): scientific research related to the health or care sectors.
    Research,
    /// Art. 53(1)(f): improving delivery of care, treatment optimisation.
    CareImprovement,
    /// Art. 54(a): decisions detrimental to a person.
    DetrimentalDecision,
    /// Art. 54(b): insurance, credit and job-offer decisions.
    Insurance,
    /// Art. 54(c): advertising or marketing.
    Marketing,
    /// Art. 54(d): products that may harm, such as drugs, alcohol, tobacco.
    HarmfulProducts,
    /// Art. 54(e): conflict with national ethics provisions.
    Unethical,
}

/// Every purpose with its code and what it is in words.
const TABLE: [(Purpose, &str, &str); 11] = [
    (Purpose::PublicHealth, "ehds-53-1-a", "public and occupational health"),
    (Purpose::PolicyMaking, "ehds-53-1-b", "policy-making and regulation"),
    (Purpose::Statistics, "ehds-53-1-c", "statistics"),
    (Purpose::Education, "ehds-53-1-d", "education and teaching"),
    (Purpose::Research, "ehds-53-1-e", "scientific research"),
    (Purpose::CareImprovement, "ehds-53-1-f", "improving care"),
    (
        Purpose::DetrimentalDecision,
        "ehds-54-a",
        "decisions to a person's detriment",
    ),
    (Purpose::Insurance, "ehds-54-b", "insurance, credit and job offers"),
    (Purpose::Marketing, "ehds-54-c", "advertising and marketing"),
    (Purpose::HarmfulProducts, "ehds-54-d", "harmful products"),
    (Purpose::Unethical, "ehds-54-e", "uses against national ethics law"),
];

/// A purpose that the regulation does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown purpose {text:?}: use one of ehds-53-1-a to ehds-53-1-f")]
pub struct PurposeError {
    /// What was given, cut short.
    pub text: String,
}

impl Purpose {
    /// All purposes, permitted ones first.
    pub fn all() -> impl Iterator<Item = Purpose> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Purpose, &'static str, &'static str) {
        // The table is in the order of the variants; `every_purpose_has_its_row` holds it to that.
        &TABLE[self as usize]
    }

    /// The code used in policies and on the command line, such as `ehds-53-1-c`.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// The purpose in a few words.
    pub fn words(self) -> &'static str {
        self.row().2
    }

    /// Whether Article 54 prohibits the use, whatever a policy says.
    pub fn is_prohibited_use(self) -> bool {
        self >= Purpose::DetrimentalDecision
    }

    /// Whether Article 53(2) reserves the purpose to public bodies and those acting for them.
    pub fn is_reserved_to_public_bodies(self) -> bool {
        self <= Purpose::Statistics
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;
    fn from_str(text: &str) -> Result<Self, PurposeError> {
        let found = TABLE.iter().find(|row| row.1 == text);
        found.map(|row| row.0).ok_or_else(|| PurposeError {
            text: text.chars().take(40).collect(),
        })
    }
}

impl TryFrom<String> for Purpose {
    type Error = PurposeError;
    fn try_from(text: String) -> Result<Self, PurposeError> {
        text.parse()
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> String {
        purpose.code().to_owned()
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_purpose_is_an_error() {
        assert!("ehds-53-1-g".parse::<Purpose>().is_err());
        assert!("EHDS-53-1-A".parse::<Purpose>().is_err());
    }

    #[test]
    fn every_purpose_has_its_row() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, at);
            assert_eq!(row.1.parse::<Purpose>(), Ok(row.0));
            assert_eq!(row.0.is_prohibited_use(), row.1.starts_with("ehds-54"));
        }
    }
}
