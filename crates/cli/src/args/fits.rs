//! What can be said to fit models. What is common to all of them is in [`FitArgs`].

use std::path::PathBuf;

use clap::ValueEnum;
use terms::MemberId;

use super::analyses::AboutArgs;

/// Over whom a model is fitted, and how far.
#[derive(Debug, clap::Args)]
pub(crate) struct FitArgs {
    /// Only these nodes, separated by commas; all that offer the collection if nothing is said
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    pub(crate) nodes: Option<Vec<MemberId>>,
    /// Let the fit go on, from the start, without nodes that refuse, fail or cannot be reached
    #[arg(long)]
    pub(crate) without_missing: bool,
    /// Most steps
    #[arg(long, value_name = "STEPS")]
    pub(crate) steps: Option<u32>,
    /// Only rows in which these columns are known too, so that several models are about the same people
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) complete_cases: Option<String>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// Fit a generalised linear model over all nodes: the same as over their pooled rows, which stay where they are
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum glm --collection breast-cancer --formula \"relapsed ~ age + C(grade) + hormone\" --family binomial --purpose ehds-53-1-e --permit relapse-models-1 --sandbox /tmp/oncology")]
pub(crate) struct GlmArgs {
    /// What is explained, and by what, such as "los ~ hmo + C(type) + offset(log(days))"; docs/models.md says what can stand in one
    #[arg(long, value_name = "FORMULA")]
    pub(crate) formula: String,
    /// The distribution of the response
    #[arg(long, value_enum, default_value_t)]
    pub(crate) family: FamilyName,
    /// The link, where it is not the family's own: inverse or log for gamma
    #[arg(long, value_name = "LINK")]
    pub(crate) link: Option<String>,
    /// θ of the negative binomial
    #[arg(long, value_name = "NUMBER")]
    pub(crate) theta: Option<f64>,
    /// The column with the weight of each row; of a binomial share, the number of its trials
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weights: Option<String>,
    /// Draw coefficients to 0, along a path of penalties as R's glmnet states them: no standard errors
    #[arg(long, value_enum, value_name = "PENALTY", requires = "lambdas", conflicts_with_all = ["link", "theta", "plot"])]
    pub(crate) penalty: Option<PenaltyName>,
    /// The penalties, separated by commas
    #[arg(long, value_name = "NUMBERS", requires = "penalty")]
    pub(crate) lambdas: Option<String>,
    /// Of an elastic net: from 0, ridge, to 1, lasso; 0.5 if nothing is said
    #[arg(long, value_name = "NUMBER", requires = "penalty")]
    pub(crate) mixing: Option<f64>,
    /// Draw the coefficients with their intervals, without the constant, as FILE.svg
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
}

/// Fit a Cox regression of a time to an event over all nodes: hazard ratios, with the people of each node as a stratum
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum cox --collection breast-cancer --formula \"Surv(relapse_free_days, relapsed) ~ age + C(grade) + hormone\" --purpose ehds-53-1-e --permit relapse-models-1 --sandbox /tmp/oncology")]
pub(crate) struct CoxArgs {
    /// Time and event, and by what they are explained, such as "Surv(days, died) ~ age + C(grade) + strata(ward)"
    #[arg(long, value_name = "FORMULA")]
    pub(crate) formula: String,
    /// How events at one time count
    #[arg(long, value_enum, default_value_t)]
    pub(crate) ties: TiesName,
    /// Whose hazards are in proportion
    #[arg(long, value_enum, default_value_t)]
    pub(crate) baseline: BaselineName,
    /// Check that hazards are in proportion, over the time, its logarithm, or Kaplan and Meier's survival
    #[arg(long, value_enum, value_name = "TRANSFORM")]
    pub(crate) check: Option<CheckName>,
    /// Draw the hazard ratios with their intervals, as FILE.svg
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
}

/// How coefficients are drawn to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PenaltyName {
    /// By their squares
    Ridge,
    /// By their absolute values: some become 0
    Lasso,
    /// By both
    ElasticNet,
}

/// How events at one time count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TiesName {
    /// In the mean over all orders in which they may have come
    #[default]
    Efron,
    /// Each with all others of its time under risk
    Breslow,
}

/// Whose hazards are in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BaselineName {
    /// Those of each node's people: nodes are strata
    #[default]
    Node,
    /// Those of all people, in the declared bins of the time
    Shared,
}

/// Over what hazards are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckName {
    /// The time
    Identity,
    /// Its logarithm
    Log,
    /// Kaplan and Meier's survival at its declared bins
    Km,
}

/// The distribution of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyName {
    /// Numbers around a mean: a linear model
    #[default]
    Gaussian,
    /// Yes or no, or shares of trials (--weights): logistic regression
    Binomial,
    /// Counts
    Poisson,
    /// Numbers above 0 whose spread grows with their mean
    Gamma,
    /// Counts that spread more than Poisson's; needs --theta
    NegativeBinomial,
}
