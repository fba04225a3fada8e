//! Triples in the order in which a person would read them, one subject after the other.

use oxrdf::vocab::rdf;
use oxrdf::{Literal, NamedNode, NamedNodeRef, Term, Triple};

use crate::statements::Texts;

/// All that was said.
#[derive(Debug, Default)]
pub(crate) struct Triples(Vec<Triple>);

/// What is said about one subject.
pub(crate) struct About<'a> {
    subject: NamedNode,
    all: &'a mut Vec<Triple>,
}

impl Triples {
    /// Begins to speak about `subject`, which is of a class.
    pub(crate) fn about(&mut self, subject: &NamedNode, class: NamedNodeRef<'_>) -> About<'_> {
        let about = About {
            subject: subject.clone(),
            all: &mut self.0,
        };
        about.link(rdf::TYPE, class)
    }

    /// All of them. What was said twice is there once.
    pub(crate) fn into_vec(self) -> Vec<Triple> {
        let mut seen = std::collections::HashSet::new();
        let mut all = self.0;
        all.retain(|triple| seen.insert(triple.clone()));
        all
    }
}

impl About<'_> {
    /// Another resource.
    pub(crate) fn link(self, property: NamedNodeRef<'_>, object: impl Into<NamedNode>) -> Self {
        self.say(property, object.into())
    }

    /// Several other resources.
    pub(crate) fn links(self, property: NamedNodeRef<'_>, objects: impl IntoIterator<Item = NamedNode>) -> Self {
        objects
            .into_iter()
            .fold(self, |about, object| about.link(property, object))
    }

    /// A text in each language that it exists in.
    pub(crate) fn texts(self, property: NamedNodeRef<'_>, texts: &Texts) -> Self {
        texts.each().fold(self, |about, (language, text)| {
            about.say(property, Literal::new_language_tagged_literal_unchecked(text, language))
        })
    }

    /// A text that is of no language: a name, a code.
    pub(crate) fn plain(self, property: NamedNodeRef<'_>, text: impl Into<String>) -> Self {
        self.say(property, Literal::new_simple_literal(text))
    }

    /// A literal of another kind.
    pub(crate) fn typed(self, property: NamedNodeRef<'_>, text: impl Into<String>, kind: NamedNodeRef<'_>) -> Self {
        self.say(property, Literal::new_typed_literal(text, kind))
    }

    fn say(self, property: NamedNodeRef<'_>, object: impl Into<Term>) -> Self {
        self.all
            .push(Triple::new(self.subject.clone(), property.into_owned(), object.into()));
        self
    }
}
