//! Attempts, refusals, consents and contracts for each (SIREN, callee): the [`Ledger`] trait and its embedded form.
//!
//! The check and the reservation are one operation ([`Ledger::reserve`]), so that two calls racing for the last attempt are
//! settled by the store and a networked store needs no locks between nodes. This room knows no rule.

pub mod body;
mod cbor;
mod embedded;
mod record;

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};

pub use embedded::{Aged, EmbeddedLedger, Held, OpenError, Opened, Options, Retention, Secret, ViewState};
pub use record::{
    AttemptMeta, DecisionNote, Entry, Forgotten, Outcome, OwnedRange, Recorded, Standing, Suspended, Suspension, Via,
};

use crate::numbering::E164;
use crate::rules::{Consent, Contract};

/// A legal entity's nine-digit number (SIREN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Siren(pub u32);

/// With its leading zeros.
impl std::fmt::Display for Siren {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:09}", self.0)
    }
}

/// Whose attempts on whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Key {
    pub siren: Siren,
    pub callee: E164,
}

/// An answer that is there already, or comes when the store has done its part.
#[must_use]
pub enum Answer<T> {
    /// Here it is.
    Ready(T),
    /// It comes later.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Answer<T> {
    /// Waits where there is something to wait for.
    pub async fn wait(self) -> T {
        match self {
            Answer::Ready(value) => value,
            Answer::Later(future) => future.await,
        }
    }
}

/// Why the store could not do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A write or a sync failed; nothing is acknowledged until the store is opened anew.
    #[error("the journal could not be written: {0}")]
    Write(String),
    /// The queue towards the journal is full.
    #[error("the journal's queue is full")]
    Overloaded,
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

/// Identity of one reserved attempt: the sequence number of its journal record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct AttemptId(pub u64);

/// What is known of one (professional, callee).
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct History {
    /// Counted attempts still of use, oldest first.
    pub attempts: smallvec::SmallVec<[DateTime<Utc>; 8]>,
    pub refused_at: Option<DateTime<Utc>>,
    pub consents: Vec<Consent>,
    pub contracts: Vec<Contract>,
}

/// A conditional reservation: one atomic operation on one key.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ReserveIf {
    pub key: Key,
    pub at: DateTime<Utc>,
    /// Grant only if fewer than `max` counted attempts lie at or after `since`; `None`: grant whatever the count
    /// (observed calls, regimes without a frequency).
    pub limit: Option<(u8, DateTime<Utc>)>,
    /// Grant only if no refusal newer than this one is known: the facts the decision was taken from still hold.
    pub refusal_known: Option<DateTime<Utc>>,
    /// What the journal keeps of the call.
    pub meta: AttemptMeta,
}

/// The answer to a conditional reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Reserved, durable as configured.
    Granted(AttemptId),
    /// An earlier INVITE of the same call, perhaps before a crash, reserved this attempt. That one may have been presented: what becomes
    /// of this one must not give the attempt back.
    Held(AttemptId),
    /// The limit was reached meanwhile.
    Exhausted,
    /// A newer refusal arrived meanwhile: judge again.
    Changed,
}

/// The store. One implementation is embedded; a networked one must be possible behind the same operations.
pub trait Ledger: Send + Sync + 'static {
    /// What is known of a key. Memory only in the embedded store.
    fn history(&self, key: Key) -> Answer<Result<History, StoreError>>;

    /// Checks and reserves in one operation. A refusal by the condition never waits for the disk.
    fn reserve(&self, ask: ReserveIf) -> Answer<Result<Reserved, StoreError>>;

    /// Says what became of a reserved attempt; an outcome that does not count gives the attempt back. A later outcome for the
    /// same attempt replaces the earlier (a late 18x counts it again). Never waits; an attempt never settled counts.
    fn settle(&self, key: Key, id: AttemptId, outcome: Outcome, at: DateTime<Utc>);

    /// As [`Ledger::settle`], naming the trunk that carried the call. A store without evidence has no use for the name.
    fn settle_over(&self, key: Key, id: AttemptId, outcome: Outcome, at: DateTime<Utc>, trunk: &str) {
        let _ = trunk;
        self.settle(key, id, outcome, at);
    }

    /// Appends entries atomically: all or none; the same entry again changes nothing.
    fn record(&self, entries: Vec<Entry>) -> Answer<Result<Recorded, StoreError>>;

    /// A call that was refused or observed in violation, for the journal; never blocks, coalesced and shed when flooded.
    fn note_decision(&self, decision: DecisionNote);

    /// A call forwarded while the store could not answer; kept and appended later as `recovered`.
    fn recover(&self, key: Key, at: DateTime<Utc>, meta: AttemptMeta);

    /// Erases one number's personal data on request (`clapet forget`) except what the law obliges to keep; what still binds stays
    /// under a keyed hash, so that erasure opens no fifth call and lifts no refusal.
    fn forget(&self, number: E164, at: DateTime<Utc>) -> Answer<Result<Forgotten, StoreError>>;

    /// Signs what is recorded so far, so that it can be proved. A store without evidence of its own has nothing to sign.
    fn sign(&self) -> Answer<Result<(), StoreError>> {
        Answer::Ready(Ok(()))
    }

    /// What was recorded that the roster is built from: imported ranges, suspensions.
    fn standing(&self) -> Standing;

    /// Is the store able to reserve? The text is for `/readyz`.
    fn health(&self) -> Result<(), String>;

    /// Live (siren, callee) records.
    fn records(&self) -> u64;

    /// Records decided in memory that are not yet on disk.
    fn lag(&self) -> u64;

    /// Flushes everything to the disk; called at the end of a drain.
    fn close(&self) -> Answer<Result<(), StoreError>>;
}
