//! When and how often a callee may be called: hours, holidays, territories, the count.

use crate::{Case, allowed, at, refused};

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
    refused(
        &Case::new().judge("2024-07-14T10:00:00Z"),
        &["hours.day"],
        Some("2024-07-15T08:00:00Z"),
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
