//! The offset of a zone on days without a change of it, remembered: nearly every day, and nearly every question is about a few of
//! them. Called by `clock` only, which asks the zone itself where this knows nothing. Changes no answer.

use std::cell::Cell;

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// The offset at an instant; `None` on a day with a change.
pub(super) fn offset(zone: Tz, at: DateTime<Utc>) -> Option<FixedOffset> {
    FixedOffset::east_opt(on(zone, at.timestamp().div_euclid(DAY))?)
}

/// The instant at which the zone's clocks show this; `None` where a change of offset is near, so that there may be none or two.
pub(super) fn instant(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let seconds = local.and_utc().timestamp();
    let shift = on(zone, seconds.div_euclid(DAY))?;
    let utc = seconds - i64::from(shift);
    let day = utc.div_euclid(DAY);
    // Two instants of one local time lie less than a day apart.
    let near = [day - 1, day, day + 1];
    if near.into_iter().any(|day| on(zone, day) != Some(shift)) {
        return None;
    }
    DateTime::from_timestamp(utc, local.and_utc().timestamp_subsec_nanos())
}

/// Seconds east of Greenwich all through a day of UTC, counted from 1970-01-01.
fn on(zone: Tz, day: i64) -> Option<i32> {
    let key = Key {
        zone,
        day: i32::try_from(day).ok()?,
    };
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    // any spread of days and zones over the places will do
    let place = (key.day as usize).wrapping_add((zone as usize).wrapping_mul(PER_ZONE)) % PLACES;
    REMEMBERED.with(|remembered| {
        let cell = &remembered[place];
        if let Some((known, shift)) = cell.get()
            && known == key
        {
            return shift;
        }
        let shift = looked_up(zone, day);
        cell.set(Some((key, shift)));
        shift
    })
}

/// No zone changes twice a day, so that its two ends tell.
fn looked_up(zone: Tz, day: i64) -> Option<i32> {
    let at = |second: i64| {
        let utc = DateTime::from_timestamp(day.checked_mul(DAY)? + second, 0)?.naive_utc();
        Some(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    };
    let (begin, end) = (at(0)?, at(DAY - 1)?);
    (begin == end).then_some(begin)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    zone: Tz,
    day: i32,
}

/// What was asked last of those that share the place, and its answer.
type Place = Cell<Option<(Key, Option<i32>)>>;

const DAY: i64 = 86_400;

/// Places of a thread: a few kilobytes.
const PLACES: usize = 256;

/// Neighbouring zones lie so many places apart.
const PER_ZONE: usize = 37;

thread_local! {
    static REMEMBERED: [Place; PLACES] = const { [const { Cell::new(None) }; PLACES] };
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use proptest::prelude::*;

    use super::*;

    fn any_zone() -> impl Strategy<Value = Tz> {
        (0..chrono_tz::TZ_VARIANTS.len()).prop_map(|index| chrono_tz::TZ_VARIANTS[index])
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_zone_says(zone in any_zone(), seconds in 0_i64..4_000_000_000) {
            let at = DateTime::from_timestamp(seconds, 0).unwrap();
            for _ in 0..2 {
                if let Some(shift) = offset(zone, at) {
                    prop_assert_eq!(shift, zone.offset_from_utc_datetime(&at.naive_utc()).fix());
                }
                let local = at.naive_utc();
                if let Some(found) = instant(zone, local) {
                    prop_assert_eq!(Some(found), zone.from_local_datetime(&local).single().map(|found| found.to_utc()));
                }
            }
        }
    }

    #[test]
    fn days_of_change_are_left_to_the_zone() {
        let paris = chrono_tz::Europe::Paris;
        let change: DateTime<Utc> = "2027-03-28T01:00:00Z".parse().unwrap();
        assert_eq!(offset(paris, change), None);
        assert_eq!(instant(paris, change.naive_utc()), None);
        assert_eq!(
            instant(paris, (change + Duration::days(1)).naive_utc()),
            None,
            "a day beside one"
        );
        let later = change + Duration::days(3);
        assert_eq!(offset(paris, later).map(|shift| shift.local_minus_utc()), Some(7200));
        assert_eq!(instant(paris, later.naive_utc()), Some(later - Duration::hours(2)));
    }
}
