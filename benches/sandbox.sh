#!/usr/bin/env bash
# What a data space of twenty nodes costs on this machine: time from `sandbox up` to ready, cold and warm federated
# counts, resident memory of an idle node, and the size of the program. Bounded: one sandbox on loopback, taken down
# at the end. Usage: benches/sandbox.sh PROGRAM
#
# Absolute figures move with the machine. The ratios compare with a baseline of the same run: a sandbox of one node, and
# eighteen nodes asked in one question against one of them asked alone.
set -euo pipefail
program=$(realpath "${1:?usage: benches/sandbox.sh PROGRAM}")
project=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
runs=${RUNS:-11}

cleanup() {
    "$program" sandbox down "$place/twenty" >/dev/null 2>&1 || true
    "$program" sandbox down "$place/one" >/dev/null 2>&1 || true
    rm -rf "$place"
}
trap cleanup EXIT

milliseconds() { # runs a command, prints how long it took
    local began=${EPOCHREALTIME/./}
    "$@" >/dev/null 2>&1
    echo $(((${EPOCHREALTIME/./} - began) / 1000))
}

median() { # of the numbers on standard input
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

medians() { # median of several runs of a command
    for _ in $(seq "$runs"); do milliseconds "$@"; done | median
}

resident_kib() { # of the process that hosts a sandbox
    local pid
    pid=$(pgrep -f "sandbox host $1\$" | head -n 1)
    awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"
}

# One node of the same space: the first lung cancer hospital, and the person.
mkdir -p "$place/spec/demo"
cp -r "$project/policies" "$place/spec/policies"
cp -r "$project/demo/data" "$place/spec/demo/data"
awk '/^\[\[node\]\]/ { node = 1; text = "" } /^\[\[person\]\]/ { node = 0 }
     { if (node) { text = text $0 "\n"; if (/^datasets/) { if (text ~ /"ncctg-01"/) printf "%s", text; text = "" } } else print }' \
    "$project/demo/oncology.toml" >"$place/spec/demo/one.toml"

echo "machine: $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), $(uname -sr)"
echo "program: $(stat -c %s "$program") bytes ($(awk -v b="$(stat -c %s "$program")" 'BEGIN { printf "%.0f MiB", b / 1048576 }'))"

one=$(milliseconds "$program" sandbox up "$place/spec/demo/one.toml" --dir "$place/one")
twenty=$(milliseconds "$program" sandbox up "$project/demo/oncology.toml" --dir "$place/twenty")
echo "sandbox up to ready: 1 node ${one} ms, 20 nodes ${twenty} ms, ratio $(awk -v a="$twenty" -v b="$one" 'BEGIN { printf "%.1f", a / b }')"

sleep 2
rss_one=$(resident_kib "$place/one")
rss_twenty=$(resident_kib "$place/twenty")
echo "resident: 1 node ${rss_one} KiB, 20 nodes ${rss_twenty} KiB, each further node $(((rss_twenty - rss_one) / 19)) KiB"

count="SELECT count(*) AS people FROM lung_cancer"
ask() { "$program" query --sandbox "$place/$1" --purpose ehds-53-1-e --format json "$2" >/dev/null; }
cold=$(milliseconds ask twenty "$count")
all=$(medians ask twenty "$count")
alone=$(medians ask twenty "$count WHERE node = 'ncctg-01'")
version=$(medians "$program" --version)
echo "federated count, whole command: first ${cold} ms; then 18 nodes ${all} ms, 1 node ${alone} ms, ratio $(awk -v a="$all" -v b="$alone" 'BEGIN { printf "%.2f", a / b }'); starting the program alone ${version} ms"
