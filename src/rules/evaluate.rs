//! The evaluation itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Attempt, Facts, Reason, Reasons};
use crate::law::Law;
use crate::numbering::Territory;

/// The answer to one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// May the call go?
    pub allowed: bool,
    /// The first violated rule, or why an allowed call was exempt.
    pub reason: Option<Reason>,
    /// Every violated rule, in the regime's order.
    pub reasons: Reasons,
    /// Calls still allowed in the period before this one; `None` where none are counted.
    pub attempts_left: Option<u8>,
    /// The next moment at which the same call would be allowed: `None` for an allowed call, and where no date makes it lawful.
    pub next_allowed: Option<DateTime<Utc>>,
    /// An allowed call may start no new branch at or after this moment (the window closes).
    pub valid_until: Option<DateTime<Utc>>,
    /// Does the call, if sent, count among the professional's attempts?
    pub counts: bool,
    /// Maximum and first instant of the counting period, for the conditional reserve.
    pub count_since: Option<(u8, DateTime<Utc>)>,
    /// Index into `facts.consents` of the `requested` or `hours` consent that an answered call consumes.
    pub consumes: Option<usize>,
    /// The regime that decided; `None` before the first.
    pub regime: Option<Arc<str>>,
    /// The callee's territory; `None` for short and foreign numbers.
    pub territory: Option<Territory>,
}

/// Judges one call. See the contract, "How the cases are read".
pub fn evaluate(_attempt: &Attempt, _facts: &Facts<'_>, _law: &Law, _now: DateTime<Utc>) -> Verdict {
    let _ = Reason::ALL;
    todo!()
}
