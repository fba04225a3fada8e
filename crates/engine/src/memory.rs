//! How much memory one query may hold, or the sorting of one snapshot: less where the operator gave the process less.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use terms::limit::QUERY_MEMORY_BYTES_MAX;

/// Of what the process may have in all, one query gets so much: others run beside it, and not all memory is counted.
const PART_OF_ALL: u64 = 4;

/// Where Linux shows control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that one query may hold. More fails as `E_RESOURCES`, or is sorted in parts on the disk.
pub(crate) fn bytes_max() -> usize {
    static BYTES_MAX: LazyLock<usize> = LazyLock::new(|| {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        part_of(allowed(Path::new(CONTROL_GROUPS), &groups))
    });
    *BYTES_MAX
}

fn part_of(allowed: Option<u64>) -> usize {
    let part = allowed.and_then(|bytes| usize::try_from(bytes / PART_OF_ALL).ok());
    part.map_or(QUERY_MEMORY_BYTES_MAX, |part| part.min(QUERY_MEMORY_BYTES_MAX))
}

/// The least that any control group of the process allows it, if one says anything. `groups` is `/proc/self/cgroup` (cgroups(7)).
fn allowed(root: &Path, groups: &str) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (folder, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        // What a group above allows holds too. In a container, only the root of its own may be shown.
        for place in Path::new(group.trim_start_matches('/'))
            .ancestors()
            .map(|group| folder.join(group))
        {
            least = [least, says(place.join(file))].into_iter().flatten().min();
        }
    }
    least
}

/// None if there is no such file, or it says `max`.
fn says(file: PathBuf) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, file: &str, says: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, says).unwrap();
    }

    #[test]
    fn the_least_that_a_group_or_one_above_it_allows_counts() {
        let root = tempfile::tempdir().unwrap();
        let of = |groups: &str| allowed(root.path(), groups);
        assert_eq!(of("0::/a/b\n"), None);
        group(root.path(), "a/b/memory.max", "max\n");
        assert_eq!(of("0::/a/b\n"), None);
        group(root.path(), "a/memory.max", "4000000\n");
        assert_eq!(of("0::/a/b\n"), Some(4_000_000));
        group(root.path(), "memory/c/memory.limit_in_bytes", "3000\n");
        assert_eq!(of("5:cpu:/c\n4:memory:/c\n0::/a/b\n"), Some(3000));
        assert_eq!(of("5:cpu,cpuacct:/c\nnothing\n"), None);
    }

    #[test]
    fn a_query_gets_a_part_of_it_and_never_more_than_is_usual() {
        assert_eq!(part_of(None), QUERY_MEMORY_BYTES_MAX);
        assert_eq!(part_of(Some(u64::MAX)), QUERY_MEMORY_BYTES_MAX);
        assert_eq!(part_of(Some(400)), 100);
    }
}
