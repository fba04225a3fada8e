//! Who contributed what to a value, in so few bytes that it can be kept: to see that two values are about nearly the same
//! people, without keeping who they are.
//!
//! Each person falls into one slot, by a keyed hash; a slot is the exclusive or of a keyed hash of its people and what each
//! contributes. So two sketches differ in at most as many slots as people differ, never in more; rarely in fewer, and then a
//! value is taken for an older one that it is not quite: the safe side. Without the key nothing can be learnt from a
//! sketch about a person. Next: `kept.rs`.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Fewest slots: enough to tell apart sets that differ by the usual minimum of people.
const SLOTS_MIN: usize = 64;

/// Most slots, for a minimum of people that no policy reaches.
const SLOTS_MAX: usize = 65_536;

/// Slots for each person that sets must differ by, so that few of them fall together.
const SLOTS_PER_PERSON: u64 = 4;

/// The key of a node's sketches. Values that were sketched under another cannot be compared.
#[derive(Clone, Copy)]
pub(crate) struct SketchKey([u8; 16]);

impl From<[u8; 16]> for SketchKey {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SketchKey")
    }
}

/// A person as sketches know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PersonHash(u64);

impl PersonHash {
    /// As a number to sort by.
    pub(crate) fn as_order(self) -> i64 {
        self.0.cast_signed()
    }

    pub(crate) fn from_order(order: i64) -> Self {
        Self(order.cast_unsigned())
    }
}

impl SketchKey {
    pub(crate) fn person(&self, name: &[u8]) -> PersonHash {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(name);
        PersonHash(hasher.finish())
    }
}

/// How many slots tell sets apart that differ by `people`.
pub(crate) fn slots(people: u64) -> usize {
    let wanted = people.saturating_mul(SLOTS_PER_PERSON);
    let wanted = usize::try_from(wanted).unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
    wanted.next_power_of_two().max(SLOTS_MIN)
}

/// Who contributed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sketch(Box<[u8]>);

impl Sketch {
    pub(crate) fn new(slots: usize) -> Self {
        Self(vec![0; slots].into_boxed_slice())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fits = bytes.len().is_power_of_two() && (SLOTS_MIN..=SLOTS_MAX).contains(&bytes.len());
        fits.then(|| Self(bytes.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a person with what they contribute.
    pub(crate) fn add(&mut self, person: PersonHash, contribution: Contribution) {
        let content = mix(person.0 ^ contribution.0.rotate_left(32));
        // The number of slots is a power of two; the content is taken from the other end.
        let slot = (person.0 as usize) & (self.0.len() - 1);
        self.0[slot] ^= (content >> 56) as u8;
    }

    /// Adds the people of a sketch with as many slots, who are others.
    pub(crate) fn merge(&mut self, other: &Sketch) {
        self.0.iter_mut().zip(&other.0).for_each(|(slot, other)| *slot ^= other);
    }

    /// Whether two sketches differ in fewer slots than that. Of most it shows in the first few slots that they do not.
    pub(crate) fn is_nearer(&self, other: &Sketch, slots: u64) -> bool {
        let most = usize::try_from(slots).unwrap_or(usize::MAX);
        self.differences(other).take(most).count() < most
    }

    /// In how many slots two sketches differ.
    #[cfg(test)]
    pub(crate) fn distance(&self, other: &Sketch) -> u64 {
        self.differences(other).count() as u64
    }

    /// The slots in which two sketches differ; the larger one is folded to the size of the other.
    fn differences<'a>(&'a self, other: &'a Sketch) -> impl Iterator<Item = usize> + 'a {
        let (small, large) = if self.0.len() <= other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        let differs = move |slot: &usize| {
            let folded = large
                .0
                .iter()
                .skip(*slot)
                .step_by(small.0.len())
                .fold(0, |all, one| all ^ one);
            folded != small.0[*slot]
        };
        (0..small.0.len()).filter(differs)
    }
}

/// What one person contributes to a value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Contribution(u64);

impl Contribution {
    pub(crate) fn with_rows(self, rows: i64) -> Self {
        Self(mix(self.0 ^ rows.cast_unsigned()))
    }

    /// Numbers count to 24 bits: in which order an engine added a person's rows makes no other person of them.
    pub(crate) fn with_number(self, number: f64) -> Self {
        Self(mix(self.0 ^ u64::from((number as f32).to_bits())))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
