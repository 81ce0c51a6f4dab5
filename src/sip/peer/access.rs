//! How a source proves who it is beyond its address, and how much it may call. The configuration fills these in; `sip::proxy` asks
//! them for every dialog-opening INVITE. What is used up is shared by all workers and outlives a reload. Knows no message.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// What a source must show, and its limits.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// It authenticates by digest; without addresses it is known by that alone.
    pub digest: Option<DigestAccount>,
    /// Dialog-opening INVITEs.
    pub rate: Option<Rate>,
    /// Calls in progress at once, from the INVITE forwarded to its refusal or the BYE.
    pub concurrent_calls: Option<u32>,
    /// What it has used.
    pub usage: Arc<Usage>,
}

/// Credentials of RFC 7616. The password is never known, only its hashes.
#[derive(Clone)]
pub struct DigestAccount {
    /// Protection domain.
    pub realm: Arc<str>,
    /// As the source sends it.
    pub username: Arc<str>,
    /// SHA-256 of `username:realm:password`, in lower-case hexadecimal.
    pub sha256: Option<Arc<str>>,
    /// MD5 of the same, for PBXs that know nothing better.
    pub md5: Option<Arc<str>>,
}

/// Hashes that are as good as passwords reach no log.
impl fmt::Debug for DigestAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DigestAccount")
            .field("realm", &self.realm)
            .field("username", &self.username)
            .field("sha256", &self.sha256.is_some())
            .field("md5", &self.md5.is_some())
            .finish()
    }
}

/// A rate with room for a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least one.
    pub per_second: u32,
    /// Calls that may come at once after a pause; at least one.
    pub burst: u32,
}

/// What a source has used of its limits, and of its nonces.
#[derive(Debug, Default)]
pub struct Usage {
    start: OnceLock<Instant>,
    /// When the next call would come if calls were evenly spaced (GCRA's theoretical arrival time), in nanoseconds after `start`.
    next: AtomicU64,
    calls: AtomicU32,
    nonces: Mutex<Nonces>,
}

/// One call in progress; gives its place back when dropped.
#[derive(Debug)]
pub struct Held(Arc<Usage>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Usage {
    /// Takes one call from the rate; else says after how long there will be room.
    pub fn take(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(*self.start.get_or_init(|| now));
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let spacing = 1_000_000_000 / u64::from(rate.per_second.max(1));
        let room = spacing * u64::from(rate.burst.max(1) - 1);
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next <= now.saturating_add(room)).then(|| next.max(now).saturating_add(spacing))
            })
            .map(drop)
            .map_err(|next| Duration::from_nanos(next - now - room))
    }

    /// Takes a place among the calls in progress; `None` where all `most` are taken.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Held> {
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
                (calls < most).then_some(calls + 1)
            })
            .ok()
            .map(|_| Held(Arc::clone(self)))
    }

    /// Calls in progress that count against the limit.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Uses a nonce for the `count`-th time; false where that has been done, or cannot be told any more.
    pub fn spend(&self, nonce: Nonce, count: u32) -> bool {
        self.nonces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spend(nonce, count)
    }
}

/// A nonce of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// When it was made, in seconds of the Unix epoch.
    pub issued: u32,
    /// Tells those of one second apart.
    pub salt: u64,
}

/// Which counts of which nonces have been used; bounded.
#[derive(Debug, Default)]
struct Nonces {
    used: FxHashMap<Nonce, Window>,
    order: VecDeque<Nonce>,
    /// Nonces made at or before that second may have been forgotten.
    floor: u32,
}

/// The highest count seen, and which of the [`WINDOW`] up to it (requests overtake each other).
#[derive(Clone, Copy, Debug)]
struct Window {
    highest: u32,
    seen: u64,
}

impl Nonces {
    fn spend(&mut self, nonce: Nonce, count: u32) -> bool {
        if let Some(window) = self.used.get_mut(&nonce) {
            return window.spend(count);
        }
        if nonce.issued <= self.floor {
            return false;
        }
        if self.order.len() >= MAX_NONCES
            && let Some(oldest) = self.order.pop_front()
        {
            self.used.remove(&oldest);
            self.floor = self.floor.max(oldest.issued);
        }
        self.order.push_back(nonce);
        self.used.insert(
            nonce,
            Window {
                highest: count,
                seen: 1,
            },
        );
        true
    }
}

impl Window {
    fn spend(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        let fresh = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

/// Counts below the highest that may still come.
const WINDOW: u32 = u64::BITS;

/// Nonces remembered for each source: about a megabyte. Beyond, the oldest are forgotten, and all made before it refused as stale.
const MAX_NONCES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_lets_a_burst_through_and_then_one_call_at_a_time() {
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let (usage, start) = (Usage::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for _ in 0..3 {
            assert_eq!(usage.take(rate, at(0)), Ok(()));
        }
        assert_eq!(usage.take(rate, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(usage.take(rate, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(usage.take(rate, at(100)), Ok(()));
        assert_eq!(usage.take(rate, at(100)), Err(Duration::from_millis(100)));
        let in_an_hour = (0..10).filter(|_| usage.take(rate, at(3_600_000)).is_ok()).count();
        assert_eq!(in_an_hour, 3, "a pause saves up no more than the burst");
    }

    #[test]
    fn a_rate_holds_over_any_second_after_its_burst() {
        let rate = Rate {
            per_second: 7,
            burst: 1,
        };
        let (usage, start) = (Usage::default(), Instant::now());
        let passed = (0..10_000)
            .filter(|millis| usage.take(rate, start + Duration::from_millis(*millis)).is_ok())
            .count();
        assert!((69..=71).contains(&passed), "{passed} in ten seconds");
    }

    #[test]
    fn calls_in_progress_give_their_place_back() {
        let usage = Arc::new(Usage::default());
        let first = usage.enter(2).unwrap();
        let second = usage.enter(2).unwrap();
        assert!(usage.enter(2).is_none());
        drop(first);
        assert_eq!(usage.calls(), 1);
        assert!(usage.enter(2).is_some());
        drop(second);
        assert_eq!(usage.calls(), 0);
    }

    #[test]
    fn a_count_of_a_nonce_is_good_once_in_any_order_within_the_window() {
        let nonce = Nonce { issued: 9, salt: 1 };
        let usage = Usage::default();
        for (count, fresh) in [
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (70, true),
            (6, false),
            (7, true),
            (7, false),
            (1000, true),
            (70, false),
            (u32::MAX, true),
            (1000, false),
        ] {
            assert_eq!(usage.spend(nonce, count), fresh, "{count}");
        }
        assert!(usage.spend(Nonce { salt: 2, ..nonce }, 1));
    }

    #[test]
    fn nonces_remembered_are_bounded_and_none_forgotten_is_good_again() {
        let mut nonces = Nonces::default();
        let nonce = |number: u32| Nonce {
            issued: number + 1,
            salt: 0,
        };
        let most = u32::try_from(MAX_NONCES).unwrap();
        for number in 0..most + 10 {
            assert!(nonces.spend(nonce(number), 1));
        }
        assert_eq!((nonces.used.len(), nonces.order.len()), (MAX_NONCES, MAX_NONCES));
        assert!(!nonces.spend(nonce(0), 2), "forgotten");
        assert!(
            !nonces.spend(Nonce { issued: 10, salt: 5 }, 1),
            "made before one forgotten"
        );
        assert!(nonces.spend(nonce(most), 2), "remembered");
    }
}
