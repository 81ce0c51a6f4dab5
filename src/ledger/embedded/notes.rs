//! Refused and observed calls on their way to the journal: identical ones within a minute become one counted record, the table is
//! bounded, and what does not fit is shed and counted, so that a flood of refusals costs reservations nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

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

/// Decisions not yet handed to the journal.
#[derive(Default)]
pub(super) struct Notes {
    waiting: HashMap<Vec<u8>, Waiting>,
    /// Decisions that were not recorded.
    pub shed: u64,
}

impl Notes {
    /// Takes a decision in. Returns a record that is complete because this one comes more than a minute later.
    pub fn take(&mut self, note: DecisionNote, now: Instant) -> Option<(Draft, u64)> {
        // The body without its times, and whose it is: equal bytes are identical decisions.
        let mut same = body::decision(&note, 0, DateTime::UNIX_EPOCH);
        same.extend_from_slice(&note.siren.map_or(0, |siren| siren.0).to_le_bytes());
        if let Some(waiting) = self.waiting.get_mut(&same) {
            let apart = (note.at - waiting.note.at).abs();
            if apart.to_std().is_ok_and(|apart| apart < WITHIN) {
                waiting.count += 1;
                waiting.last = waiting.last.max(note.at);
                return None;
            }
            let new = Waiting::new(note, now);
            return Some(std::mem::replace(waiting, new).into_draft());
        }
        if self.waiting.len() < WAITING {
            self.waiting.insert(same, Waiting::new(note, now));
        } else {
            self.shed += 1;
        }
        None
    }

    /// Takes out, up to `most`, the records that have waited long enough; all of them where `all`.
    pub fn due(&mut self, now: Instant, all: bool, most: usize) -> Vec<(Draft, u64)> {
        self.waiting
            .extract_if(|_, waiting| all || now.saturating_duration_since(waiting.since) >= WITHIN)
            .take(most)
            .map(|(_, waiting)| waiting.into_draft())
            .collect()
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
