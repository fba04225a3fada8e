//! Rates of a population: crude, and directly standardised to the ages of a standard population, with intervals.

use serde::Serialize;

use crate::distribution::gamma_quantile;

/// A standard population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// The European Standard Population of 2013 (Eurostat, *Revision of the European Standard Population*, 2013).
    European2013,
    /// The WHO World Standard Population, 2000–2025 (Ahmad et al., GPE Discussion Paper 31, WHO 2001).
    World2000,
}

/// Of 100,000, in groups of five years from 0 to 90; the last is of 95 and more.
const EUROPEAN: [f64; 20] = [
    5000.0, 5500.0, 5500.0, 5500.0, 6000.0, 6000.0, 6500.0, 7000.0, 7000.0, 7000.0, 7000.0, 6500.0, 6000.0, 5500.0,
    5000.0, 4000.0, 2500.0, 1500.0, 800.0, 200.0,
];

/// Per cent, in groups of five years from 0 to 95; the last is of 100 and more. They add up to 100.035, as published.
const WORLD: [f64; 21] = [
    8.86, 8.69, 8.60, 8.47, 8.22, 7.93, 7.61, 7.15, 6.59, 6.04, 5.37, 4.55, 3.72, 2.96, 2.21, 1.52, 0.91, 0.44, 0.15,
    0.04, 0.005,
];

/// Years in a group of a standard population.
const STEP: u32 = 5;

impl Standard {
    /// Its name, for whoever reads the result.
    pub fn name(self) -> &'static str {
        match self {
            Standard::European2013 => "European Standard Population 2013 (Eurostat)",
            Standard::World2000 => "WHO World Standard Population 2000-2025",
        }
    }

    /// How many people of the standard are in an age group. None if its ends are not ends of groups of the standard.
    pub fn weight(self, group: AgeGroup) -> Option<f64> {
        let people: &[f64] = match self {
            Standard::European2013 => &EUROPEAN,
            Standard::World2000 => &WORLD,
        };
        let edge = |years: u32| years.is_multiple_of(STEP).then_some((years / STEP) as usize);
        let from = edge(group.from).filter(|from| *from < people.len())?;
        let until = match group.until {
            // Whoever is older than the last group begins is in it.
            Some(years) if years >= OLDEST => people.len(),
            Some(years) => edge(years).filter(|until| *until < people.len())?,
            None => people.len(),
        };
        Some(people.get(from..until)?.iter().sum()).filter(|people| *people > 0.0)
    }
}

/// An age that nobody passes who matters to a rate, in years: an upper end here or above is taken as none.
const OLDEST: u32 = 110;

/// Ages from `from` to below `until`, in years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgeGroup {
    /// The least age.
    pub from: u32,
    /// The age at which it ends; none if it has no end.
    pub until: Option<u32>,
}

impl AgeGroup {
    /// Of a text such as `5-14`, `A05-A14` or `80+`: the ages in it, both ends included.
    pub fn parse(text: &str) -> Option<Self> {
        let years = |text: &str| text.trim().trim_start_matches('A').parse::<u32>().ok();
        if let Some(from) = text.trim().strip_suffix('+') {
            return Some(Self {
                from: years(from)?,
                until: None,
            });
        }
        let (from, last) = text.split_once(['-', '–'])?;
        Self::between(years(from)?, years(last)?.checked_add(1)?)
    }

    /// From one age to below another.
    pub fn between(from: u32, until: u32) -> Option<Self> {
        (from < until).then_some(Self {
            from,
            until: Some(until),
        })
    }

    /// Whether somebody can be in both.
    pub fn overlaps(self, other: Self) -> bool {
        let ends = |group: Self| group.until.unwrap_or(u32::MAX);
        self.from < ends(other) && other.from < ends(self)
    }
}

/// How the interval of a standardised rate is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateInterval {
    /// Fay and Feuer's gamma interval (1997): never too narrow, also of few cases.
    #[default]
    FayFeuer,
    /// Dobson's, of the exact interval of the number of cases (Dobson et al. 1991).
    Dobson,
}

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Cases for `per` people.
    pub rate: f64,
    /// The ends of its confidence interval.
    pub ci: [f64; 2],
}

impl Rate {
    fn times(self, per: f64) -> Self {
        Self {
            rate: self.rate * per,
            ci: self.ci.map(|end| end * per),
        }
    }
}

/// Cases by people, with the exact interval of a Poisson number (Garwood 1936). None without people.
pub fn crude(cases: f64, people: f64, per: f64, confidence: f64) -> Option<Rate> {
    if people.is_nan() || people <= 0.0 {
        return None;
    }
    let rate = Rate {
        rate: cases / people,
        ci: poisson_interval(cases, confidence)?.map(|cases| cases / people),
    };
    Some(rate.times(per))
}

/// The exact interval of a Poisson number, by quantiles of gamma distributions.
fn poisson_interval(cases: f64, confidence: f64) -> Option<[f64; 2]> {
    let tail = (1.0 - confidence) / 2.0;
    let low = if cases > 0.0 { gamma_quantile(tail, cases)? } else { 0.0 };
    Some([low, gamma_quantile(1.0 - tail, cases + 1.0)?])
}

/// An age group of a population.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stratum {
    /// Cases.
    pub cases: f64,
    /// People.
    pub people: f64,
    /// People of the standard population.
    pub weight: f64,
}

/// The rate that the standard population would have with these rates of its ages. None if an age group has no people.
pub fn standardised(strata: &[Stratum], per: f64, confidence: f64, interval: RateInterval) -> Option<Rate> {
    if strata.is_empty()
        || strata
            .iter()
            .any(|stratum| stratum.people.is_nan() || stratum.people <= 0.0)
    {
        return None;
    }
    let standard: f64 = strata.iter().map(|stratum| stratum.weight).sum();
    let share = |stratum: &Stratum| stratum.weight / standard / stratum.people;
    let rate: f64 = strata.iter().map(|stratum| share(stratum) * stratum.cases).sum();
    let variance: f64 = strata
        .iter()
        .map(|stratum| share(stratum).powi(2) * stratum.cases)
        .sum();
    let cases: f64 = strata.iter().map(|stratum| stratum.cases).sum();
    let ci = match interval {
        RateInterval::FayFeuer => {
            let largest = strata.iter().map(share).fold(0.0, f64::max);
            fay_feuer(rate, variance, largest, confidence)?
        }
        RateInterval::Dobson => {
            if cases == 0.0 {
                return None;
            }
            let scale = (variance / cases).sqrt();
            poisson_interval(cases, confidence)?.map(|end| rate + scale * (end - cases))
        }
    };
    Some(Rate { rate, ci }.times(per))
}

fn fay_feuer(rate: f64, variance: f64, largest: f64, confidence: f64) -> Option<[f64; 2]> {
    let tail = (1.0 - confidence) / 2.0;
    let low = match rate > 0.0 {
        true => variance / rate * gamma_quantile(tail, rate * rate / variance)?,
        false => 0.0,
    };
    let (above, wider) = (rate + largest, variance + largest * largest);
    Some([low, wider / above * gamma_quantile(1.0 - tail, above * above / wider)?])
}

#[cfg(test)]
mod tests;
