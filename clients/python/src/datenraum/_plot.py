"""What plots have in common. matplotlib is there only if it was installed with the package: ``pip install datenraum[plot]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def new_axes(height: float) -> Axes:
    """Make a figure of its own."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(6.4, height), layout="constrained")
    made: Axes = axes
    return made


def forest(lines: pd.DataFrame, columns: tuple[str, str, str], label: str, neutral: float | None, title: str, ax: Axes | None) -> Axes:
    """Draw one line a row, from the top down: its middle, its low and its high end."""
    axes = ax if ax is not None else new_axes(1.2 + 0.4 * len(lines))
    middle, low, high = (lines[column].to_numpy() for column in columns)
    places = list(range(len(lines)))
    if neutral is not None:
        axes.axvline(neutral, color="0.7", linewidth=1)
    axes.errorbar(middle, places, xerr=[middle - low, high - middle], fmt="o", capsize=3, color="black")
    axes.set_yticks(places, lines.index)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.set_title(title)
    return axes
