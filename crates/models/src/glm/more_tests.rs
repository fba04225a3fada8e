//! Families, links, weights and offsets beyond the oracle, and data for which there is no solution.
//!
//! The numbers are those of statsmodels 0.15.0 (`GLM.fit(tol=1e-14)`, `OLS`) over `clinical/rwm5yr_german_panel.csv`.

use super::*;
use crate::example::{Table, fit, shared, table};
use crate::formula::Formula;

struct Case {
    formula: &'static str,
    family: Family,
    link: Option<Link>,
    weights: Option<&'static str>,
    params: &'static [f64],
    bse: &'static [f64],
    deviance: Option<f64>,
    log_likelihood: Option<f64>,
}

const CASES: [Case; 6] = [
    Case {
        formula: "docvis ~ age + female + educ",
        family: Family::NegativeBinomial(0.75),
        link: None,
        weights: None,
        params: &[
            0.5327666110113485,
            0.021099400599522897,
            0.3068803246533102,
            -0.044568832596712765,
        ],
        bse: &[
            0.06768523526644486,
            0.0008388269658431639,
            0.018878740748042955,
            0.004283422782711192,
        ],
        deviance: Some(26624.785512163122),
        log_likelihood: Some(-43396.47006406617),
    },
    Case {
        formula: "hhninc ~ age + female + educ",
        family: Family::Gamma,
        link: Some(Link::Log),
        weights: None,
        params: &[
            0.5268987146596933,
            0.001273270870514061,
            0.007654516783828221,
            0.05173913023516252,
        ],
        bse: &[
            0.0240071843791296,
            0.00030276529528228824,
            0.006828033341828078,
            0.0015081092033549656,
        ],
        deviance: Some(3886.700791409859),
        log_likelihood: None,
    },
    Case {
        formula: "hhninc ~ age + female + educ",
        family: Family::Gamma,
        link: None,
        weights: None,
        params: &[
            0.49136985895788504,
            -0.00045889444433100184,
            -0.0007643634588015987,
            -0.014066971693116184,
        ],
        bse: &[
            0.006793857496917941,
            9.295426032384864e-05,
            0.0020979309148224257,
            0.00038047969245791943,
        ],
        deviance: Some(3893.460205281514),
        log_likelihood: None,
    },
    Case {
        formula: "docvis ~ age + female",
        family: Family::Poisson,
        link: None,
        weights: Some("educ"),
        params: &[-0.09190947493444664, 0.023291668145079016, 0.33705976448214947],
        bse: &[0.005299550879137456, 0.0001092734697897078, 0.0024462426556596736],
        deviance: Some(1276139.3095435277),
        log_likelihood: Some(-844067.0876220674),
    },
    Case {
        formula: "docvis ~ age + female + offset(log(educ))",
        family: Family::Poisson,
        link: None,
        weights: None,
        params: &[-2.637308304185343, 0.025979312465044337, 0.3914249379008158],
        bse: &[0.017700152197202636, 0.00036209614378348513, 0.00810876995430627],
        deviance: Some(119761.25666294029),
        log_likelihood: Some(-78513.90279767143),
    },
    Case {
        formula: "hhninc ~ C(edlevel) + age + age:C(edlevel) + female:educ",
        family: Family::Gaussian,
        link: None,
        weights: None,
        params: &[
            3.2708850889695,
            0.208123379677023,
            -1.2567996395720562,
            -1.0683402654676923,
            -0.004228929991781523,
            0.008992779451195424,
            0.04429986197415383,
            0.05759399771154755,
            -0.001656622713380029,
        ],
        bse: &[
            0.050842959127338515,
            0.18535060236861092,
            0.13570623036520466,
            0.1933102716363843,
            0.0010948368010192029,
            0.004334744835502845,
            0.0032515341490376238,
            0.004578370266204722,
            0.0019497129948810687,
        ],
        deviance: None,
        log_likelihood: None,
    },
];

#[test]
fn families_links_weights_and_offsets_are_those_of_statsmodels() {
    let Some(file) = shared("clinical/rwm5yr_german_panel.csv") else {
        return;
    };
    let mut table = table(&file);
    for case in CASES {
        if matches!(case.family, Family::Gamma) {
            let income = table.column("hhninc");
            table.rows.retain(|row| row[income].parse::<f64>().unwrap() > 0.0);
        }
    }
    let all = crate::example::table(&file);
    for case in CASES {
        let table = if matches!(case.family, Family::Gamma) {
            &table
        } else {
            &all
        };
        let formula = Formula::parse(case.formula).unwrap();
        let design = Design::new(&formula, case.weights, &[], &table.variables(&["edlevel"])).unwrap();
        let glm = Glm::new(case.family, case.link, design).unwrap();
        let fitted = fit(&glm, &table.frames_by("year", &glm.design.needs)).unwrap();
        assert_eq!(fitted.terms.len(), case.params.len(), "{}", case.formula);
        for ((term, param), bse) in fitted.terms.iter().zip(case.params).zip(case.bse) {
            let name = format!("{:?} {} {}", case.family, case.formula, term.term);
            assert!(
                (term.estimate - param).abs() < 1e-8,
                "{name}: {} for {param}",
                term.estimate
            );
            assert!(
                (term.std_error / bse - 1.0).abs() < 1e-6,
                "{name}: {} for {bse}",
                term.std_error
            );
        }
        if let Some(deviance) = case.deviance {
            assert!((fitted.deviance / deviance - 1.0).abs() < 1e-10, "{}", case.formula);
        }
        if let Some(log_likelihood) = case.log_likelihood {
            let found = fitted.log_likelihood.unwrap();
            assert!(
                (found / log_likelihood - 1.0).abs() < 1e-10,
                "{}: {found}",
                case.formula
            );
        }
    }
}

/// Columns y (0 or 1), x, twice (2x), flat (always 3), group (two values).
fn made_up(y: impl Fn(usize) -> usize) -> Table {
    let names = ["y", "x", "twice", "flat", "group"].map(str::to_owned).to_vec();
    let row = |at: usize| {
        let x = at * 7 % 20;
        [
            y(at).to_string(),
            x.to_string(),
            (2 * x).to_string(),
            "3".to_owned(),
            ["a", "b"][at % 2].to_owned(),
        ]
        .to_vec()
    };
    Table {
        names,
        rows: (0..60).map(row).collect(),
    }
}

fn refusal(formula: &str, family: Family, table: &Table) -> Report {
    let design = Design::new(&Formula::parse(formula).unwrap(), None, &[], &table.variables(&[])).unwrap();
    let glm = Glm::new(family, None, design).unwrap();
    let frames = table.frames_by("group", &glm.design.needs);
    fit(&glm, &frames).unwrap_err()
}

#[test]
fn what_has_no_solution_is_said_with_its_terms() {
    let noise = |at: usize| usize::from(at.is_multiple_of(3));
    let table = made_up(noise);
    let cases = [
        ("y ~ x + twice", Problem::ModelSingular, "twice follows"),
        ("y ~ x + flat", Problem::ModelSingular, "flat follows"),
    ];
    for (formula, problem, part) in cases {
        for family in [Family::Gaussian, Family::Binomial, Family::Poisson] {
            let report = refusal(formula, family, &table);
            assert_eq!(report.problem, problem, "{formula}: {report}");
            assert!(report.message.contains(part), "{report}");
        }
    }
    // Whoever is in group b has the outcome: there is no finite estimate.
    let separated = made_up(|at| usize::from(at % 2 == 1));
    let report = refusal("y ~ group + x", Family::Binomial, &separated);
    assert_eq!(report.problem, Problem::ModelSeparation, "{report}");
    assert!(
        report.message.contains("group[b]") && !report.message.contains("x,"),
        "{report}"
    );
    // Of group b nobody has it, of group a some have: of half of the people the odds are 0.
    let half = made_up(|at| usize::from(at % 2 == 0 && at % 3 == 0));
    let report = refusal("y ~ group", Family::Binomial, &half);
    assert_eq!(report.problem, Problem::ModelSeparation, "{report}");
    let report = refusal("y ~ group", Family::Poisson, &half);
    assert_eq!(report.problem, Problem::ModelSeparation, "{report}");
    let constant = made_up(|_| 1);
    let report = refusal("y ~ x", Family::Binomial, &constant);
    assert_eq!(
        (report.problem, report.message.as_str()),
        (Problem::ModelData, "the response is 1 in every row")
    );
    let mut few = made_up(noise);
    few.rows.truncate(2);
    assert_eq!(
        refusal("y ~ x + group", Family::Gaussian, &few).problem,
        Problem::ModelData
    );
}

#[test]
fn a_fit_without_residuals_ends() {
    let table = made_up(|_| 0);
    let design = Design::new(&Formula::parse("twice ~ x").unwrap(), None, &[], &table.variables(&[])).unwrap();
    let glm = Glm::new(Family::Gaussian, None, design).unwrap();
    let fitted = fit(&glm, &table.frames_by("group", &glm.design.needs)).unwrap();
    assert!((fitted.terms[1].estimate - 2.0).abs() < 1e-12 && fitted.deviance < 1e-20);
}

/// Columns trials, successes, their share, x and group (three values).
fn in_trials() -> Table {
    let names = ["trials", "successes", "share", "x", "group"]
        .map(str::to_owned)
        .to_vec();
    let row = |at: usize| {
        let (x, trials) = (at * 7 % 20, 1 + at * 5 % 9);
        let successes = (at * at + x) % (trials + 1);
        let share = successes as f64 / trials as f64;
        [
            trials.to_string(),
            successes.to_string(),
            share.to_string(),
            x.to_string(),
            ["a", "b", "c"][at % 3].to_owned(),
        ]
        .to_vec()
    };
    Table {
        names,
        rows: (0..24).map(row).collect(),
    }
}

fn binomial(formula: &str, weights: Option<&str>, table: &Table) -> Result<Fitted, Report> {
    let formula = Formula::parse(formula)?;
    let design = Design::new(&formula, weights, &[], &table.variables(&[]))?;
    let glm = Glm::new(Family::Binomial, None, design)?;
    fit(&glm, &table.frames_by("group", &glm.design.needs))
}

#[test]
fn a_share_is_no_outcome_without_the_number_of_its_trials() {
    let table = in_trials();
    let halved = table.clone().with("half", |of| {
        (of("trials").parse::<f64>().unwrap() / 2.0 + 0.25).to_string()
    });
    for (weights, table) in [(None, &table), (Some("x"), &table), (Some("half"), &halved)] {
        let report = binomial("share ~ x", weights, table).unwrap_err();
        assert_eq!(report.problem, Problem::ModelData, "{weights:?}: {report}");
        assert!(
            report.message.contains("neither 0 nor 1") && report.remedy.contains("number of trials"),
            "{report:?}"
        );
    }
    // What is 0 or 1 can have any weight.
    let weighed = table.with("event", |of| {
        u8::from(of("share").parse::<f64>().unwrap() > 0.5).to_string()
    });
    let weighed = weighed.with("weight", |of| (of("x").parse::<f64>().unwrap() + 0.3).to_string());
    binomial("event ~ x", Some("weight"), &weighed).unwrap();
}

/// As statsmodels 0.15.0 has them of successes and failures (`GLM(numpy.c_[successes, failures], x, family=Binomial()).fit(tol=1e-14)`).
#[test]
fn shares_of_trials_have_the_likelihood_of_their_successes() {
    let fitted = binomial("share ~ x", Some("trials"), &in_trials()).unwrap();
    let near = |found: f64, known: f64, tolerance: f64| {
        assert!((found / known - 1.0).abs() < tolerance, "{found} is not {known}");
    };
    near(fitted.terms[0].estimate, -0.11395761285624603, 1e-10);
    near(fitted.terms[1].estimate, 0.017622410170564942, 1e-10);
    near(fitted.terms[0].std_error, 0.3549789856171144, 1e-8);
    near(fitted.terms[1].std_error, 0.032319669169636196, 1e-8);
    near(fitted.deviance, 70.52656982152672, 1e-12);
    near(fitted.log_likelihood.unwrap(), -49.22602526183594, 1e-12);
    near(fitted.aic.unwrap(), 102.45205052367189, 1e-12);
    assert_eq!((fitted.n, fitted.df_residual), (24, 22));
}
