"""Ask a federated health data space: SQL, statistics and models over all nodes, as data frames.

The data stay where they are. What comes back is what a signed policy lets out of each node, pooled, with a list of who took part.

>>> import datenraum
>>> with datenraum.Connection.sandbox("/tmp/hearts", purpose="ehds-53-1-e") as hearts:
...     fit = hearts.glm("heart", "disease ~ age + sex", family="binomial")
...     print(fit.summary())

Reading order: ``_connection`` (SQL), ``_calls`` (analyses), ``_study``, ``_fit``, ``_learned`` and ``_description`` (what comes back),
``_gateway`` (through what), ``_errors``.
"""

from ._connection import Connection, connect
from ._description import Description
from ._errors import DatenraumError
from ._fit import CoxFit, Fit, GlmFit, Model
from ._learned import KMeansFit, Network, PcaFit, PenalisedFit
from ._study import Comparison, Correlation, Crosstab, Meta, Rates, Study, Survival

__all__ = [
    "Comparison",
    "Connection",
    "Correlation",
    "CoxFit",
    "Crosstab",
    "DatenraumError",
    "Description",
    "Fit",
    "GlmFit",
    "KMeansFit",
    "Meta",
    "Model",
    "Network",
    "PcaFit",
    "PenalisedFit",
    "Rates",
    "Study",
    "Survival",
    "connect",
]
