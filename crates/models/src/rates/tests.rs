use super::*;

fn near(found: f64, known: f64) {
    assert!((found - known).abs() <= 1e-9 * known.abs(), "{found} is not {known}");
}

#[test]
fn a_group_that_cuts_through_one_of_the_standard_has_no_weight() {
    let group = |text: &str| Standard::European2013.weight(AgeGroup::parse(text).unwrap());
    assert_eq!(group("0-7"), None);
    assert_eq!(group("3-9"), None);
    assert_eq!(Standard::European2013.weight(AgeGroup { from: 200, until: None }), None);
    assert_eq!(AgeGroup::parse("old"), None);
    assert_eq!(AgeGroup::parse("9-5"), None);
}

#[test]
fn groups_add_up_to_the_published_numbers() {
    let european = |text: &str| Standard::European2013.weight(AgeGroup::parse(text).unwrap()).unwrap();
    assert_eq!(european("0+"), 100_000.0);
    assert_eq!(european("A00-A04") + european("A05-A14"), 16_000.0);
    assert_eq!(european("80+"), 5_000.0);
    assert_eq!(european("80-119"), 5_000.0);
    let world = |text: &str| Standard::World2000.weight(AgeGroup::parse(text).unwrap()).unwrap();
    assert!((world("0+") - 100.035).abs() < 1e-9);
    assert!((world("A00-A14") - 26.15).abs() < 1e-9);
}

#[test]
fn an_age_group_without_people_makes_no_rate() {
    let strata = [
        Stratum {
            cases: 0.0,
            people: 0.0,
            weight: 1.0,
        },
        Stratum {
            cases: 3.0,
            people: 100.0,
            weight: 1.0,
        },
    ];
    assert_eq!(standardised(&strata, 1e5, 0.95, RateInterval::FayFeuer), None);
    assert_eq!(crude(3.0, 0.0, 1e5, 0.95), None);
    assert_eq!(standardised(&[], 1e5, 0.95, RateInterval::FayFeuer), None);
}

/// With the ages of the population itself as standard, the rate and the gamma interval of the crude one are approached.
#[test]
fn a_population_standardised_to_itself_has_its_crude_rate() {
    let strata = [(20.0, 1000.0), (30.0, 3000.0), (7.0, 500.0)].map(|(cases, people)| Stratum {
        cases,
        people,
        weight: people,
    });
    let crude = crude(57.0, 4500.0, 1e5, 0.95).unwrap();
    for interval in [RateInterval::Dobson, RateInterval::FayFeuer] {
        let rate = standardised(&strata, 1e5, 0.95, interval).unwrap();
        near(rate.rate, crude.rate);
        near(rate.ci[0], crude.ci[0]);
        near(rate.ci[1], crude.ci[1]);
    }
}

/// Ten cases: 4.795 to 18.390 (Garwood 1936); none: up to 3.689. More digits by scipy.
#[test]
fn numbers_of_cases_have_garwoods_intervals() {
    let ten = crude(10.0, 1.0, 1.0, 0.95).unwrap();
    near(ten.ci[0], 4.795_388_696_132_433_5);
    near(ten.ci[1], 18.390_356_042_017_78);
    let none = crude(0.0, 1.0, 1.0, 0.95).unwrap();
    assert_eq!(none.ci[0], 0.0);
    near(none.ci[1], 3.688_879_454);
}

fn strata<const N: usize>(cases: [f64; N], people: [f64; N], standard: [f64; N]) -> Vec<Stratum> {
    let stratum = |at| Stratum {
        cases: cases[at],
        people: people[at],
        weight: standard[at],
    };
    (0..N).map(stratum).collect()
}

/// `known_answers.py` beside this crate, by quantiles of chi-squared: Down's syndrome by birth order, which Fay and Feuer (1997) have as 92.3
/// (80.4 to 105.8); a place with few cases and none in some groups; one with none at all.
#[test]
fn standardised_rates_have_the_intervals_of_the_papers() {
    let downs = strata(
        [107.0, 141.0, 60.0, 40.0, 39.0, 25.0],
        [230_061.0, 329_449.0, 114_920.0, 39_487.0, 14_208.0, 3_052.0],
        [319_933.0, 931_318.0, 786_511.0, 488_235.0, 237_863.0, 61_313.0],
    );
    let few = strata(
        [0.0, 1.0, 0.0, 7.0, 4.0],
        [1200.0, 2500.0, 2300.0, 1400.0, 260.0],
        ["0-19", "20-39", "40-59", "60-79", "80+"].map(|ages| {
            let ages = AgeGroup::parse(ages).unwrap();
            Standard::European2013.weight(ages).unwrap()
        }),
    );
    let none = strata([0.0, 0.0], [1000.0, 400.0], [60.0, 40.0]);
    let of = |strata: &[Stratum], interval| standardised(strata, 1e5, 0.95, interval);
    for (strata, rate, gamma, dobson) in [
        (
            &downs,
            92.304_525_533_199_44,
            [80.441_749_850_704_26, 105.763_345_749_261_18],
            Some([80.329_480_832_003_31, 105.187_005_529_162_66]),
        ),
        (
            &few,
            189.623_076_923_076_92,
            [96.887_014_647_177_07, 338.828_361_019_816_3],
            Some([96.647_865_043_760_93, 333.293_403_593_207_1]),
        ),
        (&none, 0.0, [0.0, 368.887_945_411_393_56], None),
    ] {
        let found = of(strata, RateInterval::FayFeuer).unwrap();
        near(found.rate, rate);
        near(found.ci[0], gamma[0]);
        near(found.ci[1], gamma[1]);
        let found = of(strata, RateInterval::Dobson);
        assert_eq!(found.is_some(), dobson.is_some());
        for (found, known) in found.iter().flat_map(|rate| rate.ci).zip(dobson.iter().flatten()) {
            near(found, *known);
        }
    }
}
