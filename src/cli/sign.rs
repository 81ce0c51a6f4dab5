//! A checkpoint over everything recorded so far, from whoever holds the store.

use super::Failure;
use super::store::{Store, reach};
use crate::config::Config;
use crate::ledger::Ledger as _;

#[derive(serde::Deserialize)]
struct Nothing {}

/// Where nobody holds the store, closing it signs.
pub(super) fn sign(config: &Config) -> Result<(), Failure> {
    match reach(config)? {
        Store::Server(mut client) => {
            let Nothing {} = client.ask("/v1/journal/checkpoint", &serde_json::json!({}))?;
            Ok(())
        }
        Store::Own(own) => {
            let signed = own.ledger.sign();
            own.runtime.block_on(signed.wait()).map_err(Failure::error)?;
            own.close()
        }
    }
}
