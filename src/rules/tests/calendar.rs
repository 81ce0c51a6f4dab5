//! Days, holidays, hours and zones as the law's tables have them.

use super::Reason::{HoursDay, HoursHoliday, HoursWindow};
use super::*;

/// Every holiday of L.3133-1 that falls on a weekday from 2026 to 2028, and the next moment at which calls may be placed.
#[test]
fn the_holidays_of_the_labour_code_close_the_day() {
    for (holiday, next) in [
        ("2026-01-01", "2026-01-02T09:00:00Z"),
        ("2026-04-06", "2026-04-07T08:00:00Z"), // Easter Monday
        ("2026-05-01", "2026-05-04T08:00:00Z"),
        ("2026-05-08", "2026-05-11T08:00:00Z"),
        ("2026-05-14", "2026-05-15T08:00:00Z"), // Ascension
        ("2026-05-25", "2026-05-26T08:00:00Z"), // Whit Monday
        ("2026-07-14", "2026-07-15T08:00:00Z"),
        ("2026-11-11", "2026-11-12T09:00:00Z"),
        ("2026-12-25", "2026-12-28T09:00:00Z"),
        ("2027-01-01", "2027-01-04T09:00:00Z"),
        ("2027-03-29", "2027-03-30T08:00:00Z"),
        ("2027-05-06", "2027-05-07T08:00:00Z"),
        ("2027-05-17", "2027-05-18T08:00:00Z"),
        ("2027-07-14", "2027-07-15T08:00:00Z"),
        ("2027-11-01", "2027-11-02T09:00:00Z"),
        ("2027-11-11", "2027-11-12T09:00:00Z"),
        ("2028-04-17", "2028-04-18T08:00:00Z"),
        ("2028-05-01", "2028-05-02T08:00:00Z"),
        ("2028-05-08", "2028-05-09T08:00:00Z"),
        ("2028-05-25", "2028-05-26T08:00:00Z"),
        ("2028-06-05", "2028-06-06T08:00:00Z"),
        ("2028-07-14", "2028-07-17T08:00:00Z"),
        ("2028-08-15", "2028-08-16T08:00:00Z"),
        ("2028-11-01", "2028-11-02T09:00:00Z"),
        ("2028-12-25", "2028-12-26T09:00:00Z"),
    ] {
        // Consented that very year, so that the opt-in does not answer.
        let given = format!("{}-01-01T00:00:00Z", &holiday[..4]);
        let case = if holiday < "2026-08-11" {
            Case::default()
        } else {
            Case::consented(&given)
        };
        refused(
            &case.judge(&format!("{holiday}T10:00:00Z")),
            &[HoursHoliday],
            Some(next),
        );
    }
}

#[test]
fn holidays_that_the_decree_does_not_name_are_days_like_others() {
    for (callee, now) in [
        (MOBILE, "2026-04-03T09:00:00Z"),          // Good Friday
        (MOBILE, "2024-12-26T10:00:00Z"),          // kept in Alsace-Moselle
        (262_639_123_456, "2026-04-27T09:00:00Z"), // Mayotte: abolition
        (596_696_123_456, "2026-05-22T15:00:00Z"), // Martinique
        (590_690_123_456, "2026-05-27T15:00:00Z"), // Guadeloupe
        (594_694_123_456, "2026-06-10T15:00:00Z"), // Guyane
    ] {
        allowed(&Case::default().to(callee).judge(now), None);
    }
}

#[test]
fn a_holiday_on_a_weekend_is_refused_for_its_day() {
    // 15 August 2026 and 8 May 2027 are Saturdays.
    let verdict = Case::consented("2026-08-12T10:00:00Z").judge("2026-08-15T10:00:00Z");
    refused(&verdict, &[HoursDay], Some("2026-08-17T08:00:00Z"));
    let verdict = Case::consented("2027-01-12T10:00:00Z").judge("2027-05-08T10:00:00Z");
    refused(&verdict, &[HoursDay], Some("2027-05-10T08:00:00Z"));
}

#[test]
fn the_edges_of_the_windows_are_to_the_second_in_every_zone() {
    // (callee, hours from UTC on 2023-07-04, a Tuesday)
    for (callee, offset) in [
        (MOBILE, 2),
        (590_690_123_456, -4),
        (596_696_123_456, -4),
        (594_694_123_456, -3),
        (508_411_234, -2),
        (262_692_123_456, 4),
        (262_639_123_456, 3),
        (687_751_234, 11),
        (681_821_234, 12),
        (68_987_123_456, -10),
    ] {
        let local = |text: &str| at(&format!("2023-07-04T{text}Z")) - chrono::TimeDelta::hours(offset);
        let case = Case::default().to(callee);
        for (time, opens) in [
            ("00:00:00", Some("10:00:00")),
            ("09:59:59", Some("10:00:00")),
            ("10:00:00", None),
            ("12:59:59", None),
            ("13:00:00", Some("14:00:00")),
            ("13:59:59", Some("14:00:00")),
            ("14:00:00", None),
            ("19:59:59", None),
        ] {
            let verdict = case.judge_at(local(time));
            assert_eq!(verdict.allowed, opens.is_none(), "{callee} {time}");
            assert_eq!(verdict.next_allowed, opens.map(local), "{callee} {time}");
        }
        let evening = case.judge_at(local("20:00:00"));
        assert_eq!(evening.reason, Some(HoursWindow));
        assert_eq!(
            evening.next_allowed,
            Some(local("10:00:00") + chrono::TimeDelta::days(1))
        );
    }
}

#[test]
fn midnight_belongs_to_the_day_that_begins() {
    // Paris: Friday 23:59:59 is the window's, Saturday 00:00:00 the day's.
    let case = Case::default();
    refused(
        &case.judge("2023-06-09T21:59:59Z"),
        &[HoursWindow],
        Some("2023-06-12T08:00:00Z"),
    );
    refused(
        &case.judge("2023-06-09T22:00:00Z"),
        &[HoursDay],
        Some("2023-06-12T08:00:00Z"),
    );
    refused(
        &case.judge("2023-06-11T21:59:59Z"),
        &[HoursDay],
        Some("2023-06-12T08:00:00Z"),
    );
    refused(
        &case.judge("2023-06-11T22:00:00Z"),
        &[HoursWindow],
        Some("2023-06-12T08:00:00Z"),
    );
}

#[test]
fn the_next_moment_is_on_the_clock_of_the_day_it_falls_on() {
    for (callee, now, next) in [
        (MOBILE, "2026-03-27T19:00:00Z", "2026-03-30T08:00:00Z"),
        (MOBILE, "2025-10-24T18:00:00Z", "2025-10-27T09:00:00Z"),
        // Saint-Pierre changes with North America: 8 March 2026, 2 November 2025.
        (508_411_234, "2026-03-06T23:00:00Z", "2026-03-09T12:00:00Z"),
        (508_411_234, "2025-10-31T22:00:00Z", "2025-11-03T13:00:00Z"),
        // No change overseas.
        (590_690_123_456, "2026-03-28T00:00:00Z", "2026-03-30T14:00:00Z"),
    ] {
        assert_eq!(
            Case::default().to(callee).judge(now).next_allowed,
            Some(at(next)),
            "{callee} {now}"
        );
    }
}

#[test]
fn an_allowed_call_holds_until_its_window_closes_and_no_further_than_its_regime() {
    assert_eq!(
        Case::default().judge("2023-06-06T08:00:00Z").valid_until,
        Some(at("2023-06-06T11:00:00Z"))
    );
    assert_eq!(
        Case::default().judge("2023-06-06T17:59:59Z").valid_until,
        Some(at("2023-06-06T18:00:00Z"))
    );
    // No hours before March 2023: until they begin.
    assert_eq!(
        Case::default().judge("2023-02-28T22:59:59Z").valid_until,
        Some(at("2023-02-28T23:00:00Z"))
    );
}

#[test]
fn regimes_begin_on_the_callees_day() {
    // 11 August, 11:30 in Nouméa; 10 August, 14:30 in Papeete.
    let now = "2026-08-11T00:30:00Z";
    assert_eq!(
        Case::default().to(687_751_234).judge(now).reason,
        Some(Reason::ConsentMissing)
    );
    allowed(&Case::default().to(68_987_123_456).judge(now), None);
    assert_eq!(
        Case::default().to(68_987_123_456).judge(now).regime.as_deref(),
        Some("fr-2026-01")
    );
}
