//! The truth: an append-only, hash-chained, group-committed record of every reservation, settlement, decision, refusal, consent
//! and import; read back to rebuild the ledger. It decides nothing, and a record's body is opaque to it.
//!
//! The format is in `docs/journal-format.md`. Appends go through `queue` to the one thread of `committer`; everything that reads
//! (`reader`, `verify`, `proof`, `open`, `erase`) walks the files of `segment`, made of the batches of `frame`.

mod checkpoint;
mod cold;
mod committer;
mod erase;
mod frame;
mod hash;
mod open;
mod proof;
mod queue;
mod reader;
mod segment;
mod storage;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use checkpoint::{Checkpoint, PublicKey};
pub use hash::{Hash, Id};
pub use proof::{Opening, Proof, ProofError, prove, prove_each};
pub use queue::Pending;
pub use verify::{Report, verify};

use crate::telemetry::Metrics;
use committer::Committer;
use queue::Queue;
use storage::{Disk, Storage};

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
    /// A head of the chain as a third party stamped it. (Our own signed heads are no records: they stand beside the segments.)
    Checkpoint = 16,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Kind::Reservation,
        Kind::Settlement,
        Kind::Decision,
        Kind::Refusal,
        Kind::Consent,
        Kind::ConsentUsed,
        Kind::Contract,
        Kind::Attempt,
        Kind::Range,
        Kind::Screening,
        Kind::Suspension,
        Kind::Configuration,
        Kind::Forgotten,
        Kind::Recovered,
        Kind::Carried,
        Kind::Checkpoint,
    ];

    /// The kind with this number in the format.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1..=16 => Some(Self::ALL[code as usize - 1]),
            _ => None,
        }
    }
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
    /// Reservations, refusals, consents: refused only when the whole queue is full, and written at once, since somebody waits for them.
    Binding,
    /// What became of a call: refused as late as they are, but nobody waits for it.
    Outcome,
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
    /// More than 256 MiB in one append.
    #[error("the append is too large")]
    TooLarge,
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

impl JournalError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
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

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Closed {
    /// Sequences of its first and last record.
    pub first: u64,
    pub last: u64,
    /// The time of its last record.
    pub at: DateTime<Utc>,
    /// Compressed, in the cold folder.
    pub cold: bool,
}

/// The closed segments of a journal, oldest first. One whose last checkpoint cannot be read is not among them.
pub fn closed(folder: &Path) -> Result<Vec<Closed>, JournalError> {
    let segments = segment::Segment::list_all(folder)?;
    let mut closed = Vec::new();
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        let signed = checkpoint::Lines::read(segment)?.last();
        let at = signed
            .filter(|signed| signed.last + 1 == next.first)
            .and_then(|signed| DateTime::from_timestamp_micros(signed.at));
        closed.extend(at.map(|at| Closed {
            first: segment.first,
            last: next.first - 1,
            at,
            cold: segment.cold,
        }));
    }
    Ok(closed)
}

/// The journal, open for appending. Cheap to clone; one committer thread behind it. Dropping the last clone closes it.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    queue: Arc<Queue>,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Held while an erasure is under way: one at a time.
    erasing: Mutex<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let mut committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(committer) = committer.take() {
            // A panic over there has been turned into a failure of the queue.
            let _ = committer.join();
        }
    }
}

impl Journal {
    /// Opens or creates the journal in a folder, cuts a torn last batch, checks the chain of the last segment, starts the committer.
    /// The caller holds the store's lock. The key that signs checkpoints is `signing.key` in the folder above, made where absent.
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Opened), JournalError> {
        Self::open_on(folder, options, Box::new(Disk))
    }

    fn open_on(folder: &Path, options: Options, storage: Box<dyn Storage>) -> Result<(Self, Opened), JournalError> {
        let (standing, opened) = open::open(folder, storage.as_ref())?;
        let queue = Arc::new(Queue::new(options.queue, opened.last));
        let committer = Committer::new(queue.clone(), storage, folder.to_path_buf(), options, standing);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || committer.run())
            .map_err(|source| JournalError::io(folder, source))?;
        let shared = Shared {
            folder: folder.to_path_buf(),
            queue,
            committer: Mutex::new(Some(thread)),
            erasing: Mutex::new(()),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            opened,
        ))
    }

    /// Appends records as one batch: all are durable or none. The sequence numbers are given at once, in the order of the chain.
    /// An append larger than the whole queue is taken only while nothing waits.
    pub fn append(&self, class: Class, drafts: Vec<Draft>) -> Result<Pending, AppendError> {
        self.shared.queue.push(class, drafts)
    }

    /// Signs the head of the chain over everything taken so far, so that all of it can be proved. Resolves once that is on the disk.
    pub fn checkpoint(&self) -> Result<Pending, AppendError> {
        self.shared.queue.sign()
    }

    /// Erases the personal part (salt and body) of records, in place where the segment allows; the chain stays valid. Says how many
    /// were newly erased: numbers that no segment here holds, and records erased before, are not among them. Blocks.
    pub fn erase(&self, sequences: &[u64]) -> Result<u64, JournalError> {
        let _alone = self.shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self
            .shared
            .queue
            .wait_written(sequences.iter().copied().max().unwrap_or(0));
        erase::erase(&self.shared.folder, sequences, written)
    }

    /// Compresses a closed segment into the cold folder. The caller has made sure that what still binds of it stands in newer records.
    /// Blocks; no erasure runs meanwhile.
    pub fn archive(&self, closed: &Closed) -> Result<(), JournalError> {
        let _alone = self.shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        cold::archive(
            &self.shared.folder,
            &segment::Segment::new(&self.shared.folder, closed.first),
        )
    }

    /// Deletes a cold segment, which must be the oldest of all: the chain then begins with the next.
    pub fn delete(&self, closed: &Closed) -> Result<(), JournalError> {
        let _alone = self.shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = segment::Segment::list_all(&self.shared.folder)?.into_iter().next();
        match oldest.filter(|oldest| oldest.cold && oldest.first == closed.first) {
            Some(oldest) => cold::remove(&oldest),
            None => Ok(()),
        }
    }

    /// Records taken but not yet durable as configured.
    pub fn lag(&self) -> u64 {
        self.shared.queue.lag()
    }

    /// The error that stopped acknowledgements, if one did.
    pub fn failure(&self) -> Option<AppendError> {
        self.shared.queue.failure()
    }

    /// Syncs what is queued, signs the head of the chain and stops the committer; later appends get [`AppendError::Closed`]. Blocks.
    pub fn close(&self) -> Result<(), AppendError> {
        self.shared.close();
        self.failure().map_or(Ok(()), Err)
    }
}

/// Reads the records after a sequence number, oldest first, checking frames and chain on the way. Needs no lock: a torn tail ends it.
/// Starts at the oldest segment where the ones before have been moved away; a folder that is not there holds no records.
pub fn read(
    folder: &Path,
    after: u64,
) -> Result<impl Iterator<Item = Result<Stored, JournalError>> + use<>, JournalError> {
    records(reader::Chain::new(folder, after), after)
}

/// The same from the hot segments alone, which is all that rebuilding the ledger takes.
pub fn read_hot(
    folder: &Path,
    after: u64,
) -> Result<impl Iterator<Item = Result<Stored, JournalError>> + use<>, JournalError> {
    records(reader::Chain::hot(folder, after), after)
}

fn records(
    chain: Result<reader::Chain, JournalError>,
    after: u64,
) -> Result<impl Iterator<Item = Result<Stored, JournalError>> + use<>, JournalError> {
    let records = match chain {
        Ok(chain) => Some(reader::Records::new(chain, after)),
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(records.into_iter().flatten())
}
