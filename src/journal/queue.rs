//! The bounded queue between those who append and the committer, and the notice that tells them how it ended. Sequence numbers are
//! given under its lock, so that their order is the order of the chain. Never touches a file.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::frame::{self, HEAD};
use super::{AppendError, Class, Draft};

/// A batch is closed to further appends once it takes this many bytes; one append alone may take more.
const BATCH_BYTES: usize = 4 << 20;
/// Most bytes of one append.
pub(super) const APPEND_BYTES: usize = 256 << 20;
/// Most bytes that may wait, beside the bound in records.
const QUEUE_BYTES: usize = 64 << 20;
/// What nobody waits for is left so long for something binding that takes it along: a wake-up of the committer costs more than
/// writing it.
const UNWAITED_WITHIN: Duration = Duration::from_millis(5);
/// Notes are refused once this part of the queue is taken.
const NOTE_SHARE: usize = 4;

/// How a batch ended, told to everyone who waits for it: one allocation a batch.
#[derive(Default)]
struct Notice {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    result: Option<Result<(), AppendError>>,
    wakers: Vec<Waker>,
}

impl Notice {
    /// The first thing told holds.
    fn tell(&self, result: Result<(), AppendError>) {
        let wakers = {
            let mut told = lock(&self.told);
            told.result.get_or_insert(result);
            std::mem::take(&mut told.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// An append under way: resolves when durable as configured. Dropping it does not take the append back.
#[must_use = "an append is durable only once this resolves"]
pub struct Pending {
    /// Sequence of the append's first record.
    pub first: u64,
    /// `None`: there was nothing to append.
    notice: Option<Arc<Notice>>,
    /// Place of our waker in the notice.
    slot: Option<usize>,
}

impl Future for Pending {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(notice) = self.notice.clone() else {
            return Poll::Ready(Ok(()));
        };
        let mut told = lock(&notice.told);
        if let Some(result) = &told.result {
            return Poll::Ready(result.clone());
        }
        if let Some(waker) = self.slot.and_then(|slot| told.wakers.get_mut(slot)) {
            waker.clone_from(cx.waker());
        } else {
            self.slot = Some(told.wakers.len());
            told.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Appends that will be one batch.
pub(super) struct Forming {
    /// Sequence of the first record.
    pub first: u64,
    pub drafts: Vec<Draft>,
    bytes: usize,
    begun: Instant,
    /// Somebody waits for some of it.
    waited: bool,
    notice: Arc<Notice>,
}

impl Forming {
    fn takes(&self, bytes: usize) -> bool {
        self.bytes + bytes <= BATCH_BYTES
    }

    /// Sequence of the last record.
    pub(super) fn last(&self) -> u64 {
        self.first + self.drafts.len() as u64 - 1
    }
}

impl Drop for Forming {
    /// Nobody is left waiting, whatever happened to the committer.
    fn drop(&mut self) {
        self.notice
            .tell(Err(AppendError::Write("the committer stopped".into())));
    }
}

struct State {
    batches: VecDeque<Forming>,
    /// Records in `batches`.
    waiting: usize,
    /// Bytes that `batches` will take.
    waiting_bytes: usize,
    /// Sequence for the next record.
    next: u64,
    /// The committer sleeps until something arrives.
    idle: bool,
    /// It sleeps until something binding arrives, or not much longer: nobody waits for anything that there is.
    lingers: bool,
    closing: bool,
    /// Who asked for a checkpoint, and the last record that it must cover.
    signing: Vec<(u64, Arc<Notice>)>,
    failure: Option<AppendError>,
    /// The last record written, synced or not.
    written: u64,
    /// How many wait for `written`: telling nobody costs a system call too.
    waiting_written: usize,
}

/// What the committer has to do next.
pub(super) enum Work {
    Batch(Forming),
    /// The time given has come.
    Due,
    /// A checkpoint is asked for, and everything that it must cover is written.
    Sign(Signing),
    /// Nothing is left and nothing more will come.
    Close,
}

/// Those who wait for a checkpoint.
pub(super) struct Signing(Vec<Arc<Notice>>);

impl Signing {
    pub(super) fn done(self) {
        self.0.iter().for_each(|notice| notice.tell(Ok(())));
    }
}

impl Drop for Signing {
    /// Nobody is left waiting; what was told before holds.
    fn drop(&mut self) {
        let stopped = AppendError::Write("the committer stopped".into());
        self.0.iter().for_each(|notice| notice.tell(Err(stopped.clone())));
    }
}

/// See the file's head.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the committer.
    arrived: Condvar,
    /// Wakes those who wait for `written`.
    progress: Condvar,
    capacity: usize,
    /// The last record acknowledged.
    acknowledged: AtomicU64,
}

/// No code that holds one of our locks can leave half a change behind when it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those whose checkpoint covers nothing from `begins` on, which is written next.
fn take_signing(signing: &mut Vec<(u64, Arc<Notice>)>, begins: u64) -> Option<Signing> {
    if signing.iter().all(|(last, _)| *last >= begins) {
        return None;
    }
    let due = signing.extract_if(.., |(last, _)| *last < begins);
    Some(Signing(due.map(|(_, notice)| notice).collect()))
}

impl Queue {
    /// `last`: sequence of the last record in the journal.
    pub(super) fn new(capacity: usize, last: u64) -> Self {
        Self {
            state: Mutex::new(State {
                batches: VecDeque::new(),
                waiting: 0,
                waiting_bytes: 0,
                next: last + 1,
                idle: false,
                lingers: false,
                closing: false,
                signing: Vec::new(),
                failure: None,
                written: last,
                waiting_written: 0,
            }),
            arrived: Condvar::new(),
            progress: Condvar::new(),
            capacity,
            acknowledged: AtomicU64::new(last),
        }
    }

    pub(super) fn push(&self, class: Class, mut drafts: Vec<Draft>) -> Result<Pending, AppendError> {
        let bodies = drafts
            .iter()
            .fold(0_usize, |sum, draft| sum.saturating_add(draft.body.len()));
        let bytes = frame::length(drafts.len(), bodies) - HEAD;
        if bytes > APPEND_BYTES {
            return Err(AppendError::TooLarge);
        }
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if state.closing {
            return Err(AppendError::Closed);
        }
        let first = state.next;
        if drafts.is_empty() {
            return Ok(Pending {
                first,
                notice: None,
                slot: None,
            });
        }
        let share = match class {
            Class::Binding | Class::Outcome => 1,
            Class::Note => NOTE_SHARE,
        };
        let fits =
            state.waiting + drafts.len() <= self.capacity / share && state.waiting_bytes + bytes <= QUEUE_BYTES / share;
        // An append that is larger than the whole queue goes in when nothing waits: or it never could.
        let alone = share == 1 && state.waiting == 0;
        if !fits && !alone {
            return Err(AppendError::Full);
        }
        state.next += drafts.len() as u64;
        state.waiting += drafts.len();
        state.waiting_bytes += bytes;
        let waited = class == Class::Binding;
        let notice = match state.batches.back_mut() {
            Some(batch) if batch.takes(bytes) => {
                batch.drafts.append(&mut drafts);
                batch.bytes += bytes;
                batch.waited |= waited;
                batch.notice.clone()
            }
            _ => {
                let notice = Arc::<Notice>::default();
                state.batches.push_back(Forming {
                    first,
                    drafts,
                    bytes,
                    begun: Instant::now(),
                    waited,
                    notice: notice.clone(),
                });
                notice
            }
        };
        // While it collects, the committer is left to sleep unless a whole batch is ready.
        let wakes = state.idle || state.batches.len() > 1 || (state.lingers && waited);
        // Only then: who is woken takes the lock first of all.
        drop(state);
        if wakes {
            self.arrived.notify_one();
        }
        Ok(Pending {
            first,
            notice: Some(notice),
            slot: None,
        })
    }

    /// Asks for a checkpoint that covers everything taken so far.
    pub(super) fn sign(&self) -> Result<Pending, AppendError> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if state.closing {
            return Err(AppendError::Closed);
        }
        let last = state.next - 1;
        let notice = Arc::<Notice>::default();
        state.signing.push((last, notice.clone()));
        self.arrived.notify_one();
        Ok(Pending {
            first: last,
            notice: Some(notice),
            slot: None,
        })
    }

    /// Waits for work, at most until `due`. A batch that arrives while the committer sleeps is given at once; one that was there
    /// already when it came back (so it is under load) is left to collect until its first append has waited for `collect`. What nobody
    /// waits for is left a little longer, and does not wake a committer that has had something to do just now.
    pub(super) fn next(&self, due: Option<Instant>, collect: Duration) -> Work {
        let back = Instant::now();
        let mut state = lock(&self.state);
        let mut loaded = !state.batches.is_empty();
        loop {
            let begins = state.batches.front().map_or(state.next, |front| front.first);
            if let Some(due) = take_signing(&mut state.signing, begins) {
                return Work::Sign(due);
            }
            state.lingers = false;
            let until = match state.batches.front() {
                Some(front) if !front.waited && state.batches.len() == 1 && !state.closing => {
                    let until = front.begun + UNWAITED_WITHIN;
                    state.lingers = until > Instant::now();
                    state.lingers.then_some(until)
                }
                Some(front) if loaded && state.batches.len() == 1 && !state.closing => {
                    let until = front.begun + collect;
                    (until > Instant::now()).then_some(until)
                }
                Some(_) => None,
                None if state.closing => return Work::Close,
                None => {
                    loaded = false;
                    let now = Instant::now();
                    let rests = back + UNWAITED_WITHIN;
                    match due {
                        Some(due) if due <= now => return Work::Due,
                        due if now < rests => {
                            state.lingers = true;
                            Some(due.map_or(rests, |due| due.min(rests)))
                        }
                        due => {
                            state = self.sleep(state, due);
                            continue;
                        }
                    }
                }
            };
            if let Some(until) = until {
                state = self
                    .arrived
                    .wait_timeout(state, until.saturating_duration_since(Instant::now()))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            } else if let Some(batch) = state.batches.pop_front() {
                state.waiting -= batch.drafts.len();
                state.waiting_bytes -= batch.bytes;
                return Work::Batch(batch);
            }
        }
    }

    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>, due: Option<Instant>) -> MutexGuard<'a, State> {
        state.idle = true;
        state = match due {
            None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                self.arrived
                    .wait_timeout(state, due.saturating_duration_since(Instant::now()))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        state.idle = false;
        state
    }

    /// A batch is in the file.
    pub(super) fn written(&self, last: u64) {
        let mut state = lock(&self.state);
        state.written = last;
        let awaited = state.waiting_written > 0;
        drop(state);
        if awaited {
            self.progress.notify_all();
        }
    }

    /// A batch is durable as configured.
    pub(super) fn acknowledge(&self, batch: &Forming) {
        self.acknowledged.store(batch.last(), Ordering::Release);
        batch.notice.tell(Ok(()));
    }

    /// Nothing more is acknowledged: neither this batch, nor those that wait, nor any that comes.
    pub(super) fn fail(&self, batch: Option<Forming>, failure: &AppendError) {
        let mut refused: Vec<_> = batch.into_iter().collect();
        let signing;
        {
            let mut state = lock(&self.state);
            state.failure.get_or_insert_with(|| failure.clone());
            state.waiting = 0;
            state.waiting_bytes = 0;
            refused.extend(state.batches.drain(..));
            signing = std::mem::take(&mut state.signing);
        }
        for (_, notice) in signing {
            notice.tell(Err(failure.clone()));
        }
        self.progress.notify_all();
        for batch in refused {
            batch.notice.tell(Err(failure.clone()));
        }
    }

    pub(super) fn close(&self) {
        lock(&self.state).closing = true;
        self.arrived.notify_all();
    }

    pub(super) fn failure(&self) -> Option<AppendError> {
        lock(&self.state).failure.clone()
    }

    pub(super) fn lag(&self) -> u64 {
        let state = lock(&self.state);
        (state.next - 1).saturating_sub(self.acknowledged.load(Ordering::Acquire))
    }

    /// Waits until the records taken up to this sequence are in their file; gives the last record written.
    pub(super) fn wait_written(&self, sequence: u64) -> u64 {
        let mut state = lock(&self.state);
        let wanted = sequence.min(state.next - 1);
        state.waiting_written += 1;
        while state.written < wanted && state.failure.is_none() {
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting_written -= 1;
        state.written
    }
}
