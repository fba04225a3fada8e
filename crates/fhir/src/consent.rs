//! Who consented to what: FHIR Consent resources, as the broad consent of the German Medical Informatics Initiative (MII) has them, become
//! the provisions that a node's register of consents keeps.
//!
//! Wherever a consent leaves something open, this says less than it might permit and more than it might deny. A denial is never lost: what
//! cannot be understood takes a person's permissions away, and what cannot be attributed to a person ends the reading.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::BufRead;

use jiff::tz::TimeZone;
use terms::{Problem, Report, UtcTime};

use crate::json::{Kind, Tape, Value};
use crate::moment::{Boundary, Moment};
use crate::read::{Found, for_each_resource, unreadable};
use crate::reference::key_of;
use crate::skipped::{Counts, Skipped, Wrong};
use crate::source::Source;

/// The code system of the MII's policies. Its codes, such as `2.16.840.1.113883.3.1937.777.24.5.3.8`, are those that a board's filters name.
pub const POLICIES: &str = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";

/// One provision of a person's consent, in the form of the node's register: a denial beats a permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provision {
    /// The person's key: that of the Patient.
    pub person: String,
    /// The code of the policy.
    pub code: String,
    /// Whether it permits; else it denies.
    pub permits: bool,
    /// From this time,
    pub valid_from: UtcTime,
    /// until before this time.
    pub valid_until: UtcTime,
}

/// What the consents of a collection say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consents {
    /// Each provision once, in the order of people and codes.
    pub provisions: Vec<Provision>,
    /// People of whom no permission was kept, because a consent of theirs cannot be understood.
    pub withheld: usize,
    /// What became of the resources: `unmet` are consents that are not active.
    pub counts: Counts,
}

/// Reads the consents of all files of a collection together: what one file says of a person counts against what another one does. A day is
/// one of `zone`'s calendar, from its first instant to before that of the next. `on_skipped` is told the number of the file too, from 0.
///
/// # Errors
/// That of a file that cannot be opened; `FhirFile` if one cannot be read on, or has something of which it cannot be said whose consent it is:
/// that could be a withdrawal.
pub fn consents<R: BufRead>(
    files: impl IntoIterator<Item = Result<R, Report>>,
    zone: &TimeZone,
    mut on_skipped: impl FnMut(usize, &Skipped),
) -> Result<Consents, Report> {
    let mut reading = Reading {
        zone,
        provisions: BTreeSet::new(),
        withheld: BTreeSet::new(),
        nobodys: 0,
        counts: Counts::default(),
    };
    let mut tape = Tape::default();
    for (number, file) in files.into_iter().enumerate() {
        let mut source = Source::of(file?);
        while let Some(text) = source.next().map_err(|error| unreadable(&error))? {
            for_each_resource(&mut tape, &text, &mut |found| {
                let skipped = reading.take(found);
                skipped.iter().for_each(|one| on_skipped(number, one));
                Ok::<(), Report>(())
            })?;
        }
    }
    reading.finish()
}

struct Reading<'z> {
    zone: &'z TimeZone,
    provisions: BTreeSet<Provision>,
    withheld: BTreeSet<String>,
    nobodys: u64,
    counts: Counts,
}

/// From when until when; what is not said is open.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    from: Option<UtcTime>,
    until: Option<UtcTime>,
}

impl Reading<'_> {
    fn finish(self) -> Result<Consents, Report> {
        if self.nobodys > 0 {
            let message = format!(
                "{} texts or consents name nobody whose they are; each could be a withdrawal",
                self.nobodys
            );
            let remedy = "mend what was named, and read the files again; nothing was kept of them";
            return Err(Problem::FhirFile.report(message).remedy(remedy));
        }
        let is_kept = |provision: &Provision| !provision.permits || !self.withheld.contains(&provision.person);
        Ok(Consents {
            withheld: self.withheld.len(),
            provisions: self.provisions.into_iter().filter(is_kept).collect(),
            counts: self.counts,
        })
    }

    /// Takes what stands in a file, and says what of it was not taken.
    fn take(&mut self, found: Result<Found<'_>, Skipped>) -> Vec<Skipped> {
        let skipped = match found {
            Ok(found) => self.consent(&found),
            Err(skipped) => {
                self.nobodys += 1;
                vec![skipped]
            }
        };
        self.counts.skipped += skipped.len() as u64;
        skipped
    }

    fn consent(&mut self, found: &Found<'_>) -> Vec<Skipped> {
        let consent = found.resource;
        if found.kind != "Consent" {
            self.counts.other += 1;
            return Vec::new();
        }
        if consent.field("status").and_then(Value::as_text) != Some("active") {
            self.counts.unmet += 1;
            return Vec::new();
        }
        let patient = consent.field("patient");
        let Some(person) = patient.and_then(|patient| key_of(patient, Some("Patient"), found.bundled)) else {
            self.nobodys += 1;
            return vec![found.skipped(Wrong::Consent {
                what: "does not say by its key whose it is",
            })];
        };
        self.counts.read += 1;
        let mut whats = Vec::new();
        let given = Span {
            from: consent
                .field("dateTime")
                .and_then(|given| self.edge(given, Edge::Start, true)),
            until: None,
        };
        let is_clear = consent.field("modifierExtension").is_none()
            && consent
                .field("provision")
                .into_iter()
                .flat_map(Value::elements)
                .all(|base| self.provision(person, base, Span::default(), given, &mut whats));
        if !is_clear {
            self.withheld.insert(person.to_owned());
            whats.push("cannot be understood; no permission of the person was kept");
        }
        whats
            .into_iter()
            .map(|what| found.skipped(Wrong::Consent { what }))
            .collect()
    }

    /// Keeps what a provision and those inside it say. False, if it cannot be understood.
    fn provision(
        &mut self,
        person: &str,
        provision: Value<'_>,
        outside: Span,
        given: Span,
        whats: &mut Vec<&'static str>,
    ) -> bool {
        if !matches!(provision.kind(), Kind::Object) || provision.field("modifierExtension").is_some() {
            return false;
        }
        let codes = codes(provision);
        let permits = match provision.field("type").and_then(Value::as_text) {
            Some("permit") => true,
            Some("deny") => false,
            // A rule without a type and without a code says nothing by itself.
            None if codes.is_empty() => true,
            _ => return false,
        };
        let own = self.period(provision, permits);
        match (permits, codes.is_empty()) {
            (_, true) => {}
            (true, false) => match permission(provision, own, outside, given) {
                Ok(span) => self.keep(person, &codes, true, span),
                Err(what) => whats.push(what),
            },
            (false, false) => self.keep(person, &codes, false, own.unwrap_or_default()),
        }
        let mut nested = provision
            .field("provision")
            .into_iter()
            .flat_map(Value::elements)
            .peekable();
        if nested.peek().is_none() {
            return true;
        }
        // The period of a rule is that of its exceptions too, whatever it says by itself.
        let Some(inside) = self.period(provision, true).map(|own| own.within(outside)) else {
            return false;
        };
        let mut is_clear = true;
        for provision in nested {
            is_clear &= self.provision(person, provision, inside, given, whats);
        }
        is_clear
    }

    fn keep(&mut self, person: &str, codes: &[&str], permits: bool, span: Span) {
        let (valid_from, valid_until) = (span.from.unwrap_or(UtcTime::MIN), span.until.unwrap_or(UtcTime::MAX));
        if valid_from >= valid_until {
            return;
        }
        for code in codes {
            self.provisions.insert(Provision {
                person: person.to_owned(),
                code: (*code).to_owned(),
                permits,
                valid_from,
                valid_until,
            });
        }
    }

    /// A provision's period: none, if it has one that cannot be read. Of a permission it is the shortest that it can be, of a denial the longest.
    fn period(&self, provision: Value<'_>, permits: bool) -> Option<Span> {
        let Some(period) = provision.field("period") else {
            return Some(Span::default());
        };
        let edge = |name, edge| match period.field(name) {
            None => Some(None),
            Some(text) => self.edge(text, edge, permits).map(Some),
        };
        match (edge("start", Edge::Start), edge("end", Edge::End)) {
            (Some(from), Some(until)) => Some(Span { from, until }),
            _ => None,
        }
    }

    /// The instant at which a period begins or before which it ends. An end takes the whole of what it names in, FHIR Period.
    fn edge(&self, text: Value<'_>, edge: Edge, permits: bool) -> Option<UtcTime> {
        let moment = Moment::parse(text.as_text()?)?;
        if moment.has_time() {
            let instant = moment.instant()?;
            let second = jiff::SignedDuration::from_secs(i64::from(edge == Edge::End && !permits));
            return instant.checked_add(second).ok();
        }
        // Of what is not said, a permission has the least.
        let side = if permits == (edge == Edge::Start) {
            Boundary::High
        } else {
            Boundary::Low
        };
        let days = moment.boundary(side, None)?.days()?;
        let epoch = jiff::civil::date(1970, 1, 1);
        let day = epoch
            .checked_add(
                jiff::Span::new()
                    .try_days(i64::from(days) + i64::from(edge == Edge::End))
                    .ok()?,
            )
            .ok()?;
        Some(day.to_zoned(self.zone.clone()).ok()?.timestamp())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl Span {
    /// What of it is in another one too.
    fn within(self, outside: Span) -> Span {
        Span {
            from: self.from.max(outside.from),
            until: match (self.until, outside.until) {
                (Some(own), Some(other)) => Some(own.min(other)),
                (own, other) => own.or(other),
            },
        }
    }
}

/// From when until when a permission holds, or why it is none that a node could keep.
fn permission(provision: Value<'_>, own: Option<Span>, outside: Span, given: Span) -> Result<Span, &'static str> {
    const CONDITIONS: [&str; 7] = [
        "actor",
        "action",
        "securityLabel",
        "purpose",
        "class",
        "dataPeriod",
        "data",
    ];
    if CONDITIONS.iter().any(|condition| provision.field(condition).is_some()) {
        return Err("has a permission with a condition, which was not kept");
    }
    let own = own.ok_or("has a permission with a period that cannot be read, which was not kept")?;
    let span = own.within(outside);
    let from = span.from.or(given.from);
    from.map(|from| Span {
        from: Some(from),
        ..span
    })
    .ok_or("has a permission that does not say since when, which was not kept")
}

/// The codes of policies that a provision is about.
fn codes<'d>(provision: Value<'d>) -> Vec<&'d str> {
    let concepts = provision.field("code").into_iter().flat_map(Value::elements);
    let codings = concepts.flat_map(|concept| concept.field("coding").into_iter().flat_map(Value::elements));
    let of_policies = codings.filter(|coding| coding.field("system").and_then(Value::as_text) == Some(POLICIES));
    of_policies
        .filter_map(|coding| coding.field("code").and_then(Value::as_text))
        .collect()
}
