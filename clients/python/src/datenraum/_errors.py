"""What goes wrong, as the data space says it: a stable code, a sentence, a remedy, and who did not take part."""

from __future__ import annotations

import re
from typing import Any

# The gateway says `what happened [E_CODE]; what to do`. What nodes said can stand in the first part in the same form, so that the
# last code is the error's own.
_SAID = re.compile(r"(?P<message>.*) \[(?P<code>E_[A-Z0-9_]+)\]; (?P<remedy>.*)", re.DOTALL)


class DatenraumError(Exception):
    """Why there is no answer.

    Attributes
    ----------
    code : str
        The stable code of the problem, such as ``E_NO_PERMISSION``; docs/PROBLEMS.md lists all.
    message : str
        What happened, without data.
    remedy : str
        What to do next.
    nodes : list of dict
        The nodes that were asked, as in the coverage of an answer: ``node``, ``status``, ``problem``, ``message``, ``remedy``.
        Empty if none was asked.
    """

    def __init__(self, code: str, message: str, remedy: str = "", nodes: list[dict[str, Any]] | None = None) -> None:
        self.code = code
        self.message = message
        self.remedy = remedy
        self.nodes = nodes or []
        super().__init__(f"{message} [{code}]" + (f"; {remedy}" if remedy else ""))


def of_driver(error: Exception) -> DatenraumError:
    """Make an error of what the driver says; ``E_UNREACHABLE`` if it is not from a gateway."""
    said = _SAID.search(str(error))
    if said is None:
        remedy = "see whether the gateway runs: datenraum gateway run"
        return DatenraumError("E_UNREACHABLE", f"the gateway gave no answer: {error}", remedy)
    # The driver puts its own words before, and the status of gRPC behind.
    message = re.sub(r"^[A-Z_]+: (\[FlightSQL\] )?", "", said["message"])
    remedy = re.sub(r" \((Invalid|Permission|Not|Failed|Internal|Un|Resource|Deadline|Cancel)[A-Za-z]*; .*\)$", "", said["remedy"])
    return DatenraumError(said["code"], message, remedy.split("\n")[0])
