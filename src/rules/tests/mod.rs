//! The rules as tables, one case spoilt at a time, and as statements about any case (`properties`).

mod calendar;
mod consents;
mod limits;
mod lists;
mod properties;
mod scope;

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::*;
use crate::law::{Law, Sector};
use crate::numbering::{E164, Number};

const NPV: u64 = 33_162_001_234;
const MOBILE: u64 = 33_612_345_678;
const LANDLINE: u64 = 33_142_345_678;
const ABROAD: u64 = 442_071_234_567;

fn number(digits: u64) -> Number {
    Number::E164(E164::new(digits).unwrap())
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A lawful automated call to a mobile of the metropole until 2026-08-10, to be spoilt by the test.
#[derive(Clone, Debug)]
struct Case {
    attempt: Attempt,
    ownership: Ownership,
    sector: Option<Sector>,
    own: Option<OwnLimits>,
    attempts: Vec<DateTime<Utc>>,
    refused_at: Option<DateTime<Utc>>,
    consents: Vec<Consent>,
    contracts: Vec<Contract>,
    bloctel: Bloctel,
    bloctel_required: bool,
    opposed_since: Option<NaiveDate>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            attempt: Attempt {
                caller: CallerId::Shown(number(NPV)),
                callee: Callee::Number(number(MOBILE)),
                dialling: Dialling::Automated,
                purpose: Purpose::Canvassing,
            },
            ownership: Ownership::Own,
            sector: None,
            own: None,
            attempts: Vec::new(),
            refused_at: None,
            consents: Vec::new(),
            contracts: Vec::new(),
            bloctel: Bloctel::NoList,
            bloctel_required: false,
            opposed_since: None,
        }
    }
}

impl Case {
    /// Lawful since 2026-08-11 too.
    fn consented(given: &str) -> Self {
        Self::default().with(consent(ConsentScope::Prospecting, given))
    }

    fn to(mut self, callee: u64) -> Self {
        self.attempt.callee = Callee::Number(number(callee));
        self
    }

    fn showing(mut self, caller: u64) -> Self {
        self.attempt.caller = CallerId::Shown(number(caller));
        self
    }

    fn of(mut self, dialling: Dialling, purpose: Purpose) -> Self {
        self.attempt.dialling = dialling;
        self.attempt.purpose = purpose;
        self
    }

    fn with(mut self, consent: Consent) -> Self {
        self.consents.push(consent);
        self
    }

    fn tried(mut self, times: &[&str]) -> Self {
        self.attempts = times.iter().map(|time| at(time)).collect();
        self
    }

    fn refused(mut self, time: &str) -> Self {
        self.refused_at = Some(at(time));
        self
    }

    fn contract(mut self, from: &str, until: Option<&str>) -> Self {
        self.contracts.push(Contract {
            reference: "C-1".into(),
            from: day(from),
            until: until.map(day),
        });
        self
    }

    fn opposed(mut self, since: &str) -> Self {
        self.opposed_since = Some(day(since));
        self
    }

    fn listed(mut self, bloctel: Bloctel) -> Self {
        self.bloctel = bloctel;
        self
    }

    fn trade(mut self, sector: Sector) -> Self {
        self.sector = Some(sector);
        self
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            ownership: self.ownership,
            sector: self.sector,
            own: self.own.as_ref(),
            attempts: &self.attempts,
            refused_at: self.refused_at,
            consents: &self.consents,
            contracts: &self.contracts,
            bloctel: self.bloctel,
            bloctel_required: self.bloctel_required,
            opposed_since: self.opposed_since,
        }
    }

    fn judge_at(&self, now: DateTime<Utc>) -> Verdict {
        evaluate(&self.attempt, &self.facts(), &Law::embedded(), now)
    }

    fn judge(&self, now: &str) -> Verdict {
        self.judge_at(at(now))
    }

    fn relies(&self, now: &str) -> Option<usize> {
        let law = Law::embedded();
        let reach = Reach::of(&self.attempt, &law.plan);
        examine(&self.attempt, reach, &self.facts(), &law, at(now)).1
    }
}

fn consent(scope: ConsentScope, given: &str) -> Consent {
    Consent {
        scope,
        given_at: at(given),
        expires: None,
        slot: None,
        withdrawn_at: None,
        used_at: None,
        evidence: Arc::from("proof-1"),
    }
}

fn slot(given: &str, from: &str, until: &str) -> Consent {
    Consent {
        slot: Some((at(from), at(until))),
        ..consent(ConsentScope::Hours, given)
    }
}

fn request(given: &str) -> Consent {
    consent(ConsentScope::Requested, given)
}

#[track_caller]
fn refused(verdict: &Verdict, reasons: &[Reason], next: Option<&str>) {
    assert_eq!(verdict.reasons.as_slice(), reasons);
    assert!(!verdict.allowed);
    assert_eq!(verdict.reason, reasons.first().copied());
    assert_eq!(verdict.next_allowed, next.map(at));
    assert_eq!((verdict.valid_until, verdict.consumes), (None, None));
}

#[track_caller]
fn allowed(verdict: &Verdict, exemption: Option<Reason>) {
    assert!(verdict.allowed && verdict.reasons.is_empty(), "{:?}", verdict.reasons);
    assert_eq!(verdict.reason, exemption);
    assert_eq!(verdict.next_allowed, None);
}
