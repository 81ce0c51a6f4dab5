//! The shape of the law file, as serde reads it. Values that are checked later carry their place in the text. Read by
//! [`super::read`]; nothing here outlives the reading.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::calendar::{Holiday, On};
use super::{Frequency, Holidays, Hours, RuleKind, Sector};
use crate::numbering::{BlockSpec, Category, CodeSpec, Territory};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LawFile {
    pub country: Spanned<String>,
    pub calendar: Calendar,
    pub territory: Vec<Spanned<TerritoryTable>>,
    pub numbering: Spanned<Numbering>,
    pub regime: Spanned<Vec<Spanned<RegimeTable>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calendar {
    pub holidays: Vec<Holiday>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TerritoryTable {
    pub name: Spanned<Territory>,
    pub zone: Zone,
    #[serde(default)]
    pub holidays: Vec<Holiday>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Numbering {
    pub international_prefix: String,
    pub national_prefix: String,
    pub home: String,
    pub code: Vec<CodeSpec>,
    pub block: Vec<Spanned<BlockSpec>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegimeTable {
    pub name: Spanned<String>,
    pub from: Spanned<Day>,
    pub rules: Spanned<Vec<Spanned<RuleKind>>>,
    pub caller_id: Option<CallerIdTable>,
    pub hours: Option<Hours>,
    pub frequency: Option<Spanned<Frequency>>,
    pub refusal: Option<Spanned<RefusalTable>>,
    pub bloctel: Option<BloctelTable>,
    pub sector: Option<SectorTable>,
    pub consent: Option<Spanned<ConsentTable>>,
    pub requested_working_days: Option<Spanned<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallerIdTable {
    pub automated: Vec<Spanned<Category>>,
    pub manual: Vec<Spanned<Category>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalTable {
    pub days: Option<u16>,
    pub until: Option<RefusalEnd>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RefusalEnd {
    NewConsent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BloctelTable {
    pub fresh_days: Spanned<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectorTable {
    pub banned: Vec<Sector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentTable {
    #[serde(default)]
    pub lifts: Vec<Lifted>,
    #[serde(default)]
    pub required: bool,
    pub max_days: Option<u16>,
    pub slot_minutes: Option<u16>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lifted {
    Bloctel,
    Hours,
}

/// A local day, `"2026-08-11"`.
#[derive(Clone, Copy)]
pub(super) struct Day(pub NaiveDate);

/// A zone of the tz database.
pub(super) struct Zone(pub chrono_tz::Tz);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        date(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(format!(
                "{text:?}: expected a zone of the tz database such as \"Europe/Paris\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[allow(dead_code)] // read so that a holiday without a name is an error; kept in the file for its reader
            name: String,
            on: On,
            from: Option<Day>,
            until: Option<Day>,
        }
        let table = Table::deserialize(d)?;
        let (from, until) = (table.from.map(|day| day.0), table.until.map(|day| day.0));
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(D::Error::custom("expected `from` no later than `until`"));
        }
        Ok(Self {
            on: table.on,
            from,
            until,
        })
    }
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        On::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?}: expected a day of the year such as \"07-14\", \"easter+39\", or a date such as \"2026-03-20\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            days: Days,
            windows: Windows,
            holidays: Holidays,
        }
        let table = Table::deserialize(d)?;
        Ok(Self {
            days: table.days.0,
            windows: table.windows.0,
            holidays: table.holidays,
        })
    }
}

struct Days([bool; 7]);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Clone, Copy, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Name {
            Mon,
            Tue,
            Wed,
            Thu,
            Fri,
            Sat,
            Sun,
        }
        let mut days = [false; 7];
        for name in Vec::<Name>::deserialize(d)? {
            let day = &mut days[name as usize];
            if *day {
                return Err(D::Error::custom("expected each day once"));
            }
            *day = true;
        }
        if !days.contains(&true) {
            return Err(D::Error::custom(
                "expected at least one day of mon, tue, wed, thu, fri, sat, sun",
            ));
        }
        Ok(Self(days))
    }
}

struct Windows(Vec<(u32, u32)>);

impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let windows: Vec<(u32, u32)> = Vec::<Window>::deserialize(d)?.into_iter().map(|w| w.0).collect();
        if windows.is_empty() {
            return Err(D::Error::custom(
                "expected at least one window such as [\"10:00\", \"13:00\"]",
            ));
        }
        if let Some(pair) = windows.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            let written = written(pair[1]);
            return Err(D::Error::custom(format!(
                "{written}: expected windows in order, none overlapping another"
            )));
        }
        Ok(Self(windows))
    }
}

struct Window((u32, u32));

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (from, until) = <(Clock, Clock)>::deserialize(d)?;
        if from.0 >= until.0 {
            let written = written((from.0, until.0));
            return Err(D::Error::custom(format!(
                "{written}: expected a window that ends after it begins"
            )));
        }
        Ok(Self((from.0, until.0)))
    }
}

/// Seconds since local midnight, from `"13:30"`; `"24:00"` is the day's end.
struct Clock(u32);

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        clock(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?}: expected a time from \"00:00\" to \"24:00\"")))
    }
}

fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?;
    let (hours, minutes): (u32, u32) = (two(hours)?, two(minutes)?);
    let valid = hours < 24 && minutes < 60 || hours == 24 && minutes == 0;
    valid.then_some(hours * 3600 + minutes * 60)
}

fn written((from, until): (u32, u32)) -> String {
    let (hours, minutes) = (from / 3600, from / 60 % 60);
    format!("{hours:02}:{minutes:02} to {:02}:{:02}", until / 3600, until / 60 % 60)
}

/// A date of four, two and two digits; years that the calendar can work with.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let shaped = text.len() == "2026-08-11".len() && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    shaped
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("{text:?}: expected a date such as \"2026-08-11\""))
}
