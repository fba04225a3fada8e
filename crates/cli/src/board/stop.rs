//! `board stop`: one member ends what a policy, a permit, an institution or a person may do; together the board lifts it.

use std::ops::Range;

use policy::Rules;
use serde::Deserialize;
use terms::{Clock as _, ExitCode, Problem, Report, SystemClock};
use toml::Spanned;
use trust::{Digest, Stop, Stopped};

use super::desk::Desk;
use super::examine::rules_of;
use super::folder;
use super::passphrase;
use super::publish::Press;
use crate::args::board::StopArgs;
use crate::show;

/// Stops something, or notes that a stop is lifted.
///
/// # Errors
/// `PolicySignature` if the key is not one of the board; `Usage` if the reason is not one line; what the broker refuses.
pub(super) async fn run(args: StopArgs, json: bool) -> Result<ExitCode, Report> {
    if let Some(digest) = args.lift {
        return lift(&args, digest, json);
    }
    let (Some(stopped), Some(reason), Some(key)) = (args.stopped(), &args.reason, &args.key) else {
        return Err(Problem::Usage.report("a stop says what it stops, why, and who signs"));
    };
    let (desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    let space = desk.space()?;
    let board = desk
        .signed
        .board()
        .ok_or_else(|| Problem::PolicyNone.report("nothing was signed yet, so nothing can be stopped"))?;
    let press = Press::open(&args.to, &space).await;
    let key = passphrase::open_key(key, args.passphrase_file.as_deref())?;
    if !board.targets.keys.contains(&key.public()) {
        let message = format!("the key {} is not one of the board", desk.names.call(&key.public()));
        let remedy = format!("those who can stop: {}", desk.names.list(&board.targets.keys));
        return Err(Problem::PolicySignature.report(message).remedy(remedy));
    }
    let stop = Stop::new(space.clone(), stopped.clone(), reason, SystemClock.now())?;
    let envelope = stop
        .seal(&key)
        .map_err(|error| Problem::Internal.report(error.to_string()))?;
    let accepted = Stop::open(&envelope, &board.targets.keys, &space)?;
    // Kept before it is published: without a line to the broker it must not be lost.
    let kept = desk.folder.stops().join(format!("{}.json", accepted.digest.hex()));
    folder::write(&kept, &envelope.to_bytes())?;
    if let Some(out) = &args.out {
        folder::write(out, &envelope.to_bytes())?;
    }
    let published = match press? {
        Some(press) => press.publish_stop(&envelope).await.map(|()| true)?,
        None => false,
    };
    if json {
        let told =
            serde_json::json!({ "stopped": stopped, "digest": accepted.digest, "published": published, "file": kept });
        show::json(&told)?;
        return Ok(ExitCode::Ok);
    }
    show::text(lang.pick(
        format!(
            "angehalten: {stopped}; aufheben kann es nur das Board gemeinsam: datenraum board stop --lift {}",
            accepted.digest
        ),
        format!(
            "stopped: {stopped}; only the board together can lift it: datenraum board stop --lift {}",
            accepted.digest
        ),
    ))?;
    if !is_known(&desk, &stopped) {
        show::text(lang.pick(
            format!("Achtung: {stopped} kommt in diesen Dateien nicht vor; prüfen Sie, wie es geschrieben wird"),
            format!("mind: {stopped} does not occur in these files; check how it is spelt"),
        ))?;
    }
    if !published {
        let file = kept.display();
        show::text(lang.pick(
            format!("noch nicht veröffentlicht: {file} gilt erst, wenn `datenraum board publish` es zum Broker bringt"),
            format!("not published yet: {file} takes effect when `datenraum board publish` brings it to the broker"),
        ))?;
    }
    Ok(ExitCode::Ok)
}

/// Whether what is stopped occurs in the files, signed or present. A stop for nothing is most likely a slip of the pen.
fn is_known(desk: &Desk, stopped: &Stopped) -> bool {
    let occurs = |rules: &Rules| match stopped {
        Stopped::Policy(id) => rules.policies().any(|policy| policy.id == *id),
        Stopped::Permit(id) => rules.permits.contains_key(id),
        Stopped::Member(id) | Stopped::Person(id, _) => rules.members.contains_key(id),
    };
    let signed = desk.signed.files(&desk.folder).ok().flatten();
    let signed = signed.and_then(|files| rules_of(&files).ok());
    signed.as_ref().is_some_and(occurs) || rules_of(&desk.files).is_ok_and(|rules| occurs(&rules))
}

fn lift(args: &StopArgs, digest: Digest, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    let text = desk
        .files
        .get("space.toml")
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let text = lifted(&text.unwrap_or_default(), digest)?;
    folder::write(&desk.folder.file("space.toml"), text.as_bytes())?;
    let known = desk.stops()?.into_iter().find(|stop| stop.digest == digest);
    let what = known.map_or_else(|| digest.to_string(), |stop| stop.stop.stopped.to_string());
    if json {
        show::json(&serde_json::json!({ "lifted": digest, "stopped": what }))?;
        return Ok(ExitCode::Ok);
    }
    show::text(lang.pick(
        format!("{what}: in space.toml als aufgehoben vermerkt; gilt, sobald das Board unterschrieben und veröffentlicht hat"),
        format!("{what}: noted as lifted in space.toml; it takes effect when the board has signed and published"),
    ))?;
    Ok(ExitCode::Ok)
}

/// `space.toml` with one more digest in `lifted`. The rest, comments included, stays as people wrote it.
fn lifted(text: &str, digest: Digest) -> Result<String, Report> {
    #[derive(Deserialize)]
    struct Written {
        lifted: Option<Spanned<Vec<Spanned<Digest>>>>,
    }
    let written: Written = terms::text::parse_toml("space.toml", text)?;
    let Some(list) = written.lifted else {
        let line = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        return Ok(format!("{text}{line}lifted = [\"{digest}\"]\n"));
    };
    if list.get_ref().iter().any(|known| *known.get_ref() == digest) {
        return Ok(text.to_owned());
    }
    let Range { start, end } = list.span();
    let at = list.get_ref().last().map_or(start + 1, |last| last.span().end);
    let entry = if list.get_ref().is_empty() {
        format!("\"{digest}\"")
    } else {
        format!(", \"{digest}\"")
    };
    debug_assert!(at <= end);
    Ok(format!("{}{entry}{}", &text[..at], &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn a_lifted_stop_stands_beside_the_others_and_comments_stay() {
        let text = "# ours\nid = \"a\"\ntitle = \"A\" # short";
        let once = lifted(text, digest("1")).unwrap();
        assert!(once.starts_with(text), "{once}");
        let twice = lifted(&once, digest("2")).unwrap();
        assert_eq!(lifted(&twice, digest("1")).unwrap(), twice);
        let list: toml::Table = twice.parse().unwrap();
        let list = list["lifted"].as_array().unwrap().clone();
        assert_eq!(
            list,
            [digest("1").to_string().into(), digest("2").to_string().into()] as [toml::Value; 2]
        );
    }

    #[test]
    fn an_empty_list_and_one_over_several_lines_take_one_more() {
        for text in [
            "lifted = []\n".to_owned(),
            format!("lifted = [\n  \"{}\", # first\n]\n", digest("0")),
        ] {
            let after = lifted(&text, digest("1")).unwrap();
            let table: toml::Table = after.parse().unwrap();
            let list = table["lifted"].as_array().unwrap();
            assert_eq!(list.last(), Some(&digest("1").to_string().into()), "{after}");
        }
    }
}
