//! What the callee, or a list on their behalf, has said: refusals, consents, contracts, oppositions.

use clapet::law::Sector;
use clapet::rules::{Bloctel, Consent, ConsentScope, Reason};

use crate::{Case, allowed, at, consent, day, prospecting, refused, slot};

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
