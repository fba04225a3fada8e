//! One estimate of those of several nodes or studies: fixed effect, DerSimonian and Laird, restricted maximum likelihood.

use models::meta::{Estimate, Heterogeneity, Model, Pooled, heterogeneity, pooled};
use terms::{Problem, Report};

use super::CONFIDENCE;
use super::sites::Sites;

/// How estimates are put together, and how that is called.
const MODELS: [(Model, &str); 3] = [
    (Model::Fixed, "fixed effect"),
    (Model::DerSimonianLaird, "random effects (DerSimonian-Laird)"),
    (Model::Reml, "random effects (REML)"),
];

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// The estimates.
    pub sites: Sites,
    /// All of them as one, in each of three ways, by name: with a fixed effect, after DerSimonian and Laird, by REML.
    pub models: [(&'static str, Pooled); 3],
    /// How much they differ.
    pub differ: Heterogeneity,
}

/// Puts estimates together. Nobody is asked.
///
/// # Errors
/// `Statistic` if there are fewer than two with a standard error.
pub fn meta(sites: Sites) -> Result<Meta, Report> {
    let estimates: Vec<Estimate> = sites.sites.iter().map(|site| site.estimate).collect();
    let too_few = || {
        let report = Problem::Statistic.report("fewer than two estimates with a standard error above zero");
        report.remedy("name more estimates, or a column that more nodes release by node")
    };
    let one = |(model, name): (Model, &'static str)| Some((name, pooled(&estimates, model, CONFIDENCE)?));
    let [fixed, laird, reml] = MODELS.map(one);
    let models = [
        fixed.ok_or_else(too_few)?,
        laird.ok_or_else(too_few)?,
        reml.ok_or_else(too_few)?,
    ];
    let differ = heterogeneity(&estimates).ok_or_else(too_few)?;
    Ok(Meta { sites, models, differ })
}
