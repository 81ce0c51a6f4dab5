//! Local days and hours against instants, in any time zone and across its changes of offset. Pure; used by `rules` for "the
//! next allowed moment" and by the ledger's callers for "the first instant that counts".
//!
//! Local times that a change to summer time skips mean the moment of the change; those that a change to winter time repeats
//! are told apart by their instant.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use super::{Hours, Law};
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

    /// May calls be placed at this instant under `hours`?
    pub fn is_open(&self, hours: &Hours, at: DateTime<Utc>, territory: Territory) -> bool {
        let local = self.local(at, territory);
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
        if !self.is_open(hours, at, territory) {
            return None;
        }
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
            if end == before || end != self.start_of_day(day, territory) {
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

/// Local date and time of an instant.
pub fn local(zone: Tz, at: DateTime<Utc>) -> NaiveDateTime {
    let utc = at.naive_utc();
    // Out of range only at the ends of the calendar, where a few hours tell nothing.
    utc.checked_add_offset(offset(zone, utc)).unwrap_or(utc)
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

/// The windows of a local day as `[from, until)` in instants. A change of offset within the day cuts a window in two or
/// repeats part of it; the pieces are in order.
fn open_spans(zone: Tz, day: NaiveDate, windows: &[(u32, u32)]) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let begin = start_of_day(zone, day);
    let end = instant(zone, day, SECONDS_PER_DAY);
    let mut spans = Vec::with_capacity(windows.len() + 1);
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
