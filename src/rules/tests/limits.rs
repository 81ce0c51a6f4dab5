//! Counting, and a professional's own stricter limits.

use super::Reason::{ConsentMissing, FrequencyExhausted, HoursDay, HoursWindow};
use super::*;
use crate::law::{Frequency, Holidays, Hours};

fn own_hours(days: [bool; 7], from: u32, until: u32) -> OwnLimits {
    OwnLimits {
        hours: Some(Hours {
            days,
            windows: vec![(from * 3600, until * 3600)],
            holidays: Holidays::None,
        }),
        frequency: None,
    }
}

fn own_frequency(max: u8, days: u16) -> OwnLimits {
    OwnLimits {
        hours: None,
        frequency: Some(Frequency { max, days }),
    }
}

#[test]
fn fifth_call_within_thirty_days_is_refused() {
    let tries = [
        "2023-06-01T08:00:00Z",
        "2023-06-02T08:00:00Z",
        "2023-06-05T08:00:00Z",
        "2023-06-05T09:00:00Z",
    ];
    for (made, left) in [(0, 4), (1, 3), (2, 2), (3, 1)] {
        let verdict = Case::default().tried(&tries[..made]).judge("2023-06-06T08:00:00Z");
        allowed(&verdict, None);
        assert_eq!(verdict.attempts_left, Some(left));
        assert!(verdict.counts);
    }
    let verdict = Case::default().tried(&tries).judge("2023-06-06T08:00:00Z");
    // 1 June leaves the period on 1 July, a Saturday.
    refused(&verdict, &[FrequencyExhausted], Some("2023-07-03T08:00:00Z"));
    assert_eq!(verdict.count_since, Some((4, at("2023-05-07T22:00:00Z"))));
    let late = Case::default().tried(&tries).judge("2023-06-30T17:00:00Z");
    refused(&late, &[FrequencyExhausted], Some("2023-07-03T08:00:00Z"));
}

#[test]
fn days_are_counted_by_the_callees_midnight() {
    // In Paris 2023-05-31T22:00Z is 1 June already.
    let on_the_first = Case::default().tried(&["2023-05-31T22:00:00Z"; 4]);
    let on_the_thirty_first = Case::default().tried(&["2023-05-31T21:59:59Z"; 4]);
    let now = "2023-06-30T08:00:00Z";
    assert_eq!(on_the_first.judge(now).reason, Some(FrequencyExhausted));
    allowed(&on_the_thirty_first.judge(now), None);
    // The period is of calendar days: the change to summer time makes it an hour shorter.
    let march = Case::default()
        .tried(&["2023-03-02T09:00:00Z"; 4])
        .judge("2023-03-31T08:00:00Z");
    assert_eq!(march.count_since, Some((4, at("2023-03-01T23:00:00Z"))));
}

#[test]
fn more_attempts_than_four_have_to_leave_before_the_next_call() {
    let imported = [
        "2023-06-01T08:00:00Z",
        "2023-06-02T08:00:00Z",
        "2023-06-05T08:00:00Z",
        "2023-06-06T08:00:00Z",
        "2023-06-07T08:00:00Z",
        "2023-06-08T08:00:00Z",
    ];
    // 5 June is the third to leave: on 5 July.
    let verdict = Case::default().tried(&imported).judge("2023-06-09T08:00:00Z");
    refused(&verdict, &[FrequencyExhausted], Some("2023-07-05T08:00:00Z"));
    assert_eq!(verdict.attempts_left, Some(0));
}

#[test]
fn attempts_of_later_days_do_not_count_when_a_past_call_is_judged() {
    let later = Case::default().tried(&["2023-06-07T08:00:00Z"; 4]);
    allowed(&later.judge("2023-06-06T09:00:00Z"), None);
    let same_day = Case::default().tried(&["2023-06-06T09:00:01Z"; 4]);
    assert_eq!(same_day.judge("2023-06-06T09:00:00Z").reason, Some(FrequencyExhausted));
}

#[test]
fn a_count_under_opt_in_frees_a_call_only_with_consent() {
    let tried = ["2026-08-03T08:00:00Z"; 4];
    let verdict = Case::default().tried(&tried).judge("2026-08-10T08:00:00Z");
    refused(&verdict, &[FrequencyExhausted], None);
    let consented = Case::consented("2026-08-01T08:00:00Z")
        .tried(&tried)
        .judge("2026-08-10T08:00:00Z");
    refused(&consented, &[FrequencyExhausted], Some("2026-09-02T08:00:00Z"));
}

#[test]
fn own_hours_close_what_the_law_opens_and_open_nothing() {
    let weekdays = [true, true, true, true, true, false, false];
    let mut case = Case {
        own: Some(own_hours(weekdays, 15, 22)),
        ..Case::default()
    };
    refused(
        &case.judge("2023-06-06T09:00:00Z"),
        &[HoursWindow],
        Some("2023-06-06T13:00:00Z"),
    );
    allowed(&case.judge("2023-06-06T13:00:00Z"), None);
    refused(
        &case.judge("2023-06-06T18:30:00Z"),
        &[HoursWindow],
        Some("2023-06-07T13:00:00Z"),
    );
    assert_eq!(
        case.judge("2023-06-06T13:00:00Z").valid_until,
        Some(at("2023-06-06T18:00:00Z"))
    );
    // Tuesdays only: the day answers before the window.
    case.own = Some(own_hours([false, true, false, false, false, false, false], 9, 11));
    refused(
        &case.judge("2023-06-07T11:30:00Z"),
        &[HoursDay],
        Some("2023-06-13T08:00:00Z"),
    );
    assert_eq!(
        case.judge("2023-06-13T08:00:00Z").valid_until,
        Some(at("2023-06-13T09:00:00Z"))
    );
    // Hours that never meet the law's.
    case.own = Some(own_hours([false, false, false, false, false, true, true], 0, 24));
    refused(&case.judge("2023-06-07T08:30:00Z"), &[HoursDay], None);
    // They hold where the law has no hours yet.
    case.own = Some(own_hours(weekdays, 9, 12));
    refused(
        &case.judge("2023-02-01T06:00:00Z"),
        &[HoursWindow],
        Some("2023-02-01T08:00:00Z"),
    );
}

#[test]
fn own_frequency_is_stricter_never_laxer() {
    let mut case = Case::default().tried(&["2023-06-05T08:00:00Z", "2023-06-05T09:00:00Z"]);
    case.own = Some(own_frequency(2, 7));
    let verdict = case.judge("2023-06-06T08:00:00Z");
    refused(&verdict, &[FrequencyExhausted], Some("2023-06-12T08:00:00Z"));
    assert_eq!((verdict.attempts_left, verdict.count_since.unwrap().0), (Some(0), 2));
    case.own = Some(own_frequency(9, 30));
    assert_eq!(case.judge("2023-06-06T08:00:00Z").attempts_left, Some(2));
    let four = Case {
        own: Some(own_frequency(9, 30)),
        ..Case::default().tried(&["2023-06-05T08:00:00Z"; 4])
    };
    assert_eq!(four.judge("2023-06-06T08:00:00Z").reason, Some(FrequencyExhausted));
    // Nobody at all, on no date.
    let none = Case {
        own: Some(own_frequency(0, 30)),
        ..Case::default()
    };
    refused(&none.judge("2023-06-06T08:00:00Z"), &[FrequencyExhausted], None);
    // Before the law counts.
    case.own = Some(own_frequency(1, 7));
    case.attempts = vec![at("2023-01-30T08:00:00Z")];
    assert_eq!(case.judge("2023-02-01T08:00:00Z").reason, Some(FrequencyExhausted));
}

#[test]
fn nothing_is_counted_down_where_the_law_has_no_frequency() {
    let verdict = Case::default().judge("2023-02-01T08:00:00Z");
    assert_eq!(
        (verdict.attempts_left, verdict.count_since, verdict.counts),
        (None, None, true)
    );
}

#[test]
fn the_count_is_told_with_every_refusal() {
    let verdict = Case::default()
        .tried(&["2026-09-01T08:00:00Z"])
        .judge("2026-09-02T08:00:00Z");
    refused(&verdict, &[ConsentMissing], None);
    assert_eq!((verdict.attempts_left, verdict.counts), (Some(3), true));
}
