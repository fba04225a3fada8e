//! Random questions of the language: release queries and rows, and all that the asker's side does with what was released.

use super::random::Random;
use super::tables::{Tables, WARDS};

/// How nearly a column of the answer must be the same.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Sameness {
    Exact,
    Mean,
    Spread,
    /// To a share of this size: of a covariance, the product of both deviations.
    Pair(f64),
}

pub(super) struct Question {
    pub(super) sql: String,
    pub(super) columns: Vec<Sameness>,
    /// Whether it says in which order the rows come, down to the last.
    pub(super) ordered: bool,
}

pub(super) fn question(random: &mut Random, tables: &Tables) -> Question {
    let mut asker = Writer { random, tables };
    match asker.random.below(20) {
        0..=8 => asker.plain(),
        9 => asker.computed(),
        10 => asker.with(),
        11 => asker.union(),
        12 => asker.joined(),
        13 => asker.window(),
        14 => asker.compared_with_a_subquery(),
        15 => asker.among_a_subquery(),
        16 => asker.aggregated_again(),
        17 => asker.of_rows(),
        18 => asker.rows(),
        _ => asker.derived(),
    }
}

/// A query with groups `k0 …` and aggregates `a0 …`, each key of all rows with it once.
struct Cells {
    sql: String,
    keys: usize,
    aggregates: Vec<(String, Sameness)>,
}

impl Cells {
    fn columns(&self) -> Vec<Sameness> {
        let keys = std::iter::repeat_n(Sameness::Exact, self.keys);
        keys.chain(self.aggregates.iter().map(|aggregate| aggregate.1))
            .collect()
    }

    fn key_names(&self) -> Vec<String> {
        (0..self.keys).map(|at| format!("k{at}")).collect()
    }
}

struct Writer<'a> {
    random: &'a mut Random,
    tables: &'a Tables,
}

const VISIT_KEYS: [&str; 22] = [
    "ward",
    "ward",
    "grade",
    "level",
    "bin(age)",
    "bin(score)",
    "flag",
    "day",
    "date_trunc('week', day)",
    "date_trunc('month', day)",
    "date_trunc('quarter', day)",
    "date_trunc('year', seen)",
    "date_trunc('day', seen)",
    "seen",
    "dose",
    "node",
    "node",
    "CASE WHEN grade = '3' THEN 'poor' ELSE 'better' END",
    "CASE grade WHEN '1' THEN 1 WHEN '2' THEN 7 END",
    "CASE WHEN age < 18 THEN 'young' WHEN age >= 65 THEN 'old' END",
    "CASE WHEN flag THEN 'ja' WHEN NOT flag THEN 'nein' ELSE '?' END",
    "CASE WHEN score IS NULL THEN 0 WHEN score >= 0.25 THEN 2 ELSE 1 END",
];
const BED_KEYS: [&str; 4] = [
    "ward",
    "grade",
    "node",
    "CASE WHEN grade IN ('1', '2') THEN 'low' ELSE 'high' END",
];

impl Writer<'_> {
    fn keys(&mut self, of: &[&str], most: usize) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for _ in 0..self.random.below(most + 1) {
            let key = (*self.random.pick(of)).to_owned();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn cells(&mut self) -> Cells {
        let is_visits = self.random.chance(80);
        let keys = self.keys(if is_visits { &VISIT_KEYS } else { &BED_KEYS }, 3);
        self.cells_of(if is_visits { "visits" } else { "beds" }, keys)
    }

    fn cells_of(&mut self, table: &str, keys: Vec<String>) -> Cells {
        let mut aggregates: Vec<(String, Sameness)> = Vec::new();
        let fewest = usize::from(keys.is_empty());
        for _ in 0..self.random.below(4) + fewest {
            let aggregate = self.aggregate(table);
            if !aggregates.contains(&aggregate) {
                aggregates.push(aggregate);
            }
        }
        self.cells_with(table, keys, aggregates)
    }

    fn cells_with(&mut self, table: &str, keys: Vec<String>, aggregates: Vec<(String, Sameness)>) -> Cells {
        let named = |letter: &str, list: &[String]| -> Vec<String> {
            let list = list.iter().enumerate();
            list.map(|(at, expr)| format!("{expr} AS {letter}{at}")).collect()
        };
        let exprs: Vec<String> = aggregates.iter().map(|aggregate| aggregate.0.clone()).collect();
        let list = [named("k", &keys), named("a", &exprs)].concat().join(", ");
        let condition = match self.random.chance(50) {
            true => format!(" WHERE {}", self.condition(table, 2)),
            false => String::new(),
        };
        let group = match keys.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", keys.join(", ")),
        };
        Cells {
            sql: format!("SELECT {list} FROM {table}{condition}{group}"),
            keys: keys.len(),
            aggregates,
        }
    }

    fn aggregate(&mut self, table: &str) -> (String, Sameness) {
        let (counted, measured): (&[&str], &[&str]) = match table {
            "visits" => (
                &[
                    "ward", "grade", "level", "age", "score", "flag", "day", "seen", "dose", "cost", "huge", "empty",
                    "node", "1", "*", "*",
                ],
                &["level", "age", "score", "cost", "far", "small", "empty", "huge", "code"],
            ),
            _ => (&["ward", "beds", "rate", "*"], &["beds", "rate"]),
        };
        let x = *self.random.pick(measured);
        let y = *self.random.pick(measured);
        let (call, sameness) = match self.random.below(if table == "visits" { 11 } else { 10 }) {
            10 => (self.quantile(), Sameness::Mean),
            0..=3 => (format!("count({})", self.random.pick(counted)), Sameness::Exact),
            4 | 5 => (
                format!("sum({x})"),
                if is_whole(x) { Sameness::Exact } else { Sameness::Mean },
            ),
            6 | 7 => (format!("avg({x})"), Sameness::Mean),
            8 => {
                let function = self
                    .random
                    .pick(&["var_pop", "var_samp", "var", "stddev", "stddev_pop", "stddev_samp"]);
                (format!("{function}({x})"), Sameness::Spread)
            }
            _ => {
                // Of two columns nodes tell means as floats: not of what is further from zero than floats can tell apart.
                let near = |column: &'static str| if column == "code" { "small" } else { column };
                let (x, y) = (near(x), near(y));
                let function = self.random.pick(&["covar_pop", "covar_samp", "covar", "corr", "corr"]);
                let size = if *function == "corr" {
                    1.0
                } else {
                    deviation(x) * deviation(y)
                };
                (format!("{function}({x}, {y})"), Sameness::Pair(size))
            }
        };
        match self.random.chance(20) {
            true => (format!("{call} FILTER (WHERE {})", self.condition(table, 1)), sameness),
            false => (call, sameness),
        }
    }

    fn quantile(&mut self) -> String {
        let x = *self.random.pick(&["age", "score"]);
        match self.random.below(3) {
            0 => format!("median({x})"),
            _ => format!(
                "approx_percentile_cont({x}, {:?})",
                self.random.pick(&[0.1, 0.25, 1.0 / 3.0, 0.5, 0.75, 0.9, 0.999])
            ),
        }
    }

    /// A condition, nested so deep at most.
    fn condition(&mut self, table: &str, depth: usize) -> String {
        if depth > 0 && self.random.chance(40) {
            let parts: Vec<String> = (0..2).map(|_| self.condition(table, depth - 1)).collect();
            return match self.random.below(5) {
                0 | 1 => format!("{} AND {}", bracketed(&parts[0]), bracketed(&parts[1])),
                2 | 3 => format!("({} OR {})", bracketed(&parts[0]), bracketed(&parts[1])),
                _ => format!("NOT ({})", parts[0]),
            };
        }
        let columns: &[&str] = match table {
            "visits" => &[
                "ward", "grade", "level", "age", "score", "flag", "day", "seen", "dose", "cost", "small", "node",
            ],
            _ => &["ward", "grade", "beds", "rate", "node"],
        };
        let column = *self.random.pick(columns);
        if self.random.chance(10) {
            return format!("{column} IS {}NULL", self.random.pick(&["", "NOT "]));
        }
        if column == "flag" {
            return (*self
                .random
                .pick(&["flag", "NOT flag", "flag = true", "flag <> true", "flag IN (false)"]))
            .to_owned();
        }
        let [a, b] = [self.constant(column), self.constant(column)];
        match self.random.below(8) {
            0 => format!("{column} IN ({a}, {b})"),
            1 => format!("{column} NOT IN ({a}, {b})"),
            2 => format!("{column} BETWEEN {a} AND {b}"),
            3 => format!("{column} NOT BETWEEN {a} AND {b}"),
            4 => format!("{a} < {column}"),
            _ => format!("{column} {} {a}", self.random.pick(&["=", "<>", "<", "<=", ">", ">="])),
        }
    }

    fn constant(&mut self, column: &str) -> String {
        let day = self.random.between(18_300, 18_420);
        let date = (day_text(day), self.random.between(0, 23));
        match column {
            "ward" => format!("'{}'", self.random.pick(&WARDS).replace('\'', "''")),
            "grade" => format!("'{}'", self.random.between(1, 3)),
            "level" => (*self.random.pick(&["-3", "0", "1", "2", "2.5", "-1.0"])).to_owned(),
            "age" => self.random.between(0, 120).to_string(),
            "small" | "beds" => self.random.between(0, 40).to_string(),
            "dose" => (*self.random.pick(&["0", "0.1", "2.5", "-7", "1e300", "0.0"])).to_owned(),
            "score" | "rate" | "cost" => format!("{:.3}", self.random.share() * 4.0 - 0.5),
            "day" => self
                .random
                .pick(&[format!("DATE '{}'", date.0), format!("'{}'", date.0)])
                .clone(),
            "seen" => format!("TIMESTAMP '{} {:02}:30:00'", date.0, date.1),
            _ => format!("'{}'", self.random.pick(&self.tables.nodes)),
        }
    }

    fn ends(&mut self, cells: Cells, having: &str) -> Question {
        let columns = cells.columns();
        let mut order = cells.key_names();
        for (at, (_, sameness)) in cells.aggregates.iter().enumerate() {
            if *sameness == Sameness::Exact && self.random.chance(30) {
                order.insert(0, format!("a{at}"));
            }
        }
        let mut sql = format!("{}{having}", cells.sql);
        let ordered = self.random.chance(60);
        if ordered && !order.is_empty() {
            let directed = order.iter().map(|key| {
                let direction = self.random.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                format!("{key}{direction}")
            });
            sql = format!("{sql} ORDER BY {}", directed.collect::<Vec<_>>().join(", "));
            if self.random.chance(40) {
                // A sum that does not fit may be left out of an answer without rows, or fail it.
                let fewest = usize::from(sql.contains("sum(huge)"));
                sql = format!("{sql} LIMIT {}", self.random.below(6) + fewest);
                if self.random.chance(30) {
                    sql = format!("{sql} OFFSET {}", self.random.below(3));
                }
            }
        }
        Question { sql, columns, ordered }
    }

    fn plain(&mut self) -> Question {
        let cells = self.cells();
        let having = match cells.keys > 0 && self.random.chance(30) {
            true => format!(" HAVING count(*) >= {}", self.random.below(8)),
            false => String::new(),
        };
        self.ends(cells, &having)
    }

    /// Arithmetic with released values.
    fn computed(&mut self) -> Question {
        let keys = self.keys(&VISIT_KEYS, 2);
        let computed = [
            ("sum(small) / nullif(count(small), 0)", Sameness::Exact),
            ("sum(cost) / nullif(count(*), 0)", Sameness::Mean),
            (
                "100.0 * count(*) FILTER (WHERE flag) / nullif(count(*), 0)",
                Sameness::Mean,
            ),
            ("count(*) - count(level) + 2 * count(flag)", Sameness::Exact),
            ("stddev(small) / nullif(avg(small), 0)", Sameness::Spread),
            ("CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END", Sameness::Exact),
            ("coalesce(sum(level), -1)", Sameness::Exact),
            ("CAST(count(*) AS DOUBLE) * avg(cost)", Sameness::Mean),
            ("count(*) > 10 AND sum(small) IS NOT NULL", Sameness::Exact),
        ];
        let count = self.random.below(3) + 1;
        let picked = (0..count).map(|_| *self.random.pick(&computed));
        let aggregates = picked.map(|(expr, sameness)| (expr.to_owned(), sameness)).collect();
        let cells = self.cells_with("visits", keys, aggregates);
        self.ends(cells, "")
    }

    fn with(&mut self) -> Question {
        let keys = self.keys(&VISIT_KEYS, 2);
        let counts = vec![
            ("count(*)".to_owned(), Sameness::Exact),
            ("sum(small)".to_owned(), Sameness::Exact),
        ];
        let cells = self.cells_with("visits", keys, counts);
        let most = self.random.below(20);
        Question {
            sql: format!(
                "WITH t AS ({}) SELECT a0, a1, a0 + coalesce(a1, 0) FROM t WHERE a0 > {most}",
                cells.sql
            ),
            columns: vec![Sameness::Exact; 3],
            ordered: false,
        }
    }

    fn union(&mut self) -> Question {
        let of = |writer: &mut Self, table: &str| {
            let aggregates = vec![
                ("count(*)".to_owned(), Sameness::Exact),
                ("count(ward)".to_owned(), Sameness::Exact),
            ];
            writer.cells_with(table, vec!["ward".to_owned(), "grade".to_owned()], aggregates)
        };
        let (a, b) = (of(self, "visits"), of(self, "beds"));
        let all = self.random.pick(&["UNION ALL", "UNION"]);
        Question {
            sql: format!("{} {all} {}", a.sql, b.sql),
            columns: a.columns(),
            ordered: false,
        }
    }

    /// Released results of two collections, put together.
    fn joined(&mut self) -> Question {
        let a = self.cells_of("visits", vec!["ward".to_owned(), "grade".to_owned()]);
        let b = self.cells_of("beds", vec!["ward".to_owned()]);
        let kind = *self.random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let mut list = vec!["a.k0".to_owned(), "a.k1".to_owned(), "b.k0".to_owned()];
        list.extend((0..a.aggregates.len()).map(|at| format!("a.a{at}")));
        list.extend((0..b.aggregates.len()).map(|at| format!("b.a{at}")));
        let columns = [
            vec![Sameness::Exact; 3],
            a.columns()[2..].to_vec(),
            b.columns()[1..].to_vec(),
        ]
        .concat();
        Question {
            sql: format!(
                "SELECT {} FROM ({}) a {kind} ({}) b ON a.k0 = b.k0",
                list.join(", "),
                a.sql,
                b.sql
            ),
            columns,
            ordered: false,
        }
    }

    fn window(&mut self) -> Question {
        let windows = [
            "rank() OVER (ORDER BY count(*) DESC)",
            "row_number() OVER (ORDER BY ward, grade)",
            "sum(count(*)) OVER (PARTITION BY ward)",
            "sum(count(*)) OVER (ORDER BY ward, grade ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            "lag(count(*)) OVER (ORDER BY ward, grade)",
            "count(*) * 1.0 / sum(count(*)) OVER ()",
        ];
        let at = self.random.below(windows.len());
        let sameness = if at == windows.len() - 1 {
            Sameness::Mean
        } else {
            Sameness::Exact
        };
        let aggregates = vec![
            ("count(*)".to_owned(), Sameness::Exact),
            (windows[at].to_owned(), sameness),
        ];
        let cells = self.cells_with("visits", vec!["ward".to_owned(), "grade".to_owned()], aggregates);
        self.ends(cells, "")
    }

    fn compared_with_a_subquery(&mut self) -> Question {
        let keys = vec![(*self.random.pick(&["ward", "level", "bin(age)", "flag"])).to_owned()];
        let cells = self.cells_of("visits", keys);
        self.ends(cells, " HAVING count(*) > (SELECT count(*) / 8 FROM beds)")
    }

    fn among_a_subquery(&mut self) -> Question {
        let inner = self.cells_with(
            "visits",
            vec!["ward".to_owned()],
            vec![("count(*)".to_owned(), Sameness::Exact)],
        );
        let not = self.random.pick(&["", "NOT "]);
        let most = self.random.below(6);
        Question {
            sql: format!(
                "SELECT k0, a0 FROM ({}) t WHERE k0 {not}IN (SELECT ward FROM beds WHERE ward IS NOT NULL GROUP BY ward HAVING count(*) > {most})",
                inner.sql
            ),
            columns: inner.columns(),
            ordered: false,
        }
    }

    fn aggregated_again(&mut self) -> Question {
        let counts = vec![
            ("count(*)".to_owned(), Sameness::Exact),
            ("sum(level)".to_owned(), Sameness::Exact),
        ];
        let cells = self.cells_with(
            "visits",
            vec!["ward".to_owned(), "grade".to_owned(), "node".to_owned()],
            counts,
        );
        Question {
            sql: format!(
                "SELECT k0, count(*), sum(a0), max(a0), min(a1), avg(a0), count(DISTINCT k1) FROM ({}) t GROUP BY k0",
                cells.sql
            ),
            columns: [vec![Sameness::Exact; 5], vec![Sameness::Mean], vec![Sameness::Exact]].concat(),
            ordered: false,
        }
    }

    /// What nodes do not aggregate: rows come, and are aggregated afterwards.
    fn of_rows(&mut self) -> Question {
        let condition = self.condition("visits", 1);
        let (list, group, columns) = *self.random.pick(&[
            ("ward, min(level), max(day)", "ward", 3),
            ("flag, count(DISTINCT level), count(DISTINCT ward)", "flag", 3),
            ("ward, grade, count(*), grouping(ward)", "ROLLUP (ward, grade)", 4),
            ("grade, max(seen), bool_or(flag)", "grade", 3),
            ("level + 1, count(*)", "level + 1", 2),
        ]);
        Question {
            sql: format!("SELECT {list} FROM visits WHERE {condition} GROUP BY {group}"),
            columns: vec![Sameness::Exact; columns],
            ordered: false,
        }
    }

    fn rows(&mut self) -> Question {
        let condition = self.condition("visits", 2);
        let (list, columns) = *self.random.pick(&[
            ("ward, grade, level, age, flag, day, seen, node", 8),
            ("DISTINCT ward, grade", 2),
            ("day, dose, score, cost, huge, empty", 6),
            ("level * 2, upper(ward)", 2),
        ]);
        Question {
            sql: format!("SELECT {list} FROM visits WHERE {condition}"),
            columns: vec![Sameness::Exact; columns],
            ordered: false,
        }
    }

    /// A query below the aggregate that chooses, renames and filters.
    fn derived(&mut self) -> Question {
        let condition = self.condition("visits", 1);
        let (x, sameness) = *self
            .random
            .pick(&[("small", Sameness::Exact), ("cost", Sameness::Mean)]);
        Question {
            sql: format!(
                "WITH chosen AS (SELECT ward AS w, grade, {x} AS x, level FROM visits WHERE {condition}) \
                 SELECT w, grade, sum(x), avg(level), count(*) FROM chosen WHERE level > -2 GROUP BY w, grade"
            ),
            columns: vec![
                Sameness::Exact,
                Sameness::Exact,
                sameness,
                Sameness::Mean,
                Sameness::Exact,
            ],
            ordered: false,
        }
    }
}

/// About how far values of the column are from their mean.
fn deviation(column: &str) -> f64 {
    match column {
        "small" => 290.0,
        "age" => 35.0,
        "beds" => 12.0,
        "cost" => 30.0,
        "huge" => 5e18,
        _ => 1.5,
    }
}

fn is_whole(column: &str) -> bool {
    matches!(column, "level" | "age" | "small" | "huge" | "code" | "beds")
}

fn bracketed(condition: &str) -> String {
    format!("({condition})")
}

/// A day as `2020-01-31`.
fn day_text(days: i64) -> String {
    let day = arrow::temporal_conversions::date32_to_datetime(i32::try_from(days).unwrap_or_default());
    day.map(|day| day.date().to_string()).unwrap_or_default()
}
