use serde_json::Value as Json;

use super::*;
use crate::design::Variable;
use crate::example::{Table, fit, shared, table};
use crate::formula::Formula;

/// A model of the oracle as the language says it, and at which institution a row is: a column, or `#` with into how many parts rows go by
/// their number.
struct Model {
    id: &'static str,
    file: &'static str,
    formula: &'static str,
    factors: &'static [&'static str],
    institution: &'static str,
    baseline: Baseline,
}

const fn model(
    id: &'static str,
    file: &'static str,
    formula: &'static str,
    factors: &'static [&'static str],
    (institution, baseline): (&'static str, Baseline),
) -> Model {
    Model {
        id,
        file,
        formula,
        factors,
        institution,
        baseline,
    }
}

const LUNG: &str = "Surv(time, status == \"2\") ~ age + sex + ph_ecog";
const BREAST: &str = "Surv(rfs_days, rfs_event) ~ age + meno + size_cat == \"20-50\" + size_cat == \">50\" + grade + nodes + pgr + er + hormon";
const TCGA: &str = "Surv(time_days, event) ~ age_at_index + race_white + ajcc_pathologic_n_n2 + ajcc_pathologic_t_t3 + ajcc_pathologic_stage_stage_iiic";

const MODELS: [Model; 14] = [
    model("lung_cox", "lung.csv", LUNG, &["status"], ("inst", Baseline::Shared)),
    model(
        "lung_cox_strata_inst",
        "lung.csv",
        LUNG,
        &["status"],
        ("inst", Baseline::OfEachNode),
    ),
    // The same with strata that the formula names, over nodes that are no institutions.
    model(
        "lung_cox_strata_inst",
        "lung.csv",
        "Surv(time, status == \"2\") ~ age + sex + ph_ecog + strata(inst)",
        &["status", "inst"],
        ("#3", Baseline::Shared),
    ),
    model(
        "breast_cox_pooled",
        "breast_2institutions.csv",
        BREAST,
        &[],
        ("institution", Baseline::Shared),
    ),
    model(
        "breast_cox_strata",
        "breast_2institutions.csv",
        BREAST,
        &[],
        ("institution", Baseline::OfEachNode),
    ),
    model(
        "breast_cox_only_gbsg",
        "breast_2institutions.csv",
        BREAST,
        &[],
        ("#1", Baseline::OfEachNode),
    ),
    model(
        "breast_cox_only_rotterdam",
        "breast_2institutions.csv",
        BREAST,
        &[],
        ("#4", Baseline::Shared),
    ),
    model(
        "tcga_cox",
        "tcga_brca_6regions.csv",
        TCGA,
        &[],
        ("region", Baseline::Shared),
    ),
    model(
        "tcga_cox_strata_region",
        "tcga_brca_6regions.csv",
        TCGA,
        &[],
        ("region", Baseline::OfEachNode),
    ),
    model(
        "aids_cox_strata_state",
        "aids2_4states.csv",
        "Surv(time, status == \"D\") ~ age + sex == \"M\"",
        &[],
        ("state", Baseline::OfEachNode),
    ),
    model(
        "flchain_cox",
        "flchain.csv",
        "Surv(futime, death) ~ age + sex == \"M\" + flc_grp + creatinine",
        &[],
        ("sample_yr", Baseline::Shared),
    ),
    model(
        "pbc_cox_mayo",
        "pbc.csv",
        "Surv(time, status == \"2\") ~ age + edema + log(bili) + log(protime) + log(albumin)",
        &["status"],
        ("#5", Baseline::Shared),
    ),
    model(
        "colon_cox_death",
        "colon.csv",
        "Surv(time, status) ~ rx == \"Lev\" + rx == \"Lev+5FU\" + sex + age + obstruct + adhere + node4",
        &[],
        ("#7", Baseline::Shared),
    ),
    model(
        "colon_cox_death",
        "colon.csv",
        "Surv(time, status) ~ C(rx, \"Obs\") + sex + age + obstruct + adhere + node4",
        &[],
        ("#1", Baseline::OfEachNode),
    ),
];

impl Model {
    /// The rows that the oracle has.
    fn table(&self) -> Table {
        let mut table = table(&shared(&format!("clinical/{}", self.file)).unwrap());
        if self.id == "aids_cox_strata_state" {
            let day = |text: String| text.parse::<i64>().unwrap();
            table = table.with("time", |of| (day(of("death")) - day(of("diag"))).to_string());
        }
        let only = match self.id {
            "breast_cox_only_gbsg" => Some(("institution", "GBSG")),
            "breast_cox_only_rotterdam" => Some(("institution", "Rotterdam")),
            "colon_cox_death" => Some(("etype", "2")),
            _ => None,
        };
        if let Some((name, value)) = only {
            let at = table.column(name);
            table.rows.retain(|row| row[at].eq_ignore_ascii_case(value));
        }
        if self.id == "lung_cox_strata_inst" {
            let at = table.column("inst");
            table.rows.retain(|row| !row[at].is_empty());
        }
        if self.id.starts_with("tcga") {
            let at = table.column("region");
            table.rows.retain(|row| row[at] != "Other");
        }
        table
    }

    fn frames(&self, table: &Table, cox: &Cox) -> Vec<Frame> {
        let needs = &cox.survival.design.needs;
        match self.institution.strip_prefix('#') {
            None => table.frames_by(self.institution, needs),
            Some(parts) => {
                let parts: usize = parts.parse().unwrap();
                let part = |part| table.frame(needs, move |at, _| at % parts == part);
                (0..parts).map(part).collect()
            }
        }
    }
}

/// What a collection would declare if each time were a bin of its own.
fn with_each_time_a_bin(table: &Table, formula: &Formula, factors: &[&str]) -> Vec<Variable> {
    let crate::formula::Response::Survival { time, .. } = &formula.response else {
        panic!("not Surv");
    };
    let at = table.column(time);
    let mut edges: Vec<f64> = table.rows.iter().map(|row| row[at].parse().unwrap()).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut variables = table.variables(factors);
    variables[at].edges = edges;
    variables
}

fn numbers(json: &Json) -> Vec<f64> {
    let values = json.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn require_near(what: &str, found: &[f64], expected: &[f64], off_max: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let off = (found / expected - 1.0).abs();
        assert!(off < off_max, "{what}: {found} for {expected} is off by {off:e}");
    }
}

#[test]
fn hazards_over_institutions_are_those_of_r() {
    let Some(oracle) = shared("oracles/regression.json") else {
        return;
    };
    let oracle: Json = serde_json::from_str(&std::fs::read_to_string(oracle).unwrap()).unwrap();
    let oracle = oracle["models"].as_array().unwrap();
    for model in &MODELS {
        let id = model.id;
        let expected = &oracle.iter().find(|model| model["id"] == id).unwrap()["result"];
        let table = model.table();
        let formula = Formula::parse(model.formula).unwrap();
        let survival = Survival::new(&formula, &[], &with_each_time_a_bin(&table, &formula, model.factors)).unwrap();
        for (ties, name) in [(Ties::Efron, "efron"), (Ties::Breslow, "breslow")] {
            let cox = Cox::new(survival.clone(), ties, model.baseline, Some(Transform::Km)).unwrap();
            let fitted = fit(&cox, &model.frames(&table, &cox)).unwrap();
            let expected = &expected[name];
            let what = |of: &str| format!("{id} {name} {of}");
            let estimates: Vec<f64> = fitted.terms.iter().map(|term| term.term.estimate).collect();
            let errors: Vec<f64> = fitted.terms.iter().map(|term| term.term.std_error).collect();
            for (found, expected) in estimates.iter().zip(numbers(&expected["coef"])) {
                let off = (found - expected).abs();
                assert!(off < 1e-8, "{}: {found} is off by {off:e}", what("coef"));
            }
            require_near(&what("se"), &errors, &numbers(&expected["se"]), 1e-6);
            for (of, found, off_max) in [
                ("loglik", fitted.log_likelihood, 1e-9),
                ("loglik_null", fitted.log_likelihood_null, 1e-9),
                ("lr_chi2", fitted.likelihood_ratio.chi2, 1e-8),
                ("score_chi2", fitted.score.chi2, 1e-8),
                // R prints it to two places.
                ("wald_chi2", (fitted.wald.chi2 * 100.0).round() / 100.0, 1e-8),
            ] {
                require_near(&what(of), &[found], &[expected[of].as_f64().unwrap()], off_max);
            }
        }
        let cox = Cox::new(survival, Ties::Efron, model.baseline, Some(Transform::Km)).unwrap();
        let fitted = fit(&cox, &model.frames(&table, &cox)).unwrap();
        assert_eq!(fitted.n, expected["n"].as_u64().unwrap(), "{id}");
        assert_eq!(fitted.events, expected["events"].as_u64().unwrap(), "{id}");
        let check: Vec<f64> = fitted
            .proportional
            .unwrap()
            .iter()
            .map(|check| check.test.unwrap().chi2)
            .collect();
        let of_r = numbers(&expected["ph_test_schoenfeld_km"]["chisq"]);
        if model.formula.contains("C(rx") {
            continue; // R's are of one column each.
        }
        for (found, expected) in check.iter().zip(&of_r) {
            // R stops where its log-likelihood moves by less than a billionth, which the check feels more than the coefficients.
            let off = (found - expected).abs() / (1.0 + expected);
            assert!(off < 1e-6, "{id}: {found} for {expected} in the check of hazards");
        }
    }
}

/// Rows of text: time, event, x, z, site.
fn small(rows: &[(f64, u8, f64, f64)]) -> Table {
    let text = |(time, event, x, z): &(f64, u8, f64, f64)| {
        vec![time.to_string(), event.to_string(), x.to_string(), z.to_string()]
    };
    Table {
        names: ["time", "event", "x", "z"].map(str::to_owned).to_vec(),
        rows: rows.iter().map(text).collect(),
    }
}

/// Forty people whose times and values a fixed rule makes, with ties.
fn forty() -> Vec<(f64, u8, f64, f64)> {
    let person = |at: u32| {
        let x = f64::from(at * 7 % 11) / 4.0;
        let z = f64::from(at * 5 % 13);
        let time = f64::from((at * 17 + 3) % 23 + 1) + f64::from(at * 7 % 11) / 2.0;
        (time.round(), u8::from(!at.is_multiple_of(3)), x, z)
    };
    (0..40).map(person).collect()
}

fn cox(table: &Table, formula: &str, baseline: Baseline, check: Option<Transform>) -> Result<Cox, Report> {
    let formula = Formula::parse(formula)?;
    let variables = with_each_time_a_bin(table, &formula, &["z"]);
    Cox::new(Survival::new(&formula, &[], &variables)?, Ties::Efron, baseline, check)
}

fn whole(table: &Table, cox: &Cox) -> Frame {
    table.frame(&cox.survival.design.needs, |_, _| true)
}

fn error_of(table: &Table, formula: &str) -> String {
    let cox = cox(table, formula, Baseline::OfEachNode, None).unwrap();
    let frame = whole(table, &cox);
    fit(&cox, &[frame]).unwrap_err().to_string()
}

#[test]
fn a_column_that_is_constant_among_those_under_risk_is_named() {
    let mut rows = forty();
    rows.iter_mut().for_each(|row| row.2 = 2000.1);
    let error = error_of(&small(&rows), "Surv(time, event) ~ x");
    assert!(
        error.contains("x is the same for all who are under risk together"),
        "{error}"
    );

    // Differs between nodes only: their strata do not compare it.
    let (table, second) = (small(&rows), {
        rows.iter_mut().for_each(|row| row.2 = 1999.3);
        small(&rows)
    });
    let both = Table {
        rows: [table.rows.clone(), second.rows].concat(),
        ..table
    };
    let by_node = cox(&both, "Surv(time, event) ~ x", Baseline::OfEachNode, None).unwrap();
    let frames = both.frames_by("x", &by_node.survival.design.needs);
    let error = fit(&by_node, &frames).unwrap_err().to_string();
    assert!(error.contains("x is the same for all"), "{error}");
}

#[test]
fn a_combination_of_columns_is_named() {
    let error = error_of(&small(&forty()), "Surv(time, event) ~ x + z == \"5\" + z != \"5\"");
    assert!(error.contains("z != \"5\" follows from x, z == \"5\""), "{error}");
}

#[test]
fn without_events_and_with_more_terms_than_rows_there_is_nothing_to_fit() {
    let mut rows = forty();
    rows.iter_mut().for_each(|row| row.1 = 0);
    // One event, so that the column is 0 or 1; it is not among those read.
    rows[0].1 = 1;
    let table = small(&rows);
    let cox = cox(&table, "Surv(time, event) ~ x", Baseline::OfEachNode, None).unwrap();
    let needs = &cox.survival.design.needs;
    let error = fit(&cox, &[table.frame(needs, |at, _| at > 0)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("in no row the event comes"), "{error}");
    let error = fit(&cox, &[table.frame(needs, |at, _| at < 1)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("1 terms and only 1 rows"), "{error}");
}

#[test]
fn a_likelihood_without_a_highest_place_is_named_whatever_the_scale() {
    // Whoever has the larger x dies first.
    for scale in [1.0, 1e-6, 1e6] {
        let person = |at: u8| {
            let x = f64::from(at) * scale;
            (f64::from(30 - at), u8::from(at > 0), x, 1.0)
        };
        let rows: Vec<_> = (0..30).map(person).collect();
        let error = error_of(&small(&rows), "Surv(time, event) ~ x");
        assert!(error.contains("whom x tells apart"), "{error}");
    }
    // Nobody with this z has an event.
    let mut rows = forty();
    rows.iter_mut().filter(|row| row.3 == 5.0).for_each(|row| row.1 = 0);
    let error = error_of(&small(&rows), "Surv(time, event) ~ x + z == \"5\"");
    assert!(error.contains("whom z == \"5\" tells apart"), "{error}");
}

#[test]
fn strata_without_events_and_empty_nodes_add_nothing() {
    let table = small(&forty());
    let cox = cox(
        &table,
        "Surv(time, event) ~ x",
        Baseline::OfEachNode,
        Some(Transform::Identity),
    )
    .unwrap();
    let needs = &cox.survival.design.needs;
    let event = table.column("event");
    let without = table.frame(needs, |_, row| row[event] == "0");
    let one = fit(&cox, &[whole(&table, &cox)]).unwrap();
    let more = fit(&cox, &[whole(&table, &cox), table.frame(needs, |_, _| false), without]).unwrap();
    assert_eq!(more.n, one.n + 14);
    assert!((more.terms[0].term.estimate - one.terms[0].term.estimate).abs() < 1e-12);
    assert!((more.log_likelihood - one.log_likelihood).abs() < 1e-9);
}

#[test]
fn what_the_time_does_not_allow_is_refused() {
    let table = small(&forty());
    let formula = Formula::parse("Surv(time, event) ~ x").unwrap();
    let survival = |low: f64| {
        let mut variables = table.variables(&[]);
        variables[0].bounds = Some((low, 100.0));
        Survival::new(&formula, &[], &variables).unwrap()
    };
    let new = |low, baseline, check| Cox::new(survival(low), Ties::Efron, baseline, check).map(|_| ());
    assert!(new(0.0, Baseline::OfEachNode, Some(Transform::Identity)).is_ok());
    assert!(new(1.0, Baseline::OfEachNode, Some(Transform::Log)).is_ok());
    for (baseline, check) in [
        (Baseline::Shared, None),
        (Baseline::OfEachNode, Some(Transform::Km)),
        (Baseline::OfEachNode, Some(Transform::Log)),
    ] {
        assert!(new(0.0, baseline, check).is_err(), "{baseline:?} {check:?}");
    }
}

/// The log partial likelihood of x and x · g(t), by its definition with Breslow's ties: for each event, over everybody still there.
fn by_definition(rows: &[(f64, u8, f64, f64)], g: fn(f64) -> f64, [of_x, of_g]: [f64; 2]) -> f64 {
    let hazard = |x: f64, time: f64| of_x * x + of_g * x * g(time);
    let events = rows.iter().filter(|row| row.1 == 1);
    let of_event = |(time, _, x, _): &(f64, u8, f64, f64)| {
        let there = rows.iter().filter(|row| row.0 >= *time);
        hazard(*x, *time) - there.map(|row| hazard(row.2, *time).exp()).sum::<f64>().ln()
    };
    events.map(of_event).sum()
}

#[test]
fn the_check_of_hazards_is_the_score_test_by_definition() {
    let (rows, table) = (forty(), small(&forty()));
    let formula = Formula::parse("Surv(time, event) ~ x").unwrap();
    let identity: fn(f64) -> f64 = |t| t;
    for (transform, g) in [(Transform::Identity, identity), (Transform::Log, f64::ln)] {
        let survival = Survival::new(&formula, &[], &table.variables(&[])).unwrap();
        let cox = Cox::new(survival, Ties::Breslow, Baseline::OfEachNode, Some(transform)).unwrap();
        let fitted = fit(&cox, &[whole(&table, &cox)]).unwrap();
        let at = fitted.terms[0].term.estimate;
        let log = |x: f64, of_g: f64| by_definition(&rows, g, [at + x, of_g]);
        assert!((log(0.0, 0.0) - fitted.log_likelihood).abs() < 1e-10);
        let h = 1e-4;
        let second = |of: &dyn Fn(f64) -> f64| (of(h) - 2.0 * of(0.0) + of(-h)) / (h * h);
        let (xx, gg) = (second(&|d| log(d, 0.0)), second(&|d| log(0.0, d)));
        let both = (second(&|d| log(d, d)) - xx - gg) / 2.0;
        let score = (log(0.0, h) - log(0.0, -h)) / (2.0 * h);
        let chi2 = score * score / -(gg - both * both / xx);
        let found = fitted.proportional.unwrap()[0].test.unwrap().chi2;
        assert!((found / chi2 - 1.0).abs() < 1e-4, "{transform:?}: {found} for {chi2}");
    }
}

/// One event at one time: g(t) says nothing that x does not say.
#[test]
fn a_check_with_too_few_events_says_so() {
    let mut rows = forty();
    rows.iter_mut().for_each(|row| row.1 = u8::from(row.0 == 9.0));
    let table = small(&rows);
    for (baseline, check) in [
        (Baseline::OfEachNode, Transform::Identity),
        (Baseline::Shared, Transform::Km),
    ] {
        let cox = cox(&table, "Surv(time, event) ~ x", baseline, Some(check)).unwrap();
        let fitted = fit(&cox, &[whole(&table, &cox)]).unwrap();
        assert!(fitted.proportional.unwrap().iter().all(|check| check.test.is_none()));
    }
}

#[test]
fn strata_that_cannot_be_added_up_are_refused() {
    let of_levels = |name: &str, bounds: Option<(f64, f64)>, levels: usize| Variable {
        name: name.to_owned(),
        is_number: bounds.is_some(),
        bounds,
        levels: (0..levels).map(|level| level.to_string()).collect(),
        edges: Vec::new(),
    };
    let days = Variable {
        edges: vec![0.0, 500.0, 1_000.0],
        ..of_levels("days", Some((0.0, 1_000.0)), 0)
    };
    let variables = [
        days,
        of_levels("died", Some((0.0, 1.0)), 0),
        of_levels("age", Some((0.0, 120.0)), 0),
        of_levels("place", None, 2_000),
        of_levels("ward", None, 600),
    ];
    let made = |strata: &str, baseline| {
        let formula = Formula::parse(&format!("Surv(days, died) ~ age + {strata}")).unwrap();
        Cox::new(Survival::new(&formula, &[], &variables)?, Ties::Efron, baseline, None)
    };
    for (strata, baseline) in [
        ("strata(place) + strata(ward)", Baseline::OfEachNode),
        ("strata(place) + strata(ward)", Baseline::Shared),
    ] {
        let report = made(strata, baseline).unwrap_err();
        assert!(report.message.contains("can be added up"), "{report}");
        assert_eq!(report.remedy, "leave strata or terms out");
    }
    assert!(made("strata(place)", Baseline::OfEachNode).is_ok());
}
