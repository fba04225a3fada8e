"""Models without standard errors: paths of penalties, components, clusters, networks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ._answer import Told
from ._fit import Model


class PenalisedFit(Model):
    """Coefficients along a path of penalties; what it has beside these, :class:`Model` says.

    Attributes
    ----------
    params : pandas.DataFrame, shape (terms, penalties)
        The coefficients, one column for each penalty, from the largest to the smallest.
    path : pandas.DataFrame, shape (penalties, 2)
        ``nonzero`` coefficients beside the constant, and ``deviance`` without the penalty, by ``lambda``.
    formula : str
        What was fitted.
    mixing : float
        From 0 (ridge) to 1 (lasso).
    steps : int
        Sums over all nodes that it took.
    empty_levels : list of str
        Levels that no row of any node has; they have no coefficient.
    """

    def __init__(self, table: pd.DataFrame, told: Told, formula: str) -> None:
        super().__init__(told)
        lambdas, terms = table["lambda"].unique(), table["term"].unique()
        self.params = table.pivot(index="term", columns="lambda", values="estimate").loc[terms, lambdas]
        self.path = table.drop_duplicates("lambda").set_index("lambda")[["nonzero", "deviance"]]
        self.params.attrs = self.path.attrs = told.attrs
        self.formula = formula
        self.mixing: float = told.facts["mixing"]
        self.steps: int = told.facts["steps"]
        self.empty_levels: list[str] = told.facts["empty_levels"]

    def __repr__(self) -> str:
        return "\n".join([f"penalised model: {self.formula}", str(self.params), *self._who()])


class PcaFit(Model):
    """Principal components; what it has beside these, :class:`Model` says.

    Attributes
    ----------
    components : pandas.DataFrame, shape (components, 2)
        ``eigenvalue``, the variance along it, and ``explained``, its share, by ``component``.
    loadings : pandas.DataFrame, shape (variables, components)
        How much of each variable is in each component; the largest of a component is positive.
    variables : pandas.DataFrame, shape (variables, 2)
        ``mean`` and ``std_dev`` by ``variable``.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        names, variables = table["component"].unique(), table["variable"].unique()
        self.components = table.drop_duplicates("component").set_index("component")[["eigenvalue", "explained"]]
        self.loadings = table.pivot(index="variable", columns="component", values="loading").loc[variables, names]
        self.variables = table.drop_duplicates("variable").set_index("variable")[["mean", "std_dev"]]
        self.components.attrs = self.loadings.attrs = self.variables.attrs = told.attrs

    def __repr__(self) -> str:
        return "\n".join([str(self.components), str(self.loadings), *self._who()])


class KMeansFit(Model):
    """Clusters; what it has beside these, :class:`Model` says.

    Attributes
    ----------
    clusters : pandas.DataFrame, shape (clusters, 2)
        ``size``, its rows, and ``within``, the sum of their squared distances from the centre in standard deviations, by ``cluster``.
    centres : pandas.DataFrame, shape (clusters, variables)
        The centres, in the units of the variables.
    within, total : float
        The sum of all ``within``, and that of squared distances from the mean.
    steps : int
        Sums over all nodes that it took.
    """

    def __init__(self, table: pd.DataFrame, told: Told) -> None:
        super().__init__(told)
        self.clusters = table.drop_duplicates("cluster").set_index("cluster")[["size", "within"]]
        self.centres = table.pivot(index="cluster", columns="variable", values="centre")[table["variable"].unique()]
        self.clusters.attrs = self.centres.attrs = told.attrs
        self.within: float = told.facts["within"]
        self.total: float = told.facts["total"]
        self.steps: int = told.facts["steps"]

    def __repr__(self) -> str:
        return "\n".join([str(self.clusters), str(self.centres), *self._who()])


class Network(Model):
    """A trained network; what it has beside these, :class:`Model` says.

    Attributes
    ----------
    parameters : pandas.Series
        Layer by layer and unit by unit: a weight for each input, and what is added.
    inputs : pandas.DataFrame, shape (inputs, 2)
        ``mean`` and ``std_dev`` by ``input``: the network takes (x − mean) / std_dev.
    losses : pandas.Series
        The mean loss at the beginning of each round.
    response : tuple of float
        Mean and standard deviation: of squared loss the output times the second, plus the first, is the response; otherwise 0 and 1.
    formula : str
        What was trained.
    empty_levels : list of str
        Levels that no row of any node has; they are no inputs.
    """

    def __init__(self, table: pd.DataFrame, told: Told, formula: str) -> None:
        super().__init__(told)
        self.parameters: pd.Series[float] = table.set_index("parameter")["value"]
        inputs: list[dict[str, Any]] = told.facts["inputs"]
        self.inputs = pd.DataFrame(
            {"mean": [one["mean"] for one in inputs], "std_dev": [one["deviation"] for one in inputs]},
            index=pd.Index([one["name"] for one in inputs], name="input"),
        )
        losses: list[float] = told.facts["losses"]
        self.losses: pd.Series[float] = pd.Series(losses, index=pd.RangeIndex(1, len(losses) + 1, name="round"), name="loss")
        self.inputs.attrs = self.parameters.attrs = self.losses.attrs = told.attrs
        mean, deviation = told.facts["response"]
        self.response: tuple[float, float] = (mean, deviation)
        self.formula = formula
        self.empty_levels: list[str] = told.facts["empty_levels"]

    def __repr__(self) -> str:
        return "\n".join([f"network: {self.formula}", str(self.inputs), f"loss {self.losses.iloc[-1]:.6g}", *self._who()])
