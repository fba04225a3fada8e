//! `board check`: everything that a board should know before it signs, on one page.

use policy::Lang;
use terms::{ExitCode, Report};
use trust::AcceptedStop;

use super::desk::Desk;
use super::examine::Examination;
use super::paper::Paper;
use super::pending::Standing;
use super::read::{against, time};
use super::words;
use crate::args::board::CheckArgs;
use crate::show;

/// Everything that was looked at.
struct Checked {
    desk: Desk,
    lang: Lang,
    found: Examination,
    standings: Vec<Standing>,
    /// Why drafts are not what the present files give.
    outdated: Vec<Report>,
    stops: Vec<AcceptedStop>,
}

/// Checks everything.
///
/// # Errors
/// What a node would refuse; `Cases` if a case fails or a finding is an error, after everything was shown.
pub(super) fn run(args: &CheckArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang, at) = (Desk::open(&args.place)?, args.place.lang(), time(args.at.as_deref())?);
    let drafts = desk.pending.drafts.iter();
    let outdated = drafts.filter_map(|(paper, draft)| desk.require_current(*paper, draft).err());
    let checked = Checked {
        lang,
        found: Examination::of(&desk, at)?,
        standings: desk.standings()?,
        outdated: outdated.collect(),
        stops: desk.stops()?,
        desk,
    };
    if json {
        show::json(&checked.json())?;
    } else {
        checked.files()?;
        checked.signatures()?;
    }
    checked.found.require_good(lang)?;
    Ok(ExitCode::Ok)
}

impl Checked {
    fn json(&self) -> serde_json::Value {
        let (desk, found) = (&self.desk, &self.found);
        let stop = |stop: &AcceptedStop| {
            serde_json::json!({
                "stopped": stop.stop.stopped, "reason": stop.stop.reason, "at": stop.stop.at,
                "by": desk.names.call(&stop.signer), "digest": stop.digest, "lifted": self.is_lifted(stop),
            })
        };
        serde_json::json!({
            "space": found.rules.space.id,
            "findings": found.lints,
            "cases": { "passed": found.passed, "failed": found.failed },
            "changes": found.changes,
            "signed": desk.signed_json(),
            "drafts": self.standings.iter().map(|standing| standing.json(&desk.names)).collect::<Vec<_>>(),
            "outdated_drafts": self.outdated,
            "stops": self.stops.iter().map(stop).collect::<Vec<_>>(),
        })
    }

    fn is_lifted(&self, stop: &AcceptedStop) -> bool {
        self.found.rules.space.lifted.contains(&stop.digest)
    }

    /// What the present files say, and what that changes.
    fn files(&self) -> Result<(), Report> {
        let (found, lang) = (&self.found, self.lang);
        let (space, policies, members) = (
            &found.rules.space.id,
            found.rules.policies().count(),
            found.rules.members.len(),
        );
        show::text(lang.pick(
            format!("{space}: {policies} Regelwerke, {members} Mitglieder; die Knoten würden damit arbeiten"),
            format!("{space}: policies: {policies}, members: {members}; nodes would work under them"),
        ))?;
        for lint in &found.lints {
            show::text(format!("{}: {}", lint.severity.words(lang), lint.sentence(lang)))?;
        }
        let (passed, failed) = (found.passed, found.failed.len());
        show::text(lang.pick(
            format!("Fälle: {passed} stimmen, {failed} nicht"),
            format!("cases: {passed} hold, {failed} do not"),
        ))?;
        for case in &found.failed {
            let said = lang.pick(&case.de, &case.en);
            show::text(format!("  {}, {:?}: {said}", case.place, case.name))?;
        }
        show::text(against(found.has_base, lang))?;
        show::text(words::changes(&found.changes, lang))
    }

    /// What was signed, what waits for signatures, what is stopped.
    fn signatures(&self) -> Result<(), Report> {
        let (desk, lang) = (&self.desk, self.lang);
        for paper in Paper::ALL {
            let Some(document) = desk.signed.document(paper) else {
                continue;
            };
            let (name, version, until) = (paper.name(), document.draft.version(), document.draft.expires());
            show::text(lang.pick(
                format!("unterschrieben: {name} Version {version}, gilt bis {until:.0}"),
                format!("signed: {name} version {version}, holds until {until:.0}"),
            ))?;
        }
        for report in &self.outdated {
            let warning = lang.pick("Warnung", "warning");
            show::text(format!("{warning}: {}; {}", report.message, report.remedy))?;
        }
        for standing in &self.standings {
            show::text(words::standing(desk, standing, lang))?;
            show::text(format!("  digest {}", standing.draft.digest()))?;
        }
        for stop in self.stops.iter().filter(|stop| !self.is_lifted(stop)) {
            let (by, stopped) = (desk.names.call(&stop.signer), lang.pick("angehalten", "stopped"));
            let line = format!("{stopped}: {}, {by}: {}", stop.stop.stopped, stop.stop.reason);
            show::text(format!("{line}  {}", stop.digest))?;
        }
        Ok(())
    }
}
