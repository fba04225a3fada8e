"""What an answer's schema tells beside its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa


@dataclass(frozen=True)
class Told:
    """Who took part, and what is open."""

    query_id: str | None
    coverage: list[dict[str, Any]]
    attrs: dict[Hashable | None, Any]
    facts: dict[str, Any]


def told(schema: pa.Schema, rows_of: Callable[[str], list[dict[str, Any]]]) -> Told:
    """Read the metadata of a schema; what is too long for it, from the table that it names."""
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}

    def part(name: str) -> list[dict[str, Any]]:
        if table := metadata.get(f"datenraum.{name}.table"):
            return rows_of(table)
        rows: list[dict[str, Any]] = json.loads(metadata.get(f"datenraum.{name}", "[]"))
        return rows

    query_id, folder = metadata.get("datenraum.query_id"), metadata.get("datenraum.receipts")
    attrs: dict[Hashable | None, Any] = {
        "coverage": part("coverage"),
        "intervals": part("intervals"),
        "rows_open": metadata.get("datenraum.rows_open") == "true",
        "query_id": query_id,
        "receipts": str(Path(folder) / f"{query_id}.json") if folder and query_id else None,
    }
    return Told(query_id, attrs["coverage"], attrs, json.loads(metadata.get("datenraum.facts", "{}")))


def frame(table: pa.Table) -> pd.DataFrame:
    """Make a data frame. Integers that are not all known stay integers (``Int64``), so that none is rounded."""
    whole: pd.DataFrame = table.to_pandas()
    for name in table.schema.names:
        column = table.column(name)
        if pa.types.is_integer(column.type) and column.null_count:
            whole[name] = pd.array(column.to_pylist(), dtype="Int64")
    return whole


def renumbered(intervals: list[dict[str, Any]], rows: pd.Series[bool]) -> list[dict[str, Any]]:
    """Take the intervals of some rows of a table, as rows of a frame of these rows only."""
    places = {int(row): place for place, row in enumerate(rows.to_numpy().nonzero()[0])}
    return [{**one, "row": places[one["row"]]} for one in intervals if one["row"] in places]
