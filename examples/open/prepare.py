#!/usr/bin/env python3
"""Makes examples/open/data/*.csv: one file for the cities (SK) and one for the counties (LK) of Weser-Ems.

    python3 examples/open/prepare.py measles_weserems_2001_2002.csv measles_weserems_districts.csv [OUT_FOLDER]

Needs Python 3.9 or newer and nothing else. Values are copied; the only thing added is the district's name.
"""

import csv
import sys
from pathlib import Path

KINDS = {"SK": "cities.csv", "LK": "counties.csv"}


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(cases, districts, out):
    names = {row["district"]: row["GEN"] for row in read(districts)}
    files = {}
    for row in read(cases):
        name = names[row["district"]]
        new = {"district": row["district"], "district_name": name}
        new |= {key: row[key] for key in ("year", "week", "cases")}
        files.setdefault(KINDS[name[:2]], []).append(new)
    out.mkdir(parents=True, exist_ok=True)
    for file_name, rows in sorted(files.items()):
        with open(out / file_name, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{file_name}: {len(rows)} rows")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    default = Path(__file__).parent / "data"
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]) if len(sys.argv) == 4 else default)
