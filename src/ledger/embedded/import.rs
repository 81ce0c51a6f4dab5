//! Recording entries, all or none: a few in one journal batch, very many as an import in chunks that holds only with its last record.
//!
//! A large import never stops calls: its entries are staged beside the rows page by page, invisible; the last chunk is appended under
//! [`Core::commit`], and from then on whoever opens a page folds what is staged there in first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::super::body;
use super::super::record::{Entry, Recorded};
use super::super::{Answer, Key, StoreError};
use super::page::{PAGES, Page, key_of_entry};
use super::row::Row;
use super::standing::StandingState;
use super::{Core, later, wait_here};
use crate::failpoint;
use crate::journal::{Class, Draft};

/// Up to so many entries are one journal batch under the locks of their pages; more are an import.
const ONE_BATCH: usize = 512;
/// Entries of an import in one journal batch.
const CHUNK: usize = 2048;
/// How long an import waits for room in the journal's queue before it gives up.
const ROOM_WITHIN: Duration = Duration::from_secs(60);

/// Not committed yet.
const PENDING: u64 = 0;
/// Given up; nothing of it holds.
const ABORTED: u64 = u64::MAX;

/// A large import, shared by the pages that it touches.
pub(super) struct Import {
    pub entries: Vec<Entry>,
    /// Sequence of its last record, or one of the states above.
    committed: AtomicU64,
}

/// What an import brings to one page: places in its entries.
pub(super) struct Staged {
    pub import: Arc<Import>,
    pub places: Vec<u32>,
}

impl Core {
    /// Folds a committed import into the page. The caller holds [`Core::commit`] for reading.
    pub fn fold(&self, page: &mut Page) {
        let Some(staged) = &page.staged else { return };
        let sequence = match staged.import.committed.load(Ordering::Acquire) {
            PENDING => return,
            ABORTED => {
                page.staged = None;
                return;
            }
            sequence => sequence,
        };
        let Some(staged) = page.staged.take() else { return };
        for (key, entry) in staged.entries() {
            let mut row = page.get(key);
            if row.apply(entry) {
                self.pages.count(page.put(key, &row));
            }
        }
        page.sequence = page.sequence.max(sequence);
        page.dirty = true;
    }

    pub fn record(self: &Arc<Self>, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
        if let Err(error) = self.ready() {
            return Answer::Ready(Err(error));
        }
        if entries.len() <= ONE_BATCH {
            return self.record_batch(&entries);
        }
        let core = self.clone();
        later("clapet-import", move || core.import(entries))
    }

    fn record_batch(&self, entries: &[Entry]) -> Answer<Result<Recorded, StoreError>> {
        let mut indexes: Vec<usize> = entries
            .iter()
            .filter_map(key_of_entry)
            .map(|key| self.pages.index(key.callee))
            .collect();
        indexes.sort_unstable();
        indexes.dedup();
        // In the order of the pages, so that two batches never wait for each other.
        let mut pages: HashMap<usize, _> = indexes.iter().map(|index| (*index, self.pages.lock(*index))).collect();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let _commit = self.commit.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows: HashMap<Key, Row> = HashMap::new();
        for page in pages.values_mut() {
            self.fold(page);
        }
        let mut stood: Option<StandingState> = None;
        let at = (self.options.clock)();
        let mut drafts = Vec::new();
        for entry in entries {
            let changes = match key_of_entry(entry) {
                Some(key) => {
                    let index = self.pages.index(key.callee);
                    rows.entry(key).or_insert_with(|| pages[&index].get(key)).apply(entry)
                }
                None => stood.get_or_insert_with(|| standing.clone()).apply(entry),
            };
            if changes {
                let (kind, siren, body) = body::entry(entry, None);
                drafts.push(Draft { kind, at, siren, body });
            }
        }
        let recorded = Recorded {
            new: drafts.len() as u64,
            known: (entries.len() - drafts.len()) as u64,
        };
        if drafts.is_empty() {
            // What is known may still be on its way to the disk.
            return self.once_durable(self.taken(), recorded);
        }
        let pending = match self.append(Class::Binding, drafts) {
            Ok(pending) => pending,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let last = pending.first + recorded.new - 1;
        for (key, row) in rows {
            if let Some(page) = pages.get_mut(&self.pages.index(key.callee)) {
                self.pages.count(page.put(key, &row));
                page.sequence = last;
            }
        }
        if let Some(mut stood) = stood {
            stood.sequence = last;
            *standing = stood;
        }
        Answer::Later(Box::pin(async move {
            pending.await.map_err(StoreError::from)?;
            Ok(recorded)
        }))
    }

    fn import(&self, entries: Vec<Entry>) -> Result<Recorded, StoreError> {
        // One at a time: a page has room for one import's entries.
        let _one = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        // Checkpoints made meanwhile must leave the chunks to a replay.
        self.import_first.store(self.taken() + 1, Ordering::SeqCst);
        let import = Arc::new(Import {
            entries,
            committed: AtomicU64::new(PENDING),
        });
        let result = self.import_chunks(&import);
        if result.is_err() {
            import.committed.store(ABORTED, Ordering::Release);
        }
        for index in 0..PAGES {
            self.with_page_at(index, |_| ());
        }
        self.import_first.store(u64::MAX, Ordering::SeqCst);
        result
    }

    fn import_chunks(&self, import: &Arc<Import>) -> Result<Recorded, StoreError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| StoreError::Write(error.to_string()))?;
        let id = u64::from_le_bytes(id);
        let at = (self.options.clock)();
        let mut recorded = Recorded::default();
        let mut stood = self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut others = Vec::new();
        let mut chunk: Vec<&Entry> = Vec::with_capacity(CHUNK);
        let draft = |entry: &Entry, last: bool| {
            let (kind, siren, body) = body::entry(entry, Some(body::Import { id, last }));
            Draft { kind, at, siren, body }
        };
        for (place, entry) in import.entries.iter().enumerate() {
            let changes = if let Some(key) = key_of_entry(entry) {
                self.stage(import, place, key, entry)?
            } else {
                let changes = stood.apply(entry);
                others.extend(changes.then_some(entry));
                changes
            };
            if !changes {
                recorded.known += 1;
                continue;
            }
            if chunk.len() == CHUNK {
                let drafts: Vec<Draft> = chunk.drain(..).map(|entry| draft(entry, false)).collect();
                self.append_when_room(&drafts)?;
                failpoint::reach("import.chunk");
            }
            chunk.push(entry);
            recorded.new += 1;
        }
        if chunk.is_empty() {
            wait_here(self.once_durable(self.taken(), ()))?;
            return Ok(recorded);
        }
        let count = chunk.len();
        let drafts: Vec<Draft> = chunk
            .iter()
            .enumerate()
            .map(|(place, entry)| draft(entry, place + 1 == count))
            .collect();
        let until = Instant::now() + ROOM_WITHIN;
        let pending = loop {
            let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            let commit = self.commit.write().unwrap_or_else(PoisonError::into_inner);
            match self.append(Class::Binding, drafts.clone()) {
                Ok(pending) => {
                    let last = pending.first + count as u64 - 1;
                    for entry in &others {
                        standing.apply(entry);
                    }
                    standing.sequence = last;
                    import.committed.store(last, Ordering::Release);
                    break pending;
                }
                Err(StoreError::Overloaded) if Instant::now() < until => {}
                Err(error) => return Err(error),
            }
            drop((commit, standing));
            std::thread::sleep(Duration::from_millis(2));
        };
        failpoint::reach("import.last");
        wait_here(Answer::Later(Box::pin(pending)))?;
        Ok(recorded)
    }

    /// Stages one entry beside its row; false where it would change nothing.
    fn stage(&self, import: &Arc<Import>, place: usize, key: Key, entry: &Entry) -> Result<bool, StoreError> {
        let place = u32::try_from(place).map_err(|_| StoreError::Overloaded)?;
        Ok(self.with_page_at(self.pages.index(key.callee), |page| {
            let mut row = page.get(key);
            if let Some(staged) = &page.staged {
                for (_, before) in staged.entries().filter(|(other, _)| *other == key) {
                    row.apply(before);
                }
            }
            if !row.apply(entry) {
                return false;
            }
            let staged = page.staged.get_or_insert_with(|| {
                Box::new(Staged {
                    import: import.clone(),
                    places: Vec::new(),
                })
            });
            staged.places.push(place);
            true
        }))
    }

    fn append_when_room(&self, drafts: &[Draft]) -> Result<(), StoreError> {
        let until = Instant::now() + ROOM_WITHIN;
        loop {
            match self.append(Class::Binding, drafts.to_vec()) {
                // Only the last chunk is waited for: the order of the chain makes the earlier ones durable before it.
                Ok(pending) => {
                    drop(pending);
                    return Ok(());
                }
                Err(StoreError::Overloaded) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => return Err(error),
            }
        }
    }
}
