//! At most so many attempts in the local calendar days that end today (D.223-9): the regime's limit and, where stricter, the
//! professional's own.

use chrono::{DateTime, Days, Utc};

use super::case::{Case, Moment};
use crate::law::{Frequency, RuleKind};

/// How one limit stands at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) max: u8,
    /// First instant of the period.
    pub(super) since: DateTime<Utc>,
    /// Calls still allowed.
    pub(super) left: u8,
}

/// Has a limit been reached? Fewer attempts in all than every limit allows have reached none, whenever they were made.
pub(super) fn is_exhausted(case: &Case<'_>, moment: &Moment<'_>) -> bool {
    let few = |limit: Frequency| case.facts.attempts.len() < usize::from(limit.max);
    let reached = !binding(case, moment).into_iter().flatten().all(few);
    reached && tally(case, moment).is_some_and(|tally| tally.left == 0)
}

/// The limit that leaves the fewest calls; `None` where none holds.
pub(super) fn tally(case: &Case<'_>, moment: &Moment<'_>) -> Option<Tally> {
    let tallies = binding(case, moment).into_iter().flatten().map(|limit| {
        let counted = counted(case, moment, limit);
        Tally {
            max: limit.max,
            since: counted.since,
            left: limit
                .max
                .saturating_sub(u8::try_from(counted.attempts.len()).unwrap_or(u8::MAX)),
        }
    });
    tallies.min_by_key(|tally| tally.left)
}

/// The earliest moment at which no limit is exhausted any more, as far as the attempts known today go; `None`: never.
pub(super) fn frees(case: &Case<'_>, moment: &Moment<'_>) -> Option<DateTime<Utc>> {
    let mut latest = moment.at;
    for limit in binding(case, moment).into_iter().flatten() {
        let attempts = counted(case, moment, limit).attempts;
        let Some(surplus) = attempts.len().checked_sub(limit.max.into()) else {
            continue;
        };
        // The last that has to leave the period; none is left to leave where the limit is zero.
        let leaves = case.law.local_day(*attempts.get(surplus)?, case.territory);
        let free = leaves.checked_add_days(Days::new(limit.days.max(1).into()))?;
        latest = latest.max(case.law.start_of_day(free, case.territory));
    }
    Some(latest)
}

struct Counted<'a> {
    since: DateTime<Utc>,
    attempts: &'a [DateTime<Utc>],
}

/// The attempts of the calendar days that end today, today included.
fn counted<'a>(case: &Case<'a>, moment: &Moment<'_>, limit: Frequency) -> Counted<'a> {
    let before = Days::new(limit.days.saturating_sub(1).into());
    let first = moment.day.checked_sub_days(before).unwrap_or(moment.day);
    let since = case.law.start_of_day(first, case.territory);
    let all = case.facts.attempts;
    let from = all.partition_point(|attempt| *attempt < since);
    let attempts = &all[from..];
    // Attempts of later days exist where a past moment is judged.
    let later = attempts.last().is_some_and(|last| *last > moment.at);
    let until = match moment.day.succ_opt() {
        Some(tomorrow) if later => {
            let end = case.law.start_of_day(tomorrow, case.territory);
            attempts.partition_point(|attempt| *attempt < end)
        }
        _ => attempts.len(),
    };
    Counted {
        since,
        attempts: &attempts[..until],
    }
}

fn binding(case: &Case<'_>, moment: &Moment<'_>) -> [Option<Frequency>; 2] {
    let regime = moment
        .regime
        .filter(|regime| regime.rules.contains(&RuleKind::Frequency));
    [
        regime.and_then(|regime| regime.frequency),
        case.facts.own.and_then(|own| own.frequency),
    ]
}
