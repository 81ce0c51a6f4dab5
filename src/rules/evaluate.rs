//! The evaluation itself: from one judged moment to the answer.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::case::Case;
use super::{Attempt, CallerId, Facts, Reach, Reason, Reasons, frequency, next};
use crate::law::{Law, RuleKind};
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
pub fn evaluate(attempt: &Attempt, facts: &Facts<'_>, law: &Law, now: DateTime<Utc>) -> Verdict {
    examine(attempt, Reach::of(attempt, &law.plan), facts, law, now).0
}

/// Judges one call whose reach is known, and says on which consent an allowed one relies (index into `facts.consents`), for the
/// evidence.
pub fn examine(
    attempt: &Attempt,
    reach: Reach,
    facts: &Facts<'_>,
    law: &Law,
    now: DateTime<Utc>,
) -> (Verdict, Option<usize>) {
    let shown = match attempt.caller {
        CallerId::Shown(number) => Some(law.plan.placed(number)),
        _ => None,
    };
    let case = Case {
        attempt,
        facts,
        law,
        reach,
        territory: reach.place(),
        shown: shown.as_ref(),
    };
    let moment = case.moment(now);
    let mut verdict = Verdict {
        allowed: true,
        reason: None,
        reasons: Reasons::new(),
        attempts_left: None,
        next_allowed: None,
        valid_until: None,
        counts: reach.counts(attempt),
        count_since: None,
        consumes: None,
        regime: moment.regime.map(|regime| Arc::clone(&regime.name)),
        territory: match reach {
            Reach::Callee(territory) => Some(territory),
            _ => None,
        },
    };
    match reach {
        Reach::Emergency => verdict.reason = Some(Reason::ExemptEmergency),
        Reach::Nothing => verdict.reason = Some(Reason::ExemptPurpose),
        Reach::Unparseable => verdict.refuse(Reason::CalleeUnparseable),
        Reach::Foreign | Reach::Callee(_) => {
            let judged = case.judge(&moment);
            if case.subject_to(RuleKind::Frequency, moment.regime)
                && let Some(tally) = frequency::tally(&case, &moment)
            {
                verdict.attempts_left = Some(tally.left);
                verdict.count_since = Some((tally.max, tally.since));
            }
            if !judged.violated.is_empty() {
                verdict.next_allowed = next::next_allowed(&case, &moment, &judged);
                judged
                    .violated
                    .iter()
                    .for_each(|violation| verdict.refuse(violation.reason));
                return (verdict, None);
            }
            let foreign = (reach == Reach::Foreign).then_some(Reason::ExemptForeign);
            verdict.reason = judged.exemption.or(foreign);
            verdict.valid_until = next::valid_until(&case, &moment, &judged);
            let used = &judged.used;
            let slot = used.slot.map(|slot| slot.index);
            let once = used.slot.filter(|slot| slot.once).map(|slot| slot.index);
            verdict.consumes = used.request.map(|request| request.index).or(once);
            let prospecting = used.prospecting.map(|consent| consent.index);
            let relied = verdict.consumes.or(slot).or(prospecting);
            return (verdict, relied);
        }
    }
    (verdict, None)
}

impl Verdict {
    /// Adds a violated rule; the first is the answer.
    pub fn refuse(&mut self, reason: Reason) {
        self.allowed = false;
        if self.reasons.is_empty() {
            self.reason = Some(reason);
        }
        self.reasons.push(reason);
    }
}
