//! The very lines of a file in which a key of a rule stands. It finds lines and never says what they mean.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::lang::visible;

/// Most lines that are quoted of one key.
const LINES_MAX: usize = 12;

/// A line of a file, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Words {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The line without the spaces around it; what hides or turns text is written out.
    pub text: String,
}

/// A file that can be quoted.
pub(super) struct Text<'a> {
    path: &'a str,
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Text<'a> {
    /// None if there is no such file: then there is nothing to quote.
    pub(super) fn read(files: &'a BTreeMap<String, Vec<u8>>, path: &str) -> Option<Self> {
        let (path, bytes) = files.get_key_value(path)?;
        let text = std::str::from_utf8(bytes).ok()?;
        let root = DeTable::parse(text).ok()?.into_inner();
        Some(Self { path, text, root })
    }

    pub(super) fn root(&self) -> &DeTable<'a> {
        &self.root
    }

    /// The table of `[[list]]` in which `key` has this value.
    pub(super) fn entry(&self, list: &str, key: &str, value: &str) -> Option<&DeTable<'a>> {
        let entries = get(&self.root, list)?.get_ref().as_array()?;
        let mut tables = entries.iter().filter_map(|entry| entry.get_ref().as_table());
        tables.find(|table| get(table, key).and_then(|found| found.get_ref().as_str()) == Some(value))
    }

    /// The lines of a key, which may be of a table inside: `disclosure.min_people`.
    pub(super) fn key(&self, table: &DeTable<'_>, key: &str) -> Vec<Words> {
        let span = match key.split_once('.') {
            Some((outer, inner)) => get(table, outer)
                .and_then(|found| found.get_ref().as_table())
                .and_then(|inside| span(inside, inner)),
            None => span(table, key),
        };
        span.map_or_else(Vec::new, |span| self.lines(span))
    }

    /// The lines in which a list names any of these; its first line if it names none.
    pub(super) fn items(&self, table: &DeTable<'_>, key: &str, wanted: impl Fn(&str) -> bool) -> Vec<Words> {
        let list = get(table, key).and_then(|found| found.get_ref().as_array());
        let items = list.into_iter().flat_map(|list| list.iter());
        let named = items.filter(|item| item.get_ref().as_str().is_some_and(&wanted));
        let lines: Vec<Words> = named.flat_map(|item| self.lines(item.span())).collect();
        match lines.is_empty() {
            true => self.key(table, key).into_iter().take(1).collect(),
            false => lines,
        }
    }

    /// The lines of every table in a list of tables.
    pub(super) fn tables(&self, table: &DeTable<'_>, list: &str) -> Vec<Words> {
        let entries = get(table, list).and_then(|found| found.get_ref().as_array());
        let tables = entries.into_iter().flat_map(|entries| entries.iter());
        let tables = tables.filter_map(|entry| entry.get_ref().as_table());
        let keys = tables.flat_map(|table| table.iter().map(|(key, value)| key.span().start..value.span().end));
        let mut lines: Vec<Words> = keys.flat_map(|span| self.lines(span)).collect();
        lines.sort_by_key(|words| words.line);
        lines
    }

    fn lines(&self, span: Range<usize>) -> Vec<Words> {
        let first = self
            .text
            .get(..span.start)
            .map_or(0, |before| before.matches('\n').count());
        let last = first + self.text.get(span).map_or(0, |inside| inside.matches('\n').count());
        let lines = self.text.lines().enumerate().skip(first).take(last + 1 - first);
        let words = lines.take(LINES_MAX).map(|(number, text)| Words {
            path: self.path.to_owned(),
            line: number + 1,
            text: visible(&text.trim().replace('\t', " ")),
        });
        words.collect()
    }
}

fn get<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    table
        .iter()
        .find(|(name, _)| name.get_ref() == key)
        .map(|(_, value)| value)
}

fn span(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(name.span().start..value.span().end)
}
