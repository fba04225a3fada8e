#!/usr/bin/env python3
"""Makes the data of the enforcement cases, and what each case must answer, without any part of Datenraum.

    python3 tests/enforce/patients.py            writes patients.csv, beds.csv, districts.csv, register.csv and expected.json
    python3 tests/enforce/patients.py --check    fails if a file on disk is not what would be written

Needs tests/clients/requirements.txt. A case in *.toml that is not refused is answered, by tests/oracles/disclosure.py, in the role
that it names (`as`, or university) and under the permission of that role in space/policies.
"""

import csv
import datetime
import io
import json
import random
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracles"))

import disclosure  # noqa: E402
from question import read_table, tables_in  # noqa: E402

NODE = "riverside"
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
    on_both_sides_of_each_threshold(made)
    made.chance.shuffle(made.rows)
    return made.rows


def on_both_sides_of_each_threshold(made):
    """Districts for the rules of docs/disclosure.md, at min_people = 5: each with people of one stay and known values."""
    def people(district, count, **fixed):
        for number in range(count):
            one = {name: value(number) if callable(value) else value for name, value in fixed.items()}
            made.stay(made.person(), **{"district": district, "sex": "female", "emergency": True, **one})

    people("Quint", 5)
    # Who is left out by a condition: four men, five men, nobody.
    people("But four", 16, los_days=3)
    people("But four", 4, los_days=3, sex="male")
    people("But five", 15, los_days=3)
    people("But five", 5, los_days=9, sex="male")
    people("All women", 20, los_days=lambda n: 3 if n < 15 else 9)
    # Who was not asked: four, five.
    people("Unasked four", 15, cost=100.0)
    people("Unasked four", 4, cost=None, emergency=None)
    people("Unasked five", 15, cost=100.0)
    people("Unasked five", 5, cost=None, emergency=None)
    # Who stayed a day or more: four, five.
    people("Stays four", 12, los_days=lambda n: 3 if n < 4 else 0)
    people("Stays five", 12, los_days=lambda n: 3 if n < 5 else 0)
    # The two largest have 80 % of the costs and a quarter of a euro more; the others 10 % of the largest and a quarter less.
    people("At 80 %", 10, cost=lambda n: [50.0, 30.0][n] if n < 2 else 2.5)
    people("Over 80 %", 10, cost=lambda n: [50.25, 30.0][n] if n < 2 else 2.5)
    people("At 10 %", 7, cost=lambda n: [100.0, 50.0][n] if n < 2 else 2.0)
    people("Under 10 %", 7, cost=lambda n: [100.0, 50.0][n] if n < 2 else 2.0 if n < 6 else 1.75)
    people("Often", 9, cost=100.0)
    for _ in range(39):
        made.stay("PID-OFTEN", district="Often", sex="female", emergency=True, cost=100.0)
    # Degrees of freedom, and values that are equal or on a line, by all and by all but one.
    for district, count in {"Ten": 10, "Eleven": 11, "Twelve": 12}.items():
        people(district, count, age=lambda n: 40 + n, los_days=lambda n: n + 1, cost=lambda n: 100.25 + 7 * (n * n % 10))
    people("Same", 12, age=lambda n: 40 + n, los_days=7, cost=lambda n: 10.0 * n + 50)
    people("Same but one", 12, age=lambda n: 40 + n, los_days=lambda n: 8 if n == 5 else 7, cost=lambda n: 10.0 * n + (75 if n == 3 else 50))
    # The bins of the days: four in one, five in one, all in one, five of twenty.
    people("Bins four", 14, los_days=lambda n: 3 if n < 10 else 9)
    people("Bins five", 15, los_days=lambda n: 3 if n < 10 else 9)
    people("One bin", 15, los_days=lambda n: 1 + n % 7)


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


def districts():
    """What others refer to: one row of each, and none of some."""
    regions = {"North": "coast", "South": "hills", "East": "coast", "West": "plain", "But four": "hills", "But five": "hills",
               "All women": "plain", "Ten": "coast", "Eleven": "coast", "Twelve": "plain", "Same": None, "Sole": "plain", "Four": "plain",
               "Five": "hills", "Quint": None, "Often": "coast", "Nobody": "hills"}
    return [{"district": name, "region": region, "rural": [True, False, None][at % 3], "beds": 40 * at + 10, "mayor": f"Mayor of {name}"}
            for at, (name, region) in enumerate(regions.items())]


def register(stays):
    """One row of a person, and none of some: of four of Twelve, of five of Eleven, of all of Ten; of nine in ten elsewhere."""
    chance = random.Random(20260102)
    people = {}
    for row in sorted(stays, key=lambda row: row["patient_id"]):
        people.setdefault(row["district"], {})[row["patient_id"]] = True
    missing = {"Twelve": 4, "Eleven": 5, "Ten": 0, "All women": 4, "But five": 5, "Same": 0}
    rows = []
    for district, persons in people.items():
        for at, person in enumerate(persons):
            if at < missing.get(district, 0) or district not in missing and chance.random() < 0.1:
                continue
            rows.append({
                "pid": person, "smoker": chance.choices([True, False, None], [30, 60, 10])[0],
                "school": chance.choices(["none", "middle", "high", None], [20, 40, 35, 5])[0],
                "risk": chance.choices([None, chance.randrange(0, 80)], [10, 90])[0],
                # Those who did not agree are not in the register for who asks under `agreed`.
                "agreed": district in missing or chance.random() < 0.95,
            })
    rows += [{"pid": f"PID-ELSEWHERE-{at}", "smoker": True, "school": "high", "risk": 12, "agreed": True} for at in range(20)]
    chance.shuffle(rows)
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

def described(folder, name):
    return tomllib.loads((HERE / "space" / folder / f"{name}.toml").read_text(encoding="utf-8"))


class Space:
    """The collections with their tables, and the permissions of each role."""

    def __init__(self, tables):
        self.collections = {name: described("collections", name) for name in tables}
        self.permissions = {name: described("policies", name)["permission"] for name in tables}
        self.tables = {name: read_table(text, self.collections[name]) for name, text in tables.items()}

    def answer(self, case):
        names = [table for table in tables_in(case["sql"]) if table in self.tables]
        referred = {column.get("references") for name in names for column in self.collections[name]["columns"].values()}
        (asked,) = {name for name in names if name not in referred}
        asker = case.get("as", "university")
        others = {name: self.held(name, asker) for name in names if name != asked}
        table, collection, permission = self.held(asked, asker)
        return disclosure.answer(case["sql"], table, collection, permission, NODE, others)

    def held(self, name, asker):
        (permission,) = [one for one in self.permissions[name] if asker in one["assignee"]["roles"]]
        return self.tables[name], self.collections[name], permission


def answers(space):
    made = {}
    for path in sorted(HERE.glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            if "refused" in case:
                continue
            if case["name"] in made:
                sys.exit(f"two cases are called {case['name']}")
            made[case["name"]] = space.answer(case)
    lines = [f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}" for name, value in made.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    stays = hospital()
    files = {"patients.csv": as_csv(stays, COLUMNS)}
    for name, rows in {"beds": beds(), "districts": districts(), "register": register(stays)}.items():
        files[f"{name}.csv"] = as_csv(rows, list(rows[0]))
    files["expected.json"] = answers(Space({name.removesuffix(".csv"): text for name, text in files.items()}))
    for name, text in files.items():
        path = HERE / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is stale: run python3 tests/enforce/patients.py")


if __name__ == "__main__":
    main()
