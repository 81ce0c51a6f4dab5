//! The rules that look a person or a trade up: sector bans, refusals, the operator's and the professional's own lists, Bloctel.

use chrono::{DateTime, NaiveDate, Utc};

use super::case::{Case, Moment};
use super::lifts::Lifts;
use super::{Bloctel, Reason};
use crate::law::RefusalTerm;

/// The trade may not canvass at all (L.223-1 al. 5; L.6323-8-1 code du travail).
pub(super) fn sector(case: &Case<'_>, moment: &Moment<'_>) -> Option<Reason> {
    let sector = case.facts.sector?;
    let banned = moment.regime?.banned_sectors.contains(&sector);
    banned.then_some(Reason::SectorBanned)
}

/// When the refusal that binds at the moment was made.
pub(super) fn refusal(case: &Case<'_>, moment: &Moment<'_>, lifts: &Lifts) -> Option<DateTime<Utc>> {
    let refused = case.facts.refused_at.filter(|refused| *refused <= moment.at)?;
    let binds = match moment.regime?.refusal? {
        RefusalTerm::Days(_) => refusal_ends(case, moment).is_none_or(|end| moment.at < end),
        // L.221-16: not called again. A consent that was withdrawn again ends no refusal.
        RefusalTerm::UntilNewConsent => lifts.consented_at.is_none_or(|consented| consented <= refused),
    };
    binds.then_some(refused)
}

/// The end of a refusal under a term in days: so many calendar days have to elapse after its own, so that the first lawful day
/// under the sixty-day rule is D+61.
pub(super) fn refusal_ends(case: &Case<'_>, moment: &Moment<'_>) -> Option<DateTime<Utc>> {
    let RefusalTerm::Days(days) = moment.regime?.refusal? else {
        return None;
    };
    let day = case.law.local_day(case.facts.refused_at?, case.territory);
    let first_lawful = day.checked_add_days(chrono::Days::new(u64::from(days) + 1))?;
    Some(case.law.start_of_day(first_lawful, case.territory))
}

/// Since which day the callee stands on the operator's or the professional's own list.
pub(super) fn opposition(case: &Case<'_>, moment: &Moment<'_>) -> Option<NaiveDate> {
    case.facts.opposed_since.filter(|since| *since <= moment.day)
}

/// What Bloctel says (old L.223-1), and the day of the list where somebody is opposed by it.
pub(super) fn bloctel(case: &Case<'_>, moment: &Moment<'_>) -> Option<(Reason, Option<NaiveDate>)> {
    let fresh_days = moment.regime?.bloctel_fresh_days.map(i64::from);
    let stale = |listed: NaiveDate| fresh_days.is_some_and(|days| (moment.day - listed).num_days() > days);
    match case.facts.bloctel {
        Bloctel::Opposed(listed) => Some((Reason::BloctelOpposed, Some(listed))),
        Bloctel::NoList | Bloctel::Unscreened(_) if case.facts.bloctel_required => {
            Some((Reason::BloctelUnscreened, None))
        }
        Bloctel::Clear(listed) | Bloctel::Unscreened(Some(listed)) if stale(listed) => {
            Some((Reason::BloctelStale, None))
        }
        Bloctel::NoList | Bloctel::Clear(_) | Bloctel::Unscreened(_) => None,
    }
}
