//! Findings about the files beside policies: cases and matrices that are missing, or that belong to nothing.

use std::collections::BTreeMap;

use super::{Lint, Severity};
use crate::cases::cases_path;
use crate::lang::Lang;
use crate::matrix::{matrix, matrix_path};
use crate::rules::Rules;

/// Looks for the cases and the matrix of each policy. `files` are those that the rules were read from.
pub fn lint_files(rules: &Rules, files: &BTreeMap<String, Vec<u8>>) -> Vec<Lint> {
    let mut lints = Vec::new();
    let mut add = |severity: Severity, path: String, de: &str, en: &str| {
        lints.push(Lint {
            severity,
            place: path,
            de: de.to_owned(),
            en: en.to_owned(),
        });
    };
    for policy in rules.policies() {
        let cases = cases_path(&policy.id);
        if !files.contains_key(&cases) {
            let de = "das Regelwerk hat keine Fälle: nichts hält fest, was es entscheiden soll";
            add(
                Severity::Warning,
                cases,
                de,
                "the policy has no cases: nothing holds it to what it is meant to decide",
            );
        }
        let path = matrix_path(&policy.id);
        match files.get(&path) {
            None => add(
                Severity::Warning,
                path,
                "die Entscheidungstabelle fehlt",
                "the decision table is missing",
            ),
            Some(stored) => {
                let now = matrix(rules, &policy.id, Lang::En);
                if now.as_ref().map(String::as_bytes) != Some(stored.as_slice()) {
                    let de = "die Entscheidungstabelle ist nicht die, die das Regelwerk hat";
                    add(
                        Severity::Warning,
                        path,
                        de,
                        "the decision table is not the one that the policy has",
                    );
                }
            }
        }
    }
    for path in files.keys().filter(|path| path.ends_with(".matrix.txt")) {
        if !rules.policies().any(|policy| matrix_path(&policy.id) == *path) {
            let de = "die Entscheidungstabelle gehört zu keinem Regelwerk";
            add(
                Severity::Warning,
                path.clone(),
                de,
                "the decision table belongs to no policy",
            );
        }
    }
    lints
}
