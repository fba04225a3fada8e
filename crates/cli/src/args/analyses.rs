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

/// Count rows by two columns: chi-squared, G, Fisher's exact test, Cramér's V, odds ratio, Mantel-Haenszel
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum crosstab --collection breast-cancer --rows hormone --columns relapsed --strata node --purpose ehds-53-1-e --sandbox /tmp/oncology

A test is made only if all of its counts were released.")]
pub(crate) struct CrosstabArgs {
    /// What stands along the rows
    #[arg(long, value_name = "COLUMN")]
    pub(crate) rows: String,
    /// What stands along the columns
    #[arg(long, value_name = "COLUMN")]
    pub(crate) columns: String,
    /// The common odds ratio over the values of this column, or over nodes with --strata node
    #[arg(long, value_name = "COLUMN")]
    pub(crate) strata: Option<String>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// Compare a number between groups: t tests, analysis of variance, rank tests
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum compare --collection breast-cancer --outcome age --by relapsed --ranks --purpose ehds-53-1-e --sandbox /tmp/oncology")]
pub(crate) struct CompareArgs {
    /// The column of numbers
    #[arg(long, value_name = "COLUMN")]
    pub(crate) outcome: String,
    /// The column of groups, or node
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: String,
    /// Rank tests from the declared bins, too: Mann-Whitney of two groups, Kruskal-Wallis of more
    #[arg(long)]
    pub(crate) ranks: bool,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// Correlate columns of numbers with each other
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum correlate --collection breast-cancer --columns age,nodes --purpose ehds-53-1-e --sandbox /tmp/oncology")]
pub(crate) struct CorrelateArgs {
    /// The columns
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
    pub(crate) columns: Vec<String>,
    /// Only rows in which all columns are known; otherwise, of each pair, those in which both are
    #[arg(long)]
    pub(crate) complete: bool,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// Cases for so many people, by district, standardised to the ages of a standard population
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum rates --collection measles-weekly --cases cases --by district --population inhabitants.csv --purpose ehds-53-1-e --sandbox /tmp/measles
  datenraum rates --collection admissions --by district --age age --standard european-2013 --population people.csv --geojson districts.geojson --plot map.svg --purpose ehds-53-1-c

A CSV of --population has a column `population`, and columns that are called as those of --by and --age and have their values.")]
pub(crate) struct RatesArgs {
    /// The column of cases, which are added up; otherwise each row is a case
    #[arg(long, value_name = "COLUMN")]
    pub(crate) cases: Option<String>,
    /// The number of people: a column, which is added up as cases are, or a CSV file of your own, which no node sees
    #[arg(long, value_name = "COLUMN|FILE.csv")]
    pub(crate) population: String,
    /// The column of places, such as districts
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Option<String>,
    /// The column of ages
    #[arg(long, value_name = "COLUMN", requires = "standard")]
    pub(crate) age: Option<String>,
    /// The population whose ages rates are standardised to
    #[arg(long, value_enum, requires = "age")]
    pub(crate) standard: Option<StandardArg>,
    /// How intervals of standardised rates are made
    #[arg(long, value_enum, default_value_t)]
    pub(crate) interval: IntervalArg,
    /// For how many people
    #[arg(long, value_name = "PEOPLE", default_value_t = 100_000)]
    pub(crate) per: u32,
    /// A map of the places, to join rates to by the property --geojson-key
    #[arg(long, value_name = "FILE", requires = "by")]
    pub(crate) geojson: Option<PathBuf>,
    /// The property of the map that has the values of --by
    #[arg(long, value_name = "PROPERTY", default_value = "ags")]
    pub(crate) geojson_key: String,
    /// Write the map with the rates as properties of its places
    #[arg(long, value_name = "FILE", requires = "geojson")]
    pub(crate) geojson_out: Option<PathBuf>,
    /// Draw the map as FILE.svg
    #[arg(long, value_name = "FILE", requires = "geojson")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// A standard population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StandardArg {
    /// European Standard Population 2013 (Eurostat)
    #[value(name = "european-2013")]
    European2013,
    /// WHO World Standard Population 2000-2025
    #[value(name = "who-2000-2025")]
    World2000,
}

/// How intervals of rates are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntervalArg {
    /// Fay and Feuer's gamma interval
    #[default]
    Gamma,
    /// Dobson's
    Dobson,
}

/// Time until an event: Kaplan-Meier over the declared bins of time, and the log-rank test
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum survival --collection breast-cancer --time relapse_free_days --event relapsed --by hormone --plot curves.svg --purpose ehds-53-1-e --sandbox /tmp/oncology")]
pub(crate) struct SurvivalArgs {
    /// The column of times, until the event or until last seen
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: String,
    /// The column that says whether the event was seen
    #[arg(long, value_name = "COLUMN")]
    pub(crate) event: String,
    /// The value of it that means that it was; otherwise true or 1
    #[arg(long, value_name = "VALUE")]
    pub(crate) event_value: Option<String>,
    /// For each value of this column, with a test of whether they differ
    #[arg(long, value_name = "COLUMN")]
    pub(crate) by: Option<String>,
    /// How people count who were last seen within a bin; otherwise actuarial where times are in bins, and product-limit where not
    #[arg(long, value_enum)]
    pub(crate) method: Option<MethodArg>,
    /// On which scale confidence intervals are symmetric
    #[arg(long, value_enum, default_value_t)]
    pub(crate) interval: ScaleArg,
    /// Draw the curves, as FILE.svg or FILE.png
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) about: AboutArgs,
}

/// How people count who were last seen within a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodArg {
    /// At risk for the whole bin
    ProductLimit,
    /// At risk for half of it
    Actuarial,
}

/// On which scale intervals are symmetric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaleArg {
    /// The logarithm, as R does
    #[default]
    Log,
    /// The logarithm of the negative logarithm
    LogLog,
}

/// Put estimates of several nodes or studies together: fixed effect, DerSimonian-Laird, REML
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum meta --collection breast-cancer --outcome age --purpose ehds-53-1-e --plot forest.svg --sandbox /tmp/oncology
  datenraum meta --estimates north.json --estimates south.json --term age --plot forest.svg

A file of --estimates is the JSON of one model, of which --term names the line; or one array of objects with label, estimate and
std_error.")]
pub(crate) struct MetaArgs {
    /// A file with estimates; several may be named
    #[arg(long, value_name = "FILE", conflicts_with_all = ["collection", "outcome"])]
    pub(crate) estimates: Vec<PathBuf>,
    /// The line of each model
    #[arg(long, value_name = "TERM", requires = "estimates")]
    pub(crate) term: Option<String>,
    /// The column of which each node's average is an estimate
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "collection",
        required_unless_present = "estimates"
    )]
    pub(crate) outcome: Option<String>,
    /// The collection, by its id or its name in SQL
    #[arg(long, value_name = "COLLECTION", requires = "outcome")]
    pub(crate) collection: Option<String>,
    /// Only rows for which this is true
    #[arg(long = "where", value_name = "CONDITION", requires = "collection")]
    pub(crate) condition: Option<String>,
    /// What it is for
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Option<String>,
    /// The data permit under which it is asked
    #[arg(long, value_name = "ID")]
    pub(crate) permit: Option<String>,
    /// How long nodes may take
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<federation::Timeout>,
    /// Draw a forest plot, as FILE.svg
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    #[command(flatten)]
    pub(crate) written: WrittenArgs,
}
