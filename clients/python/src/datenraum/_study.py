"""What analyses found that are made of questions: frames, and what is known beside them."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import pandas as pd

from ._answer import Told, renumbered
from ._plot import forest, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Z = NormalDist().inv_cdf(0.975)

# Columns of what is beside the table, in the order in which the commands print them.
_MEDIAN = ["n", "events", "unclear", "unseen", "median", "ci_low", "ci_high", "after", "until"]
_RATIO = ["estimate", "log_std_error", "ci_low", "ci_high"]
_OF_TWO = ["u", "u_error", "superiority", "z", "p"]
_OF_MORE = ["h", "df", "p"]


class Study:
    """What an analysis found.

    Attributes
    ----------
    dropped : int or None
        Rows that were left out because a column is not known, as far as they were released; None where none are counted.
    open : dict of str to dict
        What single numbers can be of which not all was released: ``low`` and ``high`` of each, None where there is no end.
    notes : list of str
        What must be known to read the numbers: approximations, what was left out, and why a test was not made.
    coverage : list of dict
        Every node that was asked, and what became of it.
    facts : dict
        Everything that is known beside the table, as docs/python.md says.

    Notes
    -----
    A number is NaN if it was not released, or cannot be made without what was not. ``attrs["intervals"]`` of a frame says what numbers can
    be into which not all nodes released their part: ``row`` of the frame, ``column``, ``low`` and ``high``.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self.dropped: int | None = told.facts.get("dropped")
        self.open: dict[str, Any] = told.facts.get("open", {})
        self.notes: list[str] = told.facts["notes"]
        self.coverage = told.coverage
        self.facts: dict[str, Any] = told.facts

    def _rows(self, table: pd.DataFrame, index: str | list[str], rows: pd.Series[bool] | None = None) -> pd.DataFrame:
        """Take some rows of the table, with their intervals."""
        if rows is None:
            rows = pd.Series(True, index=table.index)
        frame = table[rows].set_index(index)
        frame.attrs = self._told.attrs | {"intervals": renumbered(self._told.attrs["intervals"], rows)}
        return frame

    def _sheet(self, name: str, index: str, columns: list[str]) -> pd.DataFrame:
        """Make a frame of a table of the facts; empty if there is none."""
        rows: list[dict[str, Any]] = self.facts.get(name, [])
        frame = pd.DataFrame(rows, columns=[index, *columns]).set_index(index)
        frame.attrs = self._told.attrs | {"intervals": []}
        return frame

    def __repr__(self) -> str:
        frames = [(name, value) for name, value in vars(self).items() if isinstance(value, pd.DataFrame) and len(value)]
        lines = [f"{name}:\n{frame.to_string(float_format=lambda value: f'{value:.6g}')}" for name, frame in frames]
        if self.coverage:
            lines.append(f"{self._answered()} of {len(self.coverage)} nodes answered")
        return "\n".join([*lines, *self.notes])

    def _answered(self) -> int:
        return sum(node["status"] == "answered" for node in self.coverage)


class Survival(Study):
    """How many are left over the time.

    Attributes
    ----------
    curve : pandas.DataFrame, shape (groups × times, 10)
        Indexed by ``time`` (the end of a bin), after ``group`` if there are groups. ``n_risk``, ``n_event``, ``n_censor`` and ``n_unclear``
        people; ``survival``, the share that is left, with ``std_error`` (Greenwood), ``ci_low``, ``ci_high`` (95 %); ``bound_low`` and
        ``bound_high``: the least and the most that the estimate of exact times can be, whatever happened within bins and whatever became
        of those of whom nobody tells. They are NaN where times are exact, and all was released.
    medians : pandas.DataFrame
        Of each group ``n``, ``events``, ``unclear`` and ``unseen`` people, the ``median`` with its interval, and ``after`` and ``until``
        which times that of exact times lies.
    log_rank : dict or None
        ``chi_squared``, ``df`` and ``p`` of the test whether groups differ; None without groups, or where ``notes`` say why.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self._grouped = bool(table["group"].notna().any())
        shown = table if self._grouped else table.drop(columns="group")
        self.curve = self._rows(shown, ["group", "time"] if self._grouped else "time")
        self.medians = self._sheet("medians", "group", _MEDIAN)
        tested = ("chi_squared", "df", "p")
        self.log_rank = {name: told.facts[name] for name in tested} if "chi_squared" in told.facts else None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curves in steps, with their 95 % intervals; where nobody tells what became of people, the bounds of the curve.

        Parameters
        ----------
        ax
            Where to draw; a new figure by default. Needs matplotlib: ``pip install datenraum[plot]``.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes = ax if ax is not None else new_axes(4.0)
        for name, curve in self.curve.groupby(level="group", sort=False) if self._grouped else [("", self.curve)]:
            times = [float(time) for time in curve.index.get_level_values("time")]
            places = [min(0.0, times[0]), *times]
            if curve["survival"].notna().all():
                (line,) = axes.step(places, [1.0, *curve["survival"]], where="post", label=str(name))
                low, high = ([1.0, *curve[end].fillna(0.0 if end == "ci_low" else 1.0)] for end in ("ci_low", "ci_high"))
                axes.fill_between(places, low, high, step="post", alpha=0.2, color=line.get_color(), linewidth=0)
                continue
            # As few as at its end can be left at the beginning of a bin.
            least = [*curve["bound_low"], curve["bound_low"].iloc[-1]]
            (line,) = axes.step(places, least, where="post", linestyle="--", label=f"{name} at least".strip())
            most = [1.0, *curve["bound_high"]]
            axes.step(places, most, where="post", linestyle=":", color=line.get_color(), label=f"{name} at most".strip())
        axes.set_ylim(0.0, 1.05)
        axes.set_xlabel("time")
        axes.set_ylabel("share without the event")
        if len(axes.get_legend_handles_labels()[1]) > 0 and any(axes.get_legend_handles_labels()[1]):
            axes.legend()
        return axes


class Crosstab(Study):
    """Two columns against each other.

    Attributes
    ----------
    counts : pandas.DataFrame, shape (values of one, values of the other)
        Rows of all nodes, as far as they were released.
    expected : pandas.DataFrame
        What would be expected if both were independent; NaN where a count is open.
    cells : pandas.DataFrame, shape (cells, 2)
        The same, one row a cell: ``n`` and ``expected`` by ``row`` and ``column``, with ``attrs["intervals"]``.
    n : int or None
        Rows in the table, if all of it was released.
    tests : pandas.DataFrame
        ``statistic``, ``df`` and ``p`` by test; empty if there is none, and ``notes`` say why.
    odds_ratios, common_odds_ratio : pandas.DataFrame
        ``estimate``, ``log_std_error``, ``ci_low``, ``ci_high``, of two by two; the second over strata, with ``cmh_chi_squared`` and
        ``cmh_p``.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self.cells = self._rows(table, ["row", "column"])
        self.counts, self.expected = self._wide(table, "n"), self._wide(table, "expected")
        self.n: int | None = told.facts.get("n")
        self.tests = self._sheet("tests", "test", ["statistic", "df", "p"])
        self.odds_ratios = self._sheet("odds_ratios", "term", _RATIO)
        self.common_odds_ratio = self._sheet("common_odds_ratio", "term", [*_RATIO, "cmh_chi_squared", "cmh_p"])

    def _wide(self, table: pd.DataFrame, value: str) -> pd.DataFrame:
        wide = table.pivot(index="row", columns="column", values=value)
        wide = wide.loc[table["row"].unique(), table["column"].unique()]
        wide.attrs = self._told.attrs | {"intervals": []}
        return wide


class Comparison(Study):
    """A number between groups.

    Attributes
    ----------
    groups : pandas.DataFrame, shape (groups, 3)
        ``n``, ``mean`` and ``sd`` (over n − 1) by group.
    tests : pandas.DataFrame
        Of two groups, by test: ``difference``, ``std_error``, ``t``, ``df``, ``p``, ``ci_low``, ``ci_high``; otherwise empty.
    anova : pandas.DataFrame
        Of more groups, by source: ``df``, ``sum_sq``, ``f``, ``p``; otherwise empty.
    rank_tests : pandas.DataFrame
        Tests of ranks, if they were asked for: of two groups ``u``, ``u_error``, ``superiority``, ``z``, ``p``, of more ``h``, ``df``,
        ``p``.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self.groups = self._rows(table, "group")
        self.tests = self._sheet("tests", "test", ["difference", "std_error", "t", "df", "p", "ci_low", "ci_high"])
        self.anova = self._sheet("anova", "source", ["df", "sum_sq", "f", "p"])
        self.rank_tests = self._sheet("rank_tests", "test", _OF_TWO if self._of_two() else _OF_MORE)

    def _of_two(self) -> bool:
        """Tell whether two groups are compared: one in which nobody has a known number is not."""
        return int((self.groups["n"].fillna(1) > 0).sum()) == 2


class Correlation(Study):
    """Columns of numbers with each other.

    Attributes
    ----------
    pairs : pandas.DataFrame, shape (pairs, 6)
        ``r``, ``n``, ``t``, ``p``, ``ci_low`` and ``ci_high`` (95 %, Fisher) by ``one`` and ``other``.
    matrix : pandas.DataFrame, shape (columns, columns)
        The coefficients.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self.pairs = self._rows(table, ["one", "other"])
        names = list(dict.fromkeys(_each(zip(table["one"], table["other"], strict=True))))
        self.matrix = pd.DataFrame(float("nan"), index=names, columns=names)
        for name in names:
            self.matrix.loc[name, name] = 1.0
        for one, other, r in zip(table["one"], table["other"], table["r"], strict=True):
            self.matrix.loc[one, other] = self.matrix.loc[other, one] = r
        self.matrix.attrs = told.attrs | {"intervals": []}


class Rates(Study):
    """Cases for so many people.

    Attributes
    ----------
    rates : pandas.DataFrame, shape (places, 8)
        By ``place`` if there are places: ``cases``, ``people``, ``crude`` with ``crude_ci_low`` and ``crude_ci_high`` (95 %, exact), and
        ``standardised`` with ``ci_low`` and ``ci_high``, NaN if that was not asked for. Of cases that were not all released, ``crude`` is
        what it is at least.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self.rates = self._rows(table, "place")


class Meta(Study):
    """One estimate of those of several nodes, or of others.

    Attributes
    ----------
    sites : pandas.DataFrame, shape (nodes, 5)
        ``n``, ``estimate``, ``std_error``, ``weight_fixed`` and ``weight_reml`` by ``site``.
    pooled : pandas.DataFrame, shape (3, 6)
        ``estimate``, ``std_error``, ``statistic``, ``p``, ``ci_low`` and ``ci_high`` of a fixed effect, and of random effects after
        DerSimonian and Laird, and by REML.
    q, df, p_q, i_squared, tau_squared_dl, tau_squared_reml : float
        How much nodes differ.
    """

    def __init__(self, table: pd.DataFrame, told: Told, of: str) -> None:
        super().__init__(told)
        of_site = ["site", "n", "estimate", "std_error", "weight_fixed", "weight_reml"]
        of_all = ["term", "estimate", "std_error", "statistic", "p", "ci_low", "ci_high"]
        self.sites = self._rows(table, "site", table["kind"] == "site")[of_site[1:]]
        self.pooled = self._rows(table, "term", table["kind"] == "pooled")[of_all[1:]]
        self.q, self.df, self.p_q = (float(told.facts[name]) for name in ("q", "df", "p_q"))
        self.i_squared = float(told.facts["i_squared"])
        self.tau_squared_dl, self.tau_squared_reml = (float(told.facts[f"tau_squared_{name}"]) for name in ("dl", "reml"))
        self._of = of

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a forest: the estimates of nodes, then those of all together, with 95 % intervals.

        Parameters
        ----------
        ax
            As for :meth:`Survival.plot`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        error = _Z * self.sites["std_error"]
        sites = self.sites.assign(ci_low=self.sites["estimate"] - error, ci_high=self.sites["estimate"] + error)
        columns = ["estimate", "ci_low", "ci_high"]
        shown = pd.concat([sites[columns], self.pooled[columns]])
        of = f"of {self._answered()} nodes" if self.coverage else "estimates"
        return forest(shown, ("estimate", "ci_low", "ci_high"), f"{self._of} (95 %)", None, f"Meta-analysis, {len(self.sites)} {of}", ax)


def _each(pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (name for pair in pairs for name in pair)
