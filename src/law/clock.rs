//! Local days and hours against instants, in any time zone and across its changes of offset. Pure; used by `rules` for "the
//! next allowed moment" and by the ledger's callers for "the first instant that counts".
//!
//! Local times that a change to summer time skips mean the moment of the change; those that a change to winter time repeats
//! are told apart by their instant.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use smallvec::SmallVec;

use super::{Hours, Law, steady};
use crate::numbering::Territory;

impl Law {
    /// Local date and time of an instant in the territory.
    pub fn local(&self, at: DateTime<Utc>, territory: Territory) -> NaiveDateTime {
        local(self.zone(territory), at)
    }

    /// Local day of an instant in the territory.
    pub fn local_day(&self, at: DateTime<Utc>, territory: Territory) -> NaiveDate {
        self.local(at, territory).date()
    }

    /// First instant of a local day in the territory.
    pub fn start_of_day(&self, day: NaiveDate, territory: Territory) -> DateTime<Utc> {
        start_of_day(self.zone(territory), day)
    }

    /// First instant of a local day at which its clock shows `seconds` since midnight or later; 86,400 is the next day's start.
    pub fn instant(&self, day: NaiveDate, seconds: u32, territory: Territory) -> DateTime<Utc> {
        instant(self.zone(territory), day, seconds)
    }

    /// May calls be placed under `hours` at this local time?
    fn holds(&self, hours: &Hours, local: NaiveDateTime, territory: Territory) -> bool {
        hours.window_holds(local.time()) && self.opens_on(hours, local.date(), territory)
    }

    /// The earliest instant from `at` on (itself included) at which calls may be placed under `hours`; `None` where a year
    /// holds none. Knows nothing of regimes: whoever asks checks that the answer falls into the regime it asked for.
    pub fn next_open(&self, hours: &Hours, at: DateTime<Utc>, territory: Territory) -> Option<DateTime<Utc>> {
        let mut day = self.local_day(at, territory);
        // More than one turn: the windows of today may all lie behind, those of tomorrow be skipped by a change of offset.
        for _ in 0..4 {
            day = self.next_open_day(hours, day, territory)?;
            let spans = open_spans(self.zone(territory), day, &hours.windows);
            let ahead = spans.into_iter().filter(|span| span.1 > at).map(|span| span.0.max(at));
            if let Some(first) = ahead.min() {
                return Some(first);
            }
            day = day.succ_opt()?;
        }
        None
    }

    /// When the window that is open at `at` closes: the first instant after `at` at which calls may no longer be placed. `None`
    /// where it is not open, or does not close within a week.
    pub fn closes(&self, hours: &Hours, at: DateTime<Utc>, territory: Territory) -> Option<DateTime<Utc>> {
        let local = self.local(at, territory);
        if !self.holds(hours, local, territory) {
            return None;
        }
        let before_midnight =
            closes_before_midnight(hours, local).and_then(|end| steady::instant(self.zone(territory), end));
        before_midnight.or_else(|| self.closes_in_full(hours, at, territory))
    }

    /// Whatever the clock does, and however long the windows of one day run on in the next.
    fn closes_in_full(&self, hours: &Hours, at: DateTime<Utc>, territory: Territory) -> Option<DateTime<Utc>> {
        let mut end = at;
        let mut day = self.local_day(at, territory);
        for _ in 0..7 {
            let before = end;
            if self.opens_on(hours, day, territory) {
                for span in open_spans(self.zone(territory), day, &hours.windows) {
                    if span.0 <= end && end < span.1 {
                        end = span.1;
                    }
                }
            }
            day = day.succ_opt()?;
            // A window up to midnight runs on where the next day begins with one.
            let to_midnight = hours.windows.last().is_some_and(|window| window.1 == SECONDS_PER_DAY);
            if end == before || !to_midnight || end != self.start_of_day(day, territory) {
                return Some(end);
            }
        }
        None
    }
}

impl Hours {
    /// Is the local time within a window? Says nothing of the day.
    pub fn window_holds(&self, time: NaiveTime) -> bool {
        let at = time.num_seconds_from_midnight();
        self.windows.iter().any(|(from, until)| (*from..*until).contains(&at))
    }

    /// Is it one of the days of the week? Says nothing of holidays.
    pub fn day_holds(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }
}

/// When the window that is open closes by a clock that runs evenly; `None` for one that runs up to midnight, and may run on.
fn closes_before_midnight(hours: &Hours, local: NaiveDateTime) -> Option<NaiveDateTime> {
    let now = local.time().num_seconds_from_midnight();
    let end = hours.windows.iter().fold(now, |end, (from, until)| {
        let runs_on = (*from..*until).contains(&end);
        if runs_on { *until } else { end }
    });
    Some(
        local
            .date()
            .and_time(NaiveTime::from_num_seconds_from_midnight_opt(end, 0)?),
    )
}

/// Local date and time of an instant.
pub fn local(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    let utc = at.naive_utc();
    // Out of range only at the ends of the calendar, where a few hours tell nothing.
    let shift = steady::offset(zone, at).unwrap_or_else(|| offset(zone, utc));
    utc.checked_add_offset(shift).unwrap_or(utc)
}

/// First instant of a local day.
pub fn start_of_day(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    instant(zone, day, 0)
}

/// First instant of a local day at which its clock shows `seconds` since midnight or later; 86,400 is the next day's start.
pub fn instant(zone: Tz, day: NaiveDate, seconds: u32) -> DateTime<Utc> {
    let wanted = day
        .and_time(NaiveTime::MIN)
        .checked_add_signed(Duration::seconds(seconds.into()))
        .unwrap_or(NaiveDateTime::MAX);
    if let Some(at) = steady::instant(zone, wanted) {
        return at;
    }
    let on_the_clock = zone.from_local_datetime(&wanted).earliest();
    on_the_clock.map_or_else(|| change_past(zone, wanted), |at| at.to_utc())
}

/// The change of offset that skips the local time `skipped`.
fn change_past(zone: Tz, skipped: NaiveDateTime) -> DateTime<Utc> {
    let (Some(mut before), Some(mut after)) = (
        skipped.checked_sub_signed(Duration::days(2)).map(|t| t.and_utc()),
        skipped.checked_add_signed(Duration::days(2)).map(|t| t.and_utc()),
    ) else {
        return skipped.and_utc();
    };
    // No offset reaches a day and no zone changes twice in four: the clock passes `skipped` once between the two.
    while after - before > Duration::seconds(1) {
        let middle = before + (after - before) / 2;
        let middle = middle.with_nanosecond(0).unwrap_or(middle);
        if local(zone, middle) < skipped {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

/// Pieces of a day's windows: two in France, one more on the day of a change.
type Spans = SmallVec<[(DateTime<Utc>, DateTime<Utc>); 4]>;

/// The windows of a local day as `[from, until)` in instants. A change of offset within the day cuts a window in two or
/// repeats part of it; the pieces are in order.
fn open_spans(zone: Tz, day: NaiveDate, windows: &[(u32, u32)]) -> Spans {
    let begin = start_of_day(zone, day);
    let end = instant(zone, day, SECONDS_PER_DAY);
    let mut spans = Spans::new();
    let mut piece = begin;
    while piece < end {
        let shift = offset(zone, piece.naive_utc());
        let until = next_change(zone, piece, end);
        for (from, to) in windows {
            let at = |seconds: u32| {
                let local = day
                    .and_time(NaiveTime::MIN)
                    .checked_add_signed(Duration::seconds(seconds.into()));
                local
                    .and_then(|local| local.checked_sub_offset(shift))
                    .map(|utc| utc.and_utc())
            };
            let (Some(from), Some(to)) = (at(*from), at(*to)) else {
                continue;
            };
            let (from, to) = (from.max(piece), to.min(until));
            match spans.last_mut() {
                _ if from >= to => {}
                Some((_, last)) if *last == from => *last = to,
                _ => spans.push((from, to)),
            }
        }
        piece = until;
    }
    spans
}

/// The first instant after `from` with another offset, or `end`.
fn next_change(zone: Tz, from: DateTime<Utc>, end: DateTime<Utc>) -> DateTime<Utc> {
    let shift = offset(zone, from.naive_utc());
    let (mut same, mut other) = (from, end);
    // Offsets change at most once a day, so the last second of the day tells.
    if end <= from || offset(zone, (end - Duration::seconds(1)).naive_utc()) == shift {
        return end;
    }
    while other - same > Duration::seconds(1) {
        let middle = same + (other - same) / 2;
        let middle = middle.with_nanosecond(0).unwrap_or(middle);
        if offset(zone, middle.naive_utc()) == shift {
            same = middle;
        } else {
            other = middle;
        }
    }
    other
}

fn offset(zone: Tz, utc: NaiveDateTime) -> chrono::FixedOffset {
    zone.offset_from_utc_datetime(&utc).fix()
}

const SECONDS_PER_DAY: u32 = 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::law::Holidays;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// May calls be placed at this instant?
    fn is_open(law: &Law, hours: &Hours, at: DateTime<Utc>, territory: Territory) -> bool {
        law.holds(hours, law.local(at, territory), territory)
    }

    /// Hours of every day.
    fn always(windows: &[(u32, u32)]) -> Hours {
        Hours {
            days: [true; 7],
            windows: windows.to_vec(),
            holidays: Holidays::None,
        }
    }

    fn decree() -> Hours {
        Law::embedded()
            .regime_on(day("2026-09-01"))
            .unwrap()
            .hours
            .clone()
            .unwrap()
    }

    const H: u32 = 3600;

    /// regulation.md §1.4: the zones, by what ten in the morning means in winter and in summer.
    #[test]
    fn ten_in_the_morning_of_every_territory() {
        let law = Law::embedded();
        for (territory, winter, summer) in [
            (Territory::Metropole, "09:00", "08:00"),
            (Territory::Guadeloupe, "14:00", "14:00"),
            (Territory::Guyane, "13:00", "13:00"),
            (Territory::Martinique, "14:00", "14:00"),
            (Territory::Reunion, "06:00", "06:00"),
            (Territory::Mayotte, "07:00", "07:00"),
            (Territory::SaintPierre, "13:00", "12:00"),
            (Territory::NewCaledonia, "23:00", "23:00"),
            (Territory::WallisFutuna, "22:00", "22:00"),
            (Territory::Polynesia, "20:00", "20:00"),
        ] {
            for (date, utc) in [("2027-01-13", winter), ("2027-07-13", summer)] {
                let instant = law.instant(day(date), 10 * H, territory);
                assert_eq!(instant.format("%H:%M").to_string(), utc, "{territory:?} {date}");
                assert_eq!(
                    law.local(instant, territory),
                    day(date).and_hms_opt(10, 0, 0).unwrap(),
                    "{territory:?}"
                );
                assert_eq!(law.local_day(instant, territory), day(date));
            }
        }
    }

    #[test]
    fn windows_are_half_open() {
        let hours = decree();
        for (time, holds) in [
            ("09:59:59", false),
            ("10:00:00", true),
            ("12:59:59.999", true),
            ("13:00:00", false),
            ("13:59:59", false),
            ("14:00:00", true),
            ("19:59:59", true),
            ("20:00:00", false),
            ("00:00:00", false),
        ] {
            assert_eq!(hours.window_holds(time.parse().unwrap()), holds, "{time}");
        }
        let whole = always(&[(0, 24 * H)]);
        assert!(whole.window_holds("00:00:00".parse().unwrap()) && whole.window_holds("23:59:59.999".parse().unwrap()));
    }

    #[test]
    fn days_begin_at_their_first_instant() {
        let law = Law::embedded();
        for (territory, date, begins) in [
            (Territory::Metropole, "2026-10-25", "2026-10-24T22:00:00Z"), // 25 hours long
            (Territory::Metropole, "2026-10-26", "2026-10-25T23:00:00Z"),
            (Territory::Metropole, "2027-03-28", "2027-03-27T23:00:00Z"), // 23 hours long
            (Territory::Metropole, "2027-03-29", "2027-03-28T22:00:00Z"),
            (Territory::SaintPierre, "2027-03-14", "2027-03-14T03:00:00Z"),
            (Territory::SaintPierre, "2027-03-15", "2027-03-15T02:00:00Z"),
            (Territory::Polynesia, "2026-08-11", "2026-08-11T10:00:00Z"),
            (Territory::WallisFutuna, "2026-08-11", "2026-08-10T12:00:00Z"),
        ] {
            assert_eq!(
                law.start_of_day(day(date), territory),
                at(begins),
                "{territory:?} {date}"
            );
        }
    }

    /// Zones that skip or repeat midnight: no territory's today, but a law file may name any.
    #[test]
    fn a_day_without_midnight_begins_after_the_gap_and_one_with_two_at_the_first() {
        for (zone, date, begins) in [
            (chrono_tz::America::Asuncion, "2023-10-01", "2023-10-01T04:00:00Z"),
            (chrono_tz::Asia::Beirut, "2024-03-31", "2024-03-30T22:00:00Z"),
            (chrono_tz::Asia::Beirut, "2024-10-27", "2024-10-26T22:00:00Z"), // 23:00 comes twice, midnight once
            (chrono_tz::America::Havana, "2024-11-03", "2024-11-03T04:00:00Z"),
            (chrono_tz::Pacific::Apia, "2011-12-30", "2011-12-30T10:00:00Z"), // the day that Samoa skipped whole
        ] {
            assert_eq!(start_of_day(zone, day(date)), at(begins), "{zone} {date}");
        }
    }

    #[test]
    fn a_skipped_time_means_the_change_and_a_repeated_one_its_first() {
        let paris = chrono_tz::Europe::Paris;
        assert_eq!(instant(paris, day("2027-03-28"), 2 * H), at("2027-03-28T01:00:00Z"));
        assert_eq!(
            instant(paris, day("2027-03-28"), 2 * H + 1800),
            at("2027-03-28T01:00:00Z")
        );
        assert_eq!(instant(paris, day("2027-03-28"), 3 * H), at("2027-03-28T01:00:00Z"));
        assert_eq!(
            instant(paris, day("2026-10-25"), 2 * H + 1800),
            at("2026-10-25T00:30:00Z")
        );
        assert_eq!(instant(paris, day("2026-10-25"), 3 * H), at("2026-10-25T02:00:00Z"));
        assert_eq!(
            instant(paris, day("2026-10-25"), 24 * H),
            start_of_day(paris, day("2026-10-26"))
        );
    }

    #[test]
    fn the_next_opening_passes_over_breaks_weekends_holidays_and_changes_of_offset() {
        let law = Law::embedded();
        let hours = decree();
        for (territory, from, opens) in [
            (Territory::Metropole, "2026-09-01T08:00:00Z", "2026-09-01T08:00:00Z"), // open already
            (Territory::Metropole, "2026-09-01T07:59:59Z", "2026-09-01T08:00:00Z"),
            (Territory::Metropole, "2026-09-01T11:00:00Z", "2026-09-01T12:00:00Z"), // lunch
            (Territory::Metropole, "2026-09-01T18:00:00Z", "2026-09-02T08:00:00Z"), // evening
            (Territory::Metropole, "2026-09-04T18:00:00Z", "2026-09-07T08:00:00Z"), // weekend
            (Territory::Metropole, "2026-10-23T18:00:00Z", "2026-10-26T09:00:00Z"), // winter time begins
            (Territory::Metropole, "2027-03-26T19:00:00Z", "2027-03-30T08:00:00Z"), // summer time and Easter Monday
            (Territory::Metropole, "2026-12-24T19:00:00Z", "2026-12-28T09:00:00Z"), // Christmas and a weekend
            (Territory::SaintPierre, "2027-03-12T23:00:00Z", "2027-03-15T12:00:00Z"), // North American dates
            (Territory::Polynesia, "2026-09-05T05:00:00Z", "2026-09-05T05:00:00Z"), // still Friday, 19:00
            (Territory::Polynesia, "2026-09-05T06:00:00Z", "2026-09-07T20:00:00Z"),
            (Territory::WallisFutuna, "2026-09-06T21:00:00Z", "2026-09-06T22:00:00Z"), // Monday already
        ] {
            assert_eq!(
                law.next_open(&hours, at(from), territory),
                Some(at(opens)),
                "{territory:?} {from}"
            );
        }
        let never = Hours {
            days: [false; 7],
            ..hours
        };
        assert_eq!(
            law.next_open(&never, at("2026-09-01T08:00:00Z"), Territory::Metropole),
            None
        );
    }

    #[test]
    fn windows_at_night_follow_the_clock_through_both_changes() {
        let law = Law::embedded();
        let paris = Territory::Metropole;
        let half_past_two = always(&[(2 * H, 2 * H + 1800)]);
        // 02:00-02:30 comes twice on 25 October 2026...
        let next = |from: &str| law.next_open(&half_past_two, at(from), paris);
        assert_eq!(next("2026-10-25T00:30:00Z"), Some(at("2026-10-25T01:00:00Z")));
        assert_eq!(
            law.closes(&half_past_two, at("2026-10-25T00:10:00Z"), paris),
            Some(at("2026-10-25T00:30:00Z"))
        );
        assert_eq!(
            law.closes(&half_past_two, at("2026-10-25T01:10:00Z"), paris),
            Some(at("2026-10-25T01:30:00Z"))
        );
        // ... and not at all on 28 March 2027.
        assert_eq!(next("2027-03-27T01:30:00Z"), Some(at("2027-03-29T00:00:00Z")));
        // A window over the change is one hour longer or shorter.
        let night = always(&[(H, 5 * H)]);
        assert_eq!(
            law.closes(&night, at("2026-10-24T23:00:00Z"), paris),
            Some(at("2026-10-25T04:00:00Z"))
        );
        assert_eq!(
            law.closes(&night, at("2027-03-28T00:00:00Z"), paris),
            Some(at("2027-03-28T03:00:00Z"))
        );
    }

    #[test]
    fn a_window_closes_at_its_end_and_one_to_midnight_with_the_next_days() {
        let law = Law::embedded();
        let paris = Territory::Metropole;
        let hours = decree();
        assert_eq!(
            law.closes(&hours, at("2026-09-01T10:59:59Z"), paris),
            Some(at("2026-09-01T11:00:00Z"))
        );
        assert_eq!(
            law.closes(&hours, at("2026-09-01T17:00:00Z"), paris),
            Some(at("2026-09-01T18:00:00Z"))
        );
        assert_eq!(law.closes(&hours, at("2026-09-01T11:00:00Z"), paris), None);
        let whole = Hours {
            windows: vec![(0, 24 * H)],
            ..decree()
        };
        // Monday to Friday round the clock: closes on Saturday at midnight.
        assert_eq!(
            law.closes(&whole, at("2026-09-01T11:00:00Z"), paris),
            Some(at("2026-09-04T22:00:00Z"))
        );
        assert_eq!(
            law.closes(&always(&[(0, 24 * H)]), at("2026-09-01T11:00:00Z"), paris),
            None
        );
        let evening = always(&[(20 * H, 24 * H)]);
        assert_eq!(
            law.closes(&evening, at("2026-09-01T20:00:00Z"), paris),
            Some(at("2026-09-01T22:00:00Z"))
        );
        let touching = always(&[(10 * H, 12 * H), (12 * H, 14 * H)]);
        assert_eq!(
            law.closes(&touching, at("2026-09-01T09:00:00Z"), paris),
            Some(at("2026-09-01T12:00:00Z"))
        );
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        let law = Law::embedded();
        let hours = decree();
        for territory in Territory::ALL {
            for instant in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                let local = law.local(instant, territory);
                let _ = law.start_of_day(local.date(), territory);
                let _ = law.instant(local.date(), 24 * H, territory);
                let _ = law.next_open(&hours, instant, territory);
                let _ = law.closes(&always(&[(0, 24 * H)]), instant, territory);
                let _ = is_open(&law, &hours, instant, territory);
            }
            for date in [NaiveDate::MIN, NaiveDate::MAX] {
                let _ = law.instant(date, 12 * H, territory);
            }
        }
    }

    fn any_zone() -> impl Strategy<Value = Tz> {
        (0..chrono_tz::TZ_VARIANTS.len()).prop_map(|index| chrono_tz::TZ_VARIANTS[index])
    }

    proptest! {
        #[test]
        fn a_day_begins_at_the_first_instant_that_has_its_date(zone in any_zone(), days in 0i64..40_000) {
            let date = day("1970-01-01") + Duration::days(days);
            let start = start_of_day(zone, date);
            prop_assert!(local(zone, start).date() >= date);
            prop_assert!(local(zone, start - Duration::seconds(1)).date() < date);
        }

        #[test]
        fn the_next_opening_is_open_and_nothing_between_is(
            territory in prop::sample::select(Territory::ALL.to_vec()),
            seconds in 1_672_531_200i64..1_900_000_000,
        ) {
            let law = Law::embedded();
            let hours = decree();
            let from = DateTime::from_timestamp(seconds, 0).unwrap();
            let next = law.next_open(&hours, from, territory).unwrap();
            prop_assert!(next >= from && is_open(&law, &hours, next, territory));
            let mut between = from;
            while between < next {
                prop_assert!(!is_open(&law, &hours, between, territory), "{between}");
                between += Duration::minutes(1);
            }
            prop_assert!(next == from || !is_open(&law, &hours, next - Duration::seconds(1), territory));
            let closes = law.closes(&hours, next, territory).unwrap();
            prop_assert!(!is_open(&law, &hours, closes, territory));
            prop_assert!(is_open(&law, &hours, closes - Duration::seconds(1), territory));
        }

        #[test]
        fn a_window_that_closes_before_midnight_closes_as_any_other(
            territory in prop::sample::select(Territory::ALL.to_vec()),
            near_a_change in any::<bool>(),
            seconds in 0i64..400_000_000,
            ends in prop::collection::btree_set(0u32..=48, 2..7),
        ) {
            let law = Law::embedded();
            let from = if near_a_change { at("2026-10-24T00:00:00Z") } else { at("2023-01-01T00:00:00Z") };
            let at = from + Duration::seconds(if near_a_change { seconds % 200_000 } else { seconds });
            let ends: Vec<u32> = ends.into_iter().map(|half| half * H / 2).collect();
            let hours = always(&ends.windows(2).map(|two| (two[0], two[1])).step_by(if seconds % 2 == 0 { 1 } else { 2 }).collect::<Vec<_>>());
            if is_open(&law, &hours, at, territory) {
                prop_assert_eq!(law.closes(&hours, at, territory), law.closes_in_full(&hours, at, territory));
            }
        }
    }
}
