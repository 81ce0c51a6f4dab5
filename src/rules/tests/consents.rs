//! Consents of each scope, and requests to be called.

use super::Reason::{
    ConsentMissing, ExemptContract, ExemptRequested, FrequencyExhausted, HoursDay, HoursWindow, SectorBanned,
};
use super::*;

#[test]
fn since_the_opt_in_nobody_is_canvassed_without_consent() {
    allowed(&Case::default().judge("2026-08-10T17:59:59Z"), None);
    refused(&Case::default().judge("2026-08-11T08:00:00Z"), &[ConsentMissing], None);
    // The evening before, no later date is lawful any more.
    refused(&Case::default().judge("2026-08-10T18:00:00Z"), &[HoursWindow], None);
    allowed(
        &Case::consented("2026-08-10T18:00:00Z").judge("2026-08-11T08:00:00Z"),
        None,
    );
    assert_eq!(
        Case::consented("2026-08-10T18:00:00Z").relies("2026-08-11T08:00:00Z"),
        Some(0)
    );
}

#[test]
fn a_consent_of_a_year_ends_to_the_second() {
    let case = Case::consented("2026-09-01T10:30:00Z"); // 365 days later: 2027-09-01, a Wednesday
    allowed(&case.judge("2027-09-01T10:29:59Z"), None);
    assert_eq!(
        case.judge("2027-09-01T10:29:59Z").valid_until,
        Some(at("2027-09-01T10:30:00Z"))
    );
    refused(&case.judge("2027-09-01T10:30:00Z"), &[ConsentMissing], None);
    // The old law knows no longest validity.
    let old = Case::consented("2021-01-01T10:00:00Z").listed(Bloctel::Opposed(day("2023-06-01")));
    allowed(&old.judge("2023-06-06T10:00:00Z"), None);
}

#[test]
fn a_consent_holds_through_the_last_moment_it_names_and_not_past_its_withdrawal() {
    let with = |change: fn(&mut Consent), now: &str| {
        let mut case = Case::consented("2026-09-01T10:00:00Z");
        change(&mut case.consents[0]);
        case.judge(now).allowed
    };
    let expires: fn(&mut Consent) = |consent| consent.expires = Some(at("2026-09-08T10:00:00Z"));
    assert!(with(expires, "2026-09-08T10:00:00Z"));
    assert!(!with(expires, "2026-09-08T10:00:01Z"));
    let withdrawn: fn(&mut Consent) = |consent| consent.withdrawn_at = Some(at("2026-09-08T10:00:00Z"));
    assert!(with(withdrawn, "2026-09-08T09:59:59Z"));
    assert!(!with(withdrawn, "2026-09-08T10:00:00Z"));
    // Not yet given.
    let verdict = Case::consented("2026-09-08T10:00:00Z").judge("2026-09-08T09:59:59Z");
    refused(&verdict, &[ConsentMissing], Some("2026-09-08T10:00:00Z"));
}

#[test]
fn under_the_decree_of_2023_a_consent_lifts_the_hours_with_or_without_a_slot() {
    let open = Case::default().with(consent(ConsentScope::Hours, "2023-06-01T10:00:00Z"));
    let night = "2023-06-06T20:00:00Z";
    allowed(&open.judge(night), None);
    assert_eq!(open.judge(night).consumes, None, "nothing is used up");
    assert_eq!(open.relies(night), Some(0));
    let wide = Case::default().with(slot(
        "2023-06-01T10:00:00Z",
        "2023-06-10T06:00:00Z",
        "2023-06-11T20:00:00Z",
    ));
    refused(&wide.judge(night), &[HoursWindow], Some("2023-06-07T08:00:00Z"));
    let saturday = wide.judge("2023-06-10T06:00:00Z");
    allowed(&saturday, None);
    assert_eq!(
        (saturday.consumes, saturday.valid_until),
        (Some(0), Some(at("2023-06-11T20:00:00Z")))
    );
    // Before the decree there were no hours to lift.
    allowed(&open.judge("2023-02-05T20:00:00Z"), None);
}

#[test]
fn since_the_opt_in_a_slot_is_narrow_on_one_date_and_used_once() {
    let given = "2026-09-01T10:00:00Z";
    // Saturday 5 September 2026.
    for (from, until, lifts) in [
        ("2026-09-05T17:00:00Z", "2026-09-05T18:00:00Z", true),
        ("2026-09-05T17:00:00Z", "2026-09-05T18:00:01Z", false),
        ("2026-09-05T17:29:00Z", "2026-09-05T17:31:00Z", true),
        ("2026-09-05T17:31:00Z", "2026-09-05T17:30:00Z", false),
    ] {
        let case = Case::consented(given).with(slot(given, from, until));
        assert_eq!(case.judge("2026-09-05T17:30:00Z").allowed, lifts, "{from} {until}");
    }
    let to_midnight = Case::consented(given).with(slot(given, "2026-09-05T21:00:00Z", "2026-09-05T22:00:00Z"));
    allowed(&to_midnight.judge("2026-09-05T21:59:59Z"), None);
    let over_midnight = Case::consented(given).with(slot(given, "2026-09-05T21:30:00Z", "2026-09-05T22:30:00Z"));
    refused(
        &over_midnight.judge("2026-09-05T21:45:00Z"),
        &[HoursDay],
        Some("2026-09-07T08:00:00Z"),
    );
    let no_slot = Case::consented(given).with(consent(ConsentScope::Hours, given));
    refused(
        &no_slot.judge("2026-09-05T17:30:00Z"),
        &[HoursDay],
        Some("2026-09-07T08:00:00Z"),
    );
    // A slot is no consent to be canvassed.
    let alone = Case::default().with(slot(given, "2026-09-05T17:00:00Z", "2026-09-05T18:00:00Z"));
    refused(&alone.judge("2026-09-05T17:30:00Z"), &[ConsentMissing], None);
}

#[test]
fn slots_stand_side_by_side_and_a_future_one_is_the_next_moment() {
    let given = "2026-09-01T10:00:00Z";
    let mut case = Case::consented(given)
        .with(slot(given, "2026-09-05T17:00:00Z", "2026-09-05T17:30:00Z"))
        .with(slot(
            "2026-09-02T10:00:00Z",
            "2026-09-06T09:00:00Z",
            "2026-09-06T10:00:00Z",
        ));
    assert_eq!(case.judge("2026-09-05T17:00:00Z").consumes, Some(1));
    assert_eq!(case.judge("2026-09-06T09:59:59Z").consumes, Some(2));
    refused(
        &case.judge("2026-09-05T17:30:00Z"),
        &[HoursDay],
        Some("2026-09-06T09:00:00Z"),
    );
    case.consents[2].used_at = Some(at("2026-09-06T08:00:00Z"));
    refused(
        &case.judge("2026-09-06T09:00:00Z"),
        &[HoursDay],
        Some("2026-09-07T08:00:00Z"),
    );
    // Within the hours nothing has to be lifted, so nothing is used up.
    let weekday = Case::consented(given).with(slot(given, "2026-09-04T09:00:00Z", "2026-09-04T10:00:00Z"));
    assert_eq!(weekday.judge("2026-09-04T09:30:00Z").consumes, None);
}

#[test]
fn a_request_is_answered_within_five_working_days_saturdays_included() {
    let sector = |given: &str| Case::default().trade(Sector::EnergyRenovation).with(request(given));
    for (given, last) in [
        ("2026-09-02T10:00:00Z", "2026-09-08"), // Wednesday: Thu, Fri, Sat, Mon, Tue
        ("2026-09-05T10:00:00Z", "2026-09-11"), // Saturday: Mon to Fri
        ("2026-09-06T10:00:00Z", "2026-09-11"), // Sunday
        ("2026-11-09T10:00:00Z", "2026-11-16"), // Monday: Tue, Thu, Fri, Sat, Mon, the 11th being a holiday
        ("2026-09-02T22:30:00Z", "2026-09-09"), // Thursday already in Paris
    ] {
        let case = sector(given);
        let end = Law::embedded().start_of_day(day(last).succ_opt().unwrap(), crate::numbering::Territory::Metropole);
        let before = case.judge_at(end - chrono::TimeDelta::seconds(1));
        allowed(&before, Some(ExemptRequested));
        assert_eq!((before.consumes, before.valid_until), (Some(0), Some(end)), "{given}");
        assert_eq!(case.judge_at(end).reason, Some(SectorBanned), "{given}");
        allowed(&case.judge(given), Some(ExemptRequested));
    }
}

#[test]
fn a_request_lifts_the_hours_but_neither_caller_id_nor_frequency() {
    let case = || Case::default().with(request("2026-09-02T10:00:00Z"));
    allowed(&case().judge("2026-09-05T20:00:00Z"), Some(ExemptRequested)); // Saturday evening
    let shown = case().showing(LANDLINE).judge("2026-09-04T10:00:00Z");
    refused(&shown, &[Reason::CallerIdNotNpv], None);
    let exhausted = case().tried(&["2026-08-06T10:00:00Z"; 4]).judge("2026-09-04T10:00:00Z");
    refused(&exhausted, &[FrequencyExhausted], Some("2026-09-04T22:00:00Z"));
}

#[test]
fn a_request_ends_by_refusal_withdrawal_use_and_its_own_term() {
    let with = |change: fn(&mut Case)| {
        let mut case = Case::default().with(request("2026-09-02T10:00:00Z"));
        change(&mut case);
        case.judge("2026-09-04T10:00:00Z").allowed
    };
    assert!(with(|_| ()));
    assert!(with(|case| case.refused_at = Some(at("2026-09-02T10:00:00Z"))));
    assert!(!with(|case| case.refused_at = Some(at("2026-09-02T10:00:01Z"))));
    assert!(!with(
        |case| case.consents[0].withdrawn_at = Some(at("2026-09-03T10:00:00Z"))
    ));
    assert!(!with(|case| case.consents[0].used_at = Some(at("2026-09-03T10:00:00Z"))));
    assert!(!with(|case| case.consents[0].expires = Some(at("2026-09-03T10:00:00Z"))));
    // The newest counts; its withdrawal revives no older one.
    assert!(!with(|case| {
        case.consents.push(Consent {
            withdrawn_at: Some(at("2026-09-03T12:00:00Z")),
            ..request("2026-09-03T10:00:00Z")
        });
    }));
    // A newer request after the first was used.
    assert!(with(|case| {
        case.consents[0].used_at = Some(at("2026-09-03T10:00:00Z"));
        case.consents.push(request("2026-09-03T11:00:00Z"));
    }));
}

#[test]
fn a_request_is_used_up_only_by_a_call_that_needed_it() {
    // Consented and within the hours: the request stays.
    let consented = Case::consented("2026-09-01T10:00:00Z").with(request("2026-09-02T10:00:00Z"));
    let verdict = consented.judge("2026-09-04T10:00:00Z");
    allowed(&verdict, None);
    assert_eq!(verdict.consumes, None);
    assert_eq!(consented.judge("2026-09-05T10:00:00Z").consumes, Some(1));
    // A contract that suffices goes first; where it does not, the request answers.
    let contract = Case::default()
        .contract("2026-01-01", None)
        .with(request("2026-09-02T10:00:00Z"));
    allowed(&contract.judge("2026-09-04T10:00:00Z"), Some(ExemptContract));
    assert_eq!(contract.judge("2026-09-04T10:00:00Z").consumes, None);
    allowed(&contract.judge("2026-09-05T10:00:00Z"), Some(ExemptRequested));
    assert_eq!(contract.relies("2026-09-05T10:00:00Z"), Some(0));
}

#[test]
fn a_request_to_come_is_the_next_moment() {
    let case = Case::default().with(request("2026-09-05T16:00:00Z"));
    refused(
        &case.judge("2026-09-05T10:00:00Z"),
        &[ConsentMissing, HoursDay],
        Some("2026-09-05T16:00:00Z"),
    );
}
