"""One connection to a gateway, and questions in SQL through it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pandas as pd
import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions

from . import _answer
from ._calls import Calls
from ._errors import DatenraumError, of_driver
from ._gateway import Gateway

_ADDRESS = "grpc+tcp://127.0.0.1:32010"
_COVERAGE = "SELECT * FROM datenraum.coverage"


class Connection(Calls):
    """A connection to a gateway. Make one with :func:`connect`, :meth:`sandbox` or :meth:`profile`, and close it.

    A connection is for one thread at a time.
    """

    def __init__(self, address: str, token: str, options: dict[str, object], gateway: Gateway | None = None) -> None:
        headers = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "datenraum-"
        said = {f"{headers}{name.replace('_', '-')}": str(value) for name, value in options.items() if value is not None}
        said[DatabaseOptions.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
        self._gateway = gateway
        self._last: str | None = None
        try:
            self._adbc = flightsql.connect(_uri(address), db_kwargs=said, autocommit=True)
        except adbc_driver_manager.Error as error:
            self._end()
            raise of_driver(error) from error

    @classmethod
    def sandbox(
        cls,
        folder: str | os.PathLike[str],
        *,
        purpose: str | None = None,
        permit: str | None = None,
        person: str | None = None,
        minimum_nodes: int | None = None,
        timeout_seconds: int | None = None,
        program: str | os.PathLike[str] | None = None,
    ) -> Connection:
        """Ask a sandbox, a whole data space on this machine, through a gateway that is started and ends with the connection.

        Parameters
        ----------
        folder
            Where ``datenraum sandbox up SPEC --dir FOLDER`` has put it.
        purpose, permit, minimum_nodes, timeout_seconds
            As for :func:`connect`.
        person
            Who asks, where the sandbox has several people.
        program
            The program ``datenraum``; by default that in the variable ``DATENRAUM``, or on the path.

        Raises
        ------
        DatenraumError
            If the gateway does not start: it says why.
        """
        who = ["--sandbox", os.fspath(folder), *(["--as", person] if person else [])]
        options = _options(purpose, permit, minimum_nodes, timeout_seconds)
        return cls._started(program, who, options)

    @classmethod
    def profile(
        cls,
        file: str | os.PathLike[str],
        *,
        purpose: str | None = None,
        permit: str | None = None,
        minimum_nodes: int | None = None,
        timeout_seconds: int | None = None,
        program: str | os.PathLike[str] | None = None,
    ) -> Connection:
        """Ask a data space as the person in a profile (``person.toml``), through a gateway as in :meth:`sandbox`.

        Parameters
        ----------
        file
            The profile.
        purpose, permit, minimum_nodes, timeout_seconds, program
            As for :meth:`sandbox`.

        Raises
        ------
        DatenraumError
            If the gateway does not start: it says why.
        """
        options = _options(purpose, permit, minimum_nodes, timeout_seconds)
        return cls._started(program, ["--profile", os.fspath(file)], options)

    @classmethod
    def _started(cls, program: str | os.PathLike[str] | None, who: Sequence[str], options: dict[str, object]) -> Connection:
        gateway = Gateway(program, who)
        return cls(gateway.address, _token(gateway.token_file), options, gateway)

    def query(self, sql: str, parameters: Sequence[Any] | None = None) -> pd.DataFrame:
        """Ask a question in SQL.

        Parameters
        ----------
        sql
            A question as for ``datenraum query``; docs/data-users.md says what can be asked.
        parameters
            Values for ``?`` or ``$1``, ``$2``. A value never becomes text of the question.

        Returns
        -------
        pandas.DataFrame, shape (rows, columns of the question)
            ``attrs["coverage"]`` says of each node what became of the question there; ``attrs["intervals"]`` what values can be into
            which suppressed cells would have gone; ``attrs["rows_open"]`` whether such values decided which rows are here;
            ``attrs["receipts"]`` is the file with the nodes' signed receipts.

        Raises
        ------
        DatenraumError
            If there is no answer, or it is partial and ``minimum_nodes`` does not allow that.
        """
        table, told = self._ask(sql, parameters)
        frame = _answer.frame(table)
        frame.attrs = told.attrs
        return frame

    def close(self) -> None:
        """Close the connection, and end the gateway that was started for it."""
        self._adbc.close()
        self._end()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _end(self) -> None:
        if self._gateway:
            self._gateway.end()

    def _ask(self, sql: str, parameters: Sequence[Any] | None = None) -> tuple[pa.Table, _answer.Told]:
        try:
            table = self._table(sql, parameters)
        except adbc_driver_manager.Error as error:
            said = of_driver(error)
            raise DatenraumError(said.code, said.message, said.remedy, self._asked()) from error
        told = _answer.told(table.schema, lambda sql: self._table(sql).to_pylist())
        self._last = told.query_id or self._last
        return table, told

    def _table(self, sql: str, parameters: Sequence[Any] | None = None) -> pa.Table:
        with self._adbc.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetch_arrow_table()

    def _asked(self) -> list[dict[str, Any]]:
        """Who was asked in vain: none, if the coverage that the gateway tells is still that of the question before."""
        try:
            coverage: list[dict[str, Any]] = self._table(_COVERAGE).to_pylist()
        except adbc_driver_manager.Error:
            return []
        questions = {node.pop("question") for node in coverage}
        if not coverage or questions == {self._last}:
            return []
        (self._last,) = questions
        return coverage


def connect(
    address: str = _ADDRESS,
    token: str | None = None,
    purpose: str | None = None,
    permit: str | None = None,
    *,
    token_file: str | os.PathLike[str] | None = None,
    minimum_nodes: int | None = None,
    timeout_seconds: int | None = None,
) -> Connection:
    """Connect to a gateway that runs on this machine (``datenraum gateway run``).

    Parameters
    ----------
    address
        Where it answers, such as ``127.0.0.1:32010``.
    token, token_file
        The gateway's token, or the file in which it is. Whoever has the token asks as you: prefer the file.
    purpose
        What questions are for, such as ``ehds-53-1-e``; by default what the gateway was started with, as for all that follow.
    permit
        The data permit under which they are asked.
    minimum_nodes
        How many nodes are enough where not all take part. Without it, a partial answer is an error.
    timeout_seconds
        How long nodes may take, in seconds.

    Returns
    -------
    Connection

    Raises
    ------
    DatenraumError
        If there is no gateway, or this is not its token.
    """
    if (token is None) == (token_file is None):
        raise ValueError("give either token or token_file")
    said = token if token is not None else _token(Path(token_file or ""))
    return Connection(address, said, _options(purpose, permit, minimum_nodes, timeout_seconds))


def _options(purpose: str | None, permit: str | None, minimum_nodes: int | None, timeout_seconds: int | None) -> dict[str, object]:
    return {
        "purpose": purpose,
        "permit": permit,
        "minimum_nodes": minimum_nodes,
        "timeout_seconds": timeout_seconds,
    }


def _uri(address: str) -> str:
    return address if "://" in address else f"grpc+tcp://{address}"


def _token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        remedy = "the gateway says where it is when it starts"
        raise DatenraumError("E_FILE_MISSING", f"the token cannot be read: {error}", remedy) from error
