//! One analysis: what it is about, the questions that were asked for it, and who took part in all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use policy::{Collection, Column, ColumnKind};
use terms::{ExitCode, PermitId, Problem, Purpose, QueryId, Report};

use crate::answer::{Coverage, Receipts, Status, TookPart};
use crate::ask::{Asker, Question};
use crate::fan_out::Timeout;
use crate::local::Tables;

use super::{Cells, Key};

/// What an analysis is about.
#[derive(Clone, Debug)]
pub struct About {
    /// The collection, by its id or its name in SQL.
    pub collection: String,
    /// Which rows, as a condition in SQL; all if nothing is said.
    pub condition: Option<String>,
    /// What the answer is for.
    pub purpose: Option<Purpose>,
    /// The data permit, where one is needed.
    pub permit: Option<PermitId>,
    /// How long nodes may take for each question.
    pub timeout: Option<Timeout>,
}

/// What an analysis rests on.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The questions, in SQL.
    pub questions: Vec<String>,
    /// One for each question that was answered or refused.
    pub query_ids: Vec<QueryId>,
    /// Every node that was asked, with what it withheld of all questions.
    pub coverage: Vec<Coverage>,
    /// Where the receipts are, for each question.
    pub receipts: Vec<Receipts>,
}

impl Evidence {
    /// Who took part.
    pub fn took_part(&self) -> TookPart<'_> {
        TookPart(&self.coverage)
    }

    /// What a command returns that ends with this; what was made without asking anybody lacks nobody.
    pub fn exit_code(&self) -> ExitCode {
        match self.coverage.is_empty() {
            true => ExitCode::Ok,
            false => self.took_part().exit_code(),
        }
    }
}

/// A collection, by its id or its name in SQL.
///
/// # Errors
/// `SqlCollection` with the nearest name, if there is no such collection.
pub(crate) fn collection_of<'a>(asker: &'a Asker, name: &str) -> Result<&'a Arc<Collection>, Report> {
    let collections = &asker.rules().collections;
    let is_named = |c: &&Arc<Collection>| c.id.as_str() == name || c.sql_name() == name;
    collections.values().find(is_named).ok_or_else(|| {
        let known = || collections.keys().map(terms::CollectionId::as_str);
        let report = Problem::SqlCollection.report(format!("there is no collection {name}"));
        report.remedy(among(name, "collections", known))
    })
}

/// An analysis that is being made.
#[derive(Debug)]
pub struct Study<'a> {
    asker: &'a Asker,
    about: About,
    collection: Arc<Collection>,
    evidence: Evidence,
}

impl<'a> Study<'a> {
    /// Begins an analysis. Nothing is asked.
    ///
    /// # Errors
    /// `SqlCollection` with the nearest name, if there is no such collection.
    pub fn new(asker: &'a Asker, about: About) -> Result<Self, Report> {
        let collection = Arc::clone(collection_of(asker, &about.collection)?);
        Ok(Self {
            asker,
            about,
            collection,
            evidence: Evidence::default(),
        })
    }

    /// What is declared of the collection.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// A column of the collection.
    ///
    /// # Errors
    /// `SqlColumn` with the nearest name, if there is no such column.
    pub fn column(&self, name: &str) -> Result<&Column, Report> {
        self.collection.column(name).ok_or_else(|| {
            let columns = self.collection.columns.iter().filter(|column| column.roles.any_query());
            let known = || columns.clone().map(|column| column.name.as_str());
            let report = Problem::SqlColumn.report(format!("{} has no column {name}", self.collection.id));
            report.remedy(among(name, "columns", known))
        })
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// As [`Study::column`]; `SqlRole` if it has no numbers.
    pub fn numbers(&self, name: &str) -> Result<&Column, Report> {
        let column = self.column(name)?;
        if matches!(column.kind, ColumnKind::Integer | ColumnKind::Number) {
            return Ok(column);
        }
        let is_number = |column: &&Column| matches!(column.kind, ColumnKind::Integer | ColumnKind::Number);
        let numbers = self.collection.columns.iter().filter(is_number);
        let numbers: Vec<&str> = numbers.map(|column| column.name.as_str()).collect();
        let report = Problem::SqlRole.report(format!("{name} is {}, and numbers are needed", column.kind));
        Err(report.remedy(format!("columns with numbers: {}", numbers.join(", "))))
    }

    /// What rows are grouped by: a column by its declared bins, values or periods, or the node.
    ///
    /// # Errors
    /// As [`Study::column`].
    pub fn key(&self, name: &str) -> Result<Key, Report> {
        match name {
            policy::NODE_COLUMN => Ok(Key::node()),
            _ => Ok(Key::of(self.column(name)?)),
        }
    }

    /// Refuses what needs exact counts where the asker's own documents say that numbers are rounded, before anybody is asked. `option` is what
    /// asks for it, if the rest can be shown without.
    ///
    /// # Errors
    /// `Withheld`; if the question cannot be planned.
    pub(super) async fn require_exact(
        &self,
        keys: &[&Key],
        values: &[String],
        option: Option<&str>,
    ) -> Result<(), Report> {
        let Some(step) = self.asker.rounded_to(&self.question(keys, values, &[])).await? else {
            return Ok(());
        };
        let report = rounded(step);
        let Some(option) = option else { return Err(report) };
        let remedy = format!("leave {option} out: the counts are shown then; {}", report.remedy);
        Err(report.remedy(remedy))
    }

    fn question(&self, keys: &[&Key], values: &[String], also: &[String]) -> Question {
        let groups: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
        let columns: Vec<&str> = groups
            .iter()
            .copied()
            .chain(values.iter().map(String::as_str))
            .collect();
        let mut sql = format!("SELECT {} FROM {}", columns.join(", "), self.collection.sql_name());
        let conditions: Vec<&String> = self.about.condition.iter().chain(also).collect();
        if let [only] = conditions.as_slice() {
            sql.push_str(&format!(" WHERE {only}"));
        } else if !conditions.is_empty() {
            let conditions: Vec<String> = conditions.iter().map(|condition| format!("({condition})")).collect();
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !groups.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", groups.join(", ")));
        }
        Question {
            sql,
            purpose: self.about.purpose,
            permit: self.about.permit.clone(),
            tables: Tables::default(),
            timeout: self.about.timeout,
        }
    }

    /// Asks for `values` of each combination of `keys`, over the rows that the analysis is about and for which `also` are true.
    ///
    /// # Errors
    /// `Usage` if something is named twice; as [`Asker::ask`]; the first node's own reason if none answered; `Partial` if other nodes answered than an earlier question of
    /// the analysis.
    pub async fn ask(&mut self, keys: &[&Key], values: &[String], also: &[String]) -> Result<Cells, Report> {
        require_each_once(keys.iter().map(|key| key.name.as_str()))?;
        let question = self.question(keys, values, also);
        let answer = self.asker.ask(&question).await?;
        self.evidence.questions.push(question.sql);
        self.evidence.query_ids.push(answer.query_id.clone());
        self.evidence.receipts.extend(answer.receipts.clone());
        let before = std::mem::take(&mut self.evidence.coverage);
        self.evidence.coverage = together(before, &answer.coverage)?;
        match answer.took_part().nobody_answered() {
            Some(report) => Err(report),
            None => Cells::of(&answer, keys.len()),
        }
    }

    /// What the analysis rests on, at its end.
    pub(crate) fn into_evidence(self) -> Evidence {
        self.evidence
    }

    /// What the analysis rests on so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// Refuses an analysis that names a column in two places where two columns are meant: before its first question, if it has several.
///
/// # Errors
/// `Usage` with the name.
pub(super) fn require_each_once<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), Report> {
    let mut seen = BTreeSet::new();
    let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) else {
        return Ok(());
    };
    let report = Problem::Usage.report(format!("the analysis names {twice} twice"));
    Err(report.remedy("name another column, or leave it out in one of both places"))
}

/// That numbers are rounded, and what can be done where exact ones are needed.
pub(super) fn rounded(step: u32) -> Report {
    let message = format!("the policy rounds counts to multiples of {step}, and exact ones are needed");
    Problem::Withheld.report(message).remedy(
        "fit a model, whose sums are not rounded, where the policy allows models (glm, cox); or ask under a permission that does not round",
    )
}

/// `did you mean age? columns: age, sex`.
fn among<'k, I: Iterator<Item = &'k str>>(name: &str, of: &str, known: impl Fn() -> I) -> String {
    let near = terms::text::nearest(name, known()).map_or_else(String::new, |near| format!("did you mean {near}? "));
    format!("{near}{of}: {}", known().collect::<Vec<_>>().join(", "))
}

/// Who took part in two questions: the same nodes, or the numbers of both are not of the same rows.
fn together(before: Vec<Coverage>, now: &[Coverage]) -> Result<Vec<Coverage>, Report> {
    if before.is_empty() {
        return Ok(now.to_vec());
    }
    let answered = |coverage: &[Coverage]| {
        let answered = coverage.iter().filter(|node| node.status == Status::Answered);
        answered
            .map(|node| (node.node.clone(), node.data.clone()))
            .collect::<Vec<_>>()
    };
    if answered(&before) != answered(now) {
        let report = Problem::Partial
            .report("not the same nodes answered both questions of the analysis, or not from the same data");
        return Err(report.remedy("ask again; if a node keeps failing, leave it out: --where \"node <> '…'\""));
    }
    let both = before.into_iter().zip(now).map(|(mut node, now)| {
        node.suppressed_cells += now.suppressed_cells;
        for (reason, values) in &now.withheld {
            *node.withheld.entry(*reason).or_default() += values;
        }
        if let (Some(policy), Some(now)) = (&mut node.policy, &now.policy) {
            policy.kept_values += now.kept_values;
        }
        node.receipts.extend(now.receipts.iter().cloned());
        node
    });
    Ok(both.collect())
}

#[cfg(test)]
mod tests;
