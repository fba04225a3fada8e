//! Findings about policies, their permissions and their prohibitions.

use std::collections::BTreeSet;

use terms::{MemberId, RoleName, RuleId};

use super::{Found, Severity};
use crate::collection::list;
use crate::decide::Caller;
use crate::diff::{keeps_models, keeps_transforms};
use crate::disclosure::Quota;
use crate::grant::Release;
use crate::matrix::kinds::{Kind, kinds};
use crate::matrix::reach::Reach;
use crate::models::{MASKED_NODES_MIN, PARAMETERS_SHARE_PLAIN, Sum};
use crate::roster::Member;
use crate::rule::{Assignee, Permission, Policy, Prohibition, Who};
use crate::rules::Rules;

impl Found<'_> {
    pub(super) fn policies(&mut self) {
        let rules = self.rules;
        for policy in rules.collections.keys().flat_map(|id| rules.of_collection(id)) {
            self.validity(policy);
            self.permissions(policy);
            for prohibition in &policy.prohibitions {
                self.prohibition(policy, prohibition);
            }
        }
    }

    fn validity(&mut self, policy: &Policy) {
        let place = format!("{}, line {}", policy.path, policy.validity_line);
        let last = policy.valid_until;
        if last < self.today() {
            self.add(
                Severity::Error,
                place,
                format!("das Regelwerk ist am {last} abgelaufen: es erlaubt nichts mehr, und seine Verbote gelten nicht mehr"),
                format!("the policy expired on {last}: it permits nothing any more, and its prohibitions no longer hold"),
            );
        } else if self.ends_soon(last) {
            self.add(
                Severity::Warning,
                place,
                format!("das Regelwerk läuft am {last} ab"),
                format!("the policy expires on {last}"),
            );
        }
    }

    fn permissions(&mut self, policy: &Policy) {
        if policy.permissions.is_empty() && policy.prohibitions.is_empty() {
            let (de, en) = (
                "das Regelwerk erlaubt und verbietet nichts",
                "the policy permits and prohibits nothing",
            );
            return self.add(Severity::Error, policy.path.clone(), de, en);
        }
        let reached: BTreeSet<RuleId> = Reach::of(self.rules, policy)
            .into_iter()
            .flat_map(|reach| reach.rows())
            .flat_map(|row| row.cells)
            .flat_map(|(_, given)| given)
            .filter(|given| given.by.policy == policy.id)
            .map(|given| given.by.permission)
            .collect();
        let severity = match reached.is_empty() && policy.prohibitions.is_empty() {
            true => Severity::Error,
            false => Severity::Warning,
        };
        for permission in &policy.permissions {
            let line = permission.lines.id;
            if let Some(other) = shadow(self.rules, policy, permission) {
                self.add(
                    Severity::Warning,
                    format!("{}, line {line}", policy.path),
                    format!("die Erlaubnis {} gibt nichts, was {other} nicht auch gibt, mit höchstens so vielen Bedingungen", permission.id),
                    format!("permission {} gives nothing that {other} does not give too, on no more conditions", permission.id),
                );
            } else if !reached.contains(&permission.id) {
                self.add(
                    severity,
                    format!("{}, line {line}", policy.path),
                    format!(
                        "die Erlaubnis {} kann nie gelten: Verbote, andere Erlaubnisse oder die Gültigkeit nehmen ihr alles",
                        permission.id
                    ),
                    format!(
                        "permission {} can never apply: prohibitions, other permissions or the validity leave nothing of it",
                        permission.id
                    ),
                );
            }
            self.meant(policy, permission);
            self.fits(policy, permission);
            self.asked(policy, permission);
        }
    }

    /// Whether anybody on the roster is meant, and may have the purposes.
    fn meant(&mut self, policy: &Policy, permission: &Permission) {
        let place = format!("{}, line {}", policy.path, permission.lines.assignee);
        self.names(&place, &permission.assignee);
        let id = &permission.id;
        let meant: Vec<&Member> = members(self.rules, &permission.assignee).collect();
        if meant.is_empty() {
            return self.add(
                Severity::Warning,
                place,
                format!("die Erlaubnis {id} ist für niemanden: kein Mitglied der Liste ist gemeint"),
                format!("permission {id} is for nobody: no member of the roster is meant"),
            );
        }
        let reserved = permission
            .purposes
            .iter()
            .all(|purpose| purpose.is_reserved_to_public_bodies());
        let is_public = meant.iter().any(|member| self.rules.is_public(member));
        let by_permit = self.rules.permits.values().any(|permit| permit.acts_for.is_some());
        if reserved && !is_public && !by_permit {
            self.add(
                Severity::Warning,
                format!("{}, line {}", policy.path, permission.lines.purposes),
                format!(
                    "die Erlaubnis {id} gilt für niemanden: alle ihre Zwecke stehen nur öffentlichen Stellen offen (Art. 53 Abs. 2), \
                     und keines der gemeinten Mitglieder ist eine oder ist für eine tätig"
                ),
                format!(
                    "permission {id} applies to nobody: all its purposes are for public bodies only (Art. 53(2)), and none of \
                     the members that are meant is one or acts for one"
                ),
            );
        }
    }

    /// What fits of models may do that is easily not meant.
    fn fits(&mut self, policy: &Policy, permission: &Permission) {
        let Some(models) = permission.models.as_ref().filter(|models| !models.come_with_rows()) else {
            return;
        };
        let (place, id) = (
            format!("{}, line {}", policy.path, permission.lines.models),
            &permission.id,
        );
        if models.sum == Sum::Plain && models.nodes_min < MASKED_NODES_MIN {
            self.add(
                Severity::Hint,
                place.clone(),
                format!(
                    "bei Modellen nach {id} sieht, wer fragt, die Summen jeder Einrichtung; ab {MASKED_NODES_MIN} Einrichtungen \
                     geht es ohne: sum = \"masked\""
                ),
                format!(
                    "whoever fits models under {id} sees the sums of each institution; with {MASKED_NODES_MIN} institutions \
                     or more they need not: sum = \"masked\""
                ),
            );
        }
        let share = models.parameters_share;
        if share > PARAMETERS_SHARE_PLAIN {
            self.add(
                Severity::Warning,
                place,
                format!(
                    "{id} erlaubt {share} Parameter je Mensch: ein Modell mit so vielen kann einzelne Menschen verraten; üblich \
                     sind höchstens {PARAMETERS_SHARE_PLAIN}"
                ),
                format!(
                    "{id} allows {share} parameters for each person: a model of so many can give single people away; usual is \
                     at most {PARAMETERS_SHARE_PLAIN}"
                ),
            );
        }
    }

    /// What can be asked under a permission.
    fn asked(&mut self, policy: &Policy, permission: &Permission) {
        let id = &permission.id;
        if permission.columns.is_empty() {
            let (severity, de, en) = match permission.release {
                Release::Aggregates => (Severity::Hint, "lässt nur zählen", "allows only to count"),
                Release::Models => (
                    Severity::Warning,
                    "erlaubt Modelle ohne Spalten",
                    "permits models without columns",
                ),
                Release::Rows => (
                    Severity::Warning,
                    "gibt Zeilen ohne Spalten",
                    "gives rows without columns",
                ),
            };
            self.add(
                severity,
                format!("{}, line {}", policy.path, permission.lines.columns),
                format!("die Erlaubnis {id} {de}: sie nennt keine Spalten"),
                format!("permission {id} {en}: it names no columns"),
            );
        }
        let collection = &policy.collection.id;
        let permits = || self.rules.permits.values();
        let usable = |permit: &&std::sync::Arc<crate::Permit>| {
            permit.columns.contains_key(collection) && permit.withdrawn.is_none() && self.at < permit.valid_until
        };
        if permission.permit_required && !permits().any(|permit| usable(&permit)) {
            self.add(
                Severity::Hint,
                format!("{}, line {}", policy.path, permission.lines.permit),
                format!(
                    "die Erlaubnis {id} verlangt eine Datengenehmigung, und zur Zeit gibt es keine für {collection}"
                ),
                format!("permission {id} needs a data permit, and there is none for {collection} at present"),
            );
        }
    }

    fn prohibition(&mut self, policy: &Policy, rule: &Prohibition) {
        let (place, id) = (format!("{}, line {}", policy.path, rule.line), &rule.id);
        if let Some(assignee) = &rule.assignee {
            self.names(&place, assignee);
        }
        let by_law = rule
            .purposes
            .as_ref()
            .is_some_and(|purposes| purposes.iter().all(|it| it.is_prohibited_use()));
        if by_law {
            return self.add(
                Severity::Hint,
                place,
                format!("was {id} verbietet, verbietet Art. 54 EHDS schon: die Zeilen erinnern nur daran"),
                format!("what {id} prohibits is prohibited by Art. 54 EHDS anyway: the lines are a reminder"),
            );
        }
        let policies = self.rules.of_collection(&policy.collection.id).iter();
        let mut permissions = policies.flat_map(|policy| &policy.permissions);
        if !permissions.any(|permission| hits(rule, permission)) {
            self.add(
                Severity::Hint,
                place,
                format!("das Verbot {id} trifft zur Zeit nichts, was eine Erlaubnis gibt: es hält künftige auf"),
                format!(
                    "prohibition {id} hits nothing that a permission gives at present: it holds against those to come"
                ),
            );
        }
    }

    /// Names of an assignee that the roster does not have.
    fn names(&mut self, place: &str, assignee: &Assignee) {
        let rules = self.rules;
        let persons = assignee.persons.iter().flatten().map(|(member, _)| member);
        let named: BTreeSet<&MemberId> = assignee.members.iter().flatten().chain(persons).collect();
        let unknown: Vec<&MemberId> = named
            .into_iter()
            .filter(|id| !rules.members.contains_key(*id))
            .collect();
        if !unknown.is_empty() {
            let unknown = list(unknown);
            self.add(
                Severity::Warning,
                place,
                format!("nicht in der Mitgliederliste: {unknown}"),
                format!("not on the roster: {unknown}"),
            );
        }
        let held = |role: &&RoleName| rules.members.values().any(|member| member.roles.contains(*role));
        let unheld: Vec<&RoleName> = assignee.roles.iter().flatten().filter(|role| !held(role)).collect();
        if !unheld.is_empty() {
            let unheld = list(unheld);
            self.add(
                Severity::Hint,
                place,
                format!("kein Mitglied hat die Rolle: {unheld}"),
                format!("no member has the role: {unheld}"),
            );
        }
    }
}

/// The members of whom somebody could be meant.
fn members<'a>(rules: &'a Rules, assignee: &'a Assignee) -> impl Iterator<Item = &'a Member> {
    rules.members.values().filter(move |member| {
        let people = assignee.persons.iter().flatten();
        let people = people
            .filter(|(of, _)| *of == member.id)
            .map(|(_, person)| person.clone());
        let anybody = assignee.persons.is_none().then(|| "anybody".parse().ok()).flatten();
        people.chain(anybody).any(|person| {
            let caller = Caller {
                member: member.id.clone(),
                person,
                roles: member.roles.clone(),
            };
            let who = Who {
                caller: &caller,
                member,
            };
            who.is_meant_by(assignee)
        })
    })
}

/// Whether a prohibition could take something from a permission.
fn hits(rule: &Prohibition, permission: &Permission) -> bool {
    let purpose = permission.purposes.iter().any(|purpose| rule.has_purpose(*purpose));
    let release = rule.release.is_none_or(|release| permission.covers_release(release));
    let columns = rule.columns.is_none() || rule.has_any_column(&permission.columns);
    let whom = rule.assignee.as_ref().is_none_or(|assignee| {
        let prohibited = kinds(assignee);
        let permitted = kinds(&permission.assignee);
        permitted
            .iter()
            .any(|kind| prohibited.iter().any(|other| kind.and(other).is_some()))
    });
    purpose && release && columns && whom
}

/// Another permission of the collection that gives everything that this one gives, on no more conditions. Of two that
/// are alike, the later one is shadowed.
fn shadow(rules: &Rules, policy: &Policy, permission: &Permission) -> Option<String> {
    for other_policy in rules.of_collection(&policy.collection.id) {
        for other in &other_policy.permissions {
            let here = (&policy.id, &permission.id);
            let there = (&other_policy.id, &other.id);
            let alike = covers(policy, permission, other_policy, other);
            if here != there && covers(other_policy, other, policy, permission) && (there < here || !alike) {
                return Some(match policy.id == other_policy.id {
                    true => other.id.to_string(),
                    false => format!("{} ({})", other.id, other_policy.id),
                });
            }
        }
    }
    None
}

/// Whether the first permission gives everything that the second does, on no more conditions.
fn covers(policy: &Policy, wide: &Permission, of: &Policy, narrow: &Permission) -> bool {
    let duties = |policy: &Policy, rule: &Permission| -> BTreeSet<_> {
        policy.duties.iter().chain(&rule.duties).cloned().collect()
    };
    policy.valid_from <= of.valid_from
        && of.valid_until <= policy.valid_until
        && kinds(&narrow.assignee).iter().all(|kind| means(&wide.assignee, kind))
        && narrow.purposes.is_subset(&wide.purposes)
        && narrow.columns.is_subset(&wide.columns)
        && wide.covers_release(narrow.release)
        && (narrow.permit_required || !wide.permit_required)
        && (wide.rows.is_none() || wide.rows == narrow.rows)
        && keeps_fits(wide, narrow)
        && keeps_transforms(&wide.transforms, &narrow.transforms, &narrow.columns)
        && (wide.windows.is_empty() || wide.windows == narrow.windows)
        && demands_no_more(wide, narrow)
        && duties(policy, wide).is_subset(&duties(of, narrow))
}

/// Whether models that the second gives are given by the first on no more conditions, and do not hang on rows.
fn keeps_fits(wide: &Permission, narrow: &Permission) -> bool {
    narrow.release == Release::Aggregates
        || keeps_models(wide.models.as_ref(), narrow.models.as_ref())
            && (narrow.models_come_with_rows() || !wide.models_come_with_rows())
}

fn means(assignee: &Assignee, kind: &Kind) -> bool {
    let roles = assignee
        .roles
        .as_ref()
        .is_none_or(|roles| !roles.is_disjoint(&kind.roles));
    let member = |of: &BTreeSet<MemberId>| kind.member.as_ref().is_some_and(|member| of.contains(member));
    let person = assignee.persons.as_ref().is_none_or(|persons| {
        let named = kind.member.clone().zip(kind.person.clone());
        named.is_some_and(|named| persons.contains(&named))
    });
    roles && assignee.members.as_ref().is_none_or(member) && person
}

fn demands_no_more(wide: &Permission, narrow: &Permission) -> bool {
    let (wide, narrow) = (&wide.disclosure, &narrow.disclosure);
    let Quota { per_minute, per_week } = wide.queries;
    let as_often =
        |wide: Option<u32>, narrow: Option<u32>| wide.is_none_or(|most| narrow.is_some_and(|other| other <= most));
    wide.tier <= narrow.tier
        && (wide.dominance.is_none() || wide.dominance == narrow.dominance)
        && (wide.p_percent.is_none() || wide.p_percent == narrow.p_percent)
        && (wide.round_to.is_none() || wide.round_to == narrow.round_to)
        && wide.zeros <= narrow.zeros
        && as_often(per_minute, narrow.queries.per_minute)
        && as_often(per_week, narrow.queries.per_week)
}
