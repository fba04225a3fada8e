//! What suppression leaves open: the least and the most that a pooled value can be.
//!
//! A node that withheld a cell had at most `min_people - 1` people in it. How many rows and what values they can
//! have is what the collection declares: `rows_per_person_max` and `bounds`. Where it declares nothing, that side
//! of the interval is not known, and is said to be so.

use engine::query::Aggregate;
use policy::Collection;
use terms::MemberId;

/// A node that withheld its part of a value, and the most people that may have been in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Missing {
    pub(crate) node: MemberId,
    pub(crate) people_max: u32,
}

/// Least and most of a pooled value, or `None` if nothing is missing. `count` rows were released, with `sum`.
pub(crate) fn bounds(
    aggregate: &Aggregate,
    count: i64,
    sum: f64,
    missing: &[Missing],
    collection: &Collection,
) -> Option<(Option<f64>, Option<f64>)> {
    if missing.is_empty() {
        return None;
    }
    let people: f64 = missing.iter().map(|missing| f64::from(missing.people_max)).sum();
    let rows = collection.rows_per_person_max.map(|most| people * f64::from(most));
    let range = aggregate.column().and_then(|name| collection.column(name)?.bounds);
    let count = count as f64;
    Some(match (aggregate, range) {
        (Aggregate::CountRows | Aggregate::Count(_), _) => (Some(count), rows.map(|rows| count + rows)),
        (_, None) => (None, None),
        (Aggregate::Sum(_), Some([low, high])) => {
            // A negative value can only lower the sum, a positive one only raise it.
            let least = if low >= 0.0 {
                Some(sum)
            } else {
                rows.map(|rows| sum + rows * low)
            };
            let most = if high <= 0.0 {
                Some(sum)
            } else {
                rows.map(|rows| sum + rows * high)
            };
            (least, most)
        }
        (Aggregate::Mean(_), Some([low, high])) => match rows {
            // The mean moves farthest if all missing rows have the extreme value.
            Some(rows) if count + rows > 0.0 => {
                let with = |value: f64| (sum + rows * value) / (count + rows);
                (Some(with(low)), Some(with(high)))
            }
            _ => (Some(low), Some(high)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(extra: &str, measure: &str) -> Collection {
        let toml = format!(
            "id = \"c\"\ntitle = \"c\"\npersonal = true\nprivacy_unit = \"p\"\n{extra}\n[columns.p]\ntype = \"text\"\nrole = \"identifier\"\n\
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

    fn one_missing() -> Vec<Missing> {
        vec![Missing {
            node: "n".parse().unwrap(),
            people_max: 4,
        }]
    }

    #[test]
    fn nothing_missing_leaves_nothing_open() {
        assert_eq!(bounds(&Aggregate::CountRows, 10, 0.0, &[], &collection("", "")), None);
    }

    #[test]
    fn without_declared_rows_the_most_is_not_known() {
        let open = collection("", "bounds = [0, 10]");
        assert_eq!(
            bounds(&Aggregate::CountRows, 10, 0.0, &one_missing(), &open),
            Some((Some(10.0), None))
        );
        let sum = Aggregate::Sum("x".to_owned());
        assert_eq!(bounds(&sum, 10, 50.0, &one_missing(), &open), Some((Some(50.0), None)));
        let mean = Aggregate::Mean("x".to_owned());
        assert_eq!(
            bounds(&mean, 10, 50.0, &one_missing(), &open),
            Some((Some(0.0), Some(10.0)))
        );
    }

    #[test]
    fn declared_rows_and_bounds_close_the_interval() {
        let closed = collection("rows_per_person_max = 1", "bounds = [-5, 10]");
        assert_eq!(
            bounds(&Aggregate::CountRows, 10, 0.0, &one_missing(), &closed),
            Some((Some(10.0), Some(14.0)))
        );
        let sum = Aggregate::Sum("x".to_owned());
        assert_eq!(
            bounds(&sum, 10, 50.0, &one_missing(), &closed),
            Some((Some(30.0), Some(90.0)))
        );
        let mean = Aggregate::Mean("x".to_owned());
        let expected = Some((Some(30.0 / 14.0), Some(90.0 / 14.0)));
        assert_eq!(bounds(&mean, 10, 50.0, &one_missing(), &closed), expected);
    }
}
