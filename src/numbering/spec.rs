//! The plan as the law file writes it. Read by `law`, turned into lookups by [`super::Plan::build`].

use chrono::NaiveDate;
use serde::Deserialize;

use super::{Category, Territory};

/// A numbering plan: how numbers are dialled, the country codes it covers, and its blocks.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// Digits dialled before a country code (`00`).
    pub international_prefix: String,
    /// Digits dialled before a national number (`0`).
    pub national_prefix: String,
    /// Country code of the national numbers that no block of another code claims (`33`).
    pub home: String,
    /// The country codes of the State; all others are foreign.
    pub codes: Vec<CodeSpec>,
    /// The blocks, in any order.
    pub blocks: Vec<BlockSpec>,
}

/// One country code of the State.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSpec {
    /// Digits without `+`.
    pub code: String,
    /// Digits of a whole number after the code, where its block does not say.
    pub digits: u8,
    /// Territory of its numbers where no block tells.
    pub territory: Territory,
    /// Belongs to the national plan: its numbers are dialled with the national prefix from everywhere in it.
    pub national: bool,
}

/// One line of the plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSpec {
    /// International prefixes (`+3316200`), short numbers (`15`) or their prefixes (`118` with `digits = 6`); or ranges of
    /// either with as many digits at both ends (`3000-3007`, `+3373-+3379`).
    pub prefixes: Vec<String>,
    /// Category of the block.
    pub category: Category,
    /// Territory of the block; absent for short numbers.
    pub territory: Option<Territory>,
    /// First day the block has this category; absent: since ever.
    #[serde(default, deserialize_with = "date")]
    pub from: Option<NaiveDate>,
    /// Digits of a whole number: after the country code, or of a short number. Absent: the code's, or those of the short
    /// number as written.
    pub digits: Option<u8>,
    /// What a number of the block begins with when dialled nationally, if not the national prefix and its own digits:
    /// `0508` before the six digits of Saint-Pierre-et-Miquelon.
    pub dialled: Option<String>,
}

/// Why a plan is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: {why}")]
pub struct PlanError {
    /// Position in [`PlanSpec::blocks`]; `None` where the fault lies before them.
    pub block: Option<usize>,
    /// The prefix, code or setting at fault.
    pub value: String,
    /// What was expected.
    pub why: &'static str,
}

fn date<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<NaiveDate>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
    text.parse()
        .map(Some)
        .map_err(|_| serde::de::Error::custom(format!("{text:?}: expected a date such as \"2026-08-11\"")))
}
