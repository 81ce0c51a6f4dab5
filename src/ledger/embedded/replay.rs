//! Replaying the journal into the hot state: what a page reflects already is skipped, everything else happens again in order.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::super::Key;
use super::super::body::{self, Carried, Kept, Record};
use super::super::record::Entry;
use super::Core;
use super::page::key_of_entry;
use super::row::{Mark, Row, seconds};
use crate::journal::Stored;

/// Imports whose last record was not found; more than this many were never committed and are dropped.
const OPEN_IMPORTS: usize = 8;

/// A replay under way.
pub(super) struct Replay<'a> {
    core: &'a Core,
    /// Entries of imports that hold only with their last record, by the import's id.
    imports: HashMap<u64, (u64, Vec<Entry>)>,
    replayed: u64,
    unread: u64,
}

impl<'a> Replay<'a> {
    pub fn new(core: &'a Core) -> Self {
        Self {
            core,
            imports: HashMap::new(),
            replayed: 0,
            unread: 0,
        }
    }

    /// How many records were replayed, and how many of them could not be read.
    pub fn finish(self) -> (u64, u64) {
        (self.replayed, self.unread)
    }

    pub fn take(&mut self, stored: &Stored) {
        self.replayed += 1;
        let sequence = stored.sequence;
        let record = match body::read(stored) {
            Ok(record) => record,
            Err(error) => {
                self.unread += 1;
                tracing::warn!(sequence, kind = ?stored.kind, %error, "a journal record cannot be read by this version");
                return;
            }
        };
        let at = seconds(stored.at);
        match record {
            Record::Reservation { key, meta } | Record::Recovered { key, meta } => {
                self.core.latest.fetch_max(at, Ordering::Relaxed);
                self.change(key, sequence, |row| {
                    row.marks.push(Mark {
                        id: sequence,
                        call: meta.call,
                        at,
                        settled: None,
                    });
                });
            }
            Record::Settlement { key, id, outcome, .. } => self.change(key, sequence, |row| {
                row.settle(id.0, outcome, at);
            }),
            Record::Entry { entry, import: None } => self.entries(sequence, &[entry]),
            Record::Entry {
                entry,
                import: Some(import),
            } => self.import(sequence, import, entry),
            Record::Erasure { tag, kept } => self.erasure(sequence, tag, kept),
            Record::Carried(carried) => self.carried(sequence, carried),
            Record::Decision { .. } | Record::Other => {}
        }
    }

    /// A snapshot takes the place of what is known: everything before it is in it.
    fn carried(&mut self, sequence: u64, carried: Carried) {
        match carried {
            Carried::Row { key, row, .. } => {
                let Some(row) = Row::read(&row) else {
                    self.unread += 1;
                    tracing::warn!(sequence, "a carried record cannot be read by this version");
                    return;
                };
                if let Some(at) = row.counted().max() {
                    self.core.latest.fetch_max(at, Ordering::Relaxed);
                }
                self.change(key, sequence, |known| *known = row);
            }
            Carried::Record(origin) => match body::read(&origin) {
                Ok(Record::Entry { entry, .. }) => self.entries(sequence, &[entry]),
                Ok(Record::Erasure { tag, kept }) => self.erasure(sequence, tag, kept),
                Ok(_) => {}
                Err(error) => {
                    self.unread += 1;
                    tracing::warn!(sequence, kind = ?origin.kind, %error, "a carried record cannot be read by this version");
                }
            },
        }
    }

    fn erasure(&self, sequence: u64, tag: [u8; 32], kept: Vec<Kept>) {
        let mut erased = self.core.erased.write().unwrap_or_else(PoisonError::into_inner);
        if erased.sequence < sequence {
            if !kept.is_empty() {
                erased.kept.insert(tag, kept);
                self.core.any_erased.store(true, Ordering::Release);
            }
            erased.sequence = sequence;
        }
    }

    fn change(&self, key: Key, sequence: u64, change: impl FnOnce(&mut Row)) {
        self.core.with_page(key.callee, |page| {
            if page.sequence < sequence {
                let mut row = page.get(key);
                change(&mut row);
                self.core.pages.count(page.put(key, &row));
                page.sequence = sequence;
            }
        });
    }

    fn import(&mut self, sequence: u64, import: body::Import, entry: Entry) {
        if self.imports.len() == OPEN_IMPORTS && !self.imports.contains_key(&import.id) {
            // One import runs at a time: the one begun first was given up.
            let oldest = self
                .imports
                .iter()
                .min_by_key(|(_, (first, _))| *first)
                .map(|(id, _)| *id);
            oldest.map(|oldest| self.imports.remove(&oldest));
        }
        let (_, entries) = self.imports.entry(import.id).or_insert((sequence, Vec::new()));
        entries.push(entry);
        if import.last
            && let Some((_, entries)) = self.imports.remove(&import.id)
        {
            self.entries(sequence, &entries);
        }
    }

    /// Entries that hold as of one record: a page that reflects it has them all.
    fn entries(&self, sequence: u64, entries: &[Entry]) {
        let core = self.core;
        let mut standing = core.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = standing.sequence >= sequence;
        let mut touched = Vec::new();
        for entry in entries {
            let Some(key) = key_of_entry(entry) else {
                if !stands {
                    standing.apply(entry);
                }
                continue;
            };
            core.with_page(key.callee, |page| {
                if page.sequence >= sequence {
                    return;
                }
                let mut row = page.get(key);
                if row.apply(entry) {
                    core.pages.count(page.put(key, &row));
                }
                touched.push(core.pages.index(key.callee));
            });
        }
        for index in touched {
            core.with_page_at(index, |page| page.sequence = page.sequence.max(sequence));
        }
        standing.sequence = standing.sequence.max(sequence);
    }
}
