//! A policy as a table: who gets what for which purpose, and under which conditions, for people who review it.
//!
//! What stands in the cells was asked of the decision itself (`matrix/reach.rs`); how a permission reads is in
//! `matrix/conditions.rs`, how lines are laid out in `matrix/layout.rs`. The text depends on the policies of the collection and on the
//! collection, and on nothing else: not on the roster, on permits, on stops or on the day. So it can be stored beside
//! the policy and compared.

pub(crate) mod conditions;
pub(crate) mod kinds;
mod layout;
pub(crate) mod reach;
#[cfg(test)]
mod tests;
mod times;

use terms::{PolicyId, Purpose};

use self::kinds::Kind;
use self::layout::{Ruled, WIDTH, paragraph, table};
use self::reach::{Given, Reach, Row};
use crate::collection::list;
use crate::grant::{Release, Tier};
use crate::lang::Lang;
use crate::rule::{Permission, Policy};
use crate::rules::Rules;

/// Width of the table's first column, in characters.
const WHO_WIDTH: usize = 26;

/// Width of the others. Six purposes and the first make [`WIDTH`].
const CELL_WIDTH: usize = 11;

/// The purposes that a policy can permit, in two words.
const PURPOSES: [(Purpose, &str, &str); 6] = [
    (Purpose::PublicHealth, "(a) öff. Gesundheit", "(a) public health"),
    (Purpose::PolicyMaking, "(b) Politik, Aufsicht", "(b) policy making"),
    (Purpose::Statistics, "(c) amtliche Statistik", "(c) official statistics"),
    (Purpose::Education, "(d) Lehre", "(d) teaching"),
    (Purpose::Research, "(e) Forschung", "(e) research"),
    (Purpose::CareImprovement, "(f) bessere Versorgung", "(f) better care"),
];

/// Where the matrix of a policy lies in the data space. It is the English one.
pub fn matrix_path(policy: &PolicyId) -> String {
    format!("policies/{policy}.matrix.txt")
}

/// The decision table of one policy as plain text, at most 110 characters wide; none if there is no such policy.
pub fn matrix(rules: &Rules, policy: &PolicyId, lang: Lang) -> Option<String> {
    let policy = rules.policy(policy)?;
    let rows = Reach::of(rules, policy)?.rows();
    let mut page = Page {
        lang,
        rules,
        policy,
        out: String::new(),
    };
    page.head();
    page.who(&rows);
    page.permissions();
    page.prohibitions();
    page.nobody();
    Some(page.out)
}

struct Page<'a> {
    lang: Lang,
    rules: &'a Rules,
    policy: &'a Policy,
    out: String,
}

impl Page<'_> {
    fn say(&mut self, first: &str, de: &str, en: &str) {
        let text = self.lang.pick(de, en);
        paragraph(&mut self.out, first, text);
    }

    fn heading(&mut self, de: &str, en: &str) {
        self.out.push('\n');
        self.say("", de, en);
        self.out.push('\n');
    }

    fn head(&mut self) {
        let Policy {
            id,
            version,
            title,
            collection,
            valid_from,
            valid_until,
            ..
        } = self.policy;
        self.say("", title, title);
        self.out.push('\n');
        let from_to = self.lang.pick(
            format!("gilt vom {valid_from} bis {valid_until} (UTC, beide Tage eingeschlossen)"),
            format!("in force from {valid_from} to {valid_until} (UTC, both days included)"),
        );
        self.say(
            "",
            &format!("Regelwerk {id}, Version {version}, {from_to}"),
            &format!("Policy {id}, version {version}, {from_to}"),
        );
        let (de, en) = match &collection.privacy_unit {
            Some(unit) => (
                format!("Daten über Menschen; geschützt ist, wen {unit} bezeichnet"),
                format!("data about people; protected is whom {unit} stands for"),
            ),
            None => (
                "keine Daten über Menschen".to_owned(),
                "no data about people".to_owned(),
            ),
        };
        let of = format!("{} ({})", collection.title, collection.id);
        self.say(
            "",
            &format!("Datenbestand: {of}; {de}"),
            &format!("Collection: {of}; {en}"),
        );
    }

    fn who(&mut self, rows: &[Row]) {
        self.heading(
            "WER BEKOMMT WAS, FÜR WELCHEN ZWECK (EHDS Art. 53 Abs. 1)",
            "WHO GETS WHAT, FOR WHICH PURPOSE (EHDS Art. 53(1))",
        );
        let header = PURPOSES.map(|(_, de, en)| vec![self.lang.pick(de, en).to_owned()]);
        let header = std::iter::once(vec![String::new()]).chain(header).collect();
        let rows = rows.iter().map(|row| {
            let cells = row.cells.iter().map(|(_, given)| self.cell(given));
            std::iter::once(vec![self.kind(&row.kind)]).chain(cells).collect()
        });
        let rows: Vec<Vec<Vec<String>>> = std::iter::once(header).chain(rows).collect();
        let widths = [
            WHO_WIDTH, CELL_WIDTH, CELL_WIDTH, CELL_WIDTH, CELL_WIDTH, CELL_WIDTH, CELL_WIDTH,
        ];
        debug_assert!(widths.iter().sum::<usize>() + 3 * (widths.len() - 1) <= WIDTH);
        table(&mut self.out, 0, Ruled::Rows, &widths, &rows);
        self.out.push('\n');
        self.say(
            "",
            "Wer in mehreren Zeilen gemeint ist, bekommt, was eine davon gibt. Die Zahl in Klammern nennt die Erlaubnis unten. \
             (a) bis (c) stehen nur öffentlichen Stellen offen und denen, die für sie tätig sind (Art. 53 Abs. 2): nach der \
             Mitgliederliste oder nach einer Datengenehmigung.",
            "Whoever is meant by several lines gets what any of them gives. The number in brackets is that of the permission \
             below. (a) to (c) are open to public bodies and those acting for them only (Art. 53(2)): by the roster, or by a \
             data permit.",
        );
    }

    /// Whom a line of the table is about.
    fn kind(&self, kind: &Kind) -> String {
        let mut parts: Vec<String> = Vec::new();
        if !kind.roles.is_empty() {
            let roles: Vec<&str> = kind.roles.iter().map(terms::RoleName::as_str).collect();
            parts.push(format!("{} {}", self.lang.pick("Rolle", "role"), roles.join(" + ")));
        }
        match (&kind.member, &kind.person) {
            (Some(member), Some(person)) => {
                parts.push(format!("{} {member}/{person}", self.lang.pick("Person", "person")))
            }
            (Some(member), None) => parts.push(format!("{} {member}", self.lang.pick("Mitglied", "member"))),
            (None, _) => {}
        }
        if parts.is_empty() {
            parts.push(self.lang.pick("alle anderen", "everybody else").to_owned());
        }
        if kind.public {
            parts.push(
                self.lang
                    .pick(
                        "öffentliche Stelle oder für eine tätig",
                        "public body or acting for one",
                    )
                    .to_owned(),
            );
        }
        parts.join(", ")
    }

    fn cell(&self, given: &[Given]) -> Vec<String> {
        if given.is_empty() {
            return vec![self.lang.pick("nein", "no").to_owned()];
        }
        let is_implied = |one: &Given| {
            // Whoever gets rows gets models and statistics of them.
            given.iter().any(|other| {
                other.by.release > one.by.release
                    && (&other.by.policy, &other.by.permission) == (&one.by.policy, &one.by.permission)
                    && (other.by.with_permit, other.always, &other.without)
                        == (one.by.with_permit, one.always, &one.without)
            })
        };
        let mut lines: Vec<String> = Vec::new();
        for one in given.iter().filter(|one| !is_implied(one)) {
            if !lines.is_empty() {
                lines.push(self.lang.pick("oder", "or").to_owned());
            }
            lines.extend(self.given(one));
        }
        lines
    }

    fn given(&self, given: &Given) -> Vec<String> {
        let lang = self.lang;
        let what = lang.release(given.by.release);
        let mut own = self.policy.permissions.iter().enumerate();
        let own = own.find(|(_, rule)| given.by.policy == self.policy.id && rule.id == given.by.permission);
        let first = match own.map(|(number, rule)| (number + 1, rule.disclosure.tier)) {
            Some((number, Tier::Statistical { min_people })) if given.by.release != Release::Rows => {
                format!("{what} {} {min_people} [{number}]", lang.pick("ab", "from"))
            }
            Some((number, Tier::Open | Tier::Statistical { .. })) => format!("{what} [{number}]"),
            None => format!("{what}: {} {}", lang.pick("siehe", "see"), given.by.policy),
        };
        let mut lines = vec![first];
        if given.by.with_permit {
            lines.push(lang.pick("mit Daten- genehmigung", "with permit").to_owned());
        }
        if !given.always {
            lines.push(lang.pick("zeitweise", "at times").to_owned());
        }
        if !given.without.is_empty() {
            lines.push(format!("{} {}", lang.pick("ohne", "without"), list(&given.without)));
        }
        lines
    }

    fn permissions(&mut self) {
        self.heading("ERLAUBNISSE", "PERMISSIONS");
        if self.policy.permissions.is_empty() {
            self.say("", "Keine.", "None.");
        }
        let policy = self.policy;
        for (number, permission) in policy.permissions.iter().enumerate() {
            if number > 0 {
                self.out.push('\n');
            }
            self.permission(number, permission);
        }
    }

    fn permission(&mut self, number: usize, permission: &Permission) {
        let what = match permission.release {
            Release::Aggregates => self.lang.pick(
                "Statistik (Anzahlen, Summen, Mittelwerte); nie einzelne Zeilen",
                "statistics (counts, sums, means); never single rows",
            ),
            Release::Models => self.lang.pick(
                "Statistik, und Modelle aus Summen über Zeilen; nie einzelne Zeilen",
                "statistics, and models from sums over rows; never single rows",
            ),
            Release::Rows => self.lang.pick(
                "einzelne Zeilen, und Modelle und Statistik darüber",
                "single rows, and models and statistics of them",
            ),
        };
        paragraph(
            &mut self.out,
            &format!("[{}] ", number + 1),
            &format!("{}: {what}", permission.id),
        );
        let terms = conditions::of(self.policy, permission, self.lang);
        let width = terms.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, text) in terms {
            paragraph(&mut self.out, &format!("    {name:width$}  "), &text);
        }
        let alike = self.policy.permissions.iter().take(number);
        let alike = alike.enumerate().find(|(_, other)| other.columns == permission.columns);
        if let Some((other, _)) = alike.filter(|_| !permission.columns.is_empty()) {
            let same = self.lang.pick("Spalten wie bei", "columns as of");
            self.out.push_str(&format!("    {same} [{}]\n", other + 1));
            return;
        }
        self.out.push('\n');
        conditions::columns(&mut self.out, &self.policy.collection, permission, self.lang);
    }

    fn prohibitions(&mut self) {
        self.heading(
            "VERBOTE, DIE JEDE ERLAUBNIS SCHLAGEN",
            "PROHIBITIONS, WHICH BEAT EVERY PERMISSION",
        );
        let policies = self.rules.of_collection(&self.policy.collection.id);
        let all = policies
            .iter()
            .flat_map(|policy| policy.prohibitions.iter().map(move |rule| (policy, rule)));
        let mut lines = Vec::new();
        for (policy, rule) in all {
            let mut first = format!("{}: ", rule.id);
            if policy.id != self.policy.id {
                let (from, until) = (policy.valid_from, policy.valid_until);
                first = self.lang.pick(
                    format!("{} (aus {}, {from} bis {until}): ", rule.id, policy.id),
                    format!("{} (of {}, {from} to {until}): ", rule.id, policy.id),
                );
            }
            lines.push(format!("{first}{}", conditions::prohibition(rule, self.lang)));
        }
        if lines.is_empty() {
            self.say("", "Keine.", "None.");
        }
        for line in lines {
            paragraph(&mut self.out, "  - ", &line);
        }
    }

    fn nobody(&mut self) {
        self.heading(
            "WAS NIEMAND DARF, WAS AUCH IMMER EIN REGELWERK SAGT (EHDS Art. 54)",
            "WHAT NOBODY MAY, WHATEVER A POLICY SAYS (EHDS Art. 54)",
        );
        for purpose in Purpose::all().filter(|purpose| purpose.is_prohibited_use()) {
            paragraph(&mut self.out, "  - ", &self.lang.purpose_with_code(purpose));
        }
        paragraph(
            &mut self.out,
            "  - ",
            self.lang.pick(
                "alles, was oben keine Erlaubnis nennt; und nichts über Menschen, die der Sekundärnutzung widersprochen haben (Art. 71)",
                "anything that no permission above names; and nothing about people who have opted out (Art. 71)",
            ),
        );
    }
}
