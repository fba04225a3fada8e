//! Which sets of columns tell the rules of two sides apart.

use std::collections::BTreeSet;

use super::Rules;
use crate::diff::eased::keeps_transforms;
use crate::rule::Permission;

/// Most sets of columns that are looked at for one kind of request: beyond it, rules count as not comparable.
const COLUMN_SETS_MAX: usize = 2_048;

type Columns = BTreeSet<String>;

/// One set of columns for each answer that requests can have: which permissions cover them, and which of those shows
/// most of them. None if there are too many.
pub(super) fn column_sets(
    before: &Rules<'_>,
    after: &Rules<'_>,
    closed: &BTreeSet<&String>,
) -> Option<BTreeSet<Columns>> {
    let covered = covered_sets(before, after, closed)?;
    let mut sets = BTreeSet::new();
    for set in covered {
        let blocks = &blocks(before, &set) | &blocks(after, &set);
        let mut parts = BTreeSet::from([set]);
        for block in blocks {
            let without: Vec<Columns> = parts.iter().map(|part| part - &block).collect();
            parts.extend(without);
            if parts.len() > COLUMN_SETS_MAX {
                return None;
            }
        }
        sets.append(&mut parts);
        if sets.len() > COLUMN_SETS_MAX {
            return None;
        }
    }
    Some(sets)
}

/// The largest set of columns for each set of permissions that cover it: what permissions have in common, with and
/// without the columns that were closed before. None if there are too many.
fn covered_sets(before: &Rules<'_>, after: &Rules<'_>, closed: &BTreeSet<&String>) -> Option<BTreeSet<Columns>> {
    let was_closed: BTreeSet<&String> = before
        .prohibitions
        .iter()
        .filter_map(|(_, rule)| rule.columns.as_ref())
        .flatten()
        .collect();
    let all = before.permissions.iter().chain(&after.permissions);
    let open: BTreeSet<Columns> = all
        .flat_map(|rule| {
            let open = rule.permission.columns.iter().filter(|name| !closed.contains(name));
            let never_closed = open.clone().filter(|name| !was_closed.contains(name));
            [open.cloned().collect(), never_closed.cloned().collect()]
        })
        .collect();
    let mut sets = BTreeSet::new();
    for one in &open {
        let common: Vec<Columns> = sets.iter().map(|other| one & other).collect();
        sets.extend(common);
        sets.insert(one.clone());
        if sets.len() > COLUMN_SETS_MAX {
            return None;
        }
    }
    Some(sets)
}

/// Columns that decide between permissions of one side which all cover `set`, by whether a request has any of a block.
///
/// Where one permission shows no more of any column than another, it comes second as soon as a request has one of the
/// columns that they show differently: those are one block. Where each shows more of some column, each is a block.
fn blocks(rules: &Rules<'_>, set: &Columns) -> BTreeSet<Columns> {
    let covering = rules.permissions.iter().map(|rule| rule.permission);
    let covering: Vec<&Permission> = covering.filter(|rule| set.is_subset(&rule.columns)).collect();
    let mut blocks = BTreeSet::new();
    for (number, one) in covering.iter().enumerate() {
        for other in &covering[number + 1..] {
            let (a, b) = (&one.transforms, &other.transforms);
            let differ = set.iter().filter(|name| a.get(*name) != b.get(*name));
            let differ: Columns = differ.cloned().collect();
            match keeps_transforms(a, b, &differ) || keeps_transforms(b, a, &differ) {
                true => drop(blocks.insert(differ)),
                false => blocks.extend(differ.into_iter().map(|name| Columns::from([name]))),
            }
        }
    }
    // Of models: whether they come with rows decides whether a request has any column of which rows are prohibited.
    let of_rows = rules.of_rows.iter().filter_map(|(_, rule)| rule.columns.as_ref());
    blocks.extend(of_rows.map(|columns| columns & set));
    blocks.remove(&Columns::new());
    blocks
}
