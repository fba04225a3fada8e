//! Every file in `deploy/` is read here: a unit that names a command which does not exist must not be shipped.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser as _;

use crate::args::Args;

/// Keys and values of a unit file; a section is part of the key.
fn unit(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut section = String::new();
    let mut entries = BTreeMap::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("{}: {line}", path.display()));
        entries.insert(format!("{section}.{}", key.trim()), value.trim().to_owned());
    }
    entries
}

#[test]
fn every_unit_starts_a_command_that_exists_and_is_confined() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (mut units, mut others) = (0, 0);
    for path in paths {
        if path.extension().is_none_or(|ending| ending != "service") {
            others += 1;
            let accounts = std::fs::read_to_string(&path).unwrap();
            let lines = accounts
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert!(
                lines.clone().count() > 0
                    && lines
                        .clone()
                        .all(|line| line.starts_with("u ") || line.starts_with("u! "))
            );
            continue;
        }
        units += 1;
        let entries = unit(&path);
        let command: Vec<&str> = entries["Service.ExecStart"].split_whitespace().collect();
        let role = command[1];
        Args::try_parse_from(command.clone()).unwrap();
        let drain_seconds = match role {
            "node" => wire::NodeLimits::default().drain_seconds,
            _ => wire::BrokerLimits::default().drain_seconds,
        };
        let stop_seconds: u32 = entries["Service.TimeoutStopSec"].trim_end_matches('s').parse().unwrap();
        assert!(stop_seconds >= drain_seconds + 10, "{role} is killed while it drains");
        for confined in [
            "NoNewPrivileges",
            "ProtectSystem",
            "RestrictAddressFamilies",
            "MemoryDenyWriteExecute",
        ] {
            assert!(
                entries.contains_key(&format!("Service.{confined}")),
                "{}: no {confined}",
                path.display()
            );
        }
    }
    assert_eq!((units, others), (2, 1));
}

/// The program's arguments in each line `KEY: [...]` of a Compose file.
fn commands(text: &str, key: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    lines.map(|list| serde_json::from_str(list.trim()).unwrap()).collect()
}

#[test]
fn every_container_starts_a_command_that_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let recipe = std::fs::read_to_string(folder.join("container/Containerfile")).unwrap();
    let program = "/usr/bin/datenraum";
    assert!(recipe.contains(&format!(
        "COPY --from=build /source/target/release/datenraum {program}\n"
    )));
    assert!(recipe.contains(&format!("ENTRYPOINT [\"{program}\"]\n")) && recipe.contains("\nUSER 65532"));

    let compose = std::fs::read_to_string(folder.join("compose/compose.yaml")).unwrap();
    let said = commands(&compose, "command:");
    assert_eq!(said.len(), 5, "one to found, the broker, three nodes");
    for command in said {
        Args::try_parse_from(std::iter::once(program.to_owned()).chain(command)).unwrap();
    }
    let mut asked = commands(&compose, "entrypoint:").remove(0);
    asked.push("SELECT 1".to_owned());
    Args::try_parse_from(asked).unwrap();
    // What the file says of the nodes is what the specification beside it says.
    let specification = crate::sandbox::spec::Spec::load(&folder.join("compose/trial.toml")).unwrap();
    for node in &specification.nodes {
        assert!(compose.contains(&format!("./trial/space/nodes/{}:/etc/datenraum", node.id)));
    }
    assert_eq!(specification.nodes.len(), 3);
}
