//! Verdicts that outlive their transaction: a late retransmission of a judged INVITE is recognised for 64·T1 and absorbed, never
//! judged anew (contract, "Once"). Bounded; the oldest give way.

use std::collections::VecDeque;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::sip::transaction::key::ServerKey;

#[derive(Default)]
pub(super) struct Recent {
    until: FxHashMap<ServerKey, Instant>,
    order: VecDeque<(Instant, ServerKey)>,
}

impl Recent {
    pub(super) fn insert(&mut self, key: ServerKey, until: Instant, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(until, _)| *until <= now || self.order.len() >= MAX_RECENT)
        {
            if let Some((until, key)) = self.order.pop_front()
                && self.until.get(&key) == Some(&until)
            {
                self.until.remove(&key);
            }
        }
        self.until.insert(key, until);
        self.order.push_back((until, key));
    }

    pub(super) fn holds(&self, key: ServerKey, now: Instant) -> bool {
        self.until.get(&key).is_some_and(|until| now < *until)
    }
}

/// About 16 MB at most.
const MAX_RECENT: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn verdicts_are_kept_for_their_time_and_in_bounded_number() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut recent = Recent::default();
        recent.insert(ServerKey(1), later(32), now);
        assert!(recent.holds(ServerKey(1), later(31)));
        assert!(!recent.holds(ServerKey(1), later(32)));
        assert!(!recent.holds(ServerKey(2), now));
        recent.insert(ServerKey(2), later(72), later(40));
        assert_eq!(
            (recent.order.len(), recent.until.len()),
            (1, 1),
            "what has passed is forgotten"
        );
        for key in 0..MAX_RECENT as u128 + 5 {
            recent.insert(ServerKey(key + 10), later(99), later(41));
        }
        assert_eq!((recent.order.len(), recent.until.len()), (MAX_RECENT, MAX_RECENT));
        assert!(!recent.holds(ServerKey(2), later(42)), "the oldest gave way");
    }
}
