//! The ledger's own threads. The keeper hands waiting records to the journal, flushes notes, tells those who wait for durability, shows
//! the metrics and lets attempts expire a few pages at a time; the view's thread makes checkpoints.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::super::StoreError;
use super::Core;
use super::cold::Aged;
use super::page::PAGES;
use super::view::Pace;
use crate::journal::Class;

/// How often the keeper looks where nobody wakes it.
const TICK: Duration = Duration::from_millis(100);
/// How often it looks while somebody waits for durability.
const WAITED_FOR: Duration = Duration::from_micros(500);
/// Pages looked through for expired attempts a tick: all of them in an hour and three quarters.
const PAGES_A_TICK: usize = 1;
/// Notes handed to the journal at a time.
const NOTES: usize = 256;
/// How often the view's thread looks whether a checkpoint is due.
const LOOK: Duration = Duration::from_millis(500);
/// How often it looks for segments of the journal that are old.
const AGE: Duration = Duration::from_secs(3600);
/// Pause after a checkpoint that failed.
const RETRY: Duration = Duration::from_secs(30);

/// Wakes and stops the threads.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Signal {
    pub fn wake(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    pub fn stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Waits for a wake-up or the time; false once stopped.
    fn wait(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut (bool, bool)| !state.0 && !state.1;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, time, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.0 = false;
        !state.1
    }
}

/// Starts both threads.
pub(super) fn start(core: &Arc<Core>) -> io::Result<Vec<JoinHandle<()>>> {
    let keeper = core.clone();
    let view = core.clone();
    Ok(vec![
        Builder::new()
            .name("clapet-keeper".into())
            .spawn(move || keeper.keep())?,
        Builder::new()
            .name("clapet-view".into())
            .spawn(move || view.keep_view())?,
    ])
}

impl Core {
    fn keep(&self) {
        let mut next = 0;
        let mut tick = TICK;
        while self.signal.wait(tick) {
            self.drain_deferred();
            if self.journal.failure().is_some() {
                self.spool_deferred();
            }
            self.flush_notes(false);
            tick = if self.tell_waiters() { TICK } else { WAITED_FOR };
            let now = self.latest.load(Ordering::Relaxed);
            for _ in 0..PAGES_A_TICK {
                self.tidy(next, now);
                next = (next + 1) % PAGES;
            }
            if next == 0 {
                self.tidy_erased(now);
            }
            self.show();
        }
    }

    fn keep_view(&self) {
        let mut last = Instant::now();
        let mut at = self.taken();
        let mut aged = last.checked_sub(AGE).unwrap_or(last);
        let mut erased = BTreeSet::new();
        while !self.signal.stopped() {
            std::thread::sleep(LOOK);
            if aged.elapsed() >= AGE && self.journal.failure().is_none() {
                aged = Instant::now();
                match self.age((self.options.clock)(), &mut erased) {
                    Ok(done) if done != Aged::default() => tracing::info!(?done, "old segments of the journal"),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "old segments of the journal stay where they are for now"),
                }
            }
            let behind = self.behind();
            let due = behind >= self.options.checkpoint_records
                || (self.taken() != at && last.elapsed() >= self.options.checkpoint_every);
            if !due || self.journal.failure().is_some() {
                continue;
            }
            last = Instant::now();
            at = self.taken();
            let brought = self.checkpoint(Pace::InPassing).and_then(|()| self.compact_if_sparse());
            if let Err(error) = brought
                && !self.signal.stopped()
            {
                tracing::warn!(%error, behind, "the view could not be brought up to date; nothing is lost, a start replays more");
                let again = Instant::now() + RETRY;
                while !self.signal.stopped() && Instant::now() < again {
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    fn show(&self) {
        if let Some(metrics) = &self.options.metrics {
            let shown = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            metrics.ledger_records.set(shown(self.pages.rows()));
            metrics.journal_lag_records.set(shown(self.lag()));
        }
    }

    /// True: nobody waits any more.
    fn tell_waiters(&self) -> bool {
        let durable = self.durable();
        let failure = self.journal.failure();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        for (sequence, tell) in std::mem::take(&mut *waiters) {
            // Whoever waited may have given up.
            match &failure {
                Some(error) => drop(tell.send(Err(error.clone().into()))),
                None if sequence <= durable => drop(tell.send(Ok(()))),
                None => waiters.push((sequence, tell)),
            }
        }
        waiters.is_empty()
    }

    pub fn flush_notes(&self, all: bool) {
        loop {
            let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            let due = notes.due(Instant::now(), all, NOTES);
            if due.is_empty() {
                return;
            }
            let count: u64 = due.iter().map(|(_, count)| count).sum();
            if self
                .append(Class::Note, due.into_iter().map(|(draft, _)| draft).collect())
                .is_err()
            {
                notes.shed += count;
            }
        }
    }

    /// Hands everything that waits to the journal, or leaves it aside.
    pub fn hand_over(&self) {
        self.flush_notes(true);
        self.drain_deferred();
        self.spool_deferred();
    }

    pub fn close(&self, threads: Vec<JoinHandle<()>>) -> Result<(), StoreError> {
        // An import or erasure under way ends first.
        let _importing = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        self.signal.stop();
        for thread in threads {
            // A panic in a thread was reported when it happened.
            let _ = thread.join();
        }
        self.hand_over();
        if self.journal.failure().is_none()
            && let Err(error) = self.checkpoint(Pace::AtOnce)
        {
            tracing::warn!(%error, "the view could not be brought up to date; nothing is lost, the next start replays more");
        }
        let closed = self.journal.close();
        self.tell_waiters();
        closed.map_err(StoreError::from)
    }
}
