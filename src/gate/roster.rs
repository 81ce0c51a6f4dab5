//! Who may call for whom, and who owns which caller numbers: built from the configuration and the imported ranges.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::law::Sector;
use crate::ledger::Siren;
use crate::numbering::E164;
use crate::rules::{Dialling, OwnLimits, Purpose};

/// Position of a professional in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfessionalIndex(pub u16);

/// Position of a source in the roster; the same as in [`crate::sip::peer::Peers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceIndex(pub u16);

/// Enforce, or only watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Mode {
    Enforce,
    /// Decide and record, never refuse.
    Observe,
}

/// A range of caller numbers, both ends included, and the local days on which it is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NumberRange {
    pub first: E164,
    pub last: E164,
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
}

/// A legal entity on whose behalf people are called.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Professional {
    pub id: Arc<str>,
    pub name: Arc<str>,
    pub siren: Siren,
    pub sector: Option<Sector>,
    pub numbers: Vec<NumberRange>,
    pub mode: Mode,
    pub own: OwnLimits,
    pub suspended: bool,
}

/// What a source may do; where it is and how it is reached is [`crate::sip::peer::Source`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SourcePolicy {
    pub id: Arc<str>,
    pub professionals: Vec<ProfessionalIndex>,
    pub dialling: Dialling,
    pub purpose: Purpose,
    pub suspended: bool,
}

/// Why professionals and sources do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RosterError {
    #[error("{0} and {1} of different legal entities both own {2}")]
    Overlap(Arc<str>, Arc<str>, E164),
    #[error("two professionals or sources are called {0}")]
    Duplicate(Arc<str>),
}

/// Everybody, ready for lookups.
#[derive(Clone, Debug)]
pub struct Roster {}

impl Roster {
    /// Checks ids and ranges and builds the lookups. Ranges imported at run time (`clapet import numbers`) are in `professionals` already.
    pub fn build(_professionals: Vec<Professional>, _sources: Vec<SourcePolicy>) -> Result<Self, RosterError> {
        todo!()
    }

    /// All professionals; positions are [`ProfessionalIndex`].
    pub fn professionals(&self) -> &[Professional] {
        todo!()
    }

    /// All sources; positions are [`SourceIndex`].
    pub fn sources(&self) -> &[SourcePolicy] {
        todo!()
    }

    /// The professional that owns a caller number on a day.
    pub fn owner(&self, _caller: E164, _on: NaiveDate) -> Option<ProfessionalIndex> {
        todo!()
    }

    /// By id.
    pub fn professional(&self, _id: &str) -> Option<ProfessionalIndex> {
        todo!()
    }

    /// By id.
    pub fn source(&self, _id: &str) -> Option<SourceIndex> {
        todo!()
    }
}
