//! What was decided in memory while the journal took no appends: settlements, and calls forwarded without an answer of the store.
//!
//! A bounded queue in order; the keeper hands it over when there is room. What a failed journal never takes is left in a spool file and
//! absorbed at the next start, as `Recovered` records or settlements of their own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use chrono::DateTime;

use super::super::Key;
use super::super::cbor::{CborError, Decoder, Encoder};
use super::Core;
use super::page::Page;
use super::row::Mark;
use super::secret::sync_folder;
use crate::journal::{Class, Draft, Kind};

/// Records that may wait. What comes beyond stays decided in memory only, and is counted in the log.
const WAITING: usize = 1 << 16;
/// A spool file beyond this size is not read at once.
const SPOOL_BYTES: u64 = 64 << 20;

/// One record that waits for the journal.
pub(super) struct Deferred {
    pub key: Key,
    pub what: What,
    pub draft: Draft,
}

pub(super) enum What {
    Settlement,
    /// The mark that gets its number once it has one.
    Recovered(Mark),
}

impl Core {
    /// Appends a record about a page's row, or keeps it for later, in order. The caller holds the page.
    pub fn append_or_defer(&self, page: &mut Page, deferred: Deferred) {
        let mut queue = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_empty() && self.append_deferred(page, &deferred) {
            return;
        }
        if queue.len() < WAITING {
            page.deferred += 1;
            queue.push_back(deferred);
        } else {
            tracing::error!("a settlement or recovered call is in memory only: too many wait for the journal");
            number_mark(self, page, &deferred, u64::MAX);
        }
    }

    fn append_deferred(&self, page: &mut Page, deferred: &Deferred) -> bool {
        match self.append(Class::Outcome, vec![deferred.draft.clone()]) {
            Ok(pending) => {
                page.sequence = pending.first;
                number_mark(self, page, deferred, pending.first);
                true
            }
            Err(_) => false,
        }
    }

    /// Hands waiting records to the journal while it takes them. Only one thread at a time calls it.
    pub fn drain_deferred(&self) {
        loop {
            let next = {
                let queue = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
                queue.front().map(|deferred| deferred.key.callee)
            };
            let Some(callee) = next else { return };
            let taken = self.with_page(callee, |page| {
                let mut queue = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = queue
                    .front()
                    .is_some_and(|deferred| deferred.key.callee == callee && self.append_deferred(page, deferred));
                if taken {
                    queue.pop_front();
                    page.deferred -= 1;
                }
                taken
            });
            if !taken {
                return;
            }
        }
    }

    /// Writes what the journal will never take into the spool file.
    pub fn spool_deferred(&self) {
        let mut queue = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_empty() {
            return;
        }
        let drafts: Vec<&Draft> = queue.iter().map(|deferred| &deferred.draft).collect();
        match write_spool(&self.options.path, &drafts) {
            // They are safe now, and a page keeps its count: the view must not hold what is not in the journal yet.
            Ok(()) => queue.clear(),
            Err(error) => {
                tracing::error!(waiting = queue.len(), %error, "records could be written neither to the journal nor aside");
            }
        }
    }
}

/// Gives a recovered call's mark its number.
fn number_mark(core: &Core, page: &mut Page, deferred: &Deferred, id: u64) {
    let What::Recovered(waiting) = &deferred.what else {
        return;
    };
    let mut row = page.get(deferred.key);
    if let Some(mark) = row.marks.iter_mut().find(|mark| *mark == waiting) {
        mark.id = id;
        core.pages.count(page.put(deferred.key, &row));
    }
}

fn path_of(folder: &Path) -> PathBuf {
    folder.join("recovered")
}

fn write_spool(folder: &Path, drafts: &[&Draft]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for draft in drafts {
        let mut e = Encoder::array_of(4);
        e.uint(draft.kind as u64)
            .int(draft.at.timestamp_micros())
            .uint(draft.siren.into())
            .bytes(&draft.body);
        let record = e.finish();
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path_of(folder))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    sync_folder(folder)
}

/// Reads the spool file up to its first record that is not whole.
pub(super) fn read_spool(folder: &Path) -> io::Result<Vec<Draft>> {
    let path = path_of(folder);
    let bytes = match fs::metadata(&path) {
        Ok(found) if found.len() > SPOOL_BYTES => {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "spool file"));
        }
        Ok(_) => fs::read(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut rest = bytes.as_slice();
    let mut drafts = Vec::new();
    while let Some((record, after)) = split_frame(rest) {
        let Ok(draft) = read_draft(record) else { break };
        drafts.push(draft);
        rest = after;
    }
    Ok(drafts)
}

/// Removes the spool file once what it held is durable.
pub(super) fn remove_spool(folder: &Path) -> io::Result<()> {
    match fs::remove_file(path_of(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(folder),
    }
}

fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (record, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (crc32fast::hash(record) == u32::from_le_bytes(*crc)).then_some((record, rest))
}

fn read_draft(record: &[u8]) -> Result<Draft, CborError> {
    let mut d = Decoder::new(record);
    d.array()?;
    let kind = match d.uint()? {
        kind if kind == Kind::Settlement as u64 => Kind::Settlement,
        kind if kind == Kind::Recovered as u64 => Kind::Recovered,
        _ => return Err(CborError::Range),
    };
    Ok(Draft {
        kind,
        at: DateTime::from_timestamp_micros(d.int()?).ok_or(CborError::Range)?,
        siren: u32::try_from(d.uint()?).map_err(|_| CborError::Range)?,
        body: d.bytes()?.to_vec(),
    })
}
