//! One reserved attempt, from the grant to what became of the call.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use chrono::{DateTime, Utc};
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::GateCore;
use crate::ledger::{Answer, AttemptId, Entry, Key, Outcome, Recorded, StoreError};
use crate::rules::ConsentScope;

/// Reservations alive by call and key: the INVITE repeated within one call (Call-ID and From-tag) holds the same attempt.
pub(super) type Calls = DashMap<(u64, Key), Weak<Reservation>, FxBuildHasher>;

/// One reserved attempt, owned by the call's transaction and shared only with what settles it. When the last handle is dropped without
/// [`Reservation::settle`], the attempt counts.
#[must_use = "a reservation is settled when the call is over"]
pub struct Reservation {
    grant: Grant,
    state: Mutex<State>,
    gate: Arc<GateCore>,
}

/// How far the call has come.
#[derive(Default)]
struct State {
    settled: Option<Outcome>,
    /// The trunk that it was sent to last.
    trunk: Option<Arc<str>>,
}

/// What was granted.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) key: Key,
    pub(super) id: AttemptId,
    /// Hash of Call-ID and From-tag; zero: no call.
    pub(super) call: u64,
    pub(super) at: DateTime<Utc>,
    /// Maximum and first instant of the period by which it was granted.
    pub(super) limit: Option<(u8, DateTime<Utc>)>,
    /// The consent that an answered call consumes.
    pub(super) consumes: Option<(DateTime<Utc>, ConsentScope)>,
    /// An earlier INVITE of the call reserved it, and may have been presented.
    pub(super) held: bool,
}

impl Reservation {
    pub(super) fn new(gate: &Arc<GateCore>, grant: Grant) -> Arc<Self> {
        Arc::new(Self {
            grant,
            state: Mutex::default(),
            gate: Arc::clone(gate),
        })
    }

    /// Says what became of the call. May be called again with a later outcome (a late 18x or 2xx after a failure counts the attempt
    /// again, even beyond the maximum, with an alarm); the same outcome again changes nothing, and nothing gives an answered call back.
    pub fn settle(&self, outcome: Outcome, at: DateTime<Utc>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.settled;
        if before == Some(outcome) || (before == Some(Outcome::Answered) && !outcome.counts()) {
            return;
        }
        state.settled = Some(outcome);
        if self.grant.held && !outcome.counts() {
            // The trunk may have the call from before a crash: it stays counted whatever became of its repetition.
            return;
        }
        // Under the lock, so that the store sees the outcomes in the order in which they came; settling never waits.
        let Grant { key, id, .. } = self.grant;
        match &state.trunk {
            Some(trunk) => self.gate.ledger.settle_over(key, id, outcome, at, trunk),
            None => self.gate.ledger.settle(key, id, outcome, at),
        }
        drop(state);
        self.gate.attempts.count(outcome);
        if outcome == Outcome::Answered {
            self.consume(at);
        }
        if before.is_some_and(|before| !before.counts()) && outcome.counts() {
            self.counted_late();
        }
    }

    /// The call goes to this trunk, which its settlements then name: of several tried in turn, the last.
    pub fn carried_by(&self, trunk: &Arc<str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trunk = Some(Arc::clone(trunk));
    }

    /// Makes the attempt findable for further INVITEs of its call.
    pub(super) fn publish(self: &Arc<Self>) {
        if self.grant.call != 0 {
            self.gate
                .calls
                .insert((self.grant.call, self.grant.key), Arc::downgrade(self));
        }
    }

    /// When it was reserved.
    pub(super) fn at(&self) -> DateTime<Utc> {
        self.grant.at
    }

    pub(super) fn is_settled(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settled.is_some()
    }

    /// The first answered call uses the consent up that let it go.
    fn consume(&self, at: DateTime<Utc>) {
        let Some((given_at, scope)) = self.grant.consumes else {
            return;
        };
        let used = Entry::ConsentUsed {
            key: self.grant.key,
            given_at,
            scope,
            at,
        };
        match self.gate.ledger.record(vec![used]) {
            Answer::Ready(recorded) => report_unconsumed(recorded),
            Answer::Later(recorded) => in_background(async { report_unconsumed(recorded.await) }),
        }
    }

    /// A call given back turned out to have been presented.
    fn counted_late(&self) {
        let Some((max, since)) = self.grant.limit else {
            return;
        };
        let key = self.grant.key;
        let alarm = move |attempts: &[DateTime<Utc>]| {
            let counted = attempts.iter().filter(|attempt| **attempt >= since).count();
            if counted > usize::from(max) {
                tracing::warn!(
                    siren = key.siren.0,
                    callee = %key.callee.masked(),
                    counted,
                    max,
                    "a late answer counts a call again, beyond the maximum"
                );
            }
        };
        match self.gate.ledger.history(key) {
            Answer::Ready(Ok(history)) => alarm(&history.attempts),
            Answer::Ready(Err(_)) => {}
            Answer::Later(history) => in_background(async move {
                if let Ok(history) = history.await {
                    alarm(&history.attempts);
                }
            }),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.grant.call != 0 {
            // A newer reservation of the same call keeps its place.
            let gone = |_: &_, held: &Weak<Reservation>| held.strong_count() == 0;
            self.gate.calls.remove_if(&(self.grant.call, self.grant.key), gone);
        }
        if !self.is_settled() {
            self.settle(Outcome::Abandoned, self.grant.at);
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation")
            .field("id", &self.grant.id)
            .finish_non_exhaustive()
    }
}

fn report_unconsumed(recorded: Result<Recorded, StoreError>) {
    if let Err(error) = recorded {
        tracing::error!(%error, "a consent that an answered call used up could not be marked as used");
    }
}

/// Lets a future of the store run on. Without a runtime it is started only, which is all that an embedded store needs.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    } else {
        let mut work = Box::pin(work);
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = work.as_mut().poll(&mut nobody);
    }
}
