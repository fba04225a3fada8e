use serde::{Deserialize, Serialize};
use terms::{Problem, Report};

use super::*;

#[derive(Debug, Deserialize, Serialize)]
struct File {
    #[serde(default)]
    limits: NodeLimits,
}

fn of_node(text: &str) -> Result<NodeLimits, Report> {
    Ok(terms::text::parse_toml::<File>("node.toml", text)?.limits)
}

#[test]
fn an_unknown_limit_and_one_of_another_role_are_refused_by_name() {
    let unknown = of_node("\n[limits]\nstream_per_connection = 3\n").unwrap_err();
    assert_eq!(unknown.problem, Problem::FileKey);
    assert!(unknown.message.contains("line 2"), "{}", unknown.message);
    assert_eq!(unknown.remedy, "did you mean `streams_per_connection`?");
    let written = BTreeMap::from([("queries_at_once".to_owned(), 3)]);
    let error = BrokerLimits::try_from(written).unwrap_err();
    assert!(
        matches!(&error, LimitsError::Unknown { name, known } if name == "queries_at_once" && !known.contains("queries"))
    );
}

#[test]
fn a_value_outside_its_range_is_refused_with_the_range() {
    for (written, says) in [
        ("connections = 0", "`connections` is 0, and must be from 1 to 100000"),
        (
            "keep_alive_seconds = -5",
            "`keep_alive_seconds` is -5, and must be from 1 to 300",
        ),
        ("frame_bytes = 99999999999", "`frame_bytes` is 99999999999"),
        (
            "stream_window_bytes = 70000000",
            "is more than `connection_window_bytes`",
        ),
        ("connections = \"many\"", "invalid type"),
    ] {
        let error = of_node(&format!("[limits]\n{written}\n")).unwrap_err();
        assert_eq!(error.problem, Problem::FileValue, "{error}");
        assert!(error.message.contains(says), "{error}");
    }
}

#[test]
fn what_is_not_written_is_as_usual_and_what_is_comes_back() {
    let limits = of_node("[limits]\nconnections = 7\nqueries_at_once = 16\n").unwrap();
    assert_eq!((limits.connections, limits.handshake_seconds), (7, 10));
    assert_eq!(limits.changed(), BTreeMap::from([("connections".to_owned(), 7)]));
    let written = toml_of(&File { limits: limits.clone() });
    assert_eq!(of_node(&written).unwrap(), limits);
    for known in TABLE {
        for usual in [known.node, known.broker].into_iter().flatten() {
            assert!(known.range.contains(&usual), "{}", known.name);
        }
    }
}

fn toml_of(file: &File) -> String {
    let changed = file.limits.changed();
    let lines = changed.iter().map(|(name, value)| format!("{name} = {value}\n"));
    format!("[limits]\n{}", lines.collect::<String>())
}

#[test]
fn the_table_in_the_guide_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (before, rest) = guide.split_once("<!-- limits -->\n").unwrap();
    let (shown, after) = rest.split_once("<!-- /limits -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let whole = format!("{before}<!-- limits -->\n{}<!-- /limits -->{after}", page());
        std::fs::write(path, whole).unwrap();
        return;
    }
    assert!(
        shown == page(),
        "docs/operators.md is stale: UPDATE_DOCS=1 cargo test --workspace --lib the_table_in_the_guide"
    );
}
