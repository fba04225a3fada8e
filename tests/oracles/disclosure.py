"""The rules of docs/disclosure.md, sections 1 to 3, written a second time and without any part of Datenraum.

`answer` says what a node must answer. The words are those of the document; each function names the rule that it is.
Sections 4 (the same people give the same answer) and 5 (versions of the data) are not here: an answer is as if it were the first that the
node gives, from the first data that it has.
"""

import math
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pandas
import sqlglot

from question import Aggregate, Key, bin_of, case_result, columns_in, columns_of, read, truth

FREEDOM_MIN = 10
SPREAD = {"var_pop", "var_samp", "stddev_pop", "stddev_samp"}
PAIR = {"covar_pop", "covar_samp", "corr"}
OF_AMOUNTS = {"sum", "avg"} | SPREAD | PAIR


def answer(sql, table, collection, permission, node, others=None):
    """The answer of a node to `sql` over a table from `question.read_table`: the names of its columns, and its rows. `others` has for
    each collection that may be joined its table, itself and the permission on it."""
    return examine(sql, table, collection, permission, node, others).answer()


def examine(sql, table, collection, permission, node, others=None):
    """The same with the reasons: `Open` or `Statistical`."""
    others = others or {}
    question = read(sql, collection, permission, {name: other for name, (_, other, _) in others.items()})
    rows = visible(table, collection, permission, node)
    spec, tables = columns_of(collection), [permission["disclosure"]]
    for join in question.joins:
        table, other, permission = others[join.collection]
        rows = beside(rows, join, visible(table, other, permission, node))
        spec |= {f"{join.collection}.{name}": column for name, column in other["columns"].items()}
        tables.append(permission["disclosure"])
    if all(one["tier"] == "open" for one in tables):
        return Open(question, rows, spec)
    return Statistical(question, rows, Terms.of(collection, spec, tables))


def beside(rows, join, others):
    """Each row with what it finds in the joined collection; `collection?` says whether it found something."""
    others = pandas.DataFrame(others, dtype=object).drop(columns="node").add_prefix(f"{join.collection}.")
    others[f"{join.collection}?"] = True
    found = pandas.DataFrame(rows, dtype=object).merge(
        others, how="left", left_on=join.column, right_on=f"{join.collection}.{join.key}", validate="many_to_one")
    found = found.astype(object).where(found.notna(), None)
    return found.to_dict("records")


def found_one(row, join):
    return row[f"{join.collection}?"] is True


def visible(table, collection, permission, node):
    """The rows that the permission's row filter lets through, with the virtual column."""
    rows = [{**row, "node": node} for row in table.to_dict("records")]
    if "rows" not in permission:
        return rows
    condition = sqlglot.parse_one(collection["filters"][permission["rows"]]["sql"], dialect="postgres")
    return [row for row in rows if truth(condition, row, columns_of(collection))]


@dataclass(frozen=True)
class Terms:
    """What the permission and the collection say about disclosure."""

    k: int
    dominance: tuple[int, Fraction] | None
    p_percent: Fraction | None
    round_to: int | None
    protected: bool
    person: str
    one_row: bool
    spec: dict

    @staticmethod
    def of(collection, spec, tables):
        rules = strictest(tables)
        dominance = rules.get("dominance")
        return Terms(
            k=rules["min_people"],
            dominance=dominance and (dominance["top"], Fraction(str(dominance["share"]))),
            p_percent=Fraction(str(rules["p_percent"])) if "p_percent" in rules else None,
            round_to=rules.get("round_to"),
            protected=rules.get("zeros", "open") == "protected",
            person=collection["privacy_unit"],
            one_row=collection.get("rows_per_person_max") == 1,
            spec=spec,
        )


def strictest(tables):
    """What protects as much as all of the disclosure tables of what is joined. The tier open adds nothing."""
    closed = [table for table in tables if table["tier"] != "open"]
    rules = {key: max(table[key] for table in closed if key in table) for key in ("min_people", "p_percent")
             if any(key in table for table in closed)}
    for key in ("dominance", "round_to"):
        values = [table[key] for table in closed if key in table]
        assert all(value == values[0] for value in values), f"refused: {key}"
        rules |= {key: value for value in values[:1]}
    return rules | {"zeros": max((table.get("zeros", "open") for table in closed), default="open")}


# --- open tier -----------------------------------------------------------------------------------------------------

@dataclass
class Open:
    """What SQL says: no row is about a person."""

    question: object
    rows: list
    spec: dict

    def answer(self):
        question, spec = self.question, self.spec
        rows = [row for row in self.rows if all(truth(c, row, spec) for c in question.conditions)]
        rows = [row for row in rows if all(join.left or found_one(row, join) for join in question.joins)]
        names = [name for name, _ in question.outputs]
        if question.lists_rows:
            columns = [Key("column", column) for _, column in question.outputs]
            return {"columns": names, "rows": [[c.shown(row[c.column], spec) for c in columns] for row in rows]}
        cells = group(rows, question.keys, spec)
        if not question.grouped:
            cells = [((), rows)]
        return {"columns": names, "rows": [self.line(key, inside) for key, inside in cells]}

    def line(self, key, rows):
        values = dict(zip(self.question.keys, key))
        line = []
        for _, what in self.question.outputs:
            if isinstance(what, Aggregate):
                line.append(number(what, inputs(what, rows, self.spec), self.spec, None))
            else:
                line.append(what.shown(values[what], self.spec))
        return line


# --- statistical tier: section 1 -----------------------------------------------------------------------------------

@dataclass(eq=False)
class Cell:
    """A combination of key values with the rows that pass, and the rules by which it is withheld."""

    key: tuple
    rows: list
    people: int
    withheld: list = field(default_factory=list)


class Statistical:
    """The cells of an answer about people, and for each aggregate and released cell the rule that withholds the value."""

    def __init__(self, question, rows, terms):
        self.question, self.rows, self.terms, self.spec = question, rows, terms, terms.spec
        self.keys = [key for key in question.keys if key.form != "node"]
        self.node = rows[0]["node"] if rows else None
        self.constants = [c for c in question.conditions if columns_in(c) <= {"node"}]
        self.groups = condition_groups(question.conditions)
        self.inner = [join for join in question.joins if not join.left]
        self.left = {f"{join.collection}." for join in question.joins if join.left}
        self.cells = [Cell(key, inside, self.people(inside)) for key, inside in group(self.passing(), self.keys, self.spec)]
        self.tried = set()
        self.withhold_cells()
        self.values = {aggregate: self.withhold_values(aggregate) for aggregate in question.aggregates}

    def people(self, rows):
        return len({row[self.terms.person] for row in rows})

    def passes(self, row, conditions):
        return all(truth(condition, row, self.spec) for condition in conditions)

    def passing(self, without=None):
        """The rows that pass all groups; or all but the group of that column, which they do not pass."""
        rows = [row for row in self.rows if self.passes(row, self.constants)]
        rows = [row for row in rows if all(found_one(row, join) for join in self.inner)]
        for column, conditions in self.groups.items():
            rows = [row for row in rows if self.passes(row, conditions) == (column != without)]
        return rows

    def finding_nothing(self, join):
        """The rows without a match that pass all groups that are not about the columns of that collection."""
        rows = [row for row in self.rows if self.passes(row, self.constants) and not found_one(row, join)]
        rows = [row for row in rows if all(found_one(row, other) for other in self.inner if other != join)]
        about_others = [conditions for column, conditions in self.groups.items() if not column.startswith(f"{join.collection}.")]
        return [row for row in rows if all(self.passes(row, conditions) for conditions in about_others)]

    def withhold_cells(self):
        """Rules 1 to 3, each for itself, and then the secondary one."""
        for cell in self.cells:
            self.found(cell, "few people", cell.people < self.terms.k)
        for column in self.groups:
            self.complement(column)
        for join in self.inner:
            self.match_complement(join)
        for at in range(len(self.keys)):
            self.only_cell(at)
        withheld = {cell for cell in self.cells if cell.withheld}
        everyone = {cell: cell.people for cell in self.cells}
        for cell in close_lines(self.cells, everyone, withheld, len(self.keys), self.missing, self.terms):
            self.found(cell, "secondary", True)
        for cell in self.cells if self.keys else []:
            self.found(cell, "secondary", False)

    def found(self, cell, rule, holds):
        """Notes a rule that was tried, and that it withholds the cell."""
        self.tried.add(rule)
        if holds:
            cell.withheld.append(rule)

    def complement(self, column):
        """Rule 2: the cell and the cell without the conditions on this column differ by few people; or by none, if zeros are
        protected and the conditions leave something out."""
        k = self.terms.k
        others = dict(group(self.passing(without=column), self.keys, self.spec))
        cuts = self.terms.protected and self.cuts(column)
        for cell in self.cells:
            people = self.people(others.get(cell.key, []))
            self.found(cell, "complement", 0 < people < k)
            if self.terms.protected:
                self.found(cell, "empty complement", people == 0 and cuts)

    def match_complement(self, join):
        """Rule 2 of a match: the cells that agree in the keys of other collections, together, and the same without the join differ by
        few people; or by none, if zeros are protected."""
        at = [at for at, key in enumerate(self.keys) if not key.column.startswith(f"{join.collection}.")]
        keys = [self.keys[one] for one in at]
        others = dict(group(self.finding_nothing(join), keys, self.spec))
        for cell in self.cells:
            people = self.people(others.get(tuple(cell.key[one] for one in at), []))
            self.found(cell, "no match", 0 < people < self.terms.k or self.terms.protected and people == 0)

    def cuts(self, column):
        """Whether the conditions on a column are not true for some value that it can have."""
        declared = self.declared(column)
        return declared is None or not all(self.passes({column: value}, self.groups[column]) for value in declared)

    def declared(self, column):
        """The values of a column, for a bin its lower edge; None for calendar units, which are not listed."""
        column = self.spec[column]
        if column["type"] == "boolean":
            return [False, True]
        if "values" in column:
            return column["values"]
        return None if isinstance(column["bins"], str) else column["bins"][:-1]

    def only_cell(self, at):
        """Rule 3, class: all people of a line are in one cell, and the key could have had another value."""
        if any(key.column == self.keys[at].column for key in self.keys if key is not self.keys[at]):
            return
        for line in lines(self.cells, at):
            could = self.possible(at)
            another = could is None or could - {line[0].key[at]}
            self.found(line[0], "class", len(line) == 1 and bool(another))

    def possible(self, at):
        """The values that a key could have under the conditions on its column; None for calendar units."""
        key = self.keys[at]
        declared = self.declared(key.column)
        if declared is None:
            return None
        rows = [{key.column: value} for value in declared]
        return {key.value(row, self.spec) for row in rows if self.passes(row, self.groups.get(key.column, []))}

    def missing(self, at, line):
        """E: how many values the key could have of which the line has no cell, if zeros are protected."""
        if not self.terms.protected:
            return 0
        could = self.possible(at)
        return 2 if could is None else len(could - {cell.key[at] for cell in line})

    # --- section 2 ---

    def withhold_values(self, aggregate):
        """For each cell that is released the rule by which the value of the aggregate is withheld, if any."""
        withheld, contributors = {}, {}
        for cell in self.cells:
            contributors[cell] = self.people(inputs(aggregate, cell.rows, self.spec))
            if not cell.withheld:
                withheld[cell] = self.first_rule(aggregate, cell)
        gone = {cell for cell in self.cells if cell.withheld or withheld[cell]}
        inside = [cell for cell in self.cells if contributors[cell]]
        if self.keys:
            self.tried.add("secondary value")
        withheld_of = gone & set(inside)

        def missing(at, line):
            """E: it counts beside withheld cells, and makes no line unsafe alone."""
            return self.missing(at, [c for c in self.cells if same_line(c, line[0], at)]) if withheld_of & set(line) else 0

        for cell in close_lines(inside, contributors, withheld_of, len(self.keys), missing, self.terms):
            withheld[cell] = "secondary value"
        return withheld

    def earlier_filters(self, aggregate):
        """The FILTERs of aggregates that stand before it."""
        before = []
        for _, what in self.question.outputs:
            if what == aggregate:
                return before
            if not isinstance(what, Key) and what.filter is not None:
                before.append(what.filter)
        return before

    def first_rule(self, aggregate, cell):
        """The first rule of section 2 that withholds a value."""
        value = Value(aggregate, cell.rows, self.terms, self.earlier_filters(aggregate))
        value.may_find_nothing = any(column.startswith(joined) for column in aggregate.columns for joined in self.left)
        for rule, _, applies, holds in VALUE_RULES:
            if applies(value):
                self.tried.add(rule)
                if holds(value):
                    return rule
        return None

    # --- section 3 ---

    def answer(self):
        """The released cells in the order of their keys; the last column names the values that are withheld, and why."""
        names = [name for name, _ in self.question.outputs]
        released = [cell for cell in self.cells if not cell.withheld]
        return {"columns": [*names, "withheld"], "rows": [self.line(cell) for cell in released]}

    def line(self, cell):
        keys = dict(zip(self.keys, cell.key))
        line, reasons = [], []
        for name, what in self.question.outputs:
            if isinstance(what, Key):
                line.append(self.node if what.form == "node" else what.shown(keys[what], self.spec))
            elif rule := self.values[what][cell]:
                line.append(None)
                reasons.append(f"{name}: {REASONS[rule]}")
            else:
                line.append(number(what, inputs(what, cell.rows, self.spec), self.spec, self.terms.round_to))
        return [*line, "; ".join(reasons) or None]


def condition_groups(conditions):
    """C1 … Cm: conditions by the column that they are about; `node` forms none."""
    groups = {}
    for condition in conditions:
        columns = columns_in(condition) - {"node"}
        if len(columns) > 1:
            raise ValueError(f"a condition on several columns: {condition.sql()}")
        for column in columns:
            groups.setdefault(column, []).append(condition)
    return groups


def group(rows, keys, spec):
    """Keys with their rows, in the order of the answer."""
    cells = {}
    for row in rows:
        cells.setdefault(tuple(key.value(row, spec) for key in keys), []).append(row)
    return sorted(cells.items(), key=lambda cell: [order(value) for value in cell[0]])


def order(value):
    """NULL first, texts by their bytes, everything else ascending; a bin is its number."""
    if value is None:
        return (0, 0)
    return (1, value.encode() if isinstance(value, str) else value)


def lines(cells, at):
    """The cells that agree in all keys but one."""
    found = {}
    for cell in cells:
        found.setdefault(cell.key[:at] + cell.key[at + 1:], []).append(cell)
    return list(found.values())


def same_line(cell, other, at):
    """Whether two cells agree in all keys but one."""
    return cell.key[:at] + cell.key[at + 1:] == other.key[:at] + other.key[at + 1:]


def close_lines(cells, people, withheld, keys, missing, terms):
    """Secondary suppression: withholds cells until no line gives away what is missing in it, and returns those."""
    added, changed = [], True
    while changed:
        changed = False
        for at in range(keys):
            for line in lines(cells, at):
                while unsafe(line, people, withheld, missing(at, line), terms) and (left := [c for c in line if c not in withheld]):
                    fewest = min(reversed(left), key=lambda cell: people[cell])
                    withheld.add(fewest)
                    added.append(fewest)
                    changed = True
    return added


def unsafe(line, people, withheld, missing, terms):
    """Whether the withheld cells of a line, with its empty ones if they are protected, are too few or of too few people."""
    gone = [people[cell] for cell in line if cell in withheld]
    if not gone and not missing:
        return False
    behind = sum(gone) if terms.one_row else max(gone, default=0)
    return len(gone) + missing < 2 or behind < terms.k


# --- section 2: values ---------------------------------------------------------------------------------------------

def known(aggregate, row):
    return all(row[column] is not None for column in aggregate.columns)


def inputs(aggregate, rows, spec):
    """The rows of which an aggregate is made."""
    return [
        row for row in rows
        if known(aggregate, row) and (aggregate.filter is None or truth(aggregate.filter, row, spec))
    ]


class Value:
    """What the rules ask about an aggregate in one cell."""

    def __init__(self, aggregate, rows, terms, earlier=()):
        self.aggregate, self.rows, self.terms, self.k = aggregate, rows, terms, terms.k
        self.earlier = earlier
        self.may_find_nothing = False
        self.input = inputs(aggregate, rows, terms.spec)

    def people(self, rows):
        return {row[self.terms.person] for row in rows}

    def few(self, rows):
        return 0 < len(self.people(rows)) < self.k

    @property
    def function(self):
        return self.aggregate.function

    @property
    def contributors(self):
        return len(self.people(self.input))

    def filtered_out(self):
        """D of the complement of a FILTER."""
        aggregate, spec = self.aggregate, self.terms.spec
        return [row for row in self.rows if known(aggregate, row) and not truth(aggregate.filter, row, spec)]

    def between(self):
        """For each earlier FILTER, D of the complement between the two: any row for which exactly one of them is true."""
        spec = self.terms.spec
        for other in self.earlier:
            yield [row for row in self.rows if bool(truth(other, row, spec)) != bool(truth(self.aggregate.filter, row, spec))]

    def unknown(self):
        """D of the complement of count(x)."""
        aggregate, spec = self.aggregate, self.terms.spec
        inside = [row for row in self.rows if aggregate.filter is None or truth(aggregate.filter, row, spec)]
        return [row for row in inside if not known(aggregate, row)]

    def contributions(self):
        """What each person contributes, once for each column: largest first, without signs."""
        return [self.contributions_of(column) for column in self.aggregate.columns or (None,)]

    def contributions_of(self, column):
        totals = dict.fromkeys(self.people(self.input), Fraction(0))
        for row in self.input:
            totals[row[self.terms.person]] += 1 if self.aggregate.is_count else Fraction(row[column])
        return sorted((abs(total) for total in totals.values()), reverse=True)

    def deviations(self):
        """The sum of squared deviations of each column."""
        return [products(xs, xs) for xs in columns(self.aggregate, self.input)]

    def bins(self):
        """The people of each declared bin that has rows of the input."""
        column = self.aggregate.columns[0]
        found = {}
        for row in self.input:
            found.setdefault(bin_of(row[column], self.terms.spec[column]["bins"]), set()).add(row[self.terms.person])
        return found


def has_amounts(value):
    return value.function in OF_AMOUNTS


def has_shares(value):
    return has_amounts(value) or value.function in ("count_rows", "count")


def counts_answers(value):
    """count(x) of a column that is not measured is a yes or no about each person; what a LEFT JOIN finds says that it found."""
    if value.may_find_nothing:
        return True
    if value.function != "count":
        return False
    role = value.terms.spec[value.aggregate.columns[0]].get("role", [])
    return "measure" not in ([role] if isinstance(role, str) else role)


def dominated(value):
    top, share = value.terms.dominance
    return any(sum(amounts[:top]) > share * sum(amounts) for amounts in value.contributions())


def within_p_percent(value):
    def close(largest, second=0, *others):
        return largest > 0 and sum(others) < value.terms.p_percent / 100 * largest
    return any(close(*amounts) for amounts in value.contributions())


def lacks_freedom(value):
    return value.contributors - (1 if value.function in SPREAD else 2) < FREEDOM_MIN


def on_a_line(value):
    """|r| > 1 − 1e-9, squared."""
    xs, ys = columns(value.aggregate, value.input)
    squares = products(xs, xs) * products(ys, ys)
    return products(xs, ys) ** 2 > (1 - Fraction(1, 10**9)) ** 2 * squares


def too_far_out(value):
    q, people = value.aggregate.q, value.contributors
    return q * people < value.k or (1 - q) * people < value.k


def is_quantile(value):
    return value.function == "quantile"


# Rule, reason that is told, where it applies, when it holds; in the order of the table in the document.
VALUE_RULES = [
    ("few contributors", "few-people", lambda v: True, lambda v: v.contributors < v.k),
    ("complement of a filter", "complement", lambda v: v.aggregate.filter is not None, lambda v: v.few(v.filtered_out())),
    ("between filters", "complement", lambda v: v.aggregate.filter is not None and v.earlier, lambda v: any(map(v.few, v.between()))),
    ("complement of a count", "complement", counts_answers, lambda v: v.few(v.unknown())),
    ("few amounts", "few-people", has_amounts, lambda v: any(sum(a != 0 for a in one) < v.k for one in v.contributions())),
    ("dominance", "dominance", lambda v: v.terms.dominance and has_shares(v), dominated),
    ("p percent", "p-percent", lambda v: v.terms.p_percent is not None and has_shares(v), within_p_percent),
    ("freedom", "freedom", lambda v: v.function in SPREAD | PAIR, lacks_freedom),
    ("constant", "constant", has_amounts, lambda v: 0 in v.deviations()),
    ("on a line", "constant", lambda v: v.function == "corr", on_a_line),
    ("few in a bin", "bins", is_quantile, lambda v: any(len(people) < v.k for people in v.bins().values())),
    ("one bin", "bins", is_quantile, lambda v: len(v.bins()) == 1),
    ("far out", "bins", is_quantile, too_far_out),
]
CELL_RULES = ["few people", "complement", "empty complement", "class", "secondary"]
JOIN_RULES = ["no match"]
REASONS = {rule: reason for rule, reason, _, _ in VALUE_RULES} | {"secondary value": "secondary"}


# --- section 3: numbers --------------------------------------------------------------------------------------------

def columns(aggregate, rows):
    return [[row[column] for row in rows] for column in aggregate.columns]


def total(values):
    """Exact for integers, of any size; the closest double for others."""
    if any(isinstance(value, float) for value in values):
        return math.fsum(values)
    return sum(values)


def products(xs, ys):
    """M2, or C: the exact sum of the products of the deviations from the means."""
    xs, ys = [Fraction(x) for x in xs], [Fraction(y) for y in ys]
    return sum(x * y for x, y in zip(xs, ys)) - sum(xs) * sum(ys) / len(xs)


def number(aggregate, rows, spec, round_to):
    """The value over the rows of the input, rounded if the policy says so; NULL where SQL has no value."""
    if aggregate.is_count:
        people = aggregate.function == "people"
        return rounded_count(len({row[aggregate.columns[0]] for row in rows}) if people else len(rows), round_to)
    value = exact(aggregate, rows, spec)
    if value is None or round_to is None:
        return value
    if aggregate.function != "sum":
        return float(three_digits(value))
    mean = three_digits(total(columns(aggregate, rows)[0]) / len(rows))
    again = mean * rounded_count(len(rows), round_to)
    return int(again.quantize(Decimal(1), ROUND_HALF_UP)) if isinstance(value, int) else float(again)


def exact(aggregate, rows, spec):
    function, n = aggregate.function, len(rows)
    if n == 0 or function in ("var_samp", "stddev_samp", "covar_samp") and n == 1:
        return None
    if function == "quantile":
        return quantile(aggregate, rows, spec)
    data = columns(aggregate, rows)
    if function == "sum":
        return total(data[0])
    if function == "avg":
        return total(data[0]) / n
    if function == "corr":
        squares = products(data[0], data[0]) * products(data[1], data[1])
        return float(products(*data)) / math.sqrt(squares) if squares else None
    spread = float(products(data[0], data[-1]) / (n - 1 if function.endswith("samp") else n))
    return math.sqrt(spread) if function.startswith("stddev") else spread


def quantile(aggregate, rows, spec):
    """Within the first bin up to and with which there are q·n rows, as far as its rows are needed for that."""
    edges = spec[aggregate.columns[0]]["bins"]
    wanted, below = aggregate.q * len(rows), 0
    places = [bin_of(row[aggregate.columns[0]], edges) for row in rows]
    for at, low in enumerate(edges[:-1]):
        inside = places.count(at)
        if inside and below + inside >= wanted:
            low, high = Fraction(low), Fraction(edges[at + 1])
            return float(low + (high - low) * (wanted - below) / inside)
        below += inside
    return None


def rounded_count(count, round_to):
    """The nearest multiple, halves up."""
    return count if round_to is None else (2 * count + round_to) // (2 * round_to) * round_to


def three_digits(value):
    """Three significant digits of the exact binary value, halves to even."""
    exactly = Decimal(value)
    return exactly.quantize(Decimal(1).scaleb(exactly.adjusted() - 2), ROUND_HALF_EVEN) if exactly else exactly
