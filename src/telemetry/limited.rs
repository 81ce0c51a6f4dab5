//! Log lines about malformed input: they name the peer and the header, and no peer can flood the log or the memory with them.
//! Called by the loops that read sockets; the metrics count what is not logged.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Shown;

/// What was wrong with a message.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Malformed<'a> {
    pub peer: SocketAddr,
    /// Name of the header at fault; empty where none is.
    pub header: &'a str,
    pub cause: &'a str,
}

/// At most `LINES` lines for each peer address and `PERIOD`, in memory of a fixed size.
#[derive(Debug)]
pub struct PeerLog {
    slots: Box<[Mutex<Slot>]>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    peer: Option<IpAddr>,
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Default for PeerLog {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl PeerLog {
    /// Logs the line, or counts it as suppressed.
    pub fn malformed(&self, what: Malformed<'_>, now: Instant) {
        if let Some(suppressed) = self.allow(what.peer.ip(), now) {
            tracing::warn!(
                peer = %what.peer,
                header = %Shown(what.header),
                cause = %Shown(what.cause),
                suppressed,
                "bad input"
            );
        }
    }

    /// May a line about the peer be logged? With how many were suppressed since the last one.
    ///
    /// Peers that share a slot share its lines until the period is over, so that addresses made up by the thousand find no more
    /// than the slots' lines.
    fn allow(&self, peer: IpAddr, now: Instant) -> Option<u64> {
        // The seed is random: nobody outside can choose whom to share a slot with.
        #[allow(clippy::cast_possible_truncation)] // the low bits choose a slot
        let at = self.hasher.hash_one(peer) as usize % SLOTS;
        let mut slot = self.slots[at].lock().unwrap_or_else(PoisonError::into_inner);
        let over = slot
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= PERIOD);
        if over {
            let suppressed = if slot.peer == Some(peer) { slot.suppressed } else { 0 };
            *slot = Slot {
                peer: Some(peer),
                since: Some(now),
                lines: 1,
                suppressed: 0,
            };
            return Some(suppressed);
        }
        if slot.lines < LINES {
            slot.lines += 1;
            return Some(std::mem::take(&mut slot.suppressed));
        }
        slot.suppressed += 1;
        None
    }
}

/// Peers told apart at once.
const SLOTS: usize = 256;

/// Lines for each peer and period.
const LINES: u32 = 5;

const PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_a_few_lines_a_period_and_the_next_says_how_many_were_not_logged() {
        let log = PeerLog::default();
        let peer = IpAddr::from([192, 0, 2, 7]);
        let start = Instant::now();
        let logged = (0..1000).filter(|_| log.allow(peer, start).is_some()).count();
        assert_eq!(logged, LINES as usize);
        assert_eq!(log.allow(peer, start + PERIOD), Some(1000 - u64::from(LINES)));
        assert_eq!(log.allow(peer, start + PERIOD), Some(0));
    }

    #[test]
    fn addresses_made_up_by_the_thousand_get_no_more_than_the_table_holds() {
        let log = PeerLog::default();
        let start = Instant::now();
        let logged = (0..100_000_u32)
            .filter(|n| log.allow(IpAddr::from(n.to_be_bytes()), start).is_some())
            .count();
        assert!(logged <= SLOTS * LINES as usize, "{logged}");
    }
}
