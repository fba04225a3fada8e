//! May this person ask this, for this purpose, and which words in which line decide?
//!
//! It must never decide anything: the answer is that of [`weigh`], and the lines are quoted from the files as their
//! authors wrote them. English refusals are those that a data user reads (`decide/refusal.rs`); the German ones are in
//! `explain/german.rs`.

mod german;
mod quote;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use terms::Problem;
use toml::de::DeTable;

use self::quote::Text;
use crate::collection::{NODE_COLUMN, list};
use crate::decide::{AccessRequest, Nearest, Reason, Refusal, refusal_of, weigh};
use crate::disclosure::Quota;
use crate::grant::{Grant, Release};
use crate::lang::Lang;
use crate::matrix::conditions;
use crate::permit::{OptOut, Permit, PermitGap};
use crate::rule::{Permission, Policy, Prohibition};
use crate::rules::Rules;

pub use self::quote::Words;

/// The answer to one question of a board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Whether the request may run.
    pub allowed: bool,
    /// The stable code of a refusal.
    pub problem: Option<Problem>,
    /// The answer in one sentence.
    pub sentence: String,
    /// The lines that decide, in the order in which they are looked at.
    pub because: Vec<Words>,
    /// What holds for the answer, if there is one.
    pub obligations: Vec<String>,
    /// What would be allowed, or what to do, if there is none.
    pub remedy: Option<String>,
}

/// Explains what is decided about a request. `files` are those that the rules were read from.
pub fn explain(rules: &Rules, files: &BTreeMap<String, Vec<u8>>, request: &AccessRequest, lang: Lang) -> Explanation {
    let mut because = Because {
        files,
        request,
        words: Vec::new(),
    };
    match weigh(rules, request) {
        Ok(grant) => {
            because.of_grant(rules, &grant);
            Explanation {
                allowed: true,
                problem: None,
                sentence: yes(request, &grant, lang),
                because: because.words,
                obligations: obligations(rules, &grant, &request.columns, lang),
                remedy: None,
            }
        }
        Err(reason) => {
            because.of_refusal(rules, &reason);
            let Refusal {
                problem,
                message,
                remedy,
                ..
            } = refusal_of(rules, request, &reason);
            let (message, remedy) = match lang {
                Lang::En => (message, remedy),
                Lang::De => german::refusal(rules, request, &reason),
            };
            Explanation {
                allowed: false,
                problem: Some(problem),
                sentence: format!("{}: {message}", lang.pick("Nein", "No")),
                because: because.words,
                obligations: Vec::new(),
                remedy: Some(remedy),
            }
        }
    }
}

fn yes(request: &AccessRequest, grant: &Grant, lang: Lang) -> String {
    let who = format!("{}/{}", request.caller.member, request.caller.person);
    let what = lang.release(request.release);
    let columns = match request.columns.is_empty() {
        true => lang
            .pick("ohne Spalten, also Anzahlen", "without any column, so counts")
            .to_owned(),
        false => format!("{} {}", lang.pick("über", "over"), list(&request.columns)),
    };
    let purpose = request
        .purpose
        .map_or_else(String::new, |purpose| lang.purpose_with_code(purpose));
    let (collection, rule, policy, version) = (&request.collection, grant.rule(), grant.policy(), grant.version());
    lang.pick(
        format!(
            "Ja: {who} bekommt {what} aus {collection} {columns}, Zweck {purpose}; so sagt es die Erlaubnis {rule} von {policy}, \
             Version {version}"
        ),
        format!(
            "Yes: {who} gets {what} of {collection} {columns} for {purpose}; permission {rule} of {policy} version {version} \
             says so"
        ),
    )
}

/// What holds for an answer: in the order in which it touches it.
fn obligations(rules: &Rules, grant: &Grant, asked: &BTreeSet<String>, lang: Lang) -> Vec<String> {
    let found = rules.policy(grant.policy());
    let permission = found.and_then(|policy| policy.permissions.iter().find(|rule| rule.id == *grant.rule()));
    let Some((policy, permission)) = found.zip(permission) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let only = match grant.release() {
        Release::Aggregates => Some(lang.pick(
            "nur Statistik, keine einzelnen Zeilen",
            "statistics only, no single rows",
        )),
        Release::Models => Some(lang.pick(
            "nur Summen für Modelle, keine einzelnen Zeilen",
            "only sums for models, no single rows",
        )),
        Release::Rows => None,
    };
    all.extend(only.map(str::to_owned));
    all.push(conditions::checks(permission, grant.release(), lang));
    let shown = asked.iter().filter(|name| permission.transforms.contains_key(*name));
    all.extend(shown.map(|name| conditions::shown_of(permission, name, lang)));
    all.extend(grant.row_filter().map(|filter| lang.row_filter(filter)));
    if grant.collection().personal {
        all.push(opt_out(grant.opt_out(), lang));
    }
    all.extend(quota_of_person(permission.disclosure.queries, lang));
    all.extend(grant.permit().and_then(|permit| quota_of_permit(permit, lang)));
    if !permission.windows.is_empty() {
        let windows: Vec<String> = permission.windows.iter().map(|window| lang.window(window)).collect();
        all.push(format!(
            "{}: {}",
            lang.pick("nur zu diesen Zeiten", "at these times only"),
            windows.join("; ")
        ));
    }
    all.extend(
        grant
            .duties()
            .map(|duty| format!("{}: {}", lang.pick("Pflicht", "duty"), lang.duty(duty))),
    );
    let until = policy.valid_until;
    all.push(lang.pick(format!("bis {until} (UTC)"), format!("until {until} (UTC)")));
    all
}

fn quota_of_person(quota: Quota, lang: Lang) -> Option<String> {
    let often = lang.quota(quota)?;
    Some(lang.pick(
        format!("eine Person darf {often} fragen"),
        format!("one person may ask {often}"),
    ))
}

fn quota_of_permit(permit: &Permit, lang: Lang) -> Option<String> {
    let often = lang.quota(permit.queries)?;
    Some(lang.pick(
        format!("alle Personen der Genehmigung zusammen dürfen {often} fragen"),
        format!("all persons of the permit together may ask {often}"),
    ))
}

fn opt_out(opt_out: &OptOut, lang: Lang) -> String {
    match opt_out {
        OptOut::AtQuery => lang.pick(
            "wer der Sekundärnutzung widersprochen hat, wenn die Anfrage läuft, kommt nicht vor (Art. 71)".to_owned(),
            "people who have opted out when the query runs are left out (Art. 71)".to_owned(),
        ),
        OptOut::AsOf(issued) => lang.pick(
            format!("wer bis {issued:.0} widersprochen hatte, kommt nicht vor: Stand der Genehmigung (Art. 71 Abs. 3)"),
            format!("people who had opted out by {issued:.0} are left out: when the permit was issued (Art. 71(3))"),
        ),
        OptOut::Exempt { reason } => lang.pick(
            format!("Widersprüche gelten hier nicht (Art. 71 Abs. 4): {reason}"),
            format!("opt-outs do not count here (Art. 71(4)): {reason}"),
        ),
    }
}

/// The lines that decide.
struct Because<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    request: &'a AccessRequest,
    words: Vec<Words>,
}

impl Because<'_> {
    fn push(&mut self, lines: Vec<Words>) {
        for line in lines {
            let is_new = !self
                .words
                .iter()
                .any(|words| (&words.path, words.line) == (&line.path, line.line));
            if is_new {
                self.words.push(line);
            }
        }
    }

    fn of_grant(&mut self, rules: &Rules, grant: &Grant) {
        let found = rules.policy(grant.policy());
        let permission = found.and_then(|policy| policy.permissions.iter().find(|rule| rule.id == *grant.rule()));
        let Some((policy, permission)) = found.zip(permission) else {
            return;
        };
        self.of_validity(policy);
        if let Some(permit) = grant.permit() {
            self.of_permit(
                permit,
                &[
                    "persons",
                    "valid_from",
                    "valid_until",
                    "purposes",
                    "kind",
                    "queries",
                    "opt_out",
                ],
            );
        }
        let keys = [
            "id", "assignee", "purposes", "permit", "release", "columns", "rows", "when",
        ];
        self.of_permission(policy, permission, &keys);
        let keys = [
            "disclosure.tier",
            "disclosure.min_people",
            "disclosure.dominance",
            "disclosure.p_percent",
            "disclosure.round_to",
            "disclosure.zeros",
            "disclosure.queries",
        ];
        self.of_transforms(policy, permission);
        self.of_permission(policy, permission, &keys);
        if grant.release() == Release::Models {
            let keys = ["sum", "min_nodes", "parameters", "reason", "steps", "overlaps"];
            let keys = keys.map(|key| format!("models.{key}"));
            self.of_permission(policy, permission, &keys.each_ref().map(String::as_str));
        }
        let Some(text) = Text::read(self.files, &policy.path) else {
            return;
        };
        self.push(text.tables(text.root(), "duty"));
        if let Some(rule) = text.entry("permission", "id", permission.id.as_str()) {
            self.push(text.tables(rule, "duty"));
        }
    }

    fn of_refusal(&mut self, rules: &Rules, reason: &Reason<'_>) {
        match reason {
            Reason::NotAMember | Reason::Stopped | Reason::NoPurpose(_) | Reason::NoRule => {}
            Reason::PermitStopped(_) | Reason::PermitUnknown(_) => {}
            Reason::ProhibitedUse(_, purpose) => {
                // Article 54 decides; where a board has written it down, that is shown.
                for policy in rules.in_force(&self.request.collection, self.request.at) {
                    let named = |rule: &&Prohibition| rule.purposes.as_ref().is_some_and(|all| all.contains(purpose));
                    for rule in policy.prohibitions.iter().filter(named) {
                        self.of_prohibition(policy, rule);
                    }
                }
            }
            Reason::Prohibited(policy, rule) => self.of_prohibition(policy, rule),
            Reason::PermitGap(permit, gap) => self.of_gap(permit, *gap),
            Reason::PermitExhausted(permit) => self.of_permit(permit, &["queries"]),
            Reason::Reserved(..) => self.of_roster(&["roles", "acts_for"]),
            Reason::Short(_, _, nearest) => self.of_shortfall(nearest),
        }
    }

    fn of_shortfall(&mut self, nearest: &Nearest<'_>) {
        let Nearest {
            policy,
            permission,
            shortfall,
        } = nearest;
        if shortfall.assignee {
            self.of_permission(policy, permission, &["id", "assignee"]);
            return self.of_roster(&["roles"]);
        }
        if shortfall.stopped {
            return;
        }
        if shortfall.time {
            return self.of_validity(policy);
        }
        let lacking = [
            (true, "id"),
            (shortfall.purpose, "purposes"),
            (shortfall.release, "release"),
            (shortfall.columns > 0, "columns"),
            (shortfall.permit, "permit"),
            (shortfall.window, "when"),
            (shortfall.quota, "disclosure.queries"),
        ];
        for (_, key) in lacking.into_iter().filter(|(lacks, _)| *lacks) {
            self.of_permission(policy, permission, &[key]);
        }
    }

    fn of_validity(&mut self, policy: &Policy) {
        let Some(text) = Text::read(self.files, &policy.path) else {
            return;
        };
        for key in ["valid_from", "valid_until"] {
            self.push(text.key(text.root(), key));
        }
    }

    fn of_permission(&mut self, policy: &Policy, permission: &Permission, keys: &[&str]) {
        let Some(text) = Text::read(self.files, &policy.path) else {
            return;
        };
        if let Some(rule) = text.entry("permission", "id", permission.id.as_str()) {
            for key in keys {
                self.push(self.quoted(&text, rule, key));
            }
        }
    }

    /// Those of the columns that are asked for.
    fn of_transforms(&mut self, policy: &Policy, permission: &Permission) {
        let asked = permission
            .transforms
            .keys()
            .filter(|name| self.request.columns.contains(*name));
        let keys: Vec<String> = asked.map(|name| format!("transforms.{name}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.of_permission(policy, permission, &keys);
    }

    fn of_prohibition(&mut self, policy: &Policy, rule: &Prohibition) {
        let Some(text) = Text::read(self.files, &policy.path) else {
            return;
        };
        if let Some(rule) = text.entry("prohibition", "id", rule.id.as_str()) {
            for key in ["id", "assignee", "purposes", "release", "columns", "when"] {
                self.push(self.quoted(&text, rule, key));
            }
        }
    }

    /// Of a list only the lines that name what was asked for.
    fn quoted(&self, text: &Text<'_>, table: &DeTable<'_>, key: &str) -> Vec<Words> {
        match key {
            "columns" => text.items(table, key, |name| self.request.columns.contains(name)),
            "purposes" => text.items(table, key, |code| {
                self.request.purpose.is_some_and(|purpose| purpose.code() == code)
            }),
            _ => text.key(table, key),
        }
    }

    fn of_gap(&mut self, permit: &Permit, gap: PermitGap) {
        let key = match gap {
            PermitGap::Person => "persons",
            PermitGap::Holder => "holder",
            PermitGap::NotYet => "valid_from",
            PermitGap::Expired => "valid_until",
            PermitGap::Withdrawn => "withdrawn",
            PermitGap::Purpose => "purposes",
            PermitGap::Release => "kind",
            PermitGap::Collection | PermitGap::Columns => return self.of_dataset(permit, gap),
        };
        self.of_permit(permit, &[key]);
    }

    fn of_permit(&mut self, permit: &Permit, keys: &[&str]) {
        let path = format!("permits/{}.toml", permit.id);
        let Some(text) = Text::read(self.files, &path) else {
            return;
        };
        for key in keys {
            self.push(self.quoted(&text, text.root(), key));
        }
        if !keys.contains(&"withdrawn") && keys.len() > 1 {
            self.of_dataset(permit, PermitGap::Columns);
        }
    }

    fn of_dataset(&mut self, permit: &Permit, gap: PermitGap) {
        let path = format!("permits/{}.toml", permit.id);
        let Some(text) = Text::read(self.files, &path) else {
            return;
        };
        match text.entry("dataset", "collection", self.request.collection.as_str()) {
            Some(dataset) if gap == PermitGap::Columns => {
                self.push(text.key(dataset, "collection"));
                self.push(text.items(dataset, "columns", |name| {
                    name != NODE_COLUMN && self.request.columns.contains(name)
                }));
            }
            Some(_) | None => {
                for collection in permit.columns.keys() {
                    if let Some(dataset) = text.entry("dataset", "collection", collection.as_str()) {
                        self.push(text.key(dataset, "collection"));
                    }
                }
            }
        }
    }

    fn of_roster(&mut self, keys: &[&str]) {
        let Some(text) = Text::read(self.files, "members.toml") else {
            return;
        };
        if let Some(member) = text.entry("member", "id", self.request.caller.member.as_str()) {
            for key in keys {
                self.push(text.key(member, key));
            }
        }
    }
}
