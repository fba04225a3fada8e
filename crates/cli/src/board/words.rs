//! What a board is shown, in its language: changes, documents that wait for signatures, who has signed.

use std::collections::BTreeSet;

use policy::{Change, Lang};
use terms::Report;
use trust::{Draft, RoleKeys};

use super::desk::Desk;
use super::paper::Paper;
use super::pending::{Group, Standing, Whose};
use super::signed::keys_of;
use crate::show;

/// Changes as a table, what widens first.
pub(super) fn changes(changes: &[Change], lang: Lang) -> String {
    if changes.is_empty() {
        return lang
            .pick(
                "Nichts wird möglich, was es nicht war, und nichts unmöglich.",
                "Nothing becomes possible that was not, and nothing impossible.",
            )
            .to_owned();
    }
    let header = lang.pick(
        ["Wirkung", "wo", "was sich ändert"],
        ["effect", "where", "what changes"],
    );
    let mut table = show::table(header);
    for change in changes {
        table.add_row([change.effect.words(lang), &change.place, change.sentence(lang)]);
    }
    table.to_string()
}

/// What a delegation changes about who decides. Files alone do not show it: the same permits may be signed by others.
fn delegation_mark(before: Option<&RoleKeys>, after: &RoleKeys, lang: Lang) -> &'static str {
    let Some(before) = before else {
        return lang.pick(
            "ERWEITERT: von nun an unterschreiben diese anstelle des Boards",
            "WIDENS: from now on these sign in the place of the board",
        );
    };
    let more = after.keys.iter().any(|key| !before.keys.contains(key));
    if more || after.threshold < before.threshold {
        return lang.pick(
            "ERWEITERT: andere oder weniger als bisher genügen",
            "WIDENS: others, or fewer, than before are enough",
        );
    }
    if before == after {
        lang.pick("(unverändert)", "(unchanged)")
    } else {
        lang.pick("(enger als bisher)", "(narrower than before)")
    }
}

/// A document before it is signed: everything that its digest stands for.
pub(super) fn preview(desk: &Desk, paper: Paper, draft: &Draft, lang: Lang) -> Result<String, Report> {
    let (what, version) = (paper.words(lang), draft.version());
    let until = format!("{:.0}", draft.expires());
    let mut text = lang.pick(
        format!(
            "{what}, Version {version} des Datenraums {}, gilt bis {until}\n",
            draft.space()
        ),
        format!(
            "{what}, version {version} of the data space {}, holds until {until}\n",
            draft.space()
        ),
    );
    match draft.board() {
        Some(_) => board(desk, draft, lang, &mut text),
        None => files(desk, paper, draft, lang, &mut text)?,
    }
    text.push_str(&format!("  digest  {}\n", draft.digest()));
    Ok(text)
}

fn board(desk: &Desk, draft: &Draft, lang: Lang, text: &mut String) {
    let Some(new) = draft.board() else { return };
    let old = desk.signed.board();
    let of = lang.pick("von", "of");
    let (threshold, members) = (new.root.threshold, new.root.keys.len());
    text.push_str(&format!(
        "  {}: {threshold} {of} {members}\n",
        lang.pick("es unterschreiben", "who signs")
    ));
    if let Some(old) = old.filter(|old| old.root.threshold != threshold) {
        let before = lang.pick("bisher", "until now");
        text.push_str(&format!(
            "  {before}: {} {of} {}\n",
            old.root.threshold,
            old.root.keys.len()
        ));
    }
    let mark = |keys: &RoleKeys, key| match old.map(|_| keys.keys.contains(key)) {
        Some(false) => lang.pick("neu", "new"),
        _ => "",
    };
    for key in &new.root.keys {
        let mark = old.map_or("", |old| mark(&old.root, key));
        text.push_str(&format!("  {mark:7} {:16} {key}\n", desk.names.call(key)));
    }
    let gone = old
        .iter()
        .flat_map(|old| &old.root.keys)
        .filter(|key| !new.root.keys.contains(key));
    for key in gone {
        let leaves = lang.pick("geht", "leaves");
        text.push_str(&format!("  {leaves:7} {:16} {key}\n", desk.names.call(key)));
    }
    if new.targets != new.root {
        let other = lang.pick("Dateien unterschreiben andere", "others sign the files");
        text.push_str(&format!(
            "  {other}: {} {of} {}\n",
            new.targets.threshold,
            desk.names.list(&new.targets.keys)
        ));
    }
    for (role, keys) in [("snapshot", &new.snapshot), ("timestamp", &new.timestamp)] {
        let list: Vec<String> = keys.keys.iter().map(ToString::to_string).collect();
        let broker = lang.pick("Broker", "broker");
        text.push_str(&format!("  {broker:7} {role:16} {}\n", list.join(" ")));
    }
}

fn files(desk: &Desk, paper: Paper, draft: &Draft, lang: Lang, text: &mut String) -> Result<(), Report> {
    let before = desk
        .signed
        .document(paper)
        .map(|document| document.draft.files())
        .unwrap_or_default();
    let now = draft.files();
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut same = 0;
    for name in names {
        let mark = match (before.get(name), now.get(name)) {
            (Some(old), Some(new)) if old == new => {
                same += 1;
                continue;
            }
            (Some(_), Some(_)) => lang.pick("anders", "changed"),
            (None, _) => lang.pick("neu", "new"),
            (Some(_), None) => lang.pick("entfällt", "removed"),
        };
        let digest = now.get(name).map_or_else(String::new, |(_, digest)| digest.to_string());
        text.push_str(&format!("  {mark:8} {name}  {digest}\n"));
    }
    let unchanged = lang.pick("unverändert", "unchanged");
    text.push_str(&format!("  {unchanged}: {same}\n"));
    let (old, new) = (desk.signed.delegations(), draft.delegations());
    for role in trust::DelegatedRole::ALL {
        if paper != Paper::Targets {
            break;
        }
        match (keys_of(&old, role), keys_of(&new, role)) {
            (before, Some(keys)) => {
                let (signs, of) = (lang.pick("unterschreiben", "signed by"), lang.pick("von", "of"));
                let list = desk.names.list(&keys.keys);
                let mark = delegation_mark(before, keys, lang);
                text.push_str(&format!("  {role} {signs}: {} {of} {list}  {mark}\n", keys.threshold));
                for key in &keys.keys {
                    let is_new = before.is_none_or(|before| !before.keys.contains(key));
                    let mark = if is_new { lang.pick("neu", "new") } else { "" };
                    text.push_str(&format!("    {:16} {key}  {mark}\n", desk.names.call(key)));
                }
            }
            (Some(_), None) => {
                let again = lang.pick("unterschreibt wieder das Board", "signed by the board again");
                text.push_str(&format!("  {role} {again}\n"));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Who has signed a draft, and who is missing.
pub(super) fn standing(desk: &Desk, standing: &Standing, lang: Lang) -> String {
    let (name, version) = (standing.paper.name(), standing.draft.version());
    let groups = standing.groups.iter().map(|group| said(desk, group, lang));
    let groups: Vec<String> = groups.collect();
    format!("{name} version {version}: {}", groups.join("; "))
}

fn said(desk: &Desk, group: &Group, lang: Lang) -> String {
    let whose = match group.whose {
        Whose::OldBoard => lang.pick("bisheriges Board: ", "the old board: "),
        Whose::Board => "",
        Whose::Committee => lang.pick("Ausschuss: ", "the committee: "),
    };
    let (signed, threshold, lacks) = (group.signed.len(), group.threshold, group.lacks());
    let by = desk.names.list(&group.signed);
    let by = if signed == 0 { String::new() } else { format!(" ({by})") };
    let head = lang.pick(
        format!("{whose}{signed} von {threshold} nötigen haben unterschrieben{by}"),
        format!("{whose}{signed} of {threshold} signed{by}"),
    );
    if lacks == 0 {
        return head;
    }
    let missing = desk.names.list(&group.missing);
    lang.pick(
        format!("{head}; noch nötig: {lacks} von {missing}"),
        format!("{head}; missing: {lacks} of {missing}"),
    )
}
