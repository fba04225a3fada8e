//! What suppression leaves open: the least and the most that a pooled value can be.
//!
//! A cell that a node withheld can have been too small, or too close to another, or one person's for the most part: how
//! many people were in it is not known. What values they can have, the collection declares as `bounds`. Where nothing is
//! known of one side of the interval, that is said.

use engine::query::{Aggregate, Function};
use policy::Collection;
use terms::MemberId;

/// What of a pooled value is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unknown {
    /// Nodes that may have had more than they released.
    pub(crate) missing: Vec<MemberId>,
    /// Nodes that rounded what they released.
    pub(crate) rounding: Vec<MemberId>,
    /// By how much their rounding can have moved a count.
    pub(crate) count_slack: f64,
}

impl Unknown {
    /// The nodes because of which the value is open.
    pub(crate) fn nodes(&self) -> Vec<MemberId> {
        let mut nodes: Vec<MemberId> = self.missing.iter().chain(&self.rounding).cloned().collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }
}

/// Least and most of a pooled value, or `None` if it is exact. `value` is what was released: a count or a sum.
pub(crate) fn bounds(
    aggregate: &Aggregate,
    value: f64,
    unknown: &Unknown,
    collection: &Collection,
) -> Option<(Option<f64>, Option<f64>)> {
    let Unknown {
        missing,
        rounding,
        count_slack,
    } = unknown;
    if missing.is_empty() && rounding.is_empty() {
        return None;
    }
    let bounds_of = |name: &String| collection.column(name).and_then(|column| column.bounds);
    Some(match &aggregate.function {
        Function::CountRows | Function::Count(_) | Function::CountPeople(_) => {
            let most = missing.is_empty().then_some(value + count_slack);
            (Some((value - count_slack).max(0.0)), most)
        }
        // How far a rounded sum is from the exact one depends on the exact count.
        Function::Sum(_) if !rounding.is_empty() => (None, None),
        // A negative value can only lower the sum, a positive one only raise it.
        Function::Sum(column) => match bounds_of(column) {
            Some([low, high]) => ((low >= 0.0).then_some(value), (high <= 0.0).then_some(value)),
            None => (None, None),
        },
        Function::Mean(column) | Function::Quantile(_, column) => match bounds_of(column) {
            Some([low, high]) => (Some(low), Some(high)),
            None => (None, None),
        },
        Function::Spread(..) => (Some(0.0), None),
        Function::Pair(..) | Function::PairPart(..) => (None, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(measure: &str) -> Collection {
        let toml = format!(
            "id = \"c\"\ntitle = \"c\"\npersonal = true\nprivacy_unit = \"p\"\n[columns.p]\ntype = \"text\"\nrole = \"identifier\"\n\
             [columns.x]\ntype = \"integer\"\nrole = [\"measure\"]\n{measure}\n"
        );
        let space = "id = \"s\"\ntitle = \"s\"\n";
        let files = [
            ("space.toml", space),
            ("members.toml", ""),
            ("collections/c.toml", toml.as_str()),
        ];
        let files = files
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
            .into();
        let rules = policy::Rules::compile_files(1, trust::Digest::of(b""), &files).unwrap();
        rules.collections.values().next().unwrap().as_ref().clone()
    }

    fn one_missing() -> Unknown {
        Unknown {
            missing: vec!["n".parse().unwrap()],
            ..Unknown::default()
        }
    }

    fn open(function: Function, extra: &str, value: f64) -> Option<(Option<f64>, Option<f64>)> {
        bounds(&function.into(), value, &one_missing(), &collection(extra))
    }

    #[test]
    fn nothing_missing_leaves_nothing_open() {
        assert_eq!(
            bounds(&Function::CountRows.into(), 10.0, &Unknown::default(), &collection("")),
            None
        );
    }

    #[test]
    fn how_many_more_there_are_is_not_known() {
        assert_eq!(open(Function::CountRows, "", 10.0), Some((Some(10.0), None)));
        let sum = || Function::Sum("x".to_owned());
        assert_eq!(open(sum(), "bounds = [0, 10]", 50.0), Some((Some(50.0), None)));
        assert_eq!(open(sum(), "bounds = [-5, 10]", 50.0), Some((None, None)));
        assert_eq!(open(sum(), "", 50.0), Some((None, None)));
    }

    #[test]
    fn a_mean_lies_within_the_declared_bounds() {
        let mean = || Function::Mean("x".to_owned());
        assert_eq!(open(mean(), "bounds = [-5, 10]", 50.0), Some((Some(-5.0), Some(10.0))));
        assert_eq!(open(mean(), "", 50.0), Some((None, None)));
    }

    #[test]
    fn a_rounded_count_lies_within_half_a_step_of_each_node() {
        let two = Unknown {
            rounding: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            count_slack: 5.0,
            ..Unknown::default()
        };
        let of = |function: Function, value| bounds(&function.into(), value, &two, &collection("bounds = [0, 10]"));
        assert_eq!(of(Function::CountRows, 20.0), Some((Some(15.0), Some(25.0))));
        assert_eq!(of(Function::CountRows, 0.0), Some((Some(0.0), Some(5.0))));
        assert_eq!(of(Function::Sum("x".to_owned()), 50.0), Some((None, None)));
    }
}
