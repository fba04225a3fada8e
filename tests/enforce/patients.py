#!/usr/bin/env python3
"""Makes the data of the enforcement cases, and what each case must answer, without any part of Datenraum.

    python3 tests/enforce/patients.py            writes patients.csv, beds.csv and expected.json
    python3 tests/enforce/patients.py --check    fails if a file on disk is not what would be written

Needs Python 3.11 or newer and nothing else. A case in *.toml that is answered carries an `oracle`: SQL that SQLite runs over
the rows that the asker may see. Oracles name
  research   the rows with consent        (as = "university", the default)
  everybody  all rows                     (as = "hospital")
  beds       the open table
and tell how many people stand behind each answer:
  _people            the distinct people of the row; below min_people the row is left out
  _people_NAME       those who contribute to the column NAME; below min_people it is null
Neither is part of the answer. Rows come in the order of their groups, nulls first.
"""

import csv
import datetime
import io
import json
import random
import sqlite3
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIN_PEOPLE = {"university": 5, "hospital": 8, "registry": 5}
CANARY_COST = "66613.75"
COLUMNS = [
    "patient_id", "age", "sex", "district", "diagnosis", "stage", "emergency", "admitted_on", "discharged_at", "los_days",
    "cost", "note", "consent",
]


# --- data ----------------------------------------------------------------------------------------------------------

class Hospital:
    """Every row of the fixture. A person who refused (or was never asked) has values that are easy to recognise."""

    def __init__(self):
        self.chance = random.Random(20260101)
        self.rows = []
        self.people = 0

    def stay(self, person, **fixed):
        chance = self.chance
        day = datetime.date(2025, 1, 1) + datetime.timedelta(days=chance.randrange(540))
        days = chance.choice([0, 0, 1, 2, 3, 5, 7, 8, 9, 14, 15, 21, 40])
        leave = datetime.datetime.combine(day, datetime.time(chance.randrange(24), chance.randrange(60)))
        row = {
            "patient_id": person,
            "age": chance.choice([18, 25, 39, 40, 44, 45, 49, 50, 55, 59, 60, 69, 70, 88]),
            "sex": chance.choices(["female", "male", "diverse", None], [48, 46, 3, 3])[0],
            "diagnosis": chance.choices(["C50", "C61", "E11", "I10", None], [25, 25, 25, 20, 5])[0],
            "stage": chance.choices([1, 2, 3, 4, None], [30, 30, 20, 15, 5])[0],
            "emergency": chance.choices([True, False, None], [30, 60, 10])[0],
            "admitted_on": day,
            "discharged_at": leave + datetime.timedelta(days=days),
            "los_days": None if chance.random() < 0.05 else days,
            "cost": None if chance.random() < 0.1 else chance.randrange(0, 20_000) / 4,
            "note": "free text about one person",
            "consent": True,
        }
        row.update(fixed)
        if row["consent"] is not True:
            row.update(age=113, cost=CANARY_COST, note="CANARY-NOTE")
        self.rows.append(row)

    def person(self, consent=True):
        self.people += 1
        return f"PID-{self.people:04}" if consent is True else f"PID-CANARY-{self.people:04}"

    def district(self, name, people, refused=0, **fixed):
        for _ in range(people):
            person = self.person()
            for _ in range(self.chance.choices([1, 2, 3], [75, 20, 5])[0]):
                self.stay(person, district=name, **fixed)
        for number in range(refused):
            consent = False if number % 3 else None
            self.stay(self.person(consent), district=name, **{**fixed, "consent": consent})


def hospital():
    made = Hospital()
    for name in ["North", "South", "East", "West"]:
        made.district(name, 55, refused=9)
    made.district(None, 9, refused=2)
    made.district("O'Hara \"Hill\"", 7)
    # One below the threshold, though with those who refused it would be above; and exactly at it.
    made.district("Four", 4, refused=6, sex="female", diagnosis="C50", stage=1, emergency=True)
    made.district("Five", 5, refused=2, sex="female", diagnosis="C50", stage=1, emergency=True)
    made.district("Refused", 0, refused=8, diagnosis="B20")
    # Enough people, but the cost of only four of them and the stay of five of them are known.
    for number in range(12):
        made.stay(made.person(), district="Sparse", cost=100.25 if number < 4 else None, los_days=3 if number < 5 else None)
    # One person with many stays is one person.
    sole = made.person()
    for _ in range(30):
        made.stay(sole, district="Sole", sex="female", diagnosis="C50", stage=1, emergency=True)
    # One person who agreed to one stay being used and not to the other.
    half = made.person()
    made.stay(half, district="North")
    made.stay(half, district="North", consent=False)
    made.chance.shuffle(made.rows)
    return made.rows


def beds():
    wards = [("normal", 80), ("intensive", 12), ("Überwachung, „IMC“", 7), (None, 3)]
    rows = []
    for month in [1, 2, 12]:
        for number, (ward, occupied) in enumerate(wards):
            rows.append({
                "ward": ward, "counted_on": datetime.date(2025, month, 28), "occupied": occupied + month if ward else None,
                "rate": [0.5, 0.25, None, 1.0][number], "closed": [False, True, None, False][number],
                "counter": 3_000_000_000_000_000_000 if ward == "intensive" else 9_007_199_254_740_993 + month,
            })
    rows.append({"ward": "wraps", "counted_on": None, "occupied": 0, "rate": -0.0, "closed": True,
                 "counter": 9_223_372_036_854_775_807})
    rows.append({"ward": "wraps", "counted_on": None, "occupied": 0, "rate": 0.0, "closed": True, "counter": 1})
    return rows


def cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else str(value)


def as_csv(rows, columns):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


# --- answers -------------------------------------------------------------------------------------------------------

def label(edges):
    pairs = list(zip(edges, edges[1:]))
    return lambda x: None if x is None else next((f"[{a}, {b})" for a, b in pairs if a <= x < b), None)


def month(day):
    return day and day[:7] + "-01"


def quarter(day):
    return day and f"{day[:4]}-{(int(day[5:7]) - 1) // 3 * 3 + 1:02}-01"


def start_of_week(day):
    if day is None:
        return None
    date = datetime.date.fromisoformat(day)
    return (date - datetime.timedelta(days=date.weekday())).isoformat()


def number(column, text):
    if text == "" or column not in NUMBERS:
        return text or None
    return NUMBERS[column](text)


NUMBERS = {"age": int, "stage": int, "los_days": int, "occupied": int, "counter": int, "cost": float, "rate": float}


def database(tables):
    base = sqlite3.connect(":memory:")
    for name, edges in {"age_bin": [18, 40, 50, 60, 70, 120], "cost_bin": [0, 500, 1000.5, 100000]}.items():
        base.create_function(name, 1, label(edges))
    for name, function in {"month": month, "quarter": quarter, "week": start_of_week}.items():
        base.create_function(name, 1, function)
    for table, text in tables.items():
        rows = list(csv.DictReader(io.StringIO(text)))
        columns = list(rows[0])
        base.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        values = [[number(column, row[column]) for column in columns] for row in rows]
        base.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", values)
    base.execute("CREATE VIEW research AS SELECT * FROM everybody WHERE consent = 'true'")
    return base


def answer(base, case):
    cursor = base.execute(case["oracle"])
    names = [column[0] for column in cursor.description]
    shown = [at for at, name in enumerate(names) if not name.startswith("_people")]
    least = MIN_PEOPLE[case.get("as", "university")]
    rows, blanked = [], 0
    for row in cursor:
        people = dict(zip(names, row))
        if "_people" in people and people["_people"] < least:
            continue
        blank = [people.get(f"_people_{names[at]}", least) < least for at in shown]
        blanked += sum(blank)
        rows.append([None if gone else row[at] for gone, at in zip(blank, shown)])
    return {"rows": rows, "blanked_values": blanked}


def answers(base):
    made = {}
    for path in sorted(HERE.glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            if "oracle" in case:
                if case["name"] in made:
                    sys.exit(f"two cases are called {case['name']}")
                try:
                    made[case["name"]] = answer(base, case)
                except sqlite3.Error as error:
                    sys.exit(f"{path.name}: {case['name']}: {error}")
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in made.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    files = {"patients.csv": as_csv(hospital(), COLUMNS)}
    rows = beds()
    files["beds.csv"] = as_csv(rows, list(rows[0]))
    base = database({"everybody": files["patients.csv"], "beds": files["beds.csv"]})
    files["expected.json"] = answers(base)
    for name, text in files.items():
        path = HERE / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is stale: run python3 tests/enforce/patients.py")


if __name__ == "__main__":
    main()
