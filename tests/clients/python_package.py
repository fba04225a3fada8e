"""The Python package against a sandbox of its own: three hospitals with people who are made up.

What is refused, what is told of it, and that descriptions and models are those of the pooled rows, as pandas and statsmodels find them.
Then the notebook in clients/python/examples, from its beginning to its end.

    python_package.py PROGRAM      the program `datenraum`
"""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import datenraum
import matplotlib
import nbclient
import nbformat
import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from datenraum import Connection, DatenraumError
from jupyter_client import AsyncKernelManager

matplotlib.use("Agg")

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "clients/python/examples"
NODES = ["north", "south", "west"]
RESEARCH = "ehds-53-1-e"
LOGIT = "disease ~ age + sex + smoker + bmi"
SURVIVAL = "Surv(days, died) ~ age + sex + smoker"
GLM = "SELECT * FROM glm(collection => 'heart', formula => 'disease ~ age', family => 'binomial')"


def pooled(place):
    """The rows of all hospitals in one frame, which nobody has outside this test."""
    rows = pd.concat([pd.read_csv(place / f"{node}.csv").assign(node=node) for node in NODES], ignore_index=True)
    return rows.assign(smoker=rows.smoker.astype(int))


def refused(code, ask, message="", nodes=None):
    """Asserts that something is refused with a code, a sentence, a remedy, and of which nodes."""
    try:
        ask()
    except DatenraumError as error:
        assert error.code == code and message in error.message and error.remedy, (error.code, error.message, error.remedy)
        assert "[FlightSQL]" not in str(error) and "DoGet" not in str(error), error
        if nodes is not None:
            assert {node["node"]: node["problem"] for node in error.nodes} == nodes, error.nodes
        return error
    raise AssertionError(f"not refused with {code}")


def close(found, expected, far):
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape and np.all(np.abs(found - expected) <= far), (found, expected)


def audited(program, sandbox):
    """How often each node was asked anything."""
    shown = [subprocess.run([program, "audit", "show", sandbox / "nodes" / node], check=True, capture_output=True, text=True) for node in NODES]
    return [one.stdout.count("\n#") for one in shown], "".join(one.stdout for one in shown)


def gateways(sandbox):
    """The ids of gateways in front of a sandbox."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in listed.splitlines() if "gateway run" in line and str(sandbox) in line]


def who_may(program, sandbox):
    """Nothing is answered without the token, the purpose, or a gateway; and a gateway ends with what started it."""
    refused("E_FILE_MISSING", lambda: Connection.sandbox(sandbox, program="/nowhere/datenraum"))
    refused("E_SANDBOX_DOWN", lambda: Connection.sandbox(sandbox.parent / "none", program=program))
    refused("E_FILE_MISSING", lambda: datenraum.connect(token_file=sandbox / "none.token"))
    with Connection.sandbox(sandbox, program=program) as without_purpose:
        assert len(gateways(sandbox)) == 1
        running = without_purpose._gateway
        refused("E_GATEWAY_TOKEN", lambda: datenraum.connect(running.address, "0" * 50).query("SELECT 1"))
        refused("E_GATEWAY_TOKEN", lambda: datenraum.connect(running.address, "0" * 50).glm("heart", LOGIT))
        error = refused("E_NO_PERMISSION", lambda: without_purpose.glm("heart", LOGIT), "names no purpose")
        assert error.nodes == []
        second = datenraum.connect(running.address.removeprefix("grpc+tcp://"), token_file=running.token_file, purpose="ehds-54-b")
        refused("E_PROHIBITED", lambda: second.glm("heart", LOGIT))
        refused("E_OPTION", lambda: datenraum.connect(running.address, token_file=running.token_file, purpose="fun").query("SELECT 1"))
        second.close()
    assert gateways(sandbox) == []
    refused("E_UNREACHABLE", lambda: datenraum.connect(running.address, "0" * 50).query("SELECT 1"))
    forgotten = Connection.sandbox(sandbox, program=program)
    assert len(gateways(sandbox)) == 1
    del forgotten
    gc.collect()
    assert gateways(sandbox) == []


def what_is_wrong(hearts):
    refused("E_SQL_COLUMN", lambda: hearts.glm("heart", "disease ~ agee"), "agee", {})
    refused("E_SQL_COLLECTION", lambda: hearts.glm("hearts", "disease ~ age"), "hearts", {})
    error = refused("E_MODEL_FORMULA", lambda: hearts.glm("heart", "disease ~ age +"), "expected", {})
    assert error.message.splitlines()[-1].strip() == "^", error.message
    refused("E_MODEL_FORMULA", lambda: hearts.glm("heart", "disease ~ age", family="binominal"), "binominal")
    refused("E_MODEL_FORMULA", lambda: hearts.glm("heart", "disease ~ age', fit => 'x"), "", {})
    refused("E_SQL_SYNTAX", lambda: hearts.query("SELECT * FROM glm(collection => heart)"), "quotes")
    refused("E_SQL_NOT_ALLOWED", lambda: hearts.query(f"{GLM} WHERE p < 0.05"), "nothing can follow")
    refused("E_SQL_NOT_ALLOWED", lambda: hearts.query("SELECT days FROM (SELECT days FROM heart) AS d, glm(x => 'y')"))
    refused("E_PARAMETERS", lambda: hearts.query(GLM, (1,)))
    refused("E_MODEL_DISCLOSURE", lambda: hearts.glm("heart", "disease ~ age", family="binomial", nodes=["north"]), "2 nodes")
    # Purpose and permit are of the connection: a statement cannot say them.
    refused("E_MODEL_FORMULA", lambda: hearts.query(GLM.replace("family => 'binomial'", "purpose => 'ehds-54-b'")), "no option purpose")
    rows = {node: "E_NO_PERMISSION" for node in NODES}
    refused("E_NO_PERMISSION", lambda: hearts.query("SELECT days FROM heart"), "single rows", rows)
    refused("E_SQL_COLUMN", lambda: hearts.describe("heart", ["age", "heigth"]), "heigth", {})


def statements(program, sandbox, hearts):
    """A statement is told of in its columns before anybody is asked; who took part, after."""
    before, _ = audited(program, sandbox)
    with hearts._adbc.cursor() as cursor:
        cursor.adbc_prepare(GLM)
        schema = cursor.adbc_execute_schema(GLM)
        cursor.adbc_execute_partitions(GLM)
    columns = ["term", "estimate", "std_error", "statistic", "p", "ci_low", "ci_high"]
    assert schema.names == columns, schema.names
    assert audited(program, sandbox)[0] == before, "nodes were asked before the answer was fetched"
    frame = hearts.query(GLM)
    assert list(frame) == columns and frame.term.tolist() == ["(Intercept)", "age"]
    assert [(node["node"], node["status"]) for node in frame.attrs["coverage"]] == [(node, "answered") for node in NODES]
    asked, shown = audited(program, sandbox)
    # A fit is two entries, its beginning and its end.
    assert asked == [count + 2 for count in before] and "FIT glm(" in shown, shown
    coverage = hearts.query("SELECT node, status, query_id FROM datenraum.coverage ORDER BY node")
    assert coverage.node.tolist() == NODES and coverage.query_id.notna().all()
    receipts = [json.loads(line) for line in Path(frame.attrs["receipts"]).read_text().splitlines()]
    assert len(receipts) == len(NODES)


def describe(hearts, rows):
    found = hearts.describe("heart", ["age", "bmi", "smoker"], by="sex")
    for column in ["age", "bmi"]:
        for sex, group in rows.groupby("sex"):
            told = found.summary.loc[(column, sex)]
            assert (told["n"], told["missing"]) == (group[column].count(), group[column].isna().sum())
            close([told["mean"], told["sd"]], [group[column].mean(), group[column].std()], 1e-9)
    counted = {key[1:]: n for key, n in found.counts["n"].items()}
    expected = rows.assign(smoker=rows.smoker.map({0: "false", 1: "true"})).groupby(["sex", "smoker"]).size()
    assert counted == expected.to_dict()
    assert [node["status"] for node in found.coverage] == ["answered"] * 3
    open_ones = found.summary.attrs["intervals"]
    # Of age all bins were released; of the lowest of bmi, in which few people are, not by all.
    assert {one["column"] for one in open_ones} == {"q25", "median", "q75"}
    assert {found.summary.index[one["row"]][0] for one in open_ones if one["nodes"]} == {"bmi"}
    for one in open_ones:
        assert one["low"] <= found.summary.iloc[one["row"]][one["column"]] <= one["high"]
    whole = hearts.describe("heart", "age", where="sex = 'male'", histogram=True)
    assert whole.summary.loc["age", "n"] == (rows.sex == "male").sum() == whole.counts["n"].sum()
    assert whole.counts.index.names == ["column", "value"]


def glm(hearts, rows):
    for formula, family, theirs in [
        (LOGIT, "binomial", sm.families.Binomial()),
        ("bmi ~ age + sex + disease", "gaussian", sm.families.Gaussian()),
    ]:
        fit = hearts.glm("heart", formula, family=family)
        known = rows.dropna(subset="bmi")
        pooled_fit = smf.glm(formula, known, family=theirs).fit(tol=1e-13, maxiter=100)
        named = {name: name.replace("[male]", "[T.male]").replace("(Intercept)", "Intercept") for name in fit.params.index}
        expected = list(named.values())
        assert sorted(expected) == sorted(pooled_fit.params.index)
        close(fit.params, pooled_fit.params[expected], 1e-8)
        close(fit.bse / pooled_fit.bse[expected].to_numpy(), np.ones(len(expected)), 1e-6)
        close(fit.cov_params(), pooled_fit.cov_params().loc[expected, expected], 1e-8)
        close([fit.deviance, fit.llf, fit.scale], [pooled_fit.deviance, pooled_fit.llf, pooled_fit.scale], 1e-6)
        assert (fit.n, fit.dropped, fit.df_resid) == (len(known), len(rows) - len(known), pooled_fit.df_resid)
        assert fit.dropped_by_node == rows[rows.bmi.isna()].groupby("node").size().to_dict()
        assert fit.nodes == NODES and fit.steps <= 10
        if family == "binomial":
            close(fit.conf_int(), pooled_fit.conf_int().loc[expected], 1e-8)
            close(fit.pvalues, pooled_fit.pvalues[expected], 1e-8)
            close(fit.aic, pooled_fit.aic, 1e-6)
        for said in [formula, "bmi" if family == "binomial" else "sex[male]", f"rows {fit.n}", "3 of 3 nodes"]:
            assert said in fit.summary(), fit.summary()
    older = hearts.glm("heart", "disease ~ age", family="binomial", where="age >= 50")
    theirs = smf.glm("disease ~ age", rows[rows.age >= 50], family=sm.families.Binomial()).fit(tol=1e-13, maxiter=100)
    close(older.params, theirs.params, 1e-8)


def cox(hearts, rows):
    known = rows.dropna(subset="bmi")
    for ties in ["efron", "breslow"]:
        fit = hearts.cox("heart", SURVIVAL, ties=ties, check="log", complete=["bmi"])
        formula = "days ~ age + C(sex) + smoker"
        theirs = smf.phreg(formula, known, status=known.died.to_numpy(), strata=known.node.to_numpy(), ties=ties).fit(disp=0)
        names = theirs.model.exog_names
        order = [names.index(name) for name in ["age", "C(sex)[T.male]", "smoker"]]
        assert fit.params.index.tolist() == ["age", "sex[male]", "smoker"]
        close(fit.params, theirs.params[order], 1e-8)
        close(fit.bse, theirs.bse[order], 1e-8)
        close(fit.hazard_ratios["hazard_ratio"], np.exp(theirs.params[order]), 1e-8)
        close(fit.llf, theirs.llf, 1e-6)
        assert (fit.n, fit.events) == (len(known), known.died.sum())
        assert fit.proportional.index.tolist() == ["age", "sex", "smoker", "GLOBAL"]
        assert fit.proportional.p.between(0, 1).all()
    return fit


def plot(fits):
    for fit, label, scale in fits:
        axes = fit.plot()
        assert (axes.get_xlabel(), axes.get_xscale()) == (label, scale)
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == [name for name in fit.params.index if name != "(Intercept)"], names
        points = axes.lines[1].get_xdata()
        shown = fit.params.drop("(Intercept)", errors="ignore")
        close(points, shown if scale == "linear" else np.exp(shown), 1e-12)
        assert "3 of 3 nodes" in axes.get_title()


def without_a_node(program, sandbox):
    """A fit without a node only if the statement and the connection allow it."""
    subprocess.run([program, "sandbox", "down", sandbox, "--node", "west"], check=True, stdout=subprocess.DEVNULL)
    gone = {"west": "E_UNREACHABLE"}
    with Connection.sandbox(sandbox, purpose=RESEARCH, program=program) as strict:
        refused("E_UNREACHABLE", lambda: strict.glm("heart", LOGIT, family="binomial"), "west", gone)
        before, _ = audited(program, sandbox)
        refused("E_PARTIAL", lambda: strict.glm("heart", LOGIT, family="binomial", without_missing=True), "how many are enough", {})
        assert audited(program, sandbox)[0] == before, "it was asked all the same"
        error = refused("E_PARTIAL", lambda: strict.describe("heart", "age"), "2 of 3")
        assert [node["node"] for node in error.nodes] == NODES
    with Connection.sandbox(sandbox, purpose=RESEARCH, minimum_nodes=3, program=program) as three:
        refused("E_PARTIAL", lambda: three.glm("heart", LOGIT, family="binomial", without_missing=True), "at least 3")
    with Connection.sandbox(sandbox, purpose=RESEARCH, minimum_nodes=2, program=program) as two:
        refused("E_UNREACHABLE", lambda: two.glm("heart", LOGIT, family="binomial"), "west", gone)
        fit = two.glm("heart", LOGIT, family="binomial", without_missing=True)
        assert fit.nodes == ["north", "south"] and "west unreachable" in fit.summary(), fit.summary()


def notebook(program, place, sandbox):
    """The notebook as it stands. What cells once showed is not kept in the repository, where it would grow old."""
    file = EXAMPLES / "first-steps.ipynb"
    cells = nbformat.read(file, as_version=4)
    nbformat.validate(cells)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells.cells), "clear its outputs"
    os.environ.update(
        DATENRAUM=str(program),
        DATENRAUM_SANDBOX=str(sandbox),
        MPLCONFIGDIR=str(place / "matplotlib"),
        IPYTHONDIR=str(place / "ipython"),
    )
    # The kernel is spoken to over files that nobody else can open, not over ports.
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=str(place / "kernel.json"), ip=str(place / "kernel"))
    client = nbclient.NotebookClient(cells, km=kernel, timeout=120, resources={"metadata": {"path": str(EXAMPLES)}})
    client.execute(cleanup_kc=True)
    plots = sum("image/png" in output.get("data", {}) for cell in cells.cells for output in cell.get("outputs", []))
    assert plots == 2, f"{plots} plots"
    assert gateways(sandbox) == [], "the notebook left a gateway"


def r(program, sandbox):
    """The R example, where R and its package jsonlite are installed."""
    if not shutil.which("Rscript") or subprocess.run(["Rscript", "-e", "library(jsonlite)"], capture_output=True).returncode != 0:
        return "SKIPPED: the R example needs R and jsonlite (apt-get install r-base-core r-cran-jsonlite)"
    words = ["Rscript", PROJECT / "examples/r/glm.R", sandbox]
    ended = subprocess.run(words, env={**os.environ, "DATENRAUM": str(program)}, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert re.search(r"sex\[male\]\s+0\.496", ended.stdout) and "west" in ended.stdout, ended.stdout
    return "ok"


def main(program):
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="datenraum-package-"))
    sandbox = place / "sandbox"
    try:
        subprocess.run([sys.executable, EXAMPLES / "hearts/people.py", place], check=True)
        subprocess.run([program, "sandbox", "up", place / "spec.toml", "--dir", sandbox], check=True, stdout=subprocess.DEVNULL)
        rows = pooled(place)
        who_may(program, sandbox)
        with Connection.sandbox(sandbox, purpose=RESEARCH, program=program) as hearts:
            what_is_wrong(hearts)
            statements(program, sandbox, hearts)
            describe(hearts, rows)
            glm(hearts, rows)
            hazards = cox(hearts, rows)
            logit = hearts.glm("heart", LOGIT, family="binomial")
            plot([(logit, "estimate (95 %)", "linear"), (hazards, "hazard ratio (95 %)", "log")])
        notebook(program, place, sandbox)
        print(f"Python package and its notebook: ok ({time.monotonic() - began:.1f} s)", flush=True)
        print(f"R example: {r(program, sandbox)}", flush=True)
        without_a_node(program, sandbox)
    finally:
        subprocess.run([program, "sandbox", "down", sandbox], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


main(Path(sys.argv[1]).resolve())
