//! Refused and observed calls on their way to the journal: identical ones within a minute become one counted record, the table is
//! bounded, and what does not fit is shed and counted, so that a flood of refusals costs reservations nothing.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;
use siphasher::sip128::SipHasher13;

use super::super::body;
use super::super::record::DecisionNote;
use crate::journal::{Draft, Kind};
use crate::numbering::E164;

/// Different decisions that may wait at a time.
const WAITING: usize = 8192;
/// Identical decisions within this time are one record.
const WITHIN: Duration = Duration::from_secs(60);

struct Waiting {
    note: DecisionNote,
    count: u64,
    last: DateTime<Utc>,
    since: Instant,
}

/// What identical decisions have in common, hashed under a key that nobody outside knows.
type Same = u128;

/// Decisions not yet handed to the journal.
pub(super) struct Notes {
    waiting: FxHashMap<Same, Waiting>,
    /// By when they began to wait: the keeper looks at those that have waited long enough, and at no others. One whose beginning is no
    /// longer that of its decision is stale.
    order: VecDeque<(Instant, Same)>,
    hasher: SipHasher13,
    /// Decisions that were not recorded.
    pub shed: u64,
}

impl Default for Notes {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            waiting: FxHashMap::default(),
            order: VecDeque::new(),
            hasher: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
            shed: 0,
        }
    }
}

impl Notes {
    /// Takes a decision in. Returns a record that is complete because this one comes more than a minute later.
    pub fn take(&mut self, note: DecisionNote, now: Instant) -> Option<(Draft, u64)> {
        // The body without its times, and whose it is.
        let mut same = body::decision(&note, 0, DateTime::UNIX_EPOCH);
        same.extend_from_slice(&note.siren.map_or(0, |siren| siren.0).to_le_bytes());
        let same = self.hasher.hash(&same).as_u128();
        if let Some(waiting) = self.waiting.get_mut(&same) {
            let apart = (note.at - waiting.note.at).abs();
            if apart.to_std().is_ok_and(|apart| apart < WITHIN) {
                waiting.count += 1;
                waiting.last = waiting.last.max(note.at);
                return None;
            }
            let before = std::mem::replace(waiting, Waiting::new(note, now));
            self.order.push_back((now, same));
            return Some(before.into_draft());
        }
        if self.waiting.len() < WAITING {
            self.waiting.insert(same, Waiting::new(note, now));
            self.order.push_back((now, same));
        } else {
            self.shed += 1;
        }
        None
    }

    /// Takes out, up to `most`, the records that have waited long enough; all of them where `all`.
    pub fn due(&mut self, now: Instant, all: bool, most: usize) -> Vec<(Draft, u64)> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some(&(since, same)) = self.order.front()
            && (all || now.saturating_duration_since(since) >= WITHIN)
        {
            self.order.pop_front();
            if self.waiting.get(&same).is_some_and(|waiting| waiting.since == since) {
                due.extend(self.waiting.remove(&same).map(Waiting::into_draft));
            }
        }
        due
    }

    /// Forgets the decisions about one number.
    pub fn forget(&mut self, number: E164) {
        self.waiting.retain(|_, waiting| waiting.note.callee != Some(number));
    }
}

impl Waiting {
    fn new(note: DecisionNote, now: Instant) -> Self {
        Self {
            last: note.at,
            note,
            count: 1,
            since: now,
        }
    }

    fn into_draft(self) -> (Draft, u64) {
        let draft = Draft {
            kind: Kind::Decision,
            at: self.note.at,
            siren: self.note.siren.map_or(0, |siren| siren.0),
            body: body::decision(&self.note, self.count, self.last),
        };
        (draft, self.count)
    }
}
