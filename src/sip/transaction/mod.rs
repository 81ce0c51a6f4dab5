//! RFC 3261 §17 and RFC 6026 transactions, sans-IO: no socket, no clock, no task inside. Knows no rule.
//!
//! A machine is a value: events go in with the time, what is to be done comes out, and `wake` says when it wants to be called
//! again. `sip::proxy` owns the machines, keeps the bytes that they retransmit, and finds them by [`key`].

pub mod client;
pub mod key;
pub mod server;
pub mod timer;

use std::time::Duration;

/// The durations of RFC 3261 §17.1.1.1 (table 4 in its annex A), all derived from T1: with T1 = 500 ms, T2 is 4 s and T4 is 5 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durations {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request and of an INVITE response.
    pub t2: Duration,
    /// Longest time that a message stays in the network.
    pub t4: Duration,
}

impl Durations {
    /// From T1, in the proportions of the RFC.
    pub fn from_t1(t1: Duration) -> Self {
        Self {
            t1,
            t2: t1 * 8,
            t4: t1 * 10,
        }
    }

    /// 64·T1: timers B, F, H, J, L and M, and timer D over an unreliable transport.
    pub fn give_up(&self) -> Duration {
        self.t1 * 64
    }

    /// When timer E reaches T2 (RFC 4320 §4.1): T1 + 2·T1 + 4·T1.
    pub fn until_t2(&self) -> Duration {
        self.t1 * 7
    }
}

/// The earlier of two moments, where there is one.
pub(crate) fn earliest(
    one: Option<std::time::Instant>,
    other: Option<std::time::Instant>,
) -> Option<std::time::Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
