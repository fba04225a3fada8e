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


# What the driver puts before and behind: its own kind of error; the status of gRPC and the call.
_BEFORE = re.compile(r"^[A-Z_]+: (\[FlightSQL\] )?")
_BEHIND = re.compile(
    r" \((Cancell?ed|Unknown|InvalidArgument|DeadlineExceeded|NotFound|AlreadyExists|PermissionDenied|ResourceExhausted|FailedPrecondition"
    r"|Aborted|OutOfRange|Unimplemented|Internal|(?P<gone>Unavailable)|DataLoss|Unauthenticated); .*$",
    re.DOTALL,
)


def of_driver(error: Exception) -> DatenraumError:
    """Make an error of what the driver says: of the gateway's own words, or, if it has none, of the driver's."""
    text = _BEFORE.sub("", str(error))
    behind = _BEHIND.search(text)
    text = text[: behind.start()] if behind else text
    if said := _SAID.fullmatch(text):
        return DatenraumError(said["code"], said["message"], said["remedy"])
    if behind and behind["gone"]:
        remedy = "see whether it runs: datenraum gateway run"
        return DatenraumError("E_UNREACHABLE", f"the gateway does not answer: {text}", remedy)
    return DatenraumError("E_INTERNAL", f"the driver gave no answer: {text}", "ask again on a new connection")
