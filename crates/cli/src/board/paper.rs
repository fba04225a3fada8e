//! The documents that people sign, by what they are about.

use policy::Lang;
use trust::tuf::TopRole;
use trust::{DelegatedRole, Draft};

use crate::args::board::{FileRole, SignedRole};

/// A document that people sign. In this order they are signed and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Paper {
    /// Who signs.
    Root,
    /// The files that the board signs itself.
    Targets,
    /// The files that a delegated role signs.
    Delegated(DelegatedRole),
}

impl Paper {
    /// All of them.
    pub(crate) const ALL: [Paper; 4] = [
        Paper::Root,
        Paper::Targets,
        Paper::Delegated(DelegatedRole::Registrar),
        Paper::Delegated(DelegatedRole::Permits),
    ];

    /// Which one a draft is; none for those that the broker signs.
    pub(crate) fn of(draft: &Draft) -> Option<Self> {
        match (draft.role(), draft.delegated_role()) {
            (TopRole::Root, _) => Some(Paper::Root),
            (TopRole::Targets, None) => Some(Paper::Targets),
            (TopRole::Targets, Some(role)) => Some(Paper::Delegated(role)),
            (TopRole::Snapshot | TopRole::Timestamp, _) => None,
        }
    }

    /// The name in file names and in TUF.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Paper::Root => TopRole::Root.as_str(),
            Paper::Targets => TopRole::Targets.as_str(),
            Paper::Delegated(role) => role.as_str(),
        }
    }

    /// What it is about.
    pub(crate) fn words(self, lang: Lang) -> &'static str {
        match self {
            Paper::Root => lang.pick("wer zum Board gehört (root)", "who is on the board (root)"),
            Paper::Targets => lang.pick(
                "die Dateien des Datenraums (targets)",
                "the files of the data space (targets)",
            ),
            Paper::Delegated(DelegatedRole::Permits) => {
                lang.pick("die Datengenehmigungen (permits)", "the permits (permits)")
            }
            Paper::Delegated(DelegatedRole::Registrar) => lang.pick(
                "die Liste der Mitglieder (registrar)",
                "the list of members (registrar)",
            ),
        }
    }
}

impl From<FileRole> for Paper {
    fn from(role: FileRole) -> Self {
        match role {
            FileRole::Targets => Paper::Targets,
            FileRole::Permits => Paper::Delegated(DelegatedRole::Permits),
            FileRole::Registrar => Paper::Delegated(DelegatedRole::Registrar),
        }
    }
}

impl From<SignedRole> for Paper {
    fn from(role: SignedRole) -> Self {
        match role {
            SignedRole::Root => Paper::Root,
            SignedRole::Targets => Paper::Targets,
            SignedRole::Permits => Paper::Delegated(DelegatedRole::Permits),
            SignedRole::Registrar => Paper::Delegated(DelegatedRole::Registrar),
        }
    }
}
