//! Points in time at which the rules of a collection can differ. Next: `matrix/reach.rs`, which asks at each.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use terms::UtcTime;

use crate::rule::Policy;
use crate::rules::Rules;
use crate::window::Window;

/// Days from the beginning of each span of time for which recurring windows are looked at: a week and its edges.
const DAYS_SAMPLED: i64 = 8;

/// Points in time, one of each combination of policies in force and open windows, while `policy` is in force. Windows
/// are looked at in one week after each change of what is in force.
pub(super) fn times(rules: &Rules, policy: &Policy) -> Vec<UtcTime> {
    let policies = rules.of_collection(&policy.collection.id);
    let changes = policies
        .iter()
        .flat_map(|other| [Some(other.valid_from), other.valid_until.tomorrow().ok()])
        .flatten();
    let starts: BTreeSet<Date> = std::iter::once(policy.valid_from).chain(changes).collect();
    let windows: Vec<&Window> = policies
        .iter()
        .flat_map(|policy| {
            let permissions = policy.permissions.iter().flat_map(|rule| &rule.windows);
            permissions.chain(policy.prohibitions.iter().flat_map(|rule| &rule.windows))
        })
        .collect();
    let starts = starts
        .into_iter()
        .filter(|day| policy.valid_from <= *day && *day <= policy.valid_until);
    let instants: BTreeSet<UtcTime> = starts.flat_map(|day| edges(day, &windows)).collect();
    let mut seen = BTreeSet::new();
    instants
        .into_iter()
        .filter(|at| policy.is_in_force(*at))
        .filter(|at| {
            let open: Vec<bool> = windows.iter().map(|window| window.contains(*at)).collect();
            let in_force: Vec<bool> = policies.iter().map(|policy| policy.is_in_force(*at)).collect();
            seen.insert((open, in_force))
        })
        .collect()
}

/// The first instant of a day, and the edges of windows in the week that follows.
fn edges(day: Date, windows: &[&Window]) -> Vec<UtcTime> {
    let midnight = day.to_zoned(TimeZone::UTC).map(|start| start.timestamp());
    let mut edges: Vec<UtcTime> = midnight.into_iter().collect();
    for window in windows {
        let Ok(zone) = TimeZoneDatabase::bundled().get(window.zone()) else {
            continue;
        };
        for offset in -1..=DAYS_SAMPLED {
            let Ok(day) = day.checked_add(offset.days()) else {
                continue;
            };
            let clocks = [window.from(), window.until()];
            let at = |clock: Time| day.to_datetime(clock).to_zoned(zone.clone()).ok();
            edges.extend(clocks.into_iter().filter_map(at).map(|local| local.timestamp()));
        }
    }
    edges
}
