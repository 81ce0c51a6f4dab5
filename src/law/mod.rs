//! The law as dated data: regimes, calling windows, public holidays, time zones, the numbering plan.
//!
//! Everything is read from `config/law/fr.toml` (embedded, replaceable). This room holds no state about anybody and decides
//! nothing; [`crate::rules`] does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use crate::numbering::{Category, Plan, Territory};

/// Kinds of rules that a regime can order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // each is described in the contract and in `rules`
pub enum RuleKind {
    CallerId,
    Sector,
    Refusal,
    Opposition,
    Consent,
    Bloctel,
    Hours,
    Frequency,
}

/// A trade whose canvassing is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sector {
    /// Energy renovation of homes.
    EnergyRenovation,
    /// Adaptation of homes to age or disability.
    HomeAdaptation,
    /// Personal training account [compte personnel de formation].
    TrainingAccount,
}

/// Which public holidays [jours fériés] close the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Holidays {
    /// L.3133-1 code du travail.
    National,
    /// And those of the callee's territory.
    #[serde(rename = "national+territory")]
    NationalAndTerritory,
    None,
}

/// Days and hours at which calls may be placed: half-open windows in the callee's local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Monday first.
    pub days: [bool; 7],
    /// Sorted, disjoint `[from, until)` in seconds since local midnight; the end may be 86,400.
    pub windows: Vec<(u32, u32)>,
    /// Which holidays close the day.
    pub holidays: Holidays,
}

/// At most `max` attempts in the `days` local calendar days that end today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Frequency {
    pub max: u8,
    pub days: u16,
}

/// How long a refusal binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalTerm {
    /// So many local calendar days after the refusal's day have to elapse.
    Days(u16),
    /// Until a newer consent.
    UntilNewConsent,
}

/// What a consent may lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ConsentTerm {
    /// A prospecting consent lifts bloctel.
    pub lifts_bloctel: bool,
    /// An hours consent lifts the hours.
    pub lifts_hours: bool,
    /// Nobody may be canvassed without a prospecting consent.
    pub required: bool,
    /// Longest validity of a prospecting consent in days, however late it says it expires.
    pub max_days: Option<u16>,
    /// An hours consent counts only within its slot on one local date, at most this wide, in minutes, used once.
    pub slot_max_minutes: Option<u16>,
}

/// A set of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CategorySet(u32);

impl CategorySet {
    /// Adds a category.
    #[must_use]
    pub const fn with(self, category: Category) -> Self {
        Self(self.0 | 1 << category as u8)
    }

    /// Is it in the set?
    pub const fn contains(self, category: Category) -> bool {
        self.0 & 1 << category as u8 != 0
    }
}

/// One regime: what holds from its first local day until the next one's.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Regime {
    pub name: Arc<str>,
    /// First local day of the callee's territory.
    pub from: NaiveDate,
    /// The rules in the order in which they answer.
    pub rules: Vec<RuleKind>,
    /// Categories that automated and machine calls may show.
    pub automated: CategorySet,
    /// Categories that manual calls may show.
    pub manual: CategorySet,
    pub hours: Option<Hours>,
    pub frequency: Option<Frequency>,
    pub refusal: Option<RefusalTerm>,
    /// Days for which a screening is fresh.
    pub bloctel_fresh_days: Option<u16>,
    pub banned_sectors: Vec<Sector>,
    pub consent: ConsentTerm,
    /// Days within which the request for a call must be answered [jours ouvrables: Saturdays count].
    pub requested_working_days: u8,
}

/// The whole law file.
#[derive(Clone, Debug)]
pub struct Law {
    /// The numbering plan, blocks dated.
    pub plan: Plan,
    regimes: Vec<Regime>,
}

/// Why a law file is unusable: which file, line, key, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: {message}", file = file.display())]
#[allow(missing_docs)]
pub struct LawError {
    pub file: PathBuf,
    pub line: usize,
    pub key: String,
    pub message: String,
}

impl Law {
    /// The law file compiled into the binary.
    pub fn embedded() -> Arc<Self> {
        todo!()
    }

    /// Reads a law file.
    pub fn load(_file: &Path) -> Result<Self, LawError> {
        todo!()
    }

    /// Reads a law file's text; `file` names it in errors.
    pub fn parse(_text: &str, _file: &Path) -> Result<Self, LawError> {
        todo!()
    }

    /// All regimes, oldest first.
    pub fn regimes(&self) -> &[Regime] {
        &self.regimes
    }

    /// The regime of a local day; `None` before the first.
    pub fn regime_on(&self, local: NaiveDate) -> Option<&Regime> {
        self.regimes.iter().rev().find(|regime| regime.from <= local)
    }

    /// The next regime to begin after a local day.
    pub fn regime_after(&self, local: NaiveDate) -> Option<&Regime> {
        self.regimes.iter().find(|regime| regime.from > local)
    }

    /// Time zone of a territory.
    pub fn zone(&self, _territory: Territory) -> chrono_tz::Tz {
        todo!()
    }

    /// Is the local day a public holiday [jour férié] under `which`, in the territory?
    pub fn is_holiday(&self, _day: NaiveDate, _territory: Territory, _which: Holidays) -> bool {
        todo!()
    }
}

impl Hours {
    /// Is the local time within a window? Says nothing of the day.
    pub fn window_holds(&self, _time: NaiveTime) -> bool {
        todo!()
    }
}
