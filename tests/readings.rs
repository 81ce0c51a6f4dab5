//! The contract's readings of the law, sentence by sentence, asked from outside of the pure decision.
//!
//! Written apart from the rules' own unit tests, from the text alone: a second pair of eyes.

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

// --- hours -----------------------------------------------------------------------------------------------------------------

#[test]
fn windows_are_half_open_in_the_callees_time() {
    // 2023-06-06 is a Tuesday; Paris is at +02:00.
    for (now, expected) in [
        ("2023-06-06T07:59:59Z", Some("2023-06-06T08:00:00Z")),
        ("2023-06-06T08:00:00Z", None),
        ("2023-06-06T10:59:59Z", None),
        ("2023-06-06T11:00:00Z", Some("2023-06-06T12:00:00Z")),
        ("2023-06-06T12:00:00Z", None),
        ("2023-06-06T17:59:59Z", None),
        ("2023-06-06T18:00:00Z", Some("2023-06-07T08:00:00Z")),
        ("2023-06-05T22:00:00Z", Some("2023-06-06T08:00:00Z")),
    ] {
        let verdict = Case::new().judge(now);
        match expected {
            None => allowed(&verdict, None),
            Some(next) => refused(&verdict, &["hours.window"], Some(next)),
        }
    }
}

#[test]
fn an_allowed_call_holds_until_the_window_closes() {
    assert_eq!(
        Case::new().judge("2023-06-06T10:59:59Z").valid_until,
        Some(at("2023-06-06T11:00:00Z"))
    );
}

#[test]
fn of_day_holiday_and_window_one_code_is_given() {
    // Saturday; a holiday on a Monday; a holiday on a Sunday is the day's.
    refused(
        &Case::new().judge("2023-06-10T02:00:00Z"),
        &["hours.day"],
        Some("2023-06-12T08:00:00Z"),
    );
    refused(
        &Case::new().judge("2023-05-29T02:00:00Z"),
        &["hours.holiday"],
        Some("2023-05-30T08:00:00Z"),
    );
}

#[test]
fn before_march_2023_there_are_no_hours_and_no_count() {
    let case = Case::new().tried(&["2023-02-20T10:00:00Z"; 4]);
    let verdict = case.judge("2023-02-26T02:00:00Z");
    allowed(&verdict, None);
    assert!(verdict.counts, "attempts count before 2023-03-01 too");
}

#[test]
fn attempts_made_before_march_2023_count_after_it() {
    let case = Case::new().tried(&[
        "2023-02-20T10:00:00Z",
        "2023-02-21T10:00:00Z",
        "2023-02-22T10:00:00Z",
        "2023-02-23T10:00:00Z",
    ]);
    refused(
        &case.judge("2023-03-01T10:00:00Z"),
        &["frequency.exhausted"],
        Some("2023-03-22T09:00:00Z"),
    );
}

#[test]
fn the_callees_territory_has_its_own_clock() {
    // Guadeloupe is at -04:00: 10:00 there is 14:00Z.
    let case = || Case::new().to(590_690_123_456);
    refused(
        &case().judge("2023-06-06T13:59:59Z"),
        &["hours.window"],
        Some("2023-06-06T14:00:00Z"),
    );
    allowed(&case().judge("2023-06-06T14:00:00Z"), None);
    // Réunion +04:00, Mayotte +03:00 share +262.
    allowed(&Case::new().to(262_692_123_456).judge("2023-06-06T06:00:00Z"), None);
    refused(
        &Case::new().to(262_639_123_456).judge("2023-06-06T06:00:00Z"),
        &["hours.window"],
        Some("2023-06-06T07:00:00Z"),
    );
    // New Caledonia, +11:00, and Polynesia, -10:00, are judged like the rest.
    allowed(&Case::new().to(687_751_234).judge("2023-06-05T23:00:00Z"), None);
    refused(
        &Case::new().to(68_987_123_456).judge("2023-06-06T06:30:00Z"),
        &["hours.window"],
        Some("2023-06-06T20:00:00Z"),
    );
}

#[test]
fn clocks_change_on_the_night_to_sunday() {
    // Friday before the spring change: +01:00; Monday after it: +02:00.
    refused(
        &Case::new().judge("2023-03-24T19:00:00Z"),
        &["hours.window"],
        Some("2023-03-27T08:00:00Z"),
    );
    refused(
        &Case::new().judge("2023-10-27T18:00:00Z"),
        &["hours.window"],
        Some("2023-10-30T09:00:00Z"),
    );
}

// --- frequency -------------------------------------------------------------------------------------------------------------

#[test]
fn four_in_the_thirty_days_that_end_today() {
    let tries = [
        "2023-03-02T10:00:00Z",
        "2023-03-10T10:00:00Z",
        "2023-03-14T10:00:00Z",
        "2023-03-20T10:00:00Z",
    ];
    let verdict = Case::new().tried(&tries).judge("2023-03-31T08:00:00Z");
    refused(&verdict, &["frequency.exhausted"], Some("2023-04-03T08:00:00Z"));
    assert_eq!(verdict.attempts_left, Some(0));
    // The thirtieth day is 2023-03-31; on Saturday 2023-04-01 the first has left the window.
    let saturday = Case::new().tried(&tries).judge("2023-04-01T08:00:00Z");
    refused(&saturday, &["hours.day"], Some("2023-04-03T08:00:00Z"));
    assert_eq!(saturday.attempts_left, Some(1));
    let three = Case::new().tried(&tries[..3]).judge("2023-03-31T08:00:00Z");
    allowed(&three, None);
    assert_eq!(three.attempts_left, Some(1));
    assert_eq!(three.count_since, Some((4, at("2023-03-01T23:00:00Z"))));
}

// --- refusal ---------------------------------------------------------------------------------------------------------------

#[test]
fn sixty_days_have_to_elapse_after_a_refusal() {
    // Refused on Monday 2023-03-06: first lawful day is D+61, 2023-05-06, a Saturday; then Monday 8 May is a holiday.
    let case = || Case::new().refused("2023-03-06T10:00:00Z");
    refused(
        &case().judge("2023-05-05T08:00:00Z"),
        &["refusal.active"],
        Some("2023-05-09T08:00:00Z"),
    );
    allowed(&case().judge("2023-05-09T08:00:00Z"), None);
}

#[test]
fn a_refusal_made_before_the_opt_in_binds_after_it_until_a_newer_consent() {
    let case = || Case::new().refused("2024-01-10T10:00:00Z");
    allowed(&case().judge("2026-08-10T08:00:00Z"), None);
    refused(
        &case().judge("2026-08-11T08:00:00Z"),
        &["refusal.active", "consent.missing"],
        None,
    );
    refused(
        &case()
            .with(prospecting("2023-12-01T10:00:00Z"))
            .judge("2026-08-11T08:00:00Z"),
        &["refusal.active", "consent.missing"],
        None,
    );
    allowed(
        &case()
            .with(prospecting("2026-02-01T10:00:00Z"))
            .judge("2026-08-11T08:00:00Z"),
        None,
    );
}

// --- consent ---------------------------------------------------------------------------------------------------------------

#[test]
fn a_prospecting_consent_holds_at_most_a_year_however_late_it_says_it_expires() {
    let long = Consent {
        expires: Some(at("2030-01-01T00:00:00Z")),
        ..prospecting("2026-01-05T10:00:00Z")
    };
    allowed(&Case::new().with(long.clone()).judge("2027-01-04T10:00:00Z"), None);
    refused(
        &Case::new().with(long).judge("2027-01-07T10:00:00Z"),
        &["consent.missing"],
        None,
    );
    let short = Consent {
        expires: Some(at("2026-09-01T12:00:00Z")),
        ..prospecting("2026-08-12T10:00:00Z")
    };
    allowed(&Case::new().with(short.clone()).judge("2026-08-31T10:00:00Z"), None);
    refused(
        &Case::new().with(short).judge("2026-09-02T10:00:00Z"),
        &["consent.missing"],
        None,
    );
}

#[test]
fn the_newest_consent_counts_and_its_withdrawal_revives_no_older_one() {
    let older = prospecting("2026-08-12T10:00:00Z");
    let newer = Consent {
        withdrawn_at: Some(at("2026-09-10T10:00:00Z")),
        ..prospecting("2026-09-01T10:00:00Z")
    };
    let case = || Case::new().with(older.clone()).with(newer.clone());
    allowed(&case().judge("2026-09-09T10:00:00Z"), None);
    refused(&case().judge("2026-09-11T10:00:00Z"), &["consent.missing"], None);
}

#[test]
fn an_hours_consent_counts_within_its_slot_once() {
    let evening = slot("2026-09-01T10:00:00Z", "2026-09-05T17:00:00Z", "2026-09-05T18:00:00Z");
    let case = || {
        Case::new()
            .with(prospecting("2026-09-01T10:00:00Z"))
            .with(evening.clone())
    };
    // Saturday 2026-09-05, 19:00 to 20:00 in Paris.
    refused(
        &case().judge("2026-09-05T16:59:59Z"),
        &["hours.day"],
        Some("2026-09-05T17:00:00Z"),
    );
    let verdict = case().judge("2026-09-05T17:00:00Z");
    allowed(&verdict, None);
    assert_eq!(verdict.consumes, Some(1));
    assert_eq!(verdict.valid_until, Some(at("2026-09-05T18:00:00Z")));
    refused(
        &case().judge("2026-09-05T18:00:00Z"),
        &["hours.day"],
        Some("2026-09-07T08:00:00Z"),
    );
    let mut used = case();
    used.consents[1].used_at = Some(at("2026-09-05T17:05:00Z"));
    refused(
        &used.judge("2026-09-05T17:30:00Z"),
        &["hours.day"],
        Some("2026-09-07T08:00:00Z"),
    );
}

// --- requested -------------------------------------------------------------------------------------------------------------

#[test]
fn a_requested_call_is_answered_within_five_working_days() {
    // Asked on Wednesday 2026-09-02: days Thu 3, Fri 4, Sat 5, Mon 7, Tue 8.
    let case = || {
        let mut case = Case::new().with(consent(ConsentScope::Requested, "2026-09-02T10:00:00Z"));
        case.sector = Some(Sector::EnergyRenovation);
        case.refused_at = Some(at("2026-08-20T10:00:00Z"));
        case
    };
    let verdict = case().judge("2026-09-05T20:30:00Z");
    allowed(&verdict, Some("exempt.requested"));
    assert_eq!(verdict.consumes, Some(0));
    allowed(&case().judge("2026-09-08T20:30:00Z"), Some("exempt.requested"));
    let late = case().judge("2026-09-09T10:00:00Z");
    assert_eq!(late.reason, Some(Reason::SectorBanned));
    let mut later_refusal = case();
    later_refusal.refused_at = Some(at("2026-09-03T10:00:00Z"));
    assert!(
        !later_refusal.judge("2026-09-04T10:00:00Z").allowed,
        "a later refusal ends the request"
    );
    let frequency = case().tried(&["2026-09-01T10:00:00Z"; 4]);
    refused(&frequency.judge("2026-09-04T10:00:00Z"), &["frequency.exhausted"], None);
}

// --- contract --------------------------------------------------------------------------------------------------------------

#[test]
fn a_contract_lifts_sector_consent_and_bloctel_only() {
    let mut case = Case::new().contract("2026-01-01", Some("2026-12-31"));
    case.sector = Some(Sector::HomeAdaptation);
    allowed(&case.judge("2026-09-01T10:00:00Z"), Some("exempt.contract"));
    refused(
        &case.judge("2026-09-01T11:30:00Z"),
        &["hours.window"],
        Some("2026-09-01T12:00:00Z"),
    );
    case.refused_at = Some(at("2026-08-31T10:00:00Z"));
    case.opposed = Some(day("2026-08-01"));
    refused(
        &case.judge("2026-09-01T10:00:00Z"),
        &["refusal.active", "opposition.listed"],
        None,
    );
    let mut old = Case::new().contract("2023-01-01", None);
    old.bloctel = Bloctel::Opposed(day("2023-06-01"));
    allowed(&old.judge("2023-06-06T09:00:00Z"), Some("exempt.contract"));
    let over = Case::new().contract("2025-01-01", Some("2026-08-31"));
    assert_eq!(over.judge("2026-09-01T10:00:00Z").reason, Some(Reason::ConsentMissing));
}

// --- bloctel and opposition ------------------------------------------------------------------------------------------------

#[test]
fn bloctel_holds_until_the_opt_in_and_no_list_is_no_refusal() {
    let with = |bloctel, now: &str| {
        let mut case = Case::new();
        case.bloctel = bloctel;
        case.judge(now).reason.map(Reason::code)
    };
    assert_eq!(with(Bloctel::NoList, "2023-06-06T09:00:00Z"), None);
    assert_eq!(with(Bloctel::Clear(day("2023-05-20")), "2023-06-06T09:00:00Z"), None);
    assert_eq!(
        with(Bloctel::Opposed(day("2023-05-20")), "2023-06-06T09:00:00Z"),
        Some("bloctel.opposed")
    );
    assert_eq!(
        with(Bloctel::Clear(day("2023-04-20")), "2023-06-06T09:00:00Z"),
        Some("bloctel.stale")
    );
    assert_eq!(
        with(Bloctel::Opposed(day("2026-08-01")), "2026-08-12T09:00:00Z"),
        Some("consent.missing")
    );
    let mut lifted = Case::new().with(prospecting("2023-05-01T10:00:00Z"));
    lifted.bloctel = Bloctel::Opposed(day("2023-05-20"));
    allowed(&lifted.judge("2023-06-06T09:00:00Z"), None);
    let mut unscreened = Case::new();
    unscreened.required = true;
    unscreened.bloctel = Bloctel::Unscreened(Some(day("2023-05-20")));
    assert_eq!(
        unscreened.judge("2023-06-06T09:00:00Z").reason,
        Some(Reason::BloctelUnscreened)
    );
    unscreened.required = false;
    allowed(&unscreened.judge("2023-06-06T09:00:00Z"), None);
}

// --- caller-id -------------------------------------------------------------------------------------------------------------

#[test]
fn the_caller_number_decides_by_how_the_call_is_dialled() {
    let now = "2023-06-06T09:00:00Z";
    let shows = |caller, dialling| {
        Case::new()
            .showing(caller)
            .dialled(dialling, Purpose::Canvassing)
            .judge(now)
            .reason
    };
    assert_eq!(shows(PARIS_LANDLINE, Dialling::Automated), Some(Reason::CallerIdNotNpv));
    assert_eq!(shows(33_970_123_456, Dialling::Automated), Some(Reason::CallerIdNotNpv));
    assert_eq!(shows(PARIS_LANDLINE, Dialling::Manual), None);
    assert_eq!(shows(MOBILE, Dialling::Automated), Some(Reason::CallerIdMobile));
    assert_eq!(shows(MOBILE, Dialling::Manual), Some(Reason::CallerIdMobile));
    assert_eq!(shows(33_899_123_456, Dialling::Manual), Some(Reason::CallerIdCategory));
    assert_eq!(
        shows(442_071_234_567, Dialling::Automated),
        Some(Reason::CallerIdCategory)
    );
    for (caller, reason) in [
        (CallerId::Masked, Reason::CallerIdMasked),
        (CallerId::Missing, Reason::CallerIdMissing),
        (CallerId::Unparseable, Reason::CallerIdUnparseable),
    ] {
        let mut case = Case::new();
        case.attempt.caller = caller;
        assert_eq!(case.judge(now).reason, Some(reason));
        assert_eq!(case.judge(now).next_allowed, None, "no date makes it lawful");
    }
    let mut other = Case::new();
    other.ownership = Ownership::Other;
    assert_eq!(other.judge(now).reason, Some(Reason::CallerIdNotOwned));
    other.ownership = Ownership::NoProfessional;
    assert_eq!(other.judge(now).reason, Some(Reason::ProfessionalUnknown));
}

// --- purposes --------------------------------------------------------------------------------------------------------------

#[test]
fn the_purpose_decides_the_other_rules() {
    let night = "2026-09-06T02:00:00Z";
    let business = Case::new().dialled(Dialling::Automated, Purpose::Business).judge(night);
    allowed(&business, None);
    assert!(!business.counts);
    let survey = Case::new().dialled(Dialling::Automated, Purpose::Other).judge(night);
    allowed(&survey, None);
    assert!(!survey.counts);
    let shown = Case::new()
        .showing(PARIS_LANDLINE)
        .dialled(Dialling::Automated, Purpose::Other)
        .judge(night);
    refused(&shown, &["caller-id.not-npv"], None);
    let manual = Case::new()
        .showing(MOBILE)
        .dialled(Dialling::Manual, Purpose::Other)
        .judge(night);
    allowed(&manual, Some("exempt.purpose"));
    let press = Case::new().dialled(Dialling::Automated, Purpose::Press);
    allowed(&press.judge("2026-09-01T10:00:00Z"), None);
    refused(
        &press.judge("2026-09-01T11:30:00Z"),
        &["hours.window"],
        Some("2026-09-01T12:00:00Z"),
    );
}

#[test]
fn a_machine_needs_consent_under_every_regime() {
    let machine = || Case::new().dialled(Dialling::Machine, Purpose::Canvassing);
    refused(&machine().judge("2023-06-06T09:00:00Z"), &["consent.missing"], None);
    allowed(
        &machine()
            .with(prospecting("2023-06-01T10:00:00Z"))
            .judge("2023-06-06T09:00:00Z"),
        None,
    );
    assert!(
        !Case::new()
            .dialled(Dialling::Machine, Purpose::Business)
            .judge("2026-09-01T10:00:00Z")
            .reasons
            .contains(&Reason::CallerIdNotNpv)
    );
}

// --- exemptions ------------------------------------------------------------------------------------------------------------

#[test]
fn emergency_and_foreign_calls() {
    let plan = &Law::embedded().plan;
    let mut emergency = Case::new();
    emergency.attempt.caller = CallerId::Masked;
    emergency.ownership = Ownership::NoProfessional;
    emergency.attempt.callee = Callee::Number(plan.read("112").unwrap());
    allowed(&emergency.judge("2026-09-06T02:00:00Z"), Some("exempt.emergency"));
    emergency.attempt.callee = Callee::EmergencyService;
    allowed(&emergency.judge("2026-09-06T02:00:00Z"), Some("exempt.emergency"));
    let foreign = Case::new().to(442_071_234_567);
    allowed(&foreign.judge("2026-09-06T02:00:00Z"), Some("exempt.foreign"));
    let shown = Case::new().to(442_071_234_567).showing(PARIS_LANDLINE);
    refused(&shown.judge("2026-09-06T02:00:00Z"), &["caller-id.not-npv"], None);
    let mut nobody = Case::new();
    nobody.attempt.callee = Callee::Unparseable;
    refused(&nobody.judge("2023-06-06T09:00:00Z"), &["callee.unparseable"], None);
}

#[test]
fn every_violated_rule_is_listed_in_the_regimes_order() {
    let mut case = Case::new()
        .showing(PARIS_LANDLINE)
        .refused("2026-08-20T10:00:00Z")
        .tried(&["2026-09-01T10:00:00Z"; 4]);
    case.sector = Some(Sector::EnergyRenovation);
    case.opposed = Some(day("2026-08-01"));
    refused(
        &case.judge("2026-09-05T10:00:00Z"),
        &[
            "caller-id.not-npv",
            "sector.banned",
            "refusal.active",
            "opposition.listed",
            "consent.missing",
            "hours.day",
            "frequency.exhausted",
        ],
        None,
    );
}
