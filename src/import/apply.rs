//! A batch becomes effective: all of its good lines in one step, or nothing.

use std::sync::Arc;

use super::Batch;
use crate::ledger::{Entry, Ledger, Recorded, StoreError};
use crate::screening::{List, Screening, ScreeningError};

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Applied {
    /// New and known entries, the record of a list's loading included.
    pub recorded: Recorded,
    /// SHA-256 of the list's snapshot file, which the journal holds too.
    pub sha256: Option<[u8; 32]>,
}

/// Why a batch was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The list could not be written; nothing was loaded.
    #[error(transparent)]
    Screening(#[from] ScreeningError),
    /// The entries could not be recorded. A list is in force already: loading it again changes nothing but its record.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loads a batch. A list is written and in force before its record is in the journal: of a crash in between, what is left binds
/// more, not less. Blocks while a list is written, so not for a thread that carries calls.
pub async fn apply(batch: Batch, ledger: &dyn Ledger, screening: &Screening) -> Result<Applied, ApplyError> {
    let mut entries = batch.entries;
    let mut sha256 = None;
    if let Some(snapshot) = batch.snapshot {
        let (numbers, opposed) = (snapshot.numbers.numbers(), snapshot.numbers.opposed());
        let sum = screening.load_built(snapshot.list, batch.siren, snapshot.day, snapshot.numbers)?;
        sha256 = Some(sum);
        let list: Arc<str> = match snapshot.list {
            List::Bloctel => "bloctel".into(),
            List::Opposition => "opposition".into(),
        };
        entries.push(Entry::Screening {
            list,
            siren: batch.siren,
            day: snapshot.day,
            numbers,
            opposed,
            sha256: sum,
        });
    }
    let recorded = if entries.is_empty() {
        Recorded::default()
    } else {
        ledger.record(entries).wait().await?
    };
    Ok(Applied { recorded, sha256 })
}
