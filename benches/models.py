#!/usr/bin/env python3
"""How long a logistic regression over nodes takes, against statsmodels on the pooled rows in the same run.

Usage: benches/models.py FOLDER [--rows N] [--nodes 4,20] [--times N] [--dir DIR]

FOLDER has the programs `datenraum` and `fits` (cargo build --workspace --release --bin datenraum --bin fits).

Two parts. Small: four nodes of 230 made-up patients each, in the statistical tier, fitted again and again over open connections (mTLS, a
record on disk that the fit begins and one that it ended, at each node). Large: N rows over one node and over 4 and 20, once each after
a first fit. The model is logistic with eight terms. Coefficients must agree with statsmodels to 1e-8, or it ends with an error.
Prints milliseconds, steps, numbers sent, and ratios. Needs numpy, pandas, pyarrow and statsmodels.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
import statsmodels.api as sm

COLLECTION = """
id = "heart"
title = "Heart disease"
personal = true
privacy_unit = "person"
rows_per_person_max = 1
[columns.person]
type = "text"
role = "identifier"
[columns.age]
type = "integer"
role = ["measure"]
bounds = [20, 90]
[columns.sex]
type = "boolean"
role = ["group"]
[columns.pain]
type = "text"
role = ["group"]
values = ["typical", "atypical", "other", "none"]
[columns.rate]
type = "number"
role = ["measure"]
bounds = [50, 220]
[columns.depression]
type = "number"
role = ["measure"]
bounds = [0, 7]
[columns.disease]
type = "boolean"
role = ["group"]
"""

POLICY = """
id = "hearts"
version = 1
title = "Research on hearts"
collection = "heart"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "models"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "models"
columns = ["age", "sex", "pain", "rate", "depression", "disease", "node"]
[permission.disclosure]
tier = "statistical"
min_people = 5
[permission.models]
sum = "SUM"
min_nodes = MIN
"""

FORMULA = "disease ~ age + sex + C(pain) + rate + depression"
# Parameters, and levels of the factor.
TERMS, LEVELS = 8, 4


def rows(count, seed):
    """Made-up patients, no column of which says much about another."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 91, count)
    sex = random.random(count) < 0.5
    pain = random.integers(0, 4, count)
    rate = np.round(random.normal(137, 25, count).clip(50, 220), 1)
    depression = np.round(random.exponential(1.0, count).clip(0, 7), 1)
    odds = -3 + 0.04 * age + 0.7 * sex - 0.4 * (pain == 1) + 0.3 * (pain == 3) - 0.01 * (rate - 137) + 0.5 * depression
    disease = random.random(count) < 1 / (1 + np.exp(-odds))
    names = np.array(["typical", "atypical", "other", "none"])
    return pd.DataFrame(
        {
            "person": np.arange(count).astype(str),
            "age": age,
            "sex": sex,
            "pain": names[pain],
            "rate": rate,
            "depression": depression,
            "disease": disease,
        }
    )


def pooled(table):
    """Coefficients by statsmodels, and how long it took without making the matrix."""
    columns = [np.ones(len(table)), table.age, table.sex.astype(float)]
    columns += [(table.pain == value).astype(float) for value in ("atypical", "other", "none")]
    matrix = np.column_stack(columns + [table.rate, table.depression])
    outcome = table.disease.to_numpy(float)
    began = time.monotonic()
    fitted = sm.GLM(outcome, matrix, family=sm.families.Binomial()).fit(tol=1e-12)
    return fitted.params, fitted.bse, time.monotonic() - began


def fitted(programs, folder, table, nodes, masked, times):
    """Milliseconds of a fit over so many nodes, with what it found."""
    place = pathlib.Path(folder) / f"{nodes}-{'masked' if masked else 'plain'}-{len(table)}"
    place.mkdir()
    (place / "heart.toml").write_text(COLLECTION)
    policy = POLICY.replace("SUM", "masked" if masked else "plain").replace("MIN", str(3 if masked else 1))
    (place / "hearts.toml").write_text(policy)
    spec = 'space = "bench"\nboard = { members = 3, threshold = 2 }\ncollections = ["heart.toml"]\npolicies = ["hearts.toml"]\n'
    spec += '[[person]]\nid = "ada"\nmember = "university"\nroles = ["university"]\n'
    for node, part in enumerate(np.array_split(np.arange(len(table)), nodes)):
        table.iloc[part].to_parquet(place / f"{node}.parquet", index=False)
        spec += f'[[node]]\nid = "node-{node}"\nroles = ["hospital"]\n'
        spec += f'datasets = [{{ collection = "heart", path = "{node}.parquet" }}]\n'
    (place / "spec.toml").write_text(spec)
    program = pathlib.Path(programs) / "datenraum"
    sandbox = place / "sandbox"
    subprocess.run([program, "sandbox", "up", place / "spec.toml", "--dir", sandbox], check=True, stdout=subprocess.DEVNULL)
    try:
        person = next(sandbox.glob("people/ada/*.toml"))
        command = [pathlib.Path(programs) / "fits", "--profile", person, "--collection", "heart", "--formula", FORMULA]
        run = subprocess.run(
            command + ["--family", "binomial", "--times", str(times)], check=True, stdout=subprocess.PIPE, text=True
        )
    finally:
        subprocess.run([program, "sandbox", "down", sandbox], check=True, stdout=subprocess.DEVNULL)
    return json.loads(run.stdout)


def require_same(found, params, errors):
    for (term, estimate, error), param, bse in zip(found["terms"], params, errors, strict=True):
        assert abs(estimate - param) < 1e-8 * max(1, abs(param)), (term, estimate, param)
        assert abs(error / bse - 1) < 1e-6, (term, error, bse)


def numbers_sent(steps):
    """Doubles that one node sends in a fit."""
    return 1 + LEVELS + (steps - 1) * (1 + TERMS * (TERMS + 1) // 2 + TERMS + 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--nodes", default="1,4,20")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--masked", action="store_true", help="masked sums too")
    parser.add_argument("--dir")
    args = parser.parse_args()
    print(f"processors {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        small = rows(4 * 230, 1)
        params, errors, seconds = pooled(small)
        plain = None
        for masked in [False, True] if args.masked else [False]:
            found = fitted(args.programs, folder, small, 4, masked, args.times)
            require_same(found, params, errors)
            ratio = f", {found['ms_median'] / plain:.2f} of plain" if plain else ""
            plain = plain or found["ms_median"]
            print(
                f"4 x 230 rows, {'masked' if masked else 'plain'}: median {found['ms_median']:.1f} ms, least {found['ms_least']:.1f} ms, "
                f"{found['steps']} steps, {numbers_sent(found['steps'])} numbers from each node; statsmodels {seconds * 1e3:.1f} ms{ratio}"
            )
        large = rows(args.rows, 2)
        params, errors, seconds = pooled(large)
        print(f"{args.rows:,} rows: statsmodels {seconds:.2f} s")
        alone = None
        for nodes in map(int, args.nodes.split(",")):
            found = fitted(args.programs, folder, large, nodes, False, 3)
            require_same(found, params, errors)
            took = found["ms_median"] / 1e3
            alone = alone or took
            print(
                f"{args.rows:,} rows over {nodes} nodes: {took:.2f} s, {took / seconds:.2f} of statsmodels, "
                f"{took / alone:.2f} of one node, {found['steps']} steps"
            )


if __name__ == "__main__":
    main()
