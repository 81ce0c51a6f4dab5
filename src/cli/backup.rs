//! `clapet backup` and `clapet restore`.

use std::path::Path;

use super::output::print;
use super::sign::sign;
use super::{Failure, print_json};
use crate::config::Config;
use crate::evidence;
use crate::ledger::{EmbeddedLedger, OpenError};

/// Exit 0. A running server goes on serving.
pub(super) fn backup(to: &Path, config: &Config, json: bool) -> Result<u8, Failure> {
    // So that the backup ends under a signature as far as it can.
    sign(config)?;
    let done = evidence::backup(&config.store.path, to).map_err(Failure::error)?;
    if json {
        print_json(&done)?;
    } else {
        print(&format!(
            "{} records in {} files, {} bytes, verified; it holds the store's secret and signing key: keep it as safe as the store",
            done.records, done.files, done.bytes
        ));
    }
    Ok(0)
}

/// Exit 0.
pub(super) fn restore(from: &Path, force: bool, config: &Config, json: bool) -> Result<u8, Failure> {
    let held = if config.store.path.exists() {
        Some(EmbeddedLedger::hold(&config.store.path).map_err(|error| match error {
            OpenError::Held { pid, .. } => Failure::error(format_args!(
                "the store is held by process {pid}: stop it first. Nothing can be put back under a server that places calls: those \
                 placed meanwhile would be forgotten"
            )),
            error => Failure::error(error),
        })?)
    } else {
        None
    };
    let restored = evidence::restore(from, &config.store.path, force).map_err(Failure::error)?;
    drop(held);
    if json {
        print_json(&serde_json::json!({
            "records": restored.records, "last": restored.last, "replaced": restored.replaced,
        }))?;
    } else {
        print(&format!("{} records, up to {}", restored.records, restored.last));
        if let Some(replaced) = &restored.replaced {
            print(&format!("the store that was there is in {}", replaced.display()));
        }
    }
    Ok(0)
}
