//! One node in one masked sum: from its keys to the opening, each step made once.
//!
//! ```text
//! start -> keys      every node
//! share -> shares    who was shown enough keys
//! mask -> masked     who was shown enough shares
//! attest -> survivors    who was shown enough masked numbers, its own among them
//! open -> opening    who was shown enough signatures under the one list that it signed itself
//! combine            anybody: the sum; and a node, the keys of sums that follow
//! ```
//!
//! A step uses the party up, also when it fails: there is no second list of survivors and no second opening, and of no node does one
//! party give a share of both secrets. What is no longer needed is wiped as soon as it is not. Whoever drives a party keeps the messages that
//! it made, so that to ask twice is answered with the same bytes. Everything that needs no secret is in [`crate::view`];
//! sums that follow are in [`crate::following`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use terms::MemberId;
use trust::{Digest, SigningKey, random_bytes};
use zeroize::Zeroizing;

use crate::combine::Sum;
use crate::derivation::{Kind, adds, seed_digest};
use crate::error::SumError;
use crate::following::{Following, Survived};
use crate::message::{Body, Dealt, Keys, Masked, Message, Opening, Shares, Survivors};
use crate::plan::{Plan, Seat};
use crate::primitive::{KEY_BYTES, KeyPair, Secret, mask, open, seal};
use crate::sharing::split;
use crate::view::{Agreed, Delivered, Keyed, Shared};

/// A node in one sum, waiting for the messages that `S` names.
pub struct Party<S> {
    me: Me,
    waits: S,
}

/// Waits for the keys of all.
pub struct AwaitsKeys {
    plan: Arc<Plan>,
    secrets: Secrets,
}

/// Waits for what the others dealt to it.
pub struct AwaitsShares {
    keyed: Keyed,
    secrets: Secrets,
}

/// Waits for the masked numbers of all. Of its own secrets it has the mask key, for sums that follow; and it holds shares of everybody's.
pub struct AwaitsMasked {
    shared: Shared,
    held: BTreeMap<Seat, Held>,
    mask_pair: KeyPair,
}

/// Waits for the signatures under the one list of survivors that it signed.
pub struct AwaitsSurvivors {
    delivered: Delivered,
    held: BTreeMap<Seat, Held>,
    mask_pair: KeyPair,
}

/// Waits for the openings. It has no secret of this sum any more.
pub struct AwaitsOpenings {
    agreed: Agreed,
    following: Following,
}

struct Me {
    seat: Seat,
    signer: Arc<SigningKey>,
    /// Of the message that it sent last.
    sent: Digest,
}

/// Made for one sum.
struct Secrets {
    mask_key: Secret,
    mask_pair: KeyPair,
    box_pair: KeyPair,
    seed: Secret,
}

/// What one node dealt to this one.
struct Held {
    key_share: Secret,
    seed_share: Secret,
}

impl Party<AwaitsKeys> {
    /// A node that takes part, with new secrets, and its keys.
    ///
    /// # Errors
    /// [`SumError::NotTakingPart`] if `member` is not on the roster with this key; [`SumError::Cryptography`] if there is no randomness.
    pub fn start(
        plan: Arc<Plan>,
        member: &MemberId,
        signer: Arc<SigningKey>,
    ) -> Result<(Self, Message<Keys>), SumError> {
        let not_taking_part = || SumError::NotTakingPart { member: member.clone() };
        let seat = plan.seat_of(member).ok_or_else(not_taking_part)?;
        let named = plan.participant(seat).map(|one| one.key);
        if named != Some(signer.public()) {
            return Err(not_taking_part());
        }
        let secrets = Secrets::new()?;
        let keys = Keys {
            mask_key: secrets.mask_pair.public,
            box_key: secrets.box_pair.public,
            seed_digest: seed_digest(&secrets.seed, &plan, seat),
        };
        let message = Message::sign(plan.digest(), plan.digest(), seat, keys, &signer);
        let sent = message.digest;
        let me = Me { seat, signer, sent };
        Ok((
            Self {
                me,
                waits: AwaitsKeys { plan, secrets },
            },
            message,
        ))
    }

    /// Deals shares of its secrets to all whose keys these are.
    ///
    /// # Errors
    /// What is wrong with the keys; [`SumError::LeftOut`] if its own are not among them.
    pub fn share(self, keys: Vec<Message<Keys>>) -> Result<(Party<AwaitsShares>, Message<Shares>), SumError> {
        let Self {
            me,
            waits: AwaitsKeys { plan, secrets },
        } = self;
        me.require_own(&plan, &keys)?;
        let keyed = Keyed::new(plan, keys)?;
        let shares = Shares(secrets.deal(&keyed, me.seat)?);
        let (me, message) = me.say(&keyed.plan, &keyed.context, shares);
        Ok((
            Party {
                me,
                waits: AwaitsShares { keyed, secrets },
            },
            message,
        ))
    }
}

impl Party<AwaitsShares> {
    /// Opens what was dealt to it, and masks its numbers.
    ///
    /// # Errors
    /// What is wrong with the shares, or which entry of `values` cannot be added.
    pub fn mask(
        self,
        shares: Vec<Message<Shares>>,
        values: &[f64],
    ) -> Result<(Party<AwaitsMasked>, Message<Masked>), SumError> {
        let entries = encode(&self.waits.keyed.plan, self.me.seat, values)?;
        self.add(shares, entries)
    }

    /// Adds noise in the place of numbers, so that there is no sum. That a node has nothing to add, and which one, nobody else can
    /// tell from it.
    ///
    /// # Errors
    /// What is wrong with the shares.
    pub fn spoil(self, shares: Vec<Message<Shares>>) -> Result<(Party<AwaitsMasked>, Message<Masked>), SumError> {
        let entries = noise(&self.waits.keyed.plan)?;
        self.add(shares, entries)
    }

    fn add(
        self,
        shares: Vec<Message<Shares>>,
        mut entries: Zeroizing<Vec<u128>>,
    ) -> Result<(Party<AwaitsMasked>, Message<Masked>), SumError> {
        let Self {
            me,
            waits: AwaitsShares { keyed, secrets },
        } = self;
        me.require_own(&keyed.plan, &shares)?;
        let shared = keyed.shared(shares)?;
        let dealers = shared.shares.keys().copied();
        let held = dealers.map(|dealer| Ok((dealer, secrets.receive(&shared, dealer, me.seat)?)));
        let held = held.collect::<Result<_, SumError>>()?;
        secrets.mask(&shared, me.seat, &mut entries)?;
        // The numbers are under masks from here on.
        let entries = std::mem::take(&mut *entries);
        let (me, message) = me.say(shared.plan(), &shared.context, Masked { entries });
        Ok((
            Party {
                me,
                waits: AwaitsMasked {
                    shared,
                    held,
                    mask_pair: secrets.mask_pair,
                },
            },
            message,
        ))
    }
}

impl Party<AwaitsMasked> {
    /// Signs whose masked numbers these are: the survivors.
    ///
    /// # Errors
    /// What is wrong with the masked numbers; [`SumError::LeftOut`] if its own are not among them, [`SumError::TooFew`] if too few are.
    pub fn attest(
        self,
        masked: Vec<Message<Masked>>,
    ) -> Result<(Party<AwaitsSurvivors>, Message<Survivors>), SumError> {
        let Self {
            me,
            waits: AwaitsMasked {
                shared,
                held,
                mask_pair,
            },
        } = self;
        me.require_own(shared.plan(), &masked)?;
        let delivered = shared.delivered(masked)?;
        let (me, message) = me.say(delivered.plan(), &delivered.shared.context, delivered.survivors.clone());
        Ok((
            Party {
                me,
                waits: AwaitsSurvivors {
                    delivered,
                    held,
                    mask_pair,
                },
            },
            message,
        ))
    }
}

impl Party<AwaitsSurvivors> {
    /// Over whom the sum is.
    pub(crate) fn over(&self) -> Survived {
        Survived::of(&self.waits.delivered)
    }

    /// Opens: a share of the seed of each survivor, and of the mask key of each of the others.
    ///
    /// # Errors
    /// What is wrong with the signatures: too few, or [`SumError::OtherSurvivors`] if one is under another list.
    pub fn open(
        self,
        survivors: Vec<Message<Survivors>>,
    ) -> Result<(Party<AwaitsOpenings>, Message<Opening>), SumError> {
        let Self {
            me,
            waits:
                AwaitsSurvivors {
                    delivered,
                    mut held,
                    mask_pair,
                },
        } = self;
        me.require_own(delivered.plan(), &survivors)?;
        let agreed = delivered.agreed(survivors)?;
        let delivered = &agreed.delivered;
        let opened = delivered.to_open().map(|(dealer, kind)| {
            let held = held.remove(&dealer).ok_or(SumError::Cryptography)?;
            let share = match kind {
                Kind::Seed => held.seed_share,
                Kind::MaskKey => held.key_share,
            };
            Ok((dealer, *share))
        });
        let opening = Opening(opened.collect::<Result<_, SumError>>()?);
        let following = Following::new(delivered, &mask_pair, me.seat)?;
        let (me, message) = me.say(delivered.plan(), &delivered.context, opening);
        Ok((
            Party {
                me,
                waits: AwaitsOpenings { agreed, following },
            },
            message,
        ))
    }
}

impl Party<AwaitsOpenings> {
    /// Over whom the sum is.
    pub(crate) fn over(&self) -> &Survived {
        self.waits.following.over()
    }

    /// The sum, as the client has it; and the node in the sums that follow.
    ///
    /// # Errors
    /// As [`Agreed::combine`].
    pub fn combine(self, openings: Vec<Message<Opening>>) -> Result<(Sum, Following), SumError> {
        let AwaitsOpenings { agreed, following } = self.waits;
        Ok((agreed.combine(openings)?, following))
    }
}

impl Me {
    /// That the message that it sent is among those that it is shown.
    fn require_own<B: Body>(&self, plan: &Plan, messages: &[Message<B>]) -> Result<(), SumError> {
        let is_own = |message: &Message<B>| message.seat == self.seat && message.digest == self.sent;
        let left_out = || SumError::LeftOut {
            member: plan.member(self.seat),
            stage: B::STAGE,
        };
        messages.iter().any(is_own).then_some(()).ok_or_else(left_out)
    }

    fn say<B: Body>(self, plan: &Plan, context: &Digest, body: B) -> (Self, Message<B>) {
        let message = Message::sign(plan.digest(), context, self.seat, body, &self.signer);
        let sent = message.digest;
        (Self { sent, ..self }, message)
    }
}

impl Secrets {
    fn new() -> Result<Self, SumError> {
        let (mask_key, box_key, seed) = (random_secret()?, random_secret()?, random_secret()?);
        let (mask_pair, box_pair) = (KeyPair::of(&mask_key)?, KeyPair::of(&box_key)?);
        Ok(Self {
            mask_key,
            mask_pair,
            box_pair,
            seed,
        })
    }

    /// Shares of both secrets for each node with keys, sealed to it.
    fn deal(&self, keyed: &Keyed, me: Seat) -> Result<Vec<Dealt>, SumError> {
        let (threshold, nodes) = (keyed.plan.threshold(), keyed.plan.roster().len());
        let key_shares = split(&self.mask_key, threshold, nodes)?;
        let seed_shares = split(&self.seed, threshold, nodes)?;
        let deal_to = |to: Seat| {
            let place = usize::from(to.0);
            let (key_share, seed_share) = (&key_shares[place], &seed_shares[place]);
            let text = Zeroizing::new([key_share.as_slice(), seed_share.as_slice()].concat());
            let (key, about) = keyed.box_key(&self.box_pair, to, me, to)?;
            let sealed = seal(&key, &about, &text)?;
            Ok(Dealt {
                to,
                key_share: keyed.share_digest(Kind::MaskKey, me, to, key_share),
                seed_share: keyed.share_digest(Kind::Seed, me, to, seed_share),
                sealed: sealed.try_into().map_err(|_| SumError::Cryptography)?,
            })
        };
        keyed.keys.keys().copied().map(deal_to).collect()
    }

    /// Opens what `dealer` dealt to this node.
    fn receive(&self, shared: &Shared, dealer: Seat, me: Seat) -> Result<Held, SumError> {
        let member = |seat| shared.plan().member(seat);
        let cannot = || SumError::Sealed {
            dealer: member(dealer),
            receiver: member(me),
        };
        let sealed = &shared.dealt(dealer, me).ok_or_else(cannot)?.sealed;
        let (key, about) = shared.keyed.box_key(&self.box_pair, dealer, dealer, me)?;
        let text = open(&key, &about, sealed).map_err(|_| cannot())?;
        let ([key_share, seed_share], []) = text.as_chunks::<KEY_BYTES>() else {
            return Err(cannot());
        };
        shared.check_share(Kind::MaskKey, dealer, me, key_share)?;
        shared.check_share(Kind::Seed, dealer, me, seed_share)?;
        let (key_share, seed_share) = (Zeroizing::new(*key_share), Zeroizing::new(*seed_share));
        Ok(Held { key_share, seed_share })
    }

    /// Adds this node's own mask, and those that it shares with each of the others who dealt.
    fn mask(&self, shared: &Shared, me: Seat, entries: &mut [u128]) -> Result<(), SumError> {
        let keyed = &shared.keyed;
        keyed.mask_alone(&self.seed, me)?.add_to(entries);
        for other in shared.shares.keys().copied().filter(|other| *other != me) {
            let between = keyed.mask_between(&self.mask_pair, me, other)?;
            if adds(me, other) {
                between.add_to(entries)
            } else {
                between.take_from(entries)
            }
        }
        Ok(())
    }
}

fn random_secret() -> Result<Secret, SumError> {
    let random = random_bytes::<KEY_BYTES>();
    random.map(Zeroizing::new).map_err(|_| SumError::Cryptography)
}

/// In the place of numbers: nobody can tell it from masked ones.
pub(crate) fn noise(plan: &Plan) -> Result<Zeroizing<Vec<u128>>, SumError> {
    let mut entries = Zeroizing::new(vec![0; plan.scales().len()]);
    mask(&random_secret()?, entries.len())?.add_to(&mut entries);
    Ok(entries)
}

/// The integers of a node's numbers. Wiped when dropped, unless masks were added and they were taken out.
pub(crate) fn encode(plan: &Plan, me: Seat, values: &[f64]) -> Result<Zeroizing<Vec<u128>>, SumError> {
    let (entries, planned) = (values.len(), plan.scales().len());
    if entries != planned {
        return Err(SumError::Length {
            member: plan.member(me),
            entries,
            planned,
        });
    }
    let scaled = plan.scales().iter().zip(values).enumerate();
    let encoded: Result<Vec<u128>, SumError> = scaled
        .map(|(index, (scale, value))| scale.encode(*value, index))
        .collect();
    encoded.map(Zeroizing::new)
}

impl<S> fmt::Debug for Party<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party(seat {} of a masked sum)", self.me.seat.0)
    }
}

macro_rules! debug_without_secrets {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

debug_without_secrets! { AwaitsKeys AwaitsShares AwaitsMasked AwaitsSurvivors AwaitsOpenings }
