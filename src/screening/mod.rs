//! Do-not-call snapshots (Bloctel and an operator's own lists): kept by date, looked up in memory, millions of numbers in tens of
//! megabytes. This room decides nothing.

use std::path::PathBuf;

use chrono::NaiveDate;

use crate::ledger::Siren;
use crate::numbering::E164;
use crate::rules::Bloctel;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum List {
    Bloctel,
    Opposition,
}

/// What one import brings.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Snapshot {
    /// A plain list: the opposed, replacing the professional's last (or everybody's, without a professional).
    Plain { opposed: Vec<E164> },
    /// A screened file: what was sent and which of it is opposed; adds up, the newest screening of a number deciding.
    Screened { clear: Vec<E164>, opposed: Vec<E164> },
}

/// Age and size of a list, for `list_age_seconds` and `list_numbers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListState {
    pub list: List,
    pub siren: Option<Siren>,
    pub newest: NaiveDate,
    pub numbers: u64,
}

/// Why snapshots could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ScreeningError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {why}", path = path.display())]
    Damaged { path: PathBuf, why: String },
}

/// All snapshots, shared by the call path (lookups, lock-free) and imports.
pub struct Screening {}

impl Screening {
    /// Opens the snapshots kept under `<path>/screening`; a damaged one is set aside, named in the second value, and does not stop the start.
    pub fn open(_path: &std::path::Path) -> Result<(Self, Vec<ScreeningError>), ScreeningError> {
        todo!()
    }

    /// Nothing loaded and nothing kept: for tests and the demo.
    pub fn in_memory() -> Self {
        todo!()
    }

    /// What is known of `callee` for `siren` by the snapshots valid on `day` (only those dated `day` or earlier).
    pub fn bloctel(&self, _siren: Siren, _callee: E164, _day: NaiveDate) -> Bloctel {
        todo!()
    }

    /// Since when the callee stands on the operator's or the professional's own list, as known on `day`.
    pub fn opposed_since(&self, _siren: Siren, _callee: E164, _day: NaiveDate) -> Option<NaiveDate> {
        todo!()
    }

    /// Writes (file, sync, rename, directory sync) and then shows a snapshot in one step. Returns the SHA-256 of its file for the journal.
    pub fn load(
        &self,
        _list: List,
        _siren: Option<Siren>,
        _day: NaiveDate,
        _snapshot: Snapshot,
    ) -> Result<[u8; 32], ScreeningError> {
        todo!()
    }

    /// Removes one number from every snapshot (`clapet forget`), keeping what the law obliges to keep; returns how many held it.
    pub fn states(&self) -> Vec<ListState> {
        todo!()
    }
}
