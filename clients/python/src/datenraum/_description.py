"""What the rows of some columns look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ._answer import Told, renumbered

_COUNT = ["n"]
_SUMMARY = ["n", "missing", "mean", "sd", "q25", "median", "q75"]


@dataclass(frozen=True)
class Description:
    """What :meth:`Connection.describe` found.

    Attributes
    ----------
    summary : pandas.DataFrame, shape (columns of numbers × groups, 7)
        Indexed by ``column``, and ``group`` if there are groups. ``n`` and ``missing`` are rows in which the column is and is not known;
        ``mean``, ``sd`` (over n − 1), ``q25``, ``median`` and ``q75`` are in the unit of the column, quartiles interpolated in its
        declared bins and NaN without bins.
    counts : pandas.DataFrame, shape (values × groups, 1)
        Indexed by ``column``, ``group`` if there are groups, and ``value`` (None: not known); ``n`` rows have it.
    coverage : list of dict
        Every node that was asked, and what became of it.
    notes : list of str
        What must be known to read the numbers.

    Notes
    -----
    A number is NaN if no node released it. ``attrs["intervals"]`` of both frames says what numbers can be into which not all nodes
    released their part: ``row`` of the frame, ``column``, ``low`` and ``high``.
    """

    summary: pd.DataFrame
    counts: pd.DataFrame
    coverage: list[dict[str, Any]]
    notes: list[str]

    @classmethod
    def _of(cls, table: pd.DataFrame, told: Told, grouped: bool) -> Description:
        by = ["column", "group"] if grouped else ["column"]

        def part(kind: str, index: list[str], numbers: list[str]) -> pd.DataFrame:
            rows = table["kind"] == kind
            frame = table.loc[rows, index + numbers].set_index(index)
            frame.attrs = told.attrs | {"intervals": renumbered(told.attrs["intervals"], rows)}
            return frame

        return cls(
            summary=part("summary", by, _SUMMARY),
            counts=part("count", [*by, "value"], _COUNT),
            coverage=told.coverage,
            notes=told.facts["notes"],
        )
