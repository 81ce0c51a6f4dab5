//! A store in memory that the tests can make fail, wait or change under the gate's feet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::ledger::{
    Answer, AttemptId, AttemptMeta, DecisionNote, Entry, Forgotten, History, Key, Ledger, Outcome, Recorded, ReserveIf,
    Reserved, Standing, StoreError,
};
use crate::numbering::E164;

/// How the store answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mode {
    /// At once.
    #[default]
    Ready,
    /// When [`FakeLedger::go_on`] is called; reservations are decided when asked.
    Late,
    /// Never usefully.
    Failing,
}

#[derive(Clone, Debug)]
pub struct Kept {
    pub ask: ReserveIf,
    pub outcomes: Vec<Outcome>,
}

#[derive(Default)]
pub struct Inner {
    pub mode: Mode,
    pub histories: HashMap<Key, History>,
    pub reserved: Vec<Kept>,
    pub recorded: Vec<Entry>,
    pub notes: Vec<DecisionNote>,
    pub recovered: Vec<(Key, AttemptMeta)>,
    /// Answers of the next reservations, whatever the count.
    pub next: Vec<Reserved>,
    /// Refusals that arrive between the history and the reservation.
    pub refusal_in_between: Option<DateTime<Utc>>,
}

pub struct FakeLedger {
    inner: Mutex<Inner>,
    gate: watch::Sender<bool>,
}

impl FakeLedger {
    pub fn new(mode: Mode) -> Arc<Self> {
        let inner = Inner {
            mode,
            ..Inner::default()
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            gate: watch::channel(false).0,
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Lets the late answers come.
    pub fn go_on(&self) {
        self.gate.send_replace(true);
    }

    fn answer<T: Send + 'static>(&self, mode: Mode, value: T) -> Answer<Result<T, StoreError>> {
        match mode {
            Mode::Ready => Answer::Ready(Ok(value)),
            Mode::Failing => Answer::Ready(Err(StoreError::Write("no space left".into()))),
            Mode::Late => {
                let mut gate = self.gate.subscribe();
                Answer::Later(Box::pin(async move {
                    let _ = gate.wait_for(|open| *open).await;
                    Ok(value)
                }))
            }
        }
    }
}

impl Inner {
    /// Counted attempts of a key.
    pub fn counted(&self, key: Key) -> Vec<DateTime<Utc>> {
        let of_key = self.reserved.iter().filter(|kept| kept.ask.key == key);
        let counted = of_key.filter(|kept| kept.outcomes.last().is_none_or(|outcome| outcome.counts()));
        let imported = self.histories.get(&key).map(|history| history.attempts.to_vec());
        let mut all: Vec<_> = counted
            .map(|kept| kept.ask.at)
            .chain(imported.unwrap_or_default())
            .collect();
        all.sort_unstable();
        all
    }

    fn decide(&mut self, ask: ReserveIf) -> Reserved {
        if !self.next.is_empty() {
            return self.next.remove(0);
        }
        if let Some(refused) = self.refusal_in_between.take() {
            self.histories.entry(ask.key).or_default().refused_at = Some(refused);
        }
        let refused = self.histories.get(&ask.key).and_then(|history| history.refused_at);
        if refused > ask.refusal_known {
            return Reserved::Changed;
        }
        let full = ask.limit.is_some_and(|(max, since)| {
            let counted = self.counted(ask.key).into_iter().filter(|at| *at >= since);
            counted.count() >= usize::from(max)
        });
        if full {
            return Reserved::Exhausted;
        }
        self.reserved.push(Kept {
            ask,
            outcomes: Vec::new(),
        });
        Reserved::Granted(AttemptId(self.reserved.len() as u64))
    }
}

impl Ledger for FakeLedger {
    fn history(&self, key: Key) -> Answer<Result<History, StoreError>> {
        let inner = self.lock();
        let mut history = inner.histories.get(&key).cloned().unwrap_or_default();
        history.attempts = inner.counted(key).into();
        // Memory only, as in the embedded store.
        let mode = if inner.mode == Mode::Late {
            Mode::Ready
        } else {
            inner.mode
        };
        drop(inner);
        self.answer(mode, history)
    }

    fn reserve(&self, ask: ReserveIf) -> Answer<Result<Reserved, StoreError>> {
        let mut inner = self.lock();
        let mode = inner.mode;
        if mode == Mode::Failing {
            return self.answer(mode, Reserved::Changed);
        }
        let reserved = inner.decide(ask);
        drop(inner);
        let granted = matches!(reserved, Reserved::Granted(_));
        self.answer(if granted { mode } else { Mode::Ready }, reserved)
    }

    fn settle(&self, _key: Key, id: AttemptId, outcome: Outcome, _at: DateTime<Utc>) {
        let position = usize::try_from(id.0).unwrap() - 1;
        self.lock().reserved[position].outcomes.push(outcome);
    }

    fn record(&self, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
        self.lock().recorded.extend(entries);
        Answer::Ready(Ok(Recorded { new: 1, known: 0 }))
    }

    fn note_decision(&self, decision: DecisionNote) {
        self.lock().notes.push(decision);
    }

    fn recover(&self, key: Key, _at: DateTime<Utc>, meta: AttemptMeta) {
        self.lock().recovered.push((key, meta));
    }

    fn forget(&self, _number: E164, _at: DateTime<Utc>) -> Answer<Result<Forgotten, StoreError>> {
        Answer::Ready(Ok(Forgotten::default()))
    }

    fn standing(&self) -> Standing {
        Standing::default()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn records(&self) -> u64 {
        self.lock().histories.len() as u64
    }

    fn lag(&self) -> u64 {
        0
    }

    fn close(&self) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}
