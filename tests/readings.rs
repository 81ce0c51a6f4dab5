//! The contract's readings of the law, sentence by sentence, asked from outside of the pure decision.
//!
//! Written apart from the rules' own unit tests, from the text alone: a second pair of eyes.

#[path = "readings/call.rs"]
mod call;
#[path = "readings/callee.rs"]
mod callee;
#[path = "readings/hours.rs"]
mod hours;

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use clapet::law::{Law, Sector};
use clapet::numbering::{E164, Number};
use clapet::rules::{
    Attempt, Bloctel, Callee, CallerId, Consent, ConsentScope, Contract, Dialling, Facts, Ownership, Purpose, Reason,
    Verdict, evaluate,
};

const NPV: u64 = 33_162_001_234;
const MOBILE: u64 = 33_612_345_678;
const PARIS_LANDLINE: u64 = 33_142_345_678;

fn number(digits: u64) -> Number {
    Number::E164(E164::new(digits).unwrap())
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// One case: a lawful automated call to a metropolitan mobile, to be spoilt by the test.
struct Case {
    attempt: Attempt,
    ownership: Ownership,
    sector: Option<Sector>,
    attempts: Vec<DateTime<Utc>>,
    refused_at: Option<DateTime<Utc>>,
    consents: Vec<Consent>,
    contracts: Vec<Contract>,
    bloctel: Bloctel,
    required: bool,
    opposed: Option<NaiveDate>,
}

impl Case {
    fn new() -> Self {
        Self {
            attempt: Attempt {
                caller: CallerId::Shown(number(NPV)),
                callee: Callee::Number(number(MOBILE)),
                dialling: Dialling::Automated,
                purpose: Purpose::Canvassing,
            },
            ownership: Ownership::Own,
            sector: None,
            attempts: Vec::new(),
            refused_at: None,
            consents: Vec::new(),
            contracts: Vec::new(),
            bloctel: Bloctel::NoList,
            required: false,
            opposed: None,
        }
    }

    fn to(mut self, callee: u64) -> Self {
        self.attempt.callee = Callee::Number(number(callee));
        self
    }

    fn showing(mut self, caller: u64) -> Self {
        self.attempt.caller = CallerId::Shown(number(caller));
        self
    }

    fn dialled(mut self, dialling: Dialling, purpose: Purpose) -> Self {
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

    fn judge(&self, now: &str) -> Verdict {
        let law = Law::embedded();
        let facts = Facts {
            ownership: self.ownership,
            sector: self.sector,
            own: None,
            attempts: &self.attempts,
            refused_at: self.refused_at,
            consents: &self.consents,
            contracts: &self.contracts,
            bloctel: self.bloctel,
            bloctel_required: self.required,
            opposed_since: self.opposed,
        };
        evaluate(&self.attempt, &facts, &law, at(now))
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

fn prospecting(given: &str) -> Consent {
    consent(ConsentScope::Prospecting, given)
}

fn slot(given: &str, from: &str, until: &str) -> Consent {
    Consent {
        slot: Some((at(from), at(until))),
        ..consent(ConsentScope::Hours, given)
    }
}

#[track_caller]
fn refused(verdict: &Verdict, reasons: &[&str], next: Option<&str>) {
    let codes: Vec<_> = verdict.reasons.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, reasons);
    assert!(!verdict.allowed);
    assert_eq!(verdict.reason.map(Reason::code), reasons.first().copied());
    assert_eq!(verdict.next_allowed, next.map(at));
}

#[track_caller]
fn allowed(verdict: &Verdict, exemption: Option<&str>) {
    assert!(verdict.allowed, "{:?}", verdict.reasons);
    assert!(verdict.reasons.is_empty(), "{:?}", verdict.reasons);
    assert_eq!(verdict.reason.map(Reason::code), exemption);
}
