//! What can be said to find components and clusters, and to train networks.

use clap::ValueEnum;

use super::fits::FitArgs;

/// Find the principal components of columns over all nodes, as R's prcomp over their pooled rows
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum pca --collection breast-cancer --columns \"age, sqrt(nodes)\" --purpose ehds-53-1-e --permit relapse-models-1 --sandbox /tmp/oncology")]
pub(crate) struct PcaArgs {
    /// Columns, or functions of them as in a formula, separated by commas
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) columns: String,
    /// Of what
    #[arg(long, value_enum, default_value_t)]
    pub(crate) of: OfName,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
}

/// Find clusters of people over all nodes by k-means
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum kmeans --collection breast-cancer --columns age,nodes --clusters 3 --tolerance 0.3 --purpose ehds-53-1-e --permit relapse-models-1 --sandbox /tmp/oncology")]
pub(crate) struct KmeansArgs {
    /// Columns, or functions of them as in a formula, separated by commas
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) columns: String,
    /// How many clusters
    #[arg(long, value_name = "NUMBER")]
    pub(crate) clusters: usize,
    /// End as soon as no centre moves by more than so many standard deviations
    #[arg(long, value_name = "NUMBER")]
    pub(crate) tolerance: Option<f64>,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
}

/// Train a small network over all nodes, by sums of gradients or by federated averaging
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum train --collection breast-cancer --formula \"relapsed ~ age + C(grade)\" --loss logistic --hidden 4 --rounds 20 --purpose ehds-53-1-e --permit relapse-models-1 --sandbox /tmp/oncology")]
pub(crate) struct TrainArgs {
    /// The response, and the inputs
    #[arg(long, value_name = "FORMULA")]
    pub(crate) formula: String,
    /// What is made small
    #[arg(long, value_enum, default_value_t)]
    pub(crate) loss: LossName,
    /// Units of the hidden layers, separated by commas; none if nothing is said
    #[arg(long, value_name = "NUMBERS")]
    pub(crate) hidden: Option<String>,
    /// What a hidden unit makes of its sum
    #[arg(long, value_enum, default_value_t)]
    pub(crate) activation: ActivationName,
    /// What nodes send in a round
    #[arg(long, value_enum, default_value_t)]
    pub(crate) method: MethodName,
    /// How far parameters move against the gradient; 0.1 if nothing is said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate: Option<f64>,
    /// How much of a move is in the next, for gradients; 0.9 if nothing is said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) momentum: Option<f64>,
    /// Steps of each node in a round, for averaging; 5 if nothing is said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) local_steps: Option<u32>,
    /// Rounds
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) rounds: u32,
    /// From which the first parameters follow; 1 if nothing is said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
}

/// Of what there are components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OfName {
    /// Of correlations: columns in standard deviations
    #[default]
    Correlation,
    /// Of covariances: columns in their units
    Covariance,
}

/// How far an output is from a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// The squared difference
    #[default]
    Squared,
    /// For a response of 0 or 1
    Logistic,
}

/// What a hidden unit makes of its sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationName {
    /// The hyperbolic tangent
    #[default]
    Tanh,
    /// The sum if it is above 0
    Relu,
}

/// What nodes send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodName {
    /// Sums of gradients: as over pooled rows
    #[default]
    Gradient,
    /// The parameters to which they come by steps of their own
    Averaging,
}
