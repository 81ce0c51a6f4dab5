//! The way of one question through the store: history, verdict, conditional reservation, and again where something changed in between.
//!
//! As long as the store answers at once, everything happens on the caller's stack; the first answer that has to be waited for turns the
//! rest into a future.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::inquiry::{Inquiry, Judged};
use super::reservation::{Grant, Reservation};
use super::{Decision, GateCore, Question};
use crate::ledger::{Answer, History, Key, Outcome, Reserved, StoreError};

/// Judged and reserved.
pub(super) fn admit(core: &Arc<GateCore>, question: &Question, now: DateTime<Utc>) -> Answer<Decision> {
    answer(core, question, now, true)
}

/// Judged only.
pub(super) fn ask(core: &Arc<GateCore>, question: &Question, now: DateTime<Utc>) -> Answer<Decision> {
    answer(core, question, now, false)
}

fn answer(core: &Arc<GateCore>, question: &Question, now: DateTime<Utc>, reserves: bool) -> Answer<Decision> {
    let inquiry = Inquiry::new(core.state.load_full(), question, now);
    let key = match (inquiry.without_history(), inquiry.key()) {
        (None, Some(key)) => key,
        (known, _) => {
            core.observe_decision(inquiry.began);
            return Answer::Ready(finish(core, &inquiry, reserves, known));
        }
    };
    let mut course = Course {
        inquiry,
        key,
        reserves,
        rounds: 0,
        waited: false,
    };
    match course.run(core) {
        Round::Done(decision) => Answer::Ready(finish(core, &course.inquiry, reserves, decision)),
        Round::Wait(waiting) => Answer::Later(Box::pin(later(Arc::clone(core), course, waiting))),
    }
}

/// Waits for the store, but no longer than `answer_within`. What it grants after that is released: a call that was forwarded meanwhile
/// (`on_store_failure = "forward"`) stands as its recovered attempt, so that exactly one counts.
async fn later(core: Arc<GateCore>, course: Course, waiting: Waiting) -> Decision {
    let within = course.inquiry.state.policy.answer_within;
    let reserves = course.reserves;
    let inquiry = course.inquiry.clone();
    let mut store = Box::pin(wait(Arc::clone(&core), course, waiting));
    let decision = match tokio::time::timeout(within, &mut store).await {
        Ok(decision) => decision,
        Err(_) if reserves => {
            tokio::spawn(async move {
                let late = store.await.and_then(|decision| decision.reservation);
                if let Some(reservation) = late {
                    reservation.settle(Outcome::Unsent, reservation.at());
                }
            });
            None
        }
        Err(_) => None,
    };
    finish(&core, &inquiry, reserves, decision)
}

/// `None`: the store could not answer.
fn finish(core: &GateCore, inquiry: &Inquiry, reserves: bool, decision: Option<Decision>) -> Decision {
    if !reserves {
        return decision.unwrap_or_else(|| inquiry.unavailable(&core.screening));
    }
    let decision = decision.unwrap_or_else(|| core.unavailable(inquiry));
    if let Some(reservation) = &decision.reservation {
        reservation.publish();
    }
    core.conclude(inquiry, decision)
}

async fn wait(core: Arc<GateCore>, mut course: Course, mut waiting: Waiting) -> Option<Decision> {
    loop {
        course.waited = true;
        let step = match waiting {
            Waiting::History(history) => course.judge(&core, history.await),
            Waiting::Reserve(pending, reserved) => course.reserved(&core, *pending, &reserved.await),
        };
        match step.unwrap_or_else(|Again| course.run(&core)) {
            Round::Done(decision) => return decision,
            Round::Wait(next) => waiting = next,
        }
    }
}

/// A question on its way.
struct Course {
    inquiry: Inquiry,
    key: Key,
    reserves: bool,
    rounds: u8,
    /// The store was waited for, so the time since the question is no longer the decision's own.
    waited: bool,
}

enum Round {
    /// `None`: the store cannot answer.
    Done(Option<Decision>),
    Wait(Waiting),
}

/// Something changed between the facts and the reservation.
struct Again;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

enum Waiting {
    History(Later<History>),
    Reserve(Box<Pending>, Later<Reserved>),
}

/// A verdict that is about to be reserved.
struct Pending {
    judged: Judged,
    began: Instant,
}

impl Course {
    fn run(&mut self, core: &Arc<GateCore>) -> Round {
        loop {
            let step = match core.ledger.history(self.key) {
                Answer::Ready(history) => self.judge(core, history),
                Answer::Later(history) => return Round::Wait(Waiting::History(history)),
            };
            if let Ok(round) = step {
                return round;
            }
        }
    }

    fn judge(&mut self, core: &Arc<GateCore>, history: Result<History, StoreError>) -> Result<Round, Again> {
        let began = if self.waited {
            Instant::now()
        } else {
            self.inquiry.began
        };
        let Ok(mut history) = history else {
            return Ok(Round::Done(None));
        };
        let running = self.running(core);
        if let Some(running) = &running {
            forget_own(&mut history, running.at());
        }
        let judged = self.inquiry.judge(&history, Some(&core.screening));
        core.observe_decision(began);
        let goes = judged.decision.forwards() && judged.decision.verdict.counts;
        if !self.reserves || !goes {
            return Ok(Round::Done(Some(judged.decision)));
        }
        if let Some(running) = running {
            return Ok(Round::Done(Some(Decision {
                reservation: Some(running),
                ..judged.decision
            })));
        }
        let ask = self
            .inquiry
            .reserve_if(self.key, &judged.decision, judged.evidence.clone(), &history);
        let pending = Pending {
            judged,
            began: Instant::now(),
        };
        match core.ledger.reserve(ask) {
            Answer::Ready(reserved) => self.reserved(core, pending, &reserved),
            Answer::Later(reserved) => Ok(Round::Wait(Waiting::Reserve(Box::new(pending), reserved))),
        }
    }

    /// The unsettled reservation of another INVITE of the same call.
    fn running(&self, core: &GateCore) -> Option<Arc<Reservation>> {
        if self.inquiry.call == 0 || !self.reserves {
            return None;
        }
        let held = core.calls.get(&(self.inquiry.call, self.key))?.upgrade();
        held.filter(|reservation| !reservation.is_settled())
    }

    fn reserved(
        &mut self,
        core: &Arc<GateCore>,
        pending: Pending,
        reserved: &Result<Reserved, StoreError>,
    ) -> Result<Round, Again> {
        let Pending { judged, began } = pending;
        let mut decision = judged.decision;
        match reserved {
            Ok(Reserved::Granted(id) | Reserved::Held(id)) => {
                core.metrics.reserve_seconds.observe(began.elapsed().as_secs_f64());
                let grant = Grant {
                    key: self.key,
                    id: *id,
                    call: self.inquiry.call,
                    at: self.inquiry.now,
                    limit: decision.verdict.count_since,
                    consumes: judged.consumes,
                    held: matches!(reserved, Ok(Reserved::Held(_))),
                };
                decision.reservation = Some(Reservation::new(core, grant));
                Ok(Round::Done(Some(decision)))
            }
            Ok(Reserved::Exhausted | Reserved::Changed) if self.rounds < MAX_ROUNDS => {
                self.rounds += 1;
                Err(Again)
            }
            // What the history does not show, the store has counted all the same.
            Ok(Reserved::Exhausted) => Ok(Round::Done(Some(self.inquiry.exhausted(decision.verdict)))),
            Ok(Reserved::Changed) | Err(_) => Ok(Round::Done(None)),
        }
    }
}

/// A call's own attempt never counts against it. Stores keep times to the second at least.
fn forget_own(history: &mut History, at: DateTime<Utc>) {
    let attempts = history.attempts.iter();
    let off = |attempt: &DateTime<Utc>| (*attempt - at).abs();
    let nearest = attempts.enumerate().min_by_key(|(_, attempt)| off(attempt));
    let own = nearest.filter(|(_, attempt)| off(attempt) < chrono::TimeDelta::seconds(1));
    if let Some((position, _)) = own {
        history.attempts.remove(position);
    }
}

/// Times that a verdict is taken anew because the facts changed before it could be reserved. Each needs a refusal or another call in
/// between.
const MAX_ROUNDS: u8 = 4;
