//! The plan: blocks of numbers with their category and territory, dated, looked up by longest prefix; and the reading of
//! any dialled form against it. All of it is data from the law file.

use chrono::NaiveDate;
use serde::Deserialize;

use super::{Category, Class, Number, Territory};

/// One line of the plan as the law file writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSpec {
    /// International prefixes (`+3316200`) or short numbers (`15`, or a range `3000-3007`).
    pub prefixes: Vec<String>,
    /// Category of the block.
    pub category: Category,
    /// Territory of the block; absent for short numbers.
    pub territory: Option<Territory>,
    /// First day the block has this category; absent: since ever.
    pub from: Option<NaiveDate>,
}

/// Why a dialled string is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Nothing was dialled.
    #[error("empty")]
    Empty,
    /// A character that no number holds.
    #[error("character {0:?} at {1} is no digit")]
    Character(char, usize),
    /// Too few or too many digits for any number.
    #[error("{0} digits are no number of the plan")]
    Length(usize),
}

/// Why a plan is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefix {prefix:?}: {why}")]
pub struct PlanError {
    /// The prefix at fault.
    pub prefix: String,
    /// What was expected.
    pub why: &'static str,
}

/// The plan, ready for lookups.
#[derive(Clone, Debug)]
pub struct Plan {}

impl Plan {
    /// Builds the plan from its lines.
    pub fn build(_blocks: &[BlockSpec]) -> Result<Self, PlanError> {
        todo!()
    }

    /// Reads any dialled form: national, `+`, `00`, `33…` without plus, `tel:` and `sip:` user parts with parameters
    /// (`phone-context`), visual separators, `%2B`, national 09475-style overseas numbers and their mistaken `+33` form.
    /// No allocation.
    pub fn read(&self, _dialled: &str) -> Result<Number, NumberError> {
        todo!()
    }

    /// Category and territory of `number` on the local day `on`.
    pub fn class(&self, _number: Number, _on: NaiveDate) -> Class {
        todo!()
    }
}
