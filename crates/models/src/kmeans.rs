//! k-means (Lloyd 1982) over all nodes' rows: each step adds up, for each centre, the rows that are nearest to it.
//!
//! Variables are divided by their standard deviations. Centres begin on the first principal component of the correlations, at the
//! middles of k equally likely parts of a normal distribution along it: they follow from sums, and no row is one of them.
//!
//! | step | entries | what they are |
//! |---|---|---|
//! | 1, 2 | | as in `pca.rs` |
//! | 3 and on | k × 1 | rows nearest to each centre: counts; a node looks at [`Rounds::groups_of`] before it sends them |
//! | | k × p | sums of their variables, less the means and divided by the standard deviations |
//! | | k × 1 | sums of their squared distances from the centre |

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use terms::{Problem, Report};

use crate::frame::Frame;
use crate::pca::eigen;
use crate::points::{Measure, Measured, Moments, Points};
use crate::rounds::{Next, Rounds};

/// Centres are at rest when none moves by more than this many standard deviations, if nothing else is said.
const MOVED_MAX: f64 = 1e-12;

/// Most steps of centres; Lloyd's way ends, but nobody has a good bound for when.
const STEPS_MAX: u32 = 300;

/// Most clusters.
const CLUSTERS_MAX: usize = 100;

/// A k-means analysis.
#[derive(Clone, Debug)]
pub struct KMeans {
    points: Points,
    clusters: usize,
    size_min: u64,
    moved_max: f64,
}

/// What is known between two steps.
#[derive(Clone, Debug)]
pub struct State {
    steps: u32,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Measure(Measure),
    Centres(Moments, Vec<Vec<f64>>),
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// Its centre, in the units of the variables.
    pub centre: Vec<f64>,
    /// Its rows.
    pub size: u64,
    /// The sum of their squared distances from the centre, in standard deviations.
    pub within: f64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitted {
    /// The variables, as they were written.
    pub variables: Vec<String>,
    /// The clusters, from one end of the first principal component to the other.
    pub clusters: Vec<Cluster>,
    /// The sum of all clusters' [`Cluster::within`].
    pub within: f64,
    /// The sum of squared distances from the mean, in standard deviations.
    pub total: f64,
    /// Rows of all nodes in which all variables are known.
    pub n: u64,
    /// Steps of all nodes.
    pub steps: u32,
}

impl KMeans {
    /// So many clusters. One with fewer rows than `size_min` at the end is a reason to refuse.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` if there are less than 2 clusters or too many.
    pub fn new(points: Points, clusters: usize, size_min: u64) -> Result<Self, Report> {
        if !(2..=CLUSTERS_MAX).contains(&clusters) {
            let message = format!("{clusters} clusters: there can be 2 to {CLUSTERS_MAX}");
            return Err(Problem::ModelFormula.report(message));
        }
        Ok(Self {
            points,
            clusters,
            size_min,
            moved_max: MOVED_MAX,
        })
    }

    /// Ends as soon as no centre moves by more than so many standard deviations.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` if that is not from 0 to 1.
    pub fn with_tolerance(mut self, moved_max: f64) -> Result<Self, Report> {
        if !(0.0..=1.0).contains(&moved_max) {
            return Err(Problem::ModelFormula.report("a tolerance is from 0 to 1, in standard deviations"));
        }
        self.moved_max = moved_max;
        Ok(self)
    }

    /// Where centres begin.
    fn begin(&self, moments: &Moments) -> Vec<Vec<f64>> {
        let normal = Normal::standard();
        let components = eigen(&moments.matrix(&moments.deviations()));
        let (variance, direction) = &components[0];
        let centre = |at: usize| {
            let share = (at as f64 + 0.5) / self.clusters as f64;
            let far = normal.inverse_cdf(share) * variance.sqrt();
            direction.iter().map(|x| x * far).collect()
        };
        (0..self.clusters).map(centre).collect()
    }
}

impl Rounds for KMeans {
    type State = State;
    type Fitted = Fitted;

    fn start(&self) -> State {
        State {
            steps: 0,
            phase: Phase::Measure(Measure::Means),
        }
    }

    fn width(&self, state: &State) -> usize {
        match &state.phase {
            Phase::Measure(measure) => measure.width(&self.points),
            Phase::Centres(..) => self.clusters * (2 + self.points.size()),
        }
    }

    fn width_max(&self) -> Option<usize> {
        let of_centres = self.clusters * (2 + self.points.size());
        Some(Measure::width_max(&self.points).max(of_centres))
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        match &state.phase {
            Phase::Measure(measure) => measure.add(&self.points, frame, into),
            Phase::Centres(moments, centres) => self.add_nearest(moments, centres, frame, into),
        }
    }

    /// In which group each row is, and in which it was.
    fn bytes(&self, rows: usize) -> usize {
        rows * (size_of::<usize>() + size_of::<u32>())
    }

    fn groups(&self, state: &State) -> usize {
        match state.phase {
            Phase::Measure(_) => 0,
            Phase::Centres(..) => self.clusters,
        }
    }

    fn groups_of(&self, state: &State, frame: &Frame) -> Vec<usize> {
        let mut groups = Vec::new();
        if let Phase::Centres(moments, centres) = &state.phase {
            self.each_nearest(moments, centres, frame, |_, nearest, _| groups.push(nearest));
        }
        groups
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Fitted>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        let steps = state.steps + 1;
        let phase = match &state.phase {
            Phase::Measure(measure) => match measure.next(&self.points, sums)? {
                Measured::Next(measure) => Phase::Measure(measure),
                Measured::Done(moments) => {
                    let centres = self.begin(&moments);
                    Phase::Centres(moments, centres)
                }
            },
            Phase::Centres(moments, centres) => {
                let moved = self.moved(sums)?;
                let coordinates = moved.iter().flatten().zip(centres.iter().flatten());
                let far = coordinates.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                if far <= self.moved_max {
                    return self.fitted(moments, (centres, &moved), sums, steps).map(Next::Done);
                }
                if steps == STEPS_MAX {
                    let message = format!("the centres still move after {STEPS_MAX} steps");
                    return Err(Problem::ModelSteps.report(message).remedy("take fewer clusters"));
                }
                Phase::Centres(moments.clone(), moved)
            }
        };
        Ok(Next::Step(State { steps, phase }))
    }
}

impl KMeans {
    fn add_nearest(&self, moments: &Moments, centres: &[Vec<f64>], frame: &Frame, into: &mut [f64]) {
        let size = self.points.size();
        let (counts, rest) = into.split_at_mut(self.clusters);
        let (sums, distances) = rest.split_at_mut(self.clusters * size);
        self.each_nearest(moments, centres, frame, |z, nearest, distance| {
            counts[nearest] += 1.0;
            distances[nearest] += distance;
            for (sum, z) in sums[nearest * size..][..size].iter_mut().zip(z) {
                *sum += z;
            }
        });
    }

    /// Calls with each row, the centre nearest to it and its squared distance, in standard deviations.
    fn each_nearest(
        &self,
        moments: &Moments,
        centres: &[Vec<f64>],
        frame: &Frame,
        mut with: impl FnMut(&[f64], usize, f64),
    ) {
        let deviations = moments.deviations();
        let mut z = vec![0.0; self.points.size()];
        self.points.each_row(frame, |x| {
            for (at, z) in z.iter_mut().enumerate() {
                *z = (x[at] - moments.means[at]) / deviations[at];
            }
            let (nearest, distance) = nearest(centres, &z);
            with(&z, nearest, distance);
        });
    }

    /// The means of the rows nearest to each centre.
    fn moved(&self, sums: &[f64]) -> Result<Vec<Vec<f64>>, Report> {
        let size = self.points.size();
        let mean = |at: usize| {
            let rows = sums[at].round();
            if rows < 1.0 {
                let message = format!("cluster {} of {} has no rows left", at + 1, self.clusters);
                return Err(Problem::ModelData.report(message).remedy("take fewer clusters"));
            }
            let sums = &sums[self.clusters + at * size..][..size];
            Ok(sums.iter().map(|sum| sum / rows).collect())
        };
        (0..self.clusters).map(mean).collect()
    }

    /// Clusters as they are around the first centres, with what is said of each taken from the means of its rows, to which its centre moved.
    fn fitted(
        &self,
        moments: &Moments,
        (before, moved): (&[Vec<f64>], &[Vec<f64>]),
        sums: &[f64],
        steps: u32,
    ) -> Result<Fitted, Report> {
        let (counts, rest) = sums.split_at(self.clusters);
        if let Some(at) = counts.iter().position(|rows| rows.round() < self.size_min as f64) {
            let message = format!("cluster {} has fewer than {} rows", at + 1, self.size_min);
            return Err(Problem::ModelDisclosure.report(message).remedy("take fewer clusters"));
        }
        let deviations = moments.deviations();
        let in_units = |centre: &[f64]| -> Vec<f64> {
            let columns = self.points.columns.iter().enumerate();
            columns
                .map(|(at, column)| (moments.means[at] + centre[at] * deviations[at]) * column.scale)
                .collect()
        };
        let distances = &rest[self.clusters * self.points.size()..];
        // Squares from the mean are those from another place, less the rows times the square of the way between (Steiner).
        let way = |(one, other): (&Vec<f64>, &Vec<f64>)| -> f64 {
            one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum()
        };
        let ways = before.iter().zip(moved).map(way);
        let within: Vec<f64> = distances
            .iter()
            .zip(ways)
            .zip(counts)
            .map(|((from_before, way), rows)| from_before - rows.round() * way)
            .collect();
        let clusters = moved.iter().zip(counts).zip(&within);
        Ok(Fitted {
            variables: self.points.columns.iter().map(|column| column.name.clone()).collect(),
            clusters: clusters
                .map(|((centre, rows), within)| Cluster {
                    centre: in_units(centre),
                    size: rows.round() as u64,
                    within: *within,
                })
                .collect(),
            within: within.iter().sum(),
            total: (moments.rows - 1.0) * self.points.size() as f64,
            n: moments.rows as u64,
            steps,
        })
    }
}

/// The centre nearest to a row, the first of them if there are several, and its squared distance.
fn nearest(centres: &[Vec<f64>], z: &[f64]) -> (usize, f64) {
    let distance = |centre: &Vec<f64>| -> f64 { centre.iter().zip(z).map(|(c, z)| (z - c) * (z - c)).sum() };
    let distances = centres.iter().map(distance).enumerate();
    distances.fold(
        (0, f64::INFINITY),
        |best, next| if next.1 < best.1 { next } else { best },
    )
}

#[cfg(test)]
mod tests;
