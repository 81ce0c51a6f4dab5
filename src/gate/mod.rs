//! The one call between SIP and the law: `admit` (facts → rules → reserve) and `settle` (what became of the call).
//!
//! Enforces or observes per professional. Never touches a SIP message. Who asks is resolved in `inquiry`, the way through the store is
//! `admit`, what it granted is `reservation`.

mod admit;
mod counters;
mod inquiry;
mod reservation;
mod roster;
mod text;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustc_hash::FxHashSet;

pub use reservation::Reservation;
pub use roster::{Mode, NumberRange, Professional, ProfessionalIndex, Roster, RosterError, SourceIndex, SourcePolicy};

use counters::{AttemptCounters, InviteCounters, VerdictLabel};
use inquiry::Inquiry;
use reservation::Calls;

use crate::law::Law;
use crate::ledger::{Answer, Ledger, Siren, Suspension};
use crate::numbering::Territory;
use crate::rules::{Callee, CallerId, Purpose, Reason, Verdict};
use crate::screening::Screening;
use crate::telemetry::Metrics;

/// One call as the call path, the API or the command line asks about it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Question {
    /// The configured source; `None`: asked without one, judged as automated canvassing.
    pub source: Option<SourceIndex>,
    pub caller: CallerId,
    pub callee: Callee,
    /// Id of the professional that a trusted header or the asker names.
    pub professional: Option<Arc<str>>,
    /// Purpose named per call in a trusted header.
    pub purpose: Option<Purpose>,
    /// Hash of Call-ID and From-tag: one call, however many INVITEs carry it. Zero: no call.
    pub call: u64,
}

/// The gate's answer.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Decision {
    pub verdict: Verdict,
    /// False where the verdict is a refusal but the professional is only observed: the call goes.
    pub enforced: bool,
    /// Id of the professional on whose behalf the call is made, where known.
    pub professional: Option<Arc<str>>,
    /// To be settled when the call is over; `None` where nothing was reserved.
    pub reservation: Option<Arc<Reservation>>,
    /// For the answer's Warning, after the code: `4 of 4 calls since 2023-03-02; next 2023-04-03T10:00:00+02:00`. Holds no phone number.
    pub text: Option<String>,
}

impl Decision {
    /// Does the call go to the trunk?
    pub fn forwards(&self) -> bool {
        self.verdict.allowed || !self.enforced
    }

    fn label(&self) -> VerdictLabel {
        match (self.verdict.allowed, self.enforced) {
            (true, _) => VerdictLabel::Allow,
            (false, true) => VerdictLabel::Refuse,
            (false, false) => VerdictLabel::Observe,
        }
    }
}

/// What the store-less answer is when the store cannot answer (`[law] on_store_failure`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OnStoreFailure {
    Refuse,
    Forward,
}

/// What may change on reload, swapped as one.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Policy {
    pub law: Arc<Law>,
    pub roster: Arc<Roster>,
    pub on_store_failure: OnStoreFailure,
    pub bloctel_required: bool,
    /// A store that takes longer counts as unavailable.
    pub answer_within: std::time::Duration,
}

/// State shared by the gate's handles and its reservations.
pub struct GateCore {
    state: ArcSwap<State>,
    /// One change of policy at a time.
    change: Mutex<()>,
    ledger: Arc<dyn Ledger>,
    screening: Arc<Screening>,
    metrics: Arc<Metrics>,
    attempts: AttemptCounters,
    calls: Calls,
}

/// The policy in force with what is derived from it.
struct State {
    policy: Arc<Policy>,
    /// IANA names of the territories' zones, by position.
    zones: [Arc<str>; Territory::ALL.len()],
    /// Legal entities suspended under any of their ids.
    suspended: FxHashSet<Siren>,
    invites: InviteCounters,
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    core: Arc<GateCore>,
}

impl Gate {
    /// Brings policy, store and lists together.
    pub fn new(policy: Policy, ledger: Arc<dyn Ledger>, screening: Arc<Screening>, metrics: Arc<Metrics>) -> Self {
        let core = GateCore {
            state: ArcSwap::from_pointee(State::new(policy)),
            change: Mutex::new(()),
            attempts: AttemptCounters::new(&metrics),
            calls: Calls::default(),
            ledger,
            screening,
            metrics,
        };
        Self { core: Arc::new(core) }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.core.state.load().policy)
    }

    /// Puts a new policy in force (reload). Its roster has to know the suspensions in force ([`Roster::with_standing`]).
    pub fn set_policy(&self, policy: Policy) {
        let _one = self.core.change.lock().unwrap_or_else(PoisonError::into_inner);
        self.core.state.store(Arc::new(State::new(policy)));
    }

    /// Puts an operator's suspension in force, or takes it back; false where nobody has that id. Recording it
    /// ([`crate::ledger::Entry::Suspension`]) is the caller's.
    pub fn suspend(&self, suspension: &Suspension) -> bool {
        let _one = self.core.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut policy = Policy::clone(&self.core.state.load().policy);
        let known = Arc::make_mut(&mut policy.roster).suspend(suspension);
        if known {
            self.core.state.store(Arc::new(State::new(policy)));
        }
        known
    }

    /// Judges a call and, if it may go, reserves its attempt durably. Refusals are `Answer::Ready`. A store that takes longer than
    /// `answer_within` gives [`Gate::without_store`]'s answer, and what it grants late is released. A condition that changed between
    /// facts and reservation is judged again.
    ///
    /// A store that answers at once costs no task; `Answer::Later` has to be awaited within a Tokio runtime with time.
    pub fn admit(&self, question: &Question, now: DateTime<Utc>) -> Answer<Decision> {
        admit::admit(&self.core, question, now)
    }

    /// Judges without reserving (`clapet decide`, `POST /v1/decisions`).
    pub fn ask(&self, question: &Question, now: DateTime<Utc>) -> Answer<Decision> {
        admit::ask(&self.core, question, now)
    }

    /// The answer where the store cannot: by `on_store_failure` for canvassing, always go for the rest.
    pub fn without_store(&self, question: &Question, now: DateTime<Utc>) -> Decision {
        let inquiry = Inquiry::new(self.core.state.load_full(), question, now);
        let decision = inquiry.without_history();
        let decision = decision.unwrap_or_else(|| self.core.unavailable(&inquiry));
        self.core.conclude(&inquiry, decision)
    }
}

impl State {
    fn new(policy: Policy) -> Self {
        let professionals = policy.roster.professionals().iter();
        let suspended = professionals.filter(|professional| professional.suspended);
        Self {
            suspended: suspended.map(|professional| professional.siren).collect(),
            zones: Territory::ALL.map(|territory| Arc::from(policy.law.zone(territory).name())),
            policy: Arc::new(policy),
            invites: InviteCounters::default(),
        }
    }
}

impl GateCore {
    /// The answer without the store; a call that goes all the same is handed to it for later.
    fn unavailable(&self, inquiry: &Inquiry) -> Decision {
        let decision = inquiry.unavailable(&self.screening);
        if let (true, true, Some(key)) = (decision.forwards(), decision.verdict.counts, inquiry.key()) {
            self.ledger.recover(key, inquiry.now, inquiry.meta(&decision, None));
        }
        decision
    }

    /// Counts the answer and notes a violation.
    fn conclude(&self, inquiry: &Inquiry, decision: Decision) -> Decision {
        let (label, reason) = (decision.label(), decision.verdict.reason);
        inquiry.state.invites.count(&self.metrics, inquiry, label, reason);
        if label != VerdictLabel::Allow && reason.is_some_and(is_evidence) {
            self.ledger.note_decision(inquiry.note(&decision));
        }
        decision
    }

    fn observe_decision(&self, began: Instant) {
        self.metrics.decision_seconds.observe(began.elapsed().as_secs_f64());
    }
}

/// Who is no customer and what is no number is counted in the metrics only (contract, "Journal").
const fn is_evidence(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::SourceUnknown
            | Reason::SourceSuspended
            | Reason::SourceRate
            | Reason::CallerIdUnparseable
            | Reason::CalleeUnparseable
    )
}
