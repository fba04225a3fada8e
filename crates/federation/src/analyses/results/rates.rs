//! Of cases for so many people.

use models::rates::{Rate, RateInterval};

use crate::analyses::Number;
use crate::analyses::rates::{Asked, Place, Rates};

use super::{Results, Row, Sheet, Value, figures};

impl Rates {
    /// Its table; `asked` is what was asked for.
    pub fn results(&self, asked: &Asked<'_>) -> Results {
        let mut notes = vec![format!("rates are for {} people", figures(asked.per))];
        if let Some((_, standard)) = asked.standard {
            notes.push(format!(
                "standardised to the {}, over {}; interval: {}",
                standard.name(),
                self.ages.join(", "),
                match asked.interval {
                    RateInterval::FayFeuer => "Fay and Feuer (gamma)",
                    RateInterval::Dobson => "Dobson",
                }
            ));
        }
        notes.push("intervals of crude rates are exact of a Poisson number of cases".to_owned());
        if self.has_places {
            notes.push("a place of which no node has or released anything is not listed".to_owned());
        }
        let rows = self.places.iter().map(|place| row(place, asked));
        Results {
            facts: Row::default().with("dropped", Value::Pooled(self.dropped)),
            sheets: vec![Sheet::new("rows", rows)],
            notes,
            rows_open: self.can_lack_places,
        }
    }
}

fn row(place: &Place, asked: &Asked<'_>) -> Row {
    let mut row = Row::default();
    if let Some(level) = &place.level {
        row = row.with("place", level.clone());
    }
    let end = |rate: Option<Rate>, at: usize| rate.map(|rate| rate.ci[at]);
    row = row
        .with("cases", Value::Pooled(place.cases))
        .with("people", Value::Pooled(place.people))
        .with("crude", crude(place, asked.per))
        .with("crude_ci_low", end(place.crude, 0))
        .with("crude_ci_high", end(place.crude, 1));
    if asked.standard.is_some() {
        row = row
            .with("standardised", place.standardised.map(|rate| rate.rate))
            .with("ci_low", end(place.standardised, 0))
            .with("ci_high", end(place.standardised, 1));
    }
    row
}

/// The rate; of cases that are open, at least that of those that were released.
fn crude(place: &Place, per: f64) -> Value {
    match (place.crude, place.cases.value, place.people.exact()) {
        (Some(rate), ..) => Value::Number(rate.rate),
        (None, Some(cases), Some(people)) if people > 0.0 => Value::Pooled(Number {
            value: Some(cases / people * per),
            open: place.cases.open.map(|(low, high)| {
                (
                    low.map(|cases| cases / people * per),
                    high.map(|cases| cases / people * per),
                )
            }),
            bin: None,
        }),
        _ => Value::Nothing,
    }
}
