//! Moving old segments of the journal out of the way of a start, and ending what has been kept for its time.
//!
//! Before a segment goes cold, whatever in it still binds is appended again as `carried` records, each a snapshot of the state as of its
//! own place in the chain that cites the original records. So the hot segments alone rebuild the ledger, a snapshot may be replayed any
//! number of times, and a stop anywhere in between leaves nothing to repair. Runs on the view's thread, a few pages at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, Utc};

use super::super::body::{self, Carried, Origin, Record};
use super::super::record::Entry;
use super::super::{Key, StoreError};
use super::erased::Tag;
use super::page::key_of_entry;
use super::row::{Imported, Row, seconds, source_hash};
use super::{Core, EmbeddedLedger};
use crate::failpoint;
use crate::journal::{self, Class, Closed, Draft, Kind, Stored};

/// Records of a segment looked at before what binds of them is carried: bounds the memory that takes.
const RECORDS: usize = 50_000;
/// Rows carried between two pauses,
const ROWS: usize = 32;
/// so that neither the disk nor the journal's queue is taken from calls.
const PAUSE: Duration = Duration::from_millis(2);
/// How long to wait for room in the journal's queue.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// How many days records are kept, by what they are about. Refusals and whatever else still binds are carried on beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Retention {
    /// Calls placed, here or elsewhere, and what became of them.
    pub attempts: u32,
    /// Refused and observed calls.
    pub decisions: u32,
    /// Refusals of called persons.
    pub refusals: u32,
    /// Consents and requests, and their use: never below [`Retention::PROOF`].
    pub consents: u32,
    /// Contracts.
    pub contracts: u32,
    /// Everything that names no called person: lists loaded, number ranges, suspensions, configurations, erasures.
    pub operations: u32,
    /// The numbers of do-not-call lists beyond what today's calls ask; the record of their loading, with the file's hash, is among the
    /// operations.
    pub lists: u32,
}

impl Retention {
    /// Three years: how long the proof of a consent is kept at least (Code de la consommation R.223-2).
    pub const PROOF: u32 = 3 * 366;
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            attempts: Self::PROOF,
            decisions: Self::PROOF,
            refusals: Self::PROOF,
            consents: Self::PROOF,
            contracts: Self::PROOF,
            operations: Self::PROOF,
            lists: Self::PROOF,
        }
    }
}

impl Retention {
    fn of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Reservation | Kind::Settlement | Kind::Attempt | Kind::Recovered => self.attempts,
            Kind::Decision => self.decisions,
            Kind::Refusal => self.refusals,
            Kind::Consent | Kind::ConsentUsed => self.consents,
            Kind::Contract => self.contracts,
            // What it carries was carried on when its segment went cold.
            Kind::Carried => self.refusals.max(self.consents).max(self.contracts),
            Kind::Range
            | Kind::Screening
            | Kind::Suspension
            | Kind::Configuration
            | Kind::Forgotten
            | Kind::Checkpoint => self.operations,
        }
    }

    fn longest(&self) -> u32 {
        [
            self.attempts,
            self.decisions,
            self.refusals,
            self.consents,
            self.contracts,
            self.operations,
        ]
        .into_iter()
        .max()
        .unwrap_or_default()
    }
}

/// What one look at old segments did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// Segments moved to the cold folder.
    pub moved: u64,
    /// Records carried on for them.
    pub carried: u64,
    /// Records whose personal part was erased because their time was over.
    pub erased: u64,
    /// Cold segments deleted.
    pub deleted: u64,
}

/// What of a segment may still bind.
#[derive(Default)]
struct Found {
    rows: BTreeMap<Key, Vec<Origin>>,
    entries: Vec<(Stored, Entry)>,
    tags: BTreeMap<Tag, Stored>,
    records: usize,
}

impl Core {
    /// Moves and deletes what is old enough at `now`. What fails is tried again the next time; nothing is lost by it.
    pub fn age(&self, now: DateTime<Utc>, done: &mut BTreeSet<(u64, u8)>) -> Result<Aged, String> {
        let folder = EmbeddedLedger::journal_folder(&self.options.path);
        let mut aged = Aged::default();
        let closed = journal::closed(&folder).map_err(|error| error.to_string())?;
        for segment in closed.iter().filter(|segment| !segment.cold) {
            if self.signal.stopped() {
                return Ok(aged);
            }
            let floor = {
                let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
                view.position().floor
            };
            let old = past(segment.at, self.options.cold_after, now);
            // Oldest first, and none that a start could still replay.
            if !old || segment.last > floor {
                break;
            }
            aged.carried += self.carry(segment, now)?;
            failpoint::reach("cold.carried");
            self.journal.archive(segment).map_err(|error| error.to_string())?;
            aged.moved += 1;
        }
        self.expire(&closed, now, done, &mut aged)?;
        Ok(aged)
    }

    /// Ends what has been kept for its time. `done`: segments and kinds that hold nothing more to erase.
    fn expire(
        &self,
        closed: &[Closed],
        now: DateTime<Utc>,
        done: &mut BTreeSet<(u64, u8)>,
        aged: &mut Aged,
    ) -> Result<(), String> {
        let retention = &self.options.retention;
        let mut oldest = true;
        for segment in closed.iter().filter(|segment| segment.cold) {
            if self.signal.stopped() {
                return Ok(());
            }
            if oldest && past(segment.at, retention.longest(), now) {
                self.journal.delete(segment).map_err(|error| error.to_string())?;
                done.retain(|(first, _)| *first != segment.first);
                aged.deleted += 1;
                continue;
            }
            oldest = false;
            let due: Vec<Kind> = Kind::ALL
                .into_iter()
                .filter(|kind| {
                    past(segment.at, retention.of(*kind), now) && !done.contains(&(segment.first, *kind as u8))
                })
                .collect();
            if due.is_empty() {
                continue;
            }
            let folder = EmbeddedLedger::journal_folder(&self.options.path);
            let records = journal::read(&folder, segment.first - 1).map_err(|error| error.to_string())?;
            let mut over = Vec::new();
            for stored in records {
                let stored = stored.map_err(|error| error.to_string())?;
                if stored.sequence > segment.last {
                    break;
                }
                if stored.body.is_some() && due.contains(&stored.kind) {
                    over.push(stored.sequence);
                }
            }
            aged.erased += self.journal.erase(&over).map_err(|error| error.to_string())?;
            done.extend(due.into_iter().map(|kind| (segment.first, kind as u8)));
        }
        Ok(())
    }

    /// Appends again what still binds of a segment; returns once that is durable.
    pub(super) fn carry(&self, segment: &Closed, now: DateTime<Utc>) -> Result<u64, String> {
        let folder = EmbeddedLedger::journal_folder(&self.options.path);
        let records = journal::read_hot(&folder, segment.first - 1).map_err(|error| error.to_string())?;
        let since = self.since(seconds(now));
        let mut found = Found::default();
        let (mut carried, mut last) = (0, 0);
        for stored in records {
            let stored = stored.map_err(|error| error.to_string())?;
            if stored.sequence > segment.last {
                break;
            }
            found.take(stored, since);
            if found.records >= RECORDS {
                self.carry_found(std::mem::take(&mut found), now, &mut carried, &mut last)?;
            }
        }
        self.carry_found(found, now, &mut carried, &mut last)?;
        self.wait_durable(last)?;
        Ok(carried)
    }

    fn carry_found(&self, found: Found, now: DateTime<Utc>, carried: &mut u64, last: &mut u64) -> Result<(), String> {
        let mut took = |sequence: Option<u64>| {
            *carried += u64::from(sequence.is_some());
            *last = (*last).max(sequence.unwrap_or(0));
        };
        for (place, (key, origins)) in found.rows.into_iter().enumerate() {
            if place % ROWS == ROWS - 1 {
                if self.signal.stopped() {
                    return Err("the store is closing".into());
                }
                std::thread::sleep(PAUSE);
            }
            took(when_room(|| self.carry_row(key, &origins, now))?);
        }
        for (stored, entry) in found.entries {
            took(when_room(|| self.carry_entry(&stored, &entry, now))?);
        }
        for (tag, stored) in found.tags {
            took(when_room(|| self.carry_erasure(&stored, &tag, now))?);
        }
        Ok(())
    }

    fn carry_row(&self, key: Key, origins: &[Origin], now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
        let at = seconds(now);
        self.with_page(key.callee, |page| {
            let mut row = page.get(key);
            row.tidy(at, self.since(at));
            let binding: Vec<Origin> = origins
                .iter()
                .filter(|origin| binds(&row, key, origin))
                .cloned()
                .collect();
            if binding.is_empty() {
                return Ok(None);
            }
            if page.deferred > 0 {
                // What is decided in memory only must not get into the journal by this way: it comes by its own.
                return Err(StoreError::Overloaded);
            }
            let mut bytes = Vec::new();
            row.write(&mut bytes);
            let draft = Draft {
                kind: Kind::Carried,
                at: now,
                siren: key.siren.0,
                body: body::carried_row(key.callee, &bytes, &binding),
            };
            let pending = self.append(Class::Binding, vec![draft])?;
            page.sequence = pending.first;
            Ok(Some(pending.first))
        })
    }

    fn carry_entry(&self, stored: &Stored, entry: &Entry, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = standing.as_it_stands(entry) else {
            return Ok(None);
        };
        let (kind, siren, body) = body::entry(&entry, None);
        let now_so = Stored {
            kind,
            body: Some(body),
            ..stored.clone()
        };
        let draft = Draft {
            kind: Kind::Carried,
            at: now,
            siren,
            body: body::carried_record(&now_so),
        };
        let pending = self.append(Class::Binding, vec![draft])?;
        standing.sequence = pending.first;
        Ok(Some(pending.first))
    }

    fn carry_erasure(&self, stored: &Stored, tag: &Tag, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
        let mut erased = self.erased.write().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = erased.kept.get(tag).filter(|kept| !kept.is_empty()) else {
            return Ok(None);
        };
        let now_so = Stored {
            kind: Kind::Forgotten,
            body: Some(body::erasure(tag, kept)),
            ..stored.clone()
        };
        let draft = Draft {
            kind: Kind::Carried,
            at: now,
            siren: 0,
            body: body::carried_record(&now_so),
        };
        let pending = self.append(Class::Binding, vec![draft])?;
        erased.sequence = pending.first;
        Ok(Some(pending.first))
    }
}

/// Have so many days gone by since a segment's last record?
fn past(at: DateTime<Utc>, days: u32, now: DateTime<Utc>) -> bool {
    at.checked_add_days(Days::new(days.into())).is_some_and(|end| end < now)
}

fn when_room(mut append: impl FnMut() -> Result<Option<u64>, StoreError>) -> Result<Option<u64>, String> {
    let until = Instant::now() + ROOM_WITHIN;
    loop {
        match append() {
            Ok(sequence) => return Ok(sequence),
            Err(StoreError::Overloaded) if Instant::now() < until => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl Found {
    fn take(&mut self, stored: Stored, since: u32) {
        let Ok(record) = body::read(&stored) else {
            return;
        };
        self.records += 1;
        let proof = |stored: &Stored| Origin {
            sequence: stored.sequence,
            kind: stored.kind,
            at: stored.at,
            body: stored.body.clone(),
        };
        let bare = |stored: &Stored| Origin {
            body: None,
            ..proof(stored)
        };
        match record {
            Record::Reservation { key, .. } | Record::Recovered { key, .. } if seconds(stored.at) >= since => {
                self.rows.entry(key).or_default().push(bare(&stored));
            }
            Record::Entry { entry, .. } => match key_of_entry(&entry) {
                Some(key) => match entry {
                    Entry::Refusal { .. } | Entry::Consent { .. } | Entry::Contract { .. } => {
                        self.rows.entry(key).or_default().push(proof(&stored));
                    }
                    Entry::Attempt { at, .. } if seconds(at) >= since => {
                        self.rows.entry(key).or_default().push(proof(&stored));
                    }
                    // It is in the row of the consent, whose own record brings it along.
                    _ => {}
                },
                None => self.entries.push((stored, entry)),
            },
            Record::Erasure { tag, .. } => drop(self.tags.insert(tag, stored)),
            Record::Carried(Carried::Row { key, origins, .. }) => self.rows.entry(key).or_default().extend(origins),
            Record::Carried(Carried::Record(origin)) => match body::read(&origin) {
                Ok(Record::Entry { entry, .. }) => self.entries.push((origin, entry)),
                Ok(Record::Erasure { tag, .. }) => drop(self.tags.insert(tag, origin)),
                _ => {}
            },
            // Settlements are in the row of their reservation.
            _ => {}
        }
    }
}

/// Is what this record said still part of the row?
fn binds(row: &Row, key: Key, origin: &Origin) -> bool {
    let stored = Stored {
        sequence: origin.sequence,
        kind: origin.kind,
        at: origin.at,
        siren: key.siren.0,
        body: origin.body.clone(),
    };
    if matches!(origin.kind, Kind::Reservation | Kind::Recovered) {
        let at = seconds(origin.at);
        return row.marks.iter().any(|mark| mark.id == origin.sequence) || row.plain.contains(&at);
    }
    let Ok(Record::Entry { entry, .. }) = body::read(&stored) else {
        return false;
    };
    match entry {
        Entry::Refusal { at, .. } => row.refusals.contains(&at.timestamp_micros()),
        Entry::Consent { consent, .. } => row.consents.iter().any(|known| {
            known.scope == consent.scope
                && known.given_at.timestamp_micros() == consent.given_at.timestamp_micros()
                && known.slot == consent.slot
        }),
        Entry::Contract { contract, .. } => row.contracts.iter().any(|known| known.reference == contract.reference),
        Entry::Attempt {
            at, outcome, source, ..
        } => row.imported.contains(&Imported {
            at: seconds(at),
            outcome,
            source: source_hash(&source),
        }),
        _ => false,
    }
}
