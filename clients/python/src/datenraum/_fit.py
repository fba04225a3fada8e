"""Fitted models, named as users of statsmodels know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from ._answer import Told
from ._plot import forest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Model:
    """What is known of every model over all nodes.

    Attributes
    ----------
    n : int
        Rows of all nodes that are in it.
    dropped : int or None
        Rows that were left out because a column is not known; None where too few people are in them to say so.
    dropped_by_node : dict of str to int or None
        The same for each node.
    coverage : list of dict
        Every node that was asked, and what became of it.
    receipts : str or None
        The file with the nodes' signed receipts.
    facts : dict
        Everything else that is known, as docs/python.md says.
    """

    def __init__(self, told: Told) -> None:
        facts = told.facts
        self.n: int = facts["n"]
        self.dropped: int | None = facts["dropped"]
        self.dropped_by_node: dict[str, int | None] = facts["dropped_by_node"]
        self.coverage = told.coverage
        self.receipts: str | None = told.attrs["receipts"]
        self.facts: dict[str, Any] = facts

    @property
    def nodes(self) -> list[str]:
        """The nodes whose rows are in it."""
        return [node["node"] for node in self.coverage if node["status"] == "answered"]

    def _who(self) -> list[str]:
        """Say over how many rows it is, and who took no part."""
        dropped = "some" if self.dropped is None else self.dropped
        absent = [node for node in self.coverage if node["status"] != "answered"]
        return [
            f"rows {self.n}  left out because a column is not known: {dropped}",
            f"{len(self.nodes)} of {len(self.coverage)} nodes took part",
            *(f"{node['node']} {node['status']}: {node['message']} [{node['problem']}]" for node in absent),
        ]


class Fit(Model):
    """A fitted model; what it has beside these, :class:`Model` says.

    Attributes
    ----------
    terms : pandas.DataFrame, shape (terms, 6 or more)
        Indexed by term: ``estimate``, ``std_error``, ``statistic``, ``p``, ``ci_low`` and ``ci_high`` (95 %, Wald), on the scale of the
        linear predictor.
    params, bse, tvalues, pvalues : pandas.Series, shape (terms,)
        Its first four columns, as statsmodels names them.
    formula : str
        What was fitted.
    llf : float or None
        Log-likelihood (of Cox: log partial likelihood).
    steps : int
        Sums over all nodes that it took.
    empty_levels : list of str
        Levels that no row of any node has; they have no coefficient.
    """

    _kind = "model"

    def __init__(self, terms: pd.DataFrame, told: Told, formula: str) -> None:
        super().__init__(told)
        facts = told.facts
        self.terms = terms.set_index("term")
        self.terms.attrs = told.attrs
        self.params: pd.Series[float] = self.terms["estimate"]
        self.bse: pd.Series[float] = self.terms["std_error"]
        self.tvalues: pd.Series[float] = self.terms["statistic"]
        self.pvalues: pd.Series[float] = self.terms["p"]
        self.formula = formula
        self.llf: float | None = facts["log_likelihood"]
        self.steps: int = facts["steps"]
        self.empty_levels: list[str] = facts["empty_levels"]

    def conf_int(self) -> pd.DataFrame:
        """Give the 95 % confidence intervals.

        Returns
        -------
        pandas.DataFrame, shape (terms, 2)
            Lower ends in column 0 and upper ends in column 1.
        """
        return self.terms[["ci_low", "ci_high"]].set_axis([0, 1], axis=1)

    def cov_params(self) -> pd.DataFrame:
        """Give the covariances of the estimates.

        Returns
        -------
        pandas.DataFrame, shape (terms, terms)

        Raises
        ------
        ValueError
            If the model has so many terms that the gateway did not send them.
        """
        if "covariance" not in self.facts:
            raise ValueError("the covariances of so many terms are not sent; the standard errors are in bse")
        return pd.DataFrame(self.facts["covariance"], index=self.terms.index, columns=self.terms.index.tolist())

    def summary(self) -> str:
        """Write the fit as text: its terms, what is known of it as a whole, and who took part."""
        facts = "  ".join(f"{name} {value:.6g}" for name, value in self._told().items() if value is not None)
        rows, *nodes = self._who()
        lines = [
            f"{self._kind}: {self.formula}",
            self.terms.to_string(float_format=lambda value: f"{value:.6g}"),
            rows,
            f"{facts}  steps {self.steps}; intervals are Wald's, of 95 %",
            *nodes,
        ]
        return "\n".join(lines)

    def _told(self) -> dict[str, float | None]:
        return {"log-likelihood": self.llf}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the estimates with their 95 % intervals, without the constant.

        Parameters
        ----------
        ax
            Where to draw; a new figure by default. Needs matplotlib: ``pip install datenraum[plot]``.

        Returns
        -------
        matplotlib.axes.Axes
        """
        shown = self.terms.drop(index="(Intercept)", errors="ignore")
        return forest(shown, ("estimate", "ci_low", "ci_high"), "estimate (95 %)", 0.0, self._title(), ax)

    def _title(self) -> str:
        return f"{self._kind}, {self.n} rows of {len(self.nodes)} of {len(self.coverage)} nodes"

    def __repr__(self) -> str:
        return self.summary()


class GlmFit(Fit):
    """A fitted generalised linear model.

    Attributes
    ----------
    family : str
        The distribution of the response.
    deviance, scale : float
        Residual deviance; dispersion (1 where it is not estimated).
    df_resid : int
        Residual degrees of freedom.
    aic : float or None
        As R's ``AIC`` of a ``glm``.
    """

    def __init__(self, terms: pd.DataFrame, told: Told, formula: str, family: str) -> None:
        super().__init__(terms, told, formula)
        self._kind = f"{family} model"
        self.family = family
        self.deviance: float = told.facts["deviance"]
        self.scale: float = told.facts["dispersion"]
        self.df_resid: int = told.facts["df_residual"]
        self.aic: float | None = told.facts["aic"]

    def _told(self) -> dict[str, float | None]:
        return {
            "residual df": self.df_resid,
            "deviance": self.deviance,
            "dispersion": self.scale,
            **super()._told(),
            "AIC": self.aic,
        }


class CoxFit(Fit):
    """A fitted Cox regression.

    Attributes
    ----------
    hazard_ratios : pandas.DataFrame, shape (terms, 3)
        ``hazard_ratio``, ``hazard_ratio_low`` and ``hazard_ratio_high`` (95 %).
    events : int
        Events in the rows of the fit.
    proportional : pandas.DataFrame or None, shape (terms + 1, 3)
        Whether hazards are in proportion, if that was asked for: ``chi2``, ``df``, ``p`` for each term and for all (``GLOBAL``).
    """

    _kind = "Cox regression"

    def __init__(self, terms: pd.DataFrame, told: Told, formula: str) -> None:
        super().__init__(terms, told, formula)
        self.hazard_ratios = self.terms[["hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"]]
        self.events: int = told.facts["events"]
        checked = told.facts["proportional"]
        self.proportional = None if checked is None else pd.DataFrame(checked).set_index("term")

    def _told(self) -> dict[str, float | None]:
        ratio = self.facts["likelihood_ratio"]
        return {
            "events": self.events,
            **super()._told(),
            "likelihood ratio": ratio["chi2"],
            "df": ratio["df"],
            "p": ratio["p"],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the hazard ratios with their 95 % intervals, on a logarithmic axis.

        Parameters
        ----------
        ax
            As for :meth:`Fit.plot`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        columns = ("hazard_ratio", "hazard_ratio_low", "hazard_ratio_high")
        axes = forest(self.terms, columns, "hazard ratio (95 %)", 1.0, self._title(), ax)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        return axes
