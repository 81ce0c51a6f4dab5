//! The seven kinds of import files into ledger entries and list snapshots; lines that are wrong are set aside with their reason.
//!
//! The command line and the running server both call [`run`] and then [`apply()`], so that both share every check. This room judges form,
//! never calls; what an exit code or a problem document says of a [`Batch`] is the caller's.

mod apply;
mod lines;
mod lists;
mod records;
mod reject;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use chrono::NaiveDate;

pub use apply::{Applied, ApplyError, apply};
pub use lines::MAX_LINE;
pub use reject::{FirstRejected, Rejected, RejectedFile, Rejects};

use crate::gate::Roster;
use crate::law::Law;
use crate::ledger::{Entry, Siren};
use crate::screening::{Built, List};

/// Most entries of one import: they are recorded in one step and so lie in memory together. Lists have no such bound.
pub const MAX_ENTRIES: usize = 4_000_000;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // named as on the command line
pub enum Kind {
    Bloctel,
    Opposition,
    Consents,
    Refusals,
    Contracts,
    Attempts,
    Numbers,
}

impl Kind {
    /// All of them, as the command line lists them.
    pub const ALL: [Self; 7] = [
        Self::Bloctel,
        Self::Opposition,
        Self::Consents,
        Self::Refusals,
        Self::Contracts,
        Self::Attempts,
        Self::Numbers,
    ];

    /// The word for it on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bloctel => "bloctel",
            Self::Opposition => "opposition",
            Self::Consents => "consents",
            Self::Refusals => "refusals",
            Self::Contracts => "contracts",
            Self::Attempts => "attempts",
            Self::Numbers => "numbers",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {known}")
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Who is known by an id.
pub trait Professionals {
    /// The legal entity of a professional; `None`: no such id.
    fn siren(&self, id: &str) -> Option<Siren>;
}

impl Professionals for Roster {
    fn siren(&self, id: &str) -> Option<Siren> {
        let index = self.professional(id)?;
        self.professionals().get(usize::from(index.0)).map(|known| known.siren)
    }
}

/// How to read a file.
pub struct Options<'a> {
    /// Id given with `--professional`: whom a list binds, and whose a line is that names nobody.
    pub professional: Option<&'a str>,
    /// The file that was sent to Bloctel (`--submitted`).
    pub submitted: Option<&'a mut dyn Read>,
    /// Local day of the import: the day of a list's snapshot.
    pub today: NaiveDate,
    /// Load a screening that opposes none or all of what was sent.
    pub force: bool,
    /// Told now and then how many bytes were read of the file, and at its end.
    pub progress: Option<&'a dyn Fn(u64)>,
}

/// What a file brought: to be [`apply()`]d in one step.
#[derive(Debug)]
pub struct Batch {
    /// What the file held.
    pub kind: Kind,
    /// For lists: whom it binds; `None`: everybody.
    pub siren: Option<Siren>,
    /// Everything but lists.
    pub entries: Vec<Entry>,
    /// A list's numbers; `None` where the file held none.
    pub snapshot: Option<Snapshot>,
    /// What was read, in words for people (`opposed`, `answered`, …), in a fixed order.
    pub counts: Vec<(&'static str, u64)>,
    /// Lines set aside.
    pub rejected: u64,
}

impl Batch {
    /// Was there nothing to load?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.snapshot.is_none()
    }
}

/// A list's numbers, ready to be loaded.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub list: List,
    pub day: NaiveDate,
    pub numbers: Built,
}

/// Why a file could not be imported at all.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("the file cannot be read: {0}")]
    Read(io::Error),
    #[error("rejected lines cannot be written: {0}")]
    Rejects(io::Error),
    #[error("expected UTF-8 text, found UTF-16 or UTF-32")]
    Encoding,
    #[error("line 1: expected a header with the columns {expected}: {fault}")]
    Header { expected: String, fault: String },
    #[error("no professional is called {0}")]
    UnknownProfessional(String),
    #[error("--submitted goes with bloctel only")]
    Submitted,
    #[error("of {sent} numbers sent none would be opposed: is it the file that came back? `--force` loads it")]
    NoneOpposed { sent: u64 },
    #[error("all {sent} numbers sent would be opposed: is it the file that came back? `--force` loads it")]
    AllOpposed { sent: u64 },
    #[error("more than {MAX_ENTRIES} good lines: split the file")]
    TooMany,
}

/// Reads a file of one kind. Nothing is loaded: see [`apply()`].
pub fn run(
    kind: Kind,
    reader: &mut dyn Read,
    options: Options<'_>,
    law: &Law,
    professionals: &dyn Professionals,
    rejects: &mut dyn Rejects,
) -> Result<Batch, ImportError> {
    if options.submitted.is_some() && kind != Kind::Bloctel {
        return Err(ImportError::Submitted);
    }
    let siren = match options.professional {
        Some(id) => Some(
            professionals
                .siren(id)
                .ok_or_else(|| ImportError::UnknownProfessional(id.to_owned()))?,
        ),
        None => None,
    };
    let mut rejects = reject::Counted::new(rejects);
    let (entries, snapshot, counts) = match kind {
        Kind::Bloctel => lists::bloctel(reader, options, &law.plan, &mut rejects)?,
        Kind::Opposition => lists::opposition(reader, &options, &law.plan, &mut rejects)?,
        _ => records::read(kind, reader, &options, law, professionals, &mut rejects)?,
    };
    Ok(Batch {
        kind,
        siren,
        entries,
        snapshot,
        counts,
        rejected: rejects.count(),
    })
}

/// Entries, snapshot and counts of a file.
type Content = (Vec<Entry>, Option<Snapshot>, Vec<(&'static str, u64)>);
