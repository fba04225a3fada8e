"""A gateway of our own: the program ``datenraum gateway run``, which ends with what started it.

Its input is a pipe whose other end only this process holds, and children that it forks: when all of these are gone, however they went,
the input ends, and the gateway with it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from ._errors import DatenraumError

# A gateway fetches documents and the catalogue before it answers.
_START_SECONDS_MAX = 60.0
_END_SECONDS_MAX = 20.0


def program(named: str | os.PathLike[str] | None) -> str:
    """Find the program: as named, as in the variable DATENRAUM, or on the path."""
    found = named or os.environ.get("DATENRAUM") or shutil.which("datenraum")
    if not found:
        remedy = "build it with make build, and put it on the path, into the variable DATENRAUM or into program="
        raise DatenraumError("E_FILE_MISSING", "the program datenraum is not there", remedy)
    return os.fspath(found)


class Gateway:
    """A gateway that runs until :meth:`end`, or until this Python ends."""

    def __init__(self, named: str | os.PathLike[str] | None, who: Sequence[str]) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        words = [program(named), "gateway", "run", *who, "--listen", "127.0.0.1:0", "--until-input-ends", "--json"]
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True
            )
        except OSError as error:
            remedy = "name the program with program=, or in the variable DATENRAUM"
            raise DatenraumError("E_FILE_MISSING", f"the program cannot be run: {error}", remedy) from error
        self.end = weakref.finalize(self, _end, self._process)
        line = self._first_line()
        self.address: str = line["endpoint"]
        self.token_file = Path(line["token_file"])

    def _first_line(self) -> dict[str, str]:
        out = self._process.stdout
        assert out is not None
        until, line = time.monotonic() + _START_SECONDS_MAX, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0.0, until - time.monotonic()))
            part = os.read(out.fileno(), 4096) if ready else b""
            if not part:
                raise self._failed()
            line += part
        said: dict[str, str] = json.loads(line)
        return said

    def _failed(self) -> DatenraumError:
        """Why it did not start, in its own words."""
        self.end()
        self._said.seek(0)
        last = (self._said.read().strip().splitlines() or [""])[-1]
        try:
            error = json.loads(last)["error"]
            return DatenraumError(error["problem"], error["message"], error["remedy"])
        except (ValueError, KeyError, TypeError):
            message = f"the gateway did not start within {_START_SECONDS_MAX:.0f} s: {last}"
            return DatenraumError("E_UNREACHABLE", message, "run datenraum gateway run and see what it says")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for end in (process.stdin, process.stdout):
        if end:
            end.close()
