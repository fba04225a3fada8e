//! What suppression leaves open: the least and the most that a pooled value can be.
//!
//! A cell that a node withheld can have been too small, or too close to another, or one person's for the most part: how
//! many people were in it is not known. What values they can have, the collection declares as `bounds`. Where nothing is
//! known of one side of the interval, that is said.

use engine::query::{Aggregate, Function};
use policy::Collection;
use terms::MemberId;

/// Least and most of a pooled value, or `None` if no node may have had more. `value` is what was released: a count or a sum.
pub(crate) fn bounds(
    aggregate: &Aggregate,
    value: f64,
    missing: &[MemberId],
    collection: &Collection,
) -> Option<(Option<f64>, Option<f64>)> {
    if missing.is_empty() {
        return None;
    }
    let bounds_of = |name: &String| collection.column(name).and_then(|column| column.bounds);
    Some(match &aggregate.function {
        Function::CountRows | Function::Count(_) | Function::CountPeople(_) => (Some(value), None),
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
        Function::Pair(..) => (None, None),
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

    fn one_missing() -> Vec<MemberId> {
        vec!["n".parse().unwrap()]
    }

    fn open(function: Function, extra: &str, value: f64) -> Option<(Option<f64>, Option<f64>)> {
        bounds(&function.into(), value, &one_missing(), &collection(extra))
    }

    #[test]
    fn nothing_missing_leaves_nothing_open() {
        assert_eq!(bounds(&Function::CountRows.into(), 10.0, &[], &collection("")), None);
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
}
