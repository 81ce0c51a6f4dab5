//! The emulated network: what becomes of a datagram, by seed. Loss, duplication and reordering (delays that overtake each other).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::seed::Rng;

/// How every link behaves.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// In a thousand.
    pub loss: u64,
    /// In a thousand.
    pub duplication: u64,
    /// Shortest and longest delay in milliseconds; where they differ, datagrams overtake each other.
    pub delay: (u64, u64),
}

impl Link {
    /// Everything arrives once, in order, after a millisecond.
    pub const CLEAN: Self = Self {
        loss: 0,
        duplication: 0,
        delay: (1, 1),
    };
}

/// Of copies of one message towards one address, at most so many are lost. RFC 3261 sends an INVITE seven times and a 2xx eleven
/// times; the longest chain is a 2xx and its ACK over two hops each, of which so at most eight fail: bounded loss never ends a call by
/// itself.
const LOST_COPIES: u8 = 2;

/// An address that nobody listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// Nothing comes back.
    Silent,
    /// The sender is told (ICMP port unreachable).
    Unreachable,
}

/// The network.
pub struct Network {
    rng: Rng,
    link: Link,
    down: HashMap<SocketAddr, Down>,
    lost: HashMap<(SocketAddr, Vec<u8>), u8>,
}

impl Network {
    pub fn new(seed: u64, link: Link) -> Self {
        Self {
            rng: Rng::new(seed),
            link,
            down: HashMap::new(),
            lost: HashMap::new(),
        }
    }

    pub fn set_down(&mut self, address: SocketAddr, down: Down) {
        self.down.insert(address, down);
    }

    pub fn set_up(&mut self, address: SocketAddr) {
        self.down.remove(&address);
    }

    pub fn down(&self, address: SocketAddr) -> Option<Down> {
        self.down.get(&address).copied()
    }

    /// After which delays the copies of a datagram arrive: none where it is lost.
    pub fn fate(&mut self, to: SocketAddr, bytes: &[u8]) -> Vec<Duration> {
        let link = self.link;
        if self.rng.chance(link.loss) {
            let lost = self.lost.entry((to, bytes.to_vec())).or_default();
            if *lost < LOST_COPIES {
                *lost += 1;
                return Vec::new();
            }
        }
        let copies = if self.rng.chance(link.duplication) { 2 } else { 1 };
        (0..copies).map(|_| self.delay()).collect()
    }

    fn delay(&mut self) -> Duration {
        let (shortest, longest) = self.link.delay;
        Duration::from_millis(shortest + self.rng.below(longest - shortest + 1))
    }
}
