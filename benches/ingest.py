#!/usr/bin/env python3
"""What it costs to profile and to publish a large export, against DuckDB on the same file in the same run.

Usage: benches/ingest.py PROGRAM [--rows N] [--dir DIR]

Generates admissions (patient_id, ward, sex, days, haemoglobin, admitted_on) as CSV and as Parquet, puts up a sandbox of one node, and measures, by
whole processes: `node dataset add --dry-run` (profile) and `node dataset add` (check every value, write the node's snapshot, profile).
DuckDB reads the same file and computes the same of it: rows, people, rows of each person at most, for each column missing values,
distinct values, least and greatest; for `add` it also writes the rows, sorted by person, as Parquet with Zstandard.
Prints seconds, rows per second, the ratio of the times, and the peak memory of each process. Needs duckdb (pip install duckdb).
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

SPEC = """
space       = "bench"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies    = ["policies/stays.toml"]

[[node]]
id       = "clinic"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "few.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"""

COLLECTION = """
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine", "eye", "children"]

[columns.sex]
type   = "text"
role   = ["group", "filter"]
values = ["f", "m"]

[columns.days]
type   = "integer"
role   = ["measure"]
bounds = [0, 365]

[columns.haemoglobin]
type   = "number"
role   = ["measure"]
bounds = [0, 30]

[columns.admitted_on]
type   = "date"
role   = ["group"]
bins   = "year"
"""

POLICY = """
id          = "stays"
version     = 1
title       = "Stays for research"
collection  = "stays"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "universities"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "aggregates"
columns    = ["ward", "sex", "days", "haemoglobin", "admitted_on"]
disclosure = { tier = "statistical", min_people = 10 }
"""

GENERATE = """
COPY (
  SELECT 'P' || lpad((hash(i) % ({rows} // 3 + 1))::VARCHAR, 9, '0') AS patient_id,
         ['surgery', 'medicine', 'eye', 'children'][(1 + hash(i * 7) % 4)::BIGINT] AS ward,
         CASE WHEN hash(i * 11) % 2 = 0 THEN 'f' ELSE 'm' END AS sex,
         CASE WHEN hash(i * 13) % 50 = 0 THEN NULL ELSE (hash(i * 17) % 30)::INTEGER END AS days,
         round(7 + (hash(i * 19) % 1000) / 100.0, 2) AS haemoglobin,
         DATE '2020-01-01' + (hash(i * 23) % 1800)::INTEGER AS admitted_on
  FROM range({rows}) AS r(i)
) TO '{file}' ({options})
"""

COLUMNS = ["patient_id", "ward", "sex", "days", "haemoglobin", "admitted_on"]


def profile_sql(source: str) -> str:
    """The same aggregates as the profile has."""
    each = ", ".join(
        f"count(*) - count({c}), count(DISTINCT {c}), min({c}), max({c})" for c in COLUMNS
    )
    return (
        f"SELECT count(*), {each} FROM {source};"
        f"SELECT max(n), count(*) FROM (SELECT count(*) AS n FROM {source} GROUP BY patient_id);"
        + "".join(f"SELECT {c}, count(*), count(DISTINCT patient_id) FROM {source} GROUP BY {c};" for c in ["ward", "sex"])
        + f"SELECT year(admitted_on), count(*), count(DISTINCT patient_id) FROM {source} GROUP BY 1;"
    )


def measured(words: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process that must end well."""
    pid, begun = os.posix_spawn(words[0], words, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]), time.monotonic()
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - begun, usage.ru_maxrss / 1000


def duckdb_does(sql: str) -> tuple[float, float]:
    return measured([sys.executable, __file__, "--sql", sql])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dir", help="a folder on the disk that is to be measured")
    parser.add_argument("--sql", help=argparse.SUPPRESS)
    args = parser.parse_args()
    import duckdb

    if args.sql:
        connection = duckdb.connect()
        for statement in filter(None, args.sql.split(";")):
            connection.execute(statement).fetchall()
        return
    if not args.program:
        parser.error("name the program")
    program = str(pathlib.Path(args.program).resolve())
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        run(program, pathlib.Path(folder), args.rows)


def run(program: str, place: pathlib.Path, rows: int) -> None:
    import duckdb

    for name in ["collections", "policies"]:
        (place / name).mkdir()
    (place / "spec.toml").write_text(SPEC)
    (place / "collections/stays.toml").write_text(COLLECTION)
    (place / "policies/stays.toml").write_text(POLICY)
    (place / "few.csv").write_text(",".join(COLUMNS) + "\nP1,eye,f,3,9.5,2024-01-01\n")
    files = {"CSV": place / "stays.csv", "Parquet": place / "stays.parquet"}
    options = {"CSV": "HEADER", "Parquet": "FORMAT parquet, COMPRESSION zstd"}
    for kind, file in files.items():
        duckdb.connect().execute(GENERATE.format(rows=rows, file=file, options=options[kind]))
    sandbox = str(place / "sandbox")
    subprocess.run([program, "sandbox", "up", str(place / "spec.toml"), "--dir", sandbox], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, "sandbox", "down", sandbox], check=True, stdout=subprocess.DEVNULL)
    print(f"{rows} rows; {'':24}{'datenraum':>22}{'DuckDB':>22}   ratio of times")
    for kind, file in files.items():
        reader = f"read_csv('{file}')" if kind == "CSV" else f"read_parquet('{file}')"
        add = [program, "node", "dataset", "add", str(file), "--collection", "stays",
               "--config", f"{sandbox}/nodes/clinic/node.toml"]
        out = place / "out.parquet"
        written = (f"COPY (SELECT * FROM {reader} ORDER BY patient_id) TO '{out}' (FORMAT parquet, COMPRESSION zstd);"
                   + profile_sql(f"read_parquet('{out}')"))
        for what, ours, theirs in [("profile", add + ["--dry-run"], profile_sql(reader)), ("publish", add, written)]:
            (seconds, memory), (base, base_memory) = measured(ours), duckdb_does(theirs)
            print(f"{kind + ', ' + what:36}{seconds:7.1f} s {rows / seconds / 1e6:4.2f} M/s {memory:5.0f} MB"
                  f"{base:7.1f} s {rows / base / 1e6:4.2f} M/s {base_memory:5.0f} MB   {seconds / base:5.2f}", flush=True)


if __name__ == "__main__":
    main()
