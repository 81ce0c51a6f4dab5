//! The next moment at which the same call would be allowed, and how long an allowed call stays so.
//!
//! Each violated rule names the first moment at which it may cease to be violated. Until the latest of these nothing can be
//! lawful, unless another regime begins, under which everything is judged anew: so the search jumps to the earlier of the two
//! and judges there, by that day's regime, until nothing is violated.

use chrono::{DateTime, Utc};

use super::case::{Case, Judged, Moment, Violation};
use super::lifts::{earliest, next_begin};
use super::{caller_id, frequency, hours, lists};
use crate::law::{RefusalTerm, RuleKind};

/// `None` where no date makes the call lawful, as far as is known today.
pub(super) fn next_allowed(case: &Case<'_>, now: &Moment<'_>, judged: &Judged) -> Option<DateTime<Utc>> {
    let mut at = step(case, now, &judged.violated)?;
    let mut before = now.at;
    for _ in 0..MAX_STEPS {
        if at <= before {
            return None;
        }
        let moment = case.moment(at);
        let judged = case.judge(&moment);
        if judged.violated.is_empty() {
            return Some(at);
        }
        before = at;
        at = step(case, &moment, &judged.violated)?;
    }
    None
}

/// When an allowed call has to be judged anew: the first of what it goes by that ends.
pub(super) fn valid_until(case: &Case<'_>, now: &Moment<'_>, judged: &Judged) -> Option<DateTime<Utc>> {
    let used = &judged.used;
    let subject_to_hours = case.subject_to(RuleKind::Hours, now.regime);
    // A closed window says nothing: where the hours are lifted, what lifts them ends.
    let closes = subject_to_hours.then(|| hours::closes(case, now)).flatten();
    let contract = used.contract.and_then(|contract| contract.until?.succ_opt());
    earliest([
        closes,
        used.slot.and_then(|slot| slot.until),
        used.request.map(|request| request.until),
        used.prospecting.and_then(|consent| consent.until),
        contract.map(|day| case.law.start_of_day(day, case.territory)),
        subject_to_hours.then(|| regime_ends(case, now)).flatten(),
    ])
}

/// The earliest moment worth judging; `None` where none is left.
fn step(case: &Case<'_>, moment: &Moment<'_>, violated: &[Violation]) -> Option<DateTime<Utc>> {
    let regime_ends = regime_ends(case, moment);
    let mut latest = moment.at;
    for violation in violated {
        match may_cease(case, moment, violation.kind) {
            Some(at) => latest = latest.max(at),
            None => return regime_ends,
        }
    }
    earliest([Some(latest), regime_ends])
}

/// The first moment at which the rule may cease to be violated under the moment's regime; `None`: never.
fn may_cease(case: &Case<'_>, moment: &Moment<'_>, kind: RuleKind) -> Option<DateTime<Utc>> {
    let of_itself = match kind {
        RuleKind::CallerId => {
            let changes = caller_id::next_change(case, moment.day)?;
            return Some(case.law.start_of_day(changes, case.territory));
        }
        RuleKind::Frequency => return frequency::frees(case, moment),
        RuleKind::Refusal => match moment.regime?.refusal? {
            RefusalTerm::Days(_) => lists::refusal_ends(case, moment),
            RefusalTerm::UntilNewConsent => None,
        },
        RuleKind::Hours => hours::next_open(case, moment),
        // A list does not get younger, and nobody leaves it; a ban and a missing consent stay.
        RuleKind::Sector | RuleKind::Opposition | RuleKind::Consent | RuleKind::Bloctel => None,
    };
    earliest([of_itself, next_begin(case, moment.at)])
}

fn regime_ends(case: &Case<'_>, moment: &Moment<'_>) -> Option<DateTime<Utc>> {
    let next = case.law.regime_after(moment.day)?;
    Some(case.law.start_of_day(next.from, case.territory))
}

/// Moments judged at most. An ordinary refusal takes one to three; more come only from that many future slots.
const MAX_STEPS: usize = 512;
