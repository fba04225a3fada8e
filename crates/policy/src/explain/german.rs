//! What a refusal says, in German: the same reasons as `decide/refusal.rs` puts into English for data users.

use terms::{Problem, Purpose};

use crate::collection::{NODE_COLUMN, list};
use crate::decide::{AccessRequest, Nearest, Reason};
use crate::grant::Release;
use crate::lang::Lang;
use crate::matrix::conditions;
use crate::permit::{Permit, PermitGap};
use crate::queryable::{open_to, queryable};
use crate::rule::{Policy, Prohibition, Who, utc_day};
use crate::rules::Rules;

const DE: Lang = Lang::De;

/// What was refused, and what would be allowed instead.
pub(super) fn refusal(rules: &Rules, request: &AccessRequest, reason: &Reason<'_>) -> (String, String) {
    let collection = &request.collection;
    let member = &request.caller.member;
    match reason {
        Reason::NotAMember => (
            format!("{member} gehört dem Datenraum {} nicht an", rules.space.id),
            "das Gremium des Datenraums bitten, die Einrichtung in die Mitgliederliste aufzunehmen".to_owned(),
        ),
        Reason::Stopped => {
            let whom = match rules.stops.members.contains(member) {
                true => format!("das Mitglied {member}"),
                false => format!("diese Person von {member}"),
            };
            (
                format!("ein Mitglied des Gremiums hat {whom} gestoppt"),
                next_step(Problem::Stopped),
            )
        }
        Reason::NoPurpose(who) => (
            format!("die Anfrage nennt keinen Zweck, und ohne Zweck ist bei {collection} nichts erlaubt"),
            purposes(rules, request, who),
        ),
        Reason::ProhibitedUse(who, purpose) => (
            format!("Art. 54 EHDS verbietet {}", DE.purpose_with_code(*purpose)),
            purposes(rules, request, who),
        ),
        Reason::Prohibited(policy, rule) => prohibited(policy, rule, request),
        Reason::PermitStopped(id) => (
            format!("ein Mitglied des Gremiums hat die Datengenehmigung {id} gestoppt"),
            next_step(Problem::Stopped),
        ),
        Reason::PermitUnknown(id) => (
            format!("die Datengenehmigung {id} ist im Datenraum nicht bekannt"),
            next_step(Problem::PermitUnknown),
        ),
        Reason::PermitGap(permit, gap) => by_permit(permit, *gap, request),
        Reason::PermitExhausted(permit) => {
            let often = DE.quota(permit.queries).unwrap_or_default();
            let message = format!(
                "die Datengenehmigung {} lässt alle ihre Personen zusammen {often} fragen",
                permit.id
            );
            (message, next_step(Problem::Quota))
        }
        Reason::Reserved(who, purpose) => (
            format!(
                "Art. 53 Abs. 2 EHDS behält {} öffentlichen Stellen und denen vor, die für sie tätig sind, und die \
                 Mitgliederliste sagt das von {member} nicht",
                DE.purpose_with_code(*purpose)
            ),
            purposes(rules, request, who),
        ),
        Reason::Short(who, purpose, nearest) => by_shortfall(rules, request, who, *purpose, nearest),
        Reason::NoRule => {
            let open = queryable(rules, &request.caller, request.at);
            let remedy = match open.is_empty() {
                true => "dieser Person steht kein Datenbestand offen; das Gremium fragen".to_owned(),
                false => format!("offen stehen: {}", list(open.iter().map(|open| &open.collection.id))),
            };
            (format!("kein Regelwerk erlaubt etwas bei {collection}"), remedy)
        }
    }
}

fn prohibited(policy: &Policy, rule: &Prohibition, request: &AccessRequest) -> (String, String) {
    let Policy { id, version, .. } = policy;
    let what = conditions::prohibition(rule, DE);
    let message = format!(
        "das Verbot {} von {id}, Version {version}, trifft die Anfrage: {what}",
        rule.id
    );
    let columns = rule
        .columns
        .iter()
        .flat_map(|columns| columns.intersection(&request.columns));
    let columns: Vec<&String> = columns.collect();
    let remedy = match (columns.is_empty(), rule.release) {
        (false, _) => format!("weglassen: {}", list(columns)),
        (true, Some(Release::Rows | Release::Models)) => "nur nach Statistik fragen".to_owned(),
        (true, None | Some(Release::Aggregates)) => next_step(Problem::Prohibited),
    };
    (message, remedy)
}

fn by_permit(permit: &Permit, gap: PermitGap, request: &AccessRequest) -> (String, String) {
    let within = || next_step(Problem::PermitInvalid);
    let (what, remedy) = match gap {
        PermitGap::Person => ("nennt diese Person nicht".to_owned(), within()),
        PermitGap::Holder => (
            "wurde einer Einrichtung erteilt, die gestoppt ist oder dem Datenraum nicht mehr angehört".to_owned(),
            within(),
        ),
        PermitGap::NotYet => (format!("gilt erst ab {:.0}", permit.valid_from), within()),
        PermitGap::Expired => (format!("ist am {:.0} abgelaufen", permit.valid_until), within()),
        PermitGap::Withdrawn => ("wurde zurückgezogen".to_owned(), within()),
        PermitGap::Purpose => {
            let purposes = list(permit.purposes.iter().map(|purpose| DE.purpose_with_code(*purpose)));
            (
                "gilt für andere Zwecke".to_owned(),
                format!("Zwecke der Genehmigung: {purposes}"),
            )
        }
        PermitGap::Collection => (
            format!("gilt nicht für {}", request.collection),
            format!("Datenbestände der Genehmigung: {}", list(permit.columns.keys())),
        ),
        PermitGap::Release => (
            "ist eine bewilligte Datenanfrage, die nur in einem anonymisierten statistischen Format beantwortet wird (Art. 69)".to_owned(),
            format!(
                "nur nach Statistik fragen; {} brauchen eine Datengenehmigung nach Art. 68",
                released(request.release)
            ),
        ),
        PermitGap::Columns => {
            let known = permit.columns.get(&request.collection);
            let covered = |name: &&String| *name == NODE_COLUMN || known.is_some_and(|known| known.contains(*name));
            let missing = request.columns.iter().filter(|name| !covered(name));
            let remedy = known.map_or_else(within, |known| format!("Spalten der Genehmigung: {}", list(known)));
            (format!("deckt diese Spalten nicht: {}", list(missing)), remedy)
        }
    };
    (format!("die Datengenehmigung {} {what}", permit.id), remedy)
}

fn by_shortfall(
    rules: &Rules,
    request: &AccessRequest,
    who: &Who<'_>,
    purpose: Purpose,
    nearest: &Nearest<'_>,
) -> (String, String) {
    let Nearest {
        policy,
        permission,
        shortfall,
    } = nearest;
    let rule = format!(
        "die Erlaubnis {} von {}, Version {},",
        permission.id, policy.id, policy.version
    );
    if shortfall.assignee {
        let remedy = format!(
            "die Erlaubnis {} ist für: {}",
            permission.id,
            conditions::assignee(&permission.assignee, DE)
        );
        return (not_for(request, who), remedy);
    }
    if shortfall.stopped {
        let message = format!("ein Mitglied des Gremiums hat das Regelwerk {} gestoppt", policy.id);
        return (message, next_step(Problem::Stopped));
    }
    if shortfall.time {
        return out_of_time(policy, request);
    }
    if shortfall.purpose || shortfall.release || shortfall.columns > 0 {
        return not_covered(rules, request, who, purpose, nearest);
    }
    if shortfall.permit {
        let message = format!("{rule} verlangt eine Datengenehmigung, und die Anfrage nennt keine");
        return (message, next_step(Problem::PermitRequired));
    }
    if shortfall.window {
        let windows: Vec<String> = permission.windows.iter().map(|window| DE.window(window)).collect();
        let message = format!("{rule} gilt nicht zu dieser Zeit der Woche");
        return (message, format!("fragen zu: {}", windows.join("; ")));
    }
    let often = DE.quota(permission.disclosure.queries).unwrap_or_default();
    (
        format!("{rule} lässt eine Person {often} fragen"),
        next_step(Problem::Quota),
    )
}

fn not_for(request: &AccessRequest, who: &Who<'_>) -> String {
    let member = &request.caller.member;
    let roles = |held: bool| list(request.caller.roles.iter().filter(|role| who.acts_as(role) == held));
    let acting = match roles(true) {
        held if held.is_empty() => "ohne Rolle".to_owned(),
        held => format!("als {held}"),
    };
    let mut message = format!(
        "keine Erlaubnis bei {} ist für diese Person von {member}, {acting}",
        request.collection
    );
    let unheld = roles(false);
    if !unheld.is_empty() {
        message.push_str(&format!("; die Mitgliederliste gibt {member} die Rolle {unheld} nicht"));
    }
    message
}

fn out_of_time(policy: &Policy, request: &AccessRequest) -> (String, String) {
    let Policy {
        id,
        version,
        valid_from,
        valid_until,
        ..
    } = policy;
    if utc_day(request.at) < *valid_from {
        let message = format!("das Regelwerk {id}, Version {version}, gilt erst ab {valid_from} (UTC)");
        return (message, format!("am {valid_from} wieder fragen"));
    }
    let message = format!("das Regelwerk {id}, Version {version}, ist am {valid_until} abgelaufen (UTC)");
    (message, "das Gremium um eine erneuerte Version bitten".to_owned())
}

fn not_covered(
    rules: &Rules,
    request: &AccessRequest,
    who: &Who<'_>,
    purpose: Purpose,
    nearest: &Nearest<'_>,
) -> (String, String) {
    let Nearest {
        policy,
        permission,
        shortfall,
    } = nearest;
    let (mut lacking, mut remedies) = (Vec::new(), Vec::new());
    if shortfall.purpose {
        lacking.push(format!("den Zweck {}", DE.purpose_with_code(purpose)));
        remedies.push(purposes(rules, request, who));
    }
    if shortfall.release {
        let with_rows = request.release == Release::Models && permission.models_come_with_rows();
        lacking.push(match with_rows {
            true => "Modelle (sie kommen mit ihren Zeilen, und die trifft ein Verbot)".to_owned(),
            false => released(request.release).to_owned(),
        });
        remedies.push(match permission.release {
            Release::Models => "nur nach Modellen oder Statistik fragen".to_owned(),
            Release::Aggregates | Release::Rows => "nur nach Statistik fragen".to_owned(),
        });
    }
    if shortfall.columns > 0 {
        let missing = request.columns.difference(&permission.columns);
        lacking.push(format!("die Spalten {}", list(missing)));
        remedies.push(match permission.columns.is_empty() {
            true => "erlaubte Spalten: keine, nur zählen".to_owned(),
            false => format!("erlaubte Spalten: {}", list(&permission.columns)),
        });
    }
    if shortfall.permit {
        remedies.push("die Erlaubnis verlangt außerdem eine Datengenehmigung".to_owned());
    }
    let (rule, id, version) = (&permission.id, &policy.id, policy.version);
    let lacking = lacking.join(" und ");
    let message = format!("die Erlaubnis {rule} von {id}, Version {version}, deckt {lacking} nicht");
    (message, remedies.join("; "))
}

fn released(release: Release) -> &'static str {
    match release {
        Release::Rows => "einzelne Zeilen",
        Release::Models | Release::Aggregates => DE.release(release),
    }
}

fn purposes(rules: &Rules, request: &AccessRequest, who: &Who<'_>) -> String {
    match open_to(rules, who, &request.collection, request.at) {
        Some(open) => {
            let purposes = open.purposes.into_iter().map(|purpose| DE.purpose_with_code(purpose));
            format!("erlaubte Zwecke: {}", list(purposes))
        }
        None => format!("bei {} steht dieser Person kein Zweck offen", request.collection),
    }
}

/// What to do about a problem that has no better remedy.
fn next_step(problem: Problem) -> String {
    let text = match problem {
        Problem::Stopped => "das Gremium des Datenraums fragen; nur gemeinsam hebt es einen Stopp auf",
        Problem::PermitUnknown => "die Kennung der Datengenehmigung prüfen",
        Problem::PermitInvalid => "innerhalb der Datengenehmigung fragen, oder ihren Aussteller bitten, sie zu ändern",
        Problem::PermitRequired => "eine Datengenehmigung beantragen und mit --permit nennen",
        Problem::Quota => "warten, und mehrere Zahlen in einer Anfrage verlangen",
        Problem::Prohibited => {
            "keine Erlaubnis hebt ein Verbot auf; einen anderen Zweck nennen, wenn es wirklich ein anderer ist"
        }
        other => other.next_step(),
    };
    text.to_owned()
}
