//! The law as dated data: regimes, calling windows, public holidays, time zones, the numbering plan.
//!
//! Everything is read from `config/law/fr.toml` (embedded, replaceable). This room holds no state about anybody and decides
//! nothing; [`crate::rules`] does.
//!
//! What the rules ask, by subject:
//! - regimes: [`Law::regime_on`], [`Law::regime_after`];
//! - local time: [`Law::zone`], [`Law::local`], [`Law::local_day`], [`Law::start_of_day`] (first instant of a local day),
//!   [`Law::instant`] (first instant at which the day's clock shows a time);
//! - days: [`Law::is_holiday`], [`Law::opens_on`], [`Law::next_open_day`], [`Law::working_day`] (the n-th one after a day),
//!   [`Law::is_working_day`], [`easter`];
//! - hours: [`Hours::window_holds`], [`Hours::day_holds`], [`Law::next_open`], [`Law::closes`].

mod calendar;
mod clock;
mod read;
mod schema;
mod steady;

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use calendar::Holiday;
pub use calendar::easter;

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
    /// By the territory's position.
    places: [Place; Territory::ALL.len()],
    national_holidays: Vec<Holiday>,
}

/// What the law file says of a territory.
#[derive(Clone, Debug)]
struct Place {
    zone: Tz,
    /// Beyond the national ones.
    holidays: Vec<Holiday>,
}

/// Why a law file is unusable: which file, line, key, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub struct LawError {
    pub file: PathBuf,
    /// From one; zero where the file cannot be read at all.
    pub line: usize,
    /// Dotted, such as `regime[1].hours.windows[0]`; `toml` where the text is no TOML, `file` where no key is at fault.
    pub key: String,
    pub message: String,
}

impl fmt::Display for LawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}: {}:", self.line, self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

impl Law {
    /// The law file compiled into the binary.
    pub fn embedded() -> Arc<Self> {
        static EMBEDDED: LazyLock<Arc<Law>> = LazyLock::new(|| {
            // Part of the program: a test reads it, so no build ships a bad one.
            let law = Law::parse(EMBEDDED_TEXT, Path::new("config/law/fr.toml"));
            Arc::new(law.unwrap_or_else(|error| panic!("the embedded law file: {error}")))
        });
        Arc::clone(&EMBEDDED)
    }

    /// Reads a law file.
    pub fn load(file: &Path) -> Result<Self, LawError> {
        let unreadable = |message: String| LawError {
            file: file.to_owned(),
            line: 0,
            key: "file".to_owned(),
            message,
        };
        let mut text = String::new();
        std::fs::File::open(file)
            .and_then(|open| open.take(MAX_FILE + 1).read_to_string(&mut text))
            .map_err(|error| unreadable(format!("cannot be read: {error}")))?;
        if text.len() as u64 > MAX_FILE {
            return Err(unreadable(format!("expected a law file of at most {MAX_FILE} bytes")));
        }
        Self::parse(&text, file)
    }

    /// Reads a law file's text; `file` names it in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, LawError> {
        read::law(text, file)
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
    pub fn zone(&self, territory: Territory) -> Tz {
        self.place(territory).zone
    }

    fn place(&self, territory: Territory) -> &Place {
        &self.places[territory as usize]
    }
}

/// The shipped law file.
const EMBEDDED_TEXT: &str = include_str!("../../config/law/fr.toml");

/// Largest law file read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Working days within which a request for a call is answered, where a regime does not say (R.223-4).
const DEFAULT_REQUESTED_WORKING_DAYS: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbering::Category::{
        ExtendedMobile, ExtendedPolyvalent, GeneralInterest, Geographic, Mobile, Npv, Platform, Polyvalent, Premium,
        Premium089, Short, ShortFree, Special, SpecialFree,
    };

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn set(categories: &[Category]) -> CategorySet {
        categories
            .iter()
            .fold(CategorySet::default(), |set, category| set.with(*category))
    }

    #[test]
    fn each_day_has_its_regime() {
        let law = Law::embedded();
        for (on, name) in [
            ("2022-12-31", None),
            ("2023-01-01", Some("fr-2023-01")),
            ("2023-02-28", Some("fr-2023-01")),
            ("2023-03-01", Some("fr-2023-03")),
            ("2025-12-31", Some("fr-2023-03")),
            ("2026-01-01", Some("fr-2026-01")),
            ("2026-08-10", Some("fr-2026-01")),
            ("2026-08-11", Some("fr-2026-08")),
            ("2030-01-01", Some("fr-2026-08")),
        ] {
            assert_eq!(law.regime_on(day(on)).map(|regime| &*regime.name), name, "{on}");
        }
        assert_eq!(&*law.regime_after(day("2026-08-10")).unwrap().name, "fr-2026-08");
        assert!(law.regime_after(day("2026-08-11")).is_none());
        assert_eq!(law.regimes().len(), 4);
    }

    #[test]
    fn rules_stand_in_the_order_in_which_they_answer() {
        use RuleKind::{Bloctel, CallerId, Consent, Frequency, Hours, Opposition, Refusal, Sector};
        let law = Law::embedded();
        let optout = [CallerId, Sector, Refusal, Opposition, Bloctel, Hours, Frequency];
        let expected: [&[RuleKind]; 4] = [
            &[CallerId, Sector, Opposition, Bloctel],
            &optout,
            &optout,
            &[CallerId, Sector, Refusal, Opposition, Consent, Hours, Frequency],
        ];
        for (regime, rules) in law.regimes().iter().zip(expected) {
            assert_eq!(regime.rules, rules, "{}", regime.name);
        }
    }

    #[test]
    fn decree_2022_1313_is_what_the_contract_says() {
        let law = Law::embedded();
        let regime = law.regime_on(day("2023-03-01")).unwrap();
        assert_eq!(regime.automated, set(&[Npv, Platform, SpecialFree, Special]));
        assert_eq!(regime.manual, set(&[Npv, Geographic, Polyvalent, SpecialFree, Special]));
        let hours = regime.hours.as_ref().unwrap();
        assert_eq!(hours.days, [true, true, true, true, true, false, false]);
        assert_eq!(hours.windows, [(36_000, 46_800), (50_400, 72_000)]);
        assert_eq!(hours.holidays, Holidays::National);
        assert_eq!(regime.frequency, Some(Frequency { max: 4, days: 30 }));
        assert_eq!(regime.refusal, Some(RefusalTerm::Days(60)));
        assert_eq!(regime.bloctel_fresh_days, Some(30));
        assert_eq!(
            regime.banned_sectors,
            [Sector::EnergyRenovation, Sector::TrainingAccount]
        );
        assert_eq!(
            regime.consent,
            ConsentTerm {
                lifts_bloctel: true,
                lifts_hours: true,
                required: false,
                max_days: None,
                slot_max_minutes: None
            }
        );
        assert_eq!(regime.requested_working_days, 5);
    }

    #[test]
    fn opt_in_needs_consent_for_a_year_and_knows_no_bloctel() {
        let law = Law::embedded();
        let regime = law.regime_on(day("2026-08-11")).unwrap();
        assert_eq!(regime.refusal, Some(RefusalTerm::UntilNewConsent));
        assert_eq!(regime.bloctel_fresh_days, None);
        let banned = [
            Sector::EnergyRenovation,
            Sector::HomeAdaptation,
            Sector::TrainingAccount,
        ];
        assert_eq!(regime.banned_sectors, banned);
        assert_eq!(
            regime.consent,
            ConsentTerm {
                lifts_bloctel: false,
                lifts_hours: true,
                required: true,
                max_days: Some(365),
                slot_max_minutes: Some(60)
            }
        );
        assert_eq!(regime.hours, law.regime_on(day("2023-03-01")).unwrap().hours);
        assert_eq!(regime.frequency, Some(Frequency { max: 4, days: 30 }));
    }

    #[test]
    fn the_first_regime_has_no_hours_no_frequency_and_no_term_of_refusal() {
        let law = Law::embedded();
        let regime = law.regime_on(day("2023-01-01")).unwrap();
        assert_eq!(
            (regime.hours.as_ref(), regime.frequency, regime.refusal),
            (None, None, None)
        );
        assert!(regime.consent.lifts_bloctel && !regime.consent.lifts_hours);
    }

    /// regulation.md §1.3, row by row: (category, automated, manual) since 2026-01-01.
    #[test]
    fn what_a_call_may_show_follows_the_plan() {
        let law = Law::embedded();
        for on in ["2026-01-01", "2026-08-11"] {
            let regime = law.regime_on(day(on)).unwrap();
            for (category, automated, manual) in [
                (Geographic, false, true),
                (Polyvalent, false, true),
                (Mobile, false, false),
                (Npv, true, true),
                (Platform, true, false),
                (GeneralInterest, true, false),
                (ExtendedMobile, true, false),
                (ExtendedPolyvalent, true, false),
                (SpecialFree, true, true),
                (Special, true, true),
                (Premium, true, true),
                (Premium089, false, false),
                (ShortFree, true, true),
                (Short, false, false),
                (Category::Directory, false, false),
                (Category::Emergency, false, false),
                (Category::Unallocated, false, false),
                (Category::Foreign, false, false),
            ] {
                assert_eq!(
                    regime.automated.contains(category),
                    automated,
                    "{on} automated {category:?}"
                );
                assert_eq!(regime.manual.contains(category), manual, "{on} manual {category:?}");
            }
        }
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let error = Law::load(Path::new("no/such/law.toml")).unwrap_err();
        assert!(
            error.to_string().starts_with("no/such/law.toml: cannot be read:"),
            "{error}"
        );
    }

    #[test]
    fn the_shipped_file_is_the_embedded_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/law/fr.toml");
        assert_eq!(
            Law::load(&file).unwrap().regimes().len(),
            Law::embedded().regimes().len()
        );
    }
}
