"""Analyses over all nodes: each is the command of its name, with its options, called like a table of the gateway."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pandas as pd
import pyarrow as pa

from . import _answer
from ._description import Description
from ._fit import CoxFit, GlmFit
from ._learned import KMeansFit, Network, PcaFit, PenalisedFit
from ._study import Comparison, Correlation, Crosstab, Meta, Rates, Survival

Names = str | Iterable[str]


class Whom(TypedDict, total=False):
    """Over whom a model is fitted, and how far: what each of these means, :meth:`Calls.glm` says."""

    where: str | None
    nodes: Names | None
    without_missing: bool
    complete: Names | None
    steps: int | None


class Calls:
    """What can be asked of a connection beside SQL."""

    def _ask(self, sql: str, parameters: Sequence[Any] | None = None) -> tuple[pa.Table, _answer.Told]:
        raise NotImplementedError

    def _call(self, analysis: str, **said: Any) -> tuple[pd.DataFrame, _answer.Told]:
        """Call an analysis; each value is text in quotes and stays text, and what is None is not said."""
        arguments = ", ".join(f"{name} => {_quoted(value)}" for name, value in said.items() if value is not None)
        table, told = self._ask(f"SELECT * FROM {analysis}({arguments})")
        return _answer.frame(table), told

    def describe(
        self, collection: str, columns: Names, by: str | None = None, *, where: str | None = None, histogram: bool = False
    ) -> Description:
        """Describe columns: of numbers how many, mean, spread and quartiles; of others how often each value is there.

        Parameters
        ----------
        collection
            The collection, such as ``breast-cancer``.
        columns
            Names of columns.
        by
            A column, or ``node``, for whose values rows are told apart.
        where
            Which rows, as a condition in SQL.
        histogram
            Whether numbers are counted by their declared bins too.

        Returns
        -------
        Description
            ``summary`` and ``counts`` as data frames, with ``coverage``.

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        found = self._call("describe", collection=collection, columns=columns, by=by, where=where, histogram=histogram or None)
        return Description._of(*found, by is not None)

    def survival(
        self,
        collection: str,
        time: str,
        event: str,
        *,
        event_value: str | int | bool | None = None,
        by: str | None = None,
        method: str | None = None,
        interval: str = "log",
        where: str | None = None,
    ) -> Survival:
        """Estimate how many are left over the time, after Kaplan and Meier, over the declared bins of the time.

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        time, event
            The columns of times, until the event or until last seen, and of whether the event was seen.
        event_value
            The value of ``event`` that means that it was; by default true or 1.
        by
            A column, or ``node``, for whose values there is a curve each, and a test of whether they differ.
        method
            How those count who were last seen within a bin: ``actuarial`` (half; by default where times are in bins) or ``product-limit``.
        interval
            On which scale intervals are symmetric: ``log`` or ``log-log``.

        Returns
        -------
        Survival

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        asked = {"collection": collection, "where": where, "by": by, "method": method, "interval": interval}
        return Survival(*self._call("survival", time=time, event=event, event_value=event_value, **asked))

    def crosstab(self, collection: str, rows: str, columns: str, *, strata: str | None = None, where: str | None = None) -> Crosstab:
        """Count rows by two columns, and test whether these are independent.

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        rows, columns
            What stands along the rows and along the columns.
        strata
            A column, or ``node``, over whose values there is a common odds ratio (Mantel and Haenszel).

        Returns
        -------
        Crosstab

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        return Crosstab(*self._call("crosstab", collection=collection, rows=rows, columns=columns, strata=strata, where=where))

    def compare(self, collection: str, outcome: str, by: str, *, ranks: bool = False, where: str | None = None) -> Comparison:
        """Compare a number between groups: t tests of two, analysis of variance of more, and tests of ranks.

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        outcome, by
            The column of numbers, and that of groups, or ``node``.
        ranks
            Whether ranks are compared too, from the declared bins: Mann and Whitney of two groups, Kruskal and Wallis of more.

        Returns
        -------
        Comparison

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        return Comparison(*self._call("compare", collection=collection, outcome=outcome, by=by, ranks=ranks or None, where=where))

    def correlate(self, collection: str, columns: Names, *, complete: bool = False, where: str | None = None) -> Correlation:
        """Correlate columns of numbers with each other (Pearson).

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        columns
            Names of columns, at least two.
        complete
            Whether only rows count in which all columns are known; otherwise, of each pair, those in which both are.

        Returns
        -------
        Correlation

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        return Correlation(*self._call("correlate", collection=collection, columns=columns, complete=complete or None, where=where))

    def rates(
        self,
        collection: str,
        population: str | pd.DataFrame | os.PathLike[str],
        *,
        cases: str | None = None,
        by: str | None = None,
        age: str | None = None,
        standard: str | None = None,
        interval: str = "gamma",
        per: int = 100_000,
        where: str | None = None,
    ) -> Rates:
        """Give cases for so many people, of each place or all together, standardised to the ages of a standard population.

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        population
            The number of people: a column, which is added up as cases are; or your own numbers, which no node sees: a frame, or a CSV
            file, with a column ``population`` and columns called as those of ``by`` and ``age``.
        cases
            The column of cases, which are added up; otherwise each row is a case.
        by
            The column of places, such as districts.
        age, standard
            The column of ages, and ``european-2013`` or ``who-2000-2025``.
        interval
            Of standardised rates: ``gamma`` (Fay and Feuer) or ``dobson``.
        per
            For how many people.

        Returns
        -------
        Rates

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        asked = {"collection": collection, "where": where, "cases": cases, "by": by, "age": age, "standard": standard}
        return Rates(*self._call("rates", population=_people(population), interval=interval, per=per, **asked))

    def meta(self, collection: str, outcome: str, *, where: str | None = None) -> Meta:
        """Put the averages of a number at each node together, where the policy lets nodes be told apart.

        Parameters
        ----------
        collection, where
            As for :meth:`describe`.
        outcome
            The column of numbers.

        Returns
        -------
        Meta

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`.
        """
        return Meta(*self._call("meta", collection=collection, outcome=outcome, where=where), of=f"average of {outcome}")

    def meta_of(self, estimates: Mapping[str, GlmFit | CoxFit] | pd.DataFrame, term: str | None = None) -> Meta:
        """Put estimates together that you have, such as those of the same model at each node. Nobody is asked.

        Parameters
        ----------
        estimates
            Fits by name, such as ``{node: connection.glm("heart", "bmi ~ age", nodes=node) for node in nodes}``; or a frame, indexed by
            name, with ``estimate``, ``std_error`` and perhaps ``n``.
        term
            Which term of the fits.

        Returns
        -------
        Meta

        Raises
        ------
        DatenraumError
            If fewer than two have a standard error.
        """
        return Meta(*self._call("meta", estimates=_estimates(estimates, term)), of=term or "estimate")

    def glm(
        self,
        collection: str,
        formula: str,
        *,
        family: str = "gaussian",
        link: str | None = None,
        theta: float | None = None,
        weights: str | None = None,
        **whom: Unpack[Whom],
    ) -> GlmFit:
        """Fit a generalised linear model over the rows of all nodes, which stay where they are: the same as over the pooled rows.

        Parameters
        ----------
        collection
            The collection, such as ``breast-cancer``.
        formula
            As R and patsy users write it: ``"relapsed ~ age + C(grade) + hormone:age + offset(log(years))"``.
        family
            ``gaussian``, ``binomial``, ``poisson``, ``gamma`` or ``negative-binomial`` (with ``theta``).
        link
            The link, where it is not the family's own.
        theta
            θ of the negative binomial.
        weights
            The column with the weight of each row.
        where
            Which rows, as a condition in SQL over declared values and edges of bins.
        nodes
            Only these nodes; all that offer the collection by default.
        without_missing
            Whether the fit may go on, from the start, without nodes that take no part. The connection must have ``minimum_nodes``.
        complete
            Only rows in which these columns are known too.
        steps
            Most steps; each is one sum over all nodes.

        Returns
        -------
        GlmFit

        Raises
        ------
        DatenraumError
            As :meth:`Connection.query`; with its own code if the model has no solution (``E_MODEL_…``).
        """
        said = {"formula": formula, "family": family, "link": link, "theta": theta, "weights": weights}
        return GlmFit(*self._call("glm", collection=collection, **said, **_said(**whom)), formula=formula, family=family)

    def cox(
        self,
        collection: str,
        formula: str,
        *,
        ties: str = "efron",
        baseline: str = "node",
        check: str | None = None,
        **whom: Unpack[Whom],
    ) -> CoxFit:
        """Fit a Cox regression over the rows of all nodes.

        Parameters
        ----------
        collection, where, nodes, without_missing, complete, steps
            As for :meth:`glm`.
        formula
            ``"Surv(days, died) ~ age + C(grade) + strata(ward)"``.
        ties
            ``efron`` or ``breslow``.
        baseline
            ``node``: the people of each node are a stratum. ``shared``: one baseline hazard, in the declared bins of the time.
        check
            Check that hazards are in proportion over the time: ``identity``, ``log`` or ``km``.

        Returns
        -------
        CoxFit

        Raises
        ------
        DatenraumError
            As :meth:`glm`.
        """
        said = {"formula": formula, "ties": ties, "baseline": baseline, "check": check}
        return CoxFit(*self._call("cox", collection=collection, **said, **_said(**whom)), formula=formula)

    def penalised(
        self,
        collection: str,
        formula: str,
        *,
        penalty: str,
        lambdas: float | Iterable[float],
        mixing: float | None = None,
        family: str = "gaussian",
        weights: str | None = None,
        **whom: Unpack[Whom],
    ) -> PenalisedFit:
        """Fit a generalised linear model whose coefficients are drawn to 0, along a path of penalties as R's glmnet states them.

        Parameters
        ----------
        collection, formula, weights, where, nodes, without_missing, complete, steps
            As for :meth:`glm`.
        penalty
            ``ridge``, ``lasso`` or ``elastic-net``.
        lambdas
            The penalties.
        mixing
            Of an elastic net: from 0 (ridge) to 1 (lasso); 0.5 by default.
        family
            ``gaussian``, ``binomial`` or ``poisson``.

        Returns
        -------
        PenalisedFit

        Raises
        ------
        DatenraumError
            As :meth:`glm`.
        """
        said = {"formula": formula, "family": family, "weights": weights, "penalty": penalty, "lambdas": lambdas, "mixing": mixing}
        return PenalisedFit(*self._call("glm", collection=collection, **said, **_said(**whom)), formula=formula)

    def pca(
        self,
        collection: str,
        columns: Names,
        *,
        of: str = "correlation",
        **whom: Unpack[Whom],
    ) -> PcaFit:
        """Find the principal components of columns over all nodes, as R's prcomp over their pooled rows.

        Parameters
        ----------
        collection, where, nodes, without_missing, complete, steps
            As for :meth:`glm`.
        columns
            Columns, or functions of them as in a formula.
        of
            ``correlation``: columns in standard deviations. ``covariance``: in their units.

        Returns
        -------
        PcaFit

        Raises
        ------
        DatenraumError
            As :meth:`glm`.
        """
        return PcaFit(*self._call("pca", collection=collection, columns=columns, of=of, **_said(**whom)))

    def kmeans(
        self,
        collection: str,
        columns: Names,
        clusters: int,
        *,
        tolerance: float | None = None,
        **whom: Unpack[Whom],
    ) -> KMeansFit:
        """Find clusters of people over all nodes, in standard deviations of the columns.

        Parameters
        ----------
        collection, columns, where, nodes, without_missing, complete, steps
            As for :meth:`pca`.
        clusters
            How many.
        tolerance
            It ends as soon as no centre moves by more than so many standard deviations. Nodes often refuse the last steps, in which a few
            people change their cluster: a larger tolerance ends before them.

        Returns
        -------
        KMeansFit

        Raises
        ------
        DatenraumError
            As :meth:`glm`.
        """
        said = {"columns": columns, "clusters": clusters, "tolerance": tolerance}
        return KMeansFit(*self._call("kmeans", collection=collection, **said, **_said(**whom)))

    def train(
        self,
        collection: str,
        formula: str,
        *,
        loss: str = "squared",
        hidden: int | Iterable[int] | None = None,
        activation: str = "tanh",
        method: str = "gradient",
        rate: float | None = None,
        momentum: float | None = None,
        local_steps: int | None = None,
        rounds: int = 20,
        seed: int | None = None,
        **whom: Unpack[Whom],
    ) -> Network:
        """Train a small network over all nodes, by sums of gradients or by federated averaging.

        Parameters
        ----------
        collection, formula, where, nodes, without_missing, complete, steps
            As for :meth:`glm`.
        loss
            ``squared`` for numbers, ``logistic`` for a response of 0 or 1.
        hidden
            Units of the hidden layers, at most two; none by default.
        activation
            ``tanh`` or ``relu``.
        method
            What nodes send in a round. ``gradient``: sums of gradients, as over the pooled rows. ``averaging``: the parameters to which
            they come by steps of their own.
        rate, momentum, local_steps
            How far parameters move against the gradient (0.1); how much of a move is in the next (0.9, for gradients); steps of each node
            in a round (5, for averaging).
        rounds
            How many.
        seed
            From which the first parameters follow (1).

        Returns
        -------
        Network

        Raises
        ------
        DatenraumError
            As :meth:`glm`.
        """
        said = {"formula": formula, "loss": loss, "hidden": hidden, "activation": activation, "method": method, "rate": rate}
        moves = {"momentum": momentum, "local_steps": local_steps, "rounds": rounds, "seed": seed}
        return Network(*self._call("train", collection=collection, **said, **moves, **_said(**whom)), formula=formula)


def _said(
    *,
    where: str | None = None,
    nodes: Names | None = None,
    without_missing: bool = False,
    complete: Names | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    return {"where": where, "nodes": nodes, "without_missing": without_missing or None, "complete": complete, "steps": steps}


def _estimates(estimates: Mapping[str, GlmFit | CoxFit] | pd.DataFrame, term: str | None) -> str:
    """Write estimates as the gateway reads them."""
    if not isinstance(estimates, pd.DataFrame):
        if term is None:
            raise ValueError("name the term of the fits that is put together: term='age'")
        rows = {name: [fit.params[term], fit.bse[term], fit.n] for name, fit in estimates.items()}
        estimates = pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "std_error", "n"])
    frame = estimates.reindex(columns=["estimate", "std_error", "n"])
    numbers = [{name: float(value) for name, value in row.items() if pd.notna(value)} for row in frame.to_dict("records")]
    return json.dumps([{"label": str(label), **row} for label, row in zip(frame.index, numbers, strict=True)])


def _people(population: str | pd.DataFrame | os.PathLike[str]) -> str:
    """Write the asker's own numbers of people as the lines of a CSV; a name stays the name of a column."""
    if isinstance(population, pd.DataFrame):
        return population.to_csv(index=False)
    return population if isinstance(population, str) else Path(population).read_text()


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, Iterable) and not isinstance(value, str):
        text = ", ".join(str(one) for one in value)
    else:
        text = str(value)
    return "'" + text.replace("'", "''") + "'"
