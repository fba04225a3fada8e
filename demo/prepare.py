#!/usr/bin/env python3
"""Makes demo/data/*.csv from the published files, one file a node.

    python3 demo/prepare.py breast_2institutions.csv lung.csv [OUT_FOLDER]

Needs Python 3.9 or newer and nothing else. The same input gives the same bytes. No value is computed, rounded
or guessed: values are copied, recoded by the tables below, or left empty where the source is empty. A value that
the tables do not know ends the program, so that a changed source cannot slip through. data/README.md says what
the columns mean and where the source files are from.
"""

import csv
import sys
from pathlib import Path

BOOLEAN = {"0": "false", "1": "true"}
DIED = {"1": "false", "2": "true"}
SEX = {"1": "male", "2": "female"}
GRADE = {"1": "1", "2": "2", "3": "3"}
TUMOUR_SIZE = {"<=20": "<=20", "20-50": "20-50", ">50": ">50"}
ECOG = {"": "", "0": "0", "1": "1", "2": "2", "3": "3"}


def integer(text):
    """The text itself, after checking that it is a plain whole number."""
    if str(int(text)) != text:
        raise ValueError(f"{text!r} is not a plain whole number")
    return text


def integer_or_empty(text):
    return integer(text) if text else ""


def breast_row(prefix, row):
    return {
        "patient_id": prefix + integer(row["pid"]),
        "age": integer(row["age"]),
        "menopause": BOOLEAN[row["meno"]],
        "tumour_size": TUMOUR_SIZE[row["size_cat"]],
        "grade": GRADE[row["grade"]],
        "nodes": integer(row["nodes"]),
        "hormone": BOOLEAN[row["hormon"]],
        "relapse_free_days": integer(row["rfs_days"]),
        "relapsed": BOOLEAN[row["rfs_event"]],
    }


def lung_row(number, row):
    return {
        "patient_id": f"L{number:03}",
        "age": integer(row["age"]),
        "sex": SEX[row["sex"]],
        "ecog": ECOG[row["ph.ecog"]],
        "karnofsky": integer_or_empty(row["ph.karno"]),
        "weight_loss_lb": integer_or_empty(row["wt.loss"]),
        "meal_kcal": integer_or_empty(row["meal.cal"]),
        "survival_days": integer(row["time"]),
        "died": DIED[row["status"]],
    }


def breast_files(rows):
    prefixes = {"GBSG": ("gbsg.csv", "G"), "ROTTERDAM": ("rotterdam.csv", "R")}
    files = {}
    for row in rows:
        name, prefix = prefixes[row["institution"]]
        files.setdefault(name, []).append(breast_row(prefix, row))
    return files


def lung_files(rows):
    files = {}
    for number, row in enumerate(rows, start=1):
        # One patient has no hospital, so no hospital could hold the record. It is left out.
        if row["inst"]:
            name = f"lung-{int(row['inst']):02}.csv"
            files.setdefault(name, []).append(lung_row(number, row))
    return files


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(breast, lung, out):
    files = {**breast_files(read(breast)), **lung_files(read(lung))}
    out.mkdir(parents=True, exist_ok=True)
    for name in sorted(files):
        write(out / name, files[name])
        print(f"{name}: {len(files[name])} patients")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    default = Path(__file__).parent / "data"
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]) if len(sys.argv) == 4 else default)
