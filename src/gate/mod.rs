//! The one call between SIP and the law: `admit` (facts → rules → reserve) and `settle` (what became of the call).
//!
//! Enforces or observes per professional. Never touches a SIP message.

mod roster;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use roster::{Mode, NumberRange, Professional, ProfessionalIndex, Roster, RosterError, SourceIndex, SourcePolicy};

use crate::law::Law;
use crate::ledger::{Answer, AttemptId, Key, Ledger, Outcome};
use crate::rules::{Callee, CallerId, Purpose, Verdict};
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
}

/// One reserved attempt, owned by the call's transaction and shared only with what settles it. When the last handle is dropped without
/// [`Reservation::settle`], the attempt counts.
#[must_use = "a reservation is settled when the call is over"]
pub struct Reservation {
    key: Key,
    id: AttemptId,
    call: u64,
    gate: Option<Arc<GateCore>>,
}

impl Reservation {
    /// Says what became of the call. May be called again with a later outcome (a late 18x or 2xx after a failure).
    pub fn settle(&self, _outcome: Outcome, _at: DateTime<Utc>) {
        let _ = (self.key, self.id, self.call, &self.gate);
        todo!()
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation")
            .field("id", &self.id)
            .finish_non_exhaustive()
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
pub struct GateCore {}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    core: Arc<GateCore>,
}

impl Gate {
    /// Brings policy, store and lists together.
    pub fn new(_policy: Policy, _ledger: Arc<dyn Ledger>, _screening: Arc<Screening>, _metrics: Arc<Metrics>) -> Self {
        todo!()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        let _ = &self.core;
        todo!()
    }

    /// Puts a new policy in force (reload).
    pub fn set_policy(&self, _policy: Policy) {
        todo!()
    }

    /// Judges a call and, if it may go, reserves its attempt durably. Refusals are `Answer::Ready`. A store that takes longer than
    /// `answer_within` gives [`Gate::without_store`]'s answer, and what it grants late is released. A condition that changed between
    /// facts and reservation is judged again.
    pub fn admit(&self, _question: &Question, _now: DateTime<Utc>) -> Answer<Decision> {
        todo!()
    }

    /// Judges without reserving (`clapet decide`, `POST /v1/decisions`).
    pub fn ask(&self, _question: &Question, _now: DateTime<Utc>) -> Answer<Decision> {
        todo!()
    }

    /// The answer where the store cannot: by `on_store_failure` for canvassing, always go for the rest.
    pub fn without_store(&self, _question: &Question, _now: DateTime<Utc>) -> Decision {
        todo!()
    }
}
