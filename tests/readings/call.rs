//! What the call itself shows: its caller, its purpose, how it is dialled, whom it reaches.

use clapet::law::{Law, Sector};
use clapet::rules::{Callee, CallerId, Dialling, Ownership, Purpose, Reason};

use crate::{Case, MOBILE, PARIS_LANDLINE, allowed, day, prospecting, refused};

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
