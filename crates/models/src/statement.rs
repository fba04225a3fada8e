//! What nodes are asked to fit, as text that a board can read in the audit:
//! `FIT glm(formula => 'relapsed ~ age', family => 'binomial', nodes => 'gbsg, rotterdam', sum => 'plain', steps => '25', fit => '…') OF SELECT age, relapsed FROM breast_cancer`.
//!
//! The same text goes to every node; its digest is what the nodes' signatures are about. Next: `model.rs`, which makes a model of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use terms::{Problem, Report};

/// Most nodes of one fit.
pub const NODES_MAX: usize = 1_000;

/// Most steps that a fit may ask for.
pub const STEPS_MAX: u32 = 100;

/// What nodes are asked to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// `glm`, `cox`, …
    pub analysis: String,
    /// What is said of the analysis: formula, family and the like.
    pub options: BTreeMap<String, String>,
    /// The nodes that take part, in the order in which their sums are added.
    pub nodes: Vec<String>,
    /// Whether only the sum of all nodes may be seen.
    pub masked: bool,
    /// Where sums are masked, what becomes of nodes that fall silent in the first of them.
    pub missing: Missing,
    /// Most steps.
    pub steps: u32,
    /// A random name, by which no sum is taken for one of another fit.
    pub fit: String,
    /// SQL: the columns that the analysis needs, of the rows that it is about.
    pub rows: String,
}

/// Whether a fit goes on without nodes that fall silent before anybody knows a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It ends.
    Refused,
    /// It goes on, as the statement says: `missing => 'allowed'`.
    Allowed,
}

/// An analysis and what is said of it, as text: `glm(formula => 'relapsed ~ age', steps => '25')`, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'t> {
    /// `glm`, `cox`, …
    pub analysis: &'t str,
    /// Every name that is said, once, with its text.
    pub said: BTreeMap<String, String>,
    /// What stands behind the last parenthesis.
    pub rest: &'t str,
}

impl<'t> Call<'t> {
    /// Reads a call.
    ///
    /// # Errors
    /// `E_SQL_SYNTAX` if it is not one.
    pub fn parse(text: &'t str) -> Result<Self, Report> {
        let (analysis, mut rest) = text.split_once('(').ok_or_else(|| unread("a ( is missing"))?;
        let mut said = BTreeMap::new();
        loop {
            let (name, after) = rest.split_once("=>").ok_or_else(|| unread("an => is missing"))?;
            let (value, after) = quoted(after.trim_start()).ok_or_else(|| unread("a text in quotes is missing"))?;
            let name = name.trim().to_owned();
            if said.contains_key(&name) {
                return Err(unread(&format!("{name} is there twice")));
            }
            said.insert(name, value);
            let after = after.trim_start();
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix(')').ok_or_else(|| unread("a ) is missing"))?;
                    break;
                }
            }
        }
        Ok(Self {
            analysis: analysis.trim(),
            said,
            rest: rest.trim_start(),
        })
    }
}

fn unread(what: &str) -> Report {
    Problem::SqlSyntax.report(format!("the statement cannot be read: {what}"))
}

/// The words that are not options of the analysis.
const OWN: [&str; 4] = ["nodes", "sum", "steps", "fit"];

impl Statement {
    /// Whether a text is such a statement at all.
    pub fn is_one(text: &str) -> bool {
        text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("FIT "))
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// `E_SQL_SYNTAX` if it is not one; `E_MODEL_FORMULA` if a part of it cannot be.
    pub fn parse(text: &str) -> Result<Self, Report> {
        let inner = text
            .get(4..)
            .filter(|_| Self::is_one(text))
            .ok_or_else(|| unread("it does not begin with FIT"))?;
        let Call {
            analysis,
            mut said,
            rest,
        } = Call::parse(inner)?;
        let rows = rest
            .strip_prefix("OF ")
            .ok_or_else(|| unread("OF SELECT … is missing"))?;
        let missing = match said.remove("missing").as_deref() {
            None => Missing::Refused,
            Some("allowed") => Missing::Allowed,
            Some(_) => return Err(unread("missing is allowed, or is not there")),
        };
        let mut own = |name: &str| said.remove(name).ok_or_else(|| unread(&format!("{name} is missing")));
        let (nodes, sum, steps, fit) = (own("nodes")?, own("sum")?, own("steps")?, own("fit")?);
        let statement = Self {
            analysis: analysis.to_owned(),
            options: said,
            nodes: nodes.split(',').map(|node| node.trim().to_owned()).collect(),
            masked: match sum.as_str() {
                "masked" => true,
                "plain" => false,
                _ => return Err(unread("sum is plain or masked")),
            },
            missing,
            steps: steps.parse().map_err(|_| unread("steps is not a number"))?,
            fit,
            rows: rows.trim().to_owned(),
        };
        statement.require_whole().map(|()| statement)
    }

    fn require_whole(&self) -> Result<(), Report> {
        let refuse = |what: String| Err(Problem::ModelFormula.report(what));
        let unique: BTreeSet<&String> = self.nodes.iter().collect();
        if unique.len() != self.nodes.len() || unique.iter().any(|node| node.is_empty()) {
            return refuse("a node is named twice, or without a name".to_owned());
        }
        if self.nodes.len() > NODES_MAX {
            return refuse(format!("a fit is over at most {NODES_MAX} nodes"));
        }
        if self.missing == Missing::Allowed && !self.masked {
            return refuse(
                "missing => 'allowed' is for masked sums: with plain ones a fit begins again without a node".to_owned(),
            );
        }
        if !(1..=STEPS_MAX).contains(&self.steps) {
            return refuse(format!("a fit takes 1 to {STEPS_MAX} steps"));
        }
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.fit.len() != 32 || !self.fit.bytes().all(is_hex) {
            return refuse("the name of a fit is 32 hexadecimal digits".to_owned());
        }
        Ok(())
    }

    /// What is said under a name, which no other part may say.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Columns that must be known of a row besides those that the analysis uses.
    pub(crate) fn complete(&self) -> Vec<&str> {
        let columns = self.option("complete").unwrap_or_default().split(',');
        columns.map(str::trim).filter(|column| !column.is_empty()).collect()
    }

    /// Refuses options that the analysis does not know.
    pub(crate) fn require_known(&self, known: &[&str]) -> Result<(), Report> {
        let unknown = self.options.keys().find(|name| !known.contains(&name.as_str()));
        let Some(unknown) = unknown else { return Ok(()) };
        let report = Problem::ModelFormula.report(format!("{} has no option {unknown}", self.analysis));
        Err(report.remedy(format!("its options are {}", known.join(", "))))
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = if self.masked { "masked" } else { "plain" };
        let own = [
            self.nodes.join(", "),
            sum.to_owned(),
            self.steps.to_string(),
            self.fit.clone(),
        ];
        let own = OWN.into_iter().zip(own);
        let missing = (self.missing == Missing::Allowed).then(|| ("missing", "allowed".to_owned()));
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.clone()));
        write!(f, "FIT {}(", self.analysis)?;
        for (at, (name, value)) in options.chain(own).chain(missing).enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{name} => '{}'", value.replace('\'', "''"))?;
        }
        write!(f, ") OF {}", self.rows)
    }
}

/// A text in single quotes at the start, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text.strip_prefix('\'')?);
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests;
