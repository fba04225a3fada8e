"""The gateway as other programs see it: Python (ADBC, pandas, polars, DuckDB), Java (JDBC) and Go (arrow-go).

Each connects, lists tables, asks with a parameter, reads a larger result, cancels, is refused with a wrong token, and is refused a
partial answer until it allows one. What is not installed is skipped aloud.

    gateway.py PROGRAM      the program `datenraum`
"""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import duckdb
import pandas
import polars
from adbc_driver_flightsql import DatabaseOptions

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PURPOSE = "ehds-53-1-e"
JDBC = "18.3.0"  # 19.0.0 does not work in DBeaver

BY_DISTRICT = "SELECT district, sum(cases) AS cases FROM measles_weekly WHERE year = ? GROUP BY district ORDER BY district"
# Rows of two weeks, each with each: larger than one message, from two nodes.
LARGE = "SELECT a.district AS a, b.district AS b, a.week AS wa, b.week AS wb, a.cases + b.cases AS cases FROM measles_weekly a, measles_weekly b WHERE a.week <= 16 AND b.week <= 16"
PARTIAL = "SELECT count(*) AS people FROM breast_cancer"
STUCK = "SELECT count(*) AS people FROM lung_cancer"


def measles():
    """All rows of both nodes."""
    rows = []
    for name in ["cities", "counties"]:
        with open(PROJECT / f"examples/open/data/{name}.csv", newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


def expected():
    """What the questions above answer, computed from the files."""
    rows = measles()
    by_district = {}
    for row in rows:
        if row["year"] == "2001":
            by_district[row["district"]] = by_district.get(row["district"], 0) + int(row["cases"])
    early = [int(row["cases"]) for row in rows if int(row["week"]) <= 16]
    with open(PROJECT / "demo/data/gbsg.csv", newline="") as file:
        people = sum(1 for _ in csv.DictReader(file))
    return {
        "by_district": [list(item) for item in sorted(by_district.items())],
        "large_rows": len(early) ** 2,
        "large_cases": 2 * len(early) * sum(early),
        "people": people,
    }


def refused(code, ask):
    """Asserts that something is refused with a code, and returns what is said."""
    try:
        ask()
    except adbc_driver_manager.Error as error:
        assert code in str(error), f"no {code} in: {error}"
        return str(error)
    raise AssertionError(f"not refused with {code}")


def python(uri, token, want):
    def connect(authorization=f"Bearer {token}", **headers):
        options = {DatabaseOptions.AUTHORIZATION_HEADER.value: authorization} if authorization else {}
        for name, value in headers.items():
            options[DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "datenraum-" + name.replace("_", "-")] = value
        return flightsql.connect(uri, db_kwargs=options, autocommit=True)

    def one(connection, sql, parameters=None):
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetch_arrow_table()

    # Who does not have the token is told nothing.
    for authorization in ["Bearer wrong", f"Basic {token}", f"Bearer {token}x", None]:
        with connect(authorization) as stranger:
            refused("E_GATEWAY_TOKEN", lambda: one(stranger, "SELECT 1"))
            refused("E_GATEWAY_TOKEN", lambda: stranger.adbc_get_objects().read_all())
    refused("E_GATEWAY_TOKEN", lambda: flightsql.connect(uri, db_kwargs={"username": "ada", "password": "wrong"}, autocommit=True))
    with flightsql.connect(uri, db_kwargs={"username": "ada", "password": token}, autocommit=True) as by_password:
        assert one(by_password, "SELECT 1 AS one").to_pylist() == [{"one": 1}]

    with connect() as connection:
        catalogs = connection.adbc_get_objects(depth="columns").read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in catalogs] == ["datenraum"]
        schemas = {schema["db_schema_name"]: schema["db_schema_tables"] for schema in catalogs[0]["catalog_db_schemas"]}
        names = [table["table_name"] for table in schemas["collections"]]
        assert names == ["breast_cancer", "lung_cancer", "measles_weekly"], names
        columns = [column["column_name"] for column in schemas["collections"][2]["table_columns"]]
        assert columns == ["district", "district_name", "year", "week", "cases", "node"], columns
        assert connection.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE"]
        assert connection.adbc_get_info()["vendor_name"] == "Datenraum"
        assert connection.adbc_get_table_schema("measles_weekly").field("week").type == "int64"
        assert one(connection, "SELECT node FROM datenraum.coverage").num_rows == 0

        # A prepared question, asked again with other values.
        answer = one(connection, BY_DISTRICT, (2001,))
        assert [list(row.values()) for row in answer.to_pylist()] == want["by_district"]
        assert one(connection, BY_DISTRICT, (2002,)).to_pylist() != answer.to_pylist()
        coverage = json.loads(answer.schema.metadata[b"datenraum.coverage"])
        assert [(node["node"], node["status"]) for node in coverage] == [
            ("weser-ems-cities", "answered"),
            ("weser-ems-counties", "answered"),
        ]
        assert json.loads(answer.schema.metadata[b"datenraum.intervals"]) == []
        asked = one(connection, "SELECT node, status FROM datenraum.coverage ORDER BY node")
        assert asked.to_pylist() == [{"node": node["node"], "status": "answered"} for node in coverage]
        # A value is a value, whatever is in it.
        quoted = one(connection, "SELECT count(*) AS n FROM measles_weekly WHERE district_name = $1", ("SK Emden' OR 'a' = 'a",))
        assert quoted.to_pylist() == [{"n": 0}], quoted.to_pylist()
        refused("E_PARAMETERS", lambda: one(connection, BY_DISTRICT))
        refused("E_PARAMETERS", lambda: one(connection, BY_DISTRICT, (2001, 2002)))
        refused("E_SQL_COLLECTION", lambda: one(connection, "SELECT count(*) FROM measles"))
        refused("E_SQL_NOT_ALLOWED", lambda: one(connection, "DELETE FROM measles_weekly"))

        # Larger results, batch by batch; one that is given up in the middle; and into pandas, polars and DuckDB.
        with connection.cursor() as cursor:
            cursor.execute(LARGE)
            reader = cursor.fetch_record_batch()
            rows, cases = 0, 0
            for batch in reader:
                rows, cases = rows + batch.num_rows, cases + sum(batch.column("cases").to_pylist())
            assert (rows, cases) == (want["large_rows"], want["large_cases"]), (rows, cases)
        for _ in range(3):
            with connection.cursor() as cursor:
                cursor.execute(LARGE)
                cursor.fetchone()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas prefers another library
            frame = pandas.read_sql(LARGE, connection)
        assert frame.cases.sum() == want["large_cases"]
        assert polars.read_database(LARGE, connection)["cases"].sum() == want["large_cases"]
        pooled = one(connection, LARGE)
        assert duckdb.sql("SELECT sum(cases) FROM pooled").fetchall() == [(want["large_cases"],)]

    with connect() as connection:
        # A question that would take long is given up at once, as often as there is room for questions and more.
        for _ in range(10):
            cursor = connection.cursor()
            cancel = threading.Timer(0.2, cursor.adbc_cancel)
            cancel.start()
            before = time.monotonic()
            try:
                cursor.execute(STUCK)
                raise AssertionError("a node that says nothing has answered")
            except adbc_driver_manager.Error as error:
                assert "E_" not in str(error), error
            assert time.monotonic() - before < 5
            cancel.join()
            cursor.close()

        # A partial answer is an error that says who is missing, until the connection allows it.
        said = refused("E_PARTIAL", lambda: one(connection, PARTIAL))
        assert "1 of 2 nodes answered" in said and "rotterdam unreachable" in said and "E_UNREACHABLE" in said, said
        missing = one(connection, "SELECT node, problem FROM datenraum.coverage WHERE status <> 'answered'")
        assert missing.to_pylist() == [{"node": "rotterdam", "problem": "E_UNREACHABLE"}]
        session = "adbc.flight.sql.session.option."
        connection.adbc_connection.set_options(**{session + "minimum_nodes": "2"})
        refused("E_PARTIAL", lambda: one(connection, PARTIAL))
        connection.adbc_connection.set_options(**{session + "minimum_nodes": "1"})
        answer = one(connection, PARTIAL)
        assert answer.to_pylist() == [{"people": want["people"]}]
        coverage = json.loads(answer.schema.metadata[b"datenraum.coverage"])
        assert [(node["node"], node["status"]) for node in coverage] == [("gbsg", "answered"), ("rotterdam", "unreachable")]
        # Session options, and what policy says to another purpose.
        connection.adbc_connection.set_options(**{session + "purpose": "ehds-54-b"})
        assert json.loads(connection.adbc_connection.get_option("adbc.flight.sql.session.options")) == {
            "minimum_nodes": "1",
            "purpose": "ehds-54-b",
        }
        refused("E_PROHIBITED", lambda: one(connection, PARTIAL + " WHERE node = 'gbsg'"))
        try:
            connection.adbc_connection.set_options(**{session + "minimum_node": "1"})
            raise AssertionError("an unknown option was set")
        except adbc_driver_manager.Error as error:
            assert "invalid name" in str(error), error

    # The same as headers, for this connection only.
    with connect(minimum_nodes="1") as connection:
        assert one(connection, PARTIAL).to_pylist() == [{"people": want["people"]}]
    with connect(minimum_node="1") as connection:
        refused("E_OPTION", lambda: one(connection, PARTIAL))
    with connect() as connection:
        refused("E_PARTIAL", lambda: one(connection, PARTIAL))


def java(uri, token, want, place):
    if not shutil.which("java") or not shutil.which("mvn"):
        return "SKIPPED: the JDBC client needs a JDK and Maven (apt-get install openjdk-17-jdk-headless maven)"
    jar = Path.home() / f".m2/repository/org/apache/arrow/flight-sql-jdbc-driver/{JDBC}/flight-sql-jdbc-driver-{JDBC}.jar"
    if not jar.exists():
        artifact = f"-Dartifact=org.apache.arrow:flight-sql-jdbc-driver:{JDBC}"
        got = subprocess.run(["mvn", "-q", "dependency:get", "-Dtransitive=false", artifact], capture_output=True, timeout=300)
        if got.returncode != 0 or not jar.exists():
            return "SKIPPED: the JDBC client needs Maven Central"
    url = uri.replace("grpc+tcp", "jdbc:arrow-flight-sql")
    command = ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", jar, HERE / "Gateway.java", url]
    return run(command, token, want)


def go(uri, token, want, place):
    if not shutil.which("go"):
        return "SKIPPED: the Go client needs go (1.26 or newer)"
    program = place / "client"
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / "go", capture_output=True, text=True, timeout=500)
    if built.returncode != 0:
        if re.search(r"dial|proxy|lookup|requires go", built.stderr):
            return f"SKIPPED: the Go client needs the Go module proxy and go 1.26: {built.stderr.splitlines()[-1]}"
        raise AssertionError(built.stderr)
    return run([program, uri.removeprefix("grpc+tcp://")], token, want)


def run(command, token, want):
    """Runs a client; what it must be told comes in its environment, so that the token is in no list of processes."""
    questions = {"BY_DISTRICT": BY_DISTRICT, "LARGE": LARGE, "PARTIAL": PARTIAL, "STUCK": STUCK}
    by_district = ";".join(f"{district}={cases}" for district, cases in want["by_district"])
    numbers = {name.upper(): str(want[name]) for name in ["large_rows", "large_cases", "people"]}
    told = {"TOKEN": token, "WANT_BY_DISTRICT": by_district, **questions, **numbers}
    ended = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout.strip()


def listens(config):
    """Host and port of a node."""
    address = re.search(r'^listen\s*=\s*"(.*):(\d+)"', config.read_text(), re.MULTILINE)
    return address[1], int(address[2])


def main(program):
    place = Path(tempfile.mkdtemp(prefix="datenraum-clients-"))
    sandbox = place / "sandbox"
    gateway = silent = None
    try:
        subprocess.run([program, "sandbox", "up", HERE / "gateway.toml", "--dir", sandbox], check=True, stdout=subprocess.DEVNULL)
        for node in ["rotterdam", "ncctg-12"]:
            subprocess.run([program, "sandbox", "down", sandbox, "--node", node], check=True, stdout=subprocess.DEVNULL)
        silent = socket.create_server(listens(sandbox / "nodes/ncctg-12/node.toml"))
        words = [program, "gateway", "run", "--sandbox", sandbox, "--purpose", PURPOSE, "--listen", "127.0.0.1:0", "--json"]
        gateway = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        said = json.loads(gateway.stdout.readline())
        token_file = Path(said["token_file"])
        assert token_file.stat().st_mode & 0o777 == 0o600, oct(token_file.stat().st_mode)
        token, want = token_file.read_text().strip(), expected()
        for name, client in [
            ("python", lambda: python(said["endpoint"], token, want)),
            ("java", lambda: java(said["endpoint"], token, want, place)),
            ("go", lambda: go(said["endpoint"], token, want, place)),
        ]:
            began = time.monotonic()
            print(f"gateway, {name}: {client() or 'ok'} ({time.monotonic() - began:.1f} s)", flush=True)
        gateway.terminate()
        assert gateway.wait(timeout=20) == 0, gateway.returncode
    finally:
        if gateway and gateway.poll() is None:
            gateway.kill()
        if silent:
            silent.close()
        subprocess.run([program, "sandbox", "down", sandbox], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


main(Path(sys.argv[1]).resolve())
