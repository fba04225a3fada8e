//! What a call says, by name: each value is text, and is read once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use terms::{Problem, Report};

use super::study::OPTIONS;
use crate::analyses::About;

/// What a call says, as long as nobody has taken it.
#[derive(Debug)]
pub(super) struct Said(BTreeMap<String, String>);

impl Said {
    pub(super) fn new(said: BTreeMap<String, String>) -> Self {
        Self(said)
    }

    /// Refuses options that the analysis has not.
    pub(super) fn require_known(&self, analysis: &str, options: &[&str]) -> Result<(), Report> {
        let Some(unknown) = self.0.keys().find(|name| !options.contains(&name.as_str())) else {
            return Ok(());
        };
        let near = terms::text::nearest(unknown, options.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
        let report = Problem::Usage.report(format!("{analysis} has no option {unknown}"));
        Err(report.remedy(format!("{near}its options are {}", options.join(", "))))
    }

    /// An option as it is written, if it is said.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<String, Report> {
        self.take(name).ok_or_else(|| unsaid(name))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Report> {
        self.take(name).map(|value| parsed(name, &value)).transpose()
    }

    /// `'true'` or `'false'`, which is what nothing means.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Report> {
        self.parsed(name).map(Option::unwrap_or_default)
    }

    /// Parts between commas.
    pub(super) fn list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<Vec<T>>, Report> {
        let all = self.take(name);
        all.map(|all| all.split(',').map(|one| parsed(name, one)).collect())
            .transpose()
    }

    pub(super) fn required_list(&mut self, name: &str) -> Result<Vec<String>, Report> {
        self.list(name)?.ok_or_else(|| unsaid(name))
    }

    /// One of a few words, and what it means.
    pub(super) fn chosen<T: Copy>(&mut self, name: &str, all: &[(&str, T)]) -> Result<Option<T>, Report> {
        let Some(said) = self.take(name) else { return Ok(None) };
        let found = all.iter().find(|(word, _)| *word == said.trim());
        found.map(|(_, meant)| Some(*meant)).ok_or_else(|| {
            let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
            let report = Problem::Usage.report(format!("{name} cannot be {:?}", said.trim()));
            report.remedy(format!("it is one of {}", words.join(", ")))
        })
    }

    /// What it is about. For what it is asked, the connection says.
    pub(super) fn about(&mut self) -> Result<About, Report> {
        Ok(About {
            collection: self.required("collection")?,
            condition: self.take("where"),
            purpose: None,
            permit: None,
            timeout: None,
        })
    }

    /// That nothing is left which an analysis knows and did not take: it would be passed over without a word.
    pub(super) fn require_read(&self) -> Result<(), Report> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::Internal.report(format!("the option {name} was not read"))),
        }
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// What the text of a command says, as a call says it: `--where "age > 50"` is `where => 'age > 50'` there, and `--where` alone `where`. Flags of
/// other commands stay.
pub(super) fn as_called(text: &str) -> String {
    let mut called = String::new();
    let mut rest = text;
    while let Some((before, flag)) = rest.split_once("--") {
        called.push_str(before);
        let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '-');
        let (name, after) = flag.split_at(end.unwrap_or(flag.len()));
        rest = after;
        let Some(argument) = argument(name) else {
            called.push_str("--");
            called.push_str(name);
            continue;
        };
        called.push_str(&argument);
        let quoted = after.strip_prefix(" \"").and_then(|value| value.split_once('"'));
        if let Some((value, after)) = quoted {
            called.push_str(&format!(" => '{}'", value.replace('\'', "''")));
            rest = after;
        }
    }
    called + rest
}

/// What a flag of a command is called here, if a call or the connection has it.
fn argument(flag: &str) -> Option<String> {
    const OTHERS: [&str; 5] = ["where", "nodes", "without_missing", "permit", "purpose"];
    let name = match flag {
        "complete-cases" => "complete".to_owned(),
        flag => flag.replace('-', "_"),
    };
    let mut options = OPTIONS.iter().flat_map(|(_, options)| *options).chain(&OTHERS);
    options.any(|option| *option == name).then_some(name)
}

/// The same of an error.
pub(super) fn report_as_called(report: Report) -> Report {
    let remedy = as_called(&report.remedy);
    report.problem.report(as_called(&report.message)).remedy(remedy)
}

fn unsaid(name: &str) -> Report {
    let report = Problem::Usage.report(format!("the call does not say {name}"));
    report.remedy(format!("add {name} => '…'"))
}

fn parsed<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, Report> {
    value.trim().parse().map_err(|error: T::Err| {
        let report = Problem::Usage.report(format!("{name} cannot be {:?}: {error}", value.trim()));
        report.remedy("docs/python.md says what can be called")
    })
}
