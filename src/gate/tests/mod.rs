//! The gate over a store in memory: who asks and for whom (`party`), what is reserved and settled (`reserving`), what happens when the
//! store does not answer (`failing`), and what holds under any interleaving (`racing`).

mod failing;
mod party;
mod racing;
mod reserving;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::*;
use crate::ledger::{Key, Siren};
use crate::numbering::{E164, Number};
use crate::rules::{Dialling, OwnLimits, Reason};
use store::{FakeLedger, Mode as StoreMode};

pub(in crate::gate) fn number(digits: u64) -> E164 {
    E164::new(digits).unwrap()
}

/// Owner of nothing yet.
pub(in crate::gate) fn professional(id: &str, siren: u32) -> Professional {
    Professional {
        id: id.into(),
        name: id.to_uppercase().into(),
        siren: Siren(siren),
        sector: None,
        numbers: Vec::new(),
        mode: Mode::Enforce,
        own: OwnLimits::default(),
        suspended: false,
    }
}

pub(in crate::gate) fn source(id: &str, professionals: &[u16]) -> SourcePolicy {
    SourcePolicy {
        id: id.into(),
        professionals: professionals.iter().copied().map(ProfessionalIndex).collect(),
        dialling: Dialling::Automated,
        purpose: Purpose::Canvassing,
        suspended: false,
    }
}

const ACME: u64 = 33_162_001_000;
const BETA: u64 = 33_162_002_000;
const GAMMA: u64 = 33_162_003_000;
const CALLEE: u64 = 33_612_345_678;

const ACME_SIREN: Siren = Siren(552_100_554);

/// `acme` and `acme-bis` share a SIREN, `beta` is another's, `gamma` is only watched. `bpo` calls for acme alone, `multi` for acme and
/// beta, `gamma` for itself.
struct World {
    gate: Gate,
    store: Arc<FakeLedger>,
    metrics: Arc<Metrics>,
}

const BPO: Option<SourceIndex> = Some(SourceIndex(0));
const MULTI: Option<SourceIndex> = Some(SourceIndex(1));
const WATCHED: Option<SourceIndex> = Some(SourceIndex(2));

/// Tuesday 2023-06-06, 11:00 in Paris.
const OPEN: &str = "2023-06-06T09:00:00Z";
/// The same day, 13:30.
const LUNCH: &str = "2023-06-06T11:30:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn parties() -> (Vec<Professional>, Vec<SourcePolicy>) {
    let owning = |id, siren, first| {
        let range = NumberRange {
            first: number(first),
            last: number(first + 99),
            from: None,
            until: None,
        };
        Professional {
            numbers: vec![range],
            ..professional(id, siren)
        }
    };
    let professionals = vec![
        owning("acme", ACME_SIREN.0, ACME),
        owning("acme-bis", ACME_SIREN.0, ACME + 100),
        owning("beta", 2, BETA),
        Professional {
            mode: Mode::Observe,
            ..owning("gamma", 3, GAMMA)
        },
    ];
    let sources = vec![source("bpo", &[0]), source("multi", &[0, 2]), source("gamma", &[3])];
    (professionals, sources)
}

impl World {
    fn new() -> Self {
        Self::with(StoreMode::Ready, OnStoreFailure::Refuse)
    }

    fn with(mode: StoreMode, on_store_failure: OnStoreFailure) -> Self {
        let store = FakeLedger::new(mode);
        let (professionals, sources) = parties();
        let policy = Policy {
            law: Law::embedded(),
            roster: Arc::new(Roster::build(professionals, sources).unwrap()),
            on_store_failure,
            bloctel_required: false,
            answer_within: Duration::from_secs(3600),
        };
        let metrics = Arc::new(Metrics::new().unwrap());
        let ledger: Arc<dyn Ledger> = Arc::<FakeLedger>::clone(&store);
        let gate = Gate::new(policy, ledger, Arc::new(Screening::in_memory()), Arc::clone(&metrics));
        Self { gate, store, metrics }
    }

    /// Changes source `bpo`.
    fn bpo(self, change: impl FnOnce(&mut SourcePolicy)) -> Self {
        let (professionals, mut sources) = parties();
        change(&mut sources[0]);
        let policy = Policy::clone(&self.gate.policy());
        let roster = Arc::new(Roster::build(professionals, sources).unwrap());
        self.gate.set_policy(Policy { roster, ..policy });
        self
    }

    fn answering_within(self, answer_within: Duration) -> Self {
        let policy = Policy::clone(&self.gate.policy());
        self.gate.set_policy(Policy {
            answer_within,
            ..policy
        });
        self
    }

    fn admit(&self, question: &Question, now: &str) -> Decision {
        ready(self.gate.admit(question, at(now)))
    }

    fn invites(&self, labels: [&str; 4]) -> u64 {
        self.metrics.invites.with_label_values(&labels).get()
    }
}

fn ready<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Ready(value) => value,
        Answer::Later(_) => panic!("a store that answers at once costs no waiting"),
    }
}

fn question(source: Option<SourceIndex>, caller: u64) -> Question {
    Question {
        source,
        caller: CallerId::Shown(Number::E164(number(caller))),
        callee: Callee::Number(Number::E164(number(CALLEE))),
        professional: None,
        purpose: None,
        call: 0,
    }
}

fn ordinary() -> Question {
    question(BPO, ACME)
}

fn key(siren: Siren) -> Key {
    Key {
        siren,
        callee: number(CALLEE),
    }
}

#[track_caller]
fn refused(decision: &Decision, reason: Reason) {
    assert_eq!(decision.verdict.reason, Some(reason));
    assert!(!decision.verdict.allowed && decision.enforced && !decision.forwards());
    assert!(decision.reservation.is_none());
}
