//! Distributions of a response and links to its mean, as R's `family` objects have them: what one row adds to the sums of a step.

use statrs::function::gamma::ln_gamma;
use terms::{Problem, Report};

use crate::design::Variable;

/// The distribution of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Normal; the variance is estimated.
    Gaussian,
    /// 0 or 1, or the share of successes in as many trials as the weight says.
    Binomial,
    /// Counts whose variance is their mean.
    Poisson,
    /// Numbers above 0 whose variance is their squared mean times a dispersion, which is estimated.
    Gamma,
    /// Counts whose variance is μ + μ²/θ, with θ given.
    NegativeBinomial(f64),
}

/// How the mean hangs together with the linear predictor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// η = μ
    Identity,
    /// η = log μ
    Log,
    /// η = log(μ / (1 − μ))
    Logit,
    /// η = 1 / μ
    Inverse,
}

/// What a row adds.
pub(crate) struct Added {
    /// Its weight in XᵀWX.
    pub(crate) weight: f64,
    /// What it adds to the right side, before the model matrix.
    pub(crate) weighted_residual: f64,
    /// Deviance, Pearson's χ², and two sums for the log-likelihood.
    pub(crate) rest: [f64; 4],
}

/// Sums from which a log-likelihood follows.
pub(crate) struct Totals {
    pub(crate) rows: f64,
    pub(crate) weights: f64,
    pub(crate) log_weights: f64,
    pub(crate) of_responses: f64,
    pub(crate) deviance: f64,
    pub(crate) rest: [f64; 2],
}

impl Link {
    /// Its name in a statement.
    pub fn name(self) -> &'static str {
        match self {
            Link::Identity => "identity",
            Link::Log => "log",
            Link::Logit => "logit",
            Link::Inverse => "inverse",
        }
    }

    pub(crate) fn of_mean(self, mean: f64) -> f64 {
        match self {
            Link::Identity => mean,
            Link::Log => mean.ln(),
            Link::Logit => (mean / (1.0 - mean)).ln(),
            Link::Inverse => mean.recip(),
        }
    }

    /// The mean, and its derivative.
    fn mean(self, predictor: f64) -> (f64, f64) {
        match self {
            Link::Identity => (predictor, 1.0),
            Link::Log => {
                // R takes at least the smallest normal step, so that weights stay above 0.
                let mean = predictor.exp().max(f64::EPSILON);
                (mean, mean)
            }
            Link::Logit => {
                let bounded = predictor.clamp(-30.0, 30.0);
                let odds = bounded.exp();
                let mean = odds / (1.0 + odds);
                (mean, (mean / (1.0 + odds)).max(f64::EPSILON))
            }
            Link::Inverse => (predictor.recip(), -predictor.powi(-2)),
        }
    }
}

impl std::str::FromStr for Link {
    type Err = Report;

    fn from_str(name: &str) -> Result<Self, Report> {
        let all = [Link::Identity, Link::Log, Link::Logit, Link::Inverse];
        let found = all.into_iter().find(|link| link.name() == name);
        found.ok_or_else(|| {
            let report = Problem::ModelFormula.report(format!("there is no link {name}"));
            report.remedy("there are identity, log, logit and inverse")
        })
    }
}

impl Family {
    /// Reads a family; `theta` belongs to the negative binomial alone.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` for another name, and for a θ that is not above 0 or is there or missing where it must not be.
    pub fn named(name: &str, theta: Option<f64>) -> Result<Self, Report> {
        let refuse = |message: String, remedy: &str| Err(Problem::ModelFormula.report(message).remedy(remedy));
        let family = match name {
            "gaussian" => Family::Gaussian,
            "binomial" => Family::Binomial,
            "poisson" => Family::Poisson,
            "gamma" => Family::Gamma,
            "negative-binomial" => match theta {
                Some(theta) if theta > 0.0 && theta.is_finite() => return Ok(Family::NegativeBinomial(theta)),
                _ => {
                    return refuse(
                        "the negative binomial needs a theta above 0".to_owned(),
                        "give theta, for instance 1.5",
                    );
                }
            },
            _ => {
                let remedy = "there are gaussian, binomial, poisson, gamma and negative-binomial";
                return refuse(format!("there is no family {name}"), remedy);
            }
        };
        match theta {
            None => Ok(family),
            Some(_) => refuse(format!("{name} has no theta"), "leave theta out"),
        }
    }

    /// Its name in a statement.
    pub fn name(self) -> &'static str {
        match self {
            Family::Gaussian => "gaussian",
            Family::Binomial => "binomial",
            Family::Poisson => "poisson",
            Family::Gamma => "gamma",
            Family::NegativeBinomial(_) => "negative-binomial",
        }
    }

    /// The link that R takes if none is given.
    pub fn own_link(self) -> Link {
        match self {
            Family::Gaussian => Link::Identity,
            Family::Binomial => Link::Logit,
            Family::Poisson | Family::NegativeBinomial(_) => Link::Log,
            Family::Gamma => Link::Inverse,
        }
    }

    pub(crate) fn require_link(self, link: Link) -> Result<(), Report> {
        let links: &[Link] = match self {
            Family::Gaussian => &[Link::Identity],
            Family::Binomial => &[Link::Logit],
            Family::Poisson | Family::NegativeBinomial(_) => &[Link::Log],
            Family::Gamma => &[Link::Inverse, Link::Log],
        };
        if links.contains(&link) {
            return Ok(());
        }
        let names: Vec<&str> = links.iter().map(|link| link.name()).collect();
        let report = Problem::ModelFormula.report(format!("{} has no link {} here", self.name(), link.name()));
        Err(report.remedy(format!("take {}", names.join(" or "))))
    }

    /// Refuses a response whose declared values are not those of the family.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA`.
    pub fn require_response(self, response: &Variable, is_indicator: bool) -> Result<(), Report> {
        let (low, high) = if is_indicator {
            (0.0, 1.0)
        } else {
            response.bounds.unwrap_or((f64::MIN, f64::MAX))
        };
        let (fits, what) = match self {
            Family::Gaussian => (true, ""),
            Family::Binomial => (
                low == 0.0 && high == 1.0,
                "true or false, 0 or 1, or a share of trials from 0 to 1",
            ),
            Family::Poisson | Family::NegativeBinomial(_) => {
                (low >= 0.0, "a count: its declared bounds begin at 0 or above")
            }
            Family::Gamma => (low > 0.0, "above 0: its declared bounds too"),
        };
        if fits {
            return Ok(());
        }
        let message = format!("the response of a {} model must be {what}", self.name());
        let report = Problem::ModelFormula.report(message);
        Err(match self {
            Family::Binomial => report.remedy(format!("compare it, for instance {} == \"…\"", response.name)),
            _ => report,
        })
    }

    pub(crate) fn estimates_dispersion(self) -> bool {
        matches!(self, Family::Gaussian | Family::Gamma)
    }

    /// R counts the dispersion as a parameter of these.
    pub(crate) fn counts_dispersion(self) -> bool {
        self.estimates_dispersion()
    }

    pub(crate) fn can_be_separated(self) -> bool {
        matches!(self, Family::Binomial | Family::Poisson | Family::NegativeBinomial(_))
    }

    /// What all responses are, if they are all the same and the model cannot say anything then.
    pub(crate) fn is_constant(self, responses: f64, weights: f64) -> Option<&'static str> {
        match self {
            Family::Gaussian | Family::Gamma => None,
            Family::Binomial if responses >= weights => Some("1"),
            Family::Binomial | Family::Poisson | Family::NegativeBinomial(_) if responses <= 0.0 => Some("0"),
            Family::Binomial | Family::Poisson | Family::NegativeBinomial(_) => None,
        }
    }

    /// Refuses a binomial with rows that are neither 0 nor 1 nor a whole number of successes in their trials; of others nothing is known here.
    ///
    /// # Errors
    /// `E_MODEL_DATA`.
    pub(crate) fn require_successes(self, log_weights: f64) -> Result<(), Report> {
        if self != Family::Binomial || log_weights <= 0.0 {
            return Ok(());
        }
        let message = "the response of a binomial model is neither 0 nor 1 in some rows, nor a whole number of successes by its weight";
        Err(Problem::ModelData.report(message).remedy(
            "name the column with the number of trials as weights, where the response is the share of successes in them; \
             model other shares as gaussian",
        ))
    }

    fn variance(self, mean: f64) -> f64 {
        match self {
            Family::Gaussian => 1.0,
            Family::Binomial => mean * (1.0 - mean),
            Family::Poisson => mean,
            Family::Gamma => mean * mean,
            Family::NegativeBinomial(theta) => mean + mean * mean / theta,
        }
    }

    /// What a row adds at a linear predictor.
    pub(crate) fn at(self, link: Link, y: f64, prior: f64, predictor: f64) -> Added {
        let (mean, slope) = link.mean(predictor);
        let variance = self.variance(mean);
        let weight = prior * slope * slope / variance;
        let residual = y - mean;
        let [one, two] = self.of_both(y, prior, mean);
        Added {
            weight,
            weighted_residual: prior * slope / variance * residual,
            rest: [
                prior * self.deviance(y, mean),
                prior * residual * residual / variance,
                one,
                two,
            ],
        }
    }

    /// Twice what the log-likelihood of the response itself is above that of the mean.
    fn deviance(self, y: f64, mean: f64) -> f64 {
        match self {
            Family::Gaussian => (y - mean) * (y - mean),
            Family::Binomial => 2.0 * (ylogy(y, mean) + ylogy(1.0 - y, 1.0 - mean)),
            Family::Poisson => 2.0 * (ylogy(y, mean) - (y - mean)),
            Family::Gamma => -2.0 * ((y / mean).ln() - (y - mean) / mean),
            Family::NegativeBinomial(theta) => {
                2.0 * (ylogy(y, mean) - (y + theta) * ((y + theta) / (mean + theta)).ln())
            }
        }
    }

    /// The logarithm of a weight; of a binomial, which needs none, 1 if the response cannot be.
    pub(crate) fn of_weight(self, y: f64, prior: f64) -> f64 {
        match self {
            Family::Binomial => f64::from(!is_of_trials(y, prior)),
            _ => prior.ln(),
        }
    }

    /// What the log-likelihood has of the response alone.
    pub(crate) fn of_response(self, y: f64, prior: f64) -> f64 {
        match self {
            Family::Gaussian => 0.0,
            Family::Binomial => {
                let [successes, failures] = trials(y, prior);
                ln_gamma(successes + failures + 1.0) - ln_gamma(successes + 1.0) - ln_gamma(failures + 1.0)
            }
            Family::Poisson => -prior * ln_gamma(y + 1.0),
            Family::Gamma => prior * y.ln(),
            Family::NegativeBinomial(theta) => {
                prior * (ln_gamma(y + theta) - ln_gamma(theta) - ln_gamma(y + 1.0) + theta * theta.ln())
            }
        }
    }

    /// What the log-likelihood has of response and mean.
    fn of_both(self, y: f64, prior: f64, mean: f64) -> [f64; 2] {
        match self {
            Family::Gaussian => [0.0; 2],
            Family::Binomial => {
                let [successes, failures] = trials(y, prior);
                [successes * mean.ln() + failures * (1.0 - mean).ln(), 0.0]
            }
            Family::Poisson => [prior * (y * mean.ln() - mean), 0.0],
            Family::Gamma => [prior * mean.ln(), prior * y / mean],
            Family::NegativeBinomial(theta) => [prior * (y * mean.ln() - (theta + y) * (theta + mean).ln()), 0.0],
        }
    }

    /// As R's `logLik`, which takes the deviance over the weights as the dispersion.
    pub(crate) fn log_likelihood(self, totals: &Totals) -> Option<f64> {
        let Totals {
            rows,
            weights,
            log_weights,
            of_responses,
            deviance,
            rest: [one, two],
        } = *totals;
        let found = match self {
            Family::Gaussian => {
                let square = std::f64::consts::TAU * deviance / rows;
                -0.5 * (rows * (square.ln() + 1.0) - log_weights)
            }
            Family::Binomial | Family::Poisson | Family::NegativeBinomial(_) => one + of_responses,
            Family::Gamma => {
                let shape = weights / deviance;
                weights * (shape * shape.ln() - ln_gamma(shape)) - shape * (one + two) + (shape - 1.0) * of_responses
            }
        };
        found.is_finite().then_some(found)
    }
}

/// Successes and failures of a binomial response; of a weight that is no whole number as R has them, rounded.
fn trials(y: f64, prior: f64) -> [f64; 2] {
    let successes = (prior * y).round_ties_even();
    [successes, (prior.round_ties_even() - successes).max(0.0)]
}

/// Whether a binomial response is 0 or 1, or a whole number of successes by its weight, as far as R asks for one.
fn is_of_trials(y: f64, prior: f64) -> bool {
    const OFF_MAX: f64 = 1e-3;
    let successes = prior * y;
    y == 0.0 || y == 1.0 || ((0.0..=1.0).contains(&y) && (successes - successes.round()).abs() <= OFF_MAX)
}

/// y log(y/μ), which is 0 at y = 0.
fn ylogy(y: f64, mean: f64) -> f64 {
    if y > 0.0 { y * (y / mean).ln() } else { 0.0 }
}
