//! What goes into the store and the journal.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Key, Siren};
use crate::numbering::E164;
use crate::rules::{Consent, Contract, Reason};

/// What became of a reserved attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Outcome {
    Answered,
    NoAnswer,
    Busy,
    /// Given up by the caller.
    Cancelled,
    /// Any other final answer after which the call may have been presented.
    Rejected,
    /// The network said that the call could not be presented: gives the attempt back.
    Failed,
    /// Never sent (refused late, caller gone while waiting): gives the attempt back.
    Unsent,
    /// Nobody settled it; counts.
    Abandoned,
}

impl Outcome {
    /// All of them, in the order of their declaration; the position is the number in the ledger's view, so that the order stays.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::NoAnswer,
        Self::Busy,
        Self::Cancelled,
        Self::Rejected,
        Self::Failed,
        Self::Unsent,
        Self::Abandoned,
    ];

    /// As the import files, the journal and the metrics spell it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoAnswer => "no-answer",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unsent => "unsent",
            Self::Abandoned => "abandoned",
        }
    }

    /// Does an attempt with this outcome count (contract, "What counts")?
    pub const fn counts(self) -> bool {
        !matches!(self, Outcome::Failed | Outcome::Unsent)
    }
}

/// Through whom the call went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Via {
    pub source: Option<Arc<str>>,
    pub professional: Option<Arc<str>>,
}

/// What the journal keeps of a reserved call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct AttemptMeta {
    pub via: Via,
    pub caller: Option<E164>,
    pub regime: Option<Arc<str>>,
    /// Exemption, or the first violated rule of an observed call.
    pub reason: Option<Reason>,
    /// Evidence reference of the consent relied on.
    pub evidence: Option<Arc<str>>,
    /// IANA name of the callee's zone, so that the record shows the local time.
    pub zone: Option<Arc<str>>,
    /// Hash of Call-ID and From-tag.
    pub call: u64,
    /// Forwarded although in violation, the professional being observed.
    pub observed: bool,
}

/// A refused or observed call, for the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DecisionNote {
    pub at: DateTime<Utc>,
    pub siren: Option<Siren>,
    pub callee: Option<E164>,
    pub caller: Option<E164>,
    pub via: Via,
    pub regime: Option<Arc<str>>,
    pub reasons: Vec<Reason>,
    pub observed: bool,
}

/// One fact to record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Entry {
    Refusal {
        key: Key,
        at: DateTime<Utc>,
        channel: Arc<str>,
    },
    /// `object`: nature of the goods or services; `channel`: how it was collected.
    Consent {
        key: Key,
        consent: Consent,
        channel: Arc<str>,
        object: Arc<str>,
    },
    /// Marks the consent given at `given_at` with this scope as consumed by an answered call.
    ConsentUsed {
        key: Key,
        given_at: DateTime<Utc>,
        scope: crate::rules::ConsentScope,
        at: DateTime<Utc>,
    },
    Contract {
        key: Key,
        contract: Contract,
    },
    /// A call made elsewhere for the same professional.
    Attempt {
        key: Key,
        at: DateTime<Utc>,
        outcome: Outcome,
        source: Arc<str>,
    },
    /// A caller number range and its owner (affectataire).
    Range(OwnedRange),
    /// A list or screening was loaded: counts and SHA-256 of the snapshot file; the numbers are in the snapshot.
    Screening {
        list: Arc<str>,
        siren: Option<Siren>,
        day: NaiveDate,
        numbers: u64,
        opposed: u64,
        sha256: [u8; 32],
    },
    /// A source or professional was suspended, or taken back.
    Suspension(Suspension),
    /// The configuration or the law file that is in force from now on.
    Configuration {
        what: Arc<str>,
        sha256: [u8; 32],
    },
    /// Personal data of one number were erased on request.
    Forgotten {
        tag: [u8; 32],
    },
}

/// How many entries were new and how many were known already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Recorded {
    pub new: u64,
    pub known: u64,
}

/// A caller number range, its owner (affectataire) and the local days on which it is owned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OwnedRange {
    pub first: E164,
    pub last: E164,
    /// Id of the professional.
    pub professional: Arc<str>,
    pub from: NaiveDate,
    pub until: Option<NaiveDate>,
}

/// The state of an operator's suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Suspension {
    pub what: Suspended,
    pub id: Arc<str>,
    pub suspended: bool,
}

/// What can be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Suspended {
    Source,
    Professional,
}

/// What was recorded that the roster is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Standing {
    pub ranges: Vec<OwnedRange>,
    /// Those in force only.
    pub suspensions: Vec<Suspension>,
}

/// What a request for erasure erased, and what it kept with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Forgotten {
    /// Records whose personal part was erased.
    pub erased: u64,
    /// What was kept: how many records, of what, and why (text of law).
    pub kept: Vec<(u64, String)>,
}
