//! The embedded ledger: hot state in memory decides, the journal makes durable, sled is the checkpointed view.

use std::path::PathBuf;
use std::time::Duration;

/// How to open the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `<path>/ledger` and `<path>/journal` lie below it.
    pub path: PathBuf,
    /// Sync before a call is forwarded; otherwise write before and sync every 50 ms.
    pub strict: bool,
    /// Largest size of a journal segment in bytes before rotation.
    pub segment_bytes: u64,
    /// Longest time under load that a batch is collected before it is synced.
    pub collect: Duration,
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{path} is held by process {pid}", path = path.display())]
    #[allow(missing_docs)]
    Held { path: PathBuf, pid: u32 },
    /// A file or folder could not be used.
    #[error("{path}: {source}", path = path.display())]
    #[allow(missing_docs)]
    Io { path: PathBuf, source: std::io::Error },
    /// The journal is damaged in its middle.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}

/// The embedded store.
pub struct EmbeddedLedger {}
