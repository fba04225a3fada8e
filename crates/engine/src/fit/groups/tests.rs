use models::model::Fitted;
use models::rounds::Next;

use super::*;

/// People in a row, each group from one edge to the next.
#[derive(Debug)]
struct Edges([usize; 3]);

impl Step for Edges {
    fn width(&self) -> usize {
        0
    }

    fn width_max(&self) -> Option<usize> {
        None
    }

    fn add(&self, _: &Frame, _: &mut [f64]) {}

    fn groups(&self) -> usize {
        4
    }

    fn groups_of(&self, frame: &Frame) -> Vec<usize> {
        (0..frame.rows)
            .map(|row| self.0.partition_point(|edge| *edge <= row))
            .collect()
    }

    fn next(&self, _: &[f64]) -> Result<Next<Arc<dyn Step>, Fitted>, Report> {
        unreachable!()
    }
}

fn frames() -> [Arc<Frame>; 1] {
    [Arc::new(Frame {
        columns: Vec::new(),
        people: (0..400).collect(),
        rows: 400,
    })]
}

const RULES: Rules = Rules {
    people_min: 10,
    dominance: None,
    p_percent: None,
    guards_zeros: false,
    one_row_each: true,
};

fn admitted(steps: &[[usize; 3]]) -> bool {
    let mut told = Told::default();
    steps
        .iter()
        .all(|edges| told.admit(&Edges(*edges), &frames(), &RULES).is_ok())
}

#[test]
fn no_sums_of_groups_of_several_steps_are_of_a_few_people() {
    assert!(!admitted(&[[5, 200, 300]]));
    assert!(!admitted(&[[100, 200, 300], [100, 200, 301]]));
    // Each group differs by many, and the first two together by one person.
    assert!(!admitted(&[[100, 200, 300], [120, 201, 320]]));
    // The third step differs by many from the second, and by three people from the first.
    assert!(!admitted(&[[100, 200, 300], [120, 220, 320], [103, 240, 340]]));
    assert!(admitted(&[
        [100, 200, 300],
        [120, 220, 320],
        [140, 220, 300],
        [140, 220, 300]
    ]));
}

/// A training of a network of one input over 400 people: x from −2 to 2, and the outcome of whom x is above 0, but for three.
fn trained(network: &str, rate: &str) -> Result<(), String> {
    let text = format!(
        "FIT train(formula => 'died ~ x', {network}, rate => '{rate}', rounds => '20', nodes => 'a', sum => 'plain', \
         steps => '25', fit => '00000000000000000000000000000000') OF SELECT 1"
    );
    let variable = |name: &str, bounds| models::design::Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some(bounds),
        levels: Vec::new(),
        edges: Vec::new(),
    };
    let variables = [variable("died", (0.0, 1.0)), variable("x", (-2.0, 2.0))];
    let model = models::Model::new(&models::Statement::parse(&text).unwrap(), &variables).unwrap();
    let x = (0..400).map(|person| (f64::from(person) - 199.5) / 100.0);
    let x: Vec<f64> = x.collect();
    let died = x.iter().enumerate();
    let died = died
        .map(|(person, x)| f64::from((*x > 0.0) != (person % 150 == 0)))
        .collect();
    let frames = [Arc::new(Frame {
        columns: [died, x].map(models::frame::Column::Numbers).into(),
        people: (0..400).collect(),
        rows: 400,
    })];
    let mut step = model.start;
    loop {
        let mut sums = vec![0.0; step.width()];
        step.add(&frames[0], &mut sums);
        match step.next(&sums).map_err(|report| report.to_string())? {
            Next::Done(_) => return Ok(()),
            Next::Step(next) => step = next,
        }
        admit_pulls(&*step, &frames, &RULES).map_err(|report| report.to_string())?;
    }
}

#[test]
fn no_rate_brings_a_network_to_where_a_few_people_have_all_the_weight() {
    for network in [
        "loss => 'logistic'",
        "loss => 'logistic', hidden => '2'",
        "hidden => '2'",
    ] {
        assert_eq!(trained(network, "0.1"), Ok(()), "{network}");
    }
    for network in ["loss => 'logistic'", "loss => 'logistic', hidden => '2'"] {
        let refusal = trained(network, "300").unwrap_err();
        assert!(refusal.contains("weight on too few people"), "{network}: {refusal}");
    }
}
