//! The journal for those who were not there: exports for one professional, bundles that verify without the store, backups. Reads the
//! journal's files without a lock, beside a running server; writes nothing into the store. Called by `cli`.

mod backup;
mod bundle;
mod calls;
mod export;
mod lines;
mod record;

use std::io;
use std::path::{Path, PathBuf};

pub use backup::{BackedUp, Restored, backup, restore};
pub use bundle::{BundleReport, Bundled, bundle, is_bundle, public_key, verify_bundle};
pub use export::{Asked, Exported, Format, What, export};
pub use record::hex;

use crate::journal::JournalError;

/// Why evidence could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EvidenceError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The output.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("{path}: {why}", path = path.display())]
    Refused { path: PathBuf, why: String },
}

impl EvidenceError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self::Refused {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}
