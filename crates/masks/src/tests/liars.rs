//! Clients, brokers and nodes that lie. Each lie ends the sum under its own name.

use super::*;
use crate::derivation::{Kind, seed_digest};
use crate::message::Body;
use crate::plan::Seat;
use crate::primitive::{KeyPair, Secret, seal};
use crate::sharing::split;

fn seat(place: usize) -> Seat {
    Seat(u8::try_from(place).unwrap())
}

/// The same message, said by `node` of the space with another body. Whoever has the node's key can.
fn reworded<B: Body + Clone>(
    space: &Space,
    message: &Message<B>,
    node: usize,
    change: impl FnOnce(&mut B),
) -> Message<B> {
    let mut body = message.body.clone();
    change(&mut body);
    Message::sign(&message.plan, &message.context, seat(node), body, &space.signers[node])
}

/// Parties after some steps, with all messages of the step that was made last.
fn started(space: &Space) -> (Vec<Party<AwaitsKeys>>, Vec<Message<Keys>>) {
    (0..space.nodes()).map(|node| space.start(node)).unzip()
}

fn shared(space: &Space) -> (Vec<Party<AwaitsShares>>, Vec<Message<Shares>>) {
    let (parties, keys) = started(space);
    parties
        .into_iter()
        .map(|party| party.share(keys.clone()).unwrap())
        .unzip()
}

fn masked(space: &Space) -> (Vec<Party<AwaitsMasked>>, Vec<Message<Masked>>) {
    let (parties, shares) = shared(space);
    let step = |(party, values): (Party<AwaitsShares>, &Vec<f64>)| party.mask(shares.clone(), values).unwrap();
    parties.into_iter().zip(&space.values).map(step).unzip()
}

fn without<M: Clone>(messages: &[M], node: usize) -> Vec<M> {
    let mut fewer = messages.to_vec();
    fewer.remove(node);
    fewer
}

// Lists of survivors.

#[test]
fn two_lists_shown_to_two_nodes_are_detected_and_neither_opens() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    // Node 0 is told that node 3 is gone; the others, that all are there.
    let (zero, signed_by_zero) = parties.remove(0).attest(without(&masked, 3)).unwrap();
    let rest = parties.into_iter().map(|party| party.attest(masked.clone()).unwrap());
    let (mut rest, mut signed): (Vec<_>, Vec<_>) = rest.unzip();
    let error = zero
        .open(vec![signed_by_zero.clone(), signed[0].clone(), signed[1].clone()])
        .unwrap_err();
    assert_eq!(error, SumError::OtherSurvivors { member: member(1) });
    signed.push(signed_by_zero);
    let error = rest.remove(0).open(signed.clone()).unwrap_err();
    assert_eq!(error, SumError::OtherSurvivors { member: member(0) });
    // The client shows each only what fits: the list of all has three signatures, which is enough, the other has one.
    let fits = without(&signed, 3);
    assert!(rest.remove(0).open(fits).is_ok());
}

#[test]
fn a_list_that_fits_but_has_too_few_signatures_opens_nothing() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    let (zero, by_zero) = parties.remove(0).attest(without(&masked, 3)).unwrap();
    let (_, by_one) = parties.remove(0).attest(without(&masked, 3)).unwrap();
    let error = zero.open(vec![by_zero, by_one]).unwrap_err();
    let missing = vec![member(2)];
    assert_eq!(
        error,
        SumError::TooFew {
            stage: Stage::Survivors,
            nodes: 2,
            needed: 3,
            missing
        }
    );
}

#[test]
fn a_list_without_a_node_that_delivered_is_not_signed_by_it() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    let error = parties.remove(3).attest(without(&masked, 3)).unwrap_err();
    assert_eq!(
        error,
        SumError::LeftOut {
            member: member(3),
            stage: Stage::Masked
        }
    );
}

#[test]
fn a_list_below_the_threshold_is_not_signed() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    let error = parties.remove(0).attest(masked[..2].to_vec()).unwrap_err();
    let missing = vec![member(2), member(3)];
    assert_eq!(
        error,
        SumError::TooFew {
            stage: Stage::Masked,
            nodes: 2,
            needed: 3,
            missing
        }
    );
}

#[test]
fn the_same_signature_twice_counts_once_which_is_refused() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    let (zero, by_zero) = parties.remove(0).attest(masked.clone()).unwrap();
    let error = zero.open(vec![by_zero.clone(), by_zero.clone(), by_zero]).unwrap_err();
    assert_eq!(
        error,
        SumError::Twice {
            member: member(0),
            stage: Stage::Survivors
        }
    );
}

#[test]
fn a_node_opens_only_with_its_own_signature_among_the_others() {
    let space = space(4, 2);
    let (parties, masked) = masked(&space);
    let attested = parties.into_iter().map(|party| party.attest(masked.clone()).unwrap());
    let (mut parties, signed): (Vec<_>, Vec<_>) = attested.unzip();
    let error = parties.remove(0).open(without(&signed, 0)).unwrap_err();
    assert_eq!(
        error,
        SumError::LeftOut {
            member: member(0),
            stage: Stage::Survivors
        }
    );
}

/// One who is not on the list cannot sign it, not even truthfully.
#[test]
fn a_signature_of_one_who_is_not_on_the_list_does_not_count() {
    let space = space(4, 2);
    let (mut parties, masked) = masked(&space);
    let (party, signed) = parties.remove(0).attest(without(&masked, 3)).unwrap();
    let outsider = reworded(&space, &signed, 3, |_| ());
    let error = party.open(vec![signed, outsider]).unwrap_err();
    assert_eq!(
        error,
        SumError::Unexpected {
            member: member(3),
            stage: Stage::Survivors
        }
    );
}

// Messages of other sums, and of earlier attempts.

#[test]
fn messages_of_another_request_or_roster_are_refused_at_every_step() {
    let keys = signers(4);
    let plan = |change: &dyn Fn(&mut SumTerms)| {
        let mut terms = terms(&keys, 2);
        change(&mut terms);
        Arc::new(Plan::new(terms).unwrap())
    };
    let here = Space {
        plan: plan(&|_| ()),
        signers: keys.clone(),
        values: vec![vec![1.0, 2.0]; 4],
    };
    let (spoken, ..) = here.run(&vec![]).unwrap();
    let others: [&dyn Fn(&mut SumTerms); 2] = [&|terms| terms.request = Digest::of(b"another request"), &|terms| {
        terms.roster.truncate(3)
    }];
    for other in others {
        let plan = plan(other);
        let nodes = plan.roster().len();
        let there = Space {
            plan,
            signers: keys[..nodes].to_vec(),
            values: vec![vec![1.0, 2.0]; nodes],
        };
        let (own, ..) = there.run(&vec![]).unwrap();
        let of_another = |stage| Err(SumError::OtherSum { stage });
        assert_eq!(there.plan.check(&spoken.keys[0]), of_another(Stage::Keys));
        let keyed = Keyed::new(there.plan.clone(), own.keys.clone()).unwrap();
        assert_eq!(keyed.check(&spoken.shares[0]), of_another(Stage::Shares));
        let shared = keyed.shared(own.shares.clone()).unwrap();
        assert_eq!(shared.check(&spoken.masked[0]), of_another(Stage::Masked));
        let delivered = shared.delivered(own.masked.clone()).unwrap();
        assert_eq!(delivered.check(&spoken.survivors[0]), of_another(Stage::Survivors));
        let agreed = delivered.agreed(own.survivors.clone()).unwrap();
        assert_eq!(agreed.check(&spoken.openings[0]), of_another(Stage::Opening));
    }
}

/// The same sum asked twice: all keys and secrets are new, and nothing of the first attempt fits into the second.
#[test]
fn messages_of_an_earlier_attempt_at_the_same_sum_are_refused() {
    let space = space(4, 2);
    let (earlier, ..) = space.run(&vec![]).unwrap();
    let (parties, keys) = started(&space);
    let old_view = |member, stage| SumError::OtherView { member, stage };
    let (mut parties, shares): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.share(keys.clone()).unwrap())
        .unzip();
    let mut mixed = shares.clone();
    mixed[1] = earlier.shares[1].clone();
    let error = parties.remove(0).mask(mixed, &space.values[0]).unwrap_err();
    assert_eq!(error, old_view(member(1), Stage::Shares));
    // Nor do the keys of one attempt with the node's own of the other.
    let (party, _) = space.start(0);
    let error = party.share(earlier.keys).unwrap_err();
    assert_eq!(
        error,
        SumError::LeftOut {
            member: member(0),
            stage: Stage::Keys
        }
    );
}

// Keys.

/// A man in the middle has no key of the roster.
#[test]
fn a_key_that_was_changed_on_the_way_is_not_its_owners() {
    let space = space(3, 1);
    let (mut parties, mut keys) = started(&space);
    let eve = SigningKey::generate().unwrap();
    let mut body = keys[1].body.clone();
    body.mask_key = KeyPair::of(&Secret::new([7; 32])).unwrap().public;
    keys[1] = Message::sign(&keys[1].plan, &keys[1].context, seat(1), body, &eve);
    let error = parties.remove(0).share(keys).unwrap_err();
    assert_eq!(
        error,
        SumError::Signature {
            member: member(1),
            stage: Stage::Keys
        }
    );
}

/// A node that has two keys for one sum, and a client that shows one to some and one to others.
#[test]
fn two_keys_of_one_node_shown_to_two_nodes_are_detected() {
    let space = space(3, 1);
    let (mut parties, keys) = started(&space);
    let mut other_keys = keys.clone();
    other_keys[2] = space.start(2).1;
    let (zero, shares_of_zero) = parties.remove(0).share(keys).unwrap();
    let (_, shares_of_one) = parties.remove(0).share(other_keys).unwrap();
    let error = zero
        .mask(vec![shares_of_zero, shares_of_one], &space.values[0])
        .unwrap_err();
    assert_eq!(
        error,
        SumError::OtherView {
            member: member(1),
            stage: Stage::Shares
        }
    );
}

#[test]
fn a_key_with_which_everybody_would_derive_the_same_is_refused() {
    let space = space(3, 1);
    let (_, keys) = started(&space);
    let weak = SumError::WeakKey { member: member(1) };
    let mask_key = reworded(&space, &keys[1], 1, |keys| keys.mask_key = [0; 32]);
    assert_eq!(space.plan.check(&mask_key), Err(weak.clone()));
    let box_key = reworded(&space, &keys[1], 1, |keys| keys.box_key = [0; 32]);
    assert_eq!(space.plan.check(&box_key), Err(weak));
}

#[test]
fn more_messages_than_nodes_are_refused_before_any_is_checked() {
    let space = space(3, 1);
    let (mut parties, mut keys) = started(&space);
    keys.push(keys[0].clone());
    let error = parties.remove(0).share(keys).unwrap_err();
    assert_eq!(error, SumError::TooMany { stage: Stage::Keys });
}

#[test]
fn a_message_in_the_name_of_another_is_refused() {
    let space = space(3, 1);
    let (_, keys) = started(&space);
    let forged = Message::sign(
        &keys[1].plan,
        &keys[1].context,
        seat(1),
        keys[1].body.clone(),
        &space.signers[2],
    );
    let error = space.plan.check(&forged).unwrap_err();
    assert_eq!(
        error,
        SumError::Signature {
            member: member(1),
            stage: Stage::Keys
        }
    );
    let nobody = Message::sign(
        &keys[1].plan,
        &keys[1].context,
        seat(3),
        keys[1].body.clone(),
        &space.signers[1],
    );
    assert_eq!(space.plan.check(&nobody), Err(SumError::Nobody { stage: Stage::Keys }));
}

// Shares.

#[test]
fn a_sealed_share_that_its_dealer_spoilt_is_refused_by_its_receiver() {
    let space = space(3, 1);
    let (mut parties, mut shares) = shared(&space);
    shares[1] = reworded(&space, &shares[1], 1, |shares| shares.0[0].sealed[5] ^= 1);
    let error = parties.remove(0).mask(shares, &space.values[0]).unwrap_err();
    let (dealer, receiver) = (member(1), member(0));
    assert_eq!(error, SumError::Sealed { dealer, receiver });
}

#[test]
fn a_share_that_was_changed_on_the_way_is_not_its_dealers() {
    let space = space(3, 1);
    let (mut parties, mut shares) = shared(&space);
    let mut bytes = shares[1].bytes().to_vec();
    // A byte of the first sealed share.
    bytes[67 + 1 + 1 + 64 + 3] ^= 1;
    shares[1] = Message::from_bytes(&bytes).unwrap();
    let error = parties.remove(0).mask(shares, &space.values[0]).unwrap_err();
    assert_eq!(
        error,
        SumError::Signature {
            member: member(1),
            stage: Stage::Shares
        }
    );
}

#[test]
fn a_sealed_share_that_is_not_the_promised_one_is_refused_by_its_receiver() {
    let space = space(3, 1);
    let (mut parties, mut shares) = shared(&space);
    shares[1] = reworded(&space, &shares[1], 1, |shares| {
        shares.0[0].seed_share = Digest::of(b"another")
    });
    let error = parties.remove(0).mask(shares, &space.values[0]).unwrap_err();
    let (dealer, holder) = (member(1), member(0));
    assert_eq!(error, SumError::WrongShare { dealer, holder });
}

#[test]
fn shares_for_others_than_those_with_keys_are_refused() {
    let space = space(4, 1);
    let (mut parties, mut shares) = shared(&space);
    shares[1] = reworded(&space, &shares[1], 1, |shares| shares.0.truncate(3));
    let error = parties.remove(0).mask(shares, &space.values[0]).unwrap_err();
    assert_eq!(error, SumError::WrongHolders { dealer: member(1) });
}

#[test]
fn shares_of_one_whose_keys_nobody_was_shown_are_refused() {
    let space = space(4, 1);
    let (mut parties, keys) = started(&space);
    let (party, shares) = parties.remove(0).share(without(&keys, 3)).unwrap();
    let late = reworded(&space, &shares, 3, |_| ());
    let error = party.mask(vec![shares, late], &space.values[0]).unwrap_err();
    assert_eq!(
        error,
        SumError::Unexpected {
            member: member(3),
            stage: Stage::Shares
        }
    );
}

/// A dealer that deals shares of something else than the secret to which its keys hold it. Nobody notices until they are opened.
#[test]
fn shares_that_do_not_give_the_promised_secret_are_their_dealers_fault() {
    let space = space(3, 1);
    let (mut parties, keys) = started(&space);
    let view = Keyed::new(space.plan.clone(), keys.clone()).unwrap();
    // Node 2 is played by hand, with secrets of our choice.
    let (mask_key, box_key, seed) = (Secret::new([3; 32]), Secret::new([4; 32]), Secret::new([5; 32]));
    let own = Keys {
        mask_key: KeyPair::of(&mask_key).unwrap().public,
        box_key: KeyPair::of(&box_key).unwrap().public,
        seed_digest: seed_digest(&seed, &space.plan, seat(2)),
    };
    drop(view);
    let mut keys = without(&keys, 2);
    keys.push(Message::sign(
        space.plan.digest(),
        space.plan.digest(),
        seat(2),
        own,
        &space.signers[2],
    ));
    let view = Keyed::new(space.plan.clone(), keys.clone()).unwrap();
    let (key_shares, seed_shares) = (
        split(&mask_key, 3, 3).unwrap(),
        split(&Secret::new([6; 32]), 3, 3).unwrap(),
    );
    let deal = |to: usize| {
        let (key, about) = view
            .box_key(&KeyPair::of(&box_key).unwrap(), seat(to), seat(2), seat(to))
            .unwrap();
        let text = [key_shares[to].as_slice(), seed_shares[to].as_slice()].concat();
        crate::message::Dealt {
            to: seat(to),
            key_share: view.share_digest(Kind::MaskKey, seat(2), seat(to), &key_shares[to]),
            seed_share: view.share_digest(Kind::Seed, seat(2), seat(to), &seed_shares[to]),
            sealed: seal(&key, &about, &text).unwrap().try_into().unwrap(),
        }
    };
    let plan = space.plan.digest();
    let mine = Message::sign(
        plan,
        &view.context,
        seat(2),
        Shares((0..3).map(deal).collect()),
        &space.signers[2],
    );
    let mut shares = vec![mine];
    let dealt = parties.drain(..2).map(|party| party.share(keys.clone()).unwrap());
    let (parties, others): (Vec<_>, Vec<_>) = dealt.unzip();
    shares.extend(others);
    let seen = view.shared(shares.clone()).unwrap();
    let (parties, mut masked): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.mask(shares.clone(), &[1.0]).unwrap())
        .unzip();
    masked.push(Message::sign(
        plan,
        &seen.context,
        seat(2),
        Masked { entries: vec![0] },
        &space.signers[2],
    ));
    let delivered = seen.clone().delivered(masked.clone()).unwrap();
    let (parties, mut signed): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.attest(masked.clone()).unwrap())
        .unzip();
    signed.push(reworded(&space, &signed[0], 2, |_| ()));
    let agreed = delivered.clone().agreed(signed.clone()).unwrap();
    let (_, mut openings): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.open(signed.clone()).unwrap())
        .unzip();
    // Of what the others dealt to node 2 it cannot know less than they told it.
    let spoilt = reworded(&space, &openings[0], 2, |_| ());
    let (dealer, holder) = (member(0), member(2));
    assert_eq!(agreed.check(&spoilt), Err(SumError::WrongShare { dealer, holder }));
    let received = |dealer: usize| {
        let sealed = &seen.dealt(seat(dealer), seat(2)).unwrap().sealed;
        let (key, about) = seen
            .keyed
            .box_key(&KeyPair::of(&box_key).unwrap(), seat(dealer), seat(dealer), seat(2))
            .unwrap();
        let text = crate::primitive::open(&key, &about, sealed).unwrap();
        (seat(dealer), text[32..].try_into().unwrap())
    };
    let opening = Opening((0..3).map(received).collect());
    openings.push(Message::sign(
        plan,
        &delivered.context,
        seat(2),
        opening,
        &space.signers[2],
    ));
    assert_eq!(
        agreed.combine(openings),
        Err(SumError::WrongSecret { dealer: member(2) })
    );
}

// Masked numbers and openings.

#[test]
fn masked_numbers_of_another_length_are_refused() {
    let space = space(3, 2);
    let (mut parties, mut masked) = masked(&space);
    masked[1] = reworded(&space, &masked[1], 1, |masked| masked.entries.push(0));
    let error = parties.remove(0).attest(masked).unwrap_err();
    let (entries, planned) = (3, 2);
    assert_eq!(
        error,
        SumError::Length {
            member: member(1),
            entries,
            planned
        }
    );
}

/// A node that sends noise instead of its numbers spoils the sum, and the sum says so.
#[test]
fn noise_among_the_masked_numbers_is_noticed_in_the_sum() {
    let space = space(3, 8);
    let (parties, mut masked) = masked(&space);
    masked[1] = reworded(&space, &masked[1], 1, |masked| {
        masked.entries.iter_mut().for_each(|entry| *entry ^= 1 << 125)
    });
    let left_out = parties.into_iter().map(|party| party.attest(masked.clone()));
    let (honest, refused): (Vec<_>, Vec<_>) = left_out.partition(Result::is_ok);
    // The node whose numbers were replaced notices by itself, if it did not do it.
    let own = SumError::LeftOut {
        member: member(1),
        stage: Stage::Masked,
    };
    assert_eq!(refused.into_iter().map(Result::unwrap_err).collect::<Vec<_>>(), [own]);
    assert_eq!(honest.len(), 2);
    let mut spoilt = space.run(&vec![]).unwrap().0;
    let agreed = spoilt.agreed(space.plan.clone()).unwrap();
    let mut delivered = agreed.delivered;
    let entries = &mut delivered.masked.get_mut(&seat(1)).unwrap().entries;
    entries.iter_mut().for_each(|entry| *entry ^= 1 << 125);
    let openings = std::mem::take(&mut spoilt.openings);
    assert_eq!(
        Agreed { delivered }.combine(openings),
        Err(SumError::Nonsense { index: 0 })
    );
}

#[test]
fn an_opened_share_that_is_not_the_dealt_one_names_its_holder() {
    let space = space(4, 2);
    let (mut spoken, sum, _) = space.run(&vec![]).unwrap();
    let honest = spoken.openings[2].clone();
    spoken.openings[2] = reworded(&space, &honest, 2, |opening| opening.0[1].1[9] ^= 1);
    let (dealer, holder) = (member(1), member(2));
    let error = SumError::WrongShare { dealer, holder };
    assert_eq!(spoken.combine(space.plan.clone()), Err(error.clone()));
    // A client that looks at each message leaves that one out, and has the sum.
    let agreed = spoken.agreed(space.plan.clone()).unwrap();
    assert_eq!(agreed.check(&spoken.openings[2]), Err(error));
    spoken.openings.remove(2);
    assert_eq!(agreed.combine(spoken.openings), Ok(sum));
}

#[test]
fn an_opening_that_lacks_a_share_is_refused() {
    let space = space(4, 2);
    let (spoken, ..) = space.run(&vec![]).unwrap();
    let agreed = spoken.agreed(space.plan.clone()).unwrap();
    let short = reworded(&space, &spoken.openings[2], 2, |opening| opening.0.truncate(3));
    assert_eq!(agreed.check(&short), Err(SumError::Form { stage: Stage::Opening }));
}

#[test]
fn each_lie_has_its_code() {
    let code = |error: SumError| terms::Report::from(error).problem.code();
    assert_eq!(code(SumError::OtherSurvivors { member: member(1) }), "E_SUM_BROKEN");
    assert_eq!(code(SumError::Bound { index: 1 }), "E_SUM_BOUND");
    // Which entry it was depends on the node's data: others are not told.
    let told = |index| terms::Report::from(SumError::Bound { index });
    assert_eq!(told(1), told(2));
    let missing = vec![member(1), member(2)];
    let few = SumError::TooFew {
        stage: Stage::Masked,
        nodes: 2,
        needed: 3,
        missing,
    };
    assert_eq!(
        few.to_string(),
        "masked numbers of 2 nodes, where 3 are needed; missing: node-01, node-02"
    );
    assert_eq!(code(few), "E_SUM_NODES");
}
