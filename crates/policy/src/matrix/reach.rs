//! Whom a policy gives what: asked of the decision itself, for one caller of each kind that the rules tell apart.
//!
//! It must hold no logic of its own about who may what: every [`Given`] is a grant of [`weigh`], and what is not given
//! was refused by it. The roster plays no part, because it may be a registrar's to change: the kinds of callers come
//! from the rules. Next: `matrix.rs`, which shows it, and `lint.rs`, which finds rules that reach nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use terms::{CollectionId, MemberId, PermitId, PersonId, PolicyId, Purpose, RoleName, RuleId, UtcTime};
use trust::PublicKey;

use super::kinds::{Kind, kinds};
use super::times::times;
use crate::decide::{AccessRequest, Asked, Caller, Reason, weigh};
use crate::disclosure::Quota;
use crate::grant::{Grant, Release};
use crate::permit::{OptOut, Permit, PermitKind};
use crate::roster::{Member, PUBLIC_BODY};
use crate::rule::{Permission, Policy};
use crate::rules::Rules;

/// Most columns of a permission that are left out in turn, in all combinations, where another permission gives the most.
const LEFT_OUT_MAX: usize = 8;

/// What a kind of caller gets for a purpose from one permission.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) by: GivenBy,
    /// Whether it is given, with the same columns, at every time at which the policy is in force.
    pub(crate) always: bool,
    /// Columns of the permission that are given at none of those times.
    pub(crate) without: BTreeSet<String>,
}

/// One kind of caller and what it gets for each purpose that can be permitted.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) cells: Vec<(Purpose, Vec<Given>)>,
}

/// What a policy gives, beside the other policies of its collection.
pub(crate) struct Reach<'a> {
    rules: &'a Rules,
    policy: &'a Policy,
    /// One of each combination of policies in force and open windows while the policy is in force.
    times: Vec<UtcTime>,
    names: Names,
}

/// Names that no rule of the collection has, for callers of whom the rules say nothing more.
struct Names {
    somewhere: MemberId,
    public_body: MemberId,
    somebody: PersonId,
    permit: PermitId,
    public_role: RoleName,
    /// Which key it is does not matter to a decision.
    key: PublicKey,
}

impl<'a> Reach<'a> {
    /// None only if this program's own names are wrong.
    pub(crate) fn of(rules: &'a Rules, policy: &'a Policy) -> Option<Self> {
        Some(Self {
            rules,
            policy,
            times: times(rules, policy),
            names: Names::beside(rules, policy)?,
        })
    }

    /// Every kind of caller that the rules of the collection tell apart, with what it gets. Last comes everybody else.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let permissions = self.policy.permissions.iter();
        let named: BTreeSet<Kind> = permissions.flat_map(|rule| kinds(&rule.assignee)).collect();
        let excepted: BTreeSet<Kind> = self
            .policies()
            .flat_map(|policy| &policy.prohibitions)
            .filter_map(|rule| rule.assignee.as_ref())
            .flat_map(kinds)
            .collect();
        let mut seen = named.clone();
        let mut rows = Vec::new();
        for kind in named {
            let row = self.row(kind.clone());
            let public = Kind {
                public: true,
                ..kind.clone()
            };
            let both = excepted.iter().filter_map(|other| kind.and(other));
            let mut unlike = Vec::new();
            for other in std::iter::once(public).chain(both) {
                if !seen.contains(&other) {
                    unlike.push(self.row(other));
                }
            }
            unlike.retain(|other| other.cells != row.cells);
            seen.extend(unlike.iter().map(|other| other.kind.clone()));
            rows.push(row);
            rows.append(&mut unlike);
        }
        rows.push(self.row(Kind::default()));
        rows
    }

    fn policies(&self) -> impl Iterator<Item = &'a Arc<Policy>> {
        self.rules.of_collection(&self.policy.collection.id).iter()
    }

    fn row(&self, kind: Kind) -> Row {
        let caller = self.caller(&kind);
        let permits = [(self.names.permit.clone(), Arc::new(self.permit(&caller)))].into();
        let members = self.members(&kind, &caller);
        let supposed = self.rules.supposing(&self.policy.collection.id, members, permits);
        let purposes = Purpose::all().filter(|purpose| !purpose.is_prohibited_use());
        let cell = |purpose| {
            let ask = Ask {
                rules: &supposed,
                policy: &self.policy.id,
                collection: &self.policy.collection.id,
                caller: &caller,
                purpose,
            };
            (purpose, self.cell(&ask))
        };
        Row {
            cells: purposes.map(cell).collect(),
            kind,
        }
    }

    /// For each permission the most that it could give, with and without a permit, at each of the times.
    fn cell(&self, ask: &Ask<'_>) -> Vec<Given> {
        let mut found: BTreeMap<GivenBy, Found> = BTreeMap::new();
        for permission in &self.policy.permissions {
            for release in Release::ALL {
                for permit in [None, Some(&self.names.permit)] {
                    for at in &self.times {
                        for (grant, columns) in ask.given(permission, release, permit, *at) {
                            let own = ask.is_by(&grant, permission);
                            let by = GivenBy {
                                policy: grant.policy().clone(),
                                permission: grant.rule().clone(),
                                release,
                                with_permit: permit.is_some(),
                            };
                            found.entry(by).or_default().add(*at, columns, own);
                        }
                    }
                }
            }
        }
        let without_permit: BTreeSet<GivenBy> = found.keys().filter(|by| !by.with_permit).cloned().collect();
        let given = |(by, found): (GivenBy, Found)| Given {
            always: found.is_the_same_at(self.times.len()),
            without: self.columns_missing(&by, &found),
            by,
        };
        // A permit that is not needed changes nothing.
        let needed = |by: &GivenBy| !by.with_permit || !without_permit.contains(&by.without_permit());
        found.into_iter().filter(|(by, _)| needed(by)).map(given).collect()
    }

    fn columns_missing(&self, by: &GivenBy, found: &Found) -> BTreeSet<String> {
        let own = self.policy.permissions.iter().filter(|_| found.own);
        let mut own = own.filter(|permission| permission.id == by.permission);
        own.next().map_or_else(BTreeSet::new, |permission| {
            permission.columns.difference(&found.columns).cloned().collect()
        })
    }

    fn caller(&self, kind: &Kind) -> Caller {
        let Names {
            somewhere, somebody, ..
        } = &self.names;
        Caller {
            member: kind.member.clone().unwrap_or_else(|| somewhere.clone()),
            person: kind.person.clone().unwrap_or_else(|| somebody.clone()),
            roles: kind.roles.clone(),
        }
    }

    /// A roster of the caller's institution and of a public body for which it may act.
    fn members(&self, kind: &Kind, caller: &Caller) -> BTreeMap<MemberId, Member> {
        let body = &self.names.public_body;
        let member = |id: &MemberId, roles: BTreeSet<RoleName>, acts_for: BTreeSet<MemberId>| Member {
            id: id.clone(),
            title: id.to_string(),
            roles,
            acts_for,
            key: self.names.key,
        };
        let acts_for = kind.public.then(|| body.clone()).into_iter().collect();
        let institution = member(&caller.member, kind.roles.clone(), acts_for);
        let public = member(body, [self.names.public_role.clone()].into(), BTreeSet::new());
        [(body.clone(), public), (caller.member.clone(), institution)].into()
    }

    /// A permit that allows the caller everything that a permit can.
    fn permit(&self, caller: &Caller) -> Permit {
        let collection = &self.policy.collection;
        Permit {
            id: self.names.permit.clone(),
            title: String::new(),
            kind: PermitKind::DataPermit,
            issuer: String::new(),
            issued: UtcTime::MIN,
            holder: caller.member.clone(),
            persons: [(caller.member.clone(), caller.person.clone())].into(),
            acts_for: None,
            purposes: Purpose::all().filter(|purpose| !purpose.is_prohibited_use()).collect(),
            columns: [(
                collection.id.clone(),
                collection.columns.iter().map(|column| column.name.clone()).collect(),
            )]
            .into(),
            valid_from: UtcTime::MIN,
            valid_until: UtcTime::MAX,
            withdrawn: None,
            queries: Quota::default(),
            linkage: false,
            opt_out: OptOut::AtQuery,
        }
    }
}

impl Names {
    fn beside(rules: &Rules, policy: &Policy) -> Option<Self> {
        let policies = rules.of_collection(&policy.collection.id).iter();
        let assignees = policies.flat_map(|policy| {
            let permissions = policy.permissions.iter().map(|rule| &rule.assignee);
            permissions.chain(policy.prohibitions.iter().filter_map(|rule| rule.assignee.as_ref()))
        });
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for assignee in assignees {
            taken.extend(assignee.members.iter().flatten().map(MemberId::as_str));
            let persons = assignee.persons.iter().flatten();
            taken.extend(persons.flat_map(|(member, person)| [member.as_str(), person.as_str()]));
        }
        let unnamed = |stem: &str| {
            let mut names = (0_u32..).map(|number| format!("{stem}-{number}"));
            names.find(|name| !taken.contains(name.as_str()))
        };
        Some(Self {
            somewhere: unnamed("somewhere")?.parse().ok()?,
            public_body: unnamed("body")?.parse().ok()?,
            somebody: unnamed("somebody")?.parse().ok()?,
            permit: "permit".parse().ok()?,
            public_role: PUBLIC_BODY.parse().ok()?,
            // Of RFC 8032, section 7.1, test 1.
            key: "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().ok()?,
        })
    }
}

/// Which permission gave what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GivenBy {
    pub(crate) policy: PolicyId,
    pub(crate) permission: RuleId,
    pub(crate) release: Release,
    /// Whether a data permit was named.
    pub(crate) with_permit: bool,
}

impl GivenBy {
    fn without_permit(&self) -> GivenBy {
        GivenBy {
            with_permit: false,
            ..self.clone()
        }
    }
}

/// When, and over which columns.
#[derive(Default)]
struct Found {
    /// Which columns at each time.
    times: BTreeMap<UtcTime, BTreeSet<String>>,
    /// At any of them.
    columns: BTreeSet<String>,
    /// Whether the permission that was asked about gave it, and not one that demands less.
    own: bool,
}

impl Found {
    fn add(&mut self, at: UtcTime, columns: BTreeSet<String>, own: bool) {
        self.times.entry(at).or_default().extend(columns.iter().cloned());
        self.columns.extend(columns);
        self.own |= own;
    }

    fn is_the_same_at(&self, times: usize) -> bool {
        self.times.len() == times && (!self.own || self.times.values().all(|columns| *columns == self.columns))
    }
}

/// Somebody with a purpose.
struct Ask<'a> {
    rules: &'a Rules,
    /// The policy that is looked at.
    policy: &'a PolicyId,
    collection: &'a CollectionId,
    caller: &'a Caller,
    purpose: Purpose,
}

impl Ask<'_> {
    fn is_by(&self, grant: &Grant, permission: &Permission) -> bool {
        grant.policy() == self.policy && *grant.rule() == permission.id
    }

    /// The most that the caller can have of what a permission is about; and, where another permission gives that, what it
    /// gives itself.
    fn given(
        &self,
        permission: &Permission,
        release: Release,
        permit: Option<&PermitId>,
        at: UtcTime,
    ) -> Vec<(Grant, BTreeSet<String>)> {
        let Some((grant, columns)) = self.most(permission, release, permit, at) else {
            return Vec::new();
        };
        let mut given = Vec::new();
        if !self.is_by(&grant, permission) {
            let request = self.request(release, permit, at);
            given.extend(self.parts(permission, &columns, request));
        }
        given.push((grant, columns));
        given
    }

    /// What a permission gives itself without some of the columns of which it does not show the values: those can make
    /// it the more demanding one.
    fn parts(
        &self,
        permission: &Permission,
        columns: &BTreeSet<String>,
        mut request: AccessRequest,
    ) -> Vec<(Grant, BTreeSet<String>)> {
        let shown = columns.iter().filter(|name| permission.transforms.contains_key(*name));
        let shown: Vec<&String> = shown.take(LEFT_OUT_MAX).collect();
        let mut parts = Vec::new();
        for chosen in 1..1_usize << shown.len() {
            let out = |name: &&String| {
                shown
                    .iter()
                    .position(|one| one == name)
                    .is_some_and(|at| chosen >> at & 1 == 1)
            };
            request.columns = columns.iter().filter(|name| !out(name)).cloned().collect();
            if let Ok(grant) = weigh(self.rules, &request)
                && self.is_by(&grant, permission)
            {
                parts.push((grant, request.columns.clone()));
            }
        }
        parts
    }

    /// A request that names no columns.
    fn request(&self, release: Release, permit: Option<&PermitId>, at: UtcTime) -> AccessRequest {
        AccessRequest {
            caller: self.caller.clone(),
            purpose: Some(self.purpose),
            permit: permit.cloned(),
            collection: self.collection.clone(),
            release,
            columns: BTreeSet::new(),
            asked: Asked::default(),
            at,
        }
    }

    /// The most that the caller can have of what a permission is about, with the columns of it.
    fn most(
        &self,
        permission: &Permission,
        release: Release,
        permit: Option<&PermitId>,
        at: UtcTime,
    ) -> Option<(Grant, BTreeSet<String>)> {
        if !permission.covers_release(release) {
            return None;
        }
        let mut request = self.request(release, permit, at);
        request.columns = permission.columns.clone();
        match weigh(self.rules, &request) {
            Ok(grant) => return Some((grant, request.columns)),
            Err(Reason::Prohibited(_, rule)) if rule.columns.is_some() => {}
            // Where rows of some of the columns are prohibited, models of them do not come with rows.
            Err(Reason::Short(..)) if release == Release::Models && permission.models_come_with_rows() => {}
            Err(_) => return None,
        }
        // A prohibition of columns closes each by itself, so what is open one by one is open together.
        let mut open = BTreeSet::new();
        for column in &permission.columns {
            request.columns = [column.clone()].into();
            if weigh(self.rules, &request).is_ok() {
                open.insert(column.clone());
            }
        }
        request.columns = open;
        let grant = weigh(self.rules, &request).ok()?;
        Some((grant, request.columns))
    }
}
