//! TOML to a checked type, with errors that name file, line and the nearest known key.

use serde::de::DeserializeOwned;

use crate::problem::{Problem, Report};

/// How far a key may be from a known one and still be offered as "did you mean", as a share of equal letters.
const SIMILARITY_MIN: f64 = 0.8;

/// Parses `text`, which was read from `file`, into `T`.
///
/// `T` should deny unknown fields. The report names the file, the line (from 1) and, for an unknown key or
/// value, the nearest known one. It never repeats more of the text than the offending key.
///
/// # Errors
/// [`Problem::FileSyntax`] if the text is not TOML, [`Problem::FileKey`] for an unknown, repeated or missing
/// key, [`Problem::FileValue`] for a value of the wrong type or outside what is allowed.
pub fn parse_toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Report> {
    toml::from_str(text).map_err(|error| report(file, text, &error))
}

/// The entry of `known` nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(word, k), k));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILARITY_MIN).then_some(best.1)
}

fn report(file: &str, text: &str, error: &toml::de::Error) -> Report {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..start].iter().filter(|b| **b == b'\n').count() + 1;
    let message = error.message().replace('\n', " ");
    let place = format!("{file}, line {line}: {message}");
    let words = backticked(&message);
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let problem = if message.starts_with("unknown field") {
            Problem::FileKey
        } else {
            Problem::FileValue
        };
        let offered = words
            .split_first()
            .and_then(|(word, known)| nearest(word, known.iter().copied()));
        let remedy = offered.map_or_else(
            || "remove it, or use one of those listed".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return problem.report(place).remedy(remedy);
    }
    if message.starts_with("missing field") || message.starts_with("duplicate") {
        return Problem::FileKey.report(place);
    }
    let typed = message.starts_with("invalid") || !message.contains("expected") || message.contains("is not");
    if typed {
        Problem::FileValue.report(place)
    } else {
        Problem::FileSyntax.report(place)
    }
}

fn backticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its parsing is tested")]
        threshold: u32,
    }

    #[test]
    fn an_unknown_key_names_file_line_and_nearest_key() {
        let report = parse_toml::<Sample>("space.toml", "\n\ntreshold = 2\n").unwrap_err();
        assert_eq!(report.problem, Problem::FileKey);
        assert!(
            report
                .message
                .starts_with("space.toml, line 3: unknown field `treshold`"),
            "{}",
            report.message
        );
        assert_eq!(report.remedy, "did you mean `threshold`?");
    }

    #[test]
    fn a_wrong_type_names_file_and_line() {
        let report = parse_toml::<Sample>("space.toml", "threshold = \"two\"\n").unwrap_err();
        assert_eq!(report.problem, Problem::FileValue);
        assert!(
            report.message.starts_with("space.toml, line 1: invalid type: string"),
            "{}",
            report.message
        );
    }

    #[test]
    fn a_missing_key_and_broken_syntax_are_told_apart() {
        assert_eq!(parse_toml::<Sample>("a", "").unwrap_err().problem, Problem::FileKey);
        assert_eq!(
            parse_toml::<Sample>("a", "threshold = = 1").unwrap_err().problem,
            Problem::FileSyntax
        );
        assert_eq!(
            parse_toml::<Sample>("a", "threshold = 1\nthreshold = 1")
                .unwrap_err()
                .problem,
            Problem::FileKey
        );
    }
}
