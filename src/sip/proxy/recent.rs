//! Verdicts that outlive their transaction, or never had one: a retransmission of a judged INVITE is recognised for 64·T1 and never
//! judged anew (contract, "Once"). It gets the answer again as long as no ACK has come for it. Bounded; the oldest give way.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::sip::transaction::key::ServerKey;

#[derive(Default)]
pub(super) struct Recent {
    kept: FxHashMap<ServerKey, Kept>,
    order: VecDeque<(Instant, ServerKey)>,
    answers: usize,
}

struct Kept {
    until: Instant,
    /// It had no transaction, so that its ACK comes here.
    answered: bool,
    answer: Option<Answer>,
}

/// A final answer that its ACK has not come for.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) bytes: Bytes,
}

impl Recent {
    pub(super) fn insert(&mut self, key: ServerKey, until: Instant, now: Instant, answer: Option<Answer>) {
        while self
            .order
            .front()
            .is_some_and(|(until, _)| *until <= now || self.order.len() >= MAX_RECENT || self.answers >= MAX_ANSWERS)
        {
            if let Some((until, key)) = self.order.pop_front()
                && self.kept.get(&key).is_some_and(|kept| kept.until == until)
            {
                let gone = self.kept.remove(&key);
                self.answers -= usize::from(gone.is_some_and(|kept| kept.answer.is_some()));
            }
        }
        self.answers += usize::from(answer.is_some());
        let kept = Kept {
            until,
            answered: answer.is_some(),
            answer,
        };
        let before = self.kept.insert(key, kept);
        self.answers -= usize::from(before.is_some_and(|kept| kept.answer.is_some()));
        self.order.push_back((until, key));
    }

    pub(super) fn holds(&self, key: ServerKey, now: Instant) -> bool {
        self.kept.get(&key).is_some_and(|kept| now < kept.until)
    }

    /// What an INVITE that comes again gets.
    pub(super) fn answer(&self, key: ServerKey) -> Option<Answer> {
        self.kept.get(&key)?.answer.clone()
    }

    /// An ACK came; true where it was for one of the answers here. Another ACK of it is still absorbed.
    pub(super) fn acknowledge(&mut self, key: ServerKey) -> bool {
        let Some(kept) = self.kept.get_mut(&key).filter(|kept| kept.answered) else {
            return false;
        };
        self.answers -= usize::from(kept.answer.take().is_some());
        true
    }
}

/// About 24 MB at most.
const MAX_RECENT: usize = 1 << 18;

/// Answers are some hundred bytes each: about 32 MB at most.
const MAX_ANSWERS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn verdicts_are_kept_for_their_time_and_in_bounded_number() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut recent = Recent::default();
        recent.insert(ServerKey(1), later(32), now, None);
        assert!(recent.holds(ServerKey(1), later(31)));
        assert!(!recent.holds(ServerKey(1), later(32)));
        assert!(!recent.holds(ServerKey(2), now));
        recent.insert(ServerKey(2), later(72), later(40), None);
        assert_eq!(
            (recent.order.len(), recent.kept.len()),
            (1, 1),
            "what has passed is forgotten"
        );
        for key in 0..MAX_RECENT as u128 + 5 {
            recent.insert(ServerKey(key + 10), later(99), later(41), None);
        }
        assert_eq!((recent.order.len(), recent.kept.len()), (MAX_RECENT, MAX_RECENT));
        assert!(!recent.holds(ServerKey(2), later(42)), "the oldest gave way");
    }

    #[test]
    fn an_answer_is_given_until_it_is_acknowledged_and_its_acks_are_absorbed() {
        let now = Instant::now();
        let until = now + Duration::from_secs(32);
        let answer = || {
            let bytes = Bytes::from_static(b"SIP/2.0 403 Forbidden");
            Some(Answer { status: 403, bytes })
        };
        let mut recent = Recent::default();
        recent.insert(ServerKey(1), until, now, answer());
        assert!(!recent.acknowledge(ServerKey(2)));
        assert_eq!(recent.answer(ServerKey(1)).map(|answer| answer.status), Some(403));
        assert!(recent.acknowledge(ServerKey(1)));
        assert!(recent.answer(ServerKey(1)).is_none());
        assert!(recent.acknowledge(ServerKey(1)));
        assert!(recent.holds(ServerKey(1), now));
        assert_eq!(recent.answers, 0);
        for key in 0..MAX_ANSWERS as u128 + 5 {
            recent.insert(ServerKey(key + 10), until, now, answer());
        }
        assert_eq!((recent.answers, recent.kept.len()), (MAX_ANSWERS, MAX_ANSWERS));
    }
}
