//! Everything on a board's table: the present files, what was signed, what waits for signatures, and who has to sign.
//!
//! Read once and held in memory, so that what is shown is what is signed. A draft is good only if the present files give
//! exactly that draft. Which keys count comes from the signed root, or from the draft of the next one.

use std::collections::BTreeSet;

use policy::Rules;
use terms::{Problem, Report, SpaceId, UtcTime};
use trust::{AcceptedStop, BoardRoles, DelegatedRole, Delegation, Digest, Draft, PublicKey, RoleKeys};

use super::folder::{Files, Folder};
use super::names::Names;
use super::paper::Paper;
use super::pending::{Pending, Standing, Whose};
use super::signed::{self, Signed, keys_of};
use crate::args::board::SpaceArgs;

/// How many changed files an error names.
const CHANGED_NAMES_MAX: usize = 6;

/// A day, in seconds.
const DAY_SECONDS: i64 = 24 * 3600;

/// Everything on the table.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// Where it lies.
    pub(crate) folder: Folder,
    /// Whose key is which.
    pub(crate) names: Names,
    /// The present files.
    pub(crate) files: Files,
    /// What was signed.
    pub(crate) signed: Signed,
    /// What waits for signatures.
    pub(crate) pending: Pending,
}

impl Desk {
    /// Reads everything.
    ///
    /// # Errors
    /// What is not right in the folder, by name.
    pub(crate) fn open(place: &SpaceArgs) -> Result<Self, Report> {
        Self::read(Folder::new(&place.dir))
    }

    /// As [`Desk::open`].
    ///
    /// # Errors
    /// As [`Desk::open`].
    pub(crate) fn read(folder: Folder) -> Result<Self, Report> {
        Ok(Self {
            names: Names::read(&folder)?,
            files: folder.space_files()?,
            signed: Signed::read(&folder)?,
            pending: Pending::read(&folder)?,
            folder,
        })
    }

    /// Refuses if anything that can be signed is not as it was.
    ///
    /// # Errors
    /// `Changed`.
    pub(crate) fn require_unchanged(&self) -> Result<(), Report> {
        let now = Self::read(self.folder.clone())?;
        if now.files == self.files && now.signed == self.signed && now.pending.drafts == self.pending.drafts {
            return Ok(());
        }
        let what = self
            .files
            .iter()
            .find(|(name, bytes)| now.files.get(*name) != Some(bytes));
        let what = what
            .map(|(name, _)| name)
            .or_else(|| now.files.keys().find(|name| !self.files.contains_key(*name)));
        let what = what.map_or("a draft or a signed document", String::as_str);
        let message = format!("{what} has changed since it was shown, so nothing was signed");
        Err(Problem::Changed.report(message))
    }

    /// The data space.
    ///
    /// # Errors
    /// `PolicyNone` if it was not founded yet.
    pub(crate) fn space(&self) -> Result<SpaceId, Report> {
        let drafted = self.pending.drafts.get(&Paper::Root).map(Draft::space);
        let space = self.signed.space().or(drafted).cloned();
        space.ok_or_else(not_founded)
    }

    /// Who will sign: the drafted next root, or the newest signed one.
    ///
    /// # Errors
    /// `PolicyNone` if the data space was not founded yet.
    pub(crate) fn board(&self) -> Result<&BoardRoles, Report> {
        let drafted = self.pending.drafts.get(&Paper::Root).and_then(Draft::board);
        drafted.or_else(|| self.signed.board()).ok_or_else(not_founded)
    }

    /// To whom the board delegates: by the drafted list of files, or by the signed one.
    pub(crate) fn delegations(&self) -> Vec<Delegation> {
        let drafted = self.pending.drafts.get(&Paper::Targets).map(Draft::delegations);
        drafted.unwrap_or_else(|| self.signed.delegations())
    }

    /// The files as one set of rules, as a node compiles them.
    ///
    /// # Errors
    /// What a node would refuse, with file and line.
    pub(crate) fn rules(&self) -> Result<Rules, Report> {
        let version = self.next_version(Paper::Targets, None);
        Rules::compile_files(version, Digest::of(&[]), &self.files)
    }

    /// The stops that were signed in this folder, those that the files lift included.
    ///
    /// # Errors
    /// As [`Signed::stops`].
    pub(crate) fn stops(&self) -> Result<Vec<AcceptedStop>, Report> {
        self.signed.stops(&self.folder)
    }

    /// The files of a list.
    fn listed(&self, paper: Paper, delegations: &[Delegation]) -> Files {
        let is_delegated = |name: &str| delegations.iter().any(|delegation| delegation.role.may_sign(name));
        let belongs = |name: &str| match paper {
            Paper::Root => false,
            Paper::Targets => !is_delegated(name),
            Paper::Delegated(role) => role.may_sign(name),
        };
        let files = self.files.iter().filter(|(name, _)| belongs(name));
        files.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
    }

    /// The version that a draft must have: the one after the signed one, or that one itself if it is the same draft,
    /// which happens when publishing was interrupted.
    fn next_version(&self, paper: Paper, draft: Option<&Draft>) -> u64 {
        let Some(signed) = self.signed.document(paper) else {
            return 1;
        };
        let is_the_same = draft.is_some_and(|draft| draft.digest() == signed.draft.digest());
        signed.draft.version().saturating_add(u64::from(!is_the_same))
    }

    /// Drafts a list of the present files.
    ///
    /// # Errors
    /// If a file cannot be in one; `PolicyScope` if the role is not delegated.
    pub(crate) fn draft_list(
        &self,
        paper: Paper,
        delegations: &[Delegation],
        expires: UtcTime,
    ) -> Result<Draft, Report> {
        let (space, version) = (self.space()?, self.next_version(paper, None));
        self.list(paper, delegations, (&space, version), expires)
    }

    fn list(
        &self,
        paper: Paper,
        delegations: &[Delegation],
        (space, version): (&SpaceId, u64),
        expires: UtcTime,
    ) -> Result<Draft, Report> {
        let files = self.listed(paper, delegations);
        match paper {
            Paper::Root => Err(Problem::Internal.report("a root lists no files")),
            Paper::Targets => Ok(Draft::targets(space, version, expires, &files, delegations)?),
            Paper::Delegated(role) => {
                self.require_delegated(role)?;
                Ok(Draft::delegated(space, &role, version, expires, &files)?)
            }
        }
    }

    /// Drafts the next root.
    ///
    /// # Errors
    /// `PolicyThreshold` if the threshold cannot be reached or a key is there twice.
    pub(crate) fn draft_root(&self, roles: &BoardRoles, expires: UtcTime) -> Result<Draft, Report> {
        Ok(Draft::root(
            &self.space()?,
            self.next_version(Paper::Root, None),
            expires,
            roles,
        )?)
    }

    /// Whether the present files, or who signs, differ from what was signed.
    ///
    /// # Errors
    /// If a file cannot be in a list.
    pub(crate) fn differs_from_signed(&self, paper: Paper) -> Result<bool, Report> {
        let Some(signed) = self.signed.document(paper) else {
            return Ok(!self.listed(paper, &self.delegations()).is_empty());
        };
        let (version, expires) = (signed.draft.version(), signed.draft.expires());
        let again = self.list(paper, &self.delegations(), (signed.draft.space(), version), expires)?;
        Ok(again.digest() != signed.draft.digest())
    }

    /// Refuses a draft that is not exactly what the present files give.
    ///
    /// # Errors
    /// `Changed`, with the first file that differs.
    pub(crate) fn require_current(&self, paper: Paper, draft: &Draft) -> Result<(), Report> {
        let (space, version, expires) = (self.space()?, self.next_version(paper, Some(draft)), draft.expires());
        let again = match (paper, draft.board()) {
            (Paper::Root, Some(roles)) => Draft::root(&space, version, expires, roles)?,
            (Paper::Root, None) => return Err(Problem::PolicyInvalid.report("the draft of the root names no board")),
            (paper, _) => {
                let delegations = if paper == Paper::Targets {
                    draft.delegations()
                } else {
                    self.delegations()
                };
                self.list(paper, &delegations, (&space, version), expires)?
            }
        };
        if again.digest() == draft.digest() {
            return Ok(());
        }
        Err(changed(paper, draft, &again))
    }

    /// The groups of which enough must sign a draft.
    ///
    /// # Errors
    /// `PolicyScope` if the role is not delegated.
    pub(crate) fn signers(&self, paper: Paper, draft: &Draft) -> Result<Vec<(Whose, RoleKeys)>, Report> {
        Ok(match paper {
            Paper::Root => {
                let new = draft.board().ok_or_else(not_founded)?;
                // The version before signs as well (TUF 5.3.4), unless there is none.
                let before = usize::try_from(draft.version())
                    .ok()
                    .and_then(|version| version.checked_sub(2));
                let old = before
                    .and_then(|index| self.signed.roots.get(index))
                    .and_then(|root| root.draft.board());
                match old {
                    Some(old) if old.root != new.root => {
                        vec![(Whose::OldBoard, old.root.clone()), (Whose::Board, new.root.clone())]
                    }
                    _ => vec![(Whose::Board, new.root.clone())],
                }
            }
            Paper::Targets => vec![(Whose::Board, self.board()?.targets.clone())],
            Paper::Delegated(role) => vec![(Whose::Committee, self.require_delegated(role)?)],
        })
    }

    /// Who has signed a draft.
    ///
    /// # Errors
    /// As [`Desk::signers`].
    pub(crate) fn standing(&self, paper: Paper, draft: &Draft) -> Result<Standing, Report> {
        Ok(self.pending.standing(paper, draft, &self.signers(paper, draft)?))
    }

    /// All drafts with who has signed them.
    ///
    /// # Errors
    /// As [`Desk::signers`].
    pub(crate) fn standings(&self) -> Result<Vec<Standing>, Report> {
        let drafts = self.pending.drafts.iter();
        drafts.map(|(paper, draft)| self.standing(*paper, draft)).collect()
    }

    /// Every key that is used by a signed document or a draft.
    pub(crate) fn keys_in_use(&self) -> Vec<PublicKey> {
        let boards = self.board().into_iter().chain(self.signed.board());
        let board = boards.flat_map(|board| board.root.keys.iter().chain(&board.targets.keys).copied());
        let delegations = self.delegations().into_iter().chain(self.signed.delegations());
        board
            .chain(delegations.flat_map(|delegation| delegation.keys.keys))
            .collect()
    }

    fn require_delegated(&self, role: DelegatedRole) -> Result<RoleKeys, Report> {
        let delegations = self.delegations();
        keys_of(&delegations, role).cloned().ok_or_else(|| {
            let message = format!("the board has not delegated {role}; it signs these files itself");
            let remedy = format!(
                "delegate them first: datenraum board delegate {role} --member FILE.pub --threshold K; a draft from before \
                 can be taken away: draft/{role}.json"
            );
            Problem::PolicyScope.report(message).remedy(remedy)
        })
    }

    /// The rules with the stops that hold.
    ///
    /// # Errors
    /// As [`Desk::rules`] and [`Desk::stops`].
    pub(crate) fn rules_with_stops(&self) -> Result<Rules, Report> {
        let rules = self.rules()?;
        let stops = signed::in_force(&self.stops()?, &rules);
        Ok(rules.with_stops(stops))
    }
}

/// The end of the day so many days from now: what is drafted on one day from the same files is the same draft, on
/// whichever machine.
pub(crate) fn end_of_day(now: UtcTime, days: u32) -> UtcTime {
    let day = now.as_second().div_euclid(DAY_SECONDS) + i64::from(days) + 1;
    UtcTime::from_second(day.saturating_mul(DAY_SECONDS)).unwrap_or(UtcTime::MAX)
}

fn changed(paper: Paper, draft: &Draft, present: &Draft) -> Report {
    let (drafted, now) = (draft.files(), present.files());
    let names: BTreeSet<&String> = drafted.keys().chain(now.keys()).collect();
    let mut differ: Vec<&str> = names
        .into_iter()
        .filter(|name| drafted.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    let (name, version) = (paper.name(), draft.version());
    let more = if differ.len() > CHANGED_NAMES_MAX {
        " and others"
    } else {
        ""
    };
    differ.truncate(CHANGED_NAMES_MAX);
    let message = match differ.is_empty() {
        false => format!(
            "not what was drafted as {name} version {version}: {}{more}",
            differ.join(", ")
        ),
        true => format!(
            "the draft of {name} version {version} does not follow what was signed, or is of another data space"
        ),
    };
    Problem::Changed.report(message).remedy(
        "put back the file that was drafted; or draft the present files, which everybody then signs: \
         datenraum board draft --anew",
    )
}

fn not_founded() -> Report {
    Problem::PolicyNone
        .report("the folder has no board yet")
        .remedy("found the data space: datenraum board init")
}
