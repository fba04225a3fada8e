//! Which rules can be open at the same time, whatever their time windows.
//!
//! A window is a question about the clock of its zone, so windows of one zone are compared minute by minute of the week.
//! Clocks of two zones are taken as if each could show anything while the other shows anything: that is more than
//! can happen, never less. Next: `diff/cells.rs`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Time;
use terms::UtcTime;

use crate::window::Window;

/// Most combinations that are looked at: beyond it, rules count as not comparable.
const COMBINATIONS_MAX: usize = 4_096;

/// Monday, 5 January 1970, in seconds: the week that stands for every week.
const MONDAY_SECONDS: i64 = 4 * DAY_SECONDS;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// For rules with these windows, all combinations of which of them are open. A rule without windows is always open. None
/// if there are too many combinations to say.
pub(super) fn combinations(rules: &[&[Window]]) -> Option<BTreeSet<Vec<bool>>> {
    let mut zones: BTreeMap<&str, Vec<(usize, &Window)>> = BTreeMap::new();
    for (rule, windows) in rules.iter().enumerate() {
        for window in *windows {
            zones.entry(window.zone()).or_default().push((rule, window));
        }
    }
    let always: Vec<bool> = rules.iter().map(|windows| windows.is_empty()).collect();
    let mut all = BTreeSet::from([always]);
    for windows in zones.values() {
        let of_zone = week(windows, rules.len())?;
        let either = |one: &Vec<bool>, other: &Vec<bool>| one.iter().zip(other).map(|(a, b)| *a || *b).collect();
        all = all
            .iter()
            .flat_map(|one| of_zone.iter().map(move |other| either(one, other)))
            .collect();
        if all.len() > COMBINATIONS_MAX {
            return None;
        }
    }
    Some(all)
}

/// Whether the second windows are open whenever the first are. What cannot be told is not.
pub(super) fn within(inner: &[Window], outer: &[Window]) -> bool {
    combinations(&[inner, outer]).is_some_and(|all| all.iter().all(|open| !open[0] || open[1]))
}

/// Which rules are open at some minute of the week, by windows of one zone.
fn week(windows: &[(usize, &Window)], rules: usize) -> Option<BTreeSet<Vec<bool>>> {
    // In a zone without summer time, every clock time is there once.
    let plain = |(rule, window): &(usize, &Window)| {
        let plain = Window::new(window.days().to_vec(), window.from(), window.until(), "Etc/UTC");
        plain.ok().map(|window| (*rule, window))
    };
    let plain: Vec<(usize, Window)> = windows.iter().map(plain).collect::<Option<_>>()?;
    let edges: BTreeSet<i64> = plain
        .iter()
        .flat_map(|(_, window)| [window.from(), window.until()])
        .map(second_of_day)
        .chain([0])
        .collect();
    let mut all = BTreeSet::new();
    for start in (0..7).flat_map(|day| edges.iter().map(move |edge| MONDAY_SECONDS + day * DAY_SECONDS + edge)) {
        let at = UtcTime::from_second(start).ok()?;
        let mut open = vec![false; rules];
        plain
            .iter()
            .filter(|(_, window)| window.contains(at))
            .for_each(|(rule, _)| open[*rule] = true);
        all.insert(open);
    }
    Some(all)
}

fn second_of_day(time: Time) -> i64 {
    (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60
}
