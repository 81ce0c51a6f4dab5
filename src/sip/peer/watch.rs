//! How a trunk is watched and how it is: shared by all workers, kept over a reload. `sip::proxy` fills it in from answers to OPTIONS
//! and to calls and reads it when it chooses a trunk; `/readyz` and the metrics tell it. Sends nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A trunk's watch.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Probed by OPTIONS; `None`: taken to be up.
    pub options: Option<Probing>,
    /// How it is.
    pub health: Arc<Health>,
}

/// How a trunk is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// From one OPTIONS to the next.
    pub every: Duration,
    /// It is down after so many failed probes in a row.
    pub fail_after: u8,
    /// It is up again after so many answered ones in a row.
    pub up_after: u8,
}

/// How a trunk is.
#[derive(Debug, Default)]
pub struct Health {
    down: AtomicBool,
    start: OnceLock<Instant>,
    /// Until then it asked to be left alone (Retry-After of a 503), in milliseconds after `start`.
    retry_at: AtomicU64,
    probe: Mutex<Probe>,
}

/// The probe under way and how the last ones ended.
#[derive(Debug, Default)]
struct Probe {
    outstanding: Option<u64>,
    /// Of the same end as the last one.
    in_a_row: u8,
    last_failed: bool,
}

impl Health {
    /// May calls go there at that moment?
    pub fn is_usable(&self, now: Instant) -> bool {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        !self.is_down() && (retry_at == 0 || self.millis(now) >= retry_at)
    }

    /// Probes say that it does not answer.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// It asked to be left alone for so long; at most [`MAX_RETRY_AFTER`] is granted.
    pub fn leave_alone(&self, now: Instant, period: Duration) {
        let period = u64::try_from(period.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(0);
        self.retry_at
            .fetch_max(self.millis(now).saturating_add(period), Ordering::Relaxed);
    }

    /// A probe leaves; the one before it, if nobody answered it, has failed by now.
    pub fn probe_sent(&self, unique: u64) {
        self.probe().outstanding = Some(unique);
    }

    /// A probe ended; true where that changes whether the trunk is up. One that is no longer waited for changes nothing.
    pub fn probe_ended(&self, unique: u64, failed: bool, probing: Probing) -> bool {
        let mut probe = self.probe();
        if probe.outstanding != Some(unique) {
            return false;
        }
        probe.outstanding = None;
        probe.in_a_row = if probe.last_failed == failed {
            probe.in_a_row.saturating_add(1)
        } else {
            1
        };
        probe.last_failed = failed;
        let down = self.is_down();
        let needed = if failed { probing.fail_after } else { probing.up_after };
        let changes = failed != down && probe.in_a_row >= needed;
        if changes {
            self.down.store(failed, Ordering::Relaxed);
        }
        changes
    }

    /// Is that the probe that is waited for?
    pub fn awaits(&self, unique: u64) -> bool {
        self.probe().outstanding == Some(unique)
    }

    fn probe(&self) -> std::sync::MutexGuard<'_, Probe> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        // One more than none have passed: zero stands for no time at all.
        let passed = now.saturating_duration_since(*self.start.get_or_init(|| now));
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// Longest time for which a trunk's Retry-After takes it out of the choice: a slip of its operator must not last for a day.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const PROBING: Probing = Probing {
        every: Duration::from_secs(30),
        fail_after: 3,
        up_after: 2,
    };

    #[test]
    fn a_trunk_goes_down_and_up_only_after_several_probes_of_one_kind() {
        let health = Health::default();
        let mut unique = 0;
        let mut end = |failed| {
            unique += 1;
            health.probe_sent(unique);
            health.probe_ended(unique, failed, PROBING)
        };
        let changes: Vec<bool> = [
            true, true, false, true, true, true, true, false, true, false, false, false,
        ]
        .into_iter()
        .map(&mut end)
        .collect();
        let at: Vec<usize> = changes
            .iter()
            .enumerate()
            .filter_map(|(at, changed)| changed.then_some(at))
            .collect();
        assert_eq!(
            at,
            [5, 10],
            "down at the third failure in a row, up at the second answer in a row"
        );
        assert!(!health.is_down());
    }

    #[test]
    fn an_answer_to_a_probe_that_is_over_changes_nothing() {
        let health = Health::default();
        health.probe_sent(1);
        health.probe_sent(2);
        assert!(!health.awaits(1) && health.awaits(2));
        let once = Probing {
            fail_after: 1,
            ..PROBING
        };
        assert!(!health.probe_ended(1, true, once));
        assert!(health.probe_ended(2, true, once));
        assert!(!health.probe_ended(2, true, once));
        assert!(health.is_down());
    }

    #[test]
    fn a_retry_after_is_honoured_up_to_its_bound() {
        let (health, start) = (Health::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(health.is_usable(at(0)));
        health.leave_alone(at(0), Duration::from_secs(30));
        assert!(!health.is_usable(at(0)) && !health.is_usable(at(29)) && health.is_usable(at(30)));
        health.leave_alone(at(40), Duration::from_secs(1_000_000));
        assert!(!health.is_usable(at(339)) && health.is_usable(at(340)));
    }
}
