//! What everybody who carries or receives the messages of one sum can check, step by step, without any secret.
//!
//! Each step takes the messages of one kind, checks every one, and becomes the next: [`Plan`] with keys is [`Keyed`], with shares
//! [`Shared`], with masked numbers [`Delivered`], with lists of survivors [`Agreed`], and with openings a [`crate::Sum`]. The data user's client
//! walks through these by itself; a node does as part of its [`crate::Party`], so that both judge alike. `check` says of one message whether it
//! can be among those of the next step: a client leaves out who fails, and goes on if enough are left.

use std::collections::BTreeMap;
use std::sync::Arc;

use terms::MemberId;
use trust::Digest;

use crate::derivation::Kind;
use crate::error::{Stage, SumError};
use crate::message::{Dealt, Keys, Masked, Message, Opening, Shares, Survivors};
use crate::plan::{Plan, Seat};
use crate::primitive::KEY_BYTES;
use crate::verify::digests;

/// The keys of all who take part.
#[derive(Clone, Debug)]
pub struct Keyed {
    pub(crate) plan: Arc<Plan>,
    pub(crate) keys: BTreeMap<Seat, Keys>,
    pub(crate) context: Digest,
}

/// And the shares of those of them who dealt. These are the ones between whom masks are.
#[derive(Clone, Debug)]
pub struct Shared {
    pub(crate) keyed: Keyed,
    pub(crate) shares: BTreeMap<Seat, Shares>,
    pub(crate) context: Digest,
}

/// And the masked numbers of those of them who delivered: the survivors.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub(crate) shared: Shared,
    pub(crate) masked: BTreeMap<Seat, Masked>,
    pub(crate) survivors: Survivors,
    pub(crate) context: Digest,
}

/// And the signatures of enough survivors under one list of them.
#[derive(Clone, Debug)]
pub struct Agreed {
    pub(crate) delivered: Delivered,
}

impl Keyed {
    /// Checks the keys of all who take part.
    ///
    /// # Errors
    /// What is wrong with the first message that is not right, or that they are too few.
    pub fn new(plan: Arc<Plan>, messages: Vec<Message<Keys>>) -> Result<Self, SumError> {
        plan.check_each(&messages, |message| plan.check(message))?;
        let everybody = (0..).map(Seat).take(plan.roster().len());
        let (keys, context) = plan.gather(messages, plan.digest(), everybody)?;
        Ok(Self { plan, keys, context })
    }

    /// Whether this can be among the shares.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, message: &Message<Shares>) -> Result<(), SumError> {
        self.plan.verify(message, &self.context)?;
        self.plan
            .require_among(message, self.keys.contains_key(&message.seat))?;
        let holders = message.body.0.iter().map(|dealt| dealt.to);
        if !holders.eq(self.keys.keys().copied()) {
            let dealer = self.plan.member(message.seat);
            return Err(SumError::WrongHolders { dealer });
        }
        Ok(())
    }

    /// Checks the shares of all who dealt.
    ///
    /// # Errors
    /// As [`Keyed::new`].
    pub fn shared(self, messages: Vec<Message<Shares>>) -> Result<Shared, SumError> {
        self.plan.check_each(&messages, |message| self.check(message))?;
        let (shares, context) = self.plan.gather(messages, &self.context, self.keys.keys().copied())?;
        Ok(Shared {
            keyed: self,
            shares,
            context,
        })
    }
}

impl Shared {
    /// Whether this can be among the masked numbers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, message: &Message<Masked>) -> Result<(), SumError> {
        let plan = self.plan();
        plan.verify(message, &self.context)?;
        plan.require_among(message, self.shares.contains_key(&message.seat))?;
        let (entries, planned) = (message.body.entries.len(), plan.scales().len());
        if entries != planned {
            let member = plan.member(message.seat);
            return Err(SumError::Length {
                member,
                entries,
                planned,
            });
        }
        Ok(())
    }

    /// Checks the masked numbers of all who delivered. Who did not is out of the sum from here on.
    ///
    /// # Errors
    /// As [`Keyed::new`].
    pub fn delivered(self, messages: Vec<Message<Masked>>) -> Result<Delivered, SumError> {
        self.plan().check_each(&messages, |message| self.check(message))?;
        let survivors = Survivors(digests(&messages));
        let (masked, context) = self
            .plan()
            .gather(messages, &self.context, self.shares.keys().copied())?;
        Ok(Delivered {
            shared: self,
            masked,
            survivors,
            context,
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.keyed.plan
    }

    /// What `dealer`, one of those who dealt, dealt to `holder`, one of those with keys.
    pub(crate) fn dealt(&self, dealer: Seat, holder: Seat) -> Option<&Dealt> {
        self.shares.get(&dealer)?.0.iter().find(|dealt| dealt.to == holder)
    }

    /// Whether a share is the one that was dealt.
    pub(crate) fn check_share(
        &self,
        kind: Kind,
        dealer: Seat,
        holder: Seat,
        share: &[u8; KEY_BYTES],
    ) -> Result<(), SumError> {
        let promised = self.dealt(dealer, holder).map(|dealt| match kind {
            Kind::MaskKey => dealt.key_share,
            Kind::Seed => dealt.seed_share,
        });
        if promised == Some(self.keyed.share_digest(kind, dealer, holder, share)) {
            return Ok(());
        }
        let (dealer, holder) = (self.plan().member(dealer), self.plan().member(holder));
        Err(SumError::WrongShare { dealer, holder })
    }
}

impl Delivered {
    /// Whether this can be among the signatures under the list of survivors.
    ///
    /// # Errors
    /// What is wrong with it; [`SumError::OtherSurvivors`] if it is a signature under another list.
    pub fn check(&self, message: &Message<Survivors>) -> Result<(), SumError> {
        let plan = self.plan();
        plan.verify(message, &self.shared.context)?;
        if message.body != self.survivors {
            let member = plan.member(message.seat);
            return Err(SumError::OtherSurvivors { member });
        }
        plan.require_among(message, self.is_survivor(message.seat))
    }

    /// Checks that enough survivors signed the list.
    ///
    /// # Errors
    /// As [`Keyed::new`].
    pub fn agreed(self, messages: Vec<Message<Survivors>>) -> Result<Agreed, SumError> {
        self.plan().check_each(&messages, |message| self.check(message))?;
        self.plan()
            .gather(messages, &self.shared.context, self.masked.keys().copied())?;
        Ok(Agreed { delivered: self })
    }

    /// The survivors, by member.
    pub fn members(&self) -> Vec<MemberId> {
        self.masked.keys().map(|seat| self.plan().member(*seat)).collect()
    }

    /// Those between whom masks are, and which of their secrets is opened.
    pub(crate) fn to_open(&self) -> impl Iterator<Item = (Seat, Kind)> {
        let kind = |seat| {
            if self.is_survivor(seat) {
                Kind::Seed
            } else {
                Kind::MaskKey
            }
        };
        self.shared.shares.keys().map(move |seat| (*seat, kind(*seat)))
    }

    pub(crate) fn plan(&self) -> &Plan {
        self.shared.plan()
    }

    fn is_survivor(&self, seat: Seat) -> bool {
        self.masked.contains_key(&seat)
    }
}

impl Agreed {
    /// Whether this can be among the openings.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, message: &Message<Opening>) -> Result<(), SumError> {
        let delivered = &self.delivered;
        delivered.plan().verify(message, &delivered.context)?;
        delivered
            .plan()
            .require_among(message, delivered.is_survivor(message.seat))?;
        let dealers = message.body.0.iter().map(|(dealer, _)| *dealer);
        if !dealers.eq(delivered.shared.shares.keys().copied()) {
            return Err(SumError::Form { stage: Stage::Opening });
        }
        let kinds = delivered.to_open();
        kinds.zip(&message.body.0).try_for_each(|((dealer, kind), (_, share))| {
            delivered.shared.check_share(kind, dealer, message.seat, share)
        })
    }
}
