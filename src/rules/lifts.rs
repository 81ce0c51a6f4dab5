//! What the person's own acts lift at a moment: consents, a request to be called, a current contract.
//!
//! Of `prospecting` and `requested` the newest given counts and its withdrawal revives no older one; `hours` slots stand side by
//! side (contract, "Consent").

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::case::{Case, Moment};
use super::{Consent, ConsentScope};
use crate::law::ConsentTerm;

/// What holds at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lifts {
    pub(super) prospecting: Option<Prospecting>,
    /// When the newest prospecting consent was given that is not withdrawn, expired or not: it ends older refusals.
    pub(super) consented_at: Option<DateTime<Utc>>,
    pub(super) slot: Option<Slot>,
    pub(super) request: Option<Request>,
    pub(super) contract: Option<Current>,
}

/// A prospecting consent in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prospecting {
    pub(super) index: usize,
    pub(super) until: Option<DateTime<Utc>>,
}

/// A consent to hours in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) until: Option<DateTime<Utc>>,
    /// Names its slot, so the first answered call uses it up.
    pub(super) once: bool,
}

/// A request to be called that is still to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) index: usize,
    pub(super) given_at: DateTime<Utc>,
    /// Its local day.
    pub(super) day: NaiveDate,
    /// First instant after its last working day, or earlier by its own terms.
    pub(super) until: DateTime<Utc>,
}

/// A current contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    /// Last local day.
    pub(super) until: Option<NaiveDate>,
}

impl Lifts {
    pub(super) fn at(case: &Case<'_>, moment: &Moment<'_>) -> Self {
        let mut lifts = Self::default();
        if !case.facts.consents.is_empty() {
            lifts.consents(case, moment);
        }
        let active =
            case.facts.contracts.iter().filter(|contract| {
                contract.from <= moment.day && contract.until.is_none_or(|until| moment.day <= until)
            });
        let longest = active.max_by_key(|contract| contract.until.unwrap_or(NaiveDate::MAX));
        lifts.contract = longest.map(|contract| Current { until: contract.until });
        lifts
    }

    fn consents(&mut self, case: &Case<'_>, moment: &Moment<'_>) {
        let term = moment.regime.map(|regime| regime.consent);
        if let Some((index, consent)) = newest(case.facts.consents, ConsentScope::Prospecting, moment.at) {
            if stands(consent, moment.at) {
                self.consented_at = Some(consent.given_at);
            }
            let year = longest(consent, term);
            if stands(consent, moment.at) && !expired(consent, moment.at) && year.is_none_or(|end| moment.at < end) {
                let until = earliest([year, consent.expires, consent.withdrawn_at]);
                self.prospecting = Some(Prospecting { index, until });
            }
        }
        if let Some((index, consent)) = newest(case.facts.consents, ConsentScope::Requested, moment.at) {
            self.request = request(case, moment, index, consent);
        }
        if let Some(term) = term.filter(|term| term.lifts_hours) {
            let slots = case.facts.consents.iter().enumerate();
            let open = slots.filter_map(|(index, consent)| slot(case, moment, &term, index, consent));
            self.slot = open.max_by_key(|slot| slot.until.unwrap_or(DateTime::<Utc>::MAX_UTC));
        }
    }
}

/// The first moment after `at` at which one of the person's acts begins to hold.
pub(super) fn next_begin(case: &Case<'_>, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let given = case.facts.consents.iter().map(|consent| consent.given_at);
    let slots = case.facts.consents.iter().filter_map(|consent| Some(consent.slot?.0));
    let contracts = case.facts.contracts.iter();
    let contracts = contracts.map(|contract| case.law.start_of_day(contract.from, case.territory));
    given.chain(slots).chain(contracts).filter(|begin| *begin > at).min()
}

/// The newest of a scope that was given by then, whatever became of it.
fn newest(consents: &[Consent], scope: ConsentScope, at: DateTime<Utc>) -> Option<(usize, &Consent)> {
    let given = consents.iter().enumerate();
    let given = given.filter(|(_, consent)| consent.scope == scope && consent.given_at <= at);
    given.max_by_key(|(_, consent)| consent.given_at)
}

/// Not withdrawn by then.
fn stands(consent: &Consent, at: DateTime<Utc>) -> bool {
    consent.withdrawn_at.is_none_or(|withdrawn| at < withdrawn)
}

/// Past the last moment that it names itself.
fn expired(consent: &Consent, at: DateTime<Utc>) -> bool {
    consent.expires.is_some_and(|expires| expires < at)
}

/// Not consumed by then.
fn unused(consent: &Consent, at: DateTime<Utc>) -> bool {
    consent.used_at.is_none_or(|used| at < used)
}

/// The end of the regime's longest validity of a prospecting consent, however late it says it expires (R.223-1: a year).
fn longest(consent: &Consent, term: Option<ConsentTerm>) -> Option<DateTime<Utc>> {
    let days = term?.max_days?;
    consent.given_at.checked_add_signed(TimeDelta::days(days.into()))
}

/// A request is answered within so many working days [jours ouvrables] (R.223-4); a later refusal ends it.
fn request(case: &Case<'_>, moment: &Moment<'_>, index: usize, consent: &Consent) -> Option<Request> {
    let at = moment.at;
    let refused = case.facts.refused_at;
    let refused_since = refused.is_some_and(|refused| refused > consent.given_at && refused <= at);
    if refused_since || !stands(consent, at) || expired(consent, at) || !unused(consent, at) {
        return None;
    }
    let day = case.law.local_day(consent.given_at, case.territory);
    let last = case
        .law
        .working_day(day, moment.regime?.requested_working_days, case.territory);
    if moment.day > last {
        return None;
    }
    let term = last.succ_opt().map(|day| case.law.start_of_day(day, case.territory));
    Some(Request {
        index,
        given_at: consent.given_at,
        day,
        until: earliest([term, consent.expires, consent.withdrawn_at]).unwrap_or(DateTime::<Utc>::MAX_UTC),
    })
}

/// A consent to hours that covers the moment. Where the regime bounds slots (L.223-1 al. 6), one without a slot, a wider one, or
/// one over two local dates covers nothing.
fn slot(case: &Case<'_>, moment: &Moment<'_>, term: &ConsentTerm, index: usize, consent: &Consent) -> Option<Slot> {
    let at = moment.at;
    let holds =
        consent.scope == ConsentScope::Hours && consent.given_at <= at && stands(consent, at) && !expired(consent, at);
    if !holds {
        return None;
    }
    let own = [consent.expires, consent.withdrawn_at];
    let Some((from, until)) = consent.slot else {
        return term.slot_max_minutes.is_none().then(|| Slot {
            index,
            until: earliest(own),
            once: false,
        });
    };
    if at < from || until <= at || !unused(consent, at) {
        return None;
    }
    if let Some(minutes) = term.slot_max_minutes {
        let last = until.checked_sub_signed(TimeDelta::nanoseconds(1))?;
        let one_date = case.law.local_day(from, case.territory) == case.law.local_day(last, case.territory);
        if !one_date || until - from > TimeDelta::minutes(minutes.into()) {
            return None;
        }
    }
    Some(Slot {
        index,
        until: earliest([Some(until), own[0], own[1]]),
        once: true,
    })
}

pub(super) fn earliest<const N: usize>(moments: [Option<DateTime<Utc>>; N]) -> Option<DateTime<Utc>> {
    moments.into_iter().flatten().min()
}
