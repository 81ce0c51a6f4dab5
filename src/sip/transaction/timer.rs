//! When which owner wants to be woken: one entry an owner, set and cancelled in O(log n). Knows neither transactions nor calls.

use std::collections::BTreeSet;
use std::time::Instant;

/// The queue of wake-ups.
#[derive(Debug)]
pub struct Timers<K> {
    queue: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { queue: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Moves an owner's wake-up: `armed` is what it has set, kept by the owner; `wanted` is what it sets now.
    pub fn set(&mut self, owner: K, armed: &mut Option<Instant>, wanted: Option<Instant>) {
        if *armed == wanted {
            return;
        }
        if let Some(at) = *armed {
            self.queue.remove(&(at, owner));
        }
        if let Some(at) = wanted {
            self.queue.insert((at, owner));
        }
        *armed = wanted;
    }

    /// Takes the earliest owner whose moment has come. Its wake-up is spent: it holds `None` from now on.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &(at, owner) = self.queue.first().filter(|(at, _)| *at <= now)?;
        self.queue.remove(&(at, owner));
        Some(owner)
    }

    /// The earliest moment.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// How many owners wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn owners_are_woken_in_order_and_only_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let (mut one, mut two) = (None, None);
        timers.set(1, &mut one, Some(at(5)));
        timers.set(2, &mut two, Some(at(3)));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(9)), Some(2));
        assert_eq!(timers.pop_due(at(9)), Some(1));
        assert_eq!((timers.pop_due(at(9)), timers.is_empty()), (None, true));
    }

    #[test]
    fn a_cancelled_or_moved_wake_up_leaves_nothing_behind() {
        let start = Instant::now();
        let mut timers = Timers::default();
        let mut armed = None;
        timers.set(7, &mut armed, Some(start));
        timers.set(7, &mut armed, Some(start + Duration::from_secs(1)));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.pop_due(start), None);
        timers.set(7, &mut armed, None);
        assert_eq!((timers.len(), armed, timers.next()), (0, None, None));
    }
}
