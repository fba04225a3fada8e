//! What holds for every analysis whatever the rows are: how they are spread over nodes does not change the result.
//!
//! Not so for `training.rs` with averaging, whose result depends on the spread, and for `cox.rs` with a baseline of each node, where
//! nodes are strata: there the strata are what has to be the same.

use proptest::prelude::*;
use terms::Report;

use crate::cox::{Baseline, Cox, Ties, Transform};
use crate::design::{Design, Need, Variable};
use crate::example::{Table, fit};
use crate::family::Family;
use crate::formula::Formula;
use crate::frame::Frame;
use crate::glm::Glm;
use crate::glm::penalised::Penalised;
use crate::kmeans::KMeans;
use crate::network::{Activation, Loss, Network};
use crate::pca::{Of, Pca};
use crate::points::Points;
use crate::survival::Survival;
use crate::training::{Method, Training};

/// Rows over nodes.
#[derive(Clone, Debug)]
struct Spread {
    table: Table,
    nodes: usize,
}

impl Spread {
    fn variables(&self) -> Vec<Variable> {
        let mut variables = self.table.variables(&["group", "node"]);
        let time = self.table.column("time");
        variables[time].edges = (0..40).map(f64::from).collect();
        // Declared, with rows or without.
        let group = self.table.column("group");
        variables[group].levels = ["0", "1", "2"].map(str::to_owned).to_vec();
        variables
    }

    fn design(&self, formula: &str) -> Design {
        Design::new(&Formula::parse(formula).unwrap(), None, &[], &self.variables()).unwrap()
    }

    fn cox(&self, formula: &str, ties: Ties, baseline: Baseline) -> Cox {
        let survival = Survival::new(&Formula::parse(formula).unwrap(), &[], &self.variables()).unwrap();
        Cox::new(survival, ties, baseline, Some(Transform::Km)).unwrap()
    }

    fn together(&self, needs: &[Need]) -> Vec<Frame> {
        vec![self.table.frame(needs, |_, _| true)]
    }

    /// Nodes without rows are among them.
    fn apart(&self, needs: &[Need]) -> Vec<Frame> {
        let at = self.table.column("node");
        let node = |node: usize| self.table.frame(needs, move |_, row| row[at] == node.to_string());
        (0..self.nodes).map(node).collect()
    }

    fn require_same(
        &self,
        needs: &[Need],
        result: impl Fn(&[Frame]) -> Result<Vec<f64>, Report>,
    ) -> Result<(), TestCaseError> {
        require_near(result(&self.together(needs)), result(&self.apart(needs)))
    }
}

fn require_near(one: Result<Vec<f64>, Report>, other: Result<Vec<f64>, Report>) -> Result<(), TestCaseError> {
    let (one, other) = match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            prop_assert_eq!(
                one.err().map(|error| error.to_string()),
                other.err().map(|error| error.to_string())
            );
            return Ok(());
        }
    };
    prop_assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        prop_assert!((one - other).abs() <= 1e-9 * (1.0 + one.abs()), "{} and {}", one, other);
    }
    Ok(())
}

/// 2 to 120 rows over 1 to 20 nodes.
fn spreads() -> impl Strategy<Value = Spread> {
    let row = (
        -3.0..3.0_f64,
        0.0..100.0_f64,
        0..3_u8,
        0.0..1.0_f64,
        0..40_u8,
        0..20_usize,
    );
    (1..=20_usize, prop::collection::vec(row, 2..120)).prop_map(|(nodes, rows)| {
        let text = |(x, v, group, lot, time, node): (f64, f64, u8, f64, u8, usize)| {
            let ill = lot < 1.0 / (1.0 + (-x / 2.0).exp());
            let y = 2.0 * x - v / 10.0 + lot;
            let count = (lot * 8.0 + x).max(0.0).round();
            vec![
                x.to_string(),
                v.to_string(),
                group.to_string(),
                u8::from(ill).to_string(),
                y.to_string(),
                count.to_string(),
                time.to_string(),
                u8::from(lot < 0.6).to_string(),
                (node % nodes).to_string(),
            ]
        };
        let names = ["x", "v", "group", "ill", "y", "count", "time", "event", "node"];
        let mut rows: Vec<Vec<String>> = rows.into_iter().map(text).collect();
        // An indicator is declared from 0 to 1, though all rows be alike.
        for (row, value) in rows.iter_mut().zip(["0", "1"]) {
            value.clone_into(&mut row[3]);
            value.clone_into(&mut row[7]);
        }
        let table = Table {
            names: names.map(str::to_owned).to_vec(),
            rows,
        };
        Spread { table, nodes }
    })
}

fn of_glm(fitted: &crate::glm::Fitted) -> Vec<f64> {
    let terms = fitted.terms.iter().flat_map(|term| [term.estimate, term.std_error]);
    terms.chain([fitted.deviance, fitted.n as f64]).collect()
}

fn of_cox(fitted: &crate::cox::Fitted) -> Vec<f64> {
    let terms = fitted
        .terms
        .iter()
        .flat_map(|term| [term.term.estimate, term.term.std_error]);
    let checks = fitted.proportional.iter().flatten();
    let checks = checks.map(|check| check.test.map_or(-1.0, |test| test.p));
    terms
        .chain([fitted.log_likelihood, fitted.score.chi2, fitted.wald.chi2])
        .chain(checks)
        .collect()
}

const MODEL: &str = "x + v + C(group) + x:v";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn generalised_linear_models_do_not_depend_on_the_spread(spread in spreads()) {
        for (response, family) in [
            ("y", Family::Gaussian),
            ("ill", Family::Binomial),
            ("count", Family::Poisson),
        ] {
            let glm = Glm::new(family, None, spread.design(&format!("{response} ~ {MODEL}"))).unwrap();
            spread.require_same(&glm.design.needs, |frames| Ok(of_glm(&fit(&glm, frames)?)))?;
        }
    }

    #[test]
    fn cox_with_a_shared_baseline_does_not_depend_on_the_spread(spread in spreads()) {
        for ties in [Ties::Efron, Ties::Breslow] {
            let formula = "Surv(time, event) ~ x + v + strata(group)";
            let cox = spread.cox(formula, ties, Baseline::Shared);
            spread.require_same(&cox.survival().design.needs, |frames| Ok(of_cox(&fit(&cox, frames)?)))?;
        }
    }

    #[test]
    fn cox_with_a_baseline_of_each_node_is_that_with_nodes_as_strata(spread in spreads()) {
        for ties in [Ties::Efron, Ties::Breslow] {
            let by_node = spread.cox("Surv(time, event) ~ x + C(group)", ties, Baseline::OfEachNode);
            let strata = spread.cox("Surv(time, event) ~ x + C(group) + strata(node)", ties, Baseline::Shared);
            let apart = spread.apart(&by_node.survival().design.needs);
            let together = spread.together(&strata.survival().design.needs);
            let of = |cox: &Cox, frames: &[Frame]| Ok(of_cox(&fit(cox, frames)?));
            require_near(of(&by_node, &apart), of(&strata, &together))?;
        }
    }

    #[test]
    fn components_and_clusters_do_not_depend_on_the_spread(spread in spreads()) {
        let points = Points::new("x + v + y + group == \"0\"", &[], &spread.variables()).unwrap();
        let needs = points.needs.clone();
        for of in [Of::Correlations, Of::Covariances] {
            let pca = Pca { points: points.clone(), of };
            spread.require_same(&needs, |frames| {
                let components = fit(&pca, frames)?.components;
                Ok(components.iter().map(|component| component.eigenvalue).collect())
            })?;
        }
        let kmeans = KMeans::new(points, 2, 1).unwrap();
        spread.require_same(&needs, |frames| {
            let fitted = fit(&kmeans, frames)?;
            let clusters = fitted.clusters.iter();
            let clusters = clusters.flat_map(|cluster| [cluster.centre.clone(), vec![cluster.size as f64, cluster.within]]);
            Ok(clusters.flatten().collect())
        })?;
    }

    #[test]
    fn penalised_models_do_not_depend_on_the_spread(spread in spreads()) {
        for (response, family) in [
            ("y", Family::Gaussian),
            ("ill", Family::Binomial),
            ("count", Family::Poisson),
        ] {
            let design = spread.design(&format!("{response} ~ {MODEL}"));
            let penalised = Penalised::new(family, design, 0.5, vec![0.5, 0.05]).unwrap();
            spread.require_same(&penalised.design().needs, |frames| {
                let path = fit(&penalised, frames)?.path;
                let terms = path.iter().flat_map(|point| &point.terms);
                Ok(terms.map(|term| term.estimate).collect())
            })?;
        }
    }

    #[test]
    fn training_by_gradients_does_not_depend_on_the_spread(spread in spreads()) {
        let network = Network::new(vec![3], Activation::Tanh, Loss::Squared).unwrap();
        let method = Method::Gradient { rate: 0.1, momentum: 0.5 };
        let training = Training::new(spread.design(&format!("y ~ {MODEL}")), network, method, 10, 3).unwrap();
        spread.require_same(&training.design().needs, |frames| {
            let trained = fit(&training, frames)?;
            Ok([trained.parameters, trained.losses].concat())
        })?;
    }
}
