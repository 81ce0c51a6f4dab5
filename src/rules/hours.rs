//! Days and hours (D.223-9): the regime's and, where stricter, the professional's own; a call has to fit both.

use chrono::{DateTime, Datelike, Utc};

use super::Reason;
use super::case::{Case, Moment};
use super::lifts::earliest;
use crate::law::{Hours, RuleKind};

/// The first of day, holiday, window.
pub(super) fn violation(case: &Case<'_>, moment: &Moment<'_>) -> Option<Reason> {
    binding(case, moment)
        .into_iter()
        .flatten()
        .filter_map(|hours| closed(case, moment, hours))
        .min()
}

/// The earliest moment from this one on at which all hours are open; `None` where the search finds none.
pub(super) fn next_open(case: &Case<'_>, moment: &Moment<'_>) -> Option<DateTime<Utc>> {
    let hours = binding(case, moment);
    let mut at = moment.at;
    for _ in 0..MAX_ROUNDS {
        let mut opens = at;
        for hours in hours.into_iter().flatten() {
            opens = case.law.next_open(hours, opens, case.territory)?;
        }
        if opens == at {
            return Some(at);
        }
        at = opens;
    }
    None
}

/// When the first of the windows that are open now closes.
pub(super) fn closes(case: &Case<'_>, moment: &Moment<'_>) -> Option<DateTime<Utc>> {
    earliest(binding(case, moment).map(|hours| case.law.closes(hours?, moment.at, case.territory)))
}

/// The regime's hours, and the professional's own.
fn binding<'a>(case: &Case<'a>, moment: &Moment<'a>) -> [Option<&'a Hours>; 2] {
    let regime = moment.regime.filter(|regime| regime.rules.contains(&RuleKind::Hours));
    [
        regime.and_then(|regime| regime.hours.as_ref()),
        case.facts.own.and_then(|own| own.hours.as_ref()),
    ]
}

fn closed(case: &Case<'_>, moment: &Moment<'_>, hours: &Hours) -> Option<Reason> {
    if !hours.day_holds(moment.day.weekday()) {
        Some(Reason::HoursDay)
    } else if case.law.is_holiday(moment.day, case.territory, hours.holidays) {
        Some(Reason::HoursHoliday)
    } else if !hours.window_holds(case.law.local(moment.at, case.territory).time()) {
        Some(Reason::HoursWindow)
    } else {
        None
    }
}

/// Weekly hours that meet at all do so within some weeks, holidays or not.
const MAX_ROUNDS: usize = 64;
