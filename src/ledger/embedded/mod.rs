//! The embedded ledger: hot state in memory decides, the journal makes durable, sled is the checkpointed view.
//!
//! Whoever changes a page of the hot state appends the record to the journal under the page's lock; the call path then waits for the
//! journal only. Two threads of the ledger's own do the rest: the keeper (what waits for the journal, coalesced notes, expiry) and the
//! view's (checkpoints). Nothing here reads the time of day but [`Options::clock`], which stamps recorded facts.

mod calls;
mod cold;
mod compact;
mod deferred;
mod erased;
mod forget;
mod import;
mod keeper;
mod lock;
mod notes;
mod open;
mod page;
mod position;
mod replay;
mod row;
mod secret;
mod signposts;
mod standing;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Wake};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use self::deferred::Deferred;
use self::erased::{Erased, Tag};
use self::keeper::Signal;
use self::notes::Notes;
use self::page::{Page, Pages};
use self::standing::StandingState;
use self::view::View;
use super::record::{AttemptMeta, DecisionNote, Entry, Forgotten, Outcome, Recorded, Standing};
use super::{Answer, AttemptId, History, Key, Ledger, ReserveIf, Reserved, StoreError};
use crate::journal::{AppendError, Class, Draft, Journal, Pending};
use crate::numbering::E164;
use crate::telemetry::Metrics;

pub use self::cold::{Aged, Retention};
pub use self::open::{OpenError, Opened, ViewState};
pub use self::secret::Secret;

/// How to open the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `<path>/ledger` and `<path>/journal` lie below it.
    pub path: PathBuf,
    /// Sync before a call is forwarded; otherwise write before and sync every 50 ms.
    pub strict: bool,
    /// Largest size of a journal segment in bytes before rotation.
    pub segment_bytes: u64,
    /// Longest time under load that a batch is collected before it is synced.
    pub collect: Duration,
    /// Records that may wait for the journal's committer.
    pub queue: usize,
    /// Days after which an attempt is of no use to any rule: above the longest frequency window of the law in local days.
    pub attempt_days: u16,
    /// Journal records after which the view is brought up to date; bounds how long a start replays.
    pub checkpoint_records: u64,
    /// Time after which the view is brought up to date if anything changed.
    pub checkpoint_every: Duration,
    /// Days after its last record that a closed segment of the journal goes cold. Above [`Options::attempt_days`] hardly anything has to be
    /// carried on for it.
    pub cold_after: u32,
    /// How long records are kept once they are cold.
    pub retention: Retention,
    /// The time of day at which facts are recorded.
    pub clock: fn() -> DateTime<Utc>,
    /// Where commits, live records and lag are counted.
    pub metrics: Option<Arc<Metrics>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: PathBuf::from("var/clapet"),
            strict: true,
            segment_bytes: 256 << 20,
            collect: Duration::from_millis(2),
            queue: 1 << 16,
            attempt_days: 35,
            checkpoint_records: 200_000,
            checkpoint_every: Duration::from_secs(300),
            cold_after: 40,
            retention: Retention::default(),
            clock: Utc::now,
            metrics: None,
        }
    }
}

/// The embedded store. Dropping it without [`Ledger::close`] leaves the view as it is; the journal is synced.
pub struct EmbeddedLedger {
    core: Arc<Core>,
    opened: Opened,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Who waits for which sequence number.
type Waiter = (u64, oneshot::Sender<Result<(), StoreError>>);

/// A store held by this process without being open.
pub struct Held(#[allow(dead_code, reason = "held for its drop")] lock::Lock);

/// What the ledger's handles and threads share.
struct Core {
    options: Options,
    secret: Secret,
    tag_key: [u8; 32],
    journal: Journal,
    pages: Pages,
    /// Highest sequence number that the journal gave out.
    taken: AtomicU64,
    /// Unix seconds of the latest attempt: the time by which attempts expire.
    latest: AtomicU32,
    standing: Mutex<StandingState>,
    erased: RwLock<Erased>,
    /// Spares the keyed hash while nobody was erased.
    any_erased: AtomicBool,
    /// Held for writing while an import becomes valid, for reading by whoever works on a page with staged entries.
    commit: RwLock<()>,
    importing: Mutex<()>,
    /// First journal record of the import in progress, or the maximum.
    import_first: AtomicU64,
    deferred: Mutex<VecDeque<Deferred>>,
    notes: Mutex<Notes>,
    /// Who waits for a sequence number to become durable.
    waiters: Mutex<Vec<Waiter>>,
    view: Mutex<View>,
    closing: AtomicBool,
    signal: Signal,
    _lock: lock::Lock,
}

impl EmbeddedLedger {
    /// Folder of the journal below [`Options::path`]; [`crate::journal::read`] and [`super::body::read`] read it.
    pub fn journal_folder(path: &Path) -> PathBuf {
        path.join("journal")
    }

    /// Opens or creates the store. Start never fails for the view: where that is damaged, it is set aside, built anew from the journal,
    /// and [`Opened::view`] says so.
    pub fn open(options: Options) -> Result<(Self, Opened), OpenError> {
        let (core, opened) = open::open(options)?;
        let core = Arc::new(core);
        let threads = keeper::start(&core).map_err(|source| OpenError::Io {
            path: core.options.path.clone(),
            source,
        })?;
        let ledger = Self {
            core,
            opened: opened.clone(),
            threads: Mutex::new(threads),
        };
        Ok((ledger, opened))
    }

    /// What opening found; for `/readyz` and the log.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The store's secret, from which other rooms derive keys of their own.
    pub fn secret(&self) -> &Secret {
        &self.core.secret
    }

    /// Decisions that were not recorded since the start, because too many came at a time.
    pub fn shed_notes(&self) -> u64 {
        self.core.notes.lock().unwrap_or_else(PoisonError::into_inner).shed
    }

    /// Drops what no rule needs any more at `now`: attempts older than [`Options::attempt_days`], consents and contracts long ended.
    /// Refusals never. Page by page, so that no call waits for it; the keeper does the same slowly by the time of the latest attempt.
    pub fn maintain(&self, now: DateTime<Utc>) {
        let core = &self.core;
        let now = row::seconds(now);
        for index in 0..page::PAGES {
            core.tidy(index, now);
        }
        core.tidy_erased(now);
    }

    /// Brings the view up to date now. Blocks.
    pub fn checkpoint(&self) -> Result<(), String> {
        self.core.checkpoint(view::Pace::AtOnce)
    }

    /// Moves segments of the journal that are old enough to the cold folder, and ends what has been kept for its time, now rather than when
    /// the store's own thread next looks. Blocks.
    pub fn age(&self, now: DateTime<Utc>) -> Result<Aged, String> {
        self.core.age(now, &mut BTreeSet::new())
    }

    /// Holds a store that must not be used meanwhile, without opening it, until the guard is dropped.
    pub fn hold(path: &Path) -> Result<Held, OpenError> {
        lock::Lock::take(path).map(Held)
    }

    fn stop_threads(&self) {
        self.core.signal.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in a thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedLedger {
    fn drop(&mut self) {
        self.core.closing.store(true, Ordering::SeqCst);
        self.stop_threads();
        self.core.hand_over();
        // Already closed, or it failed and said so to everyone who waited.
        let _ = self.core.journal.close();
    }
}

impl Ledger for EmbeddedLedger {
    fn history(&self, key: Key) -> Answer<Result<History, StoreError>> {
        Answer::Ready(Ok(self.core.history(key)))
    }

    fn reserve(&self, ask: ReserveIf) -> Answer<Result<Reserved, StoreError>> {
        self.core.reserve(&ask)
    }

    fn settle(&self, key: Key, id: AttemptId, outcome: Outcome, at: DateTime<Utc>) {
        self.core.settle(key, id, outcome, at, None);
    }

    fn settle_over(&self, key: Key, id: AttemptId, outcome: Outcome, at: DateTime<Utc>, trunk: &str) {
        self.core.settle(key, id, outcome, at, Some(trunk));
    }

    fn record(&self, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
        self.core.record(entries)
    }

    fn note_decision(&self, decision: DecisionNote) {
        self.core.note(decision);
    }

    fn recover(&self, key: Key, at: DateTime<Utc>, meta: AttemptMeta) {
        self.core.recover(key, at, &meta);
    }

    fn forget(&self, number: E164, at: DateTime<Utc>) -> Answer<Result<Forgotten, StoreError>> {
        let core = self.core.clone();
        later("clapet-forget", move || core.forget(number, at))
    }

    fn sign(&self) -> Answer<Result<(), StoreError>> {
        let core = self.core.clone();
        later("clapet-sign", move || core.sign())
    }

    fn standing(&self) -> Standing {
        let standing = self.core.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.standing()
    }

    fn health(&self) -> Result<(), String> {
        self.core.ready().map_err(|error| error.to_string())
    }

    fn records(&self) -> u64 {
        self.core.pages.rows()
    }

    fn lag(&self) -> u64 {
        self.core.lag()
    }

    fn close(&self) -> Answer<Result<(), StoreError>> {
        self.core.closing.store(true, Ordering::SeqCst);
        let core = self.core.clone();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        later("clapet-close", move || core.close(threads))
    }
}

impl Core {
    /// Can it reserve?
    fn ready(&self) -> Result<(), StoreError> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.journal.failure().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Works on a callee's page under its lock.
    fn with_page<R>(&self, callee: E164, work: impl FnOnce(&mut Page) -> R) -> R {
        self.with_page_at(self.pages.index(callee), work)
    }

    fn with_page_at<R>(&self, index: usize, work: impl FnOnce(&mut Page) -> R) -> R {
        let mut page = self.pages.lock(index);
        if page.staged.is_none() {
            return work(&mut page);
        }
        let _commit = self.commit.read().unwrap_or_else(PoisonError::into_inner);
        self.fold(&mut page);
        work(&mut page)
    }

    /// Appends to the journal. Whoever changes a page with it holds the page's lock.
    fn append(&self, class: Class, drafts: Vec<Draft>) -> Result<Pending, StoreError> {
        let count = drafts.len() as u64;
        let pending = self.journal.append(class, drafts)?;
        self.taken.fetch_max(pending.first + count - 1, Ordering::SeqCst);
        Ok(pending)
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// All records up to this one are durable as configured. What is handed out after the first reading only makes it smaller.
    fn durable(&self) -> u64 {
        let taken = self.taken();
        taken.saturating_sub(self.journal.lag())
    }

    fn lag(&self) -> u64 {
        let deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.journal.lag() + deferred as u64
    }

    /// The value once a record is durable.
    fn once_durable<T: Send + 'static>(&self, sequence: u64, value: T) -> Answer<Result<T, StoreError>> {
        if let Some(error) = self.journal.failure() {
            return Answer::Ready(Err(error.into()));
        }
        if self.durable() >= sequence {
            return Answer::Ready(Ok(value));
        }
        let (tell, told) = oneshot::channel();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.push((sequence, tell));
        drop(waiters);
        self.signal.wake();
        Answer::Later(Box::pin(async move {
            told.await.unwrap_or(Err(StoreError::Closed))?;
            Ok(value)
        }))
    }

    /// Signs the journal's head; coalesced notes that wait are in it.
    fn sign(&self) -> Result<(), StoreError> {
        self.flush_notes(true);
        let pending = self.journal.checkpoint()?;
        wait_here(Answer::Later(Box::pin(pending)))
    }

    /// The moment before which attempts are of no use to any rule.
    fn since(&self, now: u32) -> u32 {
        now.saturating_sub(u32::from(self.options.attempt_days) * 86_400)
    }

    fn tidy(&self, index: usize, now: u32) {
        self.with_page_at(index, |page| {
            self.pages.count(page.tidy(now, self.since(now)));
        });
    }

    fn tidy_erased(&self, now: u32) {
        let mut erased = self.erased.write().unwrap_or_else(PoisonError::into_inner);
        erased.tidy(self.since(now));
    }

    /// The tag of a number, unless nobody was erased.
    fn tag(&self, number: E164) -> Option<Tag> {
        self.any_erased
            .load(Ordering::Acquire)
            .then(|| erased::tag(&self.tag_key, number))
    }
}

impl From<AppendError> for StoreError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Write(why) => Self::Write(why),
            AppendError::Full | AppendError::TooLarge => Self::Overloaded,
            AppendError::Closed => Self::Closed,
        }
    }
}

/// Runs work that blocks on a thread of its own, so that a caller's runtime is never held up.
fn later<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Answer<Result<T, StoreError>> {
    let (tell, told) = oneshot::channel();
    let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
        // Nobody may be waiting any more; the work is done all the same.
        let _ = tell.send(work());
    });
    match spawned {
        Ok(_) => Answer::Later(Box::pin(async move {
            told.await
                .unwrap_or_else(|_| Err(StoreError::Write("the work was broken off".into())))
        })),
        Err(error) => Answer::Ready(Err(StoreError::Write(error.to_string()))),
    }
}

/// Waits for an answer on this thread, which is one of the ledger's own.
fn wait_here<T, E>(answer: Answer<Result<T, E>>) -> Result<T, StoreError>
where
    StoreError: From<E>,
{
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(answer.wait());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result.map_err(StoreError::from),
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The deadline of a wait that polls.
fn until(within: Duration) -> Instant {
    Instant::now() + within
}
