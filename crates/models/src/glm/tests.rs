use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::*;
use crate::design::{Need, Variable};
use crate::formula::Formula;
use crate::frame::Column;

/// A table as text; the empty text is not known.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn column(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap()
    }

    /// What a collection over these columns would declare: bounds from the values, levels where asked for.
    fn variables(&self, factors: &[&str]) -> Vec<Variable> {
        let variable = |name: &String| {
            let at = self.column(name);
            let known = || {
                self.rows
                    .iter()
                    .map(|row| row[at].as_str())
                    .filter(|text| !text.is_empty())
            };
            let numbers: Option<Vec<f64>> = known().map(|text| text.parse().ok()).collect();
            let mut levels: Vec<String> = known().map(str::to_owned).collect();
            levels.sort();
            levels.dedup();
            Variable {
                name: name.clone(),
                is_number: numbers.is_some(),
                bounds: numbers.as_ref().map(|all| {
                    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
                    (low, all.iter().copied().fold(f64::NEG_INFINITY, f64::max))
                }),
                levels: if factors.contains(&name.as_str()) || numbers.is_none() {
                    levels
                } else {
                    Vec::new()
                },
                edges: Vec::new(),
            }
        };
        self.names.iter().map(variable).collect()
    }

    /// The rows for which `is_here`, as a node would read them for a design.
    fn frame(&self, needs: &[Need], is_here: impl Fn(usize, &[String]) -> bool) -> Frame {
        let mut frame = Frame {
            columns: needs.iter().map(Column::from).collect(),
            ..Frame::default()
        };
        for (at, row) in self.rows.iter().enumerate() {
            let values: Vec<&str> = needs
                .iter()
                .map(|need| row[self.column(need.column())].as_str())
                .collect();
            if !is_here(at, row) || values.iter().any(|value| value.is_empty()) {
                continue;
            }
            for ((need, column), value) in needs.iter().zip(&mut frame.columns).zip(values) {
                match (need, column) {
                    (Need::Level(_, levels), Column::Codes(codes)) => {
                        codes.push(levels.iter().position(|level| level == value).unwrap() as u16);
                    }
                    (_, Column::Numbers(numbers)) => numbers.push(value.parse().unwrap()),
                    _ => unreachable!(),
                }
            }
            frame.rows += 1;
        }
        frame
    }
}

/// A fit over frames as nodes make it: each adds up, all are added.
fn fit(glm: &Glm, frames: &[Frame]) -> Result<Fitted, Report> {
    let mut state = glm.start();
    for _ in 0..60 {
        let width = glm.width(&state);
        let mut sums = vec![0.0; width];
        for frame in frames {
            let mut own = vec![0.0; width];
            glm.add(&state, frame, &mut own);
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        match glm.next(&state, &sums)? {
            Next::Step(next) => state = next,
            Next::Done(fitted) => return Ok(fitted),
        }
    }
    Err(Problem::ModelSteps.report("60 steps"))
}

fn glm(formula: &str, family: Family, variables: &[Variable]) -> Result<Glm, Report> {
    let formula = Formula::parse(formula)?;
    Glm::new(family, None, Design::new(&formula, None, &[], variables)?)
}

fn shared(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: {} is not there", file.display());
    None
}

fn table(file: &Path) -> Table {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().map(|line| {
        line.split(',')
            .map(|field| field.trim_matches('"').to_owned())
            .collect::<Vec<_>>()
    });
    let names: Vec<String> = lines
        .next()
        .unwrap()
        .iter()
        .map(|name| name.replace('.', "_"))
        .collect();
    let rows: Vec<Vec<String>> = lines.collect();
    assert!(rows.iter().all(|row| row.len() == names.len()), "{}", file.display());
    Table { names, rows }
}

/// How the language says each model of the oracle, and which column says at which institution a row is.
const MODELS: [(&str, &str, &str, Family, &str, &[&str]); 10] = [
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
];

/// Which rows the oracle leaves out.
fn is_in(id: &str, table: &Table, row: &[String]) -> bool {
    id != "resp_logit" || row[table.column("month")] != "0"
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
        let (coefficients, errors) = (numbers("coef"), numbers("se"));
        assert_eq!(fitted.terms.len(), coefficients.len(), "{id}");
        for ((term, coefficient), error) in fitted.terms.iter().zip(&coefficients).zip(&errors) {
            let off = (term.estimate - coefficient).abs();
            assert!(off < 1e-8, "{id} {}: {} is off by {off:e}", term.term, term.estimate);
            let off = (term.std_error / error - 1.0).abs();
            assert!(off < 1e-6, "{id} {}: standard error is off by {off:e}", term.term);
        }
        for (what, found) in [
            ("deviance", Some(fitted.deviance)),
            ("loglik", fitted.log_likelihood),
            ("aic", fitted.aic),
        ] {
            if let Some(expected) = result[what].as_f64() {
                let off = (found.unwrap() / expected - 1.0).abs();
                assert!(off < 1e-9, "{id} {what}: {found:?} for {expected}");
            }
        }
    }
}
