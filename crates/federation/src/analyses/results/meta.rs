//! Of one estimate made of several.

use models::Term;
use models::meta::Pooled;

use crate::analyses::meta::Meta;

use super::{Results, Row, Sheet, Value, terms};

impl Meta {
    /// Its tables.
    pub fn results(&self) -> Results {
        let [(_, fixed), (_, laird), (_, reml)] = &self.models;
        let rows = self.sites.sites.iter().zip(&fixed.weights).zip(&reml.weights);
        let rows = rows.map(|((site, fixed), random)| {
            Row::default()
                .with("site", site.name.clone())
                .with("n", site.n)
                .with("estimate", Value::Number(site.estimate.value))
                .with("std_error", Value::Number(site.estimate.std_error))
                .with("weight_fixed", Value::Number(*fixed))
                .with("weight_reml", Value::Number(*random))
        });
        let lines: Vec<Term> = self.models.iter().map(|(name, pooled)| term(name, pooled)).collect();
        let facts = Row::default()
            .with("q", Value::Number(self.differ.q))
            .with("df", Value::Number(self.differ.df))
            .with("p_q", Value::P(self.differ.p))
            .with("i_squared", Value::Number(self.differ.i_squared))
            .with("tau_squared_dl", Value::Number(laird.tau_squared))
            .with("tau_squared_reml", Value::Number(reml.tau_squared));
        let mut notes = vec!["intervals are by the normal distribution, which is narrow of few sites".to_owned()];
        let left_out = &self.sites.left_out;
        if !left_out.is_empty() {
            notes.push(format!(
                "without {}: nothing was released that has an error",
                left_out.join(", ")
            ));
        }
        Results {
            facts,
            sheets: vec![Sheet::new("rows", rows), terms(None, &lines)],
            notes,
            rows_open: !left_out.is_empty(),
        }
    }
}

fn term(name: &str, pooled: &Pooled) -> Term {
    Term {
        term: name.to_owned(),
        estimate: pooled.estimate,
        std_error: pooled.std_error,
        statistic: pooled.z,
        p: pooled.p,
        ci_low: pooled.ci[0],
        ci_high: pooled.ci[1],
    }
}
