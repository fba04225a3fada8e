//! What can go wrong in a masked sum, each thing under its own name. No value, and nothing that is secret, is in a message.

use std::fmt;

use terms::{MemberId, Problem, Report};

/// The messages of a masked sum, in the order in which they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Each node's keys for this sum.
    Keys,
    /// Shares of its secrets for the others.
    Shares,
    /// Its numbers under masks.
    Masked,
    /// Whose masked numbers it was shown.
    Survivors,
    /// The shares that take the masks off the sum.
    Opening,
    /// Its numbers of a sum after the first.
    Following,
}

impl Stage {
    /// The number that says which of them a message is.
    pub fn kind(self) -> u8 {
        match self {
            Stage::Keys => 1,
            Stage::Shares => 2,
            Stage::Masked => 3,
            Stage::Survivors => 4,
            Stage::Opening => 5,
            Stage::Following => 6,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Keys => "keys",
            Stage::Shares => "shares",
            Stage::Masked => "masked numbers",
            Stage::Survivors => "list of survivors",
            Stage::Opening => "opening",
            Stage::Following => "masked numbers of a following sum",
        })
    }
}

/// Why a masked sum ended without a result, at the node or the client that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// Bytes that are not a message of this kind in its one encoding.
    #[error("a message of a masked sum is not of the form of {stage}")]
    Form {
        /// What was expected.
        stage: Stage,
    },
    /// A message of another sum: another request, roster, or other bounds.
    #[error("{stage} of another masked sum")]
    OtherSum {
        /// What it is.
        stage: Stage,
    },
    /// From a seat that the roster does not have.
    #[error("{stage} of nobody on the roster of the masked sum")]
    Nobody {
        /// What it is.
        stage: Stage,
    },
    /// Not signed by the key that the roster names.
    #[error("{member} did not sign these {stage}")]
    Signature {
        /// Who is said to have.
        member: MemberId,
        /// What it is.
        stage: Stage,
    },
    /// Signed by somebody who was shown other messages before: whoever carries messages shows different things to different nodes, or
    /// the message is of an earlier attempt at the same sum.
    #[error("{member} sent its {stage} after other messages than those shown here")]
    OtherView {
        /// Who signed.
        member: MemberId,
        /// What it is.
        stage: Stage,
    },
    /// From a node that took no part in the step before.
    #[error("{member} sent its {stage} though it is not among those who went before")]
    Unexpected {
        /// Who signed.
        member: MemberId,
        /// What it is.
        stage: Stage,
    },
    /// Two messages of one node where there can be one.
    #[error("two {stage} of {member}")]
    Twice {
        /// Who signed.
        member: MemberId,
        /// What they are.
        stage: Stage,
    },
    /// More messages than there are nodes.
    #[error("more {stage} than there are nodes")]
    TooMany {
        /// What they are.
        stage: Stage,
    },
    /// Too few nodes for the sum to be opened, ever.
    #[error("{stage} of {nodes} nodes, where {needed} are needed{}", missing_text(.missing))]
    TooFew {
        /// What there is too little of.
        stage: Stage,
        /// Who sent theirs.
        nodes: usize,
        /// How many are needed.
        needed: usize,
        /// Who did not, of those who could.
        missing: Vec<MemberId>,
    },
    /// A node is not among those whose messages it is shown, or another message stands for its own.
    #[error("{member} sent its {stage} and was left out")]
    LeftOut {
        /// The node that says so.
        member: MemberId,
        /// What it had sent.
        stage: Stage,
    },
    /// Keys with which everybody would derive the same.
    #[error("{member} has a key for which there is no secret")]
    WeakKey {
        /// Whose key.
        member: MemberId,
    },
    /// A share that its receiver cannot open.
    #[error("a share of {dealer} for {receiver} cannot be opened")]
    Sealed {
        /// Who dealt it.
        dealer: MemberId,
        /// For whom.
        receiver: MemberId,
    },
    /// A share that is not the one that was dealt.
    #[error("a share of {dealer} that {holder} shows is not the one that was dealt")]
    WrongShare {
        /// Who dealt it.
        dealer: MemberId,
        /// Who has it.
        holder: MemberId,
    },
    /// Shares for others than those who take part.
    #[error("{dealer} dealt shares to others than those who take part")]
    WrongHolders {
        /// Who dealt them.
        dealer: MemberId,
    },
    /// Shares that are as they were dealt and give another secret than the one that was promised.
    #[error("{dealer} dealt shares that do not give its secret")]
    WrongSecret {
        /// Who dealt them.
        dealer: MemberId,
    },
    /// A vector of another length than planned.
    #[error("{entries} numbers of {member}, where {planned} were planned")]
    Length {
        /// Whose vector.
        member: MemberId,
        /// How many it has.
        entries: usize,
        /// How many were planned.
        planned: usize,
    },
    /// Two nodes were shown different lists of survivors, and both lists are signed.
    #[error("{member} was shown another list of survivors than the one shown here")]
    OtherSurvivors {
        /// Who signed the other list.
        member: MemberId,
    },
    /// A number that is none.
    #[error("entry {index} is not a finite number")]
    NotFinite {
        /// The entry, from 0 on.
        index: usize,
    },
    /// A number outside the bound of its entry.
    #[error("entry {index} lies outside the bound for which the sum was planned")]
    Bound {
        /// The entry, from 0 on.
        index: usize,
    },
    /// A sum that no numbers within their bounds have: a node added something else.
    #[error("entry {index} of the sum is larger than any that the bounds allow")]
    Nonsense {
        /// The entry, from 0 on.
        index: usize,
    },
    /// Not a node of this sum, or not with this key.
    #[error("{member} has no part in this masked sum under this key")]
    NotTakingPart {
        /// Who.
        member: MemberId,
    },
    /// The operating system gave no randomness, or the library of cryptography refused what it never should.
    #[error("the masks of the sum cannot be computed")]
    Cryptography,
}

impl SumError {
    fn problem(&self) -> Problem {
        match self {
            SumError::TooFew { .. } => Problem::SumNodes,
            SumError::NotFinite { .. } | SumError::Bound { .. } | SumError::Nonsense { .. } => Problem::SumBound,
            SumError::NotTakingPart { .. } | SumError::Cryptography => Problem::Internal,
            _ => Problem::SumBroken,
        }
    }
}

/// What others are told. Which entry of a node does not fit depends on its data and stays in its log.
impl From<SumError> for Report {
    fn from(error: SumError) -> Report {
        match error.problem() {
            Problem::SumBound if matches!(error, SumError::Nonsense { .. }) => {
                Problem::SumBound.report("there is no sum: some node had a number that cannot be added, or added noise")
            }
            Problem::SumBound => Problem::SumBound.report(Problem::SumBound.summary()),
            problem => problem.report(error.to_string()),
        }
    }
}

impl From<crate::primitive::Refused> for SumError {
    fn from(_: crate::primitive::Refused) -> Self {
        SumError::Cryptography
    }
}

fn missing_text(missing: &[MemberId]) -> String {
    let names: Vec<&str> = missing.iter().map(MemberId::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!("; missing: {}", names.join(", ")),
    }
}
