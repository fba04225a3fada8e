#!/usr/bin/env python3
"""Makes tests/oracles/demo.json: what queries over demo/data must answer, computed without any part of Datenraum.

    python3 tests/oracles/demo.py            writes tests/oracles/demo.json
    python3 tests/oracles/demo.py --check    fails if the file on disk is not what would be written

Needs tests/clients/requirements.txt. Each entry has the SQL of a data user, and two answers:
  pooled    as if all patients were in one table: computed twice, with exact fractions over all patients, and by SQLite over
            the same rows; a difference beyond the last digits of a double ends the program
  released  as a data user gets it: each node is asked for counts, sums and var_pop and answers by the rules of
            docs/disclosure.md (disclosure.py); what it releases is merged. A cell that no node releases is not in the
            answer; a value of which no node releases all parts is null.
cells_left_out has by node how many cells of the answer it did not release, values_left_out how many values in those that it did,
by the reason. A bin is written as its label, half-open: "[50, 60)". Rows are sorted by their keys, labels as text, missing keys
last.

A node answers with an older value when few people tell two values apart (docs/disclosure.md, section 4), and when exactly, depends
on its secret key. So questions with values that are close are asked of different data spaces: `space` is its number.
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

import disclosure
from question import read_table

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(__file__).with_suffix(".json")
getcontext().prec = 50


# --- reading -------------------------------------------------------------------------------------------------------

def typed(kind, text):
    if text == "":
        return None
    return {"text": str, "integer": int, "boolean": lambda t: {"true": True, "false": False}[t]}[kind](text)


def load():
    """Rows of each collection with the virtual column `node`, the nodes' tables of it, the collections, and the permissions."""
    spec = tomllib.loads((ROOT / "demo/oncology.toml").read_text(encoding="utf-8"))
    folder = ROOT / "demo"
    collections = {c["id"]: c for c in (tomllib.loads((folder / p).read_text(encoding="utf-8")) for p in spec["collections"])}
    policies = [tomllib.loads((folder / p).read_text(encoding="utf-8")) for p in spec["policies"]]
    permissions = {p["collection"]: p["permission"][0] for p in policies}
    rows, tables = {name: [] for name in collections}, {name: {} for name in collections}
    for node in spec["node"]:
        for dataset in node["datasets"]:
            name = dataset["collection"]
            text = (folder / dataset["path"]).read_text(encoding="utf-8")
            tables[name][node["id"]] = read_table(text, collections[name])
            columns = collections[name]["columns"]
            for row in csv.DictReader(text.splitlines()):
                rows[name].append({"node": node["id"], **{c: typed(columns[c]["type"], field) for c, field in row.items()}})
    return rows, tables, collections, permissions


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


# --- what nodes release, merged ------------------------------------------------------------------------------------

def parts(aggregate):
    """What a node is asked for, so that the aggregate can be merged."""
    name, column = aggregate
    if name in ("avg", "stddev"):
        return [("count", column), ("sum", column)] + ([("var_pop", column)] if name == "stddev" else [])
    return [aggregate]


def node_question(query):
    """The SQL that a node is asked, and the position of each part among its aggregates."""
    asked = list(dict.fromkeys(part for aggregate in query["aggregates"] for part in parts(aggregate)))
    selected = [f"{key} AS g{at}" for at, key in enumerate(query["keys"])]
    selected += [f"{name}({column or '*'}) AS a{at}" for at, (name, column) in enumerate(asked)]
    sql = f"SELECT {', '.join(selected)} FROM {query['collection'].replace('-', '_')}"
    sql += f" WHERE {query['where']}" if query["where"] else ""
    sql += f" GROUP BY {', '.join(query['keys'])}" if query["keys"] else ""
    return sql, asked


def merged(name, of_nodes):
    """One value from its parts at each node that released all of them."""
    if not of_nodes:
        return None
    if name in ("count", "sum"):
        return sum(part for (part,) in of_nodes)
    rows, total = sum(n for n, *_ in of_nodes), sum(s for _, s, *_ in of_nodes)
    if name == "avg":
        return number(Fraction(total, rows))
    # Chan, Golub and LeVeque: squares within nodes and between them.
    mean = Fraction(total, rows)
    within = sum(n * Fraction(variance) for n, _, variance in of_nodes)
    between = sum(n * (Fraction(s, n) - mean) ** 2 for n, s, _ in of_nodes)
    return math.sqrt((within + between) / (rows - 1))


def released(query, examined, columns, min_people):
    """What is left of what each node releases, with what it left out."""
    _, asked = node_question(query)
    kinds = [columns[key]["type"] if key in columns else None for key in query["keys"]]
    answers, values_left_out, merging = {}, {}, {}
    for node, statistical in examined.items():
        answers[node] = {}
        for *line, withheld in statistical.answer()["rows"]:
            key = tuple(part == "true" if kind == "boolean" and part else part for part, kind in zip(line, kinds))
            answers[node][key] = dict(zip(asked, line[len(key):]))
            reasons = dict(part.split(": ") for part in withheld.split("; ")) if withheld else {}
            for position, aggregate in enumerate(query["aggregates"]):
                missing = [reasons[f"a{at}"] for at, part in enumerate(asked) if part in parts(aggregate) and f"a{at}" in reasons]
                if missing:
                    of_node = values_left_out.setdefault(node, {})
                    of_node[missing[0]] = of_node.get(missing[0], 0) + 1
                    continue
                slot = merging.setdefault((key, position), [])
                slot.append([answers[node][key][part] for part in parts(aggregate)])
    keys = {key for cells in answers.values() for key in cells} or ({()} if not query["keys"] else set())
    rows = [
        [*key, *(merged(name, merging.get((key, at), [])) for at, (name, _) in enumerate(query["aggregates"]))]
        for key in sorted(keys, key=order)
    ]
    at = query["keys"].index("node") if "node" in query["keys"] else None
    known = {key if at is None else key[:at] + key[at + 1:] for key in keys}
    cells_left_out = {node: max(len(known), 1) - len(cells) for node, cells in answers.items() if len(cells) < max(len(known), 1)}
    return {"min_people": min_people, "rows": rows, "cells_left_out": cells_left_out, "values_left_out": values_left_out}


def contributions(examined):
    """Of each value that a node releases: the node, the statistic, and what each person contributes."""
    for node, statistical in examined.items():
        for aggregate, reasons in statistical.values.items():
            for cell, reason in reasons.items():
                if reason is None:
                    people = {}
                    for row in disclosure.inputs(aggregate, cell.rows, statistical.spec):
                        people.setdefault(row[statistical.terms.person], []).append(tuple(row[c] for c in aggregate.columns))
                    yield (node, aggregate.function, aggregate.columns), people


def are_close(some, others, min_people):
    """Whether a node could take a value for another. Sketches differ in as many slots of 64 as people, or in fewer where people fall
    together: from two and a half times the minimum on that is rarer than one in a million."""
    for statistic, people in some:
        for other, other_people in others:
            if statistic == other and abs(len(people) - len(other_people)) < 2.5 * min_people:
                apart = {p for p in people.keys() | other_people.keys() if people.get(p) != other_people.get(p)}
                if 0 < len(apart) < 2.5 * min_people:
                    return True
    return False


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
        "id": id, "collection": collection, "keys": keys, "aggregates": aggregates, "where": where, "keep": keep,
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
    rows, tables, collections, permissions = load()
    connection = database(rows, collections)
    entries, spaces = [], []
    for q in questions():
        name = q["collection"]
        columns, permission = collections[name]["columns"], permissions[name]
        min_people = permission["disclosure"]["min_people"]
        found = cells(q, rows[name], columns)
        pooled = answer(q, found, lambda key, position, found=found: found[key])
        compare(q, pooled, connection, columns)
        sql, _ = node_question(q)
        examined = {
            node: disclosure.examine(sql, table, collections[name], permission, node) for node, table in tables[name].items()
        }
        values = list(contributions(examined))
        space = next((at for at, asked in enumerate(spaces) if not are_close(values, asked, min_people)), len(spaces))
        if space == len(spaces):
            spaces.append([])
        spaces[space] += values
        entries.append({
            "id": q["id"], "collection": name, "sql": q["sql"], "space": space, "keys": len(q["keys"]), "columns": q["columns"],
            "pooled": pooled, "released": released(q, examined, columns, min_people),
        })
    document = {
        "about": "What queries over demo/data must answer. Made by tests/oracles/demo.py, which says what the words mean.",
        "tool": "pooled: Python's fractions and decimal (exact), compared with sqlite3 (1e-12); released: tests/oracles/disclosure.py",
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
    parts = [f'   "{k}": {json.dumps(entry[k])}' for k in ("id", "collection", "sql", "space", "keys", "columns")]
    parts.append('   "pooled": ' + lines(entry["pooled"]))
    inner = [f'"{k}": {lines(v) if isinstance(v, list) else json.dumps(v)}' for k, v in released.items()]
    parts.append('   "released": {' + ",\n    ".join(inner) + "}")
    return "  {\n" + ",\n".join(parts) + "\n  }"


if __name__ == "__main__":
    main()
