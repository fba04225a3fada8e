#!/usr/bin/env python3
"""Makes tests/oracles/demo.json: what queries over demo/data must answer, computed without any part of Datenraum.

    python3 tests/oracles/demo.py            writes tests/oracles/demo.json
    python3 tests/oracles/demo.py --check    fails if the file on disk is not what would be written

Needs Python 3.11 or newer and nothing else. Every number is computed twice: with exact fractions over all patients, and by
SQLite over the same rows; a difference beyond the last digits of a double ends the program.

Each entry has the SQL of a data user, and two answers:
  pooled    as if all patients were in one table
  released  as nodes answer that leave out small cells: a node leaves out a cell with fewer than min_people people, and
            within a cell that it releases it leaves out an aggregate over a column that fewer than min_people people have
            a value in. What is left is merged exactly. Nothing else is left out: no rounding, no complement, no dominance.
            A cell that no node releases is not in the answer. An aggregate that no node releases is null.
cells_left_out lists each such cell as its node and its keys; values_left_out the same and the column.
A bin is written as its label, half-open: "[50, 60)". Rows are sorted by their keys, labels as text, missing keys last.
"""

import csv
import json
import math
import sqlite3
import sys
import tomllib
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(__file__).with_suffix(".json")
getcontext().prec = 50


# --- reading -------------------------------------------------------------------------------------------------------

def typed(kind, text):
    if text == "":
        return None
    return {"text": str, "integer": int, "boolean": lambda t: {"true": True, "false": False}[t]}[kind](text)


def load():
    """Rows of each collection with the virtual column `node`, and the collections and their min_people."""
    spec = tomllib.loads((ROOT / "demo/oncology.toml").read_text(encoding="utf-8"))
    folder = ROOT / "demo"
    collections = {c["id"]: c for c in (tomllib.loads((folder / p).read_text(encoding="utf-8")) for p in spec["collections"])}
    policies = [tomllib.loads((folder / p).read_text(encoding="utf-8")) for p in spec["policies"]]
    min_people = {p["collection"]: p["permission"][0]["disclosure"]["min_people"] for p in policies}
    rows = {name: [] for name in collections}
    for node in spec["node"]:
        for dataset in node["datasets"]:
            columns = collections[dataset["collection"]]["columns"]
            with open(folder / dataset["path"], newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    values = {name: typed(columns[name]["type"], text) for name, text in row.items()}
                    rows[dataset["collection"]].append({"node": node["id"], **values})
    return rows, collections, min_people


def label(edges, value):
    if value is None:
        return None
    low, high = next((a, b) for a, b in zip(edges, edges[1:]) if a <= value < b)
    return f"[{low}, {high})"


# --- the first way: exact fractions --------------------------------------------------------------------------------

def aggregate(name, column, rows):
    """One aggregate as an exact number, or None where SQL says NULL."""
    if name == "count" and column is None:
        return len(rows)
    values = [row[column] for row in rows if row[column] is not None]
    if name == "count":
        return len(values)
    if not values:
        return None
    total = Fraction(sum(values))
    if name == "sum":
        return int(total)
    mean = total / len(values)
    if name == "avg":
        return mean
    if name == "stddev":
        if len(values) < 2:
            return None
        m2 = sum((Fraction(v) - mean) ** 2 for v in values)
        variance = m2 / (len(values) - 1)
        return (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
    raise ValueError(name)


def number(value):
    return value if value is None or isinstance(value, (int, str)) else float(value)


def order(key):
    return [(part is None, "" if part is None else part) for part in key]


def cells(query, rows, columns):
    """Patients of each cell: key to rows."""
    found = {}
    for row in rows:
        if query["keep"](row):
            key = tuple(
                label(columns[c[4:-1]]["bins"], row[c[4:-1]]) if c.startswith("bin(") else row[c] for c in query["keys"]
            )
            found.setdefault(key, []).append(row)
    if not query["keys"]:
        found.setdefault((), [])
    return found


def answer(query, kept_by_key, kept_by_aggregate):
    """Merges what is left into the rows of an answer."""
    result = []
    for key in sorted(kept_by_key, key=order):
        values = []
        for position, (name, column) in enumerate(query["aggregates"]):
            rows = kept_by_aggregate(key, position)
            values.append(None if rows is None else number(aggregate(name, column, rows)))
        result.append([*key, *values])
    return result


def released(query, rows, columns, min_people):
    """What is left after each node left out its small cells, with what was left out."""
    by_node = {}
    for row in rows:
        by_node.setdefault(row["node"], []).append(row)
    kept, withheld_cells, withheld_values = {}, [], []
    for node, own in by_node.items():
        for key, members in sorted(cells(query, own, columns).items(), key=lambda item: order(item[0])):
            place = [node] + [part for name, part in zip(query["keys"], key) if name != "node"]
            if len(members) < min_people:
                withheld_cells.append(place)
                continue
            slots = kept.setdefault(key, [[] for _ in query["aggregates"]])
            for position, (name, column) in enumerate(query["aggregates"]):
                if column is not None and sum(row[column] is not None for row in members) < min_people:
                    withheld_values.append([*place, query["columns"][len(key) + position]])
                    continue
                slots[position].append(members)

    def inputs(key, position):
        parts = kept[key][position]
        return [row for part in parts for row in part] if parts else None

    answer_rows = answer(query, kept, inputs)
    everything = {"min_people": min_people, "rows": answer_rows, "cells_left_out": withheld_cells}
    if withheld_values:
        everything["values_left_out"] = withheld_values
    return everything


# --- the second way: SQLite ----------------------------------------------------------------------------------------

class Stddev:
    """Sample standard deviation for SQLite, by Welford's recurrence: another formula than above."""

    def __init__(self):
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def step(self, value):
        if value is not None:
            self.n += 1
            delta = value - self.mean
            self.mean += delta / self.n
            self.m2 += delta * (value - self.mean)

    def finalize(self):
        return math.sqrt(self.m2 / (self.n - 1)) if self.n > 1 else None


def database(rows, collections):
    connection = sqlite3.connect(":memory:")
    connection.create_aggregate("stddev", 1, Stddev)
    for name, members in rows.items():
        table, fields = name.replace("-", "_"), list(members[0])
        connection.execute(f"CREATE TABLE {table} ({', '.join(fields)})")
        marks = ", ".join("?" * len(fields))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [list(row.values()) for row in members])
    return connection


def with_bins_spelt_out(sql, columns):
    """SQLite has no bin(): it becomes a CASE over the edges."""
    for name, column in columns.items():
        if f"bin({name})" in sql:
            edges = column["bins"]
            arms = " ".join(f"WHEN {name} >= {a} AND {name} < {b} THEN '[{a}, {b})'" for a, b in zip(edges, edges[1:]))
            sql = sql.replace(f"bin({name})", f"CASE {arms} END")
    return sql


def same(ours, theirs):
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)
    return ours == theirs  # SQLite's 0 and 1 equal False and True here


def compare(query, ours, connection, columns):
    theirs = [list(row) for row in connection.execute(with_bins_spelt_out(query["sql"], columns))]
    keys = len(query["keys"])
    theirs.sort(key=lambda row: order(row[:keys]))
    fits = len(ours) == len(theirs) and all(
        len(a) == len(b) and all(same(x, y) for x, y in zip(a, b)) for a, b in zip(ours, theirs)
    )
    if not fits:
        sys.exit(f"{query['id']}: fractions say {ours}, SQLite says {theirs}")


# --- the questions -------------------------------------------------------------------------------------------------

def query(id, collection, keys, aggregates, where=None, keep=lambda row: True, names=None):
    """A question, and its SQL text made from the same parts. `aggregates` is a list of (name, column or None)."""
    aliases = {"bin(age)": "age_band", "bin(nodes)": "nodes_band"}
    key_names = [aliases.get(key, key) for key in keys]
    value_names = names or [f"{n}_{c}" if c else "people" for n, c in aggregates]
    selected = [f"{k} AS {a}" if k != a else k for k, a in zip(keys, key_names)]
    selected += [f"{n}({c or '*'}) AS {a}" for (n, c), a in zip(aggregates, value_names)]
    sql = f"SELECT {', '.join(selected)} FROM {collection.replace('-', '_')}"
    sql += f" WHERE {where}" if where else ""
    sql += f" GROUP BY {', '.join(keys)} ORDER BY {', '.join(key_names)}" if keys else ""
    return {
        "id": id, "collection": collection, "keys": keys, "aggregates": aggregates, "keep": keep,
        "columns": [*key_names, *value_names], "sql": sql,
    }


def questions():
    b, l = "breast-cancer", "lung-cancer"
    people, mean_age = ("count", None), ("avg", "age")
    spread = [people, mean_age, ("stddev", "age")]
    usual = [people, mean_age, ("sum", "nodes")]
    middle = dict(where="age >= 50 AND age < 70", keep=lambda r: 50 <= r["age"] < 70)
    return [
        query("breast-total", b, [], usual),
        query("breast-by-grade", b, ["grade"], usual),
        query("breast-by-grade-spread", b, ["grade"], spread),
        query("breast-by-grade-hormone", b, ["grade", "hormone"], usual),
        query("breast-by-node-grade", b, ["node", "grade"], usual),
        query("breast-by-node", b, ["node"], [people, mean_age, ("avg", "relapse_free_days")]),
        query("breast-by-age-band", b, ["bin(age)"], usual),
        query("breast-by-node-age-band", b, ["node", "bin(age)"], [people]),
        query("breast-by-nodes-band-relapsed", b, ["bin(nodes)", "relapsed"], [people, ("avg", "relapse_free_days")]),
        query("breast-by-age-band-grade", b, ["bin(age)", "grade"], usual),
        query("breast-by-node-tumour-size-grade", b, ["node", "tumour_size", "grade"], usual),
        query("breast-by-tumour-size-menopause", b, ["tumour_size", "menopause"], usual),
        query("breast-50-to-69-total", b, [], usual, **middle),
        query("breast-50-to-69-by-grade", b, ["grade"], usual, **middle),
        query("breast-50-to-69-by-grade-hormone", b, ["grade", "hormone"], usual, **middle),
        query("breast-50-to-69-by-node-grade", b, ["node", "grade"], usual, **middle),
        query("breast-hormone-by-grade", b, ["grade"], usual, where="hormone = true", keep=lambda r: r["hormone"]),
        query("breast-grade-3-nodes-from-4", b, ["relapsed"], usual, where="grade = '3' AND nodes >= 4",
              keep=lambda r: r["grade"] == "3" and r["nodes"] >= 4),
        query("breast-grade-2-or-3-by-size", b, ["tumour_size"], usual, where="grade IN ('2', '3')",
              keep=lambda r: r["grade"] in ("2", "3")),
        query("lung-total", l, [], [people, mean_age]),
        query("lung-by-sex", l, ["sex"], [people, mean_age]),
        query("lung-by-sex-spread", l, ["sex"], spread),
        query("lung-by-node", l, ["node"], [people, mean_age]),
        query("lung-by-node-sex", l, ["node", "sex"], [people]),
        query("lung-by-node-sex-mean-age", l, ["node", "sex"], [people, mean_age]),
        query("lung-by-age-band", l, ["bin(age)"], [people, ("avg", "survival_days")]),
        query("lung-by-died-sex", l, ["died", "sex"], [people, ("avg", "survival_days")]),
        query("lung-by-ecog", l, ["ecog"], [people, mean_age]),
        query("lung-by-karnofsky", l, ["karnofsky"], [people]),
        query("lung-by-sex-missing-values", l, ["sex"],
              [people, ("count", "meal_kcal"), ("avg", "meal_kcal"), ("count", "weight_loss_lb"), ("sum", "weight_loss_lb")]),
        query("lung-60-to-79-by-sex", l, ["sex"], [people, mean_age], where="age >= 60 AND age < 80",
              keep=lambda r: 60 <= r["age"] < 80),
    ]


def main():
    rows, collections, min_people = load()
    connection = database(rows, collections)
    entries = []
    for q in questions():
        own, columns = rows[q["collection"]], collections[q["collection"]]["columns"]
        found = cells(q, own, columns)
        pooled = answer(q, found, lambda key, position, found=found: found[key])
        compare(q, pooled, connection, columns)
        entries.append({
            "id": q["id"], "collection": q["collection"], "sql": q["sql"], "keys": len(q["keys"]), "columns": q["columns"],
            "pooled": pooled, "released": released(q, own, columns, min_people[q["collection"]]),
        })
    document = {
        "about": "What queries over demo/data must answer. Made by tests/oracles/demo.py, which says what the words mean.",
        "tool": "Python standard library: csv, fractions, decimal (exact); pooled answers compared with sqlite3 (1e-12)",
        "formulas": {
            "avg": "sum / count over values that are there, exact fraction, nearest double",
            "stddev": "square root of sum of squared differences from the mean / (count - 1), 50 digits, nearest double",
        },
        "people": {name: len(members) for name, members in rows.items()},
        "queries": entries,
    }
    head = {k: v for k, v in document.items() if k != "queries"}
    text = json.dumps(head, indent=1)[:-2] + ',\n "queries": [\n' + ",\n".join(entry_text(e) for e in entries) + "\n ]\n}\n"
    assert json.loads(text) == document
    if sys.argv[1:] == ["--check"]:
        sys.exit(None if TARGET.read_text(encoding="utf-8") == text else f"{TARGET.name} is stale: run {Path(__file__).name}")
    TARGET.write_text(text, encoding="utf-8")


def entry_text(entry):
    """One entry with one row of an answer a line, so that a difference can be read."""
    def lines(rows):
        return "[" + ",\n     ".join(json.dumps(row) for row in rows) + "]"
    released = entry["released"]
    parts = [f'   "{k}": {json.dumps(entry[k])}' for k in ("id", "collection", "sql", "keys", "columns")]
    parts.append('   "pooled": ' + lines(entry["pooled"]))
    inner = [f'"{k}": {lines(v) if isinstance(v, list) else json.dumps(v)}' for k, v in released.items()]
    parts.append('   "released": {' + ",\n    ".join(inner) + "}")
    return "  {\n" + ",\n".join(parts) + "\n  }"


if __name__ == "__main__":
    main()
