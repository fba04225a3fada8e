//! What can be said to make statistics. What is common to all of them is in [`AboutArgs`].

use std::path::PathBuf;

use clap::ValueEnum;

use super::AskerArgs;

/// What an analysis is about, and how its result is written.
#[derive(Debug, clap::Args)]
pub(crate) struct AboutArgs {
    /// The collection, by its id or its name in SQL
    #[arg(long, value_name = "COLLECTION")]
    pub(crate) collection: String,
    /// Only rows for which this is true, such as "age >= 50 AND hormone"
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// What it is for, ehds-53-1-a to ehds-53-1-f, such as ehds-53-1-e (scientific research)
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Option<String>,
    /// The data permit under which it is asked
    #[arg(long, value_name = "ID")]
    pub(crate) permit: Option<String>,
    /// How long nodes may take for each question
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<federation::Timeout>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    #[command(flatten)]
    pub(crate) written: WrittenArgs,
}

/// How the result of an analysis is written.
#[derive(Debug, clap::Args)]
pub(crate) struct WrittenArgs {
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: AnalysisFormat,
    /// Print the questions that nodes were asked, too
    #[arg(long)]
    pub(crate) show_sql: bool,
}

/// How the result of an analysis is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnalysisFormat {
    /// For people
    #[default]
    Table,
    /// For programs; docs/statistics.md says its shape
    Json,
}

/// Describe columns: rows, missing values, mean, spread, quartiles, histograms, how often each value is there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum describe --collection breast-cancer --columns age,nodes,grade --by hormone --purpose ehds-53-1-e --sandbox /tmp/oncology")]
pub(crate) struct DescribeArgs {
    /// The columns
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
    pub(crate) columns: Vec<String>,
    /// For each value of this column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Option<String>,
    /// How many rows are in each declared bin of a column of numbers, too
    #[arg(long)]
    pub(crate) histogram: bool,
    /// Draw the rows by bin or value of the only column, as FILE.svg or FILE.png
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}
