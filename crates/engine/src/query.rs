//! The few shapes a query can have, as types. Everything else is refused while it is read (`read.rs`).
//!
//! A [`ReleaseQuery`] is `Projection? ∘ Aggregate ∘ (Filter | renaming Projection | Join)* ∘ PolicyScan` over one collection, a
//! [`RowQuery`] the same without the aggregate and without joins. Both print as canonical SQL, which is what nodes are asked
//! and what a board reads in the audit.

mod join;

use std::collections::BTreeSet;
use std::fmt;

pub use policy::NODE_COLUMN;
use policy::{Calendar, Release};
use terms::CollectionId;

pub(crate) use self::join::name_beside;
pub use self::join::{Join, JoinAlong, JoinKind, seen};

/// A query that a node can run.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Aggregates over groups.
    Release(ReleaseQuery),
    /// Rows; only for collections without personal data.
    Rows(RowQuery),
}

/// Aggregates over groups of one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseQuery {
    /// The collection asked.
    pub collection: CollectionId,
    /// What is put beside its rows.
    pub joins: Vec<Join>,
    /// What every row must fulfil; joined by AND.
    pub conditions: Vec<Condition>,
    /// What a cell is.
    pub groups: Vec<GroupKey>,
    /// What is computed for a cell.
    pub aggregates: Vec<Aggregate>,
    /// The columns of the answer, in order. References into `groups` and `aggregates`.
    pub outputs: Vec<Output>,
}

/// Rows of one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct RowQuery {
    /// The collection asked.
    pub collection: CollectionId,
    /// What every row must fulfil; joined by AND.
    pub conditions: Vec<Condition>,
    /// Column and the name it has in the answer.
    pub columns: Vec<(String, String)>,
}

/// One column of a release query's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where the value comes from.
    pub source: OutputSource,
    /// The column's name in the answer.
    pub name: String,
}

/// Where an output's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputSource {
    /// Index into [`ReleaseQuery::groups`].
    Group(usize),
    /// Index into [`ReleaseQuery::aggregates`].
    Aggregate(usize),
}

/// What rows are grouped by.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupKey {
    /// A column with a finite domain of its own.
    Column(String),
    /// The declared bin of a number, as its label `[40, 50)`.
    Bin(String),
    /// The day, week, month, quarter or year of a date.
    Calendar(Calendar, String),
    /// Groups of declared values of one column: `CASE WHEN … THEN 'old' ELSE 'young' END`.
    Case(Case),
}

/// Groups of declared values of one column, each with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The column that all conditions are about.
    pub column: String,
    /// The first condition that is true names the group. All names are texts, or all are whole numbers.
    pub arms: Vec<(Condition, Value)>,
    /// The group of everybody else; NULL if there is none.
    pub otherwise: Option<Value>,
}

impl GroupKey {
    /// The column that is grouped by.
    pub fn column(&self) -> &str {
        match self {
            GroupKey::Column(column)
            | GroupKey::Bin(column)
            | GroupKey::Calendar(_, column)
            | GroupKey::Case(Case { column, .. }) => column,
        }
    }
}

/// What is computed for a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The statistic.
    pub function: Function,
    /// Of these rows of the cell only: FILTER (WHERE …); joined by AND.
    pub filter: Vec<Condition>,
}

impl From<Function> for Aggregate {
    fn from(function: Function) -> Self {
        Self {
            function,
            filter: Vec::new(),
        }
    }
}

/// A statistic.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// `count(*)`.
    CountRows,
    /// `count(column)`: rows in which the column is known.
    Count(String),
    /// `count(DISTINCT person)`, with the column of the person.
    CountPeople(String),
    /// `sum(column)`.
    Sum(String),
    /// `avg(column)`.
    Mean(String),
    /// A variance or its root.
    Spread(Spread, String),
    /// A statistic of two columns, over the rows in which both are known.
    Pair(Pair, String, String),
    /// What statistics of two columns are made of when nodes are put together, over the rows in which both are known.
    PairPart(PairPart, String, String),
    /// A quantile, interpolated from the declared bins; the share of rows below it.
    Quantile(f64, String),
}

/// How the sum of squared deviations becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Divided by n.
    VarPop,
    /// Divided by n - 1.
    VarSamp,
    /// Root of `VarPop`.
    StddevPop,
    /// Root of `VarSamp`.
    StddevSamp,
}

/// How the sum of products of deviations becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Divided by n.
    CovarPop,
    /// Divided by n - 1.
    CovarSamp,
    /// Divided by the root of both sums of squares: Pearson's r.
    Corr,
}

/// What a statistic of two columns is made of: `regr_count(a, b)` and its kin of SQL:2003, which call the first argument y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairPart {
    /// Rows.
    Rows,
    /// Mean of the first column.
    MeanOfFirst,
    /// Mean of the second column.
    MeanOfSecond,
    /// Sum of squared deviations of the first column.
    SquaresOfFirst,
    /// Sum of squared deviations of the second column.
    SquaresOfSecond,
    /// Sum of products of both columns' deviations.
    Products,
}

impl PairPart {
    /// All of them: together they can be put together with those of other rows.
    pub const ALL: [Self; 6] = [
        Self::Rows,
        Self::MeanOfFirst,
        Self::MeanOfSecond,
        Self::SquaresOfFirst,
        Self::SquaresOfSecond,
        Self::Products,
    ];
}

impl Function {
    /// The columns whose values it uses.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Function::CountRows | Function::CountPeople(_) => Vec::new(),
            Function::Count(column)
            | Function::Sum(column)
            | Function::Mean(column)
            | Function::Spread(_, column)
            | Function::Quantile(_, column) => vec![column],
            Function::Pair(_, x, y) | Function::PairPart(_, x, y) => vec![x, y],
        }
    }
}

impl Aggregate {
    /// Every column that it touches.
    pub fn columns(&self) -> BTreeSet<&str> {
        let filtered = self.filter.iter().flat_map(Condition::columns);
        self.function.columns().into_iter().chain(filtered).collect()
    }
}

/// A literal that a condition compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Whole number.
    Integer(i64),
    /// Finite number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// How a column is compared with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a row must fulfil. SQL's three-valued logic holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `column op literal`
    Compare(String, Comparison, Value),
    /// `column [NOT] IN (literals)`
    OneOf {
        /// The column.
        column: String,
        /// The literals.
        values: Vec<Value>,
        /// Whether it is NOT IN.
        negated: bool,
    },
    /// `column IS [NOT] NULL`
    IsNull {
        /// The column.
        column: String,
        /// Whether it is IS NOT NULL.
        negated: bool,
    },
    /// `NOT …`
    Not(Box<Condition>),
    /// `… AND …`
    And(Vec<Condition>),
    /// `… OR …`
    Or(Vec<Condition>),
}

impl Condition {
    /// The columns that decide.
    pub fn columns(&self) -> BTreeSet<&str> {
        match self {
            Condition::Compare(column, ..) | Condition::OneOf { column, .. } | Condition::IsNull { column, .. } => {
                BTreeSet::from([column.as_str()])
            }
            Condition::Not(inner) => inner.columns(),
            Condition::And(parts) | Condition::Or(parts) => parts.iter().flat_map(Condition::columns).collect(),
        }
    }
}

impl Query {
    /// The collection asked.
    pub fn collection(&self) -> &CollectionId {
        match self {
            Query::Release(query) => &query.collection,
            Query::Rows(query) => &query.collection,
        }
    }

    /// What kind of release it asks for.
    pub fn release(&self) -> Release {
        match self {
            Query::Release(_) => Release::Aggregates,
            Query::Rows(_) => Release::Rows,
        }
    }

    /// The collections that are joined to it.
    pub fn joins(&self) -> &[Join] {
        match self {
            Query::Release(query) => &query.joins,
            Query::Rows(_) => &[],
        }
    }

    /// Every column of the collection asked that the query touches, in whatever way.
    pub fn columns(&self) -> BTreeSet<String> {
        let along = self.joins().iter().filter_map(Join::along);
        let own = self
            .named()
            .into_iter()
            .filter(|name| self.joins().iter().all(|join| join.column_of(name).is_none()));
        own.chain(along.map(|(column, _)| column)).map(str::to_owned).collect()
    }

    /// Every column of a joined collection that the query touches, in whatever way.
    pub fn joined_columns(&self, join: &Join) -> BTreeSet<String> {
        let names = self.named();
        let own = names.iter().filter_map(|name| join.column_of(name));
        own.chain(join.along().map(|(_, key)| key)).map(str::to_owned).collect()
    }

    /// Every column that the query names, those of joined collections with a dot.
    fn named(&self) -> BTreeSet<&str> {
        let (conditions, named): (_, Vec<&str>) = match self {
            Query::Release(query) => {
                let groups = query.groups.iter().map(GroupKey::column);
                let measures = query.aggregates.iter().flat_map(Aggregate::columns);
                (&query.conditions, groups.chain(measures).collect())
            }
            Query::Rows(query) => (&query.conditions, query.columns.iter().map(|c| c.0.as_str()).collect()),
        };
        let filtered = conditions.iter().flat_map(Condition::columns);
        filtered.chain(named).collect()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Release(query) => query.fmt(f),
            Query::Rows(query) => query.fmt(f),
        }
    }
}

impl fmt::Display for ReleaseQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.joins.is_empty() {
            true => self.write(f),
            // Two collections may have columns of one name.
            false => self.qualified().write(f),
        }
    }
}

impl ReleaseQuery {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        let output = |output: &Output| match output.source {
            OutputSource::Group(at) => format!("{} AS {}", self.groups[at], Quoted(&output.name)),
            OutputSource::Aggregate(at) => format!("{} AS {}", self.aggregates[at], Quoted(&output.name)),
        };
        join(f, ", ", self.outputs.iter().map(output))?;
        write!(f, " FROM {}", self.collection.sql_name())?;
        self.joins.iter().try_for_each(|one| one.write(f, &self.collection))?;
        write_where(f, &self.conditions)?;
        if !self.groups.is_empty() {
            f.write_str(" GROUP BY ")?;
            join(f, ", ", &self.groups)?;
        }
        Ok(())
    }
}

impl fmt::Display for RowQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        let column = |c: &(String, String)| format!("{} AS {}", Quoted(&c.0), Quoted(&c.1));
        join(f, ", ", self.columns.iter().map(column))?;
        write!(f, " FROM {}", self.collection.sql_name())?;
        write_where(f, &self.conditions)
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupKey::Column(column) => write!(f, "{}", Named(column)),
            GroupKey::Bin(column) => write!(f, "bin({})", Named(column)),
            GroupKey::Calendar(unit, column) => write!(f, "date_trunc('{unit}', {})", Named(column)),
            GroupKey::Case(case) => case.fmt(f),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CASE")?;
        for (condition, name) in &self.arms {
            write!(f, " WHEN {condition} THEN {name}")?;
        }
        if let Some(otherwise) = &self.otherwise {
            write!(f, " ELSE {otherwise}")?;
        }
        f.write_str(" END")
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)?;
        if self.filter.is_empty() {
            return Ok(());
        }
        f.write_str(" FILTER (WHERE ")?;
        write_all_of(f, &self.filter)?;
        f.write_str(")")
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Function::CountRows => f.write_str("count(*)"),
            Function::Count(column) => write!(f, "count({})", Named(column)),
            Function::CountPeople(person) => write!(f, "count(DISTINCT {})", Quoted(person)),
            Function::Sum(column) => write!(f, "sum({})", Named(column)),
            Function::Mean(column) => write!(f, "avg({})", Named(column)),
            Function::Spread(spread, column) => write!(f, "{spread}({})", Named(column)),
            Function::Pair(pair, x, y) => write!(f, "{pair}({}, {})", Named(x), Named(y)),
            Function::PairPart(part, x, y) => write!(f, "{part}({}, {})", Named(x), Named(y)),
            Function::Quantile(share, column) => write!(f, "approx_percentile_cont({}, {share:?})", Named(column)),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spread::VarPop => "var_pop",
            Spread::VarSamp => "var_samp",
            Spread::StddevPop => "stddev_pop",
            Spread::StddevSamp => "stddev_samp",
        })
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pair::CovarPop => "covar_pop",
            Pair::CovarSamp => "covar_samp",
            Pair::Corr => "corr",
        })
    }
}

impl fmt::Display for PairPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PairPart::Rows => "regr_count",
            PairPart::MeanOfFirst => "regr_avgy",
            PairPart::MeanOfSecond => "regr_avgx",
            PairPart::SquaresOfFirst => "regr_syy",
            PairPart::SquaresOfSecond => "regr_sxx",
            PairPart::Products => "regr_sxy",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Value::Integer(number) => number.fmt(f),
            // The shortest text that reads back as the same number, never in a form SQL reads as an integer.
            Value::Number(number) => write!(f, "{number:?}"),
            Value::Boolean(truth) => f.write_str(if *truth { "TRUE" } else { "FALSE" }),
            Value::Date(days) => write!(f, "DATE '{}'", date_text(*days)),
            Value::Timestamp(micros) => write!(f, "TIMESTAMP '{}'", timestamp_text(*micros)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Compare(column, comparison, value) => write!(f, "{} {comparison} {value}", Named(column)),
            Condition::OneOf {
                column,
                values,
                negated,
            } => {
                write!(f, "{}{} IN (", Named(column), if *negated { " NOT" } else { "" })?;
                join(f, ", ", values)?;
                f.write_str(")")
            }
            Condition::IsNull { column, negated } => {
                write!(f, "{} IS {}NULL", Named(column), if *negated { "NOT " } else { "" })
            }
            Condition::Not(inner) => write!(f, "NOT ({inner})"),
            Condition::And(parts) => bracketed(f, " AND ", parts),
            Condition::Or(parts) => bracketed(f, " OR ", parts),
        }
    }
}

/// A date as `2026-01-31`.
pub(crate) fn date_text(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = epoch.checked_add(jiff::Span::new().days(i64::from(days)));
    date.map_or_else(|_| format!("{days} days after 1970-01-01"), |date| date.to_string())
}

fn timestamp_text(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros);
    at.map_or_else(
        |_| format!("{micros} us"),
        |at| at.strftime("%Y-%m-%d %H:%M:%S%.f").to_string(),
    )
}

/// A column, with its collection if it is `collection.column`.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, ".", self.0.split('.').map(Quoted))
    }
}

/// An identifier in double quotes, so that no name can be read as anything else.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let starts_plain = self.0.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_plain && self.0.bytes().all(plain) && !is_keyword(self.0) {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

fn is_keyword(name: &str) -> bool {
    datafusion::sql::sqlparser::keywords::ALL_KEYWORDS
        .binary_search(&name.to_ascii_uppercase().as_str())
        .is_ok()
}

fn write_where(f: &mut fmt::Formatter<'_>, conditions: &[Condition]) -> fmt::Result {
    if conditions.is_empty() {
        return Ok(());
    }
    f.write_str(" WHERE ")?;
    write_all_of(f, conditions)
}

fn write_all_of(f: &mut fmt::Formatter<'_>, conditions: &[Condition]) -> fmt::Result {
    let top = |condition: &Condition| match condition {
        Condition::Or(_) => format!("({condition})"),
        _ => condition.to_string(),
    };
    join(f, " AND ", conditions.iter().map(top))
}

fn bracketed(f: &mut fmt::Formatter<'_>, between: &str, parts: &[Condition]) -> fmt::Result {
    let part = |condition: &Condition| match condition {
        Condition::And(_) | Condition::Or(_) => format!("({condition})"),
        _ => condition.to_string(),
    };
    join(f, between, parts.iter().map(part))
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, between: &str, parts: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        part.fmt(f)?;
    }
    Ok(())
}
