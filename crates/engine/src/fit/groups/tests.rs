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
