//! What everybody who carries or receives the messages of one sum can check, step by step, without any secret.
//!
//! Each step takes the messages of one kind, checks every one, and becomes the next: [`Plan`] with keys is [`Keyed`], with shares
//! [`Shared`], with masked numbers [`Delivered`], with lists of survivors [`Agreed`], and with openings a [`Sum`]. The data user's client
//! walks through these by itself; a node does as part of its [`crate::Party`], so that both judge alike. `check` says of one message whether it
//! can be among those of the next step: a client leaves out who fails, and goes on if enough are left.

use std::collections::BTreeMap;
use std::sync::Arc;

use terms::MemberId;
use trust::Digest;

use crate::error::{Stage, SumError};
use crate::message::{Body, Dealt, Keys, Masked, Message, Opening, Shares, Survivors};
use crate::plan::{Plan, Seat};
use crate::primitive::{KEY_BYTES, Mask, Refused, Secret, agree_on, derive, mask, public_of};
use crate::sharing::join;

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

/// The sum, and whose numbers are in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// For each entry.
    pub values: Vec<f64>,
    /// The nodes that were added.
    pub members: Vec<MemberId>,
    /// The entries before they were scaled back: the exact sum of what the nodes encoded.
    pub integers: Vec<i128>,
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

    /// The mask between two nodes, by the key of one and what the other made known.
    pub(crate) fn mask_between(&self, private: &Secret, own: Seat, other: Seat) -> Result<Mask, SumError> {
        let about = about("mask between two", &self.context, own.min(other), own.max(other));
        let key = agree_on(private, &self.keys[&other].mask_key, &about)?;
        Ok(mask(&key, self.plan.scales().len())?)
    }

    /// The mask of one node alone.
    pub(crate) fn mask_alone(&self, seed: &Secret, seat: Seat) -> Result<Mask, SumError> {
        let key = derive(seed.as_slice(), &about("mask of one", &self.context, seat, seat))?;
        Ok(mask(&key, self.plan.scales().len())?)
    }

    /// Under which the shares of one node for another are sealed, and what the seal is about.
    pub(crate) fn box_key(
        &self,
        private: &Secret,
        theirs: Seat,
        from: Seat,
        to: Seat,
    ) -> Result<(Secret, Vec<u8>), SumError> {
        let about = about("sealed shares", &self.context, from, to);
        let key = agree_on(private, &self.keys[&theirs].box_key, &about)?;
        Ok((key, about))
    }

    pub(crate) fn share_digest(&self, kind: Kind, dealer: Seat, holder: Seat, share: &[u8; KEY_BYTES]) -> Digest {
        let label = match kind {
            Kind::MaskKey => "share of a mask key",
            Kind::Seed => "share of a seed",
        };
        digest_of(share, &about(label, &self.context, dealer, holder))
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
        self.require_one_basis(&messages)?;
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

    /// That all numbers were computed from the same: whoever tells nodes different things, so that all but one add next to nothing, has no
    /// sum.
    fn require_one_basis(&self, messages: &[Message<Masked>]) -> Result<(), SumError> {
        let mut pairs = messages.iter().zip(messages.iter().skip(1));
        match pairs.find(|(one, other)| one.body.basis != other.body.basis) {
            None => Ok(()),
            Some((one, other)) => Err(SumError::OtherBasis {
                one: self.plan().member(one.seat),
                other: self.plan().member(other.seat),
            }),
        }
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

    /// Takes the masks off the sum.
    ///
    /// # Errors
    /// As [`Keyed::new`]; or that a dealer's shares give another secret than it promised, or the sum is one that no numbers within their
    /// bounds have.
    pub fn combine(self, messages: Vec<Message<Opening>>) -> Result<Sum, SumError> {
        let plan = self.delivered.plan();
        plan.check_each(&messages, |message| self.check(message))?;
        let Self { delivered } = self;
        let survivors = delivered.masked.keys().copied();
        let (openings, _) = delivered.plan().gather(messages, &delivered.context, survivors)?;
        let mut total = delivered.total();
        for (place, (dealer, kind)) in delivered.to_open().enumerate() {
            let secret = delivered.secret_of(place, dealer, kind, &openings)?;
            delivered.unmask(&mut total, &secret, dealer, kind)?;
        }
        delivered.read(&total)
    }
}

/// Which of a node's two secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MaskKey,
    Seed,
}

impl Delivered {
    fn total(&self) -> Vec<u128> {
        let mut total = vec![0_u128; self.plan().scales().len()];
        for masked in self.masked.values() {
            let entries = total.iter_mut().zip(&masked.entries);
            entries.for_each(|(total, entry)| *total = total.wrapping_add(*entry));
        }
        total
    }

    /// Puts the opened shares of one dealer together. They are at `place` in each opening.
    fn secret_of(
        &self,
        place: usize,
        dealer: Seat,
        kind: Kind,
        openings: &BTreeMap<Seat, Opening>,
    ) -> Result<Secret, SumError> {
        let shares = openings
            .iter()
            .map(|(holder, opening)| (*holder, Secret::new(opening.0[place].1)));
        let shares: Vec<(Seat, Secret)> = shares.take(self.plan().threshold()).collect();
        let secret = join(&shares)?;
        let keys = &self.shared.keyed.keys[&dealer];
        let as_promised = match kind {
            Kind::MaskKey => public_of(&secret) == Ok(keys.mask_key),
            Kind::Seed => seed_digest(&secret, self.plan(), dealer) == keys.seed_digest,
        };
        let dealer = || self.plan().member(dealer);
        as_promised
            .then_some(secret)
            .ok_or_else(|| SumError::WrongSecret { dealer: dealer() })
    }

    /// Takes off what this secret masks: the survivor's own mask, or the masks that survivors share with a node that is gone.
    fn unmask(&self, total: &mut [u128], secret: &Secret, dealer: Seat, kind: Kind) -> Result<(), SumError> {
        let keyed = &self.shared.keyed;
        if kind == Kind::Seed {
            keyed.mask_alone(secret, dealer)?.take_from(total);
            return Ok(());
        }
        for survivor in self.masked.keys() {
            let between = keyed.mask_between(secret, dealer, *survivor)?;
            if adds(*survivor, dealer) {
                between.take_from(total)
            } else {
                between.add_to(total)
            }
        }
        Ok(())
    }

    fn read(&self, total: &[u128]) -> Result<Sum, SumError> {
        let scales = self.plan().scales().iter().zip(total).enumerate();
        let values = scales.map(|(index, (scale, sum))| scale.decode(*sum, self.masked.len(), index));
        Ok(Sum {
            values: values.collect::<Result<_, _>>()?,
            members: self.members(),
            integers: total.iter().map(|sum| sum.cast_signed()).collect(),
        })
    }
}

/// Whether a node adds the mask that it shares with another; the other takes it off.
pub(crate) fn adds(node: Seat, other: Seat) -> bool {
    node < other
}

/// By which a node is held to the seed of its own mask, before anybody needs it.
pub(crate) fn seed_digest(seed: &Secret, plan: &Plan, seat: Seat) -> Digest {
    digest_of(seed, &about("seed", plan.digest(), seat, seat))
}

/// The digest of a secret: it has 256 random bits, so nobody finds it by trying.
fn digest_of(secret: &[u8; KEY_BYTES], about: &[u8]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(about);
    hasher.update(secret);
    hasher.finish()
}

/// What a key or a digest is for: a use, everything that was said before, and two nodes. No use is the beginning of another, as its length
/// stands before it.
pub(crate) fn about(label: &str, context: &Digest, from: Seat, to: Seat) -> Vec<u8> {
    let label = label.as_bytes();
    [&[label.len() as u8], label, context.bytes(), &[from.0, to.0]].concat()
}

fn digests<B: Body>(messages: &[Message<B>]) -> Vec<(Seat, Digest)> {
    let mut digests: Vec<_> = messages
        .iter()
        .map(|message| (message.seat, message.digest()))
        .collect();
    digests.sort();
    digests
}

impl Plan {
    /// Whether this can be among the keys of the sum.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, message: &Message<Keys>) -> Result<(), SumError> {
        self.verify(message, self.digest())?;
        let Keys { mask_key, box_key, .. } = &message.body;
        if [mask_key, box_key].into_iter().any(is_weak) {
            let member = self.member(message.seat);
            return Err(SumError::WeakKey { member });
        }
        Ok(())
    }

    /// Whether a member of the roster signed this for this sum, after the messages of which `context` is the digest.
    fn verify<B: Body>(&self, message: &Message<B>, context: &Digest) -> Result<(), SumError> {
        let stage = B::STAGE;
        if message.plan != *self.digest() {
            return Err(SumError::OtherSum { stage });
        }
        let signer = self.participant(message.seat).ok_or(SumError::Nobody { stage })?;
        let member = || signer.member.clone();
        if !message.is_signed_by(&signer.key) {
            return Err(SumError::Signature {
                member: member(),
                stage,
            });
        }
        if message.context != *context {
            return Err(SumError::OtherView {
                member: member(),
                stage,
            });
        }
        Ok(())
    }

    /// Checks messages, of which there are no more than nodes: nobody makes a node check thousands of signatures.
    fn check_each<B: Body>(
        &self,
        messages: &[Message<B>],
        check: impl Fn(&Message<B>) -> Result<(), SumError>,
    ) -> Result<(), SumError> {
        if messages.len() > self.roster().len() {
            return Err(SumError::TooMany { stage: B::STAGE });
        }
        messages.iter().try_for_each(check)
    }

    /// Whether the sender took part in the step before.
    fn require_among<B: Body>(&self, message: &Message<B>, is_among: bool) -> Result<(), SumError> {
        let unexpected = || SumError::Unexpected {
            member: self.member(message.seat),
            stage: B::STAGE,
        };
        is_among.then_some(()).ok_or_else(unexpected)
    }

    /// Checked messages by seat, and the context of the next step: one of each node, and enough of them.
    fn gather<B: Body>(
        &self,
        messages: Vec<Message<B>>,
        context: &Digest,
        expected: impl Iterator<Item = Seat>,
    ) -> Result<(BTreeMap<Seat, B>, Digest), SumError> {
        let stage = B::STAGE;
        let context = next_context(stage, context, &digests(&messages));
        let mut bodies = BTreeMap::new();
        for message in messages {
            if bodies.insert(message.seat, message.body).is_some() {
                let member = self.member(message.seat);
                return Err(SumError::Twice { member, stage });
            }
        }
        let (nodes, needed) = (bodies.len(), self.threshold());
        if nodes < needed {
            let missing = expected.filter(|seat| !bodies.contains_key(seat));
            let missing = missing.map(|seat| self.member(seat)).collect();
            return Err(SumError::TooFew {
                stage,
                nodes,
                needed,
                missing,
            });
        }
        Ok((bodies, context))
    }
}

/// Whether everybody would derive the same with it: a point of small order.
fn is_weak(key: &[u8; KEY_BYTES]) -> bool {
    matches!(agree_on(&Secret::new([1; KEY_BYTES]), key, b"probe"), Err(Refused))
}

/// The digest of everything up to here.
fn next_context(stage: Stage, before: &Digest, messages: &[(Seat, Digest)]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(b"datenraum masked sum v1: after ");
    hasher.update(&[stage as u8, messages.len() as u8]);
    hasher.update(before.bytes());
    for (seat, digest) in messages {
        hasher.update(&[seat.0]);
        hasher.update(digest.bytes());
    }
    hasher.finish()
}
