#!/usr/bin/env python3
"""Data that are ten times as large as the memory that the programs may have: published, added up, and handed out as rows.

Usage: benches/larger_than_memory.py PROGRAM [--limit MB] [--times N] [--dir DIR]

Generates a folder of Parquet files of random numbers, N times as large as the limit. In a control group with that limit (so it needs root, and
says so otherwise) it adds the folder to a node, twice: as rows of people, which are sorted by person, and as rows of nobody. Then broker and node
run in the control group, and a client outside of it asks for sums by group, which DuckDB must find alike, and reads all rows of one group to their end.
Prints seconds and the most memory that the group had. Ends with 1 if an answer differs. Needs duckdb (pip install duckdb).
"""
import argparse
import csv
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time

COLLECTION = """
id       = "{id}"
title    = "Measurements"
personal = {personal}
{unit}
[columns.person]
type = "text"
role = {person_role}

[columns.device]
type   = "text"
role   = ["group", "filter"]
values = ["a", "b", "c"]
{bounds}
"""

MEASURE = """
[columns.{name}]
type   = "number"
role   = ["measure"]
bounds = [0, 1]
"""

POLICY = """
id          = "{id}"
version     = 1
title       = "Measurements for research"
collection  = "{id}"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "universities"
assignee   = {{ roles = ["university"] }}
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "{release}"
columns    = [{columns}]
disclosure = {{ tier = {tier} }}
"""

SPEC = """
space       = "bench"
board       = { members = 3, threshold = 2 }
collections = ["collections/people.toml", "collections/things.toml"]
policies    = ["policies/people.toml", "policies/things.toml"]

[[node]]
id       = "clinic"
roles    = ["hospital"]
datasets = [{ collection = "people", path = "few.csv" }, { collection = "things", path = "few.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"""

NUMBERS = ["x", "y", "z"]


class Group:
    """A control group with a limit of memory, of version 1 or 2."""

    def __init__(self, megabytes: int):
        old = pathlib.Path("/sys/fs/cgroup/memory")
        self.folder = (old if old.is_dir() else pathlib.Path("/sys/fs/cgroup")) / f"datenraum-bench-{os.getpid()}"
        names = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if old.is_dir() else ("memory.max", "memory.peak")
        self.most = self.folder / names[1]
        try:
            self.folder.mkdir()
            (self.folder / names[0]).write_text(str(megabytes * 1_000_000))
        except OSError as error:
            sys.exit(f"skipped: no control group with a limit can be made here ({error}); it takes root")

    def run(self, words: list[str]) -> float:
        """Runs a program in it, and gives back the seconds that it took."""
        begun = time.monotonic()
        enter = f"echo $$ > {self.folder}/cgroup.procs && exec \"$@\""
        subprocess.run(["sh", "-c", enter, "sh", *words], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begun

    def peak(self) -> float:
        return int(self.most.read_text()) / 1e6

    def remove(self) -> None:
        for _ in range(50):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.2)


def lay_out(place: pathlib.Path) -> None:
    for name in ["collections", "policies"]:
        (place / name).mkdir()
    (place / "spec.toml").write_text(SPEC)
    bounds = "".join(MEASURE.format(name=name) for name in NUMBERS)
    shown = ["device", *NUMBERS]
    for id, personal, release, tier in [("people", True, "aggregates", '"statistical", min_people = 10'), ("things", False, "rows", '"open"')]:
        collection = COLLECTION.format(
            id=id, personal=str(personal).lower(), bounds=bounds, unit='privacy_unit = "person"\n' if personal else "",
            person_role='"identifier"' if personal else '["group"]')
        (place / f"collections/{id}.toml").write_text(collection)
        columns = ", ".join(f'"{name}"' for name in shown)
        (place / f"policies/{id}.toml").write_text(POLICY.format(id=id, release=release, tier=tier, columns=columns))
    (place / "few.csv").write_text("person,device,x,y,z\np1,a,0.5,0.5,0.5\n")


def generate(folder: pathlib.Path, bytes_min: int) -> int:
    """Files of a million rows each, until they are large enough; gives back the rows."""
    import duckdb

    folder.mkdir()
    connection, rows = duckdb.connect(), 0
    while sum(file.stat().st_size for file in folder.iterdir()) < bytes_min:
        connection.execute(f"""COPY (SELECT 'p' || (i % 1000000)::VARCHAR AS person, ['a', 'b', 'c'][1 + (i % 3)] AS device,
            random() AS x, random() AS y, random() AS z FROM range({rows}, {rows + 1_000_000}) AS r(i))
            TO '{folder}/{rows:012}.parquet' (FORMAT parquet)""")
        rows += 1_000_000
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--limit", type=int, default=256, help="memory in MB")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--dir", help="a folder on a disk with room for several times the data")
    args = parser.parse_args()
    program, group = str(pathlib.Path(args.program).resolve()), Group(args.limit)
    try:
        with tempfile.TemporaryDirectory(dir=args.dir) as place:
            run(program, group, pathlib.Path(place), args)
    finally:
        group.remove()


def run(program: str, group: Group, place: pathlib.Path, args: argparse.Namespace) -> None:
    import duckdb

    lay_out(place)
    data, sandbox = place / "data", str(place / "sandbox")
    rows = generate(data, args.times * args.limit * 1_000_000)
    size = sum(file.stat().st_size for file in data.iterdir()) / 1e6
    print(f"{rows} rows in {size:.0f} MB of Parquet; {args.limit} MB of memory", flush=True)
    up = [program, "sandbox", "up", str(place / "spec.toml"), "--dir", sandbox]
    subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, "sandbox", "down", sandbox], check=True, stdout=subprocess.DEVNULL)
    for id in ["people", "things"]:
        seconds = group.run([program, "node", "dataset", "add", str(data), "--collection", id,
                             "--config", f"{sandbox}/nodes/clinic/node.toml"])
        print(f"added as {id}: {seconds:.0f} s, {rows / seconds / 1e6:.2f} M rows/s, at most {group.peak():.0f} MB", flush=True)
    group.run(up)
    try:
        ask(program, sandbox, data)
        print(f"broker and node had at most {group.peak():.0f} MB")
    finally:
        subprocess.run([program, "sandbox", "down", sandbox], check=True, stdout=subprocess.DEVNULL)


def ask(program: str, sandbox: str, data: pathlib.Path) -> None:
    import duckdb

    query = [program, "query", "--sandbox", sandbox, "--purpose", "ehds-53-1-e", "--format", "csv"]
    sums = "SELECT device, count(*) AS n, sum(x) AS x FROM {} GROUP BY device ORDER BY device"
    begun = time.monotonic()
    told = subprocess.run([*query, sums.format("people")], check=True, capture_output=True, text=True).stdout
    seconds = time.monotonic() - begun
    told = [(row["device"], float(row["n"]), float(row["x"])) for row in csv.DictReader(io.StringIO(told))]
    true = duckdb.connect().execute(sums.format(f"read_parquet('{data}/*.parquet')")).fetchall()
    for ours, theirs in zip(told, true, strict=True):
        near = all(abs(a - b) <= 1e-9 * abs(b) for a, b in zip(ours[1:], theirs[1:]))
        if ours[0] != theirs[0] or not near:
            sys.exit(f"the answers differ: {told} and {true}")
    print(f"sums by group, as DuckDB finds them: {seconds:.1f} s", flush=True)
    # One answer has fifty million rows at the most.
    wanted, begun = int(true[0][1]), time.monotonic()
    with subprocess.Popen([*query, "SELECT device, x, y, z FROM things WHERE device = 'a'"], stdout=subprocess.PIPE) as asking:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: asking.stdout.read(1 << 20), b""))
    if asking.returncode != 0 or lines != wanted + 1:
        sys.exit(f"{lines - 1} of {wanted} rows came; the client ended with {asking.returncode}")
    print(f"{wanted} rows of one group: {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
