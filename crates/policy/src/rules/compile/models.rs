//! The models table of a permission: whether it is there where it must be, and only there, and what it says.

use std::ops::Range;

use terms::{Report, RuleId};
use toml::Spanned;

use super::Scope;
use crate::document::WrittenModels;
use crate::grant::{Release, Tier};
use crate::models::{
    MASKED_NODES_MIN, MODEL_NODES_MAX, MODEL_STEPS_MAX, ModelRules, Overlaps, PARAMETERS_SHARE_MAX,
    PARAMETERS_SHARE_PLAIN, Sum,
};

/// Longest reason for many parameters, in characters.
const REASON_CHARS_MAX: usize = 300;

impl Scope<'_> {
    /// The rules for models; none where there are no models, or nobody to protect.
    pub(super) fn models(
        &self,
        id: &RuleId,
        tier: Tier,
        release: &Spanned<Release>,
        written: Option<Spanned<WrittenModels>>,
    ) -> Result<Option<ModelRules>, Report> {
        match (tier, *release.get_ref(), written) {
            (_, Release::Aggregates, Some(written)) => {
                let message =
                    format!("permission {id}: models is not for release = \"aggregates\", which permits no models");
                let remedy = "take [permission.models] away, or write release = \"models\"";
                Err(self.source.invalid(written.span(), message).remedy(remedy))
            }
            (Tier::Open, _, Some(written)) => {
                let message =
                    format!("permission {id}: tier \"open\" does not heed models: there is nobody to protect");
                let remedy = "take [permission.models] away; the release alone permits models";
                Err(self.source.invalid(written.span(), message).remedy(remedy))
            }
            (Tier::Statistical { .. }, Release::Models, None) => {
                let message = format!(
                    "permission {id}: release \"models\" with tier \"statistical\" needs a table [permission.models]"
                );
                let remedy = "add [permission.models] with sum = \"masked\" or sum = \"plain\"";
                Err(self.source.invalid(release.span(), message).remedy(remedy))
            }
            (Tier::Statistical { .. }, Release::Models | Release::Rows, Some(written)) => {
                self.model_rules(id, written.into_inner()).map(Some)
            }
            (Tier::Statistical { .. }, Release::Rows, None) => Ok(Some(ModelRules::OF_ROWS)),
            (_, Release::Aggregates, None) | (Tier::Open, _, None) => Ok(None),
        }
    }

    fn model_rules(&self, id: &RuleId, written: WrittenModels) -> Result<ModelRules, Report> {
        let sum = *written.sum.get_ref();
        let counts = [
            ("min_nodes", &written.min_nodes, MODEL_NODES_MAX),
            ("steps", &written.steps, MODEL_STEPS_MAX),
        ];
        for (key, number, most) in counts {
            if let Some(number) = number
                && !(1..=most).contains(number.get_ref())
            {
                return Err(self.of_models(id, number.span(), &format!("{key} must be from 1 to {most}")));
            }
        }
        let few = written
            .min_nodes
            .as_ref()
            .filter(|nodes| *nodes.get_ref() < MASKED_NODES_MIN);
        if let (Sum::Masked, Some(nodes)) = (sum, few) {
            let message = format!(
                "sum = \"masked\" needs min_nodes = {MASKED_NODES_MIN} or more: of two nodes each would know the other's sums"
            );
            let remedy = format!("write min_nodes = {MASKED_NODES_MIN}, or leave it out");
            return Err(self.of_models(id, nodes.span(), &message).remedy(remedy));
        }
        let (parameters_share, reason) = self.parameters(id, written.parameters, written.reason)?;
        let number = |written: Option<Spanned<u32>>, default| written.map_or(default, Spanned::into_inner);
        Ok(ModelRules {
            sum,
            nodes_min: number(written.min_nodes, ModelRules::NODES_MIN),
            parameters_share,
            reason,
            steps_max: number(written.steps, ModelRules::STEPS_MAX),
            overlaps: written.overlaps.map_or(Overlaps::Refuse, Spanned::into_inner),
        })
    }

    /// How many parameters for each person, and why so many.
    fn parameters(
        &self,
        id: &RuleId,
        share: Option<Spanned<f64>>,
        reason: Option<Spanned<String>>,
    ) -> Result<(f64, Option<String>), Report> {
        let span = share.as_ref().map(Spanned::span);
        let share = share.map_or(PARAMETERS_SHARE_PLAIN, Spanned::into_inner);
        let is_many = share > PARAMETERS_SHARE_PLAIN;
        if !(share > 0.0 && share <= PARAMETERS_SHARE_MAX) {
            let message = format!("parameters must be more than 0 and at most {PARAMETERS_SHARE_MAX}");
            return Err(self.of_models(id, span.unwrap_or_default(), &message));
        }
        match reason {
            None if is_many => {
                let message = format!("parameters above {PARAMETERS_SHARE_PLAIN} need a reason");
                let remedy = format!(
                    "add reason = \"...\" that says to the board why, or write at most {PARAMETERS_SHARE_PLAIN}"
                );
                Err(self.of_models(id, span.unwrap_or_default(), &message).remedy(remedy))
            }
            Some(reason) if !is_many => {
                let message = format!("reason is for parameters above {PARAMETERS_SHARE_PLAIN}");
                Err(self.of_models(id, reason.span(), &message).remedy("take reason away"))
            }
            Some(reason) => {
                let key = format!("permission {id}: models: reason");
                self.source
                    .require_text(reason.span(), &key, reason.get_ref(), REASON_CHARS_MAX)?;
                Ok((share, Some(reason.into_inner())))
            }
            None => Ok((share, None)),
        }
    }

    fn of_models(&self, id: &RuleId, span: Range<usize>, message: &str) -> Report {
        self.source.invalid(span, format!("permission {id}: models: {message}"))
    }
}
