//! Start order, the loops, reload, drain.
mod clock;
mod shard;
mod shared;
mod worker;
pub use clock::{MovedClock, WallClock};
use std::path::PathBuf;

use crate::config::Config;

/// Why the server did not run, or ended in an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServeError(String);

/// Runs until SIGTERM or SIGINT; `from` is read again on reload.
pub fn run(_config: Config, _from: Option<PathBuf>) -> Result<(), ServeError> {
    todo!()
}
