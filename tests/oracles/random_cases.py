#!/usr/bin/env python3
"""Makes tests/oracles/random: tables, collections and policies by chance, queries over them, and what must be answered.

    python3 tests/oracles/random_cases.py            writes tests/oracles/random
    python3 tests/oracles/random_cases.py --check    fails if a file on disk is not what would be written

Needs tests/clients/requirements.txt. For each table NN there are NN.csv, NN.collection.toml and NN.policy.toml; cases.json lists
{table, sql, columns, rows} for the node `riverside`, answered by disclosure.py. joins.json has queries that join it with NN.places.csv,
which is not about people, and NN.persons.csv, one row a person. All queries are ones that a node accepts. From
many candidates those are taken in which rarely met rules withhold something, so that every rule does so in many cases.
"""

import collections
import csv
import datetime
import io
import json
import math
import random
import sys
import tomllib
from pathlib import Path

import disclosure
from question import read_table

TARGET = Path(__file__).parent / "random"
NODE = "riverside"
TABLES, QUERIES, CANDIDATES = 25, 20, 100
JOINING_QUERIES, JOINING_CANDIDATES = 10, 60
# In so many cases each rule must withhold something, and in as many be tried and withhold nothing.
TIMES_MIN = 10
# Not rules of their own: secondary suppression for nothing but empty cells, and that values are rounded.
EMPTY, ROUNDED = "secondary, only zeros", "rounding"
AGES = [18, 40, 50, 60, 70, 120]
DAYS = [0, 1, 8, 15, 400]
WEIGHTS = [20, 50.5, 80, 250]
COSTS = [0, 500, 1000.5, 100000]
REGIONS = ["North", "Köln Süd", "O'Hara \"Hill\"", "Weiß, Höhe", "Straße des 17. Juni", "a'b''c", "West", "Östlich"]
GROUPED = ["region", "sex", "grade", "age", "weight", "emergency", "admitted_on", "discharged_at"]
FILTERED = GROUPED + ["days"]
MEASURES = ["age", "weight", "days", "cost", "points", "paid"]
QUANTILES = ["age", "weight", "days", "cost"]
KINDS, SCHOOLS = ["city", "town", "village"], ["none", "middle", "high"]
BEDS, RISKS = [0, 100, 300, 1000], [0, 20, 50, 100]


# --- policies and collections --------------------------------------------------------------------------------------

class Terms:
    """What varies from table to table."""

    def __init__(self, at, chance):
        self.k = [2, 3, 5, 2, 4, 5, 10, 3, 6, 5, 8, 3, 2][at % 13]
        self.dominance = (chance.randint(1, 3), chance.choice([0.5, 0.6, 0.75, 0.85, 0.9])) if at % 2 else None
        self.p_percent = chance.choice([5, 10, 15, 20, 30]) if at % 3 == 1 or at % 4 == 2 else None
        self.round_to = chance.choice([3, 5, 10]) if at % 4 == 3 else None
        self.protected = at % 5 in (2, 4)
        self.one_row = at % 4 == 1
        self.filtered = at % 6 != 5
        self.regions = chance.sample(REGIONS, 4 + at % 3)
        if at == TABLES - 1:
            self.k, self.filtered = 2, False
        self.rows = 3 if at == TABLES - 1 else [40, 120, 250, 180, 400, 80, 300, 20][at % 8]


def policy(at, terms):
    lines = [
        'id          = "patients"', "version     = 1", f'title       = "What is asked of table {at:02}"', 'collection  = "patients"',
        "valid_from  = 2026-01-01", "valid_until = 2027-12-31", "", "[[permission]]", 'id       = "research"',
        'assignee = { roles = ["university"] }', 'purposes = ["ehds-53-1-e"]', 'permit   = "none"', 'release  = "aggregates"',
        f"columns  = {json.dumps(['node', *dict.fromkeys(FILTERED + MEASURES)])}",
    ]
    lines += ['rows     = "consent_research"'] if terms.filtered else []
    lines += ["", "[permission.disclosure]", 'tier       = "statistical"', f"min_people = {terms.k}"]
    if terms.dominance:
        lines.append(f"dominance  = {{ top = {terms.dominance[0]}, share = {terms.dominance[1]} }}")
    lines += [f"p_percent  = {terms.p_percent}"] if terms.p_percent else []
    lines += [f"round_to   = {terms.round_to}"] if terms.round_to else []
    lines += ['zeros      = "protected"'] if terms.protected else []
    return "\n".join(lines) + "\n"


def collection(at, terms):
    columns = {
        "patient_id": {"type": "text", "role": "identifier", "references": "persons"},
        "region": {"type": "text", "references": "places", "role": ["group", "filter"], "values": [*terms.regions, "Nobody"]},
        "sex": {"type": "text", "role": ["group", "filter"], "values": ["female", "male", "diverse"]},
        "grade": {"type": "integer", "role": ["group", "filter"], "values": [1, 2, 3, 4]},
        "age": {"type": "integer", "unit": "a", "role": ["group", "filter", "measure"], "bins": AGES, "bounds": [18, 119]},
        "weight": {"type": "number", "unit": "kg", "role": ["group", "filter", "measure"], "bins": WEIGHTS, "bounds": [20, 249]},
        "emergency": {"type": "boolean", "role": ["group", "filter"]},
        "admitted_on": {"type": "date", "role": ["group", "filter"], "bins": "month"},
        "discharged_at": {"type": "timestamp", "role": ["group", "filter"], "bins": "quarter"},
        "days": {"type": "integer", "unit": "d", "role": ["filter", "measure"], "bins": DAYS, "bounds": [0, 365]},
        "cost": {"type": "number", "unit": "[EUR]", "role": "measure", "bins": COSTS, "bounds": [0, 99999]},
        "points": {"type": "integer", "role": "measure", "bounds": [-50, 50]},
        "paid": {"type": "number", "unit": "[EUR]", "role": "measure", "bounds": [-1000, 1000]},
    }
    lines = ['id           = "patients"', f'title        = "Table {at:02}"', "personal     = true", 'privacy_unit = "patient_id"']
    lines += ["rows_per_person_max = 1"] if terms.one_row else []
    for name, column in columns.items():
        lines += ["", f"[columns.{name}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in column.items()]
    return "\n".join([*lines, "", "[filters.consent_research]", 'sql = "consent"']) + "\n"


PLACES = '''id       = "places"
title    = "Places; no row is about a person"
personal = false
key      = "place"

[columns.place]
type = "text"

[columns.kind]
type = "text"
role = ["group", "filter"]
values = ["city", "town", "village"]

[columns.beds]
type = "integer"
role = ["group", "filter", "measure"]
bins = [0, 100, 300, 1000]
bounds = [0, 999]
'''

PERSONS = '''id                  = "persons"
title               = "A register of people, one row each"
personal            = true
privacy_unit        = "pid"
rows_per_person_max = 1

[columns.pid]
type = "text"
role = "identifier"

[columns.school]
type = "text"
role = ["group", "filter"]
values = ["none", "middle", "high"]

[columns.risk]
type = "integer"
role = ["group", "filter", "measure"]
bins = [0, 20, 50, 100]
bounds = [0, 99]

[filters.agreed]
sql = "agreed"
'''


def other_policy(name, columns, disclosure):
    return "\n".join([
        f'id          = "{name}"', "version     = 1", f'title       = "What is asked of {name}"', f'collection  = "{name}"',
        "valid_from  = 2026-01-01", "valid_until = 2027-12-31", "", "[[permission]]", 'id       = "research"',
        'assignee = { roles = ["university"] }', 'purposes = ["ehds-53-1-e"]', 'permit   = "none"', 'release  = "aggregates"',
        f"columns  = {json.dumps(columns)}", *disclosure]) + "\n"


def joined_to(at, terms, people, chance):
    """Places of which one is missing, and people of whom few or many are: with their policies."""
    places = [{"place": region, "kind": chance.choice([*KINDS, None]), "beds": chance.choice([10, 90, 150, 400, 900, None])}
              for region in [*terms.regions[1 if at % 3 else 0:], "Nobody"]]
    share = chance.choice([0.03, 0.1, 0.3])
    persons = [{"pid": pid, "school": chance.choices([*SCHOOLS, None], [30, 40, 28, 2])[0],
                "risk": chance.choice([None, *range(0, 100, 7)]), "agreed": chance.random() > share / 2}
               for pid in people if chance.random() > share]
    persons += [{"pid": f"X-{number}", "school": "high", "risk": 5, "agreed": True} for number in range(3)]
    chance.shuffle(persons)
    rules = ['rows     = "agreed"', "", "[permission.disclosure]", 'tier       = "statistical"', f"min_people = {max(2, terms.k + chance.choice([-1, 0, 1]))}"]
    rules += [f"p_percent  = {chance.choice([5, 15, 25])}"] if chance.random() < 0.4 else []
    rules += [f"round_to   = {terms.round_to or chance.choice([5, 10])}"] if chance.random() < 0.2 else []
    if terms.dominance and chance.random() < 0.5:
        rules.append(f"dominance  = {{ top = {terms.dominance[0]}, share = {terms.dominance[1]} }}")
    rules += ['zeros      = "protected"'] if chance.random() < 0.2 else []
    return {
        "places.csv": as_csv(places), "persons.csv": as_csv(persons),
        "places.policy.toml": other_policy("places", ["place", "kind", "beds"], ["", "[permission.disclosure]", 'tier = "open"']),
        "persons.policy.toml": other_policy("persons", ["school", "risk"], rules),
    }


# --- data ----------------------------------------------------------------------------------------------------------

class Table:
    """People with stays. Regions have one, k − 1, k and k + 1 people, and the first ones the rest."""

    def __init__(self, at, terms, chance):
        self.at, self.terms, self.chance = at, terms, chance
        self.line = at % 4 == 2

    def rows(self):
        homes = self.homes()
        made, person = [], 0
        while len(made) < self.terms.rows:
            person += 1
            who = self.person(person, next(homes))
            for _ in range(1 if self.terms.one_row else self.chance.choices([1, 2, 3, 4, 5], [60, 20, 10, 6, 4])[0]):
                made.append(self.stay(who))
        made = made[:self.terms.rows]
        self.chance.shuffle(made)
        return made

    def homes(self):
        k, small = self.terms.k, self.terms.regions[2:]
        for region, people in zip(small, [k, k - 1, k + 1, 1]):
            yield from [region] * people
        yield from [None] * self.chance.choice([0, 1, k])
        while True:
            yield self.chance.choices(self.terms.regions[:2], [2, 1])[0]

    def person(self, number, region):
        return {
            "patient_id": f"P-{number:03}", "region": region, "sex": self.chance.choices(["female", "male", None], [55, 42, 3])[0],
            "age": self.chance.choice([18, 30, 39, 40, 49, 50, 55, 59, 60, 69, 70, 88, 119, None]),
        }

    def stay(self, who):
        chance = self.chance
        home = self.terms.regions.index(who["region"]) if who["region"] else None
        day = datetime.date(2025, 1, 1) + datetime.timedelta(days=int(chance.triangular(0, 400, 30)))
        leave = datetime.datetime.combine(day, datetime.time(chance.randrange(24), chance.randrange(60)))
        points = self.sometimes(12, 0 if home == 1 and self.at % 3 == 0 else chance.randint(-50, 50))
        cents = 100 if self.at % 5 == 3 else 4
        cost = min(99999, int(chance.paretovariate(0.8) * 80 * cents) / cents)
        grade = chance.choices([1, 2, 3, 4], [50, 30, 18, 2])[0]
        cost = 0.0 if home == 0 and self.at % 5 == 1 else cost
        cost = 250.25 if self.at % 3 == 1 and (home == 1 or grade == 1) else cost
        points = -7 if self.at % 3 == 2 and grade <= 2 else points
        return {
            **who,
            "grade": self.sometimes(4, grade),
            "weight": self.sometimes(6, chance.randrange(20 * 4, 150 * 4) / 4),
            "emergency": self.sometimes(4, chance.random() < 0.3),
            "admitted_on": self.sometimes(3, day),
            "discharged_at": self.sometimes(3, leave + datetime.timedelta(days=chance.randrange(20))),
            "days": self.sometimes(5, chance.choice([0, 0, 1, 2, 3, 5, 7, 8, 9, 14, 15, 21, 40])),
            "cost": self.sometimes(8, cost),
            "points": points,
            "paid": None if points is None else points * 2.5 if self.line else self.sometimes(6, chance.randrange(-400, 800) / 4),
            "consent": chance.choices([True, False, None], [90, 7, 3])[0],
        }

    def sometimes(self, percent, value):
        """The value, or in so many of a hundred cases NULL."""
        return None if self.chance.random() < percent / 100 else value


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


# --- queries -------------------------------------------------------------------------------------------------------

def quoted(value):
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


class Asker:
    """Queries that a node accepts."""

    def __init__(self, spec, chance):
        self.spec, self.chance = spec, chance
        self.grouped, self.filtered, self.measures, self.quantiles = GROUPED, FILTERED, MEASURES, QUANTILES

    def query(self):
        chance = self.chance
        keys = [self.key(column) for column in self.some(self.grouped, [20, 42, 28, 10])]
        if keys and chance.random() < 0.12:
            keys += self.second_key(keys[0][0])
        conditions = [self.condition(column) for column in self.some(self.filtered, [40, 35, 18, 7])]
        conditions += [self.condition(chance.choice(self.filtered))] if conditions and chance.random() < 0.1 else []
        aggregates = [self.aggregate() for _ in range(chance.choices([1, 2, 3, 4, 5], [20, 30, 25, 15, 10])[0])]
        if chance.random() < 0.08:
            conditions.append(chance.choice(["node = 'riverside'", "node IN ('elsewhere', 'riverside')"]))
        if chance.random() < 0.2 and not any("patient_id" in one for one in aggregates):
            return self.nested(keys, conditions, aggregates)
        return self.written(keys, conditions, aggregates, "patients")

    def some(self, columns, weights):
        count = self.chance.choices(range(len(weights)), weights)[0]
        # Columns with few values oftener, or no cell has enough people.
        order = sorted(columns, key=lambda name: self.chance.random() * (1.6 if name in ("admitted_on", "region") else 1))
        return order[:count]

    def written(self, keys, conditions, aggregates, source):
        """Groups by expression, by number or by name."""
        style = self.chance.choice(["expression", "expression", "number", "name"])
        outputs = [f"{text} AS {'k%d' % at if style == 'name' else 'key%d' % at}" for at, (_, text) in enumerate(keys, 1)]
        names = {}
        for text in aggregates:
            base = self.name(text)
            names[base] = names.get(base, 0) + 1
            outputs.append(f"{text} AS {base}{names[base] if names[base] > 1 else ''}")
        sql = f"SELECT {', '.join(outputs)} FROM {source}"
        sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        by = {"expression": [text for _, text in keys], "number": [str(at) for at in range(1, len(keys) + 1)],
              "name": [f"k{at}" for at in range(1, len(keys) + 1)]}[style]
        return sql + (f" GROUP BY {', '.join(by)}" if keys else "")

    @staticmethod
    def name(text):
        names = {"count(*": "n", "count(1": "n", "count(distinct": "people", "count(": "known", "sum": "total", "avg": "mean", "var": "spread",
                 "std": "deviation", "cov": "together", "cor": "r", "med": "middle", "app": "part"}
        return next(name for start, name in names.items() if text.lower().startswith(start))

    def nested(self, keys, conditions, aggregates):
        """The same over an inner query that chooses, renames and filters."""
        new = {name: f"{name[0]}_{at}" for at, name in enumerate(dict.fromkeys(FILTERED + MEASURES))}
        chance = self.chance
        used = [name for name in new if any(name in text for text in [*conditions, *aggregates, *(text for _, text in keys)])]
        used = used or ["sex"]
        renamed = {name: new[name] for name in used if chance.random() < 0.6}
        columns = ", ".join(f"{name} AS {renamed[name]}" if name in renamed else name for name in used)
        inside = [text for text in conditions if chance.random() < 0.6 and not text.startswith("node")]
        outside = [self.rename(text, renamed) for text in conditions if text not in inside and not text.startswith("node")]
        inner = f"SELECT {columns} FROM patients" + (f" WHERE {' AND '.join(inside)}" if inside else "")
        keys = [(column, self.rename(text, renamed)) for column, text in keys]
        aggregates = [self.rename(text, renamed) for text in aggregates]
        if chance.random() < 0.5:
            return f"WITH chosen AS ({inner}) {self.written(keys, outside, aggregates, 'chosen')}"
        return self.written(keys, outside, aggregates, f"({inner}) AS chosen")

    @staticmethod
    def rename(text, renamed):
        for old, new in renamed.items():
            text = text.replace(old, new)
        return text

    # --- keys ---

    def key(self, column):
        spec = self.spec[column]
        if column in ("admitted_on", "discharged_at"):
            units = ["month", "quarter", "quarter", "year"] if column == "admitted_on" else ["quarter", "year"]
            return column, f"date_trunc('{self.chance.choice(units)}', {column})"
        if self.chance.random() < 0.25:
            return column, self.case(column)
        return column, f"bin({column})" if "bins" in spec else column

    def second_key(self, column):
        """Another key about the same column."""
        if column in ("admitted_on", "discharged_at"):
            return [(column, f"date_trunc('year', {column})")]
        return [(column, self.case(column))]

    def case(self, column):
        chance = self.chance
        other = chance.choice([" ELSE 'other'", " ELSE 'other'", " ELSE 'other'", ""])
        if "bins" in self.spec[column]:
            edges = sorted(chance.sample(self.spec[column]["bins"][1:-1], 2))
            return f"CASE WHEN {column} < {edges[0]} THEN 'low' WHEN {column} < {edges[1]} THEN 'middle'{other} END"
        if column == "emergency":
            return chance.choice([f"CASE WHEN emergency THEN 'yes'{other} END",
                                  "CASE WHEN emergency THEN 1 WHEN NOT emergency THEN 0 ELSE -1 END"])
        values = chance.sample(self.spec[column]["values"], 2)
        if column == "grade":
            return chance.choice(["CASE WHEN grade <= 2 THEN 0 ELSE 1 END", "CASE WHEN grade IN (2, 3) THEN 10 WHEN grade = 1 THEN 5 END"])
        return chance.choice([
            f"CASE WHEN {column} = {quoted(values[0])} THEN 'one'{other} END",
            f"CASE {column} WHEN {quoted(values[0])} THEN 'one' WHEN {quoted(values[1])} THEN 'two'{other} END",
            f"CASE WHEN {column} IN ({', '.join(map(quoted, values))}) THEN 'these' WHEN {column} IS NULL THEN 'unknown'{other} END",
        ])

    # --- conditions ---

    def condition(self, column):
        chance = self.chance
        one = self.simple(column)
        shape = chance.random()
        if shape < 0.08:
            return f"({one} OR {column} IS NULL)"
        if shape < 0.16:
            return f"({one} OR {self.simple(column)})"
        if shape < 0.22:
            return f"NOT ({one})"
        return one

    def simple(self, column):
        chance = self.chance
        if chance.random() < 0.12:
            return f"{column} {chance.choice(['IS NULL', 'IS NOT NULL', 'IS NOT NULL'])}"
        if column == "emergency":
            return chance.choice(["emergency", "NOT emergency", "emergency = TRUE", "emergency <> true"])
        if column in ("admitted_on", "discharged_at"):
            return self.calendar(column)
        if "bins" in self.spec[column]:
            return self.edges(column)
        values = self.spec[column]["values"]
        if column == "grade" and chance.random() < 0.5:
            low, high = sorted(chance.sample(values, 2))
            return chance.choice([f"grade >= {high}", f"grade <= {high}", f"grade < {high}", f"grade > {low}", f"grade BETWEEN {low} AND {high}"])
        few = ", ".join(map(quoted, chance.sample(values, 2)))
        one = quoted(chance.choice(values[:3]))
        return chance.choice([f"{column} = {one}", f"{column} <> {one}", f"{column} <> {one}", f"{column} IN ({few})", f"{column} NOT IN ({few})"])

    def edges(self, column):
        edges = self.spec[column]["bins"]
        low, high = sorted(self.chance.sample(edges[:-1], 2))
        shapes = [f"{column} >= {low}", f"{column} < {high}", f"{low} <= {column} AND {high} > {column}", f"NOT {column} >= {high}",
                  f"{column} >= {high}"]
        if self.spec[column]["type"] == "integer":
            shapes += [f"{column} <= {high - 1}", f"{column} BETWEEN {low} AND {high - 1}", f"{column} NOT BETWEEN {low} AND {high - 1}"]
        # AND inside OR or NOT stays about one column.
        return f"({one})" if " AND " in (one := self.chance.choice(shapes)) and "BETWEEN" not in one else one

    def calendar(self, column):
        months = [1, 2, 3, 4, 5, 7, 10] if column == "admitted_on" else [1, 4, 7, 10]
        start = datetime.date(2025, self.chance.choice(months), 1)
        day = start.isoformat()
        if column == "discharged_at":
            return self.chance.choice([f"{column} >= '{day}'", f"{column} < TIMESTAMP '{day} 00:00:00'", f"{column} >= DATE '{day}'"])
        last = (start + datetime.timedelta(days=31)).replace(day=1) - datetime.timedelta(days=1)
        return self.chance.choice([f"{column} >= '{day}'", f"{column} < DATE '{day}'", f"{column} <= '{last}'",
                                   f"{column} BETWEEN '2025-01-01' AND '{last}'"])

    # --- aggregates ---

    def aggregate(self):
        one = self.function()
        if self.chance.random() < 0.3:
            conditions = [self.condition(column) for column in self.chance.sample(self.filtered, self.chance.choice([1, 1, 1, 2]))]
            one += f" FILTER (WHERE {' AND '.join(conditions)})"
        return one

    def function(self):
        chance = self.chance
        column = chance.choice(self.measures)
        family = chance.choices(["rows", "count", "people", "sum", "spread", "pair", "quantile"], [18, 12, 10, 26, 14, 12, 12])[0]
        if family == "rows":
            return chance.choice(["count(*)", "count(*)", "count(1)"])
        if family == "count":
            return f"count({chance.choice([*self.grouped, *self.measures])})"
        if family == "people":
            return "count(DISTINCT patient_id)"
        if family == "sum":
            return f"{chance.choice(['sum', 'sum', 'avg'])}({column})"
        if family == "spread":
            names = ["var_pop", "var_samp", "var", "stddev_pop", "stddev_samp", "stddev"]
            return f"{chance.choice(names)}({column})"
        if family == "pair":
            pair = chance.choice([("points", "paid"), tuple(chance.sample(self.measures, 2))])
            return f"{chance.choice(['covar_pop', 'covar_samp', 'covar', 'corr', 'corr'])}({pair[0]}, {pair[1]})"
        column = chance.choice(self.quantiles)
        return chance.choice([f"median({column})", f"approx_percentile_cont({column}, {chance.choice([0.1, 0.25, 0.4, 0.75, 0.9])})"])


class JoiningAsker(Asker):
    """Queries that join places, persons or both."""

    ON = {"places": "patients.region = places.place", "persons": "patients.patient_id = persons.pid"}

    def query(self):
        chance = self.chance
        joined = chance.choice([["places"], ["persons"], ["persons"], ["places", "persons"]])
        more = [name for other in joined for name in ({"places": ["kind", "beds"], "persons": ["school", "risk"]}[other])]
        measures = [name for name in more if name in ("beds", "risk")]
        # What is joined comes oftener than the rest, or there would be no need to join.
        self.grouped, self.filtered = [*GROUPED, *more, *more], [*FILTERED, *more, *more]
        self.measures, self.quantiles = [*MEASURES, *measures, *measures], [*QUANTILES, *measures]
        self.source = self.joins(joined)
        return super().query().replace("node = 'riverside'", "patients.node = 'riverside'").replace("node IN (", "patients.node IN (")

    def joins(self, joined):
        chance = self.chance
        kinds = [chance.choice(["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN"]) for _ in joined]
        if "LEFT" not in kinds[0] and chance.random() < 0.3:
            first = f"{joined[0]} {kinds[0]} patients ON {self.ON[joined[0]]}"
        else:
            first = f"patients {kinds[0]} {joined[0]} ON {self.ON[joined[0]]}"
        return " ".join([first, *(f"{kind} {other} ON {self.ON[other]}" for kind, other in zip(kinds[1:], joined[1:]))])

    def some(self, columns, weights):
        return list(dict.fromkeys(super().some(columns, weights)))

    def written(self, keys, conditions, aggregates, source):
        return super().written(keys, conditions, aggregates, self.source)

    def nested(self, keys, conditions, aggregates):
        return self.written(keys, conditions, aggregates, self.source)


# --- choice --------------------------------------------------------------------------------------------------------

class Tally:
    """In how many cases each rule withheld something, and in how many it was tried and withheld nothing."""

    def __init__(self):
        self.fired, self.held = collections.Counter(), collections.Counter()

    @staticmethod
    def of(found):
        """A rule counts for a cell only where no other rule withholds it too."""
        alone = [cell.withheld[0] for cell in found.cells if len(cell.withheld) == 1]
        values = [rule for one in found.values.values() for rule in one.values() if rule]
        anywhere = {rule for cell in found.cells for rule in cell.withheld} | set(values)
        fired, held = {*alone, *values}, found.tried - anywhere
        cells = {rule for cell in found.cells for rule in cell.withheld}
        if found.terms.protected and found.keys and cells <= {"secondary"}:
            (fired if cells else held).add(EMPTY)
        if any(not cell.withheld for cell in found.cells):
            (fired if found.terms.round_to else held).add(ROUNDED)
        return fired, held

    def worth(self, found):
        """More for what is still rare; hardly anything for an answer without rows."""
        fired, _ = self.of(found)
        released = sum(not cell.withheld for cell in found.cells)
        return math.fsum(1 / (1 + self.fired[rule]) for rule in fired) + (0.3 if released > 1 else 0.15 if released else 0)

    def add(self, found):
        fired, held = self.of(found)
        self.fired.update(fired)
        self.held.update(held)

    def report(self, rules):
        for rule in rules:
            print(f"{rule:24} holds in {self.fired[rule]:3} cases, and in {self.held[rule]:3} not")
            assert min(self.fired[rule], self.held[rule]) >= TIMES_MIN, rule


def make():
    """All files by name."""
    files, cases, tally = {"places.collection.toml": PLACES, "persons.collection.toml": PERSONS}, [], Tally()
    joining, joining_tally = [], Tally()
    for at in range(TABLES):
        chance = random.Random(f"disclosure {at}")
        terms = Terms(at, chance)
        written = {"csv": as_csv(Table(at, terms, chance).rows()), "collection.toml": collection(at, terms), "policy.toml": policy(at, terms)}
        files.update({f"{at:02}.{ending}": text for ending, text in written.items()})
        cases += chosen(f"{at:02}", written, Asker, QUERIES, CANDIDATES, chance, tally)
        chance = random.Random(f"joins {at}")
        people = sorted({row["patient_id"] for row in csv.DictReader(io.StringIO(written["csv"]))})
        others = joined_to(at, terms, people, chance)
        files.update({f"{at:02}.{name}": text for name, text in others.items()})
        joining += chosen(f"{at:02}", written | others, JoiningAsker, JOINING_QUERIES, JOINING_CANDIDATES, chance, joining_tally)
    tally.report([*disclosure.CELL_RULES, EMPTY, *disclosure.REASONS, ROUNDED])
    joining_tally.report(["few people", "complement", "class", "secondary", *disclosure.JOIN_RULES, "complement of a count", "secondary value"])
    for name, all_of in {"cases.json": cases, "joins.json": joining}.items():
        files[name] = "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in all_of) + "\n]\n"
    return files


def others_of(written):
    """What may be joined, by name: table, collection and permission."""
    found = {}
    for name, text in {"places": PLACES, "persons": PERSONS}.items():
        if f"{name}.csv" in written:
            described = tomllib.loads(text)
            permission = tomllib.loads(written[f"{name}.policy.toml"])["permission"][0]
            found[name] = (read_table(written[f"{name}.csv"], described), described, permission)
    return found


def chosen(name, written, asker, count, candidates, chance, tally):
    """The queries over one table that are kept, with their answers."""
    described = tomllib.loads(written["collection.toml"])
    permission = tomllib.loads(written["policy.toml"])["permission"][0]
    table, others = read_table(written["csv"], described), others_of(written)
    spec = dict(described["columns"])
    for _, other, _ in others.values():
        spec |= other["columns"]
    asker = asker(spec, chance)
    queries = list(dict.fromkeys(asker.query() for _ in range(candidates)))
    found = {sql: disclosure.examine(sql, table, described, permission, NODE, others) for sql in queries}
    cases = []
    for _ in range(count):
        sql = max(found, key=lambda one: tally.worth(found[one]))
        tally.add(found[sql])
        cases.append({"table": name, "sql": sql, **found.pop(sql).answer()})
    return cases


def main():
    files = make()
    print(f"{sum(len(text.encode()) for text in files.values())} bytes")
    stale = [name for name, text in files.items() if not same(TARGET / name, text)]
    stale += [path.name for path in TARGET.glob("*") if path.name not in files]
    if "--check" in sys.argv:
        return f"{', '.join(sorted(stale))}: stale, run python3 tests/oracles/random_cases.py" if stale else None
    TARGET.mkdir(exist_ok=True)
    for name in stale:
        (TARGET / name).unlink(missing_ok=True)
    for name, text in files.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    return None


def same(path, text):
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
