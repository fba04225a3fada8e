//! A first question that the policies of a sandbox allow, to show a newcomer.
//!
//! It is found by asking `policy` to decide, so that what is shown works.

use std::collections::BTreeSet;

use policy::{AccessRequest, Caller, Decision, Release, Rules, decide};
use terms::{CollectionId, Purpose, Report, UtcTime};
use trust::Digest;

use crate::sandbox::layout::{Layout, Record};
use crate::sandbox::spec::Person;

/// The words after `datenraum query --sandbox DIR`; none if nobody may ask anything.
///
/// # Errors
/// If the files of the data space are not what was signed any more.
pub(super) fn first(layout: &Layout, now: UtcTime) -> Result<Option<String>, Report> {
    let record = Record::load(layout)?;
    let rules = Rules::compile_files(1, Digest::of(b""), &layout.space_files()?)?;
    let several = record.person.len() > 1;
    for person in &record.person {
        for collection in &record.collections {
            let Some((release, purpose)) = allowed(&rules, person, collection, now) else {
                continue;
            };
            let what = if release == Release::Aggregates {
                "count(*)"
            } else {
                "*"
            };
            let who = if several {
                format!(" --as {}", person.id)
            } else {
                String::new()
            };
            let table = collection.sql_name();
            return Ok(Some(format!("\"SELECT {what} FROM {table}\" --purpose {purpose}{who}")));
        }
    }
    Ok(None)
}

fn allowed(rules: &Rules, person: &Person, id: &CollectionId, at: UtcTime) -> Option<(Release, Purpose)> {
    let caller = Caller {
        member: person.member.clone(),
        person: person.id.clone(),
        roles: person.roles.clone(),
    };
    let all = || {
        rules
            .collections
            .get(id)
            .map(|c| c.columns.iter().map(|column| column.name.clone()).collect())
    };
    let preferred = [Purpose::Research, Purpose::Statistics]
        .into_iter()
        .chain(Purpose::all());
    let mut tried = preferred.flat_map(|purpose| [(Release::Aggregates, purpose), (Release::Rows, purpose)]);
    tried.find(|(release, purpose)| {
        let columns = if *release == Release::Aggregates {
            BTreeSet::new()
        } else {
            all().unwrap_or_default()
        };
        let request = AccessRequest {
            caller: caller.clone(),
            purpose: Some(*purpose),
            permit: None,
            collection: id.clone(),
            release: *release,
            columns,
            asked: policy::Asked::default(),
            at,
        };
        matches!(decide(rules, &request), Decision::Allow(_))
    })
}
