//! Who may do how much of what strangers can do at a time: of each address so many, and of all so many, where who comes later takes
//! the place of who has been at it longest. An honest peer is done in a moment; one that stalls is pushed out.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The bits of an IPv6 address that name a network: who has one has all its addresses.
const NETWORK: u128 = !(u64::MAX as u128);

/// Where somebody comes from, as it is counted: an address, of IPv6 a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The address, or of IPv6 the first of the network.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            address => address,
        })
    }
}

/// What each address does at a time: its open connections, or its calls that cost something.
#[derive(Clone, Debug)]
pub struct Addresses {
    most: u32,
    open: Arc<Mutex<HashMap<Origin, u32>>>,
}

/// One of the places of an address, until it is dropped.
#[derive(Debug)]
pub struct AddressPlace {
    origin: Origin,
    of: Addresses,
}

impl Addresses {
    /// So many of each address.
    pub fn new(most: u32) -> Self {
        let open = Arc::default();
        Self { most, open }
    }

    /// A place for one more from there, if there are fewer than may be.
    pub fn place(&self, origin: impl Into<Origin>) -> Option<AddressPlace> {
        let origin = origin.into();
        let mut open = self.open();
        let held = open.entry(origin).or_insert(0);
        if *held >= self.most {
            return None;
        }
        *held += 1;
        let of = self.clone();
        Some(AddressPlace { origin, of })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Origin, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut open = self.of.open();
        if let Some(held) = open.get_mut(&self.origin) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.origin);
            }
        }
    }
}

/// What so many do at a time, such as to shake hands.
#[derive(Clone, Debug)]
pub struct Revolving {
    most: usize,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// The oldest first.
    open: VecDeque<(u64, CancellationToken)>,
}

/// One of them.
#[derive(Debug)]
pub struct RevolvingPlace {
    number: u64,
    displaced: CancellationToken,
    of: Revolving,
}

impl Revolving {
    /// So many of all.
    pub fn new(most: u32) -> Self {
        Self {
            most: most as usize,
            queue: Arc::default(),
        }
    }

    /// Begins one. If there are too many, the oldest ends.
    pub fn begin(&self) -> RevolvingPlace {
        let displaced = CancellationToken::new();
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        queue.open.push_back((number, displaced.clone()));
        if queue.open.len() > self.most
            && let Some((_, oldest)) = queue.open.pop_front()
        {
            oldest.cancel();
        }
        let of = self.clone();
        RevolvingPlace { number, displaced, of }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevolvingPlace {
    /// Waits until others need its place.
    pub async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for RevolvingPlace {
    fn drop(&mut self) {
        let mut queue = self.of.queue();
        if let Ok(place) = queue.open.binary_search_by_key(&self.number, |(number, _)| *number) {
            queue.open.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_a_network_of_ipv6_is_one() {
        let addresses = Addresses::new(2);
        let place = |text: &str| addresses.place(text.parse::<IpAddr>().unwrap());
        let held = [place("192.0.2.1"), place("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && place("192.0.2.1").is_none());
        assert!(place("192.0.2.2").is_some());
        let network = [place("2001:db8::1"), place("2001:db8::ffff:2")];
        assert!(network.iter().all(Option::is_some) && place("2001:db8::3").is_none());
        assert!(place("2001:db8:0:1::1").is_some());
        drop((held, network));
        assert!(place("192.0.2.1").is_some() && addresses.open().is_empty());
    }

    #[test]
    fn the_handshake_that_has_been_at_it_longest_makes_room() {
        let handshakes = Revolving::new(2);
        let [first, second] = [handshakes.begin(), handshakes.begin()];
        drop(second);
        let third = handshakes.begin();
        assert!(!first.displaced.is_cancelled());
        let fourth = handshakes.begin();
        assert!(first.displaced.is_cancelled() && !third.displaced.is_cancelled() && !fourth.displaced.is_cancelled());
        drop((first, third, fourth));
        assert!(handshakes.queue().open.is_empty());
    }
}
