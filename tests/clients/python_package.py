"""The Python package against a sandbox of its own: three hospitals with people who are made up.

What is refused, what is told of it, and that statistics and models are those of the pooled rows, as pandas, scipy and statsmodels find them.
Then the notebook in clients/python/examples, from its beginning to its end.

    python_package.py PROGRAM      the program `datenraum`
"""

import gc
import json
import math
import os
import re
import shutil
import signal
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
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import StratifiedTable

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
    # One that is killed cannot end its gateway: the gateway sees it.
    opens = f"import datenraum, time; c = datenraum.Connection.sandbox({str(sandbox)!r}, program={str(program)!r}); print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", opens], stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"1\n" and len(gateways(sandbox)) == 1
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    until = time.monotonic() + 20
    while gateways(sandbox) and time.monotonic() < until:
        time.sleep(0.1)
    assert gateways(sandbox) == [], "the gateway of a Python that was killed still runs"


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
    refused("E_USAGE", lambda: hearts.describe("heart", ["age", "sex"], by="sex"), "sex twice", {})
    refused("E_USAGE", lambda: hearts.crosstab("heart", "sex", "smoker", strata="sex"), "sex twice", {})
    refused("E_USAGE", lambda: hearts.survival("heart", "days", "died", method="km"), "method")
    error = refused("E_USAGE", lambda: hearts.query("SELECT * FROM survival(collection => 'heart', tim => 'days', event => 'died')"), "no option tim")
    assert "did you mean time?" in error.remedy and "event_value" in error.remedy
    refused("E_SQL_ROLE", lambda: hearts.compare("heart", "sex", "smoker"), "numbers are needed", {})
    refused("E_SQL_COLUMN", lambda: hearts.survival("heart", "days", "died', x => 'y"), "died", {})
    refused("E_USAGE", lambda: hearts.correlate("heart", "age"), "one column alone", {})
    refused("E_USAGE", lambda: hearts.rates("heart", "/tmp/people.csv", by="sex"), "reads no files")
    refused("E_OWN_FILE", lambda: hearts.rates("heart", pd.DataFrame({"sex": ["male"]}), by="sex"), "no column population")
    refused("E_MODEL_FORMULA", lambda: hearts.pca("heart", "age, sex"), "sex", {})
    refused("E_MODEL_FORMULA", lambda: hearts.kmeans("heart", "age, bmi", 1), "1 clusters", {})
    refused("E_MODEL_FORMULA", lambda: hearts.penalised("heart", LOGIT, penalty="lasso", lambdas=[-1]), "", {})
    refused("E_MODEL_FORMULA", lambda: hearts.train("heart", "disease ~ age", loss="hinge"), "loss", {})
    refused("E_STATISTIC", lambda: hearts.meta_of(pd.DataFrame({"estimate": [0.2], "std_error": [0.1]})), "fewer than two")
    for wrong in [lambda: hearts.glm("heart", LOGIT, node="north"), lambda: hearts.meta_of({})]:
        try:
            wrong()
        except (TypeError, ValueError) as error:
            assert "node" in str(error) or "term" in str(error), error
        else:
            raise AssertionError("it was not refused")


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


def alike(one, other):
    """Whether two results are the same but for the last digits of sums that were added in another order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return one == other


def in_a_call(where):
    """What the command says of its condition, as a call has it."""
    return "where => '" + where[1].replace("'", "''") + "'"


def as_the_command(program, sandbox, hearts):
    """Each table has the rows and columns that the command of its name prints as JSON, and its facts are what that has beside them."""
    for analysis, options in [
        ("survival", {"time": "days", "event": "died", "by": "sex"}),
        ("crosstab", {"rows": "smoker", "columns": "disease", "strata": "node"}),
        ("crosstab", {"rows": "bmi", "columns": "disease"}),
        ("compare", {"outcome": "age", "by": "sex", "ranks": "true"}),
        ("compare", {"outcome": "bmi", "by": "node"}),
        ("correlate", {"columns": "age,disease,died", "complete": "true"}),
        ("rates", {"cases": "disease", "population": "days", "by": "sex"}),
        ("meta", {"outcome": "age"}),
    ]:
        words = [word for name, value in options.items() for word in ([f"--{name}"] if value == "true" else [f"--{name}", value])]
        words = [program, analysis, "--sandbox", sandbox, "--purpose", RESEARCH, "--collection", "heart", "--format", "json", *words]
        said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        said["notes"] = [re.sub('--where "(.*?)"', in_a_call, note) for note in said["notes"]]
        table, told = hearts._call(analysis, collection="heart", **options)
        shown = said.pop("rows")
        for row in shown:
            row.pop("bins", None)
        opened = {(at, name): ends for at, row in enumerate(shown) for name, ends in row.pop("open", {}).items()}
        if analysis == "meta":
            shown += told.facts.get("terms", []) or said.pop("terms")
            table = table.drop(columns="kind")
        assert len(table) == len(shown), (analysis, table, shown)
        for (_, found), row in zip(table.iterrows(), shown, strict=True):
            for name, value in found.items():
                expected = row.pop(name, None)
                same = pd.isna(value) if expected is None else alike(value, expected)
                assert same, (analysis, name, value, expected)
            assert not row, (analysis, row)
        intervals = {(one["row"], one["column"]): {"low": one["low"], "high": one["high"]} for one in told.attrs["intervals"]}
        assert alike(intervals, opened), (analysis, intervals, opened)
        for name in ["questions", "query_ids", "coverage", "receipts"]:
            said.pop(name)
        assert alike({name: told.facts[name] for name in said}, said), (analysis, said, told.facts)


def life_table(days, died, edges):
    """What the actuarial life table says at the end of each bin: at risk, events, censored, survival, its standard error."""
    bins = pd.cut(days, edges, right=False, labels=False)
    lines, risk, left, greenwood = [], len(days), 1.0, 0.0
    for bin in range(int(bins.max()) + 1):
        events, censored = int(died[bins == bin].sum()), int((1 - died[bins == bin]).sum())
        exposed = risk - censored / 2
        left *= 1 - events / exposed
        greenwood += events / (exposed * (exposed - events))
        lines.append((edges[bin + 1], risk, events, censored, left, left * np.sqrt(greenwood)))
        risk -= events + censored
    return pd.DataFrame(lines, columns=["time", "n_risk", "n_event", "n_censor", "survival", "std_error"]).set_index("time")


def survival(hearts, rows):
    edges = [1, 366, 731, 1096, 1461, 1827]
    whole = hearts.survival("heart", "days", "died")
    expected = life_table(rows.days, rows.died, edges)
    assert whole.curve.attrs["coverage"] == whole.coverage and whole.curve.index.name == "time"
    for name in expected:
        close(whole.curve[name], expected[name], 1e-9)
    z = stats.norm.ppf(0.975)
    reach = z * expected.std_error / expected.survival
    close(whole.curve.ci_low, expected.survival * np.exp(-reach), 1e-9)
    assert whole.log_rank is None and any("actuarial" in note for note in whole.notes)
    by = hearts.survival("heart", "days", "died", by="disease")
    assert by.curve.index.names == ["group", "time"]
    for group, people in rows.groupby("disease"):
        expected = life_table(people.days, people.died, edges)
        found = by.curve.loc[str(group)]
        known = found.survival.notna()
        close(found.survival[known], expected.survival[found.index][known], 1e-9)
        # Where nodes told of some not what became of them, there is no number, and the truth is between the bounds.
        assert ((found.bound_low <= expected.survival[found.index] + 1e-9) & (expected.survival[found.index] <= found.bound_high + 1e-9)).all()
    withheld = by.curve.survival.isna().any()
    assert (by.log_rank is None) == withheld and any("no log-rank test" in note for note in by.notes) == withheld, by
    return whole, by


def crosstab(hearts, rows):
    found = hearts.crosstab("heart", "smoker", "disease", strata="node")
    counts = pd.crosstab(rows.smoker, rows.disease).to_numpy()
    assert found.counts.to_numpy().tolist() == counts.tolist() and found.n == len(rows) and found.dropped == 0
    chi, p, df, expected = stats.chi2_contingency(counts, correction=False)
    g, p_g, _, _ = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    tests = found.tests
    assert tests.columns.tolist() == ["statistic", "df", "p"]
    close(tests.loc["Pearson chi-squared"], [chi, df, p], 1e-9)
    close(tests.loc["G"], [g, df, p_g], 1e-9)
    close(tests.loc["Fisher, exact", "p"], stats.fisher_exact(counts).pvalue, 1e-9)
    close(found.expected, expected, 1e-9)
    strata = StratifiedTable([pd.crosstab(group.smoker, group.disease).to_numpy() for _, group in rows.groupby("node")])
    (common,) = found.common_odds_ratio.itertuples()
    close([common.estimate, common.log_std_error], [strata.oddsratio_pooled, strata.logodds_pooled_se], 1e-9)
    # Of few people with a low index nodes told not all: there is a table, what it can be, and no test.
    open_one = hearts.crosstab("heart", "bmi", "disease")
    assert open_one.tests.empty and open_one.n is None and any("no test" in note for note in open_one.notes), open_one
    edges = [15, 20, 25, 30, 60]
    bins = pd.cut(rows.bmi, edges, right=False, labels=[f"[{low}, {high})" for low, high in zip(edges, edges[1:], strict=False)])
    truth = pd.crosstab(bins, rows.disease)
    opened = {one["row"]: one for one in open_one.cells.attrs["intervals"]}
    assert opened
    for at, ((bmi, disease), cell) in enumerate(open_one.cells.iterrows()):
        count = truth.loc[bmi, int(disease)]
        assert cell.n <= opened[at]["low"] <= count if at in opened else cell.n == count, (bmi, disease, cell, count)


def compare(hearts, rows):
    found = hearts.compare("heart", "age", "disease", ranks=True)
    well, ill = (rows.age[rows.disease == disease] for disease in (0, 1))
    close(found.groups.loc["1"], [len(ill), ill.mean(), ill.std()], 1e-9)
    for name, equal in [("Welch t", False), ("Student t", True)]:
        theirs = stats.ttest_ind(well, ill, equal_var=equal)
        close(found.tests.loc[name, ["t", "p", "df"]], [theirs.statistic, theirs.pvalue, theirs.df], 1e-9)
        close(found.tests.loc[name, ["ci_low", "ci_high"]], list(theirs.confidence_interval()), 1e-9)
    # Of few young people with the disease nodes do not tell: ranks of the others would be those of other people.
    assert found.rank_tests.empty and any("no test of ranks" in note for note in found.notes), found
    found = hearts.compare("heart", "age", "sex", ranks=True)
    binned = [pd.cut(group.age, [30, 40, 50, 60, 70, 80], right=False, labels=False) for _, group in rows.groupby("sex")]
    theirs = stats.mannwhitneyu(*binned, method="asymptotic")
    (ranks,) = found.rank_tests.itertuples()
    close([ranks.u, ranks.p], [theirs.statistic, theirs.pvalue], 1e-9)
    known = rows.dropna(subset="bmi")
    several = hearts.compare("heart", "bmi", "node")
    theirs = stats.f_oneway(*(group.bmi for _, group in known.groupby("node")))
    close(several.anova.loc["between groups", ["f", "p"]], [theirs.statistic, theirs.pvalue], 1e-9)
    assert several.tests.empty and several.dropped == rows.bmi.isna().sum()


def correlate(hearts, rows):
    columns = ["age", "disease", "died"]
    for complete in [False, True]:
        found = hearts.correlate("heart", columns, complete=complete)
        close(found.matrix, rows[columns].corr(), 1e-9)
        for (one, other), pair in found.pairs.iterrows():
            theirs = stats.pearsonr(rows[one], rows[other])
            ci = theirs.confidence_interval()
            close(pair[["r", "p", "n", "ci_low", "ci_high"]], [theirs.statistic, theirs.pvalue, len(rows), ci.low, ci.high], 1e-9)
    # Of a column that nothing can be filtered by, nodes cannot say in which rows it is known.
    refused("E_SQL_ROLE", lambda: hearts.correlate("heart", ["age", "bmi"]), "bmi cannot be filtered")
    assert found.pairs.attrs["coverage"] == found.coverage


def rates(hearts, rows):
    ages = [f"[{low}, {low + 10})" for low in range(30, 80, 10)]
    people = pd.DataFrame([(sex, age, 40_000 + 1_000 * at) for sex in ("female", "male") for at, age in enumerate(ages)])
    people.columns = ["sex", "age", "population"]
    found = hearts.rates("heart", people, by="sex", age="age", standard="european-2013", per=1000)
    weights = np.array([13_500, 14_000, 13_500, 11_500, 9_000])
    for sex, group in rows.groupby("sex"):
        counts = pd.cut(group.age, range(30, 90, 10), right=False).value_counts(sort=False).to_numpy()
        inhabitants = people.population[people.sex == sex].to_numpy()
        rate = found.rates.loc[sex]
        assert (rate.cases, rate.people) == (len(group), inhabitants.sum())
        exact = stats.chi2.ppf([0.025, 0.975], [2 * len(group), 2 * len(group) + 2]) / 2
        close(rate[["crude", "crude_ci_low", "crude_ci_high"]], 1000 * np.array([len(group), *exact]) / inhabitants.sum(), 1e-9)
        close(rate.standardised, 1000 * (weights * counts / inhabitants).sum() / weights.sum(), 1e-9)
        share = weights / weights.sum() / inhabitants
        mean, variance, most = (share * counts).sum(), (share**2 * counts).sum(), share.max()
        low = stats.gamma.ppf(0.025, mean**2 / variance, scale=variance / mean)
        above, wider = mean + most, variance + most**2
        high = stats.gamma.ppf(0.975, above**2 / wider, scale=wider / above)
        close(rate[["ci_low", "ci_high"]], 1000 * np.array([low, high]), 1e-8)
    by_days = hearts.rates("heart", "days", cases="disease", by="sex", per=36525)
    for sex, group in rows.groupby("sex"):
        close(by_days.rates.loc[sex, "crude"], 36525 * group.disease.sum() / group.days.sum(), 1e-9)


def meta(hearts, rows):
    for outcome in ["age", "days"]:
        found = hearts.meta("heart", outcome)
        of_nodes = rows.groupby("node")[outcome]
        effects, variances = of_nodes.mean().to_numpy(), (of_nodes.var() / of_nodes.count()).to_numpy()
        close(found.sites.estimate, effects, 1e-9)
        close(found.sites.std_error, np.sqrt(variances), 1e-9)

        def pooled_with(tau_squared, effects=effects, variances=variances):
            weights = 1 / (variances + tau_squared)
            return (weights * effects).sum() / weights.sum(), 1 / np.sqrt(weights.sum()), weights

        mean, error, weights = pooled_with(0.0)
        close(found.pooled.loc["fixed effect", ["estimate", "std_error"]], [mean, error], 1e-9)
        q, df = (weights * (effects - mean) ** 2).sum(), len(effects) - 1
        close([found.q, found.p_q, found.i_squared], [q, stats.chi2.sf(q, df), max(0, 1 - df / q)], 1e-9)
        laird = max(0, (q - df) / (weights.sum() - (weights**2).sum() / weights.sum()))
        close(found.tau_squared_dl, laird, 1e-7)
        told = found.pooled.loc["random effects (DerSimonian-Laird)", ["estimate", "std_error"]]
        close(told, pooled_with(laird)[:2], 1e-7)

        def minus_restricted(tau_squared, effects=effects, pooled_with=pooled_with):
            mean, error, weights = pooled_with(tau_squared)
            return 0.5 * (-np.log(weights).sum() - 2 * np.log(error) + (weights * (effects - mean) ** 2).sum())

        best = optimize.minimize_scalar(minus_restricted, bounds=(0, 10 * variances.max()), method="bounded", options={"xatol": 1e-9})
        reml = 0.0 if minus_restricted(0) <= best.fun else best.x
        close(found.tau_squared_reml, reml, 1e-4 * variances.max())
    # The same estimates from here, and those of models.
    again = hearts.meta_of(found.sites)
    close(again.pooled, found.pooled.to_numpy(), 1e-12)
    assert again.coverage == [] and again.sites.index.tolist() == found.sites.index.tolist()
    of_sexes = {sex: hearts.glm("heart", "days ~ age", where=f"sex = '{sex}'") for sex in ["female", "male"]}
    effects = np.array([fit.params["age"] for fit in of_sexes.values()])
    weights = np.array([fit.bse["age"] ** -2 for fit in of_sexes.values()])
    slopes = hearts.meta_of(of_sexes, "age")
    told = slopes.pooled.loc["fixed effect", ["estimate", "std_error"]]
    close(told, [(weights * effects).sum() / weights.sum(), weights.sum() ** -0.5], 1e-9)
    assert slopes.sites.n.tolist() == [fit.n for fit in of_sexes.values()]
    return found


def penalised(hearts, rows):
    names, formula = ["age", "smoker", "bmi"], "disease ~ age + smoker + bmi"
    known = rows.dropna(subset="bmi")
    columns = known[names].to_numpy(float)
    spread = columns.std(axis=0)
    for penalty, mixing in [("ridge", 0.0), ("lasso", 1.0), ("elastic-net", 0.3)]:
        lambdas = [0.2, 0.02]
        said = mixing if penalty == "elastic-net" else None
        fit = hearts.penalised("heart", formula, penalty=penalty, lambdas=lambdas, mixing=said, family="binomial")
        assert fit.params.index.tolist() == ["(Intercept)", *names] and fit.params.columns.tolist() == lambdas
        assert (fit.n, fit.mixing) == (len(known), mixing)
        for strength in lambdas:
            found = fit.params[strength]
            slopes = found[names].to_numpy()
            chance = 1 / (1 + np.exp(-(found["(Intercept)"] + columns @ slopes)))
            # What minimises has these derivatives; at 0 the absolute value has any from -1 to 1.
            pull = columns.T @ (known.disease - chance) / len(known) / spread
            drawn = strength * (1 - mixing) * slopes * spread
            close((known.disease - chance).mean(), 0, 1e-7)
            at_zero = (slopes == 0) & (mixing > 0)
            close((pull - drawn - strength * mixing * np.sign(slopes))[~at_zero], np.zeros((~at_zero).sum()), 1e-6)
            assert np.all(np.abs(pull[at_zero]) <= strength * mixing + 1e-7)
            assert fit.path.loc[strength, "nonzero"] == np.count_nonzero(slopes)
        if penalty == "lasso":
            assert (fit.params[0.2] == 0).any()


def pca(hearts, rows):
    names = ["age", "bmi", "days"]
    known = rows.dropna(subset="bmi")[names]
    for of, matrix in [("correlation", known.corr()), ("covariance", known.cov())]:
        found = hearts.pca("heart", names, of=of)
        values, vectors = np.linalg.eigh(matrix)
        close(found.components.eigenvalue / values[::-1], np.ones(3), 1e-9)
        close(found.components.explained, values[::-1] / values.sum(), 1e-9)
        theirs = vectors[:, ::-1]
        theirs = theirs * np.sign(theirs[np.abs(theirs).argmax(axis=0), range(3)])
        close(found.loadings.loc[names, ["PC1", "PC2", "PC3"]], theirs, 1e-7)
        close(found.variables.loc[names], known.agg(["mean", "std"]).T, 1e-9)
        assert found.n == len(known) and found.dropped == rows.bmi.isna().sum()


def kmeans(hearts, rows):
    names = ["age", "bmi"]
    known = rows.dropna(subset="bmi")[names]
    found = hearts.kmeans("heart", names, 2, tolerance=0.3)
    assert found.centres.columns.tolist() == names and found.clusters["size"].sum() == found.n == len(known)
    spread = known.std()
    close(found.total, ((known - known.mean()) ** 2 / spread**2).sum().sum(), 1e-6)
    # The next step of Lloyd's way moves no centre by more than the tolerance.
    far = [(((known - centre) / spread) ** 2).sum(axis=1) for _, centre in found.centres.iterrows()]
    nearest = np.argmin(far, axis=0)
    for cluster, (_, centre) in enumerate(found.centres.iterrows()):
        moved = (known[nearest == cluster].mean() - centre) / spread
        assert np.sqrt((moved**2).sum()) <= 0.3, moved


def train(hearts, rows):
    known = rows.dropna(subset="bmi")
    inputs = known[["age", "bmi"]].to_numpy(float)
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    outcome = known.disease.to_numpy()

    def loss_and_gradient(parameters):
        """Of two units of tanh and one output, by numbers that are moved a little."""

        def loss(p):
            hidden = np.tanh(inputs @ p[:6].reshape(2, 3)[:, :2].T + p[:6].reshape(2, 3)[:, 2])
            score = hidden @ p[6:8] + p[8]
            return np.mean(np.logaddexp(0, score) - outcome * score)

        steps = np.eye(9) * 1e-5
        return loss(parameters), np.array([(loss(parameters + step) - loss(parameters - step)) / 2e-5 for step in steps])

    said = {"loss": "logistic", "hidden": 2, "rate": 0.5, "momentum": 0.0}
    one, two = (hearts.train("heart", "disease ~ age + bmi", rounds=rounds, **said) for rounds in (1, 2))
    assert len(one.losses) == 1 and len(two.losses) == 2 and one.n == len(known) and len(one.parameters) == 9
    close(one.inputs.loc["bmi"], [known.bmi.mean(), known.bmi.std(ddof=0)], 1e-9)
    loss, gradient = loss_and_gradient(one.parameters.to_numpy())
    close(two.losses[2], loss, 1e-9)
    close(two.parameters, one.parameters - 0.5 * gradient, 1e-7)


def plot_studies(whole, by, pooled_one):
    axes = whole.plot()
    assert axes.get_ylabel() == "share without the event"
    (line,) = axes.lines
    close(line.get_xdata(), [0, *whole.curve.index], 0)
    close(line.get_ydata(), [1, *whole.curve.survival], 0)
    assert len(axes.collections) == 1, "no interval"
    labels = [text.get_text() for text in by.plot().get_legend().get_texts()]
    assert {label.split()[0] for label in labels} == {"0", "1"}, labels
    axes = pooled_one.plot()
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[:3] == NODES and names[3] == "fixed effect", names
    close(axes.lines[0].get_xdata()[:3], pooled_one.sites.estimate, 0)


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
        before, _ = audited(program, sandbox)
        of_two = lambda: three.glm("heart", LOGIT, family="binomial", nodes=["north", "south"])  # noqa: E731
        refused("E_PARTIAL", of_two, "over 2 nodes", {})
        assert audited(program, sandbox)[0] == before, "it was asked all the same"
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
            as_the_command(program, sandbox, hearts)
            curves = survival(hearts, rows)
            crosstab(hearts, rows)
            compare(hearts, rows)
            correlate(hearts, rows)
            rates(hearts, rows)
            pooled_one = meta(hearts, rows)
            for model in [penalised, pca, kmeans, train]:
                model(hearts, rows)
            plot_studies(*curves, pooled_one)
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
