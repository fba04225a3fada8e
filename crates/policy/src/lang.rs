//! The two languages in which a board reads its policies, and the words of the policy language in both.
//!
//! Sentences stand beside each other where they are used, so that one cannot be changed without the other; what several
//! reading aids say is here. German words are those of the German text of Regulation (EU) 2025/327.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use jiff::civil::Weekday;
use terms::Purpose;

use crate::collection::{RowFilter, list};
use crate::disclosure::Quota;
use crate::duty::Duty;
use crate::grant::Release;
use crate::source::is_invisible;
use crate::window::Window;

/// The language of a text for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// German.
    De,
    /// English.
    #[default]
    En,
}

/// A language that texts do not exist in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("texts exist in de (German) and en (English)")]
pub struct LangError;

impl Lang {
    /// The one of two texts that is in this language.
    pub fn pick<T>(self, de: T, en: T) -> T {
        match self {
            Lang::De => de,
            Lang::En => en,
        }
    }

    /// A purpose in a few words.
    pub fn purpose(self, purpose: Purpose) -> &'static str {
        let de = match purpose {
            Purpose::PublicHealth => "öffentliche Gesundheit und Arbeitsschutz",
            Purpose::PolicyMaking => "Politikgestaltung und Regulierung",
            Purpose::Statistics => "Statistik",
            Purpose::Education => "Bildung und Lehre",
            Purpose::Research => "wissenschaftliche Forschung",
            Purpose::CareImprovement => "Verbesserung der Versorgung",
            Purpose::DetrimentalDecision => "Entscheidungen zum Nachteil einer Person",
            Purpose::Insurance => "Versicherung, Kredit und Stellenangebote",
            Purpose::Marketing => "Werbung und Vermarktung",
            Purpose::HarmfulProducts => "schädliche Produkte",
            Purpose::Unethical => "Nutzung gegen nationale Ethikvorschriften",
        };
        self.pick(de, purpose.words())
    }

    /// A purpose as its code with its words.
    pub(crate) fn purpose_with_code(self, purpose: Purpose) -> String {
        format!("{purpose} ({})", self.purpose(purpose))
    }

    /// What leaves, in one word.
    pub(crate) fn release(self, release: Release) -> &'static str {
        match release {
            Release::Aggregates => self.pick("Statistik", "statistics"),
            Release::Models => self.pick("Modelle", "models"),
            Release::Rows => self.pick("Zeilen", "rows"),
        }
    }

    /// A recurring time window.
    pub(crate) fn window(self, window: &Window) -> String {
        let days = list(window.days().iter().map(|day| self.day(*day)));
        let (from, until) = (window.from().strftime("%H:%M"), window.until().strftime("%H:%M"));
        let to = self.pick("bis", "to");
        format!("{days} {from} {to} {until} {}", window.zone())
    }

    fn day(self, day: Weekday) -> &'static str {
        match day {
            Weekday::Monday => self.pick("Mo", "Mon"),
            Weekday::Tuesday => self.pick("Di", "Tue"),
            Weekday::Wednesday => self.pick("Mi", "Wed"),
            Weekday::Thursday => self.pick("Do", "Thu"),
            Weekday::Friday => self.pick("Fr", "Fri"),
            Weekday::Saturday => self.pick("Sa", "Sat"),
            Weekday::Sunday => self.pick("So", "Sun"),
        }
    }

    /// What whoever receives an answer must do.
    pub(crate) fn duty(self, duty: &Duty) -> String {
        match (self, duty) {
            (Lang::En, duty) => duty.to_string(),
            (Lang::De, Duty::Delete { within_days }) => format!("innerhalb von {within_days} Tagen löschen"),
            (Lang::De, Duty::Attribute { text }) => format!("die Quelle nennen: {text}"),
            (Lang::De, Duty::PublishResults { within_days }) => {
                format!("die Ergebnisse innerhalb von {within_days} Tagen veröffentlichen")
            }
        }
    }

    /// How often one may ask; none if as often as one likes.
    pub(crate) fn quota(self, quota: Quota) -> Option<String> {
        let minute = |most: u32| self.pick(format!("{most} mal in der Minute"), format!("{most} times a minute"));
        let week = |most: u32| {
            self.pick(
                format!("{most} mal in sieben Tagen"),
                format!("{most} times in seven days"),
            )
        };
        let parts: Vec<String> = [quota.per_minute.map(minute), quota.per_week.map(week)]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| parts.join(self.pick(" und ", " and ")))
    }

    /// Whose rows a row filter leaves.
    pub(crate) fn row_filter(self, filter: &RowFilter) -> String {
        match filter {
            RowFilter::Sql(sql) => {
                let sql: Vec<String> = sql.split_whitespace().map(visible).collect();
                let sql = sql.join(" ");
                self.pick(format!("nur Zeilen mit: {sql}"), format!("only rows with: {sql}"))
            }
            RowFilter::Consent(codes) => {
                let codes = list(codes);
                self.pick(
                    format!("nur Zeilen von Menschen, die eingewilligt haben in: {codes}"),
                    format!("only rows of people who consent to: {codes}"),
                )
            }
        }
    }
}

/// Text of a file as a board may be shown it: what turns or hides text, or moves a terminal, is written out.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_invisible(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

impl FromStr for Lang {
    type Err = LangError;

    fn from_str(text: &str) -> Result<Self, LangError> {
        match text {
            "de" => Ok(Lang::De),
            "en" => Ok(Lang::En),
            _ => Err(LangError),
        }
    }
}
