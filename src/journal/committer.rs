//! The one thread that writes: takes a batch from the queue, frames and chains it, writes, syncs, acknowledges; rotates segments and
//! signs checkpoints. After its first error it acknowledges nothing more and ends.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::{self, Interval, Signatory};
use super::frame::{self, Place};
use super::hash::{Hash, Id, SALT};
use super::queue::{Forming, Queue, Work};
use super::segment::{HEADER, Header, Segment};
use super::storage::{Medium, Storage};
use super::{AppendError, Options};
use crate::failpoint;

/// A checkpoint is signed after this many records,
pub(super) const CHECKPOINT_RECORDS: u64 = 4096;
/// or this long after the first record that none covers.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(300);
/// Salts taken from the system at a time.
const SALTS: usize = 256;
/// A batch buffer larger than this is given back after use.
const KEPT_BUFFER: usize = 8 << 20;

/// Random salts from the operating system, many at a time: a system call for each record would cost more than its hash.
pub(super) struct Salts {
    bytes: Box<[u8; SALTS * SALT]>,
    used: usize,
}

impl Salts {
    pub(super) fn new() -> Self {
        Self {
            bytes: Box::new([0; SALTS * SALT]),
            used: SALTS,
        }
    }

    fn take(&mut self) -> Result<[u8; SALT], getrandom::Error> {
        if self.used == SALTS {
            getrandom::fill(&mut *self.bytes)?;
            self.used = 0;
        }
        let start = self.used * SALT;
        self.used += 1;
        let mut salt = [0; SALT];
        salt.copy_from_slice(&self.bytes[start..start + SALT]);
        // A salt lives in its record only, so that erasing it there erases it.
        self.bytes[start..start + SALT].fill(0);
        Ok(salt)
    }
}

/// Where the journal stands when the committer takes over.
pub(super) struct Standing {
    pub id: Id,
    pub segment: Segment,
    pub file: Box<dyn Medium>,
    /// Bytes in the segment.
    pub size: u64,
    /// Sequence of the last record; everything up to it is synced.
    pub last: u64,
    pub chain: Hash,
    pub interval: Interval,
    pub signatory: Signatory,
}

/// See the file's head.
pub(super) struct Committer {
    queue: Arc<Queue>,
    storage: Box<dyn Storage>,
    folder: PathBuf,
    options: Options,
    standing: Standing,
    /// Opened when the first checkpoint of the segment is signed.
    checkpoints: Option<Box<dyn Medium>>,
    salts: Salts,
    /// Sequence up to which everything is synced.
    synced: u64,
    /// When the first record was written that is not synced yet.
    unsynced_since: Option<Instant>,
    /// When the first record was written that no checkpoint covers.
    unsigned_since: Option<Instant>,
    buffer: Vec<u8>,
}

/// Refuses whatever waits if the thread ends in any other way than by closing.
struct Refuse<'a>(&'a Queue);

impl Drop for Refuse<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(None, &AppendError::Write("the committer stopped".into()));
        }
    }
}

impl Committer {
    pub(super) fn new(
        queue: Arc<Queue>,
        storage: Box<dyn Storage>,
        folder: PathBuf,
        options: Options,
        standing: Standing,
    ) -> Self {
        let unsigned_since = (standing.interval.records() > 0).then(Instant::now);
        Self {
            queue,
            storage,
            folder,
            options,
            synced: standing.last,
            standing,
            checkpoints: None,
            salts: Salts::new(),
            unsynced_since: None,
            unsigned_since,
            buffer: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        let queue = self.queue.clone();
        let _refuse = Refuse(&queue);
        loop {
            let (batch, done) = match queue.next(self.due(), self.options.collect) {
                Work::Batch(batch) => match self.commit(&batch) {
                    Ok(()) => (None, self.after_batch()),
                    Err(error) => (Some(batch), Err(error)),
                },
                Work::Due => (None, self.when_due()),
                Work::Sign(signing) => {
                    let done = self.sync().and_then(|()| self.checkpoint());
                    if done.is_ok() {
                        signing.done();
                    }
                    (None, done)
                }
                Work::Close => {
                    let done = self.sync().and_then(|()| self.checkpoint());
                    if done.is_ok() {
                        return;
                    }
                    (None, done)
                }
            };
            if let Err(error) = done {
                tracing::error!(journal = %self.folder.display(), %error, "the journal could not be written; nothing more is acknowledged");
                queue.fail(batch, &AppendError::Write(error.to_string()));
                return;
            }
        }
    }

    /// The next moment at which something is to be done though nothing arrives.
    fn due(&self) -> Option<Instant> {
        let sync = self.unsynced_since.map(|since| since + self.options.sync_every);
        let sign = self.unsigned_since.map(|since| since + CHECKPOINT_WITHIN);
        [sync, sign].into_iter().flatten().min()
    }

    /// Writes a batch and acknowledges it.
    fn commit(&mut self, batch: &Forming) -> io::Result<()> {
        let begun = Instant::now();
        let mut failed = None;
        let place = Place {
            id: &self.standing.id,
            first: batch.first,
            synced: self.synced,
            previous: &self.standing.chain,
        };
        let salts = &mut self.salts;
        let link = frame::encode(&mut self.buffer, place, batch.drafts.iter(), || {
            salts.take().unwrap_or_else(|error| {
                failed = Some(error);
                [0; SALT]
            })
        });
        if let Some(error) = failed {
            return Err(io::Error::other(error.to_string()));
        }
        failpoint::reach("journal.before-write");
        self.standing.file.append(&self.buffer)?;
        failpoint::reach("journal.after-write");
        self.standing.size += self.buffer.len() as u64;
        self.standing.chain = link;
        self.standing.last = batch.last();
        let at = batch.drafts.last().map_or(0, |draft| draft.at.timestamp_micros());
        self.standing.interval.add(batch.last(), at, link);
        self.unsynced_since.get_or_insert(begun);
        self.unsigned_since.get_or_insert(begun);
        self.queue.written(batch.last());
        if self.options.strict {
            self.sync()?;
        }
        failpoint::reach("journal.before-acknowledge");
        self.queue.acknowledge(batch);
        if let Some(metrics) = &self.options.metrics {
            metrics.ledger_commit_seconds.observe(begun.elapsed().as_secs_f64());
            metrics
                .journal_lag_records
                .set(i64::try_from(self.queue.lag()).unwrap_or(i64::MAX));
        }
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// What can wait until the batch is acknowledged.
    fn after_batch(&mut self) -> io::Result<()> {
        if self.standing.size >= self.options.segment_bytes {
            self.rotate()?;
        } else if self.standing.interval.records() >= CHECKPOINT_RECORDS {
            self.sync()?;
            self.checkpoint()?;
        }
        self.when_due()
    }

    fn when_due(&mut self) -> io::Result<()> {
        if self
            .unsynced_since
            .is_some_and(|since| since.elapsed() >= self.options.sync_every)
        {
            self.sync()?;
        }
        if self
            .unsigned_since
            .is_some_and(|since| since.elapsed() >= CHECKPOINT_WITHIN)
        {
            self.sync()?;
            self.checkpoint()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_since.is_some() {
            self.standing.file.sync()?;
            self.unsynced_since = None;
            self.synced = self.standing.last;
        }
        Ok(())
    }

    /// Signs the head of the chain; everything up to it is synced.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.unsigned_since = None;
        if self.standing.interval.records() == 0 {
            return Ok(());
        }
        let signed = self.standing.signatory.sign(self.standing.id, &self.standing.interval);
        let line = checkpoint::line(&signed)?;
        let file = if let Some(file) = &mut self.checkpoints {
            file
        } else {
            let file = self.storage.open(&checkpoint::path_beside(&self.standing.segment))?;
            self.storage.sync_folder(&self.folder)?;
            self.checkpoints.insert(file)
        };
        file.append(&line)?;
        file.sync()?;
        self.standing.interval = Interval::new(self.standing.last + 1, self.standing.chain);
        Ok(())
    }

    /// Closes the segment, its last batch under a checkpoint, and starts the next.
    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        self.checkpoint()?;
        failpoint::reach("rotate.signed");
        let segment = Segment::new(&self.folder, self.standing.last + 1);
        let header = Header {
            id: self.standing.id,
            first: segment.first,
            previous: self.standing.chain,
        };
        self.standing.file = create(self.storage.as_ref(), &segment, &header)?;
        failpoint::reach("rotate.created");
        self.standing.segment = segment;
        self.standing.size = HEADER as u64;
        self.checkpoints = None;
        Ok(())
    }
}

/// Creates a segment: its header and its name are synced before any batch is written to it.
pub(super) fn create(storage: &dyn Storage, segment: &Segment, header: &Header) -> io::Result<Box<dyn Medium>> {
    let mut file = storage.create(&segment.path)?;
    failpoint::reach("rotate.creating");
    file.append(&header.encode())?;
    file.sync()?;
    if let Some(folder) = segment.path.parent() {
        storage.sync_folder(folder)?;
    }
    Ok(file)
}
