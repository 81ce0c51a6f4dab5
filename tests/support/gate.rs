//! The scripted gate: says what the test wants, when it wants, and remembers what it was asked. Its reservations are real ones, of
//! the real gate over a store that always grants, so that nothing here stands in for a type of the call path.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clapet::gate::{
    Decision, Gate, Mode, NumberRange, OnStoreFailure, Policy, Professional, ProfessionalIndex, Question, Reservation,
    Roster, SourceIndex, SourcePolicy,
};
use clapet::law::Law;
use clapet::ledger::{
    Answer, AttemptId, AttemptMeta, DecisionNote, Entry, Forgotten, History, Key, Ledger, Outcome, Recorded, ReserveIf,
    Reserved, Siren, Standing, StoreError,
};
use clapet::numbering::{E164, Number};
use clapet::rules::{Callee, CallerId, Dialling, OwnLimits, Purpose, Reason, Verdict};
use clapet::screening::Screening;
use clapet::sip::proxy::AskId;
use clapet::telemetry::Metrics;

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Say {
    /// The call goes, on a reservation.
    Allow,
    /// The call goes, and nothing was reserved.
    AllowUncounted,
    /// The call goes on a reservation, and no branch starts after so long.
    AllowFor(Duration),
    /// Refused.
    Refuse(Reason, &'static str),
    /// A refusal that is only observed: the call goes, on a reservation.
    Observe(Reason),
    /// No answer at all.
    Never,
}

/// One question the proxy asked.
pub struct Asked {
    pub at: Duration,
    pub id: AskId,
    pub question: Question,
    /// What was reserved for it; dead once the proxy has let go of it.
    pub reservation: Option<Weak<Reservation>>,
    /// What the proxy said became of it, in order.
    pub outcomes: Vec<Outcome>,
}

/// The gate.
pub struct ScriptedGate {
    /// What it says, and after how long, where the queue is empty.
    pub say: Say,
    pub after: Duration,
    /// What it says next.
    pub queue: VecDeque<(Say, Duration)>,
    pub asked: Vec<Asked>,
    mint: Gate,
    store: Arc<GrantingStore>,
    minted: u64,
}

impl ScriptedGate {
    pub fn new() -> Self {
        let store = Arc::new(GrantingStore::default());
        Self {
            say: Say::Allow,
            after: Duration::ZERO,
            queue: VecDeque::new(),
            asked: Vec::new(),
            mint: mint(store.clone()),
            store,
            minted: 0,
        }
    }

    /// Notes a question and says what comes of it, and after how long; `None`: never.
    pub fn ask(
        &mut self,
        at: Duration,
        wall: DateTime<Utc>,
        id: AskId,
        question: Question,
    ) -> Option<(Duration, Decision)> {
        let (say, after) = self.queue.pop_front().unwrap_or((self.say, self.after));
        let decision = self.decide(say, wall);
        let reservation = decision
            .as_ref()
            .and_then(|decision| decision.reservation.as_ref().map(Arc::downgrade));
        self.asked.push(Asked {
            at,
            id,
            question,
            reservation,
            outcomes: Vec::new(),
        });
        decision.map(|decision| (after, decision))
    }

    /// Takes an outcome down and hands it to the reservation, as `serve` does.
    pub fn settle(&mut self, reservation: &Arc<Reservation>, outcome: Outcome, at: DateTime<Utc>) {
        let asked = self
            .asked
            .iter_mut()
            .find(|asked| {
                asked
                    .reservation
                    .as_ref()
                    .is_some_and(|known| known.as_ptr() == Arc::as_ptr(reservation))
            })
            .expect("the proxy settles what it was given");
        asked.outcomes.push(outcome);
        reservation.settle(outcome, at);
        let stored = self.store.settled.lock().expect("the settled").last().copied();
        assert_eq!(stored, Some(outcome), "what is settled reaches the store");
    }

    fn decide(&mut self, say: Say, wall: DateTime<Utc>) -> Option<Decision> {
        let mut decision = Decision {
            verdict: Verdict {
                allowed: true,
                reason: None,
                reasons: [].into_iter().collect(),
                attempts_left: Some(3),
                next_allowed: None,
                valid_until: None,
                counts: true,
                count_since: None,
                consumes: None,
                regime: Some("fr-2023-03".into()),
                territory: None,
            },
            enforced: true,
            professional: Some("acme".into()),
            reservation: None,
            text: None,
        };
        let verdict = &mut decision.verdict;
        match say {
            Say::Never => return None,
            Say::Allow => decision.reservation = Some(self.reserve()),
            Say::AllowUncounted => verdict.counts = false,
            Say::AllowFor(period) => {
                verdict.valid_until = Some(wall + period);
                decision.reservation = Some(self.reserve());
            }
            Say::Refuse(reason, text) => {
                verdict.allowed = false;
                verdict.reason = Some(reason);
                verdict.reasons = [reason].into_iter().collect();
                verdict.counts = false;
                decision.text = Some(text.to_owned());
            }
            Say::Observe(reason) => {
                verdict.allowed = false;
                verdict.reason = Some(reason);
                verdict.reasons = [reason].into_iter().collect();
                decision.enforced = false;
                decision.reservation = Some(self.reserve());
            }
        }
        Some(decision)
    }

    fn reserve(&mut self) -> Arc<Reservation> {
        self.minted += 1;
        let number = |digits| Number::E164(E164::new(digits).expect("a number"));
        let question = Question {
            source: Some(SourceIndex(0)),
            caller: CallerId::Shown(number(33_162_001_234)),
            callee: Callee::Number(number(33_612_345_678)),
            professional: None,
            purpose: None,
            call: self.minted,
        };
        // Tuesday, 11:00 in Paris: the real gate lets it go.
        let tuesday = "2023-06-06T09:00:00Z".parse().expect("a moment");
        match self.mint.admit(&question, tuesday) {
            Answer::Ready(decision) => decision.reservation,
            Answer::Later(future) => {
                tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime")
                    .block_on(future)
                    .reservation
            }
        }
        .expect("a store that grants gives a reservation")
    }
}

fn mint(store: Arc<GrantingStore>) -> Gate {
    let number = |digits| E164::new(digits).expect("a number");
    let professional = Professional {
        id: "acme".into(),
        name: "ACME Assurances".into(),
        siren: Siren(552_100_554),
        sector: None,
        numbers: vec![NumberRange {
            first: number(33_162_001_000),
            last: number(33_162_001_999),
            from: None,
            until: None,
        }],
        mode: Mode::Enforce,
        own: OwnLimits::default(),
        suspended: false,
    };
    let source = SourcePolicy {
        id: "bpo".into(),
        professionals: vec![ProfessionalIndex(0)],
        dialling: Dialling::Automated,
        purpose: Purpose::Canvassing,
        suspended: false,
    };
    let policy = Policy {
        law: Law::embedded(),
        roster: Arc::new(Roster::build(vec![professional], vec![source]).expect("a roster")),
        on_store_failure: OnStoreFailure::Refuse,
        bloctel_required: false,
        answer_within: Duration::from_millis(500),
    };
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    Gate::new(policy, store, Arc::new(Screening::in_memory()), metrics)
}

/// A store that grants every reservation and keeps what was settled.
#[derive(Default)]
struct GrantingStore {
    next: std::sync::atomic::AtomicU64,
    settled: Mutex<Vec<Outcome>>,
}

impl Ledger for GrantingStore {
    fn history(&self, _key: Key) -> Answer<Result<History, StoreError>> {
        Answer::Ready(Ok(History::default()))
    }

    fn reserve(&self, _ask: ReserveIf) -> Answer<Result<Reserved, StoreError>> {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::Ready(Ok(Reserved::Granted(AttemptId(id + 1))))
    }

    fn settle(&self, _key: Key, _id: AttemptId, outcome: Outcome, _at: DateTime<Utc>) {
        self.settled.lock().expect("the settled").push(outcome);
    }

    fn record(&self, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>> {
        Answer::Ready(Ok(Recorded {
            new: entries.len() as u64,
            known: 0,
        }))
    }

    fn note_decision(&self, _decision: DecisionNote) {}

    fn recover(&self, _key: Key, _at: DateTime<Utc>, _meta: AttemptMeta) {}

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
        0
    }

    fn lag(&self) -> u64 {
        0
    }

    fn close(&self) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }
}
