//! Who is shown (L.221-17; Arcep's numbering plan): one code for the whole rule, what the number is before whose it is.

use chrono::NaiveDate;

use super::case::{Case, Moment};
use super::{CallerId, Dialling, Ownership, Reason};
use crate::law::Regime;
use crate::numbering::Category;

pub(super) fn violation(case: &Case<'_>, moment: &Moment<'_>) -> Option<Reason> {
    match case.attempt.caller {
        CallerId::Shown(_) => {}
        CallerId::Masked => return Some(Reason::CallerIdMasked),
        CallerId::Missing => return Some(Reason::CallerIdMissing),
        CallerId::Unparseable => return Some(Reason::CallerIdUnparseable),
    }
    let category = moment.regime.and_then(|regime| category(case, regime, moment.day));
    category.or(match case.facts.ownership {
        Ownership::Own => None,
        Ownership::Other => Some(Reason::CallerIdNotOwned),
        Ownership::NoProfessional => Some(Reason::ProfessionalUnknown),
    })
}

fn category(case: &Case<'_>, regime: &Regime, day: NaiveDate) -> Option<Reason> {
    let automated = case.attempt.dialling != Dialling::Manual;
    let shown = case.shown?.on(day).category;
    let may = if automated { regime.automated } else { regime.manual };
    match shown {
        shown if may.contains(shown) => None,
        Category::Mobile => Some(Reason::CallerIdMobile),
        Category::Geographic | Category::Polyvalent if automated => Some(Reason::CallerIdNotNpv),
        _ => Some(Reason::CallerIdCategory),
    }
}

/// The first day after `day` on which the plan puts the shown number into another category.
pub(super) fn next_change(case: &Case<'_>, day: NaiveDate) -> Option<NaiveDate> {
    let shown = case.shown?;
    let category = |day| shown.on(day).category;
    let today = category(day);
    // Blocks are given once and kept, so the newest plan tells whether there is a change at all.
    if category(NaiveDate::MAX) == today {
        return None;
    }
    let ahead = day.iter_days().skip(1).take(SEARCHED_DAYS);
    ahead.into_iter().find(|day| category(*day) != today)
}

/// Changes of the plan are known at most so many days ahead.
const SEARCHED_DAYS: usize = 1_500;
