//! The tour's model: what it is, and the same fitted to the two files put together.

use std::collections::BTreeMap;

use engine::fit::variables;
use federation::{Asker, FitQuestion};
use models::design::Need;
use models::frame::{Column, Frame};
use models::rounds::to_the_end;
use models::statement::Missing;
use models::{Fitted, Model, Statement};
use policy::Collection;
use terms::{Problem, Purpose, Report};

use super::material;

pub(super) const FORMULA: &str = "relapsed ~ age + C(grade) + hormone";
pub(super) const FAMILY: &str = "binomial";
pub(super) const PERMIT: &str = "relapse-models-1";
const COLLECTION: &str = "breast-cancer";

/// Steps that are enough for any logistic regression that has a solution.
const STEPS: u32 = 25;

/// Two ways of adding the same numbers may differ by so much.
const TOLERANCE: f64 = 1e-9;

pub(super) fn question() -> Result<FitQuestion, Report> {
    Ok(FitQuestion {
        collection: COLLECTION.to_owned(),
        analysis: "glm".to_owned(),
        options: options(),
        condition: None,
        nodes: None,
        without_missing: false,
        steps: None,
        purpose: Some(Purpose::Research),
        permit: Some(PERMIT.parse().map_err(|_| unread())?),
    })
}

fn options() -> BTreeMap<String, String> {
    let options = [("family", FAMILY), ("formula", FORMULA)];
    options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Fits the same to the lines of both files.
pub(super) fn pooled(asker: &Asker) -> Result<Fitted, Report> {
    let mut collections = asker.rules().collections.values();
    let collection: &Collection = collections
        .find(|collection| collection.id.as_str() == COLLECTION)
        .ok_or_else(unread)?;
    let statement = Statement {
        analysis: "glm".to_owned(),
        options: options(),
        nodes: Vec::new(),
        masked: false,
        missing: Missing::Refused,
        steps: STEPS,
        fit: String::new(),
        rows: String::new(),
    };
    let model = Model::new(&statement, &variables(collection, &[]))?;
    let frame = frame(&model.needs)?;
    to_the_end(model.start, STEPS, |step| {
        let mut sums = vec![0.0; step.width()];
        step.add(&frame, &mut sums);
        step.next(&sums)
    })
}

/// The lines of both files; in each of them everything is known.
fn frame(needs: &[Need]) -> Result<Frame, Report> {
    let mut frame = Frame {
        columns: needs.iter().map(Column::from).collect(),
        ..Frame::default()
    };
    for file in [material::GBSG, material::ROTTERDAM] {
        let mut lines = file.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.next().ok_or_else(unread)?;
        for line in lines {
            for (need, column) in needs.iter().zip(&mut frame.columns) {
                let at = names.iter().position(|name| *name == need.column());
                let value = at.and_then(|at| line.get(at).copied()).ok_or_else(unread)?;
                add(value, need, column)?;
            }
            frame.rows += 1;
        }
    }
    Ok(frame)
}

fn add(value: &str, need: &Need, column: &mut Column) -> Result<(), Report> {
    match (need, column) {
        (Need::Level(_, levels), Column::Codes(codes)) => {
            let level = levels.iter().position(|level| level == value);
            let code = level.and_then(|level| u16::try_from(level).ok());
            codes.push(code.ok_or_else(unread)?);
        }
        (Need::Number(_), Column::Numbers(numbers)) => numbers.push(match value {
            "true" => 1.0,
            "false" => 0.0,
            number => number.parse().map_err(|_| unread())?,
        }),
        _ => return Err(unread()),
    }
    Ok(())
}

/// Whether two models have the same terms with the same estimates and errors.
pub(super) fn agree(one: &Fitted, other: &Fitted) -> bool {
    let (Fitted::Glm(one), Fitted::Glm(other)) = (one, other) else {
        return false;
    };
    let near = |one: f64, other: f64| (one - other).abs() <= TOLERANCE * other.abs().max(1.0);
    let mut terms = one.terms.iter().zip(&other.terms);
    one.n == other.n
        && one.terms.len() == other.terms.len()
        && terms.all(|(one, other)| {
            one.term == other.term && near(one.estimate, other.estimate) && near(one.std_error, other.std_error)
        })
}

fn unread() -> Report {
    Problem::Internal.report("the demonstration's data cannot be read")
}
