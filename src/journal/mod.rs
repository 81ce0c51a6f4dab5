//! The truth: an append-only, hash-chained, group-committed record of every reservation, settlement, decision, refusal, consent
//! and import; read back to rebuild the ledger. It decides nothing, and a record's body is opaque to it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::telemetry::Metrics;

/// What a record is about; the numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Kind {
    Reservation = 1,
    Settlement = 2,
    Decision = 3,
    Refusal = 4,
    Consent = 5,
    ConsentUsed = 6,
    Contract = 7,
    /// A call made elsewhere.
    Attempt = 8,
    Range = 9,
    Screening = 10,
    Suspension = 11,
    Configuration = 12,
    Forgotten = 13,
    /// A call forwarded while the store could not answer.
    Recovered = 14,
    /// What still binds of a segment about to go cold, citing its original sequence number.
    Carried = 15,
    /// A signed head of the chain.
    Checkpoint = 16,
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Draft {
    pub kind: Kind,
    pub at: DateTime<Utc>,
    /// SIREN of the professional it concerns, if one: a bundle is exported by it. Zero: nobody's.
    pub siren: u32,
    /// Everything else, personal data included, in the ledger's encoding. The chain holds only a salted commitment to it, so that it
    /// can be erased later.
    pub body: Vec<u8>,
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stored {
    /// From one, without gaps.
    pub sequence: u64,
    pub kind: Kind,
    pub at: DateTime<Utc>,
    pub siren: u32,
    /// `None` once erased.
    pub body: Option<Vec<u8>>,
}

/// How urgent an append is when the queue is filling up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reservations, settlements, refusals, consents: refused only when the whole queue is full.
    Binding,
    /// Decision notes: refused once a quarter of the queue is taken, so that a flood never takes the disk from reservations.
    Note,
}

/// How to open a journal.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Options {
    /// Sync before acknowledging; otherwise acknowledge after the write and sync every `sync_every`.
    pub strict: bool,
    pub sync_every: Duration,
    /// Longest time under load that a batch is collected before it is synced.
    pub collect: Duration,
    /// Largest size of a segment in bytes before rotation.
    pub segment_bytes: u64,
    /// Records that may wait for the committer.
    pub queue: usize,
    pub metrics: Option<Arc<Metrics>>,
}

/// Why an append was not taken or not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AppendError {
    #[error("the journal could not be written: {0}")]
    Write(String),
    #[error("the journal's queue is full")]
    Full,
    #[error("the journal is closed")]
    Closed,
}

/// Why a journal could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum JournalError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Damage in the middle: an alarm, never a silent cut.
    #[error("{segment} is damaged at record {sequence}: {why}")]
    Damaged {
        segment: String,
        sequence: u64,
        why: String,
    },
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Opened {
    /// Sequence of the last good record; zero: empty.
    pub last: u64,
    /// Bytes of a torn last batch that were cut.
    pub torn: u64,
}

/// An append under way: resolves when durable as configured. Dropping it does not take the append back.
#[must_use = "an append is durable only once this resolves"]
pub struct Pending {
    /// Sequence of the append's first record.
    pub first: u64,
}

impl Future for Pending {
    type Output = Result<(), AppendError>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// The journal, open for appending. Cheap to clone; one committer thread behind it.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Opens or creates the journal in a folder, cuts a torn last batch, checks the chain of the last segment, starts the committer.
    /// The caller holds the store's lock.
    pub fn open(_folder: &Path, _options: Options) -> Result<(Self, Opened), JournalError> {
        todo!()
    }

    /// Appends records as one batch: all are durable or none. The sequence numbers are given at once, in the order of the chain.
    pub fn append(&self, _class: Class, _drafts: Vec<Draft>) -> Result<Pending, AppendError> {
        todo!()
    }

    /// Erases the personal part (salt and body) of records, in place where the segment allows; the chain stays valid.
    pub fn erase(&self, _sequences: &[u64]) -> Result<u64, JournalError> {
        todo!()
    }

    /// Records taken but not yet durable as configured.
    pub fn lag(&self) -> u64 {
        todo!()
    }

    /// The error that stopped acknowledgements, if one did.
    pub fn failure(&self) -> Option<AppendError> {
        todo!()
    }

    /// Syncs what is queued and stops the committer; later appends get [`AppendError::Closed`]. Blocks.
    pub fn close(&self) -> Result<(), AppendError> {
        todo!()
    }
}

/// Reads the records after a sequence number, oldest first, checking frames and chain on the way. Needs no lock: a torn tail ends it.
pub fn read(_folder: &Path, _after: u64) -> Result<impl Iterator<Item = Result<Stored, JournalError>>, JournalError> {
    Ok(std::iter::empty())
}
