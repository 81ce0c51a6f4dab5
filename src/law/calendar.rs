//! Days: Easter, public holidays [jours fériés], working days [jours ouvrables]. Pure; what the holidays are is the law file's.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::{Holidays, Hours, Law};
use crate::numbering::Territory;

/// One public holiday of the law file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holiday {
    pub(super) on: On,
    pub(super) from: Option<NaiveDate>,
    pub(super) until: Option<NaiveDate>,
}

/// When a holiday falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Month and day of every year.
    Yearly(u32, u32),
    /// Days after Easter Sunday.
    Easter(i16),
    /// One date.
    Once(NaiveDate),
}

impl Law {
    /// Is the local day a public holiday [jour férié] under `which`, in the territory?
    pub fn is_holiday(&self, day: NaiveDate, territory: Territory, which: Holidays) -> bool {
        let own: &[Holiday] = match which {
            Holidays::None => return false,
            Holidays::National => &[],
            Holidays::NationalAndTerritory => &self.place(territory).holidays,
        };
        let easter = easter(day.year());
        let falls = |holiday: &Holiday| holiday.falls_on(day, easter);
        self.national_holidays.iter().any(falls) || own.iter().any(falls)
    }

    /// May calls be placed at some hour of the local day: a day of the week that `hours` names, and no holiday it respects?
    pub fn opens_on(&self, hours: &Hours, day: NaiveDate, territory: Territory) -> bool {
        hours.day_holds(day.weekday()) && !self.is_holiday(day, territory, hours.holidays)
    }

    /// The first local day from `from` on (itself included) that is open under `hours`; `None` where a year holds none.
    pub fn next_open_day(&self, hours: &Hours, from: NaiveDate, territory: Territory) -> Option<NaiveDate> {
        from.iter_days()
            .take(SEARCHED_DAYS)
            .find(|day| self.opens_on(hours, *day, territory))
    }

    /// Is it a working day [jour ouvrable]: any day but Sunday and the national holidays? Saturdays count. The territory's own
    /// holidays count as working days: terms that run in working days then end no later than anybody reads them.
    pub fn is_working_day(&self, day: NaiveDate, territory: Territory) -> bool {
        day.weekday() != Weekday::Sun && !self.is_holiday(day, territory, Holidays::National)
    }

    /// The `count`-th working day after `after`: day one is the next working day, whatever `after` is. `after` for zero.
    pub fn working_day(&self, after: NaiveDate, count: u8, territory: Territory) -> NaiveDate {
        let days = after
            .iter_days()
            .skip(1)
            .filter(|day| self.is_working_day(*day, territory));
        match count {
            0 => after,
            count => days.take(count.into()).last().unwrap_or(NaiveDate::MAX),
        }
    }
}

impl Holiday {
    fn falls_on(&self, day: NaiveDate, easter: Option<NaiveDate>) -> bool {
        let falls = match self.on {
            On::Yearly(month, of_month) => day.month() == month && day.day() == of_month,
            On::Easter(after) => easter.is_some_and(|easter| (day - easter).num_days() == i64::from(after)),
            On::Once(date) => day == date,
        };
        falls && self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}

impl On {
    /// `"07-14"`, `"easter+39"`, `"easter-2"` or `"2026-03-20"`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(after) = text.strip_prefix("easter") {
            let sign = after
                .strip_prefix('+')
                .map_or(after.strip_prefix('-').map(|d| (-1, d)), |d| Some((1, d)));
            let (sign, days): (i16, i16) = match sign {
                None if after.is_empty() => (1, 0),
                None => return None,
                Some((sign, days)) => (
                    sign,
                    days.bytes().all(|b| b.is_ascii_digit()).then(|| days.parse().ok())??,
                ),
            };
            // Stays within the year of Easter, whenever it falls.
            return (-80..=250)
                .contains(&(sign * days))
                .then_some(Self::Easter(sign * days));
        }
        if let Ok(date) = super::schema::date(text) {
            return Some(Self::Once(date));
        }
        // A leap year, so that 29 February is a day.
        let day = super::schema::date(&format!("2024-{text}")).ok()?;
        Some(Self::Yearly(day.month(), day.day()))
    }
}

/// Easter Sunday of a year of the Gregorian calendar (the anonymous algorithm, Nature 1876; Meeus, Astronomical Algorithms,
/// ch. 8). `None` before the calendar's first whole year.
pub fn easter(year: i32) -> Option<NaiveDate> {
    if year <= 1582 {
        return None;
    }
    let golden = year % 19;
    let (century, of_century) = (year / 100, year % 100);
    let lunar = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - lunar + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let correction = (golden + 11 * epact + 22 * weekday) / 451;
    let days = u64::try_from(epact + weekday - 7 * correction).ok()?;
    NaiveDate::from_ymd_opt(year, 3, 22)?.checked_add_days(Days::new(days))
}

/// Days searched for an open one: more than a year, and the longest run of holidays.
const SEARCHED_DAYS: usize = 400;

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn weekdays() -> Hours {
        Law::embedded()
            .regime_on(day("2026-09-01"))
            .unwrap()
            .hours
            .clone()
            .unwrap()
    }

    /// The dates of Easter Sunday that the Bureau des longitudes publishes, its extremes included.
    #[test]
    fn easter_falls_where_the_tables_say() {
        for date in [
            "1818-03-22",
            "1913-03-23",
            "1943-04-25",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2016-03-27",
            "2023-04-09",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2028-04-16",
            "2029-04-01",
            "2030-04-21",
            "2035-03-25",
            "2038-04-25",
            "2049-04-18",
            "2076-04-19",
            "2285-03-22",
        ] {
            assert_eq!(easter(day(date).year()), Some(day(date)));
        }
        assert_eq!(easter(1582), None);
        assert_eq!(easter(NaiveDate::MAX.year() + 1), None);
        assert!(
            (1583..=4099)
                .filter_map(easter)
                .all(|sunday| sunday.weekday() == Weekday::Sun)
        );
    }

    /// regulation.md §5: the eleven days of L.3133-1, written out for three years.
    #[test]
    fn national_holidays_of_2026_to_2028() {
        let law = Law::embedded();
        let days = [
            "2026-01-01",
            "2026-04-06",
            "2026-05-01",
            "2026-05-08",
            "2026-05-14",
            "2026-05-25",
            "2026-07-14",
            "2026-08-15",
            "2026-11-01",
            "2026-11-11",
            "2026-12-25",
            "2027-01-01",
            "2027-03-29",
            "2027-05-01",
            "2027-05-06",
            "2027-05-08",
            "2027-05-17",
            "2027-07-14",
            "2027-08-15",
            "2027-11-01",
            "2027-11-11",
            "2027-12-25",
            "2028-01-01",
            "2028-04-17",
            "2028-05-01",
            "2028-05-08",
            "2028-05-25",
            "2028-06-05",
            "2028-07-14",
            "2028-08-15",
            "2028-11-01",
            "2028-11-11",
            "2028-12-25",
        ]
        .map(day);
        let all = day("2026-01-01").iter_days().take_while(|d| d.year() < 2029);
        for territory in Territory::ALL {
            let found: Vec<_> = all
                .clone()
                .filter(|d| law.is_holiday(*d, territory, Holidays::National))
                .collect();
            assert_eq!(found, days, "{territory:?}");
        }
        let none = all
            .clone()
            .filter(|d| law.is_holiday(*d, Territory::Metropole, Holidays::None))
            .count();
        assert_eq!(none, 0);
    }

    /// regulation.md §5: what each territory adds, and that it adds nothing else.
    #[test]
    fn territories_add_the_days_of_the_abolition() {
        let law = Law::embedded();
        let added: [(Territory, &[(u32, u32)]); 10] = [
            (Territory::Metropole, &[]),
            (Territory::Guadeloupe, &[(5, 27), (10, 9)]),
            (Territory::Guyane, &[(6, 10)]),
            (Territory::Martinique, &[(5, 22)]),
            (Territory::Reunion, &[(12, 20)]),
            (Territory::Mayotte, &[(4, 27)]),
            (Territory::SaintPierre, &[]),
            (Territory::NewCaledonia, &[]),
            (Territory::WallisFutuna, &[]),
            (Territory::Polynesia, &[]),
        ];
        for (territory, days) in added {
            for year in 2026..=2028 {
                let all = NaiveDate::from_ymd_opt(year, 1, 1)
                    .unwrap()
                    .iter_days()
                    .take_while(|d| d.year() == year);
                let found: Vec<_> = all
                    .filter(|d| law.is_holiday(*d, territory, Holidays::NationalAndTerritory))
                    .filter(|d| !law.is_holiday(*d, territory, Holidays::National))
                    .map(|d| (d.month(), d.day()))
                    .collect();
                assert_eq!(found, days, "{territory:?} {year}");
            }
        }
    }

    #[test]
    fn a_holiday_may_be_bounded_or_a_single_date() {
        let easter_2026 = easter(2026);
        let one = |on, from: Option<&str>, until: Option<&str>| Holiday {
            on,
            from: from.map(day),
            until: until.map(day),
        };
        let once = one(On::parse("2026-03-20").unwrap(), None, None);
        assert!(once.falls_on(day("2026-03-20"), easter_2026) && !once.falls_on(day("2027-03-20"), easter(2027)));
        let bounded = one(On::parse("03-20").unwrap(), Some("2026-01-01"), Some("2026-12-31"));
        for (on, falls) in [("2025-03-20", false), ("2026-03-20", true), ("2027-03-20", false)] {
            assert_eq!(bounded.falls_on(day(on), easter(day(on).year())), falls, "{on}");
        }
        let good_friday = one(On::parse("easter-2").unwrap(), None, None);
        assert!(good_friday.falls_on(day("2026-04-03"), easter_2026));
        assert!(one(On::parse("easter").unwrap(), None, None).falls_on(day("2026-04-05"), easter_2026));
    }

    #[test]
    fn days_that_do_not_exist_are_no_holidays() {
        for text in [
            "",
            "13-01",
            "02-30",
            "7-14",
            "easter+251",
            "easter-81",
            "easter1",
            "easter+-1",
            "easter+1x",
            "2027-02-29",
        ] {
            assert_eq!(On::parse(text), None, "{text}");
        }
        assert_eq!(On::parse("02-29"), Some(On::Yearly(2, 29)));
    }

    #[test]
    fn the_next_open_day_passes_over_weekends_and_holidays() {
        let law = Law::embedded();
        let hours = weekdays();
        for (from, next) in [
            ("2026-09-01", "2026-09-01"), // a Tuesday
            ("2026-09-05", "2026-09-07"), // Saturday to Monday
            ("2026-12-25", "2026-12-28"), // Christmas on a Friday
            ("2027-05-06", "2027-05-07"), // Ascension; the bridge day is open
            ("2026-04-04", "2026-04-07"), // over Easter Monday
            ("2027-12-31", "2027-12-31"),
            ("2028-01-01", "2028-01-03"),
        ] {
            let found = law.next_open_day(&hours, day(from), Territory::Metropole);
            assert_eq!(found, Some(day(next)), "{from}");
        }
        // 10 June 2026 is a Wednesday: open in Guyane under the national list, closed where the territory's days count.
        let strict = Hours {
            holidays: Holidays::NationalAndTerritory,
            ..weekdays()
        };
        for (hours, next) in [(&hours, "2026-06-10"), (&strict, "2026-06-11")] {
            let found = law.next_open_day(hours, day("2026-06-10"), Territory::Guyane);
            assert_eq!(found, Some(day(next)));
        }
        let never = Hours {
            days: [false; 7],
            ..hours
        };
        assert_eq!(law.next_open_day(&never, day("2026-09-01"), Territory::Metropole), None);
        assert_eq!(law.next_open_day(&never, NaiveDate::MAX, Territory::Metropole), None);
    }

    #[test]
    fn working_days_count_saturdays_and_no_holidays() {
        let law = Law::embedded();
        for (after, count, expected) in [
            ("2026-09-07", 5, "2026-09-12"), // Monday: Tue to Sat
            ("2026-09-04", 1, "2026-09-05"), // Friday: Saturday counts
            ("2026-09-05", 1, "2026-09-07"), // Saturday: Sunday does not
            ("2026-09-06", 5, "2026-09-11"), // asked on a Sunday
            ("2026-12-23", 5, "2026-12-30"), // over Christmas and a Sunday
            ("2027-05-05", 5, "2027-05-13"), // Ascension, 8 May (a Saturday) and a Sunday
            ("2026-09-07", 0, "2026-09-07"),
        ] {
            let found = law.working_day(day(after), count, Territory::Metropole);
            assert_eq!(found, day(expected), "{count} after {after}");
        }
        assert!(law.is_working_day(day("2026-06-10"), Territory::Guyane));
        assert_eq!(law.working_day(NaiveDate::MAX, 5, Territory::Metropole), NaiveDate::MAX);
    }

    proptest::proptest! {
        #[test]
        fn as_many_working_days_lie_between_as_were_counted(offset in 0i64..2000, count in 1u8..60) {
            let law = Law::embedded();
            let after = day("2025-01-01") + Duration::days(offset);
            let end = law.working_day(after, count, Territory::Reunion);
            let between = after.iter_days().skip(1).take_while(|d| *d <= end);
            let working = between.filter(|d| law.is_working_day(*d, Territory::Reunion)).count();
            proptest::prop_assert_eq!(working, usize::from(count));
            proptest::prop_assert!(law.is_working_day(end, Territory::Reunion));
        }
    }
}
