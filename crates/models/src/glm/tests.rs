use serde_json::Value as Json;

use super::*;
use crate::design::Variable;
use crate::example::{Table, fit, shared, table};
use crate::formula::Formula;

fn glm(formula: &str, family: Family, variables: &[Variable]) -> Result<Glm, Report> {
    let formula = Formula::parse(formula)?;
    Glm::new(family, None, Design::new(&formula, None, &[], variables)?)
}

/// A model of the oracle, its file, how the language says it, which column says at which institution a row is, and which are factors.
type Model = (
    &'static str,
    &'static str,
    &'static str,
    Family,
    &'static str,
    &'static [&'static str],
);

const MODELS: [Model; 12] = [
    (
        "resp_logit",
        "clinical/respiratory_2centres.csv",
        "status == \"good\" ~ treatment != \"placebo\" + sex == \"male\" + age + centre == \"2\"",
        Family::Binomial,
        "centre",
        &["centre"],
    ),
    (
        "lung_ols_wtloss",
        "clinical/lung.csv",
        "wt_loss ~ age + sex + ph_ecog",
        Family::Gaussian,
        "inst",
        &[],
    ),
    (
        "heart_logit",
        "clinical/uci_heart_4hospitals.csv",
        "disease ~ age + sex + C(cp) + thalach + exang + oldpeak",
        Family::Binomial,
        "hospital",
        &["cp"],
    ),
    (
        "heart_logit_hospital",
        "clinical/uci_heart_4hospitals.csv",
        "disease ~ age + sex + C(cp) + thalach + exang + oldpeak + C(hospital)",
        Family::Binomial,
        "hospital",
        &["cp"],
    ),
    (
        "heart_ols_thalach",
        "clinical/uci_heart_4hospitals.csv",
        "thalach ~ age + sex + C(hospital)",
        Family::Gaussian,
        "hospital",
        &[],
    ),
    (
        "indo_logit",
        "clinical/indo_rct_4sites.csv",
        "outcome == \"1_yes\" ~ rx == \"1_indomethacin\" + age + gender == \"2_male\" + risk + site == \"2_IU\" + site in (\"3_UK\", \"4_Case\")",
        Family::Binomial,
        "site",
        &[],
    ),
    (
        "rwm_poisson",
        "clinical/rwm5yr_german_panel.csv",
        "docvis ~ age + female + outwork + hhninc + educ",
        Family::Poisson,
        "year",
        &[],
    ),
    (
        "rwm_poisson_year",
        "clinical/rwm5yr_german_panel.csv",
        "docvis ~ age + female + outwork + hhninc + educ + C(year)",
        Family::Poisson,
        "year",
        &["year"],
    ),
    (
        "rwm_logit_anyvisit",
        "clinical/rwm5yr_german_panel.csv",
        "docvis != \"0\" ~ age + female + outwork + hhninc + educ",
        Family::Binomial,
        "year",
        &["docvis"],
    ),
    (
        "rwm_ols_income",
        "clinical/rwm5yr_german_panel.csv",
        "hhninc ~ age + educ + female + C(year)",
        Family::Gaussian,
        "year",
        &["year"],
    ),
    // Districts at the node of their Land; Lower Saxony has one, and so fewer rows than the model has terms.
    (
        "german_poisson_deaths",
        "oracles/german_frame_95districts.csv",
        "deaths ~ gisd_score + share60 + C(region) + offset(log(pop2020))",
        Family::Poisson,
        "state",
        &[],
    ),
    // The level of the region that is left out has no rows anywhere.
    (
        "german_poisson_cases_5regions",
        "oracles/german_frame_95districts.csv",
        "cases ~ gisd_score + share60 + C(region) + offset(log(pop2020))",
        Family::Poisson,
        "state",
        &[],
    ),
];

/// The rows that the oracle has.
fn is_in(id: &str, table: &Table, row: &[String]) -> bool {
    match id {
        "resp_logit" => row[table.column("month")] != "0",
        "german_poisson_cases_5regions" => row[table.column("region")] != "nrw_rest",
        _ => true,
    }
}

#[test]
fn models_over_institutions_are_those_of_r_over_all_rows() {
    let Some(oracle) = shared("oracles/regression.json") else {
        return;
    };
    let oracle: Json = serde_json::from_str(&std::fs::read_to_string(oracle).unwrap()).unwrap();
    for (id, file, formula, family, institution, factors) in MODELS {
        let table = table(&shared(file).unwrap());
        let glm = glm(formula, family, &table.variables(factors)).unwrap();
        let at = table.column(institution);
        let mut institutions: Vec<String> = table.rows.iter().map(|row| row[at].clone()).collect();
        institutions.sort();
        institutions.dedup();
        let frames = institutions
            .iter()
            .map(|one| table.frame(&glm.design.needs, |_, row| row[at] == *one && is_in(id, &table, row)));
        let fitted = fit(&glm, &frames.collect::<Vec<_>>()).unwrap();
        let model = oracle["models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|model| model["id"] == id)
            .unwrap();
        let result = &model["result"];
        let numbers = |key: &str| -> Vec<f64> {
            result[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_f64().unwrap())
                .collect()
        };
        assert_eq!(fitted.n, model["rows_used"].as_u64().unwrap(), "{id}");
        assert_eq!(fitted.df_residual, result["df_residual"].as_u64().unwrap(), "{id}");
        let of = ["coef", "se", "stat", "p"].map(numbers);
        assert_eq!(fitted.terms.len(), of[0].len(), "{id}");
        for (at, term) in fitted.terms.iter().enumerate() {
            let [coefficient, error, statistic, p] = of.each_ref().map(|of| of[at]);
            let off = (term.estimate - coefficient).abs();
            assert!(off < 1e-8, "{id} {}: {} is off by {off:e}", term.term, term.estimate);
            let off = (term.std_error / error - 1.0).abs();
            assert!(off < 1e-6, "{id} {}: standard error is off by {off:e}", term.term);
            let off = (term.statistic - statistic).abs() / statistic.abs().max(1.0);
            assert!(off < 1e-6, "{id} {}: statistic is off by {off:e}", term.term);
            // So far off is a p-value if its statistic is off by a millionth.
            let off = (term.p - p).abs();
            assert!(
                off <= 1e-6 * (1.0 + statistic * statistic) * p + 1e-300,
                "{id} {}: p is off by {off:e}",
                term.term
            );
        }
        let sigma = result["sigma"].as_f64().unwrap_or(1.0);
        for (what, found, expected) in [
            ("deviance", Some(fitted.deviance), result["deviance"].as_f64()),
            ("dispersion", Some(fitted.dispersion), Some(sigma * sigma)),
            ("loglik", fitted.log_likelihood, result["loglik"].as_f64()),
            ("aic", fitted.aic, result["aic"].as_f64()),
        ] {
            let (found, expected) = (found.unwrap(), expected.unwrap());
            let off = (found / expected - 1.0).abs();
            assert!(off < 1e-9, "{id} {what}: {found} for {expected}");
        }
    }
}

#[test]
fn bounds_that_are_far_too_wide_are_no_separation() {
    let Some(file) = shared("clinical/uci_heart_4hospitals.csv") else {
        return;
    };
    let table = table(&file);
    let mut variables = table.variables(&[]);
    let narrow = glm("disease ~ age + thalach", Family::Binomial, &variables).unwrap();
    for variable in &mut variables {
        if variable.name == "age" || variable.name == "thalach" {
            variable.bounds = Some((0.0, 1e6));
        }
    }
    let wide = glm("disease ~ age + thalach", Family::Binomial, &variables).unwrap();
    let of = |glm: &Glm| fit(glm, &[table.frame(&glm.design.needs, |_, _| true)]).unwrap();
    for (narrow, wide) in of(&narrow).terms.iter().zip(&of(&wide).terms) {
        assert!((narrow.estimate / wide.estimate - 1.0).abs() < 1e-9, "{}", narrow.term);
    }
}

/// The cells of `heart_separation_case` in the oracle: no woman at Zurich-Basel is well.
#[test]
fn an_empty_cell_of_outcome_and_sex_is_named() {
    let Some(file) = shared("clinical/uci_heart_4hospitals.csv") else {
        return;
    };
    let table = table(&file);
    let hospital = table.column("hospital");
    for (formula, named) in [
        ("disease ~ sex", "that sex tells apart"),
        ("disease ~ age + sex", "that sex tells apart"),
    ] {
        let glm = glm(formula, Family::Binomial, &table.variables(&[])).unwrap();
        let at = |name: &'static str| table.frame(&glm.design.needs, move |_, row| row[hospital] == name);
        let error = fit(&glm, &[at("Zurich-Basel")]).unwrap_err();
        assert_eq!(error.problem, Problem::ModelSeparation);
        assert!(error.to_string().contains(named), "{formula}: {error}");
        assert!(fit(&glm, &[at("Zurich-Basel"), at("LongBeachVA")]).is_ok());
    }
}

/// Counts of people of two wards, some with more visits than others; `visits` says how many.
fn visits(visits: impl Fn(usize) -> usize) -> Table {
    let row = |person: usize| {
        let (ward, age) = (["a", "b"][person % 2], 20 + person * 7 % 60);
        vec![ward.to_owned(), age.to_string(), visits(person).to_string()]
    };
    Table {
        names: ["ward", "age", "visits"].map(str::to_owned).to_vec(),
        rows: (0..60).map(row).collect(),
    }
}

#[test]
fn the_first_weights_tell_nothing_of_the_responses_but_their_mean() {
    let up = visits(|person| 1 + person * 11 % 60);
    let down = visits(|person| 60 - person * 11 % 60);
    for family in [Family::Poisson, Family::NegativeBinomial(1.5), Family::Gamma] {
        let of = |table: &Table| {
            let glm = glm("visits ~ C(ward) + age", family, &up.variables(&[])).unwrap();
            let frames = [table.frame(&glm.design.needs, |_, _| true)];
            let sums = crate::example::added(&glm, &glm.start(), &frames);
            let Next::Step(state) = glm.next(&glm.start(), &sums).unwrap() else {
                panic!("{family:?} ends after a step");
            };
            let sums = crate::example::added(&glm, &state, &frames);
            let (vector, _) = Glm::place_of_products(3);
            let (products, rest) = sums.split_at(vector);
            (products.to_vec(), rest.to_vec())
        };
        let ((one, first), (other, second)) = (of(&up), of(&down));
        assert_eq!(one, other, "{family:?}");
        assert_ne!(first, second, "{family:?}");
    }
}

#[test]
fn without_a_constant_the_start_is_as_good() {
    let table = visits(|person| person % 7 + 9 * (person % 2));
    let variables = table.variables(&[]);
    for family in [Family::Poisson, Family::NegativeBinomial(1.5)] {
        let of = |formula: &str| {
            let glm = glm(formula, family, &variables).unwrap();
            fit(&glm, &table.frames_by("ward", &glm.design.needs)).unwrap()
        };
        let (with, without) = (of("visits ~ C(ward) + age"), of("visits ~ 0 + C(ward) + age"));
        assert!((with.deviance / without.deviance - 1.0).abs() < 1e-10, "{family:?}");
        assert!(without.steps <= with.steps, "{family:?}");
        // Nowhere do all have the same mean.
        assert!(of("visits ~ 0 + age").steps < 16, "{family:?}");
    }
}
