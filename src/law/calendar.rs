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
