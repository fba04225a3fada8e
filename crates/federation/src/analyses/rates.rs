//! Cases for so many people, of each district or all together, standardised to the ages of a standard population.

mod population;

use std::collections::BTreeMap;

use models::rates::{self, AgeGroup, Rate, RateInterval, Standard, Stratum};
use terms::{Problem, Report};

pub use self::population::Keys;
use super::{CONFIDENCE, Cells, Key, Number, Study};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The column of cases; each row is one case if none is named.
    pub cases: Option<&'a str>,
    /// Where the number of people is from.
    pub population: Population,
    /// The column of places, such as districts.
    pub by: Option<&'a str>,
    /// The column of ages, and the population to which rates are standardised.
    pub standard: Option<(&'a str, Standard)>,
    /// How intervals are made.
    pub interval: RateInterval,
    /// For how many people a rate is.
    pub per: f64,
}

/// Where the number of people is from.
#[derive(Clone, Debug)]
pub enum Population {
    /// A column of the collection, added up as cases are.
    Column(String),
    /// The asker's own numbers, by place and age as far as these are asked for.
    Own(BTreeMap<Vec<String>, f64>),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Rates {
    /// The places in their order; one without a name if there are none.
    pub places: Vec<Place>,
    /// Cases of which place or age are not known.
    pub dropped: Number,
    /// Age groups that were standardised, if they were.
    pub ages: Vec<String>,
    /// Whether rates are of places: then one of which no node has or released anything is not among them.
    pub has_places: bool,
    /// Whether places can be missing of which nobody released anything.
    pub can_lack_places: bool,
}

/// One place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its value.
    pub level: Option<String>,
    /// Cases.
    pub cases: Number,
    /// People.
    pub people: Number,
    /// Cases for so many people; none if not all cases are known, or no people.
    pub crude: Option<Rate>,
    /// The same with the ages of the standard population.
    pub standardised: Option<Rate>,
}

/// Asks for cases, and people, by place and age.
///
/// # Errors
/// As [`Study::ask`]; an unknown column; `Statistic` if age groups do not fit the standard population.
pub async fn rates(study: &mut Study<'_>, asked: &Asked<'_>) -> Result<Rates, Report> {
    let mut values = match asked.cases {
        Some(cases) => {
            study.numbers(cases)?;
            vec![format!("sum({cases})")]
        }
        None => vec!["count(*)".to_owned()],
    };
    if let Population::Column(people) = &asked.population {
        study.numbers(people)?;
        values.push(format!("sum({people})"));
    }
    let by = asked.by.map(|by| study.key(by)).transpose()?;
    let age = asked.standard.map(|(age, _)| study.key(age)).transpose()?;
    let keys: Vec<&Key> = by.iter().chain(&age).collect();
    let cells = study.ask(&keys, &values, &[]).await?;
    let (cells, dropped) = cells.without_unknown(0);
    let ages = age
        .as_ref()
        .map_or_else(Vec::new, |age| ages(&cells, keys.len() - 1, age, &asked.population));
    let weights = match (&age, asked.standard) {
        (Some(age), Some((_, standard))) => weights(&ages, age, standard)?,
        _ => Vec::new(),
    };
    let places: Vec<Option<String>> = match &by {
        Some(by) => cells.levels(0, by).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let places = places.into_iter().map(|level| {
        let strata: Vec<(Number, Number)> = match ages.as_slice() {
            [] => vec![stratum(
                &cells,
                asked,
                &level.iter().map(String::as_str).collect::<Vec<_>>(),
            )],
            ages => {
                let keys = ages
                    .iter()
                    .map(|age| level.iter().chain([age]).map(String::as_str).collect::<Vec<_>>());
                keys.map(|keys| stratum(&cells, asked, &keys)).collect()
            }
        };
        place(level, &strata, &weights, asked)
    });
    Ok(Rates {
        places: places.collect(),
        dropped,
        ages,
        has_places: by.is_some(),
        can_lack_places: by.is_some() && !cells.complete,
    })
}

/// The age groups of all places. One of which no node released anything is among them if one can have withheld it: then its cases and
/// people are not known, and no rate looks as if there were none. A place of which nothing was released may be nobody's to tell of.
fn ages(cells: &Cells, at: usize, age: &Key, population: &Population) -> Vec<String> {
    let mut ages = cells.levels(at, age);
    match population {
        Population::Own(people) => ages.extend(people.keys().filter_map(|key| key.last().cloned())),
        Population::Column(_) if !cells.complete => ages.extend(age.levels.iter().cloned()),
        Population::Column(_) => {}
    }
    ages.sort_by(|a, b| age.order(Some(a), Some(b)));
    ages.dedup();
    ages
}

/// Cases and people of one place and age.
fn stratum(cells: &Cells, asked: &Asked<'_>, keys: &[&str]) -> (Number, Number) {
    let mut cases = cells.number(keys, 0);
    // A sum over no rows is NULL, and says that there was no case.
    if cases.value.is_none() && cases.open.is_none() {
        cases.value = Some(0.0);
    }
    let people = match &asked.population {
        Population::Column(_) => cells.number(keys, 1),
        Population::Own(people) => {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            Number::known(people.get(&keys).copied().unwrap_or_default())
        }
    };
    (cases, people)
}

fn place(level: Option<String>, strata: &[(Number, Number)], weights: &[f64], asked: &Asked<'_>) -> Place {
    let sum = |of: fn(&(Number, Number)) -> Number| strata.iter().map(of).fold(Number::known(0.0), Number::plus);
    let (cases, people) = (sum(|stratum| stratum.0), sum(|stratum| stratum.1));
    let both = cases.exact().zip(people.exact());
    let crude = both.and_then(|(cases, people)| rates::crude(cases, people, asked.per, CONFIDENCE));
    let exact = strata.iter().zip(weights).map(|((cases, people), weight)| {
        Some(Stratum {
            cases: cases.exact()?,
            people: people.exact()?,
            weight: *weight,
        })
    });
    let exact: Option<Vec<Stratum>> = exact.collect();
    let standardised = exact.filter(|_| !weights.is_empty());
    let standardised =
        standardised.and_then(|strata| rates::standardised(&strata, asked.per, CONFIDENCE, asked.interval));
    Place {
        level,
        cases,
        people,
        crude,
        standardised,
    }
}

/// How many people of the standard population are in each age group.
fn weights(ages: &[String], key: &Key, standard: Standard) -> Result<Vec<f64>, Report> {
    let unfit = |message: String| {
        let report = Problem::Statistic.report(message);
        report.remedy("age groups must begin and end at multiples of five years, such as 0-4, A05-A14, 80+ or bins with such edges")
    };
    let mut groups: Vec<AgeGroup> = Vec::new();
    let mut weights = Vec::new();
    for age in ages {
        let group = match key.range(age) {
            Some([from, until]) if from < until && from.fract() == 0.0 && until.fract() == 0.0 && from >= 0.0 => {
                AgeGroup::between(from as u32, until as u32)
            }
            _ => AgeGroup::parse(age),
        };
        let group = group.ok_or_else(|| unfit(format!("{age:?} is no age group")))?;
        if groups.iter().any(|other| other.overlaps(group)) {
            return Err(unfit(format!("the age group {age:?} overlaps with another")));
        }
        let weight = standard.weight(group);
        weights.push(weight.ok_or_else(|| {
            unfit(format!(
                "the age group {age:?} cuts through one of the {}",
                standard.name()
            ))
        })?);
        groups.push(group);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests;
