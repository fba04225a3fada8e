"""Reads the SQL of a data user, and the values of a collection, for disclosure.py.

It is made for queries that Datenraum accepts, and does not say well what is wrong with others: what must be refused is tested
elsewhere. Nothing here comes from Datenraum; the parser is sqlglot.
"""

import datetime
import io
from dataclasses import dataclass, field
from fractions import Fraction

import pandas
import sqlglot
from sqlglot import exp

ONE_COLUMN = {
    exp.Sum: "sum", exp.Avg: "avg", exp.VariancePop: "var_pop", exp.Variance: "var_samp", exp.StddevPop: "stddev_pop",
    exp.Stddev: "stddev_samp", exp.StddevSamp: "stddev_samp",
}
TWO_COLUMNS = {exp.CovarPop: "covar_pop", exp.CovarSamp: "covar_samp", exp.Corr: "corr"}
BY_NAME = {"var": "var_samp", "covar": "covar_samp"}
COUNTS = {"count_rows", "count", "people"}


@dataclass(frozen=True)
class Key:
    """One expression of GROUP BY. `form` is column, bin, unit, case or node."""

    form: str
    column: str
    unit: str = ""
    case: exp.Case | None = None

    def value(self, row, spec):
        """The value that the key has in a row; a bin by its number, counted from 0."""
        raw = row[self.column]
        if self.form == "case":
            return case_result(self.case, row, spec)
        if raw is None:
            return None
        if self.form == "bin":
            return bin_of(raw, spec[self.column]["bins"])
        if self.form == "unit":
            return start_of(raw, self.unit)
        return raw + 0.0 if isinstance(raw, float) else raw  # -0.0 is 0.0

    def shown(self, value, spec):
        """The value as it is printed: truths, dates and timestamps as text."""
        if self.form == "bin" and value is not None:
            low, high = spec[self.column]["bins"][value:value + 2]
            return f"[{shortest(low)}, {shortest(high)})"
        if isinstance(value, bool):
            return "true" if value else "false"
        return value.isoformat() if isinstance(value, datetime.date) else value


@dataclass(frozen=True)
class Aggregate:
    """A function over no, one or two columns; `quantile` has q, as it was written."""

    function: str
    columns: tuple[str, ...] = ()
    filter: exp.Expression | None = None
    q: Fraction | None = None

    @property
    def is_count(self):
        return self.function in COUNTS


@dataclass(frozen=True)
class Join:
    """A collection whose rows are put beside those of the collection asked: where `column` is its `key`."""

    collection: str
    left: bool
    column: str
    key: str


@dataclass
class Question:
    """A query over the columns of the collection: names of inner queries are resolved, their conditions are among the others. A column
    of what is joined is called collection.column."""

    outputs: list[tuple[str, Key | Aggregate | str]]
    conditions: list[exp.Expression]
    keys: list[Key] = field(default_factory=list)
    grouped: bool = False
    joins: list[Join] = field(default_factory=list)

    @property
    def aggregates(self):
        return [what for _, what in self.outputs if isinstance(what, Aggregate)]

    @property
    def lists_rows(self):
        """Only the open tier has it: neither groups nor aggregates."""
        return not self.grouped and not self.aggregates


# --- values --------------------------------------------------------------------------------------------------------

def columns_of(collection):
    """The columns of a collection, and the virtual one."""
    return {**collection["columns"], "node": {"type": "text"}}


def read_table(text, collection):
    """A CSV with typed values; an empty field is NULL. A column that the collection does not have is boolean or text."""
    table = pandas.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).astype(object)
    for name in table.columns:
        typed = TYPES[collection["columns"].get(name, {"type": "hidden"})["type"]]
        table[name] = pandas.Series([None if field == "" else typed(field) for field in table[name]], dtype=object)
    return table


def truth_of(text):
    return {"true": True, "false": False}[text]


TYPES = {
    "text": str, "integer": int, "number": float, "boolean": truth_of, "date": datetime.date.fromisoformat,
    "timestamp": datetime.datetime.fromisoformat, "hidden": lambda text: truth_of(text) if text in ("true", "false") else text,
}


def shortest(edge):
    """40 and not 40.0."""
    return str(int(edge)) if edge == int(edge) else repr(edge)


def bin_of(value, edges):
    return next((at for at, high in enumerate(edges[1:]) if edges[at] <= value < high), None)


def start_of(day, unit):
    """date_trunc: the first day of the calendar unit, at midnight for a timestamp. Weeks start on Monday."""
    first = datetime.date(day.year, day.month, day.day)
    if unit == "week":
        first -= datetime.timedelta(days=first.weekday())
    elif unit != "day":
        months = {"month": 1, "quarter": 3, "year": 12}[unit]
        first = first.replace(month=(day.month - 1) // months * months + 1, day=1)
    return moment(first) if isinstance(day, datetime.datetime) else first


def moment(value):
    """Dates compare with timestamps as midnights."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime.combine(value, datetime.time())
    return value


# --- conditions ----------------------------------------------------------------------------------------------------

def constant(expr, kind):
    """A literal as a value that compares with a column of that type."""
    if isinstance(expr, exp.Neg):
        return -constant(expr.this, kind)
    if isinstance(expr, exp.Boolean):
        return expr.this
    if isinstance(expr, exp.Cast):
        return datetime.datetime.fromisoformat(expr.this.this)
    if not isinstance(expr, exp.Literal):
        raise ValueError(f"no literal: {expr.sql()}")
    if expr.is_string:
        return datetime.datetime.fromisoformat(expr.this) if kind in ("date", "timestamp") else expr.this
    return int(expr.this) if expr.is_int else float(expr.this)


def kind_of(expr, spec):
    return next((spec.get(column.name, {"type": "boolean"})["type"] for column in expr.find_all(exp.Column)), None)


def operand(expr, kind, row):
    return moment(row[expr.name]) if isinstance(expr, exp.Column) else constant(expr, kind)


COMPARE = {
    exp.EQ: lambda a, b: a == b, exp.NEQ: lambda a, b: a != b, exp.LT: lambda a, b: a < b, exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b, exp.GTE: lambda a, b: a >= b,
}


def truth(expr, row, spec):
    """SQL's three truths: True, False, and None for unknown."""
    if isinstance(expr, exp.Paren):
        return truth(expr.this, row, spec)
    if isinstance(expr, exp.Boolean):
        return expr.this
    if isinstance(expr, exp.Column):
        return row[expr.name]
    if isinstance(expr, exp.Not):
        inner = truth(expr.this, row, spec)
        return None if inner is None else not inner
    if isinstance(expr, (exp.And, exp.Or)):
        decides = isinstance(expr, exp.Or)
        sides = [truth(expr.this, row, spec), truth(expr.expression, row, spec)]
        return decides if decides in sides else None if None in sides else not decides
    if isinstance(expr, exp.Is):
        return is_so(expr, row, spec)
    kind = kind_of(expr, spec)
    value = operand(expr.this, kind, row)
    if isinstance(expr, exp.In):
        return None if value is None else value in [constant(one, kind) for one in expr.expressions]
    if isinstance(expr, exp.Between):
        low, high = constant(expr.args["low"], kind), constant(expr.args["high"], kind)
        return None if value is None else low <= value <= high
    other = operand(expr.expression, kind, row)
    return None if value is None or other is None else COMPARE[type(expr)](value, other)


def is_so(expr, row, spec):
    """IS [NOT] NULL, TRUE or FALSE: never unknown."""
    value = truth(expr.this, row, spec)
    right = expr.expression
    same = value is None if isinstance(right, exp.Null) else value is right.this
    return same != bool(expr.args.get("negate"))


def case_result(case, row, spec):
    """The literal that CASE gives, NULL without an ELSE."""
    for branch in case.args["ifs"]:
        asked = branch.this if case.this is None else exp.EQ(this=case.this.copy(), expression=branch.this.copy())
        if truth(asked, row, spec):
            return result(branch.args["true"])
    return result(case.args.get("default"))


def result(expr):
    return None if expr is None or isinstance(expr, exp.Null) else constant(expr, None)


def conjuncts(expr):
    """The conditions that AND joins."""
    if isinstance(expr, exp.Paren):
        return conjuncts(expr.this)
    if isinstance(expr, exp.And):
        return conjuncts(expr.this) + conjuncts(expr.expression)
    return [expr]


def columns_in(expr):
    return {column.name for column in expr.find_all(exp.Column)}


# --- queries -------------------------------------------------------------------------------------------------------

def name_of(identifier):
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def read(sql, collection, permission, others=None):
    """The question that a query asks. `others` are the collections that may be joined, by name."""
    select = sqlglot.parse_one(sql.rstrip().rstrip(";"), dialect="postgres")
    own = {name: name for name in [*collection["columns"], "node"]}
    inner = {name_of(cte.args["alias"].this): cte.this for cte in select.ctes}
    names, conditions, joins = source(select, own, inner, others or {})
    conditions += where(select, names)
    outputs = [pair for expr in select.expressions for pair in output(expr, names, permission)]
    keys, grouped = group_by(select, names, outputs)
    return Question(outputs, conditions, keys, grouped, joins)


def tables_in(sql):
    """The names that a query reads from."""
    return [name_of(table.this) for table in sqlglot.parse_one(sql, dialect="postgres").find_all(exp.Table)]


def source(select, own, inner, others):
    """What each name of FROM means in the collection, the conditions of inner queries, and what is joined."""
    written = {one.this: one for one in select.args.get("joins") or []}
    sides = [select.args["from_"].this, *written]
    (asked,) = [side for side in sides if not is_collection(side, others)]
    names, conditions, joins = of_one(asked, own, inner, others)
    names = {**names, **{f"{asked.alias_or_name}.{name}": column for name, column in names.items() if "." not in name}}
    for side in sides:
        if side is not asked:
            # Written first it is joined to by the one that follows.
            join, beside = joined(side, written.get(side) or written[asked], names, others)
            joins = [*joins, join]
            names = {**beside, **names}
    return names, conditions, joins


def is_collection(side, others):
    return isinstance(side, exp.Table) and name_of(side.this) in others


def joined(side, written, names, others):
    """A join, and what the names of the joined collection mean."""
    name, alias = name_of(side.this), side.alias_or_name
    collection = others[name]
    key = collection.get("key") or collection["privacy_unit"]
    if written.args.get("using"):
        column = names[name_of(written.args["using"][0])]
    else:
        sides = [written.args["on"].this, written.args["on"].expression]
        (own,) = [one for one in sides if one.table != alias]
        column = names[full_name(own)]
    join = Join(name, written.side == "LEFT", column, key)
    means = {one: f"{name}.{one}" for one in collection["columns"]}
    if not join.left:
        means[key] = column
    return join, {**means, **{f"{alias}.{one}": meaning for one, meaning in means.items()}}


def full_name(column):
    return f"{column.table}.{name_of(column.this)}" if column.table else name_of(column.this)


def of_one(table, own, inner, others):
    """The same of one side."""
    if isinstance(table, exp.Subquery):
        select = table.this
    elif name_of(table.this) in inner:
        select = inner[name_of(table.this)]
    else:
        return own, [], []
    names, conditions, joins = source(select, own, inner, others)
    shown = {}
    for expr in select.expressions:
        if isinstance(expr, exp.Star):
            shown.update(names)
        else:
            shown[name_of(expr.args["alias"] if isinstance(expr, exp.Alias) else expr.this)] = resolve(expr.unalias(), names).name
    return shown, conditions + where(select, names), joins


def where(select, names):
    found = select.args.get("where")
    return [] if found is None else conjuncts(resolve(found.this, names))


def resolve(expr, names):
    """The expression over columns of the collection."""
    def replaced(node):
        return exp.column(names[full_name(node)], quoted=True) if isinstance(node, exp.Column) else node
    return expr.copy().transform(replaced)


def output(expr, names, permission):
    """Names and contents of an element of the SELECT list."""
    if isinstance(expr, exp.Star):
        return [(name, names[name]) for name in names if name in permission["columns"]]
    inner = expr.unalias()
    name = name_of(expr.args["alias"]) if isinstance(expr, exp.Alias) else inner.sql(dialect="postgres").lower()
    if isinstance(inner, exp.Column):
        return [(name if isinstance(expr, exp.Alias) else name_of(inner.this), names[full_name(inner)])]
    return [(name, aggregate(resolve(inner, names)) or key(resolve(inner, names)))]


def group_by(select, names, outputs):
    """The keys, each once; in `outputs` a column that is grouped by becomes its key."""
    group = select.args.get("group")
    keys = []
    for expr in [] if group is None else group.expressions:
        one = group_key(expr, names, outputs)
        keys += [] if one in keys else [one]
    if group is not None:
        outputs[:] = [(name, key_of(what) if isinstance(what, str) else what) for name, what in outputs]
    return keys, group is not None


def group_key(expr, names, outputs):
    """A key by its expression, by the number of an output or by its name."""
    if isinstance(expr, exp.Literal) and expr.is_int:
        what = outputs[int(expr.this) - 1][1]
    elif isinstance(expr, exp.Column) and full_name(expr) not in names:
        what = dict(outputs)[name_of(expr.this)]
    else:
        what = key(resolve(expr, names))
    return key_of(what) if isinstance(what, str) else what


def key_of(column):
    return Key("node" if column == "node" else "column", column)


def key(expr):
    if isinstance(expr, exp.Column):
        return key_of(expr.name)
    if isinstance(expr, exp.Case):
        (column,) = columns_in(expr)
        return Key("case", column, case=expr)
    if isinstance(expr, exp.Anonymous) and expr.name.lower() == "bin":
        return Key("bin", expr.expressions[0].name)
    if isinstance(expr, exp.TimestampTrunc):
        return Key("unit", expr.this.name, expr.args["unit"].name.lower())
    raise ValueError(f"no key: {expr.sql()}")


def aggregate(expr):
    """An aggregate, or None if it is none."""
    if isinstance(expr, exp.Filter):
        inner = aggregate(expr.this)
        return Aggregate(inner.function, inner.columns, expr.expression.this, inner.q)
    if isinstance(expr, exp.Count):
        return count(expr.this)
    if isinstance(expr, exp.Median):
        return Aggregate("quantile", (expr.this.name,), q=Fraction(1, 2))
    if type(expr) in ONE_COLUMN:
        return Aggregate(ONE_COLUMN[type(expr)], (expr.this.name,))
    if type(expr) in TWO_COLUMNS:
        return Aggregate(TWO_COLUMNS[type(expr)], (expr.this.name, expr.expression.name))
    if not isinstance(expr, exp.Anonymous) or expr.name.lower() == "bin":
        return None
    if expr.name.lower() == "approx_percentile_cont":
        column, q = expr.expressions
        return Aggregate("quantile", (column.name,), q=Fraction(q.this))
    return Aggregate(BY_NAME[expr.name.lower()], tuple(column.name for column in expr.expressions))


def count(what):
    if isinstance(what, exp.Distinct):
        return Aggregate("people", (what.expressions[0].name,))
    if isinstance(what, exp.Column):
        return Aggregate("count", (what.name,))
    return Aggregate("count_rows")
