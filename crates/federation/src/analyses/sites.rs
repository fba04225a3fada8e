//! The average of a number at each node, as estimates that a meta-analysis puts together. Only where the policy lets nodes be told apart.

use models::meta::Estimate;
use serde_json::Value as Json;
use terms::Report;

use super::Study;

/// What one node estimates.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Rows.
    pub n: Option<f64>,
    /// Its estimate.
    pub estimate: Estimate,
}

/// Nodes with an average and its standard error, and those that did not release them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sites {
    /// The nodes.
    pub sites: Vec<Site>,
    /// Nodes that answered and are not among them.
    pub left_out: Vec<String>,
}

/// How estimates are written as JSON.
pub const ESTIMATES: &str = "[{\"label\": …, \"estimate\": …, \"std_error\": …}, …]";

impl Site {
    /// An object with `estimate`, `std_error` and perhaps `n`; nothing if it is none.
    pub fn of_json(name: String, json: &Json) -> Option<Self> {
        let estimate = Estimate {
            value: json["estimate"].as_f64()?,
            std_error: json["std_error"].as_f64()?,
        };
        Some(Self {
            name,
            n: json["n"].as_f64(),
            estimate,
        })
    }
}

/// Estimates as [`ESTIMATES`]; one without a label is called by `name` and its place.
///
/// # Errors
/// Which of them is none.
pub fn site_of_each(estimates: &[Json], name: &str) -> Result<Vec<Site>, String> {
    let site = |(at, one): (usize, &Json)| {
        let label = one["label"].as_str();
        let label = label.map_or_else(|| format!("{name} {}", at + 1), str::to_owned);
        Site::of_json(label, one).ok_or_else(|| format!("entry {} has no numbers estimate and std_error", at + 1))
    };
    estimates.iter().enumerate().map(site).collect()
}

/// Asks each node for the average of a number and its standard error.
///
/// # Errors
/// As [`Study::ask`]; an unknown column, or one without numbers.
pub async fn averages(study: &mut Study<'_>, outcome: &str) -> Result<Sites, Report> {
    study.numbers(outcome)?;
    let node = study.key(policy::NODE_COLUMN)?;
    let values = [
        format!("count({outcome})"),
        format!("avg({outcome})"),
        format!("stddev({outcome})"),
    ];
    study.require_exact(&[&node], &values, None).await?;
    let cells = study.ask(&[&node], &values, &[]).await?;
    let mut sites = Vec::new();
    for name in cells.levels(0, &node) {
        let number = |at: usize| cells.number(&[&name], at).exact();
        if let (Some(n), Some(value), Some(sd)) = (number(0), number(1), number(2))
            && n > 1.0
            && sd > 0.0
        {
            let std_error = sd / n.sqrt();
            let estimate = Estimate { value, std_error };
            sites.push(Site {
                name,
                n: Some(n),
                estimate,
            });
        }
    }
    let answered = study
        .evidence()
        .coverage
        .iter()
        .filter(|node| node.status == crate::Status::Answered);
    let answered = answered.map(|node| node.node.to_string());
    let left_out = answered
        .filter(|name| sites.iter().all(|site| site.name != *name))
        .collect();
    Ok(Sites { sites, left_out })
}
