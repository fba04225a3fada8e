"""Makes up the people of three hospitals, the same ones every time, beside a copy of the files that describe the data space.

people.py FOLDER
"""

import csv
import math
import random
import shutil
import sys
from pathlib import Path

HOSPITALS = {"north": 400, "south": 350, "west": 300}
DAYS_SEEN = 1826


def person(chance: random.Random, name: str) -> dict[str, object]:
    """Make up one person. Age, sex and smoking make disease likelier; age, smoking and disease shorten life."""
    age, male, smoker = chance.randint(30, 79), chance.random() < 0.5, chance.random() < 0.3
    risk = -5.5 + 0.08 * age + 0.6 * male + 0.8 * smoker
    disease = chance.random() < 1 / (1 + math.exp(-risk))
    per_day = 0.0001 * math.exp(0.03 * (age - 50) + 0.4 * smoker + 0.7 * disease)
    days = math.ceil(chance.expovariate(per_day))
    bmi = min(59.9, max(15.0, chance.gauss(26 + 2 * disease, 4)))
    return {
        "person": name,
        "age": age,
        "sex": "male" if male else "female",
        "smoker": str(smoker).lower(),
        "bmi": f"{bmi:.1f}" if chance.random() < 0.85 else "",
        "disease": int(disease),
        "days": min(days, DAYS_SEEN),
        "died": int(days <= DAYS_SEEN),
    }


def main(folder: Path) -> None:
    """Write everything that `datenraum sandbox up` needs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in Path(__file__).parent.glob("*.toml"):
        shutil.copy(file, folder)
    chance = random.Random(20260101)
    for hospital, people in HOSPITALS.items():
        rows = [person(chance, f"{hospital}-{number}") for number in range(people)]
        with open(folder / f"{hospital}.csv", "w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
