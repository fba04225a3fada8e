//! Real and made-up data are never pooled: a number that is of both is of nobody.
//!
//! Whom to ask is judged by what nodes say of themselves in the catalogue, and what came back by what they signed with their answers.

#[cfg(test)]
mod tests;

use terms::{CollectionId, Problem, Report};

use crate::answer::Coverage;
use crate::catalog::Offer;
use crate::split::Leaf;

/// Refuses a question that would be answered from both.
pub(super) fn require_one_kind_offered(leaves: &[Leaf], offers: &[Offer]) -> Result<(), Report> {
    let mut kinds = Kinds::default();
    for leaf in leaves {
        let joined = leaf.asked.joins().iter().map(|join| &join.collection);
        let collections: Vec<&CollectionId> = joined.chain([&leaf.collection.id]).collect();
        for offer in offers.iter().filter(|offer| offer.is_asked(leaf)) {
            for offered in collections.iter().filter_map(|collection| offer.offered(collection)) {
                kinds.see(offered.synthetic, offer.peer.member.as_str());
            }
        }
    }
    kinds.require_one()
}

/// Refuses an answer that is from both.
pub(crate) fn require_one_kind(coverage: &[Coverage]) -> Result<(), Report> {
    let mut kinds = Kinds::default();
    for node in coverage {
        node.data
            .iter()
            .for_each(|data| kinds.see(data.synthetic, node.node.as_str()));
    }
    kinds.require_one()
}

/// Who has real data, and who made-up ones.
#[derive(Default)]
struct Kinds<'a> {
    real: Vec<&'a str>,
    synthetic: Vec<&'a str>,
}

impl<'a> Kinds<'a> {
    fn see(&mut self, is_synthetic: bool, node: &'a str) {
        let nodes = match is_synthetic {
            true => &mut self.synthetic,
            false => &mut self.real,
        };
        if nodes.last() != Some(&node) {
            nodes.push(node);
        }
    }

    fn require_one(mut self) -> Result<(), Report> {
        if self.real.is_empty() || self.synthetic.is_empty() {
            return Ok(());
        }
        for nodes in [&mut self.real, &mut self.synthetic] {
            nodes.sort_unstable();
            nodes.dedup();
        }
        let message = format!(
            "the data of {} are made up, and those of {} are of real people: no answer is made from both",
            self.synthetic.join(", "),
            self.real.join(", ")
        );
        Err(Problem::Mixed.report(message))
    }
}
